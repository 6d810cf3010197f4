//! What each fuzz target does with its bytes: every reader of what strangers and devices send.
//!
//! Each says whether it took them, so that inputs which were meant to be good can be seen to be so.
//! Not for: making bytes up, which `cargo fuzz` does, but for a few good ones to begin with ([`seeds`]).

mod device;
#[path = "../../../protocol/tests/wire/fixture.rs"]
#[allow(dead_code, reason = "the tests need other parts of it")]
mod fixture;
pub mod seeds;

use std::cell::RefCell;

use boltgrid_metering::drivers::http::{HttpMap, SHIPPED};
use boltgrid_metering::drivers::modbus_map::{ModbusMap, Span};
use boltgrid_metering::drivers::p1::{Checksum, read_stream};
use boltgrid_metering::drivers::sml;
use boltgrid_metering::quantity::Quantity;
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::agreement::{Ack, BookCertificate, Proposal, Vote};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::codec;
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::direct::{Request, Response};
use boltgrid_protocol::enrolment::CertifiedEnrolment;
use boltgrid_protocol::envelope::{Header, Payload};
use boltgrid_protocol::escrow::Deed;
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::forward::{Acceptance, Reply};
use boltgrid_protocol::invoice::Invoice;
use boltgrid_protocol::masking::Share;
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::offer::{Offer, OfferSet};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::peer::PeerRecord;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::seal::Seal;
use boltgrid_protocol::units::{Interval, Timestamp};
use fixture::{Grid, now};

/// Bytes of magic and version.
const PREFIX: &[u8] = b"BG\0\x01";
/// Where evidence and replies are in the samples: the messages inside them may be forged.
const WITH_MESSAGES_INSIDE: [usize; 2] = [6, 10];
/// Where the reading is in the samples: its meter signs it.
const READING: usize = 5;

struct World {
    grid: Grid,
    headers: Vec<Header>,
    gate: Gatekeeper,
    now: Timestamp,
}

/// What a target does with its bytes; says whether it took them.
pub type Target = fn(&[u8]) -> bool;

/// All targets by their names.
pub const TARGETS: [(&str, Target); 13] = [
    ("certificate", certificate),
    ("charter", charter),
    ("codec", canonical),
    ("direct", direct),
    ("enrolment", enrolment),
    ("gatekeeper", gatekeeper),
    ("json", json),
    ("modbus_map", modbus_map),
    ("offers", offers),
    ("p1", p1),
    ("signed_body", signed_body),
    ("sml", sml),
    ("sunspec", sunspec),
];

thread_local! {
    static BENCH: device::Bench = device::Bench::new();
    static WORLD: RefCell<World> = RefCell::new({
        let grid = Grid::sample();
        let peek = |bytes: &[u8]| Header::peek(bytes).expect("a sample");
        let headers = grid.messages().iter().map(|(_, bytes)| peek(bytes)).collect();
        let (gate, now) = (grid.gatekeeper(), now(&grid.charter));
        World { grid, headers, gate, now }
    });
}

/// Messages as they come from the network: any bytes at all.
pub fn gatekeeper(bytes: &[u8]) -> bool {
    WORLD.with_borrow_mut(|World { gate, now, .. }| match gate.admit(bytes, *now) {
        Ok(_) => true,
        Err(rejected) => {
            assert!(!rejected.reason().is_empty());
            false
        }
    })
}

/// Bodies of every kind, signed by a member, so that the checks behind the signature are reached.
/// The first byte picks kind and author, the rest is the body.
pub fn signed_body(input: &[u8]) -> bool {
    let Some((choice, body)) = input.split_first() else { return false };
    WORLD.with_borrow_mut(|World { grid, headers, gate, now }| {
        let (kind, author) = (usize::from(*choice) % headers.len(), usize::from(choice / 8));
        let person = &grid.people[author % grid.people.len()];
        let mut header = headers[kind];
        header.author = person.key.participant_id();
        let unsigned = [codec::canonical(&header).as_slice(), body].concat();
        let key = if kind == READING { &person.meter } else { &person.key };
        let signed = [unsigned.as_slice(), &key.sign(&unsigned).to_bytes()].concat();
        match gate.admit(signed.as_slice(), *now) {
            Ok(message) => {
                assert_eq!(message.kind(), header.kind);
                true
            }
            Err(rejected) => {
                let inside = WITH_MESSAGES_INSIDE.contains(&kind);
                assert!(inside || rejected.reason() != "bad_signature");
                false
            }
        }
    })
}

/// Bodies of every kind: what decodes must encode to the same bytes, or a value would have two
/// hashes. The first byte picks the kind, the rest is the body.
pub fn canonical(input: &[u8]) -> bool {
    fn check<T: Payload>(body: &[u8]) -> bool {
        let bytes = [PREFIX, body].concat();
        let Ok(value) = codec::decode::<T>(&bytes, T::LIMIT) else { return false };
        assert_eq!(codec::canonical(&value), bytes);
        true
    }
    let Some((choice, body)) = input.split_first() else { return false };
    match choice % 16 {
        0 => check::<Order>(body),
        1 => check::<Ack>(body),
        2 => check::<Proposal>(body),
        3 => check::<Vote>(body),
        4 => check::<TradeConfirm>(body),
        5 => check::<Reading>(body),
        6 => check::<Evidence>(body),
        7 => check::<PeerRecord>(body),
        8 => check::<Offer>(body),
        9 => check::<Acceptance>(body),
        10 => check::<Reply>(body),
        11 => check::<Invoice>(body),
        12 => check::<Deed>(body),
        13 => check::<Seal>(body),
        14 => check::<Share>(body),
        _ => Header::peek(body).is_ok(),
    }
}

/// Book certificates, as a node that was away asks its peers for them.
pub fn certificate(bytes: &[u8]) -> bool {
    let Ok(certificate) = BookCertificate::from_bytes(bytes) else { return false };
    assert_eq!(certificate.to_bytes(), bytes);
    WORLD.with_borrow(|World { grid, .. }| {
        let proves = certificate.verify(&grid.charter, &grid.roster).is_ok();
        assert!(!proves || certificate.precommits.len() >= grid.roster.quorum());
        proves
    })
}

/// Certified enrolments, as registrars hand them out in files.
pub fn enrolment(bytes: &[u8]) -> bool {
    let Ok(certified) = CertifiedEnrolment::from_bytes(bytes) else { return false };
    assert_eq!(certified.to_bytes(), bytes);
    WORLD.with_borrow(|World { grid, .. }| {
        let enrols = certified.verify(&grid.charter).is_ok();
        assert!(!enrols || certified.signatures.len() >= 2);
        enrols
    })
}

/// Charters in TOML: whatever is taken is valid, has one id, and can be computed with.
pub fn charter(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(charter) = Charter::from_toml(text) else { return false };
    assert!(charter.check().is_ok());
    let mut bytes = codec::canonical(&charter);
    if charter.readings.is_open() {
        // They are left out of what is hashed.
        bytes.extend_from_slice(&[0; 4]);
    }
    if let Ok(read) = codec::decode::<Charter>(&bytes, codec::ENCODED_MAX) {
        assert_eq!(read.grid_id(), charter.grid_id());
    }
    for at in [0, 1_781_136_000_000, u64::MAX] {
        let now = Timestamp::from_unix_ms(at);
        assert!((1..=12).contains(&charter.tariff.clock.month(now)));
        assert!(charter.price.contains(charter.tariff.at(now).feed_in_msat_per_kwh));
        let schedule = charter.interval.schedule(charter.interval.interval_at(now));
        assert!(schedule.gate <= schedule.delivery_starts);
    }
    let last = charter.interval.schedule(Interval::from_number(u64::MAX));
    assert!(last.views_end().to_unix_ms() > 0);
    true
}

/// What members say to each other directly: requests by an even first byte, else responses.
pub fn direct(input: &[u8]) -> bool {
    let Some((choice, bytes)) = input.split_first() else { return false };
    let again = if choice % 2 == 0 {
        Request::from_bytes(bytes).map(|request| request.to_bytes())
    } else {
        Response::from_bytes(bytes).map(|response| response.to_bytes())
    };
    let Ok(again) = again else { return false };
    assert_eq!(again, bytes);
    true
}

/// What a SunSpec device answers: registers by an even first byte, else any answer to any request.
pub fn sunspec(input: &[u8]) -> bool {
    let Some((choice, bytes)) = input.split_first() else { return false };
    BENCH.with(|bench| bench.read(choice % 2 == 0, bytes))
}

/// A map of registers, a zero, and the registers that a device shows in answer to it.
pub fn modbus_map(input: &[u8]) -> bool {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (Some(text), Some(bytes)) = (parts.next(), parts.next()) else { return false };
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let Ok(map) = ModbusMap::parse("fuzzed", text) else { return false };
    let mut words = bytes.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word));
    let answer = |span: &Span| words.by_ref().take(span.count.into()).collect();
    let answers: Vec<Vec<u16>> = map.requests().iter().map(answer).collect();
    let Ok(shown) = map.shown(&answers, None) else { return false };
    let has = Quantity::ALL.iter().filter(|quantity| shown.has(**quantity));
    assert!(has.clone().all(|quantity| map.quantities().contains(quantity)));
    has.count() > 0
}

/// Answers in JSON, read by a shipped map: the first byte picks the map, and in its upper bits the
/// channel.
pub fn json(input: &[u8]) -> bool {
    let Some((choice, bytes)) = input.split_first() else { return false };
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (name, _) = SHIPPED[usize::from(*choice) % SHIPPED.len()];
    let map = HttpMap::shipped(name).expect("a shipped map");
    let answers = vec![text; map.request.len()];
    let shown = map.read(choice / 64, &answers, None).expect("a good map");
    shown.is_ok_and(|shown| shown != Shown::default())
}

/// What comes out of a P1 port: by an even first byte with checksums, else as of meters that have none.
pub fn p1(input: &[u8]) -> bool {
    let Some((choice, bytes)) = input.split_first() else { return false };
    let checksum = if choice % 2 == 0 { Checksum::Required } else { Checksum::Optional };
    read_stream(bytes, checksum, None).iter().any(|shown| *shown != Shown::default())
}

/// What comes out of an optical port: by an even first byte as it is sent, else a list of values, with
/// all that is around it made here, so that what is behind the checksums is reached.
pub fn sml(input: &[u8]) -> bool {
    let Some((choice, bytes)) = input.split_first() else { return false };
    if choice % 2 == 0 {
        return sml::read_stream(bytes, None).iter().any(|shown| *shown != Shown::default());
    }
    let message = [&[0x76, 0x02, 0x31, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x07, 0x01], bytes].concat();
    let crc = seeds::crc_x25(&message).to_le_bytes();
    let file = [&message[..], &[0x63], &crc, &[0]].concat();
    sml::read_file(&file, None).is_ok_and(|shown| shown != Shown::default())
}

/// Sets of offers, as members and strangers hand them on in the DHT.
pub fn offers(bytes: &[u8]) -> bool {
    let Ok(offers) = OfferSet::split(bytes) else { return false };
    WORLD.with_borrow_mut(|World { gate, now, .. }| {
        let mut set = OfferSet::default();
        for offer in offers {
            if let Ok(Message::Offer(offer)) = gate.admit(offer, *now) {
                set.merge(offer);
            }
        }
        let kept = set.iter().count();
        let again = OfferSet::split(&set.to_bytes()).expect("what is written can be read");
        assert_eq!(again.len(), kept);
        kept > 0
    })
}
