//! The book in canonical order, and its steps as one flat list of offers.
//! Not for: whether an order may be in the book (rule P8), though what could not be is left out here.

use boltgrid_protocol::charter::PriceBand;
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{Order, Side, Step};
use boltgrid_protocol::units::{Energy, Price};

use super::BookOrder;

/// One step of the book, small enough to be moved about by the million.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// The highest price to buy at, or the lowest to sell at.
    pub(super) limit: Price,
    /// How much is offered; after execution, how much of it executed.
    pub(super) energy: Energy,
    /// The rank of its order in [`Ranked`].
    pub(super) rank: u32,
    /// Its place in the order.
    pub(super) step: u8,
    /// Buy or sell.
    pub(super) side: Side,
}

impl Offer {
    fn new(rank: u32, place: u8, step: &Step) -> Self {
        let Step { side, energy_mwh: energy, limit_msat_per_kwh: limit, .. } = *step;
        Self { limit, energy, rank, step: place, side }
    }

    /// The energy if the offer is on `side`, else none.
    pub(super) fn energy_on(&self, side: Side) -> Energy {
        if self.side == side { self.energy } else { Energy::ZERO }
    }
}

/// The book by participant, one order each. The auction sees it only so, and therefore cannot depend
/// on the order in which the book came.
#[derive(Debug)]
pub(super) struct Ranked<'book> {
    orders: Vec<&'book BookOrder>,
    participants: Vec<RosterIndex>,
}

impl<'book> Ranked<'book> {
    /// Ranks a book. Roster indices have 32 bits, so ranks do.
    pub(super) fn new(book: &'book [BookOrder]) -> Self {
        let mut orders: Vec<_> = book.iter().collect();
        let mut participants: Vec<_> = orders.iter().map(|order| order.participant).collect();
        if !participants.is_sorted_by(|a, b| a < b) {
            orders.sort_unstable_by_key(|order| (order.participant, order.hash));
            orders.dedup_by_key(|order| order.participant);
            participants = orders.iter().map(|order| order.participant).collect();
        }
        Self { orders, participants }
    }

    /// The order of this rank.
    pub(super) fn get(&self, rank: u32) -> Option<&'book BookOrder> {
        self.orders.get(usize::try_from(rank).ok()?).copied()
    }

    /// The participant of this rank.
    pub(super) fn participant(&self, rank: u32) -> Option<RosterIndex> {
        self.participants.get(usize::try_from(rank).ok()?).copied()
    }

    /// The rank of this participant.
    pub(super) fn find(&self, participant: RosterIndex) -> Option<u32> {
        u32::try_from(self.participants.binary_search(&participant).ok()?).ok()
    }

    /// How many orders there are.
    pub(super) fn len(&self) -> usize {
        self.orders.len()
    }
}

/// The steps of a book.
#[derive(Debug)]
pub(super) struct Offers {
    /// Those of participants inside the grid connection.
    pub(super) inside: Vec<Offer>,
    /// Those of participants beyond it.
    pub(super) outside: Vec<Offer>,
    /// The ranks of the orders that name channel partners or preferences, by rank.
    pub(super) naming: Vec<u32>,
}

impl Offers {
    /// The steps that can trade at a price in the band.
    pub(super) fn new(ranked: &Ranked<'_>, band: &PriceBand) -> Self {
        // Most sites send a step or two.
        let inside = Vec::with_capacity(ranked.len().saturating_mul(2));
        let mut offers = Self { inside, outside: Vec::new(), naming: Vec::new() };
        for (rank, order) in (0..=u32::MAX).zip(&ranked.orders) {
            let list = if order.outside { &mut offers.outside } else { &mut offers.inside };
            let Order { steps, channel_partners, preferences, .. } = &order.order;
            if !is_crossed(steps) {
                let steps = (0..=u8::MAX).zip(steps).filter(|(_, step)| is_valid(step, band));
                list.extend(steps.map(|(place, step)| Offer::new(rank, place, step)));
            }
            if !(channel_partners.is_empty() && preferences.is_empty()) {
                offers.naming.push(rank);
            }
        }
        offers
    }
}

fn is_valid(step: &Step, band: &PriceBand) -> bool {
    band.contains(step.limit_msat_per_kwh) && !step.energy_mwh.is_zero()
}

/// Whether the order could trade with itself.
fn is_crossed(steps: &[Step]) -> bool {
    let (mut highest_buy, mut lowest_sell) = (None, None);
    for step in steps {
        let limit = step.limit_msat_per_kwh;
        match step.side {
            Side::Buy => highest_buy = highest_buy.max(Some(limit)),
            Side::Sell => {
                lowest_sell = Some(lowest_sell.map_or(limit, |lowest: Price| lowest.min(limit)));
            }
        }
    }
    matches!((highest_buy, lowest_sell), (Some(buy), Some(sell)) if buy >= sell)
}
