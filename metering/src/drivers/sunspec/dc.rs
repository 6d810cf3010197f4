//! The DC side of a battery without an inverter of its own (802 alone): what a battery management system
//! shows where the inverter is another device, or speaks no SunSpec.

use boltgrid_protocol::units::Power;
use sunspec::FixedSize;
use sunspec::models::model802::Model802;

use super::doing;
use super::point::{power, thousandths};
use super::unit::Unit;
use crate::drivers::{DeviceError, PointRejected};

/// A milliwatt is so many products of millivolts and milliamperes.
const MILLI: i64 = 1_000;

/// What the battery takes; negative when it gives. While something flows, it must say which way.
pub(super) async fn taken(unit: &Unit, rated: Option<Power>) -> Result<Power, DeviceError> {
    let model: Model802 = unit.read().await?;
    let point = if model.w.is_invalid() { "A" } else { "W" };
    let carried = unit.point(point, carried(&model, rated))?;
    if carried == Power::ZERO {
        return Ok(carried);
    }
    let doing = doing::by_bank(&model).ok_or(PointRejected::NotImplemented);
    let (taken, given) = unit.point("ChaSt", doing)?.taken_and_given(carried);
    Ok(Power::from_milliwatts(taken.to_milliwatts().saturating_sub(given.to_milliwatts())))
}

/// What flows, whichever way; from voltage and current where it is not shown.
fn carried(model: &Model802, rated: Option<Power>) -> Result<Power, PointRejected> {
    let mw = if model.w.is_invalid() {
        let (mv, ma) = (thousandths(model.v, model.v_sf)?, thousandths(model.a, model.a_sf)?);
        mv.saturating_mul(ma).checked_div(MILLI).unwrap_or_default()
    } else {
        thousandths(model.w, model.w_sf.unwrap_or(0))?
    };
    power(mw.saturating_abs(), rated)
}
