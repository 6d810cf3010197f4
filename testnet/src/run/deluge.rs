//! What floods cost honest nodes: the share of a core and the memory of each while the flood lasted,
//! what they refused meanwhile, and whether an interval was lost.
//! Not for: sending the flood; that is `hostile::flood`.

use std::collections::BTreeMap;

use boltgrid::status::quoted;
use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hostile::{Flood, Poured};
use super::invariants::Tally;
use super::report::{IntervalRow, InvariantRow, Rejected};
use super::usage::Usage;

/// The most of a core that a flood may make an honest node use, with its ordinary work, in percent.
const CPU_PERCENT_MAX: u64 = 25;
/// The most that an honest node's peak memory may grow while it is flooded.
const MEMORY_GROWTH_KB_MAX: u64 = 48 * 1024;

/// One flood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloodRow {
    /// The site of the member that it played; none for a stranger.
    pub member: Option<String>,
    /// How many messages it meant to send in a second.
    pub messages_per_s: u32,
    /// How long it lasted.
    #[serde(with = "quoted")]
    pub lasted_ms: u64,
    /// Names under which it was let in by somebody.
    #[serde(with = "quoted")]
    pub names: u64,
    /// Messages that it meant to send, one for every node.
    #[serde(with = "quoted")]
    pub messages_meant: u64,
    /// Messages that it handed to its connections.
    #[serde(with = "quoted")]
    pub messages_sent: u64,
    /// Messages for which its connections had no room.
    #[serde(with = "quoted")]
    pub messages_held_back: u64,
    /// What honest nodes refused meanwhile, by topic or protocol, then reason.
    pub refused: Rejected,
    /// The largest share of a core that an honest node used, in percent.
    #[serde(with = "quoted")]
    pub cpu_percent_most: u64,
    /// Half of the honest nodes used no more than this.
    #[serde(with = "quoted")]
    pub cpu_percent_median: u64,
    /// The largest growth of an honest node's peak memory.
    #[serde(with = "quoted")]
    pub memory_growth_kb_most: u64,
    /// What one node may use of a core.
    #[serde(with = "quoted")]
    pub cpu_percent_bound: u64,
    /// How much one node may grow.
    #[serde(with = "quoted")]
    pub memory_growth_kb_bound: u64,
}

/// How honest nodes are at one time: what each that is up has used, and what all refused.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// By the number of the node.
    pub usage: BTreeMap<usize, Usage>,
    /// All together.
    pub rejected: Rejected,
}

#[derive(Debug)]
struct Running {
    row: FloodRow,
    since: Timestamp,
    until: Timestamp,
    before: Condition,
    is_over: bool,
}

/// The floods of a run. Dropping it ends them.
#[derive(Debug, Default)]
pub struct Deluge {
    floods: Vec<Running>,
    tasks: JoinSet<(usize, Poured)>,
    stop: CancellationToken,
}

impl Deluge {
    /// Lets a flood begin, of a member of that name or of a stranger.
    pub fn begin(&mut self, flood: Flood, member: Option<String>, now: Timestamp, is: Condition) {
        let row = FloodRow {
            member,
            messages_per_s: flood.messages_per_s,
            cpu_percent_bound: CPU_PERCENT_MAX,
            memory_growth_kb_bound: MEMORY_GROWTH_KB_MAX,
            ..FloodRow::default()
        };
        let until = now.plus_ms(flood.for_ms);
        let (number, stop) = (self.floods.len(), self.stop.clone());
        self.floods.push(Running { row, since: now, until, before: is, is_over: false });
        self.tasks.spawn(async move { (number, flood.run(stop).await) });
    }

    /// Takes stock of the floods that are over by now.
    pub fn take_stock(&mut self, now: Timestamp, is: &Condition) {
        let over = |flood: &&mut Running| !flood.is_over && flood.until <= now;
        self.floods.iter_mut().filter(over).for_each(|flood| flood.end(now, is));
    }

    /// Ends all floods.
    ///
    /// # Panics
    ///
    /// If one of them has, which is a bug.
    pub async fn end(&mut self, now: Timestamp, is: &Condition) {
        self.stop.cancel();
        for flood in self.floods.iter_mut().filter(|flood| !flood.is_over) {
            flood.end(now, is);
        }
        while let Some(ended) = self.tasks.join_next().await {
            let (number, poured) = ended.expect("a panic of a flood ends the testnet");
            if let Some(Running { row, .. }) = self.floods.get_mut(number) {
                row.names = poured.names;
                row.messages_meant = poured.meant;
                row.messages_sent = poured.sent;
                row.messages_held_back = poured.held_back;
            }
        }
    }

    /// What became of them.
    #[must_use]
    pub fn rows(&self) -> Vec<FloodRow> {
        self.floods.iter().map(|flood| flood.row.clone()).collect()
    }

    /// Whether the bounds held, and whether every interval was decided that a flood touched; nothing
    /// where none came.
    #[must_use]
    pub fn invariants(&self, intervals: &[IntervalRow], interval_ms: u64) -> Vec<InvariantRow> {
        if self.floods.is_empty() {
            return Vec::new();
        }
        let (mut bounds, mut lost) = (Tally::default(), Tally::default());
        for Running { row, since, until, .. } in &self.floods {
            bounds.check(row.messages_sent > 0, || "the flood sent nothing".to_owned());
            bounds.check(row.cpu_percent_most <= row.cpu_percent_bound, || {
                format!("a node used {} % of a core", row.cpu_percent_most)
            });
            bounds.check(row.memory_growth_kb_most <= row.memory_growth_kb_bound, || {
                format!("a node grew by {} KiB", row.memory_growth_kb_most)
            });
            // What is delivered while it lasts was agreed upon before or meanwhile, and what is
            // agreed upon while it lasts is delivered up to two intervals later.
            let number = |at: Timestamp| at.to_unix_ms().checked_div(interval_ms).unwrap_or(0);
            let touched = number(*since)..=number(*until).saturating_add(2);
            for interval in intervals.iter().filter(|row| touched.contains(&row.interval)) {
                lost.check(interval.decided, || {
                    format!("interval {} was not decided", interval.interval)
                });
            }
        }
        vec![bounds.row("a_flood_stays_within_its_bounds"), lost.row("a_flood_costs_no_interval")]
    }
}

impl Running {
    fn end(&mut self, now: Timestamp, is: &Condition) {
        self.is_over = true;
        let lasted_ms = now.ms_since(self.since);
        let before = &self.before;
        let used = is.usage.iter().filter_map(|(number, after)| {
            let before = before.usage.get(number)?;
            let cpu_ms = after.cpu_ms.saturating_sub(before.cpu_ms);
            let percent = cpu_ms.saturating_mul(100).checked_div(lasted_ms).unwrap_or(0);
            Some((percent, after.rss_kb_max.saturating_sub(before.rss_kb_max)))
        });
        let (mut percents, growths): (Vec<_>, Vec<_>) = used.unzip();
        percents.sort_unstable();
        self.row.lasted_ms = lasted_ms;
        self.row.cpu_percent_most = percents.last().copied().unwrap_or(0);
        self.row.cpu_percent_median = percents.get(percents.len() / 2).copied().unwrap_or(0);
        self.row.memory_growth_kb_most = growths.into_iter().max().unwrap_or(0);
        self.row.refused = more(&is.rejected, &before.rejected);
    }
}

/// What is counted in one and was not yet in the other.
fn more(now: &Rejected, before: &Rejected) -> Rejected {
    let mut more = Rejected::new();
    for (place, reasons) in now {
        for (reason, count) in reasons {
            let earlier = before.get(place).and_then(|reasons| reasons.get(reason));
            let since = count.saturating_sub(earlier.copied().unwrap_or(0));
            if since > 0 {
                more.entry(place.clone()).or_default().insert(reason.clone(), since);
            }
        }
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_MS: u64 = 10_000;

    fn condition(cpu_ms: [u64; 3], rss_kb_max: u64, stale: u64) -> Condition {
        let usage = cpu_ms.map(|cpu_ms| Usage { rss_kb_max, cpu_ms, ..Usage::default() });
        let reasons = BTreeMap::from([("stale".to_owned(), stale), ("future".to_owned(), 1)]);
        Condition {
            usage: usage.into_iter().enumerate().collect(),
            rejected: BTreeMap::from([("votes".to_owned(), reasons)]),
        }
    }

    fn deluge(after: &Condition) -> Deluge {
        let at = |second: u64| Timestamp::from_unix_ms(second * 1000);
        let row = FloodRow {
            messages_sent: 1,
            cpu_percent_bound: CPU_PERCENT_MAX,
            memory_growth_kb_bound: MEMORY_GROWTH_KB_MAX,
            ..FloodRow::default()
        };
        let before = condition([500, 500, 500], 1000, 5);
        let mut running = Running { row, since: at(15), until: at(25), before, is_over: false };
        running.end(at(25), after);
        Deluge { floods: vec![running], ..Deluge::default() }
    }

    fn violations(after: &Condition, undecided: u64) -> [u32; 2] {
        let interval = |interval| IntervalRow {
            interval,
            decided: interval != undecided,
            ..IntervalRow::default()
        };
        let intervals: Vec<_> = (0..10).map(interval).collect();
        let rows = deluge(after).invariants(&intervals, INTERVAL_MS);
        [rows[0].violations, rows[1].violations]
    }

    #[test]
    fn what_a_flood_cost_is_what_nodes_used_and_refused_while_it_lasted() {
        let row = deluge(&condition([600, 1500, 700], 1400, 9)).rows().remove(0);
        assert_eq!((row.cpu_percent_most, row.cpu_percent_median), (10, 2));
        assert_eq!((row.memory_growth_kb_most, row.lasted_ms), (400, 10_000));
        assert_eq!(row.refused["votes"], BTreeMap::from([("stale".to_owned(), 4)]));
    }

    #[test]
    fn bounds_that_are_exceeded_and_intervals_that_are_lost_are_violations() {
        let good = condition([600, 600, 600], 1400, 9);
        assert_eq!(violations(&good, 99), [0, 0]);
        let busy = condition([600, 600, 600 + 10_000], 1400, 9);
        assert_eq!(violations(&busy, 99), [1, 0]);
        let large = condition([600, 600, 600], 1400 + MEMORY_GROWTH_KB_MAX, 9);
        assert_eq!(violations(&large, 99), [1, 0]);
        assert_eq!(violations(&good, 0), [0, 0], "long before");
        for touched in 1..=4 {
            assert_eq!(violations(&good, touched), [0, 1]);
        }
        assert_eq!(violations(&good, 5), [0, 0], "long after");
    }
}
