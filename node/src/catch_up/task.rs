//! The task that catches up: it visits one member at a time, and answers those who visit.
//!
//! It runs beside the market task, with which it shares the archive and nothing else, so that
//! thousands of items never hold up a vote. All hashing and verifying is done off the event loop, one
//! answer at a time. Not for: deciding whom to visit (`plan`) or what is true (`verify`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::history::Stretch;
use boltgrid_protocol::id::{ItemId, ParticipantId};
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::Interval;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::plan::{Ended, Plan, Visit, WINDOW_MAX, halves};
use super::rejected::HistoryRejected;
use super::serve::Sets;
use super::session::{Next, Outcome, Session};
use super::status::{CatchUpState, CatchUpStatus};
use super::verify::{Found, Verifier};
use crate::clock;
use crate::history::History;
use crate::live::Live;
use crate::network::{NetworkEvent, NetworkHandle};
use crate::store::{Archive, ArchiveError};

/// Questions and answers waiting for this task. Beyond it they are dropped, and asked again.
const EVENTS_MAX: usize = 64;
/// Evidence learnt from others waiting for the market; what does not fit bars after a restart.
const LEARNT_MAX: usize = 64;
/// Between two questions of ours: half of what a member answers another, so that there is room for
/// the market's.
const PACE: Duration = Duration::from_millis(250);
/// After this, an answer is not waited for any longer; the network gives up earlier.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// How long one member may take for one visit.
const VISIT_MAX: Duration = Duration::from_secs(600);
/// Ids remembered that are not to be asked for again, since what they name contradicts what is kept.
const USELESS_MAX: usize = 1024;

/// How far back this node catches up, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// How far back, in intervals.
    pub(crate) intervals: u64,
    /// How often without a gap, in milliseconds.
    pub(crate) every_ms: u64,
}

/// What the task works with.
#[derive(Debug)]
pub(crate) struct CatchUp {
    reach: Reach,
    pub(super) participant: ParticipantId,
    /// Signs evidence.
    pub(super) key: Keypair,
    pub(super) charter: Arc<Charter>,
    pub(super) rosters: Rosters,
    pub(super) archive: Archive,
    pub(super) network: NetworkHandle,
    events: mpsc::Receiver<NetworkEvent>,
    pub(super) learnt: mpsc::Sender<Message>,
    pub(super) history: watch::Sender<History>,
    /// To whoever listens.
    pub(super) live: Live,
    status: watch::Sender<CatchUpStatus>,
}

/// What others hold of the task.
#[derive(Debug)]
pub(crate) struct CatchUpEnds {
    /// To it: history's share of what comes from the network.
    pub(crate) of_history: mpsc::Sender<NetworkEvent>,
    /// From it, to the market: evidence that bars somebody.
    pub(crate) learnt: mpsc::Receiver<Message>,
    /// How far it is.
    pub(crate) status: watch::Receiver<CatchUpStatus>,
}

/// What the task is at.
#[derive(Debug)]
pub(super) struct Work {
    plan: Plan,
    visiting: Option<Visiting>,
    sets: Sets,
    useless: Arc<BTreeSet<ItemId>>,
    /// Up to which interval gaps were looked for.
    looked_until: Interval,
    pub(super) unknown: BTreeSet<Interval>,
}

/// A visit under way.
#[derive(Debug)]
struct Visiting {
    begun: Begun,
    session: Session,
    /// The question that is to be asked, or was.
    question: Question,
    asked_at: Option<Instant>,
}

/// What stays over all stretches of a visit.
#[derive(Debug)]
struct Begun {
    visit: Visit,
    since: Instant,
    verifier: Verifier,
    learnt: u64,
}

/// What came of an answer, and what it was heard with.
type Heard = (Session, Verifier, Result<(Vec<Found>, Next), HistoryRejected>);

impl CatchUp {
    /// The task of the participant with this key in this grid, and what others hold of it.
    pub(crate) fn new(
        reach: Reach,
        key: Keypair,
        (charter, rosters): (Arc<Charter>, Rosters),
        (archive, network, history, live): (Archive, NetworkHandle, watch::Sender<History>, Live),
    ) -> (Self, CatchUpEnds) {
        let (of_history, events) = mpsc::channel(EVENTS_MAX);
        let (learnt_sender, learnt) = mpsc::channel(LEARNT_MAX);
        let (status_sender, status) = watch::channel(CatchUpStatus::default());
        let participant = key.participant_id();
        let task = Self {
            reach,
            participant,
            key,
            charter,
            rosters,
            archive,
            network,
            events,
            learnt: learnt_sender,
            history,
            live,
            status: status_sender,
        };
        (task, CatchUpEnds { of_history, learnt, status })
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = Work {
            plan: Plan::new(clock::now(), self.reach.every_ms),
            visiting: None,
            sets: Sets::default(),
            useless: Arc::default(),
            looked_until: Interval::default(),
            unknown: BTreeSet::new(),
        };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(event) = self.events.recv() => self.hear(&mut work, event).await,
                _ = pace.tick() => self.go_on(&mut work).await,
            }
        }
    }

    async fn hear(&mut self, work: &mut Work, event: NetworkEvent) {
        match event {
            NetworkEvent::Asked { from, question, token } => {
                if let Some(answer) = self.answer(&mut work.sets, from, question).await
                    && let Err(error) = self.network.answer(token, answer)
                {
                    debug!(%error, "not answered");
                }
            }
            NetworkEvent::Told { by, question, answer } => {
                if work.is_waiting_for(&by, &question) {
                    self.take(work, answer).await;
                }
            }
            NetworkEvent::Unanswered { by, question } => {
                if work.is_waiting_for(&by, &question) {
                    debug!(%by, "does not answer about history");
                    self.end(work, Ended::Short);
                }
            }
            NetworkEvent::Heard { .. }
            | NetworkEvent::Certificate { .. }
            | NetworkEvent::Shown(_)
            | NetworkEvent::Clocks(_)
            | NetworkEvent::Reply { .. }
            | NetworkEvent::InvoiceWord { .. } => {}
        }
    }

    /// Asks what is to be asked, gives up whom it takes too long, and sets out on a new visit.
    async fn go_on(&mut self, work: &mut Work) {
        let now = Instant::now();
        let Some(visiting) = &mut work.visiting else {
            return self.set_out(work).await;
        };
        let member = visiting.begun.visit.member;
        let overdue = visiting.asked_at.is_some_and(|at| now - at > ANSWERED_WITHIN);
        if overdue || now - visiting.begun.since > VISIT_MAX {
            info!(%member, "gave up catching up with a member: too slow");
            self.status.send_modify(|status| status.refuse("too_slow"));
            return self.end(work, Ended::Short);
        }
        if visiting.asked_at.is_none() {
            visiting.asked_at = Some(now);
            let asked = self.network.ask(member, visiting.question.clone());
            if let Err(error) = asked {
                debug!(%error, "not asked");
                self.end(work, Ended::Short);
            }
        }
    }

    async fn set_out(&mut self, work: &mut Work) {
        let now = clock::now();
        let current = self.charter.interval.interval_at(now);
        if work.looked_until != current {
            work.looked_until = current;
            work.unknown = self.look_for_gaps(current).await;
        }
        let roster = self.rosters.at(current);
        let others: Vec<ParticipantId> = roster
            .members()
            .iter()
            .map(|member| member.enrolment.participant)
            .filter(|member| *member != self.participant)
            .collect();
        let behind = work.plan.behind(&work.unknown, others.len());
        self.report(|status| status.behind_intervals = count(behind.len()));
        let window = self.window(current);
        if window.is_empty() {
            return;
        }
        let Some(visit) = work.plan.next(now, &others, (window, &behind), lot()) else { return };
        debug!(member = %visit.member, behind = behind.len(), "catching up");
        let gate = Gatekeeper::new(Arc::clone(&self.charter), self.rosters.clone());
        let verifier = Verifier::new(Arc::clone(&self.charter), gate, now);
        let begun = Begun { visit, since: Instant::now(), verifier, learnt: 0 };
        self.begin(work, begun).await;
    }

    fn window(&self, current: Interval) -> Stretch {
        Stretch { from: current.minus(self.reach.intervals.min(WINDOW_MAX)), until: current }
    }

    /// The intervals of the window with members, of which no book is known. Those that this node
    /// fell back from are among them: others may have decided without it.
    async fn look_for_gaps(&self, current: Interval) -> BTreeSet<Interval> {
        let window = self.window(current);
        let (archive, mut rosters) = (self.archive.clone(), self.rosters.clone());
        let looked = spawn_blocking(move || {
            let known: Result<BTreeSet<Interval>, ArchiveError> = archive
                .clearings(window.from..window.until)
                .map(|clearing| Ok(clearing?.0))
                .collect();
            let known = known?;
            let has_members = |at: &Interval| !rosters.at(*at).members().is_empty();
            let unknown = window.intervals().filter(|at| !known.contains(at)).filter(has_members);
            Ok::<BTreeSet<Interval>, ArchiveError>(unknown.collect())
        });
        self.done(looked.await).unwrap_or_default()
    }

    /// Begins with the next stretch of a visit, or ends it.
    async fn begin(&mut self, work: &mut Work, mut begun: Begun) {
        let Some(stretch) = begun.visit.stretches.pop_front() else {
            return self.through(work, &begun);
        };
        // Read anew, so that what was learnt a moment ago is in it.
        let Some(own) = self.read(stretch).await else {
            return self.fall_short(work, &begun.visit);
        };
        match Session::begin(stretch, own, Arc::clone(&work.useless)) {
            Ok((session, question)) => {
                self.report(|status| status.state = CatchUpState::Asking);
                work.visiting = Some(Visiting { begun, session, question, asked_at: None });
            }
            Err(error) => error!(%error, "cannot begin to catch up, which is a bug"),
        }
    }

    /// The member holds more of a stretch than it serves at once: begins with the later half of it.
    async fn begin_shorter(&mut self, work: &mut Work, mut begun: Begun, stretch: Stretch) {
        match halves(stretch) {
            Some(halves) => {
                halves.into_iter().for_each(|half| begun.visit.stretches.push_front(half));
                self.begin(work, begun).await;
            }
            None => self.fall_short(work, &begun.visit),
        }
    }

    /// Takes an answer: verifies what it brought, keeps that, and goes on.
    async fn take(&mut self, work: &mut Work, answer: Answer) {
        let Some(Visiting { begun, mut session, .. }) = work.visiting.take() else { return };
        let Begun { visit, since, mut verifier, mut learnt } = begun;
        let heard = spawn_blocking(move || {
            verifier.set_now(clock::now());
            let heard = session.hear(answer, &mut verifier);
            Ok::<Heard, ArchiveError>((session, verifier, heard))
        });
        let Some((session, verifier, heard)) = self.done(heard.await) else {
            return self.fall_short(work, &visit);
        };
        let (found, next) = match heard {
            Ok(heard) => heard,
            Err(rejected) => {
                warn!(member = %visit.member, %rejected, "false history from a member");
                self.report(|status| status.refuse(rejected.reason()));
                if rejected.is_the_senders_fault() {
                    self.blame(visit.member);
                }
                return self.fall_short(work, &visit);
            }
        };
        match self.keep(work, found).await {
            Some(more) => learnt += more,
            None => return self.fall_short(work, &visit),
        }
        let begun = Begun { visit, since, verifier, learnt };
        match next {
            Next::Ask(question) => {
                work.visiting = Some(Visiting { begun, session, question, asked_at: None });
            }
            Next::Done(Outcome { served: false, .. }) => {
                self.begin_shorter(work, begun, session.stretch()).await;
            }
            Next::Done(outcome) if outcome.withheld > 0 => {
                let member = begun.visit.member;
                debug!(%member, ?outcome, "a member does not hand out its history");
                self.report(|status| status.withheld += count(outcome.withheld));
                self.fall_short(work, &begun.visit);
            }
            Next::Done(_) => self.begin(work, begun).await,
        }
    }

    fn through(&self, work: &mut Work, begun: &Begun) {
        let (now, Begun { visit, learnt, .. }) = (clock::now(), begun);
        work.plan.ended(now, visit, Ended::Through, lot());
        self.report(|status| {
            status.state = CatchUpState::Idle;
            status.last_with = Some(visit.member.to_string());
            status.last_at_unix_ms = Some(now.to_unix_ms());
        });
        if *learnt > 0 {
            info!(member = %visit.member, learnt, until = %visit.until, "caught up with a member");
        } else {
            debug!(member = %visit.member, until = %visit.until, "nothing to catch up on");
        }
    }

    /// Ends the visit under way.
    fn end(&self, work: &mut Work, ended: Ended) {
        if let Some(Visiting { begun, .. }) = work.visiting.take() {
            work.plan.ended(clock::now(), &begun.visit, ended, lot());
            self.report(|status| status.state = CatchUpState::Idle);
        }
    }

    fn fall_short(&self, work: &mut Work, visit: &Visit) {
        work.plan.ended(clock::now(), visit, Ended::Short, lot());
        self.report(|status| status.state = CatchUpState::Idle);
    }

    pub(super) fn blame(&self, member: ParticipantId) {
        if let Err(error) = self.network.blame(member) {
            debug!(%error, "not blamed");
        }
    }

    pub(super) fn report(&self, change: impl FnOnce(&mut CatchUpStatus)) {
        self.status.send_modify(change);
    }

    /// What work off the loop came to; what went wrong is logged.
    pub(super) fn done<T>(&self, result: Result<Result<T, ArchiveError>, JoinError>) -> Option<T> {
        match result {
            Ok(Ok(done)) => Some(done),
            Ok(Err(error)) => {
                warn!(%error, "history cannot be read or kept");
                self.report(|status| status.refuse("archive"));
                None
            }
            Err(error) => {
                error!(%error, "catching up panicked, which is a bug");
                self.report(|status| status.refuse("panic"));
                None
            }
        }
    }
}

impl Work {
    fn is_waiting_for(&self, by: &ParticipantId, question: &Question) -> bool {
        self.visiting.as_ref().is_some_and(|visiting| {
            visiting.begun.visit.member == *by
                && visiting.asked_at.is_some()
                && visiting.question == *question
        })
    }

    pub(super) fn remember_useless(&mut self, id: ItemId) {
        let useless = Arc::make_mut(&mut self.useless);
        if useless.len() < USELESS_MAX {
            useless.insert(id);
        }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A number nobody can foresee; zero where the system has none, which is as good for drawing lots.
fn lot() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_be_bytes(bytes),
        Err(_) => 0,
    }
}
