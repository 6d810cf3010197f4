//! Why a run cannot be set up, and what would help.

use std::io;
use std::path::PathBuf;

use boltgrid_protocol::charter::CharterRejected;

use super::INTERVAL_MS_MIN;
use crate::chain::SourceError;
use crate::devices::FarmError;
use crate::devices::miners::MinerError;
use crate::plant::{PlantError, ROW_MS, TICKS_PER_INTERVAL};
use crate::run::disks::DisksError;
use crate::run::faults::FaultsError;
use crate::run::founding::FoundingError;
use crate::scenario::{ScenarioError, TimeError};

/// Why a run cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The time to start from.
    #[error("--from: {0}")]
    From(#[from] TimeError),
    /// The faults file.
    #[error(transparent)]
    Faults(#[from] FaultsError),
    /// An interval that a row of the profiles cannot stand for.
    #[error(
        "--interval-ms {0}: take {INTERVAL_MS_MIN} to {ROW_MS} of which {ROW_MS} is a multiple and \
         which is a multiple of {TICKS_PER_INTERVAL}, such as 5000, 10000 or 30000"
    )]
    Interval(u64),
    /// No charter fits.
    #[error(
        "{nodes} nodes and intervals of {interval_ms} ms do not fit: {source}; take longer ones"
    )]
    Charter {
        /// How many nodes.
        nodes: usize,
        /// How long an interval.
        interval_ms: u64,
        /// What does not fit.
        source: CharterRejected,
    },
    /// The plant.
    #[error(transparent)]
    Plant(#[from] PlantError),
    /// The devices.
    #[error(transparent)]
    Devices(#[from] FarmError),
    /// The mining machines.
    #[error(transparent)]
    Miners(#[from] MinerError),
    /// A machine that is to misbehave and does not stand there.
    #[error(
        "node {node} has no mining machine {machine:?}; with --miners there are {}", known.join(", ")
    )]
    NoMachine {
        /// At which site.
        node: usize,
        /// What the faults file calls it.
        machine: String,
        /// Those that stand there.
        known: Vec<String>,
    },
    /// The ports.
    #[error("there are not enough free ports on 127.0.0.1: {0}")]
    Ports(#[source] io::Error),
    /// The proxies of the links.
    #[error("there are no proxies between the nodes: {0}")]
    Links(#[source] io::Error),
    /// The disks that are to be full.
    #[error(transparent)]
    Disks(#[from] DisksError),
    /// The folder to keep the run in.
    #[error("the folder {} to keep the run in {problem}", path.display())]
    Keep {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: KeepProblem,
    },
    /// The chain.
    #[error(transparent)]
    Chain(#[from] SourceError),
    /// The grid's files.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// A temporary folder.
    #[error("no temporary folder can be made: {0}")]
    Temporary(#[source] io::Error),
}

/// What is wrong with the folder to keep a run in.
#[derive(Debug, thiserror::Error)]
pub enum KeepProblem {
    /// Something is in it.
    #[error("is not empty; name another one, or one that is yet to be made")]
    NotEmpty,
    /// The operating system says no.
    #[error("cannot be used: {0}")]
    Io(#[from] io::Error),
}
