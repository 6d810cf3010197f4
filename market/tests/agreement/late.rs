//! A node that was away when an interval was to be settled settles it late, once, from history (P26).

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use boltgrid_market::input::{Input, Past};
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::{CreditTerms, Means};
use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::envelope::{Signed, Verified};
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Energy, Interval, Msat, Power};

use crate::grid::Grid;

const CREDIT: CreditTerms = CreditTerms { first_msat: Msat::ZERO, most_msat: Msat::MAX };
/// The node whose meter shows that it takes something; all others give.
pub(crate) const BUYER: usize = 1;
/// The first node sells a watt-hour to the second one, whose bid for a little more sets the price.
const DUE_MSAT: i64 = 300;

pub(crate) fn reading(grid: &mut Grid, node: usize, edge: Interval, mwh: u64) -> Verified<Reading> {
    numbered(grid, (node, edge, mwh), edge.to_number())
}

fn numbered(
    grid: &mut Grid,
    (node, edge, mwh): (usize, Interval, u64),
    sequence: u64,
) -> Verified<Reading> {
    let registers = if node == BUYER { (mwh, 0) } else { (0, mwh) };
    shows(grid, (node, edge, registers), sequence)
}

/// What a meter shows at an edge: import and export registers.
pub(crate) fn shows(
    grid: &mut Grid,
    (node, edge, (taken, given)): (usize, Interval, (u64, u64)),
    sequence: u64,
) -> Verified<Reading> {
    let reading = Reading {
        at: grid.charter.interval.start_of(edge),
        sequence,
        previous: MessageHash::default(),
        import_register_mwh: Energy::from_milliwatt_hours(taken),
        export_register_mwh: Energy::from_milliwatt_hours(given),
        power_mw: Power::ZERO,
        potential_mw: None,
        voltage_mv: None,
        frequency_mhz: None,
    };
    let (roster, key) = (grid.roster(edge), grid.nodes[node].key.clone());
    let author = (&key.participant_id(), &key);
    Verified::sign(&reading, edge, author, (&grid.charter, &roster)).unwrap()
}

/// What a member that was there holds of the interval.
fn past(grid: &mut Grid, interval: Interval) -> Past {
    let cleared = grid.nodes[0].cleared(interval).unwrap().clone();
    let roster = grid.roster(interval);
    let order = |bytes: &std::sync::Arc<[u8]>| {
        Signed::<Order>::decode(bytes.clone()).unwrap().verify(&grid.charter, &roster).unwrap()
    };
    let orders = cleared.orders.iter().map(order).collect();
    let readings = [
        (0, interval, 0),
        (1, interval, 0),
        (0, interval.next(), 1_000),
        (1, interval.next(), 1_000),
    ];
    Past {
        certificate: BookCertificate::from_bytes(&cleared.certificate).unwrap(),
        orders,
        readings: readings.map(|(node, edge, mwh)| reading(grid, node, edge, mwh)).to_vec(),
    }
}

/// A grid in which the buyer of a firm trade went away before it was delivered, and came back so many
/// intervals later.
fn returned(after: u64) -> (Grid, Interval) {
    let mut grid = Grid::paying(2, Means::Lightning(CREDIT));
    let interval = grid.next_interval();
    grid.run_market(interval);
    assert_eq!(grid.nodes[BUYER].confirmed(interval), 1);
    grid.kill(BUYER);
    let back = grid.charter.interval.start_of(interval.plus(after));
    grid.run_until(back);
    grid.start(BUYER);
    grid.run_until(back.plus_ms(50));
    (grid, interval)
}

fn settled(grid: &Grid, interval: Interval) -> Vec<&Settlement> {
    let of = |notice: &&Notice| matches!(notice, Notice::Settled(it) if it.interval == interval);
    let told = grid.nodes[BUYER].notices.iter().filter(of);
    told.map(|notice| {
        let Notice::Settled(settlement) = notice else { unreachable!() };
        &**settlement
    })
    .collect()
}

fn missed(grid: &Grid) -> Vec<Interval> {
    grid.nodes[BUYER].market.as_ref().unwrap().missed().collect()
}

fn owes(grid: &Grid) -> Vec<i64> {
    let payments = grid.nodes[BUYER].market.as_ref().unwrap().payments();
    payments.unpaid().map(|(due, _)| due.due_msat.to_millisatoshi()).collect()
}

#[test]
fn a_node_that_was_away_for_long_still_owes_what_was_delivered() {
    for after in [2, 40] {
        let (mut grid, interval) = returned(after);
        assert_eq!((missed(&grid), settled(&grid, interval).len()), (vec![interval], 0));
        let past = past(&mut grid, interval);
        grid.input(BUYER, Input::Past(Box::new(past.clone())));
        assert_eq!(settled(&grid, interval).len(), 1);
        assert_eq!((owes(&grid), missed(&grid)), (vec![-DUE_MSAT], Vec::new()));
        grid.input(BUYER, Input::Past(Box::new(past.clone())));
        grid.kill(BUYER);
        grid.start(BUYER);
        let now = grid.now.plus_ms(100);
        grid.run_until(now);
        grid.input(BUYER, Input::Past(Box::new(past)));
        assert_eq!((owes(&grid), missed(&grid)), (vec![-DUE_MSAT], Vec::new()), "once, for good");
    }
}

#[test]
fn registers_of_a_chain_that_began_anew_settle_nothing() {
    let (mut grid, interval) = returned(3);
    let mut past = past(&mut grid, interval);
    past.readings[2] = numbered(&mut grid, (0, interval.next(), 1_000), 0);
    grid.input(BUYER, Input::Past(Box::new(past)));
    assert_eq!(settled(&grid, interval).len(), 0, "of another meter, or another key");
}

#[test]
fn what_history_does_not_hold_whole_settles_nothing() {
    let (mut grid, interval) = returned(3);
    let whole = past(&mut grid, interval);
    for gap in 0..whole.readings.len() {
        let mut readings = whole.readings.clone();
        readings.remove(gap);
        let part = Past { readings, ..whole.clone() };
        grid.input(BUYER, Input::Past(Box::new(part)));
    }
    let part = Past { orders: Vec::new(), ..whole.clone() };
    grid.input(BUYER, Input::Past(Box::new(part)));
    assert_eq!((owes(&grid), missed(&grid)), (Vec::new(), vec![interval]));
    grid.input(BUYER, Input::Past(Box::new(whole)));
    assert_eq!(owes(&grid), [-DUE_MSAT]);
}

#[test]
fn who_was_there_misses_nothing_and_settles_nothing_late() {
    let (mut grid, interval) = returned(3);
    let whole = past(&mut grid, interval);
    assert_eq!(grid.nodes[0].market.as_ref().unwrap().missed().count(), 0);
    let before = grid.nodes[0].journal.len();
    grid.input(0, Input::Past(Box::new(whole)));
    assert!(grid.nodes[0].was_told("interval_not_missed"));
    assert_eq!(grid.nodes[0].journal.len(), before);
}
