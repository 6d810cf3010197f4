//! A rogue's lines to the honest nodes: one swarm for each of them, all under the rogue's identity.
//!
//! Gossip reaches all peers of a swarm and cannot be sent to some of them. Behind one swarm for each
//! node a rogue chooses exactly who hears what first; what an honest node accepts it passes on, as it
//! does with everything. Nobody can call a rogue: it calls, and calls again.
//! Not for: what is said.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;

use boltgrid::network::NetworkError;
use boltgrid::network::behaviour::{
    Behaviour, BehaviourEvent, Openness, gossip_topic, message_id, swarm,
};
use boltgrid::network::identity::{identity_of, peer_of};
use boltgrid_protocol::id::{GridId, ParticipantId};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Timestamp;
use futures::StreamExt;
use libp2p::request_response::{self, OutboundRequestId, ResponseChannel};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, gossipsub};
use tracing::{debug, trace};

/// Connections of one line.
const CONNECTIONS_MAX: u32 = 4;
/// Between two calls to a node that does not answer.
const REDIAL_MS: u64 = 2_000;
/// Messages that are known when another node says them as well; then all are forgotten.
const KNOWN_MAX: usize = 8_192;

/// Something that an honest node said.
#[derive(Debug)]
pub(super) enum Said {
    /// Gossip, for the first time on any line.
    Gossip(Vec<u8>),
    /// A request, and how to respond.
    Request(usize, Vec<u8>, ResponseChannel<Vec<u8>>),
    /// The response to one of ours.
    Response(Asked, Vec<u8>),
}

/// What one of our requests is known by: its line, and its number there.
pub(super) type Asked = (usize, OutboundRequestId);

/// One line.
struct Line {
    to: ParticipantId,
    address: Multiaddr,
    swarm: Swarm<Behaviour>,
    call_at: Timestamp,
}

/// All lines of one rogue.
pub(super) struct Lines {
    grid: GridId,
    lines: Vec<Line>,
    known: BTreeSet<gossipsub::MessageId>,
    /// The line to listen to first, so that none is drowned out.
    turn: usize,
}

impl Lines {
    /// A line to each of these nodes; nobody is called yet.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] where encryption or DNS cannot be set up.
    pub(super) fn open(
        key: &Keypair,
        grid: GridId,
        nodes: &[(ParticipantId, Multiaddr)],
    ) -> Result<Self, NetworkError> {
        let identity = identity_of(key);
        let openness =
            Openness { connections_max: CONNECTIONS_MAX, mdns: false, ..Openness::default() };
        let lines = nodes.iter().map(|(to, address)| {
            let (swarm, _) = swarm(&identity, &grid, openness)?;
            let call_at = Timestamp::default();
            Ok(Line { to: *to, address: address.clone(), swarm, call_at })
        });
        let lines = lines.collect::<Result<_, NetworkError>>()?;
        Ok(Self { grid, lines, known: BTreeSet::new(), turn: 0 })
    }

    /// Calls every node that there is no connection to.
    pub(super) fn call(&mut self, now: Timestamp) {
        for line in &mut self.lines {
            if line.call_at > now || line.swarm.connected_peers().next().is_some() {
                continue;
            }
            line.call_at = now.plus_ms(REDIAL_MS);
            if let Err(error) = line.swarm.dial(line.address.clone()) {
                debug!(address = %line.address, %error, "not called");
            }
        }
    }

    /// How many nodes are connected.
    pub(super) fn connected(&self) -> usize {
        self.lines.iter().filter(|line| line.swarm.connected_peers().next().is_some()).count()
    }

    /// Who is at the other end of a line.
    pub(super) fn other_end(&self, place: usize) -> ParticipantId {
        self.lines[place].to
    }

    /// Everybody there is a line to.
    pub(super) fn ends(&self) -> Vec<ParticipantId> {
        self.lines.iter().map(|line| line.to).collect()
    }

    /// The next thing that anybody says. Nothing is lost where nobody waits for it any longer.
    pub(super) async fn next(&mut self) -> Said {
        loop {
            let count = self.lines.len();
            let turn = self.turn;
            let lines = &mut self.lines;
            let (place, event) = poll_fn(|cx| {
                for place in (0..count).map(|step| (turn + step) % count) {
                    if let Poll::Ready(Some(event)) = lines[place].swarm.poll_next_unpin(cx) {
                        return Poll::Ready((place, event));
                    }
                }
                Poll::Pending
            })
            .await;
            self.turn = (place + 1) % count;
            if let Some(said) = self.take(place, event) {
                return said;
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most events of libp2p do not matter here")]
    fn take(&mut self, place: usize, event: SwarmEvent<BehaviourEvent>) -> Option<Said> {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id: id,
                message,
            })) => {
                // There is nobody on this line to pass it on to.
                let ignore = gossipsub::MessageAcceptance::Ignore;
                let gossip = &mut self.lines[place].swarm.behaviour_mut().gossip;
                if !gossip.report_message_validation_result(&id, &propagation_source, ignore) {
                    trace!("the message was forgotten before it was judged");
                }
                self.is_new(id).then_some(Said::Gossip(message.data))
            }
            SwarmEvent::Behaviour(BehaviourEvent::Direct(request_response::Event::Message {
                message,
                ..
            })) => Some(match message {
                request_response::Message::Request { request, channel, .. } => {
                    Said::Request(place, request, channel)
                }
                request_response::Message::Response { request_id, response } => {
                    Said::Response((place, request_id), response)
                }
            }),
            other => {
                trace!(?other, "rogue's swarm");
                None
            }
        }
    }

    fn is_new(&mut self, id: gossipsub::MessageId) -> bool {
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(id)
    }

    /// Publishes to some nodes, or to all, and says how many of them it went out to.
    pub(super) fn publish(
        &mut self,
        topic: Topic,
        bytes: &[u8],
        to: Option<&[ParticipantId]>,
    ) -> usize {
        let name = gossip_topic(topic, &self.grid);
        // What we said ourselves is nothing new.
        self.known.insert(message_id(&topic.name(&self.grid), bytes));
        let mut reached = 0;
        for line in &mut self.lines {
            if to.is_some_and(|to| !to.contains(&line.to)) {
                continue;
            }
            match line.swarm.behaviour_mut().gossip.publish(name.clone(), bytes.to_vec()) {
                Ok(_) => reached += 1,
                Err(error) => trace!(%error, "not published"),
            }
        }
        reached
    }

    /// Sends a request to a node, if there is a line to it.
    pub(super) fn ask(&mut self, whom: &ParticipantId, request: Vec<u8>) -> Option<Asked> {
        let place = self.lines.iter().position(|line| line.to == *whom)?;
        let peer = peer_of(whom)?;
        let direct = &mut self.lines.get_mut(place)?.swarm.behaviour_mut().direct;
        Some((place, direct.send_request(&peer, request)))
    }

    /// Responds to a request.
    pub(super) fn respond(
        &mut self,
        place: usize,
        channel: ResponseChannel<Vec<u8>>,
        response: Vec<u8>,
    ) {
        let direct = &mut self.lines[place].swarm.behaviour_mut().direct;
        if direct.send_response(channel, response).is_err() {
            debug!("whoever asked is gone");
        }
    }
}
