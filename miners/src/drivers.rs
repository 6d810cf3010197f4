//! Drivers: how a machine is spoken to. One kind of machine is one folder.
//!
//! Every call is bounded in time, may be dropped at any await, and leaves no task behind; after a
//! failure the next call tries anew. What a machine says is not believed beyond what can be, and a
//! library that panics ends in an error.
//! Not for: whether a command had an effect (`effect`).

mod acknowledged;
pub mod asic;
mod credentials;
mod error;
pub mod gas;
mod host;
mod modbus;
mod number;
pub mod relay;

use std::path::Path;

use boltgrid_protocol::units::{Power, Timestamp};
use serde::{Deserialize, Serialize};

pub use acknowledged::Acknowledged;
pub use asic::{AsicConfig, AsicMachine, Found, discover};
pub use error::DeviceError;
pub use gas::{Flame, FlameConfig, Genset, GensetConfig, Looked};
pub use host::{Host, NotAHost};
pub use relay::{Relay, RelayConfig};

use crate::machine::{Abilities, Control, Observation, SetPoint};

/// How a machine is spoken to: its driver and that driver's own settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum MachineConfig {
    /// A mining machine with an interface of its own.
    Asic(AsicConfig),
    /// Anything behind a plug or relay with JSON over HTTP.
    RelayHttp(relay::HttpRelayConfig),
    /// Anything behind a coil of a Modbus device.
    RelayModbus(relay::ModbusRelayConfig),
}

impl MachineConfig {
    /// The same with relative paths of files taken from `folder`.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        match &mut self {
            Self::Asic(AsicConfig { credentials_file, .. })
            | Self::RelayHttp(relay::HttpRelayConfig { credentials_file, .. }) => {
                *credentials_file = credentials_file.take().map(|path| folder.join(path));
            }
            Self::RelayModbus(_) => {}
        }
        self
    }
}

/// What its owner says of a machine; it stands above what the machine says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stated {
    /// What it draws at full power, in W. It is never told to draw more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rated_w: Option<u32>,
    /// The least that it can be told to draw, in W, for machines that take any power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_w: Option<u32>,
    /// From one power to the next, in W, for machines that take any power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_w: Option<u32>,
    /// What it draws while it does not hash, in W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_w: Option<u32>,
    /// How long its watts may take to follow a command, in s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_s: Option<u32>,
    /// How long it draws power after a start before it hashes, in s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up_s: Option<u32>,
}

/// A machine that was found.
#[derive(Debug)]
pub enum Machine {
    /// One with an interface of its own.
    Asic(Box<AsicMachine>),
    /// One behind a relay.
    Relay(Box<Relay>, Abilities),
}

impl Machine {
    /// Finds the machine, and learns what it can do.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn open(
        config: &MachineConfig,
        stated: Stated,
        name: &str,
    ) -> Result<Self, DeviceError> {
        let relay = match config {
            MachineConfig::Asic(it) => {
                let machine = AsicMachine::open(it, stated, name).await?;
                return Ok(Self::Asic(Box::new(machine)));
            }
            MachineConfig::RelayHttp(it) => RelayConfig::Http(it.clone()),
            MachineConfig::RelayModbus(it) => RelayConfig::Modbus(it.clone()),
        };
        let abilities = stated.behind_a_relay(name)?;
        Ok(Self::Relay(Box::new(Relay::open(&relay, name)?), abilities))
    }

    /// What it is, in few words.
    #[must_use]
    pub fn about(&self) -> String {
        match self {
            Self::Asic(machine) => machine.about(),
            Self::Relay(relay, _) => relay.about(),
        }
    }

    /// What it can be told, by its own word and its owner's.
    #[must_use]
    pub const fn abilities(&self) -> &Abilities {
        match self {
            Self::Asic(machine) => machine.abilities(),
            Self::Relay(_, abilities) => abilities,
        }
    }

    /// What it is seen to do, asked for at `now`.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn observe(&mut self, now: Timestamp) -> Result<Observation, DeviceError> {
        match self {
            Self::Asic(machine) => machine.observe(now).await,
            Self::Relay(relay, _) => relay.observe(now).await,
        }
    }

    /// Tells it. That it acknowledges does not mean that it does it.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn command(&mut self, set_point: SetPoint) -> Result<Acknowledged, DeviceError> {
        match self {
            Self::Asic(machine) => machine.command(set_point).await,
            Self::Relay(relay, _) => relay.switch(set_point != SetPoint::Off).await,
        }
    }
}

/// How long the watts of a machine may take to follow its relay, where nothing is said.
const RELAY_SETTLE_MS: u64 = 10_000;

impl Stated {
    fn watts(watts: u32) -> Power {
        Power::from_milliwatts(i64::from(watts).saturating_mul(1_000))
    }

    /// Its rated power, where that is stated.
    #[must_use]
    pub fn rated(&self) -> Option<Power> {
        self.rated_w.map(Self::watts)
    }

    /// What is stated, in place of what `abilities` says.
    #[must_use]
    pub fn over(&self, abilities: Abilities) -> Abilities {
        let ms = |seconds: u32| u64::from(seconds).saturating_mul(1_000);
        let rated = self.rated().unwrap_or(abilities.rated);
        Abilities {
            control: self.control(abilities.control, rated),
            rated,
            idle: self.idle_w.map_or(abilities.idle, Self::watts),
            settle_ms: self.settle_s.map_or(abilities.settle_ms, ms),
            warm_up_ms: self.warm_up_s.map_or(abilities.warm_up_ms, ms),
        }
    }

    /// Nothing beyond its rated power.
    fn control(&self, control: Control, rated: Power) -> Control {
        match control {
            Control::Range { least, most, step } => {
                let most = most.min(rated);
                let least = self.least_w.map_or(least, Self::watts);
                let step = self.step_w.filter(|step| *step > 0).map_or(step, Self::watts);
                if least <= most { Control::Range { least, most, step } } else { Control::Switch }
            }
            Control::Presets(powers) => {
                let powers: Vec<Power> = powers.into_iter().filter(|it| *it <= rated).collect();
                if powers.is_empty() { Control::Switch } else { Control::Presets(powers) }
            }
            Control::Nothing | Control::Switch => control,
        }
    }

    fn behind_a_relay(&self, name: &str) -> Result<Abilities, DeviceError> {
        let Some(rated) = self.rated().filter(|rated| *rated > Power::ZERO) else {
            let problem = "a relay does not know what is behind it: say `rated_w`".to_owned();
            return Err(DeviceError::Setting { device: name.into(), problem });
        };
        Ok(self.over(Abilities {
            control: Control::Switch,
            rated,
            idle: Power::ZERO,
            settle_ms: RELAY_SETTLE_MS,
            warm_up_ms: 0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    #[test]
    fn settings_that_no_driver_knows_are_refused() {
        let read = |text: &str| toml::from_str::<MachineConfig>(text).map_err(|it| it.to_string());
        let asic = read("driver = \"asic\"\naddress = \"192.168.1.50\"").unwrap();
        assert!(matches!(asic, MachineConfig::Asic(_)));
        let error = read("driver = \"asic\"\naddress = \"a\"\npasword = \"x\"").unwrap_err();
        assert!(error.contains("`pasword`"), "{error}");
        let error = read("driver = \"telepathy\"").unwrap_err();
        assert!(error.contains("`relay-modbus`"), "{error}");
    }

    #[test]
    fn a_machine_is_never_told_more_than_its_owner_says_it_draws() {
        let abilities = Abilities {
            control: Control::Presets(vec![watts(800), watts(2800), watts(4195)]),
            rated: watts(2800),
            idle: watts(15),
            settle_ms: 1,
            warm_up_ms: 2,
        };
        let stated = Stated { rated_w: Some(3000), settle_s: Some(5), ..Stated::default() };
        let found = stated.over(abilities.clone());
        assert_eq!(found.most(), watts(2800));
        assert_eq!((found.settle_ms, found.warm_up_ms), (5_000, 2));
        let stated = Stated { rated_w: Some(700), ..Stated::default() };
        assert_eq!(stated.over(abilities).control, Control::Switch);
    }

    #[tokio::test]
    async fn a_relay_must_be_told_what_is_behind_it() {
        let config = "driver = \"relay-modbus\"\naddress = \"127.0.0.1\"\ncoil = 0";
        let config: MachineConfig = toml::from_str(config).unwrap();
        let error = Machine::open(&config, Stated::default(), "heater").await.unwrap_err();
        assert!(error.to_string().contains("`rated_w`"), "{error}");
        let stated = Stated { rated_w: Some(2000), ..Stated::default() };
        let machine = Machine::open(&config, stated, "heater").await.unwrap();
        assert_eq!(machine.abilities().control, Control::Switch);
    }
}
