//! Where a bus and a device on it are, as people write it down.
//!
//! | written as | what it is |
//! |---|---|
//! | `192.168.1.20`, `meter.local:1502`, `tcp://[fe80::1]:502` | Modbus TCP |
//! | `rtu-tcp://192.168.1.30:8899` | Modbus RTU through a serial server that hands bytes on as they are |
//! | `rtu:///dev/ttyUSB0?baud=9600&parity=even&stop=1` | Modbus RTU over a serial line of this machine |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The port that Modbus TCP is registered for.
const MODBUS_PORT: u16 = 502;
/// The speeds that serial lines are run at, in bits per second.
const BAUD: std::ops::RangeInclusive<u32> = 300..=1_000_000;

/// Where a bus is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BusAddress {
    /// Modbus TCP.
    Tcp(Endpoint),
    /// The frames of a serial line, through a server that hands them on.
    RtuOverTcp(Endpoint),
    /// A serial line of this machine.
    Rtu(SerialLine),
}

/// A place in the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// A serial line and how it is set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialLine {
    /// The device, such as `/dev/ttyUSB0` or `COM3`.
    pub path: String,
    /// What is said of its settings.
    pub settings: SerialSettings,
}

/// How a serial line is set; what is not said is as most meters come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialSettings {
    /// Speed in bits per second, 300 to 1 000 000.
    pub baud: Option<u32>,
    /// The ninth bit.
    pub parity: Option<Parity>,
    /// Stop bits, 1 or 2.
    pub stop: Option<u8>,
}

/// The bit that goes with each byte of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parity {
    /// There is none.
    None,
    /// The number of ones is even with it.
    Even,
    /// The number of ones is odd with it.
    Odd,
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address; write it as `192.168.1.20:502`, `meter.local` or `[fe80::1]:502`, \
     a serial server as `rtu-tcp://192.168.1.30:8899`, and a serial line as \
     `rtu:///dev/ttyUSB0?baud=9600&parity=even&stop=1` (baud 300 to 1000000, parity none, even or \
     odd, stop 1 or 2)"
)]
pub struct NotAnAddress(String);

impl SerialSettings {
    /// These settings, and what they leave open as in `others`.
    #[must_use]
    pub const fn or(self, others: Self) -> Self {
        Self {
            baud: if self.baud.is_some() { self.baud } else { others.baud },
            parity: if self.parity.is_some() { self.parity } else { others.parity },
            stop: if self.stop.is_some() { self.stop } else { others.stop },
        }
    }

    /// Bits per second; most meters come with 9600.
    #[must_use]
    pub fn baud(&self) -> u32 {
        self.baud.unwrap_or(9_600)
    }

    /// The parity; most meters come without, against what Modbus says.
    #[must_use]
    pub fn parity(&self) -> Parity {
        self.parity.unwrap_or(Parity::None)
    }

    /// Whether there are two stop bits and not one.
    #[must_use]
    pub fn two_stop_bits(&self) -> bool {
        self.stop == Some(2)
    }

    /// Whether a serial line can be set so.
    #[must_use]
    pub fn can_be(&self) -> bool {
        self.baud.is_none_or(|baud| BAUD.contains(&baud))
            && self.stop.is_none_or(|stop| (1..=2).contains(&stop))
    }
}

impl Endpoint {
    /// The place that `host:port` names; without a port it is at the default one, if there is one.
    pub(in crate::drivers) fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
                (host, port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => default_port?,
        };
        let bad = |letter: char| letter.is_whitespace() || "/?#".contains(letter);
        if host.is_empty() || host.contains(bad) {
            return None;
        }
        Some(Self { host: host.to_owned(), port })
    }
}

impl BusAddress {
    /// The address with everything said that it leaves open, so that equal lines are written alike.
    #[must_use]
    pub fn spelled_out(self) -> Self {
        let usual = SerialSettings::default();
        let (baud, parity) = (Some(usual.baud()), Some(usual.parity()));
        self.with_usual(SerialSettings { baud, parity, stop: Some(1) })
    }

    /// Whether both are one serial line, which can't be set in two ways at once.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rtu(one), Self::Rtu(another)) => one.path == another.path && one != another,
            (Self::Tcp(_) | Self::RtuOverTcp(_) | Self::Rtu(_), _) => false,
        }
    }

    /// The address, on a serial line with the settings that it leaves open taken from `usual`.
    #[must_use]
    pub fn with_usual(self, usual: SerialSettings) -> Self {
        match self {
            Self::Rtu(SerialLine { path, settings }) => {
                Self::Rtu(SerialLine { path, settings: settings.or(usual) })
            }
            Self::Tcp(_) | Self::RtuOverTcp(_) => self,
        }
    }
}

fn serial_line(text: &str) -> Option<SerialLine> {
    let (path, said) = text.split_once('?').unwrap_or((text, ""));
    let mut settings = SerialSettings::default();
    for pair in said.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=')? {
            ("baud", baud) => settings.baud = Some(baud.parse().ok()?),
            ("parity", "none") => settings.parity = Some(Parity::None),
            ("parity", "even") => settings.parity = Some(Parity::Even),
            ("parity", "odd") => settings.parity = Some(Parity::Odd),
            ("stop", stop) => settings.stop = Some(stop.parse().ok()?),
            _ => return None,
        }
    }
    let is_path = !path.is_empty() && !path.contains(['#', '\0']);
    (is_path && settings.can_be()).then(|| SerialLine { path: path.to_owned(), settings })
}

impl FromStr for BusAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let address = match text.split_once("://") {
            None => Endpoint::parse(text, Some(MODBUS_PORT)).map(Self::Tcp),
            Some(("tcp", rest)) => Endpoint::parse(rest, Some(MODBUS_PORT)).map(Self::Tcp),
            // Serial servers have no port in common.
            Some(("rtu-tcp", rest)) => Endpoint::parse(rest, None).map(Self::RtuOverTcp),
            Some(("rtu", rest)) => serial_line(rest).map(Self::Rtu),
            Some(_) => None,
        };
        address.ok_or_else(|| NotAnAddress(text.to_owned()))
    }
}

impl TryFrom<String> for BusAddress {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<BusAddress> for String {
    fn from(address: BusAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for SerialLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, settings: SerialSettings { baud, parity, stop } } = self;
        let parity = parity.map(|parity| match parity {
            Parity::None => "none",
            Parity::Even => "even",
            Parity::Odd => "odd",
        });
        let said = [
            baud.map(|baud| format!("baud={baud}")),
            parity.map(|parity| format!("parity={parity}")),
            stop.map(|stop| format!("stop={stop}")),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        let mark = if said.is_empty() { "" } else { "?" };
        write!(f, "{path}{mark}{}", said.join("&"))
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => endpoint.fmt(f),
            Self::RtuOverTcp(endpoint) => write!(f, "rtu-tcp://{endpoint}"),
            Self::Rtu(line) => write!(f, "rtu://{line}"),
        }
    }
}

/// Where a device is: a bus and a unit on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceAddress {
    /// The bus.
    pub bus: BusAddress,
    /// The unit (slave) id, 0 to 255.
    pub unit: u8,
}

impl fmt::Display for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} unit {}", self.bus, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_people_write_them() {
        let check = |text: &str, host: &str, port: u16, shown: &str| {
            let address: BusAddress = text.parse().unwrap();
            assert_eq!(address, BusAddress::Tcp(Endpoint { host: host.to_owned(), port }));
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address));
        };
        check("192.168.1.20:1502", "192.168.1.20", 1502, "192.168.1.20:1502");
        check("meter.local", "meter.local", 502, "meter.local:502");
        check("tcp://meter.local:503", "meter.local", 503, "meter.local:503");
        check("[fe80::1]:503", "fe80::1", 503, "[fe80::1]:503");
        check("[fe80::1]", "fe80::1", 502, "[fe80::1]:502");
    }

    #[test]
    fn serial_lines_and_servers_are_addresses_too() {
        let server: BusAddress = "rtu-tcp://192.168.1.30:8899".parse().unwrap();
        let endpoint = Endpoint { host: "192.168.1.30".to_owned(), port: 8899 };
        assert_eq!(server, BusAddress::RtuOverTcp(endpoint));
        assert_eq!(server.to_string().parse(), Ok(server));
        let text = "rtu:///dev/ttyUSB0?baud=19200&parity=even&stop=2";
        let line: BusAddress = text.parse().unwrap();
        let settings =
            SerialSettings { baud: Some(19_200), parity: Some(Parity::Even), stop: Some(2) };
        let path = "/dev/ttyUSB0".to_owned();
        assert_eq!(line, BusAddress::Rtu(SerialLine { path, settings }));
        assert_eq!(line.to_string(), text);
    }

    #[test]
    fn what_a_line_leaves_open_is_filled_in() {
        let line: BusAddress = "rtu://COM3?parity=none".parse().unwrap();
        let usual = SerialSettings { baud: Some(2_400), parity: Some(Parity::Even), stop: None };
        assert_eq!(line.with_usual(usual).to_string(), "rtu://COM3?baud=2400&parity=none");
    }

    #[test]
    fn one_line_set_in_two_ways_is_a_contradiction() {
        let parse = |text: &str| text.parse::<BusAddress>().unwrap().spelled_out();
        let line = parse("rtu:///dev/ttyUSB0");
        assert_eq!(line, parse("rtu:///dev/ttyUSB0?stop=1&baud=9600&parity=none"));
        assert!(line.contradicts(&parse("rtu:///dev/ttyUSB0?baud=2400")));
        assert!(!line.contradicts(&parse("rtu:///dev/ttyUSB1?baud=2400")));
        assert!(!line.contradicts(&line) && !line.contradicts(&parse("meter.local")));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":502",
            "host:",
            "host:70000",
            "a host:502",
            "[fe80::1",
            "[fe80::1]502",
            "fe80::1",
            "host/1",
            "udp://host:502",
            "rtu-tcp://host",
            "rtu://",
            "rtu:///dev/ttyUSB0?baud=9601x",
            "rtu:///dev/ttyUSB0?baud=1",
            "rtu:///dev/ttyUSB0?parity=mark",
            "rtu:///dev/ttyUSB0?stop=3",
            "rtu:///dev/ttyUSB0?speed=9600",
        ] {
            assert!(text.parse::<BusAddress>().is_err(), "{text}");
        }
    }
}
