//! Drivers: from a device's own language to [`crate::sample`]. One kind of device is one folder.
//!
//! A driver keeps no state but its connection. It rejects what no device could mean, and it never
//! panics; whoever runs it should still give it a task of its own, for the libraries below it.

mod advice;
pub mod broker;
pub mod bus;
mod credentials;
mod error;
mod heard;
pub mod http;
pub mod json;
mod meter;
pub mod modbus_map;
pub mod mqtt;
mod obis;
pub mod p1;
mod server;
pub mod sml;
mod stream;
pub mod sunspec;
mod tls;

pub use advice::advice;
pub use bus::{Bus, BusAddress, DeviceAddress};
pub use error::{DeviceError, PointRejected};
pub use meter::{Buses, DRIVER_DEFAULT, Meter, MeterConfig, SunSpecConfig};
pub use server::{Http, HttpServer, Language, Mqtt, MqttServer, NotAServer, Server};
pub use stream::{NotAStream, StreamAddress};
pub use tls::{Fingerprint, NotAFingerprint, TlsConfig, TlsError};
