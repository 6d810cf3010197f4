//! Every message of a run once: its bytes, and what the gatekeeper says of them.
//!
//! All nodes share charter and rosters, so a message is verified once for all of them. What depends on
//! a node's clock, the window of P9, is checked for each node. Not for: judging what a message means.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::Header;
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::message::{Gatekeeper, INTERVALS_AHEAD, INTERVALS_BACK, Message};
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Interval, Timestamp};

/// A message's place in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MessageId(u32);

impl MessageId {
    pub(super) fn as_usize(self) -> usize {
        usize::try_from(self.0).expect("it is an index")
    }
}

/// All messages of a run.
#[derive(Debug)]
pub(super) struct Admission {
    charter: Arc<Charter>,
    rosters: Rosters,
    gatekeeper: Gatekeeper,
    ids: BTreeMap<Arc<[u8]>, MessageId>,
    /// `None` for what no honest node would let in.
    known: Vec<Option<Message>>,
}

impl Admission {
    pub(super) fn new(charter: Arc<Charter>, rosters: Rosters) -> Self {
        let gatekeeper = Gatekeeper::new(Arc::clone(&charter), rosters.clone());
        Self { charter, rosters, gatekeeper, ids: BTreeMap::new(), known: Vec::new() }
    }

    /// The message's place, and whether it is new.
    pub(super) fn note(&mut self, bytes: &Arc<[u8]>) -> (MessageId, bool) {
        if let Some(id) = self.ids.get(bytes) {
            return (*id, false);
        }
        let id = MessageId(u32::try_from(self.known.len()).expect("a run is short"));
        self.ids.insert(Arc::clone(bytes), id);
        let message = self.verify(bytes);
        self.known.push(message);
        (id, true)
    }

    /// At a moment when its interval is current, so that only the bytes decide.
    fn verify(&mut self, bytes: &Arc<[u8]>) -> Option<Message> {
        let header = Header::peek(bytes).ok()?;
        let timely = self.charter.interval.start_of(header.interval);
        self.gatekeeper.admit(Arc::clone(bytes), timely).ok()
    }

    /// The message, if it is one, whatever the time.
    pub(super) fn message(&self, id: MessageId) -> Option<&Message> {
        self.known[id.as_usize()].as_ref()
    }

    /// The message, if a node whose clock shows `now` lets it in (P9).
    pub(super) fn admit(&self, id: MessageId, now: Timestamp) -> Option<&Message> {
        let message = self.message(id)?;
        let current = self.charter.interval.interval_at(now);
        let interval = Parts::of(message).interval;
        let counts = !message.kind().is_bound()
            || (interval >= current.minus(INTERVALS_BACK)
                && interval <= current.plus(INTERVALS_AHEAD));
        counts.then_some(message)
    }

    /// Whether a message may travel on a topic (P24).
    pub(super) fn belongs(&self, message: &Message, topic: Topic) -> bool {
        let kind = message.kind();
        let may = Topic::of(kind) == Some(topic) && self.charter.readings.lets_gossip(kind);
        let Message::Reading(reading) = message else { return may };
        let roster = self.rosters.clone().at(reading.interval());
        may && self.charter.readings.opens(reading.author(), (&self.charter, &roster))
    }
}

/// What every message has.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) participant: ParticipantId,
    pub(super) interval: Interval,
    pub(super) hash: MessageHash,
    pub(super) bytes: Arc<[u8]>,
}

impl Parts {
    pub(super) fn of(message: &Message) -> Self {
        macro_rules! parts {
            ($it:expr) => {
                Self {
                    participant: $it.participant(),
                    interval: $it.interval(),
                    hash: $it.hash(),
                    bytes: Arc::clone($it.bytes()),
                }
            };
        }
        match message {
            Message::Order(it) => parts!(it),
            Message::Ack(it) => parts!(it),
            Message::Proposal(it) => parts!(it),
            Message::Vote(it) => parts!(it),
            Message::Confirm(it) => parts!(it),
            Message::Reading(it) => parts!(it),
            Message::Evidence(it) => parts!(it),
            Message::PeerRecord(it) => parts!(it),
            Message::Offer(it) => parts!(it),
            Message::Acceptance(it) => parts!(it),
            Message::Reply(it) => parts!(it),
            Message::Invoice(it) => parts!(it),
            Message::Deed(it) => parts!(it),
            Message::Seal(it) => parts!(it),
            Message::Share(it) => parts!(it),
        }
    }
}
