//! How a machine's power is set, and what is known of it before it was ever watched.

use std::sync::Arc;

use asic_rs::core::data::collector::DataField;
use asic_rs::core::data::miner::TuningTarget;
use asic_rs::core::traits::miner::Miner;
use boltgrid_protocol::units::Power;

use super::luxos::{self, Profile};
use super::{POWER_MAX_W, milli};
use crate::drivers::{DeviceError, Stated};
use crate::machine::{Abilities, Control, PRESETS_MAX};

/// From one power to the next where any can be set.
const STEP: Power = Power::from_milliwatts(50_000);
/// The least that is asked of a machine that takes any power and doesn't say its least, in percent of
/// its rated power: below, most of them stop hashing or ignore the limit.
const LEAST_PERCENT: i64 = 60;
/// The firmware that has power limits in the library but is sent "1.5 kW" where it wants a level.
const BROKEN_LIMITS: &str = "AvalonMiner";

/// How a machine's power is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Not at all.
    Nothing,
    /// It sleeps or runs.
    Switch,
    /// By a limit in watts.
    Limit,
    /// By profiles of LuxOS.
    Profiles(Vec<Profile>),
}

/// What a machine says of itself when it is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    firmware: String,
    sleeps: bool,
    limits: bool,
    /// The powers it is set to by presets of its own.
    presets: Vec<Power>,
    profiles: Vec<Profile>,
    least: Option<Power>,
    most: Option<Power>,
    rated: Option<Power>,
}

/// How long machines take, by firmware: on the long side, until it is learnt.
struct Pace {
    settle_ms: u64,
    warm_up_ms: u64,
    /// What it draws asleep, as a part of its rated power.
    idle_divisor: i64,
}

impl Pace {
    fn of(firmware: &str) -> Self {
        let pace = |settle_s: u64, warm_up_s: u64, idle_divisor| Self {
            settle_ms: settle_s.saturating_mul(1_000),
            warm_up_ms: warm_up_s.saturating_mul(1_000),
            idle_divisor,
        };
        match firmware {
            // A single chip and no power supply of its own.
            small if small.contains("axe") => pace(10, 30, 5),
            // A new power limit starts the hashing anew.
            restarts if restarts.contains("WhatsMiner") => pace(120, 300, 100),
            tunes if tunes.contains("VNish") => pace(120, 600, 100),
            _ => pace(90, 300, 100),
        }
    }
}

impl Known {
    /// Asks a machine. What it does not say is absent.
    pub(super) async fn ask(miner: &dyn Miner) -> Self {
        let firmware = miner.get_device_info().firmware;
        let mut known = Self {
            sleeps: miner.supports_pause() && miner.supports_resume(),
            limits: miner.supports_set_power_limit() && !firmware.contains(BROKEN_LIMITS),
            firmware,
            ..Self::default()
        };
        if luxos::speaks(&known.firmware) {
            known.profiles = luxos::profiles(miner).await;
            known.rated = known.profiles.iter().find(|it| it.is_default).map(|it| it.power);
        }
        if known.limits && miner.supports_presets() {
            let presets = miner.get_presets().await;
            known.presets =
                presets.iter().filter_map(|it| watts(it.name.trim().parse().ok()?)).collect();
            known.presets.sort_unstable();
            known.presets.dedup();
        }
        if known.limits {
            let data = miner.get_collector().collect(&[DataField::TuningCapabilities]).await;
            let said = miner.parse_tuning_capabilities(&data).and_then(|it| it.power);
            if let Some(said) = said {
                known.least = said.minimum.as_ref().and_then(target);
                known.most = said.maximum.as_ref().and_then(target);
                known.rated = said.default.as_ref().and_then(target).or(known.most);
            }
        }
        known
    }

    /// What can be told it, and how.
    pub(super) fn abilities(
        self,
        stated: Stated,
        device: &Arc<str>,
    ) -> Result<(Way, Abilities), DeviceError> {
        let largest = self.presets.last().copied();
        let rated = stated.rated().or(self.rated).or(largest).filter(|it| *it > Power::ZERO);
        let Some(rated) = rated else {
            let problem = "it does not say what it draws at full power: say `rated_w`".to_owned();
            return Err(DeviceError::Setting { device: Arc::clone(device), problem });
        };
        let Pace { settle_ms, warm_up_ms, idle_divisor } = Pace::of(&self.firmware);
        let idle = Power::from_milliwatts(rated.to_milliwatts().div_euclid(idle_divisor));
        let (way, control) = self.way(rated);
        let abilities = Abilities { control, rated, idle, settle_ms, warm_up_ms };
        Ok((way, stated.over(abilities)))
    }

    fn way(self, rated: Power) -> (Way, Control) {
        if !self.sleeps {
            return (Way::Nothing, Control::Nothing);
        }
        let within = |powers: Vec<Power>| {
            let mut powers: Vec<Power> = powers.into_iter().filter(|it| *it <= rated).collect();
            powers.drain(..powers.len().saturating_sub(PRESETS_MAX));
            powers
        };
        if !self.profiles.is_empty() {
            let powers = within(self.profiles.iter().map(|it| it.power).collect());
            return (Way::Profiles(self.profiles), Control::Presets(powers));
        }
        if !self.presets.is_empty() {
            return (Way::Limit, Control::Presets(within(self.presets)));
        }
        if self.limits {
            let share = rated.to_milliwatts().saturating_mul(LEAST_PERCENT).div_euclid(100);
            let least = self.least.unwrap_or(Power::from_milliwatts(share));
            let most = self.most.unwrap_or(rated).min(rated);
            return (Way::Limit, Control::Range { least, most, step: STEP });
        }
        (Way::Switch, Control::Switch)
    }
}

/// A power in watts as the library hands it over.
pub(super) fn watts(watts: f64) -> Option<Power> {
    milli(watts, POWER_MAX_W).filter(|mw| *mw > 0).map(Power::from_milliwatts)
}

fn target(target: &TuningTarget) -> Option<Power> {
    match target {
        TuningTarget::Power(power) => watts(power.as_watts()),
        TuningTarget::Manual { .. }
        | TuningTarget::HashRate(_)
        | TuningTarget::MiningMode(_)
        | TuningTarget::Preset(_) => None,
    }
}

/// A power as the library wants it: whole watts, rounded down, so that no limit is above what was
/// asked for.
pub(super) fn to_library(power: Power) -> measurements::Power {
    let watts = power.to_milliwatts().div_euclid(1_000);
    let watts = u32::try_from(watts).unwrap_or(if watts < 0 { 0 } else { POWER_MAX_W });
    measurements::Power::from_watts(f64::from(watts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    fn found(known: Known, stated: Stated) -> Result<(Way, Abilities), DeviceError> {
        Known { sleeps: true, ..known }.abilities(stated, &"s19".into())
    }

    #[test]
    fn a_machine_that_does_not_say_what_it_draws_must_be_told_of() {
        let whatsminer =
            Known { firmware: "WhatsMiner Stock".into(), limits: true, ..Known::default() };
        let error = found(whatsminer.clone(), Stated::default()).unwrap_err();
        assert!(error.to_string().contains("`rated_w`"), "{error}");
        let stated = Stated { rated_w: Some(3_400), ..Stated::default() };
        let (way, abilities) = found(whatsminer, stated).unwrap();
        assert_eq!(way, Way::Limit);
        let range = Control::Range { least: power(2_040), most: power(3_400), step: STEP };
        assert_eq!(abilities.control, range);
        assert_eq!((abilities.idle, abilities.settle_ms), (power(34), 120_000));
    }

    #[test]
    fn profiles_beyond_the_rated_power_are_out_of_reach() {
        let profile = |watts, name: &str| Profile {
            name: name.into(),
            power: power(watts),
            is_default: name == "default",
        };
        let profiles = vec![profile(900, "low"), profile(2_794, "default"), profile(4_195, "hot")];
        let luxos = Known { profiles, rated: Some(power(2_794)), ..Known::default() };
        let (_, abilities) = found(luxos, Stated::default()).unwrap();
        assert_eq!(abilities.control, Control::Presets(vec![power(900), power(2_794)]));
    }

    #[test]
    fn a_machine_that_cannot_sleep_is_only_looked_at() {
        let nerdaxe = Known { rated: Some(power(60)), limits: true, ..Known::default() };
        let (way, abilities) = nerdaxe.abilities(Stated::default(), &"nerd".into()).unwrap();
        assert_eq!((way, abilities.control), (Way::Nothing, Control::Nothing));
    }

    #[test]
    fn no_limit_is_above_what_was_asked_for() {
        assert_eq!(to_library(Power::from_milliwatts(1_999_999)).as_watts(), 1_999.0);
        assert_eq!(to_library(Power::from_milliwatts(-5)).as_watts(), 0.0);
    }
}
