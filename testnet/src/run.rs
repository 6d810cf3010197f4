//! One run of a testnet: set the stage, start the nodes, watch interval after interval, report.
//!
//! ```text
//!   stage ──► founding   charter, keys, enrolments, configs in a folder
//!         └─► plant and devices (crate::plant, crate::devices)
//!   course ─► fleet      the nodes, each a process of its own
//!          ├► agenda     what is to go wrong next (faults)
//!          ├► hostility  peers that send what they must not
//!          ├► rogues     members that play a part against the others (crate::rogue)
//!          ├► miners     mining machines, and what must hold of them
//!          ├► observation ─► invariants, report
//!          └► table, display, page
//! ```

mod afterwards;
pub mod agenda;
pub mod charter;
mod course;
mod dashboards;
pub mod deluge;
pub mod disks;
pub mod display;
pub mod exposure;
pub mod faults;
pub mod fleet;
pub mod founding;
pub mod fraud;
pub mod hostile;
pub mod hostility;
pub mod invariants;
pub mod links;
pub mod located;
pub mod masked;
pub mod miners;
pub mod money;
pub mod observation;
pub mod overheard;
pub mod page;
pub mod payments;
pub mod ports;
pub mod process;
pub mod report;
pub mod rogues;
pub mod spans;
pub mod stage;
pub mod table;
pub mod timeline;
pub mod usage;

use std::fs;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use boltgrid_protocol::charter::Disclosure;
use course::Course;
use display::Display;
use fleet::{Fleet, FleetError};
use money::{Money, MoneyError, Opened};
use page::Page;
use payments::Settlement;
use report::Report;
use rogues::{RogueError, Rogues};
use stage::{Stage, StageError};

use crate::chain::Choice;
use crate::devices::Meters;
use crate::scenario::RURAL1;
use crate::signals::Stop;

/// What a run should be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// The name of a built-in scenario, or a folder.
    pub scenario: String,
    /// How many nodes; as many as the scenario has sites where nothing is said.
    pub nodes: Option<NonZeroUsize>,
    /// How long an interval is; each stands for a row of the profiles.
    pub interval_ms: u64,
    /// How many intervals; without end where nothing is said.
    pub intervals: Option<NonZeroU64>,
    /// The time in the profiles to begin with.
    pub from: Option<String>,
    /// What keys, copies of sites and flicker follow from.
    pub seed: u64,
    /// The chain that is paid on; none, and nothing is paid.
    pub chain: Option<Choice>,
    /// Who opens the first channels.
    pub channels: Opened,
    /// What the grid meters speak.
    pub meters: Meters,
    /// Whether mining machines stand at some sites.
    pub miners: bool,
    /// Whether the same is run without them first, to compare.
    pub compare_without_miners: bool,
    /// Who sees the members' readings.
    pub readings: Disclosure,
    /// How many intervals everyone has to pay for one.
    pub pay_within_intervals: NonZeroU64,
    /// A file that says what is to go wrong.
    pub faults: Option<PathBuf>,
    /// Where the report is written.
    pub report: Option<PathBuf>,
    /// Plain lines, even on a terminal.
    pub headless: bool,
    /// Where the run's own page is; any free port of loopback where nothing is said.
    pub page: Option<SocketAddr>,
    /// A folder for everything that is removed otherwise.
    pub keep: Option<PathBuf>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            scenario: RURAL1.to_owned(),
            nodes: None,
            interval_ms: 10_000,
            intervals: None,
            from: None,
            seed: 1,
            chain: Some(Choice::Embedded),
            channels: Opened::default(),
            readings: Disclosure::default(),
            pay_within_intervals: charter::PAY_WITHIN_INTERVALS,
            meters: Meters::default(),
            miners: false,
            compare_without_miners: false,
            faults: None,
            report: None,
            headless: false,
            page: None,
            keep: None,
        }
    }
}

/// Why a run came to nothing, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be set up.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Its nodes.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// Its rogues.
    #[error("a rogue cannot play: {0}")]
    Rogues(#[from] RogueError),
    /// Its money.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Nodes that do not find the others.
    #[error(
        "after {seconds} s these nodes are not ready: {}; keep their logs with --keep, and take \
         fewer nodes or longer intervals on a slow machine", names.join(", ")
    )]
    NotReady {
        /// Which.
        names: Vec<String>,
        /// How long they had.
        seconds: u64,
    },
    /// Its page.
    #[error("the testnet's page cannot be shown at {address}: {source}; name another --page")]
    Page {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Where dashboards are cannot be written down.
    #[error("where the dashboards are cannot be written into the run's folder: {0}")]
    Dashboards(#[source] io::Error),
    /// No threads to run on.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// This program cannot be found.
    #[error("this program cannot be started again as a node: {0}")]
    Program(#[source] io::Error),
    /// Signals cannot be waited for.
    #[error("signals cannot be waited for: {0}")]
    Signals(#[source] io::Error),
    /// A fault that cannot be carried out.
    #[error("cannot {what}: {source}")]
    Fault {
        /// What was to be done.
        what: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// The report cannot be written.
    #[error("the report {} cannot be written: {source}", path.display())]
    Report {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Runs a testnet until it has seen all intervals, a signal ends it, or a node ends by itself.
///
/// # Errors
///
/// [`RunError`]; nodes are stopped and the report of what was seen is written all the same.
pub async fn run(options: &RunOptions) -> Result<Report, RunError> {
    run_and_tell(options).await.map(|(report, _)| report)
}

/// The same, and tells of every tranche that was paid.
///
/// # Errors
///
/// As [`run`].
pub async fn run_and_tell(options: &RunOptions) -> Result<(Report, Vec<Settlement>), RunError> {
    if !options.compare_without_miners {
        return run_once(options, None, pending()).await;
    }
    let without = RunOptions {
        miners: false,
        compare_without_miners: false,
        report: None,
        keep: None,
        ..options.clone()
    };
    let (without, settlements) = run_once(&without, None, pending()).await?;
    let seen = u64::try_from(without.intervals.len()).unwrap_or(u64::MAX);
    if options.intervals.is_some_and(|intervals| seen < intervals.get()) {
        // A signal ended it, and means both.
        return Ok((without, settlements));
    }
    run_once(options, Some(&without), pending()).await
}

/// Runs a testnet while something else is done, from the moment when its nodes have found each other.
///
/// `None` where the run ended first: by a signal, or since it had seen all intervals.
///
/// # Errors
///
/// As [`run`].
pub async fn run_beside<T>(
    options: &RunOptions,
    other: impl Future<Output = T>,
) -> Result<Option<T>, RunError> {
    let mut done = None;
    run_once(options, None, async { done = Some(other.await) }).await?;
    Ok(done)
}

async fn run_once(
    options: &RunOptions,
    without_miners: Option<&Report>,
    beside: impl Future<Output = ()>,
) -> Result<(Report, Vec<Settlement>), RunError> {
    let program = std::env::current_exe().map_err(RunError::Program)?;
    let mut stop = Stop::new().map_err(RunError::Signals)?;
    let display = Display::new(options.headless);
    // First, so that who waits for it sees that the rest is on its way.
    let address = options.page.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
    let page = Page::open(address).await.map_err(|source| RunError::Page { address, source })?;
    display.row(&format!("the testnet's page is at http://{}/", page.address));
    let stage = Stage::set(options).await?;
    let folder = stage.folder.path().display();
    display.row(&format!("starting {} nodes in {folder}", stage.places.len()));
    if let Some(park) = &stage.park {
        display.row(&park.told());
    }
    let roles = stage.rogues();
    let tell = |node, pid| stage.node_is(node, pid);
    let places = (stage.places.clone(), stage.feeders.clone());
    let fleet = Fleet::start(program, places, &roles, &tell)?;
    let honest = (0..).zip(&stage.places).filter(|(place, _)| !roles.contains_key(place));
    let told = dashboards::told(honest.map(|(_, place)| place), stage.folder.path());
    display.row(&told.map_err(RunError::Dashboards)?);
    let rogues = Rogues::start(&stage, options.seed, roles)?;
    let money = money(&stage, &fleet, options)?;
    let course = Course::new(options, &stage, (fleet, rogues), money, &display);
    let mut course = course.shown_on(&page);
    let ready = course.ready();
    let ran = tokio::select! {
        ran = course.run() => ran,
        () = stop.asked() => Ok(()),
        () = async {
            ready.notified().await;
            beside.await;
        } => Ok(()),
    };
    display.now("stopping".to_owned());
    course.rogues.end().await;
    let stopped = course.fleet.stop().await;
    let (mut report, settlements) = (course.report(), course.settlements());
    if let Some(without) = without_miners {
        miners::compare(&mut report, without);
    }
    let written = options.report.as_deref().map_or(Ok(()), |path| write(path, &report));
    if let Ok(slow) = stopped.as_deref()
        && !slow.is_empty()
    {
        display.row(&format!("killed, since they did not stop in time: {}", slow.join(", ")));
    }
    drop(course);
    display.end(&table::summary(&report));
    stage.farm.stop().await;
    if let Some(park) = stage.park {
        park.stop().await;
    }
    let chain = match stage.chain {
        Some(chain) => chain.stop().await.map_err(StageError::from),
        None => Ok(()),
    };
    ran?;
    stopped?;
    written?;
    chain?;
    Ok((report, settlements))
}

/// The money of all nodes, where there is a chain.
fn money(stage: &Stage, fleet: &Fleet, options: &RunOptions) -> Result<Option<Money>, MoneyError> {
    let Some(chain) = &stage.chain else { return Ok(None) };
    let nodes = fleet.members.iter().filter(|member| member.is_up());
    let places = nodes.map(|member| &member.place);
    Money::new(chain.client(), options.seed, options.channels, places).map(Some)
}

fn write(path: &Path, report: &Report) -> Result<(), RunError> {
    let mut json = serde_json::to_string_pretty(report).expect("a report is plain data");
    json.push('\n');
    fs::write(path, json).map_err(|source| RunError::Report { path: path.to_owned(), source })
}
