//! What is said arrives everywhere, verified, and goes on only once it is judged.

use boltgrid_market::effect::Verdict;
use boltgrid_protocol::envelope::Kind;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;

use crate::fixture::order;
use crate::raw::Raw;
use crate::world::{World, eventually};

#[tokio::test]
async fn a_message_of_every_kind_arrives_everywhere() {
    let mut world = World::new();
    let mut nodes = world.start_first(4).await;
    let messages = world.grid.messages();
    let gossiped: Vec<_> = messages
        .iter()
        .filter_map(|(name, bytes)| Some((*name, topic_of(name)?, bytes.clone())))
        .collect();
    assert_eq!(gossiped.len(), 6);
    for (name, topic, bytes) in gossiped {
        nodes[0].handle.gossip(topic, bytes.clone()).unwrap();
        for node in &mut nodes[1..] {
            let message = node.hear(Verdict::Accept).await;
            assert_eq!(Topic::of(message.kind()), Some(topic), "{name}");
            assert_eq!(bytes_of(&message), &*bytes, "{name}");
        }
    }
    eventually("all is counted", || nodes[0].status().published == 6).await;
    eventually("all is counted", || nodes[1].status().heard == 6).await;
    assert!(nodes.iter().all(|node| node.status().refused.is_empty()));
}

fn topic_of(name: &str) -> Option<Topic> {
    match name {
        "order" => Some(Topic::Orders),
        "ack" => Some(Topic::Acks),
        "proposal" | "vote" => Some(Topic::Votes),
        "reading" => Some(Topic::Readings),
        "evidence" => Some(Topic::Evidence),
        _ => None,
    }
}

fn bytes_of(message: &Message) -> &[u8] {
    match message {
        Message::Order(message) => message.bytes(),
        Message::Ack(message) => message.bytes(),
        Message::Proposal(message) => message.bytes(),
        Message::Vote(message) => message.bytes(),
        Message::Confirm(message) => message.bytes(),
        Message::Reading(message) => message.bytes(),
        Message::Evidence(message) => message.bytes(),
        Message::PeerRecord(message) => message.bytes(),
        Message::Offer(message) => message.bytes(),
        Message::Acceptance(message) => message.bytes(),
        Message::Reply(message) => message.bytes(),
        Message::Invoice(message) => message.bytes(),
        Message::Deed(message) => message.bytes(),
        Message::Seal(message) => message.bytes(),
        Message::Share(message) => message.bytes(),
    }
}

#[tokio::test]
async fn only_what_the_market_accepts_is_passed_on() {
    let mut world = World::new();
    let mut node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut speaker = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;
    let mut listener = Raw::connected(&Keypair::from_seed(&[102; 32]), grid, &address).await;

    let orders: Vec<_> = (0..4).map(|author| world.grid.sign(author, &order(author))).collect();
    let verdicts = [Some(Verdict::Ignore), Some(Verdict::Reject), None, Some(Verdict::Accept)];
    for (order, verdict) in orders.iter().zip(verdicts) {
        speaker.publish(Topic::Orders, order.bytes());
        let (message, token) = speaker.runs_while(node.heard()).await;
        assert_eq!(message.kind(), Kind::Order);
        if let Some(verdict) = verdict {
            node.handle.judge(token.unwrap(), verdict).unwrap();
        }
    }
    // Streams keep their order: had an earlier one been passed on, it would be here first.
    listener.runs_until("the accepted order arrives", |raw| !raw.heard.is_empty()).await;
    assert_eq!(listener.heard, [orders[3].bytes().to_vec()]);
    node.refuses("orders", "condemned", 1).await;
    node.refuses("orders", "unjudged", 1).await;
}

#[tokio::test]
async fn what_is_said_before_anyone_listens_is_said_again() {
    let mut world = World::new();
    let speaker = world.start(0, &[]).await;
    let order = world.grid.sign(0, &order(0));
    speaker.handle.gossip(Topic::Orders, order.bytes().clone()).unwrap();
    let mut listener = world.start(1, &[speaker.address()]).await;
    assert_eq!(bytes_of(&listener.hear(Verdict::Accept).await), &**order.bytes());
    eventually("it is counted", || speaker.status().published == 1).await;
    assert_eq!(speaker.status().unsent, 0);
}
