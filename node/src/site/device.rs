//! One device's task: reads it at every moment of the schedule and hands it its set points.
//!
//! A device that fails is tried again with growing pauses, for as long as the node runs; at every
//! moment the task says what it knows, be it a sample or what is wrong. Each device has a task of its
//! own so that a driver that panics takes nothing else along; [`super::devices`] starts it again.

use std::sync::Arc;
use std::time::Duration;

use boltgrid_metering::drivers::DeviceError;
use boltgrid_protocol::units::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::driver::{Device, Driver, Showing};
use super::schedule::Schedule;
use super::set_points::SetPoint;
use crate::clock;

/// The first pause after a device failed; it doubles with each further failure …
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(500);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest sleep: a clock that is set is noticed by then.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What a device's task has to say at one moment of the schedule.
#[derive(Debug)]
pub(super) struct Report {
    /// Which device, by its place.
    pub(super) device: usize,
    /// The moment.
    pub(super) moment: Timestamp,
    /// What it shows, no older than the time beside it; or what is wrong.
    pub(super) shown: Result<(Timestamp, Showing), Arc<DeviceError>>,
}

/// Where a device's task stands.
struct Link {
    driver: Option<Driver>,
    /// Why there is no driver.
    failure: Option<Arc<DeviceError>>,
    retry_at: Instant,
    pause: Duration,
    /// What the device was told last, since it was found.
    told: SetPoint,
    /// The set point that it refused last.
    refused: Option<SetPoint>,
}

/// What a device's task works with.
#[derive(Clone, Debug)]
pub(super) struct DeviceTask {
    pub(super) place: usize,
    pub(super) device: Device,
    pub(super) schedule: Schedule,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) set_point: watch::Receiver<SetPoint>,
    pub(super) stop: CancellationToken,
}

impl DeviceTask {
    /// Runs until stopped, and ends otherwise only by a panic.
    pub(super) async fn run(mut self, not_before: Instant) {
        sleep_until(not_before).await;
        let mut link = Link {
            driver: None,
            failure: None,
            retry_at: not_before,
            pause: PAUSE_MIN,
            told: SetPoint::Untouched,
            refused: None,
        };
        let mut moment = self.schedule.after(clock::now());
        loop {
            let now = clock::now();
            if now >= moment {
                let report = self.report(&mut link, moment).await;
                if self.reports.send(report).await.is_err() {
                    return;
                }
                moment = self.schedule.after(clock::now().max(moment));
                continue;
            }
            let far_ms = moment.ms_since(now);
            if far_ms > self.schedule.timing.interval_ms {
                // The clock was set back.
                moment = self.schedule.after(now);
            }
            tokio::select! {
                () = self.stop.cancelled() => return self.let_go(&mut link).await,
                Ok(()) = self.set_point.changed() => {
                    if let Some(driver) = link.driver.take() {
                        self.tell(&mut link, &driver).await;
                        link.driver = Some(driver);
                    }
                }
                () = sleep(Duration::from_millis(far_ms).min(SLEEP_MAX)) => {}
            }
        }
    }

    async fn report(&mut self, link: &mut Link, moment: Timestamp) -> Report {
        let shown = self.read(link).await;
        Report { device: self.place, moment, shown }
    }

    async fn read(&mut self, link: &mut Link) -> Result<(Timestamp, Showing), Arc<DeviceError>> {
        // Taken out, to be put back by what goes well.
        let mut driver = match link.driver.take() {
            Some(driver) => driver,
            None => self.find(link).await?,
        };
        self.tell(link, &driver).await;
        let at = clock::now();
        let shown = driver.read().await;
        if !matches!(shown, Err(DeviceError::Modbus { .. })) {
            link.driver = Some(driver);
        }
        match shown {
            Ok(shown) => {
                if link.failure.take().is_some() {
                    info!(device = %self.device.name, "device answers again");
                }
                link.pause = PAUSE_MIN;
                Ok((at, shown))
            }
            Err(error) => Err(self.failed(link, error)),
        }
    }

    /// Finds the device, unless that failed too short a while ago.
    async fn find(&self, link: &mut Link) -> Result<Driver, Arc<DeviceError>> {
        if let Some(failure) = &link.failure
            && Instant::now() < link.retry_at
        {
            return Err(Arc::clone(failure));
        }
        match self.device.open().await {
            Ok(driver) => {
                debug!(device = %self.device.name, "device found");
                link.told = SetPoint::Untouched;
                Ok(driver)
            }
            Err(error) => {
                link.retry_at = Instant::now() + link.pause;
                link.pause = (link.pause * 2).min(PAUSE_MAX);
                Err(self.failed(link, error))
            }
        }
    }

    /// Logs the first failure in a row, and keeps the latest.
    fn failed(&self, link: &mut Link, error: DeviceError) -> Arc<DeviceError> {
        let device = &self.device.name;
        if link.failure.is_none() {
            warn!(%device, %error, "device fails");
        } else {
            debug!(%device, %error, "device still fails");
        }
        let error = Arc::new(error);
        link.failure = Some(Arc::clone(&error));
        error
    }

    /// Hands the device its set point, unless it has it; what fails is tried again with each sample.
    async fn tell(&mut self, link: &mut Link, driver: &Driver) {
        let set_point = *self.set_point.borrow_and_update();
        if link.told == set_point {
            return;
        }
        let device = &self.device.name;
        match driver.command(set_point).await {
            Ok(()) => {
                debug!(%device, ?set_point, "set point given");
                link.told = set_point;
                link.refused = None;
            }
            Err(error) if link.refused == Some(set_point) => {
                debug!(%device, ?set_point, %error, "set point still not taken");
            }
            Err(error) => {
                warn!(%device, ?set_point, %error, "set point not taken");
                link.refused = Some(set_point);
            }
        }
    }

    /// Leaves the device to itself when nobody is going to watch it any more.
    async fn let_go(&self, link: &mut Link) {
        if let (Some(driver), SetPoint::At(_)) = (&link.driver, link.told)
            && let Err(error) = driver.command(SetPoint::Free).await
        {
            warn!(device = %self.device.name, %error, "device keeps its last set point");
        }
    }
}
