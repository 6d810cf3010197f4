//! Values that stand still while they should move.
//!
//! A load may draw the same watts for hours and a site nothing at all, so an unchanged value alone says
//! nothing. What cannot be is a register that stands still while the power shown would have moved it
//! many steps on; and a meter of which nothing changes at all, voltage and frequency included, for an
//! hour, though those never stand still on a live grid.

use boltgrid_protocol::units::{Energy, Timestamp};

use super::{Finding, Verdict};
use crate::sample::MeterSample;

/// So much energy moves any register, before its steps are known: meters count in up to 1 kWh.
const FIRST_STEP: Energy = Energy::from_milliwatt_hours(1_000_000);
/// No register is taken to count in less than this: 10 Wh.
const LEAST_STEP: Energy = Energy::from_milliwatt_hours(10_000);
/// So many steps without one showing.
const STEPS: u64 = 3;
/// The longest that voltage, frequency and power stay the same to the last digit.
const ALIKE_MS: u64 = 3_600_000;
/// Milliwatt-milliseconds in a milliwatt-hour.
const MW_MS_PER_MWH: u128 = 3_600_000;

/// What has stood still since when.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    last: Option<(Timestamp, MeterSample)>,
    /// The larger of the steps that were seen last in each register.
    step: Option<Energy>,
    /// Since when the registers stand.
    registers_since: Timestamp,
    /// What the power shown comes to since then, in either direction.
    expected_mw_ms: u128,
    /// Since when all values stand.
    all_since: Timestamp,
}

impl Frozen {
    pub(super) fn sampled(&mut self, at: Timestamp, meter: &MeterSample) -> Verdict {
        let Some((before_at, before)) = self.last.replace((at, *meter)) else {
            (self.registers_since, self.all_since) = (at, at);
            return Verdict::Unknown;
        };
        if *meter != before {
            self.all_since = at;
        }
        let moved = (meter.import_register.saturating_sub(before.import_register))
            .max(meter.export_register.saturating_sub(before.export_register));
        if !moved.is_zero() {
            // A single step at most, as samples are far closer together; more makes the check lenient.
            self.step = Some(moved);
            self.registers_since = at;
            self.expected_mw_ms = 0;
            return Verdict::Holds;
        }
        let held_mw = u128::from(before.power.to_milliwatts().unsigned_abs());
        let held_mw_ms = held_mw * u128::from(at.ms_since(before_at));
        self.expected_mw_ms = self.expected_mw_ms.saturating_add(held_mw_ms);
        let expected = u64::try_from(self.expected_mw_ms / MW_MS_PER_MWH).unwrap_or(u64::MAX);
        let expected_mwh = Energy::from_milliwatt_hours(expected);
        let since = if expected >= self.most() {
            self.registers_since
        } else if self.all_stand(at, meter) {
            self.all_since
        } else {
            // What is left standing is neither: an idle site, or one that waits for its next step.
            return if self.expected_mw_ms == 0 { Verdict::Holds } else { Verdict::Unknown };
        };
        let (for_ms, power_mw) = (at.ms_since(since), meter.power);
        Verdict::Violated(Finding::Frozen { for_ms, power_mw, expected_mwh })
    }

    /// What must have shown in the registers.
    fn most(&self) -> u64 {
        let step = self.step.map_or(FIRST_STEP, |step| step.max(LEAST_STEP));
        step.to_milliwatt_hours().saturating_mul(STEPS)
    }

    /// Whether everything stands, of a meter that shows something that never does.
    fn all_stand(&self, at: Timestamp, meter: &MeterSample) -> bool {
        let lives = meter.voltage_mv.is_some() && meter.frequency_mhz.is_some();
        lives && at.ms_since(self.all_since) >= ALIKE_MS
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::Power;

    use super::*;

    /// A minute of one power, in which the import register goes to `import_wh` Wh.
    fn minute(frozen: &mut Frozen, minute: u64, watts: i64, import_wh: u64, mv: u32) -> Verdict {
        let meter = MeterSample {
            power: Power::from_watts(watts).unwrap(),
            import_register: Energy::from_milliwatt_hours(import_wh * 1_000),
            export_register: Energy::ZERO,
            voltage_mv: Some(mv),
            frequency_mhz: Some(50_000),
        };
        frozen.sampled(Timestamp::from_unix_ms(minute * 60_000), &meter)
    }

    #[test]
    fn registers_that_stand_while_power_flows_are_frozen() {
        let mut frozen = Frozen::default();
        minute(&mut frozen, 0, 6_000, 1_000, 230_000);
        assert_eq!(minute(&mut frozen, 1, 6_000, 1_100, 230_001), Verdict::Holds);
        // 100 Wh a minute, and a step of 100 Wh: nothing may have shown for less than three.
        assert_eq!(minute(&mut frozen, 2, 6_000, 1_100, 230_002), Verdict::Unknown);
        assert_eq!(minute(&mut frozen, 3, 6_000, 1_100, 230_003), Verdict::Unknown);
        let Verdict::Violated(finding) = minute(&mut frozen, 4, 6_000, 1_100, 230_004) else {
            panic!("300 Wh did not show")
        };
        let power_mw = Power::from_watts(6_000).unwrap();
        let expected_mwh = Energy::from_milliwatt_hours(300_000);
        assert_eq!(finding, Finding::Frozen { for_ms: 180_000, power_mw, expected_mwh });
        assert_eq!(minute(&mut frozen, 5, 6_000, 1_200, 230_005), Verdict::Holds);
    }

    #[test]
    fn a_site_that_draws_next_to_nothing_is_not_frozen() {
        let mut frozen = Frozen::default();
        for at in 0..600 {
            let mv = 230_000 + u32::try_from(at % 7).unwrap();
            let verdict = minute(&mut frozen, at, 5, 1_000, mv);
            assert!(!matches!(verdict, Verdict::Violated(_)), "minute {at}: {verdict:?}");
        }
    }

    #[test]
    fn a_steady_load_whose_registers_count_is_not_frozen() {
        let mut frozen = Frozen::default();
        for at in 0..600 {
            let verdict = minute(&mut frozen, at, 600, 1_000 + 10 * at, 230_000);
            assert!(!matches!(verdict, Verdict::Violated(_)), "minute {at}: {verdict:?}");
        }
    }

    #[test]
    fn a_meter_that_repeats_one_answer_for_an_hour_is_frozen() {
        let mut frozen = Frozen::default();
        let verdicts: Vec<_> =
            (0..=60).map(|at| minute(&mut frozen, at, 0, 1_000, 230_000)).collect();
        assert!(verdicts[..60].iter().all(|it| !matches!(it, Verdict::Violated(_))));
        assert!(matches!(verdicts[60], Verdict::Violated(_)));
    }
}
