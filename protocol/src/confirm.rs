//! A trade and its confirm: two of these, one by each side, make an obligation; one makes none.

use serde::{Deserialize, Serialize};

use crate::id::{BookHash, ClearingDigest, RosterIndex};
use crate::units::{Energy, Price};

/// One trade of a clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeTerms {
    /// Its place in the clearing.
    pub index: u32,
    /// Who gives energy.
    pub seller: RosterIndex,
    /// Who takes energy.
    pub buyer: RosterIndex,
    /// How much is contracted; in a confirm, how much of it the signer stands for.
    pub energy_mwh: Energy,
    /// At what price; negative means that the seller pays.
    pub price_msat_per_kwh: Price,
}

impl TradeTerms {
    /// Whether this is a trade or a part of it: the same but for less energy, and that above zero.
    #[must_use]
    pub fn is_part_of(&self, whole: &Self) -> bool {
        let Self { energy_mwh, .. } = *self;
        *self == Self { energy_mwh, ..*whole }
            && !energy_mwh.is_zero()
            && energy_mwh <= whole.energy_mwh
    }
}

/// "I am bound to this trade, or this part of it, if you are" (P17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeConfirm {
    /// The certified book.
    pub book: BookHash,
    /// The clearing that the trade is part of.
    pub clearing: ClearingDigest,
    /// The trade, or the part of it.
    pub terms: TradeTerms,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_the_same_trade_with_less_energy() {
        let whole = TradeTerms {
            index: 3,
            seller: RosterIndex::new(1),
            buyer: RosterIndex::new(2),
            energy_mwh: Energy::from_milliwatt_hours(100),
            price_msat_per_kwh: Price::from_msat_per_kwh(80_000),
        };
        let of = |energy| TradeTerms { energy_mwh: Energy::from_milliwatt_hours(energy), ..whole };
        assert!([1, 99, 100].into_iter().all(|energy| of(energy).is_part_of(&whole)));
        assert!([0, 101].into_iter().all(|energy| !of(energy).is_part_of(&whole)));
        let others = [
            TradeTerms { index: 4, ..whole },
            TradeTerms { seller: RosterIndex::new(3), ..whole },
            TradeTerms { buyer: RosterIndex::new(3), ..whole },
            TradeTerms { price_msat_per_kwh: Price::from_msat_per_kwh(79_999), ..whole },
        ];
        assert!(others.into_iter().all(|other| !other.is_part_of(&whole)));
    }
}
