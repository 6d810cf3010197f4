//! What the air is spared when gas is burnt in a generator instead of a flare.
//!
//! Only methane that the flare would have let through unburnt, and the generator does not, is
//! counted; never the carbon dioxide of burning it, which is the same in both. The number moves
//! eightfold with what the flare is taken to burn, so it is a range, and every assumption with its
//! source stands beside it. Not for: selling it; whoever does needs the generator's slip measured (40
//! CFR 98 Table C-2, note 1, forbids the default for engines).

mod account;

use serde::{Deserialize, Serialize};

pub use account::{Account, Burning, DAYS_MAX, Day};

/// Parts of a million.
const MILLION: i128 = 1_000_000;
/// What a gram of methane becomes when it burns: 44/16 grams of carbon dioxide, in thousandths.
const BURNT_MILLI: i128 = 2_750;

/// A number and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sourced {
    /// The number, in the unit of the field that holds it.
    pub value: u64,
    /// Who says so.
    pub source: String,
}

impl Sourced {
    /// A number and who says so.
    #[must_use]
    pub fn new(value: u64, source: &str) -> Self {
        Self { value, source: source.to_owned() }
    }
}

/// What one end of the range assumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// The part of its methane that the flare would have burnt.
    pub flare_ppm: Sourced,
    /// What a gram of methane warms as much as, in thousandths of a gram of carbon dioxide.
    pub gwp_milli: Sourced,
}

/// What both ends assume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// The part of its methane that the generator burns.
    pub generator_ppm: Sourced,
    /// The part of the gas that is methane, by volume.
    pub methane_ppm: Sourced,
    /// What a litre of methane weighs, in micrograms.
    pub methane_ug_per_l: Sourced,
    /// The lower end.
    pub low: Assumed,
    /// The higher end.
    pub high: Assumed,
}

/// What was spared, with all that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Avoided {
    /// The gas that the generator burnt.
    pub gas_l: u64,
    /// Carbon dioxide that would warm as much, at the lower end; negative where the generator lets
    /// more through than the flare. Rounded down.
    pub low_co2e_g: i64,
    /// The same at the higher end.
    pub high_co2e_g: i64,
    /// What both rest on.
    pub assumptions: Assumptions,
}

impl Assumptions {
    /// What is published, for a generator and a gas whose numbers the owner gives.
    #[must_use]
    pub fn published(generator_ppm: Sourced, methane_ppm: Sourced) -> Self {
        Self {
            generator_ppm,
            methane_ppm,
            methane_ug_per_l: Sourced::new(
                677_590,
                "40 CFR 98.323: 0.0423 lb a standard cubic foot",
            ),
            low: Assumed {
                flare_ppm: Sourced::new(980_000, "40 CFR 98: the usual assumption for flares"),
                gwp_milli: Sourced::new(28_000, "40 CFR 98 Table A-1, over 100 years"),
            },
            high: Assumed {
                flare_ppm: Sourced::new(
                    911_000,
                    "Plant et al., Science 377 (2022): measured over three US basins",
                ),
                gwp_milli: Sourced::new(29_800, "IPCC AR6 WG1 Table 7.15, fossil, over 100 years"),
            },
        }
    }

    /// What was spared by burning `gas_l` in the generator.
    #[must_use]
    pub fn avoided(&self, gas_l: u64) -> Avoided {
        let (one, other) =
            (self.co2e_g_floor(gas_l, &self.low), self.co2e_g_floor(gas_l, &self.high));
        Avoided {
            gas_l,
            low_co2e_g: one.min(other),
            high_co2e_g: one.max(other),
            assumptions: self.clone(),
        }
    }

    /// `V · x · ρ · (η_generator − η_flare) · (GWP − 2.75)`, in grams, rounded down: what the flare would
    /// have let through and the generator burns no longer warms as methane, but as what it burns to.
    fn co2e_g_floor(&self, gas_l: u64, assumed: &Assumed) -> i64 {
        let share = |sourced: &Sourced| i128::from(sourced.value.min(1_000_000));
        let methane_ug = i128::from(gas_l)
            .saturating_mul(share(&self.methane_ppm))
            .saturating_mul(i128::from(self.methane_ug_per_l.value))
            .div_euclid(MILLION);
        let burnt_more = share(&self.generator_ppm).saturating_sub(share(&assumed.flare_ppm));
        let warms = i128::from(assumed.gwp_milli.value).saturating_sub(BURNT_MILLI);
        // µg · ppm · thousandths.
        let scale = MILLION.saturating_mul(MILLION).saturating_mul(1_000);
        let grams = methane_ug.saturating_mul(burnt_more).saturating_mul(warms).div_euclid(scale);
        i64::try_from(grams).unwrap_or(if grams < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assumptions() -> Assumptions {
        let generator = Sourced::new(990_000, "this engine, stack test");
        Assumptions::published(generator, Sourced::new(1_000_000, "pure methane"))
    }

    /// In grams, for the gas of 1 000 kWh at 0.0102 mmBtu/kWh: 281 513 litres.
    fn of_a_megawatt_hour(assumptions: &Assumptions) -> (i64, i64) {
        let avoided = assumptions.avoided(281_513);
        (avoided.low_co2e_g, avoided.high_co2e_g)
    }

    #[test]
    fn it_is_what_the_published_numbers_come_to() {
        let mut assumptions = assumptions();
        assumptions.low.gwp_milli.value = 29_800;
        let (low, high) = of_a_megawatt_hour(&assumptions);
        // 0.052 and 0.408 kg a kilowatt-hour.
        assert!((51_500..52_000).contains(&low), "{low}");
        assert!((407_000..409_000).contains(&high), "{high}");
    }

    #[test]
    fn the_range_goes_from_the_assumed_flare_to_the_measured_one() {
        let (low, high) = of_a_megawatt_hour(&assumptions());
        assert!(low * 8 < high, "{low} to {high}");
    }

    #[test]
    fn a_generator_that_lets_more_through_than_the_flare_spares_nothing() {
        let mut assumptions = assumptions();
        assumptions.generator_ppm = Sourced::new(970_000, "a worn engine");
        let (low, high) = of_a_megawatt_hour(&assumptions);
        assert!(low < 0 && high > 0, "{low} to {high}");
        assumptions.generator_ppm.value = 900_000;
        let (low, high) = of_a_megawatt_hour(&assumptions);
        assert!(low < high && high < 0, "the lower number is the lower one: {low} to {high}");
    }

    #[test]
    fn every_number_has_its_source_beside_it_and_no_number_overflows() {
        let avoided = assumptions().avoided(u64::MAX);
        assert_eq!(avoided.high_co2e_g, i64::MAX);
        let json = serde_json::to_value(&avoided).unwrap();
        assert_eq!(json["assumptions"]["generator_ppm"]["source"], "this engine, stack test");
        let flare = &json["assumptions"]["high"]["flare_ppm"];
        assert!(flare["source"].as_str().unwrap().contains("Plant"), "{flare}");
        assert_eq!(assumptions().avoided(0).high_co2e_g, 0);
    }
}
