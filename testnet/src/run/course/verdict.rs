//! What only a whole run shows: whether enough was decided, whether nodes hold the same history, how
//! soon trading resumed after a partition, and whether memory stayed flat.
//! Not for: what must hold in every interval; those are the invariants.

use std::collections::BTreeMap;

use boltgrid::status::IntervalOutcome;
use boltgrid_protocol::units::Interval;

use super::{ABSTAINED_INTERVALS, Course};
use crate::run::invariants::Tally;
use crate::run::report::{InvariantRow, NodeRow};

/// Of the intervals that could be decided, so many of a hundred must be, whatever goes wrong.
const DECIDED_PERCENT_MIN: u32 = 95;
/// After so many intervals there must be a decision again.
const RESUMED_WITHIN_MAX: u64 = 2;
/// Memory is judged in runs of at least so many intervals.
const FLAT_AFTER_INTERVALS: usize = 10;
/// A node's memory may grow by so much of what it held after the first interval …
const GROWTH_MAX_PERCENT: u64 = 25;
/// … or by so much, in KiB: caches fill up to their bounds.
const GROWTH_MAX_KB: u64 = 24 * 1024;

impl Course<'_> {
    /// Asks every node again for every interval of the run: all that have a certified book have the
    /// same one, and cleared it to the same trades.
    pub(super) async fn compare_histories(&mut self) {
        let intervals: Vec<u64> = self.rows.iter().map(|row| row.interval).collect();
        for interval in intervals {
            let reports = self.fleet.reports(Interval::from_number(interval)).await;
            let decided = reports.iter().zip(&self.fleet.members).filter_map(|(report, member)| {
                let report = report.as_ref()?;
                (report.outcome == IntervalOutcome::Decided).then_some((
                    report.book_hash.clone()?,
                    &report.clearing_digest,
                    member,
                ))
            });
            let mut by_book = BTreeMap::new();
            for (book, clearing, member) in decided {
                by_book.entry((book, clearing.clone())).or_insert(&member.place.name);
            }
            let names: Vec<&str> = by_book.values().map(|name| name.as_str()).collect();
            self.histories.check(by_book.len() <= 1, || {
                format!("interval {interval}: the books of {} differ", names.join(", "))
            });
        }
    }

    /// How many intervals after the partition healed there was a decision, at the latest.
    pub(super) fn resumed_within(&self) -> Option<u32> {
        let timing = &self.stage.charter.interval;
        let mut latest = None;
        for (healed, _) in &self.healed {
            let healed = timing.interval_at(*healed).to_number();
            let mut later = self.rows.iter().filter(|row| row.interval > healed && row.decided);
            let within = later.next()?.interval.saturating_sub(healed);
            latest = latest.max(Some(u32::try_from(within).unwrap_or(u32::MAX)));
        }
        latest
    }

    /// The rows of what only the whole run shows.
    pub(super) fn verdicts(&self) -> Vec<InvariantRow> {
        let rows = [
            ("enough_intervals_decided", self.enough_decided()),
            ("trading_resumes_after_healing", self.resumes()),
            ("histories_agree", self.histories.clone()),
            ("memory_stays_flat", self.memory()),
        ];
        let told = rows.iter().map(|(name, tally)| tally.row(name));
        told.filter(|row| row.checked > 0).collect()
    }

    fn enough_decided(&self) -> Tally {
        let mut tally = Tally::default();
        if self.decidable > 0 {
            let needed = self.decidable.saturating_mul(DECIDED_PERCENT_MIN).div_ceil(100);
            tally.check(self.decided >= needed, || {
                let (decided, decidable) = (self.decided, self.decidable);
                format!("{decided} of {decidable} intervals with a quorum of nodes were decided")
            });
        }
        tally
    }

    fn resumes(&self) -> Tally {
        let mut tally = Tally::default();
        let timing = &self.stage.charter.interval;
        let last = self.rows.last().map_or(0, |row| row.interval);
        for (healed, was_eclipsed) in &self.healed {
            let healed = timing.interval_at(*healed).to_number();
            let abstained = if *was_eclipsed { ABSTAINED_INTERVALS } else { 0 };
            let within = RESUMED_WITHIN_MAX.saturating_add(abstained);
            let until = healed.saturating_add(within);
            if until > last {
                continue;
            }
            let mut rows = self.rows.iter();
            let resumed =
                rows.any(|row| row.interval > healed && row.interval <= until && row.decided);
            tally
                .check(resumed, || format!("no decision in the {within} intervals after {healed}"));
        }
        tally
    }

    fn memory(&self) -> Tally {
        let mut tally = Tally::default();
        if self.rows.len() < FLAT_AFTER_INTERVALS {
            return tally;
        }
        for NodeRow { site, rss_kb_start, rss_kb_end, .. } in self.nodes() {
            let (Some(start), Some(end)) = (rss_kb_start, rss_kb_end) else { continue };
            let growth_max = GROWTH_MAX_KB.max(start.saturating_mul(GROWTH_MAX_PERCENT) / 100);
            tally.check(end <= start.saturating_add(growth_max), || {
                format!("{site} grew from {start} to {end} KiB")
            });
        }
        tally
    }
}
