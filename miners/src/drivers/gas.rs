//! A generator and a flare behind Modbus TCP: the generator is told whether to run and what to give, the
//! flare says whether its flame burns.
//!
//! Controllers of generators agree on no registers, so where things are is written down: a coil that
//! starts and stops, a holding register with the set point, a discrete input that says whether it runs.
//! What it gives a meter of the site shows. Each call has a connection of its own and is bounded in time.
//! Not for: when it runs ([`crate::flare`]); protection, which is the controller's own and stays so.

use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_modbus::client::{Reader as _, Writer as _};

use super::modbus::{answered, connect};
use super::{DeviceError, Host};

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_secs(3);
/// Milliwatts in a watt.
const MW_PER_W: i64 = 1_000;

/// Where a generator's controller has what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GensetConfig {
    /// Where the controller is: `host` or `host:port`.
    pub address: Host<502>,
    /// Its unit id; default 1.
    #[serde(default = "unit_default")]
    pub unit: u8,
    /// The coil that starts it while it is on and stops it while it is off.
    pub run_coil: u16,
    /// The holding register with what it is to give.
    pub set_point_register: u16,
    /// How many watts one count of that register is; default 1 000.
    #[serde(default = "set_point_w_default")]
    pub set_point_w: u32,
    /// The discrete input that is on while it runs.
    pub runs_input: u16,
    /// Two holding registers, the more significant first, with the whole hours that it ran; none where
    /// it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours_register: Option<u16>,
}

/// Where a flare says whether its flame burns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlameConfig {
    /// Where the device is: `host` or `host:port`.
    pub address: Host<502>,
    /// Its unit id; default 1.
    #[serde(default = "unit_default")]
    pub unit: u8,
    /// The discrete input that is on while the flame burns.
    pub flame_input: u16,
}

const fn unit_default() -> u8 {
    1
}

const fn set_point_w_default() -> u32 {
    1_000
}

/// What a generator says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whether it runs.
    pub runs: bool,
    /// For how many hours it ever did, where it says.
    pub hours: Option<u32>,
}

/// A generator.
#[derive(Debug)]
pub struct Genset {
    device: Arc<str>,
    config: GensetConfig,
}

impl Genset {
    /// Gets ready to speak to it. Whether it is there is seen when it is asked.
    #[must_use]
    pub fn new(config: &GensetConfig) -> Self {
        Self { device: "generator".into(), config: config.clone() }
    }

    /// What it says of itself.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn look(&self) -> Result<Looked, DeviceError> {
        let GensetConfig { address, unit, runs_input, hours_register, .. } = &self.config;
        let device = &self.device;
        in_time(device, "looking", async {
            let mut context = connect(address, *unit, device).await?;
            let runs = context.read_discrete_inputs(*runs_input, 1).await;
            let runs = first(answered(runs, device, "reading its input")?, device)?;
            let Some(register) = hours_register else { return Ok(Looked { runs, hours: None }) };
            let words = context.read_holding_registers(*register, 2).await;
            let words = answered(words, device, "reading its hours")?;
            let [high, low] = words[..] else { return Err(garbled(device)) };
            let hours = u32::from(high).saturating_mul(65_536).saturating_add(low.into());
            Ok(Looked { runs, hours: Some(hours) })
        })
        .await
    }

    /// Tells it whether to run and what to give, rounded down to what its register can say. The set point
    /// is told first: it never starts with an old one.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn command(&self, runs: bool, output: Power) -> Result<(), DeviceError> {
        let GensetConfig { address, unit, run_coil, set_point_register, .. } = &self.config;
        let device = &self.device;
        let count = self.count_floor(output);
        in_time(device, "telling", async {
            let mut context = connect(address, *unit, device).await?;
            let told = context.write_single_register(*set_point_register, count).await;
            answered(told, device, "telling what to give")?;
            let told = context.write_single_coil(*run_coil, runs).await;
            answered(told, device, "telling whether to run")
        })
        .await
    }

    /// What its register says for a power.
    fn count_floor(&self, output: Power) -> u16 {
        let count_mw = i64::from(self.config.set_point_w.max(1)).saturating_mul(MW_PER_W);
        let counts = output.max(Power::ZERO).to_milliwatts().checked_div(count_mw).unwrap_or(0);
        u16::try_from(counts).unwrap_or(u16::MAX)
    }
}

/// A flare's flame.
#[derive(Debug)]
pub struct Flame {
    device: Arc<str>,
    config: FlameConfig,
}

impl Flame {
    /// Gets ready to ask.
    #[must_use]
    pub fn new(config: &FlameConfig) -> Self {
        Self { device: "flare".into(), config: config.clone() }
    }

    /// Whether it burns.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn burns(&self) -> Result<bool, DeviceError> {
        let FlameConfig { address, unit, flame_input } = &self.config;
        let device = &self.device;
        in_time(device, "asking", async {
            let mut context = connect(address, *unit, device).await?;
            let burns = context.read_discrete_inputs(*flame_input, 1).await;
            first(answered(burns, device, "reading its input")?, device)
        })
        .await
    }
}

/// The one bit that was asked for; the library hands out whole bytes of them.
fn first(bits: Vec<bool>, device: &Arc<str>) -> Result<bool, DeviceError> {
    bits.first().copied().ok_or_else(|| garbled(device))
}

fn garbled(device: &Arc<str>) -> DeviceError {
    let what = "it answered with less than it was asked for".to_owned();
    DeviceError::Garbled { device: Arc::clone(device), what }
}

async fn in_time<T>(
    device: &Arc<str>,
    doing: &'static str,
    call: impl Future<Output = Result<T, DeviceError>>,
) -> Result<T, DeviceError> {
    let after_ms = u64::try_from(CALL_MAX.as_millis()).unwrap_or(u64::MAX);
    let late = || DeviceError::TimedOut { device: Arc::clone(device), doing, after_ms };
    timeout(CALL_MAX, call).await.map_err(|_| late())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_point_is_rounded_down_to_what_the_register_can_say() {
        let text = "address = \"a\"\nrun_coil = 0\nset_point_register = 4\nruns_input = 0\n";
        let config: GensetConfig = toml::from_str(text).unwrap();
        let genset = Genset::new(&config);
        assert_eq!(genset.count_floor(Power::from_milliwatts(45_999_999)), 45);
        assert_eq!(genset.count_floor(Power::from_milliwatts(-1)), 0);
        assert_eq!(genset.count_floor(Power::from_milliwatts(i64::MAX)), u16::MAX);
        let fine = Genset::new(&GensetConfig { set_point_w: 100, ..config });
        assert_eq!(fine.count_floor(Power::from_milliwatts(45_999_999)), 459);
    }
}
