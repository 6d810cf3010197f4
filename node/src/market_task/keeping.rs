//! The market task's part in what is kept to be looked at later, and for how long.
//!
//! Not for: what binds this node, which is in the journal before anything leaves.

use boltgrid_market::cohort::FeederSum;
use boltgrid_market::notice::ClearedInterval;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::reading::Reading;
use tracing::{debug, error, warn};

use super::{MarketError, MarketTask};
use crate::clock;
use crate::openings::OPENABLE_INTERVALS;
use crate::store::{ArchiveError, BookRecord, ClearingRecord, CohortRecord};

/// Past intervals are pruned once in so many intervals.
const PRUNE_EVERY_INTERVALS: u64 = 64;

impl MarketTask {
    pub(super) fn keep_book(&self, cleared: &ClearedInterval) {
        let interval = cleared.interval;
        let kept = self
            .archive
            .put_book(interval, &BookRecord::from(cleared))
            .and_then(|()| self.archive.put_clearing(interval, &ClearingRecord::from(cleared)));
        if let Err(error) = kept {
            warn!(%error, %interval, "book not stored; `boltgrid replay` will not find it");
        }
    }

    /// Keeps whose shares belonged together, for openings of them.
    pub(super) fn keep_cohort(&self, sum: &FeederSum) {
        let kept = CohortRecord::of(sum)
            .map_or(Ok(()), |it| self.archive.put_cohort(sum.interval, &sum.feeder, &it));
        if let Err(error) = kept {
            warn!(%error, interval = %sum.interval, "shares not stored; they can't be opened here");
        }
    }

    /// Forgets what is older than the owner keeps, once in a while.
    pub(super) async fn prune(&mut self) -> Result<(), MarketError> {
        let current = self.charter.interval.interval_at(clock::now());
        if current < self.chores.pruned.plus(PRUNE_EVERY_INTERVALS) {
            return Ok(());
        }
        self.chores.pruned = current;
        let before = current.minus(self.keep_intervals);
        // What bars somebody is kept for as long as it does.
        let barring = current.minus(self.charter.membership.bar_intervals).min(before);
        self.journal.prune_before(before).await?;
        let checks_before = self.charter.interval.start_of(before);
        let openable = current.minus(OPENABLE_INTERVALS).max(before);
        let archive = self.archive.clone();
        let pruned = tokio::task::spawn_blocking(move || {
            Ok(archive.prune_before(before)?
                + archive.prune_evidence_before(barring)?
                + archive.prune_checks_before(checks_before)?
                + archive.prune_decisions_before(checks_before)?
                + archive.prune_openings_before(openable)?)
        });
        match pruned.await {
            Ok(Ok(removed)) => debug!(removed, %before, "archive pruned"),
            Ok(Err::<_, ArchiveError>(error)) => warn!(%error, "archive not pruned"),
            Err(error) => error!(%error, "pruning the archive panicked, which is a bug"),
        }
        Ok(())
    }

    /// Keeps a reading, if it is the first of its meter at its instant.
    pub(super) fn keep_reading(&self, reading: &Verified<Reading>) {
        let (interval, participant) = (reading.interval(), reading.participant());
        let kept = self.archive.reading(interval, &participant).and_then(|first| match first {
            Some(_) => Ok(()),
            None => self.archive.put_reading(interval, &participant, reading.bytes()),
        });
        if let Err(error) = kept {
            warn!(%error, %interval, "reading not stored");
        }
    }
}
