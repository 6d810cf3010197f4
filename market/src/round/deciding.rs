//! From a quorum of precommits to the certificate, the clearing and our signed trades.

use std::sync::Arc;

use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::units::Timestamp;

use super::ballot::Won;
use super::{Ordered, Outcome, Round, contracts, not_taken, ordered, resend};
use crate::clear;
use crate::effect::{Effect, JournalEntry, Slot};
use crate::notice::{ClearedInterval, Notice};
use crate::payments::Payments;

impl Round {
    /// Closes the round once a quorum precommitted a book, or a certificate says so, and all its
    /// orders are here.
    pub(super) fn decide(
        &mut self,
        now: Timestamp,
        may_sign: bool,
        payments: &mut Payments,
    ) -> Vec<Effect> {
        if self.outcome.is_some() {
            return Vec::new();
        }
        if self.awaited.is_none() {
            self.awaited = self.certify();
        }
        let Some(certificate) = &self.awaited else {
            return Vec::new();
        };
        let gate = (self.seat.charter.as_ref(), self.seat.roster.as_ref());
        let find = |entry: &boltgrid_protocol::agreement::BookEntry| {
            self.orders.get(entry.author, entry.order)
        };
        let Some(clearing) = clear::clear_book(&certificate.book, self.interval, gate, find) else {
            return Vec::new();
        };
        let bytes: Arc<[u8]> = certificate.to_bytes().into();
        let orders = certificate
            .book
            .entries
            .iter()
            .filter_map(|entry| Some(Arc::clone(find(entry)?.bytes())))
            .collect();
        let cleared = ClearedInterval {
            interval: self.interval,
            view: certificate.view,
            decide_ms: now.ms_since(self.schedule.gate),
            certificate: Arc::clone(&bytes),
            orders,
            book: certificate.book.hash(&self.seat.roster, self.interval),
            clearing: clearing.digest(),
            price_msat_per_kwh: clearing.price_msat_per_kwh,
            volume_mwh: clearing.volume_mwh,
            trades: clear::terms(&clearing),
        };
        let committed = certificate
            .book
            .entries
            .iter()
            .filter_map(|entry| {
                let order = find(entry)?.body();
                Some((entry.author, (order.committed_sell_mwh, order.committed_buy_mwh)))
            })
            .collect();
        self.certificate = Some(bytes);
        self.outcome = Some(Outcome {
            book: cleared.book,
            clearing: cleared.clearing,
            trades: cleared.trades.clone(),
            committed,
            ordered: Ordered::of(&certificate.book, &self.seat.roster, find),
            moves: ordered::moves(&certificate.book, find),
        });
        let mut effects = vec![Effect::Tell(Notice::Cleared(Box::new(cleared)))];
        // Too late there is no decision for us (P16): we fell back, and stay there.
        let confirms_count = now <= self.schedule.confirm_by;
        effects.extend(self.open_contracts(may_sign && confirms_count, payments));
        effects
    }

    /// The certificate of a decision that this node saw itself (P16).
    pub(super) fn certify(&self) -> Option<BookCertificate> {
        let quorum = self.seat.roster.quorum();
        let won: Won = self.ballot.decided(quorum)?;
        let book = self.proposed.get(&won.book)?.book.clone();
        let precommits =
            self.ballot.precommits(won).take(quorum).map(|vote| vote.bytes().to_vec()).collect();
        Some(BookCertificate { interval: self.interval, view: won.view, book, precommits })
    }

    /// Signs our trades, if they are all inside our own order, and of those by which somebody would
    /// owe us too much the part by which it would not (P34); a stored signature is taken as it is, also
    /// while nothing new may be signed (P25).
    pub(super) fn open_contracts(
        &mut self,
        may_sign: bool,
        payments: &mut Payments,
    ) -> Vec<Effect> {
        let (Some(me), Some(outcome)) = (self.seat.me, &self.outcome) else {
            return Vec::new();
        };
        self.contracts = contracts::of(&outcome.trades, me);
        if self.contracts.is_empty() {
            return Vec::new();
        }
        let inside = self
            .own_order
            .as_ref()
            .is_some_and(|order| contracts::within_order(&self.contracts, me, order.body()));
        if !inside {
            return not_taken("clearing_outside_own_order");
        }
        let (book, clearing) = (outcome.book, outcome.clearing);
        let mut effects = Vec::new();
        for (index, contract) in &mut self.contracts {
            let whole = contract.terms;
            let fits = |it: &Verified<TradeConfirm>| {
                let TradeConfirm { terms, .. } = *it.body();
                *it.body() == TradeConfirm { book, clearing, terms } && terms.is_part_of(&whole)
            };
            contract.theirs = self.restored.countersigned.remove(index).filter(fits);
            contract.ours = self.restored.confirms.remove(index).filter(fits);
            let signed = contract.ours.as_ref().map(|ours| ours.body().terms);
            let mut terms = signed.unwrap_or(whole);
            let debtor = contract.debtor(me).and_then(|it| self.seat.roster.participant(it));
            if let Some(debtor) = debtor.filter(|_| signed.is_some() || may_sign) {
                let trust = payments.trust(self.interval, &terms, debtor, signed.is_some());
                effects.extend(trust.told);
                let Some(part) = trust.part_mwh else { continue };
                terms.energy_mwh = part;
            }
            if contract.ours.is_none() && may_sign {
                let confirm = TradeConfirm { book, clearing, terms };
                let Some(ours) = self.seat.sign(&confirm, self.interval) else {
                    continue;
                };
                let slot = Slot::Confirm(self.interval, *index);
                let bytes = Arc::clone(ours.bytes());
                effects.push(Effect::Persist(JournalEntry { slot, bytes }));
                contract.ours = Some(ours);
            }
        }
        let firm: Vec<u32> = self.contracts.keys().copied().collect();
        effects.extend(firm.into_iter().filter_map(|index| self.tell_if_firm(index)));
        effects
    }

    /// Sends our confirms until they are answered or time is up.
    pub(super) fn confirm(&mut self, now: Timestamp) -> Vec<Effect> {
        let Some(me) = self.seat.me else {
            return Vec::new();
        };
        if self.contracts.is_empty()
            || now > self.schedule.confirm_by
            || now < self.asked.confirm_again
        {
            return Vec::new();
        }
        self.asked.confirm_again = now.plus_ms(self.seat.charter.interval.view_ms.div_euclid(2));
        self.contracts
            .values()
            .filter(|contract| contract.theirs.is_none())
            .filter_map(|contract| {
                let to = self.seat.roster.participant(contract.counterparty(me))?;
                Some(resend(contract, to))
            })
            .flatten()
            .collect()
    }
}
