//! Heat: a room or a tank that machines warm, how much of it is wanted, and what that is worth.
//!
//! A place is one thermal mass that loses heat in proportion to how much warmer it is than outside
//! (Newton's law of cooling). What machines give it replaces heat that would be paid for otherwise.
//! Integers throughout: a millikelvin is finer than any thermometer.
//! Not for: reading thermometers, or which machine runs (the plan, which takes what is worked out here).

use boltgrid_protocol::units::{MILLION, Power, Price};

/// Milliseconds of an hour.
const HOUR_MS: i128 = 3_600_000;
/// Millikelvins of a kelvin.
const MK: i128 = 1_000;
/// The longest time that is worked out at once: within it, a place is taken to change evenly.
const STEP_MS: u64 = 60_000;
/// Most steps of one prediction: a day.
const STEPS_MAX: u64 = 1_440;

/// A room or a tank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it takes to warm it by a kelvin, in mWh. A litre of water takes 1 163.
    pub mwh_per_kelvin: u64,
    /// What it loses for each kelvin that it is warmer than outside, in mW.
    pub loss_mw_per_kelvin: u64,
    /// How warm it is to be, in thousandths of a degree Celsius.
    pub wanted_m_celsius: i32,
    /// Heat is due once it is colder by this, and until it is warmer by this, in millikelvins.
    pub band_mk: u32,
    /// Warmer than this it must not get by machines.
    pub hottest_m_celsius: i32,
}

/// What is seen of a place. What no thermometer says is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Temperatures {
    /// Inside, in thousandths of a degree Celsius.
    pub inside_m_celsius: Option<i32>,
    /// Outside.
    pub outside_m_celsius: Option<i32>,
}

/// The heat that machines replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// What a kilowatt-hour of what is used otherwise costs: power, gas, oil, pellets.
    pub fuel: Price,
    /// How much heat that gives, in parts per million: 900 000 for a boiler, 3 500 000 for a heat pump.
    pub heat_ppm: u32,
    /// How much of a machine's power arrives as heat where it is wanted.
    pub arrives_ppm: u32,
}

/// What a place asks of machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heating {
    /// Whether heat is due; false where nobody knows, since nothing unknown starts a machine.
    pub is_due: bool,
    /// Whether it is so hot that machines must not add to it, or nobody knows whether.
    pub is_too_hot: bool,
    /// How much power of machines makes it as warm as wanted over the interval; zero unless due.
    pub demand: Power,
    /// What that heat is worth a kilowatt-hour of power; `None` unless due.
    pub value: Option<Price>,
}

impl Replaced {
    /// What the heat of a kilowatt-hour of power is worth, rounded down: what its heat would have
    /// cost. Nothing where fuel costs nothing or less.
    #[must_use]
    pub fn value_floor(&self) -> Price {
        let fuel = i128::from(self.fuel.to_msat_per_kwh()).max(0);
        let arrives = i128::from(self.arrives_ppm.min(1_000_000));
        let value = fuel.saturating_mul(arrives).checked_div(i128::from(self.heat_ppm));
        let value = value.and_then(|value| i64::try_from(value).ok());
        Price::from_msat_per_kwh(value.unwrap_or(0))
    }
}

impl Place {
    /// What it asks of machines for an interval of `interval_ms`. `was_due` is what it asked before.
    #[must_use]
    pub fn heating(
        &self,
        seen: Temperatures,
        replaced: &Replaced,
        was_due: bool,
        interval_ms: u64,
    ) -> Heating {
        let Some(inside) = seen.inside_m_celsius else {
            return Heating { is_due: false, is_too_hot: true, demand: Power::ZERO, value: None };
        };
        let (wanted, band) = (i64::from(self.wanted_m_celsius), i64::from(self.band_mk));
        let missing_mk = wanted.saturating_sub(i64::from(inside));
        let is_too_hot = inside >= self.hottest_m_celsius;
        let until = if was_due { band.saturating_neg() } else { band };
        let is_due = !is_too_hot && missing_mk > until;
        if !is_due {
            return Heating { is_due, is_too_hot, demand: Power::ZERO, value: None };
        }
        // Without a thermometer outside, what it loses on the way is found out as it cools.
        let outside = seen.outside_m_celsius.unwrap_or(self.wanted_m_celsius);
        let warmer_mk = i128::from(wanted.saturating_sub(i64::from(outside)));
        let loss_mw = i128::from(self.loss_mw_per_kelvin).saturating_mul(warmer_mk).div_euclid(MK);
        let up_to_mk = i128::from(missing_mk.saturating_add(band));
        let to_warm =
            i128::from(self.mwh_per_kelvin).saturating_mul(up_to_mk).saturating_mul(HOUR_MS);
        let over = i128::from(interval_ms.max(1)).saturating_mul(MK);
        let heat_mw = loss_mw.saturating_add(to_warm.div_euclid(over)).max(0);
        Heating {
            is_due,
            is_too_hot,
            demand: as_power_ceil(heat_mw, replaced.arrives_ppm),
            value: Some(replaced.value_floor()),
        }
    }

    /// How warm it is after `ms` in which `heat` arrived, by steps of a minute, a day at most.
    #[must_use]
    pub fn after(
        &self,
        inside_m_celsius: i32,
        outside_m_celsius: i32,
        heat: Power,
        ms: u64,
    ) -> i32 {
        let mass = i128::from(self.mwh_per_kelvin).max(1);
        // In mWh · ms/h · mK/K, so that nothing is lost to rounding from step to step.
        let scale = mass.saturating_mul(HOUR_MS);
        let mut inside = i128::from(inside_m_celsius).saturating_mul(scale);
        let mut left = ms.min(STEP_MS.saturating_mul(STEPS_MAX));
        while left > 0 {
            let step = left.min(STEP_MS);
            left = left.saturating_sub(step);
            let warmer_mk = inside.div_euclid(scale).saturating_sub(i128::from(outside_m_celsius));
            let loss_mk = i128::from(self.loss_mw_per_kelvin).saturating_mul(warmer_mk);
            let heat_mk = i128::from(heat.to_milliwatts()).saturating_mul(MK);
            let gained = heat_mk.saturating_sub(loss_mk).saturating_mul(i128::from(step));
            inside = inside.saturating_add(gained);
        }
        let inside = inside.div_euclid(scale);
        let bound = if inside < 0 { i32::MIN } else { i32::MAX };
        i32::try_from(inside).unwrap_or(bound)
    }
}

/// The power of which so much arrives as heat, rounded up; nothing where nothing arrives.
fn as_power_ceil(heat_mw: i128, arrives_ppm: u32) -> Power {
    let arrives = i128::from(arrives_ppm.min(1_000_000));
    if arrives == 0 {
        return Power::ZERO;
    }
    let scaled =
        heat_mw.saturating_mul(i128::from(MILLION)).saturating_add(arrives.saturating_sub(1));
    let mw = i64::try_from(scaled.div_euclid(arrives)).unwrap_or(i64::MAX);
    Power::from_milliwatts(mw)
}

/// For which machines of a place heat is due: as many, from the first, as cover the demand. Each has
/// the power at which it is counted.
#[must_use]
pub fn due_for(demand: Power, machines: &[Power]) -> Vec<bool> {
    let mut left = demand.to_milliwatts();
    let due = machines.iter().map(|power| {
        let is_due = left > 0;
        left = left.saturating_sub(power.to_milliwatts().max(0));
        is_due
    });
    due.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    /// A well insulated room: 3 kWh a kelvin, 100 W a kelvin.
    const ROOM: Place = Place {
        mwh_per_kelvin: 3_000_000,
        loss_mw_per_kelvin: 100_000,
        wanted_m_celsius: 21_000,
        band_mk: 500,
        hottest_m_celsius: 26_000,
    };
    /// Heat from a heat pump of 3.5 at 300 sat/kWh; nine tenths of a machine's heat arrive.
    const REPLACED: Replaced = Replaced {
        fuel: Price::from_msat_per_kwh(300_000),
        heat_ppm: 3_500_000,
        arrives_ppm: 900_000,
    };

    fn heating(inside: i32, was_due: bool) -> Heating {
        let seen = Temperatures { inside_m_celsius: Some(inside), outside_m_celsius: Some(1_000) };
        ROOM.heating(seen, &REPLACED, was_due, 3_600_000)
    }

    #[test]
    fn heat_is_worth_what_it_would_have_cost() {
        assert_eq!(REPLACED.value_floor(), Price::from_msat_per_kwh(77_142));
        let boiler = Replaced { heat_ppm: 900_000, ..REPLACED };
        assert_eq!(boiler.value_floor(), Price::from_msat_per_kwh(300_000));
        let free = Replaced { fuel: Price::from_msat_per_kwh(-5), ..REPLACED };
        assert_eq!(free.value_floor(), Price::ZERO);
        assert_eq!(Replaced { heat_ppm: 0, ..REPLACED }.value_floor(), Price::ZERO);
    }

    #[test]
    fn demand_is_what_warms_it_and_what_it_loses_meanwhile() {
        // From 20 to 21.5 °C in an hour: 4.5 kW, and 2 kW of losses; at nine tenths.
        let found = heating(20_000, false);
        assert_eq!(found.demand, Power::from_milliwatts(7_222_223));
        assert_eq!((found.is_due, found.value), (true, Some(REPLACED.value_floor())));
    }

    #[test]
    fn it_is_due_from_below_the_band_until_above_it() {
        let due = |inside, was_due| heating(inside, was_due).is_due;
        assert!(!due(20_500, false), "half a degree too cold is within the band");
        assert!(due(20_499, false));
        assert!(due(21_499, true), "until it is half a degree too warm");
        assert!(!due(21_500, true));
    }

    #[test]
    fn too_hot_or_unknown_asks_for_nothing_and_forbids_more() {
        let hot = heating(26_000, true);
        assert_eq!((hot.is_due, hot.is_too_hot, hot.demand), (false, true, Power::ZERO));
        let unknown = ROOM.heating(Temperatures::default(), &REPLACED, true, 3_600_000);
        assert_eq!((unknown.is_due, unknown.is_too_hot, unknown.value), (false, true, None));
        let no_outside = Temperatures { inside_m_celsius: Some(20_000), ..Temperatures::default() };
        let found = ROOM.heating(no_outside, &REPLACED, false, 3_600_000);
        assert_eq!(found.demand, Power::from_milliwatts(5_000_000), "losses are not known");
    }

    #[test]
    fn a_place_cools_and_warms_as_newton_says() {
        // A time constant of 30 hours; after one of them a difference of 20 K is 20·e^(−1/30).
        let cooled = ROOM.after(21_000, 1_000, Power::ZERO, 3_600_000);
        assert!((cooled - 20_344).abs() <= 5, "{cooled}");
        let steady = ROOM.after(21_000, 1_000, Power::from_milliwatts(2_000_000), 3_600_000);
        assert_eq!(steady, 21_000, "2 kW are what it loses at 20 K");
        assert_eq!(ROOM.after(21_000, 1_000, Power::ZERO, 0), 21_000);
    }

    #[test]
    fn machines_keep_a_room_warm_through_a_day_and_only_as_many_as_are_needed() {
        let machines = [Power::from_milliwatts(3_500_000); 3];
        let (mut inside, mut due, mut most) = (17_000, false, 0);
        for minute in 0..24 * 60 {
            let found = heating(inside, due);
            due = found.is_due;
            let on = due_for(found.demand, &machines).into_iter().filter(|it| *it).count();
            most = most.max(on);
            let heat = 3_500_000 * i64::try_from(on).unwrap() * 9 / 10;
            inside = ROOM.after(inside, 1_000, Power::from_milliwatts(heat), MINUTE_MS);
            if minute > 6 * 60 {
                assert!((20_400..=21_600).contains(&inside), "{inside} after {minute} minutes");
            }
        }
        assert_eq!(most, 3, "all of them at first");
        assert_eq!(due_for(Power::from_milliwatts(3_500_001), &machines), [true, true, false]);
        assert_eq!(due_for(Power::ZERO, &machines), [false; 3]);
    }
}
