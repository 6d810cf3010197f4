//! What two sides cannot settle between themselves, with everything that either could show a third
//! (P35).
//!
//! Not for: deciding who is right.

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::InvoiceRefusal;
use boltgrid_protocol::units::{Msat, SignedMsat, Timestamp};
use serde::{Deserialize, Serialize};

use super::due::{DueId, Proof};

/// What a dispute is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Why {
    /// The other side did not pay in time: a default.
    #[error("not paid in time")]
    NotPaid,
    /// We could not pay in time: no route, or the other side's invoices were no good.
    #[error("could not be paid in time")]
    CouldNotPay,
    /// The other side never asked to be paid.
    #[error("no invoice came in time")]
    NotInvoiced,
    /// The payer reckons otherwise than we do: its readings, or its trades, are not ours.
    #[error("the payer refuses: {0}")]
    Refused(InvoiceRefusal),
    /// The payee asked for something else than what we reckon.
    #[error("an invoice was refused: {0}")]
    WrongInvoice(InvoiceRefusal),
    /// Less was paid than asked for.
    #[error("{received_msat} msat were paid instead of the amount asked for")]
    WrongPayment {
        /// What came.
        received_msat: u64,
    },
}

impl Why {
    /// Whether the two sides reckon differently, so that waiting brings nothing.
    #[must_use]
    pub const fn is_disagreement(self) -> bool {
        match self {
            Self::Refused(_) | Self::WrongInvoice(_) => true,
            Self::NotPaid | Self::CouldNotPay | Self::NotInvoiced | Self::WrongPayment { .. } => {
                false
            }
        }
    }
}

/// A dispute as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// About which due.
    pub due: DueId,
    /// With whom.
    pub counterparty: ParticipantId,
    /// What is due, to us positive.
    pub due_msat: SignedMsat,
    /// What is not paid of it.
    pub unpaid_msat: Msat,
    /// What it is about.
    pub why: Why,
    /// When it began.
    pub at: Timestamp,
    /// The signed readings of both sides, and both confirms or the forward's reply.
    pub proof: Proof,
    /// The signed invoice, where there is one.
    pub invoice: Option<Vec<u8>>,
}
