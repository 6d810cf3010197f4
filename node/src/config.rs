//! The node's configuration: command line over file over default, read and checked once.
//!
//! [`RawConfig`] is what a file or a command line says, every part optional; [`Config`] is what the
//! node works with, typed and checked. Its parts are handed to whoever needs them.
//! Not for: what the whole grid agrees on (the charter).

mod alerts;
mod channels;
mod dashboard;
mod gas;
mod home_assistant;
pub mod lightning;
mod mining;
mod raw;
mod render;
mod rpc;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boltgrid_market::escrow::Willingness;
use boltgrid_market::payments::CreditTerms;
use boltgrid_protocol::units::{Msat, Price};
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use crate::alerts::AlertsConfig;
use crate::dispatcher::MiningConfig;
use crate::home_assistant::HomeAssistantConfig;
use crate::meter_keys::{HsmConfig, MeterKeysConfig};
use crate::site::SiteConfig;
pub use alerts::RawAlerts;
pub use channels::{ChannelsConfig, RawChannels};
pub use dashboard::{Fiat, RawDashboard};
pub use gas::RawGas;
pub use home_assistant::RawHomeAssistant;
pub use lightning::{LightningConfig, RawLightning};
pub use mining::RawMining;
pub use raw::{RawCatchUp, RawConfig, RawHsm, RawLog, RawNetwork, RawOwner};
pub use render::render;
pub use rpc::{RawRpc, RpcConfig};

/// What is known of machines from before, in the data folder.
const MACHINES_FILE: &str = "machines.json";
/// The account of a well's gas, in the data folder.
const ACCOUNT_FILE: &str = "gas.json";
/// Longest retention, in days.
const KEEP_DAYS_MAX: u32 = 3_650;
/// Longest time between two routine visits for history: a week.
const EVERY_MINUTES_MAX: u32 = 10_080;
/// Where systemd says which folder holds the secrets of a service.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// The config file's name inside a node's folder.
pub const CONFIG_FILE: &str = "config.toml";

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of journal and archive.
    pub data_dir: PathBuf,
    /// Days that past intervals are kept.
    pub keep_days: u32,
    /// The node's keys.
    pub keys: KeysConfig,
    /// Learning what was missed.
    pub catch_up: CatchUpConfig,
    /// The grid.
    pub grid: GridConfig,
    /// Where to be reached, and whom to reach first.
    pub network: NetworkConfig,
    /// JSON-RPC.
    pub rpc: RpcConfig,
    /// The meter and devices of the site.
    pub site: SiteConfig,
    /// The wallet's seed, whether there are payments or not.
    pub seed_file: PathBuf,
    /// Payments; none where the file says nothing of them.
    pub lightning: Option<LightningConfig>,
    /// What the channel policy may do; without payments, nothing.
    pub channels: ChannelsConfig,
    /// What the owner wants.
    pub owner: OwnerConfig,
    /// The machines that mine, and how they are to be treated.
    pub mining: MiningConfig,
    /// Home Assistant; none where the file names no broker.
    pub home_assistant: Option<HomeAssistantConfig>,
    /// What the owner wants to be told of.
    pub alerts: AlertsConfig,
    /// Logs.
    pub log: LogConfig,
}

/// Where the node's keys are.
#[derive(Clone, Debug)]
pub struct KeysConfig {
    /// The participant's key.
    pub participant_key_file: PathBuf,
    /// The keys that sign readings.
    pub meter: MeterKeysConfig,
}

/// Learning from other members what was missed.
#[derive(Clone, Copy, Debug)]
pub struct CatchUpConfig {
    /// How far back, in days.
    pub days: u32,
    /// How often, where nothing is known to be missing, in minutes.
    pub every_minutes: u32,
}

impl CatchUpConfig {
    /// How often, in milliseconds.
    #[must_use]
    pub fn every_ms(&self) -> u64 {
        u64::from(self.every_minutes) * 60_000
    }
}

/// Where the grid's papers are.
#[derive(Clone, Debug)]
pub struct GridConfig {
    /// The charter.
    pub charter_file: PathBuf,
    /// The folder of all members' enrolments.
    pub enrolments_dir: PathBuf,
}

/// Where to be reached, and whom to reach first.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Addresses to listen at; never empty.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach this node, where it cannot find out itself.
    pub external: Vec<Multiaddr>,
    /// Nodes to call first.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to look for nodes on the local network.
    pub mdns: bool,
}

/// What the owner wants.
#[derive(Clone, Copy, Debug)]
pub struct OwnerConfig {
    /// Whether to place orders at all.
    pub trade: bool,
    /// Never buy above this; the supplier's retail price where it is lower or nothing is said.
    pub buy_at_most: Option<Price>,
    /// Never sell what can be withheld below this; the feed-in price where nothing is said.
    pub sell_at_least: Option<Price>,
    /// What stays in the battery for the owner, 0 to 100 percent of its capacity.
    pub reserve_state_of_charge_percent: u8,
    /// What cycling a kWh through the battery costs; not negative.
    pub wear: Price,
    /// What arrives of what is moved into the battery, and again out of it, in parts per million.
    pub battery_efficiency_ppm: u32,
    /// What others may owe the node for energy.
    pub credit: CreditTerms,
    /// In which escrows to take part unasked.
    pub willing: Willingness,
}

/// Logs.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
}

/// The form of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why a configuration is not one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the config file {path} cannot be read: {source}; `boltgrid init` writes one")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not TOML, or has a key or type that is not known.
    #[error("{path}: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// A value that cannot be.
    #[error("{path}: `{key}` {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The dotted name of the key.
        key: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

/// A value that cannot be, before anyone knows which file it is from.
#[derive(Debug)]
struct BadValue {
    key: &'static str,
    problem: String,
}

impl Config {
    /// Reads `path`, lays `overrides` from the command line over it, and checks the result.
    ///
    /// Paths in the file are relative to the file's folder. `${CREDENTIALS_DIRECTORY}` stands for the
    /// folder of secrets that the service manager hands over, and for itself where there is none.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming file and key.
    pub fn load(path: &Path, overrides: RawConfig) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file = RawConfig::from_toml(&with_credentials(text, credentials_dir()))
            .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::checked(overrides.over(file.relative_to(folder)), path)
    }

    /// Lays `raw` over the defaults and checks the result; `path` is the file it belongs to.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Value`].
    pub fn checked(raw: RawConfig, path: &Path) -> Result<Self, ConfigError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let complete = raw.over(RawConfig::defaults().relative_to(folder));
        Self::check(complete).map_err(|BadValue { key, problem }| ConfigError::Value {
            path: path.to_owned(),
            key,
            problem,
        })
    }

    fn check(raw: RawConfig) -> Result<Self, BadValue> {
        let keep_days = given(raw.keep_days, "keep_days")?;
        require((1..=KEEP_DAYS_MAX).contains(&keep_days), "keep_days", || {
            format!("must be 1 to {KEEP_DAYS_MAX}, is {keep_days}")
        })?;
        let lightning = lightning::check(raw.lightning.clone())?;
        let data_dir = given(raw.data_dir, "data_dir")?;
        Ok(Self {
            data_dir: data_dir.clone(),
            keep_days,
            catch_up: check_catch_up(&raw.catch_up)?,
            keys: KeysConfig {
                participant_key_file: given(raw.participant_key_file, "participant_key_file")?,
                meter: MeterKeysConfig {
                    file: given(raw.meter_key_file, "meter_key_file")?,
                    hsm: check_hsm(raw.meter_key_hsm)?,
                    next_file: raw.next_meter_key_file,
                },
            },
            grid: GridConfig {
                charter_file: given(raw.charter_file, "charter_file")?,
                enrolments_dir: given(raw.enrolments_dir, "enrolments_dir")?,
            },
            network: check_network(raw.network)?,
            rpc: RpcConfig { fiat: raw.dashboard.check()?, ..raw.rpc.check()? },
            seed_file: lightning::seed_file(&raw.lightning)?,
            mining: MiningConfig {
                kept_file: Some(data_dir.join(MACHINES_FILE)),
                account_file: Some(data_dir.join(ACCOUNT_FILE)),
                gas: raw.gas.check()?,
                place: raw.site.as_ref().and_then(|site| site.place),
                ..raw.mining.check(raw.miner, lightning.as_ref())?
            },
            site: raw.site.unwrap_or_default(),
            lightning,
            channels: raw.channels.check()?,
            owner: check_owner(&raw.owner)?,
            home_assistant: raw.home_assistant.check()?,
            alerts: raw.alerts.check()?,
            log: LogConfig {
                filter: given(raw.log.filter, "log.filter")?,
                format: given(raw.log.format, "log.format")?,
            },
        })
    }
}

/// The folder of secrets that the service manager handed to this process (`LoadCredential=` of
/// systemd); none where it handed over none.
pub(crate) fn credentials_dir() -> Option<PathBuf> {
    env::var_os(CREDENTIALS_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// A config file's text with the folder of secrets in its place.
fn with_credentials(text: String, dir: Option<PathBuf>) -> String {
    // A folder whose name would have to be escaped is none that a service manager makes.
    let is_plain = |dir: &&str| !dir.contains(['"', '\'', '\\', '\n']);
    match dir.as_ref().and_then(|dir| dir.to_str()).filter(is_plain) {
        Some(dir) => text.replace(&format!("${{{CREDENTIALS_VARIABLE}}}"), dir),
        None => text,
    }
}

fn check_catch_up(raw: &RawCatchUp) -> Result<CatchUpConfig, BadValue> {
    let days = given(raw.days, "catch_up.days")?;
    require(days <= KEEP_DAYS_MAX, "catch_up.days", || {
        format!("must be 0 to {KEEP_DAYS_MAX}, is {days}")
    })?;
    let every_minutes = given(raw.every_minutes, "catch_up.every_minutes")?;
    require((1..=EVERY_MINUTES_MAX).contains(&every_minutes), "catch_up.every_minutes", || {
        format!("must be 1 to {EVERY_MINUTES_MAX}, is {every_minutes}")
    })?;
    Ok(CatchUpConfig { days, every_minutes })
}

fn check_network(raw: RawNetwork) -> Result<NetworkConfig, BadValue> {
    let listen = addresses(given(raw.listen, "network.listen")?, "network.listen")?;
    require(!listen.is_empty(), "network.listen", || {
        "must name at least one address, such as \"/ip4/0.0.0.0/tcp/9333\"".to_owned()
    })?;
    Ok(NetworkConfig {
        listen,
        external: addresses(given(raw.external, "network.external")?, "network.external")?,
        bootstrap: addresses(given(raw.bootstrap, "network.bootstrap")?, "network.bootstrap")?,
        mdns: given(raw.mdns, "network.mdns")?,
    })
}

fn addresses(texts: Vec<String>, key: &'static str) -> Result<Vec<Multiaddr>, BadValue> {
    let address = |text: String| {
        text.parse().map_err(|error| BadValue {
            key,
            problem: format!(
                "names {text:?}, which is no multiaddress ({error}); \
                 one looks like \"/ip4/192.0.2.7/tcp/9333\""
            ),
        })
    };
    texts.into_iter().map(address).collect()
}

fn check_owner(raw: &RawOwner) -> Result<OwnerConfig, BadValue> {
    let percent =
        given(raw.reserve_state_of_charge_percent, "owner.reserve_state_of_charge_percent")?;
    require(percent <= 100, "owner.reserve_state_of_charge_percent", || {
        format!("must be 0 to 100, is {percent}")
    })?;
    let wear = given(raw.wear_msat_per_kwh, "owner.wear_msat_per_kwh")?;
    require(!wear.is_negative(), "owner.wear_msat_per_kwh", || {
        format!("must not be negative, is {}", wear.to_msat_per_kwh())
    })?;
    let efficiency = given(raw.battery_efficiency_percent, "owner.battery_efficiency_percent")?;
    require((1..=100).contains(&efficiency), "owner.battery_efficiency_percent", || {
        format!("must be 1 to 100, is {efficiency}")
    })?;
    Ok(OwnerConfig {
        trade: given(raw.trade, "owner.trade")?,
        buy_at_most: raw.buy_at_most_msat_per_kwh,
        sell_at_least: raw.sell_at_least_msat_per_kwh,
        reserve_state_of_charge_percent: percent,
        wear,
        battery_efficiency_ppm: u32::from(efficiency) * 10_000,
        credit: CreditTerms {
            first_msat: sat(given(raw.newcomer_credit_sat, "owner.newcomer_credit_sat")?),
            most_msat: sat(given(raw.credit_max_sat, "owner.credit_max_sat")?),
        },
        willing: Willingness {
            arbitrate_max: sat(given(raw.arbitrate_max_sat, "owner.arbitrate_max_sat")?),
            accept_max: sat(given(raw.escrow_accept_max_sat, "owner.escrow_accept_max_sat")?),
        },
    })
}

/// No 32-bit number of satoshi is more than there are.
fn sat(sat: u32) -> Msat {
    Msat::from_millisatoshi(u64::from(sat) * 1000).unwrap_or(Msat::MAX)
}

/// The module that holds the meter's key: all that is to be known of it, or none.
fn check_hsm(raw: RawHsm) -> Result<Option<HsmConfig>, BadValue> {
    let RawHsm { module_file, token_label, key_label, pin_file } = raw;
    let is_none = token_label.is_none() && key_label.is_none() && pin_file.is_none();
    if module_file.is_none() && is_none {
        return Ok(None);
    }
    Ok(Some(HsmConfig {
        module_file: given(module_file, "meter_key_hsm.module_file")?,
        token_label: given(token_label, "meter_key_hsm.token_label")?,
        key_label: given(key_label, "meter_key_hsm.key_label")?,
        pin_file: given(pin_file, "meter_key_hsm.pin_file")?,
    }))
}

fn given<T>(value: Option<T>, key: &'static str) -> Result<T, BadValue> {
    value.ok_or_else(|| BadValue { key, problem: "is missing".to_owned() })
}

fn require(
    holds: bool,
    key: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<(), BadValue> {
    if holds { Ok(()) } else { Err(BadValue { key, problem: problem() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, overrides: RawConfig) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG_FILE);
        fs::write(&path, text).unwrap();
        Config::load(&path, overrides)
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let config = load("", RawConfig::default()).unwrap();
        assert_eq!(config.rpc.listen.to_string(), "127.0.0.1:8733");
        assert_eq!(config.keep_days, 35);
        assert!(config.network.mdns);
        assert!(config.network.bootstrap.is_empty());
        assert!(config.owner.trade);
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_the_default() {
        let file = "keep_days = 7\n[log]\nfilter = \"debug\"\n";
        let log = RawLog { filter: Some("trace".to_owned()), ..RawLog::default() };
        let config = load(file, RawConfig { log, ..RawConfig::default() }).unwrap();
        assert_eq!(config.keep_days, 7);
        assert_eq!(config.log.filter, "trace");
        assert_eq!(config.log.format, LogFormat::Text);
    }

    #[test]
    fn paths_are_relative_to_the_file_but_on_the_command_line_to_where_one_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG_FILE);
        fs::write(&path, "charter_file = \"papers/charter.toml\"\nenrolments_dir = \"/all\"\n")
            .unwrap();
        let data_dir = Some(PathBuf::from("elsewhere"));
        let overrides = RawConfig { data_dir, ..RawConfig::default() };
        let config = Config::load(&path, overrides).unwrap();
        assert_eq!(config.grid.charter_file, dir.path().join("papers/charter.toml"));
        assert_eq!(config.grid.enrolments_dir, Path::new("/all"));
        assert_eq!(config.keys.meter.file, dir.path().join("meter.key"));
        assert_eq!(config.data_dir, Path::new("elsewhere"));
    }

    #[test]
    fn secrets_may_be_where_the_service_manager_put_them() {
        let text = "bitcoind_password_file = \"${CREDENTIALS_DIRECTORY}/bitcoind\"";
        let expanded = |dir: &str| with_credentials(text.to_owned(), Some(dir.into()));
        let raw: RawLightning = toml::from_str(&expanded("/run/credentials/a.service")).unwrap();
        let file = raw.relative_to(Path::new("/etc/boltgrid")).bitcoind_password_file;
        assert_eq!(file.unwrap(), Path::new("/run/credentials/a.service/bitcoind"));
        assert_eq!(with_credentials(text.to_owned(), None), text);
        assert_eq!(expanded("a\"\nb"), text, "nothing gets into the file by a folder's name");
    }

    #[test]
    fn errors_name_the_file_the_key_and_what_would_be_right() {
        let check = |text, expected: &[&str]| {
            let error = load(text, RawConfig::default()).unwrap_err().to_string();
            for part in [CONFIG_FILE].iter().chain(expected) {
                assert!(error.contains(part), "{text:?}: {error}");
            }
        };
        check("keep_dys = 3", &["unknown field `keep_dys`", "keep_days"]);
        check("keep_days = \"3\"", &["keep_days", "invalid type"]);
        check("keep_days = 0", &["`keep_days`", "1 to 3650"]);
        check("[rpc]\nlisten = \"localhost\"", &["`rpc.listen`", "127.0.0.1:8733", "localhost"]);
        check("[network]\nlisten = []", &["`network.listen`", "at least one"]);
        check("[network]\nbootstrap = [\"1.2.3.4:5\"]", &["`network.bootstrap`", "1.2.3.4:5"]);
        check("[owner]\nwear_msat_per_kwh = -1", &["`owner.wear_msat_per_kwh`", "negative"]);
        check(
            "[owner]\nreserve_state_of_charge_percent = 101",
            &["`owner.reserve_state_of_charge_percent`", "0 to 100"],
        );
    }
}
