//! Holds every feeder's meter against those of its sites, interval by interval (P39).
//!
//! Once the readings of an interval are due, all of the latest intervals are added up anew from the
//! archive, so that a reading that came late, or was learnt from history, takes the place that was
//! empty. Nothing follows but what is logged, kept and shown.
//! Not for: the arithmetic (`boltgrid_metering::feeder`), or what stands in for missing readings
//! ([`crate::substitutes`]), which is looked at in the same moments.

mod flows;
mod masked;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_metering::feeder::{Balance, FeederGap, WINDOW_INTERVALS, located, standing_gap};
use boltgrid_protocol::charter::{Charter, Disclosure};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Interval, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::anomalies::{AnomalyRecord, Found};
use crate::clock;
use crate::store::Archive;
use crate::substitutes::Substitutes;
use flows::Flows;

pub use masked::{CohortState, Sums};

/// The longest sleep: a clock that is set is noticed by then.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// After readings are due they are given so long to be stored.
const AFTER_DUE_MS: u64 = 50;

/// A feeder as it stands.
#[derive(Clone, Debug, Default)]
pub struct FeederState {
    /// Its name in the charter.
    pub name: String,
    /// Whose meter is the feeder's; none where there is none.
    pub meter: Option<ParticipantId>,
    /// The latest interval that could be added up.
    pub balance: Option<Balance>,
    /// The gap that stands.
    pub gap: Option<FeederGap>,
    /// Whether its sites' readings are not everybody's, so that nobody can add them up (P40).
    pub unseen: bool,
    /// Whose meter the gap comes from, where that could be told since it stands.
    pub located: Option<ParticipantId>,
    /// The latest interval that readings were due for, and whose were missing.
    pub missing: Option<(Interval, Vec<ParticipantId>)>,
    /// The latest cohort, where the charter has readings masked.
    pub cohort: Option<CohortState>,
}

impl FeederState {
    /// What is found where a gap stands.
    #[must_use]
    pub fn found(&self) -> Option<Found> {
        self.gap.as_ref().map(|gap| self.found_of(gap))
    }

    fn found_of(&self, gap: &FeederGap) -> Found {
        match (self.located, &self.cohort) {
            (Some(whose), _) => Found::LocatedGap(gap.clone(), whose),
            (None, None) => Found::Feeder(gap.clone()),
            (None, Some(cohort)) => {
                let sites = u64::try_from(cohort.turnout.present).unwrap_or(u64::MAX);
                Found::CohortGap(gap.clone(), sites)
            }
        }
    }
}

/// The task that watches the feeders, and fills in what is missing of the site's own readings.
#[derive(Debug)]
pub struct Feeders {
    charter: Arc<Charter>,
    rosters: Rosters,
    archive: Archive,
    flows: Flows,
    standing: BTreeMap<String, AnomalyRecord>,
    substitutes: Substitutes,
    states: watch::Sender<Vec<FeederState>>,
    sums: watch::Receiver<Sums>,
}

/// What others have to do with the task.
#[derive(Debug)]
pub struct FeedersEnds {
    /// The feeders as they stand.
    pub states: watch::Receiver<Vec<FeederState>>,
    /// Where the market puts the sums of feeders whose sites are masked.
    pub sums: watch::Sender<Sums>,
}

impl Feeders {
    /// Nothing added up yet, and where it will be shown.
    #[must_use]
    pub fn new(
        (charter, rosters): (Arc<Charter>, Rosters),
        me: ParticipantId,
        archive: Archive,
    ) -> (Self, FeedersEnds) {
        let (states, watched) = watch::channel(Vec::new());
        let (putting, sums) = watch::channel(Sums::default());
        for feeder in &charter.feeders {
            if let Err(error) = archive.end_anomalies_of(&feeder.name, clock::now()) {
                warn!(%error, "anomalies of before are not readable");
            }
        }
        let flows = Flows::default();
        let standing = BTreeMap::new();
        let substitutes = Substitutes::new(me, Arc::clone(&charter), archive.clone());
        let ends = FeedersEnds { states: watched, sums: putting };
        (Self { charter, rosters, archive, flows, standing, substitutes, states, sums }, ends)
    }

    /// Runs until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        // What is not everybody's is not looked at here.
        match self.charter.readings {
            Disclosure::Open => {}
            Disclosure::Counterparty => {
                self.say_unseen();
                return shutdown.cancelled().await;
            }
            Disclosure::Masked => return self.run_masked(shutdown).await,
        }
        let mut done = None;
        loop {
            let now = clock::now();
            let interval = self.latest_due(now);
            if done != Some(interval) {
                if !self.charter.feeders.is_empty() {
                    self.look(now, interval);
                }
                self.substitutes.look(now, interval, &mut self.rosters);
                done = Some(interval);
            }
            let due = self.due(interval.next());
            let sleep = Duration::from_millis(due.ms_since(now)).min(SLEEP_MAX);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Says of every feeder that it is not checked, since nobody sees all readings.
    fn say_unseen(&self) {
        let unseen = |name: &String| FeederState {
            name: name.clone(),
            unseen: true,
            ..FeederState::default()
        };
        let states: Vec<_> = self.charter.feeders.iter().map(|it| unseen(&it.name)).collect();
        if !states.is_empty() {
            info!("feeders are not checked: the charter lets counterparties only see readings");
        }
        self.states.send_replace(states);
    }

    /// When the readings of an interval should be there.
    fn due(&self, interval: Interval) -> Timestamp {
        self.charter.interval.schedule(interval).readings_by.plus_ms(AFTER_DUE_MS)
    }

    /// The latest interval whose readings should be there.
    fn latest_due(&self, now: Timestamp) -> Interval {
        let current = self.charter.interval.interval_at(now);
        let passed = [current.previous(), current.minus(2)];
        passed.into_iter().find(|it| self.due(*it) <= now).unwrap_or_else(|| current.minus(3))
    }

    /// Adds up the latest intervals up to `last`.
    fn look(&mut self, now: Timestamp, last: Interval) {
        let window = u64::try_from(WINDOW_INTERVALS).unwrap_or(u64::MAX);
        let first = last.minus(window.saturating_sub(1));
        self.flows.read(&self.archive, (&self.charter, &mut self.rosters), first..=last.next());
        let charter = Arc::clone(&self.charter);
        let mut states = Vec::with_capacity(charter.feeders.len());
        for feeder in &charter.feeders {
            let mut state = FeederState { name: feeder.name.clone(), ..FeederState::default() };
            let mut balances = Vec::new();
            let mut interval = first;
            while interval <= last {
                let roster = self.rosters.at(interval);
                match self.flows.of(feeder, (&charter, &roster), interval) {
                    None => state.meter = None,
                    Some((meter, flow)) => {
                        state.meter = Some(meter);
                        match flow {
                            Ok((flow, balance)) => {
                                state.balance = Some(balance);
                                state.missing = None;
                                balances.push((flow, balance));
                            }
                            Err(missing) => state.missing = Some((interval, missing)),
                        }
                    }
                }
                interval = interval.next();
            }
            if let Some(meter) = state.meter {
                state.gap = standing_gap(meter, &balances);
                state.located = located(meter, &balances).or_else(|| self.still_located(&state));
            }
            self.note(now, &state);
            states.push(state);
        }
        self.states.send_replace(states);
    }

    /// Who was located when the intervals at which the gap began were still looked at. It holds while
    /// the gap stands and that meter would explain it.
    fn still_located(&self, state: &FeederState) -> Option<ParticipantId> {
        let gap = state.gap.as_ref()?;
        match self.standing.get(&state.name)?.found {
            Found::LocatedGap(_, whose) => {
                gap.suspects.iter().any(|it| it.participant == whose).then_some(whose)
            }
            Found::Site(_) | Found::Feeder(_) | Found::CohortGap(..) => None,
        }
    }

    /// Logs and keeps a gap that begins, is located, lasts or ends.
    fn note(&mut self, now: Timestamp, state: &FeederState) {
        let before = self.standing.remove(&state.name);
        let record = match (&state.gap, before) {
            (None, None) => return,
            (None, Some(before)) => {
                info!(
                    target: "boltgrid::event::anomaly",
                    of = %before.of, kind = before.kind(), "anomaly is over"
                );
                AnomalyRecord { ended_at: Some(now), ..before }
            }
            (Some(gap), before) => {
                let found = state.found_of(gap);
                let was_located = before.as_ref().and_then(|before| before.found.located());
                let news = before.is_none() || was_located != state.located;
                let record = AnomalyRecord {
                    of: state.name.clone(),
                    found,
                    began_at: before.as_ref().map_or(now, |before| before.began_at),
                    seen_at: now,
                    count: before.map_or(1, |before| before.count.saturating_add(1)),
                    ended_at: None,
                };
                if news {
                    warn!(
                        target: "boltgrid::event::anomaly",
                        of = %record.of, kind = record.kind(), blocks_orders = false,
                        found = %record.found, located = state.located.is_some(),
                        "feeder gap stands"
                    );
                }
                self.standing.insert(state.name.clone(), record.clone());
                record
            }
        };
        if let Err(error) = self.archive.put_anomaly(&record) {
            warn!(%error, "anomaly not stored");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
