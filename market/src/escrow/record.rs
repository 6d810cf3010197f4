//! What the engine writes to the journal, and where. Not for: what a record means ([`super::state`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::codec::{self, CodecRejected};
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::lightning::Preimage;
use boltgrid_protocol::units::Interval;
use serde::{Deserialize, Serialize};

use super::said::End;
use crate::effect::{JournalEntry, Slot};

/// One thing that is true from now on, about one escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Record {
    /// The payer has signed terms.
    Proposed {
        /// The signed terms.
        terms: Vec<u8>,
        /// What claims the payment.
        preimage: Preimage,
    },
    /// The payer holds the arbiter's word.
    Arbitrated {
        /// The signed word.
        deed: Vec<u8>,
    },
    /// The payer holds the payee's word and is about to pay.
    Intended {
        /// The signed word.
        deed: Vec<u8>,
    },
    /// The payer gives the preimage to the payee.
    Released,
    /// The arbiter has signed that it rules.
    Rules {
        /// The signed terms.
        terms: Vec<u8>,
        /// What claims the payment.
        preimage: Preimage,
        /// Its signed word.
        deed: Vec<u8>,
    },
    /// The arbiter has ruled, for good.
    Ruled {
        /// For the payee.
        releases: bool,
    },
    /// The payee has signed that it holds.
    Holds {
        /// The signed terms.
        terms: Vec<u8>,
        /// Its signed word.
        deed: Vec<u8>,
    },
    /// The payment has arrived at the payee.
    Locked {
        /// The height at which it goes back by itself.
        claim_before_height: u32,
    },
    /// The payee knows the preimage and claims.
    Learnt {
        /// It.
        preimage: Preimage,
    },
    /// The payee gives the payment back.
    GivesBack,
    /// It is over.
    Over(End),
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) escrow: MessageHash,
    pub(super) record: Record,
}

impl Entry {
    /// Reads what this node has written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, CodecRejected> {
        codec::decode(bytes, codec::ENCODED_MAX)
    }
}

/// Where the next record goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    next: BTreeMap<Interval, u32>,
}

impl Log {
    /// Notes that a slot is filled.
    pub(super) fn fill(&mut self, interval: Interval, place: u32) {
        let next = self.next.entry(interval).or_default();
        *next = (*next).max(place.saturating_add(1));
    }

    /// Writes a record of an escrow that is over by `over`.
    pub(super) fn write(&mut self, over: Interval, entry: &Entry) -> JournalEntry {
        let next = self.next.entry(over).or_default();
        let slot = Slot::Escrow(over, *next);
        *next = next.saturating_add(1);
        let bytes: Arc<[u8]> = codec::canonical(entry).into();
        JournalEntry { slot, bytes }
    }

    /// Forgets intervals in which nothing is written any more.
    pub(super) fn forget_before(&mut self, interval: Interval) {
        self.next = self.next.split_off(&interval);
    }
}
