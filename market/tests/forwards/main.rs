//! Trades ahead of the auction: nothing is sold twice whatever is asked in whatever order, and both
//! sides of a forward compute the same amount due.

#![expect(clippy::unwrap_used, reason = "what cannot fail here fails the test by panicking")]

mod settling;
mod whatever_is_asked;
mod world;

use boltgrid_market::abstention::ClockCheck;
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_protocol::forward::Refusal;
use boltgrid_protocol::offer::{Day, OFFER_LIFETIME_MAX_MS};
use boltgrid_protocol::units::{Energy, Price};

use world::{World, mwh, terms};

/// Why a node's acceptances were refused, one after the other.
fn refused(world: &World, who: usize) -> Vec<Refusal> {
    let why = |notice: &Notice| {
        let Notice::AcceptanceRefused { why, .. } = notice else { return None };
        Some(*why)
    };
    world.nodes[who].notices.iter().filter_map(why).collect()
}

fn made(world: &World, who: usize) -> usize {
    world.nodes[who].market.forwards().count()
}

#[test]
fn what_is_accepted_of_an_offer_is_signed_by_both_and_held_by_both() {
    let mut world = World::new();
    let offer = world.offer(0, terms(&world, 1000));
    world.accept(1, &offer, (0, 3), 600);
    world.settle_mail();
    assert_eq!((made(&world, 0), made(&world, 1)), (1, 1));
    assert_eq!(world.replies(0), world.replies(1), "both journals hold both signatures");
    assert_eq!(world.replies(0).len(), 1);
    let first = world.first;
    assert_eq!(world.nodes[0].market.committed(first.plus(2)), (mwh(600), Energy::ZERO));
    assert_eq!(world.nodes[1].market.committed(first.plus(2)), (Energy::ZERO, mwh(600)));
    assert_eq!(world.nodes[0].market.committed(first.plus(3)).0, Energy::ZERO);
    let left: Vec<Energy> = world.nodes[0].market.offers().map(|(_, left)| left).collect();
    assert_eq!(left, [mwh(400)]);
}

#[test]
fn of_two_acceptances_that_do_not_both_fit_the_second_is_refused() {
    let mut world = World::new();
    let offer = world.offer(0, terms(&world, 1000));
    world.accept(1, &offer, (0, 4), 600);
    world.accept(2, &offer, (2, 6), 600);
    world.settle_mail();
    assert_eq!((made(&world, 1), made(&world, 2)), (1, 0));
    assert_eq!(refused(&world, 2), [Refusal::NotEnoughLeft]);
    assert_eq!(world.nodes[2].market.committed(world.first.plus(3)).1, Energy::ZERO);
    // Where nobody else has taken any, there is enough; and on top of the first, what is left.
    world.accept(2, &offer, (4, 6), 600);
    world.accept(2, &offer, (2, 4), 400);
    world.settle_mail();
    assert_eq!(made(&world, 2), 2);
    assert_eq!(world.nodes[0].market.committed(world.first.plus(3)).0, mwh(1000));
}

#[test]
fn offers_that_do_not_stand_are_refused_and_so_is_what_comes_late_or_is_too_little() {
    let mut world = World::new();
    let offer = world.offer(0, terms(&world, 1000));
    let day = Day::of(world.charter.interval.start_of(world.first));
    world.input(0, Input::Withdraw { product: offer.body().product, day });
    world.accept(1, &offer, (0, 1), 600);
    world.settle_mail();
    assert_eq!(refused(&world, 1), [Refusal::Withdrawn]);

    let dearer = boltgrid_market::forwards::Terms {
        price_msat_per_kwh: Price::from_msat_per_kwh(200_000),
        minimum_mwh: mwh(100),
        ..terms(&world, 1000)
    };
    let dearer = world.offer(0, dearer);
    world.accept(2, &offer, (0, 1), 600);
    world.settle_mail();
    assert_eq!(refused(&world, 2), [Refusal::UnknownOffer], "the price has changed");
    world.accept(2, &dearer, (0, 1), 99);
    assert!(world.was_told(2, "beyond_the_offer"));
    world.accept(3, &dearer, (0, 1), 100);
    // The asker's clock lets it, but the question is long on its way.
    world.now = world.charter.interval.schedule(world.first).orders_open.minus_ms(1_000);
    world.deliver_all();
    world.settle_mail();
    assert_eq!(refused(&world, 3), [Refusal::TooLate]);
    world.accept(2, &dearer, (0, 1), 100);
    assert!(world.was_told(2, "acceptance_too_late"));
}

#[test]
fn an_offer_that_has_expired_is_refused() {
    let mut world = World::new();
    let until = world.now.plus_ms(5_000);
    let offer = world.offer(
        0,
        boltgrid_market::forwards::Terms { expires_at: Some(until), ..terms(&world, 1000) },
    );
    world.accept(1, &offer, (0, 1), 600);
    world.now = until;
    world.settle_mail();
    assert_eq!(made(&world, 1), 0);
    assert_eq!(world.nodes[0].market.offers().count(), 0);
    world.accept(2, &offer, (0, 1), 600);
    assert!(world.was_told(2, "offer_no_longer_stands"));
}

#[test]
fn an_offer_that_stands_on_is_signed_again_and_still_accepted_by_its_terms() {
    let mut world = World::new();
    let far = world.first.plus(7 * 1440);
    let offer = world.offer(
        0,
        boltgrid_market::forwards::Terms { first: far, after: far.plus(10), ..terms(&world, 1000) },
    );
    world.now = world.now.plus_ms(OFFER_LIFETIME_MAX_MS / 2);
    world.input(0, Input::Tick);
    let renewed = world.published(0);
    assert!(renewed.body().sequence > offer.body().sequence);
    assert!(renewed.body().expires_at > offer.body().expires_at);
    let (first, after) = (far, far.next());
    let offer = Box::new(offer);
    world.input(1, Input::Accept { offer, first, after, energy_mwh: mwh(10) });
    world.settle_mail();
    assert_eq!(made(&world, 1), 1);
}

#[test]
fn an_acceptance_that_nobody_replies_to_is_void_when_the_order_window_opens() {
    let mut world = World::new();
    let offer = world.offer(0, terms(&world, 1000));
    world.accept(1, &offer, (0, 2), 600);
    assert_eq!(world.nodes[1].market.committed(world.first).1, mwh(600), "it may yet bind");
    world.mail.clear();
    world.now = world.charter.interval.schedule(world.first).orders_open;
    world.input(1, Input::Tick);
    assert_eq!(world.nodes[1].market.committed(world.first.next()).1, Energy::ZERO);
    let is_void = |notice: &Notice| matches!(notice, Notice::AcceptanceVoid { .. });
    assert!(world.nodes[1].notices.iter().any(is_void));
}

#[test]
fn a_node_takes_up_its_trades_ahead_and_asks_again_after_a_restart() {
    let mut world = World::new();
    let offer = world.offer(0, terms(&world, 1000));
    world.accept(1, &offer, (0, 2), 600);
    world.mail.clear();
    world.restart(0);
    world.restart(1);
    world.input(1, Input::Tick);
    world.settle_mail();
    assert_eq!((made(&world, 0), made(&world, 1)), (1, 1), "the offer still stands, too");
    world.restart(0);
    world.restart(1);
    assert_eq!((made(&world, 0), made(&world, 1)), (1, 1));
    world.accept(2, &offer, (0, 2), 600);
    world.settle_mail();
    assert_eq!(refused(&world, 2), [Refusal::NotEnoughLeft]);
}

#[test]
fn a_node_that_abstains_signs_nothing_ahead_and_repeats_what_it_signed() {
    let mut world = World::new();
    let offer = world.offer(0, terms(&world, 1000));
    let others = world.offer(1, terms(&world, 1000));
    world.accept(1, &offer, (0, 2), 600);
    let asked = world.mail[0].clone();
    world.settle_mail();
    world.input(0, Input::Clock(ClockCheck::Jumped { by_ms: 60_000 }));
    assert!(world.nodes[0].market.sight().abstaining.is_some());
    let before = world.nodes[0].journal.len();

    world.offer(0, terms(&world, 2000));
    let day = Day::of(world.charter.interval.start_of(world.first));
    world.input(0, Input::Withdraw { product: offer.body().product, day });
    assert!(world.was_told(0, "own_offer_abstaining"));
    world.accept(0, &others, (0, 2), 10);
    assert!(world.was_told(0, "own_acceptance_abstaining"));
    world.accept(2, &offer, (0, 2), 10);
    world.settle_mail();
    assert_eq!(world.nodes[0].journal.len(), before, "nothing was signed");
    assert_eq!((made(&world, 2), refused(&world, 2).len()), (0, 0), "nothing was said");

    world.deliver(&asked, false);
    assert_eq!(world.mail.len(), 1, "the word that was said is said again");
    // Once it trusts its view again, who was told nothing asks again and is told.
    world.mail.clear();
    for _ in 0..4 {
        world.wait(world.charter.interval.interval_ms);
    }
    assert!(world.nodes[0].market.sight().abstaining.is_none());
    world.settle_mail();
    assert_eq!(made(&world, 2), 1);
}
