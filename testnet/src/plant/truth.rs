//! What an all-seeing observer reads off the plant: for device fakes, reports and invariants.

use boltgrid_protocol::units::{Energy, Power, Timestamp};

use super::battery::Battery;
use super::{Nameplate, Plant};
use crate::scenario::{Cable, CivilTime, splitmix64};

/// Nominal frequency in mHz.
const FREQUENCY_MHZ: u64 = 50_000;
/// The frequency stays this close to nominal, in mHz.
const FLICKER_MHZ: u64 = 20;

/// A site at one moment: the powers of the running tick, the energies up to its beginning.
///
/// Powers are contributions to the import of the site: loads and charging are positive, PV and
/// discharging negative, and `net` is their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteTruth {
    /// What flows.
    pub net: Power,
    /// What the grid meter shows of it: all, unless it is falsified.
    pub metered: Power,
    /// The loads; never negative.
    pub load: Power,
    /// What the PV could give; never positive.
    pub pv_potential: Power,
    /// What the PV gives; never positive.
    pub pv: Power,
    /// The battery at its terminals.
    pub battery: Power,
    /// The mining machines together; never negative.
    pub machines: Power,
    /// The generator; never positive.
    pub generator: Power,
    /// The registers of the grid meter.
    pub registers: SiteRegisters,
    /// The register of the PV inverter.
    pub pv_produced: Energy,
    /// The battery's register of energy taken in, at its terminals.
    pub battery_charged: Energy,
    /// The battery's register of energy given, at its terminals.
    pub battery_discharged: Energy,
    /// What is in the battery.
    pub battery_stored: Energy,
    /// Voltage of each phase to neutral in mV.
    pub phase_mv: i64,
    /// Frequency in mHz.
    pub frequency_mhz: u64,
}

/// The cumulative registers of a site's grid meter. Like any meter's they do not start at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteRegisters {
    /// Taken from the grid.
    pub imported: Energy,
    /// Given to the grid.
    pub exported: Energy,
}

/// The wires, at one moment and since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridState {
    /// The label of the row of the profiles that is running.
    pub row_time: CivilTime,
    /// Ticks since the epoch that are over.
    pub ticks: u64,
    /// What flows through the transformers into the grid.
    pub transformer: Power,
    /// What the transformers may carry together.
    pub transformer_rated: Power,
    /// The most that they carried in either direction, a magnitude.
    pub transformer_peak: Power,
    /// Taken through the transformers.
    pub imported: Energy,
    /// Given through the transformers.
    pub exported: Energy,
    /// Ticks during which they carried more than they may.
    pub transformer_overload_ticks: u64,
    /// The lines that carried more than rated current at some time.
    pub line_overloads: Vec<LineOverload>,
    /// The current of the most loaded line, in ppm of its rated current.
    pub line_load_max_ppm: i64,
    /// The lowest phase voltage in mV.
    pub phase_mv_min: i64,
    /// The highest phase voltage in mV.
    pub phase_mv_max: i64,
}

/// A line that carried more than its rated current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineOverload {
    /// Its two ends.
    pub line: String,
    /// Which copy of the grid it is in; 0 is the original.
    pub copy: usize,
    /// For how many ticks.
    pub ticks: u64,
}

impl Plant {
    /// When the running tick began.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.options.epoch.plus_ms(self.ticks * self.tick_ms)
    }

    /// What stands on the equipment of a site.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    #[must_use]
    pub fn nameplate(&self, site: usize) -> &Nameplate {
        &self.sites[site].nameplate
    }

    /// What stands on the meter of a cable at the busbar: it measures whatever its sites can do.
    ///
    /// # Panics
    ///
    /// If there is no such cable.
    #[must_use]
    pub fn cable_nameplate(&self, cable: usize) -> Nameplate {
        let Cable { name, sites, .. } = &self.cables[cable];
        let sum = |rated: fn(&Nameplate) -> Power| {
            let mw = sites.iter().map(|site| rated(&self.sites[*site].nameplate).to_milliwatts());
            Power::from_milliwatts(mw.sum())
        };
        Nameplate {
            name: name.clone(),
            rated_import: sum(|site| site.rated_import),
            rated_export: sum(|site| site.rated_export),
            pv: None,
            battery: None,
        }
    }

    /// A site as it is.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    #[must_use]
    pub fn site_truth(&self, site: usize) -> SiteTruth {
        let registers = self.registers(site, self.into_tick_ms);
        let site = &self.sites[site];
        let flows = site.flows;
        let energy =
            |read: fn(&Battery) -> Energy| site.battery.as_ref().map_or(Energy::ZERO, read);
        SiteTruth {
            net: Power::from_milliwatts(flows.net_mw()),
            metered: Power::from_milliwatts(site.metered_mw()),
            load: Power::from_milliwatts(flows.load_mw),
            pv_potential: Power::from_milliwatts(flows.pv_potential_mw),
            pv: Power::from_milliwatts(flows.pv_mw),
            battery: Power::from_milliwatts(flows.battery_mw),
            machines: Power::from_milliwatts(flows.machines_mw),
            generator: Power::from_milliwatts(flows.generator_mw),
            registers,
            pv_produced: site.produced.shown(),
            battery_charged: energy(|battery| battery.charged.shown()),
            battery_discharged: energy(|battery| battery.discharged.shown()),
            battery_stored: energy(Battery::stored),
            phase_mv: self.wires.phase_mv(site.site.copy, site.site.bus),
            frequency_mhz: self.frequency_mhz(),
        }
    }

    /// What a meter at the busbar's end of a cable sees, as if all its sites were one.
    ///
    /// # Panics
    ///
    /// If there is no such cable.
    #[must_use]
    pub fn cable_truth(&self, cable: usize) -> SiteTruth {
        let Cable { copy, line, .. } = self.cables[cable];
        let (net, (imported, exported)) = match line {
            Some(line) => (
                self.wires.line_flow(copy, line),
                self.wires.line_registers((copy, line), self.into_tick_ms),
            ),
            None => (self.wires.transformer(), self.wires.transformer_registers(self.into_tick_ms)),
        };
        SiteTruth {
            net,
            metered: net,
            load: net,
            pv_potential: Power::ZERO,
            pv: Power::ZERO,
            battery: Power::ZERO,
            machines: Power::ZERO,
            generator: Power::ZERO,
            registers: SiteRegisters { imported, exported },
            pv_produced: Energy::ZERO,
            battery_charged: Energy::ZERO,
            battery_discharged: Energy::ZERO,
            battery_stored: Energy::ZERO,
            phase_mv: self.wires.nominal_phase_mv(),
            frequency_mhz: self.frequency_mhz(),
        }
    }

    /// The registers of all meters at the edge of an interval, if it is past and not long ago.
    #[must_use]
    pub fn registers_at(&self, edge: Timestamp) -> Option<&[SiteRegisters]> {
        let found = self.edges.binary_search_by_key(&edge, |(at, _)| *at).ok()?;
        self.edges.get(found).map(|(_, registers)| registers.as_slice())
    }

    /// What all PV had been turned down by at the edge of an interval, if it is past and not long ago.
    #[must_use]
    pub fn curtailed_at(&self, edge: Timestamp) -> Option<Energy> {
        let found = self.edges.binary_search_by_key(&edge, |(at, _)| *at).ok()?;
        self.curtailed_at.get(found).copied()
    }

    /// The wires as they are and were.
    #[must_use]
    pub fn grid_state(&self) -> GridState {
        let (phase_mv_min, phase_mv_max) = self.wires.phase_mv_range();
        let overloads = self.wires.overloaded_lines();
        GridState {
            row_time: self.scenario.profiles.time_of_row(self.row()),
            ticks: self.ticks,
            transformer: self.wires.transformer(),
            transformer_rated: self.wires.transformer_limit(),
            transformer_peak: Power::from_milliwatts(self.wires.transformer_peak_mw),
            imported: self.wires.imported.shown(),
            exported: self.wires.exported.shown(),
            transformer_overload_ticks: self.wires.transformer_overload_ticks,
            line_overloads: overloads
                .map(|(copy, line, ticks)| LineOverload { line, copy, ticks })
                .collect(),
            line_load_max_ppm: self.wires.line_load_max_ppm(),
            phase_mv_min,
            phase_mv_max,
        }
    }

    /// The registers of a site `ms` into the tick.
    pub(super) fn registers(&self, site: usize, ms: u64) -> SiteRegisters {
        let site = &self.sites[site];
        let shown = |counted: Energy| counted.saturating_sub(site.turned_back);
        SiteRegisters {
            imported: shown(site.imported.shown_after(site.metered_mw(), ms)),
            exported: shown(site.exported.shown_after(-site.metered_mw(), ms)),
        }
    }

    /// A frequency that differs from tick to tick and not from run to run.
    const fn frequency_mhz(&self) -> u64 {
        let flicker = splitmix64(self.options.seed ^ self.ticks) % (2 * FLICKER_MHZ + 1);
        FREQUENCY_MHZ - FLICKER_MHZ + flicker
    }
}
