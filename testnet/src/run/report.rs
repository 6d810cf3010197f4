//! The report of a run: its JSON, kept stable for programs, and how a row of it follows from what
//! was observed. 64-bit integers are strings, which JavaScript can hold.
//!
//! Not for: lines for people; those are in [`super::table`].

use std::collections::{BTreeMap, BTreeSet};

use boltgrid::status::{IntervalReport, TradeReport, quoted};
use serde::{Deserialize, Serialize};

use super::deluge::FloodRow;
use super::links::LinksRow;
use super::observation::{Observation, TradeSides};

/// Counts of rejected messages by topic or protocol, then reason.
pub type Rejected = BTreeMap<String, BTreeMap<String, u64>>;

/// Adds counts to counts.
pub fn add_rejected(sum: &mut Rejected, part: &Rejected) {
    for (place, reasons) in part {
        let place = sum.entry(place.clone()).or_default();
        for (reason, count) in reasons {
            let sum = place.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

/// A run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// What copies of sites, keys and flicker follow from.
    #[serde(with = "quoted")]
    pub seed: u64,
    /// How long an interval was.
    #[serde(with = "quoted")]
    pub interval_ms: u64,
    /// The intervals, in order.
    pub intervals: Vec<IntervalRow>,
    /// The nodes, in the order of the scenario's sites.
    pub nodes: Vec<NodeRow>,
    /// What was checked in every interval.
    pub invariants: Vec<InvariantRow>,
    /// Messages that all nodes together rejected, by topic or protocol, then reason.
    pub rejected: Rejected,
    /// What floods came to, and what they cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floods: Vec<FloodRow>,
    /// How often each kind of fault began.
    #[serde(default)]
    pub faults: BTreeMap<String, u32>,
    /// What became of all datagrams between nodes, where faults concerned links.
    #[serde(default)]
    pub links: Option<LinksRow>,
    /// After links healed without which nothing could be decided: how many intervals later there was
    /// a decision again, at the latest. None where they never healed, or it never came.
    #[serde(default)]
    pub resumed_within_intervals: Option<u32>,
    /// The rogues, in the order of their sites; what their nodes' rows say is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rogues: Vec<RogueRow>,
    /// The falsified meters, in the order in which they began to lie.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub falsified: Vec<FalsifiedRow>,
    /// What became of the sums of masked sites, interval by interval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<MaskedRow>,
    /// What mining machines did, where there were any.
    #[serde(flatten)]
    pub mining: MiningReport,
}

/// Mining machines over the whole run, and the surplus that they are there for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MiningReport {
    /// What PV could have given and was turned down.
    #[serde(with = "quoted")]
    pub curtailed_mwh: u64,
    /// What sites gave that nobody had bought, in all intervals.
    #[serde(with = "quoted")]
    pub unsold_export_mwh: u64,
    /// What machines drew beyond what they draw asleep.
    #[serde(with = "quoted")]
    pub mined_mwh: u64,
    /// How often machines were started.
    pub miner_starts: u32,
    /// What 95 of 100 commands took at most from the sample before the one that caused them, at the
    /// slowest of the nodes.
    #[serde(with = "quoted::option")]
    pub reaction_ms_p95: Option<u64>,
    /// How many commands that counts.
    pub reactions: u32,
    /// How long a cloud took to shed the machines of a site, at worst.
    #[serde(with = "quoted::option")]
    pub shed_ms_max: Option<u64>,
    /// The machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub miners: Vec<MinerRow>,
    /// What became of the gas of wells, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gas: Vec<GasRow>,
    /// What became of machines that misbehaved, in the order in which they began to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machine_faults: Vec<MachineFaultRow>,
    /// The same intervals without machines, where they were run as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_miners: Option<WithoutMiners>,
}

/// A well, its generator and its flare over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GasRow {
    /// Its site.
    pub site: String,
    /// What the well gave.
    #[serde(with = "quoted")]
    pub gas_l: u64,
    /// What the generator burnt of it …
    #[serde(with = "quoted")]
    pub generator_l: u64,
    /// … what flowed to the flare …
    #[serde(with = "quoted")]
    pub to_flare_l: u64,
    /// … and what of that was not burnt, since its flame was out.
    #[serde(with = "quoted")]
    pub vented_l: u64,
    /// What the generator gave.
    #[serde(with = "quoted")]
    pub generated_mwh: u64,
    /// How often it was started.
    pub generator_starts: u32,
    /// For how long it ran.
    #[serde(with = "quoted")]
    pub ran_ms: u64,
    /// The part of the gas that was flared while machines drew more than half of what they can …
    pub flared_with_machines_ppm: Option<u32>,
    /// … and while neither they nor the generator ran; none where that was not seen.
    pub flared_without_ppm: Option<u32>,
    /// What the node's account says that the well gave …
    #[serde(with = "quoted::option")]
    pub accounted_gas_l: Option<u64>,
    /// … and that the generator burnt.
    #[serde(with = "quoted::option")]
    pub accounted_generator_l: Option<u64>,
    /// What was wrong in the end, in words.
    pub trouble: Option<String>,
}

/// One mining machine over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinerRow {
    /// Its site.
    pub site: String,
    /// What its node calls it.
    pub name: String,
    /// What power was worth to it when it was started first.
    #[serde(with = "quoted::option")]
    pub worth_msat_per_kwh: Option<i64>,
    /// The first interval at whose price it pays to run, and in which it did.
    #[serde(with = "quoted::option")]
    pub first_paid_interval: Option<u64>,
    /// The price of that interval.
    #[serde(with = "quoted::option")]
    pub first_price_msat_per_kwh: Option<i64>,
    /// How often it was started.
    pub starts: u32,
    /// What it drew beyond what it draws asleep.
    #[serde(with = "quoted")]
    pub mined_mwh: u64,
    /// The shortest that it ran.
    #[serde(with = "quoted::option")]
    pub run_ms_min: Option<u64>,
    /// The shortest that it stood still.
    #[serde(with = "quoted::option")]
    pub rest_ms_min: Option<u64>,
    /// What was last wrong with it, in words.
    pub trouble: Option<String>,
}

/// A machine that misbehaved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFaultRow {
    /// Its site.
    pub site: String,
    /// What its node calls it.
    pub name: String,
    /// What was wrong with it.
    pub fault: String,
    /// How long that lasted, as far as the run goes.
    #[serde(with = "quoted")]
    pub lasted_ms: u64,
    /// How long it did something else than its node said, at most, before that was told.
    #[serde(with = "quoted")]
    pub unexplained_ms_max: u64,
    /// What its node said of it, in words; none where it did as it was told all the time.
    pub trouble: Option<String>,
    /// What it drew in the end.
    #[serde(with = "quoted")]
    pub drew_mw: i64,
    /// Whether it was without power in the end.
    pub is_cut_off: bool,
}

/// A run without machines, beside one with them; both in the intervals that both saw and that are
/// judged: the supplier does not pay for what nobody bought, and no cloud came or went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithoutMiners {
    /// How many intervals.
    pub intervals: u32,
    /// What sites gave that nobody had bought, without machines …
    #[serde(with = "quoted")]
    pub unsold_export_mwh: u64,
    /// … and with them.
    #[serde(with = "quoted")]
    pub unsold_export_with_miners_mwh: u64,
    /// What PV was turned down by without machines …
    #[serde(with = "quoted")]
    pub curtailed_mwh: u64,
    /// … and with them.
    #[serde(with = "quoted")]
    pub curtailed_with_miners_mwh: u64,
}

/// One interval over all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalRow {
    /// The interval's number.
    #[serde(with = "quoted")]
    pub interval: u64,
    /// The beginning of the profiles' row that it stood for.
    pub local_time: String,
    /// Whether there is a certified book.
    pub decided: bool,
    /// The first view in which a node saw it decided.
    pub view: Option<u32>,
    /// From gate closure to the decision, the median of the nodes.
    #[serde(with = "quoted::option")]
    pub decide_ms_p50: Option<u64>,
    /// The same for all but the slowest twentieth.
    #[serde(with = "quoted::option")]
    pub decide_ms_p95: Option<u64>,
    /// Orders in the book.
    pub orders: u32,
    /// The book.
    pub book_hash: Option<String>,
    /// Its clearing.
    pub clearing_digest: Option<String>,
    /// How many different clearings nodes computed; more than one is a violation.
    pub distinct_digests: u32,
    /// The clearing price; none where nothing matched.
    #[serde(with = "quoted::option")]
    pub price_msat_per_kwh: Option<i64>,
    /// The matched volume.
    #[serde(with = "quoted")]
    pub volume_mwh: u64,
    /// Trades of the clearing.
    pub trades: u32,
    /// Trades for which both sides hold both signatures.
    pub trades_confirmed: u32,
    /// Due to all payees together.
    #[serde(with = "quoted")]
    pub due_msat: u64,
    /// Of that, what a rogue owes or is owed.
    #[serde(default, with = "quoted")]
    pub due_with_rogues_msat: u64,
    /// Contracted in confirmed trades and not delivered.
    #[serde(with = "quoted")]
    pub deviation_mwh: u64,
    /// What sites gave that nobody had bought.
    #[serde(default, with = "quoted")]
    pub unsold_export_mwh: u64,
    /// What PV could have given and was turned down.
    #[serde(default, with = "quoted")]
    pub curtailed_mwh: u64,
    /// What the supplier gives for what nobody bought.
    #[serde(default, with = "quoted")]
    pub feed_in_msat_per_kwh: i64,
    /// Whether a cloud came or went between its orders and its end.
    #[serde(default)]
    pub weather_changed: bool,
    /// Paid for it by the end of the run, by all payers together.
    #[serde(default, with = "quoted")]
    pub paid_msat: u64,
    /// In so many payments.
    #[serde(default)]
    pub payments: u32,
    /// Payments that failed for good; what was due was paid by others, or is not paid.
    #[serde(default)]
    pub payments_failed: u32,
    /// From the end of delivery to the receipt, the median of the payments.
    #[serde(default, with = "quoted::option")]
    pub settle_ms_p50: Option<u64>,
    /// The same for all but the slowest twentieth.
    #[serde(default, with = "quoted::option")]
    pub settle_ms_p95: Option<u64>,
}

/// One node over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// The site's name.
    pub site: String,
    /// The participant.
    pub participant: String,
    /// The most memory that it held.
    #[serde(with = "quoted")]
    pub rss_kb_max: u64,
    /// The memory that it held when the first interval had been observed.
    #[serde(default, with = "quoted::option")]
    pub rss_kb_start: Option<u64>,
    /// The memory that it held at the end.
    #[serde(default, with = "quoted::option")]
    pub rss_kb_end: Option<u64>,
    /// Processor time.
    #[serde(with = "quoted")]
    pub cpu_ms: u64,
    /// Bytes received.
    #[serde(with = "quoted")]
    pub bytes_in: u64,
    /// Bytes sent.
    #[serde(with = "quoted")]
    pub bytes_out: u64,
    /// How often it was started again.
    pub restarts: u32,
}

/// One rogue over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RogueRow {
    /// The site's name.
    pub site: String,
    /// The participant.
    pub participant: String,
    /// What it played.
    pub role: String,
    /// What it heard of other members' readings, by what it was.
    #[serde(default)]
    pub heard: BTreeMap<String, u64>,
    /// How many messages it sent, by kind.
    pub sent: BTreeMap<String, u64>,
    /// The payers' words on its invoices, by what was wrong with these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, BTreeMap<String, u64>>,
    /// The most that it ever owed any one node.
    #[serde(default, with = "quoted")]
    pub owed_msat_max: u64,
    /// How many disputes nodes have with it.
    #[serde(default)]
    pub disputes: u32,
}

/// One falsified meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FalsifiedRow {
    /// Its site.
    pub site: String,
    /// What it showed of 100 that flowed.
    pub shown_percent: u32,
    /// In how many intervals every node saw a gap that it would explain; none where that never came.
    pub caught_within_intervals: Option<u32>,
    /// In how many intervals every node had told it from all others; none where that never came.
    pub located_within_intervals: Option<u32>,
    /// Whether all that could be told was that it is one of the sites that are added up unseen.
    #[serde(default)]
    pub to_cohort: bool,
}

/// What became of the sum of masked sites in one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskedRow {
    /// The interval's number.
    #[serde(with = "quoted")]
    pub interval: u64,
    /// How many nodes made the sum and held it against the feeder's meter.
    pub sums: u32,
    /// How many nodes had nothing to say of this interval when they were asked.
    pub silent: u32,
    /// Sites in the book, as far as nodes know.
    #[serde(with = "quoted")]
    pub present: u64,
    /// Sites that were not.
    #[serde(with = "quoted")]
    pub absent: u64,
    /// What neither the sum nor the lines explain.
    #[serde(with = "quoted::option")]
    pub gap_mwh: Option<i64>,
    /// How large that may be.
    #[serde(with = "quoted::option")]
    pub tolerance_mwh: Option<u64>,
    /// Why nodes had no sum, and how many.
    #[serde(default)]
    pub why_not: BTreeMap<String, u32>,
}

/// One invariant over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvariantRow {
    /// Its name.
    pub name: String,
    /// How often it was checked.
    pub checked: u32,
    /// How often it did not hold.
    pub violations: u32,
    /// The first few violations, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

impl Report {
    /// Whether every invariant held.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.invariants.iter().all(|invariant| invariant.violations == 0)
    }
}

impl IntervalRow {
    /// The row of an observed interval.
    #[must_use]
    pub fn of(observation: &Observation, local_time: String) -> Self {
        let decided: Vec<&IntervalReport> =
            observation.decided().map(|(_, report)| report).collect();
        let digests: BTreeSet<_> = decided.iter().map(|report| &report.clearing_digest).collect();
        let mut decide_ms: Vec<u64> =
            decided.iter().filter_map(|report| report.decide_ms).collect();
        decide_ms.sort_unstable();
        let trades = observation.trades();
        let confirmed = trades.values().filter(|sides| sides.is_confirmed_by_both());
        let row = Self {
            interval: observation.interval,
            local_time,
            decided: !decided.is_empty(),
            view: decided.iter().filter_map(|report| report.view).min(),
            decide_ms_p50: percentile(&decide_ms, 50),
            decide_ms_p95: percentile(&decide_ms, 95),
            distinct_digests: count(digests.len()),
            trades_confirmed: count(confirmed.count()),
            due_msat: due_msat(observation, |_| true),
            due_with_rogues_msat: due_msat(observation, |trade| {
                observation.is_rogue(&trade.counterparty)
            }),
            deviation_mwh: deviation_mwh(observation),
            unsold_export_mwh: unsold_export_mwh(observation),
            ..Self::default()
        };
        match most_common(&decided) {
            None => row,
            Some(report) => Self {
                orders: report.orders,
                book_hash: report.book_hash.clone(),
                clearing_digest: report.clearing_digest.clone(),
                price_msat_per_kwh: report.price_msat_per_kwh,
                volume_mwh: report.volume_mwh,
                trades: report.trades,
                ..row
            },
        }
    }
}

/// A count that a report can hold; nobody runs four billion of anything here.
pub(super) fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A report of the clearing that most nodes computed.
fn most_common<'a>(decided: &[&'a IntervalReport]) -> Option<&'a IntervalReport> {
    let shared = |report: &IntervalReport| {
        decided.iter().filter(|other| other.clearing_digest == report.clearing_digest).count()
    };
    decided.iter().copied().max_by_key(|report| shared(report))
}

/// The smallest of sorted values that `percent` of them do not exceed.
pub(crate) fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// What is due to all payees of trades that fit; every trade has one.
fn due_msat(observation: &Observation, fits: impl Fn(&TradeReport) -> bool) -> u64 {
    let dues = observation.trades().into_values().filter_map(|sides| {
        let due = |side: Option<(_, &TradeReport)>| {
            side.filter(|(_, trade)| fits(trade)).and_then(|(_, trade)| trade.due_msat)
        };
        due(sides.seller).or(due(sides.buyer))
    });
    dues.map(i64::unsigned_abs).fold(0, u64::saturating_add)
}

/// What all sites gave to the supplier, as nobody had bought it.
fn unsold_export_mwh(observation: &Observation) -> u64 {
    let settled = observation.reports().filter_map(|(_, report)| report.settlement.as_ref());
    let unsold = settled.map(|it| it.supplier_mwh.min(0).unsigned_abs());
    unsold.fold(0, u64::saturating_add)
}

/// What was contracted by both sides and not delivered.
fn deviation_mwh(observation: &Observation) -> u64 {
    let confirmed = observation.trades().into_values().filter(TradeSides::is_confirmed_by_both);
    let missing = confirmed.filter_map(|sides| {
        let (_, trade) = sides.seller?;
        Some(trade.energy_mwh.saturating_sub(trade.delivered_mwh?))
    });
    missing.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
