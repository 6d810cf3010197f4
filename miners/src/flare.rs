//! A well with gas that has to go somewhere: into the generator, and what is left into the flare.
//!
//! The gas is there whether anybody wants power or not, so it costs nothing: what a kilowatt-hour of the
//! generator costs is its wear. It runs for what is sold or mined above that, the dearer use first, and
//! as its least load allows. Not for: what that spares the air ([`crate::emissions`]), or when which
//! machine runs ([`crate::plan`]).

mod steer;

use std::fmt;

use boltgrid_protocol::units::{Power, Price, Timestamp};

use crate::generator::{Generator, Since};

pub use steer::{Seen, Steer, Steered, Wanted};

/// What there is and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// When.
    pub now: Timestamp,
    /// The heat of the gas that the well gives; `None` where the gas meter does not say.
    pub gas: Option<Power>,
    /// What the generator did.
    pub since: Since,
    /// What the grid buys: what was sold for the interval, or could be.
    pub grid: Power,
    /// What it pays for it.
    pub grid_price: Price,
    /// What the machines can draw.
    pub machines: Power,
    /// What a kilowatt-hour is worth to them.
    pub machines_worth: Price,
}

/// What becomes of the gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burnt {
    /// Whether the generator is to run.
    pub generator_runs: bool,
    /// What it gives.
    pub output: Power,
    /// What of that is sold.
    pub sold: Power,
    /// What of that machines take.
    pub mined: Power,
    /// The heat of the gas that it burns.
    pub generator_gas: Power,
    /// The heat of the gas that is flared.
    pub flared: Power,
    /// Why not more of it goes into the generator.
    pub because: Because,
}

/// Why not more gas goes into the generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Because {
    /// It takes all the gas there is.
    AllGas,
    /// It gives all that it can.
    Rated,
    /// Nobody wants more at more than its wear.
    NoDemand,
    /// What is wanted, or the gas, is less than its least load.
    BelowLeast,
    /// It warms up.
    WarmsUp,
    /// It was stopped a short while ago.
    Rests,
    /// The gas meter says nothing: what is not known starts nothing.
    #[default]
    GasUnknown,
    /// The generator does not answer, so nobody knows what it does.
    Silent,
    /// Nobody wants it any more, and it was started a short while ago.
    RunsOn,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AllGas => "it takes all the gas there is",
            Self::Rated => "it gives all that it can",
            Self::NoDemand => "nobody wants more at more than its wear",
            Self::BelowLeast => "what is wanted, or the gas, is less than its least load",
            Self::WarmsUp => "it warms up",
            Self::Rests => "it was stopped a short while ago",
            Self::GasUnknown => "the gas meter says nothing",
            Self::Silent => "it does not answer",
            Self::RunsOn => "it was started a short while ago, so it runs on at its least load",
        })
    }
}

/// What becomes of the gas now.
#[must_use]
pub fn burn(generator: &Generator, asked: &Asked) -> Burnt {
    let Some(gas) = asked.gas.map(|gas| gas.max(Power::ZERO)) else {
        return Burnt::default();
    };
    let flare_all = |because| Burnt { flared: gas, because, ..Burnt::default() };
    let pays = |price: Price, power: Power| {
        if price > generator.wear { power.max(Power::ZERO) } else { Power::ZERO }
    };
    let grid = pays(asked.grid_price, asked.grid);
    let machines = pays(asked.machines_worth, asked.machines);
    let wanted = plus(grid, machines);
    if wanted == Power::ZERO {
        return flare_all(Because::NoDemand);
    }
    let Some(able) = generator.output_from_floor(gas) else {
        return flare_all(Because::BelowLeast);
    };
    let output = able.min(wanted);
    if output < generator.least() {
        return flare_all(Because::BelowLeast);
    }
    if !generator.is_warm(asked.since, asked.now) {
        let runs = matches!(asked.since, Since::On(_));
        if !runs && !generator.may_start(asked.since, asked.now) {
            return flare_all(Because::Rests);
        }
        // Idling takes little of the gas, and nobody knows how much: it is counted as flared.
        return Burnt { generator_runs: true, ..flare_all(Because::WarmsUp) };
    }
    // Never more than there is: the output was worked out from it.
    let generator_gas = generator.gas_for_ceil(output).unwrap_or(gas).min(gas);
    let grid_first = asked.grid_price >= asked.machines_worth;
    let first = if grid_first { grid } else { machines }.min(output);
    let second = minus(output, first);
    let (sold, mined) = if grid_first { (first, second) } else { (second, first) };
    let because = match (output == wanted, able == generator.rated()) {
        (true, _) => Because::NoDemand,
        (false, true) => Because::Rated,
        (false, false) => Because::AllGas,
    };
    let flared = minus(gas, generator_gas);
    Burnt { generator_runs: true, output, sold, mined, generator_gas, flared, because }
}

fn plus(power: Power, more: Power) -> Power {
    Power::from_milliwatts(power.to_milliwatts().saturating_add(more.to_milliwatts()))
}

fn minus(power: Power, less: Power) -> Power {
    Power::from_milliwatts(power.to_milliwatts().saturating_sub(less.to_milliwatts()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Point;
    use proptest::prelude::*;

    const WARM: Since = Since::On(Timestamp::from_unix_ms(0));
    const NOW: Timestamp = Timestamp::from_unix_ms(3_600_000);

    const fn watts(watts: i64) -> Power {
        Power::from_milliwatts(watts * 1000)
    }

    const fn sat(sat: i64) -> Price {
        Price::from_msat_per_kwh(sat * 1000)
    }

    fn generator() -> Generator {
        let point = |output, efficiency_ppm| Point { output: watts(output), efficiency_ppm };
        let curve = vec![point(30_000, 240_000), point(60_000, 300_000), point(100_000, 340_000)];
        let mut generator = Generator::new(curve).unwrap();
        (generator.warm_up_ms, generator.rest_ms, generator.wear) = (300_000, 600_000, sat(15));
        generator
    }

    /// 200 kW of gas, which make 60 kW; the grid wants 20 at 150, and machines 50 at 120.
    fn asked() -> Asked {
        Asked {
            now: NOW,
            gas: Some(watts(200_000)),
            since: WARM,
            grid: watts(20_000),
            grid_price: sat(150),
            machines: watts(50_000),
            machines_worth: sat(120),
        }
    }

    #[test]
    fn what_the_grid_buys_is_sold_and_the_rest_is_mined() {
        let burnt = burn(&generator(), &asked());
        assert_eq!((burnt.sold, burnt.mined), (watts(20_000), watts(40_000)));
        assert_eq!((burnt.flared, burnt.because), (Power::ZERO, Because::AllGas));
        let cheap = burn(&generator(), &Asked { grid_price: sat(100), ..asked() });
        assert_eq!(
            (cheap.mined, cheap.sold),
            (watts(50_000), watts(10_000)),
            "the dearer use first"
        );
        let paid_for = burn(&generator(), &Asked { grid_price: sat(-30), ..asked() });
        assert_eq!((paid_for.sold, paid_for.because), (Power::ZERO, Because::NoDemand));
        assert_eq!(paid_for.flared, watts(200_000 - 175_000));
    }

    #[test]
    fn below_its_least_load_the_gas_is_flared() {
        let little = burn(&generator(), &Asked { gas: Some(watts(124_999)), ..asked() });
        assert_eq!((little.flared, little.because), (watts(124_999), Because::BelowLeast));
        let unwanted = Asked { machines: watts(9_999), ..asked() };
        assert_eq!(burn(&generator(), &unwanted).because, Because::BelowLeast);
        let worn = Asked { grid_price: sat(15), machines_worth: sat(15), ..asked() };
        assert_eq!(burn(&generator(), &worn).because, Because::NoDemand, "it only pays its wear");
        let much = Asked { gas: Some(watts(900_000)), machines: watts(500_000), ..asked() };
        assert_eq!(burn(&generator(), &much).because, Because::Rated);
    }

    #[test]
    fn it_warms_up_first_and_does_not_start_while_it_rests_or_gas_is_unknown() {
        let started = Asked { since: Since::On(NOW.minus_ms(299_999)), ..asked() };
        let burnt = burn(&generator(), &started);
        assert!(burnt.generator_runs && burnt.output == Power::ZERO);
        assert_eq!((burnt.flared, burnt.because), (watts(200_000), Because::WarmsUp));
        let off = Asked { since: Since::Off(None), ..asked() };
        assert!(burn(&generator(), &off).generator_runs, "it is started");
        let stopped = Asked { since: Since::Off(Some(NOW)), ..asked() };
        let burnt = burn(&generator(), &stopped);
        assert_eq!((burnt.generator_runs, burnt.because), (false, Because::Rests));
        let unknown = burn(&generator(), &Asked { gas: None, ..asked() });
        assert_eq!((unknown.generator_runs, unknown.because), (false, Because::GasUnknown));
    }

    proptest! {
        #[test]
        fn no_gas_appears_or_gets_lost_and_nobody_gets_more_than_it_wants(
            gas in -10_i64..500_000,
            grid in -10_i64..150_000,
            machines in -10_i64..150_000,
            prices in (-100_i64..300, -100_i64..300),
        ) {
            let asked = Asked {
                gas: Some(watts(gas)),
                grid: watts(grid),
                grid_price: sat(prices.0),
                machines: watts(machines),
                machines_worth: sat(prices.1),
                ..asked()
            };
            let burnt = burn(&generator(), &asked);
            prop_assert_eq!(plus(burnt.generator_gas, burnt.flared), watts(gas.max(0)));
            prop_assert_eq!(plus(burnt.sold, burnt.mined), burnt.output);
            prop_assert!(burnt.sold <= watts(grid.max(0)) && burnt.mined <= watts(machines.max(0)));
            prop_assert!(burnt.sold >= Power::ZERO && burnt.mined >= Power::ZERO);
            prop_assert!(burnt.output == Power::ZERO || burnt.output >= generator().least());
        }
    }
}
