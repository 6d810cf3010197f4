//! The node's channels: what the policy of `market::channels` is told, and how its plan is carried out.
//!
//! ```text
//!   archive (books) ──► past ──► expected payments, who has a channel with whom ─┐
//!   Lightning ─────────► own ──► own channels, watched day by day ───────────────┤
//!   peer records ──────────────► who has a Lightning node ───────────────────────┤
//!                                                                                ▼
//!                       orders' names ◄── task ◄──────────────────────── policy: plan
//!                                           └──► carry ──► Lightning
//! ```
//!
//! Nothing here needs another node's consent beyond what Lightning asks for, and nothing is ever
//! undone in haste: at most one plan is carried out every so often, and only if the owner lets it.
//! Not for: deciding anything; that is the policy's.

mod carry;
mod own;
mod past;
pub mod report;
mod task;

use boltgrid_market::channels::Named;
use boltgrid_protocol::id::RosterHash;

pub use report::PlanReport;
pub(crate) use task::{ChannelKeeper, KeeperEnds};
pub use task::{ChannelPlans, NoPlan};

/// Whom orders name, by their places in this roster; nobody where that is not known.
pub(crate) type OrderNames = Option<(RosterHash, Named)>;
