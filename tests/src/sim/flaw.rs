//! Negative controls: ways to break a node or an assumption, under which the checks must fail.
//!
//! A check that stays silent under its flaw checks nothing. Not for: adversaries; those speak the
//! real protocol and are inside the assumptions.

use std::fmt;
use std::str::FromStr;

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// What is signed is not synced before it leaves (against P21).
    NoFsync,
    /// One vote less than a quorum decides (against P11).
    LowQuorum,
    /// Voters keep the gate open for longer than they say (against P13).
    LateOrders,
    /// Voters prevote what they are not locked on (against P15).
    NoLock,
    /// More adversaries than `f`.
    TooManyRogues,
}

impl Flaw {
    /// All flaws.
    pub const ALL: [Self; 5] =
        [Self::NoFsync, Self::LowQuorum, Self::LateOrders, Self::NoLock, Self::TooManyRogues];

    /// Its name on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoFsync => "no-fsync",
            Self::LowQuorum => "low-quorum",
            Self::LateOrders => "late-orders",
            Self::NoLock => "no-lock",
            Self::TooManyRogues => "too-many-rogues",
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Flaw {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|flaw| flaw.word() == word).ok_or_else(|| {
            format!("no flaw is called so; there are {}", Self::ALL.map(Self::word).join(", "))
        })
    }
}
