//! Who sees a member's readings: what the charter says about it.
//!
//! Not for: how a reading is sealed and shown ([`crate::seal`]).

use serde::{Deserialize, Serialize};

use crate::envelope::Kind;

/// Who sees what a meter showed (P40). A charter that says nothing is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// Every member: readings are gossiped.
    #[default]
    Open,
    /// Those who trade with the member in the interval: readings are shown to them directly, and what
    /// is gossiped is a seal that binds the meter and shows nothing.
    Counterparty,
}

impl Disclosure {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Open, Self::Counterparty];

    /// Its word in charters and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Counterparty => "counterparty",
        }
    }

    /// Whether every member sees every reading.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether a kind of message may be gossiped, if it is one that ever is.
    #[must_use]
    pub const fn lets_gossip(self, kind: Kind) -> bool {
        match kind {
            Kind::Reading => self.is_open(),
            Kind::Seal => !self.is_open(),
            Kind::Order
            | Kind::Ack
            | Kind::Proposal
            | Kind::Vote
            | Kind::TradeConfirm
            | Kind::Evidence
            | Kind::PeerRecord
            | Kind::Offer
            | Kind::Acceptance
            | Kind::Reply
            | Kind::Invoice
            | Kind::Deed => true,
        }
    }
}
