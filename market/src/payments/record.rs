//! What the engine writes to the journal, and where: an append-only log, each record in a slot of the
//! interval in which it was written.
//!
//! The log begins anew with a summary now and then, so that it need not be read from its beginning.
//! Not for: what a record means ([`super::state`]).

use std::sync::Arc;

use boltgrid_protocol::codec::{self, CodecRejected};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::Cause;
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::units::{Interval, Msat, Timestamp};
use serde::{Deserialize, Serialize};

use super::credit::Standing;
use super::dispute::Why;
use super::due::{Attempt, DueId, Open, Proof};
use super::said::Stage;
use super::state::Use;
use crate::effect::{Effect, JournalEntry, Slot};
use crate::ledger::{Account, Balance};
use crate::settlement::Settlement;

/// One thing that is true from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Record {
    /// The log so far is summed up by what follows, up to [`Self::SummaryEnds`].
    SummaryBegins,
    /// A balance of the ledger.
    Balance(Account, Balance),
    /// How a counterparty has behaved.
    Standing(ParticipantId, Standing),
    /// A due that is still of interest.
    Open(Box<Open>),
    /// Payment hashes that were used, in the order of their use.
    Used(Vec<(PaymentHash, Use)>),
    /// The latest intervals that were settled.
    SettledBefore(Vec<Interval>),
    /// The summary is complete.
    SummaryEnds,
    /// An interval was settled.
    Settled {
        /// What came of it.
        settlement: Box<Settlement>,
        /// When its dues are to be paid.
        pay_by: Timestamp,
        /// What shows them.
        proofs: Vec<(Cause, Proof)>,
    },
    /// We asked for a tranche, and may be paid.
    Invoiced(DueId, u32, Attempt),
    /// The invoice for a due's current tranche is of no use any more.
    Withdrawn(DueId),
    /// We are about to pay a tranche.
    Intended(DueId, u32, Attempt),
    /// We have paid.
    Sent {
        /// What it was bound to.
        payment_hash: PaymentHash,
        /// The receipt.
        preimage: Preimage,
        /// What it cost.
        fee_msat: Msat,
    },
    /// A payment of ours has failed for good.
    Failed(PaymentHash),
    /// We were paid.
    Received {
        /// What it was bound to.
        payment_hash: PaymentHash,
        /// How much.
        amount_msat: Msat,
        /// When.
        at: Timestamp,
    },
    /// A dispute began.
    Disputed(DueId, Why),
    /// The owner forgave a counterparty what was in dispute.
    Forgiven(ParticipantId),
}

impl Record {
    /// Whether it is part of a summary, between its beginning and its end.
    pub(super) const fn is_of_summary(&self) -> bool {
        matches!(
            self,
            Self::Balance(..)
                | Self::Standing(..)
                | Self::Open(_)
                | Self::Used(_)
                | Self::SettledBefore(_)
        )
    }

    /// How a payment ended, if that is what it says: by which hash, how, and when if it is known.
    pub(super) fn end_of_payment(&self) -> Option<(PaymentHash, Stage, Timestamp)> {
        if let Self::Sent { payment_hash, preimage, fee_msat } = *self {
            let stage = Stage::Paid { preimage: Some(preimage), fee_msat };
            Some((payment_hash, stage, Timestamp::default()))
        } else if let Self::Received { payment_hash, at, .. } = *self {
            Some((payment_hash, Stage::Paid { preimage: None, fee_msat: Msat::ZERO }, at))
        } else if let Self::Failed(payment_hash) = *self {
            Some((payment_hash, Stage::Failed, Timestamp::default()))
        } else {
            None
        }
    }

    /// Reads a record that this node has written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, CodecRejected> {
        codec::decode(bytes, codec::ENCODED_MAX)
    }
}

/// Where the next record goes.
///
/// Invariant: slots are filled in ascending order, whatever the clock does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Log {
    interval: Interval,
    next: u32,
    /// Whether anything was written since the last summary.
    pub(super) is_dirty: bool,
    /// The interval of the last summary.
    pub(super) summed_up: Option<Interval>,
}

impl Log {
    /// Notes that a slot is filled.
    pub(super) fn fill(&mut self, interval: Interval, place: u32) {
        if (interval, place) >= (self.interval, self.next) {
            (self.interval, self.next) = (interval, place.saturating_add(1));
        }
    }

    /// Writes a record in the current interval.
    pub(super) fn write(&mut self, current: Interval, record: &Record) -> Effect {
        if current > self.interval {
            (self.interval, self.next) = (current, 0);
        }
        let slot = Slot::Payment(self.interval, self.next);
        self.next = self.next.saturating_add(1);
        self.is_dirty = true;
        let bytes: Arc<[u8]> = codec::canonical(record).into();
        Effect::Persist(JournalEntry { slot, bytes })
    }

    /// Notes where a summary stands, so that it is found.
    pub(super) fn mark(&mut self) -> Effect {
        self.is_dirty = false;
        self.summed_up = Some(self.interval);
        let slot = Slot::Summary(self.interval);
        Effect::Persist(JournalEntry { slot, bytes: Arc::from(&b"BG"[..]) })
    }
}
