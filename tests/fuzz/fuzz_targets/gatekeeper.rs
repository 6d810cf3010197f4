//! Messages as they come from the network: any bytes at all.

#![no_main]

#[path = "../../../protocol/tests/wire/fixture.rs"]
#[allow(dead_code, reason = "the tests need other parts of it")]
mod fixture;

use std::cell::RefCell;

use boltgrid_protocol::message::Gatekeeper;
use boltgrid_protocol::units::Timestamp;
use fixture::{Grid, now};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GATE: RefCell<(Gatekeeper, Timestamp)> = RefCell::new({
        let grid = Grid::sample();
        (grid.gatekeeper(), now(&grid.charter))
    });
}

fuzz_target!(|bytes: &[u8]| {
    GATE.with_borrow_mut(|(gate, now)| match gate.admit(bytes, *now) {
        Ok(message) => drop(message.kind()),
        Err(rejected) => assert!(!rejected.reason().is_empty()),
    });
});
