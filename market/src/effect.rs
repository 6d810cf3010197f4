//! What the market wants done, in the order in which it must be done.
//!
//! Invariant (write-ahead, P21): a [`Effect::Persist`] stands before every effect that lets the same
//! bytes leave the node. Whoever carries effects out stops at the first that fails.

use std::sync::Arc;

use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::seal::Shown;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Interval;

use crate::notice::Notice;
use crate::payments::Wanted;

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Store durably what was signed, before it leaves.
    Persist(JournalEntry),
    /// Publish to everyone.
    Gossip(Topic, Arc<[u8]>),
    /// Send a confirm to the other side of a trade, or an open reading of ours to somebody who trades
    /// with us; again until it is taken or counts no more.
    SendTo {
        /// The other side.
        to: ParticipantId,
        /// The signed message.
        bytes: Arc<[u8]>,
    },
    /// Show a reading of ours to somebody who trades with us, until it is taken or counts no more.
    Show {
        /// To whom.
        to: ParticipantId,
        /// The reading under its seal.
        shown: Box<Shown>,
    },
    /// Say what becomes of a gossiped message.
    Judge {
        /// Which message, as given with the input.
        token: u64,
        /// Pass it on or not.
        verdict: Verdict,
    },
    /// Ask these members for orders that a proposal names and we lack.
    FetchOrders {
        /// Of which interval.
        interval: Interval,
        /// Whose orders.
        authors: Vec<RosterIndex>,
        /// Who has them.
        from: Vec<ParticipantId>,
    },
    /// Ask these members whether they hold the interval's certificate.
    FetchCertificate {
        /// The interval.
        interval: Interval,
        /// Whom to ask.
        from: Vec<ParticipantId>,
    },
    /// Publish an offer of ours in the DHT, until it expires.
    PublishOffer(Arc<[u8]>),
    /// Ask the author of an offer for its word on an acceptance.
    AskReply {
        /// Whose offer.
        to: ParticipantId,
        /// The signed acceptance.
        bytes: Arc<[u8]>,
    },
    /// Say our word on an acceptance.
    AnswerReply {
        /// Which question, as given with the input.
        token: u64,
        /// The signed reply; `None` where we do not say any.
        bytes: Option<Arc<[u8]>>,
    },
    /// Do something for a payment.
    Payment(Wanted),
    /// The order window is open: ask the site's strategy for its order.
    AskOrder(Interval),
    /// Something happened that others may want to know; nothing depends on it.
    Tell(Notice),
}

/// What becomes of a gossiped message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on.
    Accept,
    /// Do not pass it on; its sender did nothing wrong.
    Ignore,
    /// Do not pass it on; no correct node would have sent it.
    Reject,
}

/// A place in the journal that is filled once: what we sign once only, what proves a trade, and what
/// was paid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The order of an interval.
    Order(Interval),
    /// The ack of an interval.
    Ack(Interval),
    /// The proposal of a view.
    Proposal(Interval, u32),
    /// The prevote of a view.
    Prevote(Interval, u32),
    /// The precommit of a view.
    Precommit(Interval, u32),
    /// The confirm of the trade with this index.
    Confirm(Interval, u32),
    /// The other side's confirm of the trade with this index: the proof of what it owes.
    Countersigned(Interval, u32),
    /// The reading at the start of an interval.
    Reading(Interval),
    /// A version of an offer of ours, by its last interval and a number.
    Offer(Interval, u32),
    /// An acceptance of ours, by its last interval and a number.
    Acceptance(Interval, u32),
    /// The word on an acceptance, ours or the other side's, by its last interval and a number.
    Reply(Interval, u32),
    /// A record of what is due and paid, by the interval in which it was written and a number.
    Payment(Interval, u32),
    /// That the records of this interval hold a summary of those before.
    Summary(Interval),
    /// A record of an escrow, by an interval in which it is over for good and a number.
    Escrow(Interval, u32),
}

impl Slot {
    /// The interval that the slot belongs to.
    #[must_use]
    pub const fn interval(self) -> Interval {
        match self {
            Self::Order(interval)
            | Self::Ack(interval)
            | Self::Proposal(interval, _)
            | Self::Prevote(interval, _)
            | Self::Precommit(interval, _)
            | Self::Confirm(interval, _)
            | Self::Countersigned(interval, _)
            | Self::Reading(interval)
            | Self::Offer(interval, _)
            | Self::Acceptance(interval, _)
            | Self::Reply(interval, _)
            | Self::Payment(interval, _)
            | Self::Summary(interval)
            | Self::Escrow(interval, _) => interval,
        }
    }
}

/// Bytes and the slot that they fill for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The slot.
    pub slot: Slot,
    /// The signed message, or the record.
    pub bytes: Arc<[u8]>,
}
