//! Sharing at the margin: pro rata by energy, with largest-remainder rounding.
//! Not for: finding the margin.

use std::cmp::Reverse;

use boltgrid_protocol::units::{Energy, Interval};

use super::curve::{mwh, sum};
use super::offer::{Offer, Ranked};

/// Draws a lot per offer, for milliwatt-hours that no remainder decides. Nobody can choose it without
/// choosing another order hash, and all it can win is one milliwatt-hour.
#[derive(Debug)]
pub(super) struct Lots<'book> {
    pub(super) interval: Interval,
    pub(super) ranked: &'book Ranked<'book>,
}

impl Lots<'_> {
    /// Puts those with the smallest hash of interval, order hash and step first.
    fn sort(&self, offers: &mut [&mut Offer]) {
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 lot");
        hasher.update(&self.interval.to_number().to_le_bytes());
        offers.sort_by_cached_key(|offer| {
            let order = self.ranked.get(offer.rank);
            let mut hasher = hasher.clone();
            hasher.update(order.map(|order| order.hash).unwrap_or_default().as_bytes());
            let lot = *hasher.update(&[offer.step]).finalize().as_bytes();
            (lot, offer.rank) // The rank only matters in a book with one hash twice.
        });
    }
}

/// Shares `energy` among `offers` in proportion to theirs, each within one mWh of its exact share and
/// none above what it offers. What rounding down leaves over goes to the largest remainders, one mWh
/// each; equal remainders draw lots.
pub(super) fn share(energy: Energy, mut offers: Vec<&mut Offer>, lots: &Lots<'_>) {
    let whole = sum(offers.iter().map(|offer| offer.energy));
    if whole <= mwh(energy) {
        return;
    }
    if let [only] = offers.as_mut_slice() {
        only.energy = energy;
        return;
    }
    let mut left_over = energy;
    let mut remainders = Vec::with_capacity(offers.len());
    for offer in &mut offers {
        // Two factors of 64 bits: the product fits. The whole is above zero.
        let product = mwh(energy).saturating_mul(mwh(offer.energy));
        let floor = u64::try_from(product.checked_div(whole).unwrap_or(0)).unwrap_or(u64::MAX);
        offer.energy = Energy::from_milliwatt_hours(floor);
        left_over = left_over.saturating_sub(offer.energy);
        remainders.push(product.checked_rem(whole).unwrap_or(0));
    }
    let Ok(left_over) = usize::try_from(left_over.to_milliwatt_hours()) else {
        return; // Cannot be: fewer are left over than there are offers.
    };
    let ranking = offers.into_iter().zip(remainders).collect();
    round_up_largest(left_over, ranking, lots);
}

/// Adds one mWh to the `count` offers with the largest remainders.
fn round_up_largest(count: usize, mut ranking: Vec<(&mut Offer, u128)>, lots: &Lots<'_>) {
    if count >= ranking.len() {
        return; // Cannot be, as above.
    }
    let (_, (_, last), _) =
        ranking.select_nth_unstable_by_key(count, |(_, remainder)| Reverse(*remainder));
    let last = *last;
    let mut open = count;
    let mut tied = Vec::new();
    for (offer, remainder) in ranking {
        if remainder > last {
            add_one(offer);
            open = open.saturating_sub(1);
        } else if remainder == last {
            tied.push(offer);
        }
    }
    if open > 0 {
        lots.sort(&mut tied);
        tied.into_iter().take(open).for_each(add_one);
    }
}

fn add_one(offer: &mut Offer) {
    offer.energy = offer.energy.saturating_add(Energy::from_milliwatt_hours(1));
}
