//! What a node that abstains does not sign, what it goes on doing, and that the others need it not.

use boltgrid_market::abstention::ClockCheck;
use boltgrid_market::effect::Slot;
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_protocol::units::Interval;

use crate::assert_agreed;
use crate::grid::Grid;

const JUMPED: Input = Input::Clock(ClockCheck::Jumped { by_ms: 3000 });

/// How many slots of an interval a node has filled with what it signed.
fn signed(grid: &Grid, index: usize, interval: Interval) -> usize {
    let own = |slot: &&Slot| !matches!(slot, Slot::Countersigned(..) | Slot::Reading(_));
    grid.nodes[index].journal.keys().filter(own).filter(|it| it.interval() == interval).count()
}

fn abstained(grid: &Grid, index: usize) -> bool {
    grid.nodes[index].notices.iter().any(|notice| matches!(notice, Notice::Abstains(_)))
}

fn returned(grid: &Grid, index: usize) -> bool {
    grid.nodes[index].notices.iter().any(|notice| matches!(notice, Notice::Returned { .. }))
}

fn cut_off(grid: &mut Grid, index: usize) {
    for other in (0..grid.nodes.len()).filter(|other| *other != index) {
        grid.cut.insert((index.min(other), index.max(other)));
    }
}

#[test]
fn a_node_whose_clock_jumped_signs_nothing_for_two_intervals_and_the_others_decide_without_it() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    grid.run_market(interval);
    grid.input(0, JUMPED);
    // It is delivery of `interval` now, which is not clean, and the two after it must be.
    for later in (1..=3).map(|count| interval.plus(count)) {
        grid.run_market(later);
        assert_eq!(signed(&grid, 0, later), 0, "{later}");
        let cleared = grid.cleared(later);
        assert_eq!(cleared.len(), 4, "it follows what the others decide");
        assert_eq!(cleared[0].orders.len(), 3, "without its order");
    }
    assert!(abstained(&grid, 0) && returned(&grid, 0));
    grid.run_market(interval.plus(4));
    assert_agreed(&grid, interval.plus(4), 4);
}

#[test]
fn what_was_signed_before_stands_and_nothing_is_added() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.first_view.plus_ms(60));
    cut_off(&mut grid, 0);
    grid.run_until(schedule.first_view.plus_ms(400));
    let before = signed(&grid, 0, interval);
    assert!(before >= 3, "an order, an ack and votes at least: {before}");
    grid.input(0, JUMPED);
    grid.cut.clear();
    grid.run_market(interval);
    assert_eq!(signed(&grid, 0, interval), before);
    assert_eq!(grid.cleared(interval).len(), 4);
}

#[test]
fn a_confirm_that_is_stored_goes_on_being_sent_while_the_node_abstains() {
    let mut grid = Grid::new(2);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    while !grid.nodes[0].journal.contains_key(&Slot::Confirm(interval, 0)) {
        assert!(grid.now < schedule.confirm_by, "both decide");
        grid.run_until(grid.now.plus_ms(10));
    }
    // The confirms on their way are lost; only what is sent again arrives.
    cut_off(&mut grid, 0);
    grid.lose_mail();
    grid.input(0, JUMPED);
    grid.cut.clear();
    grid.run_market(interval);
    assert_eq!(grid.nodes[1].confirmed(interval), 1);
}

#[test]
fn a_node_that_decides_while_it_abstains_confirms_nothing() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.gate.plus_ms(100));
    grid.input(0, JUMPED);
    grid.run_market(interval);
    assert!(grid.nodes[0].cleared(interval).is_some());
    assert!(!grid.nodes[0].journal.keys().any(|slot| matches!(slot, Slot::Confirm(..))));
    assert_eq!(grid.nodes[0].confirmed(interval), 0, "one signature binds nobody");
}

#[test]
fn a_node_that_hears_nobody_abstains_and_returns_two_clean_intervals_after_it_hears_them_again() {
    let mut grid = Grid::new(5);
    let interval = grid.next_interval();
    grid.run_market(interval);
    cut_off(&mut grid, 0);
    grid.run_market(interval.plus(1));
    assert!(abstained(&grid, 0));
    assert!((1..5).all(|index| !abstained(&grid, index)), "the others hear enough");
    grid.cut.clear();
    let mut later = interval.plus(1);
    while !returned(&grid, 0) {
        later = later.next();
        assert!(later < interval.plus(6), "it returns by itself");
        grid.run_market(later);
        assert_eq!(grid.cleared(later).len(), 5, "it follows meanwhile");
    }
    assert_eq!(later, interval.plus(3), "two clean intervals after the eclipse");
    grid.run_market(later.next());
    assert_agreed(&grid, later.next(), 5);
}

#[test]
fn a_grid_in_halves_and_one_without_its_quorum_abstains_nowhere() {
    let mut grid = Grid::new(6);
    let interval = grid.next_interval();
    for (one, other) in (0..3).flat_map(|one| (3..6).map(move |other| (one, other))) {
        grid.cut.insert((one, other));
    }
    (0..4).for_each(|count| grid.run_market(interval.plus(count)));
    assert!((0..6).all(|index| !abstained(&grid, index)));
    grid.cut.clear();
    (4..6).for_each(|count| grid.run_market(interval.plus(count)));
    assert_agreed(&grid, interval.plus(5), 6);
}
