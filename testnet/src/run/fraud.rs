//! What came of rogues that did not pay, or asked for what they were not owed: nothing false was
//! taken, what they owe is bounded and in dispute, and nobody traded on with them.
//!
//! Rogues have no Lightning, so that none of them ever pays, whatever its role.
//! Not for: what they do; that is [`crate::rogue`].

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bitcoin::hex::FromHex;
use boltgrid::rpc::payment::DisputeReport;
use boltgrid::status::TradeState;
use boltgrid_market::payments::Why;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{Header, Kind};
use boltgrid_protocol::units::{Interval, Msat, Price, Timestamp};

use super::exposure::Exposures;
use super::invariants::Tally;
use super::observation::Observation;
use super::payments::Payments;
use super::report::InvariantRow;
use super::rogues::{Played, TAKEN};

/// Dealings that are remembered; the first is forgotten for one too many.
const DEALINGS_MAX: usize = 16_384;
/// A default is in dispute so long after its time at the latest.
const DISPUTED_WITHIN_MS: u64 = 5_000;

/// A trade of a node with a rogue by which the rogue would owe the node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dealing {
    interval: u64,
    trade: u32,
    /// The node's site and its participant.
    site: String,
    node: String,
    rogue: String,
    is_confirmed: bool,
    due_msat: u64,
    /// When the node had not signed it yet.
    gate: Timestamp,
    pay_by: Timestamp,
}

/// All dealings of nodes with rogues.
#[derive(Clone, Debug, Default)]
pub struct Frauds {
    dealings: VecDeque<Dealing>,
}

/// One rogue, and what it was told.
#[derive(Clone, Copy, Debug)]
pub struct Fraud<'a> {
    /// Its participant.
    pub participant: &'a str,
    /// What it said and was told.
    pub played: &'a Played,
}

/// What nodes tell of their disputes, by participant.
pub type Disputes = BTreeMap<String, Vec<DisputeReport>>;

impl Frauds {
    /// Notes the trades of an interval by which a rogue would owe a node.
    pub fn note(&mut self, observation: &Observation, charter: &Charter) {
        let interval = Interval::from_number(observation.interval);
        let schedule = charter.interval.schedule(interval);
        let pay_by = schedule.readings_by.plus_ms(charter.settlement.pay_within_ms);
        for (site, report) in observation.reports() {
            for trade in report.own_trades.iter() {
                let sells = trade.side == "sell";
                let is_paid = sells == (trade.price_msat_per_kwh >= 0);
                if !is_paid || !observation.is_rogue(&trade.counterparty) {
                    continue;
                }
                if self.dealings.len() >= DEALINGS_MAX {
                    self.dealings.pop_front();
                }
                self.dealings.push_back(Dealing {
                    interval: observation.interval,
                    trade: trade.index,
                    site: site.name.clone(),
                    node: site.participant.clone(),
                    rogue: trade.counterparty.clone(),
                    is_confirmed: trade.state == TradeState::Confirmed,
                    due_msat: trade.due_msat.unwrap_or(0).unsigned_abs(),
                    gate: schedule.gate,
                    pay_by,
                });
            }
        }
    }

    /// What must have come of the rogues at `now`; `price` is the highest of any trade.
    #[must_use]
    pub fn verdicts(
        &self,
        now: Timestamp,
        rogues: &[Fraud<'_>],
        (disputes, exposures, payments): (&Disputes, &Exposures, &Payments),
        (charter, price): (&Charter, Price),
    ) -> Vec<InvariantRow> {
        let rows = [
            ("no_false_invoice_is_taken", no_false_invoice(rogues, payments)),
            (
                "rogues_owe_a_tranche_at_most",
                a_tranche_at_most(rogues, exposures, worth_msat(charter, price)),
            ),
            ("defaults_are_in_dispute_with_all_proof", self.all_in_dispute(now, disputes)),
            ("nobody_signs_for_a_defaulter", self.nobody_signs(disputes)),
            (
                "late_payments_end_defaults",
                late_payments(rogues, disputes, exposures, worth_msat(charter, price)),
            ),
        ];
        let rows = rows.iter().map(|(name, tally)| tally.row(name));
        rows.filter(|row| row.checked > 0).collect()
    }

    /// Every due of a rogue whose time is over is in dispute, with what shows it.
    fn all_in_dispute(&self, now: Timestamp, disputes: &Disputes) -> Tally {
        let mut tally = Tally::default();
        for dealing in &self.dealings {
            let overdue = dealing.due_msat > 0 && now > dealing.pay_by.plus_ms(DISPUTED_WITHIN_MS);
            let Some(told) = disputes.get(&dealing.node).filter(|_| overdue) else { continue };
            let dispute = told
                .iter()
                .find(|it| (it.interval, it.trade) == (dealing.interval, Some(dealing.trade)));
            let missing = dispute.map_or(Some("is not in dispute"), |dispute| {
                let sides = [dealing.node.as_str(), &dealing.rogue];
                (!has_all_proof(dispute, sides)).then_some("is in dispute without all proof")
            });
            tally.check(missing.is_none(), || {
                let Dealing { interval, trade, site, due_msat, .. } = dealing;
                let missing = missing.unwrap_or_default();
                format!(
                    "interval {interval}: {due_msat} msat due to {site} for trade {trade} {missing}"
                )
            });
        }
        tally
    }

    /// After a default a node signs nothing by which the defaulter would owe it more, until its owner
    /// forgives it.
    fn nobody_signs(&self, disputes: &Disputes) -> Tally {
        let mut tally = Tally::default();
        let not_paid = Why::NotPaid.to_string();
        for dealing in &self.dealings {
            let gate = dealing.gate.to_unix_ms();
            let is_before = |it: &&DisputeReport| {
                let is_forgiven = it.forgiven_at_unix_ms.is_some_and(|at| at < gate);
                it.at_unix_ms < gate && !is_forgiven
            };
            let told = disputes.get(&dealing.node).into_iter().flatten();
            let mut defaults =
                told.filter(|it| it.why == not_paid && it.counterparty == dealing.rogue);
            if !defaults.any(|it| is_before(&it)) {
                continue;
            }
            tally.check(!dealing.is_confirmed, || {
                let Dealing { interval, trade, site, rogue, .. } = dealing;
                format!("interval {interval}: {site} signed trade {trade} with {rogue}, which had not paid before")
            });
        }
        tally
    }

    /// How many disputes nodes have with a rogue.
    #[must_use]
    pub fn disputes_with(disputes: &Disputes, rogue: &str) -> usize {
        disputes.values().flatten().filter(|it| it.counterparty == rogue).count()
    }
}

/// What is false is refused, and nobody means to pay it.
fn no_false_invoice(rogues: &[Fraud<'_>], payments: &Payments) -> Tally {
    let mut tally = Tally::default();
    for Fraud { participant, played } in rogues {
        for (trick, words) in played.words.iter().filter(|(trick, _)| trick.is_false()) {
            for (word, count) in words {
                tally.check(*word != TAKEN, || {
                    format!("{count} invoices of {participant} were taken: {}", trick.word())
                });
            }
        }
        for hash in payments.asked_by(participant) {
            tally.check(played.right.contains(hash), || {
                format!("the invoice {hash} of {participant} is false and was to be paid")
            });
        }
    }
    tally
}

/// What a tranche is worth at a price.
fn worth_msat(charter: &Charter, price: Price) -> u64 {
    price.amount_floor(charter.settlement.tranche_mwh).map_or(u64::MAX, Msat::to_millisatoshi)
}

/// Whoever is no rogue has paid in the end what it had not paid in time, and is trusted with less than
/// a newcomer.
fn late_payments(
    rogues: &[Fraud<'_>],
    disputes: &Disputes,
    exposures: &Exposures,
    worth_msat: u64,
) -> Tally {
    let mut tally = Tally::default();
    let not_paid = Why::NotPaid.to_string();
    let is_rogue = |who: &str| rogues.iter().any(|rogue| rogue.participant == who);
    for (node, told) in disputes {
        // Whoever is down at the end may yet pay.
        let may_pay = |who: &str| disputes.contains_key(who) && !is_rogue(who);
        let late = told.iter().filter(|it| it.why == not_paid && may_pay(&it.counterparty));
        let late = late.filter(|it| it.forgiven_at_unix_ms.is_none());
        for DisputeReport { interval, counterparty, resolved_at_unix_ms, .. } in late {
            tally.check(resolved_at_unix_ms.is_some(), || {
                format!("interval {interval}: {counterparty} has not paid {node} in the end")
            });
            let limit = exposures.limit_of(node, counterparty);
            tally.check(limit.is_some_and(|limit| limit < worth_msat), || {
                format!("{counterparty} may owe {node} {limit:?} msat after a default")
            });
        }
    }
    tally
}

fn a_tranche_at_most(rogues: &[Fraud<'_>], exposures: &Exposures, worth_msat: u64) -> Tally {
    let mut tally = Tally::default();
    for Fraud { participant, .. } in rogues {
        let most = exposures.most_of(participant);
        tally.check(most <= worth_msat, || {
            format!("{participant} owed {most} msat at worst, and a tranche is {worth_msat}")
        });
    }
    tally
}

/// Whether both sides' confirms and both their readings at both edges are there.
fn has_all_proof(dispute: &DisputeReport, sides: [&str; 2]) -> bool {
    let mut seen: BTreeMap<(String, bool), BTreeSet<&String>> = BTreeMap::new();
    for message in &dispute.proof_hex {
        let bytes = Vec::<u8>::from_hex(message).unwrap_or_default();
        let Ok(Header { kind, author, .. }) = Header::peek(&bytes) else { return false };
        let is_reading = kind == Kind::Reading;
        if is_reading || kind == Kind::TradeConfirm {
            seen.entry((author.to_string(), is_reading)).or_default().insert(message);
        }
    }
    let count =
        |side: &str, is_reading| seen.get(&(side.to_owned(), is_reading)).map_or(0, BTreeSet::len);
    sides.iter().all(|side| count(side, true) == 2 && count(side, false) == 1)
}
