//! A SunSpec battery: what it holds, what it can do, and making it do it.

use boltgrid_protocol::units::{Energy, OutOfRange, Power, scale_floor};
use sunspec::models::model120::Model120;
use sunspec::models::model124::{Model124, StorCtlMod};
use sunspec::models::model802::Model802;

use super::point::{capacity, optional_thousandths, per_cent, power, rating, thousandths};
use super::unit::Unit;
use super::{ac, pv, strings};
use crate::drivers::{Bus, DeviceError, PointRejected};
use crate::sample::BatterySample;
use crate::scale::{ScaleFactor, ScaleRejected};

/// All of it, in thousandths of a per cent.
const WHOLE: u64 = 100_000;

/// A battery with its inverter.
#[derive(Debug)]
pub struct SunSpecBattery {
    unit: Unit,
    rated: Option<Power>,
    capacity: Energy,
}

impl SunSpecBattery {
    /// Finds the battery. Powers beyond one and a half times `rated`, or else its nameplate, are
    /// refused as impossible. `known_capacity` is used where the device does not have it (802, 120).
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn open(
        bus: &Bus,
        unit: u8,
        name: &str,
        rated: Option<Power>,
        known_capacity: Option<Energy>,
    ) -> Result<Self, DeviceError> {
        let unit = Unit::discover(bus, unit, name).await?;
        ac::require(&unit)?;
        if !unit.has::<Model124>() && !unit.has::<Model802>() {
            return Err(unit.missing("storage (124, 802)"));
        }
        let rated = match rated {
            Some(rated) => Some(rated),
            None => pv::nameplate(&unit).await?,
        };
        let capacity = match stated_capacity(&unit).await? {
            Some(capacity) => capacity,
            None => {
                known_capacity.ok_or_else(|| unit.missing("capacity (802, or `capacity_wh`)"))?
            }
        };
        Ok(Self { unit, rated, capacity })
    }

    /// Reads the battery.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn read(&self) -> Result<BatterySample, DeviceError> {
        let unit = &self.unit;
        let power = match strings::of_hybrid(unit, self.rated).await? {
            Some(strings) => difference(strings.charging, strings.discharging),
            None => difference(Power::ZERO, ac::output(unit, self.rated).await?),
        };
        let basic = unit.read_if_present::<Model124>().await?;
        let full = unit.read_if_present::<Model802>().await?;
        let charge = unit.point("ChaState", charge(basic.as_ref(), full.as_ref()))?;
        let stored = scale_floor(self.capacity.to_milliwatt_hours(), charge, WHOLE)
            .map_err(|OutOfRange| PointRejected::Scale(ScaleRejected::TooLarge));
        let stored = Energy::from_milliwatt_hours(unit.point("ChaState", stored)?);
        let reference = match &basic {
            Some(basic) => Some(unit.point("WChaMax", reference(basic))?),
            None => None,
        };
        let (charge_max, discharge_max) = match &full {
            Some(full) => unit.point("WChaRteMax", rates(full))?,
            None => (None, None),
        };
        // A set point is a share of the reference, so nothing above it can be asked for.
        let most = |rate: Option<Power>| match (rate, reference) {
            (Some(rate), Some(reference)) => rate.min(reference),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => self.rated.unwrap_or_default(),
        };
        let (charge_max, discharge_max) = (most(charge_max), most(discharge_max));
        Ok(BatterySample { power, stored, capacity: self.capacity, charge_max, discharge_max })
    }

    /// Makes the battery take `wanted` (negative: give), or leaves it to itself again.
    ///
    /// The range that the device may choose from is made so narrow that only `wanted` is in it; it
    /// is rounded towards zero to what the device can resolve, and held at its reference.
    ///
    /// # Errors
    ///
    /// [`DeviceError::ModelMissing`] where it has no controls.
    pub async fn set_power(&self, wanted: Option<Power>) -> Result<(), DeviceError> {
        let unit = &self.unit;
        if !self.is_controllable() {
            return Err(unit.missing("storage controls (124)"));
        }
        let Some(wanted) = wanted else {
            return unit.write(Model124::STOR_CTL_MOD, &[StorCtlMod::empty().bits()]).await;
        };
        let model: Model124 = unit.read().await?;
        let rates = rate(wanted, &model);
        let (outward, inward) = unit.point("InWRte", rates)?;
        // Side by side, so they change at once; in force only with the mode.
        let words = [outward, inward].map(i16::cast_unsigned);
        unit.write(Model124::OUT_W_RTE, &words).await?;
        if model.stor_ctl_mod != StorCtlMod::all() {
            unit.write(Model124::STOR_CTL_MOD, &[StorCtlMod::all().bits()]).await?;
        }
        Ok(())
    }

    /// Whether it takes set points.
    #[must_use]
    pub fn is_controllable(&self) -> bool {
        self.unit.has::<Model124>()
    }
}

async fn stated_capacity(unit: &Unit) -> Result<Option<Energy>, DeviceError> {
    if let Some(model) = unit.read_if_present::<Model802>().await? {
        let stated = thousandths(model.wh_rtg, model.wh_rtg_sf).and_then(capacity);
        return unit.point("WHRtg", stated).map(Some);
    }
    let Some(model) = unit.read_if_present::<Model120>().await? else { return Ok(None) };
    let stated = optional_thousandths(model.wh_rtg, model.wh_rtg_sf);
    unit.point("WHRtg", stated.and_then(|mwh| mwh.map(capacity).transpose()))
}

/// How full it is, in thousandths of a per cent.
fn charge(basic: Option<&Model124>, full: Option<&Model802>) -> Result<u64, PointRejected> {
    let stated = match basic {
        Some(basic) => optional_thousandths(basic.cha_state, basic.cha_state_sf)?,
        None => None,
    };
    match (stated, full) {
        (Some(stated), _) => per_cent(stated),
        (None, Some(full)) => per_cent(thousandths(full.soc, full.soc_sf)?),
        (None, None) => Err(PointRejected::NotImplemented),
    }
}

/// The power that rates are per cent of.
fn reference(model: &Model124) -> Result<Power, PointRejected> {
    rating(thousandths(model.w_cha_max, model.w_cha_max_sf)?)
}

/// The most it takes and gives, where it says.
fn rates(model: &Model802) -> Result<(Option<Power>, Option<Power>), PointRejected> {
    let rate = |watts: u16| {
        let watts = (watts != u16::MAX).then_some(watts);
        let rate = watts.map(|watts| thousandths(watts, model.w_cha_dis_cha_max_sf)).transpose()?;
        rate.map(|mw| power(mw, None)).transpose()
    };
    Ok((rate(model.w_cha_rte_max)?, rate(model.w_dis_cha_rte_max)?))
}

/// `OutWRte` and `InWRte`: the most it may give and take. A negative one makes the other a must.
fn rate(wanted: Power, model: &Model124) -> Result<(i16, i16), PointRejected> {
    if model.out_w_rte.is_none() || model.in_w_rte.is_none() {
        return Err(PointRejected::NotImplemented);
    }
    let whole = reference(model)?.to_milliwatts().unsigned_abs();
    let part = wanted.to_milliwatts().unsigned_abs().min(whole);
    let scale = ScaleFactor::new(model.in_out_w_rte_sf.unwrap_or(0))?;
    let rate = scale.percent_floor(part, whole).and_then(|rate| i16::try_from(rate).ok());
    let rate = rate.ok_or(ScaleRejected::TooLarge)?;
    Ok(if wanted < Power::ZERO { (rate, -rate) } else { (-rate, rate) })
}

/// The difference of two powers, both far inside 63 bits.
fn difference(plus: Power, minus: Power) -> Power {
    Power::from_milliwatts(plus.to_milliwatts().saturating_sub(minus.to_milliwatts()))
}

#[cfg(test)]
mod tests {
    use sunspec::Model;

    use super::*;

    /// A battery with a reference of 5 kW and rates in hundredths of a per cent.
    fn model() -> Model124 {
        let mut words = [0_u16; 24];
        words[0] = 500;
        words[16] = 1;
        words[23] = (-2_i16).cast_unsigned();
        Model124::parse(&words).unwrap()
    }

    #[test]
    fn a_set_point_leaves_the_battery_one_choice() {
        let check = |wanted_w, expected| {
            assert_eq!(rate(Power::from_watts(wanted_w).unwrap(), &model()), Ok(expected));
        };
        check(2_500, (-5_000, 5_000));
        check(-1_250, (2_500, -2_500));
        check(0, (0, 0));
        check(9_999, (-10_000, 10_000));
        check(-9_999, (10_000, -10_000));
    }

    #[test]
    fn a_set_point_is_rounded_towards_zero() {
        let wanted = Power::from_milliwatts(-1_499);
        assert_eq!(rate(wanted, &model()), Ok((2, -2)));
    }

    #[test]
    fn without_rates_or_reference_there_is_no_set_point() {
        let without_rates = Model124 { in_w_rte: None, ..model() };
        assert_eq!(rate(Power::ZERO, &without_rates), Err(PointRejected::NotImplemented));
        let without_reference = Model124 { w_cha_max: u16::MAX, ..model() };
        assert_eq!(rate(Power::ZERO, &without_reference), Err(PointRejected::NotImplemented));
    }
}
