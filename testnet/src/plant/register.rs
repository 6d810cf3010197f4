//! Cumulative energy registers that lose nothing: what is less than a mWh is carried on.

use boltgrid_protocol::units::Energy;

/// Milliwatt-milliseconds in a milliwatt-hour.
pub(super) const MW_MS_PER_MWH: u128 = 3_600_000;

/// What a register shows before the first flow: one kWh, as left over from the factory's test.
/// In `SunSpec` an accumulator at zero means that there is none.
const START: u128 = 1_000_000 * MW_MS_PER_MWH;

/// Energy that has passed, in mW·ms, so that the sum of any parts is the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Register {
    mw_ms: u128,
}

impl Register {
    /// A register as it leaves the factory.
    pub(super) const fn new() -> Self {
        Self { mw_ms: START }
    }

    /// Counts `mw` over `ms`; nothing where the flow is in the other direction.
    pub(super) fn add(&mut self, mw: i64, ms: u64) {
        self.mw_ms += energy_mw_ms(mw, ms);
    }

    /// What the register shows: whole mWh.
    pub(super) fn shown(&self) -> Energy {
        shown(self.mw_ms)
    }

    /// What the register shows once `mw` have flowed for `ms` more.
    pub(super) fn shown_after(&self, mw: i64, ms: u64) -> Energy {
        shown(self.mw_ms + energy_mw_ms(mw, ms))
    }

    /// The exact state, in mW·ms.
    #[cfg(test)]
    pub(super) const fn exact_mw_ms(&self) -> u128 {
        self.mw_ms
    }
}

/// Energy that has passed since the run began, for who watches; no device shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counter {
    mw_ms: u128,
}

impl Counter {
    /// Counts `mw` over `ms`; nothing where it is negative.
    pub(super) fn add(&mut self, mw: i64, ms: u64) {
        self.mw_ms += energy_mw_ms(mw, ms);
    }

    /// Whole mWh.
    pub(super) fn shown(&self) -> Energy {
        shown(self.mw_ms)
    }
}

/// What `mw` moves in `ms`, in mW·ms; nothing where it is negative.
pub(super) fn energy_mw_ms(mw: i64, ms: u64) -> u128 {
    u128::try_from(mw).unwrap_or(0) * u128::from(ms)
}

/// Whole mWh of an energy in mW·ms.
pub(super) fn shown(mw_ms: u128) -> Energy {
    let mwh = u64::try_from(mw_ms / MW_MS_PER_MWH);
    Energy::from_milliwatt_hours(mwh.expect("ratings are bounded, and so is the age of a meter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_of_small_steps_shows_what_one_large_step_shows() {
        let (mut many, mut one) = (Register::new(), Register::new());
        for _ in 0..1_000_000 {
            many.add(7, 333);
        }
        one.add(7, 333_000_000);
        assert_eq!(many, one);
        assert_eq!(many.shown().to_milliwatt_hours(), 1_000_000 + 7 * 333_000_000 / 3_600_000);
    }

    #[test]
    fn the_other_direction_does_not_count() {
        let mut register = Register::new();
        register.add(-5_000_000, 1000);
        assert_eq!(register, Register::new());
    }
}
