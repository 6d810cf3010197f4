//! What is to go wrong during a run, and when: the faults file and the order of its events.
//!
//! The file is described in `docs/faults.md`.
//! Not for: carrying faults out, which is the run's.

mod check;
mod raw;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use check::Problem;

use crate::devices::miners::Fault as MachineFault;
use crate::rogue::Role;

/// Most entries of one file.
const ENTRIES_MAX: usize = 1000;
/// Most faults of one run, an entry counting once for each of its nodes and times.
const FAULTS_MAX: usize = 10_000;

/// Whom a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This one, counted from 0 in the order of the sites.
    Node(usize),
    /// One that is up and undisturbed then, drawn from the run's seed.
    Drawn,
}

/// Which links between nodes a fault befalls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChoice {
    /// All.
    All,
    /// All that one of these nodes has.
    Of(Vec<usize>),
    /// Those between nodes of different groups.
    Between {
        /// The groups, each node in one of them at most.
        groups: Vec<Vec<usize>>,
        /// Only from the first group to the second one, not back.
        one_way: bool,
    },
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEffect {
    /// Nothing gets through.
    Cut {
        /// Only every other so many milliseconds, beginning with the first.
        flap_ms: Option<u64>,
    },
    /// Datagrams are lost by chance.
    Drop {
        /// How many of a hundred, 1 to 100.
        loss_percent: u8,
    },
    /// Datagrams take longer.
    Delay {
        /// All of them so much …
        delay_ms: u64,
        /// … and each up to so much more, by chance.
        jitter_ms: u64,
    },
}

impl LinkEffect {
    /// Its word in the faults file and in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::Drop { .. } => "drop",
            Self::Delay { .. } => "delay",
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A node is killed (SIGKILL) for good.
    Kill {
        /// Which one.
        who: Who,
    },
    /// A node is killed (SIGKILL) and started again.
    Restart {
        /// Which one.
        who: Who,
        /// How long it is gone.
        after_ms: u64,
    },
    /// A node is stopped (SIGSTOP) and goes on (SIGCONT).
    Pause {
        /// Which one.
        who: Who,
        /// How long it stands still.
        for_ms: u64,
    },
    /// A node's clock is stepped.
    Skew {
        /// Whose.
        who: Who,
        /// How far, ahead if positive.
        by_ms: i64,
        /// How long until it is right again; `None` if never.
        for_ms: Option<u64>,
    },
    /// The disk with a node's data is full.
    DiskFull {
        /// Whose.
        who: Who,
        /// How long until there is space again.
        for_ms: u64,
    },
    /// Links are worse than they should be.
    Links {
        /// Which ones.
        choice: LinkChoice,
        /// In what way.
        effect: LinkEffect,
        /// How long; `None` if until the end of the run.
        for_ms: Option<u64>,
    },
    /// A peer joins that sends what no honest node would.
    Hostile,
    /// A site is played by a rogue from the beginning, instead of a node.
    Rogue {
        /// Which one.
        node: usize,
        /// What it plays.
        role: Role,
    },
    /// A peer sends very many messages, valid and invalid.
    Flood {
        /// The node that is killed for good, and with whose key the peer speaks; a stranger if none.
        node: Option<usize>,
        /// How many, all receivers counted.
        messages_per_s: u32,
        /// For how long.
        for_ms: u64,
    },
    /// A site's grid meter shows a share of what flows, until the end of the run.
    Falsify {
        /// Whose.
        node: usize,
        /// What it shows of 100.
        shown_percent: u32,
        /// In so many intervals every node must have located it.
        located_within_intervals: Option<u64>,
    },
    /// Clouds leave a share of what PV gives, at all sites at once.
    Cloud {
        /// What they leave of 100.
        sun_percent: u32,
        /// For how long.
        for_ms: u64,
    },
    /// A mining machine misbehaves.
    Machine {
        /// At whose site.
        node: usize,
        /// What its node calls it.
        machine: String,
        /// What is wrong with it.
        fault: MachineFault,
        /// For how long; `None` if until the end of the run.
        for_ms: Option<u64>,
    },
    /// The last blocks of the chain are undone, and others come in their place.
    Reorg {
        /// How many.
        depth: u32,
    },
}

impl FaultKind {
    /// Its word in the faults file and in the report.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Restart { .. } => "restart",
            Self::Pause { .. } => "pause",
            Self::Skew { .. } => "skew",
            Self::DiskFull { .. } => "disk_full",
            Self::Links { effect, .. } => effect.name(),
            Self::Hostile => "hostile",
            Self::Rogue { .. } => "rogue",
            Self::Flood { .. } => "flood",
            Self::Falsify { .. } => "falsify",
            Self::Reorg { .. } => "reorg",
            Self::Cloud { .. } => "cloud",
            Self::Machine { .. } => "machine",
        }
    }
}

/// Something that goes wrong once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which interval's delivery, counted from 0 at the first one of the run.
    pub at_interval: u64,
    /// How long after that delivery has started.
    pub at_ms: u64,
    /// What.
    pub kind: FaultKind,
}

/// Why there are no faults to be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// The file cannot be read.
    #[error("the faults file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Not TOML of faults.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// A fault that cannot be.
    #[error("{}: fault {number}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

/// Reads and checks the faults of a run of `nodes` nodes; they come out in the order of time.
///
/// # Errors
///
/// [`FaultsError`], naming file and fault.
pub fn load(path: &Path, nodes: usize, interval_ms: u64) -> Result<Vec<Fault>, FaultsError> {
    let text = fs::read_to_string(path)
        .map_err(|source| FaultsError::Read { path: path.to_owned(), source })?;
    let raw: raw::RawFaults = toml::from_str(&text)
        .map_err(|source| FaultsError::Syntax { path: path.to_owned(), source: source.into() })?;
    let wrong = |(number, Problem(problem))| {
        let path = path.to_owned();
        FaultsError::Value { path, number, problem }
    };
    if raw.faults.len() > ENTRIES_MAX {
        return Err(wrong((ENTRIES_MAX + 1, "there are too many faults".into())));
    }
    let mut faults = Vec::new();
    for (number, raw) in (1..).zip(&raw.faults) {
        let left = FAULTS_MAX.saturating_sub(faults.len());
        let checked = check::fault(raw, nodes, interval_ms, left);
        let checked = checked.map_err(|problem| wrong((number, problem)))?;
        faults.extend(checked.into_iter().map(|fault| (number, fault)));
    }
    faults.sort_by_key(|(_, fault)| (fault.at_interval, fault.at_ms));
    check::killed_once(&faults).map_err(wrong)?;
    check::rogues_left_alone(&faults).map_err(wrong)?;
    Ok(faults.into_iter().map(|(_, fault)| fault).collect())
}

#[cfg(test)]
mod tests;
