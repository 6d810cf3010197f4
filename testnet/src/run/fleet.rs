//! All nodes of a run: started, asked, killed and started again as the run says.
//!
//! Not for: deciding when; or what their answers mean.

mod member;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use boltgrid::dispatcher::DispatchStatus;
use boltgrid::rpc::checks::FeederReport;
use boltgrid::rpc::client::client;
use boltgrid::rpc::payment::{AccountReport, DisputeReport, PaymentReport, PaymentRpcClient};
use boltgrid::rpc::{ChecksRpcClient, DisputeRpcClient, MarketRpcClient, NodeRpcClient};
use boltgrid::status::{IntervalReport, NodeStatus};
use boltgrid_protocol::units::{Interval, Timestamp};
use futures::future::{join, join_all};

use super::founding::Place;
use super::process::NodeProcess;
use crate::rogue::Role;
pub use member::{Back, Member};

/// How long a node may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Members to be connected to before a node counts as ready; in a smaller grid, all that are up.
const CONNECTED_MIN: usize = 12;
/// Lines of a log that are shown where a node died.
const LOG_TAIL_LINES: usize = 12;

/// Why the nodes cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A node cannot be started.
    #[error("node {name} cannot be started: {source}")]
    Start {
        /// Its site.
        name: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// A node ended by itself.
    #[error("node {name} ended by itself ({status}); the end of its log:\n{log}")]
    Died {
        /// Its site.
        name: String,
        /// How.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// A node cannot be watched or stopped.
    #[error("node {name} cannot be watched or stopped: {source}")]
    Process {
        /// Its site.
        name: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// A client cannot be made.
    #[error("there is no way to ask node {name}: {source}")]
    Client {
        /// Its site.
        name: String,
        /// Why.
        source: Box<jsonrpsee::core::client::Error>,
    },
}

/// All nodes of a run.
#[derive(Debug)]
pub struct Fleet {
    program: PathBuf,
    /// In the order of the scenario's sites.
    pub members: Vec<Member>,
    /// The nodes of the cables' meters, which trade nothing.
    feeders: Vec<(Place, NodeProcess)>,
    honest: usize,
}

/// Is told which process a node is now.
type Told<'a> = &'a dyn Fn(usize, u32);

impl Fleet {
    /// Starts a node at every place where no rogue plays, as processes of `program`.
    ///
    /// # Errors
    ///
    /// [`FleetError`]; those that were started are killed then.
    pub fn start(
        program: PathBuf,
        (places, feeders): (Vec<Place>, Vec<Place>),
        rogues: &BTreeMap<usize, Role>,
        tell: Told<'_>,
    ) -> Result<Self, FleetError> {
        let honest = places.len().saturating_sub(rogues.len());
        let mut fleet = Self { program, members: Vec::new(), feeders: Vec::new(), honest };
        for (number, place) in places.into_iter().enumerate() {
            let failed =
                |source| FleetError::Client { name: place.name.clone(), source: Box::new(source) };
            let client = client(place.rpc, Some(&place.token), ANSWER_TIME).map_err(failed)?;
            let is_rogue = rogues.contains_key(&number);
            let process = if is_rogue { None } else { Some(fleet.spawn(&place)?) };
            if let Some(process) = &process {
                tell(number, process.pid());
            }
            fleet.members.push(Member::new(place, client, process));
        }
        for place in feeders {
            let process = fleet.spawn(&place)?;
            fleet.feeders.push((place, process));
        }
        Ok(fleet)
    }

    fn spawn(&self, place: &Place) -> Result<NodeProcess, FleetError> {
        let clock_offset = place.clock_offset.as_deref();
        NodeProcess::start(&self.program, &place.config, clock_offset, &place.log)
            .map_err(|source| FleetError::Start { name: place.name.clone(), source })
    }

    /// How many nodes there are: at all sites but those where rogues play.
    #[must_use]
    pub const fn honest(&self) -> usize {
        self.honest
    }

    /// How many nodes are meant to run.
    #[must_use]
    pub fn up(&self) -> usize {
        self.members.iter().filter(|member| member.is_up()).count()
    }

    /// How many nodes are ready to trade.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.members.iter().filter(|member| member.ready_since.is_some()).count()
    }

    /// Fails if a node ended that nobody ended and that had space on its disk.
    ///
    /// # Errors
    ///
    /// [`FleetError::Died`], with the end of its log.
    pub fn check_alive(&mut self) -> Result<(), FleetError> {
        for (place, process) in &mut self.feeders {
            let name = || place.name.clone();
            let ended = process.ended();
            let ended = ended.map_err(|source| FleetError::Process { name: name(), source })?;
            if let Some(status) = ended {
                return Err(FleetError::Died { name: name(), status, log: tail(place) });
            }
        }
        for member in &mut self.members {
            let Some(process) = &mut member.process else { continue };
            match process.ended() {
                Ok(None) => {}
                // Nothing may leave that is not on disk first, so it must end.
                Ok(Some(_)) if member.is_disk_full => {
                    member.process = None;
                    member.close_books();
                }
                Ok(Some(status)) => {
                    let log = tail(&member.place);
                    return Err(FleetError::Died { name: member.place.name.clone(), status, log });
                }
                Err(source) => return Err(member.failed(source)),
            }
        }
        Ok(())
    }

    /// Asks every node how it is. Who does not answer is left as last heard of.
    pub async fn look(&mut self, now: Timestamp) {
        let ask = |member: &Member| {
            let (client, answers) = (member.client.clone(), member.answers());
            async move { if answers { client.status().await.ok() } else { None } }
        };
        let answers = join_all(self.members.iter().map(ask)).await;
        let others = self.up().saturating_sub(1).min(CONNECTED_MIN);
        for (member, status) in self.members.iter_mut().zip(answers) {
            let usage = member.process.as_ref().and_then(NodeProcess::usage);
            member.usage = usage.unwrap_or(member.usage);
            member.note(now);
            let Some(status) = status else { continue };
            if is_ready(&status, others) {
                member.is_ready_at(now);
            }
            member.status = Some(status);
        }
    }

    /// Asks every node that is up what it knows of an interval.
    pub async fn reports(&self, interval: Interval) -> Vec<Option<IntervalReport>> {
        join_all((0..self.members.len()).map(|number| self.report(number, interval))).await
    }

    /// Asks a node what it knows of an interval.
    pub async fn report(&self, number: usize, interval: Interval) -> Option<IntervalReport> {
        let member = self.members.get(number).filter(|member| member.answers())?;
        member.client.interval(interval.to_string()).await.ok().flatten()
    }

    /// Asks every node that is up, by its participant id, for its payments since an interval. Who
    /// does not answer is asked again later.
    pub async fn payments(&self, from: Interval) -> Vec<(String, Vec<PaymentReport>)> {
        let ask = |member: &Member| {
            let (client, participant) = (member.client.clone(), member.place.participant);
            async move {
                Some((participant.to_string(), client.list(from.to_string(), None).await.ok()?))
            }
        };
        let up = self.members.iter().filter(|member| member.answers());
        join_all(up.map(ask)).await.into_iter().flatten().collect()
    }

    /// Asks every node that is up, by its participant id, how it stands with everyone.
    pub async fn accounts(&self) -> Vec<(String, Vec<AccountReport>)> {
        let ask = |member: &Member| {
            let (client, participant) = (member.client.clone(), member.place.participant);
            async move { Some((participant.to_string(), client.accounts().await.ok()?)) }
        };
        let up = self.members.iter().filter(|member| member.answers());
        join_all(up.map(ask)).await.into_iter().flatten().collect()
    }

    /// Asks every node that is up, by its participant id, for its disputes.
    pub async fn disputes(&self) -> BTreeMap<String, Vec<DisputeReport>> {
        let ask = |member: &Member| {
            let (client, participant) = (member.client.clone(), member.place.participant);
            async move {
                let mut disputes: Vec<DisputeReport> = Vec::new();
                loop {
                    let before = disputes.last().map(|it| it.interval.to_string());
                    let page = client.disputes(None, before).await.ok()?;
                    if page.is_empty() {
                        return Some((participant.to_string(), disputes));
                    }
                    disputes.extend(page);
                }
            }
        };
        let up = self.members.iter().filter(|member| member.answers());
        join_all(up.map(ask)).await.into_iter().flatten().collect()
    }

    /// Asks every node that is up, by its site, how the feeders stand.
    pub async fn balances(&self) -> Vec<(String, Vec<FeederReport>)> {
        let ask = |member: &Member| {
            let (client, name) = (member.client.clone(), member.place.name.clone());
            async move { Some((name, client.balance().await.ok()?)) }
        };
        let up = self.members.iter().filter(|member| member.answers());
        join_all(up.map(ask)).await.into_iter().flatten().collect()
    }

    /// Asks these nodes, as far as they are up, how their machines are.
    pub async fn machines(&self, nodes: &[usize]) -> Vec<(usize, DispatchStatus)> {
        let ask = |number: usize| {
            let member = self.members.get(number).filter(|member| member.answers());
            let client = member.map(|member| member.client.clone());
            async move {
                Some((number, boltgrid::rpc::DispatchListRpcClient::list(&client?).await.ok()?))
            }
        };
        join_all(nodes.iter().copied().map(ask)).await.into_iter().flatten().collect()
    }

    /// Kills a node at once. One that is down already stays so.
    ///
    /// # Errors
    ///
    /// [`FleetError::Process`].
    pub async fn kill(&mut self, number: usize) -> Result<(), FleetError> {
        let Some(member) = self.members.get_mut(number) else { return Ok(()) };
        let Some(process) = member.process.take() else { return Ok(()) };
        member.usage = process.usage().unwrap_or(member.usage);
        member.close_books();
        process.kill().await.map_err(|source| member.failed(source))
    }

    /// Starts a node that was killed.
    ///
    /// # Errors
    ///
    /// [`FleetError::Start`].
    pub fn restart(
        &mut self,
        number: usize,
        now: Timestamp,
        tell: Told<'_>,
    ) -> Result<(), FleetError> {
        let Some(member) = self.members.get(number).filter(|member| !member.is_up()) else {
            return Ok(());
        };
        let process = self.spawn(&member.place)?;
        tell(number, process.pid());
        if let Some(member) = self.members.get_mut(number) {
            member.is_started_again(process, now);
        }
        Ok(())
    }

    /// Lets a node stand still. Returns whether it does now and did not before.
    ///
    /// # Errors
    ///
    /// [`FleetError::Process`].
    pub fn pause(&mut self, number: usize) -> Result<bool, FleetError> {
        let Some(member) = self.members.get_mut(number) else { return Ok(false) };
        member.pause().map_err(|source| member.failed(source))
    }

    /// Lets a node that stands still go on. Returns whether it does now and did not before.
    ///
    /// # Errors
    ///
    /// [`FleetError::Process`].
    pub fn resume(&mut self, number: usize, now: Timestamp) -> Result<bool, FleetError> {
        let Some(member) = self.members.get_mut(number) else { return Ok(false) };
        member.resume(now).map_err(|source| member.failed(source))
    }

    /// Stops all nodes in order, and kills those that take too long. Returns the names of those.
    ///
    /// # Errors
    ///
    /// [`FleetError::Process`] for the first that could not be waited for.
    pub async fn stop(&mut self) -> Result<Vec<String>, FleetError> {
        let stopping = self.members.iter_mut().filter_map(|member| {
            member.stop_pausing();
            let process = member.process.take()?;
            member.usage = process.usage().unwrap_or(member.usage);
            process.ask_to_stop();
            let name = member.place.name.clone();
            Some(async move { (name, process.stopped().await) })
        });
        let feeders = self.feeders.drain(..).map(|(place, process)| {
            process.ask_to_stop();
            async move { (place.name, process.stopped().await) }
        });
        let (members, feeders) = join(join_all(stopping), join_all(feeders)).await;
        let mut slow = Vec::new();
        for (name, stopped) in members.into_iter().chain(feeders) {
            match stopped {
                Ok(Some(_)) => {}
                Ok(None) => slow.push(name),
                Err(source) => return Err(FleetError::Process { name, source }),
            }
        }
        Ok(slow)
    }
}

/// Whether a node that says this can trade with the others.
fn is_ready(status: &NodeStatus, others: usize) -> bool {
    let connected = usize::try_from(status.network.members_connected).unwrap_or(0);
    let measured = status.site.as_ref().is_some_and(|site| site.stale.is_none());
    status.is_voter && measured && connected >= others
}

/// The last lines of a node's log.
fn tail(place: &Place) -> String {
    let log = std::fs::read_to_string(&place.log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
