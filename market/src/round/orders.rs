//! The orders of one interval as this node saw them.
//!
//! Of each member the first order seen before the gate counts for the ack; a second, different one is
//! equivocation. Orders that a proposal names are kept whenever they come.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::agreement::{Ack, BookEntry, merkle_root};
use boltgrid_protocol::bitmap::Bitmap;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{MessageHash, RosterIndex};
use boltgrid_protocol::order::Order;

/// The orders of one interval.
///
/// Invariants: every hash in `first` has its order in `kept`; of one member are kept the first order,
/// those that a proposal of some view or a certificate names, and one more at most.
#[derive(Debug, Default)]
pub(super) struct Orders {
    first: BTreeMap<RosterIndex, MessageHash>,
    kept: BTreeMap<RosterIndex, Vec<Verified<Order>>>,
}

/// What became of an order.
#[derive(Debug)]
pub(super) enum Taken {
    /// The first of its author.
    New,
    /// It was there.
    Known,
    /// The author sent another one before: these are its bytes.
    Contradicts(Arc<[u8]>),
}

impl Orders {
    /// Takes an order that came in time.
    pub(super) fn take(&mut self, order: Verified<Order>) -> Taken {
        let (author, hash) = (order.author(), order.hash());
        let other = self.other_than(&order).map(|other| Arc::clone(other.bytes()));
        let is_first = !self.first.contains_key(&author);
        if is_first {
            self.first.insert(author, hash);
            self.keep(order);
        }
        match (self.first.get(&author), other) {
            (Some(first), Some(other)) if is_first || *first != hash => Taken::Contradicts(other),
            (Some(_) | None, _) if is_first => Taken::New,
            (Some(_) | None, _) => Taken::Known,
        }
    }

    /// Keeps an order whenever it comes; it must be one that counts, or a member could fill this up
    /// with orders that nobody named.
    pub(super) fn keep(&mut self, order: Verified<Order>) {
        let kept = self.kept.entry(order.author()).or_default();
        if kept.iter().all(|other| other.hash() != order.hash()) {
            kept.push(order);
        }
    }

    /// The order that a book names, if it is here.
    pub(super) fn get(&self, author: RosterIndex, hash: MessageHash) -> Option<&Verified<Order>> {
        self.kept.get(&author)?.iter().find(|order| order.hash() == hash)
    }

    /// Another order of the same author that is here.
    pub(super) fn other_than(&self, order: &Verified<Order>) -> Option<&Verified<Order>> {
        self.of(order.author()).iter().find(|other| other.hash() != order.hash())
    }

    /// All orders kept of a member.
    pub(super) fn of(&self, author: RosterIndex) -> &[Verified<Order>] {
        self.kept.get(&author).map_or(&[], Vec::as_slice)
    }

    /// The hash that a proposer shows for a member: of the first order seen, or of any kept.
    pub(super) fn hash_of(&self, author: RosterIndex) -> Option<MessageHash> {
        self.first.get(&author).copied().or_else(|| self.of(author).first().map(Verified::hash))
    }

    /// The authors of entries whose orders are not here.
    pub(super) fn missing(&self, entries: &[BookEntry]) -> Vec<RosterIndex> {
        entries
            .iter()
            .filter(|entry| self.get(entry.author, entry.order).is_none())
            .map(|entry| entry.author)
            .collect()
    }

    /// What this node acks (P13): the first orders of all members that are not barred.
    pub(super) fn ack(&self, members: usize, is_barred: impl Fn(RosterIndex) -> bool) -> Ack {
        let mut held = Bitmap::empty(members);
        let mut hashes = Vec::with_capacity(self.first.len());
        for (author, hash) in self.first.iter().filter(|(author, _)| !is_barred(**author)) {
            held.insert(*author);
            hashes.push(*hash);
        }
        Ack { held, root: merkle_root(&hashes) }
    }

    /// How many members' orders came in time.
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }
}
