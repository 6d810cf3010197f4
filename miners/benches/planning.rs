//! How long a plan takes; the goal is 20 ms for a thousand machines.
//! Not for: whether the plan is right.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use boltgrid_miners::break_even::Worth;
use boltgrid_miners::machine::{Abilities, Control, SetPoint};
use boltgrid_miners::plan::{Conditions, Habits, Machine, Past, Response, Say, plan};
use boltgrid_protocol::units::{Power, Price, Timestamp};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const fn watts(watts: i64) -> Power {
    Power::from_milliwatts(watts * 1_000)
}

/// Machines of three kinds, to which power is worth something else each; every other one runs.
fn site(machines: i64) -> Vec<(Abilities, Price, bool)> {
    (0..machines)
        .map(|number| {
            let control = match number % 3 {
                0 => Control::Switch,
                1 => Control::Range { least: watts(1_000), most: watts(3_500), step: watts(1) },
                _ => Control::Presets((10..=35).map(|it| watts(it * 100)).collect()),
            };
            let (rated, idle) = (watts(3_500), watts(20));
            let abilities = Abilities { control, rated, idle, settle_ms: 9_000, warm_up_ms: 0 };
            (abilities, Price::from_msat_per_kwh(60_000 + number * 7919 % 90_000), number % 2 == 0)
        })
        .collect()
}

fn planning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    for machines in [3, 100, 1_000] {
        let site = site(machines);
        let members: Vec<Machine<'_>> = site
            .iter()
            .map(|(abilities, worth, runs)| Machine {
                abilities,
                worth: Worth { to_start: *worth, to_go_on: *worth },
                heat_is_due: false,
                told: if *runs { SetPoint::Run { power_mw: watts(3_500) } } else { SetPoint::Off },
                habits: Habits {
                    on_ms_min: 600_000,
                    off_ms_min: 300_000,
                    starts_per_day_max: 10,
                    dead_band: watts(100),
                },
                past: Past::default(),
                say: Say::Plan,
            })
            .collect();
        // Two thirds of what they all could draw: some of those that stand still are started.
        let budget = watts(machines * 3_500 * 2 / 3);
        let conditions = Conditions {
            now: Timestamp::from_unix_ms(1_700_000_000_000),
            budget_least: budget,
            budget_most: budget,
            spare_brings: Price::from_msat_per_kwh(70_000),
            lack_costs: Price::from_msat_per_kwh(250_000),
            ceiling: watts(machines * 3_500),
            step_max: watts(machines * 3_500),
            starts_max: usize::MAX,
            emergency: false,
            response: Response::default(),
        };
        group.bench_function(BenchmarkId::from_parameter(machines), |bencher| {
            bencher.iter(|| plan(black_box(&conditions), black_box(&members)));
        });
    }
    group.finish();
}

criterion_group!(benches, planning);
criterion_main!(benches);
