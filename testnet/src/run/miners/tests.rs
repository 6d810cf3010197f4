//! What is judged of machines, each judgement broken once.

use super::*;
use crate::run::report::IntervalRow;

fn report(unsold: &[(&str, u64)]) -> Report {
    let row = |(time, mwh): &(&str, u64)| IntervalRow {
        local_time: (*time).to_owned(),
        unsold_export_mwh: *mwh,
        ..IntervalRow::default()
    };
    Report { intervals: unsold.iter().map(row).collect(), ..Report::default() }
}

#[test]
fn only_intervals_that_both_runs_saw_are_compared() {
    let without = report(&[("12:00", 600), ("12:15", 400), ("12:30", 9_000)]);
    let mut with = report(&[("11:45", 9_000), ("12:00", 0), ("12:15", 100)]);
    compare(&mut with, &without);
    let compared = with.mining.without_miners.clone().unwrap();
    assert_eq!(
        (compared.intervals, compared.unsold_export_mwh, compared.unsold_export_with_miners_mwh),
        (2, 1_000, 100)
    );
    assert!(with.is_clean(), "a tenth may be left");
}

#[test]
fn more_than_a_tenth_left_is_a_violation() {
    let mut with = report(&[("12:00", 101)]);
    compare(&mut with, &report(&[("12:00", 1_000)]));
    assert!(!with.is_clean());
}
