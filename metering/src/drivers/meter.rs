//! A meter in whatever language: the one place that names all drivers.
//!
//! A new driver is a variant here, with its configuration, and nothing elsewhere.
//! Not for: devices that are also told what to do (SunSpec's inverters and batteries).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};

use super::http::{HttpConfig, HttpMeter};
use super::modbus_map::{ModbusMapConfig, ModbusMeter};
use super::mqtt::{MqttConfig, MqttMeter};
use super::p1::{P1Config, P1Meter};
use super::sml::{SmlConfig, SmlMeter};
use super::sunspec::SunSpecMeter;
use super::{Bus, BusAddress, DeviceError};
use crate::shown::Shown;

/// How a device is spoken to: its driver and that driver's own settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum MeterConfig {
    /// SunSpec over Modbus, which describes itself.
    Sunspec(SunSpecConfig),
    /// JSON over HTTP, by a map.
    Http(HttpConfig),
    /// Modbus registers that a map tells of.
    ModbusMap(ModbusMapConfig),
    /// Topics of an MQTT broker.
    Mqtt(MqttConfig),
    /// A P1 port, which sends telegrams.
    P1(P1Config),
    /// A meter that speaks SML, which sends files.
    Sml(SmlConfig),
}

impl MeterConfig {
    /// The same with relative paths of files taken from `folder`.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        let at = |path: &mut Option<PathBuf>| *path = path.take().map(|path| folder.join(path));
        match &mut self {
            Self::Http(it) => {
                at(&mut it.map_file);
                at(&mut it.credentials_file);
                it.tls = it.tls.take().map(|tls| tls.relative_to(folder));
            }
            Self::Mqtt(it) => {
                at(&mut it.credentials_file);
                it.tls = it.tls.take().map(|tls| tls.relative_to(folder));
            }
            Self::P1(it) => at(&mut it.key_file),
            // A name without a path is that of a map that is shipped.
            Self::ModbusMap(it) if it.map.contains(['/', '\\']) || it.map.ends_with(".toml") => {
                it.map = folder.join(&it.map).display().to_string();
            }
            Self::ModbusMap(_) | Self::Sunspec(_) | Self::Sml(_) => {}
        }
        self
    }
}

/// Where a SunSpec device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SunSpecConfig {
    /// Its bus.
    pub address: BusAddress,
    /// Its unit id on the bus; default 1.
    #[serde(default = "unit_default")]
    pub unit: u8,
}

/// The unit of a device that is alone on its bus.
const fn unit_default() -> u8 {
    1
}

/// The driver where none is named.
pub const DRIVER_DEFAULT: &str = "sunspec";

/// The buses of a site: devices at one address share its connection. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Buses {
    timeout: Duration,
    open: Arc<Mutex<BTreeMap<BusAddress, Bus>>>,
}

impl Buses {
    /// No bus yet. `timeout` bounds connecting, and each request.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, open: Arc::default() }
    }

    /// The bus at an address, for the device of this name; there are as many as the configuration names.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Setting`] where two devices of one serial line have it set in two ways.
    pub fn at(&self, address: &BusAddress, name: &str) -> Result<Bus, DeviceError> {
        let address = address.clone().spelled_out();
        // A map of handles is whole whatever panicked while it was held.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = open.keys().find(|other| other.contradicts(&address)) {
            let problem = format!(
                "its line is {address}, but another device has it as {other}; \
                 set the devices alike, and say so in both addresses"
            );
            return Err(DeviceError::Setting { device: name.into(), problem });
        }
        let new = || Bus::new(address.clone(), self.timeout);
        Ok(open.entry(address.clone()).or_insert_with(new).clone())
    }
}

/// A meter that has been found, or is being listened for.
#[derive(Debug)]
pub enum Meter {
    /// SunSpec.
    SunSpec(SunSpecMeter),
    /// JSON over HTTP.
    Http(HttpMeter),
    /// By a map.
    ModbusMap(ModbusMeter),
    /// MQTT.
    Mqtt(MqttMeter),
    /// P1.
    P1(P1Meter),
    /// SML.
    Sml(SmlMeter),
}

impl Meter {
    /// Finds the meter. Powers beyond one and a half times `rated` are refused as impossible.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn open(
        config: &MeterConfig,
        buses: &Buses,
        name: &str,
        rated: Option<Power>,
    ) -> Result<Self, DeviceError> {
        Ok(match config {
            MeterConfig::Sunspec(it) => {
                let bus = buses.at(&it.address, name)?;
                Self::SunSpec(SunSpecMeter::open(&bus, it.unit, name, rated).await?)
            }
            MeterConfig::Http(it) => Self::Http(HttpMeter::open(it, name, rated).await?),
            MeterConfig::ModbusMap(it) => {
                let address = it.bus_address().map_err(|error| DeviceError::Setting {
                    device: name.into(),
                    problem: error.to_string(),
                })?;
                let bus = buses.at(&address, name)?;
                Self::ModbusMap(ModbusMeter::open_on(&bus, it, name, rated).await?)
            }
            MeterConfig::Mqtt(it) => Self::Mqtt(MqttMeter::open(it, name, rated).await?),
            MeterConfig::P1(it) => Self::P1(P1Meter::open(it, name, rated).await?),
            MeterConfig::Sml(it) => Self::Sml(SmlMeter::open(it, name, rated).await?),
        })
    }

    /// What the meter shows. After a failure the next call tries anew.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn read(&mut self) -> Result<Shown, DeviceError> {
        match self {
            Self::SunSpec(meter) => meter.read().await,
            Self::Http(meter) => meter.read().await,
            Self::ModbusMap(meter) => meter.read().await,
            Self::Mqtt(meter) => meter.read().await,
            Self::P1(meter) => meter.read().await,
            Self::Sml(meter) => meter.read().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_named_beside_its_settings_and_foreign_ones_are_refused() {
        let text = "driver = \"sunspec\"\naddress = \"a\"\n";
        let config = SunSpecConfig { address: "a".parse().unwrap(), unit: 1 };
        assert_eq!(toml::from_str(text), Ok(MeterConfig::Sunspec(config)));
        let refused = toml::from_str::<MeterConfig>(&format!("{text}topic = 1\n")).unwrap_err();
        assert!(refused.to_string().contains("topic"), "{refused}");
    }

    #[test]
    fn files_are_looked_for_beside_the_configuration() {
        let text = "driver = \"http\"\naddress = \"a\"\nmap_file = \"m.toml\"\n\
                    auth = \"basic\"\ncredentials_file = \"/etc/c\"\n\
                    tls = { ca_file = \"ca.pem\", client_key_file = \"k.pem\" }\n";
        let config: MeterConfig = toml::from_str(text).unwrap();
        let MeterConfig::Http(http) = config.relative_to(Path::new("/node")) else {
            panic!("it is another driver's");
        };
        assert_eq!(http.map_file, Some("/node/m.toml".into()));
        assert_eq!(http.credentials_file, Some("/etc/c".into()));
        let tls = http.tls.unwrap();
        assert_eq!(tls.ca_file, Some("/node/ca.pem".into()));
        assert_eq!(tls.client_key_file, Some("/node/k.pem".into()));
    }

    #[test]
    fn devices_at_one_address_share_its_bus() {
        let buses = Buses::new(Duration::from_secs(1));
        let at = |text: &str| {
            let bus = buses.at(&text.parse().unwrap(), "meter");
            bus.map(|bus| bus.address().to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(at("a").unwrap(), "a:502");
        assert_eq!(at("a:502").unwrap(), "a:502");
        assert_eq!(at("b").unwrap(), "b:502");
        assert_eq!(buses.open.lock().unwrap().len(), 2);
        // A serial line is one bus, however it is written, and is set in one way.
        assert_eq!(at("rtu:///dev/ttyS9").unwrap(), at("rtu:///dev/ttyS9?baud=9600").unwrap());
        assert_eq!(buses.open.lock().unwrap().len(), 3);
        assert!(at("rtu:///dev/ttyS9?baud=2400").unwrap_err().contains("another device"));
    }
}
