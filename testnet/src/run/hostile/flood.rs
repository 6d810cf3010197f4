//! A flood: so many messages a second from one hostile peer, valid and invalid, on all topics and
//! directly.
//!
//! The peer is a stranger that comes back under a new name as soon as it was sent away, or plays a
//! member with that member's key. A message that is published goes to every node that the peer is
//! connected to, and counts once for each. Of every four messages, one is junk, one is an honest
//! message with a broken signature, which is what costs most to refuse, one is what somebody honest
//! said, byte by byte, and one is signed by the flooder, which is valid if it plays a member.
//! Not for: what honest nodes make of it; that is judged in [`super::super::deluge`].

use std::time::Duration;

use boltgrid::network::NetworkError;
use boltgrid::network::behaviour::{Behaviour, BehaviourEvent, Openness, gossip_topic, swarm};
use boltgrid::network::identity::identity_of;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::codec;
use boltgrid_protocol::direct::{Question, Request};
use boltgrid_protocol::envelope::{Header, Kind};
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Energy;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, gossipsub};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::super::founding::{Role, key};
use super::CONNECTIONS_MAX;

/// Between two pours.
const TICK: Duration = Duration::from_millis(10);
/// Pours per second.
const TICKS_PER_S: u32 = 100;
/// Whoever was sent away makes up for it when let in again, at so many times its pace at most.
const CATCH_UP: u64 = 4;
/// Of so many messages one is a direct request.
const DIRECT_EVERY: u64 = 50;
/// Honest messages that are kept, to be sent again and to be forged.
const HEARD_MAX: usize = 512;
/// Between two looks whether a member is let in again.
const RETRY: Duration = Duration::from_millis(500);
/// How long a name tries to get in.
const ENTRY_TIME: Duration = Duration::from_secs(2);

/// A flooding peer and whom it floods.
#[derive(Clone, Debug)]
pub struct Flood {
    /// The grid's charter.
    pub charter: Charter,
    /// Where the nodes are.
    pub nodes: Vec<Multiaddr>,
    /// What its names follow from.
    pub seed: u64,
    /// The member whose key it has, counted from 0 in the order of the sites; none for a stranger.
    pub member: Option<usize>,
    /// How many messages it sends.
    pub messages_per_s: u32,
    /// For how long.
    pub for_ms: u64,
}

/// What a flood came to, at its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poured {
    /// Messages that it meant to send, one for every node.
    pub meant: u64,
    /// Messages that went out.
    pub sent: u64,
    /// Messages for which connections had no room, since nodes read no faster, or which gossip would
    /// not say twice under one name.
    pub held_back: u64,
    /// Names under which it was let in.
    pub names: u64,
}

/// One appearance under one name.
struct Name<'a> {
    flood: &'a Flood,
    key: &'a Keypair,
    swarm: Swarm<Behaviour>,
    /// When the flood began, under its first name.
    began: Instant,
}

impl Flood {
    /// Floods until the time is over or it is stopped.
    pub async fn run(self, stop: CancellationToken) -> Poured {
        let mut poured = Poured::default();
        let mut heard = Vec::new();
        let began = Instant::now();
        let until = began + Duration::from_millis(self.for_ms);
        let pour = async {
            for number in 0.. {
                // Other names than those of the peer that forges.
                let number = number + super::WAVES_MAX;
                let key = match self.member {
                    Some(member) => key(self.seed, Role::Participant, member),
                    None => key(self.seed, Role::Stranger, number),
                };
                match Name::new(&self, &key, began) {
                    Ok(name) => name.pour(&mut heard, &mut poured).await,
                    Err(error) => {
                        warn!(%error, "the flood cannot begin");
                        break;
                    }
                }
                if self.member.is_some() {
                    sleep(RETRY).await;
                }
            }
        };
        tokio::select! {
            () = pour => {}
            () = tokio::time::sleep_until(until) => {}
            () = stop.cancelled() => {}
        }
        poured
    }
}

impl<'a> Name<'a> {
    fn new(flood: &'a Flood, key: &'a Keypair, began: Instant) -> Result<Self, NetworkError> {
        let openness =
            Openness { connections_max: CONNECTIONS_MAX, mdns: false, hides_listen: false };
        let (mut swarm, _) = swarm(&identity_of(key), &flood.charter.grid_id(), openness)?;
        for node in &flood.nodes {
            if let Err(error) = swarm.dial(node.clone()) {
                debug!(%node, %error, "not dialled");
            }
        }
        Ok(Self { flood, key, swarm, began })
    }

    /// Pours until it is sent away by all.
    async fn pour(mut self, heard: &mut Vec<Vec<u8>>, poured: &mut Poured) {
        let entry = Instant::now() + ENTRY_TIME;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_in = false;
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.hear(event, heard),
                _ = tick.tick() => {
                    let listeners = self.listeners();
                    if listeners.is_empty() {
                        if was_in || Instant::now() > entry {
                            return;
                        }
                        continue;
                    }
                    if !was_in {
                        was_in = true;
                        poured.names += 1;
                    }
                    self.pour_once(&listeners, heard, poured);
                }
            }
        }
    }

    /// Nodes that would hear what is published.
    fn listeners(&self) -> Vec<PeerId> {
        let peers = self.swarm.behaviour().gossip.all_peers();
        peers.filter(|(_, topics)| !topics.is_empty()).map(|(peer, _)| *peer).collect()
    }

    fn pour_once(&mut self, listeners: &[PeerId], heard: &[Vec<u8>], poured: &mut Poured) {
        let each = u64::try_from(listeners.len()).unwrap_or(1);
        let pace = u64::from(self.flood.messages_per_s);
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = pace.saturating_mul(passed).div_ceil(1000).saturating_sub(poured.meant);
        let most = pace.div_ceil(TICKS_PER_S.into()) * CATCH_UP;
        for _ in 0..due.min(most).div_ceil(each) {
            let number = poured.meant;
            poured.meant += each;
            if (number / each).is_multiple_of(DIRECT_EVERY) {
                self.ask(listeners);
                poured.sent += each;
                continue;
            }
            let (topic, bytes) = self.message(number / each, heard);
            let topic = gossip_topic(topic, &self.flood.charter.grid_id());
            match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
                Ok(_) => poured.sent += each,
                Err(_) => poured.held_back += each,
            }
        }
    }

    /// The next message and where it goes.
    fn message(&self, number: u64, heard: &[Vec<u8>]) -> (Topic, Vec<u8>) {
        let topics = Topic::ALL.len();
        let place = usize::try_from(number / 4).unwrap_or(0);
        let topic = Topic::ALL[place % topics];
        let known = heard.get(place % heard.len().max(1));
        match (number % 4, known) {
            (1, Some(known)) => (topic_of(known, topic), forged(known, number)),
            (2, Some(known)) => (topic_of(known, topic), known.clone()),
            (3, Some(known)) => (Topic::Orders, self.order(known, number)),
            _ => (topic, junk(number)),
        }
    }

    /// An order that nobody saw before, signed by this name.
    fn order(&self, known: &[u8], number: u64) -> Vec<u8> {
        let Ok(header) = Header::peek(known) else { return junk(number) };
        let author = self.key.participant_id();
        let header = Header { kind: Kind::Order, author, ..header };
        let order = Order {
            steps: vec![Step {
                side: Side::Buy,
                source: Source::Load,
                energy_mwh: Energy::from_milliwatt_hours(1 + number % 1000),
                limit_msat_per_kwh: self.flood.charter.price.floor_msat_per_kwh,
            }],
            channel_partners: Vec::new(),
            preferences: Vec::new(),
            ..Order::default()
        };
        let mut bytes = codec::canonical(&(header, order));
        let signature = self.key.sign(&bytes);
        bytes.extend_from_slice(&signature.to_bytes());
        bytes
    }

    fn ask(&mut self, listeners: &[PeerId]) {
        let now = boltgrid::clock::now();
        let interval = self.flood.charter.interval.interval_at(now);
        let request = Request::Ask(Question::Certificate { interval }).to_bytes();
        for peer in listeners {
            self.swarm.behaviour_mut().direct.send_request(peer, request.clone());
        }
    }

    /// Keeps what is said, and passes it on like anybody.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most events of libp2p do not matter here")]
    fn hear(&mut self, event: SwarmEvent<BehaviourEvent>, heard: &mut Vec<Vec<u8>>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => {
                let gossip = &mut self.swarm.behaviour_mut().gossip;
                let accept = gossipsub::MessageAcceptance::Accept;
                if !gossip.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    accept,
                ) {
                    tracing::trace!("forgotten before it was passed on");
                }
                if heard.len() >= HEARD_MAX {
                    heard.remove(0);
                }
                heard.push(message.data);
            }
            other => tracing::trace!(?other, "flooding swarm"),
        }
    }
}

/// Bytes that are no message, and different every time.
fn junk(number: u64) -> Vec<u8> {
    [b"junk ".as_slice(), &number.to_be_bytes()].concat()
}

/// An honest message with another signature.
fn forged(known: &[u8], number: u64) -> Vec<u8> {
    let mut bytes = known.to_vec();
    let tail = bytes.len().saturating_sub(8);
    for (byte, other) in bytes[tail..].iter_mut().zip(number.to_be_bytes()) {
        *byte ^= other | 1;
    }
    bytes
}

fn topic_of(message: &[u8], otherwise: Topic) -> Topic {
    let header = Header::peek(message).ok();
    header.and_then(|header| Topic::of(header.kind)).unwrap_or(otherwise)
}
