//! The network task over real sockets on this machine: members find each other, say and ask things,
//! and what hostile peers send reaches nobody. Time is the sample grid's and stands still.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod clocks;
mod discovery;
#[allow(dead_code, reason = "the sample grid has more to it than the network needs")]
#[path = "../../../protocol/tests/wire/fixture.rs"]
mod fixture;
mod gossip;
mod hostile;
mod limits;
mod offers;
mod raw;
mod records;
mod requests;
mod start;
mod world;
