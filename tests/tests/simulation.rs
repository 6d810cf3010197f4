//! A few hundred simulated grids, and the flaws that the simulator must see.
//!
//! More of the same: `cargo run --release -p boltgrid-tests --bin simulate -- --help`.

use boltgrid_tests::sim::report::Counts;
use boltgrid_tests::sim::{Flaw, Guarantee, Options, Plan, run};

/// How many seeds are run.
const SEEDS: u64 = 200;
/// Through how many intervals each.
const INTERVALS: u64 = 4;
/// Seeds that once found something, and through how many intervals: a voter that showed its votes to
/// some only, so that nobody could follow those whom they locked.
const ONCE_FAILED: [(u64, u64); 2] = [(643, 50), (684, 50)];
/// A flaw that so many seeds do not show is not seen.
const SEEDS_OF_A_FLAW: u64 = 400;

/// Runs seeds on all cores and adds up what happened.
fn run_seeds(first: u64) -> Counts {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut total = Counts::default();
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|part| {
                scope.spawn(move || {
                    let mut counts = Counts::default();
                    for seed in (first..first + SEEDS).filter(|seed| seed % threads == part) {
                        let plan = Plan::draw(seed, INTERVALS, None);
                        let outcome = run(&plan, Options::default());
                        let found = outcome.violations.first().map(ToString::to_string);
                        assert_eq!(found, None, "seed {seed}");
                        counts.add(&outcome.counts);
                    }
                    counts
                })
            })
            .collect();
        for part in parts {
            total.add(&part.join().expect("no seed fails"));
        }
    });
    total
}

#[test]
fn every_guarantee_holds_whatever_goes_wrong() {
    let counts = run_seeds(0);
    assert_eq!(counts.intervals, SEEDS * INTERVALS);
    // Something did go wrong, and much was traded all the same.
    assert!(counts.stops > SEEDS && counts.cut_off > SEEDS && counts.writes_failed > 0);
    assert!(counts.decided * 4 > counts.intervals, "{} decided", counts.decided);
    assert!(counts.confirmed > 0 && counts.measured > 0);
}

#[test]
fn seeds_that_once_found_something_find_nothing_any_more() {
    for (seed, intervals) in ONCE_FAILED {
        let outcome = run(&Plan::draw(seed, intervals, None), Options::default());
        let found = outcome.violations.first().map(ToString::to_string);
        assert_eq!(found, None, "seed {seed}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..4 {
        let plan = Plan::draw(seed, INTERVALS, None);
        assert_eq!(plan, Plan::draw(seed, INTERVALS, None));
        let [one, other] =
            [(), ()].map(|()| run(&plan, Options { traced: true, ..Options::default() }));
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!(one.counts, other.counts, "seed {seed}");
    }
}

/// A flaw must break this guarantee in one of the seeds that decide something without it, and nothing
/// is broken there without it.
fn assert_seen(flaw: Flaw, guarantee: Guarantee) {
    let options = Options { flaw: Some(flaw), until: Some(guarantee), ..Options::default() };
    let sound = |mut plan: Plan| {
        if flaw == Flaw::TooManyRogues {
            // As many as can be borne.
            plan.rogues.truncate(plan.members.len().saturating_sub(1) / 3);
        }
        (plan.seed, run(&plan, Options::default()))
    };
    let seen = (0..SEEDS_OF_A_FLAW)
        .map(|seed| Plan::draw(seed, INTERVALS, Some(flaw)))
        .filter(|plan| run(plan, options).violations.iter().any(|it| it.guarantee == guarantee))
        .map(sound)
        .find(|(_, outcome)| outcome.counts.decided > 0);
    assert!(seen.is_some(), "{flaw} is not seen to break: {guarantee}");
    let Some((seed, outcome)) = seen else { return };
    let found = outcome.violations.first().map(ToString::to_string);
    assert_eq!(found, None, "seed {seed} without {flaw}");
}

#[test]
fn without_the_fsync_something_is_signed_anew() {
    assert_seen(Flaw::NoFsync, Guarantee::SignsOnce);
}

#[test]
fn with_one_vote_less_two_books_are_certified() {
    assert_seen(Flaw::LowQuorum, Guarantee::OneBook);
}

#[test]
fn a_gate_that_is_kept_open_is_seen() {
    assert_seen(Flaw::LateOrders, Guarantee::Inclusion);
}

#[test]
fn without_the_lock_two_books_are_certified() {
    assert_seen(Flaw::NoLock, Guarantee::OneBook);
}

#[test]
fn with_more_rogues_than_can_be_borne_two_books_are_certified() {
    assert_seen(Flaw::TooManyRogues, Guarantee::OneBook);
}
