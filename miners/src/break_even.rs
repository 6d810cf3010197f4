//! Break-even: the price of a kilowatt-hour at which a machine neither earns nor loses, in its parts.
//!
//! Pure integers, each part rounded against mining: what it earns down, what it costs up. So a machine
//! that runs at its break-even never runs at a loss that rounding hides.
//! Not for: where the hashprice comes from ([`crate::hashprice`]), or which machine runs
//! ([`crate::plan`]).

use boltgrid_protocol::units::{Energy, MILLION, Msat, Power, Price};
use serde::{Deserialize, Serialize};

use crate::hash::{Efficiency, Hashprice};

/// Terahashes a day at one a second.
const TH_PER_TH_DAY: u128 = 86_400;
/// Millijoules in a kilowatt-hour.
const MJ_PER_KWH: u128 = 3_600_000_000;

/// What makes up a machine's break-even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// What hashing earns; `None` while nobody knows, which counts as nothing.
    pub hashprice: Option<Hashprice>,
    /// What the machine takes for its hashes; `None` while it is yet to be seen.
    pub efficiency: Option<Efficiency>,
    /// What the pool keeps, in parts per million.
    pub pool_fee_ppm: u32,
    /// What running wears the machine by.
    pub wear: Price,
    /// What a start costs: wear, and power that is drawn before it hashes.
    pub start: Msat,
    /// The energy of the shortest run that is worth a start, over which that cost is spread.
    pub run: Energy,
    /// What the heat of a kilowatt-hour replaces, where heat is wanted.
    pub heat: Option<Price>,
}

/// A machine's break-even in its parts, all in msat/kWh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakEven {
    /// What the pool credits for a kilowatt-hour of hashes, rounded down.
    pub hashing_msat_per_kwh: Price,
    /// What the pool keeps of it, rounded up.
    pub pool_fee_msat_per_kwh: Price,
    /// What running wears the machine by.
    pub wear_msat_per_kwh: Price,
    /// What a start costs, spread over the shortest run, rounded up.
    pub start_msat_per_kwh: Price,
    /// What the heat replaces.
    pub heat_msat_per_kwh: Price,
}

/// What the owner wants to mine for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Appetite {
    /// Whenever power costs less than it earns.
    #[default]
    WhenItPays,
    /// Only for somebody else's money.
    OnlyWhenNegative,
    /// At this price and below, whatever hashing earns.
    BelowMsatPerKwh(Price),
}

/// What power is worth to a machine, once it runs and before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worth {
    /// The highest price at which it is started.
    pub to_start: Price,
    /// The highest price at which it goes on; never below the other.
    pub to_go_on: Price,
}

/// The highest price that is negative.
const NEGATIVE: Price = Price::from_msat_per_kwh(-1);

impl BreakEven {
    /// The break-even of a machine.
    ///
    /// Hashing: a kilowatt-hour is 3.6·10⁹ mJ, so 3.6·10⁹ / E hashes of 10¹² at E mJ/TH, and a
    /// hashprice of h pays h for 86 400 of them: h · 3.6·10⁹ / (86 400 · E). It is the usual
    /// h\[sat/TH/day\] · 1000 / (24 · E\[J/TH\]).
    #[must_use]
    pub fn of(inputs: &Inputs) -> Self {
        let hashing = inputs.hashprice.zip(inputs.efficiency);
        let hashing = hashing.map_or(0, |(hashprice, efficiency)| earned(hashprice, efficiency));
        let fee_ppm = u128::from(inputs.pool_fee_ppm.min(1_000_000));
        let fee = hashing.saturating_mul(fee_ppm).div_ceil(u128::from(MILLION));
        Self {
            hashing_msat_per_kwh: price(hashing),
            pool_fee_msat_per_kwh: price(fee),
            wear_msat_per_kwh: inputs.wear.max(Price::default()),
            start_msat_per_kwh: price(spread_ceil(inputs.start, inputs.run)),
            heat_msat_per_kwh: inputs.heat.unwrap_or_default().max(Price::default()),
        }
    }

    /// The price at which a machine that runs neither earns nor loses.
    #[must_use]
    pub fn to_go_on(&self) -> Price {
        let earns = sum(self.hashing_msat_per_kwh, self.heat_msat_per_kwh);
        less(less(earns, self.pool_fee_msat_per_kwh), self.wear_msat_per_kwh)
    }

    /// The same with its start paid for.
    #[must_use]
    pub fn to_start(&self) -> Price {
        less(self.to_go_on(), self.start_msat_per_kwh)
    }

    /// What power is worth to the machine of an owner with this appetite.
    ///
    /// Whoever is paid to take power mines, however little hashing earns.
    #[must_use]
    pub fn worth(&self, appetite: Appetite) -> Worth {
        match appetite {
            Appetite::WhenItPays => Worth {
                to_start: self.to_start().max(NEGATIVE),
                to_go_on: self.to_go_on().max(NEGATIVE),
            },
            Appetite::OnlyWhenNegative => Worth { to_start: NEGATIVE, to_go_on: NEGATIVE },
            Appetite::BelowMsatPerKwh(price) => Worth { to_start: price, to_go_on: price },
        }
    }
}

/// The energy of a run at `power` for `run_ms`; nothing where there is no such run.
#[must_use]
pub fn run_energy(power: Power, run_ms: u64) -> Energy {
    power.max(Power::ZERO).energy_over_floor(run_ms).unwrap_or(Energy::ZERO)
}

/// What the hashes of a kilowatt-hour earn in msat, rounded down.
fn earned(hashprice: Hashprice, efficiency: Efficiency) -> u128 {
    let earned = u128::from(hashprice.to_msat_per_th_day()).saturating_mul(MJ_PER_KWH);
    let hashed = u128::from(efficiency.to_millijoules()).saturating_mul(TH_PER_TH_DAY);
    earned.checked_div(hashed).unwrap_or(0)
}

/// `cost` over `energy` in msat/kWh, rounded up; over no energy it is not spread at all.
fn spread_ceil(cost: Msat, energy: Energy) -> u128 {
    let cost = u128::from(cost.to_millisatoshi());
    let energy = u128::from(energy.to_milliwatt_hours());
    if energy == 0 { 0 } else { cost.saturating_mul(u128::from(MILLION)).div_ceil(energy) }
}

fn price(msat_per_kwh: u128) -> Price {
    Price::from_msat_per_kwh(i64::try_from(msat_per_kwh).unwrap_or(i64::MAX))
}

fn sum(price: Price, other: Price) -> Price {
    let sum = price.to_msat_per_kwh().saturating_add(other.to_msat_per_kwh());
    Price::from_msat_per_kwh(sum)
}

fn less(price: Price, other: Price) -> Price {
    let rest = price.to_msat_per_kwh().saturating_sub(other.to_msat_per_kwh());
    Price::from_msat_per_kwh(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(msat_per_th_day: u64, mj_per_th: u64) -> Inputs {
        Inputs {
            hashprice: Some(Hashprice::from_msat_per_th_day(msat_per_th_day)),
            efficiency: Some(Efficiency::from_millijoules(mj_per_th).unwrap()),
            pool_fee_ppm: 0,
            wear: Price::default(),
            start: Msat::ZERO,
            run: Energy::ZERO,
            heat: None,
        }
    }

    fn msat(price: Price) -> i64 {
        price.to_msat_per_kwh()
    }

    #[test]
    fn a_terahash_for_less_power_makes_power_worth_more() {
        // 52.4 sat/TH/day, a difficulty of 120 T and 3.125 bitcoin a block, and five kinds of machine.
        for (mj_per_th, sat_per_kwh) in
            [(13_500, 161), (17_500, 124), (21_500, 101), (29_500, 74), (100_000, 21)]
        {
            let found = msat(BreakEven::of(&inputs(52_400, mj_per_th)).to_go_on());
            assert_eq!(found.div_euclid(1_000), sat_per_kwh, "{mj_per_th} mJ/TH: {found}");
        }
    }

    #[test]
    fn every_part_is_rounded_against_mining() {
        // 1 · 3.6e9 / (1000 · 86 400) = 41.67; a third of it is 13.89; 1 msat over 3 kWh is a third.
        let found = BreakEven::of(&Inputs {
            pool_fee_ppm: 333_333,
            start: Msat::from_millisatoshi(1).unwrap(),
            run: Energy::from_milliwatt_hours(3_000_000),
            ..inputs(1, 1_000)
        });
        assert_eq!(msat(found.hashing_msat_per_kwh), 41);
        assert_eq!(msat(found.pool_fee_msat_per_kwh), 14);
        assert_eq!(msat(found.start_msat_per_kwh), 1);
        assert_eq!((msat(found.to_go_on()), msat(found.to_start())), (27, 26));
    }

    #[test]
    fn wear_lowers_it_and_wanted_heat_raises_it() {
        let price = |msat| Price::from_msat_per_kwh(msat);
        let bare = BreakEven::of(&inputs(52_400, 20_000)).to_go_on();
        let with = BreakEven::of(&Inputs {
            wear: price(5_000),
            heat: Some(price(60_000)),
            ..inputs(52_400, 20_000)
        });
        assert_eq!(msat(with.to_go_on()), msat(bare) + 55_000);
    }

    #[test]
    fn what_nobody_knows_earns_nothing_and_still_mines_for_somebody_elses_money() {
        let wear = Price::from_msat_per_kwh(9);
        let unknown = BreakEven::of(&Inputs { hashprice: None, wear, ..inputs(1, 1) });
        assert_eq!(msat(unknown.to_go_on()), -9);
        assert_eq!(unknown.worth(Appetite::WhenItPays).to_start, NEGATIVE);
        let unseen = BreakEven::of(&Inputs { efficiency: None, ..inputs(52_400, 1) });
        assert_eq!(unseen.to_go_on(), Price::default());
    }

    #[test]
    fn the_owner_may_want_less_or_a_price_of_its_own() {
        let pays = BreakEven::of(&inputs(52_400, 17_500));
        assert_eq!(pays.worth(Appetite::OnlyWhenNegative).to_go_on, NEGATIVE);
        let fixed = Price::from_msat_per_kwh(7_000);
        let worth = pays.worth(Appetite::BelowMsatPerKwh(fixed));
        assert_eq!((worth.to_start, worth.to_go_on), (fixed, fixed));
    }

    #[test]
    fn nothing_is_too_large_for_it() {
        let most = BreakEven::of(&Inputs {
            pool_fee_ppm: u32::MAX,
            wear: Price::from_msat_per_kwh(i64::MAX),
            start: Msat::MAX,
            run: Energy::from_milliwatt_hours(1),
            heat: Some(Price::from_msat_per_kwh(i64::MAX)),
            ..inputs(u64::MAX, 1)
        });
        assert!(most.to_start() <= most.to_go_on());
    }
}
