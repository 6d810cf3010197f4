//! A peer that speaks the grid's protocols and does with them whatever a test wants.

use boltgrid::network::behaviour::{Behaviour, BehaviourEvent, Openness, gossip_topic, swarm};
use boltgrid::network::identity::identity_of;
use boltgrid_protocol::direct::{Request, Response};
use boltgrid_protocol::id::GridId;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, gossipsub, kad, request_response};
use tokio::time::timeout;

use crate::world::{DEADLINE, LOOK, soon};

/// A swarm that nobody steers, and what it heard.
pub(crate) struct Raw {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) heard: Vec<Vec<u8>>,
    responses: Vec<Response>,
    found: Vec<kad::Record>,
    grid: GridId,
}

impl Raw {
    pub(crate) fn new(key: &Keypair, grid: GridId) -> Self {
        let openness = Openness { connections_max: 8, mdns: false, hides_listen: false };
        let (swarm, _) = swarm(&identity_of(key), &grid, openness).unwrap();
        Self { swarm, heard: Vec::new(), responses: Vec::new(), found: Vec::new(), grid }
    }

    /// A peer that dials a node and waits until gossip flows on all topics.
    pub(crate) async fn connected(key: &Keypair, grid: GridId, node: &Multiaddr) -> Self {
        let mut raw = Self::new(key, grid);
        raw.swarm.dial(node.clone()).unwrap();
        let subscribed = |raw: &Self| {
            let gossip = &raw.swarm.behaviour().gossip;
            gossip.all_peers().any(|(_, topics)| topics.len() == Topic::ALL.len())
        };
        raw.runs_until("a node's topics are known", subscribed).await;
        raw
    }

    /// Listens, and says where.
    pub(crate) async fn listens(&mut self, on: &str) -> Multiaddr {
        self.swarm.listen_on(on.parse().unwrap()).unwrap();
        let listens = |raw: &Self| raw.swarm.listeners().next().is_some();
        self.runs_until("it listens", listens).await;
        self.swarm.listeners().next().cloned().expect("it listens")
    }

    /// The peer it is connected to.
    pub(crate) fn node(&self) -> PeerId {
        *self.swarm.connected_peers().next().expect("it is connected")
    }

    /// Lets it run for a moment.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most events of libp2p do not matter here")]
    pub(crate) async fn step(&mut self) {
        let Ok(event) = timeout(LOOK, self.swarm.select_next_some()).await else { return };
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                message,
                ..
            })) => self.heard.push(message.data),
            SwarmEvent::Behaviour(BehaviourEvent::Direct(request_response::Event::Message {
                message: request_response::Message::Response { response, .. },
                ..
            })) => self.responses.push(Response::from_bytes(&response).unwrap()),
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))),
                ..
            })) => self.found.push(found.record),
            _ => {}
        }
    }

    /// Lets it run until something is so.
    pub(crate) async fn runs_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        soon(what, async {
            while !is_so(self) {
                self.step().await;
            }
        })
        .await;
    }

    /// Lets it run while waiting for something else.
    pub(crate) async fn runs_while<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = std::pin::pin!(timeout(DEADLINE, waiting));
        loop {
            tokio::select! {
                done = &mut waiting => return done.expect("it happens in time"),
                () = self.step() => {}
            }
        }
    }

    /// Publishes any bytes.
    pub(crate) fn publish(&mut self, topic: Topic, bytes: &[u8]) {
        let topic = gossip_topic(topic, &self.grid);
        self.swarm.behaviour_mut().gossip.publish(topic, bytes).unwrap();
    }

    /// Sends any request and waits for the response.
    pub(crate) async fn asks(&mut self, request: &Request) -> Response {
        let (node, before) = (self.node(), self.responses.len());
        self.swarm.behaviour_mut().direct.send_request(&node, request.to_bytes());
        self.runs_until("a response", |raw| raw.responses.len() > before).await;
        self.responses[before].clone()
    }

    /// Looks a record up.
    pub(crate) async fn finds(&mut self, key: kad::RecordKey) -> kad::Record {
        self.swarm.behaviour_mut().kad.get_record(key.clone());
        let is_it = move |record: &&kad::Record| record.key == key;
        self.runs_until("a record", |raw| raw.found.iter().any(|record| is_it(&record))).await;
        self.found.iter().find(is_it).cloned().expect("it was just there")
    }
}
