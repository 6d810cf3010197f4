//! What a file or a command line says, every part optional, and the defaults below them.

use std::path::{Path, PathBuf};

use boltgrid_protocol::units::Price;
use serde::{Deserialize, Serialize};

use super::LogFormat;
use super::alerts::RawAlerts;
use super::channels::RawChannels;
use super::dashboard::RawDashboard;
use super::gas::RawGas;
use super::home_assistant::RawHomeAssistant;
use super::lightning::RawLightning;
use super::mining::RawMining;
use super::rpc::RawRpc;
use crate::dispatcher::MinerConfig;
use crate::site::SiteConfig;

/// A configuration as it is written down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Folder of journal and archive.
    pub data_dir: Option<PathBuf>,
    /// The participant's key.
    pub participant_key_file: Option<PathBuf>,
    /// The key that signs readings.
    pub meter_key_file: Option<PathBuf>,
    /// The key that signs them once it is enrolled in place of that.
    pub next_meter_key_file: Option<PathBuf>,
    /// A key in a hardware security module in place of `meter_key_file`.
    pub meter_key_hsm: RawHsm,
    /// The charter.
    pub charter_file: Option<PathBuf>,
    /// The folder of all members' enrolments.
    pub enrolments_dir: Option<PathBuf>,
    /// Days that past intervals are kept.
    pub keep_days: Option<u32>,
    /// Learning what was missed.
    pub catch_up: RawCatchUp,
    /// Where to be reached, and whom to reach first.
    pub network: RawNetwork,
    /// JSON-RPC.
    pub rpc: RawRpc,
    /// What pages show.
    pub dashboard: RawDashboard,
    /// Payments.
    pub lightning: RawLightning,
    /// What the channel policy may do.
    pub channels: RawChannels,
    /// What the owner wants.
    pub owner: RawOwner,
    /// What hashing earns and costs.
    pub mining: RawMining,
    /// The well, its generator and its flare.
    pub gas: RawGas,
    /// Home Assistant.
    pub home_assistant: RawHomeAssistant,
    /// What the owner wants to be told of.
    pub alerts: RawAlerts,
    /// Logs.
    pub log: RawLog,
    /// The machines that mine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub miner: Vec<MinerConfig>,
    /// The meter and devices of the site.
    pub site: Option<SiteConfig>,
}

/// `[meter_key_hsm]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawHsm {
    /// The module's library.
    pub module_file: Option<PathBuf>,
    /// The label of the token.
    pub token_label: Option<String>,
    /// The label of the key pair.
    pub key_label: Option<String>,
    /// The file with the PIN.
    pub pin_file: Option<PathBuf>,
}

impl RawHsm {
    fn over(self, below: Self) -> Self {
        Self {
            module_file: self.module_file.or(below.module_file),
            token_label: self.token_label.or(below.token_label),
            key_label: self.key_label.or(below.key_label),
            pin_file: self.pin_file.or(below.pin_file),
        }
    }
}

/// `[catch_up]`
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCatchUp {
    /// How far back.
    pub days: Option<u32>,
    /// How often, where nothing is known to be missing.
    pub every_minutes: Option<u32>,
}

/// `[network]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawNetwork {
    /// Addresses to listen at.
    pub listen: Option<Vec<String>>,
    /// Addresses at which others reach this node.
    pub external: Option<Vec<String>>,
    /// Nodes to call first.
    pub bootstrap: Option<Vec<String>>,
    /// Whether to look for nodes on the local network.
    pub mdns: Option<bool>,
}

/// `[owner]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawOwner {
    /// Whether to place orders.
    pub trade: Option<bool>,
    /// Never buy above this.
    pub buy_at_most_msat_per_kwh: Option<Price>,
    /// Never sell below this.
    pub sell_at_least_msat_per_kwh: Option<Price>,
    /// What stays in the battery.
    pub reserve_state_of_charge_percent: Option<u8>,
    /// What cycling a kWh through the battery costs.
    pub wear_msat_per_kwh: Option<Price>,
    /// What arrives of what is moved into the battery, and again out of it.
    pub battery_efficiency_percent: Option<u8>,
    /// What a newcomer may owe.
    pub newcomer_credit_sat: Option<u32>,
    /// What anyone may owe.
    pub credit_max_sat: Option<u32>,
    /// Up to how much to be an arbiter unasked.
    pub arbitrate_max_sat: Option<u32>,
    /// Up to how much to be a payee of an escrow unasked.
    pub escrow_accept_max_sat: Option<u32>,
}

/// `[log]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// What is logged.
    pub filter: Option<String>,
    /// In which form.
    pub format: Option<LogFormat>,
}

impl RawConfig {
    /// The default of everything that has one. Written here and nowhere else.
    #[must_use]
    pub fn defaults() -> Self {
        let listen = ["/ip4/0.0.0.0/udp/9333/quic-v1", "/ip4/0.0.0.0/tcp/9333"];
        Self {
            data_dir: Some(PathBuf::from("data")),
            participant_key_file: Some(PathBuf::from("participant.key")),
            meter_key_file: Some(PathBuf::from("meter.key")),
            next_meter_key_file: None,
            meter_key_hsm: RawHsm::default(),
            charter_file: Some(PathBuf::from("charter.toml")),
            enrolments_dir: Some(PathBuf::from("enrolments")),
            keep_days: Some(35),
            catch_up: RawCatchUp { days: Some(7), every_minutes: Some(60) },
            network: RawNetwork {
                listen: Some(listen.map(str::to_owned).to_vec()),
                external: Some(Vec::new()),
                bootstrap: Some(Vec::new()),
                mdns: Some(true),
            },
            rpc: RawRpc::defaults(),
            dashboard: RawDashboard::default(),
            lightning: RawLightning::defaults(),
            channels: RawChannels::defaults(),
            owner: RawOwner {
                trade: Some(true),
                buy_at_most_msat_per_kwh: None,
                sell_at_least_msat_per_kwh: None,
                reserve_state_of_charge_percent: Some(10),
                wear_msat_per_kwh: Some(Price::from_msat_per_kwh(40_000)),
                battery_efficiency_percent: Some(95),
                newcomer_credit_sat: Some(0),
                credit_max_sat: Some(10_000),
                arbitrate_max_sat: Some(0),
                escrow_accept_max_sat: Some(0),
            },
            mining: RawMining::defaults(),
            gas: RawGas::defaults(),
            home_assistant: RawHomeAssistant::defaults(),
            alerts: RawAlerts::defaults(),
            log: RawLog { filter: Some("info".to_owned()), format: Some(LogFormat::Text) },
            miner: Vec::new(),
            site: None,
        }
    }

    /// Reads a config file.
    ///
    /// # Errors
    ///
    /// What is not TOML of a configuration, and where.
    pub fn from_toml(text: &str) -> Result<Self, Box<toml::de::Error>> {
        toml::from_str(text).map_err(Box::new)
    }

    /// What `self` says, and where it says nothing, what `below` says.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(below.data_dir),
            participant_key_file: self.participant_key_file.or(below.participant_key_file),
            meter_key_file: self.meter_key_file.or(below.meter_key_file),
            next_meter_key_file: self.next_meter_key_file.or(below.next_meter_key_file),
            meter_key_hsm: self.meter_key_hsm.over(below.meter_key_hsm),
            charter_file: self.charter_file.or(below.charter_file),
            enrolments_dir: self.enrolments_dir.or(below.enrolments_dir),
            keep_days: self.keep_days.or(below.keep_days),
            catch_up: RawCatchUp {
                days: self.catch_up.days.or(below.catch_up.days),
                every_minutes: self.catch_up.every_minutes.or(below.catch_up.every_minutes),
            },
            network: self.network.over(below.network),
            rpc: self.rpc.over(below.rpc),
            dashboard: self.dashboard.over(below.dashboard),
            lightning: self.lightning.over(below.lightning),
            channels: self.channels.over(below.channels),
            owner: self.owner.over(&below.owner),
            mining: self.mining.over(below.mining),
            gas: self.gas.over(below.gas),
            home_assistant: self.home_assistant.over(below.home_assistant),
            alerts: self.alerts.over(below.alerts),
            log: RawLog {
                filter: self.log.filter.or(below.log.filter),
                format: self.log.format.or(below.log.format),
            },
            miner: if self.miner.is_empty() { below.miner } else { self.miner },
            site: self.site.or(below.site),
        }
    }

    /// The same with relative paths taken from `folder`.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        for path in [
            &mut self.data_dir,
            &mut self.participant_key_file,
            &mut self.meter_key_file,
            &mut self.next_meter_key_file,
            &mut self.charter_file,
            &mut self.enrolments_dir,
        ] {
            *path = path.take().map(|path| folder.join(path));
        }
        let pin_file = self.meter_key_hsm.pin_file.take();
        self.meter_key_hsm.pin_file = pin_file.map(|path| folder.join(path));
        self.rpc = self.rpc.relative_to(folder);
        self.lightning = self.lightning.relative_to(folder);
        self.home_assistant = self.home_assistant.relative_to(folder);
        self.site = self.site.map(|site| site.relative_to(folder));
        self.mining = self.mining.relative_to(folder);
        self.miner = self.miner.into_iter().map(|it| it.relative_to(folder)).collect();
        self.alerts = self.alerts.relative_to(folder);
        self
    }
}

impl RawNetwork {
    fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            external: self.external.or(below.external),
            bootstrap: self.bootstrap.or(below.bootstrap),
            mdns: self.mdns.or(below.mdns),
        }
    }
}

impl RawOwner {
    fn over(&self, below: &Self) -> Self {
        Self {
            trade: self.trade.or(below.trade),
            buy_at_most_msat_per_kwh: self
                .buy_at_most_msat_per_kwh
                .or(below.buy_at_most_msat_per_kwh),
            sell_at_least_msat_per_kwh: self
                .sell_at_least_msat_per_kwh
                .or(below.sell_at_least_msat_per_kwh),
            reserve_state_of_charge_percent: self
                .reserve_state_of_charge_percent
                .or(below.reserve_state_of_charge_percent),
            wear_msat_per_kwh: self.wear_msat_per_kwh.or(below.wear_msat_per_kwh),
            battery_efficiency_percent: self
                .battery_efficiency_percent
                .or(below.battery_efficiency_percent),
            newcomer_credit_sat: self.newcomer_credit_sat.or(below.newcomer_credit_sat),
            credit_max_sat: self.credit_max_sat.or(below.credit_max_sat),
            arbitrate_max_sat: self.arbitrate_max_sat.or(below.arbitrate_max_sat),
            escrow_accept_max_sat: self.escrow_accept_max_sat.or(below.escrow_accept_max_sat),
        }
    }
}
