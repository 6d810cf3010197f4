//! The site's task: reads the devices, publishes what they show, signs a reading at each interval's
//! edge, and hands the devices their set points.
//!
//! A device that fails makes the site's state stale, with a reason; the task goes on and tries again.
//! Only a journal that does not take what was signed ends it.
//! Not for: planning (the planner), or how a device is spoken to (`boltgrid_metering::drivers`).

mod checks;
mod config;
mod device;
mod devices;
mod driver;
mod hints;
mod latest;
mod readings;
mod round;
mod schedule;
mod set_points;
mod state;
#[cfg(test)]
mod tests;
mod trial;
#[cfg(test)]
pub(crate) use tests::{charter as charter_for_tests, grid_for_tests};

use std::sync::Arc;
use std::time::Duration;

use boltgrid_metering::drivers::{Buses, DeviceError};
use boltgrid_metering::plausibility;
use boltgrid_metering::registers::RegistersRejected;
use boltgrid_metering::role::Role;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::units::Power;
use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::live::{Live, News};
use crate::meter_keys::MeterKeys;
use crate::rpc::meter::ReadingsReport;
use crate::store::{Archive, JournalError, JournalHandle};
use checks::Checks;
use config::{Kind, Pace, Plan};
use device::Report;
use devices::Devices;
use driver::Device;
use latest::{Latest, Taken};
use readings::{Readings, Signer};
use round::Round;
use schedule::Schedule;
use set_points::{SetPoint, SetPoints, shares_of_batteries, shares_of_pv};

pub use checks::Checked;
pub use config::{DeviceConfig, InSite, SiteConfig, VirtualConfig};
pub use hints::hints;
pub use readings::OwnReading;
pub use set_points::DispatchCommand;
pub use state::{BatteryState, Failure, MeterState, MeterValue, SiteState, Stale};
pub use trial::Trial;

/// How long connecting to a device, or one request, may take.
const REQUEST_TIME: Duration = Duration::from_secs(1);
/// Reports waiting for the site's task: a few rounds of all devices.
const REPORTS_MAX: usize = 64;
/// The longest sleep: a clock that is set is noticed by then.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The most a meter of unknown rating measures: 1 GW.
const RATED_MAX: Power = Power::from_milliwatts(1_000_000_000_000);

/// Why the site's task does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A setting makes no sense.
    #[error("the setting {setting} {problem}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A device is there, but is not what the configuration says.
    #[error("a device is not as configured: {0}")]
    Device(#[source] DeviceError),
    /// The journal does not do as asked, so nothing that is signed may leave.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The site's devices, readings and set points.
#[derive(Debug)]
pub struct Site {
    devices: Devices,
    reports: mpsc::Receiver<Report>,
    round: Round,
    latest: Latest,
    readings: Readings,
    state: watch::Sender<Option<SiteState>>,
    meters: watch::Sender<Arc<[MeterState]>>,
    checks: Checks,
    set_points: SetPoints,
    commands: mpsc::Receiver<DispatchCommand>,
    live: Live,
}

/// Where a site shows itself.
#[derive(Clone, Debug)]
pub struct SiteWatch {
    /// The site as a whole; `None` before the first sample.
    pub state: watch::Receiver<Option<SiteState>>,
    /// All its meters.
    pub meters: watch::Receiver<Arc<[MeterState]>>,
    /// What its checks say.
    pub checked: watch::Receiver<Checked>,
}

impl Site {
    /// Checks configuration and devices, and takes up the chain of readings.
    ///
    /// Signed readings go to the sender, commands come from the receiver. A device that cannot be reached is no reason to
    /// stay down: it is tried again for as long as the node runs. One that is there and is something
    /// else than configured is.
    ///
    /// # Errors
    ///
    /// [`SiteError`].
    pub async fn open(
        config: SiteConfig,
        (meter, participant): (MeterKeys, ParticipantId),
        (charter, mut rosters): (Arc<Charter>, Rosters),
        (journal, archive): (JournalHandle, Archive),
        (outbox, commands, live): (mpsc::Sender<OwnReading>, mpsc::Receiver<DispatchCommand>, Live),
    ) -> Result<(Self, SiteWatch), SiteError> {
        let now = clock::now();
        let timing = charter.interval;
        let (pace, plan) = config.check(&timing)?;
        let enrolled = rated(&rosters.at(timing.interval_at(now)), &participant);
        let devices = devices(&plan, enrolled);
        probe(&devices).await?;
        let signer = Signer { participant, meter, charter, rosters };
        let readings = Readings::resume(signer, journal, outbox, now).await?;
        let ratings = ratings(&plan, enrolled);
        let latest = Latest::new(plan, &ratings, pace.hold_max_ms(), readings.last());
        let (sender, reports) = mpsc::channel(REPORTS_MAX);
        let checks_pace = plausibility::Pace {
            interval_ms: timing.interval_ms,
            sample_every_ms: pace.sample_every_ms,
        };
        let (checks, checked) =
            Checks::open(latest.settling(), config.place, checks_pace, archive, now);
        let (state, watched) = watch::channel(None);
        let (meters, watched_meters) = watch::channel(latest.meters());
        let Pace { sample_every_ms, set_point_lead_ms } = pace;
        let site = Self {
            round: Round::before_first(devices.len()),
            devices: Devices::new(devices, Schedule { timing, sample_every_ms }, &sender),
            reports,
            latest,
            readings,
            state,
            meters,
            checks,
            set_points: SetPoints::new(timing, set_point_lead_ms, now),
            commands,
            live,
        };
        Ok((site, SiteWatch { state: watched, meters: watched_meters, checked }))
    }

    /// Runs until shutdown, then leaves the devices to themselves.
    ///
    /// # Errors
    ///
    /// [`SiteError::Journal`] when what was signed cannot be stored.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), SiteError> {
        self.devices.start();
        let ended = self.run_until_error(&shutdown).await;
        self.devices.stop().await;
        ended
    }

    async fn run_until_error(&mut self, shutdown: &CancellationToken) -> Result<(), SiteError> {
        loop {
            let now = clock::now();
            let due = self
                .set_points
                .next_wakeup()
                .map_or(SLEEP_MAX, |due| Duration::from_millis(due.ms_since(now)).min(SLEEP_MAX));
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(report) = self.reports.recv() => self.take(report).await?,
                Some(command) = self.commands.recv() => self.command(command),
                place = self.devices.restart_next() => self.panicked(place),
                () = sleep(due) => {}
            }
            self.checks.tick(clock::now());
            self.apply_due();
        }
    }

    async fn take(&mut self, report: Report) -> Result<(), SiteError> {
        for round in self.round.take(report) {
            if self.readings.turn(clock::now()) {
                self.latest.begin_anew();
            }
            let Taken { sample, begins, failed } = self.latest.take(round);
            self.meters.send_replace(self.latest.meters());
            if let Some(Failure::Registers(RegistersRejected::Register(why))) =
                self.latest.failure()
            {
                self.checks.rejected(clock::now(), why);
            }
            if let Some((device, failure)) = failed {
                self.stale(device, failure);
            }
            let Some(sample) = sample else {
                self.tell();
                continue;
            };
            self.checks.sampled(&sample, &self.latest.shown());
            if let Some(state) = SiteState::of(&sample, self.latest.generated()) {
                self.state.send_replace(Some(SiteState { stale: self.doubt(), ..state }));
            }
            self.tell();
            if begins {
                self.readings.begin_after_gap(sample.at);
            }
            self.readings.sampled(sample).await?;
        }
        Ok(())
    }

    /// Tells what was just read.
    fn tell(&self) {
        self.live.tell(|| {
            let (site, meters) = (self.state.borrow(), self.meters.borrow());
            News::Readings(ReadingsReport::of(site.as_ref(), &meters))
        });
    }

    /// Why what was measured is not to be relied on: while an anomaly stands that touches it.
    fn doubt(&self) -> Option<Stale> {
        let failure = Failure::Implausible(self.checks.blocking()?.finding);
        Some(Stale { device: self.latest.settling(), failure })
    }

    fn panicked(&self, place: usize) {
        if let Some(device) = self.devices.device(place)
            && self.latest.is_needed(place)
        {
            self.stale(Arc::clone(&device.name), Failure::Panicked);
        }
    }

    /// Marks what was measured last as no longer reliable.
    fn stale(&self, device: Arc<str>, failure: Failure) {
        let stale = Stale { device, failure };
        self.state.send_if_modified(|state| {
            let Some(state) = state else { return false };
            let news = state.stale.is_none();
            if news {
                warn!(device = %stale.device, why = %stale, "site's state is stale");
            }
            state.stale = Some(stale);
            news
        });
    }

    fn command(&mut self, command: DispatchCommand) {
        if let Err(rejected) = self.set_points.take(clock::now(), command) {
            warn!(interval = %command.interval, %rejected, "command not taken");
        }
    }

    fn apply_due(&mut self) {
        let Some(command) = self.set_points.due(clock::now()) else { return };
        info!(
            target: "boltgrid::event::set_points",
            interval = %command.interval,
            battery_mw = ?command.battery_mw.map(Power::to_milliwatts),
            pv_limit_mw = ?command.pv_limit_mw.map(Power::to_milliwatts), "set points change"
        );
        let pv = shares_of_pv(command.pv_limit_mw, &self.latest.pv());
        let batteries = shares_of_batteries(command.battery_mw, &self.latest.batteries());
        self.set_all(Kind::Pv, pv);
        self.set_all(Kind::Battery, batteries);
    }

    fn set_all(&self, kind: Kind, set_points: Vec<SetPoint>) {
        for (place, set_point) in self.devices.places_of(kind).zip(set_points) {
            self.devices.set(place, set_point);
        }
    }
}

/// The power that a participant's connection point is enrolled for, the larger of both ways.
fn rated(roster: &Roster, participant: &ParticipantId) -> Option<Power> {
    let enrolment = &roster.member(roster.index_of(participant)?)?.enrolment;
    let rated = enrolment.rated_import_mw.max(enrolment.rated_export_mw);
    // A feeder's meter is enrolled for nothing, whatever flows through it.
    Some(rated).filter(|rated| *rated > Power::ZERO)
}

/// The devices of a plan; those at one address share its bus.
fn devices(plan: &Plan, enrolled: Option<Power>) -> Vec<Device> {
    let buses = Buses::new(REQUEST_TIME);
    let devices = plan.devices.iter().map(|place| {
        let at_grid = place.kind == Kind::Meter && place.role == Role::Grid;
        let rated = place.config.site.rated().or(if at_grid { enrolled } else { None });
        Device::new(place, &buses, rated)
    });
    devices.collect()
}

/// The most that flows through each meter of a plan, by place.
fn ratings(plan: &Plan, enrolled: Option<Power>) -> Vec<Power> {
    let stated = plan.devices.iter().map(|place| place.config.site.rated());
    let stated = stated.chain(plan.virtuals.iter().map(|_| None));
    let rated = stated.zip(plan.roles()).map(|(stated, role)| {
        stated.or(if role == Role::Grid { enrolled } else { None }).unwrap_or(RATED_MAX)
    });
    rated.collect()
}

/// Looks for all devices at once and refuses one that is something else.
async fn probe(devices: &[Device]) -> Result<(), SiteError> {
    for found in join_all(devices.iter().map(Device::probe)).await {
        match found {
            Ok(()) => {}
            Err(error) if error.is_misconfiguration() => return Err(SiteError::Device(error)),
            Err(error) => warn!(%error, "device not found yet; it is tried again"),
        }
    }
    Ok(())
}
