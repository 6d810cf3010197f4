//! What an SML file says: messages, among them one with a list of the meter's values (GetList.Res),
//! each with OBIS code, unit and scaler.
//!
//! Of a file that is not as it should be nothing is taken; values that mean nothing here are passed
//! over, in whatever form they are.

use std::collections::btree_map::Entry;

use boltgrid_protocol::units::Power;

use super::super::PointRejected;
use super::super::obis::{self, Code, Refused, Values, dimension};
use super::frame::crc;
use super::tree::{Cursor, Item};
use crate::decimal::Decimal;
use crate::quantity::{Dimension, Quantity};
use crate::shown::Shown;

/// Most messages of one file; there are three.
const MESSAGES_MAX: usize = 32;
/// Most values of one list; there are some twenty.
const VALUES_MAX: u32 = 256;
/// The number of the message with the list.
const GET_LIST_RESPONSE: i128 = 0x0701;

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmlRejected {
    /// It is laid out otherwise than any file.
    #[error("the SML file is malformed: {0}")]
    Malformed(&'static str),
    /// Bytes of a message were changed on the way.
    #[error("the checksum of a message in the SML file is wrong")]
    Checksum,
    /// The value of a code has no meaning.
    #[error("the SML file's {code} says {what}")]
    Value {
        /// The code.
        code: String,
        /// What is wrong with it.
        what: String,
    },
    /// The value of a code cannot be.
    #[error("the SML file's {} {source}", quantity.name())]
    Impossible {
        /// What it stands for.
        quantity: Quantity,
        /// What is wrong with it.
        source: PointRejected,
    },
}

/// What a file shows, and whether it says when it was made.
pub(super) fn read(bytes: &[u8], rated: Option<Power>) -> Result<(Shown, bool), SmlRejected> {
    let (mut values, mut tells_time, mut lists) = (Values::new(), false, 0);
    let mut cursor = Cursor(bytes);
    for _ in 0..MESSAGES_MAX {
        if cursor.0.is_empty() {
            break;
        }
        if let Some(mut list) = message(&mut cursor)? {
            lists += 1;
            tells_time |= get_list(&mut list, &mut values)?;
        }
    }
    if !cursor.0.is_empty() {
        return Err(SmlRejected::Malformed("it has too many messages"));
    }
    if lists == 0 {
        return Err(SmlRejected::Malformed("it has no list of values"));
    }
    let shown = obis::show(&values, rated).map_err(|refused| match refused {
        Refused::Number { quantity, source } => {
            SmlRejected::Value { code: quantity.name().to_owned(), what: source.to_string() }
        }
        Refused::Impossible { quantity, source } => SmlRejected::Impossible { quantity, source },
    })?;
    Ok((shown, tells_time))
}

const fn malformed(what: &'static str) -> impl Fn() -> SmlRejected {
    move || SmlRejected::Malformed(what)
}

/// Passes over a message; its content, if that is a list of values.
fn message<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Cursor<'a>>, SmlRejected> {
    let broken = malformed("a message is no message");
    let begin = cursor.0;
    if cursor.next() != Some(Item::List(6)) {
        return Err(broken());
    }
    // Transaction, group, and what to do after an error.
    cursor.skip_many(3).ok_or_else(&broken)?;
    if cursor.next() != Some(Item::List(2)) {
        return Err(broken());
    }
    let kind = cursor.next().and_then(Item::number).ok_or_else(&broken)?;
    let content = *cursor;
    cursor.skip().ok_or_else(&broken)?;
    let checked = begin.len().checked_sub(cursor.0.len()).and_then(|len| begin.get(..len));
    let told = cursor.next().and_then(Item::number).ok_or_else(&broken)?;
    // The checksum's bytes are the other way round than those of all numbers.
    let computed = checked.map(|bytes| i128::from(crc(bytes).swap_bytes()));
    if computed != Some(told) {
        return Err(SmlRejected::Checksum);
    }
    if cursor.next() != Some(Item::End) {
        return Err(broken());
    }
    Ok((kind == GET_LIST_RESPONSE).then_some(content))
}

/// Takes all values of a list. Returns whether it says when they were measured.
fn get_list(cursor: &mut Cursor<'_>, values: &mut Values) -> Result<bool, SmlRejected> {
    let broken = malformed("its list of values is none");
    if cursor.next() != Some(Item::List(7)) {
        return Err(broken());
    }
    // Client, server, and the list's name.
    cursor.skip_many(3).ok_or_else(&broken)?;
    let tells_time = !cursor.0.starts_with(&[0x01]);
    cursor.skip().ok_or_else(&broken)?;
    let Some(Item::List(count)) = cursor.next() else { return Err(broken()) };
    if count > VALUES_MAX {
        return Err(SmlRejected::Malformed("its list has too many values"));
    }
    for _ in 0..count {
        value(cursor, values)?;
    }
    Ok(tells_time)
}

/// Takes a value, if it means something here.
fn value(cursor: &mut Cursor<'_>, values: &mut Values) -> Result<(), SmlRejected> {
    let broken = malformed("a value is none");
    if cursor.next() != Some(Item::List(7)) {
        return Err(broken());
    }
    let Some(Item::Bytes(name)) = cursor.next() else { return Err(broken()) };
    // Status, and when it was measured.
    cursor.skip_many(2).ok_or_else(&broken)?;
    let unit = cursor.next().ok_or_else(&broken)?;
    let scaler = cursor.next().ok_or_else(&broken)?;
    let mut told = *cursor;
    // The value itself, and its signature.
    cursor.skip_many(2).ok_or_else(&broken)?;
    let Some(code) = name.first_chunk::<5>().copied().filter(|_| name.len() == 6) else {
        return Ok(());
    };
    let (Some(dimension), Some(number)) = (dimension(code), told.next().and_then(Item::number))
    else {
        return Ok(());
    };
    let wrong = |what: &str| {
        let [a, b, c, d, e] = code;
        SmlRejected::Value { code: format!("{a}-{b}:{c}.{d}.{e}"), what: what.to_owned() }
    };
    if unit.number() != Some(unit_of(dimension).ok_or_else(|| wrong("what has no unit"))?) {
        return Err(wrong("a value in a unit of something else"));
    }
    let scaler = if scaler == Item::Bytes(&[]) { Some(0) } else { scaler.number() };
    let scaler = scaler.and_then(|scaler| i16::try_from(scaler).ok());
    let scaler = scaler.ok_or_else(|| wrong("a value without scaler"))?;
    let value = Decimal::parse(&number.to_string(), scaler);
    put(values, code, value.map_err(|error| wrong(&error.to_string()))?)
        .ok_or_else(|| wrong("two different values"))
}

fn put(values: &mut Values, code: Code, value: Decimal) -> Option<()> {
    match values.entry(code) {
        Entry::Vacant(place) => {
            place.insert(value);
            Some(())
        }
        Entry::Occupied(before) => (*before.get() == value).then_some(()),
    }
}

/// The number of a dimension's base unit (DLMS units, IEC 62056-62).
const fn unit_of(dimension: Dimension) -> Option<i128> {
    match dimension {
        Dimension::Power => Some(27),
        Dimension::Energy => Some(30),
        Dimension::Current => Some(33),
        Dimension::Voltage => Some(35),
        Dimension::Frequency => Some(44),
        Dimension::Volume | Dimension::Share => None,
    }
}
