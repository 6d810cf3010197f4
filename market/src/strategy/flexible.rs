//! Load that runs only where power is cheap enough for it: a bitcoin miner, at its break-even.
//!
//! In an order it is a standing bid: above what power is worth to it, it gives its power back. Behind
//! one meter that is one more answer of the net curve ([`super::curve`]).
//! Not for: what power is worth to it, or which machine runs.

use boltgrid_protocol::units::{Energy, OutOfRange, Power, Price};

/// One flexible load, or several to which power is worth the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flexible {
    /// The highest price at which it runs.
    pub worth: Price,
    /// What it takes when it runs, positive.
    pub power: Power,
}

impl Flexible {
    /// What it takes in an interval, rounded down.
    pub(super) fn energy(&self, interval_ms: u64) -> Result<Energy, OutOfRange> {
        self.power.max(Power::ZERO).energy_over_floor(interval_ms)
    }
}

/// What those take to which power is worth at least, or more than, `price`.
pub(super) fn taken(
    loads: &[Flexible],
    runs: impl Fn(Price) -> bool,
    interval_ms: u64,
) -> Result<Energy, OutOfRange> {
    let willing = loads.iter().filter(|load| runs(load.worth));
    let mut sum = Energy::ZERO;
    for load in willing {
        sum = sum.checked_add(load.energy(interval_ms)?).ok_or(OutOfRange)?;
    }
    Ok(sum)
}
