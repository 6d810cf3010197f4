//! A peer record: where a participant can be reached, for a day at most.

use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// Most addresses in one record.
pub const ADDRESSES_MAX: usize = 8;
/// Most bytes of one address.
pub const ADDRESS_MAX: usize = 256;
/// Longest life of a record.
pub const LIFETIME_MAX_MS: u64 = 24 * 3_600_000;

/// Where a participant can be reached (P19). Of two records the higher sequence number holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// Multiaddresses, 1 to [`ADDRESSES_MAX`].
    pub addresses: Vec<String>,
    /// Grows with every record of the participant.
    pub sequence: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it ends, at most [`LIFETIME_MAX_MS`] after it was made.
    pub expires_at: Timestamp,
}

impl PeerRecord {
    /// Whether the record holds at `now`, with clocks that differ by at most `skew_ms`.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp, skew_ms: u64) -> bool {
        self.made_at <= now.plus_ms(skew_ms) && now < self.expires_at
    }
}
