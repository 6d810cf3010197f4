//! The DC ports of a hybrid inverter of the newer models (714): each says whether panels or a battery
//! are behind it, which its AC side does not.
//!
//! What the sign of a port's power means is nowhere written down, and makers differ. Panels only give,
//! so theirs needs none; whether a battery takes or gives is said by its status ([`super::doing`]), and
//! where that is missing its port is not used.

use boltgrid_protocol::units::Power;
use sunspec::models::model714::{Model714, PrtPrtTyp};

use super::doing;
use super::point::{power, thousandths};
use super::strings::Strings;
use super::unit::Unit;
use crate::drivers::{DeviceError, PointRejected};

/// What the ports of one kind carry together, a magnitude; `None` where there are none.
type Carried = Result<Option<Power>, PointRejected>;

/// What panels give to a unit that has a battery behind another port, or `None`.
pub(super) async fn pv_of_hybrid(
    unit: &Unit,
    rated: Option<Power>,
) -> Result<Option<Power>, DeviceError> {
    let Some(model) = unit.read_if_present::<Model714>().await? else { return Ok(None) };
    let battery = unit.point("DCW", carried(&model, PrtPrtTyp::Ess, rated))?;
    let panels = unit.point("DCW", carried(&model, PrtPrtTyp::Pv, rated))?;
    Ok(battery.and(panels))
}

/// What panels and battery of a hybrid carry, or `None` where the unit does not tell them apart.
pub(super) async fn of_hybrid(
    unit: &Unit,
    rated: Option<Power>,
) -> Result<Option<Strings>, DeviceError> {
    let Some(model) = unit.read_if_present::<Model714>().await? else { return Ok(None) };
    let battery = unit.point("DCW", carried(&model, PrtPrtTyp::Ess, rated))?;
    let panels = unit.point("DCW", carried(&model, PrtPrtTyp::Pv, rated))?;
    let (Some(battery), Some(pv)) = (battery, panels) else { return Ok(None) };
    let doing = doing::of(unit).await?;
    Ok(doing.map(|doing| {
        let (charging, discharging) = doing.taken_and_given(battery);
        Strings { pv, charging, discharging }
    }))
}

fn carried(model: &Model714, kind: PrtPrtTyp, rated: Option<Power>) -> Carried {
    let mut all: Option<Power> = None;
    for port in model.prt.iter().filter(|port| port.prt_typ == Some(kind)) {
        // A port that is switched off shows nothing.
        let mw = match port.dcw {
            Some(watts) => thousandths(watts, model.dcw_sf.unwrap_or(0))?,
            None => 0,
        };
        let mw = power(mw, rated)?.to_milliwatts().saturating_abs();
        let sum = all.map_or(0, Power::to_milliwatts).saturating_add(mw);
        all = Some(power(sum, None)?);
    }
    Ok(all)
}
