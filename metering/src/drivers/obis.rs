//! What the OBIS codes of an electricity meter mean, whatever language tells them: P1 and SML alike.
//!
//! The codes are those of IEC 62056-61; not each meter has all of them.
//! Not for: how a language writes codes and values.

use std::collections::BTreeMap;

use boltgrid_protocol::units::Power;

use super::PointRejected;
use crate::decimal::{Decimal, DecimalRejected};
use crate::quantity::{Dimension, Quantity};
use crate::register::Width;
use crate::shown::Shown;

/// Energy may be told for as many tariffs.
const TARIFFS: std::ops::RangeInclusive<u8> = 1..=4;

/// The first five numbers of an OBIS code: medium, channel, quantity, way of measuring, tariff.
pub(super) type Code = [u8; 5];

/// What was told, by code, in base units.
pub(super) type Values = BTreeMap<Code, Decimal>;

/// Where the gas is put among the values: no meter of electricity has this code.
pub(super) const GAS: Code = [0, 0, 24, 2, 1];

/// Why nothing is taken of what was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A number is beyond all quantities.
    Number { quantity: Quantity, source: DecimalRejected },
    /// A number cannot be.
    Impossible { quantity: Quantity, source: PointRejected },
}

/// The dimension of a code that means something here, of the electricity meter itself.
pub(super) const fn dimension(code: Code) -> Option<Dimension> {
    match code {
        [1, 0, 1 | 2, 8, 0..=4] => Some(Dimension::Energy),
        [1, 0, 1 | 2 | 16 | 21 | 22 | 36 | 41 | 42 | 56 | 61 | 62 | 76, 7, 0] => {
            Some(Dimension::Power)
        }
        [1, 0, 31 | 51 | 71, 7, 0] => Some(Dimension::Current),
        [1, 0, 32 | 52 | 72, 7, 0] => Some(Dimension::Voltage),
        [1, 0, 14, 7, 0] => Some(Dimension::Frequency),
        _ => None,
    }
}

/// What the values show.
pub(super) fn show(values: &Values, rated: Option<Power>) -> Result<Shown, Refused> {
    let mut shown = Shown::default();
    for (quantity, value) in quantities(values) {
        let thousandths = value.and_then(Decimal::to_thousandths_floor);
        let thousandths = thousandths.map_err(|source| Refused::Number { quantity, source })?;
        let put = shown.put(quantity, thousandths, Width::Float, rated);
        put.map_err(|source| Refused::Impossible { quantity, source })?;
    }
    Ok(shown)
}

/// What the values mean.
fn quantities(
    values: &Values,
) -> impl Iterator<Item = (Quantity, Result<Decimal, DecimalRejected>)> {
    let at = |quantity, it| Some((quantity, Ok(*values.get(&[1, 0, it, 7, 0])?)));
    // As one number with a sign, or as what is taken and what is given.
    let power = |quantity, signed: u8, ways: [u8; 2]| {
        let power = values.get(&[1, 0, signed, 7, 0]).map(|value| Ok(*value));
        Some((quantity, power.or_else(|| sum(values, ways))?))
    };
    let energy = |quantity, direction| Some((quantity, energy(values, direction)?));
    let told = [
        power(Quantity::Power, 16, [1, 2]),
        power(Quantity::PowerL1, 36, [21, 22]),
        power(Quantity::PowerL2, 56, [41, 42]),
        power(Quantity::PowerL3, 76, [61, 62]),
        energy(Quantity::Import, 1),
        energy(Quantity::Export, 2),
        values.get(&GAS).map(|volume| (Quantity::Gas, Ok(*volume))),
        at(Quantity::VoltageL1, 32),
        at(Quantity::VoltageL2, 52),
        at(Quantity::VoltageL3, 72),
        at(Quantity::CurrentL1, 31),
        at(Quantity::CurrentL2, 51),
        at(Quantity::CurrentL3, 71),
        at(Quantity::Frequency, 14),
    ];
    told.into_iter().flatten()
}

/// What is taken less what is given; a meter that tells only one of them knows no other.
fn sum(values: &Values, ways: [u8; 2]) -> Option<Result<Decimal, DecimalRejected>> {
    let signed = |(it, factor)| Some(values.get(&[1, 0, it, 7, 0])?.times(factor, 1));
    ways.into_iter().zip([1, -1]).filter_map(signed).reduce(|one, other| one?.plus(other?))
}

/// All energy of a direction: what is told as a whole, or else the sum of the tariffs.
fn energy(values: &Values, direction: u8) -> Option<Result<Decimal, DecimalRejected>> {
    let register = |tariff| values.get(&[1, 0, direction, 8, tariff]).map(|value| Ok(*value));
    let tariffs = || TARIFFS.filter_map(register).reduce(|one, other| one?.plus(other?));
    register(0).or_else(tariffs)
}
