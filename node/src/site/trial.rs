//! Trying out a site's meters without a node: opened as configured, read side by side, added up as the
//! node would.
//!
//! Nothing is signed, stored or commanded. Not for: a site whose node runs and holds a serial line.

use std::sync::Arc;

use boltgrid_metering::drivers::{DeviceError, MeterConfig, advice};
use futures::future::join_all;

use super::config::SiteConfig;
use super::device::Report;
use super::driver::{Device, Driver, Showing};
use super::latest::Latest;
use super::state::{Failure, MeterState};
use super::{SiteError, devices, ratings};
use crate::clock;

/// Trial samples may be this far apart and are still integrated.
const HOLD_MAX_MS: u64 = 15_000;

/// The meters of a site, to be read.
#[derive(Debug)]
pub struct Trial {
    devices: Vec<(Device, Option<Driver>)>,
    latest: Latest,
}

impl Trial {
    /// The meters of a configuration, none of them opened yet.
    ///
    /// # Errors
    ///
    /// [`SiteError::Setting`].
    pub fn new(config: &SiteConfig) -> Result<Self, SiteError> {
        let plan = config.plan()?;
        let devices = devices(&plan, None).into_iter().map(|device| (device, None)).collect();
        let latest = Latest::new(plan.clone(), &ratings(&plan, None), HOLD_MAX_MS, None);
        Ok(Self { devices, latest })
    }

    /// Reads all meters once, opening those that are not open.
    pub async fn read(&mut self) -> Arc<[MeterState]> {
        let moment = clock::now();
        let reading = self.devices.iter_mut().enumerate().map(|(place, device)| async move {
            let shown = read(device).await;
            let shown = shown.map(|shown| (moment, shown)).map_err(Arc::new);
            Some(Report { device: place, moment, shown })
        });
        let round = join_all(reading).await;
        self.latest.take(round);
        self.latest.meters()
    }

    /// What to do about a meter that is not read, as far as that can be told.
    #[must_use]
    pub fn advice(&self, meter: &MeterState) -> Option<String> {
        let stale = meter.stale.as_ref()?;
        let (device, _) = self.devices.iter().find(|(device, _)| device.name == stale.device)?;
        match (&stale.failure, device.spoken_by()) {
            (Failure::Device(error), driver) => advice(error, driver),
            (Failure::NoPower, MeterConfig::Sml(_)) => Some(
                "without its PIN such a meter shows no power: ask the network operator for it, enter \
                 it at the meter, and set `InF` to `on`"
                    .to_owned(),
            ),
            (_, _) => None,
        }
    }

    /// Whether a meter has to be set up otherwise, so that it is of no use to read it again.
    #[must_use]
    pub fn is_set_up_wrong(meter: &MeterState) -> bool {
        let failure = meter.stale.as_ref().map(|stale| &stale.failure);
        matches!(failure, Some(Failure::Device(error)) if error.is_misconfiguration())
    }
}

async fn read((device, open): &mut (Device, Option<Driver>)) -> Result<Showing, DeviceError> {
    // Taken out, and put back by what goes well; those that listen are kept, or they never hear.
    let mut driver = match open.take() {
        Some(driver) => driver,
        None => device.open().await?,
    };
    let shown = driver.read().await;
    if !matches!(shown, Err(DeviceError::Modbus { .. })) {
        *open = Some(driver);
    }
    shown
}
