//! The archive: what this node knows and could fetch again: readings, books, clearings,
//! evidence, peers; and what it shows of payments.
//!
//! sled, with a few fixed trees, big-endian keys and small values. It is never needed to keep a
//! promise: sled's flush is no fsync, and an archive that does not open is moved aside.
//! Reads and writes take microseconds of memory and now and then some milliseconds of disk, so any
//! task may call them; [`Archive::prune_before`] and [`Archive::flush`] take longer and belong into
//! `spawn_blocking`.
//!
//! Not for: what this node signed (the journal).

mod by_hand;
mod checks;
mod days;
mod decisions;
mod money;
mod open;
mod openings;
mod payments;
mod record;
mod substitutes;

use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::sync::Arc;

use boltgrid_protocol::codec::{self, CodecRejected, ENCODED_MAX};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::Interval;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::{Batch, IVec, Tree};

use super::FolderLock;
pub use by_hand::ByHandRecord;
pub use days::DayRecord;
pub use decisions::DecisionRecord;
pub use money::{BalanceRecord, ChannelChange, ChannelRecord};
pub use openings::CohortRecord;
pub use payments::DisputeRecord;
pub use record::{BookRecord, ClearingRecord};

/// Bytes of an interval at the start of a key.
const INTERVAL_LEN: usize = 8;
/// Entries removed per batch, so that pruning never holds up others for long.
const PRUNE_BATCH: usize = 1024;

/// A signed message and whose it is.
pub type SignedBytes = (ParticipantId, Arc<[u8]>);

/// What this node knows. Cheap to clone; the data folder stays locked while one lives.
#[derive(Clone)]
pub struct Archive {
    /// `[interval, participant] → signed reading`
    readings: Tree,
    /// `[interval] → certificate` and `[interval, place] → signed order`
    books: Tree,
    /// `[interval] → ClearingRecord`
    clearings: Tree,
    /// `[interval] → settlement`
    settlements: Tree,
    /// `[interval, payment hash] → Payment`
    payments: Tree,
    /// `[interval, payment hash] → ByHandRecord`
    by_hand: Tree,
    /// `[interval, cause] → DisputeRecord`
    disputes: Tree,
    /// `[interval] → BalanceRecord`
    balances: Tree,
    /// `[interval, channel, change] → ChannelRecord`
    channel_log: Tree,
    /// `[interval, culprit] → signed evidence`
    evidence: Tree,
    /// `[participant] → signed peer record`
    peers: Tree,
    /// `[began at, kind and name] → AnomalyRecord`
    anomalies: Tree,
    /// `[began at, line] → QualityEvent`
    quality_events: Tree,
    /// `[from] → Window`
    quality_windows: Tree,
    /// `[interval] → Flow`
    substitutes: Tree,
    /// `[interval, at] → CorrectionRecord`
    corrections: Tree,
    /// `[day] → DayRecord`; kept for good
    days: Tree,
    /// `[interval, feeder] → CohortRecord`
    cohorts: Tree,
    /// `[interval, participant] → Opening`, of others to this node
    openings: Tree,
    /// `[at, machine] → DecisionRecord`
    decisions: Tree,
    // Declared after the trees: the folder is given up when they are closed.
    database: sled::Db,
    _lock: Arc<FolderLock>,
}

/// Why the archive did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// sled or the disk under it failed.
    #[error("the archive cannot be read or written: {0}")]
    Sled(#[from] sled::Error),
    /// A stored value is not what this program stores there.
    #[error("the archive's tree `{tree}` holds something else: {source}")]
    Value {
        /// Which tree.
        tree: &'static str,
        /// What is wrong with the value.
        source: CodecRejected,
    },
    /// It was written by a later version of this program.
    #[error(
        "the archive {path} has schema {found} and this boltgrid knows {known}; run the version that \
         wrote it, or a later one, or move it away: this node then fetches again what others have, \
         and forgets its own days, payments and measurements"
    )]
    Schema {
        /// The archive.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// Our schema.
        known: u32,
    },
    /// A damaged archive could not be moved out of the way.
    #[error("the damaged archive {path} cannot be moved aside: {source}; remove it, it is a cache")]
    MoveAside {
        /// The archive.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl Archive {
    /// Keeps a participant's signed reading at the start of `interval`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Sled`], as everywhere here.
    pub fn put_reading(
        &self,
        interval: Interval,
        participant: &ParticipantId,
        signed: &[u8],
    ) -> Result<(), ArchiveError> {
        self.readings.insert([&key(interval), &participant.as_bytes()[..]].concat(), signed)?;
        Ok(())
    }

    /// All signed readings at the start of `interval`, by participant.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn readings(&self, interval: Interval) -> Result<Vec<SignedBytes>, ArchiveError> {
        self.readings
            .scan_prefix(key(interval))
            .map(|entry| {
                let (key, signed) = entry?;
                let participant = participant("readings", key.get(INTERVAL_LEN..))?;
                Ok((participant, shared(&signed)))
            })
            .collect()
    }

    /// All signed readings at the starts of `intervals`, by interval and participant.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn readings_of(
        &self,
        intervals: impl RangeBounds<Interval>,
    ) -> impl Iterator<Item = Result<(Interval, SignedBytes), ArchiveError>> {
        of_members("readings", &self.readings, intervals)
    }

    /// One participant's signed reading at the start of `interval`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn reading(
        &self,
        interval: Interval,
        participant: &ParticipantId,
    ) -> Result<Option<Arc<[u8]>>, ArchiveError> {
        let key = [&key(interval), &participant.as_bytes()[..]].concat();
        Ok(self.readings.get(key)?.as_ref().map(shared))
    }

    /// One participant's signed readings at the starts of `from` to before `before`, the latest first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn readings_by(
        &self,
        participant: &ParticipantId,
        from: Interval,
        mut before: Interval,
    ) -> impl Iterator<Item = Result<(Interval, Arc<[u8]>), ArchiveError>> {
        let participant = *participant;
        let mut latest = move || -> Result<_, ArchiveError> {
            // From one interval that anybody's reading is kept of to the one before it.
            while let Some(entry) =
                self.readings.range(key(from)..key(before.max(from))).next_back()
            {
                before = interval("readings", &entry?.0)?;
                if let Some(signed) = self.reading(before, &participant)? {
                    return Ok(Some((before, signed)));
                }
            }
            Ok(None)
        };
        std::iter::from_fn(move || latest().transpose())
    }

    /// Keeps a certified book in place of an earlier one, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_book(&self, interval: Interval, book: &BookRecord) -> Result<(), ArchiveError> {
        let key = key(interval);
        let mut batch = Batch::default();
        for earlier in self.books.scan_prefix(key).keys() {
            batch.remove(earlier?);
        }
        batch.insert(&key, book.certificate.as_ref());
        for (place, order) in (0_u32..).zip(&book.orders) {
            batch.insert([&key[..], &place.to_be_bytes()].concat(), order.as_ref());
        }
        Ok(self.books.apply_batch(batch)?)
    }

    /// The certified book of `interval`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn book(&self, interval: Interval) -> Result<Option<BookRecord>, ArchiveError> {
        let mut entries = self.books.scan_prefix(key(interval)).values();
        let Some(certificate) = entries.next().transpose()? else { return Ok(None) };
        let orders =
            entries.map(|order| Ok(shared(&order?))).collect::<Result<_, sled::Error>>()?;
        Ok(Some(BookRecord { certificate: shared(&certificate), orders }))
    }

    /// The certificate of `interval` by itself.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn certificate(&self, interval: Interval) -> Result<Option<Arc<[u8]>>, ArchiveError> {
        Ok(self.books.get(key(interval))?.as_ref().map(shared))
    }

    /// One signed order of the book of `interval`, by its place in the book.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn order(
        &self,
        interval: Interval,
        place: usize,
    ) -> Result<Option<Arc<[u8]>>, ArchiveError> {
        let Ok(place) = u32::try_from(place) else { return Ok(None) };
        let key = [&key(interval)[..], &place.to_be_bytes()].concat();
        Ok(self.books.get(key)?.as_ref().map(shared))
    }

    /// Keeps what became of an interval's book.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_clearing(
        &self,
        interval: Interval,
        clearing: &ClearingRecord,
    ) -> Result<(), ArchiveError> {
        put(&self.clearings, interval, clearing)
    }

    /// What became of an interval's book.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn clearing(&self, interval: Interval) -> Result<Option<ClearingRecord>, ArchiveError> {
        let found = self.clearings.get(key(interval))?;
        found.map(|bytes| value("clearings", &bytes)).transpose()
    }

    /// The clearings of `intervals`, the latest first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn clearings(
        &self,
        intervals: impl RangeBounds<Interval>,
    ) -> impl Iterator<Item = Result<(Interval, ClearingRecord), ArchiveError>> {
        let from = intervals.start_bound().map(|interval| key(*interval));
        let until = intervals.end_bound().map(|interval| key(*interval));
        self.clearings.range((from, until)).rev().map(|entry| {
            let (key, bytes) = entry?;
            Ok((interval("clearings", &key)?, value("clearings", &bytes)?))
        })
    }

    /// Keeps what was delivered in an interval and who owes what, in any encodable form.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_settlement<T: Serialize>(
        &self,
        interval: Interval,
        settlement: &T,
    ) -> Result<(), ArchiveError> {
        put(&self.settlements, interval, settlement)
    }

    /// What was delivered in an interval and who owes what, in the form it was put.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Value`] when it was put in another form.
    pub fn settlement<T: DeserializeOwned>(
        &self,
        interval: Interval,
    ) -> Result<Option<T>, ArchiveError> {
        let found = self.settlements.get(key(interval))?;
        found.map(|bytes| value("settlements", &bytes)).transpose()
    }

    /// What was delivered in each of `intervals` and who owes what, the latest first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn settlements<T: DeserializeOwned>(
        &self,
        intervals: impl RangeBounds<Interval>,
    ) -> impl Iterator<Item = Result<(Interval, T), ArchiveError>> {
        let from = intervals.start_bound().map(|interval| key(*interval));
        let until = intervals.end_bound().map(|interval| key(*interval));
        self.settlements.range((from, until)).rev().map(|entry| {
            let (key, bytes) = entry?;
            Ok((interval("settlements", &key)?, value("settlements", &bytes)?))
        })
    }

    /// Keeps signed evidence of what `culprit` did in `interval`, unless there is some already: one
    /// proof is as good as another. False where there was.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_evidence(
        &self,
        interval: Interval,
        culprit: &ParticipantId,
        signed: &[u8],
    ) -> Result<bool, ArchiveError> {
        let key = [&key(interval), &culprit.as_bytes()[..]].concat();
        let put = self.evidence.compare_and_swap(key, None::<&[u8]>, Some(signed))?;
        Ok(put.is_ok())
    }

    /// The signed evidence of what `culprit` did in `interval`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn evidence_against(
        &self,
        interval: Interval,
        culprit: &ParticipantId,
    ) -> Result<Option<Arc<[u8]>>, ArchiveError> {
        let key = [&key(interval), &culprit.as_bytes()[..]].concat();
        Ok(self.evidence.get(key)?.as_ref().map(shared))
    }

    /// All signed evidence of what was done in `intervals`, the oldest first: of which interval,
    /// against whom, and the message.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn evidence(
        &self,
        intervals: impl RangeBounds<Interval>,
    ) -> impl Iterator<Item = Result<(Interval, SignedBytes), ArchiveError>> {
        of_members("evidence", &self.evidence, intervals)
    }

    /// Keeps a participant's signed peer record in place of an earlier one.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_peer(&self, participant: &ParticipantId, signed: &[u8]) -> Result<(), ArchiveError> {
        self.peers.insert(participant.as_bytes(), signed)?;
        Ok(())
    }

    /// Forgets a participant's peer record, say because it expired.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn remove_peer(&self, participant: &ParticipantId) -> Result<(), ArchiveError> {
        self.peers.remove(participant.as_bytes())?;
        Ok(())
    }

    /// All signed peer records.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn peers(&self) -> Result<Vec<SignedBytes>, ArchiveError> {
        self.peers
            .iter()
            .map(|entry| {
                let (key, signed) = entry?;
                Ok((participant("peers", Some(&key))?, shared(&signed)))
            })
            .collect()
    }

    /// Forgets everything of the intervals before `interval`, but evidence, disputes and what became of
    /// channels; returns how many values.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn prune_before(&self, interval: Interval) -> Result<usize, ArchiveError> {
        let mut pruned = 0_usize;
        let trees = [&self.readings, &self.books, &self.clearings, &self.settlements];
        let others = [&self.payments, &self.balances, &self.substitutes, &self.corrections];
        for tree in trees.into_iter().chain(others).chain([&self.by_hand]) {
            pruned += prune(tree, interval)?;
        }
        Ok(pruned)
    }

    /// Forgets evidence of the intervals before `interval`; returns how much.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn prune_evidence_before(&self, interval: Interval) -> Result<usize, ArchiveError> {
        prune(&self.evidence, interval)
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn flush(&self) -> Result<(), ArchiveError> {
        self.database.flush()?;
        Ok(())
    }
}

impl fmt::Debug for Archive {
    // sled's own would print every value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Archive")
    }
}

fn prune(tree: &Tree, before: Interval) -> Result<usize, ArchiveError> {
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

/// The entries of a tree whose keys are an interval and a participant.
fn of_members(
    name: &'static str,
    tree: &Tree,
    intervals: impl RangeBounds<Interval>,
) -> impl Iterator<Item = Result<(Interval, SignedBytes), ArchiveError>> {
    // A key of an interval alone stands before all keys of that interval.
    let from = match intervals.start_bound() {
        Bound::Included(first) => Bound::Included(key(*first)),
        Bound::Excluded(before) => Bound::Included(key(before.next())),
        Bound::Unbounded => Bound::Unbounded,
    };
    let until = match intervals.end_bound() {
        Bound::Included(last) => Bound::Excluded(key(last.next())),
        Bound::Excluded(after) => Bound::Excluded(key(*after)),
        Bound::Unbounded => Bound::Unbounded,
    };
    tree.range((from, until)).map(move |entry| {
        let (key, signed) = entry?;
        let whose = participant(name, key.get(INTERVAL_LEN..))?;
        Ok((interval(name, &key)?, (whose, shared(&signed))))
    })
}

fn key(interval: Interval) -> [u8; INTERVAL_LEN] {
    interval.to_number().to_be_bytes()
}

fn interval(tree: &'static str, key: &[u8]) -> Result<Interval, ArchiveError> {
    let (number, _) = key.split_first_chunk::<INTERVAL_LEN>().ok_or_else(|| malformed(tree))?;
    Ok(Interval::from_number(u64::from_be_bytes(*number)))
}

fn participant(tree: &'static str, key: Option<&[u8]>) -> Result<ParticipantId, ArchiveError> {
    key.and_then(|key| key.try_into().ok())
        .map(ParticipantId::from_bytes)
        .ok_or_else(|| malformed(tree))
}

fn malformed(tree: &'static str) -> ArchiveError {
    ArchiveError::Value { tree, source: CodecRejected::Malformed }
}

fn put<T: Serialize>(tree: &Tree, interval: Interval, value: &T) -> Result<(), ArchiveError> {
    tree.insert(key(interval), codec::canonical(value))?;
    Ok(())
}

fn value<T: DeserializeOwned>(tree: &'static str, bytes: &[u8]) -> Result<T, ArchiveError> {
    codec::decode(bytes, ENCODED_MAX).map_err(|source| ArchiveError::Value { tree, source })
}

fn shared(bytes: &IVec) -> Arc<[u8]> {
    Arc::from(bytes.as_ref())
}
