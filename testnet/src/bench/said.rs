//! What is asked of a bare Lightning node's process and what it tells: one JSON value a line, on its
//! standard input and output.

use serde::{Deserialize, Serialize};

/// A question, and the number that its answer will have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) ask: Ask,
}

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// A new address of the wallet.
    Address,
    /// Open a channel to a node of this id, at this address.
    Open { node_id: String, address: String, size_sat: u64, push_msat: u64 },
    /// How it is.
    State,
    /// Make an invoice.
    Invoice { amount_msat: u64 },
    /// Pay one.
    Pay { bolt11: String, fee_max_msat: u64 },
}

/// Something that a process says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// The answer to the question of this number.
    Answer { number: u64, answer: Result<Answer, String> },
    /// A payment of this hash arrived or failed, or was received, at this time of its clock.
    Payment { payment_hash: String, end: End, at_unix_ms: u64 },
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Address(String),
    State {
        node_id: String,
        onchain_sat: u64,
        channels_usable: usize,
    },
    Invoice {
        bolt11: String,
        payment_hash: String,
    },
    /// It is being done.
    Done,
}

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum End {
    Sent,
    Received,
    Failed,
}
