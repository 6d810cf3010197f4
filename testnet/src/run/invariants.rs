//! What must hold in every interval of a run, whatever goes wrong in it.
//!
//! Each invariant is a function of one interval's observation. "Present" is a node that was up from
//! the opening of the interval's order window until its readings were due: of others nothing is
//! expected but that they never signed anything outside their own order.
//! Not for: what only a whole run shows, such as that a hostile peer was rejected.

use boltgrid::status::{
    IntervalOutcome, IntervalReport, SettlementReport, StepReport, TradeReport, TradeState,
};

use super::fleet::Back;
use super::observation::{Observation, SiteObservation, TradeSides};
use super::report::InvariantRow;

/// Violations that are told in full; of the rest only the number.
const EXAMPLES_MAX: usize = 8;

/// How often something was checked and how often it did not hold.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    checked: u32,
    violations: u32,
    examples: Vec<String>,
}

impl Tally {
    /// Counts one check; `problem` says what is wrong where it does not hold.
    pub fn check(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        self.checked = self.checked.saturating_add(1);
        if !holds {
            self.violations = self.violations.saturating_add(1);
            if self.examples.len() < EXAMPLES_MAX {
                self.examples.push(problem());
            }
        }
    }

    /// The tally as a row of the report.
    #[must_use]
    pub fn row(&self, name: &str) -> InvariantRow {
        InvariantRow {
            name: name.to_owned(),
            checked: self.checked,
            violations: self.violations,
            examples: self.examples.clone(),
        }
    }
}

/// How many invariants every run puts to the test; of the others it tells where it did.
const ALWAYS: usize = 10;

type Check = fn(&Observation, &mut Tally);

/// Every invariant of one interval, those that only some faults put to the test last.
const INVARIANTS: [(&str, Check); 13] = [
    ("one_digest_per_interval", one_digest),
    ("decided_or_fallen_back", decided_or_fallen_back),
    ("decided_while_a_quorum_is_up", decided_with_a_quorum),
    ("every_cleared_trade_confirmed_by_both", confirmed_by_both),
    ("no_trade_outside_own_order", inside_own_order),
    ("both_sides_compute_the_same_due", same_due),
    ("energy_sums_to_zero", energy_sums_to_zero),
    ("money_sums_to_zero", money_sums_to_zero),
    ("meters_match_the_plant", meters_match),
    ("restarted_nodes_trade_again", restarted_trade_again),
    ("unhindered_nodes_trade_again", unhindered_trade_again),
    ("sides_of_a_partition_say_no_decision", cut_off_say_so),
    ("nodes_with_a_wrong_clock_sign_nothing", skewed_sign_nothing),
];

/// The invariants of a run and how they fared so far.
#[derive(Clone, Debug, Default)]
pub struct Invariants {
    tallies: [Tally; INVARIANTS.len()],
}

impl Invariants {
    /// Checks all of them in one interval and returns how many violations there were.
    pub fn check(&mut self, observation: &Observation) -> u32 {
        let before = self.violations();
        for ((_, check), tally) in INVARIANTS.iter().zip(&mut self.tallies) {
            check(observation, tally);
        }
        self.violations().saturating_sub(before)
    }

    fn violations(&self) -> u32 {
        self.tallies.iter().fold(0, |sum, tally| sum.saturating_add(tally.violations))
    }

    /// The rows of the report.
    #[must_use]
    pub fn rows(&self) -> Vec<InvariantRow> {
        let named = INVARIANTS.iter().zip(&self.tallies).enumerate();
        let told = named.filter(|(place, (_, tally))| *place < ALWAYS || tally.checked > 0);
        told.map(|(_, named)| named).map(|((name, _), tally)| tally.row(name)).collect()
    }
}

fn one_digest(observation: &Observation, tally: &mut Tally) {
    let mut decided = observation.decided();
    let Some((first_site, first)) = decided.next() else { return };
    let key = |report: &IntervalReport| {
        let IntervalReport { book_hash, clearing_digest, .. } = report;
        (book_hash.clone(), clearing_digest.clone(), report.price_msat_per_kwh, report.volume_mwh)
    };
    let other = decided.find(|(_, report)| key(report) != key(first));
    tally.check(other.is_none(), || {
        let other = other.map_or("", |(site, _)| &site.name);
        let interval = observation.interval;
        format!("interval {interval}: {} and {other} cleared differently", first_site.name)
    });
}

/// Nobody is left not knowing, and who fell back gets everything from the supplier.
fn decided_or_fallen_back(observation: &Observation, tally: &mut Tally) {
    for site in observation.present() {
        let problem = match &site.report {
            None => Some("knows nothing of it"),
            Some(report) => match report.outcome {
                IntervalOutcome::Open => Some("never concluded it"),
                IntervalOutcome::Decided => None,
                IntervalOutcome::NoDecision => traded_without_decision(report),
            },
        };
        tally.check(problem.is_none(), || {
            let problem = problem.unwrap_or_default();
            format!("interval {}: {} {problem}", observation.interval, site.name)
        });
    }
}

fn traded_without_decision(report: &IntervalReport) -> Option<&'static str> {
    let settlement = report.settlement.as_ref();
    let supplied = settlement.is_none_or(|it| it.metered_mwh.unwrap_or(0) == it.supplier_mwh);
    if !report.own_trades.is_empty() || report.clearing_digest.is_some() {
        Some("fell back and trades all the same")
    } else if !supplied {
        Some("fell back and is not supplied with all that it metered")
    } else {
        None
    }
}

fn decided_with_a_quorum(observation: &Observation, tally: &mut Tally) {
    // Over bad links a decision may come too late; how many did is judged over the whole run.
    if observation.present().count() < observation.quorum || observation.is_rough {
        return;
    }
    let decided = |site: &SiteObservation| {
        site.report.as_ref().is_some_and(|report| report.outcome == IntervalOutcome::Decided)
    };
    for site in observation.present() {
        tally.check(decided(site), || {
            format!("interval {}: {} has no certified book", observation.interval, site.name)
        });
    }
}

/// Every trade of the clearing between nodes that are present, and no fewer than there are.
fn confirmed_by_both(observation: &Observation, tally: &mut Tally) {
    if observation.is_rough {
        return;
    }
    let trades = observation.trades();
    for (index, sides) in &trades {
        let tells = [sides.seller, sides.buyer];
        let parties: Vec<[&str; 2]> = tells
            .iter()
            .flatten()
            .map(|(site, trade)| [site.participant.as_str(), trade.counterparty.as_str()])
            .collect();
        // Whoever was not paid in time may refuse what the other would owe, and should (P34).
        let is_refusable = parties.iter().any(|pair| observation.was_late(*pair));
        let are_present = parties.iter().flatten().all(|party| observation.is_present(party));
        if are_present && !is_refusable {
            tally.check(sides.is_confirmed_by_both(), || {
                let interval = observation.interval;
                format!("interval {interval}: trade {index} is {}", unconfirmed(sides))
            });
        }
    }
    if observation.sites.iter().all(|site| site.present) {
        let cleared = observation.decided().map(|(_, report)| report.trades).max().unwrap_or(0);
        tally.check(super::report::count(trades.len()) == cleared, || {
            let (interval, known) = (observation.interval, trades.len());
            format!("interval {interval}: {cleared} trades were cleared, their sides know {known}")
        });
    }
}

fn unconfirmed(sides: &TradeSides<'_>) -> String {
    let side = |side: Option<(&SiteObservation, &TradeReport)>| {
        side.map_or("unknown".to_owned(), |(site, trade)| {
            format!("{:?} at {}", trade.state, site.name).to_lowercase()
        })
    };
    format!("{} (seller) and {} (buyer)", side(sides.seller), side(sides.buyer))
}

/// A node signs no trade outside its own order, whatever it hears. One that was down may have
/// forgotten to tell which order that was; what it signed is in its journal.
fn inside_own_order(observation: &Observation, tally: &mut Tally) {
    let tells = |(site, report): &(&SiteObservation, &IntervalReport)| {
        site.present || !report.own_order.is_empty()
    };
    for (site, report) in observation.reports().filter(tells) {
        let signed = |trade: &&TradeReport| trade.state == TradeState::Confirmed;
        for side in ["buy", "sell"] {
            let trades = report.own_trades.iter().filter(signed).filter(|it| it.side == side);
            let Some(price) = trades.clone().map(|trade| trade.price_msat_per_kwh).next() else {
                continue;
            };
            let traded = trades.map(|trade| u128::from(trade.energy_mwh)).sum::<u128>();
            let ordered = report.own_order.iter().filter(|step| allows(step, side, price));
            let ordered = ordered.map(|step| u128::from(step.energy_mwh)).sum::<u128>();
            tally.check(traded <= ordered, || {
                let (interval, name) = (observation.interval, &site.name);
                format!(
                    "interval {interval}: {name} signed {side} of {traded} mWh, ordered {ordered}"
                )
            });
        }
    }
}

fn allows(step: &StepReport, side: &str, price: i64) -> bool {
    let better = if side == "buy" {
        price <= step.limit_msat_per_kwh
    } else {
        price >= step.limit_msat_per_kwh
    };
    step.side == side && better
}

/// What the payee expects is what the payer owes, and both measured the same.
fn same_due(observation: &Observation, tally: &mut Tally) {
    for (index, TradeSides { seller, buyer }) in observation.trades() {
        let (Some((sells, seller)), Some((buys, buyer))) = (seller, buyer) else { continue };
        let (Some(in_due), Some(out_due)) = (seller.due_msat, buyer.due_msat) else { continue };
        if !sells.present || !buys.present {
            continue;
        }
        let same = in_due.checked_add(out_due) == Some(0)
            && seller.delivered_mwh == buyer.delivered_mwh
            && seller.energy_mwh == buyer.energy_mwh
            && seller.price_msat_per_kwh == buyer.price_msat_per_kwh;
        tally.check(same, || {
            let (interval, sells, buys) = (observation.interval, &sells.name, &buys.name);
            format!(
                "interval {interval}: trade {index} brings {sells} {in_due} and {buys} {out_due} msat"
            )
        });
    }
}

/// Every site that was present and has settled.
fn settled(
    observation: &Observation,
) -> impl Iterator<Item = (&SiteObservation, &IntervalReport, &SettlementReport)> {
    observation.reports().filter(|(site, _)| site.present).filter_map(|(site, report)| {
        let settlement = report.settlement.as_ref()?;
        Some((site, report, settlement))
    })
}

/// What a site metered it bought, sold, lost or was supplied with; and over the grid trades cancel,
/// so that what all metered is what the supplier gave less what the lines lost.
fn energy_sums_to_zero(observation: &Observation, tally: &mut Tally) {
    let (mut metered_sum, mut supplied_sum) = (0, 0);
    let mut all_metered = observation.sites.iter().all(|site| site.present);
    let mut count = 0;
    for (site, report, settlement) in settled(observation) {
        count += 1;
        let supplied = i128::from(settlement.supplier_mwh) - i128::from(settlement.losses_mwh);
        let Some(metered) = settlement.metered_mwh.map(i128::from) else {
            all_metered = false;
            continue;
        };
        let traded = report.own_trades.iter().map(|trade| {
            let delivered = i128::from(trade.delivered_mwh.unwrap_or(0));
            if trade.side == "buy" { delivered } else { -delivered }
        });
        let left = metered - supplied - traded.sum::<i128>();
        tally.check(left == 0 && settlement.is_balanced, || {
            format!("interval {}: {left} mWh are left over at {}", observation.interval, site.name)
        });
        metered_sum += metered;
        supplied_sum += supplied;
    }
    if all_metered && count == observation.sites.len() {
        tally.check(metered_sum == supplied_sum, || {
            let interval = observation.interval;
            format!("interval {interval}: metered {metered_sum} mWh, supplied {supplied_sum} mWh")
        });
    }
}

/// What trades bring some they cost others, to the millisatoshi.
fn money_sums_to_zero(observation: &Observation, tally: &mut Tally) {
    let mut sum = 0;
    let mut any = false;
    for (site, report, settlement) in settled(observation) {
        let dues = || report.own_trades.iter().map(|it| (it, i128::from(it.due_msat.unwrap_or(0))));
        let all = dues().map(|(_, due)| due).sum::<i128>();
        tally.check(all == i128::from(settlement.trades_due_msat), || {
            let (interval, name) = (observation.interval, &site.name);
            format!("interval {interval}: {name} does not expect the sum of its trades")
        });
        let among_us = dues().filter(|(trade, _)| observation.is_present(&trade.counterparty));
        sum += among_us.map(|(_, due)| due).sum::<i128>();
        any = true;
    }
    if any {
        tally.check(sum == 0, || {
            format!("interval {}: {sum} msat are due to nobody", observation.interval)
        });
    }
}

/// The signed readings tell what flowed, as exactly as a meter that refreshes once a tick can.
fn meters_match(observation: &Observation, tally: &mut Tally) {
    for (site, _, settlement) in settled(observation) {
        let (Some(metered), Some(flowed)) = (settlement.metered_mwh, site.flowed_mwh) else {
            continue;
        };
        let off = metered.abs_diff(flowed);
        tally.check(off <= site.meter_tolerance_mwh, || {
            let (interval, name) = (observation.interval, &site.name);
            format!("interval {interval}: {name} metered {metered} mWh, {flowed} mWh flowed")
        });
    }
}

fn restarted_trade_again(observation: &Observation, tally: &mut Tally) {
    trade_again(Back::Restarted, observation, tally);
}

fn unhindered_trade_again(observation: &Observation, tally: &mut Tally) {
    trade_again(Back::Unhindered, observation, tally);
    trade_again(Back::Abstained, observation, tally);
}

fn trade_again(back: Back, observation: &Observation, tally: &mut Tally) {
    if observation.is_rough || observation.is_split {
        return;
    }
    for site in observation.sites.iter().filter(|site| site.due_back == Some(back)) {
        let trades = site.report.as_ref().is_some_and(|report| {
            report.outcome == IntervalOutcome::Decided && !report.own_order.is_empty()
        });
        tally.check(trades, || {
            format!("interval {}: {} is not back", observation.interval, site.name)
        });
    }
}

/// Who is left without a quorum knows it: nobody could decide, or only the others.
fn cut_off_say_so(observation: &Observation, tally: &mut Tally) {
    for site in observation.sites.iter().filter(|site| site.cut_off) {
        let says = site.report.as_ref().map(|report| report.outcome);
        let holds = says == Some(IntervalOutcome::NoDecision)
            || (says == Some(IntervalOutcome::Decided) && !observation.is_split);
        tally.check(holds, || {
            let (interval, name) = (observation.interval, &site.name);
            format!("interval {interval}: {name} was cut off and says {says:?}")
        });
    }
}

/// Who cannot trust its clock abstains (P25): it has no order and no trade.
fn skewed_sign_nothing(observation: &Observation, tally: &mut Tally) {
    for (site, report) in observation.reports().filter(|(site, _)| site.skewed) {
        let signed = |trade: &TradeReport| trade.state == TradeState::Confirmed;
        let signs = !report.own_order.is_empty() || report.own_trades.iter().any(signed);
        tally.check(!signs, || {
            let (interval, name) = (observation.interval, &site.name);
            format!("interval {interval}: {name} signs by a clock that is wrong")
        });
    }
}

#[cfg(test)]
mod tests;
