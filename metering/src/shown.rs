//! What a device shows at one instant, whatever language it speaks: what every driver hands over.
//!
//! A quantity that the device does not have is absent, never zero. Registers are as the device counts
//! them; [`crate::register`] makes them monotone, and a device without them is integrated
//! ([`crate::integrate`]).
//! Not for: what a whole site shows (see [`crate::sample`]).

use boltgrid_protocol::units::Power;

use crate::drivers::PointRejected;
use crate::quantity::{Line, Quantity};
use crate::register::{RawRegister, Width};
use crate::scale::ScaleFactor;

/// A phase below this is switched off, or is none: what is left of it says nothing about the grid.
const DEAD_MV: u32 = 10_000;

/// What a device shows of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// Power, in the direction of [`Shown::power`].
    pub power: Option<Power>,
    /// Voltage to neutral.
    pub voltage_mv: Option<u32>,
    /// Current; its sign, where the device has one, is that of the power.
    pub current_ma: Option<i32>,
}

/// What a device shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How long ago it was measured, by the device's last word: zero where it was asked just now.
    pub age_ms: u64,
    /// Power through it: a meter's into the site, negative when it exports.
    pub power: Option<Power>,
    /// The phases, by [`Line`].
    pub phases: [Phase; 3],
    /// All energy ever taken.
    pub import: Option<RawRegister>,
    /// All energy ever given.
    pub export: Option<RawRegister>,
    /// Mean phase voltage, where it tells no single phase's.
    pub voltage_mv: Option<u32>,
    /// Frequency in millihertz.
    pub frequency_mhz: Option<u32>,
    /// All gas ever drawn, counted in a unit of litres times the scale.
    pub gas: Option<RawRegister>,
    /// How full a battery is, in thousandths of a per cent.
    pub charge_milli_percent: Option<u32>,
}

impl Shown {
    /// The phase of a line.
    #[must_use]
    pub const fn phase(&self, line: Line) -> &Phase {
        let [first, second, third] = &self.phases;
        match line {
            Line::L1 => first,
            Line::L2 => second,
            Line::L3 => third,
        }
    }

    const fn phase_mut(&mut self, line: Line) -> &mut Phase {
        let [first, second, third] = &mut self.phases;
        match line {
            Line::L1 => first,
            Line::L2 => second,
            Line::L3 => third,
        }
    }

    /// Puts down a quantity, in thousandths of its base unit. A register is taken as one that wraps at
    /// `width`.
    ///
    /// # Errors
    ///
    /// [`PointRejected::Impossible`] where no device could mean it; nothing is put down then.
    pub fn put(
        &mut self,
        quantity: Quantity,
        thousandths: i64,
        width: Width,
        rated: Option<Power>,
    ) -> Result<(), PointRejected> {
        let value = quantity.check(thousandths, rated)?;
        let power = || Some(Power::from_milliwatts(value));
        let register = || {
            Some(RawRegister {
                count: value.unsigned_abs(),
                width,
                scale: ScaleFactor::THOUSANDTHS,
            })
        };
        // `check` holds these within 32 bits.
        let unsigned = || u32::try_from(value).ok();
        let current = || i32::try_from(value).ok();
        match quantity {
            Quantity::Power => self.power = power(),
            Quantity::PowerL1 => self.phase_mut(Line::L1).power = power(),
            Quantity::PowerL2 => self.phase_mut(Line::L2).power = power(),
            Quantity::PowerL3 => self.phase_mut(Line::L3).power = power(),
            Quantity::Import => self.import = register(),
            Quantity::Export => self.export = register(),
            Quantity::Voltage => self.voltage_mv = unsigned(),
            Quantity::VoltageL1 => self.phase_mut(Line::L1).voltage_mv = unsigned(),
            Quantity::VoltageL2 => self.phase_mut(Line::L2).voltage_mv = unsigned(),
            Quantity::VoltageL3 => self.phase_mut(Line::L3).voltage_mv = unsigned(),
            Quantity::CurrentL1 => self.phase_mut(Line::L1).current_ma = current(),
            Quantity::CurrentL2 => self.phase_mut(Line::L2).current_ma = current(),
            Quantity::CurrentL3 => self.phase_mut(Line::L3).current_ma = current(),
            Quantity::Frequency => self.frequency_mhz = unsigned(),
            Quantity::Gas => self.gas = register(),
            Quantity::Charge => self.charge_milli_percent = unsigned(),
        }
        Ok(())
    }

    /// Whether it has a quantity.
    #[must_use]
    pub const fn has(&self, quantity: Quantity) -> bool {
        match quantity {
            Quantity::Power => self.power.is_some(),
            Quantity::PowerL1 => self.phase(Line::L1).power.is_some(),
            Quantity::PowerL2 => self.phase(Line::L2).power.is_some(),
            Quantity::PowerL3 => self.phase(Line::L3).power.is_some(),
            Quantity::Import => self.import.is_some(),
            Quantity::Export => self.export.is_some(),
            Quantity::Voltage => self.voltage_mv.is_some(),
            Quantity::VoltageL1 => self.phase(Line::L1).voltage_mv.is_some(),
            Quantity::VoltageL2 => self.phase(Line::L2).voltage_mv.is_some(),
            Quantity::VoltageL3 => self.phase(Line::L3).voltage_mv.is_some(),
            Quantity::CurrentL1 => self.phase(Line::L1).current_ma.is_some(),
            Quantity::CurrentL2 => self.phase(Line::L2).current_ma.is_some(),
            Quantity::CurrentL3 => self.phase(Line::L3).current_ma.is_some(),
            Quantity::Frequency => self.frequency_mhz.is_some(),
            Quantity::Gas => self.gas.is_some(),
            Quantity::Charge => self.charge_milli_percent.is_some(),
        }
    }

    /// Puts down a register as the device counts it.
    ///
    /// # Errors
    ///
    /// [`PointRejected::NotImplemented`] where the quantity is no register; nothing is put down then.
    pub const fn put_register(
        &mut self,
        quantity: Quantity,
        register: RawRegister,
    ) -> Result<(), PointRejected> {
        match quantity {
            Quantity::Import => self.import = Some(register),
            Quantity::Export => self.export = Some(register),
            Quantity::Gas => self.gas = Some(register),
            Quantity::Power
            | Quantity::PowerL1
            | Quantity::PowerL2
            | Quantity::PowerL3
            | Quantity::Voltage
            | Quantity::VoltageL1
            | Quantity::VoltageL2
            | Quantity::VoltageL3
            | Quantity::CurrentL1
            | Quantity::CurrentL2
            | Quantity::CurrentL3
            | Quantity::Frequency
            | Quantity::Charge => return Err(PointRejected::NotImplemented),
        }
        Ok(())
    }

    /// The power, or the sum of the phases' where only they are told. `None` where there is neither.
    #[must_use]
    pub fn total_power(&self) -> Option<Power> {
        self.power.or_else(|| {
            let phases = self.phases.iter().filter_map(|phase| phase.power);
            phases.reduce(|sum, phase| {
                let sum_mw = sum.to_milliwatts().saturating_add(phase.to_milliwatts());
                Power::from_milliwatts(sum_mw)
            })
        })
    }

    /// The mean of the voltages of the phases that are alive, rounded down, or the one that is told for
    /// all.
    #[must_use]
    pub fn mean_voltage_mv(&self) -> Option<u32> {
        let told =
            self.phases.iter().filter_map(|phase| phase.voltage_mv).filter(|mv| *mv > DEAD_MV);
        let (sum, count) =
            told.fold((0_u64, 0_u64), |(sum, count), mv| (sum + u64::from(mv), count + 1));
        let mean = sum.checked_div(count).and_then(|mean| u32::try_from(mean).ok());
        mean.or(self.voltage_mv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[(Quantity, i64)]) -> Shown {
        let mut shown = Shown::default();
        for (quantity, value) in values {
            shown.put(*quantity, *value, Width::Float, None).unwrap();
        }
        shown
    }

    #[test]
    fn phases_are_summed_only_where_no_total_is_told() {
        use Quantity::{Power as Total, PowerL1, PowerL3};
        let phases = [(PowerL1, 700_000), (PowerL3, -200_000)];
        assert_eq!(shown(&phases).total_power(), Some(Power::from_milliwatts(500_000)));
        let with_total = [phases[0], phases[1], (Total, 1_000)];
        assert_eq!(shown(&with_total).total_power(), Some(Power::from_milliwatts(1_000)));
        assert_eq!(shown(&[]).total_power(), None);
    }

    #[test]
    fn the_mean_voltage_is_that_of_the_phases_that_are_told() {
        use Quantity::{Voltage, VoltageL1, VoltageL2};
        let phases = [(VoltageL1, 230_000), (VoltageL2, 231_001)];
        assert_eq!(shown(&phases).mean_voltage_mv(), Some(230_500));
        let with_dead = [phases[0], phases[1], (Quantity::VoltageL3, 0)];
        assert_eq!(shown(&with_dead).mean_voltage_mv(), Some(230_500));
        assert_eq!(shown(&[(Voltage, 229_000)]).mean_voltage_mv(), Some(229_000));
    }

    #[test]
    fn what_is_refused_leaves_nothing_behind() {
        let mut shown = Shown::default();
        assert!(shown.put(Quantity::Frequency, 0, Width::Float, None).is_err());
        assert_eq!(shown, Shown::default());
    }
}
