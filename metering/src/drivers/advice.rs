//! What to do about a device that is not read, in words for whoever put it up.
//!
//! An error says what went wrong; this says what that mostly comes from with such a device.
//! Not for: values that are read and look wrong.

use std::fmt;
use std::io;

use sunspec::client::ModbusError;

use super::bus::{BusAddress, SerialLine};
use super::stream::StreamAddress;
use super::{DeviceError, MeterConfig};

/// What to do where a gateway or a bus has no such unit.
const UNIT: &str =
    "look in its menu for its number on the line (unit, slave or Modbus address), and set `unit`";

/// How a device is reached.
enum Way<'a> {
    Port(&'a str),
    Network(String),
}

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Port(path) => path,
            Self::Network(place) => place,
        })
    }
}

/// What to do about a device that fails so, as far as that can be told.
#[must_use]
pub fn advice(error: &DeviceError, driver: &MeterConfig) -> Option<String> {
    match error {
        DeviceError::Modbus { source: ModbusError::IO(error), .. }
        | DeviceError::Io { source: error, .. } => way_fails(error, driver),
        DeviceError::Modbus {
            source: ModbusError::GatewayTargetDevice | ModbusError::GatewayPathUnavailable,
            ..
        } => {
            let unit = unit(driver)?;
            Some(format!("the gateway finds no unit {unit} on its line: {UNIT}"))
        }
        DeviceError::NotSunSpec { .. } => Some(format!(
            "a meter that does not speak SunSpec needs `driver = \"modbus-map\"` and a `map` \
             (docs/modbus.md); else {UNIT}"
        )),
        DeviceError::Silent { .. } => silent(driver),
        DeviceError::Modbus { .. }
        | DeviceError::ModelMissing { .. }
        | DeviceError::Malformed { .. }
        | DeviceError::Point { .. }
        | DeviceError::Garbled { .. }
        | DeviceError::Setting { .. } => None,
    }
}

fn unit(driver: &MeterConfig) -> Option<u8> {
    match driver {
        MeterConfig::Sunspec(it) => Some(it.unit),
        MeterConfig::ModbusMap(it) => it.unit,
        MeterConfig::Http(_) | MeterConfig::Mqtt(_) | MeterConfig::P1(_) | MeterConfig::Sml(_) => {
            None
        }
    }
}

fn way(driver: &MeterConfig) -> Way<'_> {
    match driver {
        MeterConfig::Sunspec(it) => way_of_bus(&it.address),
        MeterConfig::ModbusMap(it) => way_of_bus(&it.address),
        MeterConfig::Http(it) => Way::Network(it.address.to_string()),
        MeterConfig::Mqtt(it) => Way::Network(it.broker.to_string()),
        MeterConfig::P1(it) => way_of_stream(&it.address),
        MeterConfig::Sml(it) => way_of_stream(&it.address),
    }
}

fn way_of_bus(address: &BusAddress) -> Way<'_> {
    match address {
        BusAddress::Rtu(SerialLine { path, .. }) => Way::Port(path),
        BusAddress::Tcp(_) | BusAddress::RtuOverTcp(_) => Way::Network(address.to_string()),
    }
}

fn way_of_stream(address: &StreamAddress) -> Way<'_> {
    match address {
        StreamAddress::Serial(path) => Way::Port(path),
        StreamAddress::Tcp(_) => Way::Network(address.to_string()),
    }
}

fn way_fails(error: &io::Error, driver: &MeterConfig) -> Option<String> {
    let way = way(driver);
    match &way {
        Way::Port(path) => port_fails(error.kind(), path),
        Way::Network(place) => network_fails(error, place, driver),
    }
}

fn port_fails(kind: io::ErrorKind, path: &str) -> Option<String> {
    use io::ErrorKind::{InvalidData, NotFound, PermissionDenied, ResourceBusy, TimedOut};
    if kind == NotFound {
        Some(format!(
            "there is no serial port {path}: `ls /dev/serial/by-id/*` shows those there are, by names \
             that stay the same when the machine restarts"
        ))
    } else if kind == PermissionDenied {
        Some(format!(
            "whoever runs this may not open {path}: add the user to the group that owns it, mostly by \
             `sudo usermod -aG dialout USER`, and sign in, or start the service, anew"
        ))
    } else if kind == ResourceBusy {
        Some(format!("another program holds {path}: stop that, or the node, first"))
    } else if [TimedOut, InvalidData].contains(&kind) {
        Some(format!(
            "nobody answers in a way that makes sense at {path}: are A and B the right way round, and \
             are speed, parity, stop bits and unit as in the meter's menu? An address says them as \
             `rtu://{path}?baud=9600&parity=even&stop=1`"
        ))
    } else {
        None
    }
}

fn network_fails(error: &io::Error, place: &str, driver: &MeterConfig) -> Option<String> {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, InvalidData, NetworkUnreachable,
        TimedOut, UnexpectedEof,
    };
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    if is(&[ConnectionRefused]) {
        Some(format!(
            "there is a machine at {place}, and nothing listens at that port: is the device's interface \
             (Modbus, local API, broker) switched on, and is the port right?"
        ))
    } else if is(&[TimedOut, HostUnreachable, NetworkUnreachable]) {
        let unit = unit(driver);
        let unit =
            unit.map_or_else(String::new, |it| format!(" Or has it another `unit` than {it}?"));
        Some(format!(
            "nobody answers at {place}: is it switched on, in this network, and is that still its \
             address?{unit}"
        ))
    } else if is(&[ConnectionReset, UnexpectedEof]) {
        Some(format!(
            "{place} hangs up: many devices serve one at a time, so is another program connected?"
        ))
    } else if is(&[InvalidData]) {
        Some(format!(
            "what {place} answers is no answer to what was asked: does it speak what `driver` and \
             `address` say (`rtu-tcp://` for a serial server that hands on bytes)?"
        ))
    } else if error.to_string().contains("lookup") {
        Some(format!("no machine is known here by the name in {place}: write its IP address"))
    } else {
        None
    }
}

fn silent(driver: &MeterConfig) -> Option<String> {
    let way = way(driver);
    match driver {
        MeterConfig::P1(_) => Some(format!(
            "nothing that makes sense comes from {way}: a P1 port speaks only while its pin 2 has 5 V, \
             meters of DSMR 2 and 3 need `dsmr2 = true`, and some speak but every ten seconds \
             (`--seconds 30`); an SML meter has `driver = \"sml\"`"
        )),
        MeterConfig::Sml(_) => Some(format!(
            "nothing that makes sense comes from {way}: the reading head must sit right over the meter's \
             infrared diode, and the line runs at 9600 baud; a P1 port has `driver = \"p1\"`"
        )),
        MeterConfig::Mqtt(_) => Some(format!(
            "the broker {way} is there, and not all of the topics were published to since: \
             `mosquitto_sub -v -t '#'` shows what is; retained messages do not count"
        )),
        MeterConfig::Sunspec(_) | MeterConfig::ModbusMap(_) | MeterConfig::Http(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(driver: &str, error: DeviceError) -> String {
        advice(&error, &toml::from_str(driver).unwrap()).unwrap_or_default()
    }

    fn io(kind: io::ErrorKind) -> DeviceError {
        DeviceError::Io { device: "meter".into(), doing: "asking", source: kind.into() }
    }

    fn modbus(source: ModbusError) -> DeviceError {
        DeviceError::Modbus { device: "meter".into(), doing: "asking", source }
    }

    const LINE: &str = "driver = \"modbus-map\"\naddress = \"rtu:///dev/ttyUSB7\"\nmap = \"eastron-sdm630\"\nunit = 12\n";
    const GATEWAY: &str = "driver = \"sunspec\"\naddress = \"10.0.0.2\"\nunit = 3\n";

    #[test]
    fn a_serial_port_that_fails_is_named_with_what_to_do() {
        use io::ErrorKind::{NotFound, PermissionDenied, TimedOut};
        for (kind, says) in
            [(NotFound, "/dev/serial/by-id"), (PermissionDenied, "dialout"), (TimedOut, "parity")]
        {
            for line in [LINE, "driver = \"p1\"\naddress = \"/dev/ttyUSB7\"\n"] {
                let said = said(line, io(kind));
                assert!(said.contains(says) && said.contains("/dev/ttyUSB7"), "{said}");
            }
            let said = said(LINE, modbus(ModbusError::IO(kind.into())));
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn a_device_in_the_network_that_fails_is_named_with_what_to_do() {
        use io::ErrorKind::{ConnectionRefused, TimedOut};
        let refused = said(GATEWAY, modbus(ModbusError::IO(ConnectionRefused.into())));
        assert!(refused.contains("10.0.0.2:502") && refused.contains("port"), "{refused}");
        let silent = said(GATEWAY, modbus(ModbusError::IO(TimedOut.into())));
        assert!(silent.contains("another `unit` than 3"), "{silent}");
        let no_unit = said(GATEWAY, modbus(ModbusError::GatewayTargetDevice));
        assert!(no_unit.contains("no unit 3") && no_unit.contains("`unit`"), "{no_unit}");
        let unknown = io::Error::other("failed to lookup address information: Name not known");
        let unknown = said(GATEWAY, modbus(ModbusError::IO(unknown)));
        assert!(unknown.contains("IP address"), "{unknown}");
        let other = DeviceError::NotSunSpec { device: "meter".into(), address: "a".to_owned() };
        assert!(said(GATEWAY, other).contains("modbus-map"));
    }

    #[test]
    fn a_device_that_says_nothing_by_itself_is_told_of_in_its_own_way() {
        let silent = |driver: &str| {
            said(driver, DeviceError::Silent { device: "meter".into(), silent_ms: None })
        };
        assert!(silent("driver = \"p1\"\naddress = \"a:23\"\n").contains("pin 2"));
        assert!(silent("driver = \"sml\"\naddress = \"a:23\"\n").contains("infrared"));
        let mqtt = "driver = \"mqtt\"\nbroker = \"a\"\n[[topic]]\nname = \"t\"\npoint = []\n";
        assert!(silent(mqtt).contains("mosquitto_sub"));
    }
}
