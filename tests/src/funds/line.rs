//! What is said between a test and a purse: one JSON value a line, over the purse's standard input and
//! output. Not for: what a purse logs, which goes to its standard error.

use boltgrid_protocol::lightning::{LightningId, PaymentHash};
use serde::{Deserialize, Serialize};

use super::book::Bill;

/// Something asked of a purse.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// To make an invoice.
    Invoice { amount_msat: u64 },
    /// To write down that it pays, and then to pay.
    Pay { bolt11: String, amount_msat: u64, hash: PaymentHash },
    /// For an address of its wallet.
    Address,
    /// To open a channel.
    Open { with: LightningId, address: String, size_sat: u64, push_sat: u64 },
    /// To connect, unless it is.
    Connect { with: LightningId, address: String },
    /// To close its channels with another.
    Close { with: LightningId, force: bool },
    /// To follow the chain to its tip, and to say how it is.
    Look,
    /// To say how it is.
    Glance,
    /// To ask about what it has begun to pay, and to say all that it has written down.
    Book,
    /// To stop in order.
    Stop,
}

/// A question and its number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) ask: Ask,
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// It runs, and this is its Lightning node.
    Ready(LightningId),
    /// It is done, or under way.
    Done,
    /// An invoice.
    Invoice { bolt11: String, hash: PaymentHash },
    /// An address.
    Address(String),
    /// How it is.
    Seen(Seen),
    /// What it has written down.
    Book(Vec<Bill>),
    /// It cannot.
    Refused(String),
}

/// An answer and the number of its question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) number: u64,
    pub(super) told: Told,
}

/// How a purse is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The latest block it knows.
    pub(super) height: u32,
    /// In its wallet.
    pub(super) onchain_sat: u64,
    /// In its channels, open or being closed.
    pub(super) channels_sat: u64,
    /// On its way from closed channels into the wallet.
    pub(super) closing_sat: u64,
    /// Its channels.
    pub(super) channels: Vec<Lane>,
}

/// A channel.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Lane {
    /// With whom.
    pub(super) with: LightningId,
    /// Whether payments can go through it.
    pub(super) is_usable: bool,
    /// Whether it was funded.
    pub(super) is_ready: bool,
    /// What can be sent through it.
    pub(super) sendable_msat: u64,
}

impl Seen {
    /// Whether nothing of it is in channels, or on its way out of them.
    pub(super) fn is_out(&self) -> bool {
        self.channels.is_empty() && self.channels_sat == 0 && self.closing_sat == 0
    }

    /// Whether there is a channel with this one that can be used.
    pub(super) fn can_use(&self, with: &LightningId) -> bool {
        self.channels.iter().any(|it| it.with == *with && it.is_usable)
    }
}
