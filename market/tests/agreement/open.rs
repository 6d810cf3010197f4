//! Where readings are everybody's, both sides of a trade reckon with the same four: what gossip loses
//! is sent to those who trade, and what comes too late counts for nobody (P18).

use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::envelope::Kind;
use boltgrid_protocol::units::Interval;

use crate::grid::Grid;
use crate::late::{BUYER, reading};

const MEMBERS: u8 = 5;

fn meter(grid: &mut Grid, node: usize, edge: Interval, mwh: u64) {
    let reading = reading(grid, node, edge, mwh);
    grid.input(node, Input::Metered(Box::new(reading)));
}

fn meter_all_but(grid: &mut Grid, left_out: Option<usize>, edge: Interval, mwh: u64) {
    for node in (0..usize::from(MEMBERS)).filter(|node| Some(*node) != left_out) {
        meter(grid, node, edge, mwh);
    }
}

/// A grid at the start of delivery of an interval with trades; its readings at the edge are there.
fn begun(loses: Option<Kind>) -> (Grid, Interval) {
    let mut grid = Grid::new(MEMBERS);
    grid.loses = loses;
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.gate);
    grid.run_market(interval);
    meter_all_but(&mut grid, None, interval, 0);
    (grid, interval)
}

fn settlements(grid: &Grid, interval: Interval) -> Vec<&Settlement> {
    let notices = grid.nodes.iter().flat_map(|node| &node.notices);
    let settled = notices.filter_map(|notice| {
        let Notice::Settled(settled) = notice else { return None };
        (settled.interval == interval).then_some(&**settled)
    });
    settled.collect()
}

#[test]
fn trades_are_settled_though_gossip_loses_every_reading() {
    let (mut grid, interval) = begun(Some(Kind::Reading));
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.delivery_ends.plus_ms(50));
    meter_all_but(&mut grid, None, interval.next(), 1_000);
    grid.run_until(schedule.readings_by.plus_ms(50));
    let settled = settlements(&grid, interval);
    assert_eq!(settled.len(), usize::from(MEMBERS));
    let trades: Vec<_> = settled.iter().flat_map(|settled| &settled.trades).collect();
    assert!(trades.len() >= 4, "{trades:?}");
    assert!(trades.iter().all(|trade| trade.measured), "{trades:?}");
}

#[test]
fn a_reading_of_our_own_that_comes_too_late_for_others_counts_for_nobody() {
    let (mut grid, interval) = begun(None);
    let trades = grid.nodes[0].cleared(interval).unwrap().trades.clone();
    let roster = grid.roster(interval);
    let node = |grid: &Grid, place| grid.index_of(&roster.participant(place).unwrap());
    let trade = trades.iter().find(|trade| node(&grid, trade.buyer) == BUYER).unwrap();
    let seller = node(&grid, trade.seller);
    let schedule = grid.charter.interval.schedule(interval);
    let next = grid.charter.interval.schedule(interval.next());

    // Its meter is silent over an edge, and is read once readings of that edge count no more.
    grid.run_until(schedule.delivery_ends.plus_ms(50));
    meter_all_but(&mut grid, Some(seller), interval.next(), 1_000);
    grid.run_until(schedule.readings_by.plus_ms(50));
    meter(&mut grid, seller, interval.next(), 1_000);
    grid.run_until(next.delivery_ends.plus_ms(50));
    meter_all_but(&mut grid, None, interval.next().next(), 2_000);
    grid.run_until(next.readings_by.plus_ms(50));

    for interval in [interval, interval.next()] {
        let settled = settlements(&grid, interval);
        assert_eq!(settled.len(), usize::from(MEMBERS));
        let due = |settled: &&Settlement| settled.trades_due().unwrap().to_millisatoshi();
        assert_eq!(settled.iter().map(due).sum::<i64>(), 0, "{interval}: both sides say the same");
        assert!(
            settled.iter().any(|it| !it.trades.is_empty()),
            "{interval}: there is something to say"
        );
    }
}
