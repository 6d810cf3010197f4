//! One Modbus TCP connection, shared by all units behind it.
//!
//! Requests take turns: the mutex is the bus. A request that fails in any way but by an orderly
//! exception costs the connection, and the next request connects anew; so a late or odd answer is
//! never taken for the answer to something else. The number of registers in an answer is checked
//! here, because the libraries on both sides of this file panic when it is wrong.
//! Not for: trying again. Whoever owns a device decides when.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunspec::client::{AsyncModbusClient, ModbusError};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{Request, Response, Slave};

/// The port that Modbus TCP is registered for.
const MODBUS_PORT: u16 = 502;

/// Where a bus is: `host` or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BusAddress {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address; write it as `192.168.1.20:502`, `meter.local` or `[fe80::1]:502`"
)]
pub struct NotAnAddress(String);

impl FromStr for BusAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let refused = || NotAnAddress(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(refused)?;
                let port = match rest {
                    "" => None,
                    _ => Some(rest.strip_prefix(':').ok_or_else(refused)?),
                };
                (host, port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map_or(Ok(MODBUS_PORT), |port| port.parse().map_err(|_| refused()))?;
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(refused());
        }
        Ok(Self { host: host.to_owned(), port })
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

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
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

/// An answer with another number of registers than asked for, or to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not fit the request")]
struct WrongAnswer;

/// No answer in time. Not [`ModbusError::Timeout`]: discovery takes that for an empty address, and a
/// unit that is switched off for one that is no SunSpec device.
fn silent() -> ModbusError {
    ModbusError::IO(io::ErrorKind::TimedOut.into())
}

/// A connection that is made when needed. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Bus {
    address: Arc<BusAddress>,
    timeout: Duration,
    connection: Arc<Mutex<Option<Context>>>,
}

impl Bus {
    /// A bus that is not connected yet. `timeout` bounds connecting, and each request.
    #[must_use]
    pub fn new(address: BusAddress, timeout: Duration) -> Self {
        Self { address: Arc::new(address), timeout, connection: Arc::default() }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &BusAddress {
        &self.address
    }

    async fn call(&self, unit: u8, request: Request<'_>) -> Result<Response, ModbusError> {
        let mut connection = self.connection.lock().await;
        // Taken out, so that failure, panic and cancellation all leave no connection behind.
        let mut context = match connection.take() {
            Some(context) => context,
            None => self.connect().await?,
        };
        context.set_slave(Slave(unit));
        let answer = timeout(self.timeout, context.call(request)).await.map_err(|_| silent())??;
        *connection = Some(context);
        Ok(answer?)
    }

    async fn connect(&self) -> Result<Context, ModbusError> {
        let connecting = TcpStream::connect((self.address.host.as_str(), self.address.port));
        let stream = timeout(self.timeout, connecting).await.map_err(|_| silent())??;
        stream.set_nodelay(true)?;
        Ok(tcp::attach(stream))
    }

    async fn disconnect(&self) -> ModbusError {
        *self.connection.lock().await = None;
        ModbusError::IO(io::Error::new(io::ErrorKind::InvalidData, WrongAnswer))
    }
}

impl AsyncModbusClient for Bus {
    async fn read_registers(
        &self,
        slave_id: u8,
        addr: u16,
        len: u16,
    ) -> Result<Vec<u16>, ModbusError> {
        let answer = self.call(slave_id, Request::ReadHoldingRegisters(addr, len)).await?;
        if let Response::ReadHoldingRegisters(words) = answer
            && words.len() == usize::from(len)
        {
            return Ok(words);
        }
        Err(self.disconnect().await)
    }

    async fn write_registers(
        &self,
        slave_id: u8,
        addr: u16,
        data: &[u16],
    ) -> Result<(), ModbusError> {
        let answer =
            self.call(slave_id, Request::WriteMultipleRegisters(addr, data.into())).await?;
        if let Response::WriteMultipleRegisters(at, count) = answer
            && at == addr
            && usize::from(count) == data.len()
        {
            return Ok(());
        }
        Err(self.disconnect().await)
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bus({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_people_write_them() {
        let check = |text: &str, host: &str, port: u16, shown: &str| {
            let address: BusAddress = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address));
        };
        check("192.168.1.20:1502", "192.168.1.20", 1502, "192.168.1.20:1502");
        check("meter.local", "meter.local", 502, "meter.local:502");
        check("[fe80::1]:503", "fe80::1", 503, "[fe80::1]:503");
        check("[fe80::1]", "fe80::1", 502, "[fe80::1]:502");
        for text in
            ["", ":502", "host:", "host:70000", "a host:502", "[fe80::1", "[fe80::1]502", "fe80::1"]
        {
            assert!(text.parse::<BusAddress>().is_err(), "{text}");
        }
    }
}
