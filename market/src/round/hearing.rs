//! What becomes of each message that is heard: taken and passed on, known, refused, or evidence.

use std::sync::Arc;

use boltgrid_protocol::agreement::{Ack, BookCertificate, BookEntry, Proposal, Vote};
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{MessageHash, RosterIndex};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::units::Timestamp;

use super::ballot::Cast;
use super::orders::Taken;
use super::{Candidate, Judgement, Proposed, Round, inclusion, not_taken, resend};
use crate::effect::{Effect, JournalEntry, Slot, Verdict};
use crate::notice::Notice;

impl Round {
    /// Takes somebody's order (P9): the first in time is passed on, a second one is evidence.
    pub(crate) fn hear_order(
        &mut self,
        now: Timestamp,
        order: Verified<Order>,
        gossiped: bool,
        is_barred: bool,
    ) -> Judgement {
        let skew = self.seat.charter.interval.clock_skew_max_ms;
        if !gossiped || now > self.schedule.gate.plus_ms(skew) {
            return self.hear_late_order(order);
        }
        if now.plus_ms(skew) < self.schedule.orders_open {
            return Judgement::ignore("order_early");
        }
        if is_barred {
            return Judgement::ignore("order_of_barred_member");
        }
        let second = Arc::clone(order.bytes());
        match self.orders.take(order) {
            Taken::New => Judgement::ACCEPT,
            Taken::Known => Judgement::KNOWN,
            Taken::Contradicts(first) => {
                Judgement::contradicts(first, second, "order_equivocation")
            }
        }
    }

    /// Keeps an order that came late, or because it was asked for, if a book names it, or if a leader
    /// knows none of its author to name. It is not passed on, but against another one it is evidence
    /// all the same.
    fn hear_late_order(&mut self, order: Verified<Order>) -> Judgement {
        let author = order.author();
        let other = self.orders.other_than(&order).map(|other| Arc::clone(other.bytes()));
        let second = Arc::clone(order.bytes());
        if self.names(author, order.hash()) || self.orders.of(author).is_empty() {
            self.orders.keep(order);
        }
        other.map_or(Judgement::KNOWN, |first| {
            Judgement::contradicts(first, second, "order_equivocation")
        })
    }

    /// Whether a proposal or a certificate names this order.
    fn names(&self, author: RosterIndex, order: MessageHash) -> bool {
        let proposed = self.proposed.values().map(|proposed| &proposed.book);
        let certified = self.awaited.iter().map(|certificate| &certificate.book);
        let entry = BookEntry { author, order };
        proposed.chain(certified).any(|book| book.entries.contains(&entry))
    }

    /// Takes a voter's ack (P13).
    pub(crate) fn hear_ack(&mut self, ack: Verified<Ack>) -> Judgement {
        match self.acks.get(&ack.author()) {
            None => {
                self.acks.insert(ack.author(), ack);
                Judgement::ACCEPT
            }
            Some(earlier) if earlier.hash() == ack.hash() => Judgement::KNOWN,
            Some(earlier) => {
                let earlier = Arc::clone(earlier.bytes());
                Judgement::contradicts(earlier, Arc::clone(ack.bytes()), "double_ack")
            }
        }
    }

    /// Takes a leader's proposal (P14): the first of its view, if its book follows from its acks.
    pub(crate) fn hear_proposal(&mut self, proposal: &Verified<Proposal>) -> Judgement {
        let body = proposal.body();
        if self.candidates.contains_key(&body.view) {
            return Judgement::KNOWN;
        }
        let gate = (self.seat.charter.as_ref(), self.seat.roster.as_ref());
        if !inclusion::follows(body, self.interval, gate, &self.acks) {
            return Judgement::reject("bad_proposal");
        }
        self.adopt(body);
        Judgement::ACCEPT
    }

    pub(super) fn adopt(&mut self, proposal: &Proposal) {
        let book = proposal.book.hash(&self.seat.roster, self.interval);
        self.candidates.insert(proposal.view, Candidate { book, valid_view: proposal.valid_view });
        self.proposed.entry(book).or_insert_with(|| Proposed {
            book: proposal.book.clone(),
            acks: proposal.acks.clone(),
        });
    }

    /// Takes a vote (P15).
    pub(crate) fn hear_vote(&mut self, vote: Verified<Vote>) -> Judgement {
        let second = Arc::clone(vote.bytes());
        match self.ballot.cast(vote) {
            Cast::New => Judgement::ACCEPT,
            Cast::Known => Judgement::KNOWN,
            Cast::Contradicts { first, counts } => {
                let first = Arc::clone(first.bytes());
                let verdict = if counts { Verdict::Accept } else { Verdict::Ignore };
                Judgement { verdict, ..Judgement::contradicts(first, second, "double_vote") }
            }
        }
    }

    /// Takes the other side's confirm (P17), stores it, and answers with ours if it was sent again.
    pub(crate) fn hear_confirm(
        &mut self,
        now: Timestamp,
        confirm: Verified<TradeConfirm>,
    ) -> Vec<Effect> {
        let (Some(me), Some(outcome)) = (self.seat.me, &self.outcome) else {
            // Whoever confirms knows a certified book that we lack.
            return not_taken("confirm_before_clearing");
        };
        let body = *confirm.body();
        let fits = body.book == outcome.book && body.clearing == outcome.clearing;
        let contract = self.contracts.get_mut(&body.terms.index).filter(|contract| {
            fits && body.terms.is_part_of(&contract.terms)
                && contract.counterparty(me) == confirm.author()
        });
        let Some(contract) = contract else {
            return not_taken("confirm_outside_clearing");
        };
        if contract.theirs.is_some() {
            let answer = contract.answers_again();
            return if answer { resend(contract, confirm.participant()) } else { Vec::new() };
        }
        if now > self.schedule.delivery_starts {
            return not_taken("confirm_late");
        }
        let slot = Slot::Countersigned(self.interval, body.terms.index);
        let bytes = Arc::clone(confirm.bytes());
        contract.theirs = Some(confirm);
        let mut effects = vec![Effect::Persist(JournalEntry { slot, bytes })];
        effects.extend(self.tell_if_firm(body.terms.index));
        effects
    }

    pub(super) fn tell_if_firm(&self, index: u32) -> Option<Effect> {
        let terms = self.contracts.get(&index)?.firm()?;
        Some(Effect::Tell(Notice::Confirmed { interval: self.interval, terms }))
    }

    /// Takes a certificate that was asked for.
    pub(crate) fn hear_certificate(&mut self, certificate: BookCertificate) -> Vec<Effect> {
        if self.outcome.is_some() || self.awaited.is_some() {
            return Vec::new();
        }
        match certificate.verify(&self.seat.charter, &self.seat.roster) {
            Ok(_) => {
                self.awaited = Some(certificate);
                Vec::new()
            }
            Err(_) => not_taken("bad_certificate"),
        }
    }
}
