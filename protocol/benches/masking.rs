//! What a masked interval costs: a site's own share, and the sum of all. The table is in
//! `docs/privacy.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

use boltgrid_protocol::id::RosterHash;
use boltgrid_protocol::masking::{Cohort, add_up, share};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, NetEnergy};
use criterion::Criterion;

fn masking(bench: &mut Criterion) {
    for count in [10_u64, 50, 200] {
        let keys: Vec<Keypair> = (0..count)
            .map(|number| {
                let mut seed = [1; 32];
                seed[..8].copy_from_slice(&number.to_be_bytes());
                Keypair::from_seed(&seed)
            })
            .collect();
        let present: BTreeSet<_> = keys.iter().map(Keypair::participant_id).collect();
        let roster = RosterHash::from_bytes([7; 32]);
        let at = ("feeder", Interval::from_number(1));
        let cohort = Cohort::new(&roster, at, &present, present.len()).expect("they are enough");
        let energy = NetEnergy::from_milliwatt_hours(-123_456);
        let shares: BTreeMap<_, _> = keys
            .iter()
            .map(|key| (key.participant_id(), share(&cohort, key, energy).expect("a site").0))
            .collect();
        let key = keys.first().expect("there are some");
        bench.bench_function(&format!("share of one of {count}"), |it| {
            it.iter(|| share(black_box(&cohort), key, black_box(energy)));
        });
        bench.bench_function(&format!("sum of {count}"), |it| {
            it.iter(|| add_up(black_box(&cohort), black_box(&shares)));
        });
        bench.bench_function(&format!("cohort of {count}"), |it| {
            it.iter(|| Cohort::new(&roster, at, black_box(&present), present.len()));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    masking(&mut criterion);
    criterion.final_summary();
}
