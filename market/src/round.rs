//! One interval's market at one node: orders, acks, agreement on the book, clearing and confirms.
//!
//! Not for: delivery and settlement, which follow from readings ([`crate::delivery`]), or for
//! anything that spans intervals ([`crate::market`]).

mod ballot;
mod contracts;
mod inclusion;
mod orders;
mod restore;
mod voting;

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::agreement::{Ack, Book, BookCertificate, Proposal, Vote};
use boltgrid_protocol::charter::{Charter, Schedule};
use boltgrid_protocol::confirm::{TradeConfirm, TradeTerms};
use boltgrid_protocol::envelope::{Payload, Verified};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::{BookHash, ClearingDigest, ParticipantId, RosterIndex};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};

use crate::clear;
use crate::effect::{Effect, JournalEntry, Slot, Verdict};
use crate::notice::{ClearedInterval, Notice};
use ballot::{Ballot, Cast, Won};
use contracts::{Contract, Contracts};
use orders::{Orders, Taken};

/// How many members are asked at once for what we lack.
const ASKED_AT_ONCE: usize = 3;

/// What a round needs to know of the node it runs in.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) charter: Arc<Charter>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) key: Keypair,
    pub(crate) participant: ParticipantId,
    /// Our place; `None` for an observer, who follows but signs nothing.
    pub(crate) me: Option<RosterIndex>,
}

impl Seat {
    /// Signs a message of ours. `None` where the others would reject it: then it must not leave.
    fn sign<T: Payload>(&self, body: &T, interval: Interval) -> Option<Verified<T>> {
        let author = (&self.participant, &self.key);
        Verified::sign(body, interval, author, (self.charter.as_ref(), self.roster.as_ref())).ok()
    }

    /// Proof that a member signed two things where one is allowed (P20).
    pub(crate) fn accuse(
        &self,
        interval: Interval,
        first: &Arc<[u8]>,
        second: &Arc<[u8]>,
    ) -> Option<Box<Verified<Evidence>>> {
        let evidence = Evidence { first: first.to_vec(), second: second.to_vec() };
        self.sign(&evidence, interval).map(Box::new)
    }

    fn voter(&self) -> Option<RosterIndex> {
        self.me.filter(|me| self.roster.is_voter(*me))
    }
}

/// A proposal whose book follows from its acks.
#[derive(Debug)]
struct Candidate {
    book: BookHash,
    valid_view: Option<u32>,
}

/// A book with the acks that it follows from, so that a later leader can propose it again.
#[derive(Debug)]
struct Proposed {
    book: Book,
    acks: Vec<Vec<u8>>,
}

/// The decision of an interval and what was cleared from it.
#[derive(Debug)]
struct Outcome {
    book: BookHash,
    clearing: ClearingDigest,
    trades: Vec<TradeTerms>,
}

/// What becomes of a message that was heard.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// Whether it is passed on.
    pub(crate) verdict: Verdict,
    /// Why it was not taken, to be counted.
    pub(crate) why: Option<&'static str>,
    /// Proof that its author contradicted itself.
    pub(crate) evidence: Option<Box<Verified<Evidence>>>,
}

impl Judgement {
    pub(crate) const ACCEPT: Self = Self { verdict: Verdict::Accept, why: None, evidence: None };
    pub(crate) const KNOWN: Self = Self { verdict: Verdict::Ignore, why: None, evidence: None };

    pub(crate) const fn ignore(why: &'static str) -> Self {
        Self { verdict: Verdict::Ignore, why: Some(why), evidence: None }
    }

    pub(crate) const fn reject(why: &'static str) -> Self {
        Self { verdict: Verdict::Reject, why: Some(why), evidence: None }
    }
}

/// One interval's market.
///
/// Invariants: what is signed is stored first (P21); a slot is filled once; an outcome never changes.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) interval: Interval,
    pub(crate) seat: Seat,
    pub(crate) schedule: Schedule,
    orders: Orders,
    own_order: Option<Verified<Order>>,
    acks: BTreeMap<RosterIndex, Verified<Ack>>,
    candidates: BTreeMap<u32, Candidate>,
    proposed: BTreeMap<BookHash, Proposed>,
    ballot: Ballot,
    certificate: Option<Arc<[u8]>>,
    /// A decided book whose orders are not all here yet.
    awaited: Option<BookCertificate>,
    outcome: Option<Outcome>,
    contracts: Contracts,
    restored: restore::Restored,
    asked: Asked,
    /// Whether the interval's delivery was settled.
    pub(crate) settled: bool,
}

/// What was asked for or told already, so that it happens once, or not too often.
#[derive(Debug, Default)]
struct Asked {
    order: bool,
    no_decision: bool,
    lapsed: bool,
    /// When to ask again for orders or a certificate that we lack.
    fetch_again: Timestamp,
    /// When to send confirms again that are not answered.
    confirm_again: Timestamp,
}

impl Round {
    pub(crate) fn new(interval: Interval, seat: Seat) -> Self {
        Self {
            interval,
            schedule: seat.charter.interval.schedule(interval),
            seat,
            orders: Orders::default(),
            own_order: None,
            acks: BTreeMap::new(),
            candidates: BTreeMap::new(),
            proposed: BTreeMap::new(),
            ballot: Ballot::default(),
            certificate: None,
            awaited: None,
            outcome: None,
            contracts: Contracts::new(),
            restored: restore::Restored::default(),
            asked: Asked::default(),
            settled: false,
        }
    }

    /// Signs and publishes the site's own order, once, while the window is open.
    pub(crate) fn place(&mut self, now: Timestamp, order: &Order) -> Vec<Effect> {
        if self.own_order.is_some() {
            return vec![Effect::Tell(Notice::NotTaken("own_order_already_placed"))];
        }
        if now > self.schedule.orders_close {
            return vec![Effect::Tell(Notice::NotTaken("own_order_too_late"))];
        }
        let Some(order) = self.seat.sign(order, self.interval) else {
            return vec![Effect::Tell(Notice::NotTaken("own_order_invalid"))];
        };
        self.own_order = Some(order.clone());
        self.orders.take(order.clone());
        publish(Slot::Order(self.interval), &order)
    }

    /// Takes somebody's order (P9): the first in time is passed on, a second one is evidence.
    pub(crate) fn hear_order(
        &mut self,
        now: Timestamp,
        order: Verified<Order>,
        gossiped: bool,
        is_barred: bool,
    ) -> Judgement {
        let skew = self.seat.charter.interval.clock_skew_max_ms;
        if !gossiped {
            // An answer to what we asked for, because a proposal names it.
            self.orders.keep(order);
            return Judgement::KNOWN;
        }
        if now > self.schedule.gate.plus_ms(skew) {
            self.orders.keep(order);
            return Judgement::ignore("order_late");
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
            Taken::Contradicts(first) => self.accuse(first.bytes(), &second, "order_equivocation"),
        }
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
                self.accuse(&earlier, ack.bytes(), "double_ack")
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

    fn adopt(&mut self, proposal: &Proposal) {
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
            Cast::Contradicts(first) => self.accuse(first.bytes(), &second, "double_vote"),
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
            fits && contract.terms == body.terms && contract.counterparty(me) == confirm.author()
        });
        let Some(contract) = contract else {
            return not_taken("confirm_outside_clearing");
        };
        if contract.theirs.is_some() {
            return resend(contract, confirm.participant());
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

    fn tell_if_firm(&self, index: u32) -> Option<Effect> {
        let contract = self.contracts.get(&index).filter(|contract| contract.is_firm())?;
        Some(Effect::Tell(Notice::Confirmed { interval: self.interval, terms: contract.terms }))
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

    /// Whatever is due at `now`.
    pub(crate) fn advance(
        &mut self,
        now: Timestamp,
        is_barred: impl Fn(&ParticipantId) -> bool,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if now >= self.schedule.orders_open && now <= self.schedule.orders_close {
            effects.extend(self.ask_order());
        }
        if now >= self.schedule.gate && now < self.schedule.views_end() {
            effects.extend(self.ack(is_barred));
            effects.extend(self.vote(now));
        }
        effects.extend(self.decide(now));
        effects.extend(self.fetch(now));
        effects.extend(self.confirm(now));
        effects.extend(self.conclude(now));
        effects
    }

    fn ask_order(&mut self) -> Option<Effect> {
        let due = self.seat.me.is_some() && self.own_order.is_none() && !self.asked.order;
        self.asked.order = true;
        due.then_some(Effect::AskOrder(self.interval))
    }

    fn ack(&mut self, is_barred: impl Fn(&ParticipantId) -> bool) -> Vec<Effect> {
        let Some(me) = self.seat.voter().filter(|me| !self.acks.contains_key(me)) else {
            return Vec::new();
        };
        let roster = &self.seat.roster;
        let ack = self.orders.ack(roster.members().len(), |author| {
            roster.participant(author).is_some_and(|participant| is_barred(&participant))
        });
        let Some(ack) = self.seat.sign(&ack, self.interval) else {
            return Vec::new();
        };
        self.acks.insert(me, ack.clone());
        publish(Slot::Ack(self.interval), &ack)
    }

    /// Closes the round once a quorum precommitted a book, or a certificate says so, and all its
    /// orders are here.
    fn decide(&mut self, now: Timestamp) -> Vec<Effect> {
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
        self.certificate = Some(bytes);
        self.outcome = Some(Outcome {
            book: cleared.book,
            clearing: cleared.clearing,
            trades: cleared.trades.clone(),
        });
        let mut effects = vec![Effect::Tell(Notice::Cleared(Box::new(cleared)))];
        effects.extend(self.open_contracts());
        effects
    }

    /// The certificate of a decision that this node saw itself (P16).
    fn certify(&self) -> Option<BookCertificate> {
        let quorum = self.seat.roster.quorum();
        let won: Won = self.ballot.decided(quorum)?;
        let book = self.proposed.get(&won.book)?.book.clone();
        let precommits =
            self.ballot.precommits(won).take(quorum).map(|vote| vote.bytes().to_vec()).collect();
        Some(BookCertificate { interval: self.interval, view: won.view, book, precommits })
    }

    /// Signs our trades, if they are all inside our own order; a stored signature is taken as it is.
    fn open_contracts(&mut self) -> Vec<Effect> {
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
            let confirm = TradeConfirm { book, clearing, terms: contract.terms };
            contract.theirs = self.restored.countersigned.remove(index);
            contract.ours =
                self.restored.confirms.remove(index).filter(|ours| *ours.body() == confirm);
            if contract.ours.is_none() {
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
    fn confirm(&mut self, now: Timestamp) -> Vec<Effect> {
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

    /// Asks others for orders and certificates that we lack.
    fn fetch(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.outcome.is_some() || now < self.asked.fetch_again || now < self.schedule.first_view
        {
            return Vec::new();
        }
        let mut effects = Vec::new();
        let authors = self.missing_orders();
        if !authors.is_empty() {
            let from = self.whom_to_ask();
            effects.push(Effect::FetchOrders { interval: self.interval, authors, from });
        }
        let wanted = now >= self.schedule.views_end() && self.awaited.is_none();
        if wanted && (now <= self.schedule.confirm_by || !self.restored.is_empty()) {
            let from = self.whom_to_ask();
            effects.push(Effect::FetchCertificate { interval: self.interval, from });
        }
        if !effects.is_empty() {
            self.asked.fetch_again = now.plus_ms(self.seat.charter.interval.view_ms.div_euclid(4));
        }
        effects
    }

    /// Members that can be expected to have what we lack, others first each time.
    fn whom_to_ask(&self) -> Vec<ParticipantId> {
        let mut heard: Vec<RosterIndex> =
            self.acks.keys().copied().chain(self.ballot.voters()).collect();
        if heard.is_empty() {
            heard = self.seat.roster.voters().to_vec();
        }
        heard.sort_unstable();
        heard.dedup();
        heard.retain(|index| Some(*index) != self.seat.me);
        let turn = usize::try_from(self.asked.fetch_again.to_unix_ms()).unwrap_or(0);
        let start = turn.checked_rem(heard.len()).unwrap_or(0);
        heard
            .iter()
            .cycle()
            .skip(start)
            .take(ASKED_AT_ONCE.min(heard.len()))
            .filter_map(|index| self.seat.roster.participant(*index))
            .collect()
    }

    /// Says once that there was no decision, or which trades lapsed.
    fn conclude(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        let undecided = self.outcome.is_none() && now > self.schedule.confirm_by;
        if undecided && !self.asked.no_decision {
            self.asked.no_decision = true;
            effects.push(Effect::Tell(Notice::NoDecision(self.interval)));
        }
        if now > self.schedule.delivery_starts && !self.asked.lapsed {
            self.asked.lapsed = true;
            let lapsed = self.contracts.values().filter(|contract| !contract.is_firm());
            effects.extend(lapsed.map(|contract| {
                Effect::Tell(Notice::Lapsed { interval: self.interval, terms: contract.terms })
            }));
        }
        effects
    }

    /// Says and proves that a member signed two things where one is allowed (P20).
    fn accuse(&self, first: &Arc<[u8]>, second: &Arc<[u8]>, why: &'static str) -> Judgement {
        let evidence = self.seat.accuse(self.interval, first, second);
        Judgement { verdict: Verdict::Ignore, why: Some(why), evidence }
    }

    /// The next moment after `now` at which something is due without anything being heard.
    pub(crate) fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let schedule = &self.schedule;
        let fixed = [
            schedule.orders_open,
            schedule.gate,
            schedule.confirm_by.plus_ms(1),
            schedule.delivery_starts.plus_ms(1),
            schedule.delivery_ends,
            schedule.readings_by.plus_ms(1),
            self.asked.fetch_again,
            self.asked.confirm_again,
        ];
        fixed.into_iter().chain(self.silence_moments()).filter(|moment| *moment > now).min()
    }

    /// The trades that both sides signed.
    pub(crate) fn firm_trades(&self) -> impl Iterator<Item = TradeTerms> {
        self.contracts.values().filter(|contract| contract.is_firm()).map(|contract| contract.terms)
    }

    /// The energy of all trades of the clearing that fit, ours or not.
    pub(crate) fn total(&self, fits: impl Fn(&TradeTerms) -> bool) -> Energy {
        let trades = self.outcome.as_ref().map_or(&[][..], |outcome| &outcome.trades);
        trades
            .iter()
            .filter(|trade| fits(trade))
            .fold(Energy::ZERO, |sum, trade| sum.saturating_add(trade.energy_mwh))
    }

    /// The certificate, once there is one.
    pub(crate) const fn certificate(&self) -> Option<&Arc<[u8]>> {
        self.certificate.as_ref()
    }

    /// The signed orders kept of a member, for those who lack them.
    pub(crate) fn orders_of(&self, author: RosterIndex) -> impl Iterator<Item = &Arc<[u8]>> {
        self.orders.of(author).iter().map(Verified::bytes)
    }

    /// How many orders came in time.
    pub(crate) fn orders_in_time(&self) -> usize {
        self.orders.len()
    }
}

fn not_taken(why: &'static str) -> Vec<Effect> {
    vec![Effect::Tell(Notice::NotTaken(why))]
}

fn resend(contract: &Contract, to: ParticipantId) -> Vec<Effect> {
    let ours = contract.ours.as_ref();
    ours.map(|ours| Effect::SendConfirm { to, bytes: Arc::clone(ours.bytes()) })
        .into_iter()
        .collect()
}

/// Stores and then publishes what was signed (P21).
fn publish<T: Payload>(slot: Slot, message: &Verified<T>) -> Vec<Effect> {
    let bytes = Arc::clone(message.bytes());
    let mut effects = vec![Effect::Persist(JournalEntry { slot, bytes: Arc::clone(&bytes) })];
    effects.extend(Topic::of(T::KIND).map(|topic| Effect::Gossip(topic, bytes)));
    effects
}
