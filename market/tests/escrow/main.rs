//! Escrow between three honest nodes and one that is not: what is locked, who gets it, and when.

mod hostile;
mod whatever_happens;
mod world;

use boltgrid_market::escrow::{End, NotDone, Stage};
use boltgrid_protocol::escrow::{EscrowRefusal, EscrowTerms, Releases};
use boltgrid_protocol::units::Msat;

use world::{ARBITER, ENERGY_MWH, FIRST, Flight, PAYEE, PAYER, UNTIL, World, sat};

const CLAIMED: Option<Flight> = Some(Flight::Claimed);
const GIVEN_BACK: Option<Flight> = Some(Flight::GivenBack { by_payee: true });

fn locked(releases: Releases) -> World {
    let mut world = World::new();
    world.propose(world.terms(releases));
    world.run("locked", |world| world.stage(PAYEE) == Some(Stage::Locked));
    world
}

fn is_over(world: &World, end: End) -> bool {
    [PAYER, PAYEE].into_iter().all(|node| world.stage(node) == Some(Stage::Over(end)))
}

#[test]
fn a_contract_is_paid_when_the_readings_show_delivery() {
    let mut world = locked(Releases::Delivered);
    world.metered = Some((PAYEE, ENERGY_MWH));
    world.run("released", |world| is_over(world, End::Released));
    assert_eq!(world.flight(), CLAIMED);
    assert!(world.now < world.charter.interval.start_of(UNTIL.next()), "the payer does it at once");
    assert_eq!(world.stage(ARBITER), Some(Stage::Signed), "nobody had to ask the arbiter");
}

#[test]
fn a_contract_goes_back_when_the_readings_show_too_little() {
    let mut world = locked(Releases::Delivered);
    world.metered = Some((PAYEE, ENERGY_MWH - 1));
    world.run("given back", |world| is_over(world, End::GivenBack));
    assert_eq!(world.flight(), GIVEN_BACK);
}

#[test]
fn a_contract_goes_back_when_there_are_no_readings() {
    let mut world = locked(Releases::Delivered);
    world.run("given back", |world| is_over(world, End::GivenBack));
    assert_eq!(world.flight(), GIVEN_BACK);
}

#[test]
fn a_bond_is_lost_when_delivery_was_missed_or_nothing_shows_it() {
    for metered in [Some((PAYER, ENERGY_MWH - 1)), None] {
        let mut world = locked(Releases::Missed);
        world.metered = metered;
        world.run("released", |world| is_over(world, End::Released));
        assert_eq!(world.flight(), CLAIMED);
    }
}

#[test]
fn a_bond_that_was_kept_goes_back() {
    let mut world = locked(Releases::Missed);
    world.metered = Some((PAYER, ENERGY_MWH));
    world.run("given back", |world| is_over(world, End::GivenBack));
    assert_eq!(world.flight(), GIVEN_BACK);
}

#[test]
fn the_arbiter_releases_where_the_payer_has_gone() {
    for releases in [Releases::Delivered, Releases::Missed] {
        let mut world = locked(releases);
        if releases == Releases::Delivered {
            world.metered = Some((PAYEE, ENERGY_MWH));
        }
        for _ in 0..5_000 {
            world.mail.retain(|parcel| parcel.to() != PAYER);
            world.nodes[PAYER].jobs.clear();
            world.mail.retain(|parcel| !matches!(parcel, world::Parcel::Ask { from: PAYER, .. }));
            world.settle();
            world.pass(1_000);
        }
        assert_eq!(world.stage(PAYEE), Some(Stage::Over(End::Released)));
        assert_eq!(world.stage(ARBITER), Some(Stage::Releasing));
        assert_eq!(world.flight(), CLAIMED);
    }
}

#[test]
fn the_time_lock_gives_back_where_the_payee_and_the_arbiter_have_gone() {
    let mut world = locked(Releases::Delivered);
    let is_back = |world: &World| world.flight() == Some(Flight::GivenBack { by_payee: false });
    for _ in 0..200 {
        world.mail.clear();
        world.pass(600_000);
    }
    assert!(is_back(&world));
    world.run("the payer sees it", |world| world.stage(PAYER) == Some(Stage::Over(End::GivenBack)));
}

#[test]
fn a_payee_gives_back_in_time_what_nobody_released() {
    let mut world = locked(Releases::Delivered);
    world.metered = Some((PAYEE, ENERGY_MWH));
    // The others are cut off while blocks come much faster than time passes.
    let mut blocks = 0;
    while world.flight() != GIVEN_BACK {
        world.mail.clear();
        world.more_blocks += 1;
        world.settle();
        world.pass(10);
        blocks += 1;
        assert!(blocks < 120, "it was the time lock's turn: {:?}", world.flight());
    }
    assert!(matches!(world.flight(), Some(Flight::GivenBack { by_payee: true })));
}

#[test]
fn the_owner_of_a_locked_amount_may_release_it_at_any_time() {
    let mut world = World::new();
    let escrow = world.propose(world.terms(Releases::Delivered));
    let too_early = world.own(PAYER, |engine, at| engine.release(at, escrow));
    assert_eq!(too_early, Err(NotDone::NotWaiting));
    world.run("locked", |world| world.stage(PAYEE) == Some(Stage::Locked));
    world.own(PAYER, |engine, at| engine.release(at, escrow)).unwrap();
    world.run("released", |world| is_over(world, End::Released));
    assert!(world.now < world.charter.interval.start_of(FIRST));
}

#[test]
fn arbiter_and_payee_are_asked_where_they_have_not_said_that_they_are_willing() {
    let mut world = World::new();
    world.willing = boltgrid_market::escrow::Willingness::default();
    (0..3).for_each(|node| world.crash(node));
    let escrow = world.propose(world.terms(Releases::Delivered));
    for node in [ARBITER, PAYEE] {
        world.run("asked", |world| world.stage(node) == Some(Stage::Asked));
        world.own(node, |engine, at| engine.decide(at, escrow, true)).unwrap();
        let again = world.own(node, |engine, at| engine.decide(at, escrow, false));
        assert_eq!(again, Err(NotDone::NotWaiting), "decided once");
    }
    world.run("locked", |world| world.stage(PAYEE) == Some(Stage::Locked));
    assert_eq!(world.begun, 1);
}

#[test]
fn whoever_declines_has_no_part_and_nothing_is_paid() {
    for node in [ARBITER, PAYEE] {
        let mut world = World::new();
        let zero = Msat::ZERO;
        match node {
            ARBITER => world.willing.arbitrate_max = zero,
            _ => world.willing.accept_max = zero,
        }
        (0..3).for_each(|node| world.crash(node));
        let escrow = world.propose(world.terms(Releases::Delivered));
        world.run("asked", |world| world.stage(node) == Some(Stage::Asked));
        world.own(node, |engine, at| engine.decide(at, escrow, false)).unwrap();
        world.run("declined", |world| world.refused(EscrowRefusal::Declined));
        assert_eq!(world.flight(), None);
    }
}

#[test]
fn terms_that_nobody_answers_lapse_and_are_never_paid() {
    let mut world = World::new();
    world.propose(world.terms(Releases::Delivered));
    for _ in 0..600 {
        world.mail.clear();
        world.pass(1_000);
    }
    assert_eq!(world.stage(PAYER), Some(Stage::Over(End::Lapsed)));
    assert_eq!(world.begun, 0);
}

#[test]
fn what_cannot_be_enforced_or_judged_is_not_proposed_and_the_message_says_why() {
    fn problem(change: impl FnOnce(&mut EscrowTerms)) -> String {
        let mut world = World::new();
        let mut terms = world.terms(Releases::Delivered);
        change(&mut terms);
        let refused = world
            .own(PAYER, |engine, at| engine.propose(at, terms, World::preimage()).map(|it| it.1));
        refused.unwrap_err().to_string()
    }
    let below = problem(|terms| terms.amount_msat = sat(9_999));
    assert!(below.contains("dust") && below.contains("10000 sat"), "{below}");
    let too_long = problem(|terms| terms.hold_blocks = 901);
    assert!(too_long.contains("six days"), "{too_long}");
    let too_short = problem(|terms| terms.hold_blocks = 5);
    assert!(too_short.contains("10 minutes a block"), "{too_short}");
    assert!(problem(|terms| terms.condition.first = FIRST.minus(5)).contains("edge to come"));
    assert!(
        problem(|terms| terms.expires_at = terms.expires_at.plus_ms(90_000_000)).contains("day")
    );
    assert!(problem(|terms| terms.arbiter = terms.payee).contains("three"));
}
