//! A SunSpec battery: what it holds, what it can do, and making it do it.

use boltgrid_protocol::units::{Energy, OutOfRange, Power, scale_floor};
use sunspec::models::model120::Model120;
use sunspec::models::model124::{Model124, StorCtlMod};
use sunspec::models::model702::Model702;
use sunspec::models::model704::{Model704, WSetEna, WSetMod};
use sunspec::models::model713::Model713;
use sunspec::models::model802::Model802;
use sunspec::models::model803::Model803;
use sunspec::models::model804::Model804;
use sunspec::{EnumValue, FixedSize};

use super::bank::Bank;
use super::point::{capacity, optional_thousandths, per_cent, power, rating, thousandths};
use super::unit::Unit;
use super::{ac, bank, dc, ports, pv, strings};
use crate::drivers::{Bus, DeviceError, PointRejected};
use crate::sample::BatterySample;
use crate::scale::{ScaleFactor, ScaleRejected};

/// All of it, in thousandths of a per cent.
const WHOLE: u64 = 100_000;

/// A battery with its inverter, or one that shows its DC side only (802).
#[derive(Debug)]
pub struct SunSpecBattery {
    unit: Unit,
    has_inverter: bool,
    rated: Option<Power>,
    capacity: Energy,
}

impl SunSpecBattery {
    /// Finds the battery. Powers beyond one and a half times `rated`, or else its nameplate, are
    /// refused as impossible. `known_capacity` is used where the device does not have it (802, 713, 120).
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
        let has_inverter = ac::is_there(&unit);
        if !has_inverter && !unit.has::<Model802>() {
            return Err(unit.missing("inverter (101 to 103, 111 to 113, 701) or battery (802)"));
        }
        let of_strings = unit.has::<Model803>() || unit.has::<Model804>();
        let of_all = unit.has::<Model124>() || unit.has::<Model713>() || unit.has::<Model802>();
        if !of_all && !of_strings {
            return Err(unit.missing("storage (124, 713, 802 to 804)"));
        }
        let rated = match rated {
            Some(rated) => Some(rated),
            None => pv::nameplate(&unit).await?,
        };
        let capacity = match stated_capacity(&unit).await? {
            Some(capacity) => capacity,
            None => known_capacity
                .ok_or_else(|| unit.missing("capacity (802, 713, or `capacity_wh`)"))?,
        };
        Ok(Self { unit, has_inverter, rated, capacity })
    }

    /// Reads the battery.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn read(&self) -> Result<BatterySample, DeviceError> {
        let unit = &self.unit;
        let power = self.power().await?;
        let basic = unit.read_if_present::<Model124>().await?;
        let full = unit.read_if_present::<Model802>().await?;
        let newer = unit.read_if_present::<Model713>().await?;
        let bank = bank::of(unit).await?;
        let charge = charge(basic.as_ref(), full.as_ref(), newer.as_ref());
        let charge = of_connected(unit.point("ChaState", charge)?, bank);
        let charge = unit.point("ChaState", charge)?;
        let capacity = unit.point("NStrCon", connected(self.capacity, bank))?;
        let stored = unit.point("ChaState", part(capacity, charge, WHOLE))?;
        let reference = match &basic {
            Some(basic) => Some(unit.point("WChaMax", reference(basic))?),
            None => None,
        };
        let (charge_max, discharge_max) = match &full {
            Some(full) => unit.point("WChaRteMax", rates(full))?,
            None => rated_rates(unit).await?,
        };
        // A set point is a share of the reference, so nothing above it can be asked for.
        let most = |rate: Option<Power>| match (rate, reference) {
            (Some(rate), Some(reference)) => rate.min(reference),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => self.rated.unwrap_or_default(),
        };
        let (charge_max, discharge_max) = match bank {
            Some(Bank { connected: 0, .. }) => (Power::ZERO, Power::ZERO),
            Some(_) | None => (most(charge_max), most(discharge_max)),
        };
        Ok(BatterySample { power, stored, capacity, charge_max, discharge_max })
    }

    /// What it takes; negative when it gives.
    async fn power(&self) -> Result<Power, DeviceError> {
        let unit = &self.unit;
        if !self.has_inverter {
            return dc::taken(unit, self.rated).await;
        }
        let strings = match strings::of_hybrid(unit, self.rated).await? {
            Some(strings) => Some(strings),
            None => ports::of_hybrid(unit, self.rated).await?,
        };
        Ok(match strings {
            Some(strings) => difference(strings.charging, strings.discharging),
            None => difference(Power::ZERO, ac::output(unit, self.rated).await?),
        })
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
        if !unit.has::<Model124>() && unit.has::<Model704>() {
            return self.set_output(wanted).await;
        }
        if !self.is_controllable() {
            return Err(unit.missing("storage controls (124, 704)"));
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

    /// Makes the unit put out the opposite of `wanted`, by the newer models.
    async fn set_output(&self, wanted: Option<Power>) -> Result<(), DeviceError> {
        let unit = &self.unit;
        let Some(wanted) = wanted else {
            return unit.write(Model704::W_SET_ENA, &[WSetEna::Disabled.to_repr()]).await;
        };
        let model: Model704 = unit.read().await?;
        let [high, low] = unit.point("WSet", output(wanted, model.w_set_sf.unwrap_or(0)))?;
        // Side by side, so they change at once; in force only with the switch.
        unit.write(Model704::W_SET_MOD, &[WSetMod::Watts.to_repr(), high, low]).await?;
        if model.w_set_ena != Some(WSetEna::Enabled) {
            unit.write(Model704::W_SET_ENA, &[WSetEna::Enabled.to_repr()]).await?;
        }
        Ok(())
    }

    /// Whether it takes set points.
    #[must_use]
    pub fn is_controllable(&self) -> bool {
        self.unit.has::<Model124>() || self.unit.has::<Model704>()
    }
}

async fn stated_capacity(unit: &Unit) -> Result<Option<Energy>, DeviceError> {
    if let Some(model) = unit.read_if_present::<Model802>().await? {
        let stated = thousandths(model.wh_rtg, model.wh_rtg_sf).and_then(capacity);
        return unit.point("WHRtg", stated).map(Some);
    }
    if let Some(model) = unit.read_if_present::<Model713>().await?
        && model.wh_rtg.is_some()
    {
        let stated = optional_thousandths(model.wh_rtg, model.wh_sf);
        return unit.point("WHRtg", stated.and_then(|mwh| mwh.map(capacity).transpose()));
    }
    let Some(model) = unit.read_if_present::<Model120>().await? else { return Ok(None) };
    let stated = optional_thousandths(model.wh_rtg, model.wh_rtg_sf);
    unit.point("WHRtg", stated.and_then(|mwh| mwh.map(capacity).transpose()))
}

/// How full it says that it is, in thousandths of a per cent.
fn charge(
    basic: Option<&Model124>,
    full: Option<&Model802>,
    newer: Option<&Model713>,
) -> Result<Option<u64>, PointRejected> {
    let by_basic = basic.map(|it| optional_thousandths(it.cha_state, it.cha_state_sf));
    let full = full.filter(|it| !it.soc.is_invalid());
    let stated = match (by_basic.transpose()?.flatten(), full, newer) {
        (Some(stated), ..) => Some(stated),
        (None, Some(full), _) => Some(thousandths(full.soc, full.soc_sf)?),
        (None, None, Some(newer)) => optional_thousandths(newer.soc, newer.pct_sf)?,
        (None, None, None) => None,
    };
    stated.map(per_cent).transpose()
}

/// How full what is connected of it is. While all strings are, that is what the battery says itself.
fn of_connected(stated: Option<u64>, bank: Option<Bank>) -> Result<u64, PointRejected> {
    let (is_whole, by_strings) =
        bank.map_or((true, None), |bank| (bank.connected == bank.all, bank.charge));
    let charge = if is_whole { stated.or(by_strings) } else { by_strings.or(stated) };
    charge.ok_or(PointRejected::NotImplemented)
}

/// What can be held by the strings that are connected, or by all while none is.
fn connected(whole: Energy, bank: Option<Bank>) -> Result<Energy, PointRejected> {
    match bank {
        Some(Bank { connected, all, .. }) if connected > 0 => part(whole, connected, all),
        Some(_) | None => Ok(whole),
    }
}

fn part(whole: Energy, parts: u64, of: u64) -> Result<Energy, PointRejected> {
    let part = scale_floor(whole.to_milliwatt_hours(), parts, of);
    let part = part.map_err(|OutOfRange| PointRejected::Scale(ScaleRejected::TooLarge))?;
    Ok(Energy::from_milliwatt_hours(part))
}

/// The most it takes and gives, by the newer models, where they say.
async fn rated_rates(unit: &Unit) -> Result<(Option<Power>, Option<Power>), DeviceError> {
    let Some(model) = unit.read_if_present::<Model702>().await? else { return Ok((None, None)) };
    let rate = |watts| {
        let rate = optional_thousandths(watts, model.w_sf);
        rate.and_then(|mw| mw.map(|mw| power(mw, None)).transpose())
    };
    let charge = model.w_cha_rte_max.or(model.w_cha_rte_max_rtg);
    let discharge = model.w_dis_cha_rte_max.or(model.w_dis_cha_rte_max_rtg);
    Ok((unit.point("WChaRteMax", rate(charge))?, unit.point("WDisChaRteMax", rate(discharge))?))
}

/// `WSet` for what the battery shall take: what it puts out is positive there. Rounded towards zero.
fn output(wanted: Power, scale: i16) -> Result<[u16; 2], PointRejected> {
    let (numerator, denominator) = ScaleFactor::new(scale)?.thousandths();
    let wanted_mw = i128::from(wanted.to_milliwatts());
    let counts = -wanted_mw * i128::from(denominator) / i128::from(numerator);
    let counts = i32::try_from(counts).ok().filter(|counts| *counts > i32::MIN);
    let [b3, b2, b1, b0] = counts.ok_or(ScaleRejected::TooLarge)?.to_be_bytes();
    Ok([u16::from_be_bytes([b3, b2]), u16::from_be_bytes([b1, b0])])
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
    fn the_newer_models_count_what_is_put_out() {
        let check = |wanted_mw, scale, expected: i32| {
            let words = output(Power::from_milliwatts(wanted_mw), scale).unwrap();
            let [high, low] = words.map(u32::from);
            assert_eq!(((high << 16) | low).cast_signed(), expected);
        };
        check(2_500_000, 0, -2_500);
        check(-1_234_567, 0, 1_234);
        check(-1_234_567, -1, 12_345);
        check(-99_000, 2, 0);
        assert!(output(Power::from_milliwatts(i64::MAX), -10).is_err());
    }

    #[test]
    fn without_rates_or_reference_there_is_no_set_point() {
        let without_rates = Model124 { in_w_rte: None, ..model() };
        assert_eq!(rate(Power::ZERO, &without_rates), Err(PointRejected::NotImplemented));
        let without_reference = Model124 { w_cha_max: u16::MAX, ..model() };
        assert_eq!(rate(Power::ZERO, &without_reference), Err(PointRejected::NotImplemented));
    }
}
