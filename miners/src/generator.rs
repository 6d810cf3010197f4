//! A generator that burns gas: what it gives for how much gas, from which load on, and when.
//! Not for: whether it should run ([`crate::flare`]).

use boltgrid_protocol::units::{MILLION, Power, Price, Timestamp};

/// Most points of an efficiency curve.
pub const POINTS_MAX: usize = 16;

/// One point of an efficiency curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// What it gives.
    pub output: Power,
    /// The part of the gas's heat that becomes power then, in parts per million.
    pub efficiency_ppm: u32,
}

/// A generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    /// From its least load to its rated one; see [`Generator::new`].
    curve: Vec<Point>,
    /// How long it warms up after a start before it may be loaded.
    pub warm_up_ms: u64,
    /// How long it rests at least between a stop and a start.
    pub rest_ms: u64,
    /// What a kilowatt-hour wears it by: oil, plugs, overhauls.
    pub wear: Price,
}

/// Why a curve is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CurveRejected {
    /// Too few or too many points.
    #[error("a generator has 2 to {POINTS_MAX} points, from its least load to its rated one")]
    Points,
    /// Not above the point before.
    #[error("each point gives more than the one before, the first more than nothing")]
    Order,
    /// Not an efficiency.
    #[error("an efficiency is above 0 and at most 600 000 ppm, as no engine is better")]
    Efficiency,
    /// More power for less gas.
    #[error(
        "more power takes more gas: an efficiency rises too steeply from one point to the next"
    )]
    Gas,
}

/// The best efficiency that any gas engine or turbine has.
const EFFICIENCY_MAX_PPM: u32 = 600_000;

/// When a generator was started or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It stands still, since then where that is known.
    Off(Option<Timestamp>),
    /// It was started then.
    On(Timestamp),
}

impl Generator {
    /// A generator with this curve, its least load first and its rated one last; without warm-up,
    /// rest or wear.
    ///
    /// # Errors
    ///
    /// [`CurveRejected`] if no engine is like that.
    pub fn new(curve: Vec<Point>) -> Result<Self, CurveRejected> {
        if !(2..=POINTS_MAX).contains(&curve.len()) {
            return Err(CurveRejected::Points);
        }
        if curve.iter().any(|it| !(1..=EFFICIENCY_MAX_PPM).contains(&it.efficiency_ppm)) {
            return Err(CurveRejected::Efficiency);
        }
        let mut last = Power::ZERO;
        let mut last_gas = Power::ZERO;
        for point in &curve {
            if point.output <= last {
                return Err(CurveRejected::Order);
            }
            let gas = gas_ceil(*point);
            if gas <= last_gas {
                return Err(CurveRejected::Gas);
            }
            (last, last_gas) = (point.output, gas);
        }
        let wear = Price::ZERO;
        Ok(Self { curve, warm_up_ms: 0, rest_ms: 0, wear })
    }

    /// The least that it gives while it runs under load.
    #[must_use]
    pub fn least(&self) -> Power {
        self.curve.first().map_or(Power::ZERO, |point| point.output)
    }

    /// The most.
    #[must_use]
    pub fn rated(&self) -> Power {
        self.curve.last().map_or(Power::ZERO, |point| point.output)
    }

    /// The heat of the gas that it burns to give `output`, rounded up; gas is taken to rise evenly
    /// from point to point. `None` below its least load and above its rated one.
    #[must_use]
    pub fn gas_for_ceil(&self, output: Power) -> Option<Power> {
        let exact = self.curve.iter().find(|point| point.output == output);
        if let Some(point) = exact {
            return Some(gas_ceil(*point));
        }
        let between = self.curve.iter().zip(self.curve.iter().skip(1));
        let (low, high) =
            between.clone().find(|(low, high)| low.output < output && output < high.output)?;
        let (from, to) = (gas_ceil(*low), gas_ceil(*high));
        let way = i128::from(output.checked_sub(low.output)?.to_milliwatts());
        let whole = i128::from(high.output.checked_sub(low.output)?.to_milliwatts());
        let rise = i128::from(to.checked_sub(from)?.to_milliwatts());
        let part = rise.checked_mul(way)?.checked_add(whole.checked_sub(1)?)?.checked_div(whole)?;
        from.checked_add(Power::from_milliwatts(i64::try_from(part).ok()?))
    }

    /// The most that it gives from gas of so much heat, rounded down; `None` where that is not enough
    /// for its least load.
    #[must_use]
    pub fn output_from_floor(&self, gas: Power) -> Option<Power> {
        let enough =
            |mw: i64| self.gas_for_ceil(Power::from_milliwatts(mw)).is_some_and(|it| it <= gas);
        let (mut low, mut high) = (self.least().to_milliwatts(), self.rated().to_milliwatts());
        if !enough(low) {
            return None;
        }
        // Gas rises with output; 63 halvings at most.
        while low < high {
            let middle = high.saturating_sub(high.saturating_sub(low).div_euclid(2));
            if enough(middle) {
                low = middle;
            } else {
                high = middle.saturating_sub(1);
            }
        }
        Some(Power::from_milliwatts(low))
    }

    /// The heat of the gas that it burns to give `output` or, outside of its curve, what stands for the
    /// nearest point in proportion, rounded up; for accounts, since a meter may show a little less than
    /// the least load or more than the rated one.
    #[must_use]
    pub fn burns_ceil(&self, output: Power) -> Power {
        if output <= Power::ZERO {
            return Power::ZERO;
        }
        let nearest = output.clamp(self.least(), self.rated());
        let gas = self.gas_for_ceil(nearest).unwrap_or(Power::ZERO);
        let whole = i128::from(nearest.to_milliwatts()).max(1);
        let part =
            i128::from(gas.to_milliwatts()).saturating_mul(i128::from(output.to_milliwatts()));
        let mw = part.saturating_add(whole.saturating_sub(1)).div_euclid(whole);
        Power::from_milliwatts(i64::try_from(mw).unwrap_or(i64::MAX))
    }

    /// Whether it can be under load at `now`: it runs and has warmed up.
    #[must_use]
    pub const fn is_warm(&self, was: Since, now: Timestamp) -> bool {
        match was {
            Since::Off(_) => false,
            Since::On(since) => now.ms_since(since) >= self.warm_up_ms,
        }
    }

    /// Whether it may be started at `now`.
    #[must_use]
    pub fn may_start(&self, was: Since, now: Timestamp) -> bool {
        match was {
            Since::Off(since) => since.is_none_or(|since| now.ms_since(since) >= self.rest_ms),
            Since::On(_) => false,
        }
    }
}

/// The heat of the gas at a point of the curve, rounded up.
fn gas_ceil(point: Point) -> Power {
    let output = i128::from(point.output.to_milliwatts()).saturating_mul(i128::from(MILLION));
    let efficiency = i128::from(point.efficiency_ppm).max(1);
    let gas = output.saturating_add(efficiency.saturating_sub(1)).div_euclid(efficiency);
    Power::from_milliwatts(i64::try_from(gas).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn watts(watts: i64) -> Power {
        Power::from_milliwatts(watts * 1000)
    }

    fn point(output: i64, efficiency_ppm: u32) -> Point {
        Point { output: watts(output), efficiency_ppm }
    }

    fn generator() -> Generator {
        let curve = vec![point(30_000, 240_000), point(60_000, 300_000), point(100_000, 340_000)];
        Generator { warm_up_ms: 300_000, rest_ms: 600_000, ..Generator::new(curve).unwrap() }
    }

    #[test]
    fn gas_follows_the_curve_and_nothing_is_given_below_the_least_load() {
        let generator = generator();
        assert_eq!(generator.gas_for_ceil(watts(30_000)), Some(watts(125_000)));
        assert_eq!(generator.gas_for_ceil(watts(60_000)), Some(watts(200_000)));
        assert_eq!(generator.gas_for_ceil(watts(45_000)), Some(watts(162_500)));
        assert_eq!(generator.gas_for_ceil(watts(29_999)), None);
        assert_eq!(generator.gas_for_ceil(watts(100_001)), None);
        assert_eq!(generator.output_from_floor(watts(124_999)), None);
        assert_eq!(generator.output_from_floor(watts(162_500)), Some(watts(45_000)));
        assert_eq!(generator.output_from_floor(watts(900_000)), Some(watts(100_000)));
        assert_eq!(generator.burns_ceil(watts(15_000)), watts(62_500), "as at its least load");
        assert_eq!(generator.burns_ceil(watts(45_000)), watts(162_500));
        assert_eq!(generator.burns_ceil(watts(-1)), Power::ZERO);
    }

    #[test]
    fn it_warms_up_before_it_is_loaded_and_rests_before_it_starts() {
        let generator = generator();
        let at = |s: u64| Timestamp::from_unix_ms(1_000_000 + s * 1_000);
        assert!(!generator.is_warm(Since::On(at(0)), at(299)));
        assert!(generator.is_warm(Since::On(at(0)), at(300)));
        assert!(!generator.may_start(Since::Off(Some(at(0))), at(599)));
        assert!(generator.may_start(Since::Off(Some(at(0))), at(600)));
        assert!(generator.may_start(Since::Off(None), at(0)));
    }

    #[test]
    fn a_curve_that_no_engine_has_is_refused() {
        let refused = |curve: &[Point]| Generator::new(curve.to_vec()).unwrap_err();
        assert_eq!(refused(&[point(1, 300_000)]), CurveRejected::Points);
        assert_eq!(refused(&[point(5, 300_000), point(5, 300_000)]), CurveRejected::Order);
        assert_eq!(refused(&[point(0, 300_000), point(5, 300_000)]), CurveRejected::Order);
        assert_eq!(refused(&[point(1, 0), point(5, 300_000)]), CurveRejected::Efficiency);
        assert_eq!(refused(&[point(1, 300_000), point(2, 999_999)]), CurveRejected::Efficiency);
        assert_eq!(refused(&[point(100, 100_000), point(110, 400_000)]), CurveRejected::Gas);
    }

    proptest! {
        #[test]
        fn what_comes_from_gas_takes_no_more_and_a_milliwatt_more_would(gas_w in 0_i64..400_000) {
            let (generator, gas) = (generator(), watts(gas_w));
            if let Some(output) = generator.output_from_floor(gas) {
                prop_assert!(generator.gas_for_ceil(output).unwrap() <= gas);
                let more = Power::from_milliwatts(output.to_milliwatts() + 1);
                prop_assert!(generator.gas_for_ceil(more).is_none_or(|it| it > gas));
            }
        }
    }
}
