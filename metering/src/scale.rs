//! Scale factors: a device's integer times a power of ten, in thousandths of the unit.
//!
//! SunSpec gives every quantity as an integer and a `…_SF` point. Thousandths because the integers
//! of this house are: W → mW, Wh → mWh, V → mV, Hz → mHz.
//! Not for: floating-point devices, but for the one way from such a value to thousandths.

/// The scale factor that SunSpec defines as "not implemented".
const NOT_IMPLEMENTED: i16 = i16::MIN;
/// The largest power of ten, either way, that SunSpec allows.
const EXPONENT_MAX: i16 = 10;
/// The largest magnitude taken from a floating-point value, in thousandths: exact in an `f64`.
const FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a device's number has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleRejected {
    /// The scale factor is SunSpec's "not implemented".
    #[error("its scale factor is not implemented")]
    NotImplemented,
    /// The scale factor is beyond what SunSpec allows.
    #[error("its scale factor is {0}, but SunSpec allows −10 to 10")]
    Exponent(i16),
    /// Infinite, or not a number.
    #[error("not a finite number")]
    NotFinite,
    /// Too large for 64 bits.
    #[error("too large for any quantity")]
    TooLarge,
}

/// A power of ten from −10 to 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScaleFactor {
    exponent: i16,
}

impl ScaleFactor {
    /// No scaling.
    pub const ONE: Self = Self { exponent: 0 };
    /// The value is in thousandths already.
    pub const THOUSANDTHS: Self = Self { exponent: -3 };

    /// The factor `10^exponent`.
    ///
    /// # Errors
    ///
    /// [`ScaleRejected::NotImplemented`] for the sentinel, [`ScaleRejected::Exponent`] beyond ±10.
    pub fn new(exponent: i16) -> Result<Self, ScaleRejected> {
        match exponent {
            NOT_IMPLEMENTED => Err(ScaleRejected::NotImplemented),
            _ if exponent.abs() <= EXPONENT_MAX => Ok(Self { exponent }),
            _ => Err(ScaleRejected::Exponent(exponent)),
        }
    }

    /// `value` of the unit in thousandths of it, rounded down.
    ///
    /// # Errors
    ///
    /// [`ScaleRejected::TooLarge`] beyond 63 bits.
    pub fn to_thousandths_floor(self, value: i64) -> Result<i64, ScaleRejected> {
        let (numerator, denominator) = self.thousandths();
        // 63 bits times 10^13 fits 127.
        let scaled = (i128::from(value) * i128::from(numerator)).div_euclid(denominator.into());
        i64::try_from(scaled).map_err(|_| ScaleRejected::TooLarge)
    }

    /// How many thousandths of the unit one count is, as `(numerator, denominator)`.
    #[must_use]
    pub fn thousandths(self) -> (u64, u64) {
        let exponent = self.exponent + 3;
        let power = 10_u64.pow(exponent.unsigned_abs().into());
        if exponent < 0 { (1, power) } else { (power, 1) }
    }

    /// The device's integer for `part / whole` in per cent, rounded down. `None` where `whole` is
    /// zero or the integer does not fit.
    #[must_use]
    pub fn percent_floor(self, part: u64, whole: u64) -> Option<u64> {
        let power = 10_u128.pow(self.exponent.unsigned_abs().into());
        let (up, down) = if self.exponent < 0 { (power, 1) } else { (1, power) };
        let raw = (u128::from(part) * 100)
            .checked_mul(up)?
            .checked_div(u128::from(whole).checked_mul(down)?)?;
        u64::try_from(raw).ok()
    }
}

/// A floating-point value of the unit in thousandths of it, rounded to the nearest.
///
/// # Errors
///
/// [`ScaleRejected::NotFinite`], [`ScaleRejected::TooLarge`].
#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    reason = "the device speaks floating point; this is where it ends"
)]
pub fn float_to_thousandths(value: f32) -> Result<i64, ScaleRejected> {
    if !value.is_finite() {
        return Err(ScaleRejected::NotFinite);
    }
    let thousandths = (f64::from(value) * 1000.0).round();
    if thousandths.abs() <= FLOAT_MAX {
        Ok(thousandths as i64)
    } else {
        Err(ScaleRejected::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(exponent: i16) -> ScaleFactor {
        ScaleFactor::new(exponent).unwrap()
    }

    #[test]
    fn an_integer_and_its_scale_factor_become_thousandths() {
        let check = |value, exponent, expected| {
            assert_eq!(
                scale(exponent).to_thousandths_floor(value),
                Ok(expected),
                "{value}e{exponent}"
            );
        };
        check(2301, -1, 230_100);
        check(5, 0, 5_000);
        check(-7, 2, -700_000);
        check(1_234_567, -3, 1_234_567);
        check(19, -4, 1);
        check(-19, -4, -2);
        check(i64::MAX, -10, 922_337_203_685);
    }

    #[test]
    fn the_sentinel_and_wild_exponents_are_refused() {
        assert_eq!(ScaleFactor::new(i16::MIN), Err(ScaleRejected::NotImplemented));
        assert_eq!(ScaleFactor::new(11), Err(ScaleRejected::Exponent(11)));
        assert_eq!(ScaleFactor::new(-11), Err(ScaleRejected::Exponent(-11)));
        assert_eq!(scale(10).to_thousandths_floor(i64::MAX), Err(ScaleRejected::TooLarge));
    }

    #[test]
    fn a_percentage_takes_the_devices_resolution() {
        assert_eq!(scale(-2).percent_floor(1_000, 3_000), Some(3_333));
        assert_eq!(scale(0).percent_floor(1_000, 3_000), Some(33));
        assert_eq!(scale(1).percent_floor(1_000, 3_000), Some(3));
        assert_eq!(scale(0).percent_floor(1, 0), None);
        assert_eq!(scale(-10).percent_floor(u64::MAX, 1), None);
    }

    #[test]
    fn floating_point_ends_here() {
        assert_eq!(float_to_thousandths(230.1), Ok(230_100));
        assert_eq!(float_to_thousandths(-0.5), Ok(-500));
        assert_eq!(float_to_thousandths(f32::NAN), Err(ScaleRejected::NotFinite));
        assert_eq!(float_to_thousandths(f32::INFINITY), Err(ScaleRejected::NotFinite));
        assert_eq!(float_to_thousandths(f32::MAX), Err(ScaleRejected::TooLarge));
    }
}
