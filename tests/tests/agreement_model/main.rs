//! Agreement on the book, checked exhaustively for four voters, one of them faulty, and two views.
//!
//! [`model`] has every state that the rules of [`rules`] allow; left out one by one, each rule must be
//! missed. [`schedules`] hold the real market to the same rules.

#![expect(clippy::print_stdout, reason = "how much was explored is a result of these tests")]

mod adversary;
mod explore;
#[allow(dead_code, reason = "the sample grid has more to it than votes")]
#[path = "../../../protocol/tests/wire/fixture.rs"]
mod fixture;
mod model;
mod rules;
mod schedules;

use explore::explore;
use fixture::Grid;
use model::{Agreement, FIRST_VIEW, LOCK_KEPT, ONE_BOOK, ONE_VOTE, PROPERTIES, SECOND_VIEW};
use rules::{Broken, Rules, quorum};
use schedules::{Outcome, Sabotage, play};

/// A sound model of two views has more states than this, or it has become empty.
const STATES_MIN: usize = 10_000;

/// Schedules that are played with everything as it should be.
const SCHEDULES: u64 = 200;
/// Schedules within which anything that is wrong on purpose must be found.
const SABOTAGED: u64 = 100;

/// Four voters with this one faulty, two books, two views, all rules.
fn sound(faulty: usize) -> Agreement {
    let rules = Rules { quorum: quorum(4), broken: None };
    Agreement { rules, views: 2, books: 2, faulty: vec![faulty], votes_for_none: true }
}

/// Explores, tells how much, and gives the property that does not hold.
fn first_broken(what: &str, model: &Agreement) -> Option<&'static str> {
    let explored = explore(model, &PROPERTIES);
    println!("{what}: {} states", explored.states);
    let (name, path) = explored.broken?;
    println!("  not \"{name}\" after {} steps:", path.len());
    path.iter().for_each(|action| println!("    {action:?}"));
    Some(name)
}

#[test]
fn whoever_is_faulty_at_most_one_book_is_certified() {
    for faulty in 0..4 {
        let explored = explore(&sound(faulty), &PROPERTIES);
        println!("voter {faulty} faulty: {} states", explored.states);
        assert_eq!(explored.broken, None);
        for possible in [FIRST_VIEW, SECOND_VIEW, LOCK_KEPT] {
            assert!(explored.possible.contains(&possible), "{possible}");
        }
        assert!(explored.states > STATES_MIN);
    }
}

#[test]
fn a_quorum_of_two_certifies_two_books() {
    let mut model = sound(2);
    model.rules.quorum = 2;
    assert_eq!(first_broken("a quorum of two", &model), Some(ONE_BOOK));
}

#[test]
fn two_faulty_voters_certify_two_books() {
    let model = Agreement { faulty: vec![0, 1], ..sound(0) };
    assert_eq!(first_broken("two faulty voters", &model), Some(ONE_BOOK));
}

#[test]
fn no_rule_can_be_left_out() {
    for (rule, property) in [
        (Broken::LockIgnored, ONE_BOOK),
        (Broken::ValidViewUnchecked, ONE_BOOK),
        (Broken::ViewsGoBack, ONE_BOOK),
        (Broken::LockForgotten, ONE_BOOK),
        (Broken::VotesForgotten, ONE_VOTE),
    ] {
        let mut model = sound(1);
        model.rules.broken = Some(rule);
        assert_eq!(first_broken(&format!("{rule:?}"), &model), Some(property));
    }
}

#[test]
fn a_lock_yields_to_later_prevotes_only() {
    // It takes a third view to offer a lock prevotes of a view before it.
    let mut model = Agreement { views: 3, votes_for_none: false, ..sound(2) };
    assert_eq!(first_broken("three views", &model), None);
    model.rules.broken = Some(Broken::LockYieldsToThePast);
    assert_eq!(first_broken("LockYieldsToThePast", &model), Some(ONE_BOOK));
}

#[test]
fn the_market_signs_nothing_that_the_rules_do_not_allow() {
    let grid = Grid::sample();
    let (mut decided, mut later, mut again, mut held_back) = (0, 0, 0, 0);
    for seed in 0..SCHEDULES {
        let outcome = play(&grid, seed, None);
        assert!(outcome.wrong.is_empty(), "seed {seed}: {:#?}", outcome.wrong);
        decided += u32::from(outcome.decided_in.is_some());
        later += u32::from(outcome.decided_in.is_some_and(|view| view > 0));
        again += outcome.again;
        held_back += outcome.held_back;
    }
    println!(
        "{SCHEDULES} schedules: {decided} decided, {later} of them after the first view; {again} \
         prevotes for a book proposed again, {held_back} held back by a lock"
    );
    // Chance must reach what the rules are about, or nothing was shown.
    assert!(decided > 10 && later > 10, "{decided} decided, {later} later");
    assert!(again > 10 && held_back > 10, "{again} again, {held_back} held back");
}

#[test]
fn a_market_that_breaks_a_rule_on_purpose_is_found_out() {
    let grid = Grid::sample();
    for sabotage in [Sabotage::LocksIgnored, Sabotage::JournalLost] {
        let is_found = |outcome: &Outcome| !outcome.wrong.is_empty();
        let found = (0..SABOTAGED).find(|seed| is_found(&play(&grid, *seed, Some(sabotage))));
        println!("{sabotage:?} is found by schedule {found:?}");
        assert!(found.is_some(), "{sabotage:?}");
    }
}
