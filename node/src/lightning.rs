//! Lightning: the node's wallet, its channels and payments, by an embedded `ldk-node`.
//!
//! ```text
//!   open ──► bitcoind              is it on the network that is meant?
//!        └─► Lightning::run        the task: requests, events, a look every second
//!              ├─ serve            the library's blocking calls, on threads of their own
//!              ├─ events           what happened, told until it is kept
//!              ├─ store, guard     what is on disk, and that it is not an old copy
//!              ├─ fundings         one use of the coins at a time
//!              ├─ begun            which payments may be under way, whatever the library says
//!              └─ ldk, logs        building the library's node, and what it says
//!   handle ──► what the other tasks ask of it
//! ```
//!
//! This folder is the only one that names the library. What the rest of the node sees is in
//! [`handle`] (what can be asked) and [`event`] (what happens), in plain types.
//! Not for: what is owed, or with whom channels should be; those are the market's.

mod begun;
mod bitcoind;
pub mod channel;
mod convert;
pub mod event;
mod events;
mod fundings;
mod guard;
pub mod handle;
mod hold;
mod ldk;
mod logs;
pub mod payment;
mod reading;
mod reconnect;
mod restore;
pub mod seed;
mod serve;
pub mod status;
mod store;
mod strangers;
mod task;
mod unsent;
pub mod verify;

use std::io;
use std::path::PathBuf;

pub use bitcoind::BitcoindError;
pub(crate) use bitcoind::check as check_bitcoind;
pub use channel::{Channel, ChannelId, ChannelState, ChannelTerms};
pub use event::{Delivery, LightningEvent, LightningEvents};
pub use guard::GuardError;
pub use handle::{LightningError, LightningHandle, Request, Sending};
pub(crate) use ldk::Credentials;
pub use payment::{
    Direction, Invoice, InvoiceTerms, KnownPayment, PaymentOrder, PaymentState, ReadInvoice,
    Transaction,
};
pub use reading::read;
pub(crate) use reading::read_any;
pub use restore::{RestoreError, restore};
pub use seed::{Seed, SeedError};
pub use status::{Balances, LightningStatus};
pub use store::prepare_store;
pub use task::{LIGHTNING_DIR, Lightning};

/// What was being done when the library failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStep {
    /// Reading its store and setting up the wallet.
    Build,
    /// Reaching the chain, and listening.
    Start,
}

/// Why Lightning did not start.
#[derive(Debug, thiserror::Error)]
pub enum LightningStartError {
    /// The wallet's seed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The store is not where this node left it.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The store cannot be opened.
    #[error(
        "Lightning's store in {path} cannot be opened: {problem}; check that the disk works, and do \
         not put an old copy back"
    )]
    Store {
        /// Its folder.
        path: PathBuf,
        /// What the library says.
        problem: String,
    },
    /// A file with a secret.
    #[error("{path}, which logs in to bitcoind, cannot be read: {source}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The chain's bitcoind.
    #[error(transparent)]
    Bitcoind(#[from] BitcoindError),
    /// An address or id that the library does not take.
    #[error("the config's `[lightning]` does not hold: {0}")]
    Address(String),
    /// The operating system gives no threads.
    #[error("Lightning's threads cannot be started: {0}")]
    Threads(#[source] io::Error),
    /// The operating system gives no random bytes.
    #[error("no randomness for Lightning: {0}")]
    Randomness(#[source] getrandom::Error),
    /// The library says no.
    #[error("{}", library(*.step, .problem, .chain, .log))]
    Library {
        /// What was being done.
        step: StartStep,
        /// What the library says.
        problem: String,
        /// Where the chain is seen.
        chain: String,
        /// What its log said last.
        log: String,
    },
    /// The library panicked.
    #[error("Lightning panicked while starting: {0}")]
    Panicked(String),
}

fn library(step: StartStep, problem: &str, chain: &str, log: &str) -> String {
    let cause = if log.is_empty() { String::new() } else { format!(" ({log})") };
    match step {
        StartStep::Build => format!(
            "Lightning's wallet and channels cannot be loaded: {problem}{cause}; check \
             `lightning.network` and `lightning.seed_file`, and that {chain} answers"
        ),
        StartStep::Start => format!(
            "Lightning cannot start: {problem}{cause}; check that {chain} answers and is of \
             `lightning.network`, and that nothing else listens at `lightning.listen`"
        ),
    }
}

/// Why Lightning gave up while running.
#[derive(Debug, thiserror::Error)]
pub enum LightningFailure {
    /// Something could not be written.
    #[error(
        "Lightning cannot write to its store: {0}; free some disk space and start again, which loses \
         nothing"
    )]
    Disk(String),
    /// The marks against rolled-back state.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The library failed.
    #[error("Lightning failed: {0}")]
    Library(String),
    /// The library panicked.
    #[error(
        "Lightning panicked; see the log above. If it says that this node has fallen behind, its store \
         is an old copy: put the newest back"
    )]
    Panicked,
}
