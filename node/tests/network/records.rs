//! Only true records of members come into the DHT, and each under its own key.

use std::num::NonZeroUsize;

use boltgrid::network::NetworkConfig;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::peer::{LightningContact, PeerRecord};
use boltgrid_protocol::signing::Keypair;
use ldk_node::bitcoin::secp256k1::{Secp256k1, SecretKey};
use ldk_node::lightning::util::message_signing;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{Quorum, Record, RecordKey};

use crate::fixture::{Grid, full_record, peer_record};
use crate::raw::Raw;
use crate::world::{Node, TCP, World, clock, eventually};

/// Where a member's record belongs, worked out anew.
pub(crate) fn key_of(grid: &Grid, participant: &ParticipantId) -> RecordKey {
    let bytes = [grid.charter.grid_id().as_bytes(), participant.as_bytes().as_slice()].concat();
    RecordKey::new(&blake3::derive_key("boltgrid 1 peer record", &bytes))
}

pub(crate) fn put(raw: &mut Raw, key: RecordKey, value: Vec<u8>) {
    let node = raw.node();
    let record = Record::new(key, value);
    let quorum = Quorum::N(NonZeroUsize::MIN);
    raw.swarm.behaviour_mut().kad.put_record_to(record, [node].into_iter(), quorum);
}

#[tokio::test]
async fn a_true_record_is_taken_and_everything_else_is_counted() {
    let mut world = World::new();
    let node = world.start(0, &[]).await;
    let (grid_id, address) = (world.grid.charter.grid_id(), node.address());
    let mut raw = Raw::connected(&Keypair::from_seed(&[101; 32]), grid_id, &address).await;

    let grid = &world.grid;
    let sign = |record: &PeerRecord| -> Verified<PeerRecord> { grid.sign(4, record) };
    let good = peer_record(&grid.charter);
    let over = PeerRecord {
        made_at: clock().minus_ms(2_000_000),
        expires_at: clock().minus_ms(1),
        ..good.clone()
    };
    let to_come = PeerRecord { made_at: clock().plus_ms(60_000), ..good.clone() };
    let own = key_of(grid, &sign(&good).participant());
    let other = key_of(grid, &grid.people[0].key.participant_id());
    let unsigned = full_record(&grid.charter);
    let mut forged = sign(&good).bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;

    for (reason, key, value) in [
        ("malformed", own.clone(), b"junk".to_vec()),
        ("wrong_kind", own.clone(), grid.messages()[0].1.to_vec()),
        ("bad_signature", own.clone(), forged),
        ("wrong_key", other, sign(&good).bytes().to_vec()),
        ("stale", own.clone(), sign(&over).bytes().to_vec()),
        ("future", own.clone(), sign(&to_come).bytes().to_vec()),
        ("not_its_lightning", own.clone(), sign(&unsigned).bytes().to_vec()),
    ] {
        put(&mut raw, key, value);
        raw.runs_while(node.refuses("records", reason, 1)).await;
    }
    assert_eq!(node.status().members_known, 0);

    put(&mut raw, own.clone(), sign(&good).bytes().to_vec());
    let known = eventually("it is taken", || node.status().members_known == 1);
    raw.runs_while(known).await;

    let earlier = PeerRecord { sequence: good.sequence - 1, ..good };
    put(&mut raw, own, sign(&earlier).bytes().to_vec());
    raw.runs_while(node.refuses("records", "superseded", 1)).await;
}

#[tokio::test]
async fn a_members_own_record_can_be_looked_up_by_anybody() {
    let mut world = World::new();
    let nodes = world.start_first(3).await;
    let (grid, address) = (world.grid.charter.grid_id(), nodes[0].address());
    let mut raw = Raw::connected(&Keypair::from_seed(&[101; 32]), grid, &address).await;
    let (node, key) = (raw.node(), key_of(&world.grid, &nodes[2].id));
    raw.swarm.behaviour_mut().kad.add_address(&node, address);
    let found = raw.finds(key).await;
    let record = world.grid.gatekeeper().admit(found.value, clock()).unwrap();
    let boltgrid_protocol::message::Message::PeerRecord(record) = record else {
        panic!("not a record");
    };
    assert_eq!(record.participant(), nodes[2].id);
    assert_eq!(record.body().addresses, [nodes[2].address().to_string()]);
}

#[tokio::test]
async fn a_member_is_found_by_its_record_alone() {
    let mut world = World::new();
    // Somebody who is no member keeps the record of one that nobody knows, and is no more help.
    let found = world.start(2, &[]).await;
    let record = PeerRecord {
        addresses: vec![found.address().to_string()],
        ..peer_record(&world.grid.charter)
    };
    let value = world.grid.sign(2, &record).bytes().to_vec();
    let mut raw = Raw::new(&Keypair::from_seed(&[101; 32]), world.grid.charter.grid_id());
    let keeper = raw.listens(TCP).await;
    let record = Record::new(key_of(&world.grid, &found.id), value);
    raw.swarm.behaviour_mut().kad.store_mut().put(record).unwrap();

    let seeker = raw.runs_while(world.start(1, &[keeper])).await;
    let connected = eventually("it is found", || seeker.status().members_connected == 1);
    raw.runs_while(connected).await;
    assert_eq!(seeker.status().strangers, 0, "whom the owner names is no stranger");
    eventually("both know", || found.status().members_connected == 1).await;
}

#[tokio::test]
async fn members_learn_where_each_others_lightning_nodes_are() {
    let mut world = World::new();
    let grid = world.grid.charter.grid_id();
    let mut nodes: Vec<Node> = Vec::new();
    let mut contacts = Vec::new();
    for place in 0..2 {
        let participant = world.grid.people[place].key.participant_id();
        let secret = SecretKey::from_slice(&[u8::try_from(place).unwrap() + 1; 32]).unwrap();
        let node = secret.public_key(&Secp256k1::new()).to_string().parse().unwrap();
        let contact = LightningContact {
            node,
            addresses: vec![format!("192.0.2.{place}:9735")],
            signature: message_signing::sign(
                &LightningContact::binding(&grid, &participant),
                &secret,
            ),
        };
        let first: Vec<_> = nodes.first().map(Node::address).into_iter().collect();
        let config = World::config(&[TCP], &first);
        let config = NetworkConfig { lightning: Some(contact.clone()), ..config };
        nodes.push(world.try_start(place, config).await.unwrap());
        contacts.push(contact);
    }
    for (asking, asked) in [(0, 1), (1, 0)] {
        let known = || nodes[asking].handle.lightning_contacts().get(&nodes[asked].id).cloned();
        eventually("the other's Lightning node is known", || known().is_some()).await;
        assert_eq!(known().as_ref(), Some(&contacts[asked]));
    }
}
