//! A meter that is located in time, one that is not, and an honest one that is named.

use boltgrid::rpc::checks::{GapReport, SuspectReport};

use super::*;

fn feeder(suspects: &[&str], located: Option<&str>) -> FeederReport {
    let suspect = |who: &&str| SuspectReport { participant: (*who).to_owned(), shows_ppm: 600_000 };
    FeederReport {
        name: "bus4-bus7".to_owned(),
        meter: Some("meter".to_owned()),
        balance: None,
        gap: Some(GapReport {
            since_interval: 4,
            intervals: 3,
            gap_mwh: 450_000,
            gap_ppm: 93_000,
            suspects: suspects.iter().map(suspect).collect(),
            located: located.map(str::to_owned),
        }),
        unseen: false,
        cohort: None,
        missing: Vec::new(),
    }
}

fn lie() -> Located {
    let mut located = Located::default();
    located.begin(Lie {
        site: "bus5".to_owned(),
        participant: "liar".to_owned(),
        shown_percent: 60,
        began: Interval::from_number(4),
        must_be_within: Some(3),
    });
    located
}

fn told(by_first: FeederReport, by_second: FeederReport) -> Vec<(String, Vec<FeederReport>)> {
    vec![("bus1".to_owned(), vec![by_first]), ("bus2".to_owned(), vec![by_second])]
}

fn violations(located: &Located) -> Vec<(String, u32)> {
    located.verdicts().into_iter().map(|row| (row.name, row.violations)).collect()
}

#[test]
fn a_meter_that_all_nodes_locate_in_three_intervals_is_in_time() {
    let mut it = lie();
    let cohort = || feeder(&["liar", "other"], None);
    it.note(Interval::from_number(5), &told(cohort(), cohort()));
    let seen = || feeder(&["liar", "other"], Some("liar"));
    assert!(it.is_waiting(Interval::from_number(6), &told(seen(), cohort())));
    assert!(!it.is_waiting(Interval::from_number(6), &told(seen(), seen())));
    it.note(Interval::from_number(6), &told(seen(), seen()));
    let [row] = &it.rows()[..] else { panic!("{:?}", it.rows()) };
    assert_eq!((row.caught_within_intervals, row.located_within_intervals), (Some(2), Some(3)));
    let held = ["falsified_meters_are_located_in_time", "no_honest_meter_is_named"];
    assert_eq!(violations(&it), held.map(|name| (name.to_owned(), 0)));
}

#[test]
fn one_node_that_does_not_locate_it_is_a_violation() {
    let mut it = lie();
    let seen = feeder(&["liar"], Some("liar"));
    it.note(Interval::from_number(6), &told(seen, feeder(&["liar", "other"], None)));
    assert_eq!(it.rows()[0].located_within_intervals, None);
    assert_eq!(violations(&it)[0], ("falsified_meters_are_located_in_time".to_owned(), 1));
}

#[test]
fn nodes_that_do_not_answer_have_located_nothing() {
    let mut it = lie();
    it.note(Interval::from_number(6), &[]);
    assert_eq!(violations(&it), [("falsified_meters_are_located_in_time".to_owned(), 1)]);
}

#[test]
fn an_honest_meter_that_is_named_is_a_violation() {
    let mut it = lie();
    let wrong = feeder(&["liar", "other"], Some("other"));
    it.note(Interval::from_number(5), &told(wrong, feeder(&[], None)));
    assert_eq!(violations(&it), [("no_honest_meter_is_named".to_owned(), 1)]);
}
