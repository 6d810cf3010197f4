//! Pairs that the orders name: channel partners of each other, then preferences.
//! `naming` is the ranks of the orders that name anybody.
//! Not for: who is left over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use boltgrid_protocol::order::{PREFERENCES_MAX, Preference, Side, Source};
use boltgrid_protocol::units::Energy;

use super::offer::{Offer, Ranked};
use super::pairing::Pairing;

/// Energy without bound, for a trade that only its two sides limit.
const ANY: Energy = Energy::from_milliwatt_hours(u64::MAX);

/// Pairs sellers and buyers whose orders name each other as channel partners. Pairs that can trade
/// most go first, then by seller and buyer.
pub(super) fn along_channels(pairing: &mut Pairing<'_>, naming: &[u32]) {
    let mut pairs = Vec::new();
    for seller in naming.iter().copied() {
        let supply = pairing.left(seller, Side::Sell);
        if supply.is_zero() {
            continue;
        }
        for buyer in mutual_partners(pairing.ranked, seller) {
            let demand = pairing.left(buyer, Side::Buy);
            if !demand.is_zero() {
                pairs.push((Reverse(supply.min(demand)), seller, buyer));
            }
        }
    }
    pairs.sort_unstable();
    for (_, seller, buyer) in pairs {
        pairing.trade(seller, buyer, ANY);
    }
}

/// The ranks of the orders that this one names as channel partners and that name it, too.
fn mutual_partners<'book>(
    ranked: &'book Ranked<'book>,
    rank: u32,
) -> impl Iterator<Item = u32> + use<'book> {
    ranked.get(rank).into_iter().flat_map(move |order| {
        let partners = order.order.channel_partners.iter();
        partners.filter_map(|partner| ranked.find(*partner)).filter(move |partner| {
            let partner = ranked.get(*partner).map(|partner| &partner.order.channel_partners);
            partner.is_some_and(|named| named.contains(&order.participant))
        })
    })
}

/// Fulfils preferences as far as possible: everyone's first, then everyone's second, and so on. Those
/// with most energy left choose first, then by rank.
pub(super) fn along_preferences(pairing: &mut Pairing<'_>, naming: &[u32], executed: &[Offer]) {
    let mut stock = None;
    for place in 0..PREFERENCES_MAX {
        let wishes = wishes(pairing, naming, place);
        if wishes.is_empty() {
            return; // Whoever has no wish in one place has none in the next.
        }
        for (_, rank, side, preference) in wishes {
            match preference {
                Preference::Partner(partner) => {
                    if let Some(partner) = pairing.ranked.find(partner) {
                        trade(pairing, (rank, side), partner, ANY);
                    }
                }
                Preference::Source(source) => stock
                    .get_or_insert_with(|| Stock::new(pairing.ranked, executed))
                    .serve(pairing, (rank, side), source),
            }
        }
    }
}

/// What those with energy left wish for in this place of their preferences.
fn wishes(
    pairing: &Pairing<'_>,
    naming: &[u32],
    place: usize,
) -> Vec<(Reverse<Energy>, u32, Side, Preference)> {
    let mut wishes: Vec<_> = naming
        .iter()
        .filter_map(|rank| {
            let seat = pairing.open_seat(*rank)?;
            let preference = pairing.ranked.get(*rank)?.order.preferences.get(place)?;
            Some((Reverse(seat.left), *rank, seat.side, *preference))
        })
        .collect();
    wishes.sort_unstable_by_key(|(left, rank, ..)| (*left, *rank));
    wishes
}

/// Trades between somebody on `side` and somebody on the other side.
fn trade(pairing: &mut Pairing<'_>, one: (u32, Side), other: u32, most: Energy) -> Energy {
    match one {
        (buyer, Side::Buy) => pairing.trade(other, buyer, most),
        (seller, Side::Sell) => pairing.trade(seller, other, most),
    }
}

/// The executed steps by the source behind them, each used as far as it goes, the largest first.
#[derive(Debug)]
struct Stock {
    steps: BTreeMap<(Side, Source), VecDeque<(Energy, u32)>>,
}

impl Stock {
    fn new(ranked: &Ranked<'_>, executed: &[Offer]) -> Self {
        let mut steps: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for offer in executed.iter().filter(|offer| !offer.energy.is_zero()) {
            let order = ranked.get(offer.rank);
            if let Some(step) =
                order.and_then(|order| order.order.steps.get(usize::from(offer.step)))
            {
                steps
                    .entry((offer.side, step.source))
                    .or_default()
                    .push((Reverse(offer.energy), offer.rank));
            }
        }
        let sorted = |mut steps: Vec<(Reverse<Energy>, u32)>| {
            steps.sort_unstable();
            steps.into_iter().map(|(Reverse(energy), rank)| (energy, rank)).collect()
        };
        Self { steps: steps.into_iter().map(|(key, steps)| (key, sorted(steps))).collect() }
    }

    /// Trades with steps of this source on the other side, as far as both go.
    fn serve(&mut self, pairing: &mut Pairing<'_>, (rank, side): (u32, Side), source: Source) {
        let other = match side {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        let Some(steps) = self.steps.get_mut(&(other, source)) else { return };
        while let Some((energy, partner)) = steps.front_mut() {
            let traded = trade(pairing, (rank, side), *partner, *energy);
            *energy = energy.saturating_sub(traded);
            if pairing.left(rank, side).is_zero() {
                return;
            }
            // The step, or whoever stands behind it, has no more to give.
            steps.pop_front();
        }
    }
}
