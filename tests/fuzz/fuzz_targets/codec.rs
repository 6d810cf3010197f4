//! Bodies of every kind: what decodes must encode to the same bytes, or a value would have two hashes.
//!
//! The first byte picks the kind, the rest is the body.

#![no_main]

use boltgrid_protocol::agreement::{Ack, Proposal, Vote};
use boltgrid_protocol::codec;
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::envelope::{Header, Payload};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::forward::{Acceptance, Reply};
use boltgrid_protocol::offer::Offer;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::peer::PeerRecord;
use boltgrid_protocol::reading::Reading;
use libfuzzer_sys::fuzz_target;

/// Bytes of magic and version.
const PREFIX: &[u8] = b"BG\0\x01";

fn check<T: Payload>(body: &[u8]) {
    let bytes = [PREFIX, body].concat();
    if let Ok(value) = codec::decode::<T>(&bytes, T::LIMIT) {
        assert_eq!(codec::canonical(&value), bytes);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else { return };
    match choice % 12 {
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
        _ => drop(Header::peek(body)),
    }
});
