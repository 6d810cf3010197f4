//! What is durably true of dues, payments and credit: a fold over the records of the log.
//!
//! Invariant: nothing but [`State::apply`] changes it, so that what a restart reads from the journal
//! is what was there before.
//! Not for: timers, or what is on its way; that is forgotten by a restart on purpose.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use boltgrid_protocol::charter::PaymentTerms;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::Cause;
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Interval, Msat, NetEnergy, SignedMsat, Timestamp};
use serde::{Deserialize, Serialize};

use super::credit::Standing;
use super::dispute::Why;
use super::due::{Due, DueId, Open, Proof};
use super::record::Record;
use crate::ledger::{Account, Entry, Ledger, Posting};
use crate::settlement::Settlement;

/// Most payment hashes that are remembered. The oldest is forgotten first of those by which nothing can
/// come any more; Lightning knows it all the same, and pays no hash twice.
const HASHES_MAX: usize = 4096;
/// How many of them are written down at once: some 90 bytes each.
const HASHES_PER_RECORD: usize = 1024;
/// How many settled intervals are remembered: more than there are ever open at once, and enough for
/// a day in which what was missed before is settled late.
const SETTLED_KEPT: usize = 512;

/// What a payment hash was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Use {
    pub(super) due: DueId,
    pub(super) tranche: u32,
    pub(super) end: Option<End>,
}

/// How a payment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Paid,
    Failed,
}

/// Everything that a restart must not forget.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) open: BTreeMap<DueId, Open>,
    pub(super) ledger: Ledger,
    pub(super) standings: BTreeMap<ParticipantId, Standing>,
    pub(super) used: BTreeMap<PaymentHash, Use>,
    /// The same hashes in the order of their use.
    order: VecDeque<PaymentHash>,
    /// The latest intervals that were settled.
    pub(super) settled: BTreeSet<Interval>,
    /// What a summary has said so far, until it is complete.
    summing: Option<Box<Self>>,
    /// How many amounts did not fit the ledger; zero, unless somebody has a bug.
    pub(super) unposted: u64,
}

impl State {
    /// Makes a record true. `pays` says whether dues are to be paid, or only kept in the ledger.
    pub(super) fn apply(&mut self, record: Record, terms: &PaymentTerms, pays: bool) {
        match (record, self.summing.take()) {
            (Record::SummaryBegins, _) => self.summing = Some(Box::default()),
            (Record::SummaryEnds, Some(summed_up)) => *self = *summed_up,
            (record, Some(mut summing)) if record.is_of_summary() => {
                summing.take_from_summary(record);
                self.summing = Some(summing);
            }
            // A summary that a crash cut off counts for nothing.
            (record, _) => self.happen(record, terms, pays),
        }
    }

    fn take_from_summary(&mut self, record: Record) {
        if let Record::Balance(account, balance) = record {
            self.ledger.restore(account, balance);
        } else if let Record::Standing(who, standing) = record {
            self.standings.insert(who, standing);
        } else if let Record::Open(open) = record {
            self.open.insert(open.due.id, *open);
        } else if let Record::Used(hashes) = record {
            hashes.into_iter().for_each(|(hash, use_)| self.note_hash(hash, use_));
        } else if let Record::SettledBefore(intervals) = record {
            self.settled.extend(intervals);
        }
    }

    fn happen(&mut self, record: Record, terms: &PaymentTerms, pays: bool) {
        match record {
            Record::SummaryBegins
            | Record::SummaryEnds
            | Record::Balance(..)
            | Record::Standing(..)
            | Record::Open(_)
            | Record::Used(_)
            | Record::SettledBefore(_) => {}
            Record::Settled { settlement, pay_by, proofs } => {
                self.settled.insert(settlement.interval);
                while self.settled.len() > SETTLED_KEPT {
                    self.settled.pop_first();
                }
                self.post(settlement.entry().ok());
                if pays {
                    self.take_up(&settlement, pay_by, proofs, terms);
                }
            }
            Record::Invoiced(due, tranche, attempt) | Record::Intended(due, tranche, attempt) => {
                self.note_hash(attempt.payment_hash, Use { due, tranche, end: None });
                if let Some(open) = self.open.get_mut(&due) {
                    open.attempt = Some(attempt);
                }
            }
            Record::Withdrawn(due) => {
                if let Some(open) = self.open.get_mut(&due) {
                    open.attempt = None;
                    open.failed = open.failed.saturating_add(1);
                }
            }
            Record::Sent { payment_hash, .. } => self.sent(&payment_hash),
            Record::Failed(payment_hash) => self.failed(&payment_hash),
            Record::Received { payment_hash, amount_msat, at } => {
                self.received(&payment_hash, amount_msat, at);
            }
            Record::Disputed(due, why) => self.dispute(&due, why),
            Record::Forgiven(counterparty) => self.forgive(&counterparty),
        }
    }

    /// All of it as records.
    pub(super) fn summary(&self) -> Vec<Record> {
        let used = self.order.iter().filter_map(|hash| Some((*hash, *self.used.get(hash)?)));
        let used: Vec<_> = used.collect();
        let mut records = vec![Record::SummaryBegins];
        records.extend(self.ledger.balances().map(|(account, it)| Record::Balance(account, it)));
        records.extend(self.standings.iter().map(|(who, it)| Record::Standing(*who, *it)));
        records.extend(self.open.values().map(|open| Record::Open(Box::new(open.clone()))));
        records.extend(used.chunks(HASHES_PER_RECORD).map(|part| Record::Used(part.to_vec())));
        records.push(Record::SettledBefore(self.settled.iter().copied().collect()));
        records.push(Record::SummaryEnds);
        records
    }

    /// Whether an interval was settled before.
    pub(super) fn is_settled(&self, interval: Interval) -> bool {
        let is_full = self.settled.len() >= SETTLED_KEPT;
        let is_older = self.settled.first().is_some_and(|first| interval < *first);
        self.settled.contains(&interval) || (is_full && is_older)
    }

    /// What a counterparty owes us for what was delivered.
    pub(super) fn owed_by(&self, counterparty: &ParticipantId) -> Msat {
        self.open
            .values()
            .filter(|open| open.due.is_to_me() && open.due.counterparty == *counterparty)
            .fold(Msat::ZERO, |sum, open| sum.checked_add(open.unpaid()).unwrap_or(Msat::MAX))
    }

    fn take_up(
        &mut self,
        settlement: &Settlement,
        pay_by: Timestamp,
        mut proofs: Vec<(Cause, Proof)>,
        terms: &PaymentTerms,
    ) {
        for due in dues(settlement, pay_by) {
            let place = proofs.iter().position(|(cause, _)| *cause == due.id.cause);
            let proof = place.map(|place| proofs.swap_remove(place).1).unwrap_or_default();
            self.open.entry(due.id).or_insert_with(|| Open::new(due, terms, proof));
        }
    }

    fn note_hash(&mut self, hash: PaymentHash, use_: Use) {
        if self.used.insert(hash, use_).is_none() {
            self.order.push_back(hash);
        }
        if self.order.len() > HASHES_MAX {
            // What is under way may take days, and thousands be paid meanwhile: its end must find its due.
            let over = self.order.iter().position(|hash| !self.may_arrive(hash));
            let forgotten = self.order.remove(over.unwrap_or(0));
            forgotten.map(|forgotten| self.used.remove(&forgotten));
        }
    }

    /// Whether a payment may still arrive by this hash, and be of use.
    fn may_arrive(&self, hash: &PaymentHash) -> bool {
        let used = self.used.get(hash).filter(|used| used.end.is_none());
        used.and_then(|used| self.open.get(&used.due)).is_some_and(|open| !open.is_paid())
    }

    /// Notes how a payment ended, if it is of this direction and was not known to be paid.
    fn end(&mut self, hash: &PaymentHash, end: End, to_me: bool) -> Option<Use> {
        let use_ = self.used.get_mut(hash).filter(|it| it.end != Some(End::Paid))?;
        let open = self.open.get(&use_.due)?;
        if open.due.is_to_me() != to_me {
            return None;
        }
        let before = *use_;
        use_.end = Some(end);
        Some(before)
    }

    fn sent(&mut self, hash: &PaymentHash) {
        let Some(used) = self.end(hash, End::Paid, false) else { return };
        let Some(open) = self.open.get_mut(&used.due) else { return };
        let amount = open.amount_of(used.tranche).unwrap_or_default();
        let counterparty = open.due.counterparty;
        if open.paid == used.tranche {
            open.pay();
        }
        self.post(transfer(used.due, counterparty, SignedMsat::receivable(amount)));
    }

    fn failed(&mut self, hash: &PaymentHash) {
        let Some(used) = self.end(hash, End::Failed, false) else { return };
        let Some(open) = self.open.get_mut(&used.due) else { return };
        if open.attempt.as_ref().is_some_and(|attempt| attempt.payment_hash == *hash) {
            open.attempt = None;
            open.failed = open.failed.saturating_add(1);
        }
    }

    fn received(&mut self, hash: &PaymentHash, amount: Msat, at: Timestamp) {
        let Some(used) = self.end(hash, End::Paid, true) else { return };
        let Some(open) = self.open.get_mut(&used.due) else { return };
        let counterparty = open.due.counterparty;
        let asked = open.amount_of(used.tranche).unwrap_or_default();
        let standing = self.standings.entry(counterparty).or_default();
        if open.paid == used.tranche && amount >= asked {
            open.pay();
            if at <= open.due.pay_by {
                standing.pay(amount);
            }
            if open.is_paid() && open.disputed == Some(Why::NotPaid) {
                standing.make_good();
            }
        } else if open.attempt.as_ref().is_some_and(|attempt| attempt.payment_hash == *hash) {
            // Too little: another invoice is needed.
            open.attempt = None;
        }
        self.note_paid(used.due, counterparty, amount);
    }

    /// Notes in the ledger that a counterparty owes us so much less.
    pub(super) fn note_paid(&mut self, due: DueId, counterparty: ParticipantId, amount: Msat) {
        self.post(transfer(due, counterparty, SignedMsat::payable(amount)));
    }

    fn dispute(&mut self, due: &DueId, why: Why) {
        let Some(open) = self.open.get_mut(due) else { return };
        open.disputed = Some(why);
        open.proof = Vec::new();
        if why == Why::NotPaid {
            self.standings.entry(open.due.counterparty).or_default().default_on();
        }
    }

    fn post(&mut self, entry: Option<Entry>) {
        let posted = entry.is_some_and(|entry| self.ledger.post(&entry).is_ok());
        if !posted {
            self.unposted = self.unposted.saturating_add(1);
        }
    }
}

/// The dues of a settled interval, either way.
pub(super) fn dues(settlement: &Settlement, pay_by: Timestamp) -> impl Iterator<Item = Due> + '_ {
    let interval = settlement.interval;
    let trades = settlement.trades.iter().map(move |it| Due {
        id: DueId { interval, cause: Cause::Trade { index: it.terms.index } },
        counterparty: it.counterparty,
        due_msat: it.due_msat,
        delivered_mwh: it.delivered_mwh,
        price_msat_per_kwh: it.terms.price_msat_per_kwh,
        pay_by,
    });
    let forwards = settlement.forwards.iter().map(move |it| Due {
        id: DueId { interval, cause: Cause::Forward { acceptance: it.acceptance } },
        counterparty: it.counterparty,
        due_msat: it.due_msat,
        delivered_mwh: it.delivered_mwh,
        price_msat_per_kwh: it.price_msat_per_kwh,
        pay_by,
    });
    trades.chain(forwards).filter(|due| due.due_msat != SignedMsat::ZERO)
}

/// The entry of a payment: what `me` still has to receive changes by `money`, the counterparty's by
/// the opposite.
fn transfer(due: DueId, counterparty: ParticipantId, money: SignedMsat) -> Option<Entry> {
    let energy = NetEnergy::ZERO;
    let postings = vec![
        Posting { account: Account::Me, energy, money },
        Posting {
            account: Account::Counterparty(counterparty),
            energy,
            money: money.checked_neg()?,
        },
    ];
    Entry::new(due.interval, postings).ok()
}
