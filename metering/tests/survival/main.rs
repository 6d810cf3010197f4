//! Every driver survives: the table of drivers and faults of `docs/meters.md`, cell by cell.
//!
//! A good device stands behind a proxy that does to its bytes what lines, gateways and devices do. The
//! device shows another power each time, so that an answer to an earlier question is told from one to
//! the last. No panic, no false reading, and back soon after the fault is over.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod devices;
mod proxy;

use std::sync::atomic::Ordering;
use std::time::Duration;

use boltgrid_metering::drivers::{Buses, DeviceError, Meter, MeterConfig};
use boltgrid_metering::shown::Shown;
use boltgrid_protocol::units::Power;
use devices::{Device, Wire};
use proxy::{Fault, Proxy};
use tokio::time::{Instant, sleep};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two polls, as a node does it.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How long a node gives a Modbus device.
const REQUEST_TIME: Duration = Duration::from_secs(1);
/// A device that is asked is back within so many polls …
const BACK_WITHIN_ASKED: usize = 2;
/// … and one that sends by itself as soon as the pause of two seconds is over.
const BACK_WITHIN_SENDING: usize = 4;

/// A driver with its device, polled as a node polls it.
struct Polled {
    config: MeterConfig,
    buses: Buses,
    meter: Option<Meter>,
    device: Device,
    last_w: i64,
}

impl Polled {
    async fn poll(&mut self) -> Result<Shown, DeviceError> {
        let asked_at = self.device.shown.load(Ordering::SeqCst);
        let mut meter = match self.meter.take() {
            Some(meter) => meter,
            None => Meter::open(&self.config, &self.buses, "meter", None).await?,
        };
        let shown = meter.read().await;
        // A node finds a Modbus device anew after it failed.
        if !matches!(shown, Err(DeviceError::Modbus { .. })) {
            self.meter = Some(meter);
        }
        if let Ok(shown) = &shown {
            let watts = shown.power.map(Power::to_milliwatts).unwrap() / 1_000;
            let newest = self.device.shown.load(Ordering::SeqCst);
            // What was asked for is no older than the question.
            let oldest = if self.device.wire.is_asked() { asked_at + 1 } else { self.last_w };
            assert!((oldest..=newest).contains(&watts), "{watts} W, not {oldest} to {newest} W");
            self.last_w = watts;
        }
        shown
    }

    /// Polls until it is read; returns how many polls that took.
    async fn until_read(&mut self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        for polls in 1.. {
            match self.poll().await {
                Ok(_) => return polls,
                Err(error) => assert!(Instant::now() < deadline, "still {error}"),
            }
            sleep(POLL_EVERY).await;
        }
        unreachable!("the deadline comes first")
    }

    /// Polls until it is not read any more.
    async fn until_lost(&mut self, fault: Fault) {
        let deadline = Instant::now() + PATIENCE;
        while self.poll().await.is_ok() {
            assert!(!self.device.wire.is_asked(), "{fault:?} went unseen");
            assert!(Instant::now() < deadline, "{fault:?}: an old value stays fresh");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Puts a driver through all faults that its wire can have.
async fn survives(wire: Wire) {
    let device = Device::start(wire).await;
    let proxy = Proxy::start(device.address, wire).await;
    let folder = tempfile::tempdir().unwrap();
    let config = wire.config(proxy.address, folder.path());
    let buses = Buses::new(REQUEST_TIME);
    let mut polled = Polled { config, buses, meter: None, device, last_w: 0 };
    polled.until_read().await;
    for fault in Fault::ALL {
        if fault == Fault::WrongUnit && !wire.has_units() {
            continue;
        }
        proxy.set(fault);
        polled.device.clock_jumps.store(fault == Fault::ClockJumps, Ordering::SeqCst);
        match fault {
            // No driver goes by the device's clock.
            Fault::ClockJumps => assert!(polled.until_read().await <= 2),
            // What a device sends by itself is only later, and never older than what came before.
            Fault::Late if !wire.is_asked() => {
                for _ in 0..20 {
                    drop(polled.poll().await);
                    sleep(Duration::from_millis(100)).await;
                }
            }
            Fault::NoAnswer
            | Fault::HalfAnswer
            | Fault::WrongUnit
            | Fault::WrongLength
            | Fault::Garbage
            | Fault::Late
            | Fault::Reboot => polled.until_lost(fault).await,
            Fault::None => {}
        }
        proxy.set(Fault::None);
        let polls = polled.until_read().await;
        let most = if wire.is_asked() { BACK_WITHIN_ASKED } else { BACK_WITHIN_SENDING };
        assert!(polls <= most, "{wire:?} is back from {fault:?} after {polls} polls");
    }
}

#[tokio::test]
async fn sunspec_over_tcp_survives_every_fault() {
    survives(Wire::SunSpec).await;
}

#[tokio::test]
async fn sunspec_over_a_serial_server_survives_every_fault() {
    survives(Wire::SunSpecRtu).await;
}

#[tokio::test]
async fn a_register_map_over_tcp_survives_every_fault() {
    survives(Wire::MapTcp).await;
}

#[tokio::test]
async fn a_register_map_over_a_serial_server_survives_every_fault() {
    survives(Wire::MapRtu).await;
}

#[tokio::test]
async fn json_over_http_survives_every_fault() {
    survives(Wire::Http).await;
}

#[tokio::test]
async fn mqtt_survives_every_fault() {
    survives(Wire::Mqtt).await;
}

#[tokio::test]
async fn p1_survives_every_fault() {
    survives(Wire::P1).await;
}

#[tokio::test]
async fn sml_survives_every_fault() {
    survives(Wire::Sml).await;
}
