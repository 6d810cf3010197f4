//! Golden vectors: the exact bytes of everything that is signed, hashed or stored, in files.
//!
//! A change here is a change of the protocol: every other implementation, every stored certificate and
//! every signature made so far stops being valid. If that is meant, write the files anew with
//! `cargo test -p boltgrid-protocol --test wire -- --ignored write_the_golden_vectors` and say so in
//! PROTOCOL.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use boltgrid_protocol::agreement::{BookCertificate, merkle_root};
use boltgrid_protocol::codec;
use boltgrid_protocol::enrolment::CertifiedEnrolment;
use boltgrid_protocol::envelope::{Payload, Signed};
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::offer::{Day, offers_key};
use boltgrid_protocol::topic::Topic;

use crate::fixture::{Grid, INTERVAL, key, now, offer};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Bytes as hexadecimal digits, 32 bytes to a line.
fn to_lines(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| hex::encode(line) + "\n").collect()
}

fn from_lines(text: &str) -> Vec<u8> {
    hex::decode(text.lines().collect::<String>()).expect("golden files hold hexadecimal digits")
}

/// Every golden file by name.
fn vectors() -> BTreeMap<String, String> {
    let grid = Grid::sample();
    let mut files: BTreeMap<String, String> = grid
        .messages()
        .into_iter()
        .map(|(name, bytes)| (format!("{name}.hex"), to_lines(&bytes)))
        .collect();
    for (name, author, deed) in
        [("deed_of_arbiter", 2, grid.arbitration()), ("deed_of_payee", 1, grid.hold())]
    {
        files.insert(format!("{name}.hex"), to_lines(grid.sign(author, &deed).bytes()));
    }
    files.insert("charter.hex".to_owned(), to_lines(&codec::canonical(grid.charter.as_ref())));
    files.insert("enrolment.hex".to_owned(), to_lines(&grid.people[0].certified.to_bytes()));
    files.insert("certificate.hex".to_owned(), to_lines(&grid.certificate().to_bytes()));
    files.insert("hashes.txt".to_owned(), hashes(&grid));
    files
}

fn hashes(grid: &Grid) -> String {
    let mut gate = grid.gatekeeper();
    let mut lines = vec![
        format!("grid {}", grid.charter.grid_id()),
        format!("roster {}", grid.roster.hash()),
        format!("enrolment {}", hex::encode(grid.people[0].certified.enrolment.hash())),
        format!("book {}", grid.certificate().book.hash(&grid.roster, INTERVAL)),
        format!(
            "offers_key {}",
            hex::encode(offers_key(
                &grid.charter.grid_id(),
                offer(&grid.charter).product,
                Day::of(now(&grid.charter)),
                0,
            ))
        ),
        format!("topic {}", Topic::Orders.name(&grid.charter.grid_id())),
    ];
    for (name, bytes) in grid.messages() {
        let message = gate.admit(bytes, now(&grid.charter)).expect("the samples are valid");
        lines.push(format!("{name} {}", hash_of(&message)));
    }
    for count in [0, 1, 2, 3, 5, 8] {
        let leaves: Vec<_> = (1..=count).map(|byte| MessageHash::from_bytes([byte; 32])).collect();
        lines.push(format!("merkle_root_of_{count} {}", merkle_root(&leaves)));
    }
    for view in 0..grid.charter.interval.views {
        let leader = grid.roster.leader(INTERVAL, view).expect("somebody votes");
        lines.push(format!("leader_of_view_{view} {leader}"));
    }
    let signature = hex::encode(key(1, 0).sign(b"boltgrid").to_bytes());
    lines.push(format!("signer {}", key(1, 0).participant_id()));
    lines.push(format!("signature_of_boltgrid {signature}"));
    lines.join("\n") + "\n"
}

fn hash_of(message: &Message) -> MessageHash {
    match message {
        Message::Order(it) => it.hash(),
        Message::Ack(it) => it.hash(),
        Message::Proposal(it) => it.hash(),
        Message::Vote(it) => it.hash(),
        Message::Confirm(it) => it.hash(),
        Message::Reading(it) => it.hash(),
        Message::Evidence(it) => it.hash(),
        Message::PeerRecord(it) => it.hash(),
        Message::Offer(it) => it.hash(),
        Message::Acceptance(it) => it.hash(),
        Message::Reply(it) => it.hash(),
        Message::Invoice(it) => it.hash(),
        Message::Deed(it) => it.hash(),
        Message::Seal(it) => it.hash(),
        Message::Share(it) => it.hash(),
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("there is a golden file of every name")
}

#[test]
fn the_bytes_of_everything_are_what_they_always_were() {
    let vectors = vectors();
    for (name, expected) in &vectors {
        assert_eq!(&read(name), expected, "{name} changed: is that meant?");
    }
    let stored = fs::read_dir(folder()).expect("the folder is part of the repository").count();
    assert_eq!(stored, vectors.len(), "a golden file that no test reads");
}

#[test]
fn golden_messages_are_still_admitted() {
    let grid = Grid::sample();
    let mut gate = grid.gatekeeper();
    for (name, _) in grid.messages() {
        let bytes = from_lines(&read(&format!("{name}.hex")));
        assert!(gate.admit(bytes, now(&grid.charter)).is_ok(), "{name}");
    }
    let enrolment = CertifiedEnrolment::from_bytes(&from_lines(&read("enrolment.hex")));
    assert!(enrolment.expect("an enrolment").verify(&grid.charter).is_ok());
    let certificate = BookCertificate::from_bytes(&from_lines(&read("certificate.hex")));
    assert!(certificate.expect("a certificate").verify(&grid.charter, &grid.roster).is_ok());
}

/// The parts of a message stand where PROTOCOL.md says, so that others can write one by hand.
#[test]
fn a_message_is_laid_out_as_the_protocol_says() {
    let grid = Grid::sample();
    let bytes = from_lines(&read("vote.hex"));
    let person = &grid.people[1];
    let (author, signature) = (person.key.participant_id(), person.key.sign(&bytes[..153]));
    let (grid_id, roster) = (grid.charter.grid_id(), grid.roster.hash());
    let expected: [(usize, &[u8]); 12] = [
        (0, b"BG"),
        (2, &[0, 1]),
        (4, &[0, 0, 0, 3]),
        (8, grid_id.as_bytes()),
        (40, roster.as_bytes()),
        (72, &INTERVAL.to_number().to_be_bytes()),
        (80, author.as_bytes()),
        (112, &[0, 0, 0, 1]),
        (116, &[0, 0, 0, 1]),
        (120, &[1]),
        (121, &[7; 32]),
        (153, &signature.to_bytes()),
    ];
    for (offset, part) in expected {
        assert_eq!(&bytes[offset..offset + part.len()], part, "at {offset}");
    }
    assert_eq!(bytes.len(), 153 + 64);
    let vote = Signed::<boltgrid_protocol::agreement::Vote>::decode(bytes).expect("a vote");
    assert_eq!(vote.header().kind, boltgrid_protocol::agreement::Vote::KIND);
}

#[test]
#[ignore = "writes the golden files; run it by name when the protocol is meant to change"]
fn write_the_golden_vectors() {
    for (name, text) in vectors() {
        fs::write(folder().join(name), text).expect("the folder is part of the repository");
    }
}
