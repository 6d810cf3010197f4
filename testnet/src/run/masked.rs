//! What became of the sums of masked sites: in which intervals nodes could make them, why not in the
//! others, and that no gap is seen where nobody lies.
//!
//! Not for: falsified meters, which are [`super::located`]'s; or what is overheard of sites
//! ([`super::overheard`]).

use boltgrid::rpc::checks::FeederReport;
use boltgrid_protocol::units::Interval;

use super::invariants::Tally;
use super::located::Told;
use super::report::{InvariantRow, MaskedRow};

/// All sums of a run.
#[derive(Clone, Debug, Default)]
pub struct Masked {
    rows: Vec<MaskedRow>,
    made: Tally,
    explained: Tally,
    no_false_gap: Tally,
}

impl Masked {
    /// Whether some node has yet to say what became of an interval's sum.
    #[must_use]
    pub fn is_waiting(interval: Interval, told: &Told) -> bool {
        let is_behind = |it: &FeederReport| {
            it.cohort.as_ref().is_some_and(|cohort| cohort.interval < interval.to_number())
        };
        told.iter().flat_map(|(_, feeders)| feeders).any(is_behind)
    }

    /// Notes what nodes tell once the sums of an interval are there. `is_lied` says whether some meter
    /// is false by then.
    pub fn note(&mut self, interval: Interval, told: &Told, is_lied: bool) {
        let mut row = MaskedRow { interval: interval.to_number(), ..MaskedRow::default() };
        for (node, feeders) in told {
            for feeder in feeders {
                let Some(cohort) = &feeder.cohort else { continue };
                self.no_false_gap.check(is_lied || feeder.gap.is_none(), || {
                    let gap_mwh = feeder.gap.as_ref().map_or(0, |gap| gap.gap_mwh);
                    format!("interval {interval}: {node} sees a gap of {gap_mwh} mWh")
                });
                if cohort.interval != row.interval {
                    row.silent = row.silent.saturating_add(1);
                    continue;
                }
                let balance = feeder.balance.as_ref().filter(|it| it.interval == row.interval);
                row.absent = row.absent.max(cohort.absent);
                row.present = row.present.max(cohort.sites);
                if let Some(balance) = balance {
                    row.sums = row.sums.saturating_add(1);
                    row.gap_mwh = Some(balance.gap_mwh);
                    row.tolerance_mwh = Some(balance.tolerance_mwh);
                }
                if let Some(why) = &cohort.no_sum {
                    *row.why_not.entry(why.clone()).or_default() += 1;
                }
                let is_told = balance.is_some() || cohort.no_sum.is_some();
                self.explained.check(is_told || !feeder.missing.is_empty(), || {
                    format!("interval {interval}: {node} has no sum and says nothing of why")
                });
            }
        }
        if row.sums + row.silent > 0 || !row.why_not.is_empty() {
            self.rows.push(row);
        }
    }

    /// The intervals, in order.
    #[must_use]
    pub fn rows(&self) -> Vec<MaskedRow> {
        self.rows.clone()
    }

    /// What must hold; nothing where no sites are masked.
    #[must_use]
    pub fn verdicts(&self) -> Vec<InvariantRow> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let mut made = self.made.clone();
        made.check(self.rows.iter().any(|row| row.sums > 0), || {
            "no node ever added up the masked sites".to_owned()
        });
        vec![
            made.row("masked_sites_are_added_up"),
            self.explained.row("what_is_not_added_up_is_explained"),
            self.no_false_gap.row("no_gap_without_a_lie"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use boltgrid::rpc::checks::{BalanceReport, CohortReport, GapReport};

    use super::*;

    const AT: Interval = Interval::from_number(7);

    fn feeder(of: u64, no_sum: Option<&str>, has_gap: bool) -> FeederReport {
        let gap = GapReport {
            since_interval: 5,
            intervals: 3,
            gap_mwh: 450_000,
            gap_ppm: 93_000,
            suspects: Vec::new(),
            located: None,
        };
        let balance = BalanceReport {
            interval: of,
            feeder_mwh: 1,
            sites_mwh: 1,
            losses_mwh: 0,
            gap_mwh: 0,
            gap_ppm: 0,
            tolerance_mwh: 9,
        };
        let cohort = CohortReport {
            interval: of,
            sites: 9,
            absent: 1,
            absent_most_mwh: 5,
            no_sum: no_sum.map(str::to_owned),
        };
        FeederReport {
            name: "busbar".to_owned(),
            meter: Some("meter".to_owned()),
            balance: no_sum.is_none().then_some(balance),
            gap: has_gap.then_some(gap),
            unseen: false,
            cohort: Some(cohort),
            missing: Vec::new(),
        }
    }

    fn told(feeders: impl IntoIterator<Item = FeederReport>) -> Vec<(String, Vec<FeederReport>)> {
        feeders.into_iter().map(|it| ("bus1".to_owned(), vec![it])).collect()
    }

    fn violations(masked: &Masked) -> Vec<u32> {
        masked.verdicts().iter().map(|row| row.violations).collect()
    }

    #[test]
    fn sums_are_counted_with_the_reasons_why_there_is_none() {
        let mut masked = Masked::default();
        let feeders = [feeder(7, None, false), feeder(7, Some("too few"), false)];
        masked.note(AT, &told(feeders), false);
        assert_eq!(violations(&masked), [0, 0, 0]);
        let checked: Vec<u32> = masked.verdicts().iter().map(|row| row.checked).collect();
        assert_eq!(checked, [1, 2, 2], "what is never checked cannot be broken");
        let [row] = &masked.rows()[..] else { panic!() };
        assert_eq!((row.sums, row.present, row.absent, row.silent), (1, 9, 1, 0));
        assert_eq!(row.why_not, BTreeMap::from([("too few".to_owned(), 1)]));
        assert!(Masked::is_waiting(AT.next(), &told([feeder(7, None, false)])));
        assert!(!Masked::is_waiting(AT, &told([feeder(7, None, false)])));
    }

    #[test]
    fn a_gap_where_nobody_lies_and_a_sum_that_is_never_made_are_violations() {
        let mut masked = Masked::default();
        masked.note(AT, &told([feeder(7, Some("too few"), true)]), true);
        assert_eq!(violations(&masked), [1, 0, 0], "nobody ever added up");
        masked.note(AT.next(), &told([feeder(8, None, true)]), false);
        assert_eq!(violations(&masked), [0, 0, 1]);
        let silent = FeederReport { balance: None, ..feeder(9, None, false) };
        masked.note(AT.plus(2), &told([silent]), true);
        assert_eq!(violations(&masked), [0, 1, 1]);
    }

    #[test]
    fn where_no_sites_are_masked_nothing_is_checked() {
        let mut masked = Masked::default();
        let open = FeederReport { cohort: None, ..feeder(7, None, true) };
        masked.note(AT, &told([open]), false);
        assert_eq!(masked.verdicts(), []);
    }
}
