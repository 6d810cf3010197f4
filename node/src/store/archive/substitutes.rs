//! The archive's part in missing readings: substitutes of the site's own, by interval, and what was
//! corrected, by interval and time.

use std::collections::BTreeMap;
use std::ops::Range;

use boltgrid_metering::substitute::Flow;
use boltgrid_protocol::codec;
use boltgrid_protocol::units::Interval;

use super::{Archive, ArchiveError, interval, key, put, value};
use crate::substitutes::CorrectionRecord;

impl Archive {
    /// Keeps what stands in for an interval that was not measured.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_substitute(&self, interval: Interval, flow: &Flow) -> Result<(), ArchiveError> {
        put(&self.substitutes, interval, flow)
    }

    /// Forgets what stood in for an interval, since it was measured after all.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn remove_substitute(&self, interval: Interval) -> Result<(), ArchiveError> {
        self.substitutes.remove(key(interval))?;
        Ok(())
    }

    /// What stands in for intervals that were not measured.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn substitutes(
        &self,
        intervals: Range<Interval>,
    ) -> Result<BTreeMap<Interval, Flow>, ArchiveError> {
        let range = key(intervals.start)..key(intervals.end.max(intervals.start));
        let entries = self.substitutes.range(range).map(|entry| {
            let (key, bytes) = entry?;
            Ok((interval("substitutes", &key)?, value("substitutes", &bytes)?))
        });
        entries.collect()
    }

    /// Keeps a correction.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_correction(&self, correction: &CorrectionRecord) -> Result<(), ArchiveError> {
        let at = correction.at.to_unix_ms().to_be_bytes();
        let key = [key(correction.interval), at].concat();
        self.corrections.insert(key, codec::canonical(correction))?;
        Ok(())
    }

    /// The corrections of intervals, the latest interval first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn corrections(
        &self,
        intervals: Range<Interval>,
    ) -> impl Iterator<Item = Result<CorrectionRecord, ArchiveError>> {
        let range = key(intervals.start)..key(intervals.end.max(intervals.start));
        self.corrections.range(range).rev().map(|entry| value("corrections", &entry?.1))
    }
}
