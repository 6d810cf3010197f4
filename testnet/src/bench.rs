//! How fast trades are paid, beside bare Lightning payments: a testnet runs for some intervals, and
//! then the same payments are made once more, at the same moments, by as many processes that have
//! nothing but the Lightning library, over the same channels.
//!
//! ```text
//!   run ─► what was paid, by whom, from when to when ─┐
//!          chain, coins, channels ─► bare processes ──┴► the same payments ─► outcome, table
//! ```
//!
//! Bare payments are made twice: alone, and beside a testnet that trades and pays nothing, since what
//! trading takes of the machine is no part of what paying costs.
//!
//! And how soon a node starts again that has paid and been paid for long ([`restart`]).
//!
//! Results are in docs/settlement-benchmark.md. Not for: whether all was paid and rightly so, which
//! every run checks.

mod bare;
mod outcome;
mod past;
mod peer;
mod replay;
mod restart;
mod said;
mod scenario;

use std::fs;
use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use bare::BareError;
pub use outcome::{Comparison, Timing, table};
pub use past::PastError;
pub use peer::{BARE_COMMAND, PeerOptions, be_a_peer};
use replay::{Beat, Burst};
pub use restart::{Restart, RestartError, RestartOptions, StartTimes, restart, told};

pub(crate) use scenario::write as trading_scenario;

use crate::run::{RunError, RunOptions, run_and_tell, run_beside};

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The testnet.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The bare side.
    #[error(transparent)]
    Bare(#[from] BareError),
    /// The scenario.
    #[error("the scenario of the benchmark cannot be written: {0}")]
    Scenario(#[source] io::Error),
    /// Nobody paid anything.
    #[error(
        "in {intervals} intervals of {nodes} nodes nothing was paid, so there is nothing to \
         compare; take more intervals"
    )]
    NothingPaid {
        /// How many nodes.
        nodes: usize,
        /// How many intervals.
        intervals: u64,
    },
    /// A signal.
    #[error("the testnet beside which payments were made was ended before all of them were")]
    Cut,
    /// A node with a past.
    #[error(transparent)]
    Restart(#[from] RestartError),
    /// This program cannot be found.
    #[error("this program cannot be started again as a Lightning node: {0}")]
    Program(#[source] io::Error),
    /// The results cannot be written.
    #[error("the results {} cannot be written: {source}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// What to compare.
#[derive(Clone, Copy, Debug)]
pub struct BenchOptions {
    /// How many nodes.
    pub nodes: NonZeroUsize,
    /// How many intervals.
    pub intervals: NonZeroU64,
    /// How long an interval is.
    pub interval_ms: u64,
    /// What keys and copies of sites follow from.
    pub seed: u64,
}

/// Runs a testnet and the same payments by bare Lightning nodes, and compares the two.
///
/// # Errors
///
/// [`BenchError`], saying what to change.
pub async fn compare(options: BenchOptions) -> Result<Comparison, BenchError> {
    let BenchOptions { nodes, intervals, interval_ms, seed } = options;
    let program = std::env::current_exe().map_err(BenchError::Program)?;
    let folder = tempfile::Builder::new().prefix("boltgrid-bench-").tempdir();
    let folder = folder.map_err(BenchError::Scenario)?;
    let scenario = scenario::write(folder.path(), nodes.get()).map_err(BenchError::Scenario)?;
    let run = RunOptions {
        scenario,
        intervals: Some(intervals),
        interval_ms,
        seed,
        headless: true,
        ..RunOptions::default()
    };
    let (report, settlements) = run_and_tell(&run).await?;
    if settlements.is_empty() {
        let intervals = intervals.get();
        return Err(BenchError::NothingPaid { nodes: nodes.get(), intervals });
    }
    let participants = report.nodes.iter().map(|node| node.participant.clone()).collect();
    let bursts = replay::bursts(&settlements, participants);
    let bare = bare::Bare::start(&program, nodes.get(), seed).await?;
    let replayed = replay::replay(&bare, &bursts, Beat::Alone).await;
    bare.stop().await;
    let beside = beside_a_market((&program, nodes), &run, &bursts).await?;
    Ok(Comparison::new(nodes.get(), &bursts, (&replayed?, &beside)))
}

/// Makes the payments of a run by bare nodes while a testnet of as many nodes trades the same and
/// pays nothing: what is left of the difference is what settling costs, and not what trading does.
async fn beside_a_market(
    (program, nodes): (&Path, NonZeroUsize),
    run: &RunOptions,
    bursts: &[Burst],
) -> Result<Vec<Burst>, BenchError> {
    let bare = bare::Bare::start(program, nodes.get(), run.seed).await?;
    let market = RunOptions { chain: None, intervals: None, ..run.clone() };
    let beat = Beat::BesideMarket { interval_ms: run.interval_ms };
    let replayed = run_beside(&market, replay::replay(&bare, bursts, beat)).await;
    bare.stop().await;
    Ok(replayed?.ok_or(BenchError::Cut)??)
}

/// Writes results as JSON.
///
/// # Errors
///
/// [`BenchError::Write`].
///
/// # Panics
///
/// Never: they are plain data.
pub fn write(path: &Path, results: &impl Serialize) -> Result<(), BenchError> {
    let mut json = serde_json::to_string_pretty(results).expect("they are plain data");
    json.push('\n');
    fs::write(path, json).map_err(|source| BenchError::Write { path: path.to_owned(), source })
}
