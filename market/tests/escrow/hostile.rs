//! Members who want what is not theirs: each attempt is refused, and changes nothing.

use boltgrid_market::escrow::{End, Happened, HoldInvoice, Stage};
use boltgrid_protocol::escrow::{EscrowAnswer, EscrowQuestion, EscrowRefusal, Releases};
use boltgrid_protocol::lightning::Preimage;
use boltgrid_protocol::units::Interval;

use crate::world::{ARBITER, ENERGY_MWH, FIRST, Flight, PAYEE, PAYER, Parcel, UNTIL, World, sat};
use crate::{CLAIMED, is_over, locked};

/// Asks as `from`, and says what `to` answers.
fn ask(
    world: &mut World,
    from: usize,
    to: usize,
    question: EscrowQuestion,
) -> Option<EscrowAnswer> {
    world.mail.clear();
    world.deliver(Parcel::Ask { from, to, question });
    let jobs = std::mem::take(&mut world.nodes[to].jobs);
    jobs.into_iter().for_each(|wanted| world.work(to, wanted));
    world.mail.iter().find_map(|parcel| match parcel {
        Parcel::Answer { by, answer, .. } if *by == to => Some(answer.clone()),
        Parcel::Answer { .. } | Parcel::Ask { .. } => None,
    })
}

const fn refused(why: EscrowRefusal) -> Option<EscrowAnswer> {
    Some(EscrowAnswer::Refused(why))
}

#[test]
fn an_arbiter_gives_the_preimage_to_nobody_but_the_payee_and_not_before_the_end() {
    let mut world = locked(Releases::Delivered);
    let escrow = world.views(PAYEE).next().unwrap().escrow;
    let early = vec![world.reading(PAYEE, FIRST, 0), world.reading(PAYEE, UNTIL, ENERGY_MWH)];
    let plea = |readings| EscrowQuestion::Plead { escrow, readings };
    let answer = ask(&mut world, PAYEE, ARBITER, plea(early.clone()));
    assert_eq!(answer, refused(EscrowRefusal::NotYet), "a meter cannot sign what is to come");
    world.jump_to(UNTIL);
    let of_another = vec![world.reading(PAYER, FIRST, 0), world.reading(PAYER, UNTIL, ENERGY_MWH)];
    let mut forged = early.clone();
    forged[1][200] ^= 1;
    let other_edges =
        vec![world.reading(PAYEE, FIRST.minus(1), 0), world.reading(PAYEE, UNTIL, ENERGY_MWH)];
    for readings in [Vec::new(), of_another, forged, other_edges, vec![early[0].clone(); 2]] {
        let answer = ask(&mut world, PAYEE, ARBITER, plea(readings));
        assert_eq!(answer, refused(EscrowRefusal::NotYet));
    }
    assert_eq!(
        ask(&mut world, ARBITER, ARBITER, plea(early.clone())),
        refused(EscrowRefusal::NotInvolved)
    );
    assert_eq!(ask(&mut world, PAYER, ARBITER, plea(early.clone())), refused(EscrowRefusal::Over));
    let answer = ask(&mut world, PAYEE, ARBITER, plea(early));
    assert_eq!(answer, Some(EscrowAnswer::Released(World::preimage())));
}

#[test]
fn a_ruling_is_for_good() {
    let mut world = locked(Releases::Missed);
    let escrow = world.views(PAYEE).next().unwrap().escrow;
    world.jump_to(UNTIL);
    let kept = vec![world.reading(PAYER, FIRST, 0), world.reading(PAYER, UNTIL, ENERGY_MWH)];
    let plea = |readings| EscrowQuestion::Plead { escrow, readings };
    assert_eq!(ask(&mut world, PAYER, ARBITER, plea(kept)), refused(EscrowRefusal::GoesBack));
    let missed = vec![world.reading(PAYER, FIRST, 0), world.reading(PAYER, UNTIL, 1)];
    assert_eq!(
        ask(&mut world, PAYEE, ARBITER, plea(missed.clone())),
        refused(EscrowRefusal::GoesBack)
    );
    world.crash(ARBITER);
    assert_eq!(ask(&mut world, PAYEE, ARBITER, plea(missed)), refused(EscrowRefusal::GoesBack));
}

#[test]
fn what_the_arbiter_has_heard_itself_counts_before_what_it_is_shown() {
    let mut world = locked(Releases::Delivered);
    let escrow = world.views(PAYEE).next().unwrap().escrow;
    world.metered = Some((PAYEE, 1));
    world.jump_to(UNTIL);
    let claimed = vec![world.reading(PAYEE, FIRST, 0), world.reading(PAYEE, UNTIL, ENERGY_MWH)];
    let plea = EscrowQuestion::Plead { escrow, readings: claimed };
    assert_eq!(ask(&mut world, PAYEE, ARBITER, plea), refused(EscrowRefusal::GoesBack));
}

#[test]
fn a_wrong_preimage_claims_nothing_and_only_the_payer_tells_one() {
    let mut world = locked(Releases::Delivered);
    let escrow = world.views(PAYEE).next().unwrap().escrow;
    let release = |preimage| EscrowQuestion::Release { escrow, preimage };
    let wrong = release(Preimage::from_bytes([6; 32]));
    assert_eq!(ask(&mut world, PAYER, PAYEE, wrong), refused(EscrowRefusal::WrongPreimage));
    let right = release(World::preimage());
    assert_eq!(ask(&mut world, ARBITER, PAYEE, right.clone()), refused(EscrowRefusal::NotInvolved));
    assert_eq!(ask(&mut world, PAYER, PAYEE, right), Some(EscrowAnswer::Taken));
    world.run("released", |world| is_over(world, End::Released));
    assert_eq!(world.flight(), CLAIMED);
}

#[test]
fn an_invoice_that_is_not_as_agreed_is_not_paid() {
    let world = World::new();
    let terms = world.terms(Releases::Delivered);
    let good = HoldInvoice {
        payment_hash: World::preimage().payment_hash(),
        amount_msat: Some(terms.amount_msat),
        expires_at: terms.expires_at,
        final_cltv_blocks: terms.final_cltv_blocks(),
        is_direct: true,
    };
    for forged in [
        HoldInvoice { amount_msat: None, ..good },
        HoldInvoice { amount_msat: Some(sat(20_001)), ..good },
        HoldInvoice { final_cltv_blocks: good.final_cltv_blocks + 1, ..good },
        HoldInvoice { payment_hash: Preimage::default().payment_hash(), ..good },
        HoldInvoice { is_direct: false, ..good },
    ] {
        let mut world = World::new();
        world.forged = Some(forged);
        world.propose(world.terms(Releases::Delivered));
        world.run("refused", |world| world.refused(EscrowRefusal::Invalid));
        assert_eq!((world.begun, world.flight()), (0, None));
    }
    let mut world = World::new();
    world.forged = Some(good);
    world.propose(world.terms(Releases::Delivered));
    world.run("locked", |world| world.stage(PAYEE) == Some(Stage::Locked));
}

#[test]
fn a_payee_gives_back_what_belongs_to_no_escrow_or_is_held_too_short_or_too_little() {
    let mut world = World::new();
    world.propose(world.terms(Releases::Delivered));
    let signed = |world: &World| world.stage(PAYEE) == Some(Stage::Signed);
    world.run("signed", signed);
    let stranger = Preimage::default().payment_hash();
    let height = world.height();
    let held = |payment_hash, amount_msat, claim_before_height| Happened::Held {
        payment_hash,
        amount_msat,
        claim_before_height,
    };
    let ours = World::preimage().payment_hash();
    world.give(PAYEE, held(stranger, sat(20_000), height + 100));
    let wants = |world: &World, hash| {
        world.nodes[PAYEE].jobs.contains(&boltgrid_market::escrow::Wanted::Refuse(hash))
    };
    assert!(wants(&world, stranger));
    assert!(signed(&world));
    world.give(PAYEE, held(ours, sat(20_000), height + 50));
    assert!(wants(&world, ours));
    let end = End::Refused(EscrowRefusal::TooShort);
    assert_eq!(world.stage(PAYEE), Some(Stage::Over(end)));
    assert!(!matches!(world.flight(), Some(Flight::Claimed)));
}

#[test]
fn nobody_fills_a_member_with_escrows() {
    let mut world = World::new();
    world.willing.arbitrate_max = sat(0);
    world.crash(ARBITER);
    let mut refusals = 0;
    for number in 0..20_u64 {
        let mut terms = world.terms(Releases::Delivered);
        terms.condition.until = Interval::from_number(UNTIL.to_number() + number);
        let escrow = world.propose(terms);
        world.run("asked or refused", |world| {
            let view = world.views(PAYER).find(|view| view.escrow == escrow);
            view.is_some_and(|view| view.stage != Stage::Proposed)
                || world.views(ARBITER).any(|view| view.escrow == escrow)
        });
        let asked = world.views(ARBITER).filter(|view| view.stage == Stage::Asked).count();
        assert!(asked <= 4, "{asked}");
        refusals += usize::from(
            world
                .views(PAYER)
                .any(|view| view.stage == Stage::Over(End::Refused(EscrowRefusal::TooMany))),
        );
    }
    assert!(refusals > 0);
}
