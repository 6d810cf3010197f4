//! What a battery says that it does (`ChaSt` of 802 or 124): SunSpec does not say what the sign of a
//! direct current, or of a port's power, means, so this alone tells taking from giving.

use boltgrid_protocol::units::Power;
use sunspec::models::model124::{ChaSt as Status124, Model124};
use sunspec::models::model802::{ChaSt as Status802, Model802};

use super::unit::Unit;
use crate::drivers::DeviceError;

/// What a battery does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Takes,
    Gives,
    Nothing,
}

impl Doing {
    /// What a battery that carries so much, whichever way, takes and gives; both at least zero.
    pub(super) const fn taken_and_given(self, carried: Power) -> (Power, Power) {
        match self {
            Self::Takes => (carried, Power::ZERO),
            Self::Gives => (Power::ZERO, carried),
            Self::Nothing => (Power::ZERO, Power::ZERO),
        }
    }
}

/// What the battery does, where the unit says.
pub(super) async fn of(unit: &Unit) -> Result<Option<Doing>, DeviceError> {
    if let Some(model) = unit.read_if_present::<Model802>().await? {
        return Ok(by_bank(&model));
    }
    let Some(model) = unit.read_if_present::<Model124>().await? else { return Ok(None) };
    Ok(match model.cha_st {
        Some(Status124::Charging) => Some(Doing::Takes),
        Some(Status124::Discharging) => Some(Doing::Gives),
        Some(Status124::Off | Status124::Empty | Status124::Full | Status124::Holding) => {
            Some(Doing::Nothing)
        }
        Some(Status124::Testing | Status124::Invalid(_)) | None => None,
    })
}

/// What the battery does, where its bank says.
pub(super) const fn by_bank(model: &Model802) -> Option<Doing> {
    match model.cha_st {
        Some(Status802::Charging) => Some(Doing::Takes),
        Some(Status802::Discharging) => Some(Doing::Gives),
        Some(Status802::Off | Status802::Empty | Status802::Full | Status802::Holding) => {
            Some(Doing::Nothing)
        }
        Some(Status802::Testing | Status802::Invalid(_)) | None => None,
    }
}
