//! SunSpec over Modbus of any kind: meters, PV inverters and batteries.
//!
//! | kind | needed | used where present |
//! |---|---|---|
//! | [`SunSpecMeter`] | one of 201–204, 211–214, 701 | |
//! | [`SunSpecPv`] | one of 101–103, 111–113, 701 | 120 or 702 rating, 122 potential, 123 or 704 limit, 160 strings or 714 ports of a hybrid |
//! | [`SunSpecBattery`] | one of 101–103, 111–113, 701, or else 802; one of 124, 713, 802, 803, 804 | 120, 702, 713 and 802 ratings, 124 or 704 set points, 160 strings or 714 ports of a hybrid, 803 or 804 strings of the battery |
//!
//! Integer and floating-point models are read alike, scale factors and "not implemented" are dealt
//! with here, and a value that cannot be is an error that names device and point.
//! Not for: reconnecting (open the device again), keeping registers monotone ([`crate::register`]), or
//! the cells of a battery's modules (805).

mod ac;
mod bank;
mod battery;
mod dc;
mod doing;
mod meter;
mod point;
mod ports;
mod pv;
mod strings;
mod unit;

pub use battery::SunSpecBattery;
pub use meter::SunSpecMeter;
pub use pv::SunSpecPv;

use super::{Bus, DeviceError};

/// The models of a unit, by their numbers.
///
/// # Errors
///
/// [`DeviceError`], which names the device as `name`.
pub async fn models(bus: &Bus, unit: u8, name: &str) -> Result<Vec<u16>, DeviceError> {
    Ok(unit::Unit::discover(bus, unit, name).await?.models())
}
