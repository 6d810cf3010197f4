//! Escrow: an amount that a payer locks and a payee gets if signed readings say so (P36 to P38).
//!
//! What the three sign is a [`Deed`]; what they ask each other directly, an [`EscrowQuestion`].
//! Not for: Lightning itself, or what anyone does next (the market's engine).

use serde::{Deserialize, Serialize};

use crate::id::{MessageHash, ParticipantId};
use crate::invoice::BOLT11_MAX;
use crate::lightning::{PaymentHash, Preimage};
use crate::order::Side;
use crate::reading::Reading;
use crate::units::{Energy, Interval, Msat, Timestamp};

/// Least amount of an escrow, in satoshis. Below the dust limit of 354 it would have no output on the
/// chain, so that nothing enforced it; and enforcing it there takes some 280 vB, so at 20 sat/vB a
/// smaller one would lose more than half of itself.
pub const ESCROW_MIN_SAT: u64 = 10_000;
/// Most blocks that an escrow can be held, some six days: all of a payment's time locks together must
/// stay below the 1008 blocks that Lightning software allows.
pub const HOLD_BLOCKS_MAX: u32 = 900;
/// Blocks before a payment's time lock at which Lightning software gives a held payment back, so
/// that it need not go to the chain.
pub const FAIL_BACK_BLOCKS: u32 = 39;
/// Blocks that may be found between making an invoice and the payment's arrival.
pub const ARRIVAL_BLOCKS: u32 = 3;
/// How long terms may stand before the payment sets out, from when they are heard.
pub const TERMS_LIFETIME_MAX_MS: u64 = 86_400_000;
/// Most readings shown with a plea: those at both edges.
pub const SHOWN_MAX: usize = 2;

/// Which of the two outcomes of a condition gives the amount to the payee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Releases {
    /// Delivery: a long contract, whose buyer pays and whose seller delivers.
    Delivered,
    /// Failure to deliver: a bond, put up by whoever promises delivery.
    Missed,
}

/// What two signed readings of one member decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Whose meter: the payee's where delivery releases, the payer's where failure does.
    pub subject: ParticipantId,
    /// Which register: of what was given (sell), or of what was taken (buy).
    pub side: Side,
    /// By how much it must move at least, above zero.
    pub energy_mwh: Energy,
    /// From the start of this interval.
    pub first: Interval,
    /// To the start of this one, which is later.
    pub until: Interval,
    /// Who gets the amount.
    pub releases: Releases,
}

impl Condition {
    /// Whether these readings, at the two edges, show delivery. Registers that ran backwards show none.
    #[must_use]
    pub fn is_delivered(&self, start: &Reading, end: &Reading) -> bool {
        let register = |reading: &Reading| match self.side {
            Side::Sell => reading.export_register_mwh,
            Side::Buy => reading.import_register_mwh,
        };
        register(end).checked_sub(register(start)).is_some_and(|moved| moved >= self.energy_mwh)
    }

    /// Whether the amount goes to the payee, given whether delivery is shown.
    #[must_use]
    pub const fn releases_if(&self, is_delivered: bool) -> bool {
        match self.releases {
            Releases::Delivered => is_delivered,
            Releases::Missed => !is_delivered,
        }
    }
}

/// What a payer proposes (P36). Its author is the payer; its message hash names the escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowTerms {
    /// Who may get the amount: a channel partner of the payer.
    pub payee: ParticipantId,
    /// Who keeps the preimage as well, and rules where the payer does not act.
    pub arbiter: ParticipantId,
    /// What decides.
    pub condition: Condition,
    /// How much, at least [`ESCROW_MIN_SAT`].
    pub amount_msat: Msat,
    /// SHA-256 of a preimage that the payer has drawn.
    pub payment_hash: PaymentHash,
    /// How many blocks the payment can be held, 1 to [`HOLD_BLOCKS_MAX`].
    pub hold_blocks: u32,
    /// Until when the others may sign, and the payment may set out.
    pub expires_at: Timestamp,
}

impl EscrowTerms {
    /// The time lock of the last hop, in blocks: what holds the payment for as long as agreed.
    #[must_use]
    pub const fn final_cltv_blocks(&self) -> u32 {
        self.hold_blocks.saturating_add(FAIL_BACK_BLOCKS).saturating_add(ARRIVAL_BLOCKS)
    }
}

/// A signed word on an escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// The payer's: this is what I propose.
    Terms(EscrowTerms),
    /// The arbiter's: I hold the preimage and will rule (P37).
    Arbitration {
        /// The escrow.
        escrow: MessageHash,
    },
    /// The payee's: pay this, and I hold it (P37).
    Hold {
        /// The escrow.
        escrow: MessageHash,
        /// The Lightning invoice, 1 to [`BOLT11_MAX`] bytes of printable ASCII.
        bolt11: String,
    },
}

/// Whether the text of an invoice is short enough and shows as it is.
#[must_use]
pub(crate) fn is_text(bolt11: &str) -> bool {
    (1..=BOLT11_MAX).contains(&bolt11.len()) && bolt11.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What one of the three asks another directly (P24).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EscrowQuestion {
    /// The payer to the arbiter: will you rule?
    Arbitrate {
        /// The signed terms.
        terms: Vec<u8>,
        /// The preimage, for the arbiter to keep.
        preimage: Preimage,
    },
    /// The payer to the payee: will you hold it?
    Hold {
        /// The signed terms.
        terms: Vec<u8>,
        /// The arbiter's word.
        arbitration: Vec<u8>,
    },
    /// The payer to the payee: it is yours.
    Release {
        /// The escrow.
        escrow: MessageHash,
        /// What claims it.
        preimage: Preimage,
    },
    /// The payer or the payee to the arbiter: rule (P38).
    Plead {
        /// The escrow.
        escrow: MessageHash,
        /// Signed readings of the subject at the two edges, at most [`SHOWN_MAX`].
        readings: Vec<Vec<u8>>,
    },
}

/// Why a question about an escrow is not answered as hoped.
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
pub enum EscrowRefusal {
    /// What was sent is not a valid deed, or not of who sent it.
    #[error("what was sent does not verify")]
    Invalid,
    /// The terms name somebody else, or the asker has no part in this escrow.
    #[error("this escrow names somebody else")]
    NotInvolved,
    /// The terms have expired, or stand too long.
    #[error("the terms have expired or stand too long; propose new ones")]
    Expired,
    /// The preimage does not hash to the payment hash.
    #[error("the preimage is not that of the payment hash")]
    WrongPreimage,
    /// The owner does not want to.
    #[error("its owner declines")]
    Declined,
    /// There are as many escrows as it takes.
    #[error("it has as many escrows as it takes; ask another member, or try later")]
    TooMany,
    /// The hold ends before the condition can be judged.
    #[error(
        "it cannot be held until the condition is judged; propose more blocks or an earlier end"
    )]
    TooShort,
    /// The payment hash was used before.
    #[error("the payment hash was used before")]
    HashUsed,
    /// It has no Lightning, or its Lightning cannot hold payments.
    #[error("it cannot hold payments by Lightning")]
    NoLightning,
    /// The escrow is not known.
    #[error("it knows no such escrow")]
    Unknown,
    /// The condition cannot be judged yet.
    #[error("the condition cannot be judged yet")]
    NotYet,
    /// The arbiter rules that the amount goes back to the payer.
    #[error("the arbiter rules that it goes back to the payer")]
    GoesBack,
    /// The escrow is over.
    #[error("the escrow is over")]
    Over,
}

/// The answer to an [`EscrowQuestion`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EscrowAnswer {
    /// The deed that was asked for.
    Signed(Vec<u8>),
    /// Its owner has not decided yet; ask again.
    Undecided,
    /// The preimage has arrived and is stored.
    Taken,
    /// The arbiter rules for the payee.
    Released(Preimage),
    /// No, and why.
    Refused(EscrowRefusal),
}

#[cfg(test)]
mod tests;
