//! An order held by all honest voters at the gate is in the certified book; one seen by none is not
//! (P14), and every honest ack says what its voter held (P13).
//!
//! What a voter holds is what reached its market before the gate on its own clock, as the simulator
//! saw it. What came between the gate and the skew after it may count or not. Not for: which of
//! several orders of one author counts.

use std::collections::{BTreeMap, BTreeSet};

use boltgrid_market::effect::Slot;
use boltgrid_protocol::agreement::Ack;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::bars::Bars;
use super::one_book::OneBook;
use super::{Facts, Findings, Guarantee, Here};

/// Intervals for which what was heard is kept after an interval's book is known: a voter that stood
/// still at a gate acks late if its clock steps back, and says what it held then.
const HEARD_INTERVALS: u64 = 16;

/// What one voter held when it acked.
#[derive(Debug)]
struct Held {
    surely: BTreeSet<RosterIndex>,
    perhaps: BTreeSet<RosterIndex>,
}

/// What every honest node heard, and held at the gate.
#[derive(Debug, Default)]
pub(super) struct Inclusion {
    /// When each node first heard each author, on its own clock.
    heard: BTreeMap<(usize, Interval), BTreeMap<RosterIndex, Timestamp>>,
    /// The nodes that placed an order.
    placed: BTreeSet<(usize, Interval)>,
    acked: BTreeMap<Interval, BTreeMap<usize, Held>>,
}

impl Inclusion {
    /// A gossiped message came to an honest node.
    pub(super) fn heard(&mut self, facts: &Facts, here: Here, message: &Message) {
        let Message::Order(order) = message else { return };
        let schedule = facts.schedule(order.interval());
        let skew_ms = facts.charter.interval.clock_skew_max_ms;
        let in_time = here.local.plus_ms(skew_ms) >= schedule.orders_open
            && here.local <= schedule.gate.plus_ms(skew_ms);
        if in_time {
            let heard = self.heard.entry((here.node, order.interval())).or_default();
            heard.entry(order.author()).or_insert(here.local);
        }
    }

    pub(super) fn stored(
        &mut self,
        facts: &mut Facts,
        findings: &mut Findings,
        (here, slot, message): (Here, Slot, &Message),
        bars: &Bars,
    ) {
        match (slot, message) {
            (Slot::Order(interval), _) => drop(self.placed.insert((here.node, interval))),
            (Slot::Ack(_), Message::Ack(ack)) => self.acked(facts, findings, (here, ack), bars),
            _ => {}
        }
    }

    fn acked(
        &mut self,
        facts: &mut Facts,
        findings: &mut Findings,
        (here, ack): (Here, &Verified<Ack>),
        bars: &Bars,
    ) {
        let interval = ack.interval();
        let roster = facts.roster(interval);
        let gate = facts.schedule(interval).gate;
        let heard = self.heard.entry((here.node, interval)).or_default();
        if self.placed.contains(&(here.node, interval)) {
            heard.insert(ack.author(), Timestamp::default());
        }
        let perhaps: BTreeSet<RosterIndex> = heard.keys().copied().collect();
        let is_barred = |author: &RosterIndex| {
            let participant: Option<ParticipantId> = roster.participant(*author);
            participant.is_some_and(|it| bars.has(here.node, &it, interval))
        };
        let surely: BTreeSet<RosterIndex> = heard
            .iter()
            .filter(|(author, at)| **at < gate && !is_barred(author))
            .map(|(author, _)| *author)
            .collect();
        let says: BTreeSet<RosterIndex> = ack.body().held.iter().collect();
        if !says.is_subset(&perhaps) || !surely.is_subset(&says) {
            let what = format!("its ack says {says:?}, and it held {surely:?} of {perhaps:?}");
            findings.at(Guarantee::Inclusion, here, interval, what);
        }
        let held = Held { surely, perhaps };
        self.acked.entry(interval).or_default().entry(here.node).or_insert(held);
    }

    /// A node stopped: what it heard is gone.
    pub(super) fn forget(&mut self, node: usize) {
        self.heard.retain(|(at, _), _| *at != node);
    }

    /// Everything about an interval's book is known.
    pub(super) fn closed(
        &mut self,
        facts: &mut Facts,
        findings: &mut Findings,
        (at_ms, interval): (u64, Interval),
        (books, bars): (&OneBook, &Bars),
    ) {
        let acked = self.acked.remove(&interval).unwrap_or_default();
        self.heard.retain(|(_, of), _| of.plus(HEARD_INTERVALS) > interval);
        let Some(book) = books.entries(interval).filter(|_| facts.few_faulty(interval)) else {
            return;
        };
        let roster = facts.roster(interval);
        for author in (0_u32..).take(roster.members().len()).map(RosterIndex::new) {
            let barred = roster
                .participant(author)
                .is_some_and(|participant| bars.anywhere(&participant, interval));
            let by_all = !acked.is_empty() && acked.values().all(|it| it.surely.contains(&author));
            let by_none = acked.values().all(|it| !it.perhaps.contains(&author));
            let is_in = book.contains(&author);
            if (by_all && !barred && !is_in) || (by_none && is_in) {
                let holds = if by_all { "all" } else { "none" };
                let place = if is_in { "in" } else { "out" };
                let what = format!(
                    "{holds} of {} honest voters held {author}, it is {place}",
                    acked.len()
                );
                findings.add(Guarantee::Inclusion, (at_ms, None), interval, what);
            }
        }
    }
}
