//! Paying for what was delivered, at one node: from what a settlement says is due to the receipt
//! (P31 to P35).
//!
//! ```text
//!   settlement ─► due ─► charging: have an invoice made ─► store ─► send, again and again ─► received
//!                    └─► paying:   invoice comes ─► reckon ─► store the intent ─► pay ─► receipt
//!   each due in tranches, one after the other; what is not paid in time is a dispute
//! ```
//!
//! Invariants: a payment is wanted only after the intent to make it is persisted; there is one intent
//! for a tranche, and another only once the former has failed for good; no payment hash is taken
//! twice; nobody is trusted with more than its limit.
//! Not for: Lightning itself, sockets, or how much is due ([`crate::settlement`]).

mod charging;
mod credit;
mod dispute;
mod due;
mod early;
mod forgiving;
mod overdue;
mod paying;
mod record;
mod said;
mod state;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::{Cause, InvoiceRefusal, InvoiceWord};
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Msat, Price, Timestamp};

use crate::effect::{Effect, JournalEntry, Slot};
use crate::ledger::{Account, Ledger};
use crate::notice::Notice;
use crate::settlement::Settlement;
use credit::Pledges;
use due::Open;
use early::Early;
use record::{Log, Record};
use state::State;

pub use credit::{CreditTerms, Standing};
pub use dispute::{Dispute, Why};
pub use due::{Due, DueId, Proof, tranches};
pub use said::{Bolt11, Happened, Outcome, Payment, Stage, Told, Wanted};

/// Intervals after which the log is summed up again, if anything was written.
const SUMMED_UP_EVERY: u64 = 64;
/// The first pause before something is tried again; each next one is twice as long.
const PAUSE_MIN_MS: u64 = 250;
/// The longest pause.
const PAUSE_MAX_MS: u64 = 600_000;
/// How long a due that is paid, or of which nothing can come any more, is remembered after its time.
const KEPT_MS: u64 = 30 * 86_400_000;

/// Ends of payments that are told again after a start: more than there are in the moment that whoever
/// keeps history may lose.
const ENDED_MAX: usize = 256;

/// How what is due is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// It is only kept in the ledger: nobody is asked to pay, nobody is paid, and everyone is trusted
    /// without limit. For simulations, and for nodes without Lightning, which say so.
    Ledger,
    /// It is paid over Lightning, on these terms of credit.
    Lightning(CreditTerms),
}

/// The least part of a trade that is signed: what is worth less than its messages is not.
const PART_MIN: Energy = Energy::from_milliwatt_hours(100);

/// How far the other side of a trade is trusted.
#[derive(Clone, Debug)]
pub struct Trust {
    /// How much of the trade to sign.
    pub part_mwh: Option<Energy>,
    /// What is to be told where that is not all of it ([`Told::OverLimit`]).
    pub told: Option<Effect>,
}

/// How a node stands with all others together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// What others still have to pay for what was delivered.
    pub due_to_me_msat: Msat,
    /// What this node still has to pay for what was delivered.
    pub due_by_me_msat: Msat,
    /// What all others together owe at worst.
    pub exposure_msat: Msat,
    /// Dues in dispute that are not paid.
    pub disputes_open: u32,
}

/// What is being done about a due, forgotten by a restart.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    /// When to do something about it again.
    next: Timestamp,
    /// How often something was done, since the last step forward.
    tries: u32,
    /// From when on another invoice is taken.
    open_from: Timestamp,
    /// The latest inquiry about a payment.
    inquiry: u32,
    /// The latest inquiry before it was last begun: answers up to that say nothing.
    begun_after: u32,
}

impl Work {
    fn pause(&mut self, now: Timestamp) {
        self.next = now.plus_ms(pause_ms(self.tries));
        self.tries = self.tries.saturating_add(1);
    }
}

/// How long to wait after so many tries.
fn pause_ms(tries: u32) -> u64 {
    1_u64
        .checked_shl(tries)
        .and_then(|it| PAUSE_MIN_MS.checked_mul(it))
        .unwrap_or(PAUSE_MAX_MS)
        .min(PAUSE_MAX_MS)
}

/// The payments of one node.
///
/// Bounded: by the trades that this node itself confirmed, at most [`KEPT_MS`] and a charter's time
/// to pay ago; by what it lets others owe.
#[derive(Debug)]
pub struct Payments {
    means: Means,
    charter: Arc<Charter>,
    rosters: Rosters,
    key: Keypair,
    participant: ParticipantId,
    state: State,
    log: Log,
    work: BTreeMap<DueId, Work>,
    pledges: Pledges,
    early: Early,
    /// Intervals that are settled late: what is asked for them is not due yet.
    late: BTreeSet<Interval>,
    /// The latest ends of payments in the journal, until they are told again after a start.
    ended: VecDeque<Payment>,
    /// How many records could not be read, until it was told.
    unreadable: usize,
}

impl Payments {
    /// The payments of the participant with this key, taking up what its journal holds, and the
    /// entries that are of something else.
    #[must_use]
    pub fn new(
        means: Means,
        charter: Arc<Charter>,
        rosters: Rosters,
        key: Keypair,
        journal: Vec<JournalEntry>,
    ) -> (Self, Vec<JournalEntry>) {
        let mut payments = Self {
            means,
            charter,
            rosters,
            participant: key.participant_id(),
            key,
            state: State::default(),
            log: Log::default(),
            work: BTreeMap::new(),
            pledges: Pledges::default(),
            early: Early::default(),
            late: BTreeSet::new(),
            ended: VecDeque::new(),
            unreadable: 0,
        };
        let mut others = Vec::new();
        let mut records = BTreeMap::new();
        for entry in journal {
            if let Slot::Payment(interval, place) = entry.slot {
                records.insert((interval, place), entry.bytes);
            } else if let Slot::Summary(interval) = entry.slot {
                payments.log.summed_up = payments.log.summed_up.max(Some(interval));
            } else {
                others.push(entry);
            }
        }
        for ((interval, place), bytes) in records {
            payments.log.fill(interval, place);
            match Record::from_bytes(&bytes) {
                Ok(record) => payments.take_up(record),
                Err(_) => payments.unreadable = payments.unreadable.saturating_add(1),
            }
        }
        payments.log.is_dirty = true;
        (payments, others)
    }

    /// Makes a record of the journal true again, and remembers which payment it ends.
    fn take_up(&mut self, record: Record) {
        let ended = record.end_of_payment();
        self.apply(record);
        let Some((hash, stage, at)) = ended else { return };
        if let Some(Told::Payment(payment)) = self.payment(&hash, stage, at) {
            self.ended.push_back(payment);
        }
        while self.ended.len() > ENDED_MAX {
            self.ended.pop_front();
        }
    }

    /// How what is due is settled.
    #[must_use]
    pub const fn means(&self) -> Means {
        self.means
    }

    /// Balances of energy and money with everyone.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.state.ledger
    }

    /// How a counterparty has behaved.
    #[must_use]
    pub fn standing(&self, counterparty: &ParticipantId) -> Standing {
        self.state.standings.get(counterparty).copied().unwrap_or_default()
    }

    /// What a counterparty owes us at worst: what was delivered and is not paid, and what is signed
    /// and not settled.
    #[must_use]
    pub fn exposure(&self, counterparty: &ParticipantId) -> Msat {
        let none = DueId { interval: Interval::default(), cause: Cause::Trade { index: u32::MAX } };
        self.exposure_but(counterparty, &none)
    }

    /// What a counterparty may owe us at most when a trade of this interval is to be signed that costs
    /// no more than retail; `None` where everyone is trusted without limit.
    #[must_use]
    pub fn limit(&self, counterparty: &ParticipantId, interval: Interval) -> Option<Msat> {
        let Means::Lightning(credit) = self.means else { return None };
        Some(self.limit_at(&credit, counterparty, (interval, Price::from_msat_per_kwh(0))))
    }

    fn limit_at(
        &self,
        credit: &CreditTerms,
        counterparty: &ParticipantId,
        (interval, price): (Interval, Price),
    ) -> Msat {
        let starts = self.charter.interval.start_of(interval);
        let retail = self.charter.tariff.at(starts).retail_msat_per_kwh;
        self.standing(counterparty).limit(credit, &self.charter.settlement, (price, retail))
    }

    /// Everyone that this node ever traded with, or has signed a trade with that is not settled.
    #[must_use]
    pub fn counterparties(&self) -> BTreeSet<ParticipantId> {
        let settled = self.state.ledger.balances().filter_map(|(account, _)| match account {
            Account::Counterparty(who) => Some(who),
            Account::Me | Account::Supplier | Account::Losses => None,
        });
        settled.chain(self.pledges.counterparties()).collect()
    }

    /// Every due that is not paid, with what is left of it.
    pub fn unpaid(&self) -> impl Iterator<Item = (&Due, Msat)> {
        let unpaid = self.state.open.values().filter(|open| !open.is_paid());
        unpaid.map(|open| (&open.due, open.unpaid()))
    }

    /// How this node stands with all others together.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let add = |sum: Msat, more: Msat| sum.checked_add(more).unwrap_or(Msat::MAX);
        let mut outline = Outline::default();
        for open in self.state.open.values().filter(|open| !open.is_paid()) {
            let side = if open.due.is_to_me() {
                &mut outline.due_to_me_msat
            } else {
                &mut outline.due_by_me_msat
            };
            *side = add(*side, open.unpaid());
            let is_disputed = u32::from(open.disputed.is_some());
            outline.disputes_open = outline.disputes_open.saturating_add(is_disputed);
        }
        outline.exposure_msat = add(outline.due_to_me_msat, self.pledges.sum());
        outline
    }

    fn exposure_but(&self, counterparty: &ParticipantId, but: &DueId) -> Msat {
        let owed = self.state.owed_by(counterparty);
        owed.checked_add(self.pledges.of(counterparty, but)).unwrap_or(Msat::MAX)
    }

    /// Decides how much to sign of a trade by which the other side would owe us (P34), and notes the
    /// risk of that. What `is_signed` already stays so.
    pub fn trust(
        &mut self,
        interval: Interval,
        terms: &TradeTerms,
        counterparty: ParticipantId,
        is_signed: bool,
    ) -> Trust {
        let whole = Trust { part_mwh: Some(terms.energy_mwh), told: None };
        let Means::Lightning(credit) = self.means else { return whole };
        let id = DueId { interval, cause: Cause::Trade { index: terms.index } };
        let price = terms.price_msat_per_kwh;
        let worst = |energy| Pledges::worst(energy, price);
        let owes = self.exposure_but(&counterparty, &id);
        let exposure = owes.checked_add(worst(terms.energy_mwh));
        let exposure_msat = exposure.unwrap_or(Msat::MAX);
        let limit_msat = self.limit_at(&credit, &counterparty, (interval, price));
        if is_signed || exposure_msat <= limit_msat {
            self.pledges.put(id, counterparty, worst(terms.energy_mwh));
            return whole;
        }
        let room = limit_msat.saturating_sub(owes);
        let part_mwh = price.energy_floor(room).filter(|it| room > Msat::ZERO && *it >= PART_MIN);
        if let Some(part) = part_mwh {
            self.pledges.put(id, counterparty, worst(part));
        }
        let told = Told::OverLimit {
            interval,
            terms: *terms,
            counterparty,
            exposure_msat,
            limit_msat,
            part_mwh,
        };
        Trust { part_mwh, told: Some(tell(told)) }
    }

    /// Notes the risk of a forward of an interval that is about to begin.
    pub(crate) fn trust_ahead(
        &mut self,
        id: DueId,
        counterparty: ParticipantId,
        (energy, price): (Energy, Price),
    ) {
        if self.means != Means::Ledger {
            self.pledges.put(id, counterparty, Pledges::worst(energy, price));
        }
    }

    /// A trade that was signed lapses: there is no risk in it.
    pub(crate) fn lapse(&mut self, interval: Interval, index: u32) {
        self.pledges.release(&DueId { interval, cause: Cause::Trade { index } });
    }

    /// Forgets risks of intervals that nothing is known of any more.
    pub(crate) fn keep_pledges(&mut self, is_open: impl Fn(Interval) -> bool) {
        self.pledges.retain(|id| is_open(id.interval));
    }

    /// Whether an interval was settled, before a restart or since.
    pub(crate) fn is_settled(&self, interval: Interval) -> bool {
        self.state.is_settled(interval)
    }

    /// Notes which intervals are settled late.
    pub(crate) fn expect_late(&mut self, intervals: BTreeSet<Interval>) {
        self.late = intervals;
    }

    /// Takes up what a settled interval came to.
    pub fn settled(
        &mut self,
        now: Timestamp,
        settlement: &Settlement,
        proofs: Vec<(Cause, Proof)>,
    ) -> Vec<Effect> {
        let interval = settlement.interval;
        self.pledges.retain(|id| id.interval != interval);
        self.late.remove(&interval);
        let pay_by = self.pay_by(interval);
        if self.state.is_settled(interval) {
            // It was before a restart: what was written then holds.
            return Vec::new();
        }
        // What nobody will pay needs no proof.
        let proofs = if self.pays() { proofs } else { Vec::new() };
        let settlement = Box::new(settlement.clone());
        let mut effects = vec![self.write(now, Record::Settled { settlement, pay_by, proofs })];
        effects.extend(self.pay_early(now, interval));
        effects.extend(self.advance(now));
        effects
    }

    /// When everything that is due for an interval is to be paid.
    fn pay_by(&self, interval: Interval) -> Timestamp {
        let readings_by = self.charter.interval.schedule(interval).readings_by;
        readings_by.plus_ms(self.charter.settlement.pay_within_ms)
    }

    /// Takes one input at `now` and says what is to be done, in order.
    pub fn handle(&mut self, now: Timestamp, happened: Happened) -> Vec<Effect> {
        let mut effects = match happened {
            Happened::Asked { token, .. } if !self.pays() => {
                let word = InvoiceWord::Refused(InvoiceRefusal::NoLightning);
                vec![want(Wanted::Answer { token, word })]
            }
            _ if !self.pays() => not_taken("payment_without_lightning"),
            Happened::Made { due, tranche, bolt11, read } => {
                self.made(now, due, tranche, (bolt11, read))
            }
            Happened::Asked { invoice, read, token } => self.asked(now, &invoice, read, token),
            Happened::Word { from, payment_hash, word } => {
                self.hear_word(now, &from, &payment_hash, word)
            }
            Happened::Received { payment_hash, amount_msat } => {
                self.received(now, payment_hash, amount_msat)
            }
            Happened::Told { payment_hash, outcome } => self.told(now, payment_hash, outcome),
            Happened::Known { payment_hash, inquiry, outcome } => {
                self.known(now, payment_hash, inquiry, outcome)
            }
        };
        effects.extend(self.advance(now));
        effects
    }

    /// Whatever is due at `now`.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Effect> {
        let ended = std::mem::take(&mut self.ended);
        let mut effects: Vec<Effect> = ended.into_iter().map(Told::Ended).map(tell).collect();
        if self.unreadable > 0 {
            self.unreadable = 0;
            effects.extend(not_taken("journal_of_other_payments"));
        }
        let ids: Vec<DueId> = self
            .state
            .open
            .iter()
            .filter(|(id, open)| !open.is_paid() && self.next_of(id, open) <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            effects.extend(self.dispute_overdue(now, &id));
            let to_me = self.state.open.get(&id).map(|open| open.due.is_to_me());
            effects.extend(match to_me {
                Some(true) => self.charge(now, &id),
                Some(false) => self.inquire(now, &id),
                None => Vec::new(),
            });
        }
        self.forget(now);
        effects.extend(self.sum_up(now));
        effects
    }

    /// When something is due at the latest although nothing happens.
    #[must_use]
    pub fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let unpaid = self.state.open.iter().filter(|(_, open)| !open.is_paid());
        unpaid.map(|(id, open)| self.next_of(id, open).max(now.plus_ms(1))).min()
    }

    /// When something is to be done about a due.
    fn next_of(&self, id: &DueId, open: &Open) -> Timestamp {
        let work = self.work.get(id).map_or(Timestamp::default(), |work| work.next);
        let overdue = open.due.pay_by.plus_ms(1);
        if open.disputed.is_none() { work.min(overdue) } else { work }
    }

    fn pays(&self) -> bool {
        self.means != Means::Ledger
    }

    /// Makes a record true, and has it written down first.
    fn write(&mut self, now: Timestamp, record: Record) -> Effect {
        let current = self.charter.interval.interval_at(now);
        let effect = self.log.write(current, &record);
        self.apply(record);
        effect
    }

    fn apply(&mut self, record: Record) {
        let pays = self.pays();
        self.state.apply(record, &self.charter.settlement, pays);
    }

    /// Forgets dues that are over for good.
    fn forget(&mut self, now: Timestamp) {
        let skew = self.charter.interval.clock_skew_max_ms;
        let over = |open: &Open| {
            let kept_ms = if open.is_paid() { skew } else { KEPT_MS };
            // Who owes us is not forgotten.
            now > open.due.pay_by.plus_ms(kept_ms) && (open.is_paid() || !open.due.is_to_me())
        };
        self.state.open.retain(|_, open| !over(open));
        let open = &self.state.open;
        self.work.retain(|id, _| open.get(id).is_some_and(|open| !open.is_paid()));
    }

    /// Sums the log up, once in a while, so that a restart need not read all of it.
    fn sum_up(&mut self, now: Timestamp) -> Vec<Effect> {
        let current = self.charter.interval.interval_at(now);
        let is_old = self.log.summed_up.is_none_or(|at| at.plus(SUMMED_UP_EVERY) <= current);
        let is_empty = self.state.open.is_empty() && self.state.ledger.balances().next().is_none();
        if !is_old || !self.log.is_dirty || is_empty {
            return Vec::new();
        }
        let summary = self.state.summary();
        let mut effects: Vec<Effect> =
            summary.iter().map(|record| self.log.write(current, record)).collect();
        effects.push(self.log.mark());
        effects
    }

    /// One tranche's payment, as it is told.
    fn payment(&self, hash: &PaymentHash, stage: Stage, at: Timestamp) -> Option<Told> {
        let used = self.state.used.get(hash)?;
        let open = self.state.open.get(&used.due)?;
        Some(Told::Payment(Payment {
            due: used.due,
            counterparty: open.due.counterparty,
            to_me: open.due.is_to_me(),
            tranche: used.tranche,
            tranches: open.count(),
            amount_msat: open.amount_of(used.tranche).unwrap_or_default(),
            payment_hash: *hash,
            stage,
            at,
        }))
    }

    /// What is to be told once a payment came to a good end.
    fn tell_paid(&self, hash: &PaymentHash, stage: Stage, now: Timestamp) -> Vec<Effect> {
        let mut effects: Vec<Effect> =
            self.payment(hash, stage, now).map(tell).into_iter().collect();
        let due = self.state.used.get(hash).map(|used| used.due);
        let open = due.and_then(|due| self.state.open.get(&due)).filter(|open| open.is_paid());
        if let Some(open) = open {
            let Due { id, counterparty, .. } = open.due;
            let ended = self.charter.interval.schedule(id.interval).delivery_ends;
            let after_ms = now.ms_since(ended);
            effects.push(tell(Told::Cleared { due: id, counterparty, after_ms }));
            if open.disputed.is_some() {
                effects.push(tell(Told::Resolved { due: id }));
            }
        }
        effects
    }
}

fn want(wanted: Wanted) -> Effect {
    Effect::Payment(wanted)
}

fn tell(told: Told) -> Effect {
    Effect::Tell(Notice::Payment(Box::new(told)))
}

fn not_taken(why: &'static str) -> Vec<Effect> {
    vec![Effect::Tell(Notice::NotTaken(why))]
}
