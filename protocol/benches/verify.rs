//! How many signed orders a node verifies per second, next to the bare signature check of the same
//! bytes. The goal is at least 80 % of the bare rate.
//!
//! `cargo bench -p boltgrid-protocol`

#[path = "../tests/wire/fixture.rs"]
#[allow(dead_code, reason = "the tests need other parts of it")]
mod fixture;

use std::hint::black_box;
use std::sync::Arc;

use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::order::Order;
use criterion::{Criterion, Throughput};
use ed25519_dalek::{Signer, SigningKey};

use fixture::{Grid, now, order};

/// Bytes of a signature.
const SIGNATURE_LEN: usize = 64;

fn verify(criterion: &mut Criterion) {
    let grid = Grid::of(100, 100);
    let mut gate = grid.gatekeeper();
    let now = now(&grid.charter);
    let bytes = Arc::clone(grid.sign(0, &order(0)).bytes());
    let signed = &bytes[..bytes.len() - SIGNATURE_LEN];
    let key = SigningKey::from_bytes(&[1; 32]);
    let (public, signature) = (key.verifying_key(), key.sign(signed));

    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare verify_strict", |bencher| {
        bencher.iter(|| public.verify_strict(black_box(signed), black_box(&signature)));
    });
    group.bench_function("a signed order", |bencher| {
        bencher.iter(|| {
            let order = Signed::<Order>::decode(Arc::clone(black_box(&bytes)))?;
            order.verify(&grid.charter, &grid.roster)
        });
    });
    group.bench_function("an order at the gate, any kind", |bencher| {
        bencher.iter(|| gate.admit(Arc::clone(black_box(&bytes)), now));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    verify(&mut criterion);
    criterion.final_summary();
}
