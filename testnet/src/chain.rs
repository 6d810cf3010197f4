//! A regtest chain: one of our own, or a real bitcoind; both are asked over bitcoind's JSON-RPC.
//!
//! The embedded one keeps the rules that wallets and channels rest on: scripts (checked by Bitcoin
//! Core's own code), maturity, absolute and relative lock times, sums, double spends, replacement
//! by fee, and reorganisations. Deliberately absent: other nodes, a market for space in blocks,
//! packages, limits of signature operations, and a subsidy that halves.
//! Not for: what is done with the coins.

mod access;
pub mod alone;
mod bitcoind;
mod client;
mod coins;
mod embedded;
mod faucet;
mod kept;
mod log;
mod mempool;
mod mining;
mod policy;
mod rejection;
mod rpc;
mod rules;
mod scripts;
mod source;
mod state;
mod template;
mod tree;

pub use access::{Access, BadUrl};
pub use bitcoind::{Bitcoind, BitcoindError};
pub use client::{Client, ClientError};
pub use embedded::{Embedded, EmbeddedError, EmbeddedOptions};
pub use faucet::{Faucet, FaucetError, PAYEES_MAX};
pub use log::{Damage, LogError};
pub use mining::Mining;
pub use rejection::{BlockRejection, Rejection};
pub use rpc::ServerError;
pub use source::{Choice, Source, SourceError};
