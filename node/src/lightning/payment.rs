//! Payments as the rest of the node sees them: what is asked for, what is paid, and how it went.
//! Not for: what is paid for, which the market's settlement knows.

use std::time::Duration;

use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::units::{Msat, Timestamp};

/// Something to be paid to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceTerms {
    /// How much, to the millisatoshi.
    pub amount: Msat,
    /// What the payer is told it is for; at most 639 bytes.
    pub description: String,
    /// How long it can be paid, in whole seconds.
    pub expiry: Duration,
}

/// An invoice of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// The invoice as the payer gets it (BOLT 11).
    pub bolt11: String,
    /// What the payment is known by.
    pub payment_hash: PaymentHash,
    /// When it can no longer be paid.
    pub expires_at: Timestamp,
}

/// What somebody else's invoice says. Its signature was checked; whether it is what was agreed was
/// not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadInvoice {
    /// Who is paid.
    pub payee: boltgrid_protocol::lightning::LightningId,
    /// How much; none where the payer decides.
    pub amount: Option<Msat>,
    /// What the payment is known by.
    pub payment_hash: PaymentHash,
    /// When it can no longer be paid.
    pub expires_at: Timestamp,
    /// What it says it is for.
    pub description: String,
    /// How long the last hop is locked, in blocks.
    pub final_cltv_blocks: u32,
    /// Whether it names ways over others.
    pub has_hints: bool,
}

/// An invoice to be paid, and what it may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentOrder {
    /// The invoice (BOLT 11), which names its amount.
    pub bolt11: String,
    /// Most that all who forward it may take together.
    pub fee_max: Msat,
}

/// Which way money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To us.
    Incoming,
    /// From us.
    Outgoing,
}

/// How a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// Under way, or an invoice of ours that is not paid yet.
    Pending,
    /// It arrived. The preimage is the payer's receipt; of a payment to us it is what we gave out.
    Done {
        /// The receipt.
        preimage: Option<Preimage>,
        /// What forwarding cost; nothing for a payment to us.
        fee: Msat,
    },
    /// It did not arrive, and no longer can.
    Failed,
}

/// A transaction of the on-chain wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub txid: String,
    /// Which way money goes, as the on-chain wallet sees it: what goes into a channel is outgoing.
    pub direction: Direction,
    /// How much, without the fee.
    pub amount: Msat,
    /// What this wallet paid the miners for it; none where it is not known, or others paid.
    pub fee: Option<Msat>,
    /// The block that it is in; none while it waits.
    pub height: Option<u32>,
    /// When the wallet last heard something new of it.
    pub at: Timestamp,
}

/// A payment that Lightning knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPayment {
    /// What it is known by.
    pub payment_hash: PaymentHash,
    /// Which way it goes.
    pub direction: Direction,
    /// How much, without fees; none where it is not known yet.
    pub amount: Option<Msat>,
    /// How it is.
    pub state: PaymentState,
}
