//! A site whose readings are missing, come late and come in another order, in a real archive.

use super::*;
use crate::feeders::tests::{Grid, MEMBERS, key};

/// The site's place among the members.
const ME: usize = 1;

struct Site {
    grid: Grid,
    substitutes: Substitutes,
    now: u64,
}

impl Site {
    fn new() -> Self {
        let grid = Grid::new();
        let substitutes = fresh(&grid);
        Self { grid, substitutes, now: 1 }
    }

    /// The own meter shows so much after so many intervals.
    fn show(&mut self, after: u64, net_mwh: i64) {
        self.grid.show(ME, after, net_mwh);
    }

    fn look(&mut self, after: u64) {
        self.now += 1;
        let now = Timestamp::from_unix_ms(self.now);
        let last = self.grid.first.plus(after);
        self.substitutes.look(now, last, &mut self.grid.rosters);
    }

    /// Interval, import and rule of what stands in.
    fn kept(&self) -> Vec<(u64, u64, &'static str)> {
        let all = Interval::from_number(0)..Interval::from_number(u64::MAX);
        let kept = self.grid.store.archive().substitutes(all).unwrap();
        let first = self.grid.first.to_number();
        let told = kept.iter().map(|(interval, flow)| {
            let after = interval.to_number() - first;
            (after, flow.import_mwh.to_milliwatt_hours(), rule(Some(flow)))
        });
        told.collect()
    }

    /// Interval, what was shown, what is and the difference, the latest interval first.
    fn corrected(&self) -> Vec<(u64, &'static str, &'static str, i64, i64)> {
        let all = Interval::from_number(0)..Interval::from_number(u64::MAX);
        let first = self.grid.first.to_number();
        let archive = self.grid.store.archive();
        let told = archive.corrections(all).map(|it| {
            let it = it.unwrap();
            let (was, is) = (rule(it.was.as_ref()), rule(Some(&it.is)));
            let after = it.interval.to_number() - first;
            let (more, due) = (it.more_mwh, it.supplier_due_msat);
            (after, was, is, more.to_milliwatt_hours(), due.to_millisatoshi())
        });
        told.collect()
    }

    fn due(&self, net_mwh: i64) -> i64 {
        let start = self.grid.charter.interval.start_of(self.grid.first);
        let correction = Correction {
            interval: self.grid.first,
            was: NetEnergy::ZERO,
            is: NetEnergy::from_milliwatt_hours(net_mwh),
            prices: self.grid.charter.tariff.at(start),
        };
        correction.due().unwrap().to_millisatoshi()
    }
}

fn fresh(grid: &Grid) -> Substitutes {
    let me = key(MEMBERS[ME]).participant_id();
    Substitutes::new(me, Arc::clone(&grid.charter), grid.store.archive())
}

#[test]
fn what_was_measured_in_time_leaves_nothing_behind() {
    let mut site = Site::new();
    for after in 0..4 {
        site.show(after, i64::try_from(after).unwrap() * 1_000);
    }
    site.look(2);
    assert_eq!((site.kept(), site.corrected()), (vec![], vec![]));
}

#[test]
fn missing_readings_are_stood_in_for_and_the_supplier_gets_an_entry() {
    let mut site = Site::new();
    site.show(0, 0);
    site.show(1, 1_000_000);
    site.show(3, 5_000_000);
    site.look(2);
    assert_eq!(site.kept(), [(1, 2_000_000, "even"), (2, 2_000_000, "even")]);
    let due = site.due(2_000_000);
    assert!(due < 0, "what was taken costs");
    let entries = [2, 1].map(|after| (after, "unknown", "even", 2_000_000, due));
    assert_eq!(site.corrected(), entries);
    site.look(2);
    assert_eq!(site.corrected().len(), 2, "what stays is entered once");
}

#[test]
fn the_truth_takes_the_substitutes_place_and_only_the_difference_is_entered() {
    let mut site = Site::new();
    site.show(0, 0);
    site.show(1, 1_000_000);
    site.show(3, 5_000_000);
    site.look(2);
    // Out of order: the reading between the two comes last.
    site.show(2, 2_500_000);
    site.look(3);
    assert_eq!(site.kept(), []);
    let corrected = site.corrected();
    assert_eq!(corrected.len(), 4);
    let told = |after: u64| -> Vec<_> {
        corrected.iter().filter(|it| it.0 == after).map(|it| (it.1, it.2, it.3)).collect()
    };
    assert_eq!(told(1), [("even", "measured", -500_000), ("unknown", "even", 2_000_000)]);
    assert_eq!(told(2), [("even", "measured", 500_000), ("unknown", "even", 2_000_000)]);
    // All entries of an interval come to what it truly took, in energy.
    let sum: i64 = corrected.iter().map(|it| it.3).sum();
    assert_eq!(sum, 4_000_000);
}

#[test]
fn a_node_that_is_started_again_corrects_nothing_twice() {
    let mut site = Site::new();
    site.show(0, 0);
    site.show(2, 4_000_000);
    site.look(1);
    let before = site.corrected();
    site.substitutes = fresh(&site.grid);
    site.look(1);
    assert_eq!((site.corrected(), site.kept().len()), (before, 2));
}

#[test]
fn a_day_that_is_over_is_kept_for_good_and_learns_the_truth_later() {
    let mut site = Site::new();
    // The first interval of a day, as intervals are of five minutes.
    let day_intervals = 288;
    site.grid.first = Interval::from_number(3_500 * day_intervals);
    for after in 0..=day_intervals + 1 {
        if after != 5 {
            site.show(after, i64::try_from(after).unwrap() * 1_000);
        }
    }
    let archive = site.grid.store.archive();
    site.look(day_intervals - 2);
    assert_eq!(archive.day(3_500).unwrap(), None, "the day is not over");
    site.look(day_intervals);
    let rules = |archive: &Archive| -> Vec<_> {
        let day = archive.day(3_500).unwrap().unwrap();
        assert_eq!(day.known().count(), 288);
        day.known().filter_map(|(_, flow)| flow.substitute).collect()
    };
    assert_eq!(rules(&archive), [Rule::Even, Rule::Even]);
    archive.prune_before(Interval::from_number(0)).unwrap();
    site.show(5, 5_300);
    site.look(day_intervals);
    assert_eq!(rules(&archive), []);
    // What was measured stays, though nobody can tell it any more.
    archive.prune_before(site.grid.first.plus(100)).unwrap();
    site.substitutes = fresh(&site.grid);
    site.look(day_intervals);
    assert_eq!(rules(&archive), []);
}
