//! What can be wrong with what a site's devices show, with the numbers that say so.

use std::fmt;

use boltgrid_protocol::units::{Energy, NetEnergy, Power};
use serde::{Deserialize, Serialize};

use crate::register::RegisterRejected;

/// The kinds of anomalies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnomalyKind {
    /// A register shows less than before.
    RegisterBack,
    /// A register grew by more than the rating allows.
    RegisterJump,
    /// Nothing moves although power flows, or nothing at all moves.
    Frozen,
    /// Registers and integrated power disagree.
    Disagrees,
    /// PV produces while the sun is down.
    PvAtNight,
    /// Nothing was measured for too long.
    Gap,
}

impl AnomalyKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RegisterBack,
        Self::RegisterJump,
        Self::Frozen,
        Self::Disagrees,
        Self::PvAtNight,
        Self::Gap,
    ];

    /// Its name in JSON and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegisterBack => "register-back",
            Self::RegisterJump => "register-jump",
            Self::Frozen => "frozen",
            Self::Disagrees => "disagrees",
            Self::PvAtNight => "pv-at-night",
            Self::Gap => "gap",
        }
    }

    /// Whether a site orders nothing while it stands: where it touches what the settling meter
    /// counts.
    ///
    /// PV at night does not: what is traded is proven by the settling meter, and a hybrid inverter
    /// shows what its battery gives at night as its own. Nor does a gap that is over: registers
    /// count on while nobody looks, and while it lasts there is no sample to plan from.
    #[must_use]
    pub const fn blocks_orders(self) -> bool {
        match self {
            Self::RegisterBack | Self::RegisterJump | Self::Frozen | Self::Disagrees => true,
            Self::PvAtNight | Self::Gap => false,
        }
    }
}

/// What is wrong, with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// A register shows less than before, in counts of the device.
    RegisterBack {
        /// Before, wraps included.
        before_counts: u64,
        /// Now.
        shown_counts: u64,
    },
    /// A register grew by more than the rating allows.
    RegisterJump {
        /// By how much.
        grown_mwh: Energy,
        /// In which time.
        elapsed_ms: u64,
        /// The most it may have.
        most_mwh: Energy,
    },
    /// The registers have not moved, or nothing has.
    Frozen {
        /// For how long.
        for_ms: u64,
        /// The power shown.
        power_mw: Power,
        /// What that power comes to in the time.
        expected_mwh: Energy,
    },
    /// Registers and integrated power disagree.
    Disagrees {
        /// Over which time.
        for_ms: u64,
        /// Net import by the registers.
        registers_mwh: NetEnergy,
        /// Net import by the power.
        integrated_mwh: NetEnergy,
        /// How far they may be apart.
        tolerance_mwh: Energy,
    },
    /// PV produces while the sun is down.
    PvAtNight {
        /// What it shows.
        pv_mw: Power,
        /// The sun over the horizon, in thousandths of a degree.
        sun_millidegrees: i32,
    },
    /// Nothing was measured.
    Gap {
        /// For how long.
        for_ms: u64,
    },
}

impl Finding {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> AnomalyKind {
        match self {
            Self::RegisterBack { .. } => AnomalyKind::RegisterBack,
            Self::RegisterJump { .. } => AnomalyKind::RegisterJump,
            Self::Frozen { .. } => AnomalyKind::Frozen,
            Self::Disagrees { .. } => AnomalyKind::Disagrees,
            Self::PvAtNight { .. } => AnomalyKind::PvAtNight,
            Self::Gap { .. } => AnomalyKind::Gap,
        }
    }

    /// What the refusal of a register says about its meter. A clock that was set back says nothing.
    pub(super) fn of_register(why: &RegisterRejected) -> Option<Self> {
        let held = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        let energy = |mwh| Energy::from_milliwatt_hours(held(mwh));
        match *why {
            RegisterRejected::Backwards { before, shown } => {
                Some(Self::RegisterBack { before_counts: held(before), shown_counts: shown })
            }
            RegisterRejected::Jump { grown_mwh, elapsed_ms, most_mwh } => {
                let (grown_mwh, most_mwh) = (energy(grown_mwh), energy(most_mwh));
                Some(Self::RegisterJump { grown_mwh, elapsed_ms, most_mwh })
            }
            RegisterRejected::TimeBack(_) | RegisterRejected::TooLarge => None,
        }
    }

    /// Whether power and registers have opposite signs, as when import and export are swapped.
    #[must_use]
    pub fn looks_swapped(&self) -> bool {
        match self {
            Self::Disagrees { registers_mwh, integrated_mwh, tolerance_mwh, .. } => registers_mwh
                .checked_neg()
                .is_some_and(|turned| apart(turned, *integrated_mwh) <= *tolerance_mwh),
            Self::RegisterBack { .. }
            | Self::RegisterJump { .. }
            | Self::Frozen { .. }
            | Self::PvAtNight { .. }
            | Self::Gap { .. } => false,
        }
    }
}

/// How far two net energies are apart.
pub(super) fn apart(one: NetEnergy, other: NetEnergy) -> Energy {
    let distance = one.to_milliwatt_hours().abs_diff(other.to_milliwatt_hours());
    Energy::from_milliwatt_hours(distance)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegisterBack { before_counts, shown_counts } => write!(
                f,
                "a register went back from {before_counts} to {shown_counts} counts; if the meter \
                 was reset or replaced, make a new meter key and have it enrolled"
            ),
            Self::RegisterJump { grown_mwh, elapsed_ms, most_mwh } => write!(
                f,
                "a register grew by {grown_mwh} in {elapsed_ms} ms, where the rating allows \
                 {most_mwh}; if the meter was replaced, make a new meter key and have it enrolled"
            ),
            Self::Frozen { for_ms, power_mw, expected_mwh } => write!(
                f,
                "nothing has moved for {} s at {power_mw}, which would be {expected_mwh}; look \
                 whether the meter, or a gateway before it, repeats an old answer",
                for_ms / 1_000
            ),
            Self::Disagrees { for_ms, registers_mwh, integrated_mwh, tolerance_mwh } => {
                write!(
                    f,
                    "in {} s the registers moved by {registers_mwh} and the power says \
                     {integrated_mwh}, more than {tolerance_mwh} apart",
                    for_ms / 1_000
                )?;
                if self.looks_swapped() {
                    write!(f, "; import and export look swapped")?;
                }
                Ok(())
            }
            Self::PvAtNight { pv_mw, sun_millidegrees } => write!(
                f,
                "PV shows {pv_mw} with the sun at {} degrees below the horizon; look at the site's \
                 coordinates, the clock, and whether a battery feeds through this inverter",
                sun_millidegrees.saturating_neg() / 1_000
            ),
            Self::Gap { for_ms } => write!(f, "nothing was measured for {} s", for_ms / 1_000),
        }
    }
}
