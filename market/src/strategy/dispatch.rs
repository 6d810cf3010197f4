//! What to do in an interval whose outcome is known: the battery's set point, what flexible load takes,
//! and the PV limit.
//!
//! First the meter is to show what was contracted; losses come on top of what was sold. What the site
//! lacks its generator gives, if it runs; what it lacks or has beyond that, the battery covers as far as
//! it is cheaper than the supplier, and flexible load takes what is worth more to it than to the battery
//! or the supplier.
//! What still is too much goes to the supplier, unless PV can be turned down and the supplier would
//! have to be paid for it or the grid connection is full.

use boltgrid_protocol::charter::{Charter, TariffPrices};
use boltgrid_protocol::units::{Energy, OutOfRange, Power, Price};

use super::{Battery, PvControl, Site, Situation, Throttle, battery, curve, flexible};
use crate::settlement::before_losses_ceil;

/// Milliwatt-milliseconds in a milliwatt-hour.
const MW_MS_PER_MWH: i128 = 3_600_000;

/// What the site traded for an interval, by confirmed trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contracted {
    /// What it bought.
    pub bought: Energy,
    /// What it sold, as it arrives at the buyers.
    pub sold: Energy,
}

/// What the site's devices are to do during an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// The battery's power at its terminals, charging positive.
    pub battery: Power,
    /// The most that PV may give, as a positive amount; `None` for all it can.
    pub pv_at_most: Option<Power>,
    /// What flexible load takes, if nothing comes otherwise than expected.
    pub flexible: Power,
    /// What its generator gives, if nothing comes otherwise than expected; as a positive amount.
    pub generator: Power,
    /// What the meter is to show on average: what was bought less what was sold and is lost on the way.
    pub net: Power,
}

/// What to do during the interval of `situation`. Where numbers are beyond what energy can be,
/// nothing.
#[must_use]
pub fn dispatch(
    charter: &Charter,
    site: &Site,
    situation: &Situation,
    contracted: &Contracted,
    throttle: Throttle,
) -> Dispatch {
    let interval_ms = charter.interval.interval_ms;
    let prices = charter.tariff.at(charter.interval.start_of(situation.interval));
    let delivery = Delivery { site, situation, contracted, prices, interval_ms };
    delivery.dispatch(charter.connection.loss_ppm, throttle).unwrap_or_default()
}

/// Amounts in here are mWh over the interval, in 128 bits, where no sum of amounts overflows.
struct Delivery<'a> {
    site: &'a Site,
    situation: &'a Situation,
    contracted: &'a Contracted,
    prices: TariffPrices,
    interval_ms: u64,
}

impl Delivery<'_> {
    fn dispatch(&self, loss_ppm: u32, throttle: Throttle) -> Result<Dispatch, OutOfRange> {
        let net = curve::net(&self.situation.expected, self.interval_ms)?;
        let sold = before_losses_ceil(self.contracted.sold, loss_ppm)?;
        let contract = mwh(self.contracted.bought).saturating_sub(mwh(sold));
        let lack = i128::from(net.to_milliwatt_hours()).saturating_sub(contract);
        let runs_first = self.runs_first(lack)?;
        let lack = lack.saturating_add(runs_first);
        let generated = self.generated(lack)?;
        let lack = lack.saturating_sub(generated);
        let charge = self.site.battery.map_or(0, |battery| self.cover(&battery, lack));
        let lack = lack.saturating_add(charge);
        let runs = self.runs(lack, runs_first)?;
        let lack = lack.saturating_add(runs);
        let takes = runs_first.saturating_add(runs);
        let fed = self.fed(generated, takes)?;
        Ok(Dispatch {
            battery: power_ceil(charge, self.interval_ms),
            pv_at_most: self.pv_at_most(lack, throttle)?,
            flexible: power_ceil(takes.saturating_add(fed), self.interval_ms),
            generator: power_ceil(generated.saturating_add(fed), self.interval_ms),
            net: power_ceil(contract, self.interval_ms),
        })
    }

    /// What flexible load takes before the battery is asked: what is worth more to it than the
    /// supplier's power costs, and of the spare what is worth more to it than to the battery.
    fn runs_first(&self, lack: i128) -> Result<i128, OutOfRange> {
        let retail = self.prices.retail_msat_per_kwh;
        let loads = &self.situation.flexible;
        // Whoever has sold its power bids for it no more.
        let is_free = self.contracted.sold.is_zero();
        let always =
            mwh(flexible::taken(loads, |worth| is_free && worth > retail, self.interval_ms)?);
        let Some(battery) = &self.site.battery else { return Ok(always) };
        let Situation { stored, outlook, .. } = *self.situation;
        let charges = battery.charges(stored, outlook, self.interval_ms);
        let Some(dearest) = charges.first().map(|tranche| tranche.limit) else { return Ok(always) };
        let least = dearest.max(self.spare_brings());
        let before = mwh(flexible::taken(loads, |worth| worth > least, self.interval_ms)?);
        Ok(before.min(lack.saturating_neg()).max(always))
    }

    /// What the generator gives of what the site lacks, before the battery is asked: as that it keeps a
    /// contract at any price, and gives no more where the supplier is cheaper.
    fn generated(&self, lack: i128) -> Result<i128, OutOfRange> {
        let Some(generation) = self.situation.generation else { return Ok(0) };
        let pays =
            !self.contracted.sold.is_zero() || generation.cost <= self.prices.retail_msat_per_kwh;
        let able = mwh(generation.energy(self.interval_ms)?);
        Ok(if pays { lack.clamp(0, able) } else { 0 })
    }

    /// What flexible load takes of what the generator could give beyond that, where more than `taken` of
    /// it is worth more than the generator costs.
    fn fed(&self, generated: i128, taken: i128) -> Result<i128, OutOfRange> {
        let Some(generation) = self.situation.generation else { return Ok(0) };
        let loads = &self.situation.flexible;
        let pays = |worth| worth > generation.cost;
        let willing = mwh(flexible::taken(loads, pays, self.interval_ms)?);
        let left = mwh(generation.energy(self.interval_ms)?).saturating_sub(generated);
        Ok(willing.saturating_sub(taken).min(left).max(0))
    }

    /// What flexible load takes of what is spare then, where more than `taken` of it is willing. As the
    /// battery it keeps a contract at any price.
    fn runs(&self, lack: i128, taken: i128) -> Result<i128, OutOfRange> {
        let least = self.spare_brings();
        let loads = &self.situation.flexible;
        let bought = !self.contracted.bought.is_zero();
        let willing = |worth| bought || worth > least;
        let willing = mwh(flexible::taken(loads, willing, self.interval_ms)?);
        Ok(willing.saturating_sub(taken).min(lack.saturating_neg()).max(0))
    }

    /// What a kilowatt-hour brings that nobody takes: PV that can be turned down costs nothing.
    fn spare_brings(&self) -> Price {
        let feed_in = self.prices.feed_in_msat_per_kwh;
        match self.site.pv {
            PvControl::MustRun => feed_in,
            PvControl::Curtailable => feed_in.max(Price::ZERO),
        }
    }

    /// What the battery takes, or gives where negative, so that the site lacks and spares less.
    ///
    /// It keeps a contract at any price: the order named one at which it pays. Beyond the contract
    /// it gives what is cheaper from it than from the supplier, and takes what is worth more in it.
    fn cover(&self, battery: &Battery, lack: i128) -> i128 {
        let Situation { stored, outlook, .. } = *self.situation;
        let able = if lack > 0 {
            battery.discharges(stored, outlook, self.interval_ms)
        } else {
            battery.charges(stored, outlook, self.interval_ms)
        };
        let (retail, spare_brings) = (self.prices.retail_msat_per_kwh, self.spare_brings());
        let willing = able.into_iter().filter(|tranche| {
            if lack > 0 {
                !self.contracted.sold.is_zero() || tranche.limit <= retail
            } else {
                !self.contracted.bought.is_zero() || tranche.limit >= spare_brings
            }
        });
        let most = mwh(battery::sum(&willing.collect::<Vec<_>>()));
        lack.saturating_neg().clamp(most.saturating_neg(), most)
    }

    /// The limit for PV when the site, its battery included, still lacks `lack`, or spares it where
    /// negative.
    fn pv_at_most(&self, lack: i128, throttle: Throttle) -> Result<Option<Power>, OutOfRange> {
        let spare = u64::try_from(lack.saturating_neg()).unwrap_or(0);
        let spare = Energy::from_milliwatt_hours(spare);
        let worthless = self.prices.feed_in_msat_per_kwh.is_negative();
        let let_out = if worthless { Energy::ZERO } else { throttle.let_out(spare) };
        if self.site.pv == PvControl::MustRun || (!worthless && let_out == spare) {
            return Ok(None);
        }
        let expected = self.situation.expected.pv.max(Power::ZERO);
        let expected = mwh(expected.energy_over_floor(self.interval_ms)?);
        let used = expected.saturating_add(lack).max(0);
        Ok(Some(power_ceil(used.saturating_add(mwh(let_out)), self.interval_ms)))
    }
}

/// The power that moves `energy_mwh` over the interval, rounded away from zero: a meter that shows a
/// little too much keeps the contract, one that shows too little does not.
fn power_ceil(energy_mwh: i128, interval_ms: u64) -> Power {
    let interval_ms = i128::from(interval_ms);
    let moved = energy_mwh.saturating_abs().saturating_mul(MW_MS_PER_MWH);
    let rounded_up = moved.saturating_add(interval_ms.saturating_sub(1));
    let mw = rounded_up.checked_div_euclid(interval_ms).unwrap_or(0);
    let mw = i64::try_from(mw.saturating_mul(energy_mwh.signum())).unwrap_or(0);
    Power::from_milliwatts(mw)
}

fn mwh(energy: Energy) -> i128 {
    i128::from(energy.to_milliwatt_hours())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_moves_its_energy_and_less_than_one_unit_of_power_more() {
        for (energy_mwh, interval_ms) in [(1, 10_001), (999, 7_000), (-5, 300_000), (0, 1)] {
            let power = power_ceil(energy_mwh, interval_ms).to_milliwatts();
            let moved = |mw: i64| i128::from(mw.abs()) * i128::from(interval_ms);
            assert!(moved(power) >= energy_mwh.abs() * MW_MS_PER_MWH);
            assert!(power == 0 || moved(power.abs() - 1) < energy_mwh.abs() * MW_MS_PER_MWH);
            assert_eq!(i128::from(power.signum()), energy_mwh.signum());
        }
    }
}
