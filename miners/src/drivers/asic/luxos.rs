//! LuxOS: its power is set by profiles, which the library does not do but lets one ask for.
//!
//! A profile is taken only while the firmware's own thermal management ("ATM") is off. It is switched
//! off for as long as that takes and no longer; a call that is dropped in between owes it, and the
//! next one pays first.

use std::sync::Arc;

use asic_rs::core::data::command::MinerCommand;
use asic_rs::core::traits::miner::Miner;
use boltgrid_protocol::units::Power;
use serde_json::Value;

use super::guard::{failed, guard};
use super::way::watts;
use super::{AsicMachine, COMMAND_MAX};
use crate::drivers::DeviceError;
use crate::drivers::error::words;

/// What it is called when no profile was ever chosen.
const DEFAULT: &str = "default";
/// Most profiles of one machine that are looked at.
const PROFILES_MAX: usize = 64;
/// Longest name of a profile, in bytes.
const NAME_MAX: usize = 64;

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) power: Power,
    /// Whether it is what the machine comes with.
    pub(super) is_default: bool,
}

/// Whether a firmware is LuxOS.
pub(super) fn speaks(firmware: &str) -> bool {
    firmware == "LuxOS"
}

/// Its profiles by power, the least first; none where it does not say.
pub(super) async fn profiles(miner: &dyn Miner) -> Vec<Profile> {
    let answer = miner.get_api_result(&rpc("profiles", None)).await;
    answer.map(|answer| read(&answer)).unwrap_or_default()
}

fn read(answer: &Value) -> Vec<Profile> {
    let all = answer.get("PROFILES").and_then(Value::as_array);
    let profiles = all.into_iter().flatten().take(PROFILES_MAX).filter_map(|profile| {
        let name = profile.get("Profile Name")?.as_str()?;
        // A comma would be a parameter of its own.
        let fits = name.len() <= NAME_MAX && !name.contains([',', '|']);
        let fits = fits && !name.contains(char::is_control);
        let power = watts(profile.get("Watts")?.as_f64()?)?;
        fits.then(|| Profile { name: name.to_owned(), power, is_default: name == DEFAULT })
    });
    let mut profiles: Vec<Profile> = profiles.collect();
    profiles.sort_by_key(|it| it.power);
    profiles.dedup_by_key(|it| it.power);
    profiles
}

fn rpc(command: &'static str, parameter: Option<String>) -> MinerCommand {
    MinerCommand::RPC { command, parameters: parameter.map(Value::String) }
}

impl AsicMachine {
    pub(super) async fn set_profile(&mut self, name: &str) -> Result<(), DeviceError> {
        let doing = "a new profile";
        let config = self.lux(doing, "config", None).await?;
        let cares = config.pointer("/CONFIG/0/IsAtmEnabled").and_then(Value::as_bool);
        let session = self.session(doing).await?;
        if cares != Some(false) {
            // Where it does not say, care is the safer guess.
            self.owes_thermal_care = true;
            self.lux(doing, "atmset", Some(format!("{session},enabled=false"))).await?;
        }
        let set = self.lux(doing, "profileset", Some(format!("{session},{name}"))).await;
        if self.owes_thermal_care {
            self.give_back_thermal_care().await?;
        }
        // It says which profile it has now, where it says so at all.
        match set?.pointer("/PROFILE/0/Profile").and_then(Value::as_str) {
            Some(now) if now != name => {
                let what = format!("it keeps its profile {}", words(now));
                Err(DeviceError::Refused { device: Arc::clone(&self.device), doing, what })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Switches on again what was switched off to set a profile.
    pub(super) async fn give_back_thermal_care(&mut self) -> Result<(), DeviceError> {
        let doing = "its thermal management";
        let session = self.session(doing).await?;
        self.lux(doing, "atmset", Some(format!("{session},enabled=true"))).await?;
        self.owes_thermal_care = false;
        Ok(())
    }

    /// The session that commands need: the one that is open, or a new one. It ends by itself.
    async fn session(&self, doing: &'static str) -> Result<String, DeviceError> {
        let id = |answer: &Value| {
            let id = answer.pointer("/SESSION/0/SessionID").and_then(Value::as_str);
            id.filter(|id| !id.is_empty() && !id.contains(',')).map(str::to_owned)
        };
        // That none is open may be told as an error.
        if let Ok(answer) = self.lux(doing, "session", None).await
            && let Some(id) = id(&answer)
        {
            return Ok(id);
        }
        let answer = self.lux(doing, "logon", None).await?;
        id(&answer).ok_or_else(|| {
            let what = "it opens a session without a number".to_owned();
            DeviceError::Garbled { device: Arc::clone(&self.device), what }
        })
    }

    async fn lux(
        &self,
        doing: &'static str,
        command: &'static str,
        parameter: Option<String>,
    ) -> Result<Value, DeviceError> {
        let command = rpc(command, parameter);
        let answer =
            guard(&self.device, doing, COMMAND_MAX, self.miner.get_api_result(&command)).await?;
        answer.map_err(|error| failed(&self.device, doing, &error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn profiles_are_read_by_power_and_odd_ones_left_out() {
        let answer = json!({"PROFILES": [
            {"Profile Name": "default", "Watts": 2794},
            {"Profile Name": "190MHz", "Watts": 784.4},
            {"Profile Name": "a,b", "Watts": 900},
            {"Profile Name": "odd", "Watts": -4},
            {"Watts": 5},
        ]});
        let found: Vec<_> = read(&answer).into_iter().map(|it| (it.name, it.is_default)).collect();
        assert_eq!(found, [("190MHz".to_owned(), false), ("default".to_owned(), true)]);
        assert_eq!(read(&json!({"PROFILES": "none"})), []);
    }
}
