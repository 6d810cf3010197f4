//! A model of the disk that the journal is on: what was written, and what of it a crash leaves.
//!
//! The node's journal writes what one step signed in one transaction and waits until it is synced.
//! A crash on the way may leave nothing of it, all of it, or, harsher than SQLite promises, a part.
//! Not for: SQLite itself; the node's own tests kill that.

use std::collections::BTreeMap;

use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_protocol::units::Interval;

/// How often a disk that does not wait for the sync is synced by the system.
const SYNCED_AFTER_MS: u64 = 3_000;

/// One node's journal.
#[derive(Debug, Default)]
pub(super) struct Journal {
    durable: BTreeMap<Slot, JournalEntry>,
    /// Written, but not synced; empty but for the flaw of a missing fsync.
    cached: Vec<(u64, JournalEntry)>,
}

/// A slot that was filled with something else before.
#[derive(Debug)]
pub(super) struct FilledTwice(pub(super) Slot);

impl Journal {
    /// Writes and syncs.
    pub(super) fn record(&mut self, entries: &[JournalEntry]) -> Result<(), FilledTwice> {
        entries.iter().try_for_each(|entry| {
            let earlier = self.durable.insert(entry.slot, entry.clone());
            match earlier {
                Some(earlier) if earlier.bytes != entry.bytes => Err(FilledTwice(entry.slot)),
                Some(_) | None => Ok(()),
            }
        })
    }

    /// Writes without syncing: the flaw.
    pub(super) fn record_unsynced(&mut self, now_ms: u64, entries: &[JournalEntry]) {
        let (synced, cached) = std::mem::take(&mut self.cached)
            .into_iter()
            .partition(|(at_ms, _)| at_ms + SYNCED_AFTER_MS <= now_ms);
        self.cached = cached;
        let synced: Vec<_> = Vec::into_iter(synced).map(|(_, entry)| entry).collect();
        self.durable.extend(synced.into_iter().map(|entry| (entry.slot, entry)));
        self.cached.extend(entries.iter().map(|entry| (now_ms, entry.clone())));
    }

    /// The power goes: what was not synced is lost.
    pub(super) fn crash(&mut self) {
        self.cached.clear();
    }

    /// The disk itself is lost.
    pub(super) fn lose(&mut self) {
        *self = Self::default();
    }

    /// What is on disk.
    pub(super) fn get(&self, slot: Slot) -> Option<&JournalEntry> {
        self.durable.get(&slot)
    }

    /// What a node takes up when it starts.
    pub(super) fn load_since(&self, oldest: Interval) -> Vec<JournalEntry> {
        self.durable.values().filter(|entry| entry.slot.interval() >= oldest).cloned().collect()
    }

    /// The latest reading on disk.
    pub(super) fn last_reading(&self) -> Option<&JournalEntry> {
        self.durable.values().rev().find(|entry| matches!(entry.slot, Slot::Reading(_)))
    }

    /// Forgets what is older, as the node does.
    pub(super) fn prune_before(&mut self, oldest: Interval) {
        self.durable.retain(|slot, _| slot.interval() >= oldest);
    }
}
