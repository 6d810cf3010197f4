//! How a machine misbehaves.

use serde::Deserialize;

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It takes connections and says nothing.
    Silent,
    /// Its network is cut: it hangs up on whoever calls, or, over HTTP, says nothing.
    Unreachable,
    /// It breaks off in the middle of each answer.
    HalfAnswer,
    /// It answers something that is no language.
    Garbage,
    /// It refuses to be told.
    Refuses,
    /// It says yes and does nothing.
    NoEffect,
    /// It says no and does it.
    DeniesWhatItDoes,
    /// It says yes and starts anew.
    Reboots,
    /// Its fans stand still: it gets hot, stops by itself, and says yes to whatever it is told.
    Overheats,
}

impl Fault {
    /// Its word in the faults file and in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::HalfAnswer => "half_answer",
            Self::Garbage => "garbage",
            Self::Refuses => "refuses",
            Self::NoEffect => "no_effect",
            Self::DeniesWhatItDoes => "denies_what_it_does",
            Self::Reboots => "reboots",
            Self::Overheats => "overheats",
        }
    }

    /// Whether nothing that makes sense is heard of it.
    #[must_use]
    pub const fn is_mute(self) -> bool {
        match self {
            Self::Silent | Self::Unreachable | Self::HalfAnswer | Self::Garbage => true,
            Self::Refuses
            | Self::NoEffect
            | Self::DeniesWhatItDoes
            | Self::Reboots
            | Self::Overheats => false,
        }
    }
}
