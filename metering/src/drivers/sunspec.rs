//! SunSpec over Modbus TCP: meters, PV inverters and batteries.
//!
//! | kind | needed | used where present |
//! |---|---|---|
//! | [`SunSpecMeter`] | one of 201–204, 213 | |
//! | [`SunSpecPv`] | one of 101–103, 113 | 120 rating, 122 potential, 123 limit, 160 strings of a hybrid |
//! | [`SunSpecBattery`] | one of 101–103, 113; 124 or 802 | 120 and 802 ratings, 160 strings of a hybrid |
//!
//! Integer and floating-point models are read alike, scale factors and "not implemented" are dealt
//! with here, and a value that cannot be is an error that names device and point.
//! Not for: reconnecting (open the device again) or keeping registers monotone ([`crate::register`]).

mod ac;
mod battery;
mod meter;
mod point;
mod pv;
mod strings;
mod unit;

pub use battery::SunSpecBattery;
pub use meter::SunSpecMeter;
pub use pv::SunSpecPv;
