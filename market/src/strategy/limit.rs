//! Arithmetic on limits, rounded in the owner's favour: bids down, asks up.

use boltgrid_protocol::units::{Energy, Price};

/// `price · numerator / denominator`, rounded towards minus infinity; `None` if there is none.
pub(super) fn scaled_floor(price: Price, numerator: u64, denominator: u64) -> Option<Price> {
    let product = i128::from(price.to_msat_per_kwh()).checked_mul(i128::from(numerator))?;
    let scaled = product.checked_div_euclid(i128::from(denominator))?;
    i64::try_from(scaled).ok().map(Price::from_msat_per_kwh)
}

/// `price · numerator / denominator`, rounded towards plus infinity; `None` if there is none.
pub(super) fn scaled_ceil(price: Price, numerator: u64, denominator: u64) -> Option<Price> {
    negated(scaled_floor(negated(price)?, numerator, denominator)?)
}

/// The price `part / whole` of the way between two prices, held between them, rounded down.
pub(super) fn between(from: Price, to: Price, part: Energy, whole: Energy) -> Price {
    let (start, end) = (i128::from(from.to_msat_per_kwh()), i128::from(to.to_msat_per_kwh()));
    let part = part.min(whole).to_milliwatt_hours();
    // Prices of a checked charter are far too small for the product to be held at its largest.
    let way = end.saturating_sub(start).saturating_mul(i128::from(part));
    let way = way.checked_div_euclid(i128::from(whole.to_milliwatt_hours())).unwrap_or(0);
    i64::try_from(start.saturating_add(way)).map_or(from, Price::from_msat_per_kwh)
}

/// The sum, or `None` beyond 63 bits.
pub(super) fn plus(price: Price, other: Price) -> Option<Price> {
    price.to_msat_per_kwh().checked_add(other.to_msat_per_kwh()).map(Price::from_msat_per_kwh)
}

/// The difference, or `None` beyond 63 bits.
pub(super) fn minus(price: Price, other: Price) -> Option<Price> {
    price.to_msat_per_kwh().checked_sub(other.to_msat_per_kwh()).map(Price::from_msat_per_kwh)
}

fn negated(price: Price) -> Option<Price> {
    price.to_msat_per_kwh().checked_neg().map(Price::from_msat_per_kwh)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(msat: i64) -> Price {
        Price::from_msat_per_kwh(msat)
    }

    #[test]
    fn scaling_rounds_as_it_says_on_both_sides_of_zero() {
        assert_eq!(scaled_floor(price(10), 1, 3), Some(price(3)));
        assert_eq!(scaled_ceil(price(10), 1, 3), Some(price(4)));
        assert_eq!(scaled_floor(price(-10), 1, 3), Some(price(-4)));
        assert_eq!(scaled_ceil(price(-10), 1, 3), Some(price(-3)));
        assert_eq!(scaled_floor(price(10), 1, 0), None);
        assert_eq!(scaled_floor(price(i64::MIN), u64::MAX, 1), None);
    }

    #[test]
    fn a_price_between_two_moves_from_one_to_the_other() {
        let at = |part| {
            let whole = Energy::from_milliwatt_hours(4);
            between(price(300), price(-100), Energy::from_milliwatt_hours(part), whole)
        };
        assert_eq!([0, 1, 4, 5].map(at), [300, 200, -100, -100].map(price));
        let nothing = between(price(300), price(0), Energy::ZERO, Energy::ZERO);
        assert_eq!(nothing, price(300));
        let most = Energy::from_milliwatt_hours(u64::MAX);
        between(price(i64::MIN), price(i64::MAX), most, most);
    }
}
