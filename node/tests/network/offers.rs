//! Standing offers are found by their key, wherever they were published, and nobody can take one
//! away but its author.

use std::sync::Arc;

use boltgrid::network::FoundOffers;
use boltgrid_protocol::codec;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::offer::{Day, Offer, OfferSet, Product, bucket_of, buckets, offers_key};
use boltgrid_protocol::order::{Side, Source};
use boltgrid_protocol::units::{Price, Timestamp};
use libp2p::kad::RecordKey;
use tokio::time::sleep;

use crate::fixture::{Grid, INTERVAL, offer};
use crate::raw::Raw;
use crate::records::put;
use crate::world::{LOOK, Node, TCP, World, all_connected, clock, eventually, soon};

/// Long after every offer of the sample grid has ended, and in the same interval's roster.
fn later() -> Timestamp {
    clock().plus_ms(3_600_000)
}

fn priced(grid: &Grid, sequence: u64, msat: i64) -> Offer {
    let price_msat_per_kwh = Price::from_msat_per_kwh(msat);
    Offer { sequence, price_msat_per_kwh, ..offer(&grid.charter) }
}

fn day(grid: &Grid) -> Day {
    Day::of(grid.charter.interval.start_of(offer(&grid.charter).first))
}

fn key_of(grid: &Grid, product: Product) -> RecordKey {
    let author = grid.people[0].key.participant_id();
    let part = bucket_of(&author, grid.people.len());
    RecordKey::new(&offers_key(&grid.charter.grid_id(), product, day(grid), part))
}

async fn find(grid: &Grid, node: &Node) -> FoundOffers {
    let product = offer(&grid.charter).product;
    let found = node.handle.find_offers(product, day(grid)).unwrap();
    soon("a lookup ends", found).await.expect("the task runs")
}

/// Looks up until exactly these are found, in this order.
async fn finds(grid: &Grid, node: &Node, expected: &[&Verified<Offer>]) {
    let expected: Vec<_> = expected.iter().map(|offer| offer.hash()).collect();
    let looked = async {
        loop {
            let found = find(grid, node).await;
            let found: Vec<_> = found.offers.iter().map(Verified::hash).collect();
            if found == expected {
                return;
            }
            sleep(LOOK).await;
        }
    };
    soon("the right offers are found", looked).await;
}

fn publish(node: &Node, offer: &Verified<Offer>) {
    node.handle.publish_offer(Arc::clone(offer.bytes())).unwrap();
}

#[tokio::test]
async fn offers_of_several_are_found_by_price_until_they_are_withdrawn() {
    let mut world = World::new();
    let nodes = world.start_first(4).await;
    let grid = &world.grid;
    let dear = grid.sign(0, &priced(grid, 3, 200_000));
    let cheap = grid.sign(1, &priced(grid, 3, 90_000));
    // At the same time: neither may overwrite the other.
    publish(&nodes[0], &dear);
    publish(&nodes[1], &cheap);
    for node in &nodes {
        finds(grid, node, &[&cheap, &dear]).await;
    }
    assert!(find(grid, &nodes[3]).await.is_complete);

    let withdrawn = Offer { withdrawn: true, ..priced(grid, 4, 90_000) };
    publish(&nodes[1], &grid.sign(1, &withdrawn));
    let dearer = grid.sign(0, &priced(grid, 5, 250_000));
    publish(&nodes[0], &dearer);
    for node in &nodes {
        finds(grid, node, &[&dearer]).await;
    }
    assert!(nodes.iter().all(|node| node.status().refused.is_empty()), "honest nodes do no wrong");
}

#[tokio::test]
async fn an_offer_is_found_by_one_that_was_never_connected_to_its_author() {
    let mut world = World::new();
    let author = world.start(0, &[]).await;
    let between = world.start(1, &[author.address()]).await;
    let pair = [author, between];
    all_connected(&pair).await;
    let offered = world.grid.sign(0, &offer(&world.grid.charter));
    publish(&pair[0], &offered);
    eventually("the other keeps it", || pair[1].status().offer_keys == 1).await;
    let [author, between] = pair;
    author.stop();
    world.ended().await.unwrap();
    let late = world.start(2, &[between.address()]).await;
    finds(&world.grid, &late, &[&offered]).await;
    assert!(late.status().members_connected <= 1, "its author is gone");
}

#[tokio::test]
async fn offers_in_several_parts_of_the_dht_are_found_by_one_lookup() {
    // Only a few of these members run, one of every part.
    let members = 40;
    let mut world = World::of(Grid::of(members, 4));
    let parts = buckets(world.grid.people.len());
    assert_eq!(parts, 3);
    let part_of = |world: &World, place: usize| {
        let people = &world.grid.people;
        bucket_of(&people[place].key.participant_id(), people.len())
    };
    let mut places = Vec::new();
    for part in 0..parts {
        let mut all = 0..world.grid.people.len();
        places.push(all.find(|place| part_of(&world, *place) == part).unwrap());
    }
    let mut nodes: Vec<Node> = Vec::new();
    for place in &places {
        let bootstrap: Vec<_> = nodes.first().map(Node::address).into_iter().collect();
        nodes.push(world.start(*place, &bootstrap).await);
    }
    all_connected(&nodes).await;
    let mut offered = Vec::new();
    for ((node, place), msat) in nodes.iter().zip(&places).zip([150_000, 90_000, 200_000]) {
        let author = u32::try_from(*place).unwrap();
        let offer = world.grid.sign(author, &priced(&world.grid, 3, msat));
        publish(node, &offer);
        offered.push(offer);
    }
    for node in &nodes {
        finds(&world.grid, node, &[&offered[1], &offered[0], &offered[2]]).await;
        assert!(find(&world.grid, node).await.is_complete);
        eventually("all parts are kept", || node.status().offer_keys == usize::from(parts)).await;
    }
}

#[tokio::test]
async fn what_hostile_peers_put_under_a_key_takes_nothing_away_and_adds_nothing_false() {
    let mut world = World::new();
    let nodes = world.start_first(2).await;
    let grid = &world.grid;
    let good = grid.sign(0, &offer(&grid.charter));
    publish(&nodes[0], &good);
    for node in &nodes {
        finds(grid, node, &[&good]).await;
    }

    let key = key_of(grid, good.body().product);
    let sign = |author: u32, offer: &Offer| grid.sign(author, offer).bytes().to_vec();
    let mut forged = sign(2, &priced(grid, 9, 1));
    *forged.last_mut().unwrap() ^= 1;
    let mut of_another_grid = sign(2, &priced(grid, 9, 1));
    let grid_id = grid.charter.grid_id();
    let place = of_another_grid.windows(32).position(|it| it == grid_id.as_bytes()).unwrap();
    of_another_grid[place] ^= 1;
    let ended = Offer {
        made_at: clock().minus_ms(2_000_000),
        expires_at: clock().minus_ms(1),
        ..priced(grid, 9, 1)
    };
    let bought = Product { side: Side::Buy, source: Source::Load };
    let elsewhere = Offer { product: bought, ..priced(grid, 9, 1) };
    let others = grid.sign(3, &priced(grid, 1, 120_000));
    let mut raw =
        Raw::connected(&grid.people[4].key, grid.charter.grid_id(), &nodes[1].address()).await;
    for (reason, entries) in [
        ("bad_signature", vec![forged.clone()]),
        ("stale", vec![sign(2, &ended)]),
        ("misplaced", vec![sign(2, &elsewhere)]),
        ("wrong_kind", vec![grid.messages()[0].1.to_vec()]),
        // With an older version of another's offer, and what is true among what is not.
        ("malformed", vec![vec![7; 300], sign(0, &priced(grid, 1, 1)), others.bytes().to_vec()]),
    ] {
        put(&mut raw, key.clone(), codec::canonical(&entries));
        raw.runs_while(nodes[1].refuses("records", reason, 1)).await;
    }
    raw.runs_while(finds(grid, &nodes[1], &[&others, &good])).await;
    // A set without somebody's offer removes it nowhere.
    put(&mut raw, key.clone(), OfferSet::default().to_bytes());
    put(&mut raw, key, codec::canonical(&vec![of_another_grid]));
    let counted = || nodes[1].status().refused("records", "wrong_grid") >= 1;
    raw.runs_while(eventually("another grid's is refused", counted)).await;
    raw.runs_while(finds(grid, &nodes[1], &[&others, &good])).await;
}

#[tokio::test]
async fn what_has_ended_is_neither_found_nor_kept() {
    let mut world = World::new();
    let first = world.start(0, &[]).await;
    let offered = world.grid.sign(0, &offer(&world.grid.charter));
    publish(&first, &offered);
    finds(&world.grid, &first, &[&offered]).await;
    let config = World::config(&[TCP], &[first.address()]);
    let late = world.try_start_at(1, config, later).await.unwrap();
    let nodes = [first, late];
    all_connected(&nodes).await;
    publish(&nodes[0], &offered);
    let refused = || nodes[1].status().refused("records", "stale") >= 1;
    eventually("it comes too late", refused).await;
    finds(&world.grid, &nodes[1], &[]).await;
    assert_eq!(INTERVAL.plus(12), world.grid.charter.interval.interval_at(later()));
}
