//! A start that fails says why before anything runs; an end leaves nothing behind.

use boltgrid::network::NetworkError;
use libp2p::Multiaddr;

use crate::world::{QUIC, TCP, World, eventually};

async fn cannot_start(world: &mut World, listen: &[&str]) -> NetworkError {
    match world.try_start(1, World::config(listen, &[])).await {
        Ok(_) => panic!("it started on {listen:?}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_at_the_start_that_names_the_address() {
    for kind in [TCP, QUIC] {
        let mut world = World::new();
        let first = world.try_start(0, World::config(&[kind], &[])).await.unwrap();
        let address = first.address().to_string();
        let error = cannot_start(&mut world, &[&address]).await;
        assert!(matches!(error, NetworkError::Listen { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&address) && text.contains("choose another"), "{text}");
    }
}

#[tokio::test]
async fn addresses_that_cannot_be_listened_on_are_errors_at_the_start() {
    let mut world = World::new();
    let error = cannot_start(&mut world, &[]).await;
    assert!(matches!(error, NetworkError::NothingToListenOn), "{error:?}");
    let error = cannot_start(&mut world, &["/ip4/127.0.0.1/udp/4001/webrtc-direct"]).await;
    assert!(matches!(error, NetworkError::Unsupported(_)), "{error:?}");
    let error = cannot_start(&mut world, &["/ip4/192.0.2.1/tcp/4001"]).await;
    assert!(matches!(error, NetworkError::Listen { .. }), "{error:?}");
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_leaves_its_peers_and_its_port() {
    let mut world = World::new();
    let mut nodes = world.start_first(2).await;
    let mut leaving = nodes.pop().unwrap();
    let address: Multiaddr = leaving.address();
    leaving.stop();
    world.ended().await.unwrap();
    assert!(leaving.events.recv().await.is_none(), "no more events");
    let told = leaving.handle.answer(0, boltgrid_protocol::direct::Answer::Certificate(None));
    assert!(told.is_err(), "and no more commands");
    eventually("it is missed", || nodes[0].status().members_connected == 0).await;
    let again = World::config(&[&address.to_string()], &[]);
    world.try_start(1, again).await.unwrap();
}
