//! One site of the plant: load, PV and battery behind one meter.

use boltgrid_protocol::units::{Energy, MILLION, Power};

use super::Nameplate;
use super::battery::{Battery, BatteryRange};
use super::gas::WellPlant;
use super::machine::MachinePlant;
use super::nameplate::{BatteryNameplate, PvNameplate};
use super::register::{Counter, Register};
use crate::scenario::{Profiles, SHARE_MAX_PPM, Site, Source};

/// An honest meter shows all that flows.
const METERED_PERCENT: u32 = 100;
/// Without clouds but those of the profiles.
const CLEAR_PERCENT: u32 = 100;

/// Mean powers over one tick, as contributions to the import of the site, in mW.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flows {
    pub(super) load_mw: i64,
    pub(super) pv_potential_mw: i64,
    pub(super) pv_mw: i64,
    pub(super) battery_mw: i64,
    pub(super) machines_mw: i64,
    pub(super) generator_mw: i64,
}

impl Flows {
    /// What the meter sees.
    pub(super) const fn net_mw(self) -> i64 {
        self.load_mw + self.pv_mw + self.battery_mw + self.machines_mw + self.generator_mw
    }
}

/// A site, what it has been told and what has passed its meter.
#[derive(Clone, Debug)]
pub(super) struct SitePlant {
    pub(super) site: Site,
    pub(super) nameplate: Nameplate,
    /// Heard during this tick and heeded from the next one on.
    pub(super) pv_limit_ppm: Option<u32>,
    /// Heard during this tick and heeded from the next one on.
    pub(super) battery_range: BatteryRange,
    pub(super) battery: Option<Battery>,
    /// Its mining machines, in the order in which they were installed.
    pub(super) machines: Vec<MachinePlant>,
    /// Its well, where there is one.
    pub(super) well: Option<WellPlant>,
    /// What its grid meter shows of what flows: all of it, unless it is falsified.
    metered_percent: u32,
    /// Told during this tick and shown from the next one on.
    pub(super) metered_percent_next: u32,
    /// By so much its registers were turned back.
    pub(super) turned_back: Energy,
    /// The tick that is running.
    pub(super) flows: Flows,
    /// Of the grid meter, like the next.
    pub(super) imported: Register,
    pub(super) exported: Register,
    pub(super) produced: Register,
    /// What its PV could have given and did not.
    pub(super) curtailed: Counter,
    /// What the sky leaves of what its PV could give, in percent.
    pub(super) sun_percent: u32,
}

impl SitePlant {
    /// A site whose battery has `part / whole` of its capacity and that has been told nothing.
    pub(super) fn new(site: Site, part: u64, whole: u64) -> Self {
        let battery = site.battery.as_ref().map(|rating| Battery::new(rating, part, whole));
        Self {
            nameplate: nameplate(&site, battery.as_ref().map(Battery::capacity)),
            site,
            pv_limit_ppm: None,
            battery_range: BatteryRange::exactly(Power::ZERO),
            battery,
            machines: Vec::new(),
            well: None,
            metered_percent: METERED_PERCENT,
            metered_percent_next: METERED_PERCENT,
            turned_back: Energy::ZERO,
            flows: Flows::default(),
            imported: Register::new(),
            exported: Register::new(),
            produced: Register::new(),
            curtailed: Counter::default(),
            sun_percent: CLEAR_PERCENT,
        }
    }

    /// Begins a tick of `ms` during `row` of the profiles, heeding what was told.
    pub(super) fn begin_tick(&mut self, profiles: &Profiles, row: usize, ms: u64) {
        self.metered_percent = self.metered_percent_next;
        let row = row + self.site.shift_rows;
        let of_row = |sources: &[Source]| -> i64 {
            sources.iter().map(|source| power_mw(source, profiles, row)).sum()
        };
        let load_mw = of_row(&self.site.loads);
        let clear_mw = self.site.pv.as_ref().map_or(0, |pv| of_row(&pv.sources));
        let potential_mw = clear_mw * i64::from(self.sun_percent) / i64::from(CLEAR_PERCENT);
        let limit_mw = self
            .pv_limit_ppm
            .zip(self.site.pv.as_ref())
            .map_or(i64::MAX, |(ppm, pv)| share_mw(pv.rated.to_milliwatts(), ppm));
        let battery = self.battery.as_ref();
        let battery_mw = battery.map_or(0, |battery| battery.power_for(self.battery_range, ms));
        let machines_mw = self.machines.iter_mut().map(|machine| machine.begin_tick(ms)).sum();
        let generator_mw = self.well.as_mut().map_or(0, |well| -well.begin_tick(ms));
        let pv_potential_mw = -potential_mw;
        let pv_mw = -potential_mw.min(limit_mw);
        self.flows =
            Flows { load_mw, pv_potential_mw, pv_mw, battery_mw, machines_mw, generator_mw };
    }

    /// Lets its machines, and its well, move on by a tick of `ms` before the plant does.
    pub(super) fn move_machines(&mut self, ms: u64) {
        if let Some(well) = &mut self.well {
            well.end_tick(ms);
            self.flows.generator_mw = -well.begin_tick(ms);
        }
        self.flows.machines_mw =
            self.machines.iter_mut().map(|machine| machine.begin_tick(ms)).sum();
    }

    /// What the grid meter shows of what flows.
    pub(super) fn metered_mw(&self) -> i64 {
        let mw = i128::from(self.flows.net_mw()) * i128::from(self.metered_percent) / 100;
        i64::try_from(mw).expect("ratings are bounded when the scenario is read")
    }

    /// Ends a tick of `ms`: the registers take in what flowed.
    pub(super) fn end_tick(&mut self, ms: u64) {
        let flows = self.flows;
        self.imported.add(self.metered_mw(), ms);
        self.exported.add(-self.metered_mw(), ms);
        self.produced.add(-flows.pv_mw, ms);
        self.curtailed.add(flows.pv_mw - flows.pv_potential_mw, ms);
        for machine in &mut self.machines {
            machine.end_tick(ms);
        }
        if let Some(well) = &mut self.well {
            well.end_tick(ms);
        }
        if let Some(battery) = &mut self.battery {
            battery.run(flows.battery_mw, ms);
        }
    }
}

fn power_mw(source: &Source, profiles: &Profiles, row: usize) -> i64 {
    share_mw(source.rated.to_milliwatts(), profiles.share_ppm(source.profile, row))
}

fn share_mw(rated_mw: i64, ppm: u32) -> i64 {
    let mw = i128::from(rated_mw) * i128::from(ppm) / i128::from(MILLION);
    i64::try_from(mw).expect("ratings are bounded when the scenario is read")
}

fn nameplate(site: &Site, capacity: Option<Energy>) -> Nameplate {
    let most = |mw: i64| Power::from_milliwatts(share_mw(mw, SHARE_MAX_PPM));
    let load_mw: i64 = site.loads.iter().map(|load| load.rated.to_milliwatts()).sum();
    let pv_mw = site.pv.as_ref().map_or(0, |pv| pv.rated.to_milliwatts());
    let battery_mw = site.battery.map_or(0, |battery| battery.rated.to_milliwatts());
    Nameplate {
        name: site.name.clone(),
        rated_import: most(load_mw + battery_mw),
        rated_export: most(pv_mw + battery_mw),
        pv: site.pv.as_ref().map(|pv| PvNameplate { rated: pv.rated, curtailable: pv.curtailable }),
        battery: site.battery.zip(capacity).map(|(battery, capacity)| BatteryNameplate {
            rated: battery.rated,
            capacity,
            efficiency_ppm: battery.efficiency_ppm,
        }),
    }
}
