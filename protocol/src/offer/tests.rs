//! Offers: what makes one valid, and that sets of them merge alike everywhere.

use proptest::prelude::*;

use super::*;
use crate::envelope::MessageRejected;
use crate::fixture::{Grid, INTERVAL, now, offer};
use crate::id::RosterIndex;

fn signed(grid: &Grid, author: u32, body: &Offer) -> Result<Verified<Offer>, MessageRejected> {
    grid.try_sign(RosterIndex::new(author), INTERVAL, body)
}

#[test]
fn an_offer_is_of_one_day_within_band_rating_and_lifetime() {
    let grid = Grid::sample();
    let good = offer(&grid.charter);
    assert!(signed(&grid, 0, &good).is_ok());
    let day = DAY_MS / grid.charter.interval.interval_ms;
    let end_of_day = Interval::from_number((good.first.to_number() / day + 1) * day);
    assert!(signed(&grid, 0, &Offer { after: end_of_day, ..good }).is_ok(), "to midnight");
    let bad = [
        Offer { after: end_of_day.next(), ..good },
        Offer { after: good.first, ..good },
        Offer { energy_mwh: Energy::from_milliwatt_hours(2_500_001), ..good },
        Offer { minimum_mwh: Energy::ZERO, ..good },
        Offer { minimum_mwh: Energy::from_milliwatt_hours(500_001), ..good },
        Offer { price_msat_per_kwh: Price::from_msat_per_kwh(i64::MAX), ..good },
        Offer { expires_at: good.made_at, ..good },
        Offer { expires_at: good.made_at.plus_ms(OFFER_LIFETIME_MAX_MS + 1), ..good },
    ];
    for offer in bad {
        let refused = signed(&grid, 0, &offer).map(|_| ());
        assert!(matches!(refused, Err(MessageRejected::Body(_))), "{offer:?}: {refused:?}");
    }
}

#[test]
fn an_offer_that_has_ended_does_not_come_in() {
    let grid = Grid::sample();
    let bytes = signed(&grid, 0, &offer(&grid.charter)).unwrap().bytes().clone();
    let mut gate = grid.gatekeeper();
    let at = |ms| now(&grid.charter).plus_ms(ms);
    assert!(gate.admit(bytes.clone(), at(0)).is_ok());
    let stale = gate.admit(bytes.clone(), at(3_600_000)).map(|_| ());
    assert_eq!(stale, Err(crate::message::EntryRejected::Stale));
    let future = gate.admit(bytes, now(&grid.charter).minus_ms(600_000)).map(|_| ());
    assert_eq!(future, Err(crate::message::EntryRejected::Future));
}

#[test]
fn offers_are_listed_by_price_and_without_the_withdrawn() {
    let grid = Grid::sample();
    let prices = [200_000, -40_000, 90_000];
    let mut set = OfferSet::default();
    for (author, price) in (0..).zip(prices) {
        let price_msat_per_kwh = Price::from_msat_per_kwh(price);
        let withdrawn = price == 90_000;
        let body = Offer { price_msat_per_kwh, withdrawn, ..offer(&grid.charter) };
        assert!(set.merge(signed(&grid, author, &body).unwrap()));
    }
    let listed: Vec<i64> = set
        .by_price()
        .iter()
        .map(|offer| offer.body().price_msat_per_kwh.to_msat_per_kwh())
        .collect();
    assert_eq!(listed, [-40_000, 200_000]);
}

#[test]
fn members_share_keys_about_sixteen_to_one() {
    assert_eq!([0, 1, 16, 17, 1000].map(buckets), [1, 1, 1, 2, 63]);
    let grid = Grid::sample();
    let id = grid.people[0].key.participant_id();
    assert_eq!(bucket_of(&id, 16), 0);
    assert!(bucket_of(&id, 1000) < 63);
}

proptest! {
    /// Whoever merges the same offers, in whatever order and however often, holds the same set: the
    /// highest sequence number of each author. Nobody's offer is lost for another's.
    #[test]
    fn sets_merge_to_the_same_in_any_order(
        made in prop::collection::vec((0..4_u32, 1..5_u64), 1..12).prop_flat_map(|made| {
            (Just(made.clone()), Just(made).prop_shuffle())
        }),
    ) {
        let grid = Grid::sample();
        let merged = |made: &[(u32, u64)]| {
            let mut set = OfferSet::default();
            for (author, sequence) in made {
                let body = Offer { sequence: *sequence, ..offer(&grid.charter) };
                set.merge(signed(&grid, *author, &body).unwrap());
            }
            set
        };
        let (one, other) = (merged(&made.0), merged(&made.1));
        prop_assert_eq!(one.to_bytes(), other.to_bytes());
        for (author, _) in &made.0 {
            let newest = made.0.iter().filter(|(by, _)| by == author).map(|(_, sequence)| *sequence).max();
            let id = grid.people[*author as usize].key.participant_id();
            let kept = one.iter().find(|offer| offer.participant() == id).unwrap();
            prop_assert_eq!(Some(kept.body().sequence), newest);
        }
        let split = OfferSet::split(&one.to_bytes()).unwrap();
        prop_assert_eq!(split.len(), one.iter().count());
    }
}
