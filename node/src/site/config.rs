//! Which devices a site has, as its owner writes it down.

mod device;
mod plan;

use std::path::Path;

use boltgrid_metering::role::Role;
use boltgrid_metering::sun;
use boltgrid_metering::virtual_meter::Term;
use boltgrid_protocol::charter::Timing;
use serde::{Deserialize, Serialize};

use super::SiteError;

pub use device::{DeviceConfig, InSite};
pub(super) use plan::{Kind, Place, Plan};

/// How often devices are read where nothing is said.
const SAMPLE_EVERY_MS: u64 = 1_000;
/// The set-point lead is this part of an interval where nothing is said.
const LEAD_DIVISOR: u64 = 25;
/// A power is held over this many samples that are missing …
const SAMPLES_HELD: u64 = 5;
/// … but at least this long: meters that send by themselves do so once in ten seconds.
const HOLD_MIN_MS: u64 = 15_000;

/// The meters and devices of the site. A node without any votes and follows, but does not trade.
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
    /// The name of the meter whose readings are signed and settled; by default `meter`, or else the
    /// only one whose role is the grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settles: Option<String>,
    /// Where the site is, so that PV can be held against the sun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<sun::Place>,
    /// The meter at the grid connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<DeviceConfig>,
    /// The PV inverters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pv: Vec<DeviceConfig>,
    /// The batteries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub battery: Vec<DeviceConfig>,
    /// Further meters, which are shown and may be part of virtual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<DeviceConfig>,
    /// Meters that are made of others.
    #[serde(rename = "virtual", skip_serializing_if = "Vec::is_empty")]
    pub virtual_meters: Vec<VirtualConfig>,
}

impl SiteConfig {
    /// The same with relative paths of files taken from `folder`.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        let devices = [&mut self.pv, &mut self.battery, &mut self.meters].into_iter().flatten();
        for device in self.meter.iter_mut().chain(devices) {
            device.driver = device.driver.clone().relative_to(folder);
        }
        self
    }
}

/// A meter that is made of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualConfig {
    /// What it is called.
    pub name: String,
    /// What it measures.
    pub role: Role,
    /// The names of meters, with a minus before those to subtract.
    pub sum: Vec<Term>,
}

/// When devices are read and commanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) sample_every_ms: u64,
    pub(super) set_point_lead_ms: u64,
}

impl Pace {
    /// How long a power is held while no sample comes.
    pub(super) const fn hold_max_ms(&self) -> u64 {
        let missing_ms = self.sample_every_ms.saturating_mul(SAMPLES_HELD);
        if missing_ms > HOLD_MIN_MS { missing_ms } else { HOLD_MIN_MS }
    }
}

impl SiteConfig {
    /// Checks everything but the devices themselves, and says what follows from it.
    pub(super) fn check(&self, timing: &Timing) -> Result<(Pace, Plan), SiteError> {
        let refuse = |setting, problem| Err(SiteError::Setting { setting, problem });
        let plan = self.plan()?;
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
        if self.place.is_some_and(|place| !place.is_on_earth()) {
            let problem = "is not on earth: latitudes are -90000 to 90000 thousandths of a degree, \
                           longitudes -180000 to 180000";
            return refuse("site.place", problem.to_owned());
        }
        Ok((Pace { sample_every_ms, set_point_lead_ms }, plan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::tests::charter;

    fn checked(text: &str) -> Result<(Pace, Plan), String> {
        let config: SiteConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check(&charter(1_000).interval).map_err(|error| error.to_string())
    }

    fn check(text: &str) -> Result<Pace, String> {
        checked(text).map(|(pace, _)| pace)
    }

    const METER: &str = "meter = { address = \"a\" }\n";

    #[test]
    fn little_needs_to_be_said() {
        let pace = Pace { sample_every_ms: 1_000, set_point_lead_ms: 40 };
        assert_eq!(check("[meter]\naddress = \"192.168.1.20\""), Ok(pace));
        assert_eq!(check(""), Ok(pace));
    }

    #[test]
    fn everything_survives_its_written_form() {
        let device = |unit| DeviceConfig::at("[fe80::1]:1502".parse().unwrap(), unit);
        let with = |site, unit| DeviceConfig { site, ..device(unit) };
        let barn = InSite {
            name: Some("barn".to_owned()),
            role: Some(Role::Load),
            inverted: true,
            integrate: true,
            ..InSite::default()
        };
        let config = SiteConfig {
            sample_every_ms: Some(500),
            set_point_lead_ms: Some(0),
            settles: Some("house".to_owned()),
            place: Some(sun::Place { latitude_millidegrees: -1, longitude_millidegrees: 13_405 }),
            meter: Some(device(1)),
            pv: vec![device(2), device(4)],
            battery: vec![with(InSite { capacity_wh: Some(9_000), ..InSite::default() }, 3)],
            meters: vec![with(barn, 5)],
            virtual_meters: vec![VirtualConfig {
                name: "house".to_owned(),
                role: Role::Grid,
                sum: vec!["meter".parse().unwrap(), "-barn".parse().unwrap()],
            }],
        };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<SiteConfig>(&text).unwrap(), config);
        let (_, plan) = checked(&text).unwrap();
        let names: Vec<&str> = plan.names().collect();
        assert_eq!(names, ["meter", "pv", "pv 2", "battery", "barn", "house"]);
        assert_eq!(plan.settles, Some(5));
    }

    #[test]
    fn the_meter_settles_or_else_the_only_one_at_the_grid() {
        let settles = |text: &str| checked(text).map(|(_, plan)| plan.settles);
        let meters = "[[meters]]\nname = \"x\"\nrole = \"grid\"\naddress = \"x\"\n";
        assert_eq!(settles(&format!("{METER}{meters}")), Ok(Some(0)));
        assert_eq!(settles(meters), Ok(Some(0)));
        assert_eq!(settles(&format!("settles = \"x\"\n{METER}{meters}")), Ok(Some(1)));
        let twice = format!("{meters}{}", meters.replace('x', "y"));
        assert!(settles(&twice).unwrap_err().contains("site.settles is missing"));
        assert!(settles(&format!("settles = \"z\"\n{METER}")).unwrap_err().contains("names `z`"));
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |text: &str, why: &str| {
            let error = check(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused("[[pv]]\naddress = \"a\"", "site.meter is missing");
        refused(&format!("{METER}metre = 1"), "metre");
        refused(
            &format!("{METER}pv = [{{ address = \"b\" }}, {{ address = \"b\" }}]"),
            "one device as `pv` and as `pv 2`",
        );
        refused(&format!("{METER}sample_every_ms = 99"), "site.sample_every_ms is 99");
        refused(&format!("{METER}set_point_lead_ms = 1000"), "site.set_point_lead_ms is 1000");
        refused("meter = { address = \"a\", capacity_wh = 1 }", "capacity_wh is set for `meter`");
        refused("meter = { address = \"a:b\" }", "is not an address");
        refused("meter = { address = \"a\", role = \"pv\" }", "role is set for `meter`");
        refused(&format!("{METER}[[meters]]\nname = \"x\"\naddress = \"b\""), "`x` has no role");
        refused(&format!("{METER}[[meters]]\nrole = \"load\"\naddress = \"b\""), "has no name");
        let named = "[[meters]]\nname = \"meter\"\nrole = \"load\"\naddress = \"b\"";
        refused(&format!("{METER}{named}"), "two meters `meter`");
        let summed = "[[virtual]]\nname = \"v\"\nrole = \"load\"\nsum = [\"meter\", \"-barn\"]";
        refused(&format!("{METER}{summed}"), "`barn`, which is no meter");
    }
}
