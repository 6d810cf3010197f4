//! The archive's part in trusting meters: anomalies, and power quality. Keys start with a time in Unix
//! milliseconds.

use boltgrid_metering::power_quality::{QualityEvent, WINDOW_MS, WINDOWS_KEPT, Window};
use boltgrid_protocol::codec;
use boltgrid_protocol::units::Timestamp;
use sled::{Batch, Tree};

use super::{Archive, ArchiveError, PRUNE_BATCH, value};
use crate::anomalies::AnomalyRecord;

impl Archive {
    /// Keeps an anomaly, in place of what was kept of it before.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_anomaly(&self, anomaly: &AnomalyRecord) -> Result<(), ArchiveError> {
        let name = [anomaly.kind(), &anomaly.of].join(" ");
        let key = [&key(anomaly.began_at)[..], name.as_bytes()].concat();
        self.anomalies.insert(key, codec::canonical(anomaly))?;
        Ok(())
    }

    /// The anomalies that began at `from` or later and before `before`, the latest first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn anomalies(
        &self,
        from: Timestamp,
        before: Timestamp,
    ) -> impl Iterator<Item = Result<AnomalyRecord, ArchiveError>> {
        let range = key(from)..key(before.max(from));
        self.anomalies.range(range).rev().map(|entry| value("anomalies", &entry?.1))
    }

    /// Ends what stood of a meter or feeder when the node was stopped: nobody knows whether it still
    /// does, and it is found again if so.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn end_anomalies_of(&self, of: &str, now: Timestamp) -> Result<(), ArchiveError> {
        for record in self.anomalies(Timestamp::default(), now) {
            let record = record?;
            if record.ended_at.is_none() && record.of == of {
                self.put_anomaly(&AnomalyRecord { ended_at: Some(record.seen_at), ..record })?;
            }
        }
        Ok(())
    }

    /// Keeps an event of the grid's, in place of what was kept of it before.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_quality_event(&self, event: &QualityEvent) -> Result<(), ArchiveError> {
        let key = [&key(event.began_at)[..], &[event.line]].concat();
        self.quality_events.insert(key, codec::canonical(event))?;
        Ok(())
    }

    /// The grid's events that began at `from` or later and before `before`, the latest first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn quality_events(
        &self,
        from: Timestamp,
        before: Timestamp,
    ) -> impl Iterator<Item = Result<QualityEvent, ArchiveError>> {
        let range = key(from)..key(before.max(from));
        self.quality_events.range(range).rev().map(|entry| value("quality_events", &entry?.1))
    }

    /// Keeps ten minutes of the grid, and forgets those of more than a week before.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_quality_window(&self, window: &Window) -> Result<(), ArchiveError> {
        self.quality_windows.insert(key(window.from), codec::canonical(window))?;
        let week_ms = WINDOW_MS.saturating_mul(u64::try_from(WINDOWS_KEPT).unwrap_or(u64::MAX));
        prune(&self.quality_windows, window.from.minus_ms(week_ms))?;
        Ok(())
    }

    /// The windows of the latest week, the oldest first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn quality_windows(&self) -> impl Iterator<Item = Result<Window, ArchiveError>> {
        self.quality_windows.iter().map(|entry| value("quality_windows", &entry?.1))
    }

    /// Forgets anomalies and the grid's events that began before a time; returns how many.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn prune_checks_before(&self, before: Timestamp) -> Result<usize, ArchiveError> {
        Ok(prune(&self.anomalies, before)? + prune(&self.quality_events, before)?)
    }
}

pub(super) fn key(at: Timestamp) -> [u8; 8] {
    at.to_unix_ms().to_be_bytes()
}

pub(super) fn prune(tree: &Tree, before: Timestamp) -> Result<usize, ArchiveError> {
    let mut pruned = 0_usize;
    loop {
        let mut batch = Batch::default();
        let mut size = 0_usize;
        for old in tree.range(..key(before)).keys().take(PRUNE_BATCH) {
            batch.remove(old?);
            size += 1;
        }
        if size == 0 {
            return Ok(pruned);
        }
        tree.apply_batch(batch)?;
        pruned += size;
    }
}
