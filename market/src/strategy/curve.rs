//! The site as one net curve over the price: how much it takes or gives when energy costs so much.
//!
//! Load, PV, battery and miners sit behind one meter, so they cannot trade with each other or both ways:
//! what an order offers is their sum. When energy is free the site takes the most it can; as the
//! price rises, its flexible parts answer one after another, each by taking less or giving more,
//! until it gives the most it can. While the sum is still taking, an answer withdraws a purchase,
//! so it is a step to buy; once the sum gives, it is a step to sell. Every step to buy therefore
//! comes before every step to sell. So a battery that asks less than the retail price covers the
//! site's own load before it sells, and is itself undercut where the market is cheaper than its
//! ask.

use boltgrid_protocol::units::{Energy, NetEnergy, OutOfRange, Power, Price};

use super::battery::{self, Tranche};
use super::{Flexible, Generation, PvControl, Sample, Site, Situation};

/// By what a site answers to a rising price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// It no longer turns PV down.
    Pv,
    /// It no longer charges.
    Charge,
    /// It discharges.
    Discharge,
    /// Flexible load no longer runs.
    Flexible,
    /// Its generator gives.
    Generator,
}

/// An answer to prices above a limit: so much less taken, or more given, than below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) means: Means,
    pub(super) limit: Price,
    pub(super) energy: Energy,
}

/// One site's net curve for one interval.
///
/// Invariants: no limit of `bought` is above one of `sold`, both ascend; `needed` is zero unless
/// `sold` is empty, and `pressed` is zero unless `bought` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetCurve {
    /// What is bought below a limit.
    pub(super) bought: Vec<Answer>,
    /// What is sold above a limit.
    pub(super) sold: Vec<Answer>,
    /// What is taken at any price.
    pub(super) needed: Energy,
    /// What is given at any price.
    pub(super) pressed: Energy,
}

impl NetCurve {
    /// The curve of a site in a situation in which the supplier gives `feed_in` for surplus.
    pub(super) fn new(
        site: &Site,
        situation: &Situation,
        interval_ms: u64,
        feed_in: Price,
    ) -> Result<Self, OutOfRange> {
        let Situation { expected, stored, outlook, flexible, generation, .. } = situation;
        let net = net(expected, interval_ms)?;
        let mut answers = Vec::new();
        let (mut needed, mut given) = (net.received(), net.given());
        if let Some(battery) = &site.battery {
            let charges = battery.charges(*stored, *outlook, interval_ms);
            needed = needed.checked_add(battery::sum(&charges)).ok_or(OutOfRange)?;
            // Where energy is worth less than nothing, to charge and to discharge can both seem to
            // pay, but a battery cannot do both.
            let dearest = charges.first().map(|tranche| tranche.limit);
            let discharges = battery.discharges(*stored, *outlook, interval_ms);
            answers.extend(charges.into_iter().map(|Tranche { limit, energy }| Answer {
                means: Means::Charge,
                limit,
                energy,
            }));
            answers.extend(discharges.into_iter().map(|Tranche { limit, energy }| {
                let limit = dearest.map_or(limit, |dearest| dearest.max(limit));
                Answer { means: Means::Discharge, limit, energy }
            }));
        }
        for load in flexible {
            let Flexible { worth: limit, .. } = *load;
            let energy = load.energy(interval_ms)?;
            needed = needed.checked_add(energy).ok_or(OutOfRange)?;
            answers.push(Answer { means: Means::Flexible, limit, energy });
        }
        if let Some(generation) = generation {
            let Generation { cost: limit, .. } = *generation;
            let energy = generation.energy(interval_ms)?;
            answers.push(Answer { means: Means::Generator, limit, energy });
        }
        if feed_in.is_negative() && site.pv == PvControl::Curtailable && !given.is_zero() {
            // Turning down costs nothing then, so it pays as soon as others pay to be rid of
            // theirs. What serves the site's own load is left alone.
            answers.push(Answer { means: Means::Pv, limit: Price::ZERO, energy: given });
            given = Energy::ZERO;
        }
        answers.sort_by_key(|answer| answer.limit);
        Ok(Self::of(answers, needed.saturating_sub(given), given.saturating_sub(needed)))
    }

    /// The curve that starts at `taken` less `pressed`, one of which is zero, and answers so.
    fn of(answers: Vec<Answer>, mut taken: Energy, pressed: Energy) -> Self {
        let (mut bought, mut sold) = (Vec::new(), Vec::new());
        for answer in answers {
            let buy = answer.energy.min(taken);
            let sell = answer.energy.saturating_sub(buy);
            taken = taken.saturating_sub(buy);
            bought.extend((!buy.is_zero()).then_some(Answer { energy: buy, ..answer }));
            sold.extend((!sell.is_zero()).then_some(Answer { energy: sell, ..answer }));
        }
        Self { bought, sold, needed: taken, pressed }
    }
}

/// What the site would take without its battery and with all its PV.
pub(super) fn net(expected: &Sample, interval_ms: u64) -> Result<NetEnergy, OutOfRange> {
    let energy = |power: Power| power.max(Power::ZERO).energy_over_floor(interval_ms);
    NetEnergy::between(energy(expected.load)?, energy(expected.pv)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(means: Means, limit: i64, mwh: u64) -> Answer {
        let energy = Energy::from_milliwatt_hours(mwh);
        Answer { means, limit: Price::from_msat_per_kwh(limit), energy }
    }

    fn curve(answers: &[Answer], taken: u64, pressed: u64) -> NetCurve {
        let [taken, pressed] = [taken, pressed].map(Energy::from_milliwatt_hours);
        NetCurve::of(answers.to_vec(), taken, pressed)
    }

    #[test]
    fn a_battery_covers_the_load_from_its_ask_on_and_then_sells() {
        // The load takes 5; the battery can charge 2 and discharge 8.
        let answers = [answer(Means::Charge, 90, 2), answer(Means::Discharge, 150, 8)];
        let curve = curve(&answers, 5 + 2, 0);
        let load = answer(Means::Discharge, 150, 5);
        assert_eq!(curve.bought, [answer(Means::Charge, 90, 2), load]);
        assert_eq!(curve.sold, [answer(Means::Discharge, 150, 3)]);
        assert_eq!(curve.needed, Energy::ZERO);
    }

    #[test]
    fn what_the_battery_cannot_cover_is_needed_at_any_price() {
        let curve = curve(&[answer(Means::Discharge, 150, 3)], 5, 0);
        assert_eq!(curve.needed, Energy::from_milliwatt_hours(2));
        assert_eq!(curve.sold, []);
    }

    #[test]
    fn a_miner_bids_for_its_power_and_with_surplus_asks_for_it() {
        let miner = [answer(Means::Flexible, 120, 3)];
        assert_eq!(curve(&miner, 4 + 3, 0).bought, miner, "beside a load of 4");
        assert_eq!(curve(&miner, 4 + 3, 0).needed, Energy::from_milliwatt_hours(4));
        // PV gives 5 more than the load takes: 2 at any price, the miner's 3 from its limit on.
        let surplus = curve(&miner, 0, 5 - 3);
        assert_eq!(
            (surplus.sold, surplus.pressed),
            (miner.to_vec(), Energy::from_milliwatt_hours(2))
        );
    }

    #[test]
    fn surplus_is_sold_from_where_it_beats_charging() {
        // PV gives 5 more than the load takes; the battery can charge 2.
        let answers = [answer(Means::Charge, 90, 2), answer(Means::Discharge, 150, 8)];
        let curve = curve(&answers, 0, 5 - 2);
        assert_eq!(curve.pressed, Energy::from_milliwatt_hours(3));
        assert_eq!(curve.sold, answers);
        assert_eq!(curve.bought, []);
    }
}
