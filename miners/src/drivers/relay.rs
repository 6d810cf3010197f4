//! What switches anything: a plug or relay with JSON over HTTP, or a coil of a Modbus device.
//!
//! A relay that says what flows through it is a meter; one that does not needs one (`meter`), since
//! nobody else could see an effect.
//! Not for: what is behind it.

mod http;
mod modbus;

use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

pub use http::{HttpRelayConfig, Plug};
pub use modbus::ModbusRelayConfig;

use super::{Acknowledged, DeviceError};
use crate::machine::Observation;
use http::HttpRelay;
use modbus::ModbusRelay;

/// How long switching or asking may take.
const CALL_MAX: Duration = Duration::from_secs(3);

/// How a relay is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver")]
pub enum RelayConfig {
    /// JSON over HTTP.
    #[serde(rename = "relay-http")]
    Http(HttpRelayConfig),
    /// A coil.
    #[serde(rename = "relay-modbus")]
    Modbus(ModbusRelayConfig),
}

/// A relay.
#[derive(Debug)]
pub struct Relay {
    device: Arc<str>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Http(HttpRelay),
    Modbus(ModbusRelay),
}

impl Relay {
    /// Gets ready to switch. Whether there is a relay is seen when it is asked.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Setting`], [`DeviceError::Io`] where a file cannot be read.
    pub fn open(config: &RelayConfig, name: &str) -> Result<Self, DeviceError> {
        let device: Arc<str> = name.into();
        let way = match config {
            RelayConfig::Http(it) => Way::Http(HttpRelay::open(it, &device)?),
            RelayConfig::Modbus(it) => Way::Modbus(ModbusRelay::open(it)),
        };
        Ok(Self { device, way })
    }

    /// What it is, in few words.
    #[must_use]
    pub fn about(&self) -> String {
        match &self.way {
            Way::Http(relay) => relay.about(),
            Way::Modbus(relay) => relay.about(),
        }
    }

    /// Switches it.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn switch(&mut self, on: bool) -> Result<Acknowledged, DeviceError> {
        let switching = async {
            match &self.way {
                Way::Http(relay) => relay.switch(on, &self.device).await,
                Way::Modbus(relay) => relay.switch(on, &self.device).await,
            }
        };
        self.in_time("switching", switching).await.map(|()| Acknowledged)
    }

    /// What flows through it, where it says so, asked for at `now`.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn observe(&self, now: Timestamp) -> Result<Observation, DeviceError> {
        let asking = async {
            match &self.way {
                Way::Http(relay) => relay.power(&self.device).await,
                Way::Modbus(relay) => relay.is_there(&self.device).await.map(|()| None),
            }
        };
        let power = self.in_time("asking", asking).await?;
        Ok(Observation {
            at: now,
            power,
            power_is_metered: power.is_some(),
            hash_rate: None,
            temperature_m_celsius: None,
        })
    }

    async fn in_time<T>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T, DeviceError>>,
    ) -> Result<T, DeviceError> {
        let after_ms = u64::try_from(CALL_MAX.as_millis()).unwrap_or(u64::MAX);
        let late = || DeviceError::TimedOut { device: Arc::clone(&self.device), doing, after_ms };
        timeout(CALL_MAX, call).await.map_err(|_| late())?
    }
}
