//! Bodies of every kind, signed by a member, so that the checks behind the signature are reached.
//!
//! The first byte picks kind and author, the rest is the body.

#![no_main]

#[path = "../../../protocol/tests/wire/fixture.rs"]
#[allow(dead_code, reason = "the tests need other parts of it")]
mod fixture;

use std::cell::RefCell;

use boltgrid_protocol::codec;
use boltgrid_protocol::envelope::Header;
use boltgrid_protocol::message::Gatekeeper;
use fixture::{Grid, now};
use libfuzzer_sys::fuzz_target;

struct World {
    grid: Grid,
    headers: Vec<Header>,
    gate: Gatekeeper,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new({
        let grid = Grid::sample();
        let peek = |bytes: &[u8]| Header::peek(bytes).expect("a sample");
        let headers = grid.messages().iter().map(|(_, bytes)| peek(bytes)).collect();
        let gate = grid.gatekeeper();
        World { grid, headers, gate }
    });
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else { return };
    WORLD.with_borrow_mut(|World { grid, headers, gate }| {
        let (kind, author) = (usize::from(*choice) % headers.len(), usize::from(choice / 8));
        let person = &grid.people[author % grid.people.len()];
        let mut header = headers[kind];
        header.author = person.key.participant_id();
        let unsigned = [codec::canonical(&header).as_slice(), body].concat();
        let key = if kind == 5 { &person.meter } else { &person.key };
        let signed = [unsigned.as_slice(), &key.sign(&unsigned).to_bytes()].concat();
        match gate.admit(signed.as_slice(), now(&grid.charter)) {
            Ok(message) => assert_eq!(message.kind(), header.kind),
            // The messages inside evidence may be forged.
            Err(rejected) => assert!(kind == 6 || rejected.reason() != "bad_signature"),
        }
    });
});
