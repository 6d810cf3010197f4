//! Nothing but an author's own bytes counts as a message of that author, and only for what it was
//! signed for: every single bit, and every kind, interval, roster, grid and author, is tried.

use std::sync::Arc;

use boltgrid_protocol::agreement::{Ack, BookCertificate, Proposal, Vote};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::codec::{self, CodecRejected};
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::enrolment::CertifiedEnrolment;
use boltgrid_protocol::envelope::{Header, Kind, MessageRejected, Payload, Signed};
use boltgrid_protocol::escrow::Deed;
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::forward::{Acceptance, Reply};
use boltgrid_protocol::id::RosterHash;
use boltgrid_protocol::invoice::Invoice;
use boltgrid_protocol::masking::Share;
use boltgrid_protocol::message::{EntryRejected, Gatekeeper};
use boltgrid_protocol::offer::Offer;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::peer::PeerRecord;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::seal::Seal;

use crate::fixture::{CHARTER, Grid, INTERVAL, certified, enrolment, key, now};

/// Bytes of a header, from magic to author.
const HEADER_LEN: usize = 112;
const SIGNATURE_LEN: usize = 64;
const KINDS: [Kind; 15] = [
    Kind::Order,
    Kind::Ack,
    Kind::Proposal,
    Kind::Vote,
    Kind::TradeConfirm,
    Kind::Reading,
    Kind::Evidence,
    Kind::PeerRecord,
    Kind::Offer,
    Kind::Acceptance,
    Kind::Reply,
    Kind::Invoice,
    Kind::Deed,
    Kind::Seal,
    Kind::Share,
];

const BAD_SIGNATURE: EntryRejected = EntryRejected::Message(MessageRejected::BadSignature);

const WRONG_ROSTER: EntryRejected = EntryRejected::Message(MessageRejected::WrongRoster);

/// Whether a sample message is of one interval and its roster.
fn is_bound(bytes: &[u8]) -> bool {
    Header::peek(bytes).expect("a sample").kind.is_bound()
}

fn verify_as<T: Payload>(bytes: &[u8], (charter, roster): (&Charter, &Roster)) -> bool {
    Signed::<T>::decode(bytes).and_then(|signed| signed.verify(charter, roster)).is_ok()
}

/// Whether the bytes verify as a message of `kind`.
fn verifies_as(kind: Kind, bytes: &[u8], gate: (&Charter, &Roster)) -> bool {
    match kind {
        Kind::Order => verify_as::<Order>(bytes, gate),
        Kind::Ack => verify_as::<Ack>(bytes, gate),
        Kind::Proposal => verify_as::<Proposal>(bytes, gate),
        Kind::Vote => verify_as::<Vote>(bytes, gate),
        Kind::TradeConfirm => verify_as::<TradeConfirm>(bytes, gate),
        Kind::Reading => verify_as::<Reading>(bytes, gate),
        Kind::Evidence => verify_as::<Evidence>(bytes, gate),
        Kind::PeerRecord => verify_as::<PeerRecord>(bytes, gate),
        Kind::Offer => verify_as::<Offer>(bytes, gate),
        Kind::Acceptance => verify_as::<Acceptance>(bytes, gate),
        Kind::Reply => verify_as::<Reply>(bytes, gate),
        Kind::Invoice => verify_as::<Invoice>(bytes, gate),
        Kind::Deed => verify_as::<Deed>(bytes, gate),
        Kind::Seal => verify_as::<Seal>(bytes, gate),
        Kind::Share => verify_as::<Share>(bytes, gate),
    }
}

/// The message with another header in front of its body and signature.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::peek(bytes).expect("a sample");
    change(&mut header);
    [codec::canonical(&header).as_slice(), &bytes[HEADER_LEN..]].concat()
}

/// Calls `check` with every version of the bytes that differs in one bit.
fn for_every_flipped_bit(bytes: &[u8], mut check: impl FnMut(&[u8], usize)) {
    let mut flipped = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(&flipped, bit);
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn one_flipped_bit_anywhere_in_a_message_never_verifies() {
    let grid = Grid::sample();
    let gate = (grid.charter.as_ref(), grid.roster.as_ref());
    for (name, bytes) in grid.messages() {
        let kind = Header::peek(&bytes).expect("a sample").kind;
        assert!(verifies_as(kind, &bytes, gate), "{name}");
        for_every_flipped_bit(&bytes, |flipped, bit| {
            // The header's kind may have changed: try what it says and what it was.
            let said = Header::peek(flipped).map_or(kind, |header| header.kind);
            for kind in [kind, said] {
                assert!(!verifies_as(kind, flipped, gate), "{name} with bit {bit} flipped");
            }
        });
    }
}

#[test]
fn one_flipped_bit_anywhere_in_a_certificate_never_verifies() {
    let grid = Grid::sample();
    for_every_flipped_bit(&grid.certificate().to_bytes(), |flipped, bit| {
        let read = BookCertificate::from_bytes(flipped);
        let verified = read.is_ok_and(|it| it.verify(&grid.charter, &grid.roster).is_ok());
        assert!(!verified, "a certificate with bit {bit} flipped");
    });
}

#[test]
fn one_flipped_bit_anywhere_in_an_enrolment_never_verifies() {
    let grid = Grid::sample();
    for_every_flipped_bit(&grid.people[0].certified.to_bytes(), |flipped, bit| {
        let read = CertifiedEnrolment::from_bytes(flipped);
        let verified = read.is_ok_and(|it| it.verify(&grid.charter).is_ok());
        assert!(!verified, "an enrolment with bit {bit} flipped");
    });
}

#[test]
fn a_message_does_not_verify_as_any_other_kind() {
    let grid = Grid::sample();
    let gate = (grid.charter.as_ref(), grid.roster.as_ref());
    for (name, bytes) in grid.messages() {
        let own = Header::peek(&bytes).expect("a sample").kind;
        for kind in KINDS.into_iter().filter(|kind| *kind != own) {
            assert!(!verifies_as(kind, &bytes, gate), "{name} as {kind:?}");
            let relabelled = with_header(&bytes, |header| header.kind = kind);
            assert!(!verifies_as(kind, &relabelled, gate), "{name} relabelled as {kind:?}");
        }
    }
}

#[test]
fn a_message_does_not_verify_under_any_other_interval() {
    let grid = Grid::sample();
    let mut gate = grid.gatekeeper();
    for (name, bytes) in grid.messages() {
        for interval in [INTERVAL.previous(), INTERVAL.next(), INTERVAL.plus(2)] {
            let replayed = with_header(&bytes, |header| header.interval = interval);
            let expected = if is_bound(&bytes) { BAD_SIGNATURE } else { WRONG_ROSTER };
            let admitted = gate.admit(replayed, now(&grid.charter)).map(|_| ());
            assert_eq!(admitted, Err(expected), "{name} in {interval}");
        }
    }
}

#[test]
fn a_message_does_not_verify_under_any_other_roster() {
    let grid = Grid::sample();
    let larger = Grid::of(6, 4);
    assert_ne!(larger.roster.hash(), grid.roster.hash());
    for (name, bytes) in grid.messages() {
        let replayed = with_header(&bytes, |header| header.roster = larger.roster.hash());
        let admitted = larger.gatekeeper().admit(replayed, now(&grid.charter)).map(|_| ());
        let expected = if is_bound(&bytes) { BAD_SIGNATURE } else { WRONG_ROSTER };
        assert_eq!(admitted, Err(expected), "{name}");
        let unbound = with_header(&bytes, |header| header.roster = RosterHash::default());
        let admitted = grid.gatekeeper().admit(unbound, now(&grid.charter)).map(|_| ());
        if is_bound(&bytes) {
            assert_eq!(admitted, Err(WRONG_ROSTER), "{name}");
        }
    }
}

#[test]
fn a_message_does_not_verify_in_any_other_grid() {
    // The same people in a grid that differs in its name only.
    let ours = Grid::sample();
    let charter = Charter::from_toml(&CHARTER.replace("Lindenhof", "Eichenhof"));
    let charter = Arc::new(charter.expect("only the name differs"));
    let enrolments: Vec<_> = ours
        .people
        .iter()
        .map(|person| certified(enrolment(&charter, &person.key, &person.meter)))
        .collect();
    let rosters = Rosters::new(Arc::clone(&charter), enrolments).expect("all are valid");
    let mut gate = Gatekeeper::new(Arc::clone(&charter), rosters);
    let roster = gate.roster(INTERVAL).hash();
    for (name, bytes) in ours.messages() {
        let kind = Header::peek(&bytes).expect("a sample").kind;
        let theirs = (charter.as_ref(), gate.roster(INTERVAL));
        assert!(!verifies_as(kind, &bytes, (theirs.0, &theirs.1)), "{name} as it is");
        let replayed = with_header(&bytes, |header| {
            header.grid = charter.grid_id();
            if header.kind.is_bound() {
                header.roster = roster;
            }
        });
        let admitted = gate.admit(replayed, now(&charter)).map(|_| ());
        assert_eq!(admitted, Err(BAD_SIGNATURE), "{name}");
    }
}

#[test]
fn a_message_does_not_verify_as_anybody_elses() {
    let grid = Grid::sample();
    let mut gate = grid.gatekeeper();
    for (name, bytes) in grid.messages() {
        let own = Header::peek(&bytes).expect("a sample").author;
        for person in &grid.people {
            let other = person.key.participant_id();
            if other == own {
                continue;
            }
            let relabelled = with_header(&bytes, |header| header.author = other);
            let admitted = gate.admit(relabelled, now(&grid.charter)).map(|_| ());
            assert_eq!(admitted, Err(BAD_SIGNATURE), "{name}");
        }
    }
}

#[test]
fn a_message_signed_with_any_other_key_does_not_verify() {
    let grid = Grid::sample();
    let mut gate = grid.gatekeeper();
    for (name, bytes) in grid.messages() {
        let author = Header::peek(&bytes).expect("a sample").author;
        let unsigned = &bytes[..bytes.len() - SIGNATURE_LEN];
        let author = grid.person(grid.roster.index_of(&author).expect("a member"));
        // A reading is signed by the meter, everything else by the participant.
        let unused = if name == "reading" { &author.key } else { &author.meter };
        let others = grid.people.iter().filter(|person| !std::ptr::eq(*person, author));
        let wrong = others.flat_map(|other| [&other.key, &other.meter]);
        for key in wrong.chain([unused, &key(9, 9)]) {
            let signed = [unsigned, key.sign(unsigned).to_bytes().as_slice()].concat();
            let admitted = gate.admit(signed, now(&grid.charter)).map(|_| ());
            assert_eq!(admitted, Err(BAD_SIGNATURE), "{name}");
        }
    }
}

#[test]
fn trailing_bytes_are_refused_even_if_they_are_signed() {
    let grid = Grid::sample();
    let mut gate = grid.gatekeeper();
    let trailing = EntryRejected::Message(MessageRejected::Codec(CodecRejected::Trailing));
    for (name, bytes) in grid.messages() {
        let author = Header::peek(&bytes).expect("a sample").author;
        let author = grid.person(grid.roster.index_of(&author).expect("a member"));
        let key = if name == "reading" { &author.meter } else { &author.key };
        let mut longer = bytes[..bytes.len() - SIGNATURE_LEN].to_vec();
        longer.push(0);
        let signature = key.sign(&longer).to_bytes();
        longer.extend_from_slice(&signature);
        let admitted = gate.admit(longer, now(&grid.charter)).map(|_| ());
        assert_eq!(admitted, Err(trailing), "{name}");
        let behind = [&bytes[..], &[0]].concat();
        assert!(gate.admit(behind, now(&grid.charter)).is_err(), "{name}");
    }
    let certificate = [grid.certificate().to_bytes(), vec![0]].concat();
    assert!(BookCertificate::from_bytes(&certificate).is_err());
    let enrolment = [grid.people[0].certified.to_bytes(), vec![0]].concat();
    assert!(CertifiedEnrolment::from_bytes(&enrolment).is_err());
}

/// The group order of ed25519, little-endian: `S + ℓ` is the classic second form of a signature.
const GROUP_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn the_second_form_of_a_signature_does_not_verify() {
    let grid = Grid::sample();
    let mut gate = grid.gatekeeper();
    for (name, bytes) in grid.messages() {
        let mut malleated = bytes.to_vec();
        let scalar = bytes.len() - 32;
        let mut carry = 0;
        for (byte, added) in malleated[scalar..].iter_mut().zip(GROUP_ORDER) {
            let [low, high] = (u16::from(*byte) + u16::from(added) + carry).to_le_bytes();
            *byte = low;
            carry = u16::from(high);
        }
        let admitted = gate.admit(malleated, now(&grid.charter)).map(|_| ());
        assert_eq!(admitted, Err(BAD_SIGNATURE), "{name}");
    }
}
