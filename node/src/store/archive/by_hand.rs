//! The archive's part in payments by the owner's own hand: what was asked for and begun, so that it can be
//! listed. How it ended is Lightning's to say.
//! Not for: payments for trades ([`super::payments`]), or what keeps one from being made twice.

use boltgrid_protocol::codec;
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Interval, Msat, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Archive, ArchiveError, INTERVAL_LEN, interval, key, value};

/// An invoice that was made by hand, or one that was begun to be paid by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHandRecord {
    /// When.
    pub at: Timestamp,
    /// What the payment is known by.
    pub payment_hash: PaymentHash,
    /// Whether this node is to be paid; otherwise it pays.
    pub is_received: bool,
    /// How much the invoice asks for.
    pub amount: Msat,
    /// What it says that it is for.
    pub description: String,
    /// When it can no longer be paid.
    pub expires_at: Timestamp,
}

impl Archive {
    /// Keeps a payment by hand under the interval in which it was begun. One that is kept already stays
    /// where it is; false then.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_by_hand(
        &self,
        interval: Interval,
        record: &ByHandRecord,
    ) -> Result<bool, ArchiveError> {
        let hash = record.payment_hash.as_bytes();
        for kept in self.by_hand.iter().keys() {
            if kept?.get(INTERVAL_LEN..) == Some(&hash[..]) {
                return Ok(false);
            }
        }
        let key = [&key(interval)[..], hash].concat();
        self.by_hand.insert(key, codec::canonical(record))?;
        Ok(true)
    }

    /// Forgets a payment by hand of which nothing is under way after all.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn remove_by_hand(
        &self,
        interval: Interval,
        payment_hash: &PaymentHash,
    ) -> Result<(), ArchiveError> {
        self.by_hand.remove([&key(interval)[..], payment_hash.as_bytes()].concat())?;
        Ok(())
    }

    /// The payments by hand from `from` to before `before`, the latest interval first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn by_hand(
        &self,
        from: Interval,
        before: Interval,
    ) -> impl Iterator<Item = Result<(Interval, ByHandRecord), ArchiveError>> {
        self.by_hand.range(key(from)..key(before.max(from))).rev().map(|entry| {
            let (key, bytes) = entry?;
            Ok((interval("by_hand", &key)?, value("by_hand", &bytes)?))
        })
    }
}
