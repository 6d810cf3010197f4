//! `[gas]`: a well with its gas meter, generator and flare. Without a meter there is none.

use serde::{Deserialize, Serialize};

use super::{BadValue, given};
use crate::dispatcher::{EmissionsConfig, GasConfig, GeneratorConfig};
use boltgrid_miners::drivers::FlameConfig;

/// `[gas]` as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawGas {
    /// The site's meter of all that the well gives.
    pub meter: Option<String>,
    /// The site's meter of what flows to the flare.
    pub flare_meter: Option<String>,
    /// What a cubic metre gives when it burns.
    pub heat_wh_per_m3: Option<u32>,
    /// Over how long the flow is taken.
    pub flow_window_s: Option<u32>,
    /// More gas than this does not flow.
    pub flow_m3_per_h_max: Option<u32>,
    /// The generator.
    pub generator: Option<GeneratorConfig>,
    /// Where the flare says whether its flame burns.
    pub flare: Option<FlameConfig>,
    /// What the account of avoided emissions rests on.
    pub emissions: Option<EmissionsConfig>,
}

impl RawGas {
    /// What has a default.
    pub(super) fn defaults() -> Self {
        Self {
            heat_wh_per_m3: Some(10_000),
            flow_window_s: Some(30),
            flow_m3_per_h_max: Some(10_000),
            ..Self::default()
        }
    }

    pub(super) fn over(self, below: Self) -> Self {
        Self {
            meter: self.meter.or(below.meter),
            flare_meter: self.flare_meter.or(below.flare_meter),
            heat_wh_per_m3: self.heat_wh_per_m3.or(below.heat_wh_per_m3),
            flow_window_s: self.flow_window_s.or(below.flow_window_s),
            flow_m3_per_h_max: self.flow_m3_per_h_max.or(below.flow_m3_per_h_max),
            generator: self.generator.or(below.generator),
            flare: self.flare.or(below.flare),
            emissions: self.emissions.or(below.emissions),
        }
    }

    pub(super) fn check(self) -> Result<Option<GasConfig>, BadValue> {
        let Some(meter) = self.meter else {
            let says_more = self.generator.is_some() || self.flare.is_some();
            return match says_more || self.flare_meter.is_some() || self.emissions.is_some() {
                true => Err(missing("gas.meter")),
                false => Ok(None),
            };
        };
        let config = GasConfig {
            meter,
            flare_meter: self.flare_meter,
            heat_wh_per_m3: given(self.heat_wh_per_m3, "gas.heat_wh_per_m3")?,
            flow_window_s: given(self.flow_window_s, "gas.flow_window_s")?,
            flow_m3_per_h_max: given(self.flow_m3_per_h_max, "gas.flow_m3_per_h_max")?,
            generator: self.generator.ok_or_else(|| missing("gas.generator"))?,
            flare: self.flare,
            emissions: self.emissions.ok_or_else(|| missing("gas.emissions"))?,
        };
        match config.problem() {
            Some(problem) => Err(BadValue { key: "gas", problem }),
            None => Ok(Some(config)),
        }
    }
}

fn missing(key: &'static str) -> BadValue {
    let problem = "is missing, and a well needs it; see docs/flare.md".to_owned();
    BadValue { key, problem }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, RawConfig};

    const GAS: &str = r#"
        [gas]
        meter = "well"
        emissions.generator_ppm = { value = 990000, source = "stack test" }
        emissions.methane_ppm = { value = 900000, source = "chromatograph" }
        [gas.generator]
        meter = "generator"
        curve = [
          { output_w = 30000, efficiency_ppm = 240000 },
          { output_w = 60000, efficiency_ppm = 300000 },
        ]
        wear_msat_per_kwh = 15000
        control = { address = "10.0.0.7", run_coil = 0, set_point_register = 0, runs_input = 0 }
    "#;

    fn checked(text: &str) -> Result<bool, String> {
        let raw = RawConfig::from_toml(text).map_err(|error| error.to_string())?;
        let config = Config::checked(raw, Path::new("config.toml"));
        config.map(|config| config.mining.gas.is_some()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_well_is_there_where_it_is_written_down_and_nowhere_else() {
        assert_eq!(checked(GAS), Ok(true));
        assert_eq!(checked(""), Ok(false));
        assert_eq!(checked("[gas]\nflow_window_s = 5"), Ok(false));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let refused = |text: &str, why: &str| {
            let error = checked(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(&GAS.replace("meter = \"well\"", ""), "gas.meter");
        refused("[gas]\nmeter = \"well\"", "gas.generator");
        refused(&GAS.replace("run_coil", "start_coil"), "start_coil");
        refused(&GAS.replace("60000", "20000"), "generator.curve");
        refused("[gas]\nmetre = 1", "metre");
    }
}
