//! Where counterparties only see readings, trades are settled as ever, nobody else sees any, and two
//! seals convict (P40).

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use std::collections::BTreeSet;

use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::envelope::{Kind, Verified};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::seal::{Seal, Shown};
use boltgrid_protocol::units::Interval;

use crate::grid::Grid;
use crate::late::reading;

const MEMBERS: u8 = 5;

/// Every meter shows at the edge that has just passed that so much flowed since the one before.
fn meter(grid: &mut Grid, edge: Interval, mwh: u64) {
    for node in 0..usize::from(MEMBERS) {
        let reading = reading(grid, node, edge, mwh);
        grid.input(node, Input::Metered(Box::new(reading)));
    }
}

/// A grid after the readings of an interval with trades were due.
fn delivered() -> (Grid, Interval) {
    let mut grid = Grid::private(MEMBERS);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.gate);
    // Nobody trades in the next interval, so that nothing is shown because of it.
    grid.no_orders = true;
    grid.run_market(interval);
    meter(&mut grid, interval, 0);
    grid.run_until(schedule.delivery_ends.plus_ms(50));
    meter(&mut grid, interval.next(), 1_000);
    grid.run_until(schedule.readings_by.plus_ms(50));
    (grid, interval)
}

fn settlement(grid: &Grid, node: usize, interval: Interval) -> &Settlement {
    let notices = grid.nodes[node].notices.iter();
    let mut settled = notices.filter_map(|notice| {
        let Notice::Settled(settled) = notice else { return None };
        (settled.interval == interval).then_some(&**settled)
    });
    settled.next().expect("it is settled")
}

#[test]
fn trades_are_settled_from_readings_that_only_their_sides_were_shown() {
    let (grid, interval) = delivered();
    let trades = &grid.nodes[0].cleared(interval).unwrap().trades;
    assert!(trades.len() >= 2, "{trades:?}");
    let roster = grid.rosters.clone().at(interval);
    let index = |place| grid.index_of(&roster.participant(place).unwrap());
    let mut expected = BTreeSet::new();
    for trade in trades {
        let (seller, buyer) = (index(trade.seller), index(trade.buyer));
        for edge in [interval, interval.next()] {
            expected.extend([(seller, buyer, edge), (buyer, seller, edge)]);
        }
    }
    assert_eq!(grid.shown, expected, "to both sides of every trade, and to nobody else");
    let mut measured = 0;
    for node in 0..usize::from(MEMBERS) {
        let settled = settlement(&grid, node, interval);
        assert!(settled.metered_mwh.is_some(), "its own meter is known to it");
        assert!(settled.trades.iter().all(|trade| trade.measured), "{settled:?}");
        measured += settled.trades.len();
    }
    assert_eq!(measured, 2 * trades.len());
}

#[test]
fn what_is_gossiped_is_a_seal_of_every_reading_and_no_reading() {
    let (grid, _) = delivered();
    assert_eq!(grid.gossiped.get(&Kind::Reading), None);
    assert_eq!(grid.gossiped.get(&Kind::Seal), Some(&(2 * u64::from(MEMBERS))));
}

#[test]
fn seals_are_signs_of_life() {
    let (grid, _) = delivered();
    let hearing = grid.nodes[0].market.as_ref().unwrap().sight().hearing;
    assert!(hearing.is_some());
    let mut grid = Grid::private(MEMBERS);
    let first = grid.charter.interval.interval_at(grid.now).plus(1);
    // Nobody but the first hears an order, an ack or a vote in two intervals.
    (1..usize::from(MEMBERS)).for_each(|node| grid.kill(node));
    for edge in [first, first.next(), first.plus(2)] {
        grid.run_until(grid.charter.interval.start_of(edge).plus_ms(50));
        for node in 1..usize::from(MEMBERS) {
            let reading = reading(&mut grid, node, edge, 1);
            let seal = sealed(&mut grid, node, &reading);
            let heard = Input::Heard { message: Box::new(Message::Seal(seal)), token: Some(1) };
            grid.input(0, heard);
        }
    }
    let sight = grid.nodes[0].market.as_ref().unwrap().sight();
    let heard = sight.hearing.map(|hearing| hearing.heard);
    assert_eq!((heard, sight.abstaining), (Some(u32::from(MEMBERS) - 1), None));
}

fn sealed(
    grid: &mut Grid,
    node: usize,
    reading: &Verified<boltgrid_protocol::reading::Reading>,
) -> Verified<Seal> {
    let (key, edge) = (grid.nodes[node].key.clone(), reading.interval());
    let (author, roster) = (key.participant_id(), grid.roster(edge));
    let seal = Seal::over(reading, &Seal::secret(reading, &key));
    Verified::sign(&seal, edge, (&author, &key), (&grid.charter, &roster)).unwrap()
}

/// What a node says of a reading, whatever it sealed before.
fn shown(grid: &mut Grid, node: usize, edge: Interval, mwh: u64) -> Input {
    let reading = reading(grid, node, edge, mwh);
    let secret = Seal::secret(&reading, &grid.nodes[node].key);
    let shown = Shown::new(&sealed(grid, node, &reading), &reading, secret);
    let (by, now) = (grid.nodes[node].key.participant_id(), grid.now);
    let mut gate = grid.gatekeeper();
    Input::Shown(Box::new(shown.open(&by, |bytes| gate.admit(bytes, now)).unwrap()))
}

#[test]
fn a_reading_under_another_seal_than_was_heard_convicts_and_does_not_count() {
    let mut grid = Grid::private(MEMBERS);
    let interval = grid.next_interval();
    grid.run_market(interval);
    meter(&mut grid, interval, 0);
    let ends = grid.charter.interval.schedule(interval).delivery_ends;
    grid.run_until(ends.plus_ms(50));
    let truth = reading(&mut grid, 0, interval.next(), 1_000);
    let seal = sealed(&mut grid, 0, &truth);
    let heard = Input::Heard { message: Box::new(Message::Seal(seal)), token: Some(1) };
    grid.input(1, heard);
    let lie = shown(&mut grid, 0, interval.next(), 9_000);
    grid.input(1, lie);
    let culprit = grid.nodes[0].key.participant_id();
    let bars = |it: &Notice| matches!(it, Notice::Barred { culprit: who, .. } if *who == culprit);
    assert!(grid.nodes[1].notices.iter().any(bars), "two seals of one instant are evidence");
    assert_eq!(grid.gossiped.get(&Kind::Evidence), Some(&1));
    let own = reading(&mut grid, 1, interval.next(), 1_000);
    grid.input(1, Input::Metered(Box::new(own)));
    grid.run_until(grid.charter.interval.schedule(interval).readings_by.plus_ms(50));
    let trades = &settlement(&grid, 1, interval).trades;
    let with_liar = trades.iter().filter(|trade| trade.counterparty == culprit);
    assert!(with_liar.clone().count() > 0 && with_liar.clone().all(|trade| !trade.measured));
}

#[test]
fn a_reading_that_is_shown_again_is_nothing_new() {
    let mut grid = Grid::private(MEMBERS);
    let interval = grid.next_interval();
    grid.run_market(interval);
    for _ in 0..2 {
        let again = shown(&mut grid, 0, interval, 5);
        grid.input(1, again);
    }
    assert_eq!(grid.gossiped.get(&Kind::Evidence), None);
}
