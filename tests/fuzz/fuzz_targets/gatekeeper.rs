//! Messages as they come from the network: any bytes at all.

#![no_main]

#[path = "../../../protocol/tests/wire/fixture.rs"]
#[allow(dead_code, reason = "the tests need other parts of it")]
mod fixture;

use std::cell::RefCell;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::message::Gatekeeper;
use fixture::{CHARTER, Grid, now};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GATE: RefCell<Gatekeeper> = RefCell::new(Grid::sample().gatekeeper());
}

fuzz_target!(|bytes: &[u8]| {
    let charter = Charter::from_toml(CHARTER).expect("the sample is valid");
    GATE.with_borrow_mut(|gate| match gate.admit(bytes, now(&charter)) {
        Ok(message) => drop(message.kind()),
        Err(rejected) => assert!(!rejected.reason().is_empty()),
    });
});
