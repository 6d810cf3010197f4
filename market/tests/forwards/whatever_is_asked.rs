//! Whatever is offered, accepted, lost, repeated, delayed and crashed: what the offerers countersigned
//! never exceeds their offers or ratings, in any interval.

use boltgrid_market::forwards::Terms;
use boltgrid_market::input::Input;
use boltgrid_protocol::forward::{Forward, Stack};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::offer::{Day, Product};
use boltgrid_protocol::order::{Side, Source};
use boltgrid_protocol::units::{Energy, Interval};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{MEMBERS, RATED_MWH, World, mwh, terms};

/// What every offer in here is of: two of a kind do not fit the rating.
const OFFERED_MWH: u64 = 6_000;
const PRODUCTS: [Product; 3] = [
    Product { side: Side::Sell, source: Source::Pv },
    Product { side: Side::Sell, source: Source::Battery },
    Product { side: Side::Buy, source: Source::Load },
];

#[derive(Clone, Debug)]
enum Happening {
    Offer { who: usize, product: usize },
    Withdraw { who: usize, product: usize },
    Accept { who: usize, of: prop::sample::Index, first: u64, count: u64, energy: u64 },
    Deliver { parcel: prop::sample::Index, again: bool, crashes: bool },
    Lose(prop::sample::Index),
    Restart(usize),
    Wait(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let who = || 0..MEMBERS;
    let any_of = any::<prop::sample::Index>;
    prop_oneof![
        2 => (who(), 0..PRODUCTS.len()).prop_map(|(who, product)| Happening::Offer { who, product }),
        1 => (who(), 0..PRODUCTS.len())
            .prop_map(|(who, product)| Happening::Withdraw { who, product }),
        8 => (who(), any_of(), 0..18_u64, 1..8_u64, 500..6_000_u64).prop_map(
            |(who, of, first, count, energy)| Happening::Accept { who, of, first, count, energy }
        ),
        10 => (any_of(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(parcel, again, crashes)| Happening::Deliver { parcel, again, crashes }),
        1 => any_of().prop_map(Happening::Lose),
        1 => who().prop_map(Happening::Restart),
        2 => (0..90_000_u64).prop_map(Happening::Wait),
    ]
}

fn happen(
    world: &mut World,
    offers: &mut Vec<boltgrid_protocol::envelope::Verified<boltgrid_protocol::offer::Offer>>,
    happening: &Happening,
) {
    let day = Day::of(world.charter.interval.start_of(world.first));
    match happening {
        Happening::Offer { who, product } => {
            let terms = Terms { product: PRODUCTS[*product], ..terms(world, OFFERED_MWH) };
            offers.push(world.offer(*who, terms));
        }
        Happening::Withdraw { who, product } => {
            world.input(*who, Input::Withdraw { product: PRODUCTS[*product], day });
        }
        Happening::Accept { who, of, first, count, energy } if !offers.is_empty() => {
            let offer = offers[of.index(offers.len())].clone();
            world.accept(*who, &offer, (*first, (*first + *count).min(20)), *energy);
        }
        Happening::Deliver { parcel, again, crashes } if !world.mail.is_empty() => {
            let place = parcel.index(world.mail.len());
            let parcel = world.mail[place].clone();
            if !again {
                world.mail.swap_remove(place);
            }
            world.deliver(&parcel, *crashes);
        }
        Happening::Lose(parcel) if !world.mail.is_empty() => {
            world.mail.swap_remove(parcel.index(world.mail.len()));
        }
        Happening::Accept { .. } | Happening::Deliver { .. } | Happening::Lose(_) => {}
        Happening::Restart(who) => world.restart(*who),
        Happening::Wait(ms) => world.wait(*ms),
    }
}

/// The offerer's own stack in a forward.
fn own(forward: &Forward) -> (Side, &Stack) {
    match forward.product.side {
        Side::Sell => (Side::Sell, &forward.seller_stack),
        Side::Buy => (Side::Buy, &forward.buyer_stack),
    }
}

fn check(forwards: &[(ParticipantId, Forward)], who: ParticipantId, interval: Interval) {
    for side in [Side::Sell, Side::Buy] {
        let mut ranges = Vec::new();
        let mut of_product = std::collections::BTreeMap::new();
        for (offerer, forward) in forwards.iter().filter(|(offerer, _)| *offerer == who) {
            assert_eq!(*offerer, who);
            let (own_side, stack) = own(forward);
            let Some(before) = stack.before(interval).filter(|_| own_side == side) else {
                continue;
            };
            let energy = forward.energy_mwh;
            ranges.push((before, before.checked_add(energy).unwrap()));
            let sum = of_product.entry(forward.product).or_insert(Energy::ZERO);
            *sum = sum.checked_add(energy).unwrap();
        }
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "sold twice: {ranges:?}");
        assert!(ranges.last().is_none_or(|(_, top)| *top <= mwh(RATED_MWH)), "above the rating");
        assert!(
            of_product.values().all(|sum| *sum <= mwh(OFFERED_MWH)),
            "oversold: {of_product:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn an_offerer_never_signs_away_more_than_it_has(happenings in vec(happening(), 1..120)) {
        let mut world = World::new();
        let mut offers = Vec::new();
        // Something to accept from the start.
        happen(&mut world, &mut offers, &Happening::Offer { who: 0, product: 0 });
        happen(&mut world, &mut offers, &Happening::Offer { who: 0, product: 1 });
        for happening in &happenings {
            happen(&mut world, &mut offers, happening);
        }
        for index in 0..MEMBERS {
            let who = world.nodes[index].key.participant_id();
            let signed: Vec<_> = world.replies(index).into_values().collect();
            for interval in (0..20).map(|place| world.first.plus(place)) {
                check(&signed, who, interval);
            }
            // What it holds is what its journal proves, and what its order would say.
            let market = &world.nodes[index].market;
            prop_assert_eq!(market.forwards().count(), signed.len());
            let sold = market.committed(world.first.plus(3)).0;
            prop_assert!(sold <= mwh(RATED_MWH));
        }
    }
}
