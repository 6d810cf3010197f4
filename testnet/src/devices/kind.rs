//! Which languages the sites' grid meters speak, and what a node's configuration says of them.

use std::net::SocketAddr;

use super::{MAPPED_UNIT, METER_UNIT, mqtt};

/// The grid meters of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Meters {
    /// All speak `SunSpec`.
    #[default]
    Sunspec,
    /// Site by site, each language in turn.
    Mixed,
}

/// The language of one grid meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterKind {
    /// `SunSpec` over Modbus TCP.
    SunSpec,
    /// The registers of an Eastron SDM630, over Modbus TCP.
    Sdm630,
    /// The JSON of a `HomeWizard`.
    HomeWizard,
    /// DSMR telegrams from a serial server.
    P1,
    /// The JSON of a Shelly Pro 3EM, which has no registers that net the phases.
    Shelly,
    /// Messages to the MQTT broker of the house, as a reading head with Tasmota sends them.
    Mqtt,
}

impl MeterKind {
    /// All, in the order in which sites get them.
    pub const ALL: [Self; 6] =
        [Self::SunSpec, Self::Sdm630, Self::HomeWizard, Self::P1, Self::Shelly, Self::Mqtt];

    /// That of the `site`th site.
    #[must_use]
    pub const fn of(meters: Meters, site: usize) -> Self {
        match meters {
            Meters::Sunspec => Self::SunSpec,
            Meters::Mixed => Self::ALL[site % Self::ALL.len()],
        }
    }

    /// The broker that the site has where its meter is at `address`.
    #[must_use]
    pub const fn broker(self, address: SocketAddr) -> Option<SocketAddr> {
        match self {
            Self::Mqtt => Some(address),
            Self::SunSpec | Self::Sdm630 | Self::HomeWizard | Self::P1 | Self::Shelly => None,
        }
    }

    /// The node's settings for a meter of this kind at `address`, in TOML.
    #[must_use]
    pub fn settings(self, address: SocketAddr) -> String {
        let rest = match self {
            Self::SunSpec => format!("unit = {METER_UNIT}"),
            Self::Sdm630 => {
                format!("driver = \"modbus-map\"\nmap = \"eastron-sdm630\"\nunit = {MAPPED_UNIT}")
            }
            Self::HomeWizard => "driver = \"http\"\nmap = \"homewizard\"".to_owned(),
            Self::P1 => "driver = \"p1\"".to_owned(),
            Self::Shelly => "driver = \"http\"\nmap = \"shelly-em\"".to_owned(),
            Self::Mqtt => return mqtt::settings(address),
        };
        format!("address = \"{address}\"\n{rest}\n")
    }
}
