//! What a P1 telegram says: lines of OBIS codes with values in brackets, and a checksum.
//!
//! The same codes mean the same in all countries, but not each has all of them: the Dutch and Belgians
//! tell energy by tariff (1.8.1, 1.8.2), the Luxembourgers and Swedes as a whole (1.8.0). Of a telegram
//! that is not as it should be nothing is taken.
//! Not for: where a telegram begins and ends (see [`super::frame`]).

use std::collections::BTreeMap;

use boltgrid_protocol::units::Power;

use crate::decimal::{Decimal, DecimalRejected};
use crate::drivers::PointRejected;
use crate::quantity::{Dimension, Quantity, Unit};
use crate::register::Width;
use crate::shown::Shown;

/// Most lines of one telegram.
const LINES_MAX: usize = 256;
/// Energy may be told for as many tariffs.
const TARIFFS: std::ops::RangeInclusive<u8> = 1..=4;
/// The kind of meter that counts gas, as it is told in 24.1.0.
const GAS_METER: u32 = 3;
/// The polynomial of CRC-16/ARC, its bits in reverse.
const POLYNOMIAL: u16 = 0xA001;

/// Whether a telegram must have a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It must (DSMR 4 and later, and all countries but the Netherlands).
    Required,
    /// It may have none (DSMR 2 and 3, and meters with a D0 interface); one that is there must be right.
    Optional,
}

/// Why a telegram is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelegramRejected {
    /// Bytes were changed on the way.
    #[error("the checksum is {computed:04X}, but the telegram says {told}")]
    Checksum {
        /// What the telegram says.
        told: String,
        /// What its bytes come to.
        computed: u16,
    },
    /// It has none, though it should.
    #[error(
        "the telegram has no checksum; if the meter is of DSMR 2 or 3, say so by `dsmr2 = true`"
    )]
    NoChecksum,
    /// It is not text, or is laid out otherwise than any telegram.
    #[error("the telegram is malformed: {0}")]
    Malformed(&'static str),
    /// The value of a code has no meaning.
    #[error("the telegram's {code} says {what}")]
    Value {
        /// The code.
        code: String,
        /// What is wrong with it.
        what: String,
    },
    /// The value of a code cannot be.
    #[error("the telegram's {} {source}", quantity.name())]
    Impossible {
        /// What it stands for.
        quantity: Quantity,
        /// What is wrong with it.
        source: PointRejected,
    },
}

/// The first five numbers of an OBIS code: medium, channel, quantity, way of measuring, tariff.
type Code = [u8; 5];

/// The values of a telegram by code, in base units.
type Values = BTreeMap<Code, Decimal>;

/// What a telegram shows: `bytes` from its `/` to its end.
///
/// # Errors
///
/// [`TelegramRejected`]; nothing of it is taken then.
pub fn read(
    bytes: &[u8],
    checksum: Checksum,
    rated: Option<Power>,
) -> Result<Shown, TelegramRejected> {
    let mark = bytes.iter().rposition(|byte| *byte == b'!');
    let mark = mark.ok_or(TelegramRejected::Malformed("it has no end"))?;
    let (body, told) = bytes.split_at(mark + 1);
    check(body, told, checksum)?;
    let text = str::from_utf8(body).map_err(|_| TelegramRejected::Malformed("it is not text"))?;
    let lines = values(text)?;
    let mut shown = Shown::default();
    for (quantity, value) in quantities(&lines)? {
        let thousandths =
            value.to_thousandths_floor().map_err(|error| refused(quantity, &error))?;
        let put = shown.put(quantity, thousandths, Width::Float, rated);
        put.map_err(|source| TelegramRejected::Impossible { quantity, source })?;
    }
    Ok(shown)
}

fn refused(quantity: Quantity, error: &DecimalRejected) -> TelegramRejected {
    TelegramRejected::Value { code: quantity.name().to_owned(), what: error.to_string() }
}

/// Checks the checksum over everything up to and with the `!`.
fn check(body: &[u8], told: &[u8], checksum: Checksum) -> Result<(), TelegramRejected> {
    let told = told.trim_ascii();
    if told.is_empty() && checksum == Checksum::Optional {
        return Ok(());
    }
    if told.is_empty() {
        return Err(TelegramRejected::NoChecksum);
    }
    let computed = crc(body);
    if told.eq_ignore_ascii_case(format!("{computed:04X}").as_bytes()) {
        return Ok(());
    }
    let told = told.iter().take(8).map(|byte| char::from(*byte)).collect();
    Err(TelegramRejected::Checksum { told, computed })
}

/// CRC-16/ARC.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 }
        })
    })
}

/// A line with a code, and the line below it where that goes on.
struct Line<'a> {
    code: Code,
    rest: &'a str,
    goes_on: &'a str,
}

impl<'a> Line<'a> {
    /// What stands in the brackets, in order.
    fn groups(&self) -> impl Iterator<Item = &'a str> {
        let groups = |text: &'a str| text.split('(').skip(1).filter_map(|it| it.split_once(')'));
        groups(self.rest).chain(groups(self.goes_on)).map(|(group, _)| group)
    }

    /// The code as it is written.
    fn name(&self) -> String {
        let [a, b, c, d, e] = self.code;
        format!("{a}-{b}:{c}.{d}.{e}")
    }

    fn wrong(&self, what: impl Into<String>) -> TelegramRejected {
        TelegramRejected::Value { code: self.name(), what: what.into() }
    }
}

/// All lines that have a code. Others are headers, blank, or messages to the household.
fn lines(text: &str) -> Result<Vec<Line<'_>>, TelegramRejected> {
    let mut found: Vec<Line<'_>> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if number >= LINES_MAX {
            return Err(TelegramRejected::Malformed("it has too many lines"));
        }
        if line.starts_with('(') {
            if let Some(above) = found.last_mut().filter(|above| above.goes_on.is_empty()) {
                above.goes_on = line;
            }
        } else if let Some((code, rest)) = code(line) {
            found.push(Line { code, rest, goes_on: "" });
        }
    }
    Ok(found)
}

/// The code that a line begins with, and what follows it. A sixth number is of no meaning here.
fn code(line: &str) -> Option<(Code, &str)> {
    let (written, _) = line.split_once('(')?;
    let rest = line.get(written.len()..)?;
    let (medium, written) = written.split_once('-')?;
    let (channel, written) = written.split_once(':')?;
    let mut numbers = written.split(['.', '*']);
    let mut next = || numbers.next()?.parse::<u8>().ok();
    let code = [medium.parse().ok()?, channel.parse().ok()?, next()?, next()?, next()?];
    Some((code, rest))
}

/// The dimension of a code that means something here, of the electricity meter itself.
const fn dimension(code: Code) -> Option<Dimension> {
    match code {
        [1, 0, 1 | 2, 8, 0..=4] => Some(Dimension::Energy),
        [1, 0, 1 | 2 | 16 | 21 | 22 | 41 | 42 | 61 | 62, 7, 0] => Some(Dimension::Power),
        [1, 0, 31 | 51 | 71, 7, 0] => Some(Dimension::Current),
        [1, 0, 32 | 52 | 72, 7, 0] => Some(Dimension::Voltage),
        [1, 0, 14, 7, 0] => Some(Dimension::Frequency),
        _ => None,
    }
}

fn values(text: &str) -> Result<Values, TelegramRejected> {
    let mut values = Values::new();
    let mut gas = Gas::default();
    for line in lines(text)? {
        if let Some(dimension) = dimension(line.code) {
            let Some(value) = line.groups().next().filter(|value| !value.is_empty()) else {
                continue;
            };
            let value = with_unit(&line, value, dimension)?;
            if values.insert(line.code, value).is_some_and(|before| before != value) {
                return Err(line.wrong("two different values"));
            }
        }
        gas.take(&line)?;
    }
    if let Some(volume) = gas.volume() {
        values.insert(GAS, volume);
    }
    Ok(values)
}

/// `text` as a value with its unit, in the base unit.
fn with_unit(line: &Line<'_>, text: &str, wanted: Dimension) -> Result<Decimal, TelegramRejected> {
    let (number, unit) = text.split_once('*').ok_or_else(|| line.wrong("a value without unit"))?;
    let unit = Unit::parse(unit).map_err(|error| line.wrong(error.to_string()))?;
    if unit.dimension != wanted {
        return Err(line.wrong("a value in a unit of something else"));
    }
    Decimal::parse(number, unit.exponent).map_err(|error| line.wrong(error.to_string()))
}

/// Where the gas is put among the values: no meter of electricity has this code.
const GAS: Code = [0, 0, 24, 2, 1];

/// Meters of other things behind the electricity meter, by channel. The last reading of the one whose
/// reading is the latest counts: one that was replaced keeps telling its last.
#[derive(Debug, Default)]
struct Gas {
    kinds: BTreeMap<u8, u32>,
    readings: BTreeMap<u8, (String, Decimal)>,
}

impl Gas {
    fn take(&mut self, line: &Line<'_>) -> Result<(), TelegramRejected> {
        let [0, channel @ 1..=255, 24, kind @ 1..=3, tariff] = line.code else { return Ok(()) };
        let mut groups = line.groups();
        let first = groups.next().unwrap_or_default();
        let wrong = |error: DecimalRejected| line.wrong(error.to_string());
        let reading = match (kind, tariff) {
            (1, 0) => {
                if let Ok(kind) = first.parse() {
                    self.kinds.insert(channel, kind);
                }
                None
            }
            // By temperature corrected or not, each with the time of its reading before it.
            (2, 1 | 3) => match groups.next().and_then(|value| value.strip_suffix("*m3")) {
                Some(value) => Some(Decimal::parse(value, 3).map_err(wrong)?),
                None => None,
            },
            // DSMR 2 and 3: the unit is in one group, the value in the next line.
            (3, 0) => match (groups.nth(4), groups.next()) {
                (Some("m3"), Some(value)) => Some(Decimal::parse(value, 3).map_err(wrong)?),
                _ => None,
            },
            _ => None,
        };
        if let Some(volume) = reading {
            self.readings.insert(channel, (first.to_owned(), volume));
        }
        Ok(())
    }

    fn volume(&self) -> Option<Decimal> {
        let gas = self.readings.iter().filter(|(it, _)| self.kinds.get(it) == Some(&GAS_METER));
        gas.max_by_key(|(_, (at, _))| at).map(|(_, (_, volume))| *volume)
    }
}

/// What the values mean.
fn quantities(values: &Values) -> Result<Vec<(Quantity, Decimal)>, TelegramRejected> {
    let all = |quantity, codes: &[u8]| Some((quantity, sum(values, codes)?));
    let at = |quantity, it| Some((quantity, *values.get(&[1, 0, it, 7, 0])?));
    let energy = |quantity, direction| Some((quantity, energy(values, direction)?));
    let gas = values.get(&GAS).map(|volume| (Quantity::Gas, Ok(*volume)));
    let told = [
        all(Quantity::Power, &[1, 2]).or_else(|| all(Quantity::Power, &[16])),
        all(Quantity::PowerL1, &[21, 22]),
        all(Quantity::PowerL2, &[41, 42]),
        all(Quantity::PowerL3, &[61, 62]),
        energy(Quantity::Import, 1),
        energy(Quantity::Export, 2),
        gas,
    ];
    let plain = [
        at(Quantity::VoltageL1, 32),
        at(Quantity::VoltageL2, 52),
        at(Quantity::VoltageL3, 72),
        at(Quantity::CurrentL1, 31),
        at(Quantity::CurrentL2, 51),
        at(Quantity::CurrentL3, 71),
        at(Quantity::Frequency, 14),
    ];
    let plain = plain.into_iter().map(|it| it.map(|(quantity, value)| (quantity, Ok(value))));
    let checked = |(quantity, value): (Quantity, Result<Decimal, DecimalRejected>)| {
        value.map(|value| (quantity, value)).map_err(|error| refused(quantity, &error))
    };
    told.into_iter().chain(plain).flatten().map(checked).collect()
}

/// What is taken less what is given; a meter that tells only one of them knows no other.
fn sum(values: &Values, codes: &[u8]) -> Option<Result<Decimal, DecimalRejected>> {
    let signed = |(it, factor)| Some(values.get(&[1, 0, it, 7, 0])?.times(factor, 1));
    codes.iter().copied().zip([1, -1]).filter_map(signed).reduce(|one, other| one?.plus(other?))
}

/// All energy of a direction: what is told as a whole, or else the sum of the tariffs.
fn energy(values: &Values, direction: u8) -> Option<Result<Decimal, DecimalRejected>> {
    let register = |tariff| values.get(&[1, 0, direction, 8, tariff]).map(|value| Ok(*value));
    let tariffs = || TARIFFS.filter_map(register).reduce(|one, other| one?.plus(other?));
    register(0).or_else(tariffs)
}

/// Whether a telegram says when it was sent, so that two that are alike are one.
pub(super) fn tells_time(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"\n0-0:1.0.0(")
}
