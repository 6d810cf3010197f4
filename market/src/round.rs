//! One interval's market at one node: orders, acks, agreement on the book, clearing and confirms.
//!
//! Not for: delivery and settlement, which follow from readings ([`crate::settlement`]), or for
//! anything that spans intervals ([`crate::market`]).

mod ballot;
mod contracts;
mod deciding;
mod fetching;
mod hearing;
mod inclusion;
mod ordered;
mod orders;
mod passed;
mod restore;
mod voting;

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::agreement::{Ack, Book, BookCertificate};
use boltgrid_protocol::charter::{Charter, Schedule};
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::envelope::{Payload, Verified};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::{BookHash, ClearingDigest, ParticipantId, RosterIndex};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};

use crate::effect::{Effect, JournalEntry, Slot, Verdict};
use crate::notice::Notice;
use crate::payments::Payments;
use ballot::Ballot;
use contracts::{Contract, Contracts};
use orders::Orders;

pub(crate) use ordered::{Moves, Ordered};

/// What a round needs to know of the node it runs in.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) charter: Arc<Charter>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) key: Keypair,
    pub(crate) participant: ParticipantId,
    /// Our place; `None` for an observer, who follows but signs nothing.
    pub(crate) me: Option<RosterIndex>,
    /// A negative control, false in every node.
    #[cfg(feature = "sabotage")]
    pub(crate) ignores_locks: bool,
}

impl Seat {
    /// Signs a message of ours. `None` where the others would reject it: then it must not leave.
    pub(crate) fn sign<T: Payload>(&self, body: &T, interval: Interval) -> Option<Verified<T>> {
        let author = (&self.participant, &self.key);
        Verified::sign(body, interval, author, (self.charter.as_ref(), self.roster.as_ref())).ok()
    }

    /// Proof that a member signed two things where one is allowed (P20).
    pub(crate) fn accuse(
        &self,
        interval: Interval,
        Contradiction { first, second }: &Contradiction,
    ) -> Option<Verified<Evidence>> {
        let evidence = Evidence { first: first.to_vec(), second: second.to_vec() };
        self.sign(&evidence, interval)
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
    /// What the authors of the book's orders have sold and have bought ahead.
    committed: BTreeMap<RosterIndex, (Energy, Energy)>,
    /// What its orders come to.
    ordered: Ordered,
    /// What each of their authors sells and buys by its order at most.
    moves: BTreeMap<RosterIndex, Moves>,
}

/// What becomes of a message that was heard.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// Whether it is passed on.
    pub(crate) verdict: Verdict,
    /// Why it was not taken, to be counted.
    pub(crate) why: Option<&'static str>,
    /// What its author contradicted itself with.
    pub(crate) contradiction: Option<Contradiction>,
}

/// Two messages of one author where one is allowed, as bytes: evidence, once somebody signs it (P20).
#[derive(Debug)]
pub(crate) struct Contradiction {
    /// What was heard before.
    pub(crate) first: Arc<[u8]>,
    /// What is heard now.
    pub(crate) second: Arc<[u8]>,
}

impl Judgement {
    pub(crate) const ACCEPT: Self =
        Self { verdict: Verdict::Accept, why: None, contradiction: None };
    pub(crate) const KNOWN: Self =
        Self { verdict: Verdict::Ignore, why: None, contradiction: None };

    pub(crate) const fn ignore(why: &'static str) -> Self {
        Self { verdict: Verdict::Ignore, why: Some(why), contradiction: None }
    }

    /// Its author said something else before.
    pub(crate) const fn contradicts(
        first: Arc<[u8]>,
        second: Arc<[u8]>,
        why: &'static str,
    ) -> Self {
        let contradiction = Some(Contradiction { first, second });
        Self { verdict: Verdict::Ignore, why: Some(why), contradiction }
    }

    pub(crate) const fn reject(why: &'static str) -> Self {
        Self { verdict: Verdict::Reject, why: Some(why), contradiction: None }
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
    /// The first view that was not told of as passed.
    passed: u32,
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

    /// Says nothing of a round that was over before this node started.
    pub(crate) const fn be_silent(&mut self) {
        self.asked.no_decision = true;
        self.asked.passed = u32::MAX;
        self.settled = true;
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
        let mut effects = publish(Slot::Order(self.interval), &order);
        effects.extend(self.tell_placed());
        effects
    }

    pub(super) fn tell_placed(&self) -> Option<Effect> {
        let order = Box::new(self.own_order.as_ref()?.body().clone());
        Some(Effect::Tell(Notice::Placed { interval: self.interval, order }))
    }

    /// Whatever is due at `now`. While the node abstains (P25) it may not sign: it follows, and sends
    /// again what it signed before.
    pub(crate) fn advance(
        &mut self,
        now: Timestamp,
        may_sign: bool,
        is_barred: impl Fn(&ParticipantId) -> bool,
        payments: &mut Payments,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if may_sign && now >= self.schedule.orders_open && now <= self.schedule.orders_close {
            effects.extend(self.ask_order());
        }
        if may_sign && now >= self.schedule.gate && now < self.schedule.views_end() {
            effects.extend(self.ack(is_barred));
            // Whoever knows the decision is asked for it and need not vote on.
            if self.outcome.is_none() && self.awaited.is_none() {
                effects.extend(self.vote(now));
            }
        }
        effects.extend(self.decide(now, may_sign, payments));
        effects.extend(self.tell_passed(now));
        effects.extend(self.fetch(now));
        effects.extend(self.confirm(now));
        effects.extend(self.conclude(now, payments));
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

    /// Says once that there was no decision, or which trades lapsed.
    fn conclude(&mut self, now: Timestamp, payments: &mut Payments) -> Vec<Effect> {
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
                payments.lapse(self.interval, contract.terms.index);
                Effect::Tell(Notice::Lapsed { interval: self.interval, terms: contract.terms })
            }));
        }
        effects
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
        fixed.into_iter().chain(self.view_starts()).filter(|moment| *moment > now).min()
    }

    /// The trades that both sides signed, as far as both did.
    pub(crate) fn firm_trades(&self) -> impl Iterator<Item = TradeTerms> {
        self.contracts.values().filter_map(Contract::firm)
    }

    /// Both sides' signed confirms of one of our trades, as far as they are there.
    pub(crate) fn confirms(&self, index: u32) -> Vec<Arc<[u8]>> {
        let contract = self.contracts.get(&index);
        let confirms = contract.map(|contract| [&contract.ours, &contract.theirs]);
        confirms.into_iter().flatten().flatten().map(|it| Arc::clone(it.bytes())).collect()
    }

    /// The energy of all trades of the clearing that fit, ours or not.
    pub(crate) fn total(&self, fits: impl Fn(&TradeTerms) -> bool) -> Energy {
        let trades = self.outcome.as_ref().map_or(&[][..], |outcome| &outcome.trades);
        trades
            .iter()
            .filter(|trade| fits(trade))
            .fold(Energy::ZERO, |sum, trade| sum.saturating_add(trade.energy_mwh))
    }

    /// What the orders of the book come to, once it is decided.
    pub(crate) fn ordered(&self) -> Option<Ordered> {
        self.outcome.as_ref().map(|outcome| outcome.ordered)
    }

    /// What the authors of the book's orders move by them at most, once it is decided.
    pub(crate) fn moves(&self) -> Option<&BTreeMap<RosterIndex, Moves>> {
        self.outcome.as_ref().map(|outcome| &outcome.moves)
    }

    /// What a member of the book has sold and has bought ahead.
    pub(crate) fn committed(&self, member: RosterIndex) -> (Energy, Energy) {
        let committed = self.outcome.as_ref().and_then(|outcome| outcome.committed.get(&member));
        committed.copied().unwrap_or_default()
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
    ours.map(|ours| Effect::SendTo { to, bytes: Arc::clone(ours.bytes()) }).into_iter().collect()
}

/// Stores and then publishes what was signed (P21).
fn publish<T: Payload>(slot: Slot, message: &Verified<T>) -> Vec<Effect> {
    let bytes = Arc::clone(message.bytes());
    let mut effects = vec![Effect::Persist(JournalEntry { slot, bytes: Arc::clone(&bytes) })];
    effects.extend(Topic::of(T::KIND).map(|topic| Effect::Gossip(topic, bytes)));
    effects
}
