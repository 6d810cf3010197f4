//! How long clearing takes, next to merely sorting the same steps by price; the goal is 2.5 times.
//!
//! `sort` sorts a flat list of (limit, index) and `sort_steps` one of whole steps, both unstable;
//! they are handed the list ready made, while `clear` starts from the orders, as a node does.
//! Not for: whether the clearing is right.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::time::Duration;

use boltgrid_market::auction::{AuctionRules, BookOrder, clear};
use boltgrid_protocol::charter::PriceBand;
use boltgrid_protocol::id::{MessageHash, RosterIndex};
use boltgrid_protocol::order::{Order, Preference, Side, Source, Step};
use boltgrid_protocol::units::{Energy, Interval, Price};
use criterion::{
    BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};

const FLOOR: i64 = -200_000;
const BAND_WIDTH: u32 = 500_000;
const INTERVAL: Interval = Interval::from_number(42);

/// A small generator of numbers (splitmix64), so that every run measures the same books.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from zero up to `end`.
    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end)).expect("below 32 bits")
    }
}

/// What the orders of a book have in common.
#[derive(Clone, Copy)]
struct Kind {
    /// Limits are multiples of this: the larger, the more ties.
    tick_msat_per_kwh: u32,
    /// Whether orders name channel partners and preferences.
    names: bool,
}

const PLAIN: Kind = Kind { tick_msat_per_kwh: 1, names: false };
const TIED: Kind = Kind { tick_msat_per_kwh: 10_000, names: false };
const NAMED: Kind = Kind { tick_msat_per_kwh: 1, names: true };

/// Orders of one to four steps: a consumer's, a producer's, or a battery's on both sides.
fn book(count: u32, kind: Kind) -> Vec<BookOrder> {
    let mut numbers = Numbers(u64::from(count));
    (0..count).map(|index| book_order(index, count, kind, &mut numbers)).collect()
}

fn book_order(index: u32, count: u32, kind: Kind, numbers: &mut Numbers) -> BookOrder {
    let sides: &[Side] = match numbers.below(4) {
        0 => &[Side::Buy],
        1 => &[Side::Sell],
        2 => &[Side::Buy, Side::Buy, Side::Sell, Side::Sell],
        _ => &[Side::Buy, Side::Sell],
    };
    let ticks = BAND_WIDTH / kind.tick_msat_per_kwh;
    let middle = 1 + numbers.below(ticks - 2);
    let steps = sides.iter().map(|side| {
        let ticks = match (sides.len(), side) {
            (1, _) => 0..ticks,
            (_, Side::Buy) => 0..middle,
            (_, Side::Sell) => middle..ticks,
        };
        let tick = ticks.start + numbers.below(ticks.end - ticks.start);
        let limit = FLOOR + i64::from(tick * kind.tick_msat_per_kwh);
        Step {
            side: *side,
            source: if *side == Side::Buy { Source::Load } else { Source::Pv },
            energy_mwh: Energy::from_milliwatt_hours(u64::from(1 + numbers.below(2_000_000))),
            limit_msat_per_kwh: Price::from_msat_per_kwh(limit),
        }
    });
    let mut order = Order { steps: steps.collect(), ..Order::default() };
    if kind.names {
        // Neighbours name each other; far-away wishes are one-sided.
        order.channel_partners = [index ^ 1, index ^ 2]
            .into_iter()
            .filter(|i| *i < count)
            .map(RosterIndex::new)
            .collect();
        order.preferences = vec![Preference::Partner(RosterIndex::new(numbers.below(count)))];
    }
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&numbers.next().to_le_bytes());
    BookOrder {
        participant: RosterIndex::new(index),
        hash: MessageHash::from_bytes(hash),
        outside: false,
        order,
    }
}

fn rules() -> AuctionRules {
    AuctionRules {
        band: PriceBand {
            floor_msat_per_kwh: Price::from_msat_per_kwh(FLOOR),
            ceiling_msat_per_kwh: Price::from_msat_per_kwh(FLOOR + i64::from(BAND_WIDTH)),
        },
        import_cap: Energy::from_milliwatt_hours(u64::MAX),
        export_cap: Energy::from_milliwatt_hours(u64::MAX),
    }
}

fn clearing(criterion: &mut Criterion) {
    let rules = rules();
    for count in [100, 1_000, 10_000, 100_000, 1_000_000] {
        let plain = book(count, PLAIN);
        let steps: Vec<Step> = plain.iter().flat_map(|o| &o.order.steps).copied().collect();
        let limits: Vec<(Price, u32)> =
            steps.iter().map(|s| s.limit_msat_per_kwh).zip(0..).collect();
        let mut group = criterion.benchmark_group("clearing");
        group
            .throughput(Throughput::Elements(u64::from(count)))
            .sampling_mode(SamplingMode::Flat)
            .sample_size(if count > 100_000 { 15 } else { 30 })
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(3));
        group.bench_function(BenchmarkId::new("sort", count), |bencher| {
            let sort = |mut limits: Vec<(Price, u32)>| {
                limits.sort_unstable();
                limits
            };
            bencher.iter_batched(|| limits.clone(), sort, BatchSize::LargeInput);
        });
        group.bench_function(BenchmarkId::new("sort_steps", count), |bencher| {
            let sort = |mut steps: Vec<Step>| {
                steps.sort_unstable_by_key(|step| step.limit_msat_per_kwh);
                steps
            };
            bencher.iter_batched(|| steps.clone(), sort, BatchSize::LargeInput);
        });
        for (name, kind) in [("clear", PLAIN), ("clear_tied", TIED), ("clear_named", NAMED)] {
            let book = book(count, kind);
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| clear(INTERVAL, &rules, black_box(&book)));
            });
        }
        group.bench_function(BenchmarkId::new("clear_and_digest", count), |bencher| {
            bencher.iter(|| clear(INTERVAL, &rules, black_box(&plain)).digest());
        });
        group.finish();
    }
}

criterion_group!(benches, clearing);
criterion_main!(benches);
