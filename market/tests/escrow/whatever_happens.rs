//! Properties: whatever is lost, repeated, delayed or forgotten, and wherever any of the three
//! crashes, the amount is locked at most once and ends with whom the readings say.

use boltgrid_market::escrow::{End, Stage};
use boltgrid_protocol::escrow::Releases;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::world::{ENERGY_MWH, Flight, PAYEE, PAYER, World};

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes.
    Pass(u64),
    /// Something on its way arrives, and perhaps arrives again later.
    Deliver(Index, bool),
    /// Something on its way is lost.
    Lose(Index),
    /// Lightning or the archive of a node does something that is wanted, or that is lost.
    Work(usize, Index, bool),
    /// The payee's Lightning tells of what it holds.
    Tell,
    /// A node will crash after so many effects.
    Doom(usize, usize),
    /// A node crashes now.
    Crash(usize),
    /// The subject's readings can be found.
    Meter,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let at = any::<Index>;
    let node = || 0..3_usize;
    let event = prop_oneof![
        6 => prop_oneof![1..2_000_u64, 2_000..100_000_u64].prop_map(Event::Pass),
        10 => (at(), prop::bool::weighted(0.3)).prop_map(|(at, again)| Event::Deliver(at, again)),
        2 => at().prop_map(Event::Lose),
        10 => (node(), at(), prop::bool::weighted(0.2))
            .prop_map(|(node, at, lost)| Event::Work(node, at, lost)),
        4 => Just(Event::Tell),
        3 => (node(), 0..6_usize).prop_map(|(node, after)| Event::Doom(node, after)),
        2 => node().prop_map(Event::Crash),
        1 => Just(Event::Meter),
    ];
    vec(event, 1..160)
}

fn happen(world: &mut World, event: &Event, metered: (usize, u64)) {
    match event {
        Event::Pass(ms) => world.pass(*ms),
        Event::Deliver(at, again) => {
            if !world.mail.is_empty() {
                let at = at.index(world.mail.len());
                let parcel = if *again { world.mail[at].clone() } else { world.mail.remove(at) };
                world.deliver(parcel);
            }
        }
        Event::Lose(at) => {
            if !world.mail.is_empty() {
                let at = at.index(world.mail.len());
                world.mail.remove(at);
            }
        }
        Event::Work(node, at, lost) => {
            let jobs = &mut world.nodes[*node].jobs;
            if !jobs.is_empty() {
                let wanted = jobs.remove(at.index(jobs.len()));
                if !lost {
                    world.work(*node, wanted);
                }
            }
        }
        Event::Tell => world.tell_held(),
        Event::Doom(node, after) => world.nodes[*node].doom = Some(*after),
        Event::Crash(node) => world.crash(*node),
        Event::Meter => world.metered = Some(metered),
    }
}

fn over(world: &World, node: usize) -> Option<End> {
    match world.stage(node) {
        Some(Stage::Over(end)) => Some(end),
        Some(_) | None => None,
    }
}

fn check(
    events: &[Event],
    releases: Releases,
    is_delivered: bool,
) -> Result<Option<Flight>, TestCaseError> {
    let mut world = World::new();
    world.propose(world.terms(releases));
    let subject = if releases == Releases::Delivered { PAYEE } else { PAYER };
    let metered = (subject, if is_delivered { ENERGY_MWH } else { ENERGY_MWH - 1 });
    let to_payee = is_delivered == (releases == Releases::Delivered);
    for event in events {
        happen(&mut world, event, metered);
        prop_assert!(world.begun <= 1, "begun twice");
        prop_assert!(to_payee || world.flight() != Some(Flight::Claimed), "claimed wrongly");
    }
    world.nodes.iter_mut().for_each(|node| node.doom = None);
    world.metered = Some(metered);
    world.run("over", |world| {
        let payee_done = world.stage(PAYEE).is_none() || over(world, PAYEE).is_some();
        over(world, PAYER).is_some() && (payee_done || world.flight().is_none())
    });
    prop_assert!(world.begun <= 1);
    let expected = match (world.flight(), to_payee) {
        (None, _) => None,
        (Some(_), true) => Some(End::Released),
        (Some(_), false) => Some(End::GivenBack),
    };
    match expected {
        Some(end) => {
            prop_assert_eq!(over(&world, PAYER), Some(end));
            prop_assert_eq!(over(&world, PAYEE), Some(end));
        }
        None => prop_assert!(matches!(over(&world, PAYER), Some(End::Lapsed | End::Refused(_)))),
    }
    prop_assert!(!matches!(world.flight(), Some(Flight::Held { .. })), "locked for ever");
    Ok(world.flight())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_amount_ends_with_whom_the_readings_say(
        events in events(),
        is_bond: bool,
        is_delivered: bool,
    ) {
        let releases = if is_bond { Releases::Missed } else { Releases::Delivered };
        check(&events, releases, is_delivered)?;
    }
}

/// A crash of each of the three at every effect, one after the other, so that none is left to chance.
#[test]
fn a_crash_at_any_effect_of_any_of_the_three_changes_nothing() {
    for releases in [Releases::Delivered, Releases::Missed] {
        for is_delivered in [true, false] {
            for node in 0..3 {
                for after in 0..30 {
                    let events = [Event::Doom(node, after)];
                    let flight = check(&events, releases, is_delivered).unwrap();
                    assert!(flight.is_some() || after < 3, "never locked: {node} {after}");
                }
            }
        }
    }
}
