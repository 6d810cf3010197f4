//! The task that keeps the channels: it watches them, plans, and carries plans out where it may.
//!
//! It owns everything that plans depend on, so that a dry run shows what would really be done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_market::channels::{self, OwnChannel, Plan, View, naming};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::lightning::LightningId;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Interval, Msat, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::own::{Partner, Watch};
use super::past::Past;
use super::report::PlanReport;
use super::{OrderNames, carry};
use crate::chain_source::FeeRate;
use crate::clock;
use crate::config::ChannelsConfig;
use crate::config::lightning::ChainSource;
use crate::lightning::{LightningHandle, LightningStatus};
use crate::network::LightningContacts;
use crate::store::{Archive, ArchiveError};

/// How often the channels are looked at, and what orders name follows them.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Dry runs waiting to be answered.
const QUESTIONS_MAX: usize = 4;
/// How long who asks for a dry run waits: the first one reads a week of books.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// The least that a channel must carry one way to be named in orders: a tranche of 250 Wh at 300 sat.
const NAMED_FROM: Msat = Msat::from_satoshi_saturating(75);
/// How long the task waits for the chain to say what fees are …
const FEE_TIME: Duration = Duration::from_secs(20);
/// … and how long somebody does who looks at a page.
const FEE_TIME_OF_PAGE: Duration = Duration::from_secs(3);

/// Where dry runs are asked for.
#[derive(Clone, Debug)]
pub struct ChannelPlans {
    questions: mpsc::Sender<oneshot::Sender<Result<PlanReport, NoPlan>>>,
    fees: FeeRate,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// The wallet does not know yet what is on the chain.
    #[error("the wallet has not caught up with the chain since the start; try again later")]
    NotSynced,
    /// This participant is no member now.
    #[error("this node is not a member of the current roster, so it needs no channels")]
    NotAMember,
    /// Books of the past cannot be read.
    #[error("the books of the past cannot be read; see the node's log")]
    Past,
    /// Too many ask, or it takes too long.
    #[error("the node has too much to do, or is stopping; try again")]
    Busy,
}

impl ChannelPlans {
    /// What the policy would do now; nothing is done.
    ///
    /// # Errors
    ///
    /// [`NoPlan`].
    pub async fn plan(&self) -> Result<PlanReport, NoPlan> {
        let (reply, answer) = oneshot::channel();
        self.questions.try_send(reply).map_err(|_| NoPlan::Busy)?;
        match tokio::time::timeout(ANSWER_TIME, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(NoPlan::Busy),
        }
    }

    /// What a transaction has to pay now, in sat/vB, by which plans are made too.
    pub(crate) async fn sat_per_vb(&self) -> u64 {
        self.fees.ask(FEE_TIME_OF_PAGE).await
    }
}

/// What the task works with.
#[derive(Debug)]
pub(crate) struct ChannelKeeper {
    keeping: ChannelsConfig,
    participant: ParticipantId,
    charter: Arc<Charter>,
    rosters: Rosters,
    archive: Archive,
    lightning: LightningHandle,
    fees: FeeRate,
    contacts: watch::Receiver<LightningContacts>,
    watch: Watch,
    /// Whose the other sides of our channels are, also when their records have expired.
    whose: BTreeMap<LightningId, ParticipantId>,
    past: Past,
    questions: mpsc::Receiver<oneshot::Sender<Result<PlanReport, NoPlan>>>,
    named: watch::Sender<OrderNames>,
}

/// What others hold of the task.
#[derive(Debug)]
pub(crate) struct KeeperEnds {
    /// To it: dry runs.
    pub(crate) plans: ChannelPlans,
    /// From it: whom orders name.
    pub(crate) named: watch::Receiver<OrderNames>,
}

impl ChannelKeeper {
    pub(crate) fn new(
        keeping: ChannelsConfig,
        participant: ParticipantId,
        (charter, rosters): (Arc<Charter>, Rosters),
        (archive, contacts): (Archive, watch::Receiver<LightningContacts>),
        (lightning, chain): (LightningHandle, ChainSource),
    ) -> (Self, KeeperEnds) {
        let (asked, questions) = mpsc::channel(QUESTIONS_MAX);
        let (named, watched_named) = watch::channel(None);
        let now = charter.interval.interval_at(clock::now());
        let past = Past::new(Arc::clone(&charter), rosters.clone(), now);
        let watch = Watch::default();
        let fees = FeeRate::new(chain);
        let keeper = Self {
            keeping,
            participant,
            charter,
            rosters,
            archive,
            lightning,
            fees: fees.clone(),
            contacts,
            watch,
            whose: BTreeMap::new(),
            past,
            questions,
            named,
        };
        (
            keeper,
            KeeperEnds { plans: ChannelPlans { questions: asked, fees }, named: watched_named },
        )
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = tokio::time::Instant::now() + self.keeping.every;
        let mut due = tokio::time::interval_at(first, self.keeping.every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => self.look().await,
                _ = due.tick() => self.keep().await,
                Some(reply) = self.questions.recv() => {
                    let report = self.plan().await.map(|(_, report)| report);
                    if reply.send(report).is_err() {
                        debug!("who asked for a plan of channels did not wait for it");
                    }
                }
            }
        }
    }

    /// Notes how the channels are, and whom orders name from now on.
    async fn look(&mut self) {
        let status = self.lightning.status();
        let now = clock::now();
        self.watch.note(&status.channels, now);
        for (participant, contact) in self.contacts.borrow().iter() {
            self.whose.insert(contact.node, *participant);
        }
        self.whose.retain(|node, _| status.channels.iter().any(|it| it.counterparty == *node));
        let interval = self.charter.interval.interval_at(now);
        if let Err(error) = self.read(interval).await {
            return warn!(%error, "orders name whom they named before");
        }
        // What was read of the past is about that roster.
        let roster = Arc::clone(self.past.roster());
        let named = roster.index_of(&self.participant).map(|me| {
            let own = self.own(&status, now);
            let graph = self.past.graph(interval);
            (roster.hash(), naming(me, &own, (&graph, self.past.flows()), NAMED_FROM))
        });
        self.named.send_if_modified(|before| {
            let is_news = *before != named;
            *before = named;
            is_news
        });
    }

    /// Plans, and carries the plan out if the owner lets it.
    async fn keep(&mut self) {
        let plan = match self.plan().await {
            Ok((plan, _)) => plan,
            Err(error) => return info!(%error, "no plan of channels"),
        };
        if !self.keeping.automatic {
            let steps = plan.steps.len();
            return info!(steps, "channels are kept by hand; see `boltgrid channel plan`");
        }
        let roster = Arc::clone(self.past.roster());
        let contacts = self.contacts.borrow().clone();
        carry::carry_out(&plan, &self.lightning, (&roster, &contacts)).await;
    }

    async fn plan(&mut self) -> Result<(Plan, PlanReport), NoPlan> {
        let now = clock::now();
        let interval = self.charter.interval.interval_at(now);
        self.read(interval).await?;
        let status = self.lightning.status();
        if status.synced_at_unix_s.is_none() {
            return Err(NoPlan::NotSynced);
        }
        let sat_per_vb = self.fees.ask(FEE_TIME).await;
        let roster = Arc::clone(self.past.roster());
        let me = roster.index_of(&self.participant).ok_or(NoPlan::NotAMember)?;
        let mut members: Vec<RosterIndex> =
            self.contacts.borrow().keys().filter_map(|it| roster.index_of(it)).collect();
        members.push(me);
        members.sort_unstable();
        members.dedup();
        let (graph, channels) = (self.past.graph(interval), self.own(&status, now));
        let flows = self.past.flows();
        let plan = channels::plan(&View {
            me,
            members: &members,
            graph: &graph,
            flows,
            channels: &channels,
            onchain: Msat::from_satoshi_saturating(status.balances.onchain_sat),
            sat_per_vb,
            limits: &self.keeping.limits,
        });
        let when = (now, self.keeping.automatic);
        let report = PlanReport::of(&plan, &roster, when, (flows.total(), flows.span_ms()));
        Ok((plan, report))
    }

    /// Reads the books up to now, off the event loop.
    async fn read(&mut self, now: Interval) -> Result<(), NoPlan> {
        let fresh = Past::new(Arc::clone(&self.charter), self.rosters.clone(), now);
        let mut past = std::mem::replace(&mut self.past, fresh);
        let archive = self.archive.clone();
        let read: Result<(Past, Result<(), ArchiveError>), JoinError> = spawn_blocking(move || {
            let read = past.read(&archive, now);
            (past, read)
        })
        .await;
        let (past, read) = read.map_err(|error| {
            warn!(%error, "reading the books of the past panicked, which is a bug");
            NoPlan::Past
        })?;
        self.past = past;
        read.map_err(|error| {
            warn!(%error, "the books of the past are not readable");
            NoPlan::Past
        })
    }

    fn own(&self, status: &LightningStatus, now: Timestamp) -> Vec<OwnChannel> {
        let roster = self.past.roster();
        self.watch.seen(&status.channels, now, |channel| {
            let whose = self.whose.get(&channel.counterparty);
            whose.map_or(Partner::Unknown, |whose| {
                roster.index_of(whose).map_or(Partner::Left, Partner::Member)
            })
        })
    }
}
