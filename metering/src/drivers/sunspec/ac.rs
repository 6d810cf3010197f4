//! The AC side of an inverter: models 101 to 103, or 113.

use boltgrid_protocol::units::Power;
use sunspec::models::model103::Model103;
use sunspec::models::model113::Model113;

use super::point::{float_thousandths, power, thousandths};
use super::unit::Unit;
use crate::drivers::DeviceError;

/// Refuses a unit that is no inverter.
pub(super) fn require(unit: &Unit) -> Result<(), DeviceError> {
    if unit.has::<Model103>() || unit.has::<Model113>() {
        Ok(())
    } else {
        Err(unit.missing("inverter (101 to 103, 113)"))
    }
}

/// The power that the inverter puts out; negative when it takes some in.
pub(super) async fn output(unit: &Unit, rated: Option<Power>) -> Result<Power, DeviceError> {
    let watts = match unit.read_if_present::<Model103>().await? {
        Some(model) => thousandths(model.w, model.w_sf),
        None => float_thousandths(unit.read::<Model113>().await?.w),
    };
    unit.point("W", watts.and_then(|mw| power(mw, rated)))
}
