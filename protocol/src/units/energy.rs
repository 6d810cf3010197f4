//! Energy in milliwatt-hours, as an amount ([`Energy`]) or as a signed balance ([`NetEnergy`]).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{MILLION, OutOfRange, scale_floor};

/// An amount of energy in mWh. Direction is a field beside it, never a sign.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Energy {
    mwh: u64,
}

impl Energy {
    /// No energy.
    pub const ZERO: Self = Self { mwh: 0 };

    /// An amount in milliwatt-hours.
    #[must_use]
    pub const fn from_milliwatt_hours(mwh: u64) -> Self {
        Self { mwh }
    }

    /// The amount in milliwatt-hours.
    #[must_use]
    pub const fn to_milliwatt_hours(self) -> u64 {
        self.mwh
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.mwh == 0
    }

    /// The sum, or `None` beyond 64 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.mwh.checked_add(other.mwh).map(Self::from_milliwatt_hours)
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.mwh.checked_sub(other.mwh).map(Self::from_milliwatt_hours)
    }

    /// The difference, or zero where `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self { mwh: self.mwh.saturating_sub(other.mwh) }
    }

    /// The sum, held at the largest representable amount.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self { mwh: self.mwh.saturating_add(other.mwh) }
    }

    /// This energy times `part / whole`, rounded down.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] when `whole` is zero or the result does not fit.
    pub fn share_floor(self, part: Self, whole: Self) -> Result<Self, OutOfRange> {
        scale_floor(self.mwh, part.mwh, whole.mwh).map(Self::from_milliwatt_hours)
    }

    /// What is left after losing `loss_ppm` parts per million on the way, rounded down.
    /// A loss of a million or more leaves nothing.
    #[must_use]
    pub fn after_loss_floor(self, loss_ppm: u32) -> Self {
        let kept_ppm = MILLION.saturating_sub(u64::from(loss_ppm));
        // Cannot fail: the factor is at most one and the denominator is a constant.
        Self { mwh: scale_floor(self.mwh, kept_ppm, MILLION).unwrap_or(0) }
    }
}

impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mWh", self.mwh)
    }
}

/// A signed energy balance in mWh: received is positive, given is negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NetEnergy {
    mwh: i64,
}

impl NetEnergy {
    /// A balance of zero.
    pub const ZERO: Self = Self { mwh: 0 };

    /// A balance in milliwatt-hours, received positive.
    #[must_use]
    pub const fn from_milliwatt_hours(mwh: i64) -> Self {
        Self { mwh }
    }

    /// The balance in milliwatt-hours, received positive.
    #[must_use]
    pub const fn to_milliwatt_hours(self) -> i64 {
        self.mwh
    }

    /// The balance of somebody who received `received` and gave `given`.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] when the balance does not fit 63 bits.
    pub fn between(received: Energy, given: Energy) -> Result<Self, OutOfRange> {
        let net = i128::from(received.mwh).checked_sub(i128::from(given.mwh)).ok_or(OutOfRange)?;
        i64::try_from(net).map(Self::from_milliwatt_hours).map_err(|_| OutOfRange)
    }

    /// What was received on balance; zero for a giver.
    #[must_use]
    pub fn received(self) -> Energy {
        Energy::from_milliwatt_hours(u64::try_from(self.mwh).unwrap_or(0))
    }

    /// What was given on balance; zero for a receiver.
    #[must_use]
    pub fn given(self) -> Energy {
        if self.mwh < 0 {
            Energy::from_milliwatt_hours(self.mwh.unsigned_abs())
        } else {
            Energy::ZERO
        }
    }

    /// The sum, or `None` beyond 63 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.mwh.checked_add(other.mwh).map(Self::from_milliwatt_hours)
    }

    /// The same balance seen from the other side, or `None` for the one value without an opposite.
    #[must_use]
    pub fn checked_neg(self) -> Option<Self> {
        self.mwh.checked_neg().map(Self::from_milliwatt_hours)
    }
}

impl fmt::Display for NetEnergy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mWh", self.mwh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mwh(mwh: u64) -> Energy {
        Energy::from_milliwatt_hours(mwh)
    }

    #[test]
    fn a_share_is_rounded_down() {
        assert_eq!(mwh(10).share_floor(mwh(1), mwh(3)), Ok(mwh(3)));
        assert_eq!(mwh(10).share_floor(mwh(1), Energy::ZERO), Err(OutOfRange));
    }

    #[test]
    fn the_largest_share_does_not_overflow() {
        let all = mwh(u64::MAX);
        assert_eq!(all.share_floor(all, all), Ok(all));
    }

    #[test]
    fn losses_are_taken_off_and_rounded_against_the_giver() {
        assert_eq!(mwh(1_000_001).after_loss_floor(30_000), mwh(970_000));
        assert_eq!(mwh(u64::MAX).after_loss_floor(0), mwh(u64::MAX));
        assert_eq!(mwh(5).after_loss_floor(u32::MAX), Energy::ZERO);
    }

    #[test]
    fn a_balance_splits_into_received_or_given() {
        let giver = NetEnergy::between(mwh(2), mwh(5)).unwrap();
        assert_eq!((giver.received(), giver.given()), (Energy::ZERO, mwh(3)));
        assert_eq!(NetEnergy::from_milliwatt_hours(i64::MIN).given(), mwh(1 << 63));
        assert_eq!(NetEnergy::between(mwh(u64::MAX), Energy::ZERO), Err(OutOfRange));
    }
}
