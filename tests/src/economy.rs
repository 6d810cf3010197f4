//! What channels cost a grid of the measured kind, and how far they reach: real plant, strategy,
//! auction and channel policy over a model of channels and of the chain.
//!
//! Not for: Lightning itself, which the testnet runs; here a payment is a sum that moves.

mod credit;
mod document;
mod outcome;
mod trading;
mod wallet;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use boltgrid_market::channels::Limits;
use boltgrid_protocol::units::Msat;
use boltgrid_testnet::scenario::Scenario;

pub use document::document;
pub use outcome::{Month, Outcome};

/// Days of a month, where nothing else is wanted.
const MONTH_DAYS: u64 = 30;
/// Quarters of an hour of a day.
const DAY_INTERVALS: u64 = 96;
/// How many months are lived through: one that begins without any channel, and one that does not.
const MONTHS: usize = 2;

/// Where in the measured year the months lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// From the first of June on.
    Summer,
    /// From the first of January on.
    Winter,
}

impl Season {
    const fn from(self) -> &'static str {
        match self {
            Self::Summer => "2016-06-01T00:00:00+01:00",
            Self::Winter => "2016-01-02T00:00:00+01:00",
        }
    }
}

/// The circumstances of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// When.
    pub season: Season,
    /// How many sites.
    pub members: usize,
    /// What the chain takes.
    pub sat_per_vb: u64,
}

/// What all rows share.
#[derive(Clone, Copy, Debug)]
pub struct Economy {
    /// What each owner allows.
    pub limits: Limits,
    /// What each has on the chain at first.
    pub coins: Msat,
    /// How far each trusts each.
    credit: credit::Terms,
    /// Whether orders name those who are reached over one other, too.
    pub prefers: bool,
    /// How long a month is, in days.
    pub month_days: u64,
}

impl Default for Economy {
    fn default() -> Self {
        const fn sat(sat: u64) -> Msat {
            Msat::from_satoshi_saturating(sat)
        }
        Self {
            limits: Limits::default(),
            coins: sat(3_000_000),
            credit: credit::Terms { first: sat(2_000), grows_by_one_in: 2, most: sat(20_000) },
            prefers: true,
            month_days: MONTH_DAYS,
        }
    }
}

impl Economy {
    /// The same where a newcomer may owe so much, if that is more than one tranche.
    #[must_use]
    pub const fn with_first(mut self, first: Msat) -> Self {
        self.credit.first = first;
        self
    }
}

/// All rows for these grids and fee rates.
#[must_use]
pub fn cells(seasons: &[Season], members: &[usize], fee_rates: &[u64]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &season in seasons {
        for &members in members {
            cells.extend(fee_rates.iter().map(|&sat_per_vb| Cell { season, members, sat_per_vb }));
        }
    }
    cells
}

/// Lives through all rows, with so many threads; the threads change nothing but the time it takes.
/// `done` hears of each row, in whatever order they end.
///
/// # Panics
///
/// If money appears or gets lost.
#[must_use]
pub fn run(
    economy: &Economy,
    cells: &[Cell],
    threads: NonZero<usize>,
    done: impl Fn(&Cell, &Outcome) + Sync,
) -> Vec<Outcome> {
    let scenario = Arc::new(Scenario::builtin("rural1").expect("the built-in scenario is one"));
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; cells.len()]);
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(place) else { return };
                    let outcome = trading::Trading::new(economy, &scenario, cell).run();
                    done(cell, &outcome);
                    outcomes.lock().expect("no thread panicked")[place] = Some(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("no thread panicked");
    outcomes.into_iter().map(|outcome| outcome.expect("every row was run")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(economy: &Economy, threads: usize) -> Vec<Outcome> {
        let cells = cells(&[Season::Summer], &[5, 8], &[10]);
        run(economy, &cells, NonZero::new(threads).unwrap(), |_, _| {})
    }

    #[test]
    fn in_a_few_days_a_small_grid_has_channels_and_pays_over_them_within_the_limits() {
        let economy = Economy { month_days: 4, ..Economy::default() };
        let outcomes = life(&economy, 2);
        assert_eq!(outcomes, life(&economy, 1), "threads change nothing");
        for outcome in outcomes {
            assert!((1..=5).contains(&outcome.channels_max), "{outcome:?}");
            assert!(outcome.limit_used_max_ppm <= 1_000_000, "{outcome:?}");
            let [first, second] = &outcome.months[..] else { panic!("two months") };
            assert!(first.after_waiting > Msat::ZERO, "the first day has no channels: {first:?}");
            assert!(second.direct > Msat::ZERO && second.over_one > Msat::ZERO, "{second:?}");
            let paid = second.direct.saturating_add(second.over_one);
            assert!(outcome::ppm(paid, second.due) > 900_000, "{second:?}");
        }
    }

    #[test]
    fn newcomers_that_may_owe_one_tranche_only_sign_little_in_a_quarter_of_an_hour() {
        let economy = Economy { month_days: 2, ..Economy::default() }.with_first(Msat::ZERO);
        let outcome = life(&economy, 1).remove(0);
        assert!(outcome.months[0].lapsed > Msat::ZERO, "a quarter of an hour is many tranches");
        assert!(outcome.limit_used_max_ppm <= 1_000_000, "{outcome:?}");
    }
}
