//! Quantities with their unit in the type: power, energy, price, money and time.
//!
//! All are integers. Fields are private, built by a constructor and read by a method that both name
//! the unit; arithmetic is checked and only what has meaning exists.
//! Not for: currencies other than bitcoin, or display in anything but the base unit.

mod energy;
mod money;
mod power;
mod price;
mod time;

pub use energy::{Energy, NetEnergy};
pub use money::{Msat, SignedMsat};
pub use power::Power;
pub use price::Price;
pub use time::{Interval, Timestamp};

/// A quantity left the range its type can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantity out of range")]
pub struct OutOfRange;

/// One million: the denominator of parts per million, and mWh in a kWh.
pub const MILLION: u64 = 1_000_000;

/// `value · numerator / denominator`, rounded down, with a 128-bit product.
///
/// # Errors
///
/// [`OutOfRange`] when `denominator` is zero or the result does not fit 64 bits.
pub fn scale_floor(value: u64, numerator: u64, denominator: u64) -> Result<u64, OutOfRange> {
    let product = u128::from(value).checked_mul(u128::from(numerator)).ok_or(OutOfRange)?;
    let quotient = product.checked_div(u128::from(denominator)).ok_or(OutOfRange)?;
    u64::try_from(quotient).map_err(|_| OutOfRange)
}
