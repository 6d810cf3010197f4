//! One SunSpec unit on a bus: which models it has, and reading and writing them.
//!
//! Models are found and read here and not by the library, which takes any number of them, overflows
//! where one ends at the end of the address space, and does not see that a unit which was restarted has
//! its models elsewhere.

use std::io;
use std::sync::Arc;

use sunspec::client::ModbusError;
use sunspec::{DecodeError, Model, ParseError, Point, SUNS_IDENTIFIER, Value};

use crate::drivers::bus::{READ_MAX, Table};
use crate::drivers::{Bus, DeviceAddress, DeviceError, PointRejected};

/// Where SunSpec registers may begin, the usual place first.
const BASES: [u16; 3] = [40_000, 0, 50_000];
/// Most models of one unit: a unit with every model that SunSpec has is below this.
const MODELS_MAX: usize = 200;
/// Before a model's points stand its number and its length.
const HEADER: u16 = 2;
/// The number of the model after the last.
const END: u16 = 0xFFFF;

/// A model of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    id: u16,
    /// The register of its first point.
    first: u16,
    /// The registers of all its points.
    count: u16,
}

/// A unit whose models are known.
#[derive(Debug)]
pub(super) struct Unit {
    name: Arc<str>,
    bus: Bus,
    unit: u8,
    models: Vec<Found>,
}

/// The models that are laid out as one, so that any of them is read as it; what is mandatory in each
/// differs, and is checked point by point.
const fn laid_out_as(id: u16) -> [u16; 4] {
    match id {
        103 => [103, 102, 101, 103],
        113 => [113, 112, 111, 113],
        203 => [203, 202, 201, 204],
        213 => [213, 212, 211, 214],
        _ => [id; 4],
    }
}

impl Unit {
    /// Finds out which models the unit has.
    pub(super) async fn discover(bus: &Bus, unit: u8, name: &str) -> Result<Self, DeviceError> {
        let mut found =
            Self { name: name.into(), bus: bus.clone(), unit, models: Vec::with_capacity(16) };
        let doing = "discovering its models";
        let Some(base) = found.base().await.map_err(|source| found.failed(doing, source))? else {
            return Err(found.not_sunspec());
        };
        // The identifier has two registers; the first base leaves room for it.
        let mut at = base.saturating_add(HEADER);
        while found.models.len() < MODELS_MAX {
            let header = bus.read(unit, Table::Holding, at, HEADER).await;
            let (id, count) = match header.as_deref() {
                Ok([END, _]) => return Ok(found),
                Ok([id, count]) => (*id, *count),
                // Some have no end.
                Err(ModbusError::IllegalDataAddress) if !found.models.is_empty() => {
                    return Ok(found);
                }
                _ => {
                    let wrong = || io::Error::from(io::ErrorKind::InvalidData).into();
                    let source = header.err().unwrap_or_else(wrong);
                    return Err(found.failed(doing, source));
                }
            };
            let after = at.checked_add(HEADER).and_then(|first| {
                let after = first.checked_add(count)?;
                found.models.push(Found { id, first, count });
                Some(after)
            });
            at = after.ok_or_else(|| found.not_sunspec())?;
        }
        Err(found.not_sunspec())
    }

    /// Where its registers begin; `None` where they begin nowhere.
    async fn base(&self) -> Result<Option<u16>, ModbusError> {
        for base in BASES {
            match self.bus.read(self.unit, Table::Holding, base, HEADER).await {
                Ok(words) if words == SUNS_IDENTIFIER => return Ok(Some(base)),
                // A unit refuses what it does not have in one of these ways.
                Ok(_)
                | Err(
                    ModbusError::IllegalDataAddress
                    | ModbusError::IllegalDataValue
                    | ModbusError::IllegalFunction,
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn find<M: Model>(&self) -> Option<Found> {
        let same = laid_out_as(M::ID);
        // One without points is no use.
        self.models.iter().copied().find(|found| same.contains(&found.id) && found.count > 0)
    }

    pub(super) fn has<M: Model>(&self) -> bool {
        self.find::<M>().is_some()
    }

    /// The models it has, in their order.
    pub(super) fn models(&self) -> Vec<u16> {
        self.models.iter().map(|found| found.id).collect()
    }

    pub(super) fn missing(&self, wanted: &'static str) -> DeviceError {
        let found = self.models();
        DeviceError::ModelMissing { device: Arc::clone(&self.name), wanted, found }
    }

    fn not_sunspec(&self) -> DeviceError {
        let address = DeviceAddress { bus: self.bus.address().clone(), unit: self.unit };
        DeviceError::NotSunSpec { device: Arc::clone(&self.name), address: address.to_string() }
    }

    /// Reads a model.
    pub(super) async fn read<M: Model>(&self) -> Result<M, DeviceError> {
        let found = self.find::<M>();
        self.read_at(found.ok_or_else(|| self.malformed::<M>(DecodeError::OutOfBounds))?).await
    }

    /// Reads all of a model that a unit may have several times.
    pub(super) async fn read_all<M: Model>(&self) -> Result<Vec<M>, DeviceError> {
        let mut models = Vec::new();
        for found in self.models.iter().filter(|found| found.id == M::ID && found.count > 0) {
            models.push(self.read_at(*found).await?);
        }
        Ok(models)
    }

    /// Reads a model with its header, which must be as it was when it was found.
    async fn read_at<M: Model>(&self, Found { id, first, count }: Found) -> Result<M, DeviceError> {
        let mut words = Vec::with_capacity(usize::from(count) + usize::from(HEADER));
        // All of these lie below the end of the model, which `discover` has checked.
        let (mut at, end) = (u32::from(first - HEADER), u32::from(first) + u32::from(count));
        while at < end {
            let length = u16::try_from(end - at).unwrap_or(u16::MAX).min(READ_MAX);
            let from =
                u16::try_from(at).map_err(|_| self.malformed::<M>(DecodeError::OutOfBounds))?;
            let part = self.bus.read(self.unit, Table::Holding, from, length).await;
            words.extend(part.map_err(|source| self.failed("reading", source))?);
            at += u32::from(length);
        }
        let Some(([shown_id, shown_count], points)) = words.split_first_chunk::<2>() else {
            return Err(self.malformed::<M>(DecodeError::OutOfBounds));
        };
        if (*shown_id, *shown_count) != (id, count) {
            let moved = io::Error::new(io::ErrorKind::InvalidData, "its models have moved");
            return Err(self.failed("reading", ModbusError::IO(moved)));
        }
        M::parse(points).map_err(|error| match error {
            ParseError::Decode(source) => self.malformed::<M>(source),
            ParseError::InvalidPointData(_) => self.malformed::<M>(DecodeError::InvalidEnumValue),
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
        use sunspec::client::AsyncModbusClient;
        // A model this near the end of the address space has no such point.
        let beyond = || self.malformed::<M>(DecodeError::OutOfBounds);
        let model = self.find::<M>().ok_or_else(beyond)?;
        let address = model.first.checked_add(first.offset).ok_or_else(beyond)?;
        let written = self.bus.write_registers(self.unit, address, words).await;
        written.map_err(|source| self.failed("writing a set point", source))
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
