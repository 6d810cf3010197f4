//! A SunSpec meter: models 201 to 204, or 213.

use boltgrid_protocol::units::Power;
use sunspec::models::model203::Model203;
use sunspec::models::model213::Model213;

use super::point::{
    float_register, float_thousandths, frequency_mhz, optional_float_thousandths,
    optional_thousandths, power, register, thousandths, voltage_mv,
};
use super::unit::Unit;
use crate::drivers::{Bus, DeviceError};
use crate::shown::Shown;

/// A meter, mounted so that import is positive.
#[derive(Debug)]
pub struct SunSpecMeter {
    unit: Unit,
    rated: Option<Power>,
}

impl SunSpecMeter {
    /// Finds the meter. Powers beyond one and a half times `rated` are refused as impossible.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn open(
        bus: &Bus,
        unit: u8,
        name: &str,
        rated: Option<Power>,
    ) -> Result<Self, DeviceError> {
        let unit = Unit::discover(bus, unit, name).await?;
        if unit.has::<Model203>() || unit.has::<Model213>() {
            Ok(Self { unit, rated })
        } else {
            Err(unit.missing("meter (201 to 204, 213)"))
        }
    }

    /// Reads the meter: always its power and both registers.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn read(&self) -> Result<Shown, DeviceError> {
        match self.unit.read_if_present::<Model203>().await? {
            Some(model) => self.of_integers(&model),
            None => self.of_floats(&self.unit.read().await?),
        }
    }

    fn of_integers(&self, model: &Model203) -> Result<Shown, DeviceError> {
        let unit = &self.unit;
        // Mandatory in some of the models and optional in others; we can do without them.
        let volts = optional(model.ph_v).map(|volts| thousandths(volts, model.v_sf)).transpose();
        let hertz = optional_thousandths(optional(model.hz), model.hz_sf);
        let watts = thousandths(model.w, model.w_sf);
        Ok(Shown {
            power: Some(unit.point("W", watts.and_then(|mw| power(mw, self.rated)))?),
            import: Some(unit.point("TotWhImp", register(model.tot_wh_imp, model.tot_wh_sf))?),
            export: Some(unit.point("TotWhExp", register(model.tot_wh_exp, model.tot_wh_sf))?),
            voltage_mv: unit.point("PhV", volts.and_then(voltage_mv))?,
            frequency_mhz: unit.point("Hz", hertz.and_then(frequency_mhz))?,
            ..Shown::default()
        })
    }

    fn of_floats(&self, model: &Model213) -> Result<Shown, DeviceError> {
        let unit = &self.unit;
        let watts = float_thousandths(model.w);
        let volts = optional_float_thousandths(model.ph_v);
        let hertz = optional_float_thousandths(model.hz);
        Ok(Shown {
            power: Some(unit.point("W", watts.and_then(|mw| power(mw, self.rated)))?),
            import: Some(unit.point("TotWhImp", float_register(model.tot_wh_imp))?),
            export: Some(unit.point("TotWhExp", float_register(model.tot_wh_exp))?),
            voltage_mv: unit.point("PhV", volts.and_then(voltage_mv))?,
            frequency_mhz: unit.point("Hz", hertz.and_then(frequency_mhz))?,
            ..Shown::default()
        })
    }
}

/// `None` for the sentinel of a point that not all of the models must have.
fn optional(value: i16) -> Option<i16> {
    (value != i16::MIN).then_some(value)
}
