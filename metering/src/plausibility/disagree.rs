//! Registers against integrated power, net, window by window.
//!
//! What the power shown comes to and what the registers moved are two measurements of one thing. They
//! may be apart by 5 % of all that flowed (power is looked at now and then, and both have their class),
//! by two steps of the register, and by a little more. Net import is compared, so that a meter that
//! counts every phase by itself is no liar, and one whose import and export are swapped is.

use boltgrid_protocol::units::{Energy, NetEnergy, Power, Timestamp};

use super::finding::apart;
use super::{Finding, Verdict};
use crate::sample::MeterSample;

/// A window is an interval, but at least this long.
const WINDOW_MIN_MS: u64 = 60_000;
/// Less than this in a window says nothing: 20 Wh …
const LEAST: Energy = Energy::from_milliwatt_hours(20_000);
/// … nor less than so many steps of a register …
const STEPS_MIN: u64 = 10;
/// … and where none has shown yet, less than this: meters count in up to 1 kWh.
const LEAST_UNSEEN: Energy = Energy::from_milliwatt_hours(3_000_000);
/// How much of what flowed the two may be apart, in per cent.
const TOLERANCE_PERCENT: u64 = 5;
/// And by so many steps of a register.
const STEPS: u64 = 2;
/// And by this, 5 Wh: what flows while a meter refreshes.
const SLACK: Energy = Energy::from_milliwatt_hours(5_000);
/// Milliwatt-milliseconds in a milliwatt-hour, doubled: twice the mean of two powers is their sum.
const TWICE_MW_MS_PER_MWH: i128 = 7_200_000;

/// The window that is open.
#[derive(Debug)]
pub(super) struct Disagree {
    window_ms: u64,
    open: Option<Window>,
    /// The largest step of a register in the last window.
    step: Energy,
}

#[derive(Debug)]
struct Window {
    from: (Timestamp, MeterSample),
    last: (Timestamp, Power),
    /// Registers as they were last, for their steps.
    registers: (Energy, Energy),
    step: Energy,
    /// Twice the net import by power.
    net_twice_mw_ms: i128,
    /// Twice what flowed by power, either way.
    gross_twice_mw_ms: i128,
}

impl Disagree {
    pub(super) fn new(interval_ms: u64) -> Self {
        Self { window_ms: interval_ms.max(WINDOW_MIN_MS), open: None, step: Energy::ZERO }
    }

    pub(super) fn sampled(&mut self, at: Timestamp, meter: &MeterSample) -> Verdict {
        let window = self.open.get_or_insert_with(|| Window::from(at, meter));
        window.add(at, meter);
        let for_ms = at.ms_since(window.from.0);
        let step = self.step.max(window.step);
        if for_ms < self.window_ms || window.is_quiet(step) {
            return Verdict::Unknown;
        }
        let verdict = window.verdict(for_ms, meter, step);
        self.step = window.step;
        self.open = Some(Window::from(at, meter));
        verdict
    }
}

impl Window {
    const fn from(at: Timestamp, meter: &MeterSample) -> Self {
        Self {
            from: (at, *meter),
            last: (at, meter.power),
            registers: (meter.import_register, meter.export_register),
            step: Energy::ZERO,
            net_twice_mw_ms: 0,
            gross_twice_mw_ms: 0,
        }
    }

    fn add(&mut self, at: Timestamp, meter: &MeterSample) {
        let (since, held) = std::mem::replace(&mut self.last, (at, meter.power));
        let elapsed_ms = i128::from(at.ms_since(since));
        let (one, other) =
            (i128::from(held.to_milliwatts()), i128::from(meter.power.to_milliwatts()));
        self.net_twice_mw_ms += (one + other) * elapsed_ms;
        self.gross_twice_mw_ms += (one.abs() + other.abs()) * elapsed_ms;
        let (import, export) = self.registers;
        let moved = (meter.import_register.saturating_sub(import))
            .max(meter.export_register.saturating_sub(export));
        self.step = self.step.max(moved);
        self.registers = (meter.import_register, meter.export_register);
    }

    /// Whether too little moved, by power and by registers of such steps, to say anything.
    fn is_quiet(&self, step: Energy) -> bool {
        let (import, export) = self.registers;
        let first = &self.from.1;
        let moved = (import.saturating_sub(first.import_register))
            .saturating_add(export.saturating_sub(first.export_register));
        let steps = step.to_milliwatt_hours().saturating_mul(STEPS_MIN);
        let least = LEAST.max(Energy::from_milliwatt_hours(steps));
        let least = if step.is_zero() { LEAST_UNSEEN } else { least };
        self.gross() < least && moved < least
    }

    fn gross(&self) -> Energy {
        let mwh = u64::try_from(self.gross_twice_mw_ms / TWICE_MW_MS_PER_MWH);
        Energy::from_milliwatt_hours(mwh.unwrap_or(u64::MAX))
    }

    fn verdict(&self, for_ms: u64, meter: &MeterSample, step: Energy) -> Verdict {
        let first = &self.from.1;
        let registers = NetEnergy::between(
            meter.import_register.saturating_sub(first.import_register),
            meter.export_register.saturating_sub(first.export_register),
        );
        let integrated = i64::try_from(self.net_twice_mw_ms / TWICE_MW_MS_PER_MWH);
        let (Ok(registers_mwh), Ok(integrated)) = (registers, integrated) else {
            return Verdict::Unknown;
        };
        let integrated_mwh = NetEnergy::from_milliwatt_hours(integrated);
        let share = self.gross().to_milliwatt_hours() / 100 * TOLERANCE_PERCENT;
        let steps = step.to_milliwatt_hours().saturating_mul(STEPS);
        let tolerance = share.saturating_add(steps);
        let tolerance_mwh = Energy::from_milliwatt_hours(tolerance).saturating_add(SLACK);
        if apart(registers_mwh, integrated_mwh) <= tolerance_mwh {
            return Verdict::Holds;
        }
        Verdict::Violated(Finding::Disagrees {
            for_ms,
            registers_mwh,
            integrated_mwh,
            tolerance_mwh,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Samples a minute's distance apart for an hour at `watts`, whose registers move by
    /// `register_watts`, in whole steps of `step_wh` Wh. Returns the verdicts of all windows.
    fn verdicts(watts: i64, register_watts: i64, step_wh: u64) -> Vec<Verdict> {
        let mut disagree = Disagree::new(300_000);
        let moved = |second: u64| {
            let mwh = register_watts.unsigned_abs() * second * 10 / 36;
            Energy::from_milliwatt_hours(mwh / (step_wh * 1_000) * step_wh * 1_000)
        };
        (0..=3_600)
            .map(|second| {
                let (import_register, export_register) = if register_watts < 0 {
                    (Energy::ZERO, moved(second))
                } else {
                    (moved(second), Energy::ZERO)
                };
                let meter = MeterSample {
                    power: Power::from_watts(watts).unwrap(),
                    import_register,
                    export_register,
                    voltage_mv: None,
                    frequency_mhz: None,
                };
                disagree.sampled(Timestamp::from_unix_ms(second * 1_000), &meter)
            })
            .filter(|verdict| *verdict != Verdict::Unknown)
            .collect()
    }

    #[test]
    fn registers_that_tell_another_story_are_found_both_ways() {
        for (watts, register_watts) in [(4_000, 3_000), (3_000, 4_000), (-4_000, -3_000)] {
            let verdicts = verdicts(watts, register_watts, 1);
            assert_eq!(verdicts.len(), 12, "a verdict a window");
            assert!(verdicts.iter().all(|it| matches!(it, Verdict::Violated(_))), "{verdicts:?}");
        }
    }

    #[test]
    fn swapped_import_and_export_are_called_by_their_name() {
        for verdict in verdicts(4_000, -4_000, 1) {
            let Verdict::Violated(finding) = verdict else { panic!("{verdict:?}") };
            assert!(finding.looks_swapped());
            assert!(finding.to_string().contains("swapped"), "{finding}");
        }
        for verdict in verdicts(4_000, 3_000, 1) {
            let Verdict::Violated(finding) = verdict else { panic!("{verdict:?}") };
            assert!(!finding.looks_swapped());
        }
    }

    #[test]
    fn coarse_registers_are_no_lie() {
        for step_wh in [1, 10, 100] {
            let verdicts = verdicts(2_000, 2_000, step_wh);
            assert!(verdicts.iter().all(|it| *it == Verdict::Holds), "{step_wh}: {verdicts:?}");
        }
    }

    #[test]
    fn an_idle_site_is_not_judged() {
        assert_eq!(verdicts(10, 0, 1), []);
    }

    proptest! {
        #[test]
        fn an_honest_meter_of_class_two_is_never_blamed(
            watts in -30_000_i64..30_000,
            error_permille in -20_i64..=20,
            step_wh in 1_u64..=100,
        ) {
            let register_watts = watts * (1_000 + error_permille) / 1_000;
            let verdicts = verdicts(watts, register_watts, step_wh);
            prop_assert!(verdicts.iter().all(|it| *it == Verdict::Holds), "{:?}", verdicts);
        }
    }
}
