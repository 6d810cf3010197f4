//! Many markets, their disks, clocks and network, driven by one seed in one thread, and checked.
//!
//! ```text
//!   seed ──► Plan ──► World ──► Outcome          the same seed gives the same run, always
//!            │         │
//!            │         ├─ nodes: the very Market that the node runs, a Journal, a Clock
//!            │         ├─ network: loss, delay, order, copies, partitions; gossip that repairs
//!            │         └─ Checks: one per guarantee of `protocol/PROTOCOL.md`, after every step
//!            └─ incidents: what goes wrong, one by one, so that a failure can be shrunk
//! ```
//!
//! What is modelled and what is not: `docs/simulation.md`. Not for: real sockets, disks or time.

mod admission;
pub mod check;
mod clock;
pub(crate) mod dice;
mod directed;
mod flaw;
mod founding;
mod incident;
mod journal;
mod network;
mod node;
mod plan;
pub mod report;
pub mod shrink;
mod site;
mod world;

pub use check::{Guarantee, Violation};
pub use flaw::Flaw;
pub use incident::Incident;
pub use plan::Plan;
pub use world::{Options, Outcome, run};
