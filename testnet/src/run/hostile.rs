//! A hostile peer: joins the gossip of a grid under names that nobody enrolled, hears what is said,
//! and says what no honest node would, on every topic and directly.
//!
//! It comes in waves, one an interval, each under a new name, since nodes keep away who breaks the
//! rules too often. Every wave is bounded in number and pace. It counts what it sent under the
//! reason that nodes should have for not taking it.
//! Not for: members that misbehave; they hold keys that this peer lacks.

use std::collections::BTreeMap;
use std::time::Duration;

use boltgrid::network::NetworkError;
use boltgrid::network::behaviour::{Behaviour, BehaviourEvent, Openness, gossip_topic, swarm};
use boltgrid::network::identity::identity_of;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::direct::{Question, Request};
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Interval;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, gossipsub};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::founding::{Role, key};

mod bytes;
mod flood;

pub use flood::{Flood, Poured};

/// Most waves of one peer.
const WAVES_MAX: usize = 64;
/// Between two messages of a wave.
const PACE: Duration = Duration::from_millis(20);
/// Messages of each topic that are kept to be sent again.
const HEARD_MAX: usize = 256;
/// Connections that it may have: to all nodes of a large testnet.
const CONNECTIONS_MAX: u32 = 256;
/// The part of an interval for which a wave listens before it speaks, in percent.
const LISTEN_PERCENT: u64 = 60;
/// The part of an interval for which a wave stays after it spoke, in percent.
const LINGER_PERCENT: u64 = 10;

/// How many messages were sent on a topic or protocol that nodes must reject for a reason.
pub type Sent = BTreeMap<(&'static str, &'static str), u64>;

/// A hostile peer and whom it attacks.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// The grid's charter.
    pub charter: Charter,
    /// Where the nodes are.
    pub nodes: Vec<Multiaddr>,
    /// What its names follow from.
    pub seed: u64,
}

/// What was heard on each topic, the oldest first.
type Heard = BTreeMap<Topic, Vec<Vec<u8>>>;

/// One appearance under one name.
struct Wave<'a> {
    hostile: &'a Hostile,
    number: usize,
    swarm: Swarm<Behaviour>,
}

impl Hostile {
    /// Attacks in waves until it is stopped, and returns what it sent that must have been rejected.
    pub async fn run(self, stop: CancellationToken) -> Sent {
        let mut sent = Sent::new();
        let mut heard = Heard::new();
        for number in 0..WAVES_MAX {
            let wave = match Wave::new(&self, number) {
                Ok(wave) => wave,
                Err(error) => {
                    warn!(%error, "the hostile peer cannot come");
                    break;
                }
            };
            if stop.run_until_cancelled(wave.roll(&mut heard, &mut sent)).await.is_none() {
                break;
            }
        }
        sent
    }
}

impl<'a> Wave<'a> {
    fn new(hostile: &'a Hostile, number: usize) -> Result<Self, NetworkError> {
        let identity = identity_of(&key(hostile.seed, Role::Stranger, number));
        let openness =
            Openness { connections_max: CONNECTIONS_MAX, mdns: false, hides_listen: false };
        let (mut swarm, _) = swarm(&identity, &hostile.charter.grid_id(), openness)?;
        for node in &hostile.nodes {
            if let Err(error) = swarm.dial(node.clone()) {
                debug!(%node, %error, "not dialled");
            }
        }
        Ok(Self { hostile, number, swarm })
    }

    async fn roll(mut self, heard: &mut Heard, sent: &mut Sent) {
        self.listen(self.part(LISTEN_PERCENT), heard).await;
        let now = boltgrid::clock::now();
        let interval = self.hostile.charter.interval.interval_at(now);
        for topic in Topic::ALL {
            for (reason, bytes) in self.forgeries(topic, interval, heard) {
                if self.publish(topic, bytes) && !reason.is_empty() {
                    count(sent, topic.word(), reason);
                }
                self.listen(PACE, heard).await;
            }
        }
        self.ask(interval, sent);
        self.listen(self.part(LINGER_PERCENT), heard).await;
    }

    fn part(&self, percent: u64) -> Duration {
        Duration::from_millis(self.hostile.charter.interval.interval_ms * percent / 100)
    }

    /// Takes part for a while, and keeps what is said.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most events of libp2p do not matter here")]
    async fn listen(&mut self, time: Duration, heard: &mut Heard) {
        let until = Instant::now() + time;
        while let Ok(event) = timeout_at(until, self.swarm.select_next_some()).await {
            match event {
                SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                    propagation_source,
                    message_id,
                    message,
                })) => {
                    let grid = self.hostile.charter.grid_id();
                    let topic = Topic::ALL
                        .into_iter()
                        .find(|topic| gossip_topic(*topic, &grid).hash() == message.topic);
                    if let Some(topic) = topic {
                        keep(heard.entry(topic).or_default(), message.data);
                    }
                    self.pass_on(&message_id, &propagation_source);
                }
                other => tracing::trace!(?other, "hostile swarm"),
            }
        }
    }

    /// Passes honest messages on, to be taken for one of them.
    fn pass_on(&mut self, message: &gossipsub::MessageId, from: &PeerId) {
        let accept = gossipsub::MessageAcceptance::Accept;
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(message, from, accept) {
            tracing::trace!("the message was forgotten before it was passed on");
        }
    }

    /// What to say on a topic, each with the reason for which it must be rejected; no reason where
    /// gossip itself drops it without a word, since it was said before.
    fn forgeries(
        &self,
        topic: Topic,
        interval: Interval,
        heard: &Heard,
    ) -> Vec<(&'static str, Vec<u8>)> {
        let seed = self.hostile.seed;
        let salt = u8::try_from(self.number).unwrap_or(u8::MAX);
        let said = heard.get(&topic).map_or(&[][..], Vec::as_slice);
        let valid = said.last().cloned().or_else(|| {
            // Nobody proves anything on an honest grid.
            let example = heard.values().flatten().next()?;
            (topic == Topic::Evidence).then(|| bytes::evidence(example)).flatten()
        });
        let mut forgeries = vec![("malformed", bytes::junk(topic, salt))];
        let Some(valid) = valid else { return forgeries };
        let stranger = key(seed, Role::Stranger, self.number).participant_id();
        let other = heard.iter().find(|(other, said)| **other != topic && !said.is_empty());
        forgeries.extend(bytes::forgeries(topic, &valid, interval, stranger, salt));
        // What others said on another topic, if this one would take something as long.
        forgeries.extend(other.and_then(|(_, said)| {
            let message = said.iter().rev().find(|it| it.len() <= bytes::limit(topic))?;
            Some(("wrong_kind", message.clone()))
        }));
        // What an earlier wave heard, as it was.
        forgeries.extend(said.first().filter(|_| self.number > 0).map(|old| ("", old.clone())));
        forgeries
    }

    /// Whether it went out to anybody.
    fn publish(&mut self, topic: Topic, bytes: Vec<u8>) -> bool {
        let topic = gossip_topic(topic, &self.hostile.charter.grid_id());
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) => true,
            Err(error) => {
                debug!(%error, "not published");
                false
            }
        }
    }

    /// Asks every node what only members are told, confirms what was never traded, and says nothing
    /// that could be understood.
    fn ask(&mut self, interval: Interval, sent: &mut Sent) {
        let question = Request::Ask(Question::Certificate { interval });
        let confirm = Request::Message(vec![0; 64]);
        let requests = [question.to_bytes(), confirm.to_bytes(), vec![7; 64], vec![7; 4096]];
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            for request in requests.clone() {
                self.swarm.behaviour_mut().direct.send_request(&peer, request);
                count(sent, "direct", "stranger");
            }
        }
    }
}

/// Keeps the oldest messages and the latest one.
fn keep(heard: &mut Vec<Vec<u8>>, message: Vec<u8>) {
    heard.truncate(HEARD_MAX - 1);
    heard.push(message);
}

fn count(sent: &mut Sent, place: &'static str, reason: &'static str) {
    let count = sent.entry((place, reason)).or_default();
    *count = count.saturating_add(1);
}
