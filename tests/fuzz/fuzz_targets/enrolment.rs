//! Certified enrolments, as registrars hand them out in files.

#![no_main]

#[path = "../../../protocol/tests/wire/fixture.rs"]
#[allow(dead_code, reason = "the tests need other parts of it")]
mod fixture;

use boltgrid_protocol::enrolment::CertifiedEnrolment;
use fixture::Grid;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GRID: Grid = Grid::sample();
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(certified) = CertifiedEnrolment::from_bytes(bytes) {
        assert_eq!(certified.to_bytes(), bytes);
        GRID.with(|grid| {
            if certified.verify(&grid.charter).is_ok() {
                assert!(certified.signatures.len() >= 2);
            }
        });
    }
});
