//! One SunSpec unit on a bus: which models it has, and reading and writing them.

use std::sync::Arc;

use sunspec::client::{
    AsyncClient, AsyncDevice, AsyncModbusClient, Config, DiscoveryError, ModbusError,
    ReadModelError,
};
use sunspec::{DecodeError, Model, Models, Point, Value};

use crate::drivers::{Bus, DeviceAddress, DeviceError, PointRejected};

/// A unit whose models are known.
#[derive(Debug)]
pub(super) struct Unit {
    name: Arc<str>,
    device: AsyncDevice<Bus>,
}

impl Unit {
    /// Finds out which models the unit has.
    pub(super) async fn discover(bus: &Bus, unit: u8, name: &str) -> Result<Self, DeviceError> {
        let name: Arc<str> = name.into();
        // The bus keeps the time.
        let config = Config { read_timeout: None, write_timeout: None, ..Config::default() };
        let found = AsyncClient::new(bus.clone(), config).device(unit).await;
        let mut device = found.map_err(|error| match error {
            DiscoveryError::ModbusError(source) => {
                let device = Arc::clone(&name);
                DeviceError::Modbus { device, doing: "discovering its models", source }
            }
            DiscoveryError::SunsIdentifierNotFound | DiscoveryError::AddressOverflow => {
                let address = DeviceAddress { bus: bus.address().clone(), unit }.to_string();
                DeviceError::NotSunSpec { device: Arc::clone(&name), address }
            }
        })?;
        alias(&mut device.models);
        Ok(Self { name, device })
    }

    pub(super) fn has<M: Model>(&self) -> bool {
        M::addr(&self.device.models).len > 0
    }

    pub(super) fn missing(&self, wanted: &'static str) -> DeviceError {
        let found = self.device.models.supported_model_ids();
        DeviceError::ModelMissing { device: Arc::clone(&self.name), wanted, found }
    }

    pub(super) async fn read<M: Model>(&self) -> Result<M, DeviceError> {
        self.device.read_model().await.map_err(|error| match error {
            ReadModelError::Modbus(source) => self.failed("reading", source),
            ReadModelError::DecodeError(source) => self.malformed::<M>(source),
            ReadModelError::InvalidPointData(_) => {
                self.malformed::<M>(DecodeError::InvalidEnumValue)
            }
        })
    }

    /// Reads a model that need not be there.
    pub(super) async fn read_if_present<M: Model>(&self) -> Result<Option<M>, DeviceError> {
        if self.has::<M>() { self.read().await.map(Some) } else { Ok(None) }
    }

    /// Writes registers in one request, from `first` on.
    pub(super) async fn write<M: Model, T: Value>(
        &self,
        first: Point<M, T>,
        words: &[u16],
    ) -> Result<(), DeviceError> {
        let model = M::addr(&self.device.models).addr;
        let address = model.checked_add(first.offset).ok_or_else(|| {
            // A model this near the end of the address space has no such point.
            self.malformed::<M>(DecodeError::OutOfBounds)
        })?;
        self.device
            .client
            .write_registers(self.device.slave_id, address, words)
            .await
            .map_err(|source| self.failed("writing a set point", source))
    }

    /// Names device and point in a rejection.
    pub(super) fn point<T>(
        &self,
        point: &'static str,
        value: Result<T, PointRejected>,
    ) -> Result<T, DeviceError> {
        value.map_err(|source| DeviceError::Point {
            device: Arc::clone(&self.name),
            point: point.into(),
            source,
        })
    }

    fn failed(&self, doing: &'static str, source: ModbusError) -> DeviceError {
        DeviceError::Modbus { device: Arc::clone(&self.name), doing, source }
    }

    fn malformed<M: Model>(&self, source: DecodeError) -> DeviceError {
        DeviceError::Malformed { device: Arc::clone(&self.name), model: M::ID, source }
    }
}

/// SunSpec lays 201, 202 and 204 out as it does 203, and 101 and 102 as it does 103; only what is
/// mandatory differs, and that is checked point by point. So they are read as 203 and 103.
fn alias(models: &mut Models) {
    for (addr, len) in [
        (models.m201.addr, models.m201.len),
        (models.m202.addr, models.m202.len),
        (models.m204.addr, models.m204.len),
    ] {
        if models.m203.len == 0 {
            models.m203.set_addr(addr, len);
        }
    }
    for (addr, len) in [(models.m101.addr, models.m101.len), (models.m102.addr, models.m102.len)] {
        if models.m103.len == 0 {
            models.m103.set_addr(addr, len);
        }
    }
}
