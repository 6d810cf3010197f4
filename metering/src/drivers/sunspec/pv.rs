//! A SunSpec PV inverter: its power, what it could give, and turning it down.

use boltgrid_protocol::units::Power;
use sunspec::EnumValue;
use sunspec::models::model120::Model120;
use sunspec::models::model122::Model122;
use sunspec::models::model123::{Model123, WMaxLimEna};
use sunspec::models::model702::Model702;
use sunspec::models::model704::{Model704, WMaxLimPctEna};

use super::point::{optional_thousandths, power, rating, thousandths};
use super::unit::Unit;
use super::{ac, ports, strings};
use crate::drivers::{Bus, DeviceError, PointRejected};
use crate::sample::PvSample;
use crate::scale::{ScaleFactor, ScaleRejected};

/// A PV inverter.
#[derive(Debug)]
pub struct SunSpecPv {
    unit: Unit,
    rated: Option<Power>,
    nameplate: Option<Power>,
}

impl SunSpecPv {
    /// Finds the inverter. Powers beyond one and a half times `rated`, or else its nameplate, are
    /// refused as impossible.
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
        ac::require(&unit)?;
        let nameplate = nameplate(&unit).await?;
        Ok(Self { rated: rated.or(nameplate), nameplate, unit })
    }

    /// Reads the inverter.
    ///
    /// # Errors
    ///
    /// [`DeviceError`].
    pub async fn read(&self) -> Result<PvSample, DeviceError> {
        let unit = &self.unit;
        let power = match strings::of_hybrid(unit, self.rated).await? {
            Some(strings) => strings.pv,
            None => match ports::pv_of_hybrid(unit, self.rated).await? {
                Some(panels) => panels,
                None => ac::output(unit, self.rated).await?,
            },
        };
        let limited = is_limited(unit).await?;
        let potential = match self.available().await? {
            Some(available) => Some(available.max(power)),
            None => (!limited).then_some(power),
        };
        Ok(PvSample { power, potential, curtailable: self.is_curtailable(), rated: self.nameplate })
    }

    /// Limits the output to `most`, or lifts the limit. Limits are shares of the nameplate and
    /// rounded down to what the inverter can resolve.
    ///
    /// # Errors
    ///
    /// [`DeviceError::ModelMissing`] where it cannot be turned down.
    pub async fn limit(&self, most: Option<Power>) -> Result<(), DeviceError> {
        let unit = &self.unit;
        let Some(nameplate) = self.nameplate.filter(|_| self.is_curtailable()) else {
            return Err(unit.missing("limit (123 or 704, with the nameplate 120 or 702)"));
        };
        let (enable, disable) = (WMaxLimEna::Enabled.to_repr(), WMaxLimEna::Disabled.to_repr());
        if unit.has::<Model123>() {
            let Some(most) = most else {
                return unit.write(Model123::W_MAX_LIM_ENA, &[disable]).await;
            };
            let controls: Model123 = unit.read().await?;
            let share = share(most, nameplate, controls.w_max_lim_pct_sf);
            let share = unit.point("WMaxLimPct", share)?;
            unit.write(Model123::W_MAX_LIM_PCT, &[share]).await?;
            return unit.write(Model123::W_MAX_LIM_ENA, &[enable]).await;
        }
        let Some(most) = most else {
            return unit.write(Model704::W_MAX_LIM_PCT_ENA, &[disable]).await;
        };
        let controls: Model704 = unit.read().await?;
        let share = share(most, nameplate, controls.w_max_lim_pct_sf.unwrap_or(0));
        let share = unit.point("WMaxLimPct", share)?;
        unit.write(Model704::W_MAX_LIM_PCT, &[share]).await?;
        unit.write(Model704::W_MAX_LIM_PCT_ENA, &[enable]).await
    }

    /// Whether it can be turned down.
    #[must_use]
    pub fn is_curtailable(&self) -> bool {
        let controls = self.unit.has::<Model123>() || self.unit.has::<Model704>();
        controls && self.nameplate.is_some()
    }

    async fn available(&self) -> Result<Option<Power>, DeviceError> {
        let Some(status) = self.unit.read_if_present::<Model122>().await? else { return Ok(None) };
        let watts = optional_thousandths(status.w_aval, status.w_aval_sf);
        let available = watts.and_then(|mw| mw.map(|mw| power(mw, self.rated)).transpose());
        self.unit.point("WAval", available)
    }
}

/// Whether it may be turned down now: one that has a switch for it and does not say is taken to be.
async fn is_limited(unit: &Unit) -> Result<bool, DeviceError> {
    if let Some(controls) = unit.read_if_present::<Model123>().await? {
        return Ok(controls.w_max_lim_ena != WMaxLimEna::Disabled);
    }
    let controls = unit.read_if_present::<Model704>().await?;
    Ok(controls.is_some_and(|controls| {
        controls.w_max_lim_pct_ena.is_some_and(|limit| limit != WMaxLimPctEna::Disabled)
    }))
}

/// The rating on the nameplate, where there is one; of the newer models what it is set to, as that is
/// what limits are shares of.
pub(super) async fn nameplate(unit: &Unit) -> Result<Option<Power>, DeviceError> {
    if let Some(model) = unit.read_if_present::<Model120>().await? {
        let watts = thousandths(model.w_rtg, model.w_rtg_sf).and_then(rating);
        return unit.point("WRtg", watts).map(Some);
    }
    let Some(model) = unit.read_if_present::<Model702>().await? else { return Ok(None) };
    let watts = optional_thousandths(model.w_max.or(model.w_max_rtg), model.w_sf);
    unit.point("WMax", watts.and_then(|mw| mw.map(rating).transpose()))
}

/// `most` as the inverter's integer for per cent of the nameplate, 0 to 100 %.
fn share(most: Power, nameplate: Power, scale: i16) -> Result<u16, PointRejected> {
    let whole = nameplate.to_milliwatts().unsigned_abs();
    let part = u64::try_from(most.to_milliwatts()).unwrap_or(0).min(whole);
    let share = ScaleFactor::new(scale)?.percent_floor(part, whole);
    let share = share.and_then(|share| u16::try_from(share).ok());
    // The largest is "not implemented".
    Ok(share.filter(|share| *share < u16::MAX).ok_or(ScaleRejected::TooLarge)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_share_of_the_nameplate() {
        let nameplate = Power::from_milliwatts(30_000_000);
        let check = |most_mw, scale, expected| {
            assert_eq!(share(Power::from_milliwatts(most_mw), nameplate, scale), expected);
        };
        check(15_000_000, -2, Ok(5_000));
        check(10_000_000, -1, Ok(333));
        check(90_000_000, 0, Ok(100));
        check(-1, 0, Ok(0));
        check(30_000_000, -3, Err(ScaleRejected::TooLarge.into()));
        check(30_000_000, i16::MIN, Err(ScaleRejected::NotImplemented.into()));
    }
}
