//! A battery: what it can do, what a stored kilowatt-hour is worth, and so what it bids and asks.
//!
//! Empty, what it stores next will be sold or saved when energy is dear, so it is worth the high
//! price of the outlook less wear and loss. Full, what it holds can be had again when energy is
//! cheap, so it is worth no more than that. Between the two its worth falls in a straight line. So
//! a battery buys the more eagerly the emptier it is and sells the more readily the fuller it is,
//! and what many batteries bid and ask moves in small steps from interval to interval.

use boltgrid_protocol::units::{Energy, MILLION, NetEnergy, Power, Price, scale_floor};

use super::limit;
use super::outlook::Outlook;

/// In how many parts of graded worth the battery offers what it can do in one interval, each way.
pub(super) const TRANCHES: u64 = 3;

/// What a battery can do, and what its owner asks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Battery {
    /// What it stores when full.
    pub capacity: Energy,
    /// What the owner wants to keep in it; trading leaves it alone.
    pub reserve: Energy,
    /// Most power it takes at its terminals, as a positive amount.
    pub charge_at_most: Power,
    /// Most power it gives at its terminals, as a positive amount.
    pub discharge_at_most: Power,
    /// What arrives of what is moved into it, and again out of it, in parts per million. Nothing is
    /// offered where it is zero, and more than a million counts as a million.
    pub efficiency_ppm: u32,
    /// What giving a kilowatt-hour costs the battery in life.
    pub wear: Price,
}

/// A part of what the battery can do in one interval, at its terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tranche {
    /// Charging pays up to here, or discharging from here on.
    pub(super) limit: Price,
    /// How much, above zero.
    pub(super) energy: Energy,
}

impl Battery {
    /// What will be stored once `committed` went through the terminals, received positive; for a
    /// battery that holds `stored` now and is busy until the delivery in question starts.
    #[must_use]
    pub fn projected(&self, stored: Energy, committed: NetEnergy) -> Energy {
        let charged = self.stored_by(committed.received()).unwrap_or_default();
        let drawn = self.drawn_by(committed.given()).unwrap_or(stored);
        stored.saturating_add(charged).saturating_sub(drawn).min(self.capacity)
    }

    /// What charging over `duration_ms` can take, dearest first, and up to which price it pays.
    pub(super) fn charges(
        &self,
        stored: Energy,
        outlook: Outlook,
        duration_ms: u64,
    ) -> Vec<Tranche> {
        let room = self.capacity.saturating_sub(stored);
        let most =
            self.drawn_by(room).and_then(|most| at_most(most, self.charge_at_most, duration_ms));
        let bid = |energy| {
            let stored = stored.saturating_add(self.stored_by(energy)?);
            let worth = self.worth(stored, outlook)?.bidding;
            limit::scaled_floor(worth, self.efficiency(), MILLION)
        };
        tranches(most.unwrap_or_default(), bid)
    }

    /// What discharging over `duration_ms` can give, cheapest first, and from which price on it
    /// pays.
    pub(super) fn discharges(
        &self,
        stored: Energy,
        outlook: Outlook,
        duration_ms: u64,
    ) -> Vec<Tranche> {
        let spare = stored.min(self.capacity).saturating_sub(self.reserve);
        let most = self
            .stored_by(spare)
            .and_then(|most| at_most(most, self.discharge_at_most, duration_ms));
        let ask = |energy| {
            let stored = stored.saturating_sub(self.drawn_by(energy)?);
            let worth = self.worth(stored, outlook)?.asking;
            limit::plus(limit::scaled_ceil(worth, MILLION, self.efficiency())?, self.wear)
        };
        tranches(most.unwrap_or_default(), ask)
    }

    /// What a stored kilowatt-hour is worth at this state of charge.
    fn worth(&self, stored: Energy, outlook: Outlook) -> Option<Worth> {
        let sold = limit::minus(outlook.high, self.wear)?;
        let empty = limit::scaled_floor(sold, self.efficiency(), MILLION)?;
        let full = limit::scaled_ceil(outlook.low, MILLION, self.efficiency())?;
        let filled = stored.saturating_sub(self.reserve);
        let worth = limit::between(empty, full, filled, self.capacity.saturating_sub(self.reserve));
        // Where the day's spread does not pay for wear and losses, a full battery is worth more
        // than an empty one. Then it bids as if empty and asks as if full, and stays out of the
        // market.
        Some(Worth { bidding: worth.min(empty), asking: worth.max(full) })
    }

    /// What is stored of `energy` that goes in; also what comes out of `energy` that is drawn.
    fn stored_by(&self, energy: Energy) -> Option<Energy> {
        scaled(energy, self.efficiency(), MILLION)
    }

    /// What is drawn to give `energy`; also what goes in to store `energy`.
    fn drawn_by(&self, energy: Energy) -> Option<Energy> {
        scaled(energy, MILLION, self.efficiency())
    }

    fn efficiency(&self) -> u64 {
        u64::from(self.efficiency_ppm).min(MILLION)
    }
}

/// What a stored kilowatt-hour is worth. Invariant: bidding is never above asking.
struct Worth {
    bidding: Price,
    asking: Price,
}

fn scaled(energy: Energy, numerator: u64, denominator: u64) -> Option<Energy> {
    scale_floor(energy.to_milliwatt_hours(), numerator, denominator)
        .ok()
        .map(Energy::from_milliwatt_hours)
}

fn at_most(energy: Energy, power: Power, duration_ms: u64) -> Option<Energy> {
    power.energy_over_floor(duration_ms).ok().map(|most| most.min(energy))
}

/// The energy of all tranches.
pub(super) fn sum(tranches: &[Tranche]) -> Energy {
    tranches.iter().fold(Energy::ZERO, |sum, tranche| sum.saturating_add(tranche.energy))
}

/// `total` in equal parts, each at the limit that holds once it and all before it are used up.
fn tranches(total: Energy, limit_after: impl Fn(Energy) -> Option<Price>) -> Vec<Tranche> {
    let mut used = Energy::ZERO;
    let mut tranches = Vec::new();
    for part in 1..=TRANCHES {
        let after = scaled(total, part, TRANCHES).unwrap_or(total);
        let energy = after.saturating_sub(used);
        used = after;
        if let Some(limit) = limit_after(after)
            && !energy.is_zero()
        {
            tranches.push(Tranche { limit, energy });
        }
    }
    tranches
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLOOK: Outlook =
        Outlook { low: Price::from_msat_per_kwh(-30_000), high: Price::from_msat_per_kwh(300_000) };
    const QUARTER_MS: u64 = 900_000;

    const fn kwh(kwh: u64) -> Energy {
        Energy::from_milliwatt_hours(kwh * MILLION)
    }

    fn battery() -> Battery {
        Battery {
            capacity: kwh(100),
            reserve: kwh(10),
            charge_at_most: Power::from_watts(48_000).unwrap(),
            discharge_at_most: Power::from_watts(24_000).unwrap(),
            efficiency_ppm: 950_000,
            wear: Price::from_msat_per_kwh(20_000),
        }
    }

    fn limits(tranches: &[Tranche]) -> Vec<i64> {
        tranches.iter().map(|tranche| tranche.limit.to_msat_per_kwh()).collect()
    }

    #[test]
    fn bids_fall_as_it_fills_and_asks_rise_as_it_empties() {
        let charges = battery().charges(kwh(55), OUTLOOK, QUARTER_MS);
        let discharges = battery().discharges(kwh(55), OUTLOOK, QUARTER_MS);
        // Halfway between 280 · 0.95 = 266 when empty and −30 / 0.95 = −31.6 when full: 117.2.
        assert_eq!(limits(&charges), [99_413, 87_477, 75_541]);
        assert_eq!(limits(&discharges), [150_707, 158_034, 165_362]);
        assert_eq!(sum(&charges), kwh(12), "48 kW for a quarter of an hour");
        assert_eq!(sum(&discharges), kwh(6), "24 kW for a quarter of an hour");
    }

    #[test]
    fn a_full_battery_only_sells_and_one_at_its_reserve_only_buys() {
        assert_eq!(battery().charges(kwh(100), OUTLOOK, QUARTER_MS), []);
        assert_eq!(sum(&battery().discharges(kwh(100), OUTLOOK, QUARTER_MS)), kwh(6));
        assert_eq!(battery().discharges(kwh(10), OUTLOOK, QUARTER_MS), []);
        assert_eq!(battery().discharges(kwh(3), OUTLOOK, QUARTER_MS), []);
        let eager = battery().charges(kwh(3), OUTLOOK, QUARTER_MS);
        assert_eq!(limits(&eager)[0], 252_700, "what it sells for 300 later, less wear and losses");
    }

    #[test]
    fn what_it_moves_stays_within_its_state_of_charge() {
        let nearly_full = battery().charges(kwh(99), OUTLOOK, QUARTER_MS);
        assert_eq!(sum(&nearly_full), Energy::from_milliwatt_hours(1_052_631));
        let nearly_empty = battery().discharges(kwh(11), OUTLOOK, QUARTER_MS);
        assert_eq!(sum(&nearly_empty), Energy::from_milliwatt_hours(950_000));
    }

    #[test]
    fn it_only_trades_at_a_profit_against_the_rest_of_the_day() {
        // Charging and discharging lose a tenth, and wear costs 20: a spread of 10 does not pay.
        let flat = Outlook {
            low: Price::from_msat_per_kwh(100_000),
            high: Price::from_msat_per_kwh(110_000),
        };
        for stored in [10, 50, 99] {
            let bids = limits(&battery().charges(kwh(stored), flat, QUARTER_MS));
            assert!(bids.iter().all(|bid| *bid <= 81_225), "to sell at 110: {bids:?}");
            let asks = limits(&battery().discharges(kwh(stored), flat, QUARTER_MS));
            assert!(asks.iter().all(|ask| *ask >= 130_803), "after buying at 100: {asks:?}");
        }
    }

    #[test]
    fn what_it_is_busy_with_counts_with_losses_and_within_its_capacity() {
        let projected = |mwh: i64| {
            battery().projected(kwh(50), NetEnergy::from_milliwatt_hours(mwh)).to_milliwatt_hours()
        };
        assert_eq!(projected(10_000_000), 59_500_000);
        assert_eq!(projected(-9_500_000), 40_000_000);
        assert_eq!(projected(i64::MAX), 100_000_000);
        assert_eq!(projected(i64::MIN), 0);
    }
}
