//! One device as its owner writes it down: what the site makes of it, and its driver's own settings, in
//! one table.

use boltgrid_metering::drivers::{BusAddress, DRIVER_DEFAULT, MeterConfig, SunSpecConfig};
use boltgrid_metering::role::Role;
use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The key that names the driver.
const DRIVER: &str = "driver";

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct DeviceConfig {
    /// What it is to the site, in any driver's words.
    pub site: InSite,
    /// How it is spoken to.
    pub driver: MeterConfig,
}

/// The settings that every device has, whatever its driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InSite {
    /// What it is called; by default its role, and a number from the second on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it measures; for `[[site.meters]]` only, the others' place says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Its rated power; by default what it says itself or, for the meter, the enrolment says.
    /// Powers beyond one and a half times this are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating_w: Option<u32>,
    /// A battery's capacity, where the device does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_wh: Option<u32>,
    /// Whether it was mounted the wrong way round: what it calls import is export.
    #[serde(skip_serializing_if = "is_false")]
    pub inverted: bool,
    /// Whether to make its registers from its power though it has some, which do not net the phases.
    #[serde(skip_serializing_if = "is_false")]
    pub integrate: bool,
}

impl InSite {
    /// The rated power, where it is stated.
    #[must_use]
    pub fn rated(&self) -> Option<Power> {
        self.rating_w.and_then(|watts| Power::from_watts(watts.into()).ok())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(it: &bool) -> bool {
    !*it
}

/// The names of the fields of [`InSite`].
const IN_SITE: [&str; 6] = ["name", "role", "rating_w", "capacity_wh", "inverted", "integrate"];

impl DeviceConfig {
    /// A SunSpec device that says all there is to know itself.
    #[must_use]
    pub fn at(address: BusAddress, unit: u8) -> Self {
        Self::of(MeterConfig::Sunspec(SunSpecConfig { address, unit }))
    }

    /// A device of which no more is known than how it is spoken to.
    #[must_use]
    pub fn of(driver: MeterConfig) -> Self {
        Self { site: InSite::default(), driver }
    }
}

impl TryFrom<Table> for DeviceConfig {
    type Error = toml::de::Error;

    fn try_from(table: Table) -> Result<Self, toml::de::Error> {
        let (in_site, mut driver): (Table, Table) =
            table.into_iter().partition(|(key, _)| IN_SITE.contains(&key.as_str()));
        driver.entry(DRIVER).or_insert_with(|| Value::from(DRIVER_DEFAULT));
        Ok(Self { site: in_site.try_into()?, driver: driver.try_into()? })
    }
}

impl From<DeviceConfig> for Table {
    fn from(device: DeviceConfig) -> Self {
        let mut table = Self::try_from(device.site).expect("settings are what TOML can say");
        let mut driver =
            Self::try_from(device.driver).expect("a driver's settings are what TOML can say");
        if driver.get(DRIVER).and_then(Value::as_str) == Some(DRIVER_DEFAULT) {
            driver.remove(DRIVER);
        }
        table.extend(driver);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_every_device_are_all_named() {
        let all = InSite {
            name: Some("a".to_owned()),
            role: Some(Role::Load),
            rating_w: Some(1),
            capacity_wh: Some(1),
            inverted: true,
            integrate: true,
        };
        let mut keys: Vec<String> = Table::try_from(all).unwrap().keys().cloned().collect();
        keys.sort_unstable();
        let mut named = IN_SITE.map(str::to_owned).to_vec();
        named.sort_unstable();
        assert_eq!(keys, named);
    }

    #[test]
    fn what_neither_site_nor_driver_knows_is_refused() {
        let refused = |text: &str| toml::from_str::<DeviceConfig>(text).unwrap_err().to_string();
        let error = refused("address = \"a\"\nuint = 3");
        assert!(error.contains("`uint`") && error.contains("`unit`"), "{error}");
        let error = refused("driver = \"telepathy\"\naddress = \"a\"");
        assert!(error.contains("`telepathy`") && error.contains("`sunspec`"), "{error}");
        let error = refused("address = \"a\"\nrating_w = \"much\"");
        assert!(error.contains("much"), "{error}");
    }
}
