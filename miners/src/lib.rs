//! Flexible load: what a kilowatt-hour is worth to a bitcoin miner, and which machine runs at what
//! power.
//!
//! Everything but `drivers` is pure: it takes the time and what machines showed as arguments.
//! Not for: when a machine is asked or told (the node decides), or what a site orders (the market).

pub mod break_even;
pub mod drivers;
pub mod effect;
pub mod emissions;
pub mod flare;
pub mod gas;
pub mod generator;
pub mod hash;
pub mod hashprice;
pub mod heat;
pub mod learnt;
pub mod machine;
pub mod plan;
pub mod react;
pub mod rules;
pub mod stratum;
