//! The embedded chain beside a real bitcoind: the same calls get the same answers, and real
//! Lightning nodes live on either.
//!
//! `BITCOIND_EXE` names the real one; where it is missing, the tests say so and check ours alone.

mod lightning;
mod parity;
mod world;
