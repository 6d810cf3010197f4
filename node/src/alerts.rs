//! Alerts: what the owner wants to be told of, told to the receivers that the owner names.
//!
//! Rules are looked at every few seconds ([`rule`]); what begins, lasts or ends goes into an outbox on
//! disk ([`outbox`]) and from there to each receiver ([`send`]), so that nothing is lost while the
//! network is away. Nothing here decides about money or machines.
//! Not for: Home Assistant, which makes alerts of its own from what it is told.

mod day;
pub mod outbox;
pub mod quiet;
pub mod rule;
pub mod send;
mod task;

pub use task::{AlertDesk, AlertStatus, AlertsConfig, AlertsError, ReceiverStatus, RuleStatus};
pub(crate) use task::{Alerts, Sources, Wishes};
