//! Why nodes have no money.

use crate::chain::{ClientError, FaucetError};

/// Why nodes have no money.
#[derive(Debug, thiserror::Error)]
pub enum MoneyError {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ClientError),
    /// The faucet.
    #[error(transparent)]
    Faucet(#[from] FaucetError),
    /// A client cannot be made.
    #[error("there is no way to ask node {name}: {source}")]
    Client {
        /// Its site.
        name: String,
        /// Why.
        source: Box<jsonrpsee::core::client::Error>,
    },
    /// A node says no.
    #[error("node {name} does not {what}: {source}; keep its log with --keep")]
    Node {
        /// Its site.
        name: String,
        /// What it was asked.
        what: &'static str,
        /// What it says.
        source: Box<jsonrpsee::core::client::Error>,
    },
    /// A wallet that gives no address of the chain.
    #[error("node {name} names no address of regtest: {address}")]
    Address {
        /// Its site.
        name: String,
        /// What it names.
        address: String,
    },
    /// Nodes that do not get there.
    #[error(
        "after {seconds} s these nodes have no {what}: {}; keep their logs with --keep, and take \
         fewer nodes on a slow machine", names.join(", ")
    )]
    NotReady {
        /// Which.
        names: Vec<String>,
        /// What is missing.
        what: &'static str,
        /// How long they had.
        seconds: u64,
    },
}
