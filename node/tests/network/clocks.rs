//! Members tell each other what their clocks show, without anybody's market.

use boltgrid_protocol::direct::{Answer, Question, Request, Response};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::Timestamp;

use crate::raw::Raw;
use crate::world::{TCP, World, clock};

fn fast() -> Timestamp {
    clock().plus_ms(3_000)
}

#[tokio::test]
async fn a_member_with_a_wrong_clock_learns_so_from_the_others_and_they_are_not_misled() {
    let mut world = World::new();
    let mut wrong = world.try_start_at(0, World::config(&[TCP], &[]), fast).await.unwrap();
    let first = [wrong.status().listening[0].clone()];
    let mut right = Vec::new();
    for place in 1..5 {
        right.push(world.start(place, &first).await);
    }
    let found = wrong.clocks().await;
    // The clocks of this test stand still: an offset is off by half of the way there and back.
    assert!((-3_500..=-3_000).contains(&found.median_offset_ms), "{found:?}");
    assert!((3..=4).contains(&found.peers), "{found:?}");
    for node in &mut right {
        let found = node.clocks().await;
        assert!((-500..=0).contains(&found.median_offset_ms), "{found:?}");
    }
}

#[tokio::test]
async fn a_member_is_told_the_time_by_the_network_alone_and_a_stranger_is_not() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid, address) = (world.grid.charter.grid_id(), node.address());
    let mut member = Raw::connected(&world.grid.people[1].key, grid, &address).await;
    let told = Response::Answer(Answer::Clock { unix_ms: clock().to_unix_ms() });
    assert_eq!(member.asks(&Request::Ask(Question::Clock)).await, told);
    let mut stranger = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;
    assert_eq!(stranger.asks(&Request::Ask(Question::Clock)).await, Response::Refused);
}
