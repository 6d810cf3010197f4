//! The archive's part in payments: what was paid or not, and what is in dispute, to be shown and
//! exported. Not for: what keeps a payment from being made twice, which is the journal's.

use boltgrid_market::payments::{Dispute, DueId, Payment, Stage};
use boltgrid_protocol::codec;
use boltgrid_protocol::units::{Interval, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Archive, ArchiveError, key, value};

/// A dispute and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeRecord {
    /// The dispute.
    pub dispute: Dispute,
    /// When all was paid after all; none while it is open.
    pub resolved_at: Option<Timestamp>,
    /// When the owner forgave it; none while it has not.
    pub forgiven_at: Option<Timestamp>,
}

impl Archive {
    /// Keeps how far a payment is, in place of what was kept of it before.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_payment(&self, payment: &Payment) -> Result<(), ArchiveError> {
        let key = [&key(payment.due.interval)[..], payment.payment_hash.as_bytes()].concat();
        self.payments.insert(key, codec::canonical(payment))?;
        Ok(())
    }

    /// Keeps how a payment ended, unless that is kept already: what was kept of it just before a crash
    /// is lost.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn mend_payment(&self, ended: &Payment) -> Result<(), ArchiveError> {
        let key = [&key(ended.due.interval)[..], ended.payment_hash.as_bytes()].concat();
        let kept = self.payments.get(key)?;
        let kept: Option<Payment> = kept.map(|kept| value("payments", &kept)).transpose()?;
        let has_ended = |it: &Payment| matches!(it.stage, Stage::Paid { .. } | Stage::Failed);
        if kept.as_ref().is_some_and(has_ended) {
            return Ok(());
        }
        let at = kept.map_or(ended.at, |kept| kept.at.max(ended.at));
        self.put_payment(&Payment { at, ..*ended })
    }

    /// The payments from `from` to before `before`, the latest interval first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn payments(
        &self,
        from: Interval,
        before: Interval,
    ) -> impl Iterator<Item = Result<Payment, ArchiveError>> {
        let range = key(from)..key(before.max(from));
        self.payments.range(range).rev().map(|entry| value("payments", &entry?.1))
    }

    /// Keeps a dispute, in place of an earlier one about the same due. Disputes are not pruned: what
    /// members may owe bounds how many there are.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_dispute(&self, dispute: &DisputeRecord) -> Result<(), ArchiveError> {
        self.disputes.insert(dispute_key(&dispute.dispute.due), codec::canonical(dispute))?;
        Ok(())
    }

    /// Notes that a dispute is over.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn resolve_dispute(&self, due: &DueId, at: Timestamp) -> Result<(), ArchiveError> {
        let Some(found) = self.disputes.get(dispute_key(due))? else { return Ok(()) };
        let found: DisputeRecord = value("disputes", &found)?;
        self.put_dispute(&DisputeRecord { resolved_at: Some(at), ..found })
    }

    /// Notes that the owner forgave what a dispute is about.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn forgive_dispute(&self, due: &DueId, at: Timestamp) -> Result<(), ArchiveError> {
        let Some(found) = self.disputes.get(dispute_key(due))? else { return Ok(()) };
        let found: DisputeRecord = value("disputes", &found)?;
        self.put_dispute(&DisputeRecord { forgiven_at: Some(at), ..found })
    }

    /// The disputes from `from` to before `before`, the latest interval first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn disputes(
        &self,
        from: Interval,
        before: Interval,
    ) -> impl Iterator<Item = Result<DisputeRecord, ArchiveError>> {
        self.disputes
            .range(key(from)..key(before.max(from)))
            .rev()
            .map(|entry| value("disputes", &entry?.1))
    }
}

fn dispute_key(due: &DueId) -> Vec<u8> {
    [&key(due.interval)[..], &codec::canonical(&due.cause)].concat()
}
