//! Values and bytes correspond one to one: what is written reads back, no value has two encodings,
//! and bytes that are nobody's value are refused without a panic.

use std::fmt::Debug;

use boltgrid_protocol::agreement::{Ack, BookCertificate, Proposal, Vote};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::codec::{self, CodecRejected};
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::enrolment::CertifiedEnrolment;
use boltgrid_protocol::envelope::{Header, Signed};
use boltgrid_protocol::escrow::Deed;
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::forward::{Acceptance, Reply};
use boltgrid_protocol::invoice::Invoice;
use boltgrid_protocol::masking::Share;
use boltgrid_protocol::offer::{Offer, OfferSet};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::peer::PeerRecord;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::seal::Seal;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fixture::{CHARTER, Grid, now};
use crate::strategies;

/// A change to some bytes.
#[derive(Clone, Debug)]
enum Edit {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Truncate(prop::sample::Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    // Small numbers are tags, flags and lengths: those go deeper than noise does.
    let byte = || prop_oneof![0..9_u8, any::<u8>()];
    let at = any::<prop::sample::Index>;
    let edit = prop_oneof![
        6 => (at(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (at(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        2 => at().prop_map(Edit::Remove),
        1 => at().prop_map(Edit::Truncate),
    ];
    vec(edit, 1..5)
}

fn apply(edits: &[Edit], bytes: &mut Vec<u8>) {
    for edit in edits {
        if bytes.is_empty() {
            return;
        }
        match edit {
            Edit::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Edit::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Edit::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Edit::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

/// What is written reads back; and whatever else reads, reads as a value that is written so.
fn check<T>(value: &T, edits: &[Edit]) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let mut bytes = codec::canonical(value);
    prop_assert_eq!(&codec::decode::<T>(&bytes, codec::ENCODED_MAX).expect("reads back"), value);
    bytes.push(0);
    let trailing = codec::decode::<T>(&bytes, codec::ENCODED_MAX);
    prop_assert_eq!(trailing.expect_err("one byte too many"), CodecRejected::Trailing);
    bytes.pop();
    apply(edits, &mut bytes);
    if let Ok(other) = codec::decode::<T>(&bytes, codec::ENCODED_MAX) {
        prop_assert_eq!(codec::canonical(&other), bytes, "a second encoding of {:?}", other);
    }
    Ok(())
}

proptest! {
    #[test]
    fn orders_correspond_to_bytes(value in strategies::order(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn acks_correspond_to_bytes(value in strategies::ack(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn proposals_correspond_to_bytes(value in strategies::proposal(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn votes_correspond_to_bytes(value in strategies::vote(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn certificates_correspond_to_bytes(value in strategies::certificate(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn confirms_correspond_to_bytes(value in strategies::confirm(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn readings_correspond_to_bytes(value in strategies::reading(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn evidence_corresponds_to_bytes(value in strategies::evidence(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn peer_records_correspond_to_bytes(value in strategies::peer_record(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn offers_correspond_to_bytes(value in strategies::offer(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn acceptances_correspond_to_bytes(value in strategies::acceptance(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn replies_correspond_to_bytes(value in strategies::reply(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn invoices_correspond_to_bytes(value in strategies::invoice(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn deeds_correspond_to_bytes(value in strategies::deed(), edits in edits()) {
        check(&value, &edits)?;
    }

    #[test]
    fn enrolments_correspond_to_bytes(value in strategies::enrolment(), edits in edits()) {
        check(&value, &edits)?;
    }
}

/// Gives the bytes to everything that reads bytes of strangers.
fn give_to_every_decoder(grid: &Grid, bytes: &[u8]) {
    fn ignore<T, E>(result: Result<T, E>) -> bool {
        result.is_ok()
    }
    ignore(Header::peek(bytes));
    ignore(grid.gatekeeper().admit(bytes, now(&grid.charter)));
    ignore(Signed::<Order>::decode(bytes));
    ignore(Signed::<Ack>::decode(bytes));
    ignore(Signed::<Proposal>::decode(bytes));
    ignore(Signed::<Vote>::decode(bytes));
    ignore(Signed::<TradeConfirm>::decode(bytes));
    ignore(Signed::<Reading>::decode(bytes));
    ignore(Signed::<Evidence>::decode(bytes));
    ignore(Signed::<PeerRecord>::decode(bytes));
    ignore(Signed::<Offer>::decode(bytes));
    ignore(Signed::<Acceptance>::decode(bytes));
    ignore(Signed::<Reply>::decode(bytes));
    ignore(Signed::<Invoice>::decode(bytes));
    ignore(Signed::<Deed>::decode(bytes));
    ignore(Signed::<Seal>::decode(bytes));
    ignore(Signed::<Share>::decode(bytes));
    ignore(OfferSet::split(bytes));
    if let Ok(certified) = CertifiedEnrolment::from_bytes(bytes) {
        ignore(certified.verify(&grid.charter));
    }
    if let Ok(certificate) = BookCertificate::from_bytes(bytes) {
        ignore(certificate.verify(&grid.charter, &grid.roster));
    }
    ignore(Charter::from_toml(&String::from_utf8_lossy(bytes)));
}

proptest! {
    #[test]
    fn noise_never_panics_a_decoder(bytes in vec(any::<u8>(), 0..600), with_prefix: bool) {
        let grid = Grid::sample();
        let bytes = if with_prefix { [b"BG\0\x01", bytes.as_slice()].concat() } else { bytes };
        give_to_every_decoder(&grid, &bytes);
    }

    #[test]
    fn edited_bytes_never_panic_a_decoder(which in 0..15_usize, edits in edits()) {
        let grid = Grid::sample();
        let mut samples: Vec<Vec<u8>> =
            grid.messages().into_iter().map(|(_, bytes)| bytes.to_vec()).collect();
        samples.push(grid.certificate().to_bytes());
        samples.push(grid.people[0].certified.to_bytes());
        apply(&edits, &mut samples[which]);
        give_to_every_decoder(&grid, &samples[which]);
    }

    /// The edited body is signed by its author, so that the checks behind the signature are reached.
    #[test]
    fn edited_bytes_of_a_member_never_panic_the_gate(which in 0..13_usize, edits in edits()) {
        let grid = Grid::sample();
        let mut gate = grid.gatekeeper();
        let bytes = &grid.messages()[which].1;
        let header = Header::peek(bytes).expect("a sample");
        let mut body = bytes[112..bytes.len() - 64].to_vec();
        apply(&edits, &mut body);
        let unsigned = [codec::canonical(&header), body].concat();
        let person = grid.person(grid.roster.index_of(&header.author).expect("a member"));
        for key in [&person.key, &person.meter] {
            let signed = [unsigned.as_slice(), &key.sign(&unsigned).to_bytes()].concat();
            if let Err(rejected) = gate.admit(signed, now(&grid.charter)) {
                prop_assert!(!rejected.reason().is_empty());
            }
        }
    }

    #[test]
    fn edited_text_never_panics_the_charter(edits in edits()) {
        let mut text = CHARTER.as_bytes().to_vec();
        apply(&edits, &mut text);
        if let Ok(charter) = Charter::from_toml(&String::from_utf8_lossy(&text)) {
            prop_assert!(charter.check().is_ok());
        }
    }

    #[test]
    fn any_number_in_a_charter_is_taken_or_refused(which: prop::sample::Index, number: i64) {
        let numbers: Vec<&str> =
            CHARTER.lines().filter(|line| line.ends_with(|c: char| c.is_ascii_digit())).collect();
        let line = which.get(&numbers);
        let key = line.split(" = ").next().expect("a key");
        let text = CHARTER.replacen(*line, &format!("{key} = {number}"), 1);
        if let Ok(charter) = Charter::from_toml(&text) {
            // What was taken can be computed with.
            let schedule = charter.interval.schedule(charter.interval.interval_at(now(&charter)));
            prop_assert!(schedule.views_end() <= schedule.delivery_starts);
            prop_assert!(charter.connection.import_capacity().to_milliwatts() >= 0);
            prop_assert!((1..=12).contains(&charter.tariff.clock.month(schedule.gate)));
            prop_assert!(charter.tariff.clock.minute_of_day(schedule.gate) < 1440);
        }
    }
}

#[test]
fn deeply_nested_text_is_no_charter_and_no_stack_overflow() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let depth = 100_000;
        let text = format!("name = {}{}", open.repeat(depth), close.repeat(depth));
        assert!(Charter::from_toml(&text).is_err());
    }
}
