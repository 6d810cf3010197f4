//! A plan carried out: a chain, real processes, links that can be cut, and what happens to them.
//!
//! What a node owes to itself is found out elsewhere ([`super::finish`], [`super::check`]).

mod doing;
mod founding;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use bitcoin::Address;
use boltgrid_protocol::lightning::{LightningId, PaymentHash};
use boltgrid_testnet::chain::{Choice, Client, Faucet, FaucetError, Source, SourceError};
use boltgrid_testnet::run::disks::Disks;
use boltgrid_testnet::run::ports;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::check::{Deal, Violation};
use super::counts::Counts;
use super::line::{Ask, Seen, Told};
use super::link::Link;
use super::plan::Plan;
use super::power::PowerDisk;
use super::process::{Asker, LOG_FILE, Process};
use super::trace::Trace;

/// Between two looks at something that is waited for.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a node may take to know the newest block.
const FOLLOW_TIME: Duration = Duration::from_secs(60);
/// Tries at starting a node, each on another port: somebody may take one between.
const STARTS_MAX: u32 = 3;
/// One start at a time: a port that is found free is free for all until somebody binds it.
static STARTING: Mutex<()> = Mutex::const_new(());
/// Most of what a node said last that is shown.
const TAIL_BYTES: usize = 1_500;

/// Why a seed could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The chain.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Coins on it.
    #[error(transparent)]
    Faucet(#[from] FaucetError),
    /// The chain again.
    #[error(transparent)]
    Client(#[from] boltgrid_testnet::chain::ClientError),
    /// Processes and files.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Something did not come.
    #[error("not in time: {0}")]
    Time(String),
    /// A node says no where it should not.
    #[error("{node} refuses: {why}")]
    Refused {
        /// Which.
        node: usize,
        /// Why.
        why: String,
    },
}

/// How a plan is carried out.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that is a purse when it is told so: this package's `funds`.
    pub program: PathBuf,
    /// The chain.
    pub chain: Choice,
    /// What is broken on purpose.
    pub flaw: Option<Flaw>,
    /// Whether the folder stays where something is found.
    pub keeps: bool,
}

/// Something broken on purpose, so that the check is seen to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Whoever is cheated sleeps until the cheat has its money.
    Sleep,
}

impl std::str::FromStr for Flaw {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sleep" => Ok(Self::Sleep),
            other => Err(format!("{other:?} is nothing that can be broken; `sleep` is")),
        }
    }
}

/// A node's place: what outlives its process.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) folder: PathBuf,
    pub(super) id: LightningId,
    pub(super) process: Option<Process>,
}

/// Everything of one run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) options: Options,
    pub(super) chain: Source,
    pub(super) faucet: Faucet,
    pub(super) stations: Vec<Station>,
    /// By who dials and who is dialled.
    pub(super) links: BTreeMap<(usize, usize), Link>,
    pub(super) trace: Trace,
    /// What was given to others when channels were opened: by whom, to whom, how much.
    pub(super) pushed: Vec<(usize, usize, u64)>,
    pub(super) deals: BTreeMap<PaymentHash, Deal>,
    /// Payments that are being begun.
    pub(super) begun: JoinSet<Option<(PaymentHash, Deal)>>,
    pub(super) violations: Vec<Violation>,
    pub(super) counts: Counts,
    /// What happened, and when.
    pub(super) story: Vec<String>,
    pub(super) began: Instant,
    /// Where nobody's coins go: to another address after each reorganisation, so that a block that is
    /// mined anew is another one than any that was undone.
    pub(super) nobody: Address,
    pub(super) has_small_disks: bool,
    /// Disks whose power can be cut, by node. Unmounted before the folder goes, as those below.
    pub(super) power: BTreeMap<usize, PowerDisk>,
    pub(super) _disks: Disks,
    pub(super) folder: TempDir,
}

impl World {
    pub(super) fn tell(&mut self, what: &str) {
        let at = self.began.elapsed().as_millis();
        self.story.push(format!("{at:>7} ms  {what}"));
    }

    /// Ends all processes; the folder stays where it is asked for.
    pub(super) async fn end(&mut self, keeps: bool) {
        for station in &mut self.stations {
            if let Some(process) = station.process.take()
                && let Err(error) = process.kill().await
            {
                tracing::warn!(%error, "a purse could not be killed");
            }
        }
        if keeps {
            self.folder.disable_cleanup(true);
            let what = format!("all files stay in {}", self.folder.path().display());
            self.tell(&what);
        }
    }

    pub(super) fn client(&self) -> Client {
        self.chain.client()
    }

    pub(super) fn asker(&self, node: usize) -> Option<Asker> {
        self.stations[node].process.as_ref().map(|process| process.asker.clone())
    }

    /// Asks a node that runs; none where it does not, or refuses.
    pub(super) async fn ask(&mut self, node: usize, ask: Ask) -> Option<Told> {
        let asker = self.asker(node)?;
        match asker.ask(ask).await {
            Ok(Told::Refused(why)) => {
                self.tell(&format!("{node} refuses: {why}"));
                None
            }
            Ok(told) => Some(told),
            Err(_) => {
                self.tell(&format!("{node} does not answer"));
                None
            }
        }
    }

    /// Starts a node, and says where it is; what it says where it does not start is a violation.
    pub(super) async fn start(&mut self, node: usize) -> Result<(), Trouble> {
        if self.stations[node].process.is_some() {
            return Ok(());
        }
        let folder = self.stations[node].folder.clone();
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            let _turn = STARTING.lock().await;
            let port = {
                let held = ports::hold(1)?;
                held.first().map_or(0, ports::Port::number)
            };
            let access = self.chain.access().clone();
            match Process::start(&self.options.program, &folder, port, &access).await? {
                Ok(process) => {
                    self.stations[node].id = process.node;
                    self.stations[node].process = Some(process);
                    let leading = self.links.iter().filter(|((_, to), _)| *to == node);
                    leading.for_each(|(_, link)| link.lead_to(port));
                    self.counts.starts += 1;
                    return Ok(());
                }
                Err(status) => said = format!("{status}: {}", tail(&folder)),
            }
        }
        self.tell(&format!("{node} does not start"));
        self.violations.push(Violation::Ended { node, said });
        Ok(())
    }

    /// Notes which nodes have ended by themselves.
    pub(super) async fn look_for_ends(&mut self) -> Result<(), Trouble> {
        for node in 0..self.stations.len() {
            let Some(process) = self.stations[node].process.as_mut() else { continue };
            if let Some(status) = process.ended(Duration::ZERO).await? {
                self.ended_by_itself(node, status);
            }
        }
        Ok(())
    }

    fn ended_by_itself(&mut self, node: usize, status: ExitStatus) {
        self.stations[node].process = None;
        let said = format!("{status}: {}", tail(&self.stations[node].folder));
        self.tell(&format!("{node} has ended by itself"));
        self.violations.push(Violation::Ended { node, said });
    }

    /// Mines blocks for nobody, and lets all who run know them.
    pub(super) async fn mine(&mut self, blocks: u32) -> Result<(), Trouble> {
        self.client().generate(blocks, &self.nobody).await?;
        self.follow().await?;
        Ok(())
    }

    /// Waits until all who run know the tip; says how each is.
    pub(super) async fn follow(&mut self) -> Result<Vec<Option<Seen>>, Trouble> {
        let tip = self.client().height().await?;
        let deadline = Instant::now() + FOLLOW_TIME;
        let mut looking = JoinSet::new();
        for node in 0..self.stations.len() {
            let Some(asker) = self.asker(node) else { continue };
            looking.spawn(async move { (node, look(&asker, tip, deadline).await) });
        }
        let mut all = vec![None; self.stations.len()];
        while let Some(looked) = looking.join_next().await {
            let (node, seen) = looked.map_err(|error| Trouble::Time(error.to_string()))?;
            all[node] = seen;
        }
        self.look_for_ends().await?;
        for (node, seen) in all.iter().enumerate() {
            if seen.is_none() && self.stations[node].process.is_some() {
                return Err(Trouble::Time(format!("{node} does not know block {tip}")));
            }
        }
        Ok(all)
    }

    /// Waits until something is so of what a node says of itself.
    pub(super) async fn until(
        &mut self,
        (node, within): (usize, Duration),
        holds: impl Fn(&Seen) -> bool,
    ) -> bool {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            match self.ask(node, Ask::Glance).await {
                Some(Told::Seen(seen)) if holds(&seen) => return true,
                Some(_) => sleep(LOOK_EVERY).await,
                None => return false,
            }
        }
        false
    }

    /// Transactions that wait for a block.
    pub(super) async fn waiting(&self) -> Result<usize, Trouble> {
        let waiting = self.client().call("getrawmempool", serde_json::json!([])).await?;
        Ok(waiting.as_array().map_or(0, Vec::len))
    }

    /// Waits until so many transactions wait for a block.
    pub(super) async fn until_waiting(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<bool, Trouble> {
        let deadline = Instant::now() + within;
        while self.waiting().await? < count {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(true)
    }

    /// Whether all channels of the plan can be used.
    pub(super) async fn is_whole(&mut self) -> bool {
        for opening in self.plan.channels.clone() {
            let with = self.stations[opening.to].id;
            let seen = self.ask(opening.from, Ask::Glance).await;
            if !matches!(seen, Some(Told::Seen(seen)) if seen.can_use(&with)) {
                return false;
            }
        }
        true
    }
}

async fn look(asker: &Asker, tip: u32, deadline: Instant) -> Option<Seen> {
    while Instant::now() < deadline {
        match asker.ask(Ask::Look).await {
            Ok(Told::Seen(seen)) if seen.height == tip => return Some(seen),
            // The chain may have been asked in the middle of something.
            Ok(_) => sleep(LOOK_EVERY).await,
            Err(_) => return None,
        }
    }
    None
}

/// What a node said last.
pub(super) fn tail(folder: &Path) -> String {
    let said = std::fs::read(folder.join(LOG_FILE)).unwrap_or_default();
    let from = said.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(&said[from..]).into_owned()
}
