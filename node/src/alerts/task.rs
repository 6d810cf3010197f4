//! The alerts' task: looks at the rules, keeps what is to be told, and tells it.
//!
//! What is new is on disk before it is told; what was told is on disk soon after, so that after a crash
//! an alert may be told twice, and none is lost.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::units::Timestamp;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::day::Day;
use super::outbox::{Alert, Draft, Outbox, OutboxError};
use super::quiet::QuietHours;
use super::rule::{Rule, Seen, Turn};
use super::send::{Receiver, ReceiverConfig, SendError};
use crate::clock;
use crate::dispatcher::DispatchDesk;
use crate::feeders::FeederState;
use crate::history::History;
use crate::lightning::LightningHandle;
use crate::live::{Live, News};
use crate::rpc::alert::ToldReport;
use crate::site::SiteWatch;
use crate::status::AbstentionStatus;

/// File of the outbox inside the data folder.
const FILE: &str = "alerts.json";
/// How often rules are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rules at most.
const RULES_MAX: usize = 64;
/// Receivers at most.
const RECEIVERS_MAX: usize = 16;
/// The longest name of a rule or receiver, in bytes.
const NAME_MAX: usize = 80;
/// Tests under way at most.
const TESTS_MAX: usize = 4;
/// Owners' wishes waiting.
const WISHES_MAX: usize = 4;

/// What the owner wants to be told of, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsConfig {
    /// When only what is urgent is told.
    pub quiet: Option<QuietHours>,
    /// How often what lasts is told again; none for never.
    pub again_ms: Option<u64>,
    /// What to tell.
    pub rules: Vec<Rule>,
    /// Whom.
    pub receivers: Vec<ReceiverConfig>,
}

/// Why there are no alerts.
#[derive(Debug, thiserror::Error)]
pub enum AlertsError {
    /// A receiver cannot be used.
    #[error("the receiver {receiver:?} of `alerts.receivers` cannot be used: {source}")]
    Receiver {
        /// Its name.
        receiver: String,
        /// Why.
        source: SendError,
    },
    /// A rule or receiver makes no sense.
    #[error("`alerts`: {0}")]
    Setting(String),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

impl AlertsConfig {
    /// Whether there is anything to tell, and somewhere to tell it.
    ///
    /// # Errors
    ///
    /// [`AlertsError::Setting`], naming what is wrong.
    pub fn check(&self) -> Result<(), AlertsError> {
        let refuse = |problem: String| Err(AlertsError::Setting(problem));
        if self.rules.len() > RULES_MAX || self.receivers.len() > RECEIVERS_MAX {
            return refuse(format!("more than {RULES_MAX} rules or {RECEIVERS_MAX} receivers"));
        }
        let mut seen = BTreeSet::new();
        let receivers: BTreeSet<&str> = self.receivers.iter().map(|it| it.name.as_str()).collect();
        let names = self.rules.iter().map(|it| ("rule", it.name.as_str()));
        for (what, name) in names.chain(self.receivers.iter().map(|it| ("receiver", &*it.name))) {
            if name.is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
                return refuse(format!("{name:?} is no name for a {what}: 1 to {NAME_MAX} bytes"));
            }
            if !seen.insert((what, name)) {
                return refuse(format!("there are two {what}s called {name:?}"));
            }
        }
        for rule in &self.rules {
            if let Some(unknown) = rule.receivers.iter().find(|it| !receivers.contains(it.as_str()))
            {
                let rule = &rule.name;
                return refuse(format!(
                    "the rule {rule:?} names the receiver {unknown:?}; there is none"
                ));
            }
        }
        if !self.rules.is_empty() && self.receivers.is_empty() {
            return refuse("there are rules, and no receiver to tell anybody".to_owned());
        }
        Ok(())
    }
}

/// Where what is seen comes from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) site: SiteWatch,
    pub(crate) feeders: watch::Receiver<Vec<FeederState>>,
    pub(crate) history: watch::Receiver<History>,
    pub(crate) lightning: Option<LightningHandle>,
    pub(crate) dispatch: DispatchDesk,
    /// Where alerts are told besides.
    pub(crate) live: Live,
}

impl Sources {
    fn seen(&self, local_ms: u64, day: &mut Option<Day>) -> Seen {
        let site = self.site.state.borrow();
        let current = site.as_ref().filter(|site| site.stale.is_none());
        let flowed = current.map(|site| {
            let mwh = |energy: boltgrid_protocol::units::Energy| energy.to_milliwatt_hours();
            let registers = (mwh(site.import_register_mwh), mwh(site.export_register_mwh));
            Day::since_midnight(day, local_ms, registers)
        });
        let battery = current.and_then(|site| site.battery).map(|battery| {
            (battery.stored_mwh.to_milliwatt_hours(), battery.capacity_mwh.to_milliwatt_hours())
        });
        let checked = self.site.checked.borrow();
        let anomalies = checked.standing.iter().map(|it| format!("{}: {}", it.of, it.found));
        let history = self.history.borrow();
        let price = history.last_concluded().and_then(|interval| interval.price_msat_per_kwh);
        let lightning = self.lightning.as_ref().map(LightningHandle::status);
        Seen {
            power_mw: current.map(|site| site.power_mw.to_milliwatts()),
            import_today_mwh: flowed.map(|(import, _)| import),
            export_today_mwh: flowed.map(|(_, export)| export),
            price_msat_per_kwh: price,
            balance_sat: lightning.and_then(|status| status.held_sat()),
            battery_mwh: battery,
            anomalies: Some(anomalies.collect()),
            feeder_gaps: feeder_gaps(&self.feeders.borrow()),
            silent: site.as_ref().map(|site| site.stale.as_ref().map(ToString::to_string)),
            miners: Some(self.dispatch.status().trouble()),
            abstaining: Some(history.sight().abstaining.as_ref().map(|it| {
                let AbstentionStatus { why, advice, .. } = it.into();
                format!("{why}; {advice}")
            })),
        }
    }
}

/// The gaps that stand, in words; none where no feeder is looked at, or none could be yet.
fn feeder_gaps(feeders: &[FeederState]) -> Option<Vec<String>> {
    let is_known = |it: &&FeederState| it.gap.is_some() || it.balance.is_some();
    let known: Vec<_> = feeders.iter().filter(is_known).collect();
    let words = |it: &&FeederState| Some(format!("feeder {}: {}", it.name, it.found()?));
    (!known.is_empty()).then(|| known.iter().filter_map(words).collect())
}

/// How the owner's alerts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertStatus {
    /// The rules.
    pub rules: Vec<RuleStatus>,
    /// The receivers.
    pub receivers: Vec<ReceiverStatus>,
    /// How many were dropped ever.
    pub dropped: u64,
    /// What was told last, oldest first.
    pub told: Vec<Alert>,
}

/// How a rule is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStatus {
    /// The rule.
    pub rule: Rule,
    /// Since when it was told that it holds.
    pub told_at: Option<Timestamp>,
    /// What is seen now, in words; none where it is not known.
    pub seen: Option<String>,
}

/// How a receiver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverStatus {
    /// Its name.
    pub name: String,
    /// How many alerts wait for it.
    pub waiting: usize,
    /// Why it fails, if it does.
    pub failing: Option<String>,
}

#[derive(Debug)]
enum Wish {
    Status(oneshot::Sender<AlertStatus>),
    Test(String, oneshot::Sender<Result<(), String>>),
}

/// Where the owner asks.
#[derive(Clone, Debug)]
pub struct AlertDesk {
    wishes: mpsc::Sender<Wish>,
}

/// What the owner asks, for the task.
#[derive(Debug)]
pub(crate) struct Wishes(mpsc::Receiver<Wish>);

impl AlertDesk {
    /// A desk, and where what is asked there arrives.
    pub(crate) fn new() -> (Self, Wishes) {
        let (wishes, asked) = mpsc::channel(WISHES_MAX);
        (Self { wishes }, Wishes(asked))
    }

    /// How all alerts are; none while the node stops.
    pub async fn status(&self) -> Option<AlertStatus> {
        let (answer, answered) = oneshot::channel();
        self.wishes.send(Wish::Status(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Tells a receiver a test, now.
    ///
    /// # Errors
    ///
    /// Why it did not go, in words.
    pub async fn test(&self, receiver: String) -> Result<(), String> {
        let stopping = || "the node is stopping".to_owned();
        let (answer, answered) = oneshot::channel();
        self.wishes.send(Wish::Test(receiver, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

type Sent = (String, u64, Result<(), SendError>);
type Sending = BoxFuture<'static, Sent>;

/// The task.
pub(crate) struct Alerts {
    node: String,
    charter: Arc<Charter>,
    config: AlertsConfig,
    receivers: Vec<Receiver>,
    outbox: Outbox,
    day: Option<Day>,
    sources: Sources,
    wishes: mpsc::Receiver<Wish>,
    sending: FuturesUnordered<Sending>,
    busy: BTreeSet<String>,
    testing: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Alerts {
    /// Gets all receivers ready, and takes up what waits.
    ///
    /// # Errors
    ///
    /// [`AlertsError`].
    pub(crate) fn open(
        config: AlertsConfig,
        (node, charter): (String, Arc<Charter>),
        data_dir: &Path,
        sources: Sources,
        Wishes(wishes): Wishes,
    ) -> Result<Self, AlertsError> {
        config.check()?;
        let open = |it: &ReceiverConfig| {
            let receiver = it.name.clone();
            Receiver::open(it.clone()).map_err(|source| AlertsError::Receiver { receiver, source })
        };
        let receivers = config.receivers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let mut outbox = Outbox::open(&data_dir.join(FILE))?;
        let names = |names: &[Rule]| names.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let rules = names(&config.rules);
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let named: Vec<&str> = receivers.iter().map(Receiver::name).collect();
        outbox.retain(&rules, &named);
        let day = outbox.day();
        let (sending, testing) = (FuturesUnordered::new(), FuturesUnordered::new());
        let busy = BTreeSet::new();
        Ok(Self {
            node,
            charter,
            config,
            receivers,
            outbox,
            day,
            sources,
            wishes,
            sending,
            busy,
            testing,
        })
    }

    /// Tells until stopped. What waits then is told after the next start.
    ///
    /// # Errors
    ///
    /// [`OutboxError`] when alerts cannot be kept.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), OutboxError> {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let changed = tokio::select! {
                () = stop.cancelled() => return keep(self.outbox.draft()?).await,
                _ = ticks.tick() => self.look(clock::now()),
                Some(sent) = self.sending.next(), if !self.sending.is_empty() => self.sent(sent),
                Some(()) = self.testing.next(), if !self.testing.is_empty() => false,
                Some(wish) = self.wishes.recv() => {
                    self.grant(wish);
                    false
                }
            };
            if changed {
                keep(self.outbox.draft()?).await?;
            }
            self.send(clock::now());
        }
    }

    /// Looks at all rules. Returns whether there is something to keep.
    fn look(&mut self, now: Timestamp) -> bool {
        let seen = self.seen(now);
        let mut changed = self.outbox.set_day(self.day);
        for rule in &self.config.rules {
            let mut standing = self.outbox.standing(&rule.name);
            let before = standing;
            let turn = standing.look(rule, &seen, now, self.config.again_ms);
            if standing != before {
                self.outbox.stand(&rule.name, standing);
            }
            let Some((turn, text)) = turn else { continue };
            info!(target: "boltgrid::event::alert", rule = rule.name, ?turn, text, "alert");
            self.sources.live.tell(|| {
                News::Alert(ToldReport::new(rule.name.clone(), (turn, text.clone()), now))
            });
            let receivers = if rule.receivers.is_empty() {
                self.receivers.iter().map(|it| it.name().to_owned()).collect()
            } else {
                rule.receivers.clone()
            };
            self.outbox.add((&rule.name, rule.urgent), (turn, text), now, receivers);
            changed = true;
        }
        let dropped = self.outbox.drop_old(now);
        if dropped > 0 {
            warn!(dropped, "alerts that nobody could be told for a week were dropped");
            changed = true;
        }
        changed
    }

    fn seen(&mut self, now: Timestamp) -> Seen {
        self.sources.seen(self.charter.tariff.clock.local_ms(now), &mut self.day)
    }

    /// Begins to tell every receiver that is free its next alert.
    fn send(&mut self, now: Timestamp) {
        let local_ms = self.charter.tariff.clock.local_ms(now);
        let is_quiet = self.config.quiet.is_some_and(|quiet| quiet.hold_at(local_ms));
        for receiver in &self.receivers {
            if self.busy.contains(receiver.name()) {
                continue;
            }
            let Some(alert) = self.outbox.next_for(receiver.name(), now, is_quiet) else {
                continue;
            };
            self.busy.insert(receiver.name().to_owned());
            let (receiver, alert, node) = (receiver.clone(), alert.clone(), self.node.clone());
            self.sending.push(Box::pin(async move {
                let sent = receiver.tell(&node, &alert).await;
                (receiver.name().to_owned(), alert.number, sent)
            }));
        }
    }

    fn sent(&mut self, (receiver, number, sent): Sent) -> bool {
        self.busy.remove(&receiver);
        match sent {
            Ok(()) => {
                if self.outbox.failing(&receiver).is_some() {
                    info!(receiver, "alerts reach this receiver again");
                }
                self.outbox.told(&receiver, number);
                true
            }
            Err(why) => {
                let why = why.to_string();
                if self.outbox.failed(&receiver, why.clone(), clock::now()) {
                    warn!(receiver, why, "an alert could not be told; it is tried again");
                }
                false
            }
        }
    }

    fn grant(&mut self, wish: Wish) {
        // Whoever has gone away misses the answer.
        match wish {
            Wish::Status(answer) => drop(answer.send(self.status(clock::now()))),
            Wish::Test(_, answer) if self.testing.len() >= TESTS_MAX => {
                drop(answer.send(Err("other tests are under way; try again".to_owned())));
            }
            Wish::Test(name, answer) => {
                let Some(receiver) = self.receivers.iter().find(|it| it.name() == name) else {
                    let names: Vec<&str> = self.receivers.iter().map(Receiver::name).collect();
                    let known = names.join(", ");
                    drop(
                        answer.send(Err(format!(
                            "there is no receiver {name:?}; there are: {known}"
                        ))),
                    );
                    return;
                };
                let (receiver, node) = (receiver.clone(), self.node.clone());
                let alert = Alert {
                    number: 0,
                    rule: "test".to_owned(),
                    turn: Turn::Test,
                    text: "If you read this, alerts of your node arrive here.".to_owned(),
                    at: clock::now(),
                    urgent: true,
                };
                self.testing.push(Box::pin(async move {
                    let sent = receiver.tell(&node, &alert).await;
                    // Whoever has gone away misses the answer.
                    drop(answer.send(sent.map_err(|why| why.to_string())));
                }));
            }
        }
    }

    fn status(&mut self, now: Timestamp) -> AlertStatus {
        let seen = self.seen(now);
        let rule = |rule: &Rule| RuleStatus {
            rule: rule.clone(),
            told_at: self.outbox.standing(&rule.name).told_at,
            seen: rule.when.holds(&seen).map(|(_, text)| text),
        };
        let receiver = |receiver: &Receiver| ReceiverStatus {
            name: receiver.name().to_owned(),
            waiting: self.outbox.waiting_for(receiver.name()),
            failing: self.outbox.failing(receiver.name()).map(|failing| failing.why.clone()),
        };
        let (_, dropped, told) = self.outbox.list();
        AlertStatus {
            rules: self.config.rules.iter().map(rule).collect(),
            receivers: self.receivers.iter().map(receiver).collect(),
            dropped,
            told,
        }
    }
}

async fn keep(draft: Draft) -> Result<(), OutboxError> {
    let written = tokio::task::spawn_blocking(move || draft.write()).await;
    written.unwrap_or_else(|panic| {
        error!(%panic, "keeping alerts panicked");
        Ok(())
    })
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alerts")
    }
}
