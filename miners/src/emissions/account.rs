//! What became of a well's gas, day by day, and what that spared the air.
//!
//! Beside each day stands what was assumed then: if an owner has the engine's slip measured, days before
//! keep what was known of it. Not for: the formula ([`super`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Assumptions, Avoided};

/// Days that are kept: ten years.
pub const DAYS_MAX: usize = 3_660;
/// Different assumptions that are kept; the oldest give way, with their days.
const ASSUMPTIONS_MAX: usize = 64;
/// Millilitres in a litre.
const ML_PER_L: u64 = 1_000;

/// What became of gas, and what it made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burning {
    /// What the well gave, in ml.
    pub gas_ml: u64,
    /// What of it the generator burnt.
    pub generator_ml: u64,
    /// What flowed to the flare while its flame was out.
    pub vented_ml: u64,
    /// What the generator gave.
    pub generated_mwh: u64,
    /// For how long it ran.
    pub ran_ms: u64,
}

impl Burning {
    /// What the flare burnt, in ml.
    #[must_use]
    pub const fn flared_ml(&self) -> u64 {
        self.gas_ml.saturating_sub(self.generator_ml).saturating_sub(self.vented_ml)
    }

    /// This and what became of other gas.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            gas_ml: self.gas_ml.saturating_add(other.gas_ml),
            generator_ml: self.generator_ml.saturating_add(other.generator_ml),
            vented_ml: self.vented_ml.saturating_add(other.vented_ml),
            generated_mwh: self.generated_mwh.saturating_add(other.generated_mwh),
            ran_ms: self.ran_ms.saturating_add(other.ran_ms),
        }
    }
}

/// One day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day, counted from the first of January 1970 by the grid's clock.
    pub day: u64,
    /// What became of the gas.
    pub burning: Burning,
    /// What that spared the air, with all that it rests on.
    pub avoided: Avoided,
}

/// All days.
///
/// Invariants: at most [`DAYS_MAX`] of them, and each names assumptions that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What was assumed, once each, by number.
    assumed: BTreeMap<u64, Assumptions>,
    /// What became of gas, by day and by what was assumed then.
    days: BTreeMap<u64, BTreeMap<u64, Burning>>,
}

impl Account {
    /// Adds what became of gas on a day, with what is assumed now.
    pub fn add(&mut self, day: u64, assumptions: &Assumptions, burning: Burning) {
        let known =
            self.assumed.iter().find(|(_, it)| *it == assumptions).map(|(number, _)| *number);
        let number = known.unwrap_or_else(|| {
            let number = self.assumed.keys().next_back().map_or(0, |last| last.saturating_add(1));
            self.assumed.insert(number, assumptions.clone());
            number
        });
        let entry = self.days.entry(day).or_default().entry(number).or_default();
        *entry = entry.plus(burning);
        while self.days.len() > DAYS_MAX {
            self.days.pop_first();
        }
        while self.assumed.len() > ASSUMPTIONS_MAX
            && let Some((oldest, _)) = self.assumed.pop_first()
        {
            for of_day in self.days.values_mut() {
                of_day.remove(&oldest);
            }
        }
    }

    /// The days from one to another, both included, oldest first; a day on which other things were
    /// assumed from some time on is there once for each.
    pub fn days(&self, from: u64, until: u64) -> impl Iterator<Item = Day> {
        let days = if from <= until { Some(self.days.range(from..=until)) } else { None };
        days.into_iter().flatten().flat_map(|(day, of_day)| {
            of_day.iter().filter_map(|(number, burning)| {
                let assumptions = self.assumed.get(number)?;
                let avoided = assumptions.avoided(burning.generator_ml / ML_PER_L);
                Some(Day { day: *day, burning: *burning, avoided })
            })
        })
    }

    /// What became of gas on all days together.
    #[must_use]
    pub fn sum(&self) -> Burning {
        self.days
            .values()
            .flat_map(BTreeMap::values)
            .fold(Burning::default(), |sum, it| sum.plus(*it))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sourced;
    use super::*;

    fn assumptions(generator_ppm: u64) -> Assumptions {
        let generator = Sourced::new(generator_ppm, "stack test");
        Assumptions::published(generator, Sourced::new(900_000, "chromatograph"))
    }

    const HOUR: Burning = Burning {
        gas_ml: 60_000_000,
        generator_ml: 45_000_000,
        vented_ml: 5_000_000,
        generated_mwh: 120_000_000,
        ran_ms: 3_600_000,
    };

    #[test]
    fn days_add_up_and_no_gas_is_lost() {
        let mut account = Account::default();
        account.add(7, &assumptions(990_000), HOUR);
        account.add(7, &assumptions(990_000), HOUR);
        account.add(8, &assumptions(990_000), HOUR);
        let days: Vec<Day> = account.days(0, 7).collect();
        assert_eq!(days.len(), 1);
        assert_eq!(days[0].burning.flared_ml(), 20_000_000);
        assert_eq!(days[0].avoided.gas_l, 90_000);
        assert_eq!(account.sum().gas_ml, 180_000_000);
        assert_eq!(account.days(9, 8).count(), 0);
    }

    #[test]
    fn what_is_known_later_changes_no_number_of_before() {
        let mut account = Account::default();
        account.add(7, &assumptions(990_000), HOUR);
        account.add(7, &assumptions(970_000), HOUR);
        let slips: Vec<u64> =
            account.days(7, 7).map(|day| day.avoided.assumptions.generator_ppm.value).collect();
        assert_eq!(slips, [990_000, 970_000]);
        let days: Vec<Day> = account.days(7, 7).collect();
        assert!(days[0].avoided.low_co2e_g > 0 && days[1].avoided.low_co2e_g < 0);
    }

    #[test]
    fn it_keeps_ten_years_and_survives_its_written_form() {
        let mut account = Account::default();
        for day in 0..5_000 {
            account.add(day, &assumptions(900_000 + day / 1_000), HOUR);
        }
        let kept: Vec<Day> = account.days(0, u64::MAX).collect();
        assert_eq!(kept.len(), DAYS_MAX);
        assert_eq!(kept.last().map(|day| day.day), Some(4_999));
        for day in 5_000..6_000 {
            account.add(day, &assumptions(800_000 + day), HOUR);
        }
        let kept = account.days(0, u64::MAX).count();
        assert_eq!(kept, ASSUMPTIONS_MAX, "who changes its mind each day keeps the last of them");
        let written = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&written).unwrap(), account);
    }
}
