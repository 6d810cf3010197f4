//! The DC ports of a hybrid inverter of the newer models (714): each says whether panels or a battery
//! are behind it, which its AC side does not.
//!
//! What the sign of a port's power means is nowhere written down, and makers differ. Panels only give,
//! so theirs needs none; whether a battery takes or gives is said by its status (`ChaSt` of 802 or 124),
//! and where that is missing its port is not used.

use boltgrid_protocol::units::Power;
use sunspec::models::model124::{ChaSt as Status124, Model124};
use sunspec::models::model714::{Model714, PrtPrtTyp};
use sunspec::models::model802::{ChaSt as Status802, Model802};

use super::point::{power, thousandths};
use super::strings::Strings;
use super::unit::Unit;
use crate::drivers::{DeviceError, PointRejected};

/// What a battery does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Takes,
    Gives,
    Nothing,
}

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
    let strings = |charging, discharging| Some(Strings { pv, charging, discharging });
    Ok(match does(unit).await? {
        Some(Does::Takes) => strings(battery, Power::ZERO),
        Some(Does::Gives) => strings(Power::ZERO, battery),
        Some(Does::Nothing) => strings(Power::ZERO, Power::ZERO),
        None => None,
    })
}

/// What the battery does, where the unit says.
async fn does(unit: &Unit) -> Result<Option<Does>, DeviceError> {
    if let Some(model) = unit.read_if_present::<Model802>().await? {
        return Ok(match model.cha_st {
            Some(Status802::Charging) => Some(Does::Takes),
            Some(Status802::Discharging) => Some(Does::Gives),
            Some(Status802::Off | Status802::Empty | Status802::Full | Status802::Holding) => {
                Some(Does::Nothing)
            }
            Some(Status802::Testing | Status802::Invalid(_)) | None => None,
        });
    }
    let Some(model) = unit.read_if_present::<Model124>().await? else { return Ok(None) };
    Ok(match model.cha_st {
        Some(Status124::Charging) => Some(Does::Takes),
        Some(Status124::Discharging) => Some(Does::Gives),
        Some(Status124::Off | Status124::Empty | Status124::Full | Status124::Holding) => {
            Some(Does::Nothing)
        }
        Some(Status124::Testing | Status124::Invalid(_)) | None => None,
    })
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
