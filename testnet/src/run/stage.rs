//! Sets the stage of a run: checks everything, founds the grid in a folder, and starts the plant
//! with its devices. What can be wrong with what was asked for is said here.
//! Not for: the nodes.

mod error;
mod folder;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::units::Timestamp;

pub use error::{KeepProblem, StageError};
pub use folder::Folder;
use plan::Plan;

use super::disks::Disks;
use super::faults::{self, Fault, FaultKind, Who};
use super::founding::{Founding, NodePorts, Place};
use super::links::Links;
use super::miners::Park;
use super::ports::{self, Port};
use super::timeline::Timeline;
use super::{RunError, RunOptions};
use crate::chain::Source;
use crate::devices::{DeviceFarm, SharedPlant};
use crate::plant::{ROW_MS, TICKS_PER_INTERVAL};
use crate::rogue::Role as RogueRole;
use crate::scenario::Scenario;

/// Where a run begins where nothing is said and the scenario's data allow it.
const FROM: &str = "2016-05-25T09:00:00";
/// The folder of a bitcoind, inside the run's.
const CHAIN_DIR: &str = "bitcoind";
/// Shortest interval.
const INTERVAL_MS_MIN: u64 = 1_000;

/// All that a run needs besides its nodes.
#[derive(Debug)]
pub struct Stage {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The grid's charter.
    pub charter: Charter,
    /// When what begins.
    pub timeline: Timeline,
    /// The row of the profiles that the run was to begin with.
    pub from_row: usize,
    /// The plant, in motion from the timeline's epoch on.
    pub plant: SharedPlant,
    /// The devices of the sites.
    pub farm: DeviceFarm,
    /// The mining machines, where there are any.
    pub park: Option<Park>,
    /// A place for every node.
    pub places: Vec<Place>,
    /// A place for the meter of every cable, where they have meters.
    pub feeders: Vec<Place>,
    /// What is to go wrong.
    pub faults: Vec<Fault>,
    /// The links between nodes, where faults concern them.
    pub links: Option<Links>,
    /// The chain that is paid on.
    pub chain: Option<Source>,
    /// The disks that are to be full; unmounted before the folder goes.
    pub disks: Disks,
    /// Where everything is.
    pub folder: Folder,
}

impl Stage {
    /// Checks what was asked for, and sets everything up.
    ///
    /// # Errors
    ///
    /// [`StageError`], saying what to change.
    pub async fn set(options: &RunOptions) -> Result<Self, RunError> {
        let stage = Self::try_set(options).await;
        Ok(stage?)
    }

    async fn try_set(options: &RunOptions) -> Result<Self, StageError> {
        let RunOptions { interval_ms, seed, .. } = *options;
        check_interval(interval_ms)?;
        let scenario = Arc::new(Scenario::open(&options.scenario)?);
        let nodes = options.nodes.map_or_else(|| sites(&scenario), NonZeroUsize::get);
        let from_row = from_row(&scenario, options.from.as_deref())?;
        let faults = match &options.faults {
            Some(path) => faults::load(path, nodes, interval_ms)?,
            None => Vec::new(),
        };
        let plan = Plan {
            scenario: &scenario,
            interval_ms,
            nodes,
            copies: nodes.div_ceil(sites(&scenario)),
            from_row,
            seed,
            pays: options.chain.is_some(),
            readings: options.readings,
            pay_within_intervals: options.pay_within_intervals,
            has_feeders: options.readings.is_masked()
                || faults.iter().any(|it| matches!(it.kind, FaultKind::Falsify { .. })),
        };
        // Refuses what cannot be before anything is made.
        plan.charter(Timestamp::from_unix_ms(0))?;
        let folder = Folder::make(options.keep.as_deref())?;

        let chain = match &options.chain {
            Some(choice) => Some(Source::start(choice, &folder.path().join(CHAIN_DIR)).await?),
            None => None,
        };
        let held = ports::hold((nodes + plan.feeders().len()) * 3).map_err(StageError::Ports)?;
        let mut ports = ports_of(&held);
        let of_feeders = ports.split_off(nodes);
        let links = links(&faults, &mut ports, seed).await?;
        let timeline = plan.timeline()?;
        let charter = plan.charter(plan.timing()?.start_of(timeline.first))?;
        let plant = plan.plant(&timeline)?;
        let (park, farm) = equipment(&plant, options, nodes).await?;
        machines_stand(&faults, park.as_ref())?;
        let mining = park.as_ref().map(Park::of_sites).unwrap_or_default();
        let clocks_skewed = faults.iter().any(|fault| matches!(fault.kind, FaultKind::Skew { .. }));
        let founding = Founding {
            dir: folder.path(),
            charter: &charter,
            seed,
            clocks_skewed,
            chain: chain.as_ref().map(Source::access),
            channels: options.channels,
            mining: &mining,
        };
        let places = founding.write(farm.sites(), &ports)?;
        let feeders = founding.write_feeders(farm.cables(), &of_feeders, &places)?;
        let disks = Disks::mount(to_be_full(&faults, &places))?;
        Ok(Self {
            scenario,
            charter,
            timeline,
            from_row,
            plant,
            farm,
            park,
            places,
            feeders,
            faults,
            links,
            chain,
            disks,
            folder,
        })
    }

    /// Notes which process a node is now, so that its links know it.
    pub fn node_is(&self, node: usize, pid: u32) {
        if let Some(links) = &self.links {
            links.node_is(node, Some(pid));
        }
    }

    /// Which sites are played by rogues, counted as in the scenario, and what they play.
    #[must_use]
    pub fn rogues(&self) -> BTreeMap<usize, RogueRole> {
        let role = |fault: &Fault| match fault.kind {
            FaultKind::Rogue { node, role } => Some((node, role)),
            FaultKind::Kill { .. }
            | FaultKind::Restart { .. }
            | FaultKind::Pause { .. }
            | FaultKind::Skew { .. }
            | FaultKind::DiskFull { .. }
            | FaultKind::Links { .. }
            | FaultKind::Flood { .. }
            | FaultKind::Reorg { .. }
            | FaultKind::Falsify { .. }
            | FaultKind::Cloud { .. }
            | FaultKind::Machine { .. }
            | FaultKind::Hostile => None,
        };
        self.faults.iter().filter_map(role).collect()
    }

    /// How many votes decide.
    #[must_use]
    pub fn quorum(&self) -> usize {
        let voters = self.places.len();
        voters - voters.saturating_sub(1) / 3
    }

    /// The label of the row that an interval stands for.
    #[must_use]
    pub fn local_time(&self, interval: boltgrid_protocol::units::Interval) -> String {
        let timing = &self.charter.interval;
        let passed_ms = timing.start_of(interval).ms_since(self.timeline.epoch);
        let passed = usize::try_from(passed_ms / timing.interval_ms).unwrap_or(0);
        self.scenario.profiles.time_of_row(self.timeline.epoch_row + passed).to_string()
    }
}

/// The mining machines, where there are any, and the devices of all sites: machines first, since what
/// they draw is in what stands on their sites' equipment.
async fn equipment(
    plant: &SharedPlant,
    options: &RunOptions,
    nodes: usize,
) -> Result<(Option<Park>, DeviceFarm), StageError> {
    let park = match options.miners {
        true => Some(Park::open(plant, nodes, options.interval_ms).await?),
        false => None,
    };
    let clock = Arc::new(boltgrid::clock::now);
    let farm = DeviceFarm::start(Arc::clone(plant), clock, options.meters).await?;
    Ok((park, farm))
}

/// Every machine that is to misbehave is there.
fn machines_stand(faults: &[Fault], park: Option<&Park>) -> Result<(), StageError> {
    for fault in faults {
        let FaultKind::Machine { node, machine, .. } = &fault.kind else { continue };
        if park.is_some_and(|park| park.number_of(*node, machine).is_some()) {
            continue;
        }
        let stands = park.iter().flat_map(|park| &park.stands);
        let known = stands.map(|it| format!("{} at {}", it.name, it.is.spec.site)).collect();
        return Err(StageError::NoMachine { node: *node, machine: machine.clone(), known });
    }
    Ok(())
}

/// The ports of nodes, three each.
fn ports_of(held: &[Port]) -> Vec<NodePorts> {
    held.chunks_exact(3)
        .map(|three| [&three[0], &three[1], &three[2]].map(Port::number))
        .map(|[peers, rpc, lightning]| NodePorts { peers, rpc, lightning, proxy: None })
        .collect()
}

/// Proxies between the nodes, where faults concern links.
async fn links(
    faults: &[Fault],
    ports: &mut [NodePorts],
    seed: u64,
) -> Result<Option<Links>, StageError> {
    if !faults.iter().any(|fault| matches!(fault.kind, FaultKind::Links { .. })) {
        return Ok(None);
    }
    let target = |ports: &NodePorts| SocketAddr::from((Ipv4Addr::LOCALHOST, ports.peers));
    let targets: Vec<SocketAddr> = ports.iter().map(target).collect();
    let links = Links::open(&targets, seed).await.map_err(StageError::Links)?;
    for (ports, address) in ports.iter_mut().zip(links.addresses()) {
        ports.proxy = Some(address.port());
    }
    Ok(Some(links))
}

/// The folders of data whose disks are to be full: all, where some are drawn.
fn to_be_full<'a>(faults: &[Fault], places: &'a [Place]) -> Vec<&'a Path> {
    let mut is_full = vec![false; places.len()];
    for fault in faults {
        let FaultKind::DiskFull { who, .. } = fault.kind else { continue };
        match who {
            Who::Drawn => is_full.fill(true),
            Who::Node(node) => is_full[node] = true,
        }
    }
    let full = places.iter().zip(is_full).filter(|(_, is_full)| *is_full);
    full.map(|(place, _)| place.data.as_path()).collect()
}

fn check_interval(interval_ms: u64) -> Result<(), StageError> {
    let fits = (INTERVAL_MS_MIN..=ROW_MS).contains(&interval_ms)
        && ROW_MS.is_multiple_of(interval_ms)
        && interval_ms.is_multiple_of(TICKS_PER_INTERVAL);
    if fits { Ok(()) } else { Err(StageError::Interval(interval_ms)) }
}

/// How many sites a scenario has: buses with devices.
fn sites(scenario: &Scenario) -> usize {
    scenario.devices.iter().map(|device| device.bus).collect::<BTreeSet<_>>().len()
}

fn from_row(scenario: &Scenario, from: Option<&str>) -> Result<usize, StageError> {
    match from {
        Some(text) => Ok(scenario.profiles.row_at(text)?),
        None => Ok(scenario.profiles.row_at(FROM).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn options() -> RunOptions {
        RunOptions::default()
    }

    async fn refused(options: RunOptions) -> String {
        Stage::set(&options).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn the_default_is_thirteen_sites_from_nine_in_the_morning() {
        let stage = Stage::set(&options()).await.unwrap();
        assert_eq!(stage.places.len(), 13);
        assert_eq!(stage.quorum(), 9);
        assert_eq!(stage.local_time(stage.timeline.first), "2016-05-25T09:00:00+01:00");
        assert_eq!(stage.charter.connection.import_capacity_w, 160_000);
        let delivery = stage.charter.interval.start_of(stage.timeline.first);
        assert_eq!(stage.charter.tariff.clock.minute_of_day(delivery), 9 * 60);
        assert_eq!(stage.charter.tariff.clock.month(delivery), 5);
    }

    #[tokio::test]
    async fn more_nodes_than_sites_come_with_more_transformers() {
        let nodes = NonZeroUsize::new(14);
        let stage = Stage::set(&RunOptions { nodes, ..options() }).await.unwrap();
        assert_eq!(stage.places.last().unwrap().name, "bus1-2");
        assert_eq!(stage.charter.connection.export_capacity_w, 320_000);
    }

    #[tokio::test]
    async fn a_run_leaves_no_files_unless_asked_to() {
        let stage = Stage::set(&options()).await.unwrap();
        let path = stage.folder.path().to_owned();
        assert!(path.join("charter.toml").is_file());
        drop(stage);
        assert!(!path.exists());
        let parent = tempfile::tempdir().unwrap();
        let kept = parent.path().join("run");
        let keep = Some(kept.clone());
        drop(Stage::set(&RunOptions { keep, ..options() }).await.unwrap());
        assert!(kept.join("bus1/config.toml").is_file());
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused_with_what_could() {
        let check = async |options, expected: &[&str]| {
            let refusal = refused(options).await;
            for part in expected {
                assert!(refusal.contains(part), "{refusal}");
            }
        };
        let scenario = "nowhere".to_owned();
        check(RunOptions { scenario, ..options() }, &["no scenario `nowhere`", "rural1"]).await;
        for interval_ms in [0, 7_000, 999, 901_000, 1_125] {
            let expected = [&format!("--interval-ms {interval_ms}"), "such as 5000"];
            check(RunOptions { interval_ms, ..options() }, &expected).await;
        }
        let from = Some("2017-05-25".to_owned());
        check(RunOptions { from, ..options() }, &["--from", "2016-01-01T00:00:00+01:00"]).await;
        let nodes = NonZeroUsize::new(94);
        let expected = ["94 nodes", "1000 ms", "take longer ones"];
        check(RunOptions { nodes, interval_ms: 1_000, ..options() }, &expected).await;
        let full = tempfile::tempdir().unwrap();
        fs::write(full.path().join("file"), "").unwrap();
        let keep = Some(full.path().to_owned());
        check(RunOptions { keep, ..options() }, &["is not empty"]).await;
    }
}
