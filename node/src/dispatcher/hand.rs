//! The hand at one machine: tells it what the plan wants, looks what it does, and learns from that.
//!
//! A command interrupts a look, as every call to a driver may be dropped; so what a meter shows reaches
//! a machine without waiting for anything. A machine that cannot be found is looked for with growing
//! pauses, for as long as the node runs.
//! Not for: what it is to do.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use boltgrid_miners::drivers::{DeviceError, Machine, Relay};
use boltgrid_miners::effect::{Action, Check, Notice, Standing};
use boltgrid_miners::hash::Efficiency;
use boltgrid_miners::learnt::Learnt;
use boltgrid_miners::machine::{Abilities, Observation, SetPoint};
use boltgrid_protocol::units::{Power, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::config::{MinerConfig, Owned};
use crate::clock;
use crate::site::MeterState;

/// How often a machine is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a machine said is old after this time: it may draw anything up to what it was told.
const SEEN_MS_MAX: u64 = 15_000;
/// The first pause after a machine was not found; it doubles with each further time …
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What the plan wants of a machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// What it is to do; nothing is told before the first plan.
    pub(super) set_point: Option<SetPoint>,
    /// When the sample was taken that this follows from.
    pub(super) cause_at: Timestamp,
}

/// What is known of a machine that was found.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) about: Arc<str>,
    /// What it can, corrected by what it did.
    pub(super) abilities: Abilities,
    pub(super) standing: Standing,
    /// What it must be thought to draw at most.
    pub(super) assumed: Power,
    /// What it was told last.
    pub(super) told: Option<SetPoint>,
    /// What it was seen to do last.
    pub(super) seen: Option<Observation>,
    /// What it takes for its hashes at the most that it can draw, as learnt or else as seen now.
    pub(super) efficiency: Option<Efficiency>,
    /// All that was learnt of it.
    pub(super) learnt: Arc<Learnt>,
}

impl Known {
    /// What it was seen to do, if that is not long ago.
    pub(super) fn seen_lately(&self, now: Timestamp) -> Option<Observation> {
        self.seen.filter(|seen| now.ms_since(seen.at) <= SEEN_MS_MAX)
    }
}

/// What a hand says.
#[derive(Debug)]
pub(super) struct Report {
    /// Which machine, by its place.
    pub(super) place: usize,
    /// What is known of it; none while it is not found.
    pub(super) known: Option<Known>,
    /// The sample that caused a command that was just sent, and when it was sent.
    pub(super) sent: Option<(Timestamp, Timestamp)>,
    /// What happened to it.
    pub(super) notices: Vec<Notice>,
}

/// The hand at one machine.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) place: usize,
    pub(super) miner: MinerConfig,
    pub(super) wanted: watch::Receiver<Wanted>,
    /// Whether the plan has room for it, should it be cut off and get power again.
    pub(super) may_restart: watch::Receiver<bool>,
    pub(super) meters: watch::Receiver<Arc<[MeterState]>>,
    /// What was learnt of it before the node was started.
    pub(super) learnt: Arc<Learnt>,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) stop: CancellationToken,
}

/// A machine that was found.
struct Found {
    machine: Machine,
    relay: Option<Relay>,
    about: Arc<str>,
    stated: Abilities,
    check: Check,
    learnt: Learnt,
    seen: Option<Observation>,
    failing: bool,
}

impl Hand {
    /// Runs until stopped, and leaves the machine as it is.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            match self.find().await {
                Ok(found) => return self.follow(found).await,
                Err(error) => {
                    warn!(machine = %self.miner.owned.name, %error, "machine not found; it is tried again");
                    self.report(None, None, Vec::new()).await;
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            }
        }
    }

    async fn find(&self) -> Result<Found, DeviceError> {
        let MinerConfig { owned, stated, driver } = &self.miner;
        let Owned { name, relay, on_contact_lost, .. } = owned;
        let machine = Machine::open(driver, *stated, name).await?;
        let relay = relay.as_ref().map(|relay| Relay::open(relay, name)).transpose()?;
        let (about, stated) = (machine.about(), machine.abilities().clone());
        info!(machine = %name, %about, "machine found");
        let lost_ms = u64::from(owned.contact_lost_s) * 1_000;
        let learnt = Learnt::clone(&self.learnt);
        let able = learnt.correct(stated.clone());
        let check = Check::new(able, lost_ms, *on_contact_lost, clock::now());
        let about = about.into();
        Ok(Found { machine, relay, about, stated, check, learnt, seen: None, failing: false })
    }

    async fn follow(&mut self, mut found: Found) {
        let mut look_at = Instant::now();
        loop {
            let (machine, relay) = (&mut found.machine, found.relay.as_ref());
            let look = async {
                sleep_until(look_at).await;
                let now = clock::now();
                let seen = machine.observe(now).await;
                let through_relay = match relay {
                    Some(relay) if seen.is_err() => through(relay, now).await,
                    Some(_) | None => None,
                };
                (now, seen, through_relay)
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Ok(()) = self.wanted.changed() => {
                    let Wanted { set_point, cause_at } = *self.wanted.borrow_and_update();
                    let Some(set_point) = set_point else { continue };
                    let actions = found.check.command(clock::now(), set_point);
                    self.act(&mut found, actions, Some(cause_at)).await;
                }
                (at, seen, through_relay) = look => {
                    look_at = Instant::now() + LOOK_EVERY;
                    let actions = self.look(&mut found, at, seen, through_relay);
                    self.act(&mut found, actions, None).await;
                    let actions = self.tick(&mut found);
                    if !actions.is_empty() {
                        self.act(&mut found, actions, None).await;
                    }
                }
            }
        }
    }

    /// Takes what was seen, with the word of the machine's own meter above its own, and that of its relay
    /// where it says nothing.
    fn look(
        &self,
        found: &mut Found,
        at: Timestamp,
        seen: Result<Observation, DeviceError>,
        through_relay: Option<Power>,
    ) -> Vec<Action> {
        let metered = self.metered().or(through_relay);
        match seen {
            Ok(seen) => {
                found.failing = false;
                let seen = metered.map_or(seen, |power| seen.with_meter(power));
                found.learnt.observed(&seen);
                found.seen = Some(seen);
                found.check.set_abilities(found.learnt.correct(found.stated.clone()));
                found.check.observed(&seen)
            }
            Err(error) => {
                if !found.failing {
                    warn!(machine = %self.miner.owned.name, %error, "machine does not answer");
                }
                found.failing = true;
                metered.map_or_else(Vec::new, |power| found.check.metered(at, power))
            }
        }
    }

    fn tick(&self, found: &mut Found) -> Vec<Action> {
        let now = clock::now();
        let mut actions = found.check.tick(now);
        // One that gets power runs by itself, so there must be room for it.
        if found.check.is_trial_due(now) && *self.may_restart.borrow() {
            actions.extend(found.check.try_again(now));
        }
        actions
    }

    /// What the machine's own meter shows.
    fn metered(&self) -> Option<Power> {
        let name = self.miner.owned.meter.as_deref()?;
        let meters = self.meters.borrow();
        let meter = meters.iter().find(|meter| &*meter.name == name)?;
        meter.last.as_ref().filter(|_| meter.stale.is_none())?.power
    }

    async fn act(&self, found: &mut Found, actions: Vec<Action>, cause_at: Option<Timestamp>) {
        let (mut sent, mut notices) = (None, Vec::new());
        for action in actions {
            match action {
                Action::Command(set_point) => {
                    sent = cause_at.map(|cause_at| (cause_at, clock::now()));
                    found.learnt.told();
                    self.command(found, set_point).await;
                }
                Action::CutOff => self.switch(found, false).await,
                Action::Restore => self.switch(found, true).await,
                Action::Tell(notice) => {
                    self.log(&notice);
                    found.learnt.happened(clock::now(), &notice);
                    notices.push(notice);
                }
            }
        }
        let known = Known {
            about: Arc::clone(&found.about),
            abilities: found.check.abilities().clone(),
            standing: found.check.standing(),
            assumed: found.check.assumed(),
            told: found.check.set_point(),
            seen: found.seen,
            efficiency: self.efficiency(found),
            learnt: Arc::new(found.learnt.clone()),
        };
        self.report(Some(known), sent, notices).await;
    }

    async fn command(&self, found: &mut Found, set_point: SetPoint) {
        let machine = &self.miner.owned.name;
        match found.machine.command(set_point).await {
            Ok(_) => debug!(%machine, %set_point, "machine told"),
            Err(error) => {
                warn!(%machine, %set_point, %error, "machine does not take its set point");
                found.check.refused();
            }
        }
    }

    async fn switch(&self, found: &mut Found, on: bool) {
        let machine = &self.miner.owned.name;
        let Some(relay) = &mut found.relay else {
            warn!(%machine, on, "machine is to be switched by its relay, and has none");
            return;
        };
        match relay.switch(on).await {
            Ok(_) => info!(%machine, on, "machine switched by its relay"),
            Err(error) => warn!(%machine, on, %error, "relay not switched"),
        }
    }

    fn log(&self, notice: &Notice) {
        let machine = &self.miner.owned.name;
        match notice {
            Notice::Followed { .. } | Notice::Recovered { .. } => info!(%machine, "{notice}"),
            Notice::Unresponsive { .. } | Notice::ContactLost { .. } | Notice::NotCut { .. } => {
                warn!(%machine, "{notice}");
            }
        }
    }

    /// What its hashes take: as learnt at the most that it can draw, or else as its owner says, or else
    /// as seen now.
    fn efficiency(&self, found: &Found) -> Option<Efficiency> {
        let most = SetPoint::Run { power_mw: found.check.abilities().most() };
        let learnt = found.learnt.efficiency_ceil(most);
        let stated = self.miner.owned.efficiency_mj_per_th;
        let stated = stated.and_then(|mj| Efficiency::from_millijoules(mj.get().into()).ok());
        learnt.or(stated).or_else(|| {
            let seen = found.seen?;
            Efficiency::of_ceil(seen.power?, seen.hash_rate?)
        })
    }

    async fn report(
        &self,
        known: Option<Known>,
        sent: Option<(Timestamp, Timestamp)>,
        notices: Vec<Notice>,
    ) {
        let report = Report { place: self.place, known, sent, notices };
        // Fails only when the dispatcher has ended.
        drop(self.reports.send(report).await);
    }
}

/// What flows through the relay of a machine that does not answer, where that says so.
async fn through(relay: &Relay, now: Timestamp) -> Option<Power> {
    match relay.observe(now).await {
        Ok(seen) => seen.power,
        Err(error) => {
            debug!(%error, "the relay of a machine that does not answer does not either");
            None
        }
    }
}
