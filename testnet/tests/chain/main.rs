//! The embedded chain beside a real bitcoind: the same calls get the same answers, and real
//! Lightning nodes live on either.
//!
//! `BITCOIND_EXE` names the real one; where it is missing, the tests say so and check ours alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stderr, reason = "what a test did not see is said aloud")]

mod index;
mod lightning;
mod parity;
mod servers;
mod sources;
mod world;
