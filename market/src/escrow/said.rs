//! What goes into the escrow engine, what it wants done, and what it tells.
//!
//! Invariant: nothing wanted depends on more than what was persisted before it.

use boltgrid_protocol::escrow::{EscrowAnswer, EscrowQuestion, EscrowRefusal, EscrowTerms};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::units::{Interval, Msat, Timestamp};
use serde::{Deserialize, Serialize};

use crate::effect::JournalEntry;

/// When something happens, and how far this node can trust what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The clock.
    pub now: Timestamp,
    /// The height of the chain, as far as it is known.
    pub height: Option<u32>,
    /// Whether this node may sign anything new (P25).
    pub may_sign: bool,
}

/// What a payee's BOLT11 text says, as read by Lightning software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldInvoice {
    /// What a payment is bound to.
    pub payment_hash: PaymentHash,
    /// How much it asks for; none where it leaves that open.
    pub amount_msat: Option<Msat>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The time lock of the last hop.
    pub final_cltv_blocks: u32,
    /// Whether it is of the payee's own Lightning node, and names no way to it but a direct channel.
    pub is_direct: bool,
}

/// What Lightning knows of the payer's payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// It was never begun.
    Unknown,
    /// It is on its way, or held.
    Pending,
    /// It was claimed.
    Sent,
    /// It came back and cannot succeed any more.
    Failed,
}

/// What Lightning knows of the payment to the payee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// It is not here, or held.
    Pending,
    /// It is ours.
    Claimed,
    /// It was given back.
    GivenBack,
}

/// Something that happened. All of it may come late, again, and in any order.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Time has passed.
    Tick,
    /// A member asks something.
    Asked {
        /// Who.
        from: ParticipantId,
        /// What.
        question: EscrowQuestion,
        /// What to name the question by in [`Wanted::Answer`].
        token: u64,
    },
    /// A member answers a question of ours.
    Answered {
        /// Who.
        by: ParticipantId,
        /// What it was asked.
        question: EscrowQuestion,
        /// What it says.
        answer: EscrowAnswer,
        /// What the BOLT11 of a hold says; none where it is none of our network.
        read: Option<HoldInvoice>,
    },
    /// Lightning made the invoice that was wanted, or says that it cannot.
    Made {
        /// For which escrow.
        escrow: MessageHash,
        /// The text, or why there is none.
        made: Result<String, EscrowRefusal>,
    },
    /// A payment has arrived at the payee and is held.
    Held {
        /// What it is bound to.
        payment_hash: PaymentHash,
        /// How much.
        amount_msat: Msat,
        /// The height at which it goes back by itself.
        claim_before_height: u32,
    },
    /// What Lightning knows of the payer's payment, after the latest [`Wanted::Pay`].
    Paid {
        /// For which escrow.
        escrow: MessageHash,
        /// What it knows.
        outcome: Outgoing,
    },
    /// What Lightning knows of the payment to the payee, after the latest wish about it.
    Received {
        /// For which escrow.
        escrow: MessageHash,
        /// What it knows.
        state: Incoming,
    },
    /// The signed readings that were wanted, at both edges, as far as they are there.
    Readings {
        /// For which escrow.
        escrow: MessageHash,
        /// The messages.
        found: Vec<Vec<u8>>,
    },
}

/// Something to do. What is lost is wanted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Ask a member.
    Ask {
        /// Whom.
        to: ParticipantId,
        /// What.
        question: EscrowQuestion,
    },
    /// Answer a member's question.
    Answer {
        /// Which.
        token: u64,
        /// What to say.
        answer: EscrowAnswer,
    },
    /// Have Lightning make an invoice to a hash that can be held for long.
    Make {
        /// For which escrow.
        escrow: MessageHash,
        /// What it is bound to.
        payment_hash: PaymentHash,
        /// How much.
        amount_msat: Msat,
        /// The time lock of the last hop.
        final_cltv_blocks: u32,
        /// Until when it can be paid.
        expires_at: Timestamp,
    },
    /// Say what became of a payment, and where it was never begun and `begins`, begin it over the
    /// direct channel. Whoever carries this out does one of these at a time for one hash.
    Pay {
        /// For which escrow.
        escrow: MessageHash,
        /// What it is bound to.
        payment_hash: PaymentHash,
        /// The invoice.
        bolt11: String,
        /// Whether to begin it.
        begins: bool,
    },
    /// Claim the held payment, and say what became of it.
    Claim {
        /// For which escrow.
        escrow: MessageHash,
        /// What claims it.
        preimage: Preimage,
    },
    /// Give the held payment back, and say what became of it.
    GiveBack {
        /// For which escrow.
        escrow: MessageHash,
        /// What it is bound to.
        payment_hash: PaymentHash,
    },
    /// Give back a payment that belongs to no escrow.
    Refuse(PaymentHash),
    /// Look for signed readings of a member at two edges ([`Happened::Readings`]).
    Readings {
        /// For which escrow.
        escrow: MessageHash,
        /// Whose.
        subject: ParticipantId,
        /// At which edges.
        edges: [Interval; 2],
    },
}

/// How an escrow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The payee has the amount.
    Released,
    /// The payer has it back.
    GivenBack,
    /// Nothing was ever locked: the time to sign and pay was over.
    Lapsed,
    /// Nothing was ever locked: somebody would not take part.
    Refused(EscrowRefusal),
}

/// What this node is in an escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It locks the amount.
    Payer,
    /// It may get it.
    Payee,
    /// It rules.
    Arbiter,
}

/// How far an escrow is, as seen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The owner of this node is to decide ([`super::Escrows::decide`]).
    Asked,
    /// The arbiter's or the payee's word is awaited.
    Proposed,
    /// All have signed; the payment sets out.
    Signed,
    /// The amount is on its way, or locked.
    Paying,
    /// The amount is locked.
    Locked,
    /// It is being claimed, or the payee was told the preimage.
    Releasing,
    /// It is being given back.
    GivingBack,
    /// It is over.
    Over(End),
}

/// One escrow, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name: the message hash of its terms.
    pub escrow: MessageHash,
    /// Who locks the amount.
    pub payer: ParticipantId,
    /// What was proposed.
    pub terms: EscrowTerms,
    /// What this node is in it.
    pub role: Role,
    /// How far it is.
    pub stage: Stage,
    /// The height at which the amount goes back by itself, where it is known.
    pub claim_before_height: Option<u32>,
}

/// One thing to do, in order: a persist stands before whatever rests on it (P21).
#[derive(Clone, Debug)]
pub enum Effect {
    /// Store durably.
    Persist(JournalEntry),
    /// Do something.
    Want(Wanted),
    /// Something happened that the owner may want to know.
    Tell(Box<View>),
    /// Something was not taken, and why; to be counted.
    NotTaken(&'static str),
}

/// Why the owner's wish is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The terms break a rule.
    #[error("{0}")]
    Terms(String),
    /// It would end too soon.
    #[error(
        "the hold ends before the condition can be judged: at 10 minutes a block it takes {needed} \
         blocks or more"
    )]
    TooShort {
        /// The least number of blocks.
        needed: u64,
    },
    /// They stand too long, or not at all.
    #[error("terms can stand for a day at most, and must not have expired")]
    Expiry,
    /// It begins in the past.
    #[error("the condition must start at an edge to come")]
    Begun,
    /// There are too many.
    #[error("there are as many escrows as this node keeps; wait until some are over")]
    TooMany,
    /// The node abstains.
    #[error("the node abstains and signs nothing new; `boltgrid status` says why, and what to do")]
    Abstains,
    /// There is no such escrow, or it waits for nothing.
    #[error("no escrow of this name waits for that; see `boltgrid escrow list`")]
    NotWaiting,
}

/// What is accepted without asking the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Willingness {
    /// Up to how much to be an arbiter; zero: ask the owner.
    pub arbitrate_max: Msat,
    /// Up to how much to be a payee; zero: ask the owner.
    pub accept_max: Msat,
}
