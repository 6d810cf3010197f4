//! What can be asked of a unit: to read registers of one of two tables, and to write some.
//! Not for: single bits (coils), which no quantity of ours is.

use serde::Deserialize;

/// The most registers one request reads.
pub const READ_MAX: u16 = 125;
/// The most registers one request writes.
pub(super) const WRITE_MAX: usize = 123;

/// One of a device's two tables of registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Holding registers, function 3.
    #[default]
    Holding,
    /// Input registers, function 4.
    Input,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// Read `count` registers from `first` on.
    Read { table: Table, first: u16, count: u16 },
    /// Write these from `first` on.
    Write { first: u16, words: &'a [u16] },
}

impl Request<'_> {
    /// Whether it fits a frame, and its registers the table.
    pub(super) fn fits(&self) -> bool {
        match *self {
            Self::Read { first, count, .. } => {
                (1..=READ_MAX).contains(&count) && first.checked_add(count - 1).is_some()
            }
            Self::Write { first, words } => {
                (1..=WRITE_MAX).contains(&words.len())
                    && usize::from(first) + words.len() <= 1 << 16
            }
        }
    }
}
