//! A generator that runs: what it can give beyond nothing, from which price on.
//!
//! In an order it is a standing offer at what a kilowatt-hour costs it. Behind one meter that is one
//! more answer of the net curve ([`super::curve`]), so it covers the site's own load first, and its miners
//! where power is worth more to them.
//! Not for: fuel, warm-up, the least load or when it starts; whoever fills it in sees to those.

use boltgrid_protocol::units::{Energy, OutOfRange, Power, Price};

/// What a generator can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The lowest price at which it gives.
    pub cost: Price,
    /// What it gives then at most, positive.
    pub power: Power,
}

impl Generation {
    /// What it gives in an interval, rounded down.
    pub(super) fn energy(&self, interval_ms: u64) -> Result<Energy, OutOfRange> {
        self.power.max(Power::ZERO).energy_over_floor(interval_ms)
    }
}
