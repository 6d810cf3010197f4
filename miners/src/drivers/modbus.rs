//! What everything behind Modbus TCP has in common: a connection for each call, and what its failures are.
//! Not for: registers and coils, which are each device's own.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_modbus::client::{Context, tcp};
use tokio_modbus::{Error, Slave};

use super::{DeviceError, Host};

/// Connects to a unit of a device.
pub(super) async fn connect(
    Host { host, port }: &Host<502>,
    unit: u8,
    device: &Arc<str>,
) -> Result<Context, DeviceError> {
    let stream = TcpStream::connect((host.as_str(), *port)).await;
    let stream = stream.map_err(|source| DeviceError::Io {
        device: Arc::clone(device),
        doing: "connecting",
        source,
    })?;
    Ok(tcp::attach_slave(stream, Slave(unit)))
}

/// What a device answered, or why it did not.
pub(super) fn answered<T>(
    answer: Result<Result<T, tokio_modbus::ExceptionCode>, Error>,
    device: &Arc<str>,
    doing: &'static str,
) -> Result<T, DeviceError> {
    let device = || Arc::clone(device);
    match answer {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(exception)) => {
            let what = exception.to_string();
            Err(DeviceError::Refused { device: device(), doing, what })
        }
        Err(Error::Transport(source)) => Err(DeviceError::Io { device: device(), doing, source }),
        Err(Error::Protocol(error)) => {
            let source = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
            Err(DeviceError::Io { device: device(), doing, source })
        }
    }
}
