//! What the grid connection can carry: offers from beyond it are cut before the auction, so the
//! volume across it never exceeds its capacity.
//! Not for: lines inside the grid.

use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, Price};

use super::offer::Offer;
use super::share::Lots;
use super::{AuctionRules, curve, execution};

/// All offers, those from outside cut to the capacity: sells to the import cap, buys to the export
/// cap. What is cut off does not take part and so does not move the price.
pub(super) fn within_capacity(
    inside: Vec<Offer>,
    outside: &[Offer],
    rules: &AuctionRules,
    lots: &Lots<'_>,
) -> Vec<Offer> {
    let mut offers = inside;
    if !outside.is_empty() {
        offers.extend(cut(outside, (Side::Sell, rules.import_cap), lots));
        offers.extend(cut(outside, (Side::Buy, rules.export_cap), lots));
    }
    offers
}

/// Each side of the offers cut to `cap`.
pub(super) fn cut_both(offers: &[Offer], cap: Energy, lots: &Lots<'_>) -> Vec<Offer> {
    let mut cut_offers = cut(offers, (Side::Sell, cap), lots);
    cut_offers.extend(cut(offers, (Side::Buy, cap), lots));
    cut_offers
}

/// The best of one side's offers, `cap` in all, shared pro rata at the last limit that gets any.
///
/// This is what they would execute against a single counterpart that takes `cap` at any price.
fn cut(offers: &[Offer], (side, cap): (Side, Energy), lots: &Lots<'_>) -> Vec<Offer> {
    let (other, any_price) = match side {
        Side::Sell => (Side::Buy, i64::MAX),
        Side::Buy => (Side::Sell, i64::MIN),
    };
    let mut offers: Vec<Offer> =
        offers.iter().filter(|offer| offer.side == side).copied().collect();
    offers.push(Offer {
        limit: Price::from_msat_per_kwh(any_price),
        energy: cap,
        rank: u32::MAX,
        step: u8::MAX,
        side: other,
    });
    if let Some(crossing) = curve::crossing(&mut offers) {
        execution::execute_at(crossing, &mut offers, lots);
    }
    offers.retain(|offer| offer.side == side && !offer.energy.is_zero());
    offers
}
