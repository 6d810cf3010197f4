//! Holds what the site's meters show against one another, all the time; keeps what is found, and says
//! what stands. Not for: the checks themselves (`boltgrid_metering`), or what is ordered meanwhile.

use std::sync::Arc;

use boltgrid_metering::plausibility::{Anomaly, Change, Pace, Plausibility};
use boltgrid_metering::power_quality::{
    GridSample, Nominal, PowerQuality, QualityEvent, WeekSummary,
};
use boltgrid_metering::register::RegisterRejected;
use boltgrid_metering::sample::Sample;
use boltgrid_metering::shown::Shown;
use boltgrid_metering::sun::Place;
use boltgrid_protocol::units::Timestamp;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::anomalies::AnomalyRecord;
use crate::store::{Archive, ArchiveError};

/// How often the sun is looked for: it moves a quarter of a degree in this time.
const SUN_EVERY_MS: u64 = 60_000;
/// How often what stands is written down anew.
const KEEP_EVERY_MS: u64 = 60_000;
/// Most of the grid's events that are kept of one hour; more are of one bad contact.
const EVENTS_PER_HOUR: u32 = 120;
/// An hour.
const HOUR_MS: u64 = 3_600_000;

/// What the checks say now.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The anomalies that stand.
    pub standing: Vec<AnomalyRecord>,
    /// The grid's events that last.
    pub lasting: Vec<QualityEvent>,
    /// The latest week of the grid.
    pub week: WeekSummary,
}

/// The checks of one site.
#[derive(Debug)]
pub(super) struct Checks {
    meter: Arc<str>,
    place: Option<Place>,
    sun: Option<(Timestamp, Option<i32>)>,
    plausibility: Plausibility,
    quality: PowerQuality,
    archive: Archive,
    kept_at: Timestamp,
    /// The hour of the latest of the grid's events, and how many of it were kept.
    events: (u64, u32),
    shown: watch::Sender<Checked>,
}

impl Checks {
    /// Takes the week of the grid up again, and ends what stood when the node was stopped.
    pub(super) fn open(
        meter: Arc<str>,
        place: Option<Place>,
        pace: Pace,
        archive: Archive,
        now: Timestamp,
    ) -> (Self, watch::Receiver<Checked>) {
        let windows: Vec<_> = archive
            .quality_windows()
            .filter_map(|window| log(window, "power quality of before is not readable"))
            .collect();
        log(archive.end_anomalies_of(&meter, now), "anomalies of before are not readable");
        let quality = PowerQuality::resume(Nominal::EUROPE, windows);
        let (shown, watched) =
            watch::channel(Checked { week: quality.summary(), ..Checked::default() });
        let plausibility = Plausibility::new(pace);
        let (kept_at, events) = (now, (0, 0));
        let sun = None;
        let checks =
            Self { meter, place, sun, plausibility, quality, archive, kept_at, events, shown };
        (checks, watched)
    }

    /// Takes a sample of the site, with all that the settling meter shows.
    pub(super) fn sampled(&mut self, sample: &Sample, shown: &Shown) {
        let sun = self.sun(sample.at);
        let changes = self.plausibility.sampled(sample, sun);
        let [first, second, third] = shown.phases.map(|phase| phase.voltage_mv);
        let single = first.or(shown.voltage_mv.filter(|_| second.is_none() && third.is_none()));
        let grid = GridSample {
            voltages_mv: [single, second, third],
            frequency_mhz: sample.meter.frequency_mhz,
        };
        let noticed = self.quality.sampled(sample.at, &grid);
        if let Some(window) = &noticed.window {
            log(self.archive.put_quality_window(window), "power quality not stored");
        }
        for event in &noticed.events {
            self.keep_event(event);
        }
        let is_news = !changes.is_empty() || !noticed.events.is_empty() || noticed.window.is_some();
        self.take(sample.at, changes, is_news);
    }

    /// Takes note that a register of the settling meter was not taken.
    pub(super) fn rejected(&mut self, at: Timestamp, why: &RegisterRejected) {
        let change = self.plausibility.rejected(at, why);
        self.take(at, change, false);
    }

    /// Looks whether the meter is silent.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let change = self.plausibility.tick(now);
        self.take(now, change, false);
    }

    /// What keeps the site from ordering, if anything.
    pub(super) fn blocking(&self) -> Option<&Anomaly> {
        self.plausibility.blocking()
    }

    fn sun(&mut self, at: Timestamp) -> Option<i32> {
        let place = self.place?;
        match self.sun {
            Some((looked, height)) if at >= looked && at.ms_since(looked) < SUN_EVERY_MS => height,
            Some(_) | None => {
                let height = place.sun_millidegrees(at);
                self.sun = Some((at, height));
                height
            }
        }
    }

    /// Logs and keeps what changed, and shows what stands.
    fn take(
        &mut self,
        at: Timestamp,
        changes: impl IntoIterator<Item = Change>,
        mut is_news: bool,
    ) {
        for change in changes {
            is_news = true;
            let record = AnomalyRecord::of_site(&self.meter, change.anomaly());
            match change {
                Change::Began(_) => warn!(
                    target: "boltgrid::event::anomaly",
                    of = %record.of, kind = record.kind(), blocks_orders = record.blocks_orders(),
                    found = %record.found, "anomaly began"
                ),
                Change::Ended(_) => info!(
                    target: "boltgrid::event::anomaly",
                    of = %record.of, kind = record.kind(), "anomaly is over"
                ),
            }
            log(self.archive.put_anomaly(&record), "anomaly not stored");
        }
        let is_due = at.ms_since(self.kept_at) >= KEEP_EVERY_MS || at < self.kept_at;
        if !is_news && !is_due {
            return;
        }
        let standing: Vec<_> = self
            .plausibility
            .standing()
            .map(|anomaly| AnomalyRecord::of_site(&self.meter, anomaly))
            .collect();
        if is_due {
            self.kept_at = at;
            for record in &standing {
                log(self.archive.put_anomaly(record), "anomaly not stored");
            }
        }
        let lasting = self.quality.lasting().copied().collect();
        self.shown.send_replace(Checked { standing, lasting, week: self.quality.summary() });
    }

    fn keep_event(&mut self, event: &QualityEvent) {
        let hour = event.began_at.to_unix_ms() / HOUR_MS;
        if self.events.0 != hour {
            self.events = (hour, 0);
        }
        debug!(kind = event.kind.name(), line = event.line, extreme = event.extreme, "grid event");
        if event.ended_at.is_none() && self.events.1 >= EVENTS_PER_HOUR {
            return;
        }
        self.events.1 = self.events.1.saturating_add(u32::from(event.ended_at.is_none()));
        if self.events.1 <= EVENTS_PER_HOUR {
            log(self.archive.put_quality_event(event), "event of the grid not stored");
        }
    }
}

/// What the archive gave; what it did not is logged, since it is a cache and no reason to stop.
fn log<T>(result: Result<T, ArchiveError>, what: &'static str) -> Option<T> {
    result.inspect_err(|error| warn!(%error, "{what}")).ok()
}
