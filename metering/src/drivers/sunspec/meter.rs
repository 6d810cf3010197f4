//! A SunSpec meter: models 201 to 204, 211 to 214, or 701.
//!
//! The first two kinds count import into the site positive. Model 701 is of a generator or a battery and
//! counts what it puts out positive, so it is turned round here: behind such a unit nothing but the
//! unit itself is measured.

use boltgrid_protocol::units::Power;
use sunspec::FixedSize;
use sunspec::models::model203::Model203;
use sunspec::models::model213::Model213;
use sunspec::models::model701::Model701;

use super::point::{
    float_register, float_thousandths, optional_float_thousandths, optional_thousandths, register,
    thousandths, wide_register,
};
use super::unit::Unit;
use crate::drivers::{Bus, DeviceError, PointRejected};
use crate::quantity::Quantity;
use crate::register::Width;
use crate::shown::Shown;

/// A meter, mounted so that import is positive.
#[derive(Debug)]
pub struct SunSpecMeter {
    unit: Unit,
    rated: Option<Power>,
}

/// What a point shows, in thousandths, if it shows anything.
type Value = Result<Option<i64>, PointRejected>;

/// A point's name in SunSpec, what it means, and what it shows.
type Entry = (&'static str, Quantity, Value);

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
        if unit.has::<Model203>() || unit.has::<Model213>() || unit.has::<Model701>() {
            Ok(Self { unit, rated })
        } else {
            Err(unit.missing("meter (201 to 204, 211 to 214, 701)"))
        }
    }

    /// Reads the meter: always its power and both registers.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn read(&self) -> Result<Shown, DeviceError> {
        let unit = &self.unit;
        if let Some(model) = unit.read_if_present::<Model203>().await? {
            let (import, export) = (model.tot_wh_imp, model.tot_wh_exp);
            let mut shown = self.shown(of_integers(&model))?;
            shown.import = Some(unit.point("TotWhImp", register(import, model.tot_wh_sf))?);
            shown.export = Some(unit.point("TotWhExp", register(export, model.tot_wh_sf))?);
            return Ok(shown);
        }
        if let Some(model) = unit.read_if_present::<Model213>().await? {
            let mut shown = self.shown(of_floats(&model))?;
            shown.import = Some(unit.point("TotWhImp", float_register(model.tot_wh_imp))?);
            shown.export = Some(unit.point("TotWhExp", float_register(model.tot_wh_exp))?);
            return Ok(shown);
        }
        let model: Model701 = unit.read().await?;
        let scale = model.tot_wh_sf.unwrap_or(0);
        let mut shown = self.shown(of_generator(&model))?;
        shown.import = Some(unit.point("TotWhAbs", wide_register(model.tot_wh_abs, scale))?);
        shown.export = Some(unit.point("TotWhInj", wide_register(model.tot_wh_inj, scale))?);
        Ok(shown)
    }

    fn shown(&self, entries: impl IntoIterator<Item = Entry>) -> Result<Shown, DeviceError> {
        let mut shown = Shown::default();
        for (point, quantity, value) in entries {
            if let Some(value) = self.unit.point(point, value)? {
                let put = shown.put(quantity, value, Width::Float, self.rated);
                self.unit.point(point, put)?;
            }
        }
        Ok(shown)
    }
}

/// `None` for the sentinel of a point that not all of the models must have.
fn optional<T: FixedSize + Copy>(value: T) -> Option<T> {
    (!value.is_invalid()).then_some(value)
}

fn of_integers(model: &Model203) -> [Entry; 12] {
    let volts = |value: i16| optional_thousandths(optional(value), Some(model.v_sf));
    let amperes = |value: i16| optional_thousandths(optional(value), Some(model.a_sf));
    let watts = |value: Option<i16>| optional_thousandths(value, Some(model.w_sf));
    [
        ("W", Quantity::Power, thousandths(model.w, model.w_sf).map(Some)),
        ("WphA", Quantity::PowerL1, watts(model.wph_a)),
        ("WphB", Quantity::PowerL2, watts(model.wph_b)),
        ("WphC", Quantity::PowerL3, watts(model.wph_c)),
        ("PhV", Quantity::Voltage, volts(model.ph_v)),
        ("PhVphA", Quantity::VoltageL1, volts(model.ph_vph_a)),
        ("PhVphB", Quantity::VoltageL2, volts(model.ph_vph_b)),
        ("PhVphC", Quantity::VoltageL3, volts(model.ph_vph_c)),
        ("AphA", Quantity::CurrentL1, amperes(model.aph_a)),
        ("AphB", Quantity::CurrentL2, amperes(model.aph_b)),
        ("AphC", Quantity::CurrentL3, amperes(model.aph_c)),
        ("Hz", Quantity::Frequency, optional_thousandths(optional(model.hz), model.hz_sf)),
    ]
}

fn of_floats(model: &Model213) -> [Entry; 12] {
    let one = optional_float_thousandths;
    let watts = |value: Option<f32>| value.map(float_thousandths).transpose();
    [
        ("W", Quantity::Power, float_thousandths(model.w).map(Some)),
        ("WphA", Quantity::PowerL1, watts(model.wph_a)),
        ("WphB", Quantity::PowerL2, watts(model.wph_b)),
        ("WphC", Quantity::PowerL3, watts(model.wph_c)),
        ("PhV", Quantity::Voltage, one(model.ph_v)),
        ("PhVphA", Quantity::VoltageL1, one(model.ph_vph_a)),
        ("PhVphB", Quantity::VoltageL2, one(model.ph_vph_b)),
        ("PhVphC", Quantity::VoltageL3, one(model.ph_vph_c)),
        ("AphA", Quantity::CurrentL1, one(model.aph_a)),
        ("AphB", Quantity::CurrentL2, one(model.aph_b)),
        ("AphC", Quantity::CurrentL3, one(model.aph_c)),
        ("Hz", Quantity::Frequency, one(model.hz)),
    ]
}

/// Turned round: what the unit puts out flows out of the site.
fn of_generator(model: &Model701) -> [Entry; 12] {
    let turned = |value: Value| value.map(|value| value.map(i64::saturating_neg));
    let watts = |value: Option<i16>| turned(optional_thousandths(value, model.w_sf));
    let amperes = |value: Option<i16>| turned(optional_thousandths(value, model.a_sf));
    let volts = |value: Option<u16>| optional_thousandths(value, model.v_sf);
    let total = match model.w {
        Some(_) => watts(model.w),
        None => Err(PointRejected::NotImplemented),
    };
    [
        ("W", Quantity::Power, total),
        ("WL1", Quantity::PowerL1, watts(model.wl1)),
        ("WL2", Quantity::PowerL2, watts(model.wl2)),
        ("WL3", Quantity::PowerL3, watts(model.wl3)),
        ("LNV", Quantity::Voltage, volts(model.lnv)),
        ("VL1", Quantity::VoltageL1, volts(model.vl1)),
        ("VL2", Quantity::VoltageL2, volts(model.vl2)),
        ("VL3", Quantity::VoltageL3, volts(model.vl3)),
        ("AL1", Quantity::CurrentL1, amperes(model.al1)),
        ("AL2", Quantity::CurrentL2, amperes(model.al2)),
        ("AL3", Quantity::CurrentL3, amperes(model.al3)),
        ("Hz", Quantity::Frequency, optional_thousandths(model.hz, model.hz_sf)),
    ]
}
