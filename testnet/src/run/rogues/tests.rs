//! A rogue's lines against real listeners.

use std::time::Duration;

use boltgrid::clock;
use boltgrid::network::behaviour::{Behaviour, BehaviourEvent, Openness, swarm};
use boltgrid::network::identity::identity_of;
use boltgrid_protocol::id::{GridId, ParticipantId};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, gossipsub};
use tokio::time::timeout;

use super::lines::Lines;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

struct Listener {
    id: ParticipantId,
    address: Multiaddr,
    swarm: Swarm<Behaviour>,
    heard: Vec<Vec<u8>>,
}

impl Listener {
    async fn new(seed: u8, grid: &GridId) -> Self {
        let key = Keypair::from_seed(&[seed; 32]);
        let openness = Openness { mdns: false, ..Openness::default() };
        let (mut swarm, _) = swarm(&identity_of(&key), grid, openness).unwrap();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        Self { id: key.participant_id(), address, swarm, heard: Vec::new() }
    }

    async fn listen(&mut self) {
        if let SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
            message,
            ..
        })) = self.swarm.select_next_some().await
        {
            self.heard.push(message.data);
        }
    }
}

#[tokio::test]
async fn what_is_whispered_to_one_node_is_heard_by_that_one_alone() {
    let grid = GridId::from_bytes([1; 32]);
    let (mut one, mut other) = (Listener::new(1, &grid).await, Listener::new(2, &grid).await);
    let nodes = [(one.id, one.address.clone()), (other.id, other.address.clone())];
    let mut lines = Lines::open(&Keypair::from_seed(&[3; 32]), grid, &nodes).unwrap();
    lines.call(clock::now());
    // Whispered to one first, so that the other one would have heard it by the time of the second.
    let mut left = vec![(b"second".to_vec(), other.id), (b"first".to_vec(), one.id)];
    let whispered = async {
        while one.heard.is_empty() || other.heard.is_empty() {
            if let Some((bytes, to)) = left.last()
                && lines.publish(Topic::Orders, bytes, Some(&[*to])) == 1
            {
                left.pop();
            }
            tokio::select! {
                _ = lines.next() => {}
                () = one.listen() => {}
                () = other.listen() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    };
    timeout(DEADLINE, whispered).await.unwrap();
    assert_eq!((one.heard, other.heard), (vec![b"first".to_vec()], vec![b"second".to_vec()]));
}
