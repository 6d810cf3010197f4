//! Lightning as the node has it, over a real chain: the bitcoind that `BITCOIND_EXE` names.
//!
//! Where it names none, these tests say so and check nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on should stop"
)]

mod bitcoind;
mod payments;
mod restarts;
mod starts;
mod wallets;
mod world;
