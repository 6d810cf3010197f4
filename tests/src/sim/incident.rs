//! The things that can go wrong, one by one, so that each can be printed, counted and left out.
//!
//! Moments are milliseconds since the run started. Not for: when they are drawn ([`super::plan`]) or
//! what they do ([`super::world`], [`super::network`]).

use std::fmt;

/// At which moment of its work a node is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// What it signed is not written.
    BeforeWrite,
    /// What it signed is written in part.
    TornWrite,
    /// What it signed is on disk, and nothing of it has left.
    AfterWrite,
    /// Some of it has left.
    BetweenSends,
    /// While it has nothing to do.
    AtRest,
}

impl Moment {
    /// All moments.
    pub const ALL: [Self; 5] =
        [Self::BeforeWrite, Self::TornWrite, Self::AfterWrite, Self::BetweenSends, Self::AtRest];

    const fn word(self) -> &'static str {
        match self {
            Self::BeforeWrite => "crash before the write",
            Self::TornWrite => "crash in a torn write",
            Self::AfterWrite => "crash after the write",
            Self::BetweenSends => "crash between sends",
            Self::AtRest => "crash at rest",
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node is killed at its next such moment, and started again later.
    Crash {
        /// Which node.
        node: usize,
        /// When in its work.
        moment: Moment,
        /// For how long it is down.
        down_ms: u64,
    },
    /// A node's disk takes no more writes for a while.
    DiskFull {
        /// Which node.
        node: usize,
    },
    /// A node loses its journal, and stays away as long as P21 asks.
    DiskLost {
        /// Which node.
        node: usize,
    },
    /// A node's process stands still for a while.
    Pause {
        /// Which node.
        node: usize,
    },
    /// A node's clock is set.
    ClockStep {
        /// Which node.
        node: usize,
        /// Ahead, or back.
        by_ms: i64,
    },
    /// A node's clock runs fast or slow from now on.
    ClockDrift {
        /// Which node.
        node: usize,
        /// Fast, or slow.
        drift_ppm: i64,
    },
    /// Some nodes do not reach the others.
    Cut {
        /// One bit per node on the one side.
        side: u16,
        /// Whether they still hear the others.
        one_way: bool,
        /// It comes and goes so often; 0 if it stays.
        flap_ms: u64,
    },
    /// Messages are lost, on top of what is always lost.
    Loss {
        /// How many.
        chance_ppm: u64,
    },
    /// Messages take up to so much longer, each its own time, so they overtake each other.
    Delay {
        /// At most.
        most_ms: u64,
    },
    /// Messages arrive twice.
    Copies {
        /// How many.
        chance_ppm: u64,
    },
}

impl Event {
    /// Its name in counts.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Crash { moment, .. } => moment.word(),
            Self::DiskFull { .. } => "disk full",
            Self::DiskLost { .. } => "journal lost",
            Self::Pause { .. } => "pause",
            Self::ClockStep { .. } => "clock step",
            Self::ClockDrift { .. } => "clock drift",
            Self::Cut { one_way: false, flap_ms: 0, .. } => "partition",
            Self::Cut { one_way: true, flap_ms: 0, .. } => "one-way partition",
            Self::Cut { .. } => "flapping partition",
            Self::Loss { .. } => "loss",
            Self::Delay { .. } => "delay",
            Self::Copies { .. } => "duplication",
        }
    }

    /// The one node it happens to, if it is one.
    #[must_use]
    pub const fn node(&self) -> Option<usize> {
        match *self {
            Self::Crash { node, .. }
            | Self::DiskFull { node }
            | Self::DiskLost { node }
            | Self::Pause { node }
            | Self::ClockStep { node, .. }
            | Self::ClockDrift { node, .. } => Some(node),
            Self::Cut { .. } | Self::Loss { .. } | Self::Delay { .. } | Self::Copies { .. } => None,
        }
    }
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// When it starts, since the run started.
    pub at_ms: u64,
    /// How long it lasts; 0 for what happens at once.
    pub for_ms: u64,
    /// What it is.
    pub event: Event,
}

impl Incident {
    /// When it is over.
    #[must_use]
    pub const fn until_ms(&self) -> u64 {
        self.at_ms.saturating_add(self.for_ms)
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ms", self.at_ms)?;
        if self.for_ms > 0 {
            write!(f, " for {} ms", self.for_ms)?;
        }
        write!(f, ": {}", self.event.word())?;
        if let Some(node) = self.event.node() {
            write!(f, " at node {node}")?;
        }
        match self.event {
            Event::Crash { down_ms, .. } => write!(f, ", down for {down_ms} ms"),
            Event::ClockStep { by_ms, .. } => write!(f, " by {by_ms} ms"),
            Event::ClockDrift { drift_ppm, .. } => write!(f, " by {drift_ppm} ppm"),
            Event::Cut { side, flap_ms, .. } => {
                let nodes: Vec<String> = (0..16)
                    .filter(|node| side >> node & 1 == 1)
                    .map(|node: u32| node.to_string())
                    .collect();
                write!(f, " of nodes {}, every {flap_ms} ms", nodes.join(" "))
            }
            Event::Loss { chance_ppm } | Event::Copies { chance_ppm } => {
                write!(f, " of {chance_ppm} ppm")
            }
            Event::Delay { most_ms } => write!(f, " up to {most_ms} ms"),
            Event::DiskFull { .. } | Event::DiskLost { .. } | Event::Pause { .. } => Ok(()),
        }
    }
}
