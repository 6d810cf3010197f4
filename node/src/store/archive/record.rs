//! What the archive keeps of one interval.

use std::sync::Arc;

use boltgrid_market::notice::ClearedInterval;
use boltgrid_protocol::id::{BookHash, ClearingDigest};
use boltgrid_protocol::units::{Energy, Price};
use serde::{Deserialize, Serialize};

/// A certified book as it travelled: enough for anyone to clear it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookRecord {
    /// The encoded certificate.
    pub certificate: Arc<[u8]>,
    /// The signed orders that it names, in its order.
    pub orders: Vec<Arc<[u8]>>,
}

/// What became of a certified book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearingRecord {
    /// The view that decided.
    pub view: u32,
    /// From gate closure to the certificate, on this node's clock; zero for a book that was learnt
    /// from another member.
    pub decide_ms: u64,
    /// The book.
    pub book: BookHash,
    /// The clearing's digest.
    pub clearing: ClearingDigest,
    /// The clearing price; none where nothing matched.
    pub price_msat_per_kwh: Option<Price>,
    /// The matched volume.
    pub volume_mwh: Energy,
    /// How many orders the book had.
    pub orders: u32,
    /// How many trades came of it.
    pub trades: u32,
}

impl From<&ClearedInterval> for BookRecord {
    fn from(cleared: &ClearedInterval) -> Self {
        Self { certificate: Arc::clone(&cleared.certificate), orders: cleared.orders.clone() }
    }
}

impl From<&ClearedInterval> for ClearingRecord {
    fn from(cleared: &ClearedInterval) -> Self {
        let count = |len| u32::try_from(len).unwrap_or(u32::MAX);
        Self {
            view: cleared.view,
            decide_ms: cleared.decide_ms,
            book: cleared.book,
            clearing: cleared.clearing,
            price_msat_per_kwh: cleared.price_msat_per_kwh,
            volume_mwh: cleared.volume_mwh,
            orders: count(cleared.orders.len()),
            trades: count(cleared.trades.len()),
        }
    }
}
