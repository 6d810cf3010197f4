//! What goes into the payment engine, what it wants done, and what it tells.
//!
//! Invariant: nothing wanted depends on more than what was persisted before it.

use std::sync::Arc;

use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::{Invoice, InvoiceRefusal, InvoiceWord};
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::units::{Energy, Interval, Msat, Timestamp};
use serde::{Deserialize, Serialize};

use super::dispute::Dispute;
use super::due::DueId;

/// What a BOLT11 text says, as read by Lightning software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bolt11 {
    /// What a payment is bound to.
    pub payment_hash: PaymentHash,
    /// How much it asks for; `None` where it leaves that open.
    pub amount_msat: Option<Msat>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// What Lightning knows of an outgoing payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was never begun.
    Unknown,
    /// It is on its way.
    Pending,
    /// It arrived.
    Sent {
        /// The receipt.
        preimage: Preimage,
        /// What it cost.
        fee_msat: Msat,
    },
    /// It has failed and cannot succeed any more.
    Failed,
}

/// Something that happened to a payment. All of it may come late, again, and in any order.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Lightning made an invoice that was wanted.
    Made {
        /// For which due.
        due: DueId,
        /// For which of its tranches.
        tranche: u32,
        /// The text.
        bolt11: String,
        /// What it says.
        read: Bolt11,
    },
    /// A member asks us to pay.
    Asked {
        /// Its invoice.
        invoice: Box<Verified<Invoice>>,
        /// What its text says; `None` where it is no BOLT11 of our network.
        read: Option<Bolt11>,
        /// What to name the question by in [`Wanted::Answer`].
        token: u64,
    },
    /// The payer's word on an invoice of ours.
    Word {
        /// Who says it.
        from: ParticipantId,
        /// The invoice's payment hash.
        payment_hash: PaymentHash,
        /// What it says.
        word: InvoiceWord,
    },
    /// A payment arrived.
    Received {
        /// What it was bound to.
        payment_hash: PaymentHash,
        /// How much.
        amount_msat: Msat,
    },
    /// What became of a payment of ours.
    Told {
        /// What it is bound to.
        payment_hash: PaymentHash,
        /// What became of it.
        outcome: Outcome,
    },
    /// What Lightning knows of a payment of ours, as we inquired.
    Known {
        /// What it is bound to.
        payment_hash: PaymentHash,
        /// Which inquiry this answers.
        inquiry: u32,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Something to do for a payment. What is lost is wanted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Have Lightning make an invoice.
    Make {
        /// For which due.
        due: DueId,
        /// For which of its tranches.
        tranche: u32,
        /// How much.
        amount_msat: Msat,
        /// For how long it is to be good.
        expiry_ms: u64,
    },
    /// Ask the payer for its word on an invoice of ours.
    Send {
        /// The payer.
        to: ParticipantId,
        /// The signed invoice.
        invoice: Arc<[u8]>,
    },
    /// Say our word on an invoice.
    Answer {
        /// Which question.
        token: u64,
        /// The word.
        word: InvoiceWord,
    },
    /// Pay, unless a payment of this hash was ever begun before: whoever carries this out makes sure
    /// of that, one hash at a time.
    Pay {
        /// What it is bound to.
        payment_hash: PaymentHash,
        /// The invoice's text.
        bolt11: String,
        /// How much.
        amount_msat: Msat,
        /// What it may cost at most.
        fee_max_msat: Msat,
    },
    /// Say what became of a payment ([`Happened::Known`]), after every earlier [`Self::Pay`] of its
    /// hash was carried out or lost.
    Inquire {
        /// What it is bound to.
        payment_hash: PaymentHash,
        /// To be said with the answer: an answer from before a later [`Self::Pay`] counts for nothing.
        inquiry: u32,
    },
}

/// How far one payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The invoice is out.
    Invoiced,
    /// The payment is on its way.
    Paying,
    /// It is paid; with the receipt where we are the payer.
    Paid {
        /// The preimage.
        preimage: Option<Preimage>,
        /// What it cost us.
        fee_msat: Msat,
    },
    /// It has failed for good.
    Failed,
}

/// One tranche's payment: one invoice, one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Of which due.
    pub due: DueId,
    /// The other side.
    pub counterparty: ParticipantId,
    /// Whether we are paid.
    pub to_me: bool,
    /// Which tranche, from zero.
    pub tranche: u32,
    /// Of how many.
    pub tranches: u32,
    /// How much.
    pub amount_msat: Msat,
    /// What it is bound to.
    pub payment_hash: PaymentHash,
    /// How far it is.
    pub stage: Stage,
    /// Since when.
    pub at: Timestamp,
}

/// What the engine tells those who keep history, show status or write logs.
#[derive(Clone, Debug)]
pub enum Told {
    /// A payment began or came to an end.
    Payment(Payment),
    /// A payment had ended before the node was started again. Whoever keeps history may have lost that,
    /// as it is told before it is on anybody's disk but the journal's. Its time is zero where we paid.
    Ended(Payment),
    /// All tranches of a due are paid.
    Cleared {
        /// Which.
        due: DueId,
        /// Who paid or was paid.
        counterparty: ParticipantId,
        /// How long after the interval's delivery had ended.
        after_ms: u64,
    },
    /// An invoice was not taken.
    Refused {
        /// Whose.
        counterparty: ParticipantId,
        /// For what.
        due: DueId,
        /// Why.
        why: InvoiceRefusal,
    },
    /// A dispute began.
    Disputed(Box<Dispute>),
    /// A dispute is over, as all was paid in the end.
    Resolved {
        /// About which due.
        due: DueId,
    },
    /// The owner forgave a counterparty what was in dispute.
    Forgiven {
        /// Who.
        counterparty: ParticipantId,
        /// What it owed.
        dues: Vec<DueId>,
        /// How much that was.
        unpaid_msat: Msat,
    },
    /// A trade of ours lapses, or all but a part of it does: the other side would owe us too much
    /// (P34).
    OverLimit {
        /// The interval.
        interval: Interval,
        /// The trade.
        terms: TradeTerms,
        /// The other side.
        counterparty: ParticipantId,
        /// What it would owe at worst.
        exposure_msat: Msat,
        /// What it may owe.
        limit_msat: Msat,
        /// How much of it is signed all the same.
        part_mwh: Option<Energy>,
    },
}
