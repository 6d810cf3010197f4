//! Properties: whatever is lost, repeated, delayed or forgotten, and wherever a node crashes, nobody
//! pays a tranche twice, and in the end everybody is paid what is due.

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use std::collections::BTreeMap;

use boltgrid_market::ledger::Account;
use boltgrid_protocol::units::SignedMsat;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::world::{FIRST, Flight, World};

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes.
    Pass(u64),
    /// Something on its way arrives, and perhaps arrives again later.
    Deliver(Index, bool),
    /// Something on its way is lost.
    Lose(Index),
    /// A node's Lightning does something that is wanted, or that is lost.
    Work(usize, Index, bool),
    /// A payment on its way ends.
    Land(Index, bool),
    /// A node hears of a payment, and perhaps will again.
    Tell(usize, Index, bool),
    /// A node will crash after so many effects.
    Doom(usize, usize),
    /// A node crashes now.
    Crash(usize),
    /// The next interval is settled at one node, the other follows with the next of these.
    Settle(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let at = any::<Index>;
    let node = || 0..2_usize;
    let event = prop_oneof![
        6 => prop_oneof![1..2_000_u64, 10_000..100_000_u64, 3_000_000..4_000_000_u64]
            .prop_map(Event::Pass),
        8 => (at(), prop::bool::weighted(0.3)).prop_map(|(at, again)| Event::Deliver(at, again)),
        2 => at().prop_map(Event::Lose),
        10 => (node(), at(), prop::bool::weighted(0.2))
            .prop_map(|(node, at, lost)| Event::Work(node, at, lost)),
        5 => (at(), prop::bool::weighted(0.6)).prop_map(|(at, arrives)| Event::Land(at, arrives)),
        6 => (node(), at(), prop::bool::weighted(0.3))
            .prop_map(|(node, at, again)| Event::Tell(node, at, again)),
        2 => (node(), 0..6_usize).prop_map(|(node, after)| Event::Doom(node, after)),
        1 => node().prop_map(Event::Crash),
        2 => node().prop_map(Event::Settle),
    ];
    vec(event, 1..160)
}

fn happen(world: &mut World, event: &Event, dues: &[(u64, i64)]) {
    match event {
        Event::Pass(ms) => {
            settle_in_time(world, *ms, dues);
            world.pass(*ms);
        }
        Event::Deliver(at, again) if !world.mail.is_empty() => {
            let at = at.index(world.mail.len());
            let parcel = if *again { world.mail[at].clone() } else { world.mail.remove(at) };
            world.deliver(&parcel);
        }
        Event::Lose(at) if !world.mail.is_empty() => {
            let at = at.index(world.mail.len());
            drop(world.mail.remove(at));
        }
        Event::Work(node, at, lost) if !world.nodes[*node].jobs.is_empty() => {
            // One hash at a time: what is wanted of a hash first is done first.
            let jobs = &mut world.nodes[*node].jobs;
            let job = jobs.remove(if *lost { at.index(jobs.len()) } else { 0 });
            if !*lost {
                world.work(*node, job);
            }
        }
        Event::Land(at, arrives) => {
            let pending = world.pending();
            if !pending.is_empty() {
                world.land(pending[at.index(pending.len())], *arrives);
            }
        }
        Event::Tell(node, at, again) if !world.nodes[*node].events.is_empty() => {
            let events = &mut world.nodes[*node].events;
            let at = at.index(events.len());
            let event = if *again { events[at] } else { events.remove(at) };
            let crashes = world.nodes[*node].doom.is_some();
            world.tell(*node, event);
            if crashes && world.nodes[*node].doom.is_none() {
                // It was not taken, so it comes again.
                world.nodes[*node].events.push(event);
            }
        }
        Event::Doom(node, after) => world.nodes[*node].doom = Some(*after),
        Event::Crash(node) => world.crash(*node),
        Event::Settle(node) => {
            let place = world.nodes[*node].settled.len();
            if let Some(trade) = dues.get(place) {
                world.settle_at(*node, u64::try_from(place).unwrap(), *trade);
            }
            settle_in_time(world, 0, dues);
        }
        Event::Deliver(..) | Event::Lose(_) | Event::Work(..) | Event::Tell(..) => {}
    }
}

/// Readings count for a while only, so before it is over both nodes have settled what one has.
fn settle_in_time(world: &mut World, ms: u64, dues: &[(u64, i64)]) {
    for node in [0, 1] {
        while world.nodes[node].settled.len() < world.nodes[1 - node].settled.len() {
            let place = world.nodes[node].settled.len();
            let number = u64::try_from(place).unwrap();
            let readings_by = world.charter.interval.schedule(FIRST.plus(number)).readings_by;
            if world.now.plus_ms(ms) < readings_by {
                break;
            }
            world.settle_at(node, number, dues[place]);
        }
    }
}

/// Lightning never has two payments for one tranche that succeeded, or may.
fn nothing_is_paid_twice(world: &World) -> Result<(), TestCaseError> {
    let mut live = BTreeMap::new();
    for (hash, flight) in &world.lightning.flights {
        if *flight != Flight::Failed {
            let made = &world.lightning.made[hash];
            let earlier = live.insert((made.due, made.tranche), *hash);
            prop_assert!(earlier.is_none(), "{:?} is paid twice", made);
        }
    }
    for payer in [0, 1] {
        prop_assert!(world.paid_by(payer) <= world.owed_by(payer));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_paid_twice_and_in_the_end_everything_once(
        dues in vec((1..900_000_u64, -100_000..300_000_i64), 1..4),
        events in events(),
    ) {
        let mut world = World::new();
        for event in &events {
            happen(&mut world, event, &dues);
            nothing_is_paid_twice(&world)?;
        }
        world.nodes.iter_mut().for_each(|node| node.doom = None);
        for node in [0, 1] {
            while let Some(trade) = dues.get(world.nodes[node].settled.len()) {
                let place = u64::try_from(world.nodes[node].settled.len()).unwrap();
                world.settle_at(node, place, *trade);
            }
        }
        world.go_well_for(12 * 3_600_000);
        nothing_is_paid_twice(&world)?;
        for node in [0, 1] {
            prop_assert_eq!(world.paid_by(node), world.owed_by(node), "of node {}", node);
            let engine = &world.nodes[node].engine;
            prop_assert_eq!(engine.unpaid().count(), 0);
            let balances: Vec<_> = engine.ledger().balances().collect();
            let sum = balances.iter().map(|(_, it)| it.money.to_millisatoshi()).sum::<i64>();
            prop_assert_eq!(sum, 0);
            let other = Account::Counterparty(world.id(1 - node));
            prop_assert_eq!(engine.ledger().balance(other).money, SignedMsat::ZERO);
        }
    }
}
