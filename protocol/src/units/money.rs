//! Money in millisatoshi, as an amount ([`Msat`]) or as a signed balance ([`SignedMsat`]).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::OutOfRange;

/// An amount of money in msat, at most 21 million bitcoin.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Msat {
    msat: u64,
}

impl Msat {
    /// Nothing.
    pub const ZERO: Self = Self { msat: 0 };
    /// All the bitcoin there will ever be: 21 million.
    pub const MAX: Self = Self { msat: 21_000_000 * 100_000_000 * 1000 };

    /// An amount in millisatoshi.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] above [`Self::MAX`].
    pub const fn from_millisatoshi(msat: u64) -> Result<Self, OutOfRange> {
        if msat > Self::MAX.msat { Err(OutOfRange) } else { Ok(Self { msat }) }
    }

    /// The amount in millisatoshi.
    #[must_use]
    pub const fn to_millisatoshi(self) -> u64 {
        self.msat
    }

    /// An amount in whole satoshis, held at [`Self::MAX`].
    #[must_use]
    pub const fn from_satoshi_saturating(sat: u64) -> Self {
        Self::held(sat.saturating_mul(1000))
    }

    /// The sum, or `None` above [`Self::MAX`].
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::from_millisatoshi(self.msat.checked_add(other.msat)?).ok()
    }

    /// The sum, held at [`Self::MAX`].
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self::held(self.msat.saturating_add(other.msat))
    }

    /// The difference, or nothing where `other` is more.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self { msat: self.msat.saturating_sub(other.msat) }
    }

    /// So many times the amount, held at [`Self::MAX`].
    #[must_use]
    pub const fn saturating_mul(self, times: u64) -> Self {
        Self::held(self.msat.saturating_mul(times))
    }

    const fn held(msat: u64) -> Self {
        if msat > Self::MAX.msat { Self::MAX } else { Self { msat } }
    }
}

impl TryFrom<u64> for Msat {
    type Error = OutOfRange;

    fn try_from(msat: u64) -> Result<Self, OutOfRange> {
        Self::from_millisatoshi(msat)
    }
}

impl From<Msat> for u64 {
    fn from(amount: Msat) -> Self {
        amount.msat
    }
}

impl fmt::Display for Msat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat", self.msat)
    }
}

/// A signed balance in msat: to receive is positive, to pay is negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SignedMsat {
    msat: i64,
}

impl SignedMsat {
    /// A balance of zero.
    pub const ZERO: Self = Self { msat: 0 };

    /// A balance in millisatoshi, to receive positive.
    #[must_use]
    pub const fn from_millisatoshi(msat: i64) -> Self {
        Self { msat }
    }

    /// The balance in millisatoshi, to receive positive.
    #[must_use]
    pub const fn to_millisatoshi(self) -> i64 {
        self.msat
    }

    /// A balance of `amount` to receive.
    #[must_use]
    pub fn receivable(amount: Msat) -> Self {
        // Msat::MAX fits 63 bits.
        Self { msat: i64::try_from(amount.msat).unwrap_or(i64::MAX) }
    }

    /// A balance of `amount` to pay.
    #[must_use]
    pub fn payable(amount: Msat) -> Self {
        Self { msat: Self::receivable(amount).msat.saturating_neg() }
    }

    /// The sum, or `None` beyond 63 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.msat.checked_add(other.msat).map(Self::from_millisatoshi)
    }

    /// The same balance seen from the other side, or `None` for the one value without an opposite.
    #[must_use]
    pub fn checked_neg(self) -> Option<Self> {
        self.msat.checked_neg().map(Self::from_millisatoshi)
    }
}

impl fmt::Display for SignedMsat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat", self.msat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_amount_exceeds_the_supply_of_bitcoin() {
        assert_eq!(Msat::from_millisatoshi(Msat::MAX.msat + 1), Err(OutOfRange));
        assert_eq!(Msat::MAX.checked_add(Msat { msat: 1 }), None);
    }

    #[test]
    fn what_is_held_at_the_supply_or_at_nothing_is_an_amount() {
        let one = Msat { msat: 1 };
        assert_eq!(Msat::MAX.saturating_add(one), Msat::MAX);
        assert_eq!(Msat::MAX.saturating_mul(2), Msat::MAX);
        assert_eq!(Msat::from_satoshi_saturating(u64::MAX), Msat::MAX);
        assert_eq!(one.saturating_sub(Msat::MAX), Msat::ZERO);
        assert_eq!(Msat::from_satoshi_saturating(2).to_millisatoshi(), 2_000);
    }

    #[test]
    fn what_one_pays_the_other_receives() {
        let amount = Msat::from_millisatoshi(7).unwrap();
        let sum = SignedMsat::payable(amount).checked_add(SignedMsat::receivable(amount));
        assert_eq!(sum, Some(SignedMsat::ZERO));
    }
}
