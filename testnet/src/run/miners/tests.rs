//! What is judged of machines, each judgement broken once.

use super::*;

/// A run of intervals: time, what was unsold, what was curtailed.
fn report(rows: &[(&str, u64, u64)]) -> Report {
    let row = |(time, unsold, curtailed): &(&str, u64, u64)| IntervalRow {
        local_time: (*time).to_owned(),
        unsold_export_mwh: *unsold,
        curtailed_mwh: *curtailed,
        feed_in_msat_per_kwh: -30_000,
        ..IntervalRow::default()
    };
    Report { intervals: rows.iter().map(row).collect(), ..Report::default() }
}

#[test]
fn only_intervals_that_both_runs_saw_are_compared() {
    let without = report(&[("12:00", 600, 0), ("12:15", 100, 300), ("12:30", 9_000, 0)]);
    let mut with = report(&[("11:45", 9_000, 0), ("12:00", 0, 0), ("12:15", 70, 30)]);
    compare(&mut with, &without);
    let compared = with.mining.without_miners.clone().unwrap();
    assert_eq!((compared.intervals, compared.left_mwh()), (2, 100));
    assert_eq!((compared.unsold_export_mwh, compared.curtailed_mwh), (700, 300));
    assert!(with.is_clean(), "a tenth may be left");
}

#[test]
fn more_than_a_tenth_left_is_a_violation_whichever_way_it_is_left() {
    for (unsold, curtailed) in [(101, 0), (0, 101), (60, 41)] {
        let mut with = report(&[("12:00", unsold, curtailed)]);
        compare(&mut with, &report(&[("12:00", 600, 400)]));
        assert!(!with.is_clean(), "{unsold} and {curtailed}");
    }
}

#[test]
fn what_the_supplier_pays_for_or_no_order_could_know_is_not_judged() {
    let mut with = report(&[("12:00", 0, 0), ("12:15", 999, 0), ("12:30", 999, 0)]);
    with.intervals[1].feed_in_msat_per_kwh = 80_000;
    with.intervals[2].weather_changed = true;
    compare(&mut with, &report(&[("12:00", 9, 0), ("12:15", 9, 0), ("12:30", 9, 0)]));
    assert_eq!(with.mining.without_miners.clone().unwrap().intervals, 1);
    assert!(with.is_clean());
}
