//! The machines of one site: equal ones that are on or off.
//!
//! Not for: machines whose power can be set in steps. A machine that is on or off is the harder case:
//! what is left of a surplus under one machine's power is lost to it.

use boltgrid_market::strategy::Flexible;
use boltgrid_miners::break_even::{Appetite, BreakEven, Worth};
use boltgrid_miners::machine::{Abilities, Control};
use boltgrid_protocol::units::{Energy, MILLION, Power, Price};

/// What the machines of a site are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machines {
    /// How many there are.
    pub count: u32,
    /// What each draws while it runs.
    pub power: Power,
    /// What a kilowatt-hour is worth to it once it runs.
    pub break_even: Price,
    /// What a start costs, in msat: power that is drawn before it hashes, and wear.
    pub start_msat: i128,
}

/// The shortest run that is worth a start, over which its cost is spread when a machine bids.
const RUN_MS: u64 = 3_600_000;
/// How long a machine takes to follow a command.
const SETTLE_MS: u64 = 30_000;

/// Energy at a cost, the cheapest first, the last one without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// What there is at the first price.
    pub(super) cheap: Energy,
    /// The price of that.
    pub(super) cheap_price: Price,
    /// The price of all else; never below the first.
    pub(super) price: Price,
}

impl Offer {
    /// What so much costs, in nano-satoshi: msat times a million.
    pub(super) fn cost(&self, energy: Energy) -> i128 {
        let cheap = energy.min(self.cheap);
        times(self.cheap_price, cheap) + times(self.price, energy.saturating_sub(cheap))
    }
}

/// Price times energy, in msat times a million.
pub(super) fn times(price: Price, energy: Energy) -> i128 {
    i128::from(price.to_msat_per_kwh()) * i128::from(energy.to_milliwatt_hours())
}

impl Machines {
    /// What one of them takes in `ms`.
    pub(super) fn energy_of_one(&self, ms: u64) -> Energy {
        self.power.energy_over_floor(ms).expect("a machine's energy fits")
    }

    /// What `count` of them draw.
    pub(super) fn draw(&self, count: u32) -> Power {
        Power::from_milliwatts(self.power.to_milliwatts() * i64::from(count))
    }

    /// What `count` of them take in `ms`.
    pub(super) fn energy(&self, count: u32, ms: u64) -> Energy {
        self.draw(count).energy_over_floor(ms).expect("a site's energy fits")
    }

    /// What a start costs, in msat times a million.
    pub(super) fn start(&self) -> i128 {
        self.start_msat * i128::from(MILLION)
    }

    /// What a machine can.
    pub(super) const fn abilities(&self) -> Abilities {
        Abilities {
            control: Control::Switch,
            rated: self.power,
            idle: Power::ZERO,
            settle_ms: SETTLE_MS,
            warm_up_ms: 0,
        }
    }

    /// What power is worth to a machine, before it runs and once it does.
    pub(super) fn worth(&self) -> Worth {
        let run = i128::from(self.energy_of_one(RUN_MS).to_milliwatt_hours()).max(1);
        let start = (self.start() + run - 1).div_euclid(run);
        let break_even = BreakEven {
            hashing_msat_per_kwh: self.break_even,
            start_msat_per_kwh: i64::try_from(start)
                .map_or(self.break_even, Price::from_msat_per_kwh),
            ..BreakEven::default()
        };
        break_even.worth(Appetite::WhenItPays)
    }

    /// What they bid when `running` of them run.
    pub(super) fn bids(&self, running: u32) -> Vec<Flexible> {
        let worth = self.worth();
        let off = self.count - running;
        vec![
            Flexible { worth: worth.to_go_on, power: self.draw(running) },
            Flexible { worth: worth.to_start, power: self.draw(off) },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sat(sat: i64) -> Price {
        Price::from_msat_per_kwh(sat * 1000)
    }

    #[test]
    fn who_runs_bids_for_what_it_earns_and_who_does_not_less_its_start() {
        let power = Power::from_watts(2_500).unwrap();
        let machines = Machines { count: 8, power, break_even: sat(120), start_msat: 10_000 };
        let watts = |watts| Power::from_watts(watts).unwrap();
        let expected = [
            Flexible { worth: sat(120), power: watts(7_500) },
            Flexible { worth: sat(116), power: watts(12_500) },
        ];
        assert_eq!(machines.bids(3), expected, "10 sat over 2.5 kWh");
    }

    #[test]
    fn what_there_is_cheaply_is_taken_first() {
        let cheap = Energy::from_milliwatt_hours(2_000_000);
        let offer = Offer { cheap, cheap_price: sat(80), price: sat(300) };
        let cost = |kwh: u64| offer.cost(Energy::from_milliwatt_hours(kwh * 1_000_000));
        assert_eq!([1, 2, 3].map(|kwh| cost(kwh) / 1_000_000_000), [80, 160, 460]);
    }
}
