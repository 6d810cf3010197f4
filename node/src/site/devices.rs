//! All devices' tasks: started together, watched, and started again after a panic.

use std::collections::HashMap;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::config::Kind;
use super::device::{DeviceTask, PAUSE_MIN, Report};
use super::driver::Device;
use super::schedule::Schedule;
use super::set_points::SetPoint;

/// All devices' tasks.
#[derive(Debug)]
pub(super) struct Devices {
    tasks: Vec<DeviceTask>,
    set_points: Vec<watch::Sender<SetPoint>>,
    running: JoinSet<()>,
    places: HashMap<Id, usize>,
    stop: CancellationToken,
}

impl Devices {
    /// All devices, none of them running.
    pub(super) fn new(
        devices: Vec<Device>,
        schedule: Schedule,
        reports: &mpsc::Sender<Report>,
    ) -> Self {
        let stop = CancellationToken::new();
        let (tasks, set_points) = devices
            .into_iter()
            .enumerate()
            .map(|(place, device)| {
                let (sender, set_point) = watch::channel(SetPoint::Untouched);
                let (reports, stop) = (reports.clone(), stop.clone());
                (DeviceTask { place, device, schedule, reports, set_point, stop }, sender)
            })
            .unzip();
        let running = JoinSet::new();
        Self { tasks, set_points, running, places: HashMap::new(), stop }
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.tasks.len()
    }

    /// The device at a place.
    pub(super) fn device(&self, place: usize) -> Option<&Device> {
        self.tasks.get(place).map(|task| &task.device)
    }

    /// The places of all devices of a kind.
    pub(super) fn places_of(&self, kind: Kind) -> impl Iterator<Item = usize> {
        self.tasks.iter().filter(move |task| task.device.kind == kind).map(|task| task.place)
    }

    /// Starts all tasks.
    pub(super) fn start(&mut self) {
        for place in 0..self.count() {
            self.start_one(place, Instant::now());
        }
    }

    /// Waits for a task to end, which only a panic makes it do, starts it again and says which.
    /// Waits forever where there are none.
    pub(super) async fn restart_next(&mut self) -> usize {
        loop {
            let id = match self.running.join_next_with_id().await {
                None => std::future::pending().await,
                Some(Ok((id, ()))) => id,
                Some(Err(error)) => {
                    error!(%error, "a device's driver panicked");
                    error.id()
                }
            };
            if let Some(place) = self.places.remove(&id) {
                self.start_one(place, Instant::now() + PAUSE_MIN);
                return place;
            }
        }
    }

    fn start_one(&mut self, place: usize, not_before: Instant) {
        if let Some(task) = self.tasks.get(place) {
            let running = self.running.spawn(task.clone().run(not_before));
            self.places.insert(running.id(), place);
        }
    }

    /// Gives a device a set point.
    pub(super) fn set(&self, place: usize, set_point: SetPoint) {
        if let Some(sender) = self.set_points.get(place) {
            sender.send_replace(set_point);
        }
    }

    /// Leaves all devices to themselves and ends their tasks.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while self.running.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use boltgrid_metering::drivers::Buses;
    use boltgrid_metering::role::Role;

    use super::*;
    use crate::site::config::{DeviceConfig, Place};
    use crate::site::tests::charter;

    #[tokio::test]
    async fn a_driver_that_panics_is_started_again() {
        let config = DeviceConfig::at("127.0.0.1:1".parse().unwrap(), 1);
        let (name, kind, role) = ("meter".to_owned(), Kind::Meter, Role::Grid);
        let buses = Buses::new(Duration::from_secs(1));
        let device = Device::new(&Place { name, kind, role, config }, &buses, None);
        // No time between two samples is what no configuration can say, and no schedule survives.
        let schedule = Schedule { timing: charter(1_000).interval, sample_every_ms: 0 };
        let (reports, _reports) = mpsc::channel(1);
        let mut devices = Devices::new(vec![device], schedule, &reports);
        devices.start();
        assert_eq!(devices.restart_next().await, 0);
        assert_eq!(devices.restart_next().await, 0);
    }
}
