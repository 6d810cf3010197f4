//! Tests of the payment engine: dues become receipts whatever happens between two honest nodes, and
//! a hostile one gets nothing that it is not owed (P31 to P35).

mod exposure;
mod hostile;
mod past;
mod whatever_happens;
mod world;

use boltgrid_market::ledger::Account;
use boltgrid_market::payments::{Payment, Stage, Standing, Told, Why};
use boltgrid_protocol::units::SignedMsat;

use world::{FIRST, Job, World, msat};

/// 80 sat a kWh.
const PRICE: i64 = 80_000;

#[test]
fn what_is_due_is_paid_in_tranches_and_the_ledgers_are_even() {
    let mut world = World::new();
    world.settle(0, (600_001, PRICE));
    world.go_well_for(60_000);
    assert_eq!(world.paid_by(1), 48_000);
    assert_eq!(world.lightning.flights.len(), 3, "three tranches");
    for node in [0, 1] {
        let ledger = world.nodes[node].engine.ledger();
        let other = Account::Counterparty(world.id(1 - node));
        assert_eq!(ledger.balance(other).money, SignedMsat::ZERO);
        assert_eq!(ledger.balance(Account::Me).money, SignedMsat::ZERO);
        assert_eq!(world.nodes[node].engine.unpaid().count(), 0);
        assert!(world.disputes(node).is_empty());
    }
    let receipt = |told: &&Told| matches!(told, Told::Payment(it) if matches!(it.stage, Stage::Paid { preimage: Some(_), .. }));
    assert_eq!(world.nodes[1].told.iter().filter(receipt).count(), 3);
}

#[test]
fn at_a_negative_price_the_seller_pays() {
    let mut world = World::new();
    world.settle(0, (250_000, -PRICE));
    world.go_well_for(60_000);
    assert_eq!((world.paid_by(0), world.paid_by(1)), (20_000, 0));
}

#[test]
fn an_invoice_that_comes_before_the_payer_has_settled_is_asked_for_again() {
    let mut world = World::new();
    world.settle_at(0, 0, (250_000, PRICE));
    world.go_well_for(3_000);
    assert_eq!(world.paid_by(1), 0);
    world.settle_at(1, 0, (250_000, PRICE));
    world.go_well_for(10_000);
    assert_eq!(world.paid_by(1), 20_000);
}

#[test]
fn an_invoice_that_came_too_early_is_paid_as_soon_as_it_is_due() {
    let mut world = World::new();
    world.settle_at(0, 0, (250_000, PRICE));
    world.go_well_for(400);
    assert!(world.pending().is_empty() && world.nodes[1].jobs.is_empty(), "it is not due yet");
    world.settle_at(1, 0, (250_000, PRICE));
    let pays = |job: &Job| matches!(job, Job::Pay { .. });
    assert!(world.nodes[1].jobs.iter().any(pays), "it is paid without being asked for again");
    world.go_well_for(10_000);
    assert_eq!(world.paid_by(1), 20_000);
}

#[test]
fn of_what_came_too_early_only_what_turns_out_to_be_due_is_paid() {
    let mut world = World::new();
    world.settle_at(0, 0, (250_000, PRICE));
    world.go_well_for(400);
    // The payer measured less.
    world.settle_at(1, 0, (200_000, PRICE));
    world.go_well_for(60_000);
    assert_eq!(world.paid_by(1), 0);
    assert!(!world.disputes(1).is_empty(), "it comes again, and is refused");
}

#[test]
fn a_payment_that_fails_is_tried_again_with_another_invoice() {
    let mut world = World::new();
    world.settle(0, (250_000, PRICE));
    for _ in 0..4 {
        while world.pending().is_empty() {
            for node in [0, 1] {
                for job in std::mem::take(&mut world.nodes[node].jobs) {
                    world.work(node, job);
                }
            }
            for parcel in std::mem::take(&mut world.mail) {
                world.deliver(&parcel);
            }
            world.pass(200);
        }
        let hash = world.pending()[0];
        world.land(hash, false);
        let event = world.nodes[1].events.pop().unwrap();
        world.tell(1, event);
    }
    world.go_well_for(60_000);
    assert_eq!(world.paid_by(1), 20_000);
    assert_eq!(world.lightning.flights.len(), 5, "each with a hash of its own");
}

#[test]
fn a_restart_brings_back_ledger_credit_and_what_is_open() {
    let mut world = World::new();
    for place in 0..70 {
        world.settle(place, (250_000, PRICE));
        world.go_well_for(300_000);
    }
    world.settle(70, (250_000, PRICE));
    for node in [0, 1] {
        let (before, other) = (&world.nodes[node].engine, world.id(1 - node));
        let (ledger, standing) = (before.ledger().clone(), before.standing(&other));
        let unpaid: Vec<_> = before.unpaid().map(|(due, left)| (due.clone(), left)).collect();
        world.nodes[node].settled.clear();
        let summed_up = |slot: &boltgrid_market::effect::Slot| {
            matches!(slot, boltgrid_market::effect::Slot::Summary(_))
        };
        let last = world.nodes[node].journal.keys().filter(|slot| summed_up(slot)).max().copied();
        let last = last.unwrap().interval();
        assert!(last > FIRST.plus(50), "the log is summed up now and then");
        world.nodes[node].journal.retain(|slot, _| slot.interval() >= last);
        world.crash(node);
        let after = &world.nodes[node].engine;
        assert_eq!(*after.ledger(), ledger);
        assert_eq!(after.standing(&other), standing);
        let left: Vec<_> = after.unpaid().map(|(due, left)| (due.clone(), left)).collect();
        assert_eq!(left, unpaid);
    }
    world.go_well_for(60_000);
    assert_eq!(world.paid_by(1), 71 * 20_000);
}

#[test]
fn how_payments_ended_is_told_again_after_a_restart() {
    let mut world = World::new();
    world.settle(0, (500_000, PRICE));
    world.go_well_for(60_000);
    for node in [0, 1] {
        world.crash(node);
        world.nodes[node].told.clear();
        world.pass(1);
        let is_paid = |told: &&Told| {
            matches!(told, Told::Ended(Payment { stage: Stage::Paid { preimage, .. }, .. })
                if preimage.is_some() == (node == 1))
        };
        assert_eq!(world.nodes[node].told.iter().filter(is_paid).count(), 2);
        world.nodes[node].told.clear();
        world.pass(1);
        assert!(world.nodes[node].told.is_empty(), "once");
    }
}

#[test]
fn who_does_not_pay_in_time_is_in_default_and_a_late_payment_ends_it() {
    let mut world = World::new();
    let debtor = world.id(1);
    world.settle(0, (250_000, PRICE));
    assert_eq!(world.nodes[0].engine.exposure(&debtor), msat(20_000));
    let within = world.charter.settlement.pay_within_ms;
    for _ in 0..40 {
        world.pass(within / 30);
        world.mail.clear();
    }
    let disputes = world.disputes(0);
    assert_eq!(disputes.len(), 1);
    assert_eq!((disputes[0].why, disputes[0].unpaid_msat), (Why::NotPaid, msat(20_000)));
    assert_eq!(disputes[0].proof, [b"readings and confirms".to_vec()]);
    let standing = world.nodes[0].engine.standing(&debtor);
    assert_eq!((standing.defaults, standing.open_defaults), (1, 1));
    assert_eq!(world.disputes(1)[0].why, Why::NotInvoiced, "the payer knows as well");
    world.go_well_for(3_600_000);
    assert_eq!(world.paid_by(1), 20_000);
    let standing = world.nodes[0].engine.standing(&debtor);
    assert_eq!((standing.defaults, standing.open_defaults), (1, 0));
    assert_eq!(standing.paid_msat, msat(0), "what comes late earns no credit");
    let resolved = |told: &&Told| matches!(told, Told::Resolved { .. });
    assert_eq!(world.nodes[0].told.iter().filter(resolved).count(), 1);
}

#[test]
fn who_is_forgiven_owes_nothing_and_is_a_newcomer_again_also_after_a_restart() {
    let mut world = World::new();
    let debtor = world.id(1);
    world.settle(0, (250_000, PRICE));
    world.settle(1, (100_000, PRICE));
    assert_eq!(world.forgive(0, debtor), None, "nothing is in dispute yet");
    world.settle_at(0, 2, (250_000, PRICE));
    world.settle_at(1, 2, (200_000, PRICE));
    world.go_well_for(60_000);
    let within = world.charter.settlement.pay_within_ms;
    world.settle(3, (250_000, PRICE));
    for _ in 0..40 {
        world.pass(within / 30);
        world.mail.clear();
    }
    assert_eq!(world.nodes[0].engine.exposure(&debtor), msat(40_000));
    assert_eq!(world.forgive(0, debtor), Some((2, 40_000)), "a default and a disagreement");
    for is_restarted in [false, true] {
        if is_restarted {
            world.crash(0);
        }
        let engine = &world.nodes[0].engine;
        assert_eq!(engine.standing(&debtor), Standing::default());
        assert_eq!((engine.exposure(&debtor), engine.unpaid().count()), (msat(0), 0));
        assert_eq!(engine.ledger().balance(Account::Counterparty(debtor)).money, SignedMsat::ZERO);
        assert_eq!(engine.ledger().balance(Account::Me).money, SignedMsat::ZERO);
    }
    let paid = world.paid_by(1);
    world.go_well_for(3_600_000);
    assert_eq!(world.paid_by(1), paid, "nothing is asked for any more");
    assert_eq!(world.forgive(0, debtor), None);
}
