//! How a price is made at one node: orders, agreement on the book, clearing, trades, settlement.
//!
//! ```text
//!   Input ──► Market ──► Vec<Effect>           one value per node, no I/O inside
//!               │
//!               ├─ Round, one per open interval: orders → acks → votes → book → clearing → confirms
//!               ├─ Readings at interval edges ──► settlement ──► payments, ledger
//!               ├─ Abstention: whether to sign at all, as long as the view cannot be trusted
//!               └─ bars of members that contradicted themselves
//!   strategy: what one site orders, and how it keeps to it
//!   escrow: amounts that are locked until readings say whose they are, beside the market
//!   openings: what sites show an arbiter of masked shares
//! ```
//!
//! The rules (P1, P2, …) are those of `protocol/PROTOCOL.md`.
//! Not for: sockets, clocks, disks, chance, or floats.

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod abstention;
pub mod auction;
pub mod channels;
pub mod clear;
pub mod cohort;
mod contracted;
pub mod effect;
pub mod escrow;
pub mod forwards;
pub mod input;
pub mod ledger;
pub mod market;
pub mod notice;
pub mod openings;
pub mod payments;
mod readings;
mod round;
mod seals;
pub mod settlement;
mod shares;
pub mod strategy;

pub use market::Market;
pub use readings::GridPower;
