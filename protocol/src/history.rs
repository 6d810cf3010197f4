//! History: what members can prove of past intervals, item by item (P26).
//!
//! An item's id says what it is and not by which signatures it is proven, so that two honest members
//! with two certificates of one book hold the same item. Not for: who is asked for history, or when.

use serde::{Deserialize, Serialize};

use crate::charter::Timing;
use crate::id::{BookHash, ItemId, MessageHash, ParticipantId};
use crate::units::Interval;

/// Most intervals that one question is about.
pub const STRETCH_MAX: u64 = 288;
/// Most items that a question can be about, orders included: beyond it a stretch is not served.
pub const ITEMS_MAX: usize = 8192;
/// Most items asked for at once.
pub const IDS_MAX: usize = 128;
/// Most bytes of a message of range reconciliation, either way.
pub const RECONCILE_MAX: usize = 16 * 1024;

/// What kind of thing an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ItemKind {
    /// A book: its encoded certificate.
    Book,
    /// An order of a book.
    Order,
    /// A reading.
    Reading,
    /// Evidence.
    Evidence,
}

/// An item as it travels; whoever receives it verifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// The certificate or the signed message.
    pub bytes: Vec<u8>,
}

/// The intervals from one to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stretch {
    /// The first interval.
    pub from: Interval,
    /// The first interval that is not part of it.
    pub until: Interval,
}

impl Stretch {
    /// Whether an interval is part of it.
    #[must_use]
    pub fn contains(&self, interval: Interval) -> bool {
        (self.from..self.until).contains(&interval)
    }

    /// How many intervals it has.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.until.to_number().saturating_sub(self.from.to_number())
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its intervals, ascending.
    pub fn intervals(&self) -> impl Iterator<Item = Interval> + use<> {
        (self.from.to_number()..self.until.to_number()).map(Interval::from_number)
    }
}

impl ItemId {
    /// The certified book of an interval.
    #[must_use]
    pub fn of_book(interval: Interval, book: &BookHash) -> Self {
        Self::new(ItemKind::Book, interval, book.as_bytes())
    }

    /// An order of an interval's book.
    #[must_use]
    pub fn of_order(interval: Interval, order: &MessageHash) -> Self {
        Self::new(ItemKind::Order, interval, order.as_bytes())
    }

    /// A reading at the start of an interval.
    #[must_use]
    pub fn of_reading(interval: Interval, reading: &MessageHash) -> Self {
        Self::new(ItemKind::Reading, interval, reading.as_bytes())
    }

    /// Evidence of what a member did in an interval, whoever found it.
    #[must_use]
    pub fn of_evidence(interval: Interval, culprit: &ParticipantId) -> Self {
        Self::new(ItemKind::Evidence, interval, culprit.as_bytes())
    }

    fn new(kind: ItemKind, interval: Interval, name: &[u8; 32]) -> Self {
        let kind: u32 = match kind {
            ItemKind::Book => 0,
            ItemKind::Order => 1,
            ItemKind::Reading => 2,
            ItemKind::Evidence => 3,
        };
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 item");
        hasher.update(&kind.to_be_bytes());
        hasher.update(&interval.to_number().to_be_bytes());
        hasher.update(name);
        Self::from_bytes(hasher.finalize().into())
    }
}

/// Where an interval's items stand in range reconciliation: its start in whole seconds.
#[must_use]
pub const fn second_of(timing: &Timing, interval: Interval) -> u64 {
    timing.start_of(interval).to_unix_ms().div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_kinds_intervals_and_names_apart() {
        let at = Interval::from_number(7);
        let (name, other) = ([1; 32], [2; 32]);
        let ids = [
            ItemId::of_book(at, &BookHash::from_bytes(name)),
            ItemId::of_order(at, &MessageHash::from_bytes(name)),
            ItemId::of_reading(at, &MessageHash::from_bytes(name)),
            ItemId::of_evidence(at, &ParticipantId::from_bytes(name)),
            ItemId::of_evidence(at.next(), &ParticipantId::from_bytes(name)),
            ItemId::of_evidence(at, &ParticipantId::from_bytes(other)),
        ];
        for (place, id) in ids.iter().enumerate() {
            assert!(!ids[..place].contains(id), "{place}");
        }
        assert_eq!(ids[0], ItemId::of_book(at, &BookHash::from_bytes(name)));
    }

    #[test]
    fn a_stretch_ends_before_its_end_and_may_be_empty() {
        let stretch = |from, until| Stretch {
            from: Interval::from_number(from),
            until: Interval::from_number(until),
        };
        let three = stretch(4, 7);
        assert_eq!((three.len(), three.intervals().count()), (3, 3));
        assert!(three.contains(Interval::from_number(6)));
        assert!(!three.contains(Interval::from_number(7)));
        assert!(stretch(7, 4).is_empty());
        assert_eq!(stretch(0, u64::MAX).len(), u64::MAX);
    }
}
