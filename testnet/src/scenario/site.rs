//! Sites: what one participant owns. One per bus with devices, and copies where more are wanted.
//!
//! Copies keep the roles of the original and differ in phase and size: copy `c` of the grid hangs
//! on the same slack busbar with a transformer and lines of its own, so limits scale along.

use std::num::NonZeroUsize;

use boltgrid_protocol::units::{Energy, MILLION, Power};

use super::device::Kind;
use super::profiles::ProfileId;
use super::splitmix::splitmix64;
use super::{Device, Scenario};

/// A copy runs at most this many quarters of an hour ahead of or behind the original.
const SHIFT_ROWS_MAX: u64 = 4;
/// The smallest copy, in ppm of the original.
const SCALE_MIN_PPM: u64 = 800_000;
/// The largest copy, in ppm of the original.
const SCALE_MAX_PPM: u64 = 1_200_000;

/// What one participant owns behind one meter.
#[derive(Clone, Debug)]
pub struct Site {
    /// The name of the bus, with the number of the copy from the second on: `bus7`, `bus7-2`.
    pub name: String,
    /// Index of the bus in [`super::Grid::buses`].
    pub bus: usize,
    /// Which copy of the grid the bus is in; 0 is the original.
    pub copy: usize,
    /// How many rows ahead of time the site's profiles run, modulo the length of the data.
    pub shift_rows: usize,
    /// The loads.
    pub loads: Vec<Source>,
    /// The PV behind one inverter, if any.
    pub pv: Option<Pv>,
    /// The battery, if any.
    pub battery: Option<Battery>,
}

/// A profile with what it is a share of.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The profile.
    pub profile: ProfileId,
    /// Rated power, a magnitude.
    pub rated: Power,
}

/// PV behind one inverter.
#[derive(Clone, Debug)]
pub struct Pv {
    /// The generators.
    pub sources: Vec<Source>,
    /// Rated power of all of them, a magnitude.
    pub rated: Power,
    /// Whether the inverter obeys a limit. If not, the surplus is must-run.
    pub curtailable: bool,
}

/// A battery at full scale.
#[derive(Clone, Copy, Debug)]
pub struct Battery {
    /// Rated power for charging and discharging, a magnitude.
    pub rated: Power,
    /// What it stores when full.
    pub capacity: Energy,
    /// What is left after charging, and again after discharging, in ppm.
    pub efficiency_ppm: u32,
}

impl Scenario {
    /// The first `nodes` sites: the buses with devices in the order of their numbers, then copies
    /// of them, whose phase and size follow from `seed`.
    ///
    /// Every second site with PV, from the second on, is must-run; the first can be curtailed.
    #[must_use]
    pub fn sites(&self, nodes: NonZeroUsize, seed: u64) -> Vec<Site> {
        let originals = self.original_sites();
        (0..nodes.get())
            .map(|index| {
                let original = &originals[index % originals.len()];
                let copy = index / originals.len();
                match u64::try_from(index) {
                    Ok(salt) if copy > 0 => self.copy_of(original, copy, seed ^ splitmix64(salt)),
                    Ok(_) | Err(_) => original.clone(),
                }
            })
            .collect()
    }

    fn original_sites(&self) -> Vec<Site> {
        let mut buses: Vec<usize> = self.devices.iter().map(|device| device.bus).collect();
        buses.sort_by_key(|bus| bus_order(&self.grid.buses[*bus]));
        buses.dedup();
        let mut sites: Vec<Site> = buses.into_iter().map(|bus| self.site_at(bus)).collect();
        for (rank, pv) in sites.iter_mut().filter_map(|site| site.pv.as_mut()).enumerate() {
            pv.curtailable = rank % 2 == 0;
        }
        sites
    }

    fn site_at(&self, bus: usize) -> Site {
        let devices = || self.devices.iter().filter(|device| device.bus == bus);
        let loads = devices().filter_map(|device| match device.kind {
            Kind::Load { profile } => Some(Source { profile, rated: device.rated }),
            Kind::Pv { .. } | Kind::Battery { .. } => None,
        });
        let generators = devices().filter_map(|device| match device.kind {
            Kind::Pv { profile } => Some(Source { profile, rated: device.rated }),
            Kind::Load { .. } | Kind::Battery { .. } => None,
        });
        let sources: Vec<Source> = generators.collect();
        let rated_mw = sources.iter().map(|source| source.rated.to_milliwatts()).sum();
        let rated = Power::from_milliwatts(rated_mw);
        Site {
            name: self.grid.buses[bus].clone(),
            bus,
            copy: 0,
            shift_rows: 0,
            loads: loads.collect(),
            pv: (!sources.is_empty()).then_some(Pv { sources, rated, curtailable: true }),
            battery: devices().find_map(battery_of),
        }
    }

    fn copy_of(&self, original: &Site, copy: usize, salt: u64) -> Site {
        let scale_ppm = SCALE_MIN_PPM + splitmix64(salt) % (SCALE_MAX_PPM - SCALE_MIN_PPM + 1);
        let shift = splitmix64(salt ^ 1) % (2 * SHIFT_ROWS_MAX + 1);
        // Counted from -4 to 4, then wrapped into the length of the data.
        let rows = self.profiles.rows();
        let behind = usize::try_from(SHIFT_ROWS_MAX).expect("a small constant") % rows;
        let shift_rows = (usize::try_from(shift).expect("at most 8") + rows - behind) % rows;
        let resize = |source: &Source| Source { rated: scale(source.rated, scale_ppm), ..*source };
        Site {
            name: format!("{}-{}", original.name, copy + 1),
            copy,
            shift_rows,
            loads: original.loads.iter().map(resize).collect(),
            pv: original.pv.as_ref().map(|pv| Pv {
                sources: pv.sources.iter().map(resize).collect(),
                rated: scale(pv.rated, scale_ppm),
                ..*pv
            }),
            battery: original.battery.map(|battery| Battery {
                rated: scale(battery.rated, scale_ppm),
                capacity: share(battery.capacity, scale_ppm),
                ..battery
            }),
            ..*original
        }
    }
}

const fn battery_of(device: &Device) -> Option<Battery> {
    match device.kind {
        Kind::Battery { capacity, efficiency_ppm } => {
            Some(Battery { rated: device.rated, capacity, efficiency_ppm })
        }
        Kind::Load { .. } | Kind::Pv { .. } => None,
    }
}

fn share(energy: Energy, scale_ppm: u64) -> Energy {
    energy
        .share_floor(Energy::from_milliwatt_hours(scale_ppm), Energy::from_milliwatt_hours(MILLION))
        .expect("ratings are bounded when the scenario is read")
}

fn scale(rated: Power, scale_ppm: u64) -> Power {
    let mwatt = Energy::from_milliwatt_hours(rated.to_milliwatts().unsigned_abs());
    let scaled = i64::try_from(share(mwatt, scale_ppm).to_milliwatt_hours());
    Power::from_milliwatts(scaled.expect("ratings are bounded when the scenario is read"))
}

/// Orders `bus2` before `bus10`: by the text before the number, then by the number.
fn bus_order(name: &str) -> (String, u64, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[stem.len()..].parse().unwrap_or(u64::MAX);
    (stem.to_owned(), number, name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(nodes: usize, seed: u64) -> Vec<Site> {
        Scenario::builtin("rural1").unwrap().sites(NonZeroUsize::new(nodes).unwrap(), seed)
    }

    #[test]
    fn sites_come_in_the_order_of_bus_numbers() {
        let names: Vec<_> = sites(13, 1).into_iter().map(|site| site.name).collect();
        let expected = "bus1 bus2 bus3 bus5 bus6 bus7 bus8 bus9 bus10 bus11 bus12 bus13 bus14";
        assert_eq!(names.join(" "), expected);
        assert_eq!(sites(3, 1).last().unwrap().name, "bus3");
    }

    #[test]
    fn every_second_site_with_pv_is_must_run() {
        let must_run: Vec<_> = sites(26, 1)
            .into_iter()
            .filter(|site| site.pv.as_ref().is_some_and(|pv| !pv.curtailable))
            .map(|site| site.name)
            .collect();
        assert_eq!(must_run.join(" "), "bus2 bus5 bus8 bus13 bus2-2 bus5-2 bus8-2 bus13-2");
    }

    #[test]
    fn copies_differ_in_phase_and_size_within_bounds_and_follow_the_seed() {
        let (one, again, other) = (sites(50, 7), sites(50, 7), sites(50, 8));
        let traits = |sites: &[Site]| -> Vec<_> {
            sites.iter().map(|site| (site.shift_rows, site.loads[0].rated)).collect()
        };
        assert_eq!(traits(&one), traits(&again));
        assert_ne!(traits(&one), traits(&other));
        for (index, site) in one.iter().enumerate() {
            let original = one[index % 13].loads[0].rated.to_milliwatts();
            let rated = site.loads[0].rated.to_milliwatts();
            assert!((original * 4 / 5..=original * 6 / 5).contains(&rated), "{}", site.name);
            assert!(site.shift_rows <= 4 || site.shift_rows >= 35_136 - 4, "{}", site.name);
            assert_eq!(site.copy, index / 13);
        }
        assert!(one[13..].iter().any(|site| site.shift_rows != 0));
    }
}
