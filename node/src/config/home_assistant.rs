//! `[home_assistant]`: the broker by which Home Assistant is told. A file that names none tells it
//! nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use boltgrid_metering::drivers::{MqttServer, TlsConfig};
use serde::{Deserialize, Serialize};

use super::{BadValue, given, require};
use crate::home_assistant::HomeAssistantConfig;

/// The prefix that Home Assistant listens to where nobody changed it.
const DISCOVERY_PREFIX: &str = "homeassistant";
/// How often what changed is told.
const EVERY_MS: u32 = 5_000;
/// What the file may say instead.
const EVERY_MS_RANGE: std::ops::RangeInclusive<u32> = 100..=3_600_000;

/// `[home_assistant]` as it is written down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawHomeAssistant {
    /// Where the broker is.
    pub broker: Option<String>,
    /// User and password.
    pub credentials_file: Option<PathBuf>,
    /// Whom to take for the broker, where it is reached over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// What discovery topics begin with.
    pub discovery_prefix: Option<String>,
    /// How often what changed is told.
    pub every_ms: Option<u32>,
}

impl RawHomeAssistant {
    /// What has a default.
    pub(super) fn defaults() -> Self {
        Self {
            discovery_prefix: Some(DISCOVERY_PREFIX.to_owned()),
            every_ms: Some(EVERY_MS),
            ..Self::default()
        }
    }

    pub(super) fn over(self, below: Self) -> Self {
        Self {
            broker: self.broker.or(below.broker),
            credentials_file: self.credentials_file.or(below.credentials_file),
            tls: self.tls.or(below.tls),
            discovery_prefix: self.discovery_prefix.or(below.discovery_prefix),
            every_ms: self.every_ms.or(below.every_ms),
        }
    }

    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        self.credentials_file = self.credentials_file.map(|path| folder.join(path));
        self.tls = self.tls.map(|tls| tls.relative_to(folder));
        self
    }

    pub(super) fn check(self) -> Result<Option<HomeAssistantConfig>, BadValue> {
        let Some(broker) = self.broker else { return Ok(None) };
        let broker: MqttServer = broker.parse().map_err(|error| BadValue {
            key: "home_assistant.broker",
            problem: format!("cannot be used: {error}"),
        })?;
        let discovery_prefix = given(self.discovery_prefix, "home_assistant.discovery_prefix")?;
        let is_topic = !discovery_prefix.is_empty() && !discovery_prefix.contains(['#', '+', '\0']);
        require(is_topic, "home_assistant.discovery_prefix", || {
            format!("must be the beginning of a topic, is {discovery_prefix:?}")
        })?;
        let every_ms = given(self.every_ms, "home_assistant.every_ms")?;
        require(EVERY_MS_RANGE.contains(&every_ms), "home_assistant.every_ms", || {
            format!("must be 100 to 3600000, is {every_ms}")
        })?;
        let (credentials_file, tls) = (self.credentials_file, self.tls);
        let every = Duration::from_millis(every_ms.into());
        Ok(Some(HomeAssistantConfig { broker, tls, credentials_file, discovery_prefix, every }))
    }
}
