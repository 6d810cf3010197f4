//! The archive's part in openings: whose shares belonged together, by interval and feeder, and what others
//! opened to this node, by interval and member.

use std::collections::BTreeMap;

use boltgrid_market::cohort::FeederSum;
use boltgrid_protocol::codec;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::{Opening, Share};
use boltgrid_protocol::units::{Energy, Interval, NetEnergy};
use serde::{Deserialize, Serialize};

use super::{Archive, ArchiveError, INTERVAL_LEN, interval, key, participant, prune, value};

/// A feeder's cohort of one interval, with what was heard of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortRecord {
    /// What flowed into the feeder by its own meter, where that is known.
    pub feeder_mwh: Option<NetEnergy>,
    /// How many sites the feeder has that were not of the cohort.
    pub absent: u32,
    /// What these may have moved by their ratings.
    pub absent_most_mwh: Energy,
    /// The cohort, and the share of each of its sites that was heard.
    pub sites: BTreeMap<ParticipantId, Option<Share>>,
}

impl CohortRecord {
    /// What is kept of a sum; none where there was no cohort.
    #[must_use]
    pub fn of(sum: &FeederSum) -> Option<Self> {
        (!sum.sites.is_empty()).then(|| Self {
            feeder_mwh: sum.feeder_mwh,
            absent: u32::try_from(sum.turnout.absent).unwrap_or(u32::MAX),
            absent_most_mwh: sum.turnout.absent_most_mwh,
            sites: BTreeMap::clone(&sum.sites),
        })
    }
}

impl Archive {
    /// Keeps a feeder's cohort of an interval.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_cohort(
        &self,
        interval: Interval,
        feeder: &str,
        record: &CohortRecord,
    ) -> Result<(), ArchiveError> {
        let key = [&key(interval), feeder.as_bytes()].concat();
        self.cohorts.insert(key, codec::canonical(record))?;
        Ok(())
    }

    /// A feeder's cohort of an interval.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn cohort(
        &self,
        interval: Interval,
        feeder: &str,
    ) -> Result<Option<CohortRecord>, ArchiveError> {
        let found = self.cohorts.get([&key(interval), feeder.as_bytes()].concat())?;
        found.map(|bytes| value("cohorts", &bytes)).transpose()
    }

    /// Keeps what a member opened of an interval, and forgets what it opened of the oldest ones beyond
    /// `most`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_opening(
        &self,
        interval: Interval,
        site: &ParticipantId,
        opening: &Opening,
        most: usize,
    ) -> Result<(), ArchiveError> {
        let key = [&key(interval), &site.as_bytes()[..]].concat();
        self.openings.insert(key, codec::canonical(opening))?;
        let mut open = 0_usize;
        for entry in self.openings.iter().keys().rev() {
            let entry = entry?;
            if entry.ends_with(site.as_bytes()) {
                open = open.saturating_add(1);
                if open > most {
                    self.openings.remove(entry)?;
                }
            }
        }
        Ok(())
    }

    /// What was opened of an interval, by whom.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn openings(
        &self,
        interval: Interval,
    ) -> Result<BTreeMap<ParticipantId, Opening>, ArchiveError> {
        let entries = self.openings.scan_prefix(key(interval)).map(|entry| {
            let (key, bytes) = entry?;
            let whose = participant("openings", key.get(INTERVAL_LEN..))?;
            Ok((whose, value("openings", &bytes)?))
        });
        entries.collect()
    }

    /// The intervals of which anything was opened, the latest first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn opened_intervals(&self) -> impl Iterator<Item = Result<Interval, ArchiveError>> {
        let mut before = None::<Interval>;
        let mut latest = move || -> Result<Option<Interval>, ArchiveError> {
            // From one interval to the one before it, however many openings it has.
            let entry = match before {
                Some(before) => self.openings.range(..key(before)).next_back(),
                None => self.openings.iter().next_back(),
            };
            let Some(entry) = entry else { return Ok(None) };
            let found = interval("openings", &entry?.0)?;
            before = Some(found);
            Ok(Some(found))
        };
        std::iter::from_fn(move || latest().transpose())
    }

    /// Forgets cohorts and openings of the intervals before `interval`; returns how many.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn prune_openings_before(&self, interval: Interval) -> Result<usize, ArchiveError> {
        Ok(prune(&self.cohorts, interval)?.saturating_add(prune(&self.openings, interval)?))
    }
}
