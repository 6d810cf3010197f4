//! Whether a machine does what it was told: its watts say so, not its acknowledgement.
//!
//! [`Check`] takes the time, commands and observations, and says what to do: command (once more),
//! cut off, tell the owner. A refusal proves as little as an acknowledgement: a write that times out
//! may still have its effect later.
//!
//! | what is seen | what follows |
//! |---|---|
//! | watts follow within the settle time | [`Notice::Followed`] |
//! | they don't | the command is sent once more; then the machine is *unresponsive* and out of the plan, and its owner is told |
//! | unresponsive | it is told to be off again, at growing pauses; what it does by then brings it back |
//! | nothing is heard of it | *contact is lost*: it is left or cut off by its relay, as its owner chose; once it is heard again it is told anew |
//! | cut off | its power comes back only by [`Check::try_again`], since a machine starts by itself |
//! | it follows, and later does something else | it is told anew, as if nothing had happened yet |
//!
//! Not for: sending anything, or what a machine should do (the plan).

mod check;
mod contact;
#[cfg(test)]
mod tests;

use std::fmt;

use boltgrid_protocol::units::{Power, Timestamp};
use serde::{Deserialize, Serialize};

pub use check::Check;

use crate::machine::SetPoint;

/// How often a command is sent before a machine counts as unresponsive.
pub const TRIES_MAX: u8 = 2;
/// Watts are compared within this part of a machine's rated power …
const TOLERANCE_DIVISOR: i64 = 10;
/// … or within this part of the step it was told to make, if that is more …
const STEP_DIVISOR: i64 = 4;
/// … but at least within this.
const TOLERANCE_MIN: Power = Power::from_milliwatts(1_000);
/// A step below this part of the rated power cannot be told from the machine's own ups and downs.
const NOISE_DIVISOR: i64 = 50;

/// What becomes of a machine that is heard of no more, or that draws more than it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnContactLost {
    /// It is left as it is.
    #[default]
    Leave,
    /// Its relay cuts it off.
    OffByRelay,
}

/// What to do. In order; each is done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// To tell the machine.
    Command(SetPoint),
    /// To cut its power by its relay.
    CutOff,
    /// To give it power again by its relay.
    Restore,
    /// To tell its owner, and those who keep books.
    Tell(Notice),
}

/// What happened to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It does as it was told.
    Followed {
        /// What it was told.
        set_point: SetPoint,
        /// What it drew when it was told, where that was known.
        from: Option<Power>,
        /// What it draws now, where that is known.
        to: Option<Power>,
        /// How long it took from the command that did it.
        after_ms: u64,
    },
    /// It does not, and is out of the plan.
    Unresponsive {
        /// What it was told.
        set_point: SetPoint,
        /// Why it is thought so.
        why: Why,
        /// What it draws, where that is known.
        draws: Option<Power>,
    },
    /// Nothing is heard of it, and it is out of the plan.
    ContactLost {
        /// For how long, in ms.
        silent_ms: u64,
        /// Whether its relay cuts it off, and not only left alone.
        cut_off: bool,
    },
    /// It was cut off, and still draws power.
    NotCut {
        /// What it draws.
        draws: Power,
    },
    /// It is back in the plan.
    Recovered {
        /// After how long, in ms.
        after_ms: u64,
    },
}

/// Why a machine counts as unresponsive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It acknowledged, and its watts did not follow.
    NoEffect,
    /// It refused, or the command failed, and its watts did not follow.
    Refused,
    /// Neither it nor a meter says what it does.
    Unseen,
}

/// How a machine stands with the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was asked of it yet.
    Untold,
    /// It was told, and has time to follow.
    Settling {
        /// Until when.
        until: Timestamp,
    },
    /// It does as told.
    Following {
        /// Since when.
        since: Timestamp,
    },
    /// It does not.
    Unresponsive {
        /// Since when.
        since: Timestamp,
        /// Why it is thought so.
        why: Why,
    },
    /// Nothing is heard of it.
    ContactLost {
        /// Since when.
        since: Timestamp,
    },
    /// Its relay has cut it off.
    CutOff {
        /// Since when.
        since: Timestamp,
    },
    /// It has power again after it was cut off, and is yet to be heard of.
    Restored {
        /// How long it has for that.
        until: Timestamp,
    },
}

impl Standing {
    /// Whether the plan may count on it.
    #[must_use]
    pub const fn is_in_plan(self) -> bool {
        match self {
            Self::Untold | Self::Settling { .. } | Self::Following { .. } => true,
            Self::Unresponsive { .. }
            | Self::ContactLost { .. }
            | Self::CutOff { .. }
            | Self::Restored { .. } => false,
        }
    }
}

/// How near to `target` counts as there, for a machine of this rating that made this step.
fn tolerance(rated: Power, step_mw: i64) -> i64 {
    let rated = rated.to_milliwatts().div_euclid(TOLERANCE_DIVISOR);
    rated.max(step_mw.div_euclid(STEP_DIVISOR)).max(TOLERANCE_MIN.to_milliwatts())
}

/// The distance between two powers.
const fn apart(one: Power, other: Power) -> i64 {
    one.to_milliwatts().saturating_sub(other.to_milliwatts()).saturating_abs()
}

/// Whether a machine of this rating that drew `before` and now draws `power` went to `target`.
fn went(rated: Power, before: Option<Power>, target: Power, power: Power) -> bool {
    let step = before.map_or(0, |before| apart(before, target));
    if apart(power, target) > tolerance(rated, step) {
        return false;
    }
    let noise = rated.to_milliwatts().div_euclid(NOISE_DIVISOR);
    // A small step is within the tolerance from the start: it must be nearer to where it should be.
    before.is_none_or(|before| step <= noise || apart(power, target) < apart(power, before))
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEffect => "it acknowledged, and its power did not follow",
            Self::Refused => "it refused, and its power did not follow",
            Self::Unseen => {
                "neither it nor a meter says what it draws; give it a meter of its own (`meter`)"
            }
        })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watts = |power: &Option<Power>| {
            power.map_or_else(|| "an unknown power".to_owned(), |power| power.to_string())
        };
        match self {
            Self::Followed { set_point, to, after_ms, .. } => {
                write!(f, "told to {set_point}, it draws {} after {after_ms} ms", watts(to))
            }
            Self::Unresponsive { set_point, why, draws } => write!(
                f,
                "told to {set_point} {TRIES_MAX} times, it draws {}: {why}; it is out of the plan",
                watts(draws)
            ),
            Self::ContactLost { silent_ms, cut_off: false } => write!(
                f,
                "nothing heard for {silent_ms} ms; it is left as it is and out of the plan"
            ),
            Self::ContactLost { silent_ms, cut_off: true } => {
                write!(f, "nothing heard for {silent_ms} ms; its relay cuts it off")
            }
            Self::NotCut { draws } => {
                write!(
                    f,
                    "its relay was told to cut it off, and it draws {draws}; look at the relay"
                )
            }
            Self::Recovered { after_ms } => {
                write!(f, "it does as told again after {after_ms} ms, and is back in the plan")
            }
        }
    }
}
