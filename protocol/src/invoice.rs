//! An invoice: a payee's signed word that paying this Lightning invoice pays one tranche of one due,
//! and the payer's word on it (P32, P33).
//!
//! Not for: how much is due, which both sides compute ([`crate::units::Price::amount_floor`] and the
//! market's settlement), or for what a BOLT11 text says, which only Lightning software reads.

use serde::{Deserialize, Serialize};

use crate::id::{MessageHash, RosterIndex};
use crate::lightning::PaymentHash;
use crate::units::Msat;

/// Most tranches of one due: a due of more energy has larger ones (P31).
pub const TRANCHES_MAX: u32 = 64;
/// Longest BOLT11 text, in bytes: one with three private channels as hints has about 700.
pub const BOLT11_MAX: usize = 1024;

/// Why something is due between two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// A firm trade of the interval's clearing.
    Trade {
        /// Its place in the clearing.
        index: u32,
    },
    /// A trade made ahead.
    Forward {
        /// The hash of the acceptance it was made by.
        acceptance: MessageHash,
    },
}

/// "Pay this, and this tranche is paid" (P32).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Who is to pay: a member other than the author.
    pub payer: RosterIndex,
    /// For what, in the header's interval.
    pub cause: Cause,
    /// Which tranche of the due, counted from zero.
    pub tranche: u32,
    /// How many tranches the due has, 1 to [`TRANCHES_MAX`].
    pub tranches: u32,
    /// The tranche's amount, above zero.
    pub amount_msat: Msat,
    /// The hash that the payment is bound to; no two tranches have the same.
    pub payment_hash: PaymentHash,
    /// The Lightning invoice, 1 to [`BOLT11_MAX`] bytes of printable ASCII, of this hash and amount.
    pub bolt11: String,
}

impl Invoice {
    /// Whether its text is short enough and shows as it is.
    #[must_use]
    pub fn is_text(&self) -> bool {
        (1..=BOLT11_MAX).contains(&self.bolt11.len())
            && self.bolt11.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// Why an invoice is not paid (P33).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
pub enum InvoiceRefusal {
    /// The payer has not settled the interval yet, or an earlier tranche is not paid.
    #[error("not due yet")]
    NotDue,
    /// By the payer's reckoning it owes the author nothing for this.
    #[error("nothing is due for this")]
    WrongTrade,
    /// The due has no such tranche.
    #[error("the due has no such tranche")]
    WrongTranche,
    /// The payer reckons another amount.
    #[error("another amount is due")]
    WrongAmount,
    /// The text is no Lightning invoice of this hash and amount.
    #[error("the text is not a Lightning invoice of this hash and amount")]
    BadBolt11,
    /// It has expired, or is about to.
    #[error("it has expired")]
    Expired,
    /// The payment hash came with another invoice.
    #[error("the payment hash was used before")]
    HashUsed,
    /// The tranche is paid.
    #[error("the tranche is paid")]
    AlreadyPaid,
    /// Another invoice for the tranche is being paid and may still succeed.
    #[error("another invoice for the tranche is being paid")]
    Paying,
    /// Paying it has failed for good; another one may be sent.
    #[error("it could not be paid and will not be; send another")]
    Failed,
    /// Too many invoices for one tranche; another one may be sent later.
    #[error("too many invoices for one tranche; send another one later")]
    TooMany,
    /// The payer has no Lightning to pay with.
    #[error("the payer cannot pay by Lightning")]
    NoLightning,
}

impl InvoiceRefusal {
    /// A stable name for counting.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotDue => "invoice_not_due",
            Self::WrongTrade => "invoice_wrong_trade",
            Self::WrongTranche => "invoice_wrong_tranche",
            Self::WrongAmount => "invoice_wrong_amount",
            Self::BadBolt11 => "invoice_bad_bolt11",
            Self::Expired => "invoice_expired",
            Self::HashUsed => "invoice_hash_used",
            Self::AlreadyPaid => "invoice_already_paid",
            Self::Paying => "invoice_paying_another",
            Self::Failed => "invoice_failed",
            Self::TooMany => "invoice_too_many",
            Self::NoLightning => "invoice_no_lightning",
        }
    }
}

/// What a payer says to an invoice (P33).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvoiceWord {
    /// It is stored and will be paid, is being paid, or has been.
    Taken,
    /// It is not paid, and why.
    Refused(InvoiceRefusal),
}
