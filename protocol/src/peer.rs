//! A peer record: where a participant can be reached, and where its Lightning node, for a day at most.

use serde::{Deserialize, Serialize};

use crate::id::{GridId, ParticipantId};
use crate::lightning::LightningId;
use crate::units::Timestamp;

/// Most addresses in one record.
pub const ADDRESSES_MAX: usize = 8;
/// Most bytes of one address.
pub const ADDRESS_MAX: usize = 256;
/// Most addresses of a Lightning node in one record.
pub const LIGHTNING_ADDRESSES_MAX: usize = 4;
/// Most bytes of a Lightning signature: one is 104 letters.
pub const LIGHTNING_SIGNATURE_MAX: usize = 128;
/// What stands before the bytes that a Lightning node signs for a participant.
const LIGHTNING_DOMAIN: &[u8] = b"boltgrid lightning 1\0";
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
    /// Where its Lightning node is; none where it has none.
    pub lightning: Option<LightningContact>,
}

/// A participant's Lightning node. Bound from both sides: the participant signs the record, and the
/// Lightning node has signed that it is this participant's in this grid (P19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightningContact {
    /// The Lightning node.
    pub node: LightningId,
    /// Where it listens, as host:port; none where it only calls others. At most
    /// [`LIGHTNING_ADDRESSES_MAX`].
    pub addresses: Vec<String>,
    /// The Lightning node's signature of [`LightningContact::binding`], in zbase32.
    pub signature: String,
}

impl LightningContact {
    /// What a participant's Lightning node signs.
    #[must_use]
    pub fn binding(grid: &GridId, participant: &ParticipantId) -> Vec<u8> {
        [LIGHTNING_DOMAIN, grid.as_bytes(), participant.as_bytes()].concat()
    }
}

impl PeerRecord {
    /// Whether the record holds at `now`, with clocks that differ by at most `skew_ms`.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp, skew_ms: u64) -> bool {
        self.made_at <= now.plus_ms(skew_ms) && now < self.expires_at
    }
}
