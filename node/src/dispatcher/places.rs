//! Rooms and tanks that machines warm: how warm they are, as far as somebody says so, and what they ask
//! of the machines.
//!
//! A temperature is told by a thermometer or by JSON-RPC and believed for a while. What nobody says is not known: then no
//! heat is due there, and machines do not add to it either, since nobody knows whether it is too hot.
//! Not for: what heat is worth (`boltgrid_miners::heat`).

use std::path::Path;

use boltgrid_miners::heat::{Heating, Place, Replaced, Temperatures};
use boltgrid_protocol::units::{Price, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::thermometer::{Probe, ThermometerConfig};
use crate::status::{Quoted, QuotedOption};

/// What was said of a place is believed for so long.
const BELIEVED_MS: u64 = 900_000;
/// What is between the temperatures of a place and what is due there, where nothing is said.
const BAND_MK: u32 = 500;
/// All of a machine's power becomes heat.
const ARRIVES_PPM: u32 = 1_000_000;
/// Thousandths of a degree.
const M_CELSIUS: i32 = 1_000;
/// The coldest and the warmest that a place may be said to be, in thousandths of a degree Celsius.
const POSSIBLE_M_CELSIUS: std::ops::RangeInclusive<i32> = -60_000..=150_000;

/// A room or a tank, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceConfig {
    /// What it is called.
    pub name: String,
    /// The machines that warm it.
    pub machines: Vec<String>,
    /// How warm it is to be.
    pub wanted_celsius: i16,
    /// Warmer than this machines must not make it.
    pub hottest_celsius: i16,
    /// What it takes to warm it by a kelvin; a litre of water takes 1.163 Wh.
    pub wh_per_kelvin: u32,
    /// What it loses for each kelvin that it is warmer than outside.
    #[serde(default)]
    pub loss_w_per_kelvin: u32,
    /// Heat is due once it is colder by this, and until it is warmer by this.
    #[serde(default = "band_mk")]
    pub band_mk: u32,
    /// What a kilowatt-hour of what warms it otherwise costs.
    pub fuel_msat_per_kwh: Price,
    /// How much heat that gives: 900 000 for a boiler, 3 500 000 for a heat pump.
    pub heat_ppm: u32,
    /// How much of the machines' power arrives there as heat.
    #[serde(default = "arrives_ppm")]
    pub arrives_ppm: u32,
    /// The thermometer there; without, somebody has to say how warm it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thermometer: Option<ThermometerConfig>,
    /// The one outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside_thermometer: Option<ThermometerConfig>,
}

const fn band_mk() -> u32 {
    BAND_MK
}

const fn arrives_ppm() -> u32 {
    ARRIVES_PPM
}

impl PlaceConfig {
    /// What is wrong with it, in words; none where nothing is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let name = &self.name;
        if self.hottest_celsius <= self.wanted_celsius {
            return Some(format!("{name:?}: `hottest_celsius` must be above `wanted_celsius`"));
        }
        if self.heat_ppm == 0 || self.wh_per_kelvin == 0 {
            return Some(format!("{name:?}: `heat_ppm` and `wh_per_kelvin` must be above zero"));
        }
        let mut thermometers = [&self.thermometer, &self.outside_thermometer].into_iter().flatten();
        thermometers.find_map(|it| Some(format!("{name:?}: {}", it.problem()?)))
    }

    /// The same with relative paths of files taken from `folder`.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        Self {
            thermometer: self.thermometer.map(|it| it.relative_to(folder)),
            outside_thermometer: self.outside_thermometer.map(|it| it.relative_to(folder)),
            ..self
        }
    }

    /// Its thermometers.
    pub(super) fn probes(&self) -> impl Iterator<Item = (Probe, ThermometerConfig)> {
        let inside = self.thermometer.clone().map(|it| (Probe::Inside, it));
        let outside = self.outside_thermometer.clone().map(|it| (Probe::Outside, it));
        inside.into_iter().chain(outside)
    }

    const fn place(&self) -> Place {
        Place {
            mwh_per_kelvin: (self.wh_per_kelvin as u64).saturating_mul(1_000),
            loss_mw_per_kelvin: (self.loss_w_per_kelvin as u64).saturating_mul(1_000),
            wanted_m_celsius: (self.wanted_celsius as i32).saturating_mul(M_CELSIUS),
            band_mk: self.band_mk,
            hottest_m_celsius: (self.hottest_celsius as i32).saturating_mul(M_CELSIUS),
        }
    }

    const fn replaced(&self) -> Replaced {
        Replaced {
            fuel: self.fuel_msat_per_kwh,
            heat_ppm: self.heat_ppm,
            arrives_ppm: self.arrives_ppm,
        }
    }
}

/// A place, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Warmed {
    is: PlaceConfig,
    inside: Option<(Timestamp, i32)>,
    outside: Option<(Timestamp, i32)>,
    pub(super) heating: Heating,
}

/// What a place asks for, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceStatus {
    /// What it is called.
    pub name: String,
    /// How warm it is, in thousandths of a degree; none where nobody said so lately.
    pub inside_m_celsius: Option<i32>,
    /// Whether heat is due.
    pub is_due: bool,
    /// Whether it is so hot that machines must not add to it, or nobody knows whether.
    pub is_too_hot: bool,
    /// The power of machines that would make it as warm as wanted.
    #[serde(with = "Quoted")]
    pub demand_mw: i64,
    /// What that heat is worth a kilowatt-hour of power; none unless due.
    #[serde(with = "QuotedOption")]
    pub value_msat_per_kwh: Option<i64>,
}

impl Warmed {
    /// A place of which nothing is known.
    pub(super) fn new(is: PlaceConfig) -> Self {
        let heating = is.place().heating(Temperatures::default(), &is.replaced(), false, 1);
        Self { is, inside: None, outside: None, heating }
    }

    pub(super) fn name(&self) -> &str {
        &self.is.name
    }

    /// Whether a machine warms it.
    pub(super) fn is_warmed_by(&self, machine: &str) -> bool {
        self.is.machines.iter().any(|it| it == machine)
    }

    /// Somebody says how warm it is; what cannot be is not taken, and said to be so.
    pub(super) fn hear(&mut self, now: Timestamp, said: Temperatures) -> bool {
        let told = [said.inside_m_celsius, said.outside_m_celsius];
        let can_be = told.iter().flatten().all(|it| POSSIBLE_M_CELSIUS.contains(it));
        if can_be {
            self.inside = said.inside_m_celsius.map(|it| (now, it));
            self.outside = said.outside_m_celsius.map(|it| (now, it));
        }
        can_be
    }

    /// A thermometer shows this; what cannot be is not taken, and said to be so.
    pub(super) fn shown(&mut self, now: Timestamp, probe: Probe, m_celsius: i32) -> bool {
        let can_be = POSSIBLE_M_CELSIUS.contains(&m_celsius);
        if can_be {
            match probe {
                Probe::Inside => self.inside = Some((now, m_celsius)),
                Probe::Outside => self.outside = Some((now, m_celsius)),
            }
        }
        can_be
    }

    pub(super) fn probes(&self) -> impl Iterator<Item = (Probe, ThermometerConfig)> {
        self.is.probes()
    }

    /// What is known of how warm it is.
    pub(super) fn seen(&self, now: Timestamp) -> Temperatures {
        let recent = |said: Option<(Timestamp, i32)>| {
            said.filter(|(at, _)| now.ms_since(*at) <= BELIEVED_MS).map(|(_, said)| said)
        };
        Temperatures {
            inside_m_celsius: recent(self.inside),
            outside_m_celsius: recent(self.outside),
        }
    }

    /// Works out what it asks for over the next `interval_ms`.
    pub(super) fn reckon(&mut self, now: Timestamp, interval_ms: u64) {
        let was_due = self.heating.is_due;
        self.heating =
            self.is.place().heating(self.seen(now), &self.is.replaced(), was_due, interval_ms);
    }

    pub(super) fn status(&self, now: Timestamp) -> PlaceStatus {
        let Heating { is_due, is_too_hot, demand, value } = self.heating;
        PlaceStatus {
            name: self.is.name.clone(),
            inside_m_celsius: self.seen(now).inside_m_celsius,
            is_due,
            is_too_hot,
            demand_mw: demand.to_milliwatts(),
            value_msat_per_kwh: value.map(Price::to_msat_per_kwh),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TANK: &str = "name = \"tank\"\nmachines = [\"m0\"]\nwanted_celsius = 55\n\
                        hottest_celsius = 70\nwh_per_kelvin = 349\nfuel_msat_per_kwh = 90000\n\
                        heat_ppm = 900000\n";

    fn said(inside_m_celsius: i32) -> Temperatures {
        Temperatures { inside_m_celsius: Some(inside_m_celsius), outside_m_celsius: None }
    }

    #[test]
    fn what_nobody_says_asks_for_no_heat_and_lets_none_in() {
        let at = Timestamp::from_unix_ms;
        let mut tank = Warmed::new(toml::from_str(TANK).unwrap());
        assert!(tank.heating.is_too_hot && !tank.heating.is_due);
        assert!(tank.hear(at(0), said(40_000)));
        tank.reckon(at(1), 300_000);
        assert!(tank.heating.is_due && !tank.heating.is_too_hot);
        assert_eq!(tank.heating.value, Some(Price::from_msat_per_kwh(100_000)));
        tank.reckon(at(BELIEVED_MS + 1), 300_000);
        assert!(tank.heating.is_too_hot && !tank.heating.is_due, "nobody said so lately");
        assert!(!tank.hear(at(2), said(400_000)), "no tank is so hot");
    }

    #[test]
    fn a_thermometer_outside_says_nothing_of_what_is_inside() {
        let at = Timestamp::from_unix_ms;
        let mut tank = Warmed::new(toml::from_str(TANK).unwrap());
        assert!(tank.shown(at(0), Probe::Outside, 8_000));
        tank.reckon(at(1), 300_000);
        assert!(tank.heating.is_too_hot, "nobody says how hot it is");
        assert!(tank.shown(at(1), Probe::Inside, 40_000));
        tank.reckon(at(2), 300_000);
        assert!(tank.heating.is_due && !tank.heating.is_too_hot);
        assert!(!tank.shown(at(3), Probe::Inside, 999_000));
        assert_eq!(tank.seen(at(3)).inside_m_celsius, Some(40_000));
    }

    #[test]
    fn heat_is_due_from_a_band_below_what_is_wanted_until_a_band_above_it() {
        let at = Timestamp::from_unix_ms;
        let mut tank = Warmed::new(toml::from_str(TANK).unwrap());
        let mut is_due = |m_celsius| {
            assert!(tank.hear(at(0), said(m_celsius)));
            tank.reckon(at(0), 300_000);
            tank.heating.is_due
        };
        assert!(!is_due(54_600) && is_due(54_400) && is_due(55_400));
        assert!(!is_due(55_600) && !is_due(54_600));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let tank = |text: &str| toml::from_str::<PlaceConfig>(text).unwrap();
        assert_eq!(tank(TANK).problem(), None);
        let refused = tank(&TANK.replace("= 70", "= 55")).problem().unwrap();
        assert!(refused.contains("hottest_celsius"), "{refused}");
        assert!(tank(&TANK.replace("= 349", "= 0")).problem().is_some());
    }
}
