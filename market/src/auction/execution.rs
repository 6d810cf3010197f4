//! What each offer executes, and at what price.
//! Not for: who delivers to whom.

use std::cmp::Ordering;

use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, Price};

use super::capacity;
use super::curve::{self, Crossing};
use super::offer::Offer;
use super::share::{self, Lots};

/// Most energy one auction matches.
const VOLUME_MAX: Energy = Energy::from_milliwatt_hours(u64::MAX);

/// The outcome before pairing.
#[derive(Debug, Default)]
pub(super) struct Executed {
    /// There is one exactly when there is volume.
    pub(super) price: Option<Price>,
    /// What executes on each side.
    pub(super) volume: Energy,
    /// All offers, each with the energy of it that executes.
    pub(super) offers: Vec<Offer>,
}

/// Executes the offers, at most [`VOLUME_MAX`] of each side.
pub(super) fn execute(mut offers: Vec<Offer>, lots: &Lots<'_>) -> Executed {
    let mut crossing = curve::crossing(&mut offers);
    if crossing.is_some_and(|crossing| crossing.volume_mwh > curve::mwh(VOLUME_MAX)) {
        offers = capacity::cut_both(&offers, VOLUME_MAX, lots);
        crossing = curve::crossing(&mut offers);
    }
    let Some(crossing) = crossing else {
        return Executed::default();
    };
    let accepted = execute_at(crossing, &mut offers, lots);
    let volume = held(crossing.volume_mwh);
    let price = (!volume.is_zero()).then(|| accepted.low.midpoint_floor(accepted.high));
    Executed { price, volume, offers }
}

/// Reduces each offer to what executes at `crossing`, and says which prices everyone accepts.
pub(super) fn execute_at(
    crossing: Crossing,
    offers: &mut [Offer],
    lots: &Lots<'_>,
) -> AcceptedPrices {
    let mut accepted = AcceptedPrices::default();
    let mut sells = AtMargin::default();
    let mut buys = AtMargin::default();
    for offer in offers {
        let (at_margin, order) = match offer.side {
            Side::Sell => (&mut sells, crossing.margin.cmp(&offer.limit)),
            Side::Buy => (&mut buys, offer.limit.cmp(&crossing.margin)),
        };
        match order {
            Ordering::Greater => {
                at_margin.better_mwh =
                    at_margin.better_mwh.saturating_add(curve::mwh(offer.energy));
                accepted.narrow(offer.side, true, offer.limit);
            }
            Ordering::Equal => at_margin.offers.push(offer),
            Ordering::Less => {
                offer.energy = Energy::ZERO;
                accepted.narrow(offer.side, false, offer.limit);
            }
        }
    }
    for (side, at_margin) in [(Side::Sell, sells), (Side::Buy, buys)] {
        let energy = held(crossing.volume_mwh.saturating_sub(at_margin.better_mwh));
        let offered = curve::sum(at_margin.offers.iter().map(|offer| offer.energy));
        if !energy.is_zero() {
            accepted.narrow(side, true, crossing.margin);
        }
        if curve::mwh(energy) < offered {
            accepted.narrow(side, false, crossing.margin);
        }
        share::share(energy, at_margin.offers, lots);
    }
    accepted
}

/// One side at the margin.
#[derive(Debug, Default)]
struct AtMargin<'offers> {
    /// The sum of the offers better than the margin, in mWh.
    better_mwh: u128,
    /// The offers that share the rest.
    offers: Vec<&'offers mut Offer>,
}

/// The prices at which nobody would rather have executed more or less, both ends included.
#[derive(Debug)]
pub(super) struct AcceptedPrices {
    /// The highest executed sell limit or excluded buy limit.
    low: Price,
    /// The lowest executed buy limit or excluded sell limit.
    high: Price,
}

impl Default for AcceptedPrices {
    fn default() -> Self {
        Self { low: Price::from_msat_per_kwh(i64::MIN), high: Price::from_msat_per_kwh(i64::MAX) }
    }
}

impl AcceptedPrices {
    /// An offer of `side` at `limit` has energy that executes, or energy that is excluded.
    fn narrow(&mut self, side: Side, executes: bool, limit: Price) {
        if (side == Side::Sell) == executes {
            self.low = self.low.max(limit);
        } else {
            self.high = self.high.min(limit);
        }
    }
}

/// An energy of so many mWh, held at the largest amount.
fn held(mwh: u128) -> Energy {
    Energy::from_milliwatt_hours(u64::try_from(mwh).unwrap_or(u64::MAX))
}
