//! A map as it is written: what the TOML says, checked so that a mistake is found when it is read and
//! not when the meter is.
//! Not for: reading a device by it (see [`super`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::decimal::Decimal;
use super::number::{Order, Type};
use super::plan::{Span, requests};
use crate::drivers::bus::{READ_MAX, SerialSettings, Table};
use crate::quantity::{Quantity, Unit};
use crate::scale::ScaleFactor;

/// The longest map.
pub(super) const MAP_BYTES_MAX: usize = 65_536;
/// The most points of one map.
const POINTS_MAX: usize = 64;
/// The most requests that one reading may take.
const REQUESTS_MAX: usize = 16;

/// Why a map cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// There is none by this name.
    #[error(
        "there is no map `{name}`; write the path of a file (with a `/` or ending in .toml), or one of {known}"
    )]
    Unknown {
        /// The name.
        name: String,
        /// All there are, separated by commas.
        known: String,
    },
    /// The file cannot be read.
    #[error("the map {file} cannot be read: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the operating system says.
        why: String,
    },
    /// It is not laid out as a map is.
    #[error("the map {file} is not right: {why}")]
    Malformed {
        /// The file.
        file: String,
        /// Where, and what is wrong.
        why: String,
    },
    /// A point is not right.
    #[error("the map {file}, point {number} ({quantity}): {why}")]
    Point {
        /// The file.
        file: String,
        /// Which point, counted from 1.
        number: usize,
        /// Its quantity.
        quantity: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
}

/// What a file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    name: String,
    manufacturer: String,
    models: Vec<String>,
    #[serde(default)]
    sources: Vec<String>,
    unit_id: Option<u8>,
    #[serde(default)]
    serial: SerialSettings,
    largest_read: Option<u16>,
    #[serde(default)]
    largest_gap: u16,
    #[serde(default)]
    point: Vec<PointFile>,
}

/// What a file says of a point.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PointFile {
    quantity: Quantity,
    register: u32,
    #[serde(default)]
    function: Table,
    #[serde(rename = "type")]
    kind: Type,
    #[serde(default)]
    word_order: Order,
    #[serde(default)]
    byte_order: Order,
    scale: Option<Decimal>,
    unit: String,
    #[serde(default)]
    negate: bool,
    #[serde(default)]
    not_available: Vec<String>,
    #[serde(default)]
    part: bool,
    wraps_at: Option<u64>,
}

/// One number of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MapPoint {
    pub(super) quantity: Quantity,
    pub(super) span: Span,
    pub(super) kind: Type,
    pub(super) word_order: Order,
    pub(super) byte_order: Order,
    pub(super) factor: Decimal,
    /// The power of ten of its unit.
    pub(super) unit: i16,
    pub(super) negate: bool,
    pub(super) not_available: Vec<Sentinel>,
    /// Whether several make up the quantity.
    pub(super) part: bool,
    pub(super) wraps_at: Option<u64>,
}

/// Bits that mean there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sentinel {
    bits: u64,
    /// Those of the bits that matter.
    mask: u64,
}

impl Sentinel {
    pub(super) const fn is(self, bits: u64) -> bool {
        bits & self.mask == self.bits
    }
}

/// Where a meter has what, checked.
///
/// Invariant: every point lies whole in one of the requests, and no quantity has two points that are not
/// parts of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModbusMap {
    /// Its name, by which configuration calls it.
    pub name: String,
    /// Who makes the meters.
    pub manufacturer: String,
    /// Which meters it is of.
    pub models: Vec<String>,
    /// Where it was found out.
    pub sources: Vec<String>,
    /// The unit id that these meters come with.
    pub unit_id: Option<u8>,
    /// How these meters' serial line is set when they come.
    pub serial: SerialSettings,
    pub(super) points: Vec<MapPoint>,
    pub(super) requests: Vec<Span>,
}

impl ModbusMap {
    /// The map that a text describes; `file` names it in what is said of mistakes.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, MapError> {
        Self::scaled(file, text, &BTreeMap::new())
    }

    /// The map that a text describes, with the factors of some quantities replaced.
    pub(super) fn scaled(
        file: &str,
        text: &str,
        scales: &BTreeMap<Quantity, Decimal>,
    ) -> Result<Self, MapError> {
        let malformed = |why: String| MapError::Malformed { file: file.to_owned(), why };
        if text.len() > MAP_BYTES_MAX {
            return Err(malformed(format!("it is longer than {MAP_BYTES_MAX} bytes")));
        }
        let map: MapFile = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if map.name.is_empty() || map.models.is_empty() {
            return Err(malformed("`name` or `models` is empty".to_owned()));
        }
        if !map.serial.can_be() {
            return Err(malformed("no serial line can be set like `serial`".to_owned()));
        }
        let longest = map.largest_read.unwrap_or(READ_MAX);
        if !(4..=READ_MAX).contains(&longest) || map.largest_gap > longest {
            return Err(malformed(format!(
                "`largest_read` is 4 to {READ_MAX}, and `largest_gap` is no larger"
            )));
        }
        if map.point.len() > POINTS_MAX {
            return Err(malformed(format!("it has more than {POINTS_MAX} points")));
        }
        let points = (1..).zip(&map.point).map(|(number, point)| {
            point.check(scales.get(&point.quantity).copied()).map_err(|why| MapError::Point {
                file: file.to_owned(),
                number,
                quantity: point.quantity.name(),
                why,
            })
        });
        let points: Vec<MapPoint> = points.collect::<Result<_, _>>()?;
        check_together(&points, scales).map_err(malformed)?;
        let parts = points.iter().map(|point| point.span).collect();
        let requests = requests(parts, longest, map.largest_gap);
        if requests.len() > REQUESTS_MAX {
            return Err(malformed(format!(
                "a reading would take {} requests, which is more than {REQUESTS_MAX}; \
                 allow a `largest_gap`, or leave points out",
                requests.len()
            )));
        }
        Ok(Self {
            name: map.name,
            manufacturer: map.manufacturer,
            models: map.models,
            sources: map.sources,
            unit_id: map.unit_id,
            serial: map.serial,
            points,
            requests,
        })
    }

    /// The quantities that a meter of this map may show.
    #[must_use]
    pub fn quantities(&self) -> BTreeSet<Quantity> {
        self.points.iter().map(|point| point.quantity).collect()
    }

    /// The requests that one reading takes.
    #[must_use]
    pub fn requests(&self) -> &[Span] {
        &self.requests
    }
}

/// What is wrong with the points together.
fn check_together(points: &[MapPoint], scales: &BTreeMap<Quantity, Decimal>) -> Result<(), String> {
    use Quantity::{Charge, Export, Gas, Import, Power, PowerL1};
    let useful = [Power, PowerL1, Import, Export, Gas, Charge];
    if !points.iter().any(|point| useful.contains(&point.quantity)) {
        return Err("it has no power, no register and no charge; a [[point]] needs `quantity`, \
                    `register`, `type` and `unit`"
            .to_owned());
    }
    let mut seen: BTreeMap<Quantity, &MapPoint> = BTreeMap::new();
    for point in points {
        let name = point.quantity.name();
        if let Some(before) = seen.insert(point.quantity, point)
            && !(before.part && point.part)
        {
            return Err(format!(
                "`{name}` has two points; leave one out, or write `part = true` at both to add them up"
            ));
        }
        let overlaps = points.iter().any(|other| {
            let (one, another) = (point.span, other.span);
            one != another
                && one.table == another.table
                && one.first <= another.first
                && u32::from(another.first) < u32::from(one.first) + u32::from(one.count)
        });
        if overlaps {
            return Err(format!(
                "the registers of `{name}` at {} overlap another point's",
                point.span.first
            ));
        }
    }
    if let Some(quantity) = scales.keys().find(|quantity| !seen.contains_key(quantity)) {
        return Err(format!("`scale` names `{}`, which the map does not have", quantity.name()));
    }
    Ok(())
}

impl PointFile {
    fn check(&self, scale: Option<Decimal>) -> Result<MapPoint, String> {
        let unit = Unit::parse(&self.unit).map_err(|error| error.to_string())?;
        if unit.dimension != self.quantity.dimension() {
            return Err(format!("`{}` is no unit of it", self.unit));
        }
        let count = self.kind.registers();
        let first = u16::try_from(self.register)
            .ok()
            .filter(|first| first.checked_add(count - 1).is_some())
            .ok_or_else(|| {
                format!(
                    "register {} with its {count} does not lie within 0 to 65535; \
                     leave off the 3 or 4 that manuals put before the number, and one",
                    self.register
                )
            })?;
        let factor = scale.or(self.scale).unwrap_or(Decimal::ONE);
        if self.quantity.is_register() {
            if self.negate {
                return Err("a register counts upwards; `negate` is for powers".to_owned());
            }
            if ScaleFactor::new(factor.exponent + unit.exponent).is_err() {
                return Err("its scale is finer or coarser than any meter's".to_owned());
            }
        } else if self.wraps_at.is_some() {
            return Err("only registers wrap; leave `wraps_at` out".to_owned());
        }
        if self.wraps_at == Some(0)
            || (self.wraps_at.is_some() && (self.kind.is_float() || self.part))
        {
            return Err("`wraps_at` is the count after which the register shows zero again; \
                 floating-point registers and parts have none"
                .to_owned());
        }
        let not_available = self.not_available.iter().map(|text| self.sentinel(text));
        Ok(MapPoint {
            quantity: self.quantity,
            span: Span { table: self.function, first, count },
            kind: self.kind,
            word_order: self.word_order,
            byte_order: self.byte_order,
            factor,
            unit: unit.exponent,
            negate: self.negate,
            not_available: not_available.collect::<Result<_, _>>()?,
            part: self.part,
            wraps_at: self.wraps_at,
        })
    }

    /// The bits of a number that means there is none; an X stands for any digit.
    fn sentinel(&self, text: &str) -> Result<Sentinel, String> {
        let digits = usize::from(self.kind.registers()) * 4;
        let hex = |digit: u8| digit.is_ascii_hexdigit() || digit == b'X';
        let is_one = text.len() == digits
            && text.bytes().all(hex)
            && text.bytes().any(|digit| digit != b'X');
        let digit = |letter: char| letter.to_digit(16).map_or((0, 0), |digit| (digit, 0xF));
        let push = |all: Sentinel, letter| {
            let (digit, mask) = digit(letter);
            Sentinel { bits: all.bits << 4 | u64::from(digit), mask: all.mask << 4 | mask }
        };
        let sentinel = text.chars().take(digits).fold(Sentinel { bits: 0, mask: 0 }, push);
        is_one.then_some(sentinel).ok_or_else(|| {
            format!(
                "`{text}` in `not_available` is not {digits} digits from 0 to F, or X for any digit"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"test\"\nmanufacturer = \"none\"\nmodels = [\"one\"]\n";
    const POWER: &str =
        "[[point]]\nquantity = \"power\"\nregister = 10\ntype = \"i32\"\nunit = \"W\"\n";

    fn parse(text: &str) -> Result<ModbusMap, String> {
        ModbusMap::parse("test.toml", text).map_err(|error| error.to_string())
    }

    #[test]
    fn little_needs_to_be_said() {
        let map = parse(&[HEAD, POWER].concat()).unwrap();
        let span = Span { table: Table::Holding, first: 10, count: 2 };
        assert_eq!(map.requests(), [span]);
        assert_eq!(map.quantities(), [Quantity::Power].into());
    }

    #[test]
    fn mistakes_are_named_with_file_and_point() {
        let point = |changes: &[(&str, &str)]| {
            let mut text = [HEAD, POWER].concat();
            for (from, to) in changes {
                assert!(text.contains(from), "{from}");
                text = text.replace(from, to);
            }
            text
        };
        let refused = |text: String, why: &str| {
            let error = parse(&text).unwrap_err();
            assert!(error.contains("test.toml") && error.contains(why), "{error}");
        };
        refused(HEAD.to_owned(), "no power, no register");
        refused(point(&[("unit = ", "units = ")]), "units");
        refused(point(&[("\"W\"", "\"kWh\"")]), "point 1 (power): `kWh` is no unit of it");
        refused(point(&[("\"W\"", "\"watt\"")]), "`watt` is not a unit known here");
        refused(point(&[("= 10\n", "= 65535\n")]), "65535 with its 2 does not lie within");
        refused(point(&[("= 10\n", "= 400011\n")]), "does not lie within");
        refused(point(&[("unit = ", "scale = 0.1\nunit = ")]), "in quotes");
        refused(point(&[("unit = ", "scale = \"0\"\nunit = ")]), "above zero");
        refused(point(&[("unit = ", "wraps_at = 5\nunit = ")]), "only registers wrap");
        refused(point(&[("unit = ", "not_available = [\"FFFF\"]\nunit = ")]), "is not 8 digits");
        refused(point(&[("i32", "i33")]), "i33");
        refused([HEAD, POWER, POWER].concat(), "`power` has two points");
        let overlapping = POWER.replace("power", "power_l1").replace("10", "11");
        refused([HEAD, POWER, &overlapping].concat(), "`power` at 10 overlap");
        let register =
            [HEAD, &POWER.replace("power", "import").replace("\"W\"", "\"Wh\"")].concat();
        assert!(parse(&register).is_ok());
        refused(register.replace("unit = ", "negate = true\nunit = "), "counts upwards");
        refused(["largest_read = 200\n", HEAD, POWER].concat(), "largest_read");
        refused(["serial = { baud = 1 }\n", HEAD, POWER].concat(), "serial line");
    }

    #[test]
    fn a_sentinel_may_leave_digits_open() {
        let text = [HEAD, POWER, "not_available = [\"7fffXXXX\", \"80000000\"]\n"].concat();
        let map = parse(&text).unwrap();
        let is = |bits| map.points[0].not_available.iter().any(|sentinel| sentinel.is(bits));
        assert!(is(0x7FFF_0000) && is(0x7FFF_FFFF) && is(0x8000_0000));
        assert!(!is(0x7FFE_FFFF) && !is(0x8000_0001));
    }

    #[test]
    fn several_points_of_a_quantity_must_be_said_to_be_parts_of_it() {
        let part = |register: &str| POWER.replace("10", register) + "part = true\n";
        let map = parse(&[HEAD, &part("10"), &part("20")].concat()).unwrap();
        assert_eq!(map.requests().len(), 2);
    }

    #[test]
    fn a_scale_can_be_replaced_where_there_is_one() {
        let scales = |quantity| BTreeMap::from([(quantity, "2.5".parse().unwrap())]);
        let text = [HEAD, POWER].concat();
        let map = ModbusMap::scaled("test", &text, &scales(Quantity::Power)).unwrap();
        assert_eq!(map.points.first().map(|point| point.factor), "2.5".parse().ok());
        let missing = ModbusMap::scaled("test", &text, &scales(Quantity::Gas)).unwrap_err();
        assert!(missing.to_string().contains("`gas`, which the map does not have"), "{missing}");
    }
}
