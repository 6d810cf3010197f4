//! One run: an event queue, the nodes, and true time, which only the world knows.
//!
//! Everything happens in the order of the queue, by moment and then by when it was put there; nothing
//! depends on the order of a hash map, on wall time or on threads. Not for: what is right; that is
//! [`super::check`]'s.

mod carry;
mod faults;
mod gossip;
mod readings;
mod showing;

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::abstention::ClockCheck;
use boltgrid_market::input::Input;
use boltgrid_protocol::direct::Question;
use boltgrid_protocol::seal::Shown;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::admission::{Admission, MessageId};
use super::check::{Checks, Fitness, Guarantee, Here, Violation};
use super::clock::Clock;
use super::flaw::Flaw;
use super::founding::{Founding, STARTS_UNIX_MS};
use super::journal::Journal;
use super::network::Network;
use super::node::Node;
use super::plan::Plan;
use super::report::Counts;
use super::site::Site;

/// An interval's book is closed so long after its delivery starts: time for every node that runs to
/// have told what became of it.
const CLOSED_AFTER_MS: u64 = 2_000;
/// How far off a clock may be for decisions to be promised.
const FIT_CLOCK_MS: u64 = 60;
/// How far off a clock may be for the moment of a notice to be promised.
const STEADY_CLOCK_MS: u64 = 500;
/// Links are good while nothing is lost and messages arrive within this.
const GOOD_DELAY_MS: u64 = 100;
/// Before the order window a node must be up so long to count as undisturbed.
const BEFORE_WINDOW_MS: u64 = 2_000;
/// Most lines of a trace.
const TRACE_MAX: usize = 200_000;

/// Something to come.
#[derive(Clone, Debug)]
enum What {
    /// An incident of the plan starts.
    Incident(usize),
    /// A node starts.
    Start { node: usize, life: u32 },
    /// A node is woken.
    Wake { node: usize, at_ms: u64 },
    /// A node's gossip layer offers what others lack.
    Beat { node: usize },
    /// A message arrives, on a topic or directly.
    Arrive { to: usize, from: usize, id: MessageId, topic: Option<Topic> },
    /// A reading is shown, again if it was shown in vain.
    Show { from: usize, to: usize, shown: Box<Shown>, until: Timestamp },
    /// A reading arrives that its author shows.
    Shown { to: usize, from: usize, shown: Box<Shown> },
    /// A question arrives.
    Asked { to: usize, from: usize, question: Question },
    /// A certificate arrives that was asked for.
    Certificate { to: usize, bytes: Arc<[u8]> },
    /// A site says what it wants.
    Place { node: usize, life: u32, interval: Interval },
    /// A node's clock is checked.
    Clock { node: usize, check: ClockCheck },
    /// A node is killed if it still runs.
    Kill { node: usize, life: u32 },
    /// An interval is checked.
    Close(Interval),
    /// Evidence must have spread.
    EvidenceDue,
}

/// How one run went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What happened, counted.
    pub counts: Counts,
    /// What did not hold, the first few of each guarantee.
    pub violations: Vec<Violation>,
    /// What happened, line by line, where that was asked for.
    pub trace: Vec<String>,
}

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What is broken on purpose.
    pub flaw: Option<Flaw>,
    /// Whether to keep a trace.
    pub traced: bool,
    /// Whether to stop when this does not hold.
    pub until: Option<Guarantee>,
}

/// One run under way.
#[derive(Debug)]
pub(super) struct World {
    plan: Plan,
    options: Options,
    founding: Founding,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), What>,
    sequence: u64,
    admission: Admission,
    network: Network,
    nodes: Vec<Node>,
    honest: Vec<bool>,
    checks: Checks,
    counts: Counts,
    trace: Vec<String>,
}

/// Runs a plan to its end.
#[must_use]
pub fn run(plan: &Plan, options: Options) -> Outcome {
    let mut world = World::new(plan.clone(), options);
    world.run();
    world.into_outcome()
}

impl World {
    fn new(plan: Plan, options: Options) -> Self {
        let founding = Founding::of(&plan, options.flaw);
        let (charter, rosters) = (Arc::clone(&founding.charter), founding.rosters.clone());
        let honest: Vec<bool> = (0..plan.members.len())
            .map(|node| plan.rogues.iter().all(|(rogue, _)| *rogue != node))
            .collect();
        let mut checks = Checks::new(
            Arc::clone(&charter),
            Founding::of(&plan, None).rosters,
            founding.participants.clone(),
            honest.clone(),
        );
        if options.flaw == Some(Flaw::TooManyRogues) {
            checks.pretend();
        }
        if let Some(from) = plan.hidden.filter(|_| plan.reads_meters_in_time()) {
            checks.sums.hide_from(founding.first.plus(from));
        }
        for (node, _) in plan.rogues.iter().filter(|(_, role)| role.misreports_its_meter()) {
            checks.sums.misreports(*node);
        }
        let since = charter.interval.interval_at(Timestamp::from_unix_ms(STARTS_UNIX_MS));
        let nodes = (0..plan.members.len())
            .map(|node| {
                let site = Site::new(plan.seed, node, since.minus(2));
                Node::new(Clock::new(STARTS_UNIX_MS), Journal::default(), site)
            })
            .collect();
        Self {
            network: Network::new(plan.seed, plan.weather),
            admission: Admission::new(charter, rosters),
            now_ms: STARTS_UNIX_MS,
            queue: BTreeMap::new(),
            sequence: 0,
            nodes,
            honest,
            checks,
            counts: Counts::default(),
            trace: Vec::new(),
            founding,
            options,
            plan,
        }
    }

    fn run(&mut self) {
        self.counts.seeds = 1;
        self.counts.private = u64::from(!self.plan.readings.is_open());
        self.counts.masked = u64::from(self.plan.readings.is_masked());
        for (_, role) in &self.plan.rogues {
            *self.counts.rogues.entry(role.word()).or_default() += 1;
        }
        for node in 0..self.nodes.len() {
            self.after(node as u64, What::Start { node, life: 0 });
            self.after(node as u64 * 37, What::Beat { node });
        }
        for (number, incident) in self.plan.incidents.clone().into_iter().enumerate() {
            self.after(incident.at_ms, What::Incident(number));
        }
        for number in 0..self.plan.intervals {
            let interval = self.founding.first.plus(number);
            let starts = self.founding.charter.interval.start_of(interval);
            self.put(starts.to_unix_ms() + CLOSED_AFTER_MS, What::Close(interval));
        }
        let ends_ms = STARTS_UNIX_MS + self.plan.ends_ms();
        while let Some(((at_ms, _), what)) = self.queue.pop_first() {
            if at_ms > ends_ms || self.is_enough() {
                break;
            }
            self.now_ms = at_ms;
            self.happen(what);
        }
        let up = self.now_ms - STARTS_UNIX_MS;
        self.counts.node_ms += up * self.nodes.len() as u64;
        self.counts.decided = self.checks.decided;
        self.counts.equivocations = self.checks.caught();
        self.counts.gaps = self.checks.sums.gaps();
    }

    fn is_enough(&self) -> bool {
        self.options.until.is_some_and(|until| self.checks.failed(until))
    }

    fn into_outcome(mut self) -> Outcome {
        let (violations, counts) = self.checks.into_violations();
        self.counts.violations =
            counts.into_iter().map(|(it, count)| (it.words(), count)).collect();
        Outcome { counts: self.counts, violations, trace: self.trace }
    }

    /// When the run started.
    #[expect(clippy::unused_self, reason = "true time is the world's")]
    const fn starts_ms(&self) -> u64 {
        STARTS_UNIX_MS
    }

    /// Milliseconds since the run started.
    const fn since_ms(&self) -> u64 {
        self.now_ms - STARTS_UNIX_MS
    }

    fn after(&mut self, ms: u64, what: What) {
        self.put(self.now_ms + ms, what);
    }

    fn put(&mut self, at_ms: u64, what: What) {
        self.sequence += 1;
        self.queue.insert((at_ms, self.sequence), what);
    }

    /// What a node's clock shows.
    fn local(&self, node: usize) -> Timestamp {
        self.nodes[node].clock.shows(self.now_ms)
    }

    fn here(&self, node: usize) -> Here {
        Here { at_ms: self.since_ms(), node, local: self.local(node) }
    }

    fn note(&mut self, node: usize, what: impl FnOnce() -> String) {
        if self.options.traced && self.trace.len() < TRACE_MAX {
            let ms = self.since_ms();
            self.trace.push(format!(
                "{:>5}.{:03} s  node {node:>2}  {}",
                ms / 1_000,
                ms % 1_000,
                what()
            ));
        }
    }

    fn happen(&mut self, what: What) {
        // A process that stands still finds everything in its buffers when it goes on.
        if let Some(until_ms) = what.node().map(|node| self.nodes[node].stands_until_ms)
            && until_ms > self.now_ms
        {
            self.put(until_ms, what);
            return;
        }
        match what {
            What::Incident(number) => self.strike(number),
            What::Start { node, life } => self.start(node, life),
            What::Wake { node, at_ms } => self.wake(node, at_ms),
            What::Beat { node } => self.beat(node),
            What::Arrive { to, from, id, topic } => self.arrive(to, from, id, topic),
            What::Show { from, to, shown, until } => self.show(from, to, shown, until),
            What::Shown { to, from, shown } => self.take_shown(to, from, *shown),
            What::Asked { to, from, question } => self.asked(to, from, &question),
            What::Certificate { to, bytes } => self.take_certificate(to, &bytes),
            What::Place { node, life, interval } => self.place(node, life, interval),
            What::Clock { node, check } => self.input(node, Input::Clock(check), None),
            What::Kill { node, life } => self.kill(node, life),
            What::Close(interval) => self.close(interval),
            What::EvidenceDue => self.evidence_due(),
        }
    }

    fn close(&mut self, interval: Interval) {
        self.counts.intervals += 1;
        let schedule = self.founding.charter.interval.schedule(interval);
        let from_ms = schedule.orders_open.to_unix_ms() - BEFORE_WINDOW_MS - STARTS_UNIX_MS;
        let fitness = self.fitness(from_ms);
        self.checks.closed(self.since_ms(), interval, &fitness);
        let oldest = interval.minus(6);
        self.nodes.iter_mut().for_each(|node| node.journal.prune_before(oldest));
    }

    fn evidence_due(&mut self) {
        let now_ms = self.since_ms();
        let fitness: BTreeMap<u64, Fitness> = self
            .checks
            .evidence_since(now_ms)
            .into_iter()
            .map(|since_ms| (since_ms, self.fitness(since_ms)))
            .collect();
        self.checks.evidence_due(now_ms, &fitness);
    }

    /// Who was undisturbed from some moment of the run until now.
    fn fitness(&self, from_ms: u64) -> Fitness {
        let now_ms = self.since_ms();
        let hit = |node: usize| {
            self.plan.incidents.iter().any(|incident| {
                incident.event.node() == Some(node)
                    && incident.at_ms <= now_ms
                    && incident.until_ms() + 1_000 >= from_ms
            })
        };
        let steady: Vec<bool> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(number, node)| {
                node.is_up()
                    && node.up_since_ms <= STARTS_UNIX_MS + from_ms
                    && node.clock.error_ms(self.now_ms) <= STEADY_CLOCK_MS
                    && !hit(number)
            })
            .collect();
        let weather = &self.plan.weather;
        let good = weather.loss_ppm == 0
            && weather.delay_ms + weather.jitter_ms <= GOOD_DELAY_MS
            && !self.plan.incidents.iter().any(|incident| {
                incident.event.node().is_none()
                    && incident.at_ms <= now_ms
                    && incident.until_ms() + 1_000 >= from_ms
            });
        let fit = steady
            .iter()
            .zip(&self.nodes)
            .map(|(steady, node)| {
                let trusts = !node.abstains && node.abstained_ms <= STARTS_UNIX_MS + from_ms;
                good && *steady && trusts && node.clock.error_ms(self.now_ms) <= FIT_CLOCK_MS
            })
            .collect();
        Fitness { fit, steady }
    }
}

impl What {
    /// The node that must be running for this to happen.
    const fn node(&self) -> Option<usize> {
        match self {
            Self::Wake { node, .. }
            | Self::Beat { node }
            | Self::Place { node, .. }
            | Self::Clock { node, .. } => Some(*node),
            Self::Arrive { to, .. }
            | Self::Shown { to, .. }
            | Self::Asked { to, .. }
            | Self::Certificate { to, .. } => Some(*to),
            Self::Show { from, .. } => Some(*from),
            Self::Incident(_)
            | Self::Start { .. }
            | Self::Kill { .. }
            | Self::Close(_)
            | Self::EvidenceDue => None,
        }
    }
}
