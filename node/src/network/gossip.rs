//! Gossip: what is heard is screened, judged by the market and only then passed on; what is said is
//! said again until somebody listens. Not for: the checks themselves, which are in
//! [`super::screening`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use boltgrid_market::effect::Verdict;
use boltgrid_protocol::envelope::Header;
use boltgrid_protocol::id::GridId;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Timestamp;
use libp2p::PeerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError, TopicHash};
use tokio::time::Instant;

use super::behaviour::gossip_topic;
use super::event_loop::Network;
use super::handle::NetworkEvent;
use super::refused::Refused;
use super::status::place;

/// Messages waiting for the market's judgement: two intervals' votes of a large grid.
const UNJUDGED_MAX: usize = 4096;
/// How long the market may take. Gossipsub keeps a message a little longer.
const JUDGED_WITHIN: Duration = Duration::from_secs(6);
/// Own messages waiting for somebody to listen: an interval's worth, and some.
const UNSENT_MAX: usize = 256;
/// A message is tried for at least this long, even if its interval is nearly over.
const TRIED_FOR_MS: u64 = 5_000;

/// A message that the market looks at.
#[derive(Debug)]
struct Unjudged {
    id: MessageId,
    source: PeerId,
    topic: Topic,
    heard_at: Instant,
}

/// An own message to which nobody listens yet.
#[derive(Debug)]
struct Unsent {
    topic: Topic,
    bytes: Arc<[u8]>,
    until: Timestamp,
}

/// Messages on their way in and out.
#[derive(Debug)]
pub(super) struct Gossiping {
    topics: BTreeMap<TopicHash, Topic>,
    unjudged: BTreeMap<u64, Unjudged>,
    next_token: u64,
    unsent: VecDeque<Unsent>,
}

impl Gossiping {
    pub(super) fn new(grid: &GridId) -> Self {
        let topics = Topic::ALL.map(|topic| (gossip_topic(topic, grid).hash(), topic));
        Self {
            topics: topics.into(),
            unjudged: BTreeMap::new(),
            next_token: 0,
            unsent: VecDeque::new(),
        }
    }

    fn remember(&mut self, unjudged: Unjudged) -> u64 {
        let token = self.next_token;
        self.next_token = token.wrapping_add(1);
        self.unjudged.insert(token, unjudged);
        token
    }
}

impl Network {
    /// Takes a gossiped message, or tells gossipsub right away why not.
    pub(super) fn hear(&mut self, source: PeerId, id: MessageId, message: &gossipsub::Message) {
        // Gossipsub hands us our own topics only.
        let Some(topic) = self.gossiping.topics.get(&message.topic).copied() else { return };
        let unjudged = Unjudged { id: id.clone(), source, topic, heard_at: Instant::now() };
        match self.offer(unjudged, &message.data) {
            Ok(()) => self.tally.heard = self.tally.heard.saturating_add(1),
            Err(refused) => {
                // Gossip first, since a ban may follow from its part of the score.
                self.report_judgement(&id, &source, refused.acceptance());
                self.refuse(place(topic), source, refused);
            }
        }
    }

    fn offer(&mut self, unjudged: Unjudged, bytes: &[u8]) -> Result<(), Refused> {
        if self.gossiping.unjudged.len() >= UNJUDGED_MAX {
            return Err(Refused::Overloaded);
        }
        let seat = self.events.try_reserve().map_err(|_| Refused::Overloaded)?;
        let now = (self.clock)();
        let message = self.screening.gossiped(unjudged.topic, &unjudged.id, bytes, now)?;
        let token = self.gossiping.remember(unjudged);
        seat.send(NetworkEvent::Heard { message: Box::new(message), token: Some(token) });
        Ok(())
    }

    /// Passes a message on, or not, as the market says.
    pub(super) fn judge(&mut self, token: u64, verdict: Verdict) {
        let Some(Unjudged { id, source, topic, .. }) = self.gossiping.unjudged.remove(&token)
        else {
            return;
        };
        match verdict {
            Verdict::Accept => self.report_judgement(&id, &source, MessageAcceptance::Accept),
            Verdict::Ignore => self.report_judgement(&id, &source, MessageAcceptance::Ignore),
            Verdict::Reject => {
                self.report_judgement(&id, &source, MessageAcceptance::Reject);
                self.refuse(place(topic), source, Refused::Condemned);
            }
        }
    }

    /// Gives up messages that the market did not judge.
    pub(super) fn drop_unjudged(&mut self, now: Instant) {
        let late = |unjudged: &Unjudged| now.duration_since(unjudged.heard_at) > JUDGED_WITHIN;
        // Tokens are given in the order of hearing.
        while let Some(entry) = self.gossiping.unjudged.first_entry() {
            if !late(entry.get()) {
                break;
            }
            let Unjudged { id, source, topic, .. } = entry.remove();
            self.refuse(place(topic), source, Refused::Unjudged);
            self.report_judgement(&id, &source, Refused::Unjudged.acceptance());
        }
    }

    fn report_judgement(&mut self, id: &MessageId, source: &PeerId, judgement: MessageAcceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(id, source, judgement) {
            tracing::debug!(%id, "judged too late to be passed on");
        }
    }

    /// Publishes an own message, now or as soon as somebody listens.
    pub(super) fn publish(&mut self, topic: Topic, bytes: Arc<[u8]>) {
        let now = (self.clock)();
        let over = Header::peek(&bytes)
            .map_or(now, |header| self.charter.interval.start_of(header.interval.next()));
        let until = over.max(now.plus_ms(TRIED_FOR_MS));
        self.try_publish(Unsent { topic, bytes, until }, now);
    }

    /// Tries again what nobody listened to.
    pub(super) fn publish_unsent(&mut self, now: Timestamp) {
        for unsent in std::mem::take(&mut self.gossiping.unsent) {
            self.try_publish(unsent, now);
        }
    }

    fn try_publish(&mut self, unsent: Unsent, now: Timestamp) {
        let topic = gossip_topic(unsent.topic, &self.grid);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        match gossip.publish(topic, unsent.bytes.to_vec()) {
            Ok(_) => self.tally.published = self.tally.published.saturating_add(1),
            // It is out already: others pass it on, or it was sent before a restart.
            Err(PublishError::Duplicate) => {}
            Err(PublishError::NoPeersSubscribedToTopic)
                if now < unsent.until && self.gossiping.unsent.len() < UNSENT_MAX =>
            {
                self.gossiping.unsent.push_back(unsent);
            }
            Err(error) => {
                self.tally.unsent = self.tally.unsent.saturating_add(1);
                tracing::warn!(topic = place(unsent.topic), %error, "an own message was not sent");
            }
        }
    }
}
