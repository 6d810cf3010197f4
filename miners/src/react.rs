//! The reactive loop's arithmetic: what a sample of the site's meter leaves for the machines.
//!
//! What was contracted is what the meter should show. What it gives beyond that nobody bought, and
//! machines may take it; what it takes beyond that is bought from the supplier, and machines give it
//! back. Battery, PV and load need no looking at: whatever they do, the meter shows their sum.
//! Not for: which machine does it ([`crate::plan`]), or when a meter is read.

mod support;

use boltgrid_protocol::units::{Power, Price, Timestamp};

use crate::plan::{Conditions, Response};

pub use support::GridSupport;

/// A sample is acted on for so long; after that nobody knows what flows.
pub const SAMPLE_MS_MAX: u64 = 5_000;

/// What the site's meter shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// When.
    pub at: Timestamp,
    /// Power into the site.
    pub power: Power,
    /// Frequency, where the meter has it.
    pub frequency_mhz: Option<u32>,
    /// Mean phase voltage, where the meter has it.
    pub voltage_mv: Option<u32>,
}

/// What the machines of a site draw together beyond what they draw asleep. While some are on their way
/// to another power, or have not said for a while, it is between the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draws {
    /// At least.
    pub least: Power,
    /// At most.
    pub most: Power,
}

/// What the site is to do in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// What its meter is to show on average: what was bought less what was sold.
    pub net: Power,
    /// What the machines are planned to draw of it.
    pub mining: Power,
    /// What a kilowatt-hour brings that nobody takes.
    pub spare_brings: Price,
    /// What a kilowatt-hour costs that was not bought.
    pub lack_costs: Price,
}

/// What bounds the machines of a site whatever power costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most power that the connection point may take.
    pub import_max: Power,
    /// Most that the machines may draw together: their own fuse.
    pub machines_max: Power,
    /// How much more they may draw together from one plan to the next.
    pub step_max: Power,
    /// How many may be started by one plan.
    pub starts_max: usize,
    /// What they do for frequency and voltage; `None` for nothing.
    pub support: Option<GridSupport>,
}

/// What there is for the machines at `now`.
///
/// Without a sample that is recent enough what was contracted goes on, and nothing starts.
#[must_use]
pub fn conditions(
    now: Timestamp,
    shown: Option<&Shown>,
    draws: Draws,
    target: &Target,
    limits: &Limits,
) -> Conditions {
    let recent = shown.filter(|shown| now.ms_since(shown.at) <= SAMPLE_MS_MAX);
    let (budget_least, budget_most, ceiling) = recent.map_or_else(
        || {
            // What may not stop yet runs on, but no more than does now.
            let ceiling = target.mining.max(draws.most).min(limits.machines_max);
            (Power::ZERO, target.mining, ceiling)
        },
        |shown| {
            let unsold = minus(target.net, shown.power);
            let headroom = minus(limits.import_max, shown.power);
            let ceiling = plus(draws.most, headroom).min(limits.machines_max);
            (plus(draws.least, unsold), plus(draws.most, unsold), ceiling)
        },
    );
    let response = limits.support.zip(recent).map_or_else(Response::default, |(support, shown)| {
        support.response(shown.frequency_mhz, shown.voltage_mv)
    });
    Conditions {
        now,
        budget_least,
        budget_most,
        spare_brings: target.spare_brings,
        lack_costs: target.lack_costs,
        ceiling,
        step_max: limits.step_max,
        starts_max: limits.starts_max,
        emergency: false,
        response,
    }
}

fn plus(power: Power, other: Power) -> Power {
    Power::from_milliwatts(power.to_milliwatts().saturating_add(other.to_milliwatts()))
}

fn minus(power: Power, other: Power) -> Power {
    Power::from_milliwatts(power.to_milliwatts().saturating_sub(other.to_milliwatts()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

    fn watts(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    fn limits() -> Limits {
        Limits {
            import_max: watts(10_000),
            machines_max: watts(8_000),
            step_max: watts(5_000),
            starts_max: 2,
            support: None,
        }
    }

    fn target(net: i64) -> Target {
        Target {
            net: watts(net),
            mining: watts(1_500),
            spare_brings: Price::from_msat_per_kwh(80_000),
            lack_costs: Price::from_msat_per_kwh(250_000),
        }
    }

    fn shown(power: i64) -> Shown {
        Shown { at: NOW, power: watts(power), frequency_mhz: None, voltage_mv: None }
    }

    fn drawing(least: i64, most: i64) -> Draws {
        Draws { least: watts(least), most: watts(most) }
    }

    #[test]
    fn what_nobody_bought_is_there_for_the_machines() {
        // 4 kW flow out and 1 kW of them is sold.
        let found =
            conditions(NOW, Some(&shown(-4_000)), drawing(0, 0), &target(-1_000), &limits());
        assert_eq!((found.budget_least, found.budget_most), (watts(3_000), watts(3_000)));
    }

    #[test]
    fn import_that_nobody_contracted_is_given_back() {
        // A cloud: the machines draw 3 kW, and 2 of them come from the supplier.
        let draws = drawing(3_000, 3_000);
        let found = conditions(NOW, Some(&shown(2_000)), draws, &target(0), &limits());
        assert_eq!(found.budget_most, watts(1_000));
        // What was bought for them is not.
        let found = conditions(NOW, Some(&shown(2_000)), draws, &target(2_000), &limits());
        assert_eq!(found.budget_most, watts(3_000));
    }

    #[test]
    fn what_machines_draw_on_their_way_is_neither_promised_again_nor_taken_away() {
        let draws = drawing(1_000, 3_000);
        let found = conditions(NOW, Some(&shown(0)), draws, &target(0), &limits());
        assert_eq!((found.budget_least, found.budget_most), (watts(1_000), watts(3_000)));
    }

    #[test]
    fn neither_the_connection_nor_their_own_fuse_is_overloaded() {
        let ceiling = |power| {
            let draws = drawing(3_000, 3_000);
            conditions(NOW, Some(&shown(power)), draws, &target(0), &limits()).ceiling
        };
        assert_eq!(ceiling(9_000), watts(4_000), "1 kW of the connection is left");
        assert_eq!(ceiling(12_000), watts(1_000), "2 kW too much flow");
        assert_eq!(ceiling(-9_000), watts(8_000), "the machines' own fuse");
    }

    #[test]
    fn without_a_recent_sample_what_was_contracted_goes_on_and_nothing_starts() {
        let old = Shown { at: NOW.minus_ms(SAMPLE_MS_MAX + 1), ..shown(-9_000) };
        for shown in [None, Some(&old)] {
            let found = conditions(NOW, shown, drawing(3_000, 3_000), &target(0), &limits());
            assert_eq!((found.budget_least, found.budget_most), (watts(0), watts(1_500)));
            assert_eq!(found.ceiling, watts(3_000), "what may not stop yet runs on");
        }
    }
}
