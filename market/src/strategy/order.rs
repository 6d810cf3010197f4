//! The order for an interval: the site's net curve within tariff, owner's limits and ratings.
//!
//! Nobody does worse by its order than without it: it buys at most at the retail price and sells at
//! least at the feed-in price, and since the seller bears the lines' losses it offers what arrives
//! and asks that much more for it. One exception: must-run PV for which the grid connection has no
//! room is offered down to the floor of the price band, in steps, because it has to go somewhere.

use boltgrid_protocol::charter::{Charter, PriceBand};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::{Order, Preference, STEPS_MAX, Side, Source, Step};
use boltgrid_protocol::units::{Energy, MILLION, Power, Price};

use super::battery::TRANCHES;
use super::connection::without_room;
use super::curve::{Answer, Means, NetCurve};
use super::{Contracted, PvControl, Site, Situation, limit, steps};
use crate::GridPower;

/// In how many steps must-run surplus without room goes down to the floor, where there are as many.
const PRESS_STEPS: usize = 4;

// Each tranche of the battery each way, turning down PV, and one of these bought in part; steps of
// flexible load are laid together where there are more.
const _: () = assert!(2 * TRANCHES + 2 <= STEPS_MAX as u64);

/// Whom the site knows and prefers; passed on in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relations<'a> {
    /// Members with whom a payment channel is open.
    pub channel_partners: &'a [RosterIndex],
    /// Whom or what to trade with rather.
    pub preferences: &'a [Preference],
}

/// The site's order for the interval of `situation`; `None` when it has nothing to trade, its owner
/// does not want to, or its numbers are beyond what energy can be.
///
/// It passes [`Order::check`] if the site's ratings are those of its enrolment and `relations` are
/// fit for an order.
#[must_use]
pub fn order(
    charter: &Charter,
    site: &Site,
    situation: &Situation,
    grid: &GridPower,
    relations: &Relations<'_>,
) -> Option<Order> {
    if !site.limits.trade {
        return None;
    }
    let interval_ms = charter.interval.interval_ms;
    let terms = Terms::new(charter, site, situation);
    let curve = NetCurve::new(site, situation, interval_ms, terms.feed_in).ok()?;
    let no_room = match site.pv {
        PvControl::MustRun => {
            without_room(grid, curve.pressed, charter.connection.export_capacity())
        }
        PvControl::Curtailable => Energy::ZERO,
    };
    let mut sells = terms.sells(&curve, no_room);
    let mut buys = terms.buys(&curve);
    keep_apart(&mut buys, &sells, &charter.price);
    // What is worth least to the site goes first where the connection point is too weak for all.
    buys.sort_by_key(|step| std::cmp::Reverse(step.limit_msat_per_kwh));
    sells.sort_by_key(|step| step.limit_msat_per_kwh);
    within(&mut buys, site.rated_import.energy_over_floor(interval_ms).ok()?);
    let arriving = terms.arriving(site.rated_export.energy_over_floor(interval_ms).ok()?);
    within(&mut sells, arriving);
    steps::at_most(STEPS_MAX, &mut buys, &mut sells);
    let steps: Vec<Step> = buys.into_iter().chain(sells).collect();
    (!steps.is_empty()).then(|| Order {
        steps,
        channel_partners: relations.channel_partners.to_vec(),
        preferences: relations.preferences.to_vec(),
        ..Order::default()
    })
}

/// What is left of an order beside what was traded ahead: the best of what the site would sell
/// serves what it has sold, and of what it would buy what it has bought. `None` where that is all.
#[must_use]
pub fn beside(mut order: Order, ahead: &Contracted) -> Option<Order> {
    let (mut sold, mut bought) = (ahead.sold, ahead.bought);
    order.steps.sort_by_key(|step| step.limit_msat_per_kwh);
    let serve = |step: &mut Step, left: &mut Energy| {
        let served = step.energy_mwh.min(*left);
        step.energy_mwh = step.energy_mwh.saturating_sub(served);
        *left = left.saturating_sub(served);
    };
    // The cheapest to sell come first, the dearest to buy last.
    for step in order.steps.iter_mut().filter(|step| step.side == Side::Sell) {
        serve(step, &mut sold);
    }
    for step in order.steps.iter_mut().rev().filter(|step| step.side == Side::Buy) {
        serve(step, &mut bought);
    }
    order.steps.retain(|step| !step.energy_mwh.is_zero());
    (!order.steps.is_empty()).then_some(order)
}

/// What a step may cost and what it is called.
struct Terms {
    band: PriceBand,
    retail: Price,
    feed_in: Price,
    loss_ppm: u32,
    buy_at_most: Option<Price>,
    sell_at_least: Option<Price>,
    pv: Source,
}

impl Terms {
    fn new(charter: &Charter, site: &Site, situation: &Situation) -> Self {
        let tariff = charter.tariff.at(charter.interval.start_of(situation.interval));
        Self {
            band: charter.price,
            retail: tariff.retail_msat_per_kwh,
            feed_in: tariff.feed_in_msat_per_kwh,
            loss_ppm: charter.connection.loss_ppm,
            buy_at_most: site.limits.buy_at_most,
            sell_at_least: site.limits.sell_at_least,
            pv: match site.pv {
                // What is kept from miners is the generator's there.
                _ if situation.generation.is_some() && situation.expected.pv <= Power::ZERO => {
                    Source::Generator
                }
                PvControl::Curtailable => Source::Pv,
                PvControl::MustRun => Source::PvMustRun,
            },
        }
    }

    fn buys(&self, curve: &NetCurve) -> Vec<Step> {
        let needed = (Source::Load, curve.needed, self.retail);
        let steps = curve.bought.iter().map(|answer| {
            let source = match answer.means {
                // The load, from the market instead of from the battery or the generator.
                Means::Discharge | Means::Generator => Source::Load,
                // The battery, from the market instead of from PV.
                Means::Charge | Means::Pv => Source::Battery,
                Means::Flexible => Source::Miner,
            };
            (source, answer.energy, answer.limit)
        });
        let steps = steps.chain([needed]).filter_map(|(source, energy, limit)| {
            let limit_msat_per_kwh = self.buy_limit(limit)?;
            Some(Step { side: Side::Buy, source, energy_mwh: energy, limit_msat_per_kwh })
        });
        merged(steps)
    }

    fn sells(&self, curve: &NetCurve, no_room: Energy) -> Vec<Step> {
        let has_room = curve.pressed.saturating_sub(no_room);
        let lowest = self.sell_limit(self.band.floor_msat_per_kwh);
        let answers = curve.sold.iter().map(|answer: &Answer| {
            let source = match answer.means {
                Means::Discharge => Source::Battery,
                Means::Generator => Source::Generator,
                // PV goes to the market instead of to the battery or a miner, or is not turned down.
                Means::Charge | Means::Pv | Means::Flexible => self.pv,
            };
            (source, answer.energy, self.sell_limit(answer.limit))
        });
        let steps_left = STEPS_MAX.saturating_sub(curve.sold.len()).saturating_sub(1);
        let pressed = self.pressed(no_room, lowest, steps_left.clamp(1, PRESS_STEPS));
        let steps = answers.chain([(self.pv, has_room, lowest)]).chain(pressed);
        let steps = steps.filter_map(|(source, energy, limit)| {
            let (side, energy_mwh) = (Side::Sell, self.arriving(energy));
            Some(Step { side, source, energy_mwh, limit_msat_per_kwh: limit? })
        });
        merged(steps)
    }

    /// Must-run surplus without room, in equal steps from `start` down to the least the owner
    /// takes.
    fn pressed(
        &self,
        energy: Energy,
        start: Option<Price>,
        steps: usize,
    ) -> impl Iterator<Item = (Source, Energy, Option<Price>)> {
        let floor = self.band.floor_msat_per_kwh;
        let start = start.unwrap_or(self.band.ceiling_msat_per_kwh);
        let end = self.sell_at_least.map_or(floor, |least| least.max(floor));
        let steps = if end <= start { steps } else { 0 };
        let whole = Energy::from_milliwatt_hours(u64::try_from(steps).unwrap_or(0));
        let part_of = move |all: Energy, part| all.share_floor(part, whole).unwrap_or_default();
        (1..=whole.to_milliwatt_hours()).map(move |number| {
            let part = Energy::from_milliwatt_hours(number);
            let before = Energy::from_milliwatt_hours(number.saturating_sub(1));
            let energy = part_of(energy, part).saturating_sub(part_of(energy, before));
            (self.pv, energy, Some(limit::between(start, end, part, whole)))
        })
    }

    /// The highest price to buy at where the site would pay `limit`, if any is inside the band.
    fn buy_limit(&self, limit: Price) -> Option<Price> {
        let limit = limit.min(self.retail).min(self.band.ceiling_msat_per_kwh);
        let limit = self.buy_at_most.map_or(limit, |most| most.min(limit));
        (limit >= self.band.floor_msat_per_kwh).then_some(limit)
    }

    /// The lowest price to sell at where the site asks `limit` for what leaves it, if any is inside
    /// the band.
    fn sell_limit(&self, limit: Price) -> Option<Price> {
        let kept_ppm = MILLION.saturating_sub(u64::from(self.loss_ppm));
        let arriving = limit::scaled_ceil(limit.max(self.feed_in), MILLION, kept_ppm)?;
        let least = self.sell_at_least.unwrap_or(self.band.floor_msat_per_kwh);
        let limit = arriving.max(least).max(self.band.floor_msat_per_kwh);
        (limit <= self.band.ceiling_msat_per_kwh).then_some(limit)
    }

    fn arriving(&self, energy: Energy) -> Energy {
        energy.after_loss_floor(self.loss_ppm)
    }
}

/// The steps that have energy, those of one source and limit as one.
fn merged(steps: impl Iterator<Item = Step>) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::new();
    for step in steps.filter(|step| !step.energy_mwh.is_zero()) {
        let same = |other: &&mut Step| {
            (other.source, other.limit_msat_per_kwh) == (step.source, step.limit_msat_per_kwh)
        };
        match merged.iter_mut().find(same) {
            Some(other) => other.energy_mwh = other.energy_mwh.saturating_add(step.energy_mwh),
            None => merged.push(step),
        }
    }
    merged
}

/// Lowers what is bought at or above the lowest price of what is sold to just below it. The net
/// curve leaves them at most equal, where one answer is bought in part; rounding for losses can
/// cross them.
fn keep_apart(buys: &mut Vec<Step>, sells: &[Step], band: &PriceBand) {
    let Some(lowest) = sells.iter().map(|step| step.limit_msat_per_kwh).min() else { return };
    let Some(below) = limit::minus(lowest, Price::from_msat_per_kwh(1)) else { return };
    for step in buys.iter_mut() {
        step.limit_msat_per_kwh = step.limit_msat_per_kwh.min(below);
    }
    buys.retain(|step| step.limit_msat_per_kwh >= band.floor_msat_per_kwh);
}

/// Cuts the steps, best first, to `most` energy.
fn within(steps: &mut Vec<Step>, most: Energy) {
    let mut left = most;
    for step in steps.iter_mut() {
        step.energy_mwh = step.energy_mwh.min(left);
        left = left.saturating_sub(step.energy_mwh);
    }
    steps.retain(|step| !step.energy_mwh.is_zero());
}
