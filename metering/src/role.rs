//! What a meter of a site measures.
//! Not for: how it is spoken to (see [`crate::drivers`]).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in a site a meter sits.
///
/// Whatever the role, power is positive where it is taken: from the grid into the site, from the house
/// into a battery or a load. So the power of PV and of a generator is negative when they give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The connection to the grid.
    Grid,
    /// A PV plant.
    Pv,
    /// A battery.
    Battery,
    /// Something that only takes.
    Load,
    /// Something but PV that gives.
    Generator,
    /// Gas, in litres.
    Gas,
    /// A line that feeds several sites.
    Feeder,
}

impl Role {
    /// Its name in configuration and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Pv => "pv",
            Self::Battery => "battery",
            Self::Load => "load",
            Self::Generator => "generator",
            Self::Gas => "gas",
            Self::Feeder => "feeder",
        }
    }

    /// The only direction in which energy flows through such a meter, if there is one.
    #[must_use]
    pub const fn one_way(self) -> Option<Way> {
        match self {
            Self::Load => Some(Way::Taken),
            Self::Pv | Self::Generator => Some(Way::Given),
            Self::Grid | Self::Battery | Self::Gas | Self::Feeder => None,
        }
    }
}

/// The direction of a flow, as the meter sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Counted as import.
    Taken,
    /// Counted as export.
    Given,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
