//! The well on the page Miners: what its gas gives, what the generator does with it and why not more.
//!
//! Not for: the account day by day, which `boltgrid gas account` shows.

use super::format::{Format, Quantity};
use super::reasons;
use super::words::Words;
use crate::dispatcher::GasStatus;

/// A well as the page shows it.
pub(super) struct Well {
    /// The heat of the gas that flows; none where the gas meter does not say.
    pub(super) gas: Option<Quantity>,
    /// What the generator gives, by its meter.
    pub(super) gives: Option<Quantity>,
    /// What it is told to do.
    pub(super) told: String,
    pub(super) wear: Quantity,
    /// Whether the flame burns, in words.
    pub(super) flare: &'static str,
    pub(super) flare_is_out: bool,
    /// Of all the gas that the account knows of, what the generator burnt.
    pub(super) used: Quantity,
    pub(super) generated: Quantity,
    pub(super) reason: String,
    pub(super) trouble: Option<String>,
}

impl Well {
    pub(super) fn new(it: &GasStatus, w: &'static Words, format: Format) -> Self {
        let told =
            if it.is_to_run { format.power(it.set_point_mw).to_string() } else { w.off.to_owned() };
        let generated = i64::try_from(it.burnt.generated_mwh).unwrap_or(i64::MAX);
        Self {
            gas: it.gas_mw.map(|mw| format.power(mw)),
            gives: it.power_mw.map(|mw| format.power(mw)),
            told,
            wear: format.price(it.wear_msat_per_kwh),
            flare: match it.flare_burns {
                Some(true) => w.flare_burns,
                Some(false) => w.flare_is_out,
                None => w.not_known,
            },
            flare_is_out: it.flare_burns == Some(false),
            used: format.percent(milli_percent(it.burnt.generator_l, it.burnt.gas_l)),
            generated: format.energy(generated),
            reason: reasons::of_generator(&it.reason, w),
            trouble: it.trouble.clone(),
        }
    }
}

/// The part of the whole, in thousandths of a per cent, rounded down; nothing of nothing.
fn milli_percent(part: u64, whole: u64) -> i64 {
    let share = (u128::from(part) * 100_000).checked_div(u128::from(whole)).unwrap_or(0);
    i64::try_from(share).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::words::Language;
    use crate::dispatcher::GasBurnt;

    fn shown(status: &GasStatus) -> Well {
        Well::new(status, Language::English.words(), Format(Language::English, None))
    }

    #[test]
    fn a_well_that_nobody_measured_yet_claims_nothing() {
        let well = shown(&GasStatus::default());
        assert_eq!((well.gas, well.gives), (None, None));
        assert_eq!(well.flare, Language::English.words().not_known);
        assert!(!well.flare_is_out, "what is not known is not out");
        assert_eq!(well.used.number, "0");
    }

    #[test]
    fn a_running_generator_shows_its_part_of_the_gas() {
        let status = GasStatus {
            is_to_run: true,
            set_point_mw: 12_000_000,
            power_mw: Some(11_940_000),
            flare_burns: Some(false),
            burnt: GasBurnt { gas_l: 4_000, generator_l: 3_000, ..GasBurnt::default() },
            ..GasStatus::default()
        };
        let well = shown(&status);
        assert_eq!(well.told, "12.00\u{202f}kW");
        assert_eq!(well.gives.map(|it| it.number), Some("11.94".to_owned()));
        assert_eq!(well.used.number, "75");
        assert!(well.flare_is_out);
    }
}
