//! This node's trades of one cleared interval: which it may sign, and which both sides signed (P17).

use std::collections::BTreeMap;

use boltgrid_protocol::confirm::{TradeConfirm, TradeTerms};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{Order, Side};
use boltgrid_protocol::units::Energy;

/// One of our trades.
#[derive(Debug)]
pub(super) struct Contract {
    /// All of it, as it was cleared.
    pub(super) terms: TradeTerms,
    /// Our signature under it or a part of it, once it is stored.
    pub(super) ours: Option<Verified<TradeConfirm>>,
    /// The other side's.
    pub(super) theirs: Option<Verified<TradeConfirm>>,
    /// How often theirs came again and was answered with ours.
    answers: u8,
}

/// How often a confirm that comes again is answered: two nodes that have all they need would
/// otherwise answer each other until the deadline.
const ANSWERS_MAX: u8 = 4;

impl Contract {
    /// Whether both sides signed.
    pub(super) const fn is_firm(&self) -> bool {
        self.ours.is_some() && self.theirs.is_some()
    }

    /// What both sides are bound to: the lesser of what they signed.
    pub(super) fn firm(&self) -> Option<TradeTerms> {
        let ours = self.ours.as_ref()?.body().terms;
        let theirs = self.theirs.as_ref()?.body().terms;
        Some(TradeTerms { energy_mwh: ours.energy_mwh.min(theirs.energy_mwh), ..self.terms })
    }

    /// Whether a confirm that came again is still to be answered: its sender may lack ours.
    pub(super) const fn answers_again(&mut self) -> bool {
        let answers = self.answers < ANSWERS_MAX;
        self.answers = self.answers.saturating_add(1);
        answers
    }

    /// Who is on the other side of `me`.
    pub(super) fn counterparty(&self, me: RosterIndex) -> RosterIndex {
        if self.terms.seller == me { self.terms.buyer } else { self.terms.seller }
    }

    /// Who would owe `me` for it: the other side, unless we are the one that pays.
    pub(super) fn debtor(&self, me: RosterIndex) -> Option<RosterIndex> {
        let sells = self.terms.seller == me;
        let is_paid = sells != self.terms.price_msat_per_kwh.is_negative();
        is_paid.then(|| self.counterparty(me))
    }
}

/// This node's trades of one interval, by their place in the clearing.
pub(super) type Contracts = BTreeMap<u32, Contract>;

/// The trades of a clearing that `me` is part of.
pub(super) fn of(trades: &[TradeTerms], me: RosterIndex) -> Contracts {
    trades
        .iter()
        .filter(|terms| terms.seller == me || terms.buyer == me)
        .map(|terms| {
            (terms.index, Contract { terms: *terms, ours: None, theirs: None, answers: 0 })
        })
        .collect()
}

/// The local invariant all safety rests on (P17): what we would be bound to is inside our own order,
/// whatever anyone else says.
pub(super) fn within_order(contracts: &Contracts, me: RosterIndex, order: &Order) -> bool {
    let mut terms = contracts.values().map(|contract| &contract.terms);
    let side = |side| {
        contracts
            .values()
            .filter(move |contract| (contract.terms.seller == me) == (side == Side::Sell))
            .try_fold(Energy::ZERO, |sum, contract| sum.checked_add(contract.terms.energy_mwh))
    };
    let Some(price) = terms.next().map(|terms| terms.price_msat_per_kwh) else {
        return true;
    };
    let offered = |side| {
        order
            .side(side)
            .filter(|step| match side {
                Side::Buy => step.limit_msat_per_kwh >= price,
                Side::Sell => step.limit_msat_per_kwh <= price,
            })
            .try_fold(Energy::ZERO, |sum, step| sum.checked_add(step.energy_mwh))
    };
    terms.all(|terms| terms.price_msat_per_kwh == price)
        && [Side::Buy, Side::Sell].into_iter().all(|wanted| {
            matches!((side(wanted), offered(wanted)), (Some(bound), Some(most)) if bound <= most)
        })
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::order::{Source, Step};
    use boltgrid_protocol::units::Price;

    use super::*;

    const ME: RosterIndex = RosterIndex::new(0);

    fn sell(energy: u64, limit: i64) -> Order {
        let step = Step {
            side: Side::Sell,
            source: Source::Pv,
            energy_mwh: Energy::from_milliwatt_hours(energy),
            limit_msat_per_kwh: Price::from_msat_per_kwh(limit),
        };
        Order { steps: vec![step], ..Order::default() }
    }

    fn sold(energies: &[u64], price: i64) -> Contracts {
        let trades: Vec<TradeTerms> = (0_u32..)
            .zip(energies)
            .map(|(index, energy)| TradeTerms {
                index,
                seller: ME,
                buyer: RosterIndex::new(index + 1),
                energy_mwh: Energy::from_milliwatt_hours(*energy),
                price_msat_per_kwh: Price::from_msat_per_kwh(price),
            })
            .collect();
        of(&trades, ME)
    }

    #[test]
    fn trades_inside_the_own_order_may_be_signed() {
        assert!(within_order(&sold(&[60, 40], 10), ME, &sell(100, 10)));
        assert!(within_order(&sold(&[], 10), ME, &sell(100, 10)));
    }

    #[test]
    fn more_energy_than_offered_is_never_signed() {
        assert!(!within_order(&sold(&[60, 41], 10), ME, &sell(100, 10)));
        assert!(!within_order(&sold(&[u64::MAX, u64::MAX], 10), ME, &sell(100, 10)));
    }

    #[test]
    fn a_price_beyond_the_own_limit_is_never_signed() {
        assert!(!within_order(&sold(&[1], 9), ME, &sell(100, 10)));
    }

    #[test]
    fn the_wrong_side_is_never_signed() {
        let mut buy = sell(100, 10);
        buy.steps[0].side = Side::Buy;
        assert!(!within_order(&sold(&[1], 10), ME, &buy));
    }
}
