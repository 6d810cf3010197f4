//! Taking up what the journal holds: offers, acceptances, and the words said on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{MessageRejected, Signed, Verified};
use boltgrid_protocol::forward::{Acceptance, Reply};
use boltgrid_protocol::offer::Offer;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::{Forwards, Open, Replied};
use crate::effect::{JournalEntry, Slot};

impl Forwards {
    /// The trades ahead of the participant with this key, taking up what its journal holds, and
    /// the entries that are of rounds.
    pub(crate) fn new(
        charter: Arc<Charter>,
        rosters: Rosters,
        key: Keypair,
        journal: Vec<JournalEntry>,
    ) -> (Self, Vec<JournalEntry>) {
        let participant = key.participant_id();
        let mut forwards = Self {
            charter,
            rosters,
            key,
            participant,
            offers: BTreeMap::new(),
            open: BTreeMap::new(),
            replied: BTreeMap::new(),
            held: BTreeMap::new(),
            numbers: BTreeMap::new(),
            ordered: None,
            published: false,
            unreadable: 0,
        };
        let (mut acceptances, mut replies, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
        for entry in journal {
            match entry.slot {
                Slot::Offer(last, number) => {
                    forwards.fill(Slot::Offer(last, 0), number);
                    let restored = forwards.restore_offer(&entry.bytes);
                    forwards.note_unreadable(restored);
                }
                Slot::Acceptance(last, number) => {
                    forwards.fill(Slot::Acceptance(last, 0), number);
                    acceptances.push(entry.bytes);
                }
                Slot::Reply(last, number) => {
                    forwards.fill(Slot::Reply(last, 0), number);
                    replies.push(entry.bytes);
                }
                Slot::Order(interval) => {
                    forwards.note_order(interval);
                    rounds.push(entry);
                }
                Slot::Ack(_)
                | Slot::Proposal(..)
                | Slot::Prevote(..)
                | Slot::Precommit(..)
                | Slot::Confirm(..)
                | Slot::Countersigned(..)
                | Slot::Reading(_)
                | Slot::Payment(..)
                | Slot::Summary(_)
                | Slot::Escrow(..) => rounds.push(entry),
            }
        }
        for bytes in &acceptances {
            let restored = forwards.restore_acceptance(bytes);
            forwards.note_unreadable(restored);
        }
        for bytes in &replies {
            let restored = forwards.restore_reply(bytes);
            forwards.note_unreadable(restored);
        }
        (forwards, rounds)
    }

    /// Notes that the slot with this number is filled.
    fn fill(&mut self, kind: Slot, number: u32) {
        let next = self.numbers.entry(kind).or_default();
        *next = number.saturating_add(1).max(*next);
    }

    /// Counts what was signed under enrolments that this node no longer has: nobody can settle it.
    const fn note_unreadable(&mut self, restored: Result<(), MessageRejected>) {
        if restored.is_err() {
            self.unreadable = self.unreadable.saturating_add(1);
        }
    }

    fn restore_offer(&mut self, bytes: &Arc<[u8]>) -> Result<(), MessageRejected> {
        let offer = Signed::<Offer>::decode(Arc::clone(bytes))?;
        let first = offer.body().first;
        let roster = self.rosters.at(first);
        let offer = offer.verify(&self.charter, &roster)?;
        let place = (self.day_of(first), offer.body().product);
        let known = self.offers.get(&place).map_or(0, |known| known.body().sequence);
        if known < offer.body().sequence {
            self.offers.insert(place, offer);
        }
        Ok(())
    }

    fn verify_acceptance(
        &mut self,
        bytes: &[u8],
    ) -> Result<(Verified<Acceptance>, Interval), MessageRejected> {
        let acceptance = Signed::<Acceptance>::decode(bytes)?;
        let (first, after) = acceptance.body().stack.span();
        let roster = self.rosters.at(first);
        Ok((acceptance.verify(&self.charter, &roster)?, after))
    }

    fn restore_acceptance(&mut self, bytes: &Arc<[u8]>) -> Result<(), MessageRejected> {
        let (signed, _) = self.verify_acceptance(bytes)?;
        let open = Open { signed, ask_again: Timestamp::default() };
        self.open.insert(open.signed.hash(), open);
        Ok(())
    }

    fn restore_reply(&mut self, bytes: &Arc<[u8]>) -> Result<(), MessageRejected> {
        let reply = Signed::<Reply>::decode(Arc::clone(bytes))?;
        let (acceptance, after) = self.verify_acceptance(&reply.body().acceptance)?;
        let roster = self.rosters.at(acceptance.body().stack.span().0);
        let reply = reply.verify(&self.charter, &roster)?;
        let offered = reply.participant() == self.participant;
        if offered {
            let (to, bytes) = (acceptance.participant(), Arc::clone(bytes));
            self.replied.insert(acceptance.hash(), Replied { to, after, bytes });
        }
        self.open.remove(&acceptance.hash());
        drop(self.hold(&acceptance, (&reply.body().word, reply.bytes()), offered));
        Ok(())
    }
}
