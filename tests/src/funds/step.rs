//! One step of a plan.

use std::fmt;

/// Something that is done, or goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One begins to pay another; nobody waits for the end of it.
    Pay {
        /// Who pays.
        from: usize,
        /// Whom.
        to: usize,
        /// How much.
        amount_msat: u64,
    },
    /// Waits until every payment is over, as far as they can be.
    Settle,
    /// Channels that were closed meanwhile are opened anew.
    Renew,
    /// A node's process is killed.
    Kill {
        /// Whose.
        node: usize,
        /// So long after the step before.
        after_ms: u64,
    },
    /// The power of a node's machine is cut: its process ends, and what its disk was not told to keep
    /// is gone.
    CutPower {
        /// Whose.
        node: usize,
        /// So long after the step before.
        after_ms: u64,
    },
    /// A node stops in order.
    Stop {
        /// Which.
        node: usize,
    },
    /// A node starts again.
    Start {
        /// Which.
        node: usize,
    },
    /// Nothing goes between these two any more.
    Cut {
        /// One.
        from: usize,
        /// The other.
        to: usize,
        /// So long after the step before.
        after_ms: u64,
    },
    /// They find each other again.
    Mend {
        /// One.
        from: usize,
        /// The other.
        to: usize,
    },
    /// Blocks are mined.
    Mine {
        /// How many.
        blocks: u32,
    },
    /// The last blocks are undone, and others mined in their place.
    Reorg {
        /// How many.
        depth: u32,
    },
    /// A channel is closed.
    Close {
        /// By whom.
        node: usize,
        /// With whom it is.
        with: usize,
        /// Whether without the other.
        force: bool,
        /// So long after the step before.
        after_ms: u64,
    },
    /// A node's disk takes no byte more, so that the node ends.
    FillDisk {
        /// Whose.
        node: usize,
    },
    /// It has room again.
    FreeDisk {
        /// Whose.
        node: usize,
    },
    /// A cheat stops in order, and keeps a copy of its data.
    Keep {
        /// Who.
        node: usize,
    },
    /// A cheat is killed, and closes its channels by the copy that it kept.
    Cheat {
        /// Who.
        node: usize,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pay { from, to, amount_msat } => write!(f, "{from} pays {to} {amount_msat} msat"),
            Self::Settle => write!(f, "payments settle"),
            Self::Renew => write!(f, "closed channels are opened anew"),
            Self::Kill { node, after_ms } => write!(f, "{node} is killed after {after_ms} ms"),
            Self::CutPower { node, after_ms } => {
                write!(f, "{node}'s power is cut after {after_ms} ms")
            }
            Self::Stop { node } => write!(f, "{node} stops"),
            Self::Start { node } => write!(f, "{node} starts"),
            Self::Cut { from, to, after_ms } => {
                write!(f, "the link of {from} and {to} is cut after {after_ms} ms")
            }
            Self::Mend { from, to } => write!(f, "the link of {from} and {to} is mended"),
            Self::Mine { blocks: 1 } => write!(f, "1 block is mined"),
            Self::Mine { blocks } => write!(f, "{blocks} blocks are mined"),
            Self::Reorg { depth } => write!(f, "{depth} blocks are undone"),
            Self::Close { node, with, force, after_ms } => {
                let how = if *force { "by force" } else { "together" };
                write!(f, "{node} closes its channel with {with} {how} after {after_ms} ms")
            }
            Self::FillDisk { node } => write!(f, "{node}'s disk is full"),
            Self::FreeDisk { node } => write!(f, "{node}'s disk has room again"),
            Self::Keep { node } => write!(f, "{node} stops, and its data is copied"),
            Self::Cheat { node } => write!(f, "{node} cheats: it is killed, and the copy closes"),
        }
    }
}
