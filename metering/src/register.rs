//! Cumulative registers: a device's wrapping counter as energy that only grows.
//!
//! A register may wrap at its width, also while nobody looked. It is never corrected: a value that is
//! no plausible successor of the last one is refused, and the last one stands.
//! Not for: devices without registers (see [`crate::integrate`]).

use boltgrid_protocol::units::{Energy, Power, Timestamp};

use crate::scale::ScaleFactor;

/// Milliwatt-milliseconds in a milliwatt-hour.
const MW_MS_PER_MWH: u128 = 3_600_000;
/// A register may grow this much faster than the rating says, in per cent: ratings are nominal.
pub const RATING_MARGIN_PERCENT: u64 = 150;
/// A register may be this much younger or older than the moment it was read.
const REFRESH_MS: u64 = 5_000;

/// When a device's register wraps to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// After 2³² counts (SunSpec `acc32`).
    Acc32,
    /// After 2⁶⁴ counts (SunSpec `acc64`).
    Acc64,
    /// After so many counts, such as where the digits of a display end; at least one.
    At(u64),
    /// Never: a floating-point register, or one too wide for that.
    Float,
}

impl Width {
    fn modulus(self) -> Option<u128> {
        match self {
            Self::Acc32 => Some(1 << 32),
            Self::Acc64 => Some(1 << 64),
            Self::At(0) | Self::Float => None,
            Self::At(counts) => Some(counts.into()),
        }
    }
}

/// A register as a device shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRegister {
    /// Its counts.
    pub count: u64,
    /// When it wraps.
    pub width: Width,
    /// The watt-hours of one count.
    pub scale: ScaleFactor,
}

impl RawRegister {
    /// What it shows in thousandths of the unit, rounded down; `None` beyond 64 bits.
    #[must_use]
    pub fn thousandths_floor(&self) -> Option<u64> {
        u64::try_from(energy_mwh(self.count.into(), self.scale)).ok()
    }
}

/// Why a register's value is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterRejected {
    /// Lower than before, and no wrap explains it: reset, or another meter.
    #[error(
        "the register went back from {before} to {shown} counts; \
         if the meter was reset or replaced, enrol a new meter key"
    )]
    Backwards {
        /// Counts before, since the beginning.
        before: u128,
        /// Counts shown.
        shown: u64,
    },
    /// More than the rating allows in the time.
    #[error(
        "the register grew by {grown_mwh} mWh in {elapsed_ms} ms, the rating allows {most_mwh}"
    )]
    Jump {
        /// By how much it grew.
        grown_mwh: u128,
        /// In which time.
        elapsed_ms: u64,
        /// The most it may grow.
        most_mwh: u128,
    },
    /// Read before the last value was.
    #[error("the register was read {0} ms before the last one")]
    TimeBack(u64),
    /// More energy than 64 bits of milliwatt-hours.
    #[error("the register is beyond any meter's")]
    TooLarge,
}

/// One register of a device, made monotone.
///
/// Invariant: the energy never falls, and grows no faster than the rating allows.
#[derive(Clone, Copy, Debug)]
pub struct CumulativeRegister {
    rated: Power,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Timestamp,
    /// Counts since the beginning, wraps included, in units of `scale`.
    counts: u128,
    scale: ScaleFactor,
    energy: Energy,
}

impl CumulativeRegister {
    /// A register of which nothing is known: its first value is taken as it is. `rated` is the most
    /// power that flows through it; the sign does not matter.
    #[must_use]
    pub const fn new(rated: Power) -> Self {
        Self { rated, last: None }
    }

    /// A register that showed `energy` at `at`. It may have wrapped since.
    #[must_use]
    pub fn resume(rated: Power, at: Timestamp, energy: Energy) -> Self {
        let (scale, counts) = (ScaleFactor::THOUSANDTHS, energy.to_milliwatt_hours().into());
        Self { rated, last: Some(Last { at, counts, scale, energy }) }
    }

    /// Takes a value read at `at` and returns the energy of the register since the beginning.
    ///
    /// # Errors
    ///
    /// [`RegisterRejected`]; the register then is as it was before.
    pub fn observe(&mut self, raw: RawRegister, at: Timestamp) -> Result<Energy, RegisterRejected> {
        let counts = match &self.last {
            None => raw.count.into(),
            Some(last) => self.successor(last, raw, at)?,
        };
        let whole = u64::try_from(energy_mwh(counts, raw.scale))
            .map(Energy::from_milliwatt_hours)
            .map_err(|_| RegisterRejected::TooLarge)?;
        // A coarser scale than before may round to below what was shown then.
        let energy = self.last.map_or(whole, |last| whole.max(last.energy));
        self.last = Some(Last { at, counts, scale: raw.scale, energy });
        Ok(energy)
    }

    /// The counts since the beginning: the least that are no fewer than before and show as `raw`.
    fn successor(
        &self,
        last: &Last,
        raw: RawRegister,
        at: Timestamp,
    ) -> Result<u128, RegisterRejected> {
        if at < last.at {
            return Err(RegisterRejected::TimeBack(last.at.ms_since(at)));
        }
        let before = if last.scale == raw.scale {
            last.counts
        } else {
            let (numerator, denominator) = raw.scale.thousandths();
            u128::from(last.energy.to_milliwatt_hours()) * u128::from(denominator)
                / u128::from(numerator)
        };
        let shown = u128::from(raw.count);
        let backwards = RegisterRejected::Backwards { before, shown: raw.count };
        let grown = match raw.width.modulus() {
            Some(modulus) => (shown % modulus + modulus - before % modulus) % modulus,
            None => shown.checked_sub(before).ok_or(backwards)?,
        };
        let elapsed_ms = at.ms_since(last.at);
        let (grown_mwh, most_mwh) =
            (energy_mwh(grown, raw.scale), self.most(elapsed_ms, raw.scale));
        if grown_mwh <= most_mwh {
            Ok(before + grown)
        } else if raw.width.modulus().is_some_and(|modulus| shown < before % modulus) {
            Err(backwards)
        } else {
            Err(RegisterRejected::Jump { grown_mwh, elapsed_ms, most_mwh })
        }
    }

    /// The most a register may grow in a time, in mWh: at the rating, and one count.
    fn most(&self, elapsed_ms: u64, scale: ScaleFactor) -> u128 {
        let rated_mw = u128::from(self.rated.to_milliwatts().unsigned_abs());
        let span_ms = u128::from(elapsed_ms.saturating_add(REFRESH_MS));
        let margin_mw = rated_mw * u128::from(RATING_MARGIN_PERCENT) / 100;
        (margin_mw * span_ms).div_ceil(MW_MS_PER_MWH) + energy_mwh(1, scale).max(1)
    }
}

/// The energy of a number of counts, rounded down. Counts are at most some 2⁶⁵, so this fits.
fn energy_mwh(counts: u128, scale: ScaleFactor) -> u128 {
    let (numerator, denominator) = scale.thousandths();
    counts.saturating_mul(numerator.into()) / u128::from(denominator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATED: Power = Power::from_milliwatts(30_000_000);

    fn wh(exponent: i16, count: u64) -> RawRegister {
        RawRegister { count, width: Width::Acc32, scale: ScaleFactor::new(exponent).unwrap() }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn mwh(energy: Result<Energy, RegisterRejected>) -> u64 {
        energy.unwrap().to_milliwatt_hours()
    }

    #[test]
    fn the_first_value_is_taken_as_it_is() {
        let mut register = CumulativeRegister::new(RATED);
        assert_eq!(mwh(register.observe(wh(0, 1_234_567), at(0))), 1_234_567_000);
    }

    #[test]
    fn a_wrap_goes_on_where_the_counter_left_off() {
        let mut register = CumulativeRegister::new(RATED);
        register.observe(wh(-3, u64::from(u32::MAX)), at(0)).unwrap();
        assert_eq!(mwh(register.observe(wh(-3, 9), at(1_000))), (1 << 32) + 9);
        assert_eq!(mwh(register.observe(wh(-3, 19), at(2_000))), (1 << 32) + 19);
    }

    #[test]
    fn a_display_that_runs_out_of_digits_goes_on_at_zero() {
        // Six digits and one after the point, in kWh.
        let raw = |count| RawRegister { width: Width::At(10_000_000), ..wh(2, count) };
        let mut register = CumulativeRegister::new(RATED);
        register.observe(raw(9_999_999), at(0)).unwrap();
        assert_eq!(mwh(register.observe(raw(0), at(60_000))), 1_000_000_000_000);
    }

    #[test]
    fn a_register_resumed_from_a_stored_reading_keeps_its_wraps() {
        let stored = Energy::from_milliwatt_hours(3 * (1 << 32) - 500);
        let mut register = CumulativeRegister::resume(RATED, at(0), stored);
        assert_eq!(mwh(register.observe(wh(-3, 100), at(60_000))), 3 * (1 << 32) + 100);
    }

    #[test]
    fn a_reset_is_refused_and_the_last_value_stands() {
        let mut register = CumulativeRegister::new(RATED);
        register.observe(wh(-3, 5_000_000), at(0)).unwrap();
        let reset = register.observe(wh(-3, 0), at(1_000));
        assert_eq!(reset, Err(RegisterRejected::Backwards { before: 5_000_000, shown: 0 }));
        assert_eq!(mwh(register.observe(wh(-3, 5_000_100), at(2_000))), 5_000_100);
    }

    #[test]
    fn a_jump_beyond_the_rating_is_refused() {
        let mut register = CumulativeRegister::new(RATED);
        register.observe(wh(-3, 0), at(0)).unwrap();
        // 30 kW and half of that again, over 1 s and the 5 s that a device may lag: 75 Wh.
        let jump = register.observe(wh(-3, 75_002), at(1_000));
        let (grown_mwh, most_mwh) = (75_002, 75_001);
        assert_eq!(jump, Err(RegisterRejected::Jump { grown_mwh, elapsed_ms: 1_000, most_mwh }));
        assert_eq!(mwh(register.observe(wh(-3, 75_001), at(1_000))), 75_001);
    }

    #[test]
    fn a_floating_point_register_never_wraps() {
        let raw = |count| RawRegister { width: Width::Float, ..wh(-3, count) };
        let mut register = CumulativeRegister::new(RATED);
        register.observe(raw(1_000), at(0)).unwrap();
        assert!(matches!(
            register.observe(raw(999), at(1_000)),
            Err(RegisterRejected::Backwards { before: 1_000, shown: 999 })
        ));
    }

    #[test]
    fn another_scale_factor_does_not_move_the_register_back() {
        let mut register = CumulativeRegister::new(RATED);
        register.observe(wh(-3, 1_234_567), at(0)).unwrap();
        assert_eq!(mwh(register.observe(wh(0, 1_234), at(1_000))), 1_234_567);
        assert_eq!(mwh(register.observe(wh(0, 1_236), at(2_000))), 1_236_000);
    }

    #[test]
    fn fractions_of_a_milliwatt_hour_are_not_lost() {
        let mut register = CumulativeRegister::new(RATED);
        register.observe(wh(-5, 0), at(0)).unwrap();
        assert_eq!(mwh(register.observe(wh(-5, 99), at(1_000))), 0);
        assert_eq!(mwh(register.observe(wh(-5, 101), at(2_000))), 1);
    }

    #[test]
    fn a_value_read_earlier_is_refused() {
        let mut register = CumulativeRegister::new(RATED);
        register.observe(wh(-3, 1), at(1_000)).unwrap();
        assert_eq!(register.observe(wh(-3, 2), at(999)), Err(RegisterRejected::TimeBack(1)));
    }

    proptest! {
        #[test]
        fn whatever_a_device_shows_the_energy_never_falls(
            exponents in prop::collection::vec(-10_i16..=10, 1..20),
            counts in prop::collection::vec(any::<u64>(), 20),
            wide in any::<bool>(),
        ) {
            let mut register = CumulativeRegister::new(RATED);
            let mut before = Energy::ZERO;
            for ((second, exponent), count) in (0..).zip(exponents).zip(counts) {
                let width = if wide { Width::Acc64 } else { Width::Acc32 };
                let raw = RawRegister { width, ..wh(exponent, count) };
                if let Ok(energy) = register.observe(raw, at(second * 1_000)) {
                    prop_assert!(energy >= before);
                    before = energy;
                }
            }
        }

        #[test]
        fn any_number_of_wraps_is_counted(steps in prop::collection::vec(0_u64..70_000, 1..200)) {
            let start = (1_u64 << 32) - 1_000_000;
            let mut register = CumulativeRegister::new(RATED);
            register.observe(wh(-3, start), at(0)).unwrap();
            let mut total = start;
            for (second, step) in (1..).zip(steps) {
                total += step;
                let shown = total % (1 << 32);
                prop_assert_eq!(mwh(register.observe(wh(-3, shown), at(second * 1_000))), total);
            }
        }
    }
}
