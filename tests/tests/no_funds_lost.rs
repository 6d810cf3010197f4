//! A few seeds of the test that no funds are lost, on our own chain and on a real one, and a control
//! that it sees what it should.
//!
//! More of the same: `cargo run --release -p boltgrid-tests --bin funds -- --help`.

#![allow(clippy::panic, reason = "a test that cannot go on should stop")]
#![allow(clippy::print_stderr, reason = "what is not checked is said aloud")]

use std::path::PathBuf;

use boltgrid_testnet::chain::Choice;
use boltgrid_tests::funds::{Counts, Flaw, Options, Plan, Step, Violation, run};
use tokio::sync::Mutex;

/// One run at a time: beside each other, the timers of many Lightning nodes outlast any patience.
static TURN: Mutex<()> = Mutex::const_new(());

/// Seeds that are looked through for the first with some trouble in it.
const SEEDS: u64 = 200;

fn options(chain: Choice, flaw: Option<Flaw>) -> Options {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_funds"));
    Options { program, chain, flaw, keeps: false }
}

/// The first plan in which something is.
fn first(what: &str, is: impl Fn(&Plan) -> bool) -> Plan {
    let plan = (0..SEEDS).map(Plan::draw).find(is);
    plan.unwrap_or_else(|| panic!("no plan with {what}"))
}

fn has(plan: &Plan, is: impl Fn(&Step) -> bool) -> bool {
    plan.steps.iter().any(is)
}

/// Runs plans one after the other; none may find anything.
async fn all_hold(plans: &[Plan], chain: &Choice) -> Counts {
    let mut total = Counts::default();
    for plan in plans {
        let outcome = run(plan, &options(chain.clone(), None)).await;
        let story = outcome.story.join("\n");
        let found: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{plan}{story}\n{}", found.join("\n"));
        assert!(outcome.trouble.is_none(), "{plan}{story}\n{:?}", outcome.trouble);
        total.add(&outcome.counts);
    }
    total
}

/// A plan with a cheat, and one with most of everything else.
fn two() -> Vec<Plan> {
    let cheat = first("a cheat", |plan| plan.cheat.is_some() && plan.nodes == 2);
    let rest = first("a kill, a reorganisation and a close by force", |plan| {
        plan.nodes < 4
            && has(plan, |it| matches!(it, Step::Kill { .. }))
            && has(plan, |it| matches!(it, Step::Reorg { .. }))
            && has(plan, |it| matches!(it, Step::Close { force: true, .. }))
    });
    vec![cheat, rest]
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_loses_anything_whatever_goes_wrong() {
    let _turn = TURN.lock().await;
    let mut plans = two();
    plans.push(first("a full disk", |plan| {
        plan.nodes == 2 && has(plan, |it| matches!(it, Step::FillDisk { .. }))
    }));
    plans.push(first("a cut and a close together", |plan| {
        has(plan, |it| matches!(it, Step::Cut { .. }))
            && has(plan, |it| matches!(it, Step::Close { force: false, .. }))
    }));
    let counts = all_hold(&plans, &Choice::Embedded).await;
    assert!(counts.kills > 0 && counts.reorgs > 0 && counts.cuts > 0, "{counts:?}");
    assert!(counts.closed_by_force > 0 && counts.cheats > 0 && counts.paid > 0, "{counts:?}");
    if counts.disks_not_filled > 0 {
        eprintln!("NOT CHECKED: nobody here may mount a small disk, so none was filled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_loses_anything_on_a_real_bitcoind_either() {
    let Some(program) = std::env::var_os("BITCOIND_EXE") else {
        eprintln!("NOT CHECKED: BITCOIND_EXE names no bitcoind");
        return;
    };
    let _turn = TURN.lock().await;
    let counts = all_hold(&two(), &Choice::Program(PathBuf::from(program))).await;
    assert!(counts.cheats > 0 && counts.paid > 0, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sleeps_while_it_is_cheated_loses_and_that_is_seen() {
    let _turn = TURN.lock().await;
    let plan = first("a cheat", |plan| plan.cheat.is_some() && plan.nodes == 2);
    let outcome = run(&plan, &options(Choice::Embedded, Some(Flaw::Sleep))).await;
    assert!(outcome.trouble.is_none(), "{:?}", outcome.trouble);
    let story = outcome.story.join("\n");
    let is = |wanted: fn(&Violation) -> bool| outcome.violations.iter().any(wanted);
    assert!(is(|it| matches!(it, Violation::Lost { node: 1, .. })), "{plan}{story}");
    assert!(is(|it| matches!(it, Violation::Gained { node: 0, .. })), "{plan}{story}");
}
