//! A stream of bytes that a device sends of its own accord: over TCP or a serial line.
//!
//! Not for: devices that are asked (see [`super::bus`]), or what the bytes mean.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serial2_tokio::{CharSize, FlowControl, Parity, SerialPort, Settings, StopBits};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::bus::Endpoint;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes taken at once.
pub(super) const CHUNK: usize = 1024;

/// Where a stream comes from: `host:port` of a serial server, or a serial port such as `/dev/ttyUSB0`
/// or `COM3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StreamAddress {
    /// A serial server, or a gateway that serves what it reads.
    Tcp(Endpoint),
    /// A serial port of this machine, by the operating system's name.
    Serial(String),
}

/// Text that is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither the address of a serial server, such as `192.168.1.30:23`, nor a serial port, \
     such as `/dev/ttyUSB0` or `COM3`"
)]
pub struct NotAStream(String);

impl FromStr for StreamAddress {
    type Err = NotAStream;

    fn from_str(text: &str) -> Result<Self, NotAStream> {
        let refused = || NotAStream(text.to_owned());
        let com = text.strip_prefix("COM").filter(|rest| !rest.is_empty());
        let is_com = com.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        if text.starts_with('/') || is_com {
            return Ok(Self::Serial(text.to_owned()));
        }
        // There is no port that serial servers share, so it must be said.
        Endpoint::parse(text, None).map(Self::Tcp).ok_or_else(refused)
    }
}

impl TryFrom<String> for StreamAddress {
    type Error = NotAStream;

    fn try_from(text: String) -> Result<Self, NotAStream> {
        text.parse()
    }
}

impl From<StreamAddress> for String {
    fn from(address: StreamAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for StreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Serial(port) => f.write_str(port),
        }
    }
}

/// How a serial line talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineSettings {
    /// Bits per second.
    pub(super) baud: u32,
    /// Seven bits and even parity instead of eight and none.
    pub(super) seven_even: bool,
}

/// An open stream.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Serial(SerialPort),
}

impl Stream {
    /// Connects, or opens the port.
    pub(super) async fn open(address: &StreamAddress, line: LineSettings) -> io::Result<Self> {
        match address {
            StreamAddress::Tcp(address) => {
                let connecting = TcpStream::connect((address.host.as_str(), address.port));
                let connected = timeout(CONNECT_TIMEOUT, connecting).await;
                connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(Self::Tcp)
            }
            StreamAddress::Serial(port) => {
                let settings = |settings| configured(settings, line);
                SerialPort::open(port, settings).map(Self::Serial)
            }
        }
    }

    /// Some bytes, at least one.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::Tcp(stream) => AsyncReadExt::read(stream, buffer).await?,
            Self::Serial(port) => port.read(buffer).await?,
        };
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }
}

fn configured(mut settings: Settings, line: LineSettings) -> io::Result<Settings> {
    settings.set_raw();
    settings.set_baud_rate(line.baud)?;
    let (size, parity) = if line.seven_even {
        (CharSize::Bits7, Parity::Even)
    } else {
        (CharSize::Bits8, Parity::None)
    };
    settings.set_char_size(size);
    settings.set_parity(parity);
    settings.set_stop_bits(StopBits::One);
    settings.set_flow_control(FlowControl::None);
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_serial_server_or_a_port() {
        let parse = |text: &str| text.parse::<StreamAddress>();
        for text in ["192.168.1.30:23", "[fe80::1]:2001", "/dev/ttyUSB0", "COM12", "p1.local:502"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert!(matches!(parse("/dev/serial/by-id/usb"), Ok(StreamAddress::Serial(_))));
        assert!(matches!(parse("COM"), Err(NotAStream(_))));
        for text in ["192.168.1.30", "meter.local", "", "a:b", "fe80::1"] {
            assert_eq!(parse(text), Err(NotAStream(text.to_owned())));
        }
    }
}
