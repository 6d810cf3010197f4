//! The AC side of an inverter: models 101 to 103, 111 to 113, or 701.

use boltgrid_protocol::units::Power;
use sunspec::models::model103::Model103;
use sunspec::models::model113::Model113;
use sunspec::models::model701::Model701;

use super::point::{float_thousandths, optional_thousandths, power, thousandths};
use super::unit::Unit;
use crate::drivers::{DeviceError, PointRejected};

/// Whether the unit is an inverter.
pub(super) fn is_there(unit: &Unit) -> bool {
    unit.has::<Model103>() || unit.has::<Model113>() || unit.has::<Model701>()
}

/// Refuses a unit that is no inverter.
pub(super) fn require(unit: &Unit) -> Result<(), DeviceError> {
    if is_there(unit) {
        Ok(())
    } else {
        Err(unit.missing("inverter (101 to 103, 111 to 113, 701)"))
    }
}

/// The power that the inverter puts out; negative when it takes some in.
pub(super) async fn output(unit: &Unit, rated: Option<Power>) -> Result<Power, DeviceError> {
    let watts = if let Some(model) = unit.read_if_present::<Model103>().await? {
        thousandths(model.w, model.w_sf)
    } else if let Some(model) = unit.read_if_present::<Model113>().await? {
        float_thousandths(model.w)
    } else {
        let model: Model701 = unit.read().await?;
        let watts = optional_thousandths(model.w, model.w_sf);
        watts.and_then(|watts| watts.ok_or(PointRejected::NotImplemented))
    };
    unit.point("W", watts.and_then(|mw| power(mw, rated)))
}
