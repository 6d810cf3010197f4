//! A whole microgrid on one machine: measured profiles, plant physics and the devices of every site.

pub mod devices;
pub mod plant;
pub mod scenario;
