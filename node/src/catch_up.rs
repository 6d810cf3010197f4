//! Catching up: what this node missed of the grid's history it learns from other members, and it
//! hands out what it has (P26).
//!
//! ```text
//!   set       what the archive holds of a stretch of intervals       ┐
//!   session   one stretch with one member: answer in, proof out      │ no I/O but the archive's
//!   verify    from an item as it came to something that is proven    │
//!   keep      what is proven goes into the archive                   │
//!   plan      with whom, on what, when                               ┘
//!   task      network, clock and archive round all that; with it `serve`, which answers others, and
//!             `learnt`, which tells who needs to know
//! ```
//!
//! A member that lies costs time and is told apart from honest ones; it cannot put anything into the
//! archive that is not proven, nor keep out what any other member has.
//! Not for: the interval under way, which is the market's.

mod keep;
mod learnt;
mod plan;
mod rejected;
mod serve;
mod session;
mod set;
mod status;
mod task;
#[cfg(test)]
mod tests;
mod verify;

pub use status::{CatchUpState, CatchUpStatus};
pub(crate) use task::{CatchUp, CatchUpEnds, Reach};
