//! Members ask each other, and nobody else is answered.

use boltgrid::network::NetworkEvent;
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::direct::{Answer, Question, Request, Response};
use boltgrid_protocol::envelope::{Kind, Verified};
use boltgrid_protocol::history::{Item, ItemKind, RECONCILE_MAX, Stretch};
use boltgrid_protocol::id::{ItemId, RosterIndex};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::signing::Keypair;

use crate::fixture::{Grid, INTERVAL, confirm, order};
use crate::raw::Raw;
use crate::world::{Node, World, eventually};

/// The second member's confirm of its trade with the first, in an interval that is still open.
fn open_confirm(grid: &Grid) -> Verified<TradeConfirm> {
    grid.try_sign(RosterIndex::new(1), INTERVAL.next(), &confirm()).unwrap()
}

fn orders_of(authors: &[u32]) -> Question {
    let authors = authors.iter().copied().map(RosterIndex::new).collect();
    Question::Orders { interval: INTERVAL, authors }
}

/// Answers the next question, which must come from `from`.
async fn answers(node: &mut Node, from: &Node, answer: Answer) -> Question {
    let NetworkEvent::Asked { from: asker, question, token } = node.event().await else {
        panic!("not a question");
    };
    assert_eq!(asker, from.id);
    node.handle.answer(token, answer).unwrap();
    question
}

#[tokio::test]
async fn orders_that_were_asked_for_arrive_verified_and_others_do_not() {
    let mut world = World::new();
    let mut nodes = world.start_first(2).await;
    let mut other = nodes.pop().unwrap();
    let mut asker = nodes.pop().unwrap();
    asker.handle.ask(other.id, orders_of(&[2, 3])).unwrap();

    let [wanted, not_asked_for] = [3, 4].map(|author| world.grid.sign(author, &order(author)));
    let mut forged = world.grid.sign(2, &order(2)).bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let kind = world.grid.messages()[1].1.to_vec();
    let orders = vec![
        forged,
        not_asked_for.bytes().to_vec(),
        kind,
        b"junk".to_vec(),
        wanted.bytes().to_vec(),
    ];
    let question = answers(&mut other, &asker, Answer::Orders(orders)).await;
    assert_eq!(question, orders_of(&[2, 3]));

    let (message, token) = asker.heard().await;
    assert!(matches!(message, Message::Order(order) if order.hash() == wanted.hash()));
    assert_eq!(token, None);
    for reason in ["bad_signature", "not_asked_for", "wrong_kind", "malformed"] {
        asker.refuses("direct", reason, 1).await;
    }
}

#[tokio::test]
async fn a_certificate_is_handed_over_as_it_is_and_a_lacking_one_is_said_to_lack() {
    let mut world = World::new();
    let mut nodes = world.start_first(2).await;
    let mut other = nodes.pop().unwrap();
    let mut asker = nodes.pop().unwrap();
    let question = Question::Certificate { interval: INTERVAL };

    asker.handle.ask(other.id, question.clone()).unwrap();
    let certificate = world.grid.certificate().to_bytes();
    answers(&mut other, &asker, Answer::Certificate(Some(certificate.clone()))).await;
    let NetworkEvent::Certificate { from, bytes } = asker.event().await else {
        panic!("no certificate");
    };
    assert_eq!((from, bytes), (other.id, certificate));

    asker.handle.ask(other.id, question.clone()).unwrap();
    answers(&mut other, &asker, Answer::Certificate(None)).await;
    is_unanswered(asker.event().await, &question);

    asker.handle.ask(other.id, question.clone()).unwrap();
    answers(&mut other, &asker, Answer::Orders(Vec::new())).await;
    is_unanswered(asker.event().await, &question);
    asker.refuses("direct", "not_asked_for", 1).await;
}

#[tokio::test]
async fn history_is_handed_over_as_it_is_and_who_is_said_to_have_forged_it_is_charged() {
    let mut world = World::new();
    let mut nodes = world.start_first(2).await;
    let mut other = nodes.pop().unwrap();
    let mut asker = nodes.pop().unwrap();
    let stretch = Stretch { from: INTERVAL.minus(3), until: INTERVAL };
    let items = Question::Items { stretch, ids: vec![ItemId::default(); 2] };
    let reconcile = Question::Reconcile { stretch, message: vec![0x61; RECONCILE_MAX] };
    let item = Item { kind: ItemKind::Reading, bytes: b"junk".to_vec() };
    for (question, said) in [
        (items.clone(), Answer::Items(vec![item])),
        (reconcile.clone(), Answer::Reconcile(Some(vec![7; RECONCILE_MAX]))),
    ] {
        asker.handle.ask(other.id, question.clone()).unwrap();
        assert_eq!(answers(&mut other, &asker, said.clone()).await, question);
        let NetworkEvent::Told { by, question: of, answer } = asker.event().await else {
            panic!("nothing was told");
        };
        assert_eq!((by, of, answer), (other.id, question, said));
    }
    asker.handle.ask(other.id, items.clone()).unwrap();
    answers(&mut other, &asker, Answer::Reconcile(None)).await;
    is_unanswered(asker.event().await, &items);
    asker.refuses("direct", "not_asked_for", 1).await;

    asker.handle.blame(other.id).unwrap();
    asker.refuses("direct", "false_history", 1).await;
}

fn is_unanswered(event: NetworkEvent, asked: &Question) {
    assert!(
        matches!(&event, NetworkEvent::Unanswered { question, .. } if question == asked),
        "{event:?}"
    );
}

#[tokio::test]
async fn a_question_that_the_other_side_ignores_is_given_up() {
    let mut world = World::new();
    let mut nodes = world.start_first(2).await;
    let other = nodes.pop().unwrap();
    let mut asker = nodes.pop().unwrap();
    asker.handle.ask(other.id, orders_of(&[2])).unwrap();
    is_unanswered(asker.event().await, &orders_of(&[2]));
}

#[tokio::test]
async fn a_member_that_nobody_can_find_leaves_the_question_unanswered() {
    let mut world = World::new();
    let mut asker = world.start(0, &[]).await;
    let nobody = world.grid.people[3].key.participant_id();
    asker.handle.ask(nobody, orders_of(&[2])).unwrap();
    is_unanswered(asker.event().await, &orders_of(&[2]));
}

#[tokio::test]
async fn a_confirm_reaches_a_member_that_comes_up_later() {
    let mut world = World::new();
    let sender = world.start(1, &[]).await;
    let receiver = world.grid.people[0].key.participant_id();
    let confirm = open_confirm(&world.grid);
    sender.handle.send_to(receiver, confirm.bytes().clone()).unwrap();
    let mut receiver = world.start(0, &[sender.address()]).await;
    let (message, token) = receiver.heard().await;
    assert!(matches!(message, Message::Confirm(taken) if taken.hash() == confirm.hash()));
    assert_eq!(token, None);
    assert_eq!(sender.status().unsent, 0);
}

#[tokio::test]
async fn a_confirm_that_no_longer_counts_is_given_up() {
    let mut world = World::new();
    let sender = world.start(1, &[]).await;
    let receiver = world.grid.people[0].key.participant_id();
    let late = world.grid.sign(1, &confirm());
    sender.handle.send_to(receiver, late.bytes().clone()).unwrap();
    eventually("it is given up", || sender.status().unsent == 1).await;
}

#[tokio::test]
async fn strangers_are_answered_nothing() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut stranger = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;
    let confirm = open_confirm(&world.grid).bytes().to_vec();
    for request in [Request::Ask(orders_of(&[1])), Request::Message(confirm)] {
        assert_eq!(stranger.asks(&request).await, Response::Refused);
    }
    node.refuses("direct", "stranger", 2).await;
}

#[tokio::test]
async fn a_member_can_neither_confirm_for_others_nor_confirm_junk() {
    let mut world = World::new();
    let mut node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut member = Raw::connected(&world.grid.people[1].key, grid, &address).await;
    let of_other = world.grid.try_sign(RosterIndex::new(0), INTERVAL.next(), &confirm()).unwrap();
    let mut forged = open_confirm(&world.grid).bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for (reason, bytes) in [
        ("not_its_author", of_other.bytes().to_vec()),
        ("bad_signature", forged),
        ("wrong_kind", world.grid.sign(1, &order(1)).bytes().to_vec()),
        ("malformed", b"junk".to_vec()),
    ] {
        assert_eq!(member.asks(&Request::Message(bytes)).await, Response::Refused);
        node.refuses("direct", reason, 1).await;
    }
    let good = Request::Message(open_confirm(&world.grid).bytes().to_vec());
    assert_eq!(member.asks(&good).await, Response::Taken);
    assert_eq!(node.heard().await.0.kind(), Kind::TradeConfirm);
}

#[tokio::test]
async fn a_member_that_asks_too_often_has_to_wait() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut member = Raw::connected(&world.grid.people[1].key, grid, &address).await;
    let confirm = Request::Message(open_confirm(&world.grid).bytes().to_vec());
    let mut taken = 0;
    while member.asks(&confirm).await == Response::Taken {
        taken += 1;
    }
    assert!(taken >= 32, "{taken}");
    node.refuses("direct", "too_often", 1).await;
}

#[tokio::test]
async fn a_request_beyond_the_limits_is_malformed() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut member = Raw::connected(&world.grid.people[1].key, grid, &address).await;
    let too_many: Vec<u32> = (0..65).collect();
    for request in [Request::Message(vec![0; 2000]), Request::Ask(orders_of(&too_many))] {
        assert_eq!(member.asks(&request).await, Response::Refused);
    }
    node.refuses("direct", "malformed", 2).await;
}
