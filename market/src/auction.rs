//! The auction: from the orders of one interval to one price and the trades at it.
//!
//! It matches as much energy as one price can, sets that price in the middle of what everyone
//! accepts, and pairs buyers with sellers. It is a pure function in integers, the same on every node
//! and for every order of the book. In short:
//!
//! 1. `offer`: the book in canonical order, as a flat list of offers.
//! 2. `capacity`: offers from beyond the grid connection are cut to what it can carry.
//! 3. `curve`: where supply and demand cross; `share`: ties there are shared pro rata;
//!    `execution`: what each offer executes, and the price.
//! 4. `pairing`: who delivers to whom, which changes nobody's price or energy.
//!
//! Not for: agreement on the book, line losses, or what is owed after delivery.

mod capacity;
mod curve;
mod execution;
mod named;
mod offer;
mod pairing;
mod share;

use boltgrid_protocol::charter::PriceBand;
use boltgrid_protocol::id::{ClearingDigest, MessageHash, RosterIndex};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::units::{Energy, Interval, Price};
use serde::{Deserialize, Serialize};

use execution::Executed;
use offer::{Offers, Ranked};
use share::Lots;

/// One order of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookOrder {
    /// Whose order it is.
    pub participant: RosterIndex,
    /// The hash of the signed message that carried it. It draws the lots of rounding.
    pub hash: MessageHash,
    /// Whether the participant is connected beyond the grid connection.
    pub outside: bool,
    /// The order itself.
    pub order: Order,
}

/// What the charter says about one interval's auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuctionRules {
    /// The prices an order may name.
    pub band: PriceBand,
    /// Most energy that outside sellers may bring in over the interval.
    pub import_cap: Energy,
    /// Most energy that outside buyers may take out over the interval.
    pub export_cap: Energy,
}

/// Energy that one participant contracts to deliver to another at the price of the clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Who delivers.
    pub seller: RosterIndex,
    /// Who receives.
    pub buyer: RosterIndex,
    /// How much, above zero.
    pub energy_mwh: Energy,
}

/// What one step of an order executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Whose step it is.
    pub participant: RosterIndex,
    /// The step's place in the order, counted from zero.
    pub step: u8,
    /// How much, above zero and at most the step's energy.
    pub energy: Energy,
}

/// The outcome of one interval's auction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clearing {
    /// The interval.
    pub interval: Interval,
    /// The price of every trade; there is one exactly when there is volume.
    pub price_msat_per_kwh: Option<Price>,
    /// The sum of all trades.
    pub volume_mwh: Energy,
    /// The trades by seller, then buyer; no pair twice.
    pub trades: Vec<Trade>,
}

/// Clears one interval's book.
///
/// The book may come in any order; roster order is fastest. It is expected to hold one order per
/// participant, each of which passed rule P8. Whatever else it holds is left out, so that nobody
/// trades with itself or beyond the band: of several orders of one participant all but the one with
/// the smallest hash, an order whose buy limit is not below its sell limits, a step without energy or
/// with a limit outside the band, all steps of an order after the 256th, and all preferences after the
/// eighth.
///
/// At most `u64::MAX` mWh are matched; where more could be, each side is first cut to that in merit
/// order.
#[must_use]
pub fn clear(interval: Interval, rules: &AuctionRules, book: &[BookOrder]) -> Clearing {
    let ranked = Ranked::new(book);
    let (executed, naming) = execute(interval, rules, &ranked);
    Clearing {
        interval,
        price_msat_per_kwh: executed.price,
        volume_mwh: executed.volume,
        trades: pairing::pair(&ranked, &executed.offers, &naming),
    }
}

/// What each step executes when `book` is cleared, by participant, then step; those that execute
/// nothing are left out. The sums per participant are those of [`clear`]'s trades.
#[must_use]
pub fn executions(interval: Interval, rules: &AuctionRules, book: &[BookOrder]) -> Vec<Execution> {
    let ranked = Ranked::new(book);
    let (Executed { mut offers, .. }, _) = execute(interval, rules, &ranked);
    offers.retain(|offer| !offer.energy.is_zero());
    offers.sort_unstable_by_key(|offer| (offer.rank, offer.step));
    offers
        .iter()
        .filter_map(|offer| {
            let participant = ranked.participant(offer.rank)?;
            Some(Execution { participant, step: offer.step, energy: offer.energy })
        })
        .collect()
}

/// Everything up to pairing, and which orders name somebody.
fn execute(interval: Interval, rules: &AuctionRules, ranked: &Ranked<'_>) -> (Executed, Vec<u32>) {
    let lots = Lots { interval, ranked };
    let Offers { inside, outside, naming } = Offers::new(ranked, &rules.band);
    let offers = capacity::within_capacity(inside, &outside, rules, &lots);
    (execution::execute(offers, &lots), naming)
}

impl Clearing {
    /// A hash of everything in the clearing: equal exactly for equal clearings.
    #[must_use]
    pub fn digest(&self) -> ClearingDigest {
        /// Trades per update of the hash: large enough for its wide instructions.
        const BATCH: usize = 4096;
        let price = self.price_msat_per_kwh.map(Price::to_msat_per_kwh);
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 clearing");
        hasher
            .update(&self.interval.to_number().to_le_bytes())
            .update(&[u8::from(price.is_some())])
            .update(&price.unwrap_or_default().to_le_bytes())
            .update(&self.volume_mwh.to_milliwatt_hours().to_le_bytes());
        let mut bytes = Vec::new();
        for batch in self.trades.chunks(BATCH) {
            bytes.clear();
            bytes.extend(batch.iter().flat_map(|trade| trade.to_bytes()));
            hasher.update(&bytes);
        }
        ClearingDigest::from_bytes(*hasher.finalize().as_bytes())
    }
}

impl Trade {
    /// Seller, buyer and energy, each little-endian in its full width.
    fn to_bytes(self) -> [u8; 16] {
        let high = u128::from(self.energy_mwh.to_milliwatt_hours()) << 64;
        let middle = u128::from(self.buyer.get()) << 32;
        (high | middle | u128::from(self.seller.get())).to_le_bytes()
    }
}
