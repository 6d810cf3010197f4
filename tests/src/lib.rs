//! What needs more than one crate of the house: the deterministic simulator.

pub mod sim;
