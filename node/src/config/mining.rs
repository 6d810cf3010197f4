//! `[mining]`: what hashing earns, what it costs, and how machines are switched. The machines themselves
//! are in `[[miner]]`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::plan::{Habits, MACHINES_MAX};
use boltgrid_miners::react::GridSupport;
use boltgrid_miners::rules::{FILE_BYTES_MAX, Rules, read_rules};
use boltgrid_protocol::units::{Power, Price};
use serde::{Deserialize, Serialize};

use super::lightning::LightningConfig;
use super::{BadValue, given, require, sat};
use crate::dispatcher::{
    HashpriceFeed, HashpriceSource, MinerConfig, MiningConfig, PlaceConfig, STARTS_MAX,
};
use crate::stratum::StratumConfig;

/// The longest that a machine may have to run or rest: a day.
const SECONDS_MAX: u32 = 86_400;
/// The most power that machines of one site may draw, in W: 1 GW.
const WATTS_MAX: u32 = 1_000_000_000;
/// The longest name of a machine, in bytes.
const NAME_MAX: usize = 80;

/// `[mining]` as it is written down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMining {
    /// What a terahash a second earns in a day.
    pub hashprice_msat_per_th_day: Option<Hashprice>,
    /// Who says so over HTTP.
    pub hashprice_feed: Option<HashpriceFeed>,
    /// What the pool keeps.
    pub pool_fee_ppm: Option<u32>,
    /// What running wears a machine by.
    pub wear_msat_per_kwh: Option<Price>,
    /// What a start costs.
    pub start_sat: Option<u32>,
    /// How long a machine runs at least.
    pub on_s_min: Option<u32>,
    /// How long it rests at least.
    pub off_s_min: Option<u32>,
    /// How often it is started in a day at most.
    pub starts_per_day_max: Option<u32>,
    /// Below which change its power is left as it is.
    pub dead_band_w: Option<u32>,
    /// What all machines may draw together.
    pub power_w_max: Option<u32>,
    /// How much more they may draw from one second to the next.
    pub step_w_max: Option<u32>,
    /// How many may be started at once.
    pub starts_at_once_max: Option<u32>,
    /// Whether those that follow at once help frequency and voltage.
    pub grid_support: Option<bool>,
    /// The frequency as it should be.
    pub nominal_mhz: Option<u32>,
    /// The voltage as it should be.
    pub nominal_mv: Option<u32>,
    /// A file with what the owner wants of machines, whatever the plan says.
    pub rules_file: Option<PathBuf>,
    /// What machines warm.
    pub place: Vec<PlaceConfig>,
    /// Where machines mine through this node.
    pub stratum: Option<StratumConfig>,
}

impl RawMining {
    /// What has a default.
    pub(super) fn defaults() -> Self {
        Self {
            hashprice_msat_per_th_day: None,
            hashprice_feed: None,
            pool_fee_ppm: Some(20_000),
            wear_msat_per_kwh: Some(Price::ZERO),
            start_sat: Some(0),
            on_s_min: Some(600),
            off_s_min: Some(300),
            starts_per_day_max: Some(12),
            dead_band_w: Some(100),
            power_w_max: Some(WATTS_MAX),
            step_w_max: Some(WATTS_MAX),
            starts_at_once_max: Some(4),
            grid_support: Some(false),
            nominal_mhz: Some(GridSupport::default().nominal_mhz),
            nominal_mv: Some(GridSupport::default().nominal_mv),
            rules_file: None,
            place: Vec::new(),
            stratum: None,
        }
    }

    pub(super) fn over(self, below: Self) -> Self {
        Self {
            hashprice_msat_per_th_day: self
                .hashprice_msat_per_th_day
                .or(below.hashprice_msat_per_th_day),
            hashprice_feed: self.hashprice_feed.or(below.hashprice_feed),
            pool_fee_ppm: self.pool_fee_ppm.or(below.pool_fee_ppm),
            wear_msat_per_kwh: self.wear_msat_per_kwh.or(below.wear_msat_per_kwh),
            start_sat: self.start_sat.or(below.start_sat),
            on_s_min: self.on_s_min.or(below.on_s_min),
            off_s_min: self.off_s_min.or(below.off_s_min),
            starts_per_day_max: self.starts_per_day_max.or(below.starts_per_day_max),
            dead_band_w: self.dead_band_w.or(below.dead_band_w),
            power_w_max: self.power_w_max.or(below.power_w_max),
            step_w_max: self.step_w_max.or(below.step_w_max),
            starts_at_once_max: self.starts_at_once_max.or(below.starts_at_once_max),
            grid_support: self.grid_support.or(below.grid_support),
            nominal_mhz: self.nominal_mhz.or(below.nominal_mhz),
            nominal_mv: self.nominal_mv.or(below.nominal_mv),
            rules_file: self.rules_file.or(below.rules_file),
            place: if self.place.is_empty() { below.place } else { self.place },
            stratum: self.stratum.or(below.stratum),
        }
    }

    /// The same with relative paths of files taken from `folder`.
    pub(super) fn relative_to(self, folder: &Path) -> Self {
        Self {
            rules_file: self.rules_file.map(|path| folder.join(path)),
            place: self.place.into_iter().map(|it| it.relative_to(folder)).collect(),
            ..self
        }
    }

    pub(super) fn check(
        self,
        machines: Vec<MinerConfig>,
        lightning: Option<&LightningConfig>,
    ) -> Result<MiningConfig, BadValue> {
        check_machines(&machines)?;
        check_places(&self.place, &machines)?;
        if let Some(problem) = self.hashprice_feed.as_ref().and_then(HashpriceFeed::problem) {
            return Err(BadValue { key: "mining.hashprice_feed", problem });
        }
        if let Some(problem) = self.stratum.as_ref().and_then(StratumConfig::problem) {
            return Err(BadValue { key: "mining.stratum", problem });
        }
        let pool_fee_ppm = at_most(self.pool_fee_ppm, 1_000_000, "mining.pool_fee_ppm")?;
        let wear = given(self.wear_msat_per_kwh, "mining.wear_msat_per_kwh")?;
        require(!wear.is_negative(), "mining.wear_msat_per_kwh", || {
            format!("must not be negative, is {}", wear.to_msat_per_kwh())
        })?;
        let ms = |seconds: u32| u64::from(seconds) * 1_000;
        let starts_most = u32::try_from(STARTS_MAX).unwrap_or(u32::MAX);
        let habits = Habits {
            on_ms_min: ms(at_most(self.on_s_min, SECONDS_MAX, "mining.on_s_min")?),
            off_ms_min: ms(at_most(self.off_s_min, SECONDS_MAX, "mining.off_s_min")?),
            starts_per_day_max: at_most(
                self.starts_per_day_max,
                starts_most,
                "mining.starts_per_day_max",
            )?,
            dead_band: watts(at_most(self.dead_band_w, WATTS_MAX, "mining.dead_band_w")?),
        };
        let starts_max =
            at_most(self.starts_at_once_max, starts_most, "mining.starts_at_once_max")?;
        let support = GridSupport {
            nominal_mhz: given(self.nominal_mhz, "mining.nominal_mhz")?,
            nominal_mv: given(self.nominal_mv, "mining.nominal_mv")?,
            ..GridSupport::default()
        };
        require(support.is_sound(), "mining.nominal_mhz", || {
            "and `mining.nominal_mv` must be above zero".to_owned()
        })?;
        let supports = given(self.grid_support, "mining.grid_support")?;
        let chain = lightning.map(|lightning| lightning.chain.clone());
        let by_hand = self.hashprice_msat_per_th_day.map(HashpriceSource::Fixed);
        let by_feed = self.hashprice_feed.map(HashpriceSource::Feed);
        let by_chain = chain.map(HashpriceSource::Chain);
        Ok(MiningConfig {
            machines,
            hashprice: by_hand.or(by_feed).or(by_chain).unwrap_or(HashpriceSource::Unknown),
            pool_fee_ppm,
            wear,
            start: sat(given(self.start_sat, "mining.start_sat")?),
            habits,
            machines_max: watts(at_most(self.power_w_max, WATTS_MAX, "mining.power_w_max")?),
            step_max: watts(at_most(self.step_w_max, WATTS_MAX, "mining.step_w_max")?),
            starts_max: usize::try_from(starts_max).unwrap_or(usize::MAX),
            support: supports.then_some(support),
            places: self.place,
            stratum: self.stratum,
            rules: self.rules_file.as_deref().map_or_else(|| Ok(Rules::default()), rules)?,
            place: None,
            gas: None,
            kept_file: None,
            account_file: None,
        })
    }
}

fn rules(path: &Path) -> Result<Rules, BadValue> {
    let refused = |problem: String| BadValue {
        key: "mining.rules_file",
        problem: format!("{}: {problem}", path.display()),
    };
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    let most = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    file.take(most).read_to_string(&mut text).map_err(|error| refused(error.to_string()))?;
    read_rules(&text).map_err(|rejected| refused(rejected.to_string()))
}

fn check_machines(machines: &[MinerConfig]) -> Result<(), BadValue> {
    require(machines.len() <= MACHINES_MAX, "miner", || {
        format!("names {} machines; a site has at most {MACHINES_MAX}", machines.len())
    })?;
    let mut names = BTreeSet::new();
    for machine in machines {
        let name = machine.owned.name.as_str();
        let is_name =
            !name.is_empty() && name.len() <= NAME_MAX && !name.contains(char::is_control);
        require(is_name, "miner", || {
            format!("has the name {name:?}; one has 1 to {NAME_MAX} bytes")
        })?;
        require(names.insert(name), "miner", || format!("names two machines {name:?}"))?;
    }
    Ok(())
}

/// A machine warms one place at most, and one that there is.
fn check_places(places: &[PlaceConfig], machines: &[MinerConfig]) -> Result<(), BadValue> {
    let (mut names, mut warming) = (BTreeSet::new(), BTreeSet::new());
    for place in places {
        let name = place.name.as_str();
        if let Some(problem) = place.problem() {
            return Err(BadValue { key: "mining.place", problem });
        }
        require(!name.is_empty() && names.insert(name), "mining.place", || {
            format!("needs names that differ, and has {name:?}")
        })?;
        for machine in &place.machines {
            let exists = machines.iter().any(|it| it.owned.name == *machine);
            require(exists && warming.insert(machine), "mining.place", || {
                format!(
                    "{name:?}: each machine is one of [[miner]] and warms one place, unlike {machine:?}"
                )
            })?;
        }
    }
    Ok(())
}

fn at_most(value: Option<u32>, most: u32, key: &'static str) -> Result<u32, BadValue> {
    let value = given(value, key)?;
    require(value <= most, key, || format!("must be at most {most}, is {value}"))?;
    Ok(value)
}

fn watts(watts: u32) -> Power {
    Power::from_milliwatts(i64::from(watts) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;

    fn checked(text: &str) -> Result<MiningConfig, String> {
        let raw = RawConfig::from_toml(text).map_err(|error| error.to_string())?;
        let config = crate::config::Config::checked(raw, Path::new("config.toml"));
        config.map(|config| config.mining).map_err(|error| error.to_string())
    }

    const MINER: &str = "[[miner]]\nname = \"a\"\ndriver = \"asic\"\naddress = \"127.0.0.1\"\n";

    #[test]
    fn a_machine_needs_a_name_and_where_it_is() {
        let config = checked(MINER).unwrap();
        assert_eq!(config.machines.len(), 1);
        assert_eq!(config.hashprice, HashpriceSource::Unknown);
        assert_eq!(config.habits.on_ms_min, 600_000);
    }

    #[test]
    fn a_hashprice_that_is_set_stands_above_the_chain() {
        let lightning = "[lightning]\nnetwork = \"regtest\"\nesplora_url = \"http://a\"\n";
        let chain = checked(lightning).unwrap().hashprice;
        assert!(matches!(chain, HashpriceSource::Chain(_)), "{chain:?}");
        let set = format!("{lightning}[mining]\nhashprice_msat_per_th_day = 52400\n");
        let fixed = HashpriceSource::Fixed(Hashprice::from_msat_per_th_day(52_400));
        assert_eq!(checked(&set).unwrap().hashprice, fixed);
    }

    #[test]
    fn rules_are_read_with_the_config_and_refused_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        let set = format!("[mining]\nrules_file = {path:?}\n");
        let missing = checked(&set).unwrap_err();
        assert!(missing.contains("mining.rules_file"), "{missing}");
        let rule = "[[rules]]\nname = \"a\"\naction = \"stop\"\nwhen = { pv_w = { below = 1 } }\n";
        std::fs::write(&path, rule).unwrap();
        assert_eq!(checked(&set).unwrap().rules.all().len(), 1);
        std::fs::write(&path, rule.replace("pv_w", "pv_kw")).unwrap();
        let refused = checked(&set).unwrap_err();
        assert!(refused.contains("line 4") && refused.contains("pv_kw"), "{refused}");
    }

    #[test]
    fn places_are_warmed_by_machines_that_there_are() {
        let place = "[[mining.place]]\nname = \"tank\"\nmachines = [\"a\"]\nwanted_celsius = 55\n\
                     hottest_celsius = 70\nwh_per_kelvin = 349\nfuel_msat_per_kwh = 90000\n\
                     heat_ppm = 900000\n";
        assert_eq!(checked(&format!("{MINER}{place}")).unwrap().places.len(), 1);
        for text in [place.to_owned(), format!("{MINER}{place}{place}")] {
            let refused = checked(&text).unwrap_err();
            assert!(refused.contains("mining.place"), "{refused}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |text: &str, why: &str| {
            let error = checked(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(&format!("{MINER}{MINER}"), "two machines \"a\"");
        refused("[mining]\npool_fee_ppm = 1000001", "mining.pool_fee_ppm");
        refused("[mining]\nwear_msat_per_kwh = -1", "mining.wear_msat_per_kwh");
        refused("[mining]\nnominal_mhz = 0", "mining.nominal_mhz");
        refused("[mining]\nminer = 1", "`miner`");
    }
}
