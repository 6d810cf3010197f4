//! A relay behind a coil of a Modbus TCP device. Each call has a connection of its own.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_modbus::client::{Reader as _, Writer as _, tcp};
use tokio_modbus::{Error, Slave};

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
        let mut context = self.connect(device).await?;
        let written = context.write_single_coil(coil, on != self.config.inverted).await;
        answered(written, device, "switching")
    }

    /// Whether the coil can be read. What it says is an acknowledgement and no effect.
    pub(super) async fn is_there(&self, device: &Arc<str>) -> Result<(), DeviceError> {
        let mut context = self.connect(device).await?;
        answered(context.read_coils(self.config.coil, 1).await, device, "asking").map(drop)
    }

    async fn connect(
        &self,
        device: &Arc<str>,
    ) -> Result<tokio_modbus::client::Context, DeviceError> {
        let Host { host, port } = &self.config.address;
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.map_err(|source| DeviceError::Io {
            device: Arc::clone(device),
            doing: "connecting",
            source,
        })?;
        Ok(tcp::attach_slave(stream, Slave(self.config.unit)))
    }
}

fn answered<T>(
    answer: Result<Result<T, tokio_modbus::ExceptionCode>, Error>,
    device: &Arc<str>,
    doing: &'static str,
) -> Result<T, DeviceError> {
    let device = || Arc::clone(device);
    match answer {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(exception)) => {
            let what = exception.to_string();
            Err(DeviceError::Refused { device: device(), doing, what })
        }
        Err(Error::Transport(source)) => Err(DeviceError::Io { device: device(), doing, source }),
        Err(Error::Protocol(error)) => {
            let source = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
            Err(DeviceError::Io { device: device(), doing, source })
        }
    }
}
