//! Points in time and market intervals. Unix time, UTC, no leap seconds; nothing here reads a clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time: Unix milliseconds, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp {
    unix_ms: u64,
}

impl Timestamp {
    /// A point in time in Unix milliseconds.
    #[must_use]
    pub const fn from_unix_ms(unix_ms: u64) -> Self {
        Self { unix_ms }
    }

    /// The point in time in Unix milliseconds.
    #[must_use]
    pub const fn to_unix_ms(self) -> u64 {
        self.unix_ms
    }

    /// `ms` later, held at the end of time.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self { unix_ms: self.unix_ms.saturating_add(ms) }
    }

    /// `ms` earlier, held at 1970.
    #[must_use]
    pub const fn minus_ms(self, ms: u64) -> Self {
        Self { unix_ms: self.unix_ms.saturating_sub(ms) }
    }

    /// Milliseconds since `earlier`; zero if it is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.unix_ms.saturating_sub(earlier.unix_ms)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.unix_ms)
    }
}

/// A market interval: `unix_ms / interval_ms` of the charter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Interval {
    number: u64,
}

impl Interval {
    /// The interval with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self { number }
    }

    /// The interval's number.
    #[must_use]
    pub const fn to_number(self) -> u64 {
        self.number
    }

    /// The interval after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { number: self.number.saturating_add(1) }
    }

    /// The interval before this one; the first has none and stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self { number: self.number.saturating_sub(1) }
    }

    /// The interval `count` after this one.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self { number: self.number.saturating_add(count) }
    }

    /// The interval `count` before this one, held at the first.
    #[must_use]
    pub const fn minus(self, count: u64) -> Self {
        Self { number: self.number.saturating_sub(count) }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}
