//! Nobody owes what it did not sign, or beyond the limits of its own order (P17): the guarantee that
//! needs no assumption about anybody else.
//!
//! Computed anew from the signed bytes on the node's disk, not from what its market remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_protocol::confirm::{TradeConfirm, TradeTerms};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::order::{Order, Side};
use boltgrid_protocol::units::Interval;

use super::{Facts, Findings, Guarantee, Here};
use crate::sim::journal::Journal;

/// What honest nodes wrote, readable.
#[derive(Debug, Default)]
pub(super) struct OwnOrders {
    orders: BTreeMap<(usize, Interval), Verified<Order>>,
    confirms: BTreeMap<(usize, Interval), BTreeMap<Slot, Verified<TradeConfirm>>>,
}

impl OwnOrders {
    /// An honest node wrote something.
    pub(super) fn stored(&mut self, here: Here, entry: &JournalEntry, message: &Message) {
        let key = (here.node, entry.slot.interval());
        match message {
            Message::Order(order) => drop(self.orders.insert(key, order.clone())),
            Message::Confirm(confirm) => {
                self.confirms.entry(key).or_default().insert(entry.slot, confirm.clone());
            }
            Message::Ack(_)
            | Message::Proposal(_)
            | Message::Vote(_)
            | Message::Reading(_)
            | Message::Evidence(_)
            | Message::PeerRecord(_)
            | Message::Offer(_)
            | Message::Acceptance(_)
            | Message::Reply(_)
            | Message::Invoice(_)
            | Message::Deed(_)
            | Message::Seal(_)
            | Message::Share(_) => {}
        }
    }

    /// The order of an honest node, as long as it is on its disk.
    pub(super) fn order(
        &self,
        node: usize,
        interval: Interval,
        journal: &Journal,
    ) -> Option<&Order> {
        let order = self.orders.get(&(node, interval))?;
        on_disk(journal, Slot::Order(interval), order.bytes()).then_some(order.body())
    }

    /// An honest node lets its confirm leave.
    pub(super) fn confirmed(
        &self,
        facts: &mut Facts,
        findings: &mut Findings,
        here: Here,
        (confirm, journal): (&Verified<TradeConfirm>, &Journal),
    ) {
        let interval = confirm.interval();
        let slot = Slot::Confirm(interval, confirm.body().terms.index);
        if !on_disk(journal, slot, confirm.bytes()) {
            let what = "its confirm leaves and is not on disk".to_owned();
            findings.at(Guarantee::OwnOrder, here, interval, what);
        }
        self.within(facts, findings, here, (interval, journal));
    }

    /// An honest node says that it is bound to a trade.
    pub(super) fn bound(
        &self,
        facts: &mut Facts,
        findings: &mut Findings,
        here: Here,
        (interval, terms, journal): (Interval, &TradeTerms, &Journal),
    ) {
        let roster = facts.roster(interval);
        let me = facts.index_of(&roster, here.node);
        let written = self.confirms.get(&(here.node, interval));
        let signed = |slot| {
            let confirm = written?.get(&slot)?;
            on_disk(journal, slot, confirm.bytes()).then_some(confirm)
        };
        let ours = signed(Slot::Confirm(interval, terms.index));
        let theirs = signed(Slot::Countersigned(interval, terms.index));
        let firm = ours.zip(theirs).is_some_and(|(ours, theirs)| {
            let sides = [terms.seller, terms.buyer];
            let [one, other] = [ours, theirs].map(|it| *it.body());
            let lesser = one.terms.energy_mwh.min(other.terms.energy_mwh);
            (one.book, one.clearing) == (other.book, other.clearing)
                && [one, other].iter().all(|it| terms.is_part_of(&it.terms))
                && terms.energy_mwh == lesser
                && Some(ours.author()) == me
                && ours.author() != theirs.author()
                && sides.contains(&ours.author())
                && sides.contains(&theirs.author())
        });
        if !firm {
            let what = format!("it is bound to trade {} without two signatures", terms.index);
            findings.at(Guarantee::OwnOrder, here, interval, what);
        }
        self.within(facts, findings, here, (interval, journal));
    }

    /// Everything that the node signed in an interval is inside its own signed order.
    fn within(
        &self,
        facts: &mut Facts,
        findings: &mut Findings,
        here: Here,
        (interval, journal): (Interval, &Journal),
    ) {
        let roster = facts.roster(interval);
        let me = facts.index_of(&roster, here.node);
        let order = self.order(here.node, interval, journal);
        let written = self.confirms.get(&(here.node, interval));
        let terms: Vec<TradeTerms> = written
            .into_iter()
            .flatten()
            .filter(|(slot, _)| matches!(slot, Slot::Confirm(..)))
            .map(|(_, confirm)| confirm.body().terms)
            .collect();
        let inside = terms.iter().all(|one| {
            [Side::Sell, Side::Buy].into_iter().all(|side| {
                let offered = order.map_or(0, |order| offered(order, side, one));
                sum(&terms, side, me) <= offered
            })
        });
        if !inside {
            let what = format!("its {} trades together are not inside its own order", terms.len());
            findings.at(Guarantee::OwnOrder, here, interval, what);
        }
    }
}

fn on_disk(journal: &Journal, slot: Slot, bytes: &Arc<[u8]>) -> bool {
    journal.get(slot).is_some_and(|entry| entry.bytes == *bytes)
}

/// What `me` trades on one side, in mWh.
fn sum(terms: &[TradeTerms], side: Side, me: Option<RosterIndex>) -> u128 {
    let mine = |it: &&TradeTerms| Some(if side == Side::Sell { it.seller } else { it.buyer }) == me;
    terms.iter().filter(mine).map(|it| u128::from(it.energy_mwh.to_milliwatt_hours())).sum()
}

/// What an order offers on one side at the price of a trade, in mWh.
fn offered(order: &Order, side: Side, at: &TradeTerms) -> u128 {
    order
        .side(side)
        .filter(|step| match side {
            Side::Sell => step.limit_msat_per_kwh <= at.price_msat_per_kwh,
            Side::Buy => step.limit_msat_per_kwh >= at.price_msat_per_kwh,
        })
        .map(|step| u128::from(step.energy_mwh.to_milliwatt_hours()))
        .sum()
}
