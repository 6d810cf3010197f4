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
use crate::drivers::obis::{self, Code, GAS, Refused, Values, dimension};
use crate::quantity::{Dimension, Quantity, Unit};
use crate::shown::Shown;

/// Most lines of one telegram.
const LINES_MAX: usize = 256;
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
    obis::show(&values(text)?, rated).map_err(|refused| match refused {
        Refused::Number { quantity, source } => {
            TelegramRejected::Value { code: quantity.name().to_owned(), what: source.to_string() }
        }
        Refused::Impossible { quantity, source } => {
            TelegramRejected::Impossible { quantity, source }
        }
    })
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

/// Whether a telegram says when it was sent, so that two that are alike are one.
pub(super) fn tells_time(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"\n0-0:1.0.0(")
}
