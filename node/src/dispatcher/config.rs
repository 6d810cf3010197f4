//! What the owner says of the machines, checked; and how one is written down, with its driver's own
//! settings in the same table.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use boltgrid_metering::sun::Place;
use boltgrid_miners::break_even::Appetite;
use boltgrid_miners::drivers::{MachineConfig, RelayConfig, Stated};
use boltgrid_miners::effect::OnContactLost;
use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::plan::Habits;
use boltgrid_miners::react::GridSupport;
use boltgrid_miners::rules::Rules;
use boltgrid_protocol::units::{Msat, Power, Price};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::feed::HashpriceFeed;
use super::gas::GasConfig;
use super::places::PlaceConfig;
use crate::config::lightning::ChainSource;
use crate::stratum::StratumConfig;

/// A machine of which nothing is heard for this time counts as lost where nothing is said.
const CONTACT_LOST_S: u32 = 60;

/// The machines of a site, and how they are to be treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MiningConfig {
    /// The machines; with none the task has nothing to do.
    pub machines: Vec<MinerConfig>,
    /// Where the hashprice comes from.
    pub hashprice: HashpriceSource,
    /// What the pool keeps, in parts per million.
    pub pool_fee_ppm: u32,
    /// What running wears a machine by.
    pub wear: Price,
    /// What a start costs.
    pub start: Msat,
    /// How machines are switched.
    pub habits: Habits,
    /// What all of them may draw together.
    pub machines_max: Power,
    /// How much more they may draw from one sample to the next.
    pub step_max: Power,
    /// How many may be started at once.
    pub starts_max: usize,
    /// What they do for frequency and voltage.
    pub support: Option<GridSupport>,
    /// What the owner wants of them, whatever the plan says.
    pub rules: Rules,
    /// What they warm.
    pub places: Vec<PlaceConfig>,
    /// Where on earth they are, for rules that ask for the sun.
    pub place: Option<Place>,
    /// Where they mine through this node, if they do.
    pub stratum: Option<StratumConfig>,
    /// The well beside them, if there is one.
    pub gas: Option<GasConfig>,
    /// The file in which what is known of them survives a restart; nothing does without one.
    pub kept_file: Option<PathBuf>,
    /// The file with the account of the well's gas, likewise.
    pub account_file: Option<PathBuf>,
}

impl MiningConfig {
    /// Which machine each worker is that mines through this node.
    #[must_use]
    pub fn workers(&self) -> BTreeMap<String, String> {
        let owned = self.machines.iter().map(|machine| &machine.owned);
        owned.filter_map(|it| Some((it.worker.clone()?, it.name.clone()))).collect()
    }
}

/// Where the hashprice comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashpriceSource {
    /// The owner says it.
    Fixed(Hashprice),
    /// Somebody says it over HTTP.
    Feed(HashpriceFeed),
    /// The chain that this node's wallet follows.
    Chain(ChainSource),
    /// Nowhere: machines run for somebody else's money only.
    Unknown,
}

/// One machine, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct MinerConfig {
    /// What it is to the site.
    pub owned: Owned,
    /// What its owner says of it.
    pub stated: Stated,
    /// How it is spoken to.
    pub driver: MachineConfig,
}

/// The settings that every machine has, whatever its driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// What it is called.
    pub name: String,
    /// The site's meter that shows what it draws, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// The relay that cuts it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayConfig>,
    /// What becomes of it when nothing is heard of it …
    #[serde(default)]
    pub on_contact_lost: OnContactLost,
    /// … for this time.
    #[serde(default = "contact_lost_s")]
    pub contact_lost_s: u32,
    /// When it mines.
    #[serde(default)]
    pub appetite: Appetite,
    /// What its hashes take, until that is learnt: one that never ran does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub efficiency_mj_per_th: Option<NonZeroU32>,
    /// What its pool knows it by, if it mines through this node: its whole user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

const fn contact_lost_s() -> u32 {
    CONTACT_LOST_S
}

/// The names of the fields of [`Owned`] …
const OWNED: [&str; 8] = [
    "name",
    "meter",
    "relay",
    "on_contact_lost",
    "contact_lost_s",
    "appetite",
    "efficiency_mj_per_th",
    "worker",
];
/// … and of [`Stated`].
const STATED: [&str; 6] = ["rated_w", "least_w", "step_w", "idle_w", "settle_s", "warm_up_s"];

impl MinerConfig {
    /// The same with relative paths of files taken from `folder`.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        self.driver = self.driver.relative_to(folder);
        if let Some(RelayConfig::Http(relay)) = &mut self.owned.relay {
            relay.credentials_file = relay.credentials_file.take().map(|path| folder.join(path));
        }
        self
    }
}

impl TryFrom<Table> for MinerConfig {
    type Error = toml::de::Error;

    fn try_from(table: Table) -> Result<Self, toml::de::Error> {
        let (owned, rest): (Table, Table) =
            table.into_iter().partition(|(key, _)| OWNED.contains(&key.as_str()));
        let (stated, driver): (Table, Table) =
            rest.into_iter().partition(|(key, _)| STATED.contains(&key.as_str()));
        Ok(Self {
            owned: owned.try_into()?,
            stated: stated.try_into()?,
            driver: driver.try_into()?,
        })
    }
}

impl From<MinerConfig> for Table {
    fn from(miner: MinerConfig) -> Self {
        let is_toml = "settings are what TOML can say";
        let mut table = Self::try_from(miner.owned).expect(is_toml);
        table.extend(Self::try_from(miner.stated).expect(is_toml));
        table.extend(Self::try_from(miner.driver).expect(is_toml));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "name = \"heater\"\ndriver = \"relay-modbus\"\naddress = \"127.0.0.1\"\n\
                         coil = 0\nrated_w = 2000\n";

    #[test]
    fn everything_survives_its_written_form() {
        let text = format!(
            "{RELAY}meter = \"barn\"\non_contact_lost = \"off_by_relay\"\ncontact_lost_s = 9\n\
             appetite = {{ below_msat_per_kwh = -5 }}\nefficiency_mj_per_th = 23000\n"
        );
        let read: MinerConfig = toml::from_str(&text).unwrap();
        assert_eq!(read.owned.appetite, Appetite::BelowMsatPerKwh(Price::from_msat_per_kwh(-5)));
        assert_eq!(read.owned.efficiency_mj_per_th.map(NonZeroU32::get), Some(23_000));
        assert_eq!(read.stated.rated_w, Some(2_000));
        let written = toml::to_string(&read).unwrap();
        assert_eq!(toml::from_str::<MinerConfig>(&written).unwrap(), read);
    }

    #[test]
    fn little_needs_to_be_said_and_mistakes_are_named() {
        let read: MinerConfig = toml::from_str(RELAY).unwrap();
        assert_eq!((read.owned.contact_lost_s, read.owned.appetite), (60, Appetite::WhenItPays));
        let refused = |text: &str| toml::from_str::<MinerConfig>(text).unwrap_err().to_string();
        let error = refused(&format!("{RELAY}apetite = \"when_it_pays\""));
        assert!(error.contains("`apetite`"), "{error}");
        let error = refused(&RELAY.replace("name = \"heater\"", ""));
        assert!(error.contains("`name`"), "{error}");
    }

    #[test]
    fn the_fields_of_every_machine_are_all_named() {
        let all = Stated {
            rated_w: Some(1),
            least_w: Some(1),
            step_w: Some(1),
            idle_w: Some(1),
            settle_s: Some(1),
            warm_up_s: Some(1),
        };
        let keys: Vec<String> = Table::try_from(all).unwrap().keys().cloned().collect();
        assert!(keys.iter().all(|key| STATED.contains(&key.as_str())), "{keys:?}");
        assert_eq!(keys.len(), STATED.len());
    }
}
