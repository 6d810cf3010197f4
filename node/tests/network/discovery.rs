//! Members find each other, and again when they were lost.

use boltgrid_protocol::signing::Keypair;
use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;

use crate::raw::Raw;
use crate::world::{QUIC, TCP, World, all_connected, eventually, soon};

#[tokio::test]
async fn five_members_that_know_one_address_find_each_other() {
    let mut world = World::new();
    let nodes = world.start_first(5).await;
    for node in &nodes {
        let status = node.status();
        assert_eq!(status.members, 4);
        assert_eq!(status.strangers, 0);
        assert!(status.bytes_in > 0 && status.bytes_out > 0, "{status:?}");
        eventually("all addresses are known", || node.status().members_known == 4).await;
    }
}

#[tokio::test]
async fn members_on_tcp_and_on_quic_find_each_other_through_one_on_both() {
    let mut world = World::new();
    let both = world.try_start(0, World::config(&[TCP, QUIC], &[])).await.unwrap();
    let listening = both.status().listening;
    let quic = listening.iter().find(|address| address.to_string().contains("quic")).unwrap();
    let tcp = listening.iter().find(|address| address.to_string().contains("tcp")).unwrap();
    let nodes = [
        world.try_start(1, World::config(&[QUIC], std::slice::from_ref(quic))).await.unwrap(),
        world.try_start(2, World::config(&[TCP], std::slice::from_ref(tcp))).await.unwrap(),
        both,
    ];
    all_connected(&nodes).await;
}

#[tokio::test]
async fn all_that_is_dialled_over_quic_comes_from_the_port_that_is_listened_on() {
    // A socket for every dial is what a node that is cut off would soon have hundreds of.
    let grid = World::new().grid.charter.grid_id();
    let raw = |seed| Raw::new(&Keypair::from_seed(&[seed; 32]), grid);
    let (mut from, mut to) = (raw(101), raw(102));
    let (mine, theirs) = (from.listens(QUIC).await, to.listens(QUIC).await);
    let dial = DialOpts::unknown_peer_id().address(theirs).allocate_new_port().build();
    from.swarm.dial(dial).unwrap();
    let arrives = async {
        loop {
            if let SwarmEvent::ConnectionEstablished { endpoint, .. } =
                to.swarm.select_next_some().await
                && let ConnectedPoint::Listener { send_back_addr, .. } = endpoint
            {
                return send_back_addr;
            }
        }
    };
    let came_from = from.runs_while(soon("a connection comes in", arrives)).await;
    assert_eq!(came_from, mine);
}

#[tokio::test]
async fn a_member_that_comes_back_elsewhere_is_found_again() {
    let mut world = World::new();
    let mut nodes = world.start_first(3).await;
    nodes.remove(2).stop();
    world.ended().await.unwrap();
    for node in &nodes {
        eventually("the loss is noticed", || node.status().members_connected == 1).await;
    }
    // It now knows only the second member, and nobody knows its new address.
    let address = nodes[1].address();
    nodes.push(world.start(2, &[address]).await);
    all_connected(&nodes).await;
}

#[tokio::test]
async fn the_bootstrap_member_may_start_last() {
    let mut world = World::new();
    let first = world.start(0, &[]).await;
    let address = first.address();
    first.stop();
    world.ended().await.unwrap();
    let early = world.start(1, std::slice::from_ref(&address)).await;
    let listen = address.to_string();
    let late = world.try_start(0, World::config(&[&listen], &[])).await.unwrap();
    all_connected(&[early, late]).await;
}

#[tokio::test]
async fn strangers_take_few_places_and_members_still_come_in() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut strangers: Vec<_> =
        (0..10).map(|seed| Raw::new(&Keypair::from_seed(&[100 + seed; 32]), grid)).collect();
    for stranger in &mut strangers {
        stranger.swarm.dial(address.clone()).unwrap();
    }
    let others = strangers.iter_mut().map(|stranger| {
        let refused = || node.status().refused("connections", "stranger") >= 2;
        stranger.runs_until("two are sent away", move |_| refused())
    });
    futures::future::join_all(others).await;
    let member = world.start(1, &[address]).await;
    let nodes = [node, member];
    all_connected(&nodes).await;
    assert!(nodes[0].status().strangers <= 8, "{:?}", nodes[0].status());
}
