//! Which orders a set of acks puts into the book (P14): those that at least `f + 1` of `q` acks hold.
//!
//! An order held by all honest voters at the gate is held by at least `q − f ≥ f + 1` of any `q` acks,
//! so no leader can leave it out; one seen by no honest voter is held by `f` at most.

use std::collections::BTreeMap;

use boltgrid_protocol::agreement::{Ack, Book, BookEntry, Proposal};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{Signed, Verified};
use boltgrid_protocol::id::{MessageHash, RosterIndex};
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::Interval;

/// The members whose orders belong into the book, ascending.
pub(super) fn included<'a>(
    roster: &Roster,
    acks: impl Iterator<Item = &'a Verified<Ack>>,
) -> Vec<RosterIndex> {
    let mut holders: BTreeMap<RosterIndex, usize> = BTreeMap::new();
    for author in acks.flat_map(|ack| ack.body().held.iter()) {
        let count = holders.entry(author).or_default();
        *count = count.saturating_add(1);
    }
    let needed = roster.faulty_max().saturating_add(1);
    holders.into_iter().filter(|(_, count)| *count >= needed).map(|(author, _)| author).collect()
}

/// Whether one member's order belongs into the book: [`included`] for one, and cheap.
pub(super) fn includes<'a>(
    roster: &Roster,
    acks: impl Iterator<Item = &'a Verified<Ack>>,
    author: RosterIndex,
) -> bool {
    acks.filter(|ack| ack.body().held.contains(author)).count() > roster.faulty_max()
}

/// The book of these acks, or the members whose orders the leader must ask for first.
pub(super) fn book(
    included: &[RosterIndex],
    hash_of: impl Fn(RosterIndex) -> Option<MessageHash>,
) -> Result<Book, Vec<RosterIndex>> {
    let (known, unknown): (Vec<_>, Vec<_>) = included
        .iter()
        .map(|author| (*author, hash_of(*author)))
        .partition(|(_, hash)| hash.is_some());
    if unknown.is_empty() {
        let entries = known
            .into_iter()
            .filter_map(|(author, order)| Some(BookEntry { author, order: order? }))
            .collect();
        Ok(Book { entries })
    } else {
        Err(unknown.into_iter().map(|(author, _)| author).collect())
    }
}

/// Whether a proposal's book is the one its acks make.
pub(super) fn follows(
    proposal: &Proposal,
    interval: Interval,
    (charter, roster): (&Charter, &Roster),
    known: &BTreeMap<RosterIndex, Verified<Ack>>,
) -> bool {
    let mut acks: Vec<Verified<Ack>> = Vec::with_capacity(proposal.acks.len());
    for bytes in &proposal.acks {
        // An ack that was heard before needs no second look at its signature.
        let heard = known.values().find(|ack| ack.bytes().as_ref() == bytes.as_slice()).cloned();
        let verified = heard
            .map_or_else(|| Signed::<Ack>::decode(bytes.as_slice())?.verify(charter, roster), Ok);
        match verified {
            Ok(ack) if ack.interval() == interval => acks.push(ack),
            Ok(_) | Err(_) => return false,
        }
    }
    let authors: Vec<RosterIndex> =
        proposal.book.entries.iter().map(|entry| entry.author).collect();
    acks.is_sorted_by(|a, b| a.author() < b.author())
        && acks.len() == roster.quorum()
        && included(roster, acks.iter()) == authors
}
