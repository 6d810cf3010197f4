//! The book in canonical order, and its steps as one flat list of offers.
//! Not for: whether an order may be in the book (rule P8), though what could not be is left out here.

use boltgrid_protocol::charter::PriceBand;
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{Side, Step};
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
    /// The energy if the offer is on `side`, else none.
    pub(super) fn energy_on(&self, side: Side) -> Energy {
        if self.side == side { self.energy } else { Energy::ZERO }
    }
}

/// All offers of a book, by whether they come from beyond the grid connection.
#[derive(Debug, Default)]
pub(super) struct Offers {
    pub(super) inside: Vec<Offer>,
    pub(super) outside: Vec<Offer>,
}

/// The book by participant, one order each. The auction sees it only so, and therefore cannot depend
/// on the order in which the book came.
#[derive(Debug)]
pub(super) struct Ranked<'book> {
    orders: Vec<&'book BookOrder>,
}

impl<'book> Ranked<'book> {
    /// Ranks a book. Roster indices have 32 bits, so ranks do.
    pub(super) fn new(book: &'book [BookOrder]) -> Self {
        let mut orders: Vec<_> = book.iter().collect();
        if !orders.is_sorted_by(|a, b| a.participant < b.participant) {
            orders.sort_unstable_by_key(|order| (order.participant, order.hash));
            orders.dedup_by_key(|order| order.participant);
        }
        Self { orders }
    }

    /// The order of this rank.
    pub(super) fn get(&self, rank: u32) -> Option<&'book BookOrder> {
        self.orders.get(usize::try_from(rank).ok()?).copied()
    }

    /// The rank of this participant's order.
    pub(super) fn find(&self, participant: RosterIndex) -> Option<u32> {
        let place = self.orders.binary_search_by_key(&participant, |order| order.participant);
        u32::try_from(place.ok()?).ok()
    }

    /// How many orders there are.
    pub(super) fn len(&self) -> usize {
        self.orders.len()
    }

    /// All orders with their ranks, by participant.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &'book BookOrder)> {
        (0..=u32::MAX).zip(self.orders.iter().copied())
    }

    /// The offers of all orders.
    pub(super) fn offers(&self, band: &PriceBand) -> Offers {
        let mut offers = Offers { inside: Vec::with_capacity(self.len()), outside: Vec::new() };
        for (rank, order) in self.iter().filter(|(_, order)| !is_crossed(&order.order.steps)) {
            let list = if order.outside { &mut offers.outside } else { &mut offers.inside };
            let steps = (0..=u8::MAX).zip(&order.order.steps);
            list.extend(steps.filter(|(_, step)| is_valid(step, band)).map(|(place, step)| {
                Offer {
                    limit: step.limit_msat_per_kwh,
                    energy: step.energy_mwh,
                    rank,
                    step: place,
                    side: step.side,
                }
            }));
        }
        offers
    }
}

fn is_valid(step: &Step, band: &PriceBand) -> bool {
    band.contains(step.limit_msat_per_kwh) && !step.energy_mwh.is_zero()
}

/// Whether the order could trade with itself.
fn is_crossed(steps: &[Step]) -> bool {
    let limits = |side| {
        steps.iter().filter(move |step| step.side == side).map(|step| step.limit_msat_per_kwh)
    };
    let (highest_buy, lowest_sell) = (limits(Side::Buy).max(), limits(Side::Sell).min());
    highest_buy.zip(lowest_sell).is_some_and(|(buy, sell)| buy >= sell)
}
