//! What rules look at: quantities by the names under which owners write them, unit included.

use std::collections::BTreeMap;
use std::fmt;

use boltgrid_protocol::units::Timestamp;

/// Something that is seen. Each is kept in a thousandth of the unit in which owners write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// The clearing price, or the supplier's where nothing was traded.
    Price,
    /// What a terahash a second earns in a day.
    Hashprice,
    /// What a kilowatt-hour is worth to the machine.
    BreakEven,
    /// What the site gives to the grid now, and machines could take; zero while it takes.
    Surplus,
    /// Power into the site, negative while it gives.
    Power,
    /// What PV gives.
    Pv,
    /// What the site consumes without its machines.
    Load,
    /// What the battery holds, of what it can hold.
    Battery,
    /// Power into the battery, negative while it gives.
    BatteryPower,
    /// Outside, or wherever the owner measures it.
    Temperature,
    /// The warmest part of the machine.
    MachineTemperature,
    /// Heat that is wanted now.
    HeatDemand,
    /// PV of the next hour, by forecast.
    PvNextHour,
    /// What is left of it beyond the load.
    SurplusNextHour,
    /// The grid's frequency.
    Frequency,
    /// The sun above the horizon.
    Sun,
}

/// Thousandths of a unit.
pub(super) const SCALE: i64 = 1_000;
/// More power than any site has, in W.
const POWER_MAX: i64 = 1_000_000_000;
/// More than any price, in sat.
const PRICE_MAX: i64 = 1_000_000;

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Price,
        Self::Hashprice,
        Self::BreakEven,
        Self::Surplus,
        Self::Power,
        Self::Pv,
        Self::Load,
        Self::Battery,
        Self::BatteryPower,
        Self::Temperature,
        Self::MachineTemperature,
        Self::HeatDemand,
        Self::PvNextHour,
        Self::SurplusNextHour,
        Self::Frequency,
        Self::Sun,
    ];

    /// Its name in a file, with its unit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Price => "price_sat_per_kwh",
            Self::Hashprice => "hashprice_sat_per_th_day",
            Self::BreakEven => "break_even_sat_per_kwh",
            Self::Surplus => "surplus_w",
            Self::Power => "power_w",
            Self::Pv => "pv_w",
            Self::Load => "load_w",
            Self::Battery => "battery_percent",
            Self::BatteryPower => "battery_w",
            Self::Temperature => "temperature_celsius",
            Self::MachineTemperature => "machine_celsius",
            Self::HeatDemand => "heat_demand_w",
            Self::PvNextHour => "forecast_pv_next_hour_wh",
            Self::SurplusNextHour => "forecast_surplus_next_hour_wh",
            Self::Frequency => "frequency_mhz",
            Self::Sun => "sun_degrees",
        }
    }

    /// The least and the most that it can be, in the unit of its name.
    #[must_use]
    pub const fn possible(self) -> (i64, i64) {
        match self {
            Self::Price => (-PRICE_MAX, PRICE_MAX),
            Self::Hashprice | Self::BreakEven => (0, PRICE_MAX),
            Self::Surplus
            | Self::Pv
            | Self::Load
            | Self::HeatDemand
            | Self::PvNextHour
            | Self::SurplusNextHour => (0, POWER_MAX),
            Self::Power | Self::BatteryPower => (-POWER_MAX, POWER_MAX),
            Self::Battery => (0, 100),
            Self::Temperature => (-90, 100),
            Self::MachineTemperature => (-90, 200),
            Self::Frequency => (40_000, 70_000),
            Self::Sun => (-90, 90),
        }
    }

    /// The quantity with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The name without its unit.
    pub(super) fn stem(self) -> &'static str {
        let name = self.name();
        let units = ["_sat_per_kwh", "_sat_per_th_day", "_percent", "_celsius", "_degrees", "_mhz"];
        let unit = units.iter().chain(&["_wh", "_w"]).find(|unit| name.ends_with(**unit));
        unit.and_then(|unit| name.strip_suffix(unit)).unwrap_or(name)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is seen at one moment. What is not in it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// What the owner's clock shows then, in milliseconds since it showed 1970-01-01 00:00.
    pub local_ms: u64,
    /// In thousandths of the unit of each quantity's name.
    pub values: BTreeMap<Quantity, i64>,
}

/// A value in thousandths as people write it.
pub(super) fn shown(thousandths: i64) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let magnitude = thousandths.unsigned_abs();
    let (whole, rest) = (magnitude.div_euclid(1_000), magnitude.rem_euclid(1_000));
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let text = format!("{sign}{whole}.{rest:03}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_is_found_by_its_name_and_differs_from_all_others() {
        for quantity in Quantity::ALL {
            assert_eq!(Quantity::named(quantity.name()), Some(quantity));
            assert!(quantity.stem().len() < quantity.name().len(), "{quantity} names no unit");
            let (least, most) = quantity.possible();
            assert!(least < most);
        }
        assert_eq!(Quantity::named("price"), None);
    }

    #[test]
    fn thousandths_are_shown_as_people_write_them() {
        let found = [1_000, 95_500, -30, 0, -1_234_560].map(shown);
        assert_eq!(found, ["1", "95.5", "-0.03", "0", "-1234.56"]);
    }
}
