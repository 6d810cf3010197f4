//! The physics of the microgrid: what flows where, driven by profiles and by what nodes command.
//!
//! Sans-IO: time is an argument, and the same commands in the same ticks give the same registers
//! however often one looks. Integers throughout; a mW·ms is never lost.
//!
//! Time is compressed honestly: one row of the profiles lasts one market interval, power stays what
//! it is, so energy shrinks along, and battery capacity is scaled by the same factor. State moves in
//! ticks aligned to the edges of intervals: powers change at the end of a tick, and a command is heeded
//! from the next tick on. Grid meters count on within a tick, since a second of a real meter is some
//! milliseconds here; all other registers change at its end.

mod battery;
mod gas;
mod machine;
mod nameplate;
mod register;
mod site;
#[cfg(test)]
mod tests;
mod truth;
mod wires;

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};

use boltgrid_protocol::units::{Energy, Power, Timestamp};

pub use battery::BatteryRange;
use gas::WellPlant;
pub use gas::{WellCommand, WellRating, WellTruth};
use machine::MachinePlant;
pub use machine::{MachineCommand, MachineRating, MachineTruth};
pub use nameplate::{BatteryNameplate, Nameplate, PvNameplate};
use site::SitePlant;
pub use truth::{GridState, LineOverload, SiteRegisters, SiteTruth};
use wires::Wires;

use crate::scenario::{Cable, Scenario};

/// Ticks of an interval, where nothing else is wanted.
pub const TICKS_PER_INTERVAL: u64 = 10;
/// What a row of a scenario's profiles lasts in the world that it was measured in.
pub const ROW_MS: u64 = 900_000;
/// Most sites of one plant.
pub const NODES_MAX: usize = 10_000;
/// Longest interval: a row may be stretched fourfold.
const INTERVAL_MS_MAX: u64 = 4 * ROW_MS;
/// Edges whose registers are kept for looking back.
const EDGES_KEPT: usize = 4096;

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub struct PlantOptions {
    /// How many sites there are.
    pub nodes: NonZeroUsize,
    /// Decides phase and size of copied sites and the flicker of the frequency.
    pub seed: u64,
    /// Length of a market interval, which one row of the profiles lasts.
    pub interval_ms: u64,
    /// Ticks of an interval; must divide its length. See [`TICKS_PER_INTERVAL`].
    pub ticks_per_interval: u64,
    /// The row that begins at `epoch`.
    pub start_row: usize,
    /// The edge of an interval at which the plant starts to move.
    pub epoch: Timestamp,
}

/// Why a plant cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlantError {
    /// The interval has no whole number of ticks or is out of range.
    #[error(
        "an interval of {interval_ms} ms with {ticks_per_interval} ticks: take 1 to {INTERVAL_MS_MAX} ms that the number of ticks divides"
    )]
    Interval {
        /// Length of the interval.
        interval_ms: u64,
        /// Ticks of the interval.
        ticks_per_interval: u64,
    },
    /// The epoch is not the edge of an interval.
    #[error("the plant must start at the edge of an interval, a multiple of {interval_ms} ms")]
    Epoch {
        /// Length of the interval.
        interval_ms: u64,
    },
    /// There is no such row.
    #[error("row {start_row} is outside the profiles, which have {rows} rows")]
    StartRow {
        /// The row asked for.
        start_row: usize,
        /// How many there are.
        rows: usize,
    },
    /// Too many sites.
    #[error("{nodes} nodes are too many: take at most {NODES_MAX}")]
    Nodes {
        /// How many were asked for.
        nodes: usize,
    },
}

/// What a site's equipment may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Give at most this share of rated power, in ppm; `None` lifts the limit.
    PvLimit(Option<u32>),
    /// Keep the battery's power within this range.
    Battery(BatteryRange),
    /// Tell a mining machine something, by its number at the site.
    Machine(usize, MachineCommand),
    /// Tell the generator or the flare of its well something.
    Well(WellCommand),
}

/// Why equipment does not heed a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRejected {
    /// There is no PV, or it is must-run.
    #[error("the site has no PV that can be curtailed")]
    NotCurtailable,
    /// There is no battery.
    #[error("the site has no battery")]
    NoBattery,
    /// There is no such machine.
    #[error("the site has no such mining machine")]
    NoMachine,
    /// There is no well.
    #[error("the site has no well")]
    NoWell,
}

/// A microgrid in motion. Sites are numbered from 0 in the order of [`Scenario::sites`].
///
/// Invariants: the flows of all sites and wires are those of the tick that is running; what the
/// sites took less what they gave is what the transformers took less what they gave, to the mW·ms.
#[derive(Debug)]
pub struct Plant {
    scenario: Arc<Scenario>,
    options: PlantOptions,
    tick_ms: u64,
    /// Whether the epoch has come.
    moves: bool,
    /// Before it has: how many ticks were left when it was looked at last.
    ticks_to_epoch: Option<u64>,
    /// Ticks since the epoch that are over; the next one is running.
    ticks: u64,
    /// How far into the running tick it was looked at last.
    into_tick_ms: u64,
    sites: Vec<SitePlant>,
    cables: Vec<Cable>,
    wires: Wires,
    /// Registers at past edges, the newest last.
    edges: VecDeque<(Timestamp, Vec<SiteRegisters>)>,
    /// What had been turned down by then, edge by edge.
    curtailed_at: VecDeque<Energy>,
}

impl Plant {
    /// A plant that stands at its epoch with half full batteries.
    ///
    /// # Errors
    ///
    /// [`PlantError`] if the options do not fit each other or the scenario.
    pub fn new(scenario: Arc<Scenario>, options: PlantOptions) -> Result<Self, PlantError> {
        check(&scenario, &options)?;
        let PlantOptions { nodes, seed, interval_ms, .. } = options;
        let sites: Vec<SitePlant> = scenario
            .sites(nodes, seed)
            .into_iter()
            .map(|site| SitePlant::new(site, interval_ms, ROW_MS))
            .collect();
        let copies = sites.iter().map(|site| site.site.copy + 1).max().unwrap_or(1);
        let wires = Wires::new(&scenario.grid, copies);
        let cables = scenario.cables(nodes, seed);
        let tick_ms = interval_ms / options.ticks_per_interval;
        let edges = VecDeque::new();
        let moves = false;
        let mut plant = Self {
            scenario,
            options,
            tick_ms,
            moves,
            ticks_to_epoch: None,
            ticks: 0,
            into_tick_ms: 0,
            sites,
            cables,
            wires,
            edges,
            curtailed_at: VecDeque::new(),
        };
        plant.record_edge();
        plant.begin_tick();
        Ok(plant)
    }

    /// The same with one meter where the transformers feed the busbar, and none at the cables.
    #[must_use]
    pub fn metered_at_busbar(self) -> Self {
        let cables = vec![Scenario::busbar(self.options.nodes)];
        Self { cables, ..self }
    }

    /// How many sites there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.sites.len()
    }

    /// The cables that leave the busbar.
    #[must_use]
    pub fn cables(&self) -> &[Cable] {
        &self.cables
    }

    /// Never: a plant has at least one site.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// Finishes every tick that is over at `now`. Before the epoch and backwards nothing moves.
    /// After the last row of the profiles the first one follows.
    ///
    /// What was commanded before the epoch is heeded from the epoch on, but by mining machines: who
    /// speaks to them believes only their watts.
    pub fn step_to(&mut self, now: Timestamp) {
        if !self.moves && now >= self.options.epoch {
            self.moves = true;
            self.begin_tick();
        } else if !self.moves {
            self.move_machines(now);
        }
        let due = now.ms_since(self.options.epoch) / self.tick_ms;
        while self.ticks < due {
            self.end_tick();
            self.into_tick_ms = 0;
            if self.ticks.is_multiple_of(self.options.ticks_per_interval) {
                self.record_edge();
            }
            self.begin_tick();
        }
        let into_ms = if self.moves { now.ms_since(self.now()) } else { 0 };
        // Whoever took the time before others and looks after them sees no register go back.
        self.into_tick_ms = self.into_tick_ms.max(into_ms.min(self.tick_ms));
    }

    /// Tells a site's equipment something at `now`; it is heeded from the next tick on.
    ///
    /// # Errors
    ///
    /// [`CommandRejected`] if the site has nothing that heeds it.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    pub fn command(
        &mut self,
        now: Timestamp,
        site: usize,
        command: Command,
    ) -> Result<(), CommandRejected> {
        self.step_to(now);
        let site = &mut self.sites[site];
        match command {
            Command::PvLimit(limit_ppm) => {
                let pv = site.nameplate.pv.filter(|pv| pv.curtailable);
                pv.ok_or(CommandRejected::NotCurtailable)?;
                site.pv_limit_ppm = limit_ppm;
            }
            Command::Battery(range) => {
                site.nameplate.battery.ok_or(CommandRejected::NoBattery)?;
                site.battery_range = range;
            }
            Command::Machine(number, command) => {
                let machine = site.machines.get_mut(number).ok_or(CommandRejected::NoMachine)?;
                machine.tell(command);
            }
            Command::Well(command) => {
                site.well.as_mut().ok_or(CommandRejected::NoWell)?.tell(command);
            }
        }
        Ok(())
    }

    /// Puts a mining machine behind a site's meter, asleep, and says its number there.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    pub fn install(&mut self, site: usize, rating: MachineRating) -> usize {
        self.install_as(site, MachinePlant::new(rating))
    }

    /// The same with one that its relay keeps without power.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    pub fn install_behind_relay(&mut self, site: usize, rating: MachineRating) -> usize {
        self.install_as(site, MachinePlant::cut_off(rating))
    }

    /// Puts a well with its generator and flare behind a site's meter.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    pub fn install_well(&mut self, site: usize, rating: WellRating) {
        let site = &mut self.sites[site];
        let rated_mw = rating.generator.rated().to_milliwatts();
        let export_mw = site.nameplate.rated_export.to_milliwatts() + rated_mw;
        site.nameplate.rated_export = Power::from_milliwatts(export_mw);
        site.well = Some(WellPlant::new(rating));
    }

    /// A site's well as it is; none where there is none.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    #[must_use]
    pub fn well_truth(&self, site: usize) -> Option<WellTruth> {
        self.sites[site].well.as_ref().map(|well| well.truth(self.into_tick_ms))
    }

    fn install_as(&mut self, site: usize, machine: MachinePlant) -> usize {
        let rating = machine.truth().rating;
        let site = &mut self.sites[site];
        let import_mw = site.nameplate.rated_import.to_milliwatts() + rating.rated.to_milliwatts();
        site.nameplate.rated_import = Power::from_milliwatts(import_mw);
        site.machines.push(machine);
        site.machines.len() - 1
    }

    /// A mining machine as it is, by its site and its number there.
    ///
    /// # Panics
    ///
    /// If there is no such site or machine.
    #[must_use]
    pub fn machine_truth(&self, site: usize, machine: usize) -> MachineTruth {
        self.sites[site].machines[machine].truth()
    }

    /// Lets a site's grid meter show this share of what flows, from the next tick on; 100 is the truth.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    pub fn falsify(&mut self, now: Timestamp, site: usize, shown_percent: u32) {
        self.step_to(now);
        self.sites[site].metered_percent_next = shown_percent;
    }

    /// Lets clouds leave this share of what PV could give, at all sites, from the next tick on; 100 is
    /// what the profiles say.
    pub fn cloud(&mut self, now: Timestamp, sun_percent: u32) {
        self.step_to(now);
        for site in &mut self.sites {
            site.sun_percent = sun_percent;
        }
    }

    /// The mining machines of a site, in the order in which they were installed.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    #[must_use]
    pub fn machines(&self, site: usize) -> Vec<MachineTruth> {
        self.sites[site].machines.iter().map(MachinePlant::truth).collect()
    }

    /// What the PV of all sites could have given and did not, since the epoch.
    #[must_use]
    pub fn curtailed(&self) -> Energy {
        let sum = |sum: Energy, site: &SitePlant| sum.saturating_add(site.curtailed.shown());
        self.sites.iter().fold(Energy::ZERO, sum)
    }

    /// Lets a site's grid meter show so much less than it has counted, from now on; nothing is the truth.
    ///
    /// # Panics
    ///
    /// If there is no such site.
    pub fn turn_back(&mut self, now: Timestamp, site: usize, by: Energy) {
        self.step_to(now);
        self.sites[site].turned_back = by;
    }

    /// The row of the profiles that is running, counted on beyond the last.
    fn row(&self) -> usize {
        let intervals = usize::try_from(self.ticks / self.options.ticks_per_interval);
        self.options.start_row + intervals.expect("a run is shorter than memory is large")
    }

    fn begin_tick(&mut self) {
        let row = self.row();
        for site in &mut self.sites {
            site.begin_tick(&self.scenario.profiles, row, self.tick_ms);
        }
        self.flow();
    }

    /// Lets mining machines move on before the epoch.
    fn move_machines(&mut self, now: Timestamp) {
        let left = self.options.epoch.ms_since(now) / self.tick_ms;
        let before = self.ticks_to_epoch.replace(left).unwrap_or(left);
        for _ in left..before {
            for site in &mut self.sites {
                site.move_machines(self.tick_ms);
            }
        }
        self.flow();
    }

    fn flow(&mut self) {
        let imports = self.sites.iter();
        self.wires.flow(imports.map(|site| (site.site.copy, site.site.bus, site.flows.net_mw())));
    }

    fn end_tick(&mut self) {
        for site in &mut self.sites {
            site.end_tick(self.tick_ms);
        }
        self.wires.count_tick(self.tick_ms);
        self.ticks += 1;
    }

    fn record_edge(&mut self) {
        if self.edges.len() == EDGES_KEPT {
            self.edges.pop_front();
            self.curtailed_at.pop_front();
        }
        let registers = (0..self.sites.len()).map(|site| self.registers(site, 0)).collect();
        self.edges.push_back((self.now(), registers));
        self.curtailed_at.push_back(self.curtailed());
    }
}

fn check(scenario: &Scenario, options: &PlantOptions) -> Result<(), PlantError> {
    let PlantOptions { nodes, interval_ms, ticks_per_interval, start_row, epoch, .. } = *options;
    let rows = scenario.profiles.rows();
    if !(1..=INTERVAL_MS_MAX).contains(&interval_ms)
        || ticks_per_interval == 0
        || !interval_ms.is_multiple_of(ticks_per_interval)
    {
        return Err(PlantError::Interval { interval_ms, ticks_per_interval });
    }
    if !epoch.to_unix_ms().is_multiple_of(interval_ms) {
        return Err(PlantError::Epoch { interval_ms });
    }
    if start_row >= rows {
        return Err(PlantError::StartRow { start_row, rows });
    }
    if nodes.get() > NODES_MAX {
        return Err(PlantError::Nodes { nodes: nodes.get() });
    }
    Ok(())
}
