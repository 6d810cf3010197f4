//! What all nodes tell of their payments, put together: what was paid for every interval and how
//! soon, whether it is what was due, and that nobody paid twice.
//!
//! Nodes are asked for the latest intervals again and again, since each tells of so many payments
//! only. Not for: how a payment is made, or who may owe how much.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::hashes::{Hash, sha256};
use bitcoin::hex::FromHex;

use super::invariants::Tally;
use super::report::{IntervalRow, InvariantRow, count, percentile};

/// Who pays whom for what: one tranche of one trade or forward of one interval.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tranche {
    /// The interval.
    pub interval: u64,
    /// The trade's place in the clearing, or the forward's name.
    pub cause: String,
    /// Which tranche, from one.
    pub number: u32,
    /// The payer's participant id.
    pub payer: String,
    /// The payee's.
    pub payee: String,
}

/// How a payment stands, as one of its sides tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// For what.
    pub tranche: Tranche,
    /// Whether the payee tells it.
    pub by_payee: bool,
    /// How much.
    pub amount_msat: u64,
    /// Whether it arrived.
    pub is_paid: bool,
    /// Whether it failed for good.
    pub is_failed: bool,
    /// The payer's receipt, in hexadecimal.
    pub preimage: Option<String>,
    /// Since when it stands so.
    pub at_unix_ms: u64,
}

/// A tranche that was paid, and how long that took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// For what.
    pub tranche: Tranche,
    /// How much.
    pub amount_msat: u64,
    /// When the delivery that it is for had ended.
    pub ended_unix_ms: u64,
    /// When both sides had reckoned what was due for it.
    pub due_at_unix_ms: u64,
    /// When the payer had its receipt.
    pub paid_at_unix_ms: u64,
}

/// All payments of a run.
#[derive(Clone, Debug, Default)]
pub struct Payments {
    /// What either side last told, by payment hash.
    told: BTreeMap<(String, bool), Told>,
    /// How long after the end of delivery a participant had reckoned what was due for an interval.
    settled_ms: BTreeMap<(u64, String), u64>,
}

impl Payments {
    /// Notes what a node tells of the payment with this hash.
    pub fn note(&mut self, hash: String, told: Told) {
        self.told.insert((hash, told.by_payee), told);
    }

    /// Notes how long after the end of delivery a participant had reckoned what was due.
    pub fn note_settled(&mut self, interval: u64, participant: String, settled_ms: u64) {
        self.settled_ms.insert((interval, participant), settled_ms);
    }

    /// All tranches that were paid, as far as both sides told when they had reckoned them; `ended`
    /// says when an interval's delivery did.
    pub fn settlements(&self, ended: impl Fn(u64) -> u64) -> Vec<Settlement> {
        let paid = self.by_payers().map(|(_, told)| told).filter(|told| told.is_paid);
        let settlement = |told: &Told| {
            let tranche = told.tranche.clone();
            let ended_unix_ms = ended(tranche.interval);
            let settled = |who: &String| self.settled_ms.get(&(tranche.interval, who.clone()));
            let settled_ms = *settled(&tranche.payer)?.max(settled(&tranche.payee)?);
            Some(Settlement {
                amount_msat: told.amount_msat,
                ended_unix_ms,
                due_at_unix_ms: ended_unix_ms.saturating_add(settled_ms),
                paid_at_unix_ms: told.at_unix_ms,
                tranche,
            })
        };
        paid.filter_map(settlement).collect()
    }

    /// The hashes of all invoices of a payee that any payer has meant to pay.
    pub fn asked_by(&self, payee: &str) -> impl Iterator<Item = &String> {
        let payee = payee.to_owned();
        self.by_payers().filter(move |(_, told)| told.tranche.payee == payee).map(|(hash, _)| hash)
    }

    /// What of an interval is paid, by what for.
    #[must_use]
    pub fn paid_by_cause(&self, interval: u64) -> BTreeMap<String, u64> {
        let mut paid: BTreeMap<String, u64> = BTreeMap::new();
        let of = self.by_payers().map(|(_, told)| told);
        for told in of.filter(|told| told.is_paid && told.tranche.interval == interval) {
            let sum = paid.entry(told.tranche.cause.clone()).or_default();
            *sum = sum.saturating_add(told.amount_msat);
        }
        paid
    }

    /// Payments as their payers tell them, with their hashes.
    fn by_payers(&self) -> impl Iterator<Item = (&String, &Told)> {
        self.told
            .iter()
            .filter(|((_, by_payee), _)| !by_payee)
            .map(|((hash, _), told)| (hash, told))
    }

    /// Adds to an interval's row what was paid for it; `ended_unix_ms` is when its delivery did.
    pub fn add_to(&self, row: &mut IntervalRow, ended_unix_ms: u64) {
        let of = self.by_payers().map(|(_, told)| told);
        let of: Vec<&Told> = of.filter(|told| told.tranche.interval == row.interval).collect();
        let paid: Vec<&&Told> = of.iter().filter(|told| told.is_paid).collect();
        row.paid_msat = paid.iter().map(|told| told.amount_msat).fold(0, u64::saturating_add);
        row.payments = count(paid.len());
        row.payments_failed = count(of.iter().filter(|told| told.is_failed).count());
        let took = |told: &&&Told| told.at_unix_ms.saturating_sub(ended_unix_ms);
        let mut settle_ms: Vec<u64> = paid.iter().map(took).collect();
        settle_ms.sort_unstable();
        row.settle_ms_p50 = percentile(&settle_ms, 50);
        row.settle_ms_p95 = percentile(&settle_ms, 95);
    }

    /// What must hold of all of them; `dues` are what each interval came to, and `all_are_up` says
    /// whether nothing kept anybody from paying.
    #[must_use]
    pub fn verdicts(&self, dues: &[(u64, u64)], all_are_up: bool) -> Vec<InvariantRow> {
        vec![
            self.receipts_are_dues(dues, all_are_up).row("receipts_sum_to_the_dues"),
            self.paid_once().row("nobody_paid_twice"),
            self.receipts_open_hashes().row("every_payment_has_its_receipt"),
            self.sides_agree(all_are_up).row("payer_and_payee_tell_the_same"),
        ]
    }

    /// What is paid for an interval is what was due to the millisatoshi; while somebody is away it
    /// may be less, and never more.
    fn receipts_are_dues(&self, dues: &[(u64, u64)], all_are_up: bool) -> Tally {
        let mut paid: BTreeMap<u64, u64> = BTreeMap::new();
        for (_, told) in self.by_payers().filter(|(_, told)| told.is_paid) {
            let sum = paid.entry(told.tranche.interval).or_default();
            *sum = sum.saturating_add(told.amount_msat);
        }
        let mut tally = Tally::default();
        for (interval, due_msat) in dues {
            let paid_msat = paid.get(interval).copied().unwrap_or(0);
            let holds = paid_msat == *due_msat || (!all_are_up && paid_msat < *due_msat);
            tally.check(holds, || {
                format!("interval {interval}: {due_msat} msat were due and {paid_msat} are paid")
            });
        }
        tally
    }

    /// No tranche has two payments that arrived.
    fn paid_once(&self) -> Tally {
        let (mut tally, mut seen) = (Tally::default(), BTreeSet::new());
        for (hash, told) in self.by_payers().filter(|(_, told)| told.is_paid) {
            tally.check(seen.insert(&told.tranche), || {
                format!("{hash} pays again for {:?}", told.tranche)
            });
        }
        tally
    }

    /// Every payment that arrived has a preimage of its hash.
    fn receipts_open_hashes(&self) -> Tally {
        let mut tally = Tally::default();
        for (hash, told) in self.by_payers().filter(|(_, told)| told.is_paid) {
            let preimage = told.preimage.as_ref().and_then(|it| Vec::<u8>::from_hex(it).ok());
            let opens = preimage.is_some_and(|preimage| {
                let digest = sha256::Hash::hash(&preimage).to_byte_array();
                Vec::<u8>::from_hex(hash).is_ok_and(|hash| hash == digest)
            });
            tally.check(opens, || format!("{hash} has no receipt"));
        }
        tally
    }

    /// What a payer says is paid has arrived, and is as much for the same; and the other way round
    /// where nobody was away.
    fn sides_agree(&self, all_are_up: bool) -> Tally {
        let mut tally = Tally::default();
        for ((hash, by_payee), told) in self.told.iter().filter(|(_, told)| told.is_paid) {
            let other = self.told.get(&(hash.clone(), !by_payee));
            let same = other.map(|it| {
                it.is_paid && it.amount_msat == told.amount_msat && it.tranche == told.tranche
            });
            tally.check(same.unwrap_or(!all_are_up), || {
                let side = if *by_payee { "payee" } else { "payer" };
                format!("{hash} arrived, says only its {side}")
            });
        }
        tally
    }

    /// Whether anything is under way.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.told.values().any(|told| !told.is_paid && !told.is_failed)
    }
}
