//! What is on its way, and all messages of a trial, each verified once for all nodes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::units::{Interval, Timestamp};

use super::super::founding::Founding;

/// A message's place among all messages of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// Something that is to happen to a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Wake { node: usize },
    Place { node: usize },
    Beat { node: usize },
    Arrive { node: usize, place: Place, gossiped: bool },
    AskedForOrders { node: usize, by: usize, authors: usize },
    AskedForCertificate { node: usize, by: usize },
    Answered { node: usize, certificate: usize },
}

/// Not on its way, and never heard.
const NEVER: u64 = u64::MAX;

pub(super) struct Post {
    gatekeeper: Gatekeeper,
    admitted_at: Timestamp,
    places: HashMap<Arc<[u8]>, Place>,
    /// `None` for what no honest node lets in.
    messages: Vec<Option<Message>>,
    /// By node and message: when its first copy comes or came; heard once it was handed over.
    coming: Vec<Vec<u64>>,
    heard: Vec<Vec<bool>>,
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    events: Vec<Event>,
    asks: Vec<Vec<RosterIndex>>,
    certificates: Vec<Arc<[u8]>>,
}

impl Post {
    pub(super) fn new(founding: &Founding, nodes: usize, interval: Interval, now_ms: u64) -> Self {
        let rosters = founding.rosters.clone();
        let mut gatekeeper = Gatekeeper::new(Arc::clone(&founding.charter), rosters);
        gatekeeper.roster(interval);
        Self {
            gatekeeper,
            admitted_at: Timestamp::from_unix_ms(now_ms),
            places: HashMap::new(),
            messages: Vec::new(),
            coming: vec![Vec::new(); nodes],
            heard: vec![Vec::new(); nodes],
            queue: BinaryHeap::new(),
            events: Vec::new(),
            asks: Vec::new(),
            certificates: Vec::new(),
        }
    }

    pub(super) fn at(&mut self, at_ms: u64, event: Event) {
        self.queue.push(Reverse((at_ms, self.events.len())));
        self.events.push(event);
    }

    /// The next event and its time; of those at one time the first that was planned.
    pub(super) fn next(&mut self) -> Option<(u64, Event)> {
        let Reverse((at_ms, event)) = self.queue.pop()?;
        Some((at_ms, self.events[event]))
    }

    /// The place of a message.
    pub(super) fn note(&mut self, bytes: &Arc<[u8]>) -> Place {
        if let Some(place) = self.places.get(bytes) {
            return *place;
        }
        let place = Place(self.messages.len());
        self.places.insert(Arc::clone(bytes), place);
        self.messages.push(self.gatekeeper.admit(Arc::clone(bytes), self.admitted_at).ok());
        self.coming.iter_mut().for_each(|coming| coming.push(NEVER));
        self.heard.iter_mut().for_each(|heard| heard.push(false));
        place
    }

    pub(super) fn message(&self, place: Place) -> Option<&Message> {
        self.messages[place.0].as_ref()
    }

    /// Whether a node hears this gossip for the first time; it has from now on.
    pub(super) fn is_first(&mut self, node: usize, place: Place) -> bool {
        self.coming[node][place.0] = 0;
        !std::mem::replace(&mut self.heard[node][place.0], true)
    }

    /// Whether no copy comes to a node before `at_ms`.
    pub(super) fn comes_later(&self, node: usize, place: Place, at_ms: u64) -> bool {
        at_ms < self.coming[node][place.0]
    }

    pub(super) fn will_come(&mut self, node: usize, place: Place, at_ms: u64) {
        self.coming[node][place.0] = at_ms;
    }

    /// Keeps a question, and gives its place.
    pub(super) fn ask(&mut self, authors: Vec<RosterIndex>) -> usize {
        self.asks.push(authors);
        self.asks.len() - 1
    }

    pub(super) fn asked(&self, place: usize) -> Vec<RosterIndex> {
        self.asks[place].clone()
    }

    /// Keeps an answer, and gives its place.
    pub(super) fn keep(&mut self, certificate: Arc<[u8]>) -> usize {
        self.certificates.push(certificate);
        self.certificates.len() - 1
    }

    pub(super) fn certificate(&self, place: usize) -> Option<BookCertificate> {
        BookCertificate::from_bytes(&self.certificates[place]).ok()
    }
}
