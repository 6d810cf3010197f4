//! Hostile counterparties: a payee that asks for what it is not owed, a payer that does not pay.

use boltgrid_market::payments::{Bolt11, Happened, Told, Why};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::invoice::{Cause, Invoice, InvoiceRefusal, InvoiceWord};
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::Interval;

use crate::PRICE;
use crate::world::{FIRST, Made, World, msat};

const HOSTILE: usize = 0;
const HONEST: usize = 1;

/// An honest payer that owes 20 sat in each of two tranches, and the invoice that it would pay.
fn owing() -> (World, Invoice) {
    let mut world = World::new();
    world.settle_at(HONEST, 0, (500_000, PRICE));
    let invoice = Invoice {
        payer: RosterIndex::new(1),
        cause: Cause::Trade { index: 3 },
        tranche: 0,
        tranches: 2,
        amount_msat: msat(20_000),
        payment_hash: hash(&mut world),
        bolt11: "lnbcrt".to_owned(),
    };
    (world, invoice)
}

/// A payment hash that Lightning has an invoice of the right amount for.
fn hash(world: &mut World) -> PaymentHash {
    let due =
        boltgrid_market::payments::DueId { interval: FIRST, cause: Cause::Trade { index: 3 } };
    let expires_at = world.now.plus_ms(3_600_000);
    world.make(Made { payee: HOSTILE, due, tranche: 0, amount: msat(20_000), expires_at })
}

fn ask(world: &mut World, interval: Interval, invoice: &Invoice) -> Option<InvoiceRefusal> {
    let signed = world.forge(HOSTILE, interval, invoice);
    let before = world.refusals(HONEST).len();
    world.ask(HONEST, signed);
    world.refusals(HONEST).get(before).copied()
}

fn jobs(world: &World) -> usize {
    world.nodes[HONEST].jobs.len()
}

#[test]
fn of_one_member_only_a_few_invoices_that_come_too_early_are_kept() {
    let next = FIRST.next();
    for (others, paid_at_once) in [(0, 1), (20, 0)] {
        let (mut world, invoice) = owing();
        for index in 10..10 + others {
            let other = Invoice { cause: Cause::Trade { index }, ..invoice.clone() };
            assert_eq!(ask(&mut world, next, &other), Some(InvoiceRefusal::NotDue));
        }
        assert_eq!(ask(&mut world, next, &invoice), Some(InvoiceRefusal::NotDue));
        world.settle_at(HONEST, 1, (500_000, PRICE));
        assert_eq!(jobs(&world), paid_at_once, "after {others} others");
        assert_eq!(ask(&mut world, next, &invoice), None);
        assert_eq!(jobs(&world), 1, "what comes again is paid all the same");
    }
}

#[test]
fn what_asks_for_anything_else_than_is_due_is_refused_and_nothing_is_paid() {
    type Change = fn(&mut Invoice);
    let cases: [(Change, InvoiceRefusal); 6] = [
        (|it| it.amount_msat = msat(20_001), InvoiceRefusal::WrongAmount),
        (|it| it.amount_msat = msat(19_999), InvoiceRefusal::WrongAmount),
        (|it| it.cause = Cause::Trade { index: 4 }, InvoiceRefusal::NotDue),
        (|it| it.tranches = 1, InvoiceRefusal::WrongTranche),
        (|it| it.tranches = 3, InvoiceRefusal::WrongTranche),
        (|it| it.tranche = 1, InvoiceRefusal::NotDue),
    ];
    for (change, expected) in cases {
        let (mut world, mut invoice) = owing();
        change(&mut invoice);
        assert_eq!(ask(&mut world, FIRST, &invoice), Some(expected), "{invoice:?}");
        assert_eq!(jobs(&world), 0, "{expected:?}");
    }
    let (mut world, invoice) = owing();
    world.pass(60_000);
    let wrong = Invoice { cause: Cause::Trade { index: 4 }, ..invoice.clone() };
    assert_eq!(ask(&mut world, FIRST, &wrong), Some(InvoiceRefusal::WrongTrade));
    assert_eq!(ask(&mut world, FIRST.previous(), &invoice), Some(InvoiceRefusal::WrongTrade));
    assert_eq!(jobs(&world), 0);
    assert_eq!(ask(&mut world, FIRST, &invoice), None, "the right one is paid all the same");
    assert_eq!(jobs(&world), 1);
}

#[test]
fn a_wrong_amount_is_kept_as_a_dispute_once() {
    let (mut world, invoice) = owing();
    let wrong = Invoice { amount_msat: msat(30_000), ..invoice };
    for _ in 0..3 {
        assert_eq!(ask(&mut world, FIRST, &wrong), Some(InvoiceRefusal::WrongAmount));
    }
    let disputes = world.disputes(HONEST);
    assert_eq!(disputes.len(), 1);
    assert_eq!(disputes[0].why, Why::WrongInvoice(InvoiceRefusal::WrongAmount));
    assert!(disputes[0].invoice.is_some() && !disputes[0].proof.is_empty());
}

#[test]
fn a_text_that_says_something_else_than_the_invoice_is_refused() {
    let (mut world, invoice) = owing();
    let good = Bolt11 {
        payment_hash: invoice.payment_hash,
        amount_msat: Some(invoice.amount_msat),
        expires_at: world.now.plus_ms(60_000),
    };
    for bad in [
        Bolt11 { amount_msat: Some(msat(20_001)), ..good },
        Bolt11 { amount_msat: None, ..good },
        Bolt11 { payment_hash: PaymentHash::from_bytes([9; 32]), ..good },
    ] {
        world.forged = Some(bad);
        assert_eq!(ask(&mut world, FIRST, &invoice), Some(InvoiceRefusal::BadBolt11));
    }
    world.forged = Some(Bolt11 { expires_at: world.now, ..good });
    assert_eq!(ask(&mut world, FIRST, &invoice), Some(InvoiceRefusal::Expired));
    assert_eq!(jobs(&world), 0);
}

#[test]
fn an_invoice_that_is_sent_again_is_paid_once() {
    let (mut world, invoice) = owing();
    for _ in 0..3 {
        assert_eq!(ask(&mut world, FIRST, &invoice), None);
    }
    assert_eq!(jobs(&world), 1);
    world.crash(HONEST);
    assert_eq!(ask(&mut world, FIRST, &invoice), None, "it is stored, so it is still taken");
}

#[test]
fn another_invoice_for_a_tranche_waits_until_the_first_has_failed() {
    let (mut world, first) = owing();
    assert_eq!(ask(&mut world, FIRST, &first), None);
    let second = Invoice { payment_hash: hash(&mut world), ..first.clone() };
    assert_eq!(ask(&mut world, FIRST, &second), Some(InvoiceRefusal::Paying));
    let job = world.nodes[HONEST].jobs.remove(0);
    world.work(HONEST, job);
    assert_eq!(ask(&mut world, FIRST, &second), Some(InvoiceRefusal::Paying));
    world.land(first.payment_hash, false);
    world.tell(HONEST, (first.payment_hash, false));
    assert_eq!(ask(&mut world, FIRST, &first), Some(InvoiceRefusal::Failed));
    assert_eq!(ask(&mut world, FIRST, &second), Some(InvoiceRefusal::TooMany));
    world.pass(10_000);
    assert_eq!(ask(&mut world, FIRST, &second), None);
}

#[test]
fn a_payment_hash_is_taken_once() {
    let (mut world, first) = owing();
    assert_eq!(ask(&mut world, FIRST, &first), None);
    let job = world.nodes[HONEST].jobs.remove(0);
    world.work(HONEST, job);
    world.land(first.payment_hash, true);
    world.tell(HONEST, (first.payment_hash, true));
    assert_eq!(ask(&mut world, FIRST, &first), Some(InvoiceRefusal::AlreadyPaid));
    let again = Invoice { tranche: 1, ..first };
    assert_eq!(ask(&mut world, FIRST, &again), Some(InvoiceRefusal::HashUsed));
    world.crash(HONEST);
    assert_eq!(ask(&mut world, FIRST, &again), Some(InvoiceRefusal::HashUsed));
    assert_eq!(world.paid_by(HONEST), 20_000);
}

#[test]
fn who_only_says_that_it_has_paid_has_not() {
    let mut world = World::new();
    let payee = 0;
    world.settle(0, (250_000, PRICE));
    let within = world.charter.settlement.pay_within_ms;
    let mut hashes = Vec::new();
    for _ in 0..60 {
        for job in std::mem::take(&mut world.nodes[payee].jobs) {
            world.work(payee, job);
        }
        hashes.extend(world.lightning.made.keys().copied());
        world.mail.clear();
        for payment_hash in std::mem::take(&mut hashes) {
            let from = world.id(1);
            let word = InvoiceWord::Refused(InvoiceRefusal::AlreadyPaid);
            world.input(payee, Happened::Word { from, payment_hash, word });
        }
        world.pass(within / 50);
    }
    assert_eq!(world.disputes(payee).len(), 1);
    assert_eq!(world.disputes(payee)[0].why, Why::NotPaid);
    let debtor = world.id(1);
    assert_eq!(world.nodes[payee].engine.exposure(&debtor), msat(20_000), "and it owes it still");
}

#[test]
fn who_reckons_otherwise_goes_on_owing_and_is_asked_no_more() {
    let mut world = World::new();
    world.settle_at(0, 0, (250_000, PRICE));
    world.settle_at(1, 0, (200_000, PRICE));
    let asked = |world: &World| {
        world.nodes[0].told.iter().filter(|it| matches!(it, Told::Refused { .. })).count()
    };
    world.go_well_for(10_000);
    let at_first = asked(&world);
    world.go_well_for(3_600_000);
    assert_eq!(asked(&world), at_first);
    assert_eq!(world.disputes(0)[0].why, Why::Refused(InvoiceRefusal::WrongAmount));
    assert_eq!(world.disputes(1)[0].why, Why::WrongInvoice(InvoiceRefusal::WrongAmount));
    assert_eq!(world.paid_by(1), 0);
    let debtor = world.id(1);
    assert_eq!(world.nodes[0].engine.exposure(&debtor), msat(20_000));
}

#[test]
fn words_of_others_about_an_invoice_move_nothing() {
    let mut world = World::new();
    world.settle_at(0, 0, (250_000, PRICE));
    let job = world.nodes[0].jobs.remove(0);
    world.work(0, job);
    let payment_hash = *world.lightning.made.keys().next().unwrap();
    let word = InvoiceWord::Refused(InvoiceRefusal::WrongTrade);
    let from = world.id(0);
    world.input(0, Happened::Word { from, payment_hash, word });
    assert!(world.disputes(0).is_empty());
}

#[test]
fn that_nothing_was_known_before_a_payment_was_begun_again_does_not_fail_it() {
    let (mut world, first) = owing();
    assert_eq!(ask(&mut world, FIRST, &first), None);
    world.nodes[HONEST].jobs.clear();
    world.pass(30_001);
    world.pass(30_001);
    let [earlier, later] = std::mem::take(&mut world.nodes[HONEST].jobs).try_into().unwrap();
    world.work(HONEST, earlier);
    assert_eq!(jobs(&world), 1, "it is to be paid again");
    world.pass(3_600_000);
    world.work(HONEST, later);
    let second = Invoice { payment_hash: hash(&mut world), ..first };
    assert_eq!(ask(&mut world, FIRST, &second), Some(InvoiceRefusal::Paying));
}

#[test]
fn what_arrives_and_is_less_than_was_asked_for_pays_nothing_and_is_kept_as_a_dispute() {
    let mut world = World::new();
    world.settle(0, (250_000, PRICE));
    while world.pending().is_empty() {
        for node in [HOSTILE, HONEST] {
            for job in std::mem::take(&mut world.nodes[node].jobs) {
                world.work(node, job);
            }
        }
        for parcel in std::mem::take(&mut world.mail) {
            world.deliver(&parcel);
        }
        world.pass(50);
    }
    let hash = world.pending()[0];
    let payee = world.lightning.made[&hash].payee;
    world.lightning.made.get_mut(&hash).unwrap().amount = msat(19_999);
    world.tell(payee, (hash, true));
    assert_eq!(world.nodes[payee].engine.unpaid().count(), 1);
    let why: Vec<&Why> = world.disputes(payee).into_iter().map(|it| &it.why).collect();
    assert_eq!(why, [&Why::WrongPayment { received_msat: 19_999 }]);
    // Nor after a restart, which reads what arrived.
    world.crash(payee);
    assert_eq!(world.nodes[payee].engine.unpaid().count(), 1);
}
