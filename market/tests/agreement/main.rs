//! One interval among several honest markets, and among some that are dead, cut off or dishonest.

mod abstention;
mod contradictions;
mod credit;
mod grid;
mod late;
mod masked;
mod open;
mod private;

use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::effect::{Effect, Slot};
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::Means;
use boltgrid_protocol::agreement::{Ack, BookCertificate, Stage, Vote};
use boltgrid_protocol::bitmap::Bitmap;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{MessageHash, RosterIndex};
use boltgrid_protocol::message::Gatekeeper;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval};

use grid::{Grid, order};

/// All living nodes decided the same, and both sides of each trade signed it.
fn assert_agreed(grid: &Grid, interval: Interval, living: usize) {
    let cleared = grid.cleared(interval);
    assert_eq!(cleared.len(), living, "every living node decides");
    assert!(cleared.iter().all(|it| it.clearing == cleared[0].clearing), "and the same");
    assert!(!cleared[0].trades.is_empty());
    let confirmed: usize = grid.nodes.iter().map(|node| node.confirmed(interval)).sum();
    assert_eq!(confirmed, 2 * cleared[0].trades.len(), "both sides confirm each trade");
}

#[test]
fn honest_nodes_decide_in_the_first_view_and_confirm_every_trade() {
    for count in [1, 2, 3, 4, 7, 13] {
        let mut grid = Grid::new(count);
        let interval = grid.next_interval();
        grid.run_market(interval);
        let cleared = grid.cleared(interval);
        assert_eq!(cleared.len(), usize::from(count), "{count} nodes");
        assert!(cleared.iter().all(|it| it.view == 0 && it.clearing == cleared[0].clearing));
        if count > 1 {
            assert_agreed(&grid, interval, count.into());
        }
    }
}

#[test]
fn intervals_follow_each_other() {
    let mut grid = Grid::new(4);
    let first = grid.next_interval();
    for interval in (0..5).map(|count| first.plus(count)) {
        grid.run_market(interval);
        assert_agreed(&grid, interval, 4);
    }
}

#[test]
fn a_third_of_the_voters_may_be_dead_even_the_first_leaders() {
    let mut grid = Grid::new(13);
    let interval = grid.next_interval();
    for view in 0..4 {
        let leader = grid.leader(interval, view);
        grid.kill(leader);
    }
    grid.run_market(interval);
    assert!(grid.cleared(interval).iter().all(|it| it.view == 4));
    assert_eq!(grid.cleared(interval).len(), 9);
}

#[test]
fn without_a_quorum_everyone_knows_that_there_is_no_decision() {
    let mut grid = Grid::new(13);
    let interval = grid.next_interval();
    (0..5).for_each(|index| grid.kill(index));
    grid.run_market(interval);
    assert!(grid.cleared(interval).is_empty());
    assert!(grid.nodes[5..].iter().all(|node| node.fell_back(interval)));
}

#[test]
fn a_leader_that_dies_after_proposing_does_not_split_the_others() {
    let mut grid = Grid::new(7);
    let interval = grid.next_interval();
    let leader = grid.leader(interval, 0);
    // The proposal reaches two nodes only.
    let deaf: Vec<usize> = (0..7).filter(|index| *index != leader).skip(2).collect();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.first_view.minus_ms(20));
    deaf.iter().for_each(|index| {
        grid.cut.insert((leader.min(*index), leader.max(*index)));
    });
    grid.run_market(interval);
    let cleared = grid.cleared(interval);
    assert!(cleared.len() >= 6);
    assert!(cleared.iter().all(|it| it.clearing == cleared[0].clearing));
}

#[test]
fn an_order_handed_to_few_after_the_gate_is_out_and_one_held_by_all_is_in() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    // Node 3 is heard by nobody until just after the gate.
    (0..3).for_each(|index| {
        grid.cut.insert((index, 3));
    });
    grid.run_until(schedule.gate.plus_ms(20));
    grid.cut.clear();
    grid.run_market(interval);
    let cleared = grid.cleared(interval);
    assert!(cleared.len() >= 3);
    assert_eq!(cleared[0].orders.len(), 3);
}

#[test]
fn a_node_that_missed_the_decision_fetches_it_and_still_confirms() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    let leader = grid.leader(interval, 0);
    let late = (leader + 1) % 4;
    grid.run_until(schedule.gate.plus_ms(100));
    (0..4).filter(|index| *index != late).for_each(|index| {
        grid.cut.insert((index.min(late), index.max(late)));
    });
    grid.run_until(schedule.views_end().plus_ms(20));
    assert!(grid.nodes[late].cleared(interval).is_none());
    grid.cut.clear();
    grid.run_market(interval);
    assert_agreed(&grid, interval, 4);
}

#[test]
fn a_decision_that_is_learnt_after_confirms_count_binds_nobody() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    let late = (grid.leader(interval, 0) + 1) % 4;
    grid.run_until(schedule.gate.plus_ms(100));
    (0..4).filter(|index| *index != late).for_each(|index| {
        grid.cut.insert((index.min(late), index.max(late)));
    });
    grid.run_until(schedule.confirm_by.plus_ms(20));
    assert!(grid.nodes[late].fell_back(interval));
    let knows = grid.nodes[(late + 1) % 4].market.as_ref().unwrap();
    let bytes = knows.certificate(interval).unwrap();
    let certificate = BookCertificate::from_bytes(&bytes).unwrap();
    grid.input(late, Input::Certificate(Box::new(certificate)));
    assert!(grid.nodes[late].cleared(interval).is_some(), "it learns the book");
    let signed = |slot: &Slot| matches!(slot, Slot::Confirm(of, _) if *of == interval);
    assert!(!grid.nodes[late].journal.keys().any(signed), "and signs no trade of it");
}

#[test]
fn a_node_killed_at_any_moment_signs_nothing_anew_and_trades_on() {
    let probe = Grid::new(4);
    let interval = probe.next_interval();
    let schedule = probe.charter.interval.schedule(interval);
    let span = schedule.delivery_starts.ms_since(schedule.orders_open);
    for after_ms in (0..span - 200).step_by(330) {
        let mut grid = Grid::new(4);
        grid.run_until(schedule.orders_open.plus_ms(after_ms));
        grid.kill(2);
        grid.run_until(grid.now.plus_ms(150));
        // Filling a slot twice with other bytes fails inside the grid.
        grid.start(2);
        let placed = grid.nodes[2].journal.contains_key(&Slot::Order(interval));
        grid.nodes[2].notices.clear();
        grid.run_market(interval);
        let told =
            |it: &Notice| matches!(it, Notice::Placed { interval: of, .. } if *of == interval);
        let told = grid.nodes[2].notices.iter().any(told);
        assert!(told || !placed, "an order placed before the restart is told again");
        let cleared = grid.cleared(interval);
        assert!(cleared.iter().all(|it| it.clearing == cleared[0].clearing), "at {after_ms} ms");
        grid.run_market(interval.next());
        assert_agreed(&grid, interval.next(), 4);
    }
}

#[test]
fn a_second_order_convicts_and_bars_its_author() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.orders_open.plus_ms(300));
    let (key, roster, charter) =
        (grid.nodes[0].key.clone(), grid.roster(interval), Arc::clone(&grid.charter));
    let mut other = order(0);
    other.steps[0].limit_msat_per_kwh = order(1).steps[0].limit_msat_per_kwh;
    let author = (&key.participant_id(), &key);
    let second = Verified::sign(&other, interval, author, (&charter, &roster)).unwrap();
    grid.post(0, 1, second.bytes());
    grid.run_market(interval);
    let culprit = key.participant_id();
    assert!(grid.nodes[1..].iter().all(|node| {
        node.notices
            .iter()
            .any(|notice| matches!(notice, Notice::Barred { culprit: it, .. } if *it == culprit))
    }));
    grid.run_market(interval.next());
    let cleared = grid.cleared(interval.next());
    assert_eq!(cleared[0].orders.len(), 3, "the barred member's order is not in the next book");

    // What the notice hands out bars again after a restart, once, and for the same time.
    let told = |notice: &Notice| {
        let Notice::Barred { evidence, until, .. } = notice else { return None };
        Some((Arc::clone(evidence), *until))
    };
    let (evidence, until) = grid.nodes[1].notices.iter().find_map(told).unwrap();
    let now = grid.charter.interval.start_of(until.previous());
    let rosters = grid.rosters.clone();
    let mut gate = Gatekeeper::new(Arc::clone(&charter), rosters.clone());
    let key = grid.nodes[1].key.clone();
    let mut market = Market::new(charter, rosters, key, Vec::new(), Means::Ledger);
    let mut bars = || {
        let message = Box::new(gate.admit_past(Arc::clone(&evidence), now).unwrap());
        let effects = market.handle(now, Input::Heard { message, token: None });
        effects.iter().any(|effect| {
            matches!(effect, Effect::Tell(Notice::Barred { until: it, .. }) if *it == until)
        })
    };
    assert!(bars());
    assert!(!bars(), "known already");
}

#[test]
fn a_double_voter_is_convicted_and_changes_nothing() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let (key, roster, charter) =
        (grid.nodes[0].key.clone(), grid.roster(interval), Arc::clone(&grid.charter));
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.gate.plus_ms(50));
    let vote = Vote { view: 0, stage: Stage::Prevote, book: None };
    let author = (&key.participant_id(), &key);
    let nil = Verified::sign(&vote, interval, author, (&charter, &roster)).unwrap();
    (1..4).for_each(|to| grid.post(0, to, nil.bytes()));
    grid.run_market(interval);
    assert_agreed(&grid, interval, 4);
    assert!(grid.nodes[1..].iter().any(|node| node.was_told("double_vote")));
}

#[test]
fn a_proposal_that_comes_late_in_its_view_is_voted_for_and_nobody_votes_for_none() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    let leader = grid.leader(interval, 0);
    grid.run_until(schedule.first_view.plus_ms(5));
    let proposal = Arc::clone(&grid.nodes[leader].journal[&Slot::Proposal(interval, 0)].bytes);
    grid.lose_mail();
    grid.run_until(schedule.within_view(0, 90));
    let voted =
        |grid: &Grid, slot| grid.nodes.iter().filter(|it| it.journal.contains_key(&slot)).count();
    assert_eq!(voted(&grid, Slot::Prevote(interval, 0)), 1, "its leader's");
    (0..4).for_each(|to| grid.post(leader, to, &proposal));
    grid.run_until(schedule.view_starts(1).plus_ms(500));
    assert_agreed(&grid, interval, 4);
    assert_eq!(voted(&grid, Slot::Prevote(interval, 0)), 4);
    assert_eq!(voted(&grid, Slot::Prevote(interval, 1)), 0);
}

#[test]
fn a_voter_whose_clock_steps_back_votes_in_no_view_that_it_has_left() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    let (first, second) = (grid.leader(interval, 0), grid.leader(interval, 1));
    let others: Vec<usize> = (0..4).filter(|it| ![first, second].contains(it)).collect();
    let (voter, absent) = (others[0], others[1]);
    grid.run_until(schedule.gate.plus_ms(100));
    grid.kill(voter);
    grid.kill(absent);
    grid.run_until(schedule.within_view(0, 90));
    grid.start(voter);
    let voted = Slot::Prevote(interval, 1);
    while !grid.nodes[voter].journal.contains_key(&voted) {
        assert!(grid.now < schedule.view_starts(2), "it votes in view 1");
        grid.run_until(grid.now.plus_ms(1));
    }
    (0..4).filter(|other| *other != voter).for_each(|other| {
        grid.cut.insert((other.min(voter), other.max(voter)));
    });
    let proposal = Arc::clone(&grid.nodes[first].journal[&Slot::Proposal(interval, 0)].bytes);
    grid.now = schedule.within_view(0, 50);
    grid.hand(voter, &proposal);
    let journal = &grid.nodes[voter].journal;
    assert!(!journal.contains_key(&Slot::Prevote(interval, 0)), "view 0 was over for it");
}

#[test]
fn two_halves_without_a_quorum_both_fall_back_and_recover() {
    let mut grid = Grid::new(8);
    let interval = grid.next_interval();
    for left in 0..4 {
        (4..8).for_each(|right| {
            grid.cut.insert((left, right));
        });
    }
    grid.run_market(interval);
    assert!(grid.nodes.iter().all(|node| node.fell_back(interval)));
    assert!(grid.nodes.iter().all(|node| node.confirmed(interval) == 0));
    grid.cut.clear();
    grid.run_market(interval.next());
    grid.run_market(interval.plus(2));
    assert_agreed(&grid, interval.plus(2), 8);
}

#[test]
fn an_order_of_ones_own_is_placed_once_and_in_time() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.orders_open.plus_ms(50));
    grid.input(0, Input::Place { interval, order: order(2) });
    assert!(grid.nodes[0].was_told("own_order_already_placed"));
    assert!(grid.nodes[0].journal.contains_key(&Slot::Order(interval)));
    grid.run_until(schedule.gate);
    grid.input(0, Input::Place { interval: interval.next().next(), order: order(2) });
    assert!(grid.nodes[0].was_told("no_round"));
}

#[test]
fn a_node_says_nothing_of_intervals_that_were_over_when_it_started() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    grid.run_market(interval);
    let told = |grid: &Grid| {
        let old = |it: &Notice| matches!(it, Notice::NoDecision(of) if *of < interval);
        grid.nodes.iter().any(|node| node.notices.iter().any(old))
    };
    assert!(!told(&grid));
}

#[test]
fn confirms_that_cross_do_not_echo_until_the_deadline() {
    let mut grid = Grid::new(2);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.first_view.plus_ms(500));
    let confirms: Vec<_> = (0..2)
        .map(|index| grid.nodes[index].journal[&Slot::Confirm(interval, 0)].bytes.clone())
        .collect();
    grid.hand(0, &confirms[1]);
    grid.hand(1, &confirms[0]);
    let before = grid.sent;
    grid.run_until(schedule.confirm_by);
    assert!(grid.sent - before <= 8, "{} messages", grid.sent - before);
}

#[test]
fn a_member_with_many_orders_keeps_nobody_from_deciding() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    // Node 0 is replaced by somebody who tells each of the others something else.
    grid.kill(0);
    grid.run_until(schedule.orders_open.plus_ms(100));
    let (key, roster, charter) =
        (grid.nodes[0].key.clone(), grid.roster(interval), Arc::clone(&grid.charter));
    let forge = |energy_mwh| {
        let mut order = order(0);
        order.steps[0].energy_mwh = Energy::from_milliwatt_hours(energy_mwh);
        let author = (&key.participant_id(), &key);
        let signed = Verified::sign(&order, interval, author, (&charter, &roster)).unwrap();
        Arc::clone(signed.bytes())
    };
    (1..4).for_each(|to| grid.post(to % 3 + 1, to, &forge(1000 + to as u64)));
    // Once all have said in their acks that they hold one, each is handed many more.
    grid.run_until(schedule.gate.plus_ms(10));
    for to in 1..4 {
        (0..5).for_each(|junk| grid.hand(to, &forge(10 * to as u64 + junk)));
    }
    grid.run_market(interval);
    let cleared = grid.cleared(interval);
    assert_eq!(cleared.len(), 3, "all others decide");
    assert!(cleared.iter().all(|it| it.clearing == cleared[0].clearing));
    assert_eq!(cleared[0].orders.len(), 4, "with one of its orders, which all of them saw");
}

#[test]
fn however_often_a_member_contradicts_itself_it_is_accused_once() {
    let mut grid = Grid::new(4);
    let interval = grid.next_interval();
    let schedule = grid.charter.interval.schedule(interval);
    grid.run_until(schedule.gate.plus_ms(5));
    let (key, roster, charter) =
        (grid.nodes[0].key.clone(), grid.roster(interval), Arc::clone(&grid.charter));
    let author = (&key.participant_id(), &key);
    let mut accusations = 0;
    for number in 0..6 {
        let mut ack = Ack { held: Bitmap::empty(4), root: MessageHash::from_bytes([number; 32]) };
        ack.held.insert(RosterIndex::new(0));
        let ack = Verified::sign(&ack, interval, author, (&charter, &roster)).unwrap();
        let heard = Input::Heard { message: Box::new(Message::Ack(ack)), token: Some(0) };
        let effects = grid.nodes[1].market.as_mut().unwrap().handle(grid.now, heard);
        let accuses = |effect: &&Effect| matches!(effect, Effect::Gossip(Topic::Evidence, _));
        accusations += effects.iter().filter(accuses).count();
    }
    assert_eq!(accusations, 1, "what is left of the budget for evidence is for other culprits");
}
