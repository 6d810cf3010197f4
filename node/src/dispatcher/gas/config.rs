//! `[gas]`: a well's gas meter, its generator and its flare, as the owner writes them down.

use boltgrid_miners::drivers::{FlameConfig, GensetConfig};
use boltgrid_miners::emissions::{Assumptions, Sourced};
use boltgrid_miners::flare::Steer;
use boltgrid_miners::generator::{Generator, Point};
use boltgrid_protocol::units::{Power, Price};
use serde::{Deserialize, Serialize};

/// What a cubic metre of gas may give, in Wh: landfill gas to pure propane.
const HEAT_WH_PER_M3: std::ops::RangeInclusive<u32> = 1_000..=30_000;
/// Over how long a flow may be taken, in s.
const WINDOW_S: std::ops::RangeInclusive<u32> = 1..=600;
/// The longest warm-up, rest or run, in s: a day.
const SECONDS_MAX: u32 = 86_400;
/// The longest that a generator may take to follow, in s.
const SETTLE_S: std::ops::RangeInclusive<u32> = 1..=600;
/// Parts of a million.
const MILLION: u64 = 1_000_000;

/// A well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GasConfig {
    /// The site's meter (role `gas`) of all that the well gives.
    pub meter: String,
    /// The site's meter (role `gas`) of what flows to the flare; without, what the generator burns
    /// follows from its curve.
    pub flare_meter: Option<String>,
    /// What a cubic metre gives when it burns, its lower heating value.
    pub heat_wh_per_m3: u32,
    /// Over how long the flow is taken: a few pulses of the meter.
    pub flow_window_s: u32,
    /// More gas than this does not flow.
    pub flow_m3_per_h_max: u32,
    /// The generator.
    pub generator: GeneratorConfig,
    /// Where the flare says whether its flame burns; without, nobody knows whether gas is vented.
    pub flare: Option<FlameConfig>,
    /// What the account of avoided emissions rests on.
    pub emissions: EmissionsConfig,
}

/// A generator, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// The site's meter (role `generator`) that shows what it gives.
    pub meter: String,
    /// What it gives and how well, from its least load to its rated one.
    pub curve: Vec<CurvePoint>,
    /// How long it warms up before it is loaded.
    #[serde(default = "warm_up_s")]
    pub warm_up_s: u32,
    /// How long it rests at least between a stop and a start.
    #[serde(default = "rest_s")]
    pub rest_s: u32,
    /// How long it runs at least.
    #[serde(default = "on_s_min")]
    pub on_s_min: u32,
    /// How long it may take to give what it is told.
    #[serde(default = "settle_s")]
    pub settle_s: u32,
    /// What a kilowatt-hour wears it by: oil, plugs, overhauls. Below this it gives nothing.
    pub wear_msat_per_kwh: Price,
    /// Where its controller has what.
    pub control: GensetConfig,
}

/// One point of a generator's curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// What it gives.
    pub output_w: u32,
    /// The part of the gas's heat that becomes power then.
    pub efficiency_ppm: u32,
}

/// What only the owner knows of gas and generator; the rest is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmissionsConfig {
    /// The part of its methane that the generator burns, and who says so.
    pub generator_ppm: Sourced,
    /// The part of the gas that is methane, by volume, and who says so.
    pub methane_ppm: Sourced,
}

const fn warm_up_s() -> u32 {
    180
}

const fn rest_s() -> u32 {
    600
}

const fn on_s_min() -> u32 {
    1_800
}

const fn settle_s() -> u32 {
    20
}

impl EmissionsConfig {
    /// All that the account rests on.
    pub(super) fn assumptions(&self) -> Assumptions {
        Assumptions::published(self.generator_ppm.clone(), self.methane_ppm.clone())
    }
}

impl GasConfig {
    /// What is wrong with it, in words; none where nothing is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let GeneratorConfig { warm_up_s, rest_s, on_s_min, settle_s, .. } = self.generator;
        if !HEAT_WH_PER_M3.contains(&self.heat_wh_per_m3) {
            return Some(format!(
                "`heat_wh_per_m3` must be {} to {}: pure methane gives 9 970",
                HEAT_WH_PER_M3.start(),
                HEAT_WH_PER_M3.end()
            ));
        }
        if !WINDOW_S.contains(&self.flow_window_s) {
            return Some("`flow_window_s` must be 1 to 600".to_owned());
        }
        if [warm_up_s, rest_s, on_s_min].iter().any(|it| *it > SECONDS_MAX) {
            return Some(format!("a generator's times must be at most {SECONDS_MAX} s"));
        }
        if !SETTLE_S.contains(&settle_s) {
            return Some("`generator.settle_s` must be 1 to 600".to_owned());
        }
        if self.generator.wear_msat_per_kwh.is_negative() {
            return Some("`generator.wear_msat_per_kwh` must not be negative".to_owned());
        }
        let EmissionsConfig { generator_ppm, methane_ppm } = &self.emissions;
        for (name, it) in [("generator_ppm", generator_ppm), ("methane_ppm", methane_ppm)] {
            if it.value > MILLION || it.source.trim().is_empty() {
                return Some(format!(
                    "`emissions.{name}` must be at most {MILLION} and say where it is from"
                ));
            }
        }
        let curve = Generator::new(self.curve()).err();
        curve.map(|why| format!("`generator.curve`: {why}"))
    }

    fn curve(&self) -> Vec<Point> {
        let point = |it: &CurvePoint| Point {
            output: Power::from_milliwatts(i64::from(it.output_w).saturating_mul(1_000)),
            efficiency_ppm: it.efficiency_ppm,
        };
        self.generator.curve.iter().map(point).collect()
    }

    pub(super) fn window_ms(&self) -> u64 {
        u64::from(self.flow_window_s).saturating_mul(1_000)
    }

    /// What steers its generator.
    ///
    /// # Panics
    ///
    /// Where [`GasConfig::problem`] has not been looked at.
    pub(super) fn steer(&self) -> Steer {
        let ms = |seconds: u32| u64::from(seconds).saturating_mul(1_000);
        let GeneratorConfig { warm_up_s, rest_s, on_s_min, settle_s, wear_msat_per_kwh, .. } =
            self.generator;
        let mut generator =
            Generator::new(self.curve()).expect("a configuration is checked before it is used");
        generator.warm_up_ms = ms(warm_up_s);
        generator.rest_ms = ms(rest_s);
        generator.wear = wear_msat_per_kwh;
        Steer::new(generator, ms(on_s_min), ms(settle_s))
    }
}

#[cfg(test)]
pub(in crate::dispatcher) mod tests {
    use super::*;

    const GENERATOR: &str = r#"
        meter = "generator"
        curve = [
          { output_w = 30000, efficiency_ppm = 240000 },
          { output_w = 60000, efficiency_ppm = 300000 },
        ]
        warm_up_s = 0
        wear_msat_per_kwh = 15000
        control = { address = "127.0.0.1:1", run_coil = 0, set_point_register = 0, runs_input = 0 }
    "#;

    /// A well beside a generator of 30 to 60 kW that is warm at once.
    pub(in crate::dispatcher) fn gas() -> GasConfig {
        GasConfig {
            meter: "well".to_owned(),
            flare_meter: None,
            heat_wh_per_m3: 10_000,
            flow_window_s: 2,
            flow_m3_per_h_max: 1_000,
            generator: toml::from_str(GENERATOR).unwrap(),
            flare: None,
            emissions: EmissionsConfig {
                generator_ppm: Sourced::new(990_000, "stack test"),
                methane_ppm: Sourced::new(900_000, "chromatograph"),
            },
        }
    }

    #[test]
    fn a_generator_survives_its_written_form() {
        let generator = gas().generator;
        let written = toml::to_string(&generator).unwrap();
        assert_eq!(toml::from_str::<GeneratorConfig>(&written).unwrap(), generator);
        assert_eq!((generator.rest_s, generator.on_s_min, generator.settle_s), (600, 1_800, 20));
    }

    #[test]
    fn what_no_well_or_generator_is_like_is_named() {
        let refused = |change: fn(&mut GasConfig), why: &str| {
            let mut config = gas();
            assert_eq!(config.problem(), None);
            change(&mut config);
            let problem = config.problem().unwrap_or_default();
            assert!(problem.contains(why), "{problem}");
        };
        refused(|it| it.heat_wh_per_m3 = 100, "heat_wh_per_m3");
        refused(|it| it.flow_window_s = 0, "flow_window_s");
        refused(|it| it.generator.rest_s = 86_401, "times");
        refused(|it| it.generator.settle_s = 0, "settle_s");
        refused(|it| it.generator.wear_msat_per_kwh = Price::from_msat_per_kwh(-1), "wear");
        refused(|it| it.generator.curve.truncate(1), "generator.curve");
        refused(|it| it.emissions.generator_ppm.value = 1_000_001, "emissions.generator_ppm");
        refused(|it| it.emissions.methane_ppm.source = " ".to_owned(), "emissions.methane_ppm");
    }
}
