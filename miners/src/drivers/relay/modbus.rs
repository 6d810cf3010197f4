//! A relay behind a coil of a Modbus TCP device. Each call has a connection of its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_modbus::client::{Reader as _, Writer as _};

use crate::drivers::modbus::{answered, connect};
use crate::drivers::{DeviceError, Host};

/// A coil that switches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModbusRelayConfig {
    /// Where the device is: `host` or `host:port`.
    pub address: Host<502>,
    /// Its unit id; default 1.
    #[serde(default = "unit_default")]
    pub unit: u8,
    /// The coil, counted from 0.
    pub coil: u16,
    /// Whether the machine is on while the coil is off.
    #[serde(default)]
    pub inverted: bool,
}

const fn unit_default() -> u8 {
    1
}

#[derive(Debug)]
pub(super) struct ModbusRelay {
    config: ModbusRelayConfig,
}

impl ModbusRelay {
    pub(super) fn open(config: &ModbusRelayConfig) -> Self {
        Self { config: config.clone() }
    }

    pub(super) fn about(&self) -> String {
        format!("coil {} of the Modbus device at {}", self.config.coil, self.config.address)
    }

    pub(super) async fn switch(&self, on: bool, device: &Arc<str>) -> Result<(), DeviceError> {
        let coil = self.config.coil;
        let mut context = connect(&self.config.address, self.config.unit, device).await?;
        let written = context.write_single_coil(coil, on != self.config.inverted).await;
        answered(written, device, "switching")
    }

    /// Whether the coil can be read. What it says is an acknowledgement and no effect.
    pub(super) async fn is_there(&self, device: &Arc<str>) -> Result<(), DeviceError> {
        let mut context = connect(&self.config.address, self.config.unit, device).await?;
        answered(context.read_coils(self.config.coil, 1).await, device, "asking").map(drop)
    }
}
