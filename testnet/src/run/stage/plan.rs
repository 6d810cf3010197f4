//! What a charter, a plant and a timeline are made from.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex};

use boltgrid_protocol::charter::{Charter, Disclosure, Feeder, Timing};
use boltgrid_protocol::units::{Power, Timestamp};

use super::StageError;
use crate::devices::SharedPlant;
use crate::plant::{Plant, PlantOptions, TICKS_PER_INTERVAL};
use crate::run::charter::{self, Terms};
use crate::run::founding::{self, Role};
use crate::run::timeline::{Timeline, startup_ms};
use crate::scenario::Scenario;

/// What a charter, a plant and a timeline follow from.
pub(super) struct Plan<'a> {
    pub(super) scenario: &'a Arc<Scenario>,
    pub(super) interval_ms: u64,
    pub(super) nodes: usize,
    pub(super) copies: usize,
    pub(super) from_row: usize,
    pub(super) seed: u64,
    pub(super) pays: bool,
    pub(super) readings: Disclosure,
    pub(super) pay_within_intervals: NonZeroU64,
    pub(super) has_feeders: bool,
}

impl Plan<'_> {
    /// The charter of a run whose first interval begins at `begins`.
    pub(super) fn charter(&self, begins: Timestamp) -> Result<Charter, StageError> {
        let local_s = self.scenario.profiles.time_of_row(self.from_row).local_s();
        let local_ms = u64::try_from(local_s).unwrap_or(0).saturating_mul(1000);
        let clock = charter::tariff_clock(self.interval_ms, begins.to_unix_ms(), local_ms)
            .ok_or(StageError::Interval(self.interval_ms))?;
        let copies = i64::try_from(self.copies).unwrap_or(i64::MAX);
        let rated_mw = self.scenario.grid.transformer.to_milliwatts().saturating_mul(copies);
        let terms = Terms {
            name: &self.scenario.name,
            interval_ms: self.interval_ms,
            voters: self.nodes,
            connection: Power::from_milliwatts(rated_mw),
            registrar: founding::key(self.seed, Role::Registrar, 0).participant_id(),
            clock,
            readings: self.readings,
            pay_within_intervals: self.pay_within_intervals,
            feeders: self.feeders(),
        };
        charter::charter(&terms).map_err(|source| StageError::Charter {
            nodes: self.nodes,
            interval_ms: self.interval_ms,
            source,
        })
    }

    /// The cables that leave the busbar, where they have meters; all of them as one where sites hide
    /// one another, since few are behind any one.
    pub(super) fn feeders(&self) -> Vec<Feeder> {
        if !self.has_feeders {
            return Vec::new();
        }
        let nodes = NonZeroUsize::new(self.nodes).unwrap_or(NonZeroUsize::MIN);
        let names: Vec<_> =
            self.scenario.sites(nodes, self.seed).into_iter().map(|site| site.name).collect();
        let points = |sites: Vec<usize>| {
            sites.into_iter().filter_map(|site| names.get(site).cloned()).collect()
        };
        let cables = if self.readings.is_masked() {
            vec![Scenario::busbar(nodes)]
        } else {
            self.scenario.cables(nodes, self.seed)
        };
        let cables = cables.into_iter();
        cables
            .map(|cable| Feeder { name: cable.name, connection_points: points(cable.sites) })
            .collect()
    }

    pub(super) fn timing(&self) -> Result<Timing, StageError> {
        Ok(self.charter(Timestamp::from_unix_ms(0))?.interval)
    }

    pub(super) fn timeline(&self) -> Result<Timeline, StageError> {
        let rows = (self.from_row, self.scenario.profiles.rows());
        let startup_ms = startup_ms(self.nodes, self.pays);
        Ok(Timeline::plan(boltgrid::clock::now(), &self.timing()?, startup_ms, rows))
    }

    pub(super) fn plant(&self, timeline: &Timeline) -> Result<SharedPlant, StageError> {
        let options = PlantOptions {
            nodes: NonZeroUsize::new(self.nodes).unwrap_or(NonZeroUsize::MIN),
            seed: self.seed,
            interval_ms: self.interval_ms,
            ticks_per_interval: TICKS_PER_INTERVAL,
            start_row: timeline.epoch_row,
            epoch: timeline.epoch,
        };
        let plant = Plant::new(Arc::clone(self.scenario), options)?;
        let plant = if self.readings.is_masked() { plant.metered_at_busbar() } else { plant };
        Ok(Arc::new(Mutex::new(plant)))
    }
}
