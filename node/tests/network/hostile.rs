//! What no correct peer sends: counted under its reason, on every topic, and heard by nobody.

use boltgrid_market::effect::Verdict;
use boltgrid_protocol::agreement::{Ack, Proposal};
use boltgrid_protocol::codec;
use boltgrid_protocol::envelope::{Header, Kind, Payload};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::{GridId, ParticipantId, RosterHash};
use boltgrid_protocol::message::{INTERVALS_AHEAD, INTERVALS_BACK};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::signing::{Keypair, SIGNATURE_LEN};
use boltgrid_protocol::topic::Topic;

use crate::fixture::{Grid, INTERVAL, order};
use crate::raw::Raw;
use crate::world::{World, eventually};

/// Bytes of a header, from magic to author.
const HEADER_LEN: usize = 112;

/// A topic, a valid message on it and a larger one than any.
struct Target {
    topic: Topic,
    valid: Vec<u8>,
    author: Keypair,
    oversize: usize,
}

fn targets(grid: &Grid) -> Vec<Target> {
    let messages = grid.messages();
    let find = |name| messages.iter().find(|(kind, _)| *kind == name).unwrap().1.to_vec();
    [
        (Topic::Orders, find("order"), Order::LIMIT),
        (Topic::Acks, find("ack"), Ack::LIMIT),
        (Topic::Votes, find("vote"), Proposal::LIMIT),
        (Topic::Readings, find("reading"), Reading::LIMIT),
        (Topic::Evidence, find("evidence"), Evidence::LIMIT),
    ]
    .map(|(topic, valid, limit)| {
        let header = Header::peek(&valid).unwrap();
        let person = grid.person(grid.roster.index_of(&header.author).unwrap());
        let key = if header.kind == Kind::Reading { &person.meter } else { &person.key };
        Target { topic, valid, author: key.clone(), oversize: limit + 1 }
    })
    .into()
}

impl Target {
    /// The message with another header, signed by its author all the same.
    fn altered(&self, change: impl FnOnce(&mut Header)) -> Vec<u8> {
        let mut header = Header::peek(&self.valid).unwrap();
        change(&mut header);
        let body = &self.valid[HEADER_LEN..self.valid.len() - SIGNATURE_LEN];
        let mut bytes = [codec::canonical(&header).as_slice(), body].concat();
        let signature = self.author.sign(&bytes);
        bytes.extend_from_slice(&signature.to_bytes());
        bytes
    }

    /// What a hostile peer might send on the topic, and what it is counted as.
    fn hostile(&self, other: &Self) -> Vec<(&'static str, Vec<u8>)> {
        let stranger = Keypair::from_seed(&[99; 32]).participant_id();
        let mut forged = self.valid.clone();
        *forged.last_mut().unwrap() ^= 1;
        let mut other_version = self.valid.clone();
        other_version[3] ^= 2;
        let wrong_roster = RosterHash::from_bytes([9; 32]);
        vec![
            ("malformed", format!("junk on {}", self.topic.word()).into_bytes()),
            ("bad_version", other_version),
            ("oversize", vec![7; self.oversize]),
            ("wrong_kind", other.valid.clone()),
            ("wrong_grid", self.altered(|it| it.grid = GridId::from_bytes([9; 32]))),
            ("stale", self.altered(|it| it.interval = INTERVAL.minus(INTERVALS_BACK + 1))),
            ("future", self.altered(|it| it.interval = INTERVAL.plus(INTERVALS_AHEAD + 1))),
            ("wrong_roster", self.altered(|it| it.roster = wrong_roster)),
            ("not_a_member", self.altered(|it| it.author = stranger)),
            ("bad_signature", forged),
        ]
    }
}

#[tokio::test]
async fn hostile_bytes_on_every_topic_are_counted_and_heard_by_nobody() {
    let mut world = World::new();
    let mut node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut hostile = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;

    let targets = targets(&world.grid);
    let mut expected = Vec::new();
    for target in &targets {
        // A message of another topic, small enough for this one.
        let other = &targets[if target.topic == Topic::Votes { 3 } else { 2 }];
        for (reason, bytes) in target.hostile(other) {
            hostile.publish(target.topic, &bytes);
            expected.push((target.topic.word(), reason));
        }
    }
    for (topic, reason) in expected {
        hostile.runs_while(node.refuses(topic, reason, 1)).await;
    }
    assert_eq!(node.status().heard, 0);
    assert_eq!(node.status().peers_connected, 1, "it is not yet too much");

    // The first event ever is the first honest message.
    for target in &targets {
        hostile.publish(target.topic, &target.valid);
        let message = hostile.runs_while(node.hear(Verdict::Accept)).await;
        assert_eq!(Topic::of(message.kind()), Some(target.topic));
    }
}

#[tokio::test]
async fn an_author_that_says_too_much_is_not_heard_beyond_its_budget() {
    let mut world = World::new();
    let mut node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let author = &world.grid.people[1].key;
    let mut hostile = Raw::connected(author, grid, &address).await;
    for partner in 2..6 {
        let partners = [2, 3, 4, 0].map(boltgrid_protocol::id::RosterIndex::new);
        let mut order = order(1);
        order.channel_partners = partners[..partner - 2].to_vec();
        hostile.publish(Topic::Orders, world.grid.sign(1, &order).bytes());
    }
    for _ in 0..2 {
        hostile.runs_while(node.hear(Verdict::Accept)).await;
    }
    hostile.runs_while(node.refuses("orders", "over_budget", 2)).await;
    assert_eq!(node.status().heard, 2);
}

#[tokio::test]
async fn forgeries_do_not_use_up_the_budget_of_the_one_they_name() {
    let mut world = World::new();
    let mut node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut hostile = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;
    let honest = world.grid.sign(1, &order(1));
    for byte in 1..=20 {
        let mut forged = honest.bytes().to_vec();
        *forged.last_mut().unwrap() ^= byte;
        hostile.publish(Topic::Orders, &forged);
    }
    hostile.runs_while(node.refuses("orders", "bad_signature", 20)).await;
    hostile.publish(Topic::Orders, honest.bytes());
    hostile.runs_while(node.hear(Verdict::Accept)).await;
}

#[tokio::test]
async fn who_sends_too_much_junk_is_kept_away_and_the_others_go_on() {
    let mut world = World::new();
    let mut nodes = world.start_first(2).await;
    let (grid, address) = (world.grid.charter.grid_id(), nodes[0].address());
    let mut hostile = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;
    let victim = *nodes[0].status().listening.first().map(|_| &nodes[0].id).unwrap();
    let peer = boltgrid::network::identity::peer_of(&victim).unwrap();
    for number in 0..100_u8 {
        hostile.publish(Topic::Votes, &[number; 64]);
    }
    hostile.runs_until("it is cut off", |raw| !raw.swarm.is_connected(&peer)).await;
    hostile.swarm.dial(address).unwrap();
    for _ in 0..20 {
        hostile.step().await;
    }
    nodes[0].refuses("connections", "blocked", 1).await;
    eventually("it stays away", || nodes[0].status().peers_connected == 1).await;

    let order = world.grid.sign(1, &order(1));
    nodes[1].handle.gossip(Topic::Orders, order.bytes().clone()).unwrap();
    nodes[0].hear(Verdict::Accept).await;
}

#[test]
fn a_participant_is_not_its_own_forger() {
    // What the tests above rely on: an altered header under the right key is a well-formed message.
    let grid = Grid::sample();
    for target in targets(&grid) {
        assert_eq!(target.altered(|_| ()), target.valid);
        assert_ne!(Header::peek(&target.valid).unwrap().author, ParticipantId::default());
    }
}
