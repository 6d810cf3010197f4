//! Taking up a round after a restart: what was signed before is sent again and never signed anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::agreement::{Ack, BookCertificate, Proposal, Vote};
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::envelope::{MessageRejected, Payload, Signed, Verified};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::{Round, Seat};
use crate::effect::{Effect, JournalEntry, Slot};
use crate::payments::Payments;

/// What the journal held and the round has not used yet.
#[derive(Debug, Default)]
pub(super) struct Restored {
    pub(super) confirms: BTreeMap<u32, Verified<TradeConfirm>>,
    pub(super) countersigned: BTreeMap<u32, Verified<TradeConfirm>>,
    pub(super) proposals: Vec<Arc<[u8]>>,
    pub(super) votes: Vec<Arc<[u8]>>,
}

impl Restored {
    /// Whether no trade of ours is waiting for its clearing.
    pub(super) fn is_empty(&self) -> bool {
        self.confirms.is_empty()
    }
}

impl Round {
    /// Puts back one entry of the journal.
    ///
    /// # Errors
    ///
    /// Where the entry is not a message of ours under this roster: the journal belongs to another key
    /// or grid, and nothing may be signed beside it.
    pub(crate) fn restore(&mut self, entry: &JournalEntry) -> Result<(), MessageRejected> {
        let bytes = &entry.bytes;
        match entry.slot {
            Slot::Order(_) => {
                let order: Verified<Order> = verify(&self.seat, bytes)?;
                self.orders.take(order.clone());
                self.own_order = Some(order);
            }
            Slot::Ack(_) => {
                let ack: Verified<Ack> = verify(&self.seat, bytes)?;
                self.acks.insert(ack.author(), ack);
            }
            Slot::Proposal(..) => {
                let proposal: Verified<Proposal> = verify(&self.seat, bytes)?;
                self.adopt(proposal.body());
                self.restored.proposals.push(Arc::clone(bytes));
            }
            Slot::Prevote(..) | Slot::Precommit(..) => {
                let vote: Verified<Vote> = verify(&self.seat, bytes)?;
                self.ballot.cast(vote);
                self.restored.votes.push(Arc::clone(bytes));
            }
            Slot::Confirm(_, index) => {
                self.restored.confirms.insert(index, verify(&self.seat, bytes)?);
            }
            Slot::Countersigned(_, index) => {
                self.restored.countersigned.insert(index, verify(&self.seat, bytes)?);
            }
            Slot::Reading(_)
            | Slot::Offer(..)
            | Slot::Acceptance(..)
            | Slot::Reply(..)
            | Slot::Payment(..)
            | Slot::Summary(_)
            | Slot::Escrow(..) => {}
        }
        Ok(())
    }

    /// A round of the past as far as our journal and history tell of it, with our trades of it; nothing
    /// is signed. `None` where the book is not certified or does not clear.
    pub(crate) fn recall(
        now: Timestamp,
        (interval, seat): (Interval, Seat),
        journal: &[JournalEntry],
        (certificate, orders): (BookCertificate, Vec<Verified<Order>>),
        payments: &mut Payments,
    ) -> Option<Self> {
        let mut round = Self::new(interval, seat);
        journal.iter().try_for_each(|entry| round.restore(entry)).ok()?;
        for order in orders {
            round.orders.take(order);
        }
        round.hear_certificate(certificate);
        // What is to be told of it was told when it was decided, or learnt.
        round.decide(now, false, payments);
        round.outcome.is_some().then_some(round)
    }

    /// What to send again once everything is put back.
    pub(crate) fn resume(&self, now: Timestamp) -> Vec<Effect> {
        let mut effects = self.republish(now);
        effects.extend(self.tell_placed());
        effects
    }
}

fn verify<T: Payload>(seat: &Seat, bytes: &Arc<[u8]>) -> Result<Verified<T>, MessageRejected> {
    Signed::<T>::decode(Arc::clone(bytes))?.verify(&seat.charter, &seat.roster)
}
