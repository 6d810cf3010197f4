//! Decimal text as exact numbers: how devices that speak text say how much.
//!
//! A device's `1581.123` or `2.2749e3` never passes through a float. Sums and factors are worked out
//! in trillionths of a unit, and only the end is rounded, down, to thousandths.
//! Not for: devices that speak integers with scale factors (see [`crate::scale`]).

/// Digits taken of one number; no device shows as many that mean anything.
const DIGITS_MAX: usize = 30;
/// Longest text that is looked at.
const TEXT_MAX: usize = 64;
/// Digits kept after the point.
const FRACTION: i32 = 12;
/// Trillionths in a thousandth.
const PER_THOUSANDTH: i128 = 1_000_000_000;
/// The largest magnitude, in trillionths: all that 63 bits of thousandths can say, and a little more.
const MOST: i128 = 10_i128.pow(28);
/// The largest power of ten, either way.
const EXPONENT_MAX: i32 = 40;

/// Text that is no number, or too large a one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalRejected {
    /// It is something else. Only the beginning is kept.
    #[error("`{0}` is no number")]
    NotANumber(String),
    /// It is beyond all quantities.
    #[error("the number is too large for any quantity")]
    TooLarge,
}

/// An exact number, in trillionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal {
    trillionths: i128,
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self { trillionths: 0 };

    /// The number that `text` says times `10^exponent`: a sign, digits, a point and more digits, and a
    /// power of ten, of which only some digits must be there. What is smaller than a trillionth is
    /// rounded down.
    ///
    /// # Errors
    ///
    /// [`DecimalRejected`].
    pub fn parse(text: &str, exponent: i16) -> Result<Self, DecimalRejected> {
        let refused = || DecimalRejected::NotANumber(text.chars().take(TEXT_MAX).collect());
        if text.len() > TEXT_MAX {
            return Err(refused());
        }
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i32>().map_err(|_| refused())?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().count() == 0 || !all().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        let significant = all().skip_while(|byte| *byte == b'0');
        if significant.clone().count() > DIGITS_MAX {
            return Err(DecimalRejected::TooLarge);
        }
        let value = significant.fold(0_i128, |sum, byte| sum * 10 + i128::from(byte - b'0'));
        let value = if negative { -value } else { value };
        let places = i32::try_from(fraction.len()).map_err(|_| refused())?;
        let shift = power.saturating_add(i32::from(exponent)).saturating_sub(places);
        Self::shifted(value, shift.saturating_add(FRACTION))
    }

    /// `value` times `10^shift` trillionths, rounded down.
    fn shifted(value: i128, shift: i32) -> Result<Self, DecimalRejected> {
        let power = 10_i128.checked_pow(shift.unsigned_abs().min(EXPONENT_MAX.unsigned_abs()));
        let trillionths = match (power, shift < 0) {
            _ if value == 0 => Some(0),
            (Some(power), false) => value.checked_mul(power),
            (Some(power), true) => Some(value.div_euclid(power)),
            (None, false) => None,
            (None, true) => Some(if value < 0 { -1 } else { 0 }),
        };
        Self::held(trillionths)
    }

    fn held(trillionths: Option<i128>) -> Result<Self, DecimalRejected> {
        let trillionths = trillionths.filter(|it| it.abs() <= MOST);
        trillionths.map(|trillionths| Self { trillionths }).ok_or(DecimalRejected::TooLarge)
    }

    /// The sum of two.
    ///
    /// # Errors
    ///
    /// [`DecimalRejected::TooLarge`].
    pub fn plus(self, other: Self) -> Result<Self, DecimalRejected> {
        Self::held(self.trillionths.checked_add(other.trillionths))
    }

    /// So many times as much, rounded down; negative factors turn the sign.
    ///
    /// # Errors
    ///
    /// [`DecimalRejected::TooLarge`].
    pub fn times(self, factor: i32, divisor: u32) -> Result<Self, DecimalRejected> {
        let product = self.trillionths.checked_mul(factor.into());
        Self::held(product.map(|product| product.div_euclid(i128::from(divisor.max(1)))))
    }

    /// In thousandths, rounded down.
    ///
    /// # Errors
    ///
    /// [`DecimalRejected::TooLarge`] beyond 63 bits.
    pub fn to_thousandths_floor(self) -> Result<i64, DecimalRejected> {
        let thousandths = self.trillionths.div_euclid(PER_THOUSANDTH);
        i64::try_from(thousandths).map_err(|_| DecimalRejected::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thousandths(text: &str, exponent: i16) -> Result<i64, DecimalRejected> {
        Decimal::parse(text, exponent)?.to_thousandths_floor()
    }

    #[test]
    fn text_becomes_thousandths_without_a_float() {
        let check = |text, exponent, expected| {
            assert_eq!(thousandths(text, exponent), Ok(expected), "{text} e{exponent}");
        };
        check("001581.123", 3, 1_581_123_000);
        check("0.1", 0, 100);
        check("-0.0001", 0, -1);
        check("2.2749e3", 0, 2_274_900);
        check("7512664.4041666668", 0, 7_512_664_404);
        check("9223372036854775.807", 0, i64::MAX);
        check("-9223372036854775.808", 0, i64::MIN);
        check("5.", 0, 5_000);
        check(".5", 0, 500);
        check("+7", 0, 7_000);
        check("0e999999999", 0, 0);
        check("1e-999999999", 0, 0);
        check("-1e-999", 0, -1);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "e5", "1e", "1,5", "NaN", "inf", "0x10", "1_000", " 1", "١"] {
            let refused = thousandths(text, 0);
            assert_eq!(refused, Err(DecimalRejected::NotANumber(text.to_owned())));
        }
        for text in ["1e17", "9223372036854775.808", "1e2147483647", &"9".repeat(40)] {
            assert_eq!(thousandths(text, 0), Err(DecimalRejected::TooLarge), "{text}");
        }
        let long = "0".repeat(TEXT_MAX + 1);
        assert!(matches!(thousandths(&long, 0), Err(DecimalRejected::NotANumber(_))));
    }

    #[test]
    fn sums_and_factors_are_rounded_once() {
        let third = Decimal::parse("0.0004", 0).unwrap();
        let sum = third.plus(third).unwrap().plus(third).unwrap();
        assert_eq!(sum.to_thousandths_floor(), Ok(1));
        assert_eq!(sum.times(-50, 3).unwrap().to_thousandths_floor(), Ok(-20));
        let most = Decimal::parse("9999999999999999", 0).unwrap();
        assert_eq!(most.times(i32::MAX, 1), Err(DecimalRejected::TooLarge));
    }

    proptest! {
        #[test]
        fn whatever_the_text_nothing_panics(text in "[-+0-9.eE]{0,70}", exponent in any::<i16>()) {
            drop(thousandths(&text, exponent));
        }

        #[test]
        fn what_is_written_is_read(value in any::<i64>(), places in 0_usize..=9) {
            let (sign, digits) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
            let digits = format!("{digits:010}");
            let (whole, fraction) = digits.split_at(digits.len() - places);
            let exponent = i16::try_from(places).unwrap() - 3;
            prop_assert_eq!(thousandths(&format!("{sign}{whole}.{fraction}"), exponent), Ok(value));
        }
    }
}
