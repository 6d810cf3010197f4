//! Good inputs of every target, made of the sample grid: where fuzzing begins, and what the tests spoil
//! to see every reader refuse it.
//!
//! Not for: inputs that were found by fuzzing; those are files in `tests/fuzz/seeds`.

use boltgrid_metering::drivers::modbus_map::shipped;
use boltgrid_protocol::codec;
use boltgrid_protocol::direct::{Answer, Question, Request, Response};
use boltgrid_protocol::envelope::Header;
use boltgrid_protocol::escrow::{EscrowAnswer, EscrowQuestion, EscrowRefusal};
use boltgrid_protocol::history::Stretch;
use boltgrid_protocol::id::{MessageHash, RosterIndex};
use boltgrid_protocol::lightning::Preimage;
use boltgrid_protocol::offer::OfferSet;

use super::fixture::{CHARTER, Grid, INTERVAL, offer};

/// Bytes of a signature, at the end of a message.
const SIGNATURE_LEN: usize = 64;
/// A SunSpec device begins with this.
const SUNSPEC: [u16; 2] = [0x5375, 0x6e53];
/// A SunSpec meter, and how many registers it has.
const METER: [u16; 2] = [203, 105];
/// Its registers that must not be zero, and what they show: volts, hertz, watt-hours given and taken.
const METER_SHOWS: [(usize, u16); 4] = [(5, 230), (14, 50), (37, 1000), (45, 1000)];
/// Behind the last model of a SunSpec device.
const NO_MORE_MODELS: [u16; 2] = [0xFFFF, 0];

/// Real telegrams, and whether they have no checksum.
const TELEGRAMS: [(bool, &[u8]); 4] = [
    (false, include_bytes!("../../../metering/tests/captures/p1/nl-dsmr5-iskra.txt")),
    (false, include_bytes!("../../../metering/tests/captures/p1/be-fluvius-sagemcom.txt")),
    (false, include_bytes!("../../../metering/tests/captures/p1/lu-smarty-sagemcom.txt")),
    (true, include_bytes!("../../../metering/tests/captures/p1/nl-dsmr2-iskra.txt")),
];
/// What real meters sent by SML, and how much of it is the first file.
const SML_FILES: [(usize, &[u8]); 2] = [
    (232, include_bytes!("../../../metering/tests/captures/sml/HOLLEY_DTZ541-BDBA_with_PIN.bin")),
    (
        232,
        include_bytes!(
            "../../../metering/tests/captures/sml/ISKRA_MT631-D1A52-K0z-H01_with_PIN.bin"
        ),
    ),
];
/// A list with one value: 100 W.
const SML_LIST: &[u8] = &[
    0x77, 0x01, 0x02, 0x41, 0x01, 0x01, 0x71, 0x77, 0x07, 1, 0, 16, 7, 0, 0xFF, 0x01, 0x01, 0x62,
    27, 0x52, 0, 0x62, 100, 0x01, 0x01, 0x01,
];
/// Real answers in JSON, and the place of the shipped map that reads them.
const ANSWERS: [(usize, &[u8]); 5] = [
    (0, include_bytes!("../../../metering/tests/captures/http/fronius-gen24-powerflow.json")),
    (1, include_bytes!("../../../metering/tests/captures/http/fronius-smart-meter.json")),
    (3, include_bytes!("../../../metering/tests/captures/http/homewizard-kwh3.json")),
    (4, include_bytes!("../../../metering/tests/captures/http/shelly-pro3em-em.json")),
    (7, include_bytes!("../../../metering/tests/captures/http/tasmota-plug.json")),
];

/// Good inputs of the target with this name.
///
/// # Panics
///
/// Where there is no such target.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let grid = Grid::sample();
    match target {
        "certificate" => vec![grid.certificate().to_bytes()],
        "charter" => vec![CHARTER.as_bytes().to_vec()],
        "codec" => bodies(&grid).into_iter().map(|(kind, body)| with_choice(kind, &body)).collect(),
        "direct" => requests(&grid)
            .iter()
            .map(|request| with_choice(0, &request.to_bytes()))
            .chain(responses(&grid).iter().map(|response| with_choice(1, &response.to_bytes())))
            .collect(),
        "enrolment" => grid.people.iter().map(|person| person.certified.to_bytes()).collect(),
        "gatekeeper" => messages(&grid),
        "modbus_map" => modbus_maps(),
        "json" => ANSWERS.iter().map(|(map, answer)| with_choice(*map, answer)).collect(),
        "offers" => {
            let mut set = OfferSet::default();
            for author in 0..3 {
                set.merge(grid.sign(author, &offer(&grid.charter)));
            }
            vec![set.to_bytes()]
        }
        "p1" => TELEGRAMS.iter().map(|(old, bytes)| with_choice((*old).into(), bytes)).collect(),
        "signed_body" => bodies(&grid)
            .into_iter()
            .map(|(kind, body)| with_choice(choice(&grid, kind), &body))
            .collect(),
        "sml" => {
            let files = SML_FILES.iter().map(|(length, bytes)| with_choice(0, &bytes[..*length]));
            files.chain([with_choice(1, SML_LIST)]).collect()
        }
        "sunspec" => {
            let mut registers = vec![0; METER[1].into()];
            METER_SHOWS.iter().for_each(|(place, shown)| registers[*place] = *shown);
            let words = [&SUNSPEC[..], &METER, &registers, &NO_MORE_MODELS].concat();
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            vec![with_choice(0, &bytes)]
        }
        unknown => panic!("there is no target {unknown}"),
    }
}

/// Maps that come along, with what their meters show: nothing but a frequency of 50 Hz.
fn modbus_maps() -> Vec<Vec<u8>> {
    let shows = |name: &str, registers: usize, frequency: usize, shown: u16| {
        let map = shipped().iter().find(|map| map.name == name).expect("it comes along");
        let mut words = vec![0_u16; registers];
        words[frequency] = shown;
        let words = words.iter().flat_map(|word| word.to_be_bytes());
        map.text.bytes().chain([0]).chain(words).collect()
    };
    vec![shows("eastron-sdm120", 0x4C, 0x46, 0x4248), shows("carlo-gavazzi-em111", 11, 6, 500)]
}

/// CRC-16/X.25, as SML's messages have it.
#[must_use]
pub fn crc_x25(bytes: &[u8]) -> u16 {
    let crc = bytes.iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 }
        })
    });
    !crc
}

fn with_choice(choice: usize, bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(choice).expect("a small choice")], bytes].concat()
}

fn messages(grid: &Grid) -> Vec<Vec<u8>> {
    grid.messages().iter().map(|(_, bytes)| bytes.to_vec()).collect()
}

/// What makes [`super::signed_body`] pick a kind and the author that the sample of it has.
fn choice(grid: &Grid, kind: usize) -> usize {
    let samples = messages(grid);
    let author = Header::peek(&samples[kind]).expect("a sample").author;
    let picks = |choice: &usize| {
        let person = &grid.people[choice / 8 % grid.people.len()];
        choice % samples.len() == kind && person.key.participant_id() == author
    };
    (0..=255).find(picks).expect("some byte picks both")
}

/// The body of a message of every kind, by the number of its kind.
fn bodies(grid: &Grid) -> Vec<(usize, Vec<u8>)> {
    let body = |bytes: Vec<u8>| {
        let header = codec::canonical(&Header::peek(&bytes).expect("a sample"));
        bytes[header.len()..bytes.len() - SIGNATURE_LEN].to_vec()
    };
    messages(grid).into_iter().map(body).enumerate().collect()
}

fn requests(grid: &Grid) -> Vec<Request> {
    let stretch = Stretch { from: INTERVAL, until: INTERVAL.plus(12) };
    let authors = vec![RosterIndex::new(0), RosterIndex::new(3)];
    let messages = messages(grid);
    vec![
        Request::Ask(Question::Orders { interval: INTERVAL, authors }),
        Request::Ask(Question::Certificate { interval: INTERVAL }),
        Request::Ask(Question::Reconcile { stretch, message: vec![0x61; 40] }),
        Request::Ask(Question::Items { stretch, ids: Vec::new() }),
        Request::Ask(Question::Clock),
        Request::Ask(Question::Reply { acceptance: messages[9].clone() }),
        Request::Ask(Question::Escrow(EscrowQuestion::Arbitrate {
            terms: messages[12].clone(),
            preimage: Preimage::from_bytes([3; 32]),
        })),
        Request::Ask(Question::Escrow(EscrowQuestion::Plead {
            escrow: MessageHash::from_bytes([1; 32]),
            readings: vec![messages[5].clone(); 2],
        })),
        Request::Message(messages[4].clone()),
    ]
}

fn responses(grid: &Grid) -> Vec<Response> {
    let messages = messages(grid);
    vec![
        Response::Answer(Answer::Orders(vec![messages[0].clone()])),
        Response::Answer(Answer::Certificate(Some(grid.certificate().to_bytes()))),
        Response::Answer(Answer::Reconcile(None)),
        Response::Answer(Answer::Items(Vec::new())),
        Response::Answer(Answer::Clock { unix_ms: u64::MAX }),
        Response::Answer(Answer::Reply(Some(messages[10].clone()))),
        Response::Answer(Answer::Escrow(EscrowAnswer::Signed(messages[12].clone()))),
        Response::Answer(Answer::Escrow(EscrowAnswer::Refused(EscrowRefusal::NotYet))),
        Response::Taken,
        Response::Refused,
    ]
}
