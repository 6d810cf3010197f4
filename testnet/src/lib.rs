//! A whole microgrid on one machine: measured profiles, plant physics and the devices of every site,
//! and real nodes that trade over it while everything is watched and checked.

pub mod bench;
pub mod chain;
pub mod cli;
pub mod devices;
pub mod load;
pub mod plant;
pub mod rogue;
pub mod run;
pub mod scenario;
mod signals;
