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
    /// How much is contracted.
    pub energy_mwh: Energy,
    /// At what price; negative means that the seller pays.
    pub price_msat_per_kwh: Price,
}

/// "I am bound to this trade if you are" (P17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeConfirm {
    /// The certified book.
    pub book: BookHash,
    /// The clearing that the trade is part of.
    pub clearing: ClearingDigest,
    /// The trade.
    pub terms: TradeTerms,
}
