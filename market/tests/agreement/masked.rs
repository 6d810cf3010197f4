//! Where readings are masked, everybody adds up a feeder's sites and nobody sees one of them (P42).

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use boltgrid_market::cohort::{FeederSum, NoSum};
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_protocol::envelope::{Kind, Verified};
use boltgrid_protocol::masking::{CohortRefused, Share, SumRejected};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::units::{Energy, Interval, NetEnergy};

use crate::grid::Grid;
use crate::late::shows;

/// Nine sites and the meter of their feeder.
const MEMBERS: u8 = 10;
const SITES: usize = 9;
const METER: usize = 9;

/// What the meter of a site shows at the end of an interval, having shown nothing at its start.
const fn took(site: usize) -> (u64, u64) {
    let mwh = 1_000 * (site as u64 + 1);
    if site.is_multiple_of(2) { (0, mwh) } else { (mwh, 0) }
}

fn net((taken, given): (u64, u64)) -> i64 {
    i64::try_from(taken).unwrap() - i64::try_from(given).unwrap()
}

/// What all sites take but these.
fn without(absent: &[usize]) -> NetEnergy {
    let sum = (0..SITES).filter(|site| !absent.contains(site)).map(|site| net(took(site))).sum();
    NetEnergy::from_milliwatt_hours(sum)
}

fn meter(grid: &mut Grid, edge: Interval, is_end: bool) {
    for node in 0..usize::from(MEMBERS) {
        let feeder = || (0..SITES).map(took).fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        let shown = if node == METER { feeder() } else { took(node) };
        let registers = if is_end { shown } else { (0, 0) };
        let reading = shows(grid, (node, edge, registers), edge.to_number());
        grid.input(node, Input::Metered(Box::new(reading)));
    }
}

/// A grid whose meters have just shown what an interval took, with these nodes away from the start and
/// these since delivery began.
fn delivered(absent: &[usize], fall_out: &[usize]) -> (Grid, Interval) {
    let mut grid = Grid::masked(MEMBERS);
    absent.iter().for_each(|node| grid.kill(*node));
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_market(interval);
    meter(&mut grid, interval, false);
    grid.no_orders = true;
    fall_out.iter().for_each(|node| grid.kill(*node));
    grid.run_until(schedule.delivery_ends.plus_ms(50));
    meter(&mut grid, interval.next(), true);
    (grid, interval)
}

/// The same, once no share counts any more.
fn run(absent: &[usize], fall_out: &[usize]) -> (Grid, Interval) {
    let (mut grid, interval) = delivered(absent, fall_out);
    grid.run_until(grid.charter.interval.schedule(interval).readings_by.plus_ms(50));
    (grid, interval)
}

fn sum(grid: &Grid, node: usize, interval: Interval) -> &FeederSum {
    let mut told = grid.nodes[node].notices.iter().filter_map(|notice| {
        let Notice::Summed(sum) = notice else { return None };
        (sum.interval == interval).then_some(&**sum)
    });
    let sum = told.next().expect("it is told");
    assert_eq!(told.next(), None, "once");
    sum
}

#[test]
fn every_member_adds_up_the_sites_and_no_reading_of_a_site_is_gossiped() {
    let (grid, interval) = run(&[], &[]);
    for node in 0..usize::from(MEMBERS) {
        let sum = sum(&grid, node, interval);
        assert_eq!((&sum.sum, sum.feeder_mwh), (&Ok(without(&[])), Some(without(&[]))));
        assert_eq!((sum.feeder.as_str(), sum.turnout.present, sum.turnout.absent), ("lane", 9, 0));
        // Of each site what its order says: 1 Wh and a little.
        let ordered: u64 = (0..SITES as u64).map(|site| 1_000 + site).sum();
        assert_eq!(sum.turnout.ordered_mwh, Energy::from_milliwatt_hours(ordered));
    }
    let gossiped = |kind| grid.gossiped.get(&kind).copied();
    assert_eq!(gossiped(Kind::Reading), Some(2), "those of the feeder's meter");
    assert_eq!(gossiped(Kind::Seal), Some(2 * SITES as u64));
    assert_eq!(gossiped(Kind::Share), Some(SITES as u64));
}

#[test]
fn a_site_that_was_away_at_the_gate_is_not_left_to_be_seen() {
    let (grid, interval) = run(&[3], &[]);
    let sum = sum(&grid, 0, interval);
    let refused = NoSum::Refused(CohortRefused::AbsentSeen { absent: 1 });
    assert_eq!((&sum.sum, sum.feeder_mwh), (&Err(refused), Some(without(&[]))));
    assert_eq!((sum.turnout.present, sum.turnout.absent), (8, 1));
    // 100 kW for ten seconds.
    assert_eq!(sum.turnout.absent_most_mwh, Energy::from_milliwatt_hours(277_777));
    assert_eq!(grid.gossiped.get(&Kind::Share), None);
}

#[test]
fn too_few_sites_share_nothing() {
    let (grid, interval) = run(&[3, 4], &[]);
    let refused = NoSum::Refused(CohortRefused::TooFew { present: 7 });
    assert_eq!(sum(&grid, 0, interval).sum, Err(refused));
    assert_eq!(grid.gossiped.get(&Kind::Share), None);
}

#[test]
fn a_site_that_falls_out_after_the_gate_costs_the_sum_of_that_interval_and_is_named() {
    let (grid, interval) = run(&[], &[3]);
    let gone = grid.nodes[3].key.participant_id();
    let missing = NoSum::Rejected(SumRejected::Missing(vec![gone]));
    assert_eq!(sum(&grid, 0, interval).sum, Err(missing));
}

#[test]
fn without_a_book_there_is_no_cohort() {
    // Of nine voters seven are a quorum.
    let (grid, interval) = run(&[0, 1, 2], &[]);
    assert_eq!(sum(&grid, 5, interval).sum, Err(NoSum::NoBook));
}

/// A share of a node's, of whatever energy.
fn forged(grid: &mut Grid, node: usize, interval: Interval, masked_mwh: u64) -> Verified<Share> {
    // The commitment to nothing, which is a point.
    let share = Share { commitment: [0; 32], masked_mwh };
    let (roster, key) = (grid.roster(interval), grid.nodes[node].key.clone());
    let author = (&key.participant_id(), &key);
    Verified::sign(&share, interval, author, (&grid.charter, &roster)).unwrap()
}

fn hears(grid: &mut Grid, node: usize, share: Verified<Share>) {
    let message = Box::new(Message::Share(share));
    grid.input(node, Input::Heard { message, token: Some(1) });
}

#[test]
fn two_shares_of_one_interval_convict() {
    let (mut grid, interval) = delivered(&[], &[3]);
    let culprit = grid.nodes[3].key.participant_id();
    for energy in [1, 1, 2] {
        assert_eq!(grid.gossiped.get(&Kind::Evidence), None, "as long as they are the same");
        let share = forged(&mut grid, 3, interval, energy);
        hears(&mut grid, 0, share);
    }
    let bars = |it: &Notice| matches!(it, Notice::Barred { culprit: who, .. } if *who == culprit);
    assert!(grid.nodes[0].notices.iter().any(bars));
    assert_eq!(grid.gossiped.get(&Kind::Evidence), Some(&1));
}

#[test]
fn a_share_that_commits_to_something_else_spoils_the_sum_and_says_so() {
    let (mut grid, interval) = delivered(&[], &[3]);
    let share = forged(&mut grid, 3, interval, 4_000);
    hears(&mut grid, 0, share);
    grid.run_until(grid.now.plus_ms(200));
    let spoilt = NoSum::Rejected(SumRejected::DoesNotAddUp);
    assert_eq!(sum(&grid, 0, interval).sum, Err(spoilt), "as soon as all shares are there");
}

#[test]
fn a_share_counts_from_the_end_of_delivery_until_readings_are_due_and_of_who_is_in_the_book() {
    let mut grid = Grid::masked(MEMBERS);
    grid.kill(3);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_market(interval);
    let early = forged(&mut grid, 4, interval, 1);
    hears(&mut grid, 0, early.clone());
    assert!(grid.nodes[0].was_told("share_early"));
    grid.run_until(schedule.delivery_ends.plus_ms(50));
    let stranger = forged(&mut grid, 3, interval, 1);
    hears(&mut grid, 0, stranger);
    assert!(grid.nodes[0].was_told("share_of_no_cohort"));
    grid.run_until(schedule.readings_by.plus_ms(50));
    hears(&mut grid, 0, early);
    assert!(grid.nodes[0].was_told("share_late"));
}
