//! A price of energy in millisatoshi per kilowatt-hour. It may be negative: then the seller pays.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Energy, MILLION, Msat, OutOfRange};

/// A price in msat per kWh.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Price {
    msat_per_kwh: i64,
}

impl Price {
    /// Free energy.
    pub const ZERO: Self = Self { msat_per_kwh: 0 };

    /// A price in millisatoshi per kilowatt-hour.
    #[must_use]
    pub const fn from_msat_per_kwh(msat_per_kwh: i64) -> Self {
        Self { msat_per_kwh }
    }

    /// The price in millisatoshi per kilowatt-hour.
    #[must_use]
    pub const fn to_msat_per_kwh(self) -> i64 {
        self.msat_per_kwh
    }

    /// Whether the seller pays the buyer.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.msat_per_kwh < 0
    }

    /// The middle between two prices, rounded towards minus infinity.
    #[must_use]
    pub fn midpoint_floor(self, other: Self) -> Self {
        let sum = i128::from(self.msat_per_kwh).saturating_add(i128::from(other.msat_per_kwh));
        // The mean of two 64-bit values always fits 64 bits.
        let mean = i64::try_from(sum.div_euclid(2)).unwrap_or(self.msat_per_kwh);
        Self::from_msat_per_kwh(mean)
    }

    /// What changes hands for `energy`, rounded down: nobody pays for a fraction of a millisatoshi.
    /// The sign of the price says who pays and is not in the result.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] above [`Msat::MAX`].
    pub fn amount_floor(self, energy: Energy) -> Result<Msat, OutOfRange> {
        let product = u128::from(self.msat_per_kwh.unsigned_abs())
            .checked_mul(u128::from(energy.to_milliwatt_hours()))
            .ok_or(OutOfRange)?;
        let msat =
            u64::try_from(product.div_euclid(u128::from(MILLION))).map_err(|_| OutOfRange)?;
        Msat::from_millisatoshi(msat)
    }

    /// The most energy for which no more than `amount` changes hands: the inverse of
    /// [`Self::amount_floor`]. `None` at a price of zero, where any energy costs nothing.
    #[must_use]
    pub fn energy_floor(self, amount: Msat) -> Option<Energy> {
        // amount_floor(e) <= amount holds as long as price * e < (amount + 1) * MILLION.
        let worth = u128::from(amount.to_millisatoshi()).saturating_add(1);
        let worth = worth.saturating_mul(u128::from(MILLION)).saturating_sub(1);
        let energy = worth.checked_div(u128::from(self.msat_per_kwh.unsigned_abs()))?;
        Some(Energy::from_milliwatt_hours(u64::try_from(energy).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat/kWh", self.msat_per_kwh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kilowatt_hour_costs_its_price_whatever_the_sign() {
        let energy = Energy::from_milliwatt_hours(1_000_000);
        for msat in [100_000, -100_000] {
            let amount = Price::from_msat_per_kwh(msat).amount_floor(energy).unwrap();
            assert_eq!(amount.to_millisatoshi(), 100_000);
        }
    }

    #[test]
    fn fractions_of_a_millisatoshi_are_dropped() {
        let amount =
            Price::from_msat_per_kwh(3).amount_floor(Energy::from_milliwatt_hours(999_999));
        assert_eq!(amount.unwrap().to_millisatoshi(), 2);
    }

    #[test]
    fn the_most_energy_for_an_amount_costs_no_more_and_a_bit_more_would() {
        for (price, amount) in [(3, 2), (-80_000, 20_000), (7, 0), (i64::MAX, 1), (i64::MIN, 9)] {
            let (price, amount) =
                (Price::from_msat_per_kwh(price), Msat::from_millisatoshi(amount).unwrap());
            let most = price.energy_floor(amount).unwrap();
            let more = most.saturating_add(Energy::from_milliwatt_hours(1));
            assert!(price.amount_floor(most).unwrap() <= amount, "{price:?} {amount}");
            assert!(price.amount_floor(more).unwrap() > amount, "{price:?} {amount}");
        }
        assert_eq!(Price::from_msat_per_kwh(0).energy_floor(Msat::ZERO), None);
        let cheap = Price::from_msat_per_kwh(1).energy_floor(Msat::MAX).unwrap();
        assert!(Price::from_msat_per_kwh(1).amount_floor(cheap).is_ok());
    }

    #[test]
    fn midpoints_round_towards_minus_infinity() {
        let mid = |a, b| {
            Price::from_msat_per_kwh(a)
                .midpoint_floor(Price::from_msat_per_kwh(b))
                .to_msat_per_kwh()
        };
        assert_eq!(mid(1, 2), 1);
        assert_eq!(mid(-1, -2), -2);
        assert_eq!(mid(i64::MAX, i64::MAX), i64::MAX);
        assert_eq!(mid(i64::MIN, i64::MAX), -1);
    }

    #[test]
    fn the_largest_inputs_do_not_panic() {
        let price = Price::from_msat_per_kwh(i64::MIN);
        assert_eq!(price.amount_floor(Energy::from_milliwatt_hours(u64::MAX)), Err(OutOfRange));
    }
}
