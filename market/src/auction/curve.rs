//! Where supply and demand cross.
//! Not for: who gets what at the crossing.

use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, Price};

use super::offer::Offer;

/// The crossing of supply and demand.
///
/// Sells below the margin and buys above it execute in full; sells above it and buys below it do not;
/// those at the margin share what is left of the volume on their side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crossing {
    /// The limit at which they cross.
    pub(super) margin: Price,
    /// The most that one price can match, in mWh; it may be more than an [`Energy`] can hold.
    pub(super) volume_mwh: u128,
}

/// Finds the crossing, in time linear in the number of offers, which it moves about. There is none
/// without offers.
///
/// Let the offers be sorted by limit, sells before buys. Cut the list anywhere: the sells before the
/// cut and the buys after it agree on a price, and what they can match is the smaller of the two
/// sums. The sum of sells grows along the list and that of buys shrinks, so the best cut is where
/// they cross: at either end of the last offer that has no more sells before it than buys from it
/// on. Halving finds it, and needs no more of the sorting than which half an offer belongs to.
pub(super) fn crossing(offers: &mut [Offer]) -> Option<Crossing> {
    let mut window = offers;
    // What is outside the window: sells before it, buys after it.
    let (mut supply, mut demand) = (0_u128, 0_u128);
    let mut margin = None;
    let mut volume_mwh = 0;
    while !window.is_empty() {
        let middle = window.len().div_euclid(2);
        let (before, offer, after) = window.select_nth_unstable_by_key(middle, merit_key);
        let supply_before = supply.saturating_add(sum_on(Side::Sell, before));
        let demand_after = demand.saturating_add(sum_on(Side::Buy, after));
        let demand_from = demand_after.saturating_add(mwh(offer.energy_on(Side::Buy)));
        volume_mwh = volume_mwh.max(supply_before.min(demand_from));
        if supply_before <= demand_from {
            margin = Some(offer.limit);
            supply = supply_before.saturating_add(mwh(offer.energy_on(Side::Sell)));
            window = after;
        } else {
            demand = demand_from;
            window = before;
        }
    }
    Some(Crossing { margin: margin?, volume_mwh })
}

/// By limit, sells first.
fn merit_key(offer: &Offer) -> (Price, bool) {
    (offer.limit, offer.side == Side::Buy)
}

fn sum_on(side: Side, offers: &[Offer]) -> u128 {
    sum(offers.iter().map(|offer| offer.energy_on(side)))
}

/// A sum in mWh. It is exact: there are at most 2⁴⁰ offers of 64 bits each.
pub(super) fn sum(energies: impl Iterator<Item = Energy>) -> u128 {
    energies.fold(0, |sum: u128, energy| sum.saturating_add(mwh(energy)))
}

/// The energy in mWh, wide enough to be summed.
pub(super) fn mwh(energy: Energy) -> u128 {
    u128::from(energy.to_milliwatt_hours())
}
