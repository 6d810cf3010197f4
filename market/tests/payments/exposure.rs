//! Property: whatever is delivered, paid late, lost or forgotten, nobody owes more than its limit when
//! a trade with it is signed, and a node never takes what it risks for less than it is (P34).

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

use std::collections::BTreeMap;

use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{Energy, Price};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{CREDIT, FIRST, Flight, World};

/// Something that happens between two nodes, of which the first sells.
#[derive(Clone, Debug)]
enum Event {
    /// A trade of so much at that price is cleared for the next interval.
    Clear(u64, i64),
    /// The earliest trade that is signed is delivered, so many of a hundred parts of it.
    Deliver(u64),
    /// Everything works for a while, so that dues are paid.
    GoWell(u64),
    /// Time passes, and nothing arrives.
    Pass(u64),
    /// A node crashes, and takes up what it has signed.
    Crash(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1..400_000_u64, -100_000..300_000_i64).prop_map(|(energy, price)| Event::Clear(energy, price)),
        5 => (0..=100_u64).prop_map(Event::Deliver),
        3 => (1_000..60_000_u64).prop_map(Event::GoWell),
        2 => prop_oneof![1..100_000_u64, 80_000_000..100_000_000_u64].prop_map(Event::Pass),
        1 => (0..2_usize).prop_map(Event::Crash),
    ];
    vec(event, 1..60)
}

/// A trade that its creditor has signed and that is not settled.
#[derive(Clone, Copy, Debug)]
struct Signed {
    creditor: usize,
    terms: TradeTerms,
}

impl Signed {
    fn worst_msat(&self) -> u64 {
        let energy = u128::from(self.terms.energy_mwh.to_milliwatt_hours());
        let price = u128::from(self.terms.price_msat_per_kwh.to_msat_per_kwh().unsigned_abs());
        u64::try_from(energy * price / 1_000_000).unwrap()
    }
}

#[derive(Default)]
struct Book {
    /// The place of the next trade's interval.
    next: u64,
    signed: BTreeMap<u64, Signed>,
}

impl Book {
    /// The creditor of a trade decides how much of it to sign. Returns who, if it signs any.
    fn clear(&mut self, world: &mut World, energy: u64, price: i64) -> Option<usize> {
        let creditor = usize::from(price < 0);
        let terms = TradeTerms {
            index: 3,
            seller: RosterIndex::new(0),
            buyer: RosterIndex::new(1),
            energy_mwh: Energy::from_milliwatt_hours(energy),
            price_msat_per_kwh: Price::from_msat_per_kwh(price),
        };
        let place = self.next;
        self.next += 1;
        let debtor = world.id(1 - creditor);
        let engine = &mut world.nodes[creditor].engine;
        let trust = engine.trust(FIRST.plus(place), &terms, debtor, false);
        assert_eq!(trust.told.is_none(), trust.part_mwh == Some(terms.energy_mwh), "{trust:?}");
        let terms = TradeTerms { energy_mwh: trust.part_mwh?, ..terms };
        self.signed.insert(place, Signed { creditor, terms });
        Some(creditor)
    }

    fn deliver(&mut self, world: &mut World, percent: u64) {
        let Some((place, Signed { terms, .. })) = self.signed.pop_first() else { return };
        let delivered = terms.energy_mwh.to_milliwatt_hours() * percent / 100;
        let ended = world.charter.interval.schedule(FIRST.plus(place)).delivery_ends;
        if world.now < ended {
            world.pass(ended.ms_since(world.now));
        }
        world.settle(place, (delivered.max(1), terms.price_msat_per_kwh.to_msat_per_kwh()));
    }

    /// As a round does when it is restored from the journal.
    fn crash(&self, world: &mut World, node: usize) {
        world.crash(node);
        for (place, Signed { creditor, terms }) in &self.signed {
            if *creditor == node {
                let debtor = world.id(1 - node);
                let again = world.nodes[node].engine.trust(FIRST.plus(*place), terms, debtor, true);
                let again = again.part_mwh;
                assert_eq!(again, Some(terms.energy_mwh), "what is signed is not taken back");
            }
        }
    }

    /// What a node loses if it is never paid again.
    fn at_risk_msat(&self, world: &World, creditor: usize) -> u64 {
        let signed = self.signed.values().filter(|it| it.creditor == creditor);
        let pledged: u64 = signed.map(Signed::worst_msat).sum();
        let trades = world.nodes[creditor].settled.iter().flat_map(|it| &it.trades);
        let dues = trades.map(|trade| trade.due_msat.to_millisatoshi());
        let due: u64 = dues.filter(|due| *due > 0).map(i64::unsigned_abs).sum();
        let flights = world.lightning.flights.iter().filter(|(_, it)| **it == Flight::Sent);
        let arrived: u64 = flights
            .map(|(hash, _)| &world.lightning.made[hash])
            .filter(|made| made.payee == creditor)
            .map(|made| made.amount.to_millisatoshi())
            .sum();
        pledged + due - arrived
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn nobody_owes_more_than_its_limit_when_a_trade_is_signed(events in events()) {
        let (mut world, mut book) = (World::new(), Book::default());
        for event in &events {
            let signed_by = match event {
                Event::Clear(energy, price) => {
                    book.clear(&mut world, *energy, *price).map(|by| (by, *price))
                }
                Event::Deliver(percent) => {
                    book.deliver(&mut world, *percent);
                    None
                }
                Event::GoWell(ms) => {
                    world.go_well_for(*ms);
                    None
                }
                Event::Pass(ms) => {
                    world.pass(*ms);
                    world.mail.clear();
                    None
                }
                Event::Crash(node) => {
                    book.crash(&mut world, *node);
                    None
                }
            };
            for creditor in [0, 1] {
                let exposure = world.nodes[creditor].engine.exposure(&world.id(1 - creditor));
                let at_risk = book.at_risk_msat(&world, creditor);
                prop_assert!(at_risk <= exposure.to_millisatoshi(), "{} risks {}", creditor, at_risk);
            }
            if let Some((creditor, price)) = signed_by {
                let (engine, debtor) = (&world.nodes[creditor].engine, world.id(1 - creditor));
                let retail = world.charter.tariff.at(world.now).retail_msat_per_kwh;
                let prices = (Price::from_msat_per_kwh(price), retail);
                let terms = &world.charter.settlement;
                let limit = engine.standing(&debtor).limit(&CREDIT, terms, prices);
                prop_assert!(engine.exposure(&debtor) <= limit);
            }
        }
    }
}
