//! Two signed things of one author where one is allowed are evidence whenever they meet (P20), also
//! when the second counts no more.

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use boltgrid_market::effect::{Effect, Verdict};
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_protocol::agreement::{Stage, Vote};
use boltgrid_protocol::envelope::{Payload, Verified};
use boltgrid_protocol::id::{BookHash, MessageHash};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval, Power, Timestamp};

use crate::grid::{Grid, order};

/// Node 0 signs something.
fn signed<T: Payload>(grid: &mut Grid, interval: Interval, body: &T) -> Verified<T> {
    let (key, roster) = (grid.nodes[0].key.clone(), grid.roster(interval));
    let author = (&key.participant_id(), &key);
    Verified::sign(body, interval, author, (&grid.charter, &roster)).unwrap()
}

/// What node 1 does when it hears a message, as gossip or because it asked for it.
fn hears(grid: &mut Grid, message: Message, token: Option<u64>) -> Vec<Effect> {
    let (now, message) = (grid.now, Box::new(message));
    grid.nodes[1].market.as_mut().unwrap().handle(now, Input::Heard { message, token })
}

fn accusations(effects: &[Effect]) -> usize {
    effects.iter().filter(|it| matches!(it, Effect::Gossip(Topic::Evidence, _))).count()
}

fn bars_node_0(grid: &Grid, effects: &[Effect]) -> bool {
    let id = grid.nodes[0].key.participant_id();
    let bars =
        |it: &Effect| matches!(it, Effect::Tell(Notice::Barred { culprit, .. }) if *culprit == id);
    effects.iter().any(bars)
}

fn passed_on(effects: &[Effect]) -> bool {
    effects.iter().any(|it| matches!(it, Effect::Judge { verdict: Verdict::Accept, .. }))
}

#[test]
fn a_second_order_convicts_its_author_after_the_gate_as_well() {
    // As gossip, and as an answer to a question.
    for token in [Some(0), None] {
        let mut grid = Grid::new(4);
        let interval = grid.next_interval();
        let schedule = grid.charter.interval.schedule(interval);
        let too_late_ms = grid.charter.interval.clock_skew_max_ms + 20;
        grid.run_until(schedule.gate.plus_ms(too_late_ms));
        let second = signed(&mut grid, interval, &order(2));
        let effects = hears(&mut grid, Message::Order(second.clone()), token);
        assert_eq!(accusations(&effects), 1);
        assert!(bars_node_0(&grid, &effects));
        assert!(!passed_on(&effects), "late orders do not travel, evidence does");
        let again = hears(&mut grid, Message::Order(second), token);
        assert_eq!(accusations(&again), 0, "once per culprit and interval");
    }
}

#[test]
fn an_order_that_comes_late_again_convicts_nobody() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.orders_close);
    grid.kill(0);
    grid.run_until(schedule.gate.plus_ms(900));
    let same = signed(&mut grid, interval, &order(0));
    for token in [Some(0), None] {
        let effects = hears(&mut grid, Message::Order(same.clone()), token);
        assert_eq!(accusations(&effects), 0);
        assert!(!passed_on(&effects));
    }
}

#[test]
fn a_first_order_that_comes_late_is_held_against_the_next_one() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.kill(0);
    grid.run_until(schedule.gate.plus_ms(900));
    let [first, second] = [order(0), order(2)].map(|order| signed(&mut grid, interval, &order));
    let effects = hears(&mut grid, Message::Order(first), Some(0));
    assert_eq!(accusations(&effects), 0);
    let effects = hears(&mut grid, Message::Order(second), Some(0));
    assert_eq!(accusations(&effects), 1);
}

#[test]
fn a_second_reading_convicts_its_meter_when_it_counts_no_more() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    let mut reading = |at: Timestamp, import_mwh| {
        let body = Reading {
            at,
            sequence: 1,
            previous: MessageHash::default(),
            import_register_mwh: Energy::from_milliwatt_hours(import_mwh),
            export_register_mwh: Energy::ZERO,
            power_mw: Power::ZERO,
            potential_mw: None,
            voltage_mv: None,
            frequency_mhz: None,
        };
        Message::Reading(signed(&mut grid, interval, &body))
    };
    let [first, second] = [5, 6].map(|mwh| reading(schedule.delivery_starts, mwh));
    grid.run_until(schedule.delivery_starts.plus_ms(50));
    assert!(passed_on(&hears(&mut grid, first.clone(), Some(0))));
    grid.run_until(schedule.delivery_starts.plus_ms(4_000));
    let effects = hears(&mut grid, first, Some(0));
    assert!(accusations(&effects) == 0 && !passed_on(&effects));
    let effects = hears(&mut grid, second, Some(0));
    assert!(bars_node_0(&grid, &effects) && !passed_on(&effects));
    assert_eq!(accusations(&effects), 1);
}

/// Node 0 shows a prevote for none to some nodes, and one for the book to all.
#[test]
fn what_a_voter_that_contradicts_itself_shows_to_some_counts_for_all() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    let leader = grid.leader(interval, 0);
    let absent = (1..4).find(|node| *node != leader).unwrap();
    grid.run_until(schedule.gate.plus_ms(50));
    grid.kill(absent);
    for stage in [Stage::Prevote, Stage::Precommit] {
        let vote = signed(&mut grid, interval, &Vote { view: 0, stage, book: None });
        (1..4).for_each(|to| grid.post(0, to, vote.bytes()));
    }
    grid.run_market(interval);
    for node in (1..4).filter(|node| *node != absent) {
        let cleared = grid.nodes[node].cleared(interval).expect("a book is decided");
        assert_eq!(cleared.view, 0, "node 0 voted for the book as well, which makes three of four");
    }
}

#[test]
fn of_a_voter_that_contradicts_itself_only_so_many_votes_are_passed_on() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.gate.plus_ms(50));
    let mut passed = 0;
    for number in 1..=10 {
        let book = Some(BookHash::from_bytes([number; 32]));
        let vote = Vote { view: 5, stage: Stage::Prevote, book };
        let vote = signed(&mut grid, interval, &vote);
        let effects = hears(&mut grid, Message::Vote(vote), Some(u64::from(number)));
        passed += usize::from(passed_on(&effects));
    }
    assert_eq!(passed, 4, "P15 says how many");
}
