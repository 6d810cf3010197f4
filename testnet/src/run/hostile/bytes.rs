//! Bytes that no honest node would send, made from what honest nodes said.
//!
//! The forger has no member's key. Where nodes look at the header first, an altered header is enough.

use boltgrid_protocol::agreement::{Ack, Proposal};
use boltgrid_protocol::codec;
use boltgrid_protocol::envelope::{Header, Kind, Payload};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::{GridId, ParticipantId, RosterHash};
use boltgrid_protocol::message::{INTERVALS_AHEAD, INTERVALS_BACK};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::signing::SIGNATURE_LEN;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Interval;

/// Where the low byte of the version is.
const VERSION_BYTE: usize = 3;

/// The length of the longest message of a topic.
pub(super) const fn limit(topic: Topic) -> usize {
    match topic {
        Topic::Orders => Order::LIMIT,
        Topic::Acks => Ack::LIMIT,
        Topic::Votes => Proposal::LIMIT,
        Topic::Readings => Reading::LIMIT,
        Topic::Evidence => Evidence::LIMIT,
    }
}

/// No message at all.
pub(super) fn junk(topic: Topic, salt: u8) -> Vec<u8> {
    format!("junk number {salt} on {}", topic.word()).into_bytes()
}

/// Evidence that looks like one, from any message.
pub(super) fn evidence(message: &[u8]) -> Option<Vec<u8>> {
    let header = Header { kind: Kind::Evidence, ..Header::peek(message).ok()? };
    let short = message.get(..message.len().min(256))?.to_vec();
    let body = Evidence { first: short.clone(), second: short };
    let mut bytes = codec::canonical(&(header, body));
    bytes.extend_from_slice(&[7; SIGNATURE_LEN]);
    Some(bytes)
}

/// Variants of a valid message, each with the reason for which it must be rejected in `interval`.
pub(super) fn forgeries(
    topic: Topic,
    valid: &[u8],
    interval: Interval,
    stranger: ParticipantId,
    salt: u8,
) -> Vec<(&'static str, Vec<u8>)> {
    let Ok(header) = Header::peek(valid) else { return Vec::new() };
    let altered = |header: Header| {
        // The salt makes the bytes of every wave different, so that they are not taken for known.
        let mut bytes = codec::canonical(&header);
        bytes.extend_from_slice(valid.get(bytes.len()..).unwrap_or_default());
        salted(bytes, salt)
    };
    let current = Header { interval, ..header };
    let mut other_version = salted(valid.to_vec(), salt);
    if let Some(version) = other_version.get_mut(VERSION_BYTE) {
        *version ^= 2;
    }
    let mut oversize = salted(valid.to_vec(), salt);
    oversize.resize(limit(topic) + 1 + usize::from(salt), 0);
    let grid = GridId::from_bytes([9; 32]);
    let roster = RosterHash::from_bytes([9; 32]);
    let (past, future) = (interval.minus(INTERVALS_BACK + 2), interval.plus(INTERVALS_AHEAD + 2));
    vec![
        ("bad_version", other_version),
        ("oversize", oversize),
        ("wrong_grid", altered(Header { grid, ..current })),
        ("stale", altered(Header { interval: past, ..current })),
        ("future", altered(Header { interval: future, ..current })),
        ("wrong_roster", altered(Header { roster, ..current })),
        ("not_a_member", altered(Header { author: stranger, ..current })),
        ("bad_signature", altered(current)),
    ]
}

/// The bytes with another signature.
fn salted(mut bytes: Vec<u8>, salt: u8) -> Vec<u8> {
    if let Some(last) = bytes.last_mut() {
        *last ^= 1 | (salt << 1);
    }
    bytes
}
