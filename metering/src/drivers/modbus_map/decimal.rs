//! Decimal factors, exact: what a map writes as `"0.1"` or `10`.
//! Not for: what devices show (see [`super::number`]).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// So many digits a factor may have.
const DIGITS_MAX: usize = 9;
/// The largest power of ten, either way.
const EXPONENT_MAX: i16 = 9;

/// Text that is no factor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a factor; write a number above zero of at most {DIGITS_MAX} digits, such as 10 or \
     \"0.01\""
)]
pub struct NotADecimal(String);

/// A factor above zero: a whole number times a power of ten, with no zeros at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// 1 to 999 999 999, not divisible by ten.
    pub(super) digits: u32,
    /// −9 to 9.
    pub(super) exponent: i16,
}

impl Decimal {
    /// No factor.
    pub(super) const ONE: Self = Self { digits: 1, exponent: 0 };
}

impl FromStr for Decimal {
    type Err = NotADecimal;

    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let refused = || NotADecimal(text.to_owned());
        let (whole, parts) = text.split_once('.').unwrap_or((text, ""));
        let digits: String = [whole, parts].concat();
        let is_number = !whole.is_empty()
            && digits.len() <= 2 * DIGITS_MAX
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && (text.contains('.') != parts.is_empty());
        if !is_number {
            return Err(refused());
        }
        let mut exponent = -i16::try_from(parts.len()).map_err(|_| refused())?;
        let mut digits: u64 = digits.parse().map_err(|_| refused())?;
        if digits == 0 {
            return Err(refused());
        }
        while digits.is_multiple_of(10) {
            (digits, exponent) = (digits / 10, exponent + 1);
        }
        let digits = u32::try_from(digits).map_err(|_| refused())?;
        let fits = digits < 10_u32.pow(9) && exponent.abs() <= EXPONENT_MAX;
        if fits { Ok(Self { digits, exponent }) } else { Err(refused()) }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digits, exponent } = *self;
        let zeros = usize::from(exponent.unsigned_abs());
        if exponent >= 0 {
            return write!(f, "{digits}{}", "0".repeat(zeros));
        }
        let digits = format!("{digits:0>width$}", width = zeros + 1);
        let (whole, parts) = digits.split_at(digits.len() - zeros);
        write!(f, "{whole}.{parts}")
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a decimal one in quotes such as \"0.01\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
                value.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                text.parse().map_err(E::custom)
            }
        }
        // A floating-point number would not be the decimal that was written.
        input.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_taken_exactly() {
        let check = |text: &str, digits, exponent| {
            let decimal = Decimal { digits, exponent };
            assert_eq!(text.parse(), Ok(decimal), "{text}");
            assert_eq!(decimal.to_string().parse(), Ok(decimal));
        };
        check("1", 1, 0);
        check("1.0", 1, 0);
        check("0.1", 1, -1);
        check("0.0125", 125, -4);
        check("1000", 1, 3);
        check("12.5", 125, -1);
        for text in ["", "0", "0.0", "-1", "+1", "1e3", ".5", "5.", "1,5", "1.2.3", "1234567891"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }
}
