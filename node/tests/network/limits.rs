//! What one peer can cost: bans, scores, the pace of connections and of records.

use boltgrid::network::behaviour::kad_protocol;
use boltgrid_market::effect::Verdict;
use boltgrid_protocol::peer::PeerRecord;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Energy;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, RecordKey};
use tokio::net::TcpStream;

use crate::fixture::{order, peer_record};
use crate::raw::Raw;
use crate::records::{key_of, put};
use crate::world::{World, all_connected, eventually, soon};

#[tokio::test]
async fn honest_members_keep_the_score_they_began_with() {
    let mut world = World::new();
    let mut nodes = world.start_first(4).await;
    for (name, bytes) in world.grid.messages() {
        let topics = [("order", Topic::Orders), ("ack", Topic::Acks), ("vote", Topic::Votes)];
        let Some((_, topic)) = topics.iter().find(|(topic, _)| *topic == name) else { continue };
        nodes[0].handle.gossip(*topic, bytes.clone()).unwrap();
        for node in &mut nodes[1..] {
            node.hear(Verdict::Accept).await;
        }
    }
    // Some of them speak, some never do, and after that all are silent.
    for node in &nodes {
        let mut watch = node.handle.watch();
        for _ in 0..6 {
            soon("a heartbeat", watch.changed()).await.unwrap();
            let status = watch.borrow_and_update().clone();
            let scores = status.scores.expect("members are connected");
            assert!(scores.lowest >= 100, "{scores:?}");
            assert!(scores.median >= scores.lowest);
            // One of the grid's five members does not run.
            assert!((2..=4).contains(&status.pinned), "{}", status.pinned);
            assert!(status.pinned_connected + 1 >= status.pinned);
            assert_eq!((status.banned, status.refused.len()), (0, 0));
        }
    }
    let dialled: usize = nodes.iter().map(|node| node.status().dialled).sum();
    assert!(dialled >= 6, "each of six connections was dialled by one side: {dialled}");
}

#[tokio::test]
async fn members_come_into_the_mesh_and_strangers_do_not() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut member = Raw::connected(&world.grid.people[1].key, grid, &address).await;
    let mut stranger = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;
    let topics = |raw: &Raw| {
        let gossip = &raw.swarm.behaviour().gossip;
        gossip.topics().filter(|topic| gossip.mesh_peers(topic).next().is_some()).count()
    };
    // The stranger is the first to try.
    let mut watch = node.handle.watch();
    for _ in 0..4 {
        stranger.runs_while(watch.changed()).await.unwrap();
    }
    stranger.runs_until("it is sent away from all", |raw| topics(raw) == 0).await;
    member.runs_until("it is in the mesh of all", |raw| topics(raw) == Topic::ALL.len()).await;
}

#[tokio::test]
async fn a_member_that_says_far_too_much_is_banned_though_every_word_is_signed() {
    let mut world = World::new();
    let mut nodes = world.start_first(2).await;
    let other = nodes.pop().unwrap();
    let mut node = nodes.pop().unwrap();
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut hostile = Raw::connected(&world.grid.people[2].key, grid, &address).await;
    let peer = boltgrid::network::identity::peer_of(&node.id).unwrap();
    let mut number = 0;
    while hostile.swarm.is_connected(&peer) {
        assert!(number < 20_000, "it is still there: {:?}", node.status().refused);
        for _ in 0..200 {
            number += 1;
            let mut order = order(2);
            order.steps[0].energy_mwh = Energy::from_milliwatt_hours(number);
            hostile.publish(Topic::Orders, world.grid.sign(2, &order).bytes());
        }
        for _ in 0..20 {
            hostile.step().await;
        }
    }
    node.refuses("connections", "blocked", 1).await;
    eventually("it is known to be banned", || node.status().banned == 1).await;
    for _ in 0..2 {
        node.hear(Verdict::Ignore).await;
    }
    assert_eq!(node.status().heard, 2, "an order and a contradiction");

    let honest = world.grid.sign(1, &order(1));
    other.handle.gossip(Topic::Orders, honest.bytes().clone()).unwrap();
    node.hear(Verdict::Accept).await;
    all_connected(&[node, other]).await;
}

#[tokio::test]
async fn junk_on_one_topic_sinks_the_score_and_the_peer_is_banned() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut hostile = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;
    let peer = hostile.node();
    for number in 0..60_u8 {
        hostile.publish(Topic::Acks, &[number; 64]);
    }
    hostile.runs_until("it is cut off", |raw| !raw.swarm.is_connected(&peer)).await;
    node.refuses("connections", "blocked", 1).await;
    let looked_at = node.status().refused("acks", "malformed");
    assert!((20..60).contains(&looked_at), "fewer than would be a ban by themselves: {looked_at}");
}

#[tokio::test]
async fn whoever_knocks_too_often_has_to_wait() {
    let mut world = World::new();
    let nodes = world.start_first(2).await;
    let address = nodes[0].address().to_string();
    let port: u16 = address.rsplit('/').next().unwrap().parse().unwrap();
    let mut knocks = Vec::new();
    let crowded = || nodes[0].status().refused("connections", "crowded");
    for _ in 0..400 {
        knocks.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    eventually("some are turned away", || crowded() > 0).await;
    drop(knocks);
    assert_eq!(nodes[0].status().members_connected, 1, "who is there stays");
}

#[tokio::test]
async fn nobody_provides_anything() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let key = Keypair::from_seed(&[101; 32]);
    let mut raw = Raw::new(&key, grid);
    // Its own store would not provide anything either.
    let me = *raw.swarm.local_peer_id();
    let mut config = kad::Config::new(kad_protocol(&grid));
    config.set_kbucket_inserts(kad::BucketInserts::Manual);
    let mut careless = kad::Behaviour::with_config(me, MemoryStore::new(me), config);
    careless.set_mode(Some(kad::Mode::Server));
    let victim = boltgrid::network::identity::peer_of(&node.id).unwrap();
    careless.add_address(&victim, address.clone());
    raw.swarm.behaviour_mut().kad = careless;
    raw.swarm.dial(address).unwrap();
    raw.runs_until("it is connected", |raw| raw.swarm.is_connected(&victim)).await;

    let own = key_of(&world.grid, &node.id);
    for key in [own, RecordKey::new(b"anything")] {
        raw.swarm.behaviour_mut().kad.start_providing(key).unwrap();
    }
    raw.runs_while(node.refuses("records", "provider", 2)).await;
}

#[tokio::test]
async fn new_records_of_strangers_are_taken_at_a_pace_and_known_ones_cost_nothing() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid_id, address) = (world.grid.charter.grid_id(), node.address());
    let mut raw = Raw::connected(&Keypair::from_seed(&[101; 32]), grid_id, &address).await;
    let good = peer_record(&world.grid.charter);
    let key = key_of(&world.grid, &world.grid.people[4].key.participant_id());
    let signed = |number: u64| {
        let record = PeerRecord { sequence: good.sequence + number, ..good.clone() };
        world.grid.sign(4, &record).bytes().to_vec()
    };
    let first = signed(0);
    put(&mut raw, key.clone(), first.clone());
    raw.runs_while(eventually("it is taken", || node.status().members_known == 1)).await;
    for _ in 0..100 {
        put(&mut raw, key.clone(), first.clone());
        raw.step().await;
    }
    assert_eq!(node.status().refused("records", "too_often"), 0);
    for number in 1..200 {
        put(&mut raw, key.clone(), signed(number));
        raw.step().await;
        if node.status().refused("records", "too_often") > 0 {
            break;
        }
    }
    let refused = || node.status().refused("records", "too_often") > 0;
    raw.runs_while(eventually("the pace is kept", refused)).await;
}

#[tokio::test]
async fn no_member_has_more_connections_than_two_not_even_a_neighbour_by_the_ring() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    assert!(node.status().pinned > 0);
    for member in &world.grid.people[1..] {
        let mut first = Raw::connected(&member.key, grid, &address).await;
        let victim = first.node();
        // Under one name, the node says its topics once, so these only connect.
        let (mut second, mut third) = (Raw::new(&member.key, grid), Raw::new(&member.key, grid));
        for raw in [&mut second, &mut third] {
            raw.swarm.dial(address.clone()).unwrap();
            raw.runs_until("it is connected", |raw| raw.swarm.is_connected(&victim)).await;
        }
        third.runs_until("it is closed", |raw| !raw.swarm.is_connected(&victim)).await;
        for raw in [&mut first, &mut second] {
            raw.step().await;
            assert!(raw.swarm.is_connected(&victim));
        }
    }
}
