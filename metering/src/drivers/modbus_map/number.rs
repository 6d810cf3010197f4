//! From registers to numbers, and from numbers to quantities, without a float in between.
//!
//! Integers are rounded down to thousandths of the quantity's unit, and floating-point numbers, which are
//! taken apart into their bits, to the nearest.
//! Not for: which registers (see [`super::plan`]).

use serde::Deserialize;

use super::decimal::Decimal;
use crate::scale::ScaleRejected;

/// How a number is written in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Type {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The most significant.
    #[default]
    Big,
    /// The least significant.
    Little,
}

impl Type {
    /// How many registers it takes.
    pub(super) const fn registers(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    pub(super) const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The count at which an unsigned integer of this type starts again, if that is ever reached.
    pub(super) const fn wraps_at(self) -> Option<u64> {
        match self {
            Self::U16 => Some(1 << 16),
            Self::U32 => Some(1 << 32),
            Self::I16 | Self::I32 | Self::U64 | Self::I64 | Self::F32 | Self::F64 => None,
        }
    }
}

/// The bits that registers hold, most significant first.
pub(super) fn bits(words: &[u16], word_order: Order, byte_order: Order) -> u64 {
    let push = |bits: u64, word: &u16| {
        let word = if byte_order == Order::Little { word.swap_bytes() } else { *word };
        (bits << 16) | u64::from(word)
    };
    match word_order {
        Order::Big => words.iter().fold(0, push),
        Order::Little => words.iter().rev().fold(0, push),
    }
}

/// A number, as `significand · 2^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    significand: i128,
    exponent: i32,
}

impl Number {
    /// The number that bits are; `None` where they are "not a number".
    ///
    /// # Errors
    ///
    /// [`ScaleRejected::NotFinite`] for infinity.
    pub(super) fn of(kind: Type, bits: u64) -> Result<Option<Self>, ScaleRejected> {
        let whole = |significand: i128| Ok(Some(Self { significand, exponent: 0 }));
        // What the type has no room for is not there: `bits` has no more words than the type.
        let [.., b1, b0] = bits.to_be_bytes();
        let low16 = u16::from_be_bytes([b1, b0]);
        let low32 = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        match kind {
            Type::U16 => whole(low16.into()),
            Type::I16 => whole(low16.cast_signed().into()),
            Type::U32 => whole(low32.into()),
            Type::I32 => whole(low32.cast_signed().into()),
            Type::U64 => whole(bits.into()),
            Type::I64 => whole(bits.cast_signed().into()),
            Type::F32 => {
                Self::float(low32 >> 31 == 1, (low32 >> 23) & 0xFF, low32 & 0x7F_FFFF, (8, 23))
            }
            Type::F64 => {
                let exponent = u32::try_from((bits >> 52) & 0x7FF).unwrap_or_default();
                Self::float(bits >> 63 == 1, exponent, bits & ((1 << 52) - 1), (11, 52))
            }
        }
    }

    /// An IEEE 754 number of so many bits of exponent and fraction.
    fn float(
        negative: bool,
        exponent: u32,
        fraction: impl Into<u64>,
        (exponent_bits, fraction_bits): (u32, u32),
    ) -> Result<Option<Self>, ScaleRejected> {
        let fraction = i128::from(fraction.into());
        if exponent + 1 == 1 << exponent_bits {
            return if fraction == 0 { Err(ScaleRejected::NotFinite) } else { Ok(None) };
        }
        let hidden = if exponent == 0 { 0 } else { 1_i128 << fraction_bits };
        let magnitude = fraction + hidden;
        let significand = if negative { -magnitude } else { magnitude };
        let bias = (1_i32 << (exponent_bits - 1)) - 1 + fraction_bits.cast_signed();
        Ok(Some(Self { significand, exponent: exponent.max(1).cast_signed() - bias }))
    }

    /// The number negated.
    pub(super) const fn negated(self) -> Self {
        Self { significand: -self.significand, ..self }
    }

    /// The integer that it is, where it is one by type.
    pub(super) const fn integer(self) -> Option<i128> {
        if self.exponent == 0 { Some(self.significand) } else { None }
    }

    /// The number times a factor and a power of ten, in thousandths. Integers are rounded down and
    /// others to the nearest.
    ///
    /// # Errors
    ///
    /// [`ScaleRejected::TooLarge`] beyond 63 bits.
    pub(super) fn thousandths(self, factor: Decimal, unit: i16) -> Result<i64, ScaleRejected> {
        let too_large = || ScaleRejected::TooLarge;
        let ten = i32::from(factor.exponent) + i32::from(unit) + 3;
        let power = 10_i128.checked_pow(ten.unsigned_abs()).ok_or_else(too_large)?;
        let mut numerator =
            self.significand.checked_mul(factor.digits.into()).ok_or_else(too_large)?;
        let mut denominator = 1_i128;
        if ten < 0 {
            denominator = power;
        } else {
            numerator = numerator.checked_mul(power).ok_or_else(too_large)?;
        }
        let value = match self.exponent {
            0 => numerator.div_euclid(denominator),
            up @ 1.. => {
                let shifted = (numerator != 0).then(|| 2_i128.checked_pow(up.unsigned_abs()));
                let times = shifted.unwrap_or(Some(1)).ok_or_else(too_large)?;
                let value = numerator.checked_mul(times).ok_or_else(too_large)?;
                nearest(value, denominator)
            }
            down => {
                // Beyond this there is nothing left of any numerator.
                let Some(parts) = 2_i128.checked_pow(down.unsigned_abs().min(126)) else {
                    return Err(too_large());
                };
                let Some(parts) = parts.checked_mul(denominator) else { return Ok(0) };
                nearest(numerator, parts)
            }
        };
        i64::try_from(value).map_err(|_| too_large())
    }
}

/// The quotient, to the nearest integer; halves go up.
const fn nearest(numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
    if rest >= denominator - rest { whole + 1 } else { whole }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn factor(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn shown(kind: Type, bits: u64, times: &str, unit: i16) -> Result<i64, ScaleRejected> {
        Number::of(kind, bits).unwrap().unwrap().thousandths(factor(times), unit)
    }

    #[test]
    fn words_and_bytes_come_in_either_order() {
        let words = [0x1234, 0x5678];
        assert_eq!(bits(&words, Order::Big, Order::Big), 0x1234_5678);
        assert_eq!(bits(&words, Order::Little, Order::Big), 0x5678_1234);
        assert_eq!(bits(&words, Order::Big, Order::Little), 0x3412_7856);
        assert_eq!(bits(&words, Order::Little, Order::Little), 0x7856_3412);
    }

    #[test]
    fn integers_are_scaled_exactly_and_rounded_down() {
        assert_eq!(shown(Type::U16, 2_301, "0.1", 0), Ok(230_100));
        assert_eq!(shown(Type::I16, 0xFFFF, "1", 0), Ok(-1_000));
        assert_eq!(shown(Type::I32, 0xFFFF_FFFF, "0.0001", 0), Ok(-1));
        assert_eq!(shown(Type::I32, 5, "0.1", 3), Ok(500_000));
        assert_eq!(shown(Type::U64, u64::MAX, "1", 0), Err(ScaleRejected::TooLarge));
        assert_eq!(shown(Type::I64, u64::MAX, "1", 3), Ok(-1_000_000));
        assert_eq!(shown(Type::U32, 3, "1.25", 0), Ok(3_750));
    }

    #[test]
    fn floating_point_numbers_are_taken_apart() {
        let single =
            |value: f32, times, unit| shown(Type::F32, value.to_bits().into(), times, unit);
        assert_eq!(single(230.1, "1", 0), Ok(230_100));
        assert_eq!(single(229.9, "1", 0), Ok(229_900));
        assert_eq!(single(-0.5, "1", 0), Ok(-500));
        assert_eq!(single(0.0, "1", 0), Ok(0));
        assert_eq!(single(1.0e-45, "1", 0), Ok(0));
        assert_eq!(single(16_777_216.0, "1", 3), Ok(16_777_216_000_000));
        assert_eq!(single(f32::MAX, "1", 0), Err(ScaleRejected::TooLarge));
        let double = |value: f64| shown(Type::F64, value.to_bits(), "1", 3);
        assert_eq!(double(1_234.567_890_1), Ok(1_234_567_890));
        assert_eq!(double(f64::MIN_POSITIVE), Ok(0));
        assert_eq!(Number::of(Type::F32, f32::NAN.to_bits().into()), Ok(None));
        let infinite = Number::of(Type::F64, f64::INFINITY.to_bits());
        assert_eq!(infinite, Err(ScaleRejected::NotFinite));
    }

    proptest! {
        #[test]
        fn no_bits_and_no_factor_are_a_panic(
            bits: u64,
            digits in 1_u32..1_000_000_000,
            exponent in -9_i16..=9,
            unit in -3_i16..=6,
        ) {
            for kind in [
                Type::U16, Type::I16, Type::U32, Type::I32, Type::U64, Type::I64, Type::F32, Type::F64,
            ] {
                if let Ok(Some(number)) = Number::of(kind, bits) {
                    let factor = Decimal { digits, exponent };
                    let one = number.thousandths(factor, unit);
                    let other = number.negated().thousandths(factor, unit);
                    if let (Ok(one), Ok(other)) = (one, other) {
                        prop_assert!((one + other).abs() <= 1);
                    }
                }
            }
        }

        #[test]
        fn singles_come_out_as_a_double_would_round_them(value in -1.0e9_f32..1.0e9) {
            let exact = shown(Type::F32, value.to_bits().into(), "1", 0).unwrap();
            #[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "the check")]
            let difference = ((f64::from(value) * 1_000.0).round() - exact as f64).abs();
            prop_assert!(difference <= 1.0);
        }
    }
}
