//! How far a node has caught up: part of the JSON of `node.status`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{Quoted, QuotedCounts, QuotedOption};

/// What a node is doing about history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUpState {
    /// Nothing.
    #[default]
    Idle,
    /// It is asking a member.
    Asking,
}

/// How far a node has caught up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatchUpStatus {
    /// What it is doing.
    pub state: CatchUpState,
    /// Intervals of which it knows no book, and has not yet asked enough others.
    #[serde(with = "Quoted")]
    pub behind_intervals: u64,
    /// The member that it was through with last.
    pub last_with: Option<String>,
    /// When.
    #[serde(with = "QuotedOption")]
    pub last_at_unix_ms: Option<u64>,
    /// Books learnt from others since the start.
    #[serde(with = "Quoted")]
    pub books_learnt: u64,
    /// Readings learnt from others since the start.
    #[serde(with = "Quoted")]
    pub readings_learnt: u64,
    /// Evidence learnt from others since the start.
    #[serde(with = "Quoted")]
    pub evidence_learnt: u64,
    /// Items that members said they have and did not hand out.
    #[serde(with = "Quoted")]
    pub withheld: u64,
    /// Visits that ended badly, and contradictions found, by reason.
    #[serde(with = "QuotedCounts")]
    pub refused: BTreeMap<String, u64>,
}

impl CatchUpStatus {
    /// Counts something that went wrong.
    pub(super) fn refuse(&mut self, why: &str) {
        let count = self.refused.entry(why.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
}
