//! Power over time into energy, for devices that keep no registers of their own.
//!
//! A power holds from the sample that shows it until the next sample. What is left of a milliwatt-hour
//! is carried, so the energies of many short spans add up to the energy of the whole.
//! Not for: devices with cumulative registers, which know better (see [`crate::register`]).

use boltgrid_protocol::units::{Energy, Power, Timestamp};

/// Milliwatt-milliseconds in a milliwatt-hour.
const MW_MS_PER_MWH: u128 = 3_600_000;

/// Why a sample cannot be integrated. The integrator is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntegrateRejected {
    /// The sample is older than the one before.
    #[error("the sample is {0} ms older than the one before")]
    TimeBack(u64),
    /// Too long since the last sample: holding its power would be invention.
    #[error("{0} ms without a sample are too long to hold the last power")]
    Gap(u64),
    /// The register is full.
    #[error("the register is full")]
    Full,
}

/// Energy in one direction: whole milliwatt-hours and what is left of one.
#[derive(Clone, Copy, Debug, Default)]
struct Accumulator {
    energy: Energy,
    /// Below [`MW_MS_PER_MWH`].
    remainder_mw_ms: u128,
}

impl Accumulator {
    fn plus(self, power_mw: u64, duration_ms: u64) -> Option<Self> {
        // Twice 64 bits and a remainder of 22 fit 128.
        let total = u128::from(power_mw) * u128::from(duration_ms) + self.remainder_mw_ms;
        let whole = u64::try_from(total.div_euclid(MW_MS_PER_MWH)).ok()?;
        let energy = self.energy.checked_add(Energy::from_milliwatt_hours(whole))?;
        Some(Self { energy, remainder_mw_ms: total.rem_euclid(MW_MS_PER_MWH) })
    }
}

/// Two cumulative registers made from samples of power.
#[derive(Clone, Copy, Debug)]
pub struct Integrator {
    import: Accumulator,
    export: Accumulator,
    last: Option<(Timestamp, Power)>,
    hold_max_ms: u64,
}

impl Integrator {
    /// Registers that start at what was stored last (or zero); less than a milliwatt-hour is lost.
    /// A power is held for at most `hold_max_ms`.
    #[must_use]
    pub const fn starting_at(import: Energy, export: Energy, hold_max_ms: u64) -> Self {
        let import = Accumulator { energy: import, remainder_mw_ms: 0 };
        let export = Accumulator { energy: export, remainder_mw_ms: 0 };
        Self { import, export, last: None, hold_max_ms }
    }

    /// Takes a sample: the last power held until `at`, where `power` begins.
    ///
    /// # Errors
    ///
    /// [`IntegrateRejected`]. After a gap, [`Self::restart`] goes on without the energy of the gap.
    pub fn sample(&mut self, at: Timestamp, power: Power) -> Result<(), IntegrateRejected> {
        let Some((since, held)) = self.last else {
            self.last = Some((at, power));
            return Ok(());
        };
        if at < since {
            return Err(IntegrateRejected::TimeBack(since.ms_since(at)));
        }
        let duration_ms = at.ms_since(since);
        if duration_ms > self.hold_max_ms {
            return Err(IntegrateRejected::Gap(duration_ms));
        }
        let magnitude_mw = held.to_milliwatts().unsigned_abs();
        let register = if held < Power::ZERO { &mut self.export } else { &mut self.import };
        *register = register.plus(magnitude_mw, duration_ms).ok_or(IntegrateRejected::Full)?;
        self.last = Some((at, power));
        Ok(())
    }

    /// Forgets the last sample: nothing is known to have flowed since.
    pub const fn restart(&mut self) {
        self.last = None;
    }

    /// All energy ever taken.
    #[must_use]
    pub const fn import_register(&self) -> Energy {
        self.import.energy
    }

    /// All energy ever given.
    #[must_use]
    pub const fn export_register(&self) -> Energy {
        self.export.energy
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn integrated(samples: &[(u64, i64)]) -> Integrator {
        let mut integrator = Integrator::starting_at(Energy::ZERO, Energy::ZERO, u64::MAX);
        for (at_ms, mw) in samples {
            let (at, power) = (Timestamp::from_unix_ms(*at_ms), Power::from_milliwatts(*mw));
            integrator.sample(at, power).unwrap();
        }
        integrator
    }

    fn registers(integrator: &Integrator) -> (u64, u64) {
        let (import, export) = (integrator.import_register(), integrator.export_register());
        (import.to_milliwatt_hours(), export.to_milliwatt_hours())
    }

    #[test]
    fn each_direction_has_its_register() {
        let both = integrated(&[(0, 1_000), (HOUR_MS, -500), (3 * HOUR_MS, 0)]);
        assert_eq!(registers(&both), (1_000, 1_000));
    }

    #[test]
    fn a_milliwatt_adds_up_second_by_second() {
        let samples: Vec<_> = (0..=3600).map(|second| (second * 1_000, 1)).collect();
        assert_eq!(registers(&integrated(&samples)), (1, 0));
    }

    #[test]
    fn time_going_back_and_long_gaps_are_refused() {
        let mut integrator = Integrator::starting_at(Energy::ZERO, Energy::ZERO, 10_000);
        let mut sample = |at_ms| {
            integrator.sample(Timestamp::from_unix_ms(at_ms), Power::from_milliwatts(3_600_000))
        };
        assert_eq!(sample(50_000), Ok(()));
        assert_eq!(sample(49_999), Err(IntegrateRejected::TimeBack(1)));
        assert_eq!(sample(60_001), Err(IntegrateRejected::Gap(10_001)));
        assert_eq!(sample(50_005), Ok(()));
        assert_eq!(integrator.import_register(), Energy::from_milliwatt_hours(5));
    }

    #[test]
    fn the_largest_power_over_the_longest_time_is_refused_not_wrapped() {
        let mut integrator = Integrator::starting_at(Energy::ZERO, Energy::ZERO, u64::MAX);
        integrator.sample(Timestamp::default(), Power::from_milliwatts(i64::MIN)).unwrap();
        let end = Timestamp::from_unix_ms(u64::MAX);
        assert_eq!(integrator.sample(end, Power::ZERO), Err(IntegrateRejected::Full));
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_the_whole(
            mw in -50_000_000_000_i64..50_000_000_000,
            spans_ms in prop::collection::vec(0_u64..600_000, 1..50),
        ) {
            let mut at_ms = 0;
            let mut samples = vec![(0, mw)];
            for span_ms in &spans_ms {
                at_ms += span_ms;
                samples.push((at_ms, mw));
            }
            let whole = integrated(&[(0, mw), (at_ms, mw)]);
            prop_assert_eq!(registers(&integrated(&samples)), registers(&whole));
            let floor = Power::from_milliwatts(mw).energy_over_floor(at_ms).unwrap();
            prop_assert_eq!(whole.import_register().saturating_add(whole.export_register()), floor);
        }
    }
}
