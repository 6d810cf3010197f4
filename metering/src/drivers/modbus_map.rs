//! Meters that have their numbers in Modbus registers of their own: a map says which and how.
//!
//! Maps of common meters come along ([`shipped`]), and a map of any other is a TOML file. One says, for
//! the map:
//!
//! | key | |
//! |---|---|
//! | `name`, `manufacturer`, `models`, `sources` | what it is of, and where that is written |
//! | `unit_id`, `serial = { baud, parity, stop }` | how these meters come, where configuration says nothing else |
//! | `largest_read` | registers that the meter hands out at once, 4 to 125; default 125 |
//! | `largest_gap` | registers that belong to nothing and may be read along; default none |
//!
//! and for each `[[point]]`:
//!
//! | key | |
//! |---|---|
//! | `quantity` | what it is, by [`Quantity::name`] |
//! | `register` | its first register, counted from 0 as the wire does |
//! | `function` | `holding` (default) or `input` |
//! | `type` | `u16`, `i16`, `u32`, `i32`, `u64`, `i64`, `f32` or `f64` |
//! | `word_order`, `byte_order` | `big` (default) or `little`: which comes first |
//! | `unit`, `scale` | one count is `scale` (exact; default 1) of the unit |
//! | `negate` | for powers that are negative when the site imports |
//! | `not_available` | bits, in hexadecimal (`X`: any digit), that mean there is no value; not-a-number always does |
//! | `part` | this and the other points of the quantity are added up |
//! | `wraps_at` | the count at which a register shows zero again; by default its type's |
//!
//! All registers are read in as few requests as the map allows, at one go; one that fails costs the
//! whole reading.
//! Not for: SunSpec, which says itself where things are (see [`super::sunspec`]).

mod decimal;
mod file;
mod number;
mod plan;
mod shipped;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::units::Power;
use serde::Deserialize;
use sunspec::client::ModbusError;

pub use decimal::{Decimal, NotADecimal};
pub use file::{MapError, ModbusMap};
pub use plan::Span;
pub use shipped::{Shipped, shipped};

use self::file::MapPoint;
use self::number::{Number, bits};
use super::{Bus, BusAddress, DeviceAddress, DeviceError, PointRejected};
use crate::quantity::Quantity;
use crate::register::{RawRegister, Width};
use crate::scale::{ScaleFactor, ScaleRejected};
use crate::shown::Shown;

/// The unit id of a meter that is alone on its bus.
const UNIT: u8 = 1;
/// How long a meter that has its bus to itself may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A meter that is read by a map.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModbusMapConfig {
    /// Where its bus is.
    pub address: BusAddress,
    /// Its unit id; by default the map's, or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<u8>,
    /// The name of a map that comes along, or the path of a file.
    pub map: String,
    /// The value of one count, in the map's unit, where it is the meter's setting: the litres of a
    /// pulse, or the ratio of a transformer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scale: BTreeMap<Quantity, Decimal>,
}

/// A meter that is there.
#[derive(Debug)]
pub struct ModbusMeter {
    name: Arc<str>,
    bus: Bus,
    unit: u8,
    map: ModbusMap,
    rated: Option<Power>,
}

impl ModbusMapConfig {
    /// The map that is named, with the scales that are given.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn load(&self) -> Result<ModbusMap, MapError> {
        let name = self.map.as_str();
        if !name.contains(['/', '\\']) && !name.ends_with(".toml") {
            let found = shipped().iter().find(|shipped| shipped.name == name);
            let known =
                || shipped().iter().map(|shipped| shipped.name).collect::<Vec<_>>().join(", ");
            let unknown = || MapError::Unknown { name: name.to_owned(), known: known() };
            return ModbusMap::scaled(name, found.ok_or_else(unknown)?.text, &self.scale);
        }
        let unreadable = |why: String| MapError::Unreadable { file: name.to_owned(), why };
        let size = fs::metadata(name).map_err(|error| unreadable(error.to_string()))?.len();
        if size > file::MAP_BYTES_MAX as u64 {
            return Err(unreadable(format!("it is longer than {} bytes", file::MAP_BYTES_MAX)));
        }
        let text = fs::read_to_string(name).map_err(|error| unreadable(error.to_string()))?;
        ModbusMap::scaled(name, &text, &self.scale)
    }

    /// Where the meter's bus is, with the line set as its map says where the address does not.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn bus_address(&self) -> Result<BusAddress, MapError> {
        Ok(self.address.clone().with_usual(self.load()?.serial))
    }
}

impl ModbusMeter {
    /// Finds a meter that has its bus to itself. Powers beyond one and a half times `rated` are refused
    /// as impossible.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn open(
        config: &ModbusMapConfig,
        name: &str,
        rated: Option<Power>,
    ) -> Result<Self, DeviceError> {
        let address = config.bus_address().map_err(|error| setting(name, &error))?;
        Self::open_on(&Bus::new(address, TIMEOUT), config, name, rated).await
    }

    /// Finds a meter on a bus that it may share.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn open_on(
        bus: &Bus,
        config: &ModbusMapConfig,
        name: &str,
        rated: Option<Power>,
    ) -> Result<Self, DeviceError> {
        let map = config.load().map_err(|error| setting(name, &error))?;
        let unit = config.unit.or(map.unit_id).unwrap_or(UNIT);
        let mut meter = Self { name: name.into(), bus: bus.clone(), unit, map, rated };
        match meter.read().await {
            // It is there, and what is wrong with a value now may be right when it is read.
            Ok(_) | Err(DeviceError::Point { .. }) => Ok(meter),
            Err(DeviceError::Modbus {
                source: ModbusError::IllegalDataAddress | ModbusError::IllegalFunction,
                ..
            }) => {
                let address = DeviceAddress { bus: bus.address().clone(), unit };
                let problem = format!(
                    "the device at {address} does not have the registers of the map {}; is it one of {}?",
                    meter.map.name,
                    meter.map.models.join(", ")
                );
                Err(DeviceError::Setting { device: meter.name, problem })
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the meter.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn read(&mut self) -> Result<Shown, DeviceError> {
        let mut answers = Vec::with_capacity(self.map.requests.len());
        for Span { table, first, count } in &self.map.requests {
            let words = self.bus.read(self.unit, *table, *first, *count).await;
            answers.push(words.map_err(|source| DeviceError::Modbus {
                device: Arc::clone(&self.name),
                doing: "reading its registers",
                source,
            })?);
        }
        self.map.shown(&answers, self.rated).map_err(|(quantity, source)| DeviceError::Point {
            device: Arc::clone(&self.name),
            point: quantity.name().into(),
            source,
        })
    }

    /// What it is read by.
    #[must_use]
    pub const fn map(&self) -> &ModbusMap {
        &self.map
    }
}

fn setting(name: &str, error: &MapError) -> DeviceError {
    DeviceError::Setting { device: name.into(), problem: error.to_string() }
}

impl ModbusMap {
    /// What the answers to all requests show, in their order.
    ///
    /// # Errors
    ///
    /// The first quantity that shows what cannot be, and why. An answer that is too short has not
    /// [`PointRejected::NotImplemented`].
    pub fn shown(
        &self,
        answers: &[Vec<u16>],
        rated: Option<Power>,
    ) -> Result<Shown, (Quantity, PointRejected)> {
        let mut shown = Shown::default();
        for point in self.points.iter().filter(|point| !point.part) {
            let of = |rejected| (point.quantity, rejected);
            let Some(number) = self.number(point, answers).map_err(of)? else { continue };
            if point.quantity.is_register() {
                let register = point.register(number).map_err(of)?;
                shown.put_register(point.quantity, register).map_err(of)?;
            } else {
                let value = number.thousandths(point.factor, point.unit);
                let value = value.map_err(|scale| of(scale.into()))?;
                shown.put(point.quantity, value, Width::Float, rated).map_err(of)?;
            }
        }
        for quantity in self.summed() {
            let sum = self.sum(quantity, answers).map_err(|rejected| (quantity, rejected))?;
            if let Some(sum) = sum {
                // Parts wrap one by one, and nobody could tell when.
                let put = shown.put(quantity, sum, Width::Float, rated);
                put.map_err(|rejected| (quantity, rejected))?;
            }
        }
        Ok(shown)
    }

    /// The quantities that are made up of parts.
    fn summed(&self) -> impl Iterator<Item = Quantity> {
        let has_parts = |quantity: &Quantity| {
            self.points.iter().any(|point| point.part && point.quantity == *quantity)
        };
        Quantity::ALL.into_iter().filter(has_parts)
    }

    /// The sum of a quantity's parts; `None` where one of them is not available.
    fn sum(&self, quantity: Quantity, answers: &[Vec<u16>]) -> Result<Option<i64>, PointRejected> {
        let mut sum = 0_i64;
        for point in self.points.iter().filter(|point| point.quantity == quantity) {
            let Some(number) = self.number(point, answers)? else { return Ok(None) };
            let part = number.thousandths(point.factor, point.unit)?;
            sum = sum.checked_add(part).ok_or(ScaleRejected::TooLarge)?;
        }
        Ok(Some(sum))
    }

    fn number(
        &self,
        point: &MapPoint,
        answers: &[Vec<u16>],
    ) -> Result<Option<Number>, PointRejected> {
        let mut requests = self.requests.iter().zip(answers);
        let words = requests.find_map(|(request, words)| request.words(&point.span, words));
        let words = words.ok_or(PointRejected::NotImplemented)?;
        let bits = bits(words, point.word_order, point.byte_order);
        if point.not_available.iter().any(|sentinel| sentinel.is(bits)) {
            return Ok(None);
        }
        let number = Number::of(point.kind, bits)?;
        Ok(number.map(|number| if point.negate { number.negated() } else { number }))
    }
}

impl MapPoint {
    /// A register as the device counts it, so that it is known when it wraps.
    fn register(&self, number: Number) -> Result<RawRegister, PointRejected> {
        let Some(count) = number.integer().filter(|_| !self.kind.is_float()) else {
            let shown = self.quantity.check(number.thousandths(self.factor, self.unit)?, None)?;
            let (width, scale) = (Width::Float, ScaleFactor::THOUSANDTHS);
            return Ok(RawRegister { count: shown.unsigned_abs(), width, scale });
        };
        // What is checked is what it means; what is handed on is what it counts.
        self.quantity.check(number.thousandths(self.factor, self.unit)?, None)?;
        let digits = u64::from(self.factor.digits);
        let too_large = ScaleRejected::TooLarge;
        let counts = u64::try_from(count).ok().and_then(|count| count.checked_mul(digits));
        let width = match self.wraps_at.or(self.kind.wraps_at()) {
            Some(at) => Width::At(at.checked_mul(digits).ok_or(too_large)?),
            None => Width::Float,
        };
        let scale = ScaleFactor::new(self.factor.exponent + self.unit)?;
        Ok(RawRegister { count: counts.ok_or(too_large)?, width, scale })
    }
}

#[cfg(test)]
mod tests;
