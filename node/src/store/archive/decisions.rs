//! The archive's part in what machines were told: decisions that changed something, to be exported. Keys start
//! with a time in Unix milliseconds.

use boltgrid_protocol::codec;
use boltgrid_protocol::units::{Power, Timestamp};
use serde::{Deserialize, Serialize};

use super::checks::{key, prune};
use super::{Archive, ArchiveError, value};

/// What a machine was told, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// When.
    pub at: Timestamp,
    /// The machine's name.
    pub machine: String,
    /// What it is to draw; zero for off, none where it is told nothing.
    pub set_point: Option<Power>,
    /// Why.
    pub reason: String,
}

impl Archive {
    /// Keeps a decision.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn put_decision(&self, decision: &DecisionRecord) -> Result<(), ArchiveError> {
        let key = [&key(decision.at)[..], decision.machine.as_bytes()].concat();
        self.decisions.insert(key, codec::canonical(decision))?;
        Ok(())
    }

    /// The decisions from `from` to before `before`, the latest first.
    ///
    /// # Errors
    ///
    /// Each item may be an [`ArchiveError`].
    pub fn decisions(
        &self,
        from: Timestamp,
        before: Timestamp,
    ) -> impl Iterator<Item = Result<DecisionRecord, ArchiveError>> {
        let range = key(from)..key(before.max(from));
        self.decisions.range(range).rev().map(|entry| value("decisions", &entry?.1))
    }

    /// Forgets decisions from before a time; returns how many.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn prune_decisions_before(&self, before: Timestamp) -> Result<usize, ArchiveError> {
        prune(&self.decisions, before)
    }
}
