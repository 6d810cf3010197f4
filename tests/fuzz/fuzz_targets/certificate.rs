//! Book certificates, as a node that was away asks its peers for them.

#![no_main]

#[path = "../../../protocol/tests/wire/fixture.rs"]
#[allow(dead_code, reason = "the tests need other parts of it")]
mod fixture;

use boltgrid_protocol::agreement::BookCertificate;
use fixture::Grid;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GRID: Grid = Grid::sample();
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(certificate) = BookCertificate::from_bytes(bytes) {
        assert_eq!(certificate.to_bytes(), bytes);
        GRID.with(|grid| {
            if certificate.verify(&grid.charter, &grid.roster).is_ok() {
                assert!(certificate.precommits.len() >= grid.roster.quorum());
            }
        });
    }
});
