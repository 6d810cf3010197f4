//! Who is dialled, looked up and left, and when.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use super::*;
use crate::network::ring::{NEIGHBOURS_MAX, neighbours};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, Power, Timestamp};

const CHARTER: &str = include_str!("../../../../protocol/tests/charter.toml");
const FEW: u32 = 64;
const INTERVAL: Duration = Duration::from_secs(300);

/// A member's Lightning node, as far as the book-keeping looks at it.
fn lightning() -> LightningContact {
    let node = format!("02{}", "11".repeat(32)).parse().unwrap();
    LightningContact {
        node,
        addresses: vec!["192.0.2.1:9735".to_owned()],
        signature: String::new(),
    }
}

fn key(number: u8) -> Keypair {
    Keypair::from_seed(&[number; 32])
}

fn id(number: u8) -> ParticipantId {
    key(number).participant_id()
}

fn peer(number: u8) -> PeerId {
    peer_of(&id(number)).unwrap()
}

fn address(number: u8) -> Multiaddr {
    format!("/ip4/192.0.2.{number}/tcp/4001").parse().unwrap()
}

fn charter() -> Charter {
    Charter::from_toml(CHARTER).unwrap()
}

/// A roster of the members with these numbers.
fn roster(numbers: impl IntoIterator<Item = u8>) -> Roster {
    let charter = charter();
    let certified = |number| {
        let mut certified = CertifiedEnrolment::request(Enrolment {
            grid: charter.grid_id(),
            participant: id(number),
            meter: key(number).meter_key(),
            connection_point: "bus-1".to_owned(),
            outside: false,
            rated_import_mw: Power::from_milliwatts(1),
            rated_export_mw: Power::from_milliwatts(1),
            votes: true,
            valid_from: Interval::from_number(0),
            valid_until: Interval::from_number(1),
        });
        [201, 202].into_iter().for_each(|registrar| certified.sign(&key(registrar)));
        certified
    };
    let enrolments: Vec<_> = numbers.into_iter().map(certified).collect();
    Roster::at(&charter, &enrolments, Interval::from_number(0)).unwrap()
}

/// The first member's view of a grid with so many others.
fn peers(others: u8, bootstrap: Vec<Multiaddr>, now: Instant) -> Peers {
    let mut peers = Peers::new(id(0), bootstrap, FEW, INTERVAL, now);
    assert_eq!(peers.take_over(&roster(0..=others), now).unwrap().left, []);
    peers
}

fn record(number: u8, sequence: u64, address: &Multiaddr) -> Verified<PeerRecord> {
    record_with(number, sequence, address, None)
}

fn record_with(
    number: u8,
    sequence: u64,
    address: &Multiaddr,
    lightning: Option<LightningContact>,
) -> Verified<PeerRecord> {
    let record = PeerRecord {
        addresses: vec![address.to_string()],
        sequence,
        made_at: Timestamp::from_unix_ms(1),
        expires_at: Timestamp::from_unix_ms(2),
        lightning,
    };
    let author = (&id(number), &key(number));
    Verified::sign(&record, Interval::default(), author, (&charter(), &roster([number]))).unwrap()
}

#[test]
fn a_grid_is_found_from_one_address() {
    let now = Instant::now();
    let mut peers = peers(2, vec![address(1)], now);
    let plan = peers.plan(0, now);
    assert_eq!(plan.bootstrap, [address(1)]);
    assert_eq!(plan.look_up.len(), 2, "all others are looked for");
    assert_eq!(plan.dial, []);
    assert_eq!(peers.plan(0, now), Plan::default(), "all that is tried for now");

    peers.connected(peer(1), Some(&address(1)), now).unwrap();
    peers.learn(&id(2), [address(2)], now);
    let plan = peers.plan(0, now + RETRY_MAX);
    assert_eq!(plan.dial, [(peer(2), vec![address(2)])]);
    assert_eq!(plan.bootstrap, [], "it is connected");
    peers.connected(peer(2), None, now).unwrap();
    assert_eq!(peers.plan(0, now + RETRY_MAX * 2), Plan::default(), "all are there");
    let census = Census {
        members: 2,
        known: 1,
        connected: 2,
        dialled: 1,
        pinned: 2,
        pinned_connected: 2,
        strangers: 0,
    };
    assert_eq!(peers.census(), census);
}

#[test]
fn a_lost_member_is_dialled_again_at_once_and_then_less_and_less_often() {
    let now = Instant::now();
    let mut peers = peers(1, Vec::new(), now);
    peers.learn(&id(1), [address(1)], now);
    assert_eq!(peers.plan(0, now).dial.len(), 1);
    peers.connected(peer(1), None, now).unwrap();
    let lost = now + GOOD_CONNECTION;
    peers.disconnected(&peer(1), lost);
    let dialled_in = |peers: &mut Peers, seconds: u64| {
        let at = lost + Duration::from_secs(seconds);
        let plan = peers.plan(LOOKUPS_AT_ONCE, at);
        peers.unreachable(&peer(1));
        !plan.dial.is_empty()
    };
    let dialled: Vec<_> = (0..100).filter(|at| dialled_in(&mut peers, *at)).collect();
    assert_eq!(dialled, [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn a_member_that_is_not_where_it_was_is_looked_up_again() {
    let now = Instant::now();
    let mut peers = peers(1, Vec::new(), now);
    peers.learn(&id(1), [address(1)], now);
    assert_eq!(peers.plan(0, now).look_up, []);
    peers.unreachable(&peer(1));
    assert_eq!(peers.plan(0, now).look_up, [id(1)]);
    let moved = record(1, 7, &address(9));
    assert_eq!(peers.learn_record(&moved, now), Ok(Novelty::News));
    assert_eq!(peers.learn_record(&moved, now), Ok(Novelty::Known));
    let plan = peers.plan(LOOKUPS_AT_ONCE, now);
    assert_eq!(plan.dial, [(peer(1), vec![address(9), address(1)])], "news is tried at once");
}

#[test]
fn an_earlier_record_does_not_replace_a_later_one() {
    let now = Instant::now();
    let mut peers = peers(1, Vec::new(), now);
    assert_eq!(peers.learn_record(&record(1, 7, &address(7)), now), Ok(Novelty::News));
    assert_eq!(peers.learn_record(&record(1, 6, &address(6)), now), Err(Refused::Superseded));
    assert_eq!(peers.find(&id(1)).unwrap().1, [address(7)]);
    assert_eq!(peers.learn_record(&record(0, 9, &address(9)), now), Ok(Novelty::Known));
}

#[test]
fn addresses_do_not_pile_up() {
    let now = Instant::now();
    let mut peers = peers(1, Vec::new(), now);
    for number in 0..100 {
        peers.learn(&id(1), [address(number)], now);
    }
    let known = peers.find(&id(1)).unwrap().1;
    assert_eq!(known.len(), ADDRESSES_MAX);
    assert_eq!(known[0], address(99));
}

#[test]
fn in_a_large_grid_some_are_dialled_and_too_many_are_left_again() {
    let now = Instant::now();
    let mut peers = peers(60, vec![address(1)], now);
    for number in 1..=60 {
        peers.learn(&id(number), [address(number)], now);
    }
    let mut dialled = Vec::new();
    for _ in 0..10 {
        for (peer, addresses) in peers.plan(0, now).dial {
            peers.connected(peer, addresses.first(), now).unwrap();
            dialled.push(peer);
        }
    }
    assert_eq!(dialled.len(), 16);
    let pinned: Vec<_> = (1..=60).map(peer).filter(|peer| peers.is_pinned(peer)).collect();
    assert!((4..=NEIGHBOURS_MAX).contains(&pinned.len()), "{}", pinned.len());
    assert!(pinned.iter().all(|peer| dialled.contains(peer)), "neighbours come first");

    let all: Vec<_> = (1..=60).map(peer).collect();
    for peer in &all {
        peers.connected(*peer, None, now).unwrap();
    }
    assert_eq!(peers.plan(0, now), Plan::default(), "they need time to find others");
    let mut left = Vec::new();
    for _ in 0..20 {
        for peer in peers.plan(0, now + GOOD_CONNECTION).part {
            peers.disconnected(&peer, now + GOOD_CONNECTION);
            left.push(peer);
        }
    }
    assert_eq!(left.len(), 60 - 32);
    assert!(dialled.iter().all(|peer| !left.contains(peer)), "those we want are kept");
}

#[test]
fn few_strangers_are_let_in_and_bootstrap_peers_are_none() {
    let now = Instant::now();
    let mut peers = peers(1, vec![address(200)], now);
    peers.connected(peer(200), Some(&address(200)), now).unwrap();
    let let_in = (100..150).filter(|number| peers.connected(peer(*number), None, now).is_ok());
    assert_eq!(let_in.count(), STRANGERS_MAX);
    assert_eq!(peers.connected(peer(100), None, now), Ok(()), "one that is in already");
    peers.disconnected(&peer(100), now);
    assert_eq!(peers.connected(peer(149), None, now), Ok(()));
    assert_eq!(peers.standing(&peer(200)), Standing::Bootstrap);
    peers.disconnected(&peer(200), now);
    assert_eq!(peers.standing(&peer(200)), Standing::Stranger);
}

#[test]
fn a_new_roster_brings_members_and_names_those_who_left() {
    let now = Instant::now();
    let mut peers = peers(2, Vec::new(), now);
    peers.connected(peer(3), None, now).unwrap();
    peers.learn(&id(2), [address(2)], now);
    let turnover = peers.take_over(&roster([0, 2, 3]), now).unwrap();
    assert_eq!(turnover.left, [peer(1)]);
    assert_eq!(turnover.unpinned, [peer(1)]);
    assert_eq!(turnover.pinned, [peer(3)]);
    assert_eq!(turnover.members, [peer(2), peer(3)].into());
    assert_eq!(peers.take_over(&roster([0, 2, 3]), now), None, "nothing is new");
    assert_eq!(peers.member(&peer(1)), None);
    assert_eq!(peers.member(&peer(3)), Some(id(3)));
    assert_eq!(peers.find(&id(2)).unwrap().1, [address(2)], "what is known of the others stays");
    assert_eq!(peers.census().strangers, 0);
}

#[test]
fn a_member_that_cannot_be_reached_is_dialled_several_times_an_interval() {
    let mut now = Instant::now();
    let interval = Duration::from_secs(10);
    let mut peers = Peers::new(id(0), Vec::new(), FEW, interval, now);
    peers.take_over(&roster(0..=1), now);
    peers.learn(&id(1), [address(1)], now);
    // Long after the wait has stopped growing.
    for _ in 0..200 {
        now += Duration::from_secs(1);
        peers.plan(0, now);
    }
    let moments = (1..=100_u32).map(|part| now + part * interval / 100);
    let dials = moments.filter(|at| !peers.plan(0, *at).dial.is_empty()).count();
    assert!(dials >= 3, "{dials}");
}

#[test]
fn neighbours_are_mutual_and_change_with_the_roster() {
    let all = roster(0..=40);
    for number in 0..=40 {
        let mine = neighbours(&all, &id(number));
        assert!(!mine.contains(&id(number)));
        assert!((3..=NEIGHBOURS_MAX).contains(&mine.len()), "{}", mine.len());
        assert!(mine.iter().all(|other| neighbours(&all, other).contains(&id(number))));
    }
    let fewer = roster(0..=39);
    let changed = |number| neighbours(&all, &id(number)) != neighbours(&fewer, &id(number));
    assert!((0..=39).filter(|number| changed(*number)).count() > 30, "the rings are new");
    assert_eq!(neighbours(&all, &id(100)).len(), 0, "who is no member has none");
    assert_eq!(neighbours(&roster([0]), &id(0)).len(), 0);
    assert_eq!(neighbours(&roster([0, 1]), &id(0)), [id(1)].into());
}

#[test]
fn those_who_come_are_not_all_whom_we_know() {
    let now = Instant::now();
    let mut peers = peers(60, Vec::new(), now);
    for number in 1..=60 {
        peers.learn(&id(number), [address(number)], now);
    }
    // Enough come by themselves, and none of them is a neighbour.
    let come: Vec<_> = (1..=60).map(peer).filter(|peer| !peers.is_pinned(peer)).take(40).collect();
    for peer in &come {
        peers.connected(*peer, None, now).unwrap();
    }
    let mut dialled = 0;
    for _ in 0..5 {
        for (peer, addresses) in peers.plan(0, now).dial {
            assert!(!come.contains(&peer));
            peers.connected(peer, addresses.first(), now).unwrap();
            dialled += 1;
        }
    }
    assert_eq!(dialled, DIALLED_MIN);
    assert_eq!(peers.census().pinned_connected, peers.census().pinned);
}

#[test]
fn a_neighbour_is_dialled_and_kept_however_many_there_are() {
    let now = Instant::now();
    let mut peers = peers(60, Vec::new(), now);
    for number in 1..=60 {
        peers.learn(&id(number), [address(number)], now);
        let others = (!peers.is_pinned(&peer(number))).then_some(peer(number));
        others
            .into_iter()
            .for_each(|other| peers.connected(other, Some(&address(1)), now).unwrap());
    }
    let plan = peers.plan(0, now);
    assert_eq!(plan.dial.len(), peers.census().pinned);
    assert!(plan.dial.iter().all(|(peer, _)| peers.is_pinned(peer)));
    for (peer, addresses) in plan.dial {
        peers.connected(peer, addresses.first(), now).unwrap();
    }
    let later = now + GOOD_CONNECTION;
    for _ in 0..20 {
        for peer in peers.plan(0, later).part {
            assert!(!peers.is_pinned(&peer));
            peers.disconnected(&peer, later);
        }
    }
    assert_eq!(peers.census().connected, 32);
}

#[test]
fn whoever_has_lightning_looks_up_the_records_of_connected_members_once_each() {
    let now = Instant::now();
    let mut peers = peers(2, Vec::new(), now);
    for number in [1, 2] {
        peers.connected(peer(number), None, now).unwrap();
    }
    assert_eq!(peers.plan(0, now).look_up, [], "without Lightning, a connection is all one needs");
    peers.seek_lightning();
    assert_eq!(peers.plan(0, now).look_up.len(), 2);
    assert_eq!(peers.plan(0, now).look_up, [], "they are being looked up");
    let mut known = record(1, 7, &address(7));
    assert_eq!(peers.learn_record(&known, now), Ok(Novelty::News));
    assert_eq!(peers.lightning_contacts(), BTreeMap::new(), "it has none");
    known = record_with(1, 8, &address(7), Some(lightning()));
    assert_eq!(peers.learn_record(&known, now), Ok(Novelty::News));
    assert_eq!(peers.lightning_contacts(), BTreeMap::from([(id(1), lightning())]));
    assert_eq!(peers.plan(0, now + RETRY_MAX * 2).look_up, [id(2)], "the other is still missing");
}
