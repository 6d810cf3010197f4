//! A battery: follows what is asked of it within power, energy and efficiency.

use boltgrid_protocol::units::{Energy, MILLION, Power};

use super::register::{MW_MS_PER_MWH, Register, energy_mw_ms, shown};
use crate::scenario;

/// The powers a battery may choose from, charging positive. It stays at zero if that is allowed,
/// else goes to the nearest power that is. A range without any power in it means zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatteryRange {
    /// The lowest allowed power; negative discharges.
    pub lowest: Power,
    /// The highest allowed power; positive charges.
    pub highest: Power,
}

impl BatteryRange {
    /// Only this power.
    #[must_use]
    pub const fn exactly(power: Power) -> Self {
        Self { lowest: power, highest: power }
    }

    /// What the battery makes of it before its own limits, in mW.
    fn wish_mw(self) -> i64 {
        let (lowest, highest) = (self.lowest.to_milliwatts(), self.highest.to_milliwatts());
        if lowest <= highest { 0.clamp(lowest, highest) } else { 0 }
    }
}

/// A battery and what has passed through it.
///
/// Invariants: `stored_mw_ms <= capacity_mw_ms`; what was charged equals what is stored more than
/// at the start plus what was discharged plus losses, all at the terminals and to the mW·ms.
#[derive(Clone, Debug)]
pub(super) struct Battery {
    rated_mw: i64,
    capacity_mw_ms: u128,
    stored_mw_ms: u128,
    efficiency_ppm: u128,
    pub(super) charged: Register,
    pub(super) discharged: Register,
}

impl Battery {
    /// A half full battery whose capacity is `part / whole` of its rating.
    pub(super) fn new(rating: &scenario::Battery, part: u64, whole: u64) -> Self {
        let full_scale = u128::from(rating.capacity.to_milliwatt_hours()) * MW_MS_PER_MWH;
        // Whole mWh, so that what a nameplate says is exact.
        let capacity_mwh = full_scale * u128::from(part) / u128::from(whole) / MW_MS_PER_MWH;
        let capacity_mw_ms = capacity_mwh * MW_MS_PER_MWH;
        Self {
            rated_mw: rating.rated.to_milliwatts(),
            capacity_mw_ms,
            stored_mw_ms: capacity_mw_ms / 2,
            efficiency_ppm: u128::from(rating.efficiency_ppm),
            charged: Register::new(),
            discharged: Register::new(),
        }
    }

    /// What it stores when full.
    pub(super) fn capacity(&self) -> Energy {
        shown(self.capacity_mw_ms)
    }

    /// What is in it.
    pub(super) fn stored(&self) -> Energy {
        shown(self.stored_mw_ms)
    }

    /// The power at the terminals for the next `ms`, in mW, charging positive: what `range` asks
    /// for as far as rating, room and charge allow.
    pub(super) fn power_for(&self, range: BatteryRange, ms: u64) -> i64 {
        let wish_mw = range.wish_mw().clamp(-self.rated_mw, self.rated_mw);
        let at_terminals_mw_ms = if wish_mw > 0 {
            let room = self.capacity_mw_ms - self.stored_mw_ms;
            room * u128::from(MILLION) / self.efficiency_ppm
        } else {
            self.stored_mw_ms * self.efficiency_ppm / u128::from(MILLION)
        };
        let most_mw = i64::try_from(at_terminals_mw_ms / u128::from(ms)).unwrap_or(i64::MAX);
        wish_mw.clamp(-most_mw, most_mw)
    }

    /// Runs at a power from [`Self::power_for`] for `ms`.
    pub(super) fn run(&mut self, mw: i64, ms: u64) {
        self.charged.add(mw, ms);
        self.discharged.add(-mw, ms);
        // Both roundings take from the store: energy is never made.
        self.stored_mw_ms += energy_mw_ms(mw, ms) * self.efficiency_ppm / u128::from(MILLION);
        self.stored_mw_ms -=
            (energy_mw_ms(-mw, ms) * u128::from(MILLION)).div_ceil(self.efficiency_ppm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_MS: u64 = 1000;

    /// 10 kW, 1 kWh, 95 % each way, at full scale.
    fn battery() -> Battery {
        let rating = scenario::Battery {
            rated: Power::from_milliwatts(10_000_000),
            capacity: Energy::from_milliwatt_hours(1_000_000),
            efficiency_ppm: 950_000,
        };
        Battery::new(&rating, 1, 1)
    }

    /// Runs at `mw` as far as possible for `ticks`, and returns the last power.
    fn run(battery: &mut Battery, mw: i64, ticks: u32) -> i64 {
        let range = BatteryRange::exactly(Power::from_milliwatts(mw));
        let mut last_mw = 0;
        for _ in 0..ticks {
            last_mw = battery.power_for(range, TICK_MS);
            battery.run(last_mw, TICK_MS);
        }
        last_mw
    }

    #[test]
    fn a_round_trip_returns_the_square_of_the_one_way_efficiency() {
        let mut battery = battery();
        run(&mut battery, -10_000_000, 1000);
        assert_eq!(battery.stored(), Energy::ZERO);
        let (in_before, out_before) = (battery.charged, battery.discharged);
        run(&mut battery, 9_999_999, 1000);
        assert_eq!(battery.stored().to_milliwatt_hours(), 999_999);
        run(&mut battery, -10_000_000, 1000);
        let charged = battery.charged.exact_mw_ms() - in_before.exact_mw_ms();
        let discharged = battery.discharged.exact_mw_ms() - out_before.exact_mw_ms();
        assert_eq!(discharged * 1_000_000 / charged, 902_500);
    }

    #[test]
    fn full_and_empty_batteries_deliver_what_they_can() {
        let mut battery = battery();
        // Half a kWh of room takes 526.3 Wh at the terminals: 189 s at 10 kW and a rest.
        assert_eq!(run(&mut battery, 10_000_000, 189), 10_000_000);
        assert!((1..10_000_000).contains(&run(&mut battery, 10_000_000, 1)));
        assert_eq!(run(&mut battery, 10_000_000, 1), 0);
        assert_eq!(run(&mut battery, -10_000_000, 341), -10_000_000);
        assert!((-9_999_999..0).contains(&run(&mut battery, -10_000_000, 1)));
        assert_eq!(run(&mut battery, -10_000_000, 1), 0);
    }

    #[test]
    fn a_range_is_held_to_the_rating_and_zero_is_preferred() {
        let battery = battery();
        let check = |lowest, highest, expected| {
            let [lowest, highest] = [lowest, highest].map(Power::from_milliwatts);
            assert_eq!(battery.power_for(BatteryRange { lowest, highest }, TICK_MS), expected);
        };
        check(-5, 7, 0);
        check(3, 7, 3);
        check(-7, -3, -3);
        check(7, 3, 0);
        check(i64::MAX, i64::MAX, 10_000_000);
        check(i64::MIN, i64::MIN, -10_000_000);
    }

    #[test]
    fn energy_is_never_made() {
        let mut battery = battery();
        let start = battery.stored_mw_ms;
        for step in 0..5000_i64 {
            run(&mut battery, (step * 7_919_993) % 20_000_001 - 10_000_000, 1);
            let into = battery.charged.exact_mw_ms() + start;
            let out = battery.discharged.exact_mw_ms() + battery.stored_mw_ms;
            assert!(into >= out, "step {step}");
            assert!(battery.stored_mw_ms <= battery.capacity_mw_ms);
        }
    }
}
