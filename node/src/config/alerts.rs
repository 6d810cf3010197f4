//! `[alerts]`: what the owner wants to be told of, and whom to tell. A file that has no rules tells
//! nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{BadValue, require};
use crate::alerts::AlertsConfig;
use crate::alerts::quiet::{QuietHours, TimeOfDay};
use crate::alerts::rule::Rule;
use crate::alerts::send::ReceiverConfig;

/// How often what lasts is told again: every six hours.
const AGAIN_AFTER_MINUTES: u32 = 360;
const MINUTE_MS: u64 = 60_000;

/// `[alerts]` as it is written down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAlerts {
    /// When it begins to be quiet, in the grid's standard time …
    pub quiet_from: Option<TimeOfDay>,
    /// … and until when.
    pub quiet_until: Option<TimeOfDay>,
    /// How often what lasts is told again; 0 for never.
    pub again_after_minutes: Option<u32>,
    /// Whom to tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receivers: Vec<ReceiverConfig>,
    /// What to tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

impl RawAlerts {
    /// What has a default.
    pub(super) fn defaults() -> Self {
        Self { again_after_minutes: Some(AGAIN_AFTER_MINUTES), ..Self::default() }
    }

    pub(super) fn over(self, below: Self) -> Self {
        let or = |above: Vec<_>, below| if above.is_empty() { below } else { above };
        Self {
            quiet_from: self.quiet_from.or(below.quiet_from),
            quiet_until: self.quiet_until.or(below.quiet_until),
            again_after_minutes: self.again_after_minutes.or(below.again_after_minutes),
            receivers: if self.receivers.is_empty() { below.receivers } else { self.receivers },
            rules: or(self.rules, below.rules),
        }
    }

    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        for receiver in &mut self.receivers {
            receiver.to.relative_to(folder);
        }
        self
    }

    pub(super) fn check(self) -> Result<AlertsConfig, BadValue> {
        let quiet = self.quiet_from.zip(self.quiet_until);
        let is_whole = self.quiet_from.is_some() == self.quiet_until.is_some();
        require(is_whole, "alerts.quiet_from", || {
            "needs `alerts.quiet_until` beside it, and the other way round".to_owned()
        })?;
        let again = self.again_after_minutes.filter(|minutes| *minutes > 0);
        let config = AlertsConfig {
            quiet: quiet.map(|(from, until)| QuietHours { from, until }),
            again_ms: again.map(|minutes| u64::from(minutes) * MINUTE_MS),
            rules: self.rules,
            receivers: self.receivers,
        };
        config.check().map_err(|error| BadValue { key: "alerts", problem: error.to_string() })?;
        Ok(config)
    }
}
