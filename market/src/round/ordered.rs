//! What the orders of a book come to, all together and of each author: all that is known of what
//! flows where readings are not open (P40, P42).

use std::collections::BTreeMap;

use boltgrid_protocol::agreement::{Book, BookEntry};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{Order, Side};
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::{Energy, Power, scale_floor};

use crate::GridPower;

/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;

/// What one order moves at most, with what its author has traded ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) bought: Energy,
    pub(crate) sold: Energy,
}

impl Moves {
    fn by(order: &Order) -> Self {
        let side = |side, ahead: Energy| {
            order.side(side).fold(ahead, |sum, step| sum.saturating_add(step.energy_mwh))
        };
        Self {
            bought: side(Side::Buy, order.committed_buy_mwh),
            sold: side(Side::Sell, order.committed_sell_mwh),
        }
    }
}

/// What each author of a book's orders moves by them, as far as they are at hand.
pub(super) fn moves<'a>(
    book: &Book,
    find: impl Fn(&BookEntry) -> Option<&'a Verified<Order>>,
) -> BTreeMap<RosterIndex, Moves> {
    let entries = book.entries.iter();
    entries.filter_map(|entry| Some((entry.author, Moves::by(find(entry)?.body())))).collect()
}

/// The sum of orders of sites inside the grid connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ordered {
    bought: Energy,
    sold: Energy,
    orders: usize,
}

impl Ordered {
    /// What a book's orders come to, as far as they are at hand.
    pub(super) fn of<'a>(
        book: &Book,
        roster: &Roster,
        find: impl Fn(&BookEntry) -> Option<&'a Verified<Order>>,
    ) -> Self {
        let mut ordered = Self::default();
        for entry in &book.entries {
            let is_inside =
                roster.member(entry.author).is_some_and(|member| !member.enrolment.outside);
            if let Some(order) = find(entry).filter(|_| is_inside) {
                ordered.add(order.body());
            }
        }
        ordered
    }

    /// Adds an order, with what its author has traded ahead.
    fn add(&mut self, order: &Order) {
        let Moves { bought, sold } = Moves::by(order);
        self.bought = self.bought.saturating_add(bought);
        self.sold = self.sold.saturating_add(sold);
        self.orders = self.orders.saturating_add(1);
    }

    /// What flows over an interval if everybody takes and gives what it ordered: nobody is known to
    /// have turned anything down, so that a connection that could be full counts as full.
    pub(crate) fn power(self, interval_ms: u64) -> GridPower {
        let over = |energy: Energy| {
            let mw = scale_floor(energy.to_milliwatt_hours(), HOUR_MS, interval_ms);
            mw.ok().and_then(|mw| i64::try_from(mw).ok()).unwrap_or(i64::MAX)
        };
        let taken = over(self.bought.saturating_sub(self.sold));
        let given = over(self.sold.saturating_sub(self.bought));
        let power_mw = Power::from_milliwatts(taken.saturating_sub(given));
        GridPower { power_mw, potential_mw: power_mw, members: self.orders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_protocol::order::{Source, Step};
    use boltgrid_protocol::units::Price;

    fn order(side: Side, energy: u64) -> Order {
        let step = Step {
            side,
            source: Source::Pv,
            energy_mwh: Energy::from_milliwatt_hours(energy),
            limit_msat_per_kwh: Price::from_msat_per_kwh(1),
        };
        Order { steps: vec![step], ..Order::default() }
    }

    #[test]
    fn what_is_ordered_is_the_power_that_is_reckoned_with() {
        let mut ordered = Ordered::default();
        assert_eq!(ordered.power(300_000), GridPower::default());
        ordered.add(&order(Side::Buy, 1_000));
        let ahead = Energy::from_milliwatt_hours(2_000);
        ordered.add(&Order { committed_sell_mwh: ahead, ..order(Side::Sell, 5_000) });
        // 6 Wh more are given than taken in five minutes: 72 W.
        let power_mw = Power::from_milliwatts(-72_000);
        let expected = GridPower { power_mw, potential_mw: power_mw, members: 2 };
        assert_eq!(ordered.power(300_000), expected);
    }
}
