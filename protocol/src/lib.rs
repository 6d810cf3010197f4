//! What nodes say to each other: units, ids, charter, roster, messages, signatures and their bytes.
//!
//! The rules are numbered in `PROTOCOL.md` (P1, P2, …) and cited where the code follows them.
//! Not for: sockets, clocks, disks or chance. Everything here is a function of its arguments.

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing)
)]

pub mod agreement;
pub mod bitmap;
pub mod charter;
pub mod codec;
pub mod confirm;
pub mod direct;
pub mod enrolment;
pub mod envelope;
pub mod escrow;
pub mod evidence;
pub mod forward;
pub mod history;
pub mod id;
pub mod invoice;
pub mod lightning;
pub mod masking;
pub mod message;
pub mod offer;
pub mod order;
mod payload;
pub mod peer;
pub mod reading;
pub mod roster;
pub mod seal;
pub mod signing;
pub mod topic;
pub mod units;

// The tests here and the tests outside share one sample grid, which names this crate from outside.
#[cfg(test)]
extern crate self as boltgrid_protocol;
#[cfg(test)]
#[path = "../tests/wire/fixture.rs"]
#[allow(dead_code, reason = "the tests outside need other parts of it")]
mod fixture;
