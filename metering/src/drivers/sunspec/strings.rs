//! The DC strings of a hybrid inverter (model 160): its AC side mixes PV and battery, they do not.
//!
//! SunSpec leaves the names of strings to the maker. Makers of hybrids name the battery's two
//! `StCha…` and `StDisCha…` (charging and discharging); every other string is PV.

use boltgrid_protocol::units::Power;
use sunspec::models::model160::{Model160, Module};

use super::point::{power, thousandths};
use super::unit::Unit;
use crate::drivers::{DeviceError, PointRejected};

/// What the strings carry, all at least zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Strings {
    pub(super) pv: Power,
    pub(super) charging: Power,
    pub(super) discharging: Power,
}

/// The strings of a unit that tells its battery's from the others, or `None`.
pub(super) async fn of_hybrid(
    unit: &Unit,
    rated: Option<Power>,
) -> Result<Option<Strings>, DeviceError> {
    let Some(model) = unit.read_if_present::<Model160>().await? else { return Ok(None) };
    unit.point("DCW", sum(&model, rated))
}

fn sum(model: &Model160, rated: Option<Power>) -> Result<Option<Strings>, PointRejected> {
    if !model.module.iter().any(|module| name(module).starts_with("St")) {
        return Ok(None);
    }
    let mut strings = Strings::default();
    for module in &model.module {
        // A string that is switched off shows nothing.
        let Some(watts) = module.dcw else { continue };
        let watts = power(thousandths(watts, model.dcw_sf.unwrap_or(0))?, rated)?;
        let total = match name(module) {
            name if name.starts_with("StCha") => &mut strings.charging,
            name if name.starts_with("StDisCha") => &mut strings.discharging,
            _ => &mut strings.pv,
        };
        let milliwatts = total.to_milliwatts().saturating_add(watts.to_milliwatts());
        *total = power(milliwatts, None)?;
    }
    Ok(Some(strings))
}

fn name(module: &Module) -> &str {
    module.id_str.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, dcw: Option<u16>) -> Module {
        Module {
            id: None,
            id_str: Some(name.to_owned()),
            dca: None,
            dcv: None,
            dcw,
            dcwh: None,
            tms: None,
            tmp: None,
            dc_st: None,
            dc_evt: None,
        }
    }

    fn model(module: Vec<Module>) -> Model160 {
        Model160 {
            dca_sf: None,
            dcv_sf: None,
            dcw_sf: Some(1),
            dcwh_sf: None,
            evt: None,
            n: None,
            tms_per: None,
            module,
        }
    }

    #[test]
    fn the_batterys_strings_are_told_from_the_panels() {
        let hybrid = model(vec![
            module("MPPT 1", Some(200)),
            module("MPPT 2", Some(100)),
            module("StCha 3", Some(50)),
            module("StDisCha 4", None),
        ]);
        let watts = |watts| Power::from_watts(watts).unwrap();
        let (pv, charging) = (watts(3_000), watts(500));
        let expected = Strings { pv, charging, discharging: Power::ZERO };
        assert_eq!(sum(&hybrid, None), Ok(Some(expected)));
        let rated = Some(watts(1_000));
        assert!(matches!(sum(&hybrid, rated), Err(PointRejected::Impossible { .. })));
    }

    #[test]
    fn an_inverter_without_a_battery_has_none_of_that() {
        assert_eq!(sum(&model(vec![module("MPPT 1", Some(200))]), None), Ok(None));
    }
}
