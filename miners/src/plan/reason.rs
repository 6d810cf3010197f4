//! Why a machine is to do what it is to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a machine is to do what it is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It runs, as what it earns is worth more than what its power would bring or costs.
    Pays,
    /// It runs, and first of all, as its heat is wanted.
    Heats,
    /// It does not run, as its power is worth more elsewhere.
    TooDear,
    /// It does not run, or not faster, as others take what there is.
    NothingLeft,
    /// It runs on, as it was started a short while ago.
    RunsOn {
        /// Until when.
        until_unix_ms: u64,
    },
    /// It stays off, as it was stopped a short while ago.
    Rests {
        /// Until when.
        until_unix_ms: u64,
    },
    /// It stays off, as it was started as often within a day as its owner allows.
    StartsUsedUp,
    /// It is started later, as not all are started at once.
    Waits,
    /// A fuse or a line would carry too much.
    Limit,
    /// The grid is in an emergency.
    Emergency,
    /// The frequency or the voltage asks for it.
    GridSupport,
    /// The place that it warms is hot enough, or nobody knows whether.
    TooHot,
    /// A rule of its owner's says so.
    Rule {
        /// Which one, counted from 0 in the order in which they decide.
        number: u16,
    },
    /// Its owner said so.
    Owner {
        /// Until when.
        until_unix_ms: u64,
    },
    /// It does not do as it is told: what it draws is taken out of the plan.
    Unresponsive,
    /// It can only be looked at.
    OnlyLookedAt,
}

impl Reason {
    /// Whether it is the same reason, whatever times it names.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pays => "it earns more than its power would bring or costs",
            Self::Heats => "its heat is wanted",
            Self::TooDear => "its power is worth more elsewhere",
            Self::NothingLeft => "there is not enough power left for it",
            Self::RunsOn { .. } => "it was started a short while ago",
            Self::Rests { .. } => "it was stopped a short while ago",
            Self::StartsUsedUp => "it was started as often within a day as its owner allows",
            Self::Waits => "not all are started at once",
            Self::Limit => "a fuse or a line would carry too much",
            Self::Emergency => "the grid is in an emergency",
            Self::GridSupport => "the frequency or the voltage asks for it",
            Self::TooHot => "what it warms is hot enough, or nobody says how warm it is",
            Self::Rule { .. } => "a rule says so",
            Self::Owner { .. } => "its owner said so",
            Self::Unresponsive => "it does not do as it is told",
            Self::OnlyLookedAt => "it can only be looked at",
        })
    }
}
