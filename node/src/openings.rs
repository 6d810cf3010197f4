//! Openings of masked shares (P44): what this node's owner shows an arbiter of its own, and what others
//! showed this node as theirs.
//!
//! ```text
//!   rpc ── the owner's command ──► OpeningsTask ──► network ──► the arbiter
//!   market task ── openings, arbiters' words ──►  │   ▲
//!                                                 └── shares, readings and openings: the archive
//! ```
//!
//! Everything follows from the archive, so that a restart forgets nothing. Nothing is opened but by the
//! owner's command.
//! Not for: which openings are good ([`boltgrid_market::openings`]), or the arithmetic of a feeder's gap
//! ([`boltgrid_metering::feeder`]).

use boltgrid_metering::feeder::WINDOW_INTERVALS;

mod arbiter;
mod desk;
mod own;
mod ruling;
mod task;
#[cfg(test)]
mod tests;

pub use desk::{NotOpened, OpenedInterval, OpeningsDesk, Outcome, Wish};
pub use own::NoOpening;
pub use ruling::{FeederRuling, IntervalRuling, rulings};
pub(crate) use task::OpeningsTask;

/// Shares and openings are kept for so many intervals: two weeks of five minutes, so that people have
/// time to ask one another.
pub const OPENABLE_INTERVALS: u64 = 4_096;
/// Of one member an arbiter keeps what it opened of so many intervals, the latest.
const OPEN_MAX: usize = 2 * WINDOW_INTERVALS;
/// Most intervals opened by one command.
pub const INTERVALS_AT_ONCE: u64 = 24;
