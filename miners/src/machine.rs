//! What a machine is to those who plan: what it can be told, and what it was seen to do.
//! Not for: the protocols that machines speak (`drivers`), or what a machine should do.

use std::fmt;

use boltgrid_protocol::units::{Power, Timestamp};
use serde::{Deserialize, Serialize};

use crate::hash::HashRate;

/// Most presets of one machine that are looked at.
pub const PRESETS_MAX: usize = 32;

/// What a machine can be told, learnt from it and corrected by what it then does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// How its power can be set while it runs.
    pub control: Control,
    /// What it draws at full power, as its maker or its own history says.
    pub rated: Power,
    /// What it draws while it does not hash: asleep, or nothing where a relay cuts it off.
    pub idle: Power,
    /// How long after a command its watts may take to follow.
    pub settle_ms: u64,
    /// How long it draws power after a start before it hashes.
    pub warm_up_ms: u64,
}

/// How a machine's power can be set while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// It can only be looked at.
    Nothing,
    /// On, at its rated power, or off.
    Switch,
    /// Any power of a range, in steps from its lower end.
    Range {
        /// The least that it can be told to draw while it runs.
        least: Power,
        /// The most.
        most: Power,
        /// From one power to the next; above zero.
        step: Power,
    },
    /// One of these powers, ascending, at most [`PRESETS_MAX`].
    Presets(Vec<Power>),
}

/// What a machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetPoint {
    /// Not to hash.
    Off,
    /// To hash, drawing this.
    Run {
        /// What it should draw, import positive.
        power_mw: Power,
    },
}

/// What a machine was seen to do. What it doesn't say, or what nobody measures, is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When.
    pub at: Timestamp,
    /// What it draws: by its own meter where it has one, else by its own word.
    pub power: Option<Power>,
    /// Whether a meter says so, and not the machine.
    pub power_is_metered: bool,
    /// How fast it hashes, by its own word.
    pub hash_rate: Option<HashRate>,
    /// How warm its warmest part is, in thousandths of a degree Celsius.
    pub temperature_m_celsius: Option<i32>,
}

impl Observation {
    /// The same with what the machine's own meter shows in place of the machine's word.
    #[must_use]
    pub const fn with_meter(self, power: Power) -> Self {
        Self { power: Some(power), power_is_metered: true, ..self }
    }
}

impl Abilities {
    /// The set point that draws most without drawing more than `power`; off where even the least is
    /// more than that. `None` for a machine that can't be told anything.
    #[must_use]
    pub fn within(&self, power: Power) -> Option<SetPoint> {
        let run = match &self.control {
            Control::Nothing => return None,
            Control::Switch => Some(self.rated).filter(|rated| *rated <= power),
            Control::Range { least, most, step } => stepped(*least, (*most).min(power), *step),
            Control::Presets(powers) => powers.iter().rev().find(|it| **it <= power).copied(),
        };
        Some(run.map_or(SetPoint::Off, |power_mw| SetPoint::Run { power_mw }))
    }

    /// The set point that draws least of those that draw more than `set_point`; the same where none
    /// does.
    #[must_use]
    pub fn next_above(&self, set_point: SetPoint) -> SetPoint {
        let SetPoint::Run { power_mw: at } = set_point else {
            return SetPoint::Run { power_mw: self.least() };
        };
        let higher = match &self.control {
            Control::Nothing | Control::Switch => None,
            Control::Range { least, most, step } => {
                let raised = at.max(*least).checked_add((*step).max(Power::from_milliwatts(1)));
                raised.and_then(|above| stepped(*least, above.min(*most), *step))
            }
            Control::Presets(powers) => powers.iter().find(|it| **it > at).copied(),
        };
        higher.filter(|it| *it > at).map_or(set_point, |power_mw| SetPoint::Run { power_mw })
    }

    /// The least that it draws while it runs.
    #[must_use]
    pub fn least(&self) -> Power {
        match &self.control {
            Control::Nothing | Control::Switch => self.rated,
            Control::Range { least, .. } => *least,
            Control::Presets(powers) => powers.first().copied().unwrap_or(self.rated),
        }
    }

    /// The most that it can be told to draw.
    #[must_use]
    pub fn most(&self) -> Power {
        match &self.control {
            Control::Nothing | Control::Switch => self.rated,
            Control::Range { most, .. } => *most,
            Control::Presets(powers) => powers.last().copied().unwrap_or(self.rated),
        }
    }

    /// What it draws once it follows `set_point`.
    #[must_use]
    pub const fn draws(&self, set_point: SetPoint) -> Power {
        match set_point {
            SetPoint::Off => self.idle,
            SetPoint::Run { power_mw } => power_mw,
        }
    }
}

/// The highest step from `least` that is not above `limit`.
fn stepped(least: Power, limit: Power, step: Power) -> Option<Power> {
    let above = limit.checked_sub(least)?.to_milliwatts();
    if above < 0 {
        return None;
    }
    let step = step.to_milliwatts().max(1);
    let whole = above.checked_div(step)?.checked_mul(step)?;
    least.checked_add(Power::from_milliwatts(whole))
}

impl fmt::Display for SetPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Run { power_mw } => write!(f, "run at {power_mw}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    fn machine(control: Control) -> Abilities {
        Abilities { control, rated: watts(3500), idle: watts(20), settle_ms: 30_000, warm_up_ms: 0 }
    }

    fn run(at: i64) -> Option<SetPoint> {
        Some(SetPoint::Run { power_mw: watts(at) })
    }

    #[test]
    fn a_range_is_left_in_whole_steps_from_its_lower_end() {
        let range = Control::Range { least: watts(1000), most: watts(3400), step: watts(250) };
        let machine = machine(range);
        assert_eq!(machine.within(watts(1999)), run(1750));
        assert_eq!(machine.within(watts(1000)), run(1000));
        assert_eq!(machine.within(watts(999)), Some(SetPoint::Off));
        assert_eq!(machine.within(watts(9999)), run(3250));
        assert_eq!(machine.within(Power::from_milliwatts(i64::MIN)), Some(SetPoint::Off));
    }

    #[test]
    fn a_switched_machine_runs_only_where_all_of_it_fits() {
        let machine = machine(Control::Switch);
        assert_eq!(machine.within(watts(3499)), Some(SetPoint::Off));
        assert_eq!(machine.within(watts(3500)), run(3500));
    }

    #[test]
    fn the_highest_preset_that_fits_is_taken() {
        let machine = machine(Control::Presets(vec![watts(900), watts(2000), watts(3100)]));
        assert_eq!(machine.within(watts(3000)), run(2000));
        assert_eq!(machine.within(watts(800)), Some(SetPoint::Off));
        assert_eq!((machine.least(), machine.most()), (watts(900), watts(3100)));
    }

    #[test]
    fn the_next_set_point_is_one_step_above() {
        let above =
            |control, at| machine(control).next_above(SetPoint::Run { power_mw: watts(at) });
        let range = Control::Range { least: watts(1000), most: watts(3400), step: watts(250) };
        assert_eq!(Some(above(range.clone(), 1750)), run(2000));
        assert_eq!(Some(above(range.clone(), 3250)), run(3250), "3500 is beyond its most");
        assert_eq!(Some(machine(range).next_above(SetPoint::Off)), run(1000));
        let presets = Control::Presets(vec![watts(900), watts(2000)]);
        assert_eq!(Some(above(presets.clone(), 900)), run(2000));
        assert_eq!(Some(above(presets, 2000)), run(2000));
        assert_eq!(Some(above(Control::Switch, 3500)), run(3500));
    }

    #[test]
    fn a_machine_that_can_only_be_looked_at_is_told_nothing() {
        assert_eq!(machine(Control::Nothing).within(watts(9999)), None);
    }
}
