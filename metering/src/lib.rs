//! What flowed: from a device's registers to signed, chained readings at the edges of intervals.
//!
//! Everything but [`drivers`] is pure: it takes the time and what a device showed as arguments.
//! Not for: when a device is asked or a reading is made (the node decides), or what follows from one.

pub mod chain;
pub mod decimal;
pub mod drivers;
pub mod edge;
pub mod feeder;
pub mod integrate;
pub mod plausibility;
pub mod power_quality;
pub mod quantity;
pub mod register;
pub mod registers;
pub mod role;
pub mod sample;
pub mod scale;
pub mod shown;
pub mod substitute;
pub mod sun;
pub mod virtual_meter;
