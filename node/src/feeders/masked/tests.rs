//! Sums of masked sites, as the market tells them, against what the feeder's meter shows.

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::CohortRefused;
use boltgrid_protocol::units::{Energy, NetEnergy};

use super::*;
use crate::feeders::tests::{Grid, MEMBERS, key};

/// Nine sites that ordered 900 Wh take 300 Wh of it on balance, and the feeder's meter says so.
fn sum(number: u64) -> FeederSum {
    let net = NetEnergy::from_milliwatt_hours(300_000);
    FeederSum {
        interval: Interval::from_number(number),
        feeder: "mill lane".to_owned(),
        meter: Some(key(MEMBERS[0]).participant_id()),
        feeder_mwh: Some(net),
        turnout: Turnout {
            present: 9,
            absent: 0,
            absent_most_mwh: Energy::ZERO,
            ordered_mwh: Energy::from_milliwatt_hours(900_000),
            sold_mwh: Energy::ZERO,
        },
        sites: std::sync::Arc::default(),
        sum: Ok(net),
    }
}

/// One of the nine shows 100 Wh too little.
fn lied(number: u64) -> FeederSum {
    FeederSum { sum: Ok(NetEnergy::from_milliwatt_hours(200_000)), ..sum(number) }
}

/// What is known after these sums, looked at one after the other.
fn look(grid: &Grid, all: impl IntoIterator<Item = FeederSum>) -> FeederState {
    let mut feeders = grid.feeders();
    let mut sums = Sums::default();
    for it in all {
        sums.note(&it);
        let now = grid.charter.interval.schedule(it.interval).readings_by;
        feeders.look_at_sums(now, &sums);
    }
    feeders.states.borrow()[0].clone()
}

#[test]
fn an_honest_cohort_is_even_and_its_gap_none() {
    let grid = Grid::new();
    let state = look(&grid, (1..5).map(sum));
    let balance = state.balance.unwrap();
    assert!(balance.is_even() && balance.interval == Interval::from_number(4));
    assert_eq!((state.gap, state.missing, state.unseen), (None, None, false));
    assert_eq!(state.cohort.unwrap().no_sum, None);
    assert_eq!(grid.kept(), []);
}

#[test]
fn a_false_meter_is_noticed_in_the_third_interval_and_located_to_the_cohort() {
    let grid = Grid::new();
    assert_eq!(look(&grid, (1..3).map(lied)).gap, None);
    let state = look(&grid, (1..4).map(lied));
    let gap = state.gap.unwrap();
    assert_eq!((gap.intervals, gap.suspects.len(), state.located), (3, 0, None));
    let [record] = &grid.kept()[..] else { panic!("{:?}", grid.kept()) };
    let said = record.found.to_string();
    assert!(record.kind() == "feeder-gap" && said.contains("cohort of 9 sites"), "{said}");
    assert!(!said.contains(&key(MEMBERS[1]).participant_id().short().to_string()), "{said}");
}

#[test]
fn an_interval_without_a_sum_breaks_no_row_and_says_why() {
    let grid = Grid::new();
    let gone = key(MEMBERS[2]).participant_id();
    let lost = |why: NoSum| FeederSum { sum: Err(why), ..sum(3) };
    let missing = NoSum::Rejected(SumRejected::Missing(vec![gone]));
    let row = || [lied(1), lied(2), lost(missing.clone())];
    let state = look(&grid, row());
    assert_eq!(state.missing, Some((Interval::from_number(3), vec![gone])));
    let why = state.cohort.unwrap().no_sum.unwrap();
    assert!(why.contains("1 shares are missing"), "{why}");
    let state = look(&grid, row().into_iter().chain([lied(4)]));
    assert_eq!(state.gap.unwrap().intervals, 3);
    assert_eq!((state.missing, state.cohort.unwrap().no_sum), (None, None));
    for (why, said) in [
        (NoSum::NoBook, "no book was certified"),
        (NoSum::Refused(CohortRefused::TooFew { present: 7 }), "7 sites are present"),
        (NoSum::Refused(CohortRefused::TooManyAbsent { absent: 5, sites: 13 }), "5 of 13"),
        (NoSum::Rejected(SumRejected::DoesNotAddUp), "whose share it is nobody can tell"),
    ] {
        let told = look(&grid, [lost(why)]).cohort.unwrap().no_sum.unwrap();
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn without_its_own_meters_readings_a_feeder_is_not_compared() {
    let grid = Grid::new();
    let state = look(&grid, [FeederSum { feeder_mwh: None, ..lied(1) }]);
    let meter: Vec<ParticipantId> = vec![key(MEMBERS[0]).participant_id()];
    assert_eq!((state.balance, state.missing.unwrap().1), (None, meter));
}

#[test]
fn only_the_latest_sums_are_kept() {
    let mut sums = Sums::default();
    (0..100).for_each(|number| sums.note(&sum(number)));
    assert_eq!(sums.0.len(), WINDOW_INTERVALS);
    assert_eq!(sums.0.keys().next(), Some(&Interval::from_number(76)));
}
