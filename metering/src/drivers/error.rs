//! What can go wrong with a device: the way to it, its kind, or what it says.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use sunspec::DecodeError;
use sunspec::client::ModbusError;

use crate::scale::ScaleRejected;

/// Why a device's point is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointRejected {
    /// The device says that it does not implement what is needed.
    #[error("is not implemented")]
    NotImplemented,
    /// The number has no meaning.
    #[error("cannot be read: {0}")]
    Scale(#[from] ScaleRejected),
    /// The number means something that cannot be. In thousandths of the unit.
    #[error("shows {shown}, which is not within {least} and {most} (thousandths)")]
    Impossible {
        /// What it shows.
        shown: i64,
        /// The least that can be.
        least: i64,
        /// The most that can be.
        most: i64,
    },
}

/// Why a device did not do as asked. Each names the device as the configuration does.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The device, or the way to it, failed. The next request connects anew where that may help.
    #[error("{device}: {doing} failed: {}", reason(source))]
    Modbus {
        /// The device.
        device: Arc<str>,
        /// What was tried.
        doing: &'static str,
        /// What went wrong.
        source: ModbusError,
    },
    /// There is a device, but it does not speak SunSpec.
    #[error(
        "{device}: no SunSpec device at {address}; check its address, its unit and its settings"
    )]
    NotSunSpec {
        /// The device.
        device: Arc<str>,
        /// Where.
        address: String,
    },
    /// It lacks what a device of its kind has.
    #[error(
        "{device}: no {wanted} among its SunSpec models {found:?}; does it stand where it belongs, in \
         `[site.meter]` or `[[site.meters]]`, `[[site.pv]]` or `[[site.battery]]`?"
    )]
    ModelMissing {
        /// The device.
        device: Arc<str>,
        /// What is needed.
        wanted: &'static str,
        /// The models it has.
        found: Vec<u16>,
    },
    /// A model is not laid out as SunSpec says.
    #[error("{device}: model {model} is malformed: {source}")]
    Malformed {
        /// The device.
        device: Arc<str>,
        /// The model's number.
        model: u16,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A point shows what cannot be.
    #[error("{device}: point {point} {source}")]
    Point {
        /// The device.
        device: Arc<str>,
        /// The point, by its name in SunSpec or in its map.
        point: Cow<'static, str>,
        /// What is wrong with it.
        source: PointRejected,
    },
    /// The way to the device failed. The next request tries it anew.
    #[error("{device}: {doing} failed: {source}")]
    Io {
        /// The device.
        device: Arc<str>,
        /// What was tried.
        doing: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// It answered with something that is not its language.
    #[error("{device}: its answer makes no sense: {what}")]
    Garbled {
        /// The device.
        device: Arc<str>,
        /// What is wrong with the answer, in few words.
        what: String,
    },
    /// It sends of its own accord, and has not for too long.
    #[error("{device}: nothing heard {}", since(*silent_ms))]
    Silent {
        /// The device.
        device: Arc<str>,
        /// For how long, in ms; `None` when it never sent anything.
        silent_ms: Option<u64>,
    },
    /// It is set up in a way that can never work.
    #[error("{device}: {problem}")]
    Setting {
        /// The device.
        device: Arc<str>,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

fn since(silent_ms: Option<u64>) -> String {
    silent_ms.map_or_else(|| "yet".to_owned(), |silent_ms| format!("for {silent_ms} ms"))
}

/// The library says no more than "I/O error" where the operating system says what is wrong.
fn reason(error: &ModbusError) -> &dyn fmt::Display {
    if let ModbusError::IO(error) = error { error } else { error }
}

impl DeviceError {
    /// Whether it must be set up otherwise before it can work: no use in trying again soon.
    #[must_use]
    pub const fn is_misconfiguration(&self) -> bool {
        match self {
            Self::NotSunSpec { .. } | Self::ModelMissing { .. } | Self::Setting { .. } => true,
            Self::Modbus { .. }
            | Self::Malformed { .. }
            | Self::Point { .. }
            | Self::Io { .. }
            | Self::Garbled { .. }
            | Self::Silent { .. } => false,
        }
    }
}
