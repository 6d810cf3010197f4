//! Power in milliwatts. Import into the site is positive, export is negative; said here once.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Energy, OutOfRange};

/// Milliwatt-milliseconds in a milliwatt-hour.
const MW_MS_PER_MWH: u128 = 3_600_000;

/// A power in mW, import into the site positive.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Power {
    mw: i64,
}

impl Power {
    /// No power.
    pub const ZERO: Self = Self { mw: 0 };

    /// A power in milliwatts, import positive.
    #[must_use]
    pub const fn from_milliwatts(mw: i64) -> Self {
        Self { mw }
    }

    /// A power in watts, import positive.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] beyond what milliwatts can hold.
    pub fn from_watts(watts: i64) -> Result<Self, OutOfRange> {
        watts.checked_mul(1000).map(Self::from_milliwatts).ok_or(OutOfRange)
    }

    /// The power in milliwatts, import positive.
    #[must_use]
    pub const fn to_milliwatts(self) -> i64 {
        self.mw
    }

    /// The sum, or `None` beyond 63 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.mw.checked_add(other.mw).map(Self::from_milliwatts)
    }

    /// The difference, or `None` beyond 63 bits.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.mw.checked_sub(other.mw).map(Self::from_milliwatts)
    }

    /// The energy that this power moves in `duration_ms`, rounded down; direction is dropped.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] when the energy does not fit 64 bits.
    pub fn energy_over_floor(self, duration_ms: u64) -> Result<Energy, OutOfRange> {
        let product = u128::from(self.mw.unsigned_abs())
            .checked_mul(u128::from(duration_ms))
            .ok_or(OutOfRange)?;
        u64::try_from(product.div_euclid(MW_MS_PER_MWH))
            .map(Energy::from_milliwatt_hours)
            .map_err(|_| OutOfRange)
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mW", self.mw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kilowatt_for_a_quarter_of_an_hour_is_250_watt_hours() {
        let power = Power::from_watts(1000).unwrap();
        assert_eq!(power.energy_over_floor(900_000).unwrap().to_milliwatt_hours(), 250_000);
    }

    #[test]
    fn export_moves_the_same_energy_as_import() {
        let export = Power::from_milliwatts(-3_600_000);
        assert_eq!(export.energy_over_floor(1).unwrap().to_milliwatt_hours(), 1);
        assert!(Power::from_milliwatts(i64::MIN).energy_over_floor(u64::MAX).is_err());
    }
}
