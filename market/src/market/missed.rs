//! Settling late what was missed: a node that was down when an interval was to be settled settles it
//! from history, so that it pays what it owes although it was away for a day (P26).
//!
//! Only intervals whose trades both sides have signed, by its own journal, and that were not settled
//! before. Nothing is signed by it.
//! Not for: what is due once it is settled ([`crate::payments`]).

use std::collections::BTreeMap;

use boltgrid_protocol::units::{Interval, Timestamp};

use super::settling::Desk;
use super::{Market, not_taken};
use crate::effect::{Effect, JournalEntry, Slot};
use crate::input::Past;
use crate::notice::Notice;
use crate::readings::Readings;
use crate::round::Round;

/// What the journal holds of intervals that are to be settled late.
///
/// Bounded by what the journal is read of at a start: the last intervals before the node went down.
pub(super) type Missed = BTreeMap<Interval, Vec<JournalEntry>>;

impl Market {
    /// The intervals that are to be settled late, once [`crate::input::Input::Past`] says what history
    /// holds of them.
    pub fn missed(&self) -> impl Iterator<Item = Interval> {
        self.missed.keys().copied()
    }

    /// Notes at the start which intervals in the journal can't be settled in time any more.
    pub(super) fn note_missed(&mut self, now: Timestamp) {
        let timing = self.charter.interval;
        let (over, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.journal)
            .into_iter()
            .partition(|entry| now > timing.schedule(entry.slot.interval()).readings_by);
        self.journal = open;
        for entry in over {
            self.missed.entry(entry.slot.interval()).or_default().push(entry);
        }
        let is_firm = |entry: &JournalEntry| matches!(entry.slot, Slot::Countersigned(..));
        self.missed.retain(|interval, entries| {
            !self.payments.is_settled(*interval) && entries.iter().any(is_firm)
        });
        self.payments.expect_late(self.missed.keys().copied().collect());
    }

    /// Settles an interval late, if what history holds of it is all that it takes.
    pub(super) fn settle_missed(&mut self, now: Timestamp, past: Past) -> Vec<Effect> {
        let interval = past.certificate.interval;
        let seat = self.seat(interval);
        let (Some(me), Some(entries)) = (seat.me, self.missed.get(&interval)) else {
            return not_taken("interval_not_missed");
        };
        let book = (past.certificate, past.orders);
        let Some(round) = Round::recall(now, (interval, seat), entries, book, &mut self.payments)
        else {
            return not_taken("past_does_not_clear");
        };
        let mut readings = Readings::default();
        for reading in past.readings {
            readings.note(reading);
        }
        let desk = Desk { charter: &self.charter, readings: &readings, forwards: &self.forwards };
        let bill = desk.bill(&round, (&self.participant, me));
        if !bill.is_measured() {
            return not_taken("past_without_readings");
        }
        self.missed.remove(&interval);
        match bill.settle() {
            Ok(settlement) => {
                let proofs = bill.proofs(&desk, &round);
                let mut effects = self.payments.settled(now, &settlement, proofs);
                effects.insert(0, Effect::Tell(Notice::Settled(Box::new(settlement))));
                effects
            }
            Err(error) => vec![Effect::Tell(Notice::NotSettled(interval, error))],
        }
    }
}
