//! What a rogue keeps of each interval: what it heard and can make use of, and what it has done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid_protocol::agreement::{Ack, Stage};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{BookHash, MessageHash, RosterIndex};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Interval;

/// Intervals that are remembered.
const INTERVALS_KEPT: usize = 8;
/// Different orders of one member that are told apart.
const ORDERS_KEPT: usize = 4;
/// Books of one interval that are remembered.
const BOOKS_KEPT: usize = 8;
/// Messages of one interval that are kept word for word, to be said again.
const WORDS_KEPT: usize = 64;

/// A message word for word, and where it was gossiped; nowhere for a confirm.
pub(super) type Words = (Option<Topic>, Arc<[u8]>);

/// One interval.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The first ack of each voter.
    pub(super) acks: BTreeMap<RosterIndex, Verified<Ack>>,
    /// The different orders of each member, the first heard first.
    pub(super) orders: BTreeMap<RosterIndex, Vec<MessageHash>>,
    /// Books that were proposed or voted for.
    pub(super) books: Vec<BookHash>,
    /// What was said, to be said again.
    pub(super) words: Vec<Words>,
    /// An order of ours that contradicts the one we placed.
    pub(super) other_order: Option<Verified<Order>>,
    /// More of them, of a spammer.
    pub(super) spam_orders: Vec<Arc<[u8]>>,
    /// Stages of views in which we voted our own way.
    pub(super) voted: BTreeSet<(u32, Stage)>,
}

/// The latest intervals; each is bounded by the constants above, the roster and the charter's views.
#[derive(Debug, Default)]
pub(super) struct Memory {
    intervals: BTreeMap<Interval, Kept>,
}

impl Memory {
    /// An interval, remembered from now on if it was not; the oldest is forgotten for it.
    pub(super) fn at(&mut self, interval: Interval) -> &mut Kept {
        let known = self.intervals.contains_key(&interval);
        if !known && self.intervals.len() >= INTERVALS_KEPT {
            self.intervals.pop_first();
        }
        self.intervals.entry(interval).or_default()
    }

    /// An interval, if it is remembered.
    pub(super) fn get(&self, interval: Interval) -> Option<&Kept> {
        self.intervals.get(&interval)
    }

    /// What was said in all intervals before this one.
    pub(super) fn words_before(&self, interval: Interval) -> impl Iterator<Item = &Words> {
        self.intervals.range(..interval).flat_map(|(_, kept)| &kept.words)
    }

    /// Remembers a message that was heard.
    pub(super) fn note(&mut self, message: &Message, roster: &Roster) {
        match message {
            Message::Order(it) => {
                let kept = self.at(it.interval());
                kept.keep_words(Some(Topic::Orders), it.bytes());
                let hashes = kept.orders.entry(it.author()).or_default();
                if hashes.len() < ORDERS_KEPT && !hashes.contains(&it.hash()) {
                    hashes.push(it.hash());
                }
            }
            Message::Ack(it) => {
                let kept = self.at(it.interval());
                kept.keep_words(Some(Topic::Acks), it.bytes());
                kept.acks.entry(it.author()).or_insert_with(|| it.clone());
            }
            Message::Proposal(it) => {
                let kept = self.at(it.interval());
                kept.keep_words(Some(Topic::Votes), it.bytes());
                kept.add_book(it.body().book.hash(roster, it.interval()));
            }
            Message::Vote(it) => {
                let kept = self.at(it.interval());
                kept.keep_words(Some(Topic::Votes), it.bytes());
                it.body().book.into_iter().for_each(|book| kept.add_book(book));
            }
            Message::Confirm(it) => self.at(it.interval()).keep_words(None, it.bytes()),
            Message::Reading(it) => {
                self.at(it.interval()).keep_words(Some(Topic::Readings), it.bytes());
            }
            Message::Share(it) => {
                self.at(it.interval()).keep_words(Some(Topic::Readings), it.bytes());
            }
            Message::Seal(it) => {
                self.at(it.interval()).keep_words(Some(Topic::Readings), it.bytes());
            }
            Message::Evidence(it) => {
                self.at(it.interval()).keep_words(Some(Topic::Evidence), it.bytes());
            }
            Message::PeerRecord(_)
            | Message::Offer(_)
            | Message::Acceptance(_)
            | Message::Reply(_)
            | Message::Invoice(_)
            | Message::Deed(_) => {}
        }
    }
}

impl Kept {
    /// Remembers a book, if it is new and there is room.
    pub(super) fn add_book(&mut self, book: BookHash) {
        if self.books.len() < BOOKS_KEPT && !self.books.contains(&book) {
            self.books.push(book);
        }
    }

    fn keep_words(&mut self, topic: Option<Topic>, bytes: &Arc<[u8]>) {
        // A few of every kind are worth more than many orders.
        let same = self.words.iter().filter(|(of, _)| *of == topic).count();
        if same < WORDS_KEPT.div_euclid(Topic::ALL.len() + 1) {
            self.words.push((topic, Arc::clone(bytes)));
        }
    }
}
