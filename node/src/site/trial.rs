//! Trying out a site's meters without a node: opened as configured, read side by side, added up as the
//! node would.
//!
//! Nothing is signed, stored or commanded. Not for: a site whose node runs and holds a serial line.

use std::sync::Arc;

use boltgrid_metering::drivers::DeviceError;
use futures::future::join_all;

use super::config::SiteConfig;
use super::device::Report;
use super::driver::{Device, Driver, Showing};
use super::latest::Latest;
use super::state::MeterState;
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
