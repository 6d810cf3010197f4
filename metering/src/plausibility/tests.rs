//! The checks of a site together: what begins, what blocks, and the way back.

use boltgrid_protocol::units::{Energy, Power};

use super::*;
use crate::sample::MeterSample;

const PACE: Pace = Pace { interval_ms: 300_000, sample_every_ms: 1_000 };

/// A site that draws `watts` and whose registers count `counted_watts`, at a second of the day.
fn sample(second: u64, watts: i64, counted_watts: u64) -> Sample {
    let meter = MeterSample {
        power: Power::from_watts(watts).unwrap(),
        import_register: Energy::from_milliwatt_hours(counted_watts * second * 10 / 36),
        export_register: Energy::ZERO,
        voltage_mv: Some(230_000 + u32::try_from(second % 11).unwrap()),
        frequency_mhz: Some(50_000),
    };
    Sample { at: Timestamp::from_unix_ms(second * 1_000), meter, pv: None, battery: None }
}

fn run(
    it: &mut Plausibility,
    seconds: std::ops::Range<u64>,
    watts: i64,
    counted: u64,
) -> Vec<Change> {
    seconds.flat_map(|second| it.sampled(&sample(second, watts, counted), None)).collect()
}

#[test]
fn an_honest_meter_has_no_anomalies_all_day() {
    let mut it = Plausibility::new(PACE);
    assert_eq!(run(&mut it, 0..86_400, 3_000, 3_000), []);
    assert_eq!(it.standing().count(), 0);
}

#[test]
fn registers_that_disagree_with_power_block_orders_until_two_intervals_are_clean() {
    let mut it = Plausibility::new(PACE);
    let changes = run(&mut it, 0..900, 4_000, 3_000);
    let [Change::Began(began)] = changes[..] else { panic!("{changes:?}") };
    assert_eq!(began.finding.kind(), AnomalyKind::Disagrees);
    assert_eq!(it.blocking().map(|it| it.began_at), Some(began.began_at));
    // The power is right again, and the registers go on from where they are.
    let changes = run(&mut it, 900..2_400, 3_000, 3_000);
    let [Change::Ended(ended)] = changes[..] else { panic!("{changes:?}") };
    assert!(ended.ended_at.unwrap().ms_since(ended.seen_at) >= 2 * PACE.interval_ms);
    assert!(it.blocking().is_none());
}

#[test]
fn a_register_that_goes_back_blocks_from_the_third_time_on() {
    let back = RegisterRejected::Backwards { before: 100, shown: 5 };
    let mut it = Plausibility::new(PACE);
    run(&mut it, 0..10, 1_000, 1_000);
    let at = |second: u64| Timestamp::from_unix_ms(second * 1_000);
    assert_eq!([10, 11].map(|second| it.rejected(at(second), &back)), [None, None]);
    assert!(it.blocking().is_none());
    let Some(Change::Began(began)) = it.rejected(at(12), &back) else { panic!("it stands") };
    assert_eq!(began.finding, Finding::RegisterBack { before_counts: 100, shown_counts: 5 });
    assert!(began.finding.to_string().contains("new meter key"));
    assert!(it.blocking().is_some());
    let changes = run(&mut it, 13..700, 1_000, 1_000);
    assert!(matches!(changes[..], [Change::Ended(_)]), "{changes:?}");
}

#[test]
fn one_garbled_register_is_forgotten() {
    let back = RegisterRejected::Backwards { before: 100, shown: 5 };
    let mut it = Plausibility::new(PACE);
    for second in (0..600).step_by(2) {
        run(&mut it, second..second + 1, 1_000, 1_000);
        assert_eq!(it.rejected(Timestamp::from_unix_ms(second * 1_000 + 500), &back), None);
    }
}

#[test]
fn a_gap_is_seen_while_it_lasts_and_blocks_nothing() {
    let mut it = Plausibility::new(PACE);
    run(&mut it, 0..10, 1_000, 1_000);
    assert_eq!(it.tick(Timestamp::from_unix_ms(69_000)), None);
    let Some(Change::Began(began)) = it.tick(Timestamp::from_unix_ms(70_000)) else {
        panic!("nothing for over a minute")
    };
    assert_eq!(began.finding, Finding::Gap { for_ms: 61_000 });
    assert!(it.blocking().is_none());
    // What the registers moved in the gap is no disagreement: nobody saw the power.
    let changes = run(&mut it, 500..1_500, 1_000, 1_000);
    let [Change::Ended(ended)] = changes[..] else { panic!("{changes:?}") };
    assert_eq!(ended.finding, Finding::Gap { for_ms: 491_000 });
}

#[test]
fn a_clock_that_is_set_back_begins_anew_and_blames_nobody() {
    let mut it = Plausibility::new(PACE);
    run(&mut it, 1_000..1_200, 3_000, 3_000);
    assert_eq!(it.sampled(&sample(1_199 - 600, 3_000, 3_000), None), []);
    assert_eq!(run(&mut it, 600..2_400, 3_000, 3_000), []);
}
