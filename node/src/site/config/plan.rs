//! What follows from the configuration of a site: its meters by place, and which of them settles.
//!
//! Places number the real devices first and the virtual meters after them, each behind all that it
//! rests on.

use std::collections::BTreeSet;

use boltgrid_metering::role::Role;
use boltgrid_metering::virtual_meter::{Part, Term, in_order};

use super::{DeviceConfig, SiteConfig, VirtualConfig};
use crate::site::SiteError;

/// Most devices of one site.
const DEVICES_MAX: usize = 32;
/// Most virtual meters of one site.
const VIRTUAL_MAX: usize = 16;
/// Longest name of a meter, in bytes.
const NAME_MAX: usize = 64;

/// How the node works with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::site) enum Kind {
    /// It is only read.
    Meter,
    /// Its power is the site's PV, and it may be turned down.
    Pv,
    /// It is the site's battery, and may be told what to do.
    Battery,
}

/// A real device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::site) struct Place {
    pub(in crate::site) name: String,
    pub(in crate::site) kind: Kind,
    pub(in crate::site) role: Role,
    pub(in crate::site) config: DeviceConfig,
}

/// A virtual meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::site) struct VirtualPlace {
    pub(in crate::site) name: String,
    pub(in crate::site) role: Role,
    pub(in crate::site) parts: Vec<Part>,
}

/// All meters of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::site) struct Plan {
    pub(in crate::site) devices: Vec<Place>,
    pub(in crate::site) virtuals: Vec<VirtualPlace>,
    /// The place of the meter that settles; `None` only where there are no devices.
    pub(in crate::site) settles: Option<usize>,
}

impl Plan {
    /// The names by place.
    pub(in crate::site) fn names(&self) -> impl Iterator<Item = &str> {
        let virtuals = self.virtuals.iter().map(|it| it.name.as_str());
        self.devices.iter().map(|it| it.name.as_str()).chain(virtuals)
    }

    /// The roles by place.
    pub(in crate::site) fn roles(&self) -> impl Iterator<Item = Role> {
        self.devices.iter().map(|it| it.role).chain(self.virtuals.iter().map(|it| it.role))
    }

    /// The places of the devices without which the site's state is not known: what settles, and all
    /// that it rests on, the PV and the batteries.
    pub(in crate::site) fn needed(&self) -> BTreeSet<usize> {
        let mut needed: BTreeSet<usize> = self.settles.into_iter().collect();
        // From the last on: what a virtual meter rests on comes before it.
        for (index, virtual_place) in self.virtuals.iter().enumerate().rev() {
            if needed.remove(&(self.devices.len() + index)) {
                needed.extend(virtual_place.parts.iter().map(|part| part.place));
            }
        }
        let commanded =
            |(place, device): (usize, &Place)| (device.kind != Kind::Meter).then_some(place);
        needed.extend(self.devices.iter().enumerate().filter_map(commanded));
        needed
    }
}

fn refuse<T>(setting: &'static str, problem: String) -> Result<T, SiteError> {
    Err(SiteError::Setting { setting, problem })
}

impl SiteConfig {
    /// Checks what is said of devices and how they belong together.
    pub(in crate::site) fn plan(&self) -> Result<Plan, SiteError> {
        let devices = self.places()?;
        check_devices(&devices)?;
        let virtuals = self.virtual_places(&devices)?;
        let mut plan = Plan { devices, virtuals, settles: None };
        let mut seen = BTreeSet::new();
        if let Some(name) = plan.names().find(|name| !seen.insert(*name)) {
            return refuse("site", format!("names two meters `{name}`"));
        }
        if let Some(name) = plan.names().find(|name| name.is_empty() || name.len() > NAME_MAX) {
            return refuse("site", format!("names a meter `{name}`; take 1 to {NAME_MAX} bytes"));
        }
        plan.settles = self.settling(&plan)?;
        Ok(plan)
    }

    /// The real devices, the meter first.
    fn places(&self) -> Result<Vec<Place>, SiteError> {
        let commanded = |kind, role: Role, devices: &[DeviceConfig]| -> Result<Vec<Place>, _> {
            let base = if role == Role::Grid { "meter" } else { role.name() };
            (1..)
                .zip(devices)
                .map(|(number, device): (u32, &DeviceConfig)| {
                    let numbered =
                        || if number == 1 { base.to_owned() } else { format!("{base} {number}") };
                    let name = device.site.name.clone().unwrap_or_else(numbered);
                    if device.site.role.is_some() {
                        return refuse("role", format!("is set for `{name}`, whose place says it"));
                    }
                    Ok(Place { name, kind, role, config: device.clone() })
                })
                .collect()
        };
        let further = self.meters.iter().map(|device| {
            let Some(name) = device.site.name.clone() else {
                return refuse("site.meters", "has no name".to_owned());
            };
            let Some(role) = device.site.role else {
                return refuse("site.meters", format!("`{name}` has no role"));
            };
            Ok(Place { name, kind: Kind::Meter, role, config: device.clone() })
        });
        let mut all = commanded(Kind::Meter, Role::Grid, self.meter.as_slice())?;
        all.extend(commanded(Kind::Pv, Role::Pv, &self.pv)?);
        all.extend(commanded(Kind::Battery, Role::Battery, &self.battery)?);
        all.extend(further.collect::<Result<Vec<Place>, SiteError>>()?);
        Ok(all)
    }

    fn virtual_places(&self, devices: &[Place]) -> Result<Vec<VirtualPlace>, SiteError> {
        if self.virtual_meters.len() > VIRTUAL_MAX {
            return refuse("site.virtual", format!("names more than {VIRTUAL_MAX} meters"));
        }
        let real: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        let named: Vec<(&str, &[Term])> =
            self.virtual_meters.iter().map(|it| (it.name.as_str(), it.sum.as_slice())).collect();
        let ordered = in_order(&real, &named).map_err(|rejected| SiteError::Setting {
            setting: "site.virtual",
            problem: format!("makes no sense: {rejected}"),
        })?;
        let place = |(index, parts): (usize, Vec<Part>)| {
            let VirtualConfig { name, role, .. } = self.virtual_meters.get(index)?;
            Some(VirtualPlace { name: name.clone(), role: *role, parts })
        };
        Ok(ordered.into_iter().filter_map(place).collect())
    }

    /// The place of the meter that settles.
    fn settling(&self, plan: &Plan) -> Result<Option<usize>, SiteError> {
        let mut roles = plan.roles();
        let found = match &self.settles {
            Some(name) => match plan.names().position(|it| it == name) {
                Some(place) => place,
                None => {
                    return refuse("site.settles", format!("names `{name}`, which is no meter"));
                }
            },
            None if self.meter.is_some() => 0,
            None if plan.devices.is_empty() => return Ok(None),
            None => {
                let mut at_grid =
                    plan.roles().zip(0_usize..).filter(|(role, _)| *role == Role::Grid);
                match (at_grid.next(), at_grid.next()) {
                    (Some((_, place)), None) => place,
                    (Some(_), Some(_)) => {
                        let problem = "is missing, and there are several meters at the grid";
                        return refuse("site.settles", problem.to_owned());
                    }
                    (None, _) => {
                        let problem = "is missing; without it, other devices are of no use";
                        return refuse("site.meter", problem.to_owned());
                    }
                }
            }
        };
        match roles.nth(found) {
            Some(Role::Grid | Role::Feeder) => Ok(Some(found)),
            Some(Role::Pv | Role::Battery | Role::Load | Role::Generator | Role::Gas) | None => {
                let problem = "names a meter whose role is neither `grid` nor `feeder`";
                refuse("site.settles", problem.to_owned())
            }
        }
    }
}

fn check_devices(devices: &[Place]) -> Result<(), SiteError> {
    if devices.len() > DEVICES_MAX {
        return refuse("site", format!("names more than {DEVICES_MAX} devices"));
    }
    for (index, Place { name, kind, config, .. }) in devices.iter().enumerate() {
        if *kind != Kind::Battery && config.site.capacity_wh.is_some() {
            return refuse("capacity_wh", format!("is set for `{name}`, but is for batteries"));
        }
        let same = |other: &&Place| other.kind == *kind && other.config.driver == config.driver;
        if let Some(other) = devices.iter().take(index).find(same) {
            return refuse("site", format!("names one device as `{}` and as `{name}`", other.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_virtual_settling_meter_rests_on_is_needed_and_the_rest_is_not() {
        let config: SiteConfig = toml::from_str(
            r#"
            settles = "house"
            meter = { address = "a" }
            pv = [{ address = "b" }]
            [[meters]]
            name = "barn"
            role = "load"
            address = "c"
            [[meters]]
            name = "oven"
            role = "load"
            address = "d"
            [[virtual]]
            name = "house"
            role = "grid"
            sum = ["meter", "-barns"]
            [[virtual]]
            name = "barns"
            role = "load"
            sum = ["barn"]
            "#,
        )
        .unwrap();
        let plan = config.plan().unwrap();
        assert_eq!(plan.settles, Some(5));
        assert_eq!(plan.needed().into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
