//! The quantities a device may show, by the names that maps and configuration use, and the units they
//! may come in.
//!
//! Whatever language a device speaks, a number of it becomes thousandths of the quantity's base unit
//! (mW, mWh, mV, mA, mHz, ml, thousandths of a per cent) and passes [`Quantity::check`] before it counts.
//! Not for: where in a device's answer a quantity stands (see [`crate::drivers`]).

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};

use crate::drivers::PointRejected;
use crate::register::RATING_MARGIN_PERCENT;

/// No device of a grid like ours has more: 1 GW.
const POWER_MAX: Power = Power::from_milliwatts(1_000_000_000_000);
/// From a phase that is dead, or not connected, to a medium-voltage one, in mV.
const VOLTAGE_MV: (i64, i64) = (0, 50_000_000);

/// Either way, in mA: 100 kA.
const CURRENT_MA: (i64, i64) = (-100_000_000, 100_000_000);
/// Any frequency that a public or island grid survives, in mHz.
const FREQUENCY_MHZ: (i64, i64) = (40_000, 70_000);
/// What a register may show, in thousandths of its unit.
const REGISTER: (i64, i64) = (0, i64::MAX);
/// None to all of it, in thousandths of a per cent.
const PER_CENT: (i64, i64) = (0, 100_000);

/// One of the three phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// The first, or the only one.
    L1,
    /// The second.
    L2,
    /// The third.
    L3,
}

/// What a number of a device means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Power through the device, all phases together: a meter's into the site.
    Power,
    /// Power of the first phase.
    PowerL1,
    /// Power of the second phase.
    PowerL2,
    /// Power of the third phase.
    PowerL3,
    /// All energy ever taken, netted over the phases.
    Import,
    /// All energy ever given, netted over the phases.
    Export,
    /// Mean phase voltage, for devices that tell no single phase's.
    Voltage,
    /// Voltage of the first phase to neutral.
    VoltageL1,
    /// Voltage of the second phase to neutral.
    VoltageL2,
    /// Voltage of the third phase to neutral.
    VoltageL3,
    /// Current of the first phase.
    CurrentL1,
    /// Current of the second phase.
    CurrentL2,
    /// Current of the third phase.
    CurrentL3,
    /// Frequency of the grid.
    Frequency,
    /// All gas ever drawn.
    Gas,
    /// How full a battery is.
    Charge,
}

/// The kind of a quantity, which decides its base unit and what can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// In W.
    Power,
    /// In Wh; only grows.
    Energy,
    /// In V.
    Voltage,
    /// In A.
    Current,
    /// In Hz.
    Frequency,
    /// In l; only grows.
    Volume,
    /// In %.
    Share,
}

/// A unit that a device may use, as a power of ten of the base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Of what.
    pub dimension: Dimension,
    /// One of this unit is ten to this many of the base unit.
    pub exponent: i16,
}

/// Text that is no unit known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a unit known here; power comes in mW, W, kW or MW, energy in mWh, Wh, kWh or MWh, \
     voltage in mV, V or kV, current in mA or A, frequency in mHz or Hz, gas in l, dm3 or m3, charge in %"
)]
pub struct NotAUnit(String);

impl Unit {
    /// The unit by the name that people write.
    ///
    /// # Errors
    ///
    /// [`NotAUnit`].
    pub fn parse(text: &str) -> Result<Self, NotAUnit> {
        let (dimension, exponent) = match text {
            "mW" => (Dimension::Power, -3),
            "W" => (Dimension::Power, 0),
            "kW" => (Dimension::Power, 3),
            "MW" => (Dimension::Power, 6),
            "mWh" => (Dimension::Energy, -3),
            "Wh" => (Dimension::Energy, 0),
            "kWh" => (Dimension::Energy, 3),
            "MWh" => (Dimension::Energy, 6),
            "mV" => (Dimension::Voltage, -3),
            "V" => (Dimension::Voltage, 0),
            "kV" => (Dimension::Voltage, 3),
            "mA" => (Dimension::Current, -3),
            "A" => (Dimension::Current, 0),
            "mHz" => (Dimension::Frequency, -3),
            "Hz" => (Dimension::Frequency, 0),
            "l" | "dm3" => (Dimension::Volume, 0),
            "m3" => (Dimension::Volume, 3),
            "%" => (Dimension::Share, 0),
            _ => return Err(NotAUnit(text.to_owned())),
        };
        Ok(Self { dimension, exponent })
    }
}

impl Quantity {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 16] = [
        Self::Power,
        Self::PowerL1,
        Self::PowerL2,
        Self::PowerL3,
        Self::Import,
        Self::Export,
        Self::Voltage,
        Self::VoltageL1,
        Self::VoltageL2,
        Self::VoltageL3,
        Self::CurrentL1,
        Self::CurrentL2,
        Self::CurrentL3,
        Self::Frequency,
        Self::Gas,
        Self::Charge,
    ];

    /// Its name in maps and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::PowerL1 => "power_l1",
            Self::PowerL2 => "power_l2",
            Self::PowerL3 => "power_l3",
            Self::Import => "import",
            Self::Export => "export",
            Self::Voltage => "voltage",
            Self::VoltageL1 => "voltage_l1",
            Self::VoltageL2 => "voltage_l2",
            Self::VoltageL3 => "voltage_l3",
            Self::CurrentL1 => "current_l1",
            Self::CurrentL2 => "current_l2",
            Self::CurrentL3 => "current_l3",
            Self::Frequency => "frequency",
            Self::Gas => "gas",
            Self::Charge => "charge",
        }
    }

    /// What it is measured in.
    #[must_use]
    pub const fn dimension(self) -> Dimension {
        match self {
            Self::Power | Self::PowerL1 | Self::PowerL2 | Self::PowerL3 => Dimension::Power,
            Self::Import | Self::Export => Dimension::Energy,
            Self::Voltage | Self::VoltageL1 | Self::VoltageL2 | Self::VoltageL3 => {
                Dimension::Voltage
            }
            Self::CurrentL1 | Self::CurrentL2 | Self::CurrentL3 => Dimension::Current,
            Self::Frequency => Dimension::Frequency,
            Self::Gas => Dimension::Volume,
            Self::Charge => Dimension::Share,
        }
    }

    /// Whether it is a register: it only grows, and wraps at its device's width.
    #[must_use]
    pub const fn is_register(self) -> bool {
        matches!(self.dimension(), Dimension::Energy | Dimension::Volume)
    }

    /// The value, in thousandths of the base unit, if it can be at all. Powers are held to half as much
    /// again as `rated`.
    ///
    /// # Errors
    ///
    /// [`PointRejected::Impossible`].
    pub fn check(self, shown: i64, rated: Option<Power>) -> Result<i64, PointRejected> {
        let (least, most) = match self.dimension() {
            Dimension::Power => {
                let most = power_max_mw(rated);
                (-most, most)
            }
            Dimension::Energy | Dimension::Volume => REGISTER,
            Dimension::Voltage => VOLTAGE_MV,
            Dimension::Current => CURRENT_MA,
            Dimension::Frequency => FREQUENCY_MHZ,
            Dimension::Share => PER_CENT,
        };
        if (least..=most).contains(&shown) {
            Ok(shown)
        } else {
            Err(PointRejected::Impossible { shown, least, most })
        }
    }
}

/// Half as much again as the rating, or as the largest there is.
fn power_max_mw(rated: Option<Power>) -> i64 {
    let rated_mw = i128::from(rated.unwrap_or(POWER_MAX).to_milliwatts().unsigned_abs());
    i64::try_from(rated_mw * i128::from(RATING_MARGIN_PERCENT) / 100).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_written_by_its_name() {
        #[derive(Serialize, Deserialize)]
        struct Named {
            quantity: Quantity,
        }
        for quantity in Quantity::ALL {
            let text = toml::to_string(&Named { quantity }).unwrap();
            assert_eq!(text.trim(), format!("quantity = \"{}\"", quantity.name()));
            assert_eq!(toml::from_str::<Named>(&text).unwrap().quantity, quantity);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let rated = Some(Power::from_milliwatts(10_000));
        assert_eq!(Quantity::PowerL2.check(-15_000, rated), Ok(-15_000));
        let impossible = PointRejected::Impossible { shown: 15_001, least: -15_000, most: 15_000 };
        assert_eq!(Quantity::Power.check(15_001, rated), Err(impossible));
        assert!(Quantity::Import.check(-1, None).is_err());
        assert!(Quantity::VoltageL1.check(-1, None).is_err());
        assert!(Quantity::Frequency.check(50_000, None).is_ok());
        assert!(Quantity::Charge.check(100_001, None).is_err());
    }

    #[test]
    fn units_are_told_apart_by_their_letters() {
        assert_eq!(Unit::parse("mW").unwrap().exponent, -3);
        assert_eq!(Unit::parse("MW").unwrap().exponent, 6);
        assert_eq!(Unit::parse("kWh").unwrap().dimension, Dimension::Energy);
        assert!(Unit::parse("kwh").unwrap_err().to_string().contains("kWh"));
    }
}
