//! What an arbiter says to an opening: why it does not take it, or what it reckons of whoever opens, and
//! of nobody else (P44).

use serde::{Deserialize, Serialize};

use super::OpeningRejected;
use crate::id::ParticipantId;

/// An arbiter's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpeningWord {
    /// It keeps the opening.
    Kept(Finding),
    /// It does not.
    Refused(OpeningRefused),
}

/// What an arbiter reckons of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// Others have not opened yet, or too few intervals are open.
    Waits,
    /// No gap stands in the intervals that are open.
    NoGap,
    /// A gap stands, and this member's meter does not explain it.
    Cleared,
    /// A gap stands that this member's meter alone would explain.
    Suspected {
        /// What the meter shows of the truth, if the gap is all its own.
        shows_ppm: i64,
    },
    /// The gap comes from this member's meter.
    Located {
        /// What the meter shows of the truth.
        shows_ppm: i64,
    },
    /// A sum is spoilt, and this neighbour tells another mask than the member: one of the two lies.
    Differs {
        /// The neighbour.
        neighbour: ParticipantId,
    },
}

/// Why an arbiter does not keep an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum OpeningRefused {
    /// It did not hear all shares of that interval, or has forgotten them, or there was no cohort.
    #[error("the arbiter holds no whole set of shares of that interval")]
    NotHeard,
    /// The sum of the interval is spoilt, so that the energy alone settles nothing.
    #[error("the sum of that interval is spoilt, and settled only by openings with all masks")]
    NeedsMasks,
    /// Masks of a sum that is not spoilt: nobody needs to know them.
    #[error("the sum of that interval is not spoilt, and masks are not needed")]
    MasksNotNeeded,
    /// It opens nothing.
    #[error(transparent)]
    Rejected(#[from] OpeningRejected),
    /// The arbiter cannot keep it now.
    #[error("the arbiter can't keep it now")]
    NotNow,
}
