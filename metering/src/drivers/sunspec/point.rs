//! Points: from a device's integers and floats to quantities, with what cannot be rejected.

use boltgrid_protocol::units::{Energy, Power};
use sunspec::FixedSize;

use crate::drivers::PointRejected;
use crate::register::{RATING_MARGIN_PERCENT, RawRegister, Width};
use crate::scale::{ScaleFactor, ScaleRejected, float_to_thousandths};

/// No device of a grid like ours has more: 1 GW.
const POWER_MAX: Power = Power::from_milliwatts(1_000_000_000_000);
/// What a floating-point register may show, in mWh.
const FLOAT_REGISTER: (i64, i64) = (0, i64::MAX);

/// The value, unless the device says that it has none.
fn implemented<T: FixedSize>(value: T) -> Result<T, PointRejected> {
    if value.is_invalid() { Err(PointRejected::NotImplemented) } else { Ok(value) }
}

/// A mandatory integer in thousandths of its unit.
pub(super) fn thousandths<T: FixedSize + Into<i64>>(
    value: T,
    scale: i16,
) -> Result<i64, PointRejected> {
    let value = implemented(value)?;
    Ok(ScaleFactor::new(scale)?.to_thousandths_floor(value.into())?)
}

/// An optional integer in thousandths of its unit. SunSpec leaves the scale factor of an optional
/// point out where the value is in the unit itself.
pub(super) fn optional_thousandths<T: FixedSize + Into<i64>>(
    value: Option<T>,
    scale: Option<i16>,
) -> Result<Option<i64>, PointRejected> {
    value.map(|value| thousandths(value, scale.unwrap_or(0))).transpose()
}

/// A mandatory floating-point value in thousandths of its unit.
pub(super) fn float_thousandths(value: f32) -> Result<i64, PointRejected> {
    // Not-a-number is SunSpec's "not implemented"; infinity is nonsense.
    Ok(float_to_thousandths(implemented(value)?)?)
}

/// An optional floating-point value in thousandths of its unit: `None` where it is the sentinel.
pub(super) fn optional_float_thousandths(value: f32) -> Result<Option<i64>, PointRejected> {
    if value.is_invalid() { Ok(None) } else { float_thousandths(value).map(Some) }
}

fn within(shown: i64, (least, most): (i64, i64)) -> Result<i64, PointRejected> {
    if (least..=most).contains(&shown) {
        Ok(shown)
    } else {
        Err(PointRejected::Impossible { shown, least, most })
    }
}

/// A power either way, at most half as much again as the rating.
pub(super) fn power(mw: i64, rated: Option<Power>) -> Result<Power, PointRejected> {
    let rated_mw = i128::from(rated.unwrap_or(POWER_MAX).to_milliwatts().unsigned_abs());
    let most = rated_mw * i128::from(RATING_MARGIN_PERCENT) / 100;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    within(mw, (-most, most)).map(Power::from_milliwatts)
}

/// A power that a device is rated for: above zero.
pub(super) fn rating(mw: i64) -> Result<Power, PointRejected> {
    within(mw, (1, POWER_MAX.to_milliwatts())).map(Power::from_milliwatts)
}

/// An energy that a battery is rated for: above zero.
pub(super) fn capacity(mwh: i64) -> Result<Energy, PointRejected> {
    let mwh = within(mwh, (1, i64::MAX))?;
    Ok(Energy::from_milliwatt_hours(mwh.unsigned_abs()))
}

/// A part of a whole in thousandths of a per cent, 0 to 100 000.
pub(super) fn per_cent(thousandths: i64) -> Result<u64, PointRejected> {
    Ok(within(thousandths, (0, 100_000))?.unsigned_abs())
}

/// A wrapping register of watt-hours.
///
/// SunSpec's "not implemented" for it is zero, which is also what a new meter shows; so zero is taken,
/// and all ones, which careless devices send instead, are refused.
pub(super) fn register(count: u32, scale: i16) -> Result<RawRegister, PointRejected> {
    let count = implemented(count)?.into();
    Ok(RawRegister { count, width: Width::Acc32, scale: ScaleFactor::new(scale)? })
}

/// A register of 64 bits, which none of our devices ever fills. It may be left out.
pub(super) fn wide_register(count: Option<u64>, scale: i16) -> Result<RawRegister, PointRejected> {
    let count = count.ok_or(PointRejected::NotImplemented)?;
    let scale = ScaleFactor::new(scale)?;
    // Checked that it means something, and handed on as the device counts it.
    let signed = i64::try_from(count).map_err(|_| ScaleRejected::TooLarge)?;
    scale.to_thousandths_floor(signed)?;
    Ok(RawRegister { count, width: Width::Acc64, scale })
}

/// A floating-point register of watt-hours.
pub(super) fn float_register(value: f32) -> Result<RawRegister, PointRejected> {
    let count = within(float_thousandths(value)?, FLOAT_REGISTER)?.unsigned_abs();
    Ok(RawRegister { count, width: Width::Float, scale: ScaleFactor::THOUSANDTHS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentinel_is_seen() {
        assert_eq!(thousandths(i16::MIN, 0), Err(PointRejected::NotImplemented));
        assert_eq!(thousandths(u16::MAX, 0), Err(PointRejected::NotImplemented));
        assert_eq!(register(u32::MAX, 0), Err(PointRejected::NotImplemented));
        assert_eq!(float_thousandths(f32::NAN), Err(PointRejected::NotImplemented));
        assert_eq!(optional_float_thousandths(f32::NAN), Ok(None));
        let scale = PointRejected::Scale(ScaleRejected::NotImplemented);
        assert_eq!(thousandths(1_i16, i16::MIN), Err(scale));
        assert_eq!(register(1, i16::MIN), Err(scale));
    }

    #[test]
    fn impossible_values_are_refused() {
        let impossible =
            |value: Result<_, _>| matches!(value, Err(PointRejected::Impossible { .. }));
        let rated = Some(Power::from_milliwatts(10_000_000));
        assert!(power(15_000_000, rated).is_ok());
        assert!(impossible(power(15_000_001, rated).map(|_| ())));
        assert!(impossible(power(-15_000_001, rated).map(|_| ())));
        assert!(impossible(power(i64::MIN, None).map(|_| ())));
        assert!(impossible(per_cent(100_001).map(|_| ())));
        assert!(impossible(per_cent(-1).map(|_| ())));
        assert!(impossible(float_register(-1.0).map(|_| ())));
        assert!(impossible(rating(0).map(|_| ())));
        assert!(impossible(capacity(0).map(|_| ())));
        let infinite = Err(PointRejected::Scale(ScaleRejected::NotFinite));
        assert_eq!(float_register(f32::INFINITY), infinite);
    }

    #[test]
    fn optional_points_without_a_scale_factor_are_in_their_unit() {
        assert_eq!(optional_thousandths(Some(50_i16), None), Ok(Some(50_000)));
        assert_eq!(optional_thousandths(Some(5_000_i16), Some(-2)), Ok(Some(50_000)));
        assert_eq!(optional_thousandths::<i16>(None, Some(-2)), Ok(None));
    }
}
