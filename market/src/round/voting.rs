//! When this node proposes and how it votes: single-decree Tendermint, driven by the clock (P15).
//!
//! Views follow the charter's schedule on everyone's clock, so there is no catching up on rounds, and
//! nobody needs to be told that a voter gives up: its silence says as much, and costs nothing where
//! messages are slow because there are too many of them.
//! Nothing here makes two books possible, however wrong a clock is; only progress depends on time.

use std::sync::Arc;

use boltgrid_protocol::agreement::{Proposal, Stage, Vote};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{BookHash, RosterIndex};
use boltgrid_protocol::units::Timestamp;

use super::ballot::Won;
use super::{Round, inclusion, publish};
use crate::effect::{Effect, Slot};

impl Round {
    /// Proposes and votes as far as the current view allows.
    pub(super) fn vote(&mut self, now: Timestamp) -> Vec<Effect> {
        let (Some(me), Some(view)) = (self.seat.voter(), self.view_at(now)) else {
            return Vec::new();
        };
        // A clock may step back; a voter may not: a lock taken behind its own back binds nobody.
        if self.ballot.has_left(view, me) {
            return Vec::new();
        }
        let mut effects = self.propose(view, me);
        while let Some(vote) = self.next_vote(view, me) {
            let Some(signed) = self.seat.sign(&vote, self.interval) else {
                break;
            };
            let slot = match vote.stage {
                Stage::Prevote => Slot::Prevote(self.interval, view),
                Stage::Precommit => Slot::Precommit(self.interval, view),
            };
            effects.extend(publish(slot, &signed));
            self.ballot.cast(signed);
        }
        effects
    }

    fn view_at(&self, now: Timestamp) -> Option<u32> {
        if now < self.schedule.first_view || now >= self.schedule.views_end() {
            return None;
        }
        let passed = now.ms_since(self.schedule.first_view);
        u32::try_from(passed.checked_div(self.seat.charter.interval.view_ms)?).ok()
    }

    fn propose(&mut self, view: u32, me: RosterIndex) -> Vec<Effect> {
        if self.seat.roster.leader(self.interval, view) != Some(me)
            || self.candidates.contains_key(&view)
        {
            return Vec::new();
        }
        let Some(proposal) = self.again(view).or_else(|| self.afresh(view)) else {
            return Vec::new();
        };
        let Some(signed) = self.seat.sign(&proposal, self.interval) else {
            return Vec::new();
        };
        self.adopt(&proposal);
        publish(Slot::Proposal(self.interval, view), &signed)
    }

    /// The book that a quorum prevoted before, if there is one (L15).
    fn again(&self, view: u32) -> Option<Proposal> {
        let Won { view: valid_view, book } = self.ballot.valid(self.seat.roster.quorum())?;
        let proposed = self.proposed.get(&book)?;
        let (acks, book) = (proposed.acks.clone(), proposed.book.clone());
        (valid_view < view).then_some(Proposal { view, valid_view: Some(valid_view), acks, book })
    }

    /// A book from the acks at hand, once they are enough.
    fn afresh(&self, view: u32) -> Option<Proposal> {
        let roster = &self.seat.roster;
        let acks: Vec<_> = self.acks.values().take(roster.quorum()).collect();
        if acks.len() < roster.quorum() {
            return None;
        }
        let included = inclusion::included(roster, acks.iter().copied());
        let book = inclusion::book(&included, |author| self.orders.hash_of(author)).ok()?;
        let acks = acks.into_iter().map(|ack: &Verified<_>| ack.bytes().to_vec()).collect();
        Some(Proposal { view, valid_view: None, acks, book })
    }

    /// Members whose orders we need: to propose, or to judge and clear what is proposed or decided.
    pub(super) fn missing_orders(&self) -> Vec<RosterIndex> {
        let roster = &self.seat.roster;
        let mut authors: Vec<RosterIndex> = self
            .proposed
            .values()
            .flat_map(|proposed| self.orders.missing(&proposed.book.entries))
            .collect();
        if let Some(certificate) = &self.awaited {
            authors.extend(self.orders.missing(&certificate.book.entries));
        }
        if self.acks.len() >= roster.quorum() {
            let acks = || self.acks.values().take(roster.quorum());
            let unknown = (0_u32..).take(roster.members().len()).map(RosterIndex::new);
            let unknown = unknown.filter(|author| self.orders.hash_of(*author).is_none());
            authors.extend(unknown.filter(|author| inclusion::includes(roster, acks(), *author)));
        }
        authors.sort_unstable();
        authors.dedup();
        authors
    }

    fn next_vote(&self, view: u32, me: RosterIndex) -> Option<Vote> {
        let vote = |stage, book| Vote { view, stage, book: Some(book) };
        if self.ballot.has(view, Stage::Precommit, me) {
            return None;
        }
        let prevote = || self.prevote(view, me).map(|book| vote(Stage::Prevote, book));
        let precommit = || self.precommit(view).map(|book| vote(Stage::Precommit, book));
        let has_prevoted = self.ballot.has(view, Stage::Prevote, me);
        (!has_prevoted).then(prevote).flatten().or_else(precommit)
    }

    /// What to prevote; `None` to be silent, for now or in all of this view.
    fn prevote(&self, view: u32, me: RosterIndex) -> Option<BookHash> {
        let locked = self.ballot.locked(me);
        #[cfg(feature = "sabotage")]
        let locked = locked.filter(|_| !self.seat.ignores_locks);
        let candidate = self.candidates.get(&view).filter(|it| self.is_complete(it.book))?;
        let same = locked.is_none_or(|lock| lock.book == candidate.book);
        let may = match candidate.valid_view {
            // L22: a fresh book, unless we are locked on another.
            None => same,
            // L28: a book again, if a quorum prevoted it since we locked another.
            Some(valid) => {
                let released = locked.is_none_or(|lock| lock.view <= valid);
                self.won_prevotes(valid, candidate.book) && (same || released)
            }
        };
        may.then_some(candidate.book)
    }

    /// What to precommit (L36), which locks it; `None` to be silent.
    fn precommit(&self, view: u32) -> Option<BookHash> {
        let book = self.ballot.winner(view, Stage::Prevote, self.seat.roster.quorum())??;
        self.is_complete(book).then_some(book)
    }

    fn won_prevotes(&self, view: u32, book: BookHash) -> bool {
        let quorum = self.seat.roster.quorum();
        self.ballot.winner(view, Stage::Prevote, quorum) == Some(Some(book))
    }

    /// Whether a book was proposed to us and all its orders are here.
    fn is_complete(&self, book: BookHash) -> bool {
        self.proposed
            .get(&book)
            .is_some_and(|proposed| self.orders.missing(&proposed.book.entries).is_empty())
    }

    /// The moments at which views start, and at which the last one ends.
    pub(crate) fn view_starts(&self) -> impl Iterator<Item = Timestamp> {
        let schedule = self.schedule;
        (0..=self.seat.charter.interval.views).map(move |view| schedule.view_starts(view))
    }

    /// Publishes again what was signed before a restart and still matters.
    pub(super) fn republish(&self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut again = |bytes: &Arc<[u8]>, topic| {
            effects.push(Effect::Gossip(topic, Arc::clone(bytes)));
        };
        use boltgrid_protocol::topic::Topic;
        if now <= self.schedule.gate {
            self.own_order.iter().for_each(|order| again(order.bytes(), Topic::Orders));
        }
        if now < self.schedule.views_end() {
            let me = self.seat.me;
            let own_acks = self.acks.values().filter(|ack| Some(ack.author()) == me);
            own_acks.for_each(|ack| again(ack.bytes(), Topic::Acks));
            self.restored.proposals.iter().for_each(|bytes| again(bytes, Topic::Votes));
            self.restored.votes.iter().for_each(|bytes| again(bytes, Topic::Votes));
        }
        effects
    }
}
