//! What the market tells those who keep history, show status or write logs.

use std::sync::Arc;

use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::forward::Refusal;
use boltgrid_protocol::id::{BookHash, ClearingDigest, MessageHash, ParticipantId};
use boltgrid_protocol::offer::Offer;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::units::{Energy, Interval, Price};

use crate::abstention::Abstaining;
use crate::cohort::FeederSum;
use crate::forwards::Held;
use crate::payments::Told;
use crate::settlement::{Settlement, SettlementError};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A message was not taken, and why; to be counted.
    NotTaken(&'static str),
    /// The site's own order is signed and stored, now or before a restart.
    Placed {
        /// The interval.
        interval: Interval,
        /// The order.
        order: Box<Order>,
    },
    /// The interval's book is certified and cleared.
    Cleared(Box<ClearedInterval>),
    /// A view passed without a decision.
    Passed(Box<PassedView>),
    /// No book in time: the interval is supplied at the tariff.
    NoDecision(Interval),
    /// Both sides signed one of our trades.
    Confirmed {
        /// The interval.
        interval: Interval,
        /// The trade.
        terms: TradeTerms,
    },
    /// One of our trades lapsed, since the other side did not sign in time.
    Lapsed {
        /// The interval.
        interval: Interval,
        /// The trade.
        terms: TradeTerms,
    },
    /// What was delivered, and who owes what.
    Settled(Box<Settlement>),
    /// What the sites of a feeder took together, or why nobody knows (P42).
    Summed(Box<FeederSum>),
    /// An interval that cannot be settled, since its amounts do not fit.
    NotSettled(Interval, SettlementError),
    /// A version of our offer is signed and stored: new, changed, renewed or withdrawn.
    Offered(Box<Offer>),
    /// We accepted an offer and are bound if its author is.
    Accepted {
        /// The hash of our acceptance.
        acceptance: MessageHash,
        /// Whose offer.
        to: ParticipantId,
    },
    /// The author of an offer did not take our acceptance.
    AcceptanceRefused {
        /// The hash of our acceptance.
        acceptance: MessageHash,
        /// Why.
        why: Refusal,
    },
    /// Nobody replied to our acceptance in time.
    AcceptanceVoid {
        /// The hash of our acceptance.
        acceptance: MessageHash,
    },
    /// Both sides signed a trade ahead.
    ForwardMade(Box<Held>),
    /// Something happened to a payment, a dispute or somebody's credit.
    Payment(Box<Told>),
    /// A participant is barred from the book for what it provably did.
    Barred {
        /// Who.
        culprit: ParticipantId,
        /// Until which interval.
        until: Interval,
        /// The interval in which it did that.
        interval: Interval,
        /// The signed evidence.
        evidence: Arc<[u8]>,
    },
    /// The node signs nothing new from now on, or goes on not to for another kind of cause (P25).
    Abstains(Abstaining),
    /// The node signs again, after two clean intervals.
    Returned {
        /// The interval in which it had begun to abstain.
        since: Interval,
    },
}

/// A certified book and its clearing.
#[derive(Clone, Debug)]
pub struct ClearedInterval {
    /// The interval.
    pub interval: Interval,
    /// The view that decided.
    pub view: u32,
    /// From gate closure to the certificate, on this node's clock.
    pub decide_ms: u64,
    /// The certificate.
    pub certificate: Arc<[u8]>,
    /// The orders of the book, signed, in its order.
    pub orders: Vec<Arc<[u8]>>,
    /// The book.
    pub book: BookHash,
    /// The clearing's digest.
    pub clearing: ClearingDigest,
    /// The clearing price; none where nothing matched.
    pub price_msat_per_kwh: Option<Price>,
    /// The matched volume.
    pub volume_mwh: Energy,
    /// All trades.
    pub trades: Vec<TradeTerms>,
}

/// What a view had come to at this node when it passed without a decision (P15).
#[derive(Clone, Copy, Debug)]
pub struct PassedView {
    /// The interval.
    pub interval: Interval,
    /// The view.
    pub view: u32,
    /// Whose turn it was to propose.
    pub leader: Option<ParticipantId>,
    /// How many voters it takes to go on.
    pub quorum: usize,
    /// Acks heard.
    pub acks: usize,
    /// Whether a proposal was heard whose book follows from its acks.
    pub is_proposed: bool,
    /// Members whose orders are named in a book and not here.
    pub lacks_orders: usize,
    /// Most prevotes heard for one book.
    pub prevotes: usize,
    /// Most precommits heard for one book.
    pub precommits: usize,
}
