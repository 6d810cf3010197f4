//! Tests of the rules of an order (P8).

use super::*;
use crate::fixture::{Grid, order, step};

/// Checks the order of the sample grid's first member, rated for 20 kW in and 30 kW out.
fn check(order: &Order) -> Result<(), OrderRejected> {
    let grid = Grid::sample();
    let author = RosterIndex::new(0);
    let enrolment = &grid.person(author).certified.enrolment;
    order.check(&grid.charter, (author, enrolment), grid.people.len())
}

fn of(steps: &[Step]) -> Order {
    Order { steps: steps.to_vec(), ..Order::default() }
}

fn partners(places: &[u32]) -> Vec<RosterIndex> {
    places.iter().copied().map(RosterIndex::new).collect()
}

#[test]
fn a_full_order_is_fine() {
    assert_eq!(check(&order(0)), Ok(()));
}

#[test]
fn an_order_has_one_to_eight_steps() {
    assert_eq!(check(&of(&[])), Err(OrderRejected::Empty));
    let one = step(Side::Buy, 1, 0);
    assert_eq!(check(&of(&[one; 8])), Ok(()));
    assert_eq!(check(&of(&[one; 9])), Err(OrderRejected::TooLong));
}

#[test]
fn every_step_has_energy() {
    let steps = [step(Side::Buy, 1, 0), step(Side::Buy, 0, 0)];
    assert_eq!(check(&of(&steps)), Err(OrderRejected::NoEnergy));
}

#[test]
fn limits_are_inside_the_band_ends_included() {
    for limit in [-200_000, 500_000] {
        assert_eq!(check(&of(&[step(Side::Sell, 1, limit)])), Ok(()));
    }
    for limit in [-200_001, 500_001, i64::MIN, i64::MAX] {
        let rejected = check(&of(&[step(Side::Sell, 1, limit)]));
        assert_eq!(rejected, Err(OrderRejected::OutsideBand), "{limit}");
    }
}

#[test]
fn every_buy_limit_is_below_every_sell_limit() {
    let curve = |buy, sell| {
        let steps = [
            step(Side::Sell, 1, sell + 5),
            step(Side::Buy, 1, buy - 5),
            step(Side::Sell, 1, sell),
            step(Side::Buy, 1, buy),
        ];
        check(&of(&steps))
    };
    assert_eq!(curve(9, 10), Ok(()));
    assert_eq!(curve(10, 10), Err(OrderRejected::Crossed));
    assert_eq!(curve(11, 10), Err(OrderRejected::Crossed));
}

#[test]
fn neither_side_exceeds_the_rating() {
    // Five minutes of 20 kW in and 30 kW out.
    let (import, export) = (20_000_000 / 12, 30_000_000 / 12);
    assert_eq!(check(&of(&[step(Side::Buy, import, 0), step(Side::Sell, export, 1)])), Ok(()));
    for steps in [
        [step(Side::Buy, import, 0), step(Side::Buy, 1, 0)],
        [step(Side::Sell, export, 0), step(Side::Sell, 1, 0)],
        [step(Side::Buy, u64::MAX, 0), step(Side::Buy, u64::MAX, 0)],
    ] {
        assert_eq!(check(&of(&steps)), Err(OrderRejected::AboveRating));
    }
}

#[test]
fn partners_are_other_members_each_named_once() {
    let with = |places: &[u32]| {
        check(&Order { channel_partners: partners(places), ..of(&[step(Side::Buy, 1, 0)]) })
    };
    assert_eq!(with(&[4, 1, 2, 3]), Ok(()));
    assert_eq!(with(&[0]), Err(OrderRejected::BadPartner), "the author");
    assert_eq!(with(&[5]), Err(OrderRejected::BadPartner), "beyond the roster");
    assert_eq!(with(&[1, 2, 1]), Err(OrderRejected::BadPartner), "twice");
    assert_eq!(with(&[1; 9]), Err(OrderRejected::TooLong));
}

#[test]
fn preferences_are_other_members_or_sources_each_named_once() {
    let with = |preferences: &[Preference]| {
        let preferences = preferences.to_vec();
        check(&Order { preferences, ..of(&[step(Side::Buy, 1, 0)]) })
    };
    let partner = |place| Preference::Partner(RosterIndex::new(place));
    let pv = Preference::Source(Source::Pv);
    assert_eq!(with(&[partner(4), pv, partner(1)]), Ok(()));
    assert_eq!(with(&[partner(0)]), Err(OrderRejected::BadPartner), "the author");
    assert_eq!(with(&[pv, partner(5)]), Err(OrderRejected::BadPartner), "beyond the roster");
    assert_eq!(with(&[pv, pv]), Err(OrderRejected::BadPartner), "twice");
    assert_eq!(with(&[pv; 9]), Err(OrderRejected::TooLong));
}
