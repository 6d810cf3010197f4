//! How often, and how soon, an interval is decided: real markets over a model of the network.
//!
//! Each trial is one interval of a grid of its own: a random graph, clocks that differ, links that
//! lose, and voters that are silent or play a part. Beside what the markets decide stands what a rule
//! without leader or vote would have made of the same acks. Not for: checking what must never
//! happen; that is the simulator's.

mod dice;
mod document;
mod founding;
mod links;
mod outcome;
mod trial;

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use document::document;
use founding::Founding;
pub use outcome::Summary;

/// What faulty voters do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing at all.
    Silent,
    /// Parts dealt round: double voter, equivocating leader, selective acker, late and partial.
    Malicious,
}

/// The circumstances of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Members, all of them voters.
    pub members: usize,
    /// What each attempt to send over a link is lost with.
    pub loss_percent: u64,
    /// What the faulty voters do.
    pub fault: Fault,
    /// How many voters are faulty, in percent of the members.
    pub faulty_percent: usize,
    /// How many intervals are tried.
    pub trials: usize,
}

/// Sizes of grids, and how many intervals of each are tried per row: a quarter of an hour in all, on
/// two cores that have nothing else to do.
pub const SIZES: [(usize, usize); 5] = [(5, 200), (20, 100), (50, 40), (100, 20), (200, 10)];
/// Losses, in percent.
pub const LOSSES_PERCENT: [u64; 4] = [0, 5, 10, 20];
/// Shares of faulty voters, in percent; 33 stands for as many as agreement bears.
const FAULTY_PERCENT: [usize; 4] = [0, 10, 20, 33];

impl Cell {
    /// How many voters are faulty: as many as the share says, rounded down, at most `f` (P11).
    #[must_use]
    pub fn faulty(&self) -> usize {
        let most = self.members.saturating_sub(1) / 3;
        if self.faulty_percent == 33 { most } else { (self.members * self.faulty_percent) / 100 }
    }
}

/// All rows for these grids and losses. Shares that come to no voter more than the one before are
/// left out.
#[must_use]
pub fn cells(sizes: &[(usize, usize)], losses_percent: &[u64]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for &(members, trials) in sizes {
        for &loss_percent in losses_percent {
            for fault in [Fault::Silent, Fault::Malicious] {
                let mut before = (fault == Fault::Malicious).then_some(0);
                for faulty_percent in FAULTY_PERCENT {
                    let cell = Cell { members, loss_percent, fault, faulty_percent, trials };
                    if before != Some(cell.faulty()) {
                        cells.push(cell);
                    }
                    before = Some(cell.faulty());
                }
            }
        }
    }
    cells
}

/// Tries all rows, with so many threads; the same seed gives the same summaries, whatever the
/// threads. `done` hears of each row, in whatever order they end.
///
/// # Panics
///
/// If two books of one interval were decided.
#[must_use]
pub fn run(
    cells: &[Cell],
    seed: u64,
    threads: NonZero<usize>,
    done: impl Fn(&Cell, &Summary) + Sync,
) -> Vec<Summary> {
    let next = AtomicUsize::new(0);
    let summaries = Mutex::new(vec![None; cells.len()]);
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let summary = summary(cell, seed);
                    done(cell, &summary);
                    let place = cells.iter().position(|it| it == cell).expect("it is one of them");
                    let mut summaries = summaries.lock().expect("no thread panicked");
                    summaries[place] = Some(summary);
                }
            });
        }
    });
    let summaries = summaries.into_inner().expect("no thread panicked");
    summaries.into_iter().map(|summary| summary.expect("every row was tried")).collect()
}

fn summary(cell: &Cell, seed: u64) -> Summary {
    let founding = Founding::of(cell.members);
    let outcomes =
        (0_u64..).take(cell.trials).map(|number| trial::run(cell, &founding, seed, number));
    Summary::of(&outcomes.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(fault: Fault, faulty_percent: usize, loss_percent: u64) -> Cell {
        Cell { members: 5, loss_percent, fault, faulty_percent, trials: 4 }
    }

    #[test]
    fn the_same_seed_gives_the_same_table_whatever_the_threads() {
        let cells = cells(&[(5, 3)], &[0, 20]);
        assert_eq!(cells.len(), 6, "of five voters one can be faulty");
        let table = |threads, seed| {
            let threads = NonZero::new(threads).unwrap();
            document(&cells, &run(&cells, seed, threads, |_, _| {}), seed, "command")
        };
        assert_eq!(table(1, 7), table(2, 7));
        assert_ne!(table(1, 7), table(1, 8));
    }

    #[test]
    fn without_faults_the_first_view_decides_for_everyone() {
        let summary = summary(&small(Fault::Silent, 0, 0), 1);
        assert_eq!(summary.all_decided, 4);
        assert!(summary.median_ms.is_some_and(|it| (2_000..7_000).contains(&it)), "{summary:?}");
        assert_eq!(summary.baseline_agreed, 4);
    }

    #[test]
    fn too_many_silent_voters_decide_nothing() {
        let summary = summary(&small(Fault::Silent, 40, 0), 1);
        assert_eq!((summary.all_decided, summary.median_ms), (0, None));
    }

    #[test]
    fn orders_at_the_margin_split_the_rule_without_a_vote_only() {
        let cell = Cell { members: 20, trials: 6, ..small(Fault::Malicious, 20, 5) };
        let summary = summary(&cell, 1);
        assert!(summary.baseline_agreed < 6, "{summary:?}");
        assert_eq!(summary.all_decided, 6, "{summary:?}");
    }
}
