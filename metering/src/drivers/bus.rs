//! One Modbus connection, shared by all units behind it: TCP, a serial line, or a serial line through a
//! server in the network.
//!
//! Requests take turns: the mutex is the bus. A request that fails in any way but by an orderly
//! exception costs the connection, and the next request connects anew; so a late or odd answer is
//! never taken for the answer to something else (over serial lines see [`line`] for the rest of it).
//! The number of registers in an answer is checked here, because the libraries on both sides of this
//! file panic when it is wrong.
//! Not for: trying again. Whoever owns a device decides when.

mod address;
mod line;
mod request;
mod rtu;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serial2_tokio::{SerialPort, Settings};
use sunspec::client::{AsyncModbusClient, ModbusError};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{ExceptionCode, Response, Slave};

pub use address::{
    BusAddress, DeviceAddress, Endpoint, NotAnAddress, Parity, SerialLine, SerialSettings,
};
use line::{Line, SILENCE_OF_SERVER, Unanswered};
use request::Request;
pub use request::{READ_MAX, Table};
use rtu::Heard;

/// An answer with another number of registers than asked for, or to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not fit the request")]
struct WrongAnswer;

/// No answer in time. Not [`ModbusError::Timeout`]: discovery takes that for an empty address, and a
/// unit that is switched off for one that is no SunSpec device.
fn silent() -> ModbusError {
    ModbusError::IO(io::ErrorKind::TimedOut.into())
}

fn wrong_answer() -> ModbusError {
    ModbusError::IO(io::Error::new(io::ErrorKind::InvalidData, WrongAnswer))
}

/// A connection that is made when needed. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Bus {
    address: Arc<BusAddress>,
    timeout: Duration,
    wire: Arc<Mutex<Wire>>,
}

/// What a bus keeps between two requests.
#[derive(Default)]
struct Wire {
    connection: Option<Connection>,
    /// Of a serial line, whose late answers outlive the connection.
    unanswered: Unanswered,
}

enum Connection {
    Tcp(Context),
    RtuOverTcp(Line<TcpStream>),
    Rtu(Line<SerialPort>),
}

/// An answer that fits its request.
enum Answer {
    Registers(Vec<u16>),
    Written,
}

impl Bus {
    /// A bus that is not connected yet. `timeout` bounds connecting, and each request.
    #[must_use]
    pub fn new(address: BusAddress, timeout: Duration) -> Self {
        Self { address: Arc::new(address), timeout, wire: Arc::default() }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &BusAddress {
        &self.address
    }

    /// Reads `count` registers of a unit, from `first` on: as many as asked for.
    ///
    /// # Errors
    ///
    /// [`ModbusError`]: the unit's exception, or what is wrong with the way to it.
    pub async fn read(
        &self,
        unit: u8,
        table: Table,
        first: u16,
        count: u16,
    ) -> Result<Vec<u16>, ModbusError> {
        match self.call(unit, Request::Read { table, first, count }).await? {
            Answer::Registers(words) => Ok(words),
            Answer::Written => Err(wrong_answer()),
        }
    }

    async fn call(&self, unit: u8, request: Request<'_>) -> Result<Answer, ModbusError> {
        if !request.fits() {
            return Err(ModbusError::IllegalDataAddress);
        }
        let mut wire = self.wire.lock().await;
        // Taken out, so that failure, panic and cancellation all leave no connection behind.
        let mut connection = match wire.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = connection.ask(unit, request, &mut wire.unanswered, self.timeout).await?;
        wire.connection = Some(connection);
        answer
    }

    async fn connect(&self) -> Result<Connection, ModbusError> {
        Ok(match &*self.address {
            BusAddress::Tcp(endpoint) => {
                Connection::Tcp(tcp::attach(self.connect_to(endpoint).await?))
            }
            BusAddress::RtuOverTcp(endpoint) => {
                let stream = self.connect_to(endpoint).await?;
                Connection::RtuOverTcp(Line::new(stream, SILENCE_OF_SERVER))
            }
            BusAddress::Rtu(SerialLine { path, settings }) => {
                let port = SerialPort::open(path, |usual: Settings| set(usual, *settings))?;
                Connection::Rtu(Line::new(port, line::silence(settings)))
            }
        })
    }

    async fn connect_to(&self, endpoint: &Endpoint) -> Result<TcpStream, ModbusError> {
        let connecting = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
        let stream = timeout(self.timeout, connecting).await.map_err(|_| silent())??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Sets a serial line: eight bits, as Modbus RTU has them, and the rest as told.
fn set(mut port: Settings, wanted: SerialSettings) -> io::Result<Settings> {
    use serial2_tokio::{CharSize, FlowControl, StopBits};
    port.set_raw();
    port.set_char_size(CharSize::Bits8);
    port.set_flow_control(FlowControl::None);
    port.set_baud_rate(wanted.baud())?;
    port.set_parity(match wanted.parity() {
        Parity::None => serial2_tokio::Parity::None,
        Parity::Even => serial2_tokio::Parity::Even,
        Parity::Odd => serial2_tokio::Parity::Odd,
    });
    port.set_stop_bits(if wanted.two_stop_bits() { StopBits::Two } else { StopBits::One });
    Ok(port)
}

impl Connection {
    /// The outer error costs the connection, the inner one is the unit's exception.
    async fn ask(
        &mut self,
        unit: u8,
        request: Request<'_>,
        unanswered: &mut Unanswered,
        patience: Duration,
    ) -> Result<Result<Answer, ModbusError>, ModbusError> {
        let heard = match self {
            Self::Tcp(context) => return ask_tcp(context, unit, request, patience).await,
            Self::RtuOverTcp(line) => line.ask(unit, &request, unanswered, patience).await?,
            Self::Rtu(line) => line.ask(unit, &request, unanswered, patience).await?,
        };
        match heard {
            Heard::Registers(words) => Ok(Ok(Answer::Registers(words))),
            Heard::Written => Ok(Ok(Answer::Written)),
            Heard::Exception(code) => Ok(Err(ExceptionCode::new(code).into())),
            Heard::More | Heard::Wrong(_) => Err(wrong_answer()),
        }
    }
}

/// Over TCP the library sees to transaction and unit; what was asked for is checked here.
async fn ask_tcp(
    context: &mut Context,
    unit: u8,
    request: Request<'_>,
    patience: Duration,
) -> Result<Result<Answer, ModbusError>, ModbusError> {
    use tokio_modbus::Request as Asked;
    context.set_slave(Slave(unit));
    let asked = match request {
        Request::Read { table: Table::Holding, first, count } => {
            Asked::ReadHoldingRegisters(first, count)
        }
        Request::Read { table: Table::Input, first, count } => {
            Asked::ReadInputRegisters(first, count)
        }
        Request::Write { first, words } => Asked::WriteMultipleRegisters(first, words.into()),
    };
    let answer = match timeout(patience, context.call(asked)).await.map_err(|_| silent())?? {
        Ok(answer) => answer,
        Err(exception) => return Ok(Err(exception.into())),
    };
    // That it answers the function that was asked for, the library has checked.
    match (request, answer) {
        (
            Request::Read { count, .. },
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words),
        ) if words.len() == usize::from(count) => Ok(Ok(Answer::Registers(words))),
        (Request::Write { first, words }, Response::WriteMultipleRegisters(at, count))
            if at == first && usize::from(count) == words.len() =>
        {
            Ok(Ok(Answer::Written))
        }
        _ => Err(wrong_answer()),
    }
}

impl AsyncModbusClient for Bus {
    async fn read_registers(
        &self,
        slave_id: u8,
        addr: u16,
        len: u16,
    ) -> Result<Vec<u16>, ModbusError> {
        self.read(slave_id, Table::Holding, addr, len).await
    }

    async fn write_registers(
        &self,
        slave_id: u8,
        addr: u16,
        data: &[u16],
    ) -> Result<(), ModbusError> {
        match self.call(slave_id, Request::Write { first: addr, words: data }).await? {
            Answer::Written => Ok(()),
            Answer::Registers(_) => Err(wrong_answer()),
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bus({})", self.address)
    }
}
