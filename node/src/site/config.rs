//! Which devices a site has, as its owner writes it down.

use std::collections::BTreeSet;

use boltgrid_metering::drivers::{BusAddress, DeviceAddress};
use boltgrid_protocol::charter::Timing;
use serde::{Deserialize, Serialize};

use super::SiteError;

/// Most devices of one site.
const DEVICES_MAX: usize = 16;
/// How often devices are read where nothing is said.
const SAMPLE_EVERY_MS: u64 = 1_000;
/// The set-point lead is this part of an interval where nothing is said.
const LEAD_DIVISOR: u64 = 25;
/// The unit of a device that is alone on its bus.
const fn unit_default() -> u8 {
    1
}

/// The meter and devices of the site. A node without any votes and follows, but does not trade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteConfig {
    /// How often devices are read, besides at each interval's edge; 100 to 60 000, default 1 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_every_ms: Option<u64>,
    /// How long before delivery starts devices get their set points, so that those that act with
    /// their next refresh act at the edge; below an interval, default a twenty-fifth of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_point_lead_ms: Option<u64>,
    /// The meter at the grid connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<DeviceConfig>,
    /// The PV inverters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pv: Vec<DeviceConfig>,
    /// The batteries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub battery: Vec<DeviceConfig>,
}

/// One SunSpec device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// Where its bus is: `host` or `host:port`.
    pub address: BusAddress,
    /// Its unit id on the bus; default 1.
    #[serde(default = "unit_default")]
    pub unit: u8,
    /// Its rated power; by default what it says itself or, for the meter, the enrolment says.
    /// Powers beyond one and a half times this are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating_w: Option<u32>,
    /// A battery's capacity, where the device does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_wh: Option<u32>,
}

impl DeviceConfig {
    /// A device that says all there is to know itself.
    #[must_use]
    pub const fn at(address: BusAddress, unit: u8) -> Self {
        Self { address, unit, rating_w: None, capacity_wh: None }
    }
}

/// What a device is to the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Meter,
    Pv,
    Battery,
}

/// When devices are read and commanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) sample_every_ms: u64,
    pub(super) set_point_lead_ms: u64,
}

impl SiteConfig {
    /// All devices with kind and name, the meter first.
    pub(super) fn devices(&self) -> Vec<(Kind, String, &DeviceConfig)> {
        let named = |kind, name: &'static str, devices| {
            (1..).zip::<&[DeviceConfig]>(devices).map(move |(number, device): (u32, _)| {
                let name = if number == 1 { name.to_owned() } else { format!("{name} {number}") };
                (kind, name, device)
            })
        };
        named(Kind::Meter, "meter", self.meter.as_slice())
            .chain(named(Kind::Pv, "pv", &self.pv))
            .chain(named(Kind::Battery, "battery", &self.battery))
            .collect()
    }

    /// Checks everything but the devices themselves.
    pub(super) fn check(&self, timing: &Timing) -> Result<Pace, SiteError> {
        let refuse = |setting, problem| Err(SiteError::Setting { setting, problem });
        let devices = self.devices();
        if self.meter.is_none() && !devices.is_empty() {
            return refuse("site.meter", "is missing; PV and battery are no use without it".into());
        }
        if devices.len() > DEVICES_MAX {
            return refuse("site", format!("names more than {DEVICES_MAX} devices"));
        }
        let mut seen = BTreeSet::new();
        for (kind, name, device) in &devices {
            let address = DeviceAddress { bus: device.address.clone(), unit: device.unit };
            if *kind != Kind::Battery && device.capacity_wh.is_some() {
                return refuse("capacity_wh", format!("is set for {name}, but is for batteries"));
            }
            if !seen.insert((*kind, address.clone())) {
                return refuse("site", format!("names {address} twice"));
            }
        }
        let sample_every_ms = self.sample_every_ms.unwrap_or(SAMPLE_EVERY_MS);
        if !(100..=60_000).contains(&sample_every_ms) {
            return refuse(
                "site.sample_every_ms",
                format!("is {sample_every_ms}, not 100 to 60000"),
            );
        }
        let interval_ms = timing.interval_ms;
        let set_point_lead_ms = self.set_point_lead_ms.unwrap_or(interval_ms / LEAD_DIVISOR);
        if set_point_lead_ms >= interval_ms {
            let problem = format!("is {set_point_lead_ms}, not below the interval ({interval_ms})");
            return refuse("site.set_point_lead_ms", problem);
        }
        Ok(Pace { sample_every_ms, set_point_lead_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::tests::charter;

    fn check(text: &str) -> Result<Pace, String> {
        let config: SiteConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check(&charter(1_000).interval).map_err(|error| error.to_string())
    }

    #[test]
    fn little_needs_to_be_said() {
        let pace = Pace { sample_every_ms: 1_000, set_point_lead_ms: 40 };
        assert_eq!(check("[meter]\naddress = \"192.168.1.20\""), Ok(pace));
        assert_eq!(check(""), Ok(pace));
    }

    #[test]
    fn everything_survives_its_written_form() {
        let device = |unit| DeviceConfig::at("[fe80::1]:1502".parse().unwrap(), unit);
        let config = SiteConfig {
            sample_every_ms: Some(500),
            set_point_lead_ms: Some(0),
            meter: Some(device(1)),
            pv: vec![device(2), device(4)],
            battery: vec![DeviceConfig { capacity_wh: Some(9_000), ..device(3) }],
        };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<SiteConfig>(&text).unwrap(), config);
        let names: Vec<String> = config.devices().into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["meter", "pv", "pv 2", "battery"]);
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |text: &str, why: &str| {
            let error = check(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        let meter = "meter = { address = \"a\" }\n";
        refused("[[pv]]\naddress = \"a\"", "site.meter is missing");
        refused(&format!("{meter}metre = 1"), "metre");
        refused(
            &format!("{meter}pv = [{{ address = \"b\" }}, {{ address = \"b\" }}]"),
            "b:502 unit 1 twice",
        );
        refused(&format!("{meter}sample_every_ms = 99"), "site.sample_every_ms is 99");
        refused(&format!("{meter}set_point_lead_ms = 1000"), "site.set_point_lead_ms is 1000");
        refused("meter = { address = \"a\", capacity_wh = 1 }", "capacity_wh is set for meter");
        refused("meter = { address = \"a:b\" }", "is not an address");
    }
}
