//! The testnet's meters, inverters and batteries against independent clients: pysunspec2 and pymodbus, in
//! Python.
//!
//! `MODBUS_COUNTERPART` names the folder that they are in, such as one made by
//! `pip install --target FOLDER pymodbus==3.8.6 pyserial pysunspec2`; where it is missing, the test says
//! so and checks nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stderr, reason = "what was not checked is said aloud")]

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boltgrid_protocol::units::Timestamp;
use boltgrid_testnet::devices::{
    BATTERY_UNIT, Clock, DeviceFarm, INVERTER_UNIT, MAPPED_UNIT, METER_UNIT, Meters, SharedPlant,
};
use boltgrid_testnet::plant::{Plant, PlantOptions, SiteTruth, TICKS_PER_INTERVAL};
use boltgrid_testnet::scenario::{RURAL1, Scenario};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

/// How long the counterpart may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const EPOCH_MS: u64 = 1_700_000_000_000;
const TICK_MS: u64 = 1_000;
/// bus1: PV that can be turned down.
const WITH_PV: usize = 0;
/// bus6: a battery.
const WITH_BATTERY: usize = 4;

/// Thirteen sites at noon, whose clock is set by hand, and whoever looks at them.
struct Noon {
    folder: OsString,
    farm: DeviceFarm,
    plant: SharedPlant,
    ms: Arc<AtomicU64>,
}

impl Noon {
    async fn start() -> Option<Self> {
        let Some(folder) = std::env::var_os("MODBUS_COUNTERPART") else {
            eprintln!(
                "NOT CHECKED: MODBUS_COUNTERPART names no folder with pymodbus and pysunspec2"
            );
            return None;
        };
        let scenario = Arc::new(Scenario::builtin(RURAL1).unwrap());
        let options = PlantOptions {
            nodes: NonZeroUsize::new(13).unwrap(),
            seed: 7,
            interval_ms: 10_000,
            ticks_per_interval: TICKS_PER_INTERVAL,
            start_row: scenario.profiles.row_at("2016-05-25T12:00:00").unwrap(),
            epoch: Timestamp::from_unix_ms(EPOCH_MS),
        };
        let plant: SharedPlant = Arc::new(Mutex::new(Plant::new(scenario, options).unwrap()));
        let ms = Arc::new(AtomicU64::new(EPOCH_MS));
        let hand = Arc::clone(&ms);
        let clock: Clock = Arc::new(move || Timestamp::from_unix_ms(hand.load(Ordering::SeqCst)));
        let farm = DeviceFarm::start(Arc::clone(&plant), clock, Meters::Sunspec).await.unwrap();
        Some(Self { folder, farm, plant, ms })
    }

    /// A tick goes by, and what it leaves a site with.
    fn pass(&self, site: usize) -> SiteTruth {
        self.ms.fetch_add(TICK_MS, Ordering::SeqCst);
        self.truth(site)
    }

    fn truth(&self, site: usize) -> SiteTruth {
        let mut plant = self.plant.lock().unwrap();
        plant.step_to(Timestamp::from_unix_ms(self.ms.load(Ordering::SeqCst)));
        plant.site_truth(site)
    }

    /// What the counterpart says of a unit of a site.
    async fn seen(&self, (site, unit): (usize, u8), command: &[&str]) -> Value {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterpart/modbus_client.py");
        let address = self.farm.sites()[site].address;
        let running = Command::new("python3")
            .args([script, &address.ip().to_string(), &address.port().to_string()])
            .arg(unit.to_string())
            .args(command)
            .env("PYTHONPATH", &self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, running).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// A point in thousandths of its unit.
fn point(seen: &Value, model: u16, name: &str) -> i64 {
    let point = &seen["points"][model.to_string()][name];
    point.as_i64().unwrap_or_else(|| panic!("{model} {name} is {point}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn pysunspec2_and_pymodbus_see_the_meters_as_they_are() {
    let Some(noon) = Noon::start().await else { return };
    noon.pass(WITH_PV);
    let seen = noon.seen((WITH_PV, METER_UNIT), &["look"]).await;
    let truth = noon.truth(WITH_PV);
    assert_eq!(seen["models"], json!([1, 203]));
    let net_mw = truth.net.to_milliwatts();
    assert!(net_mw.abs() > 100_000);
    // As exact as 16 bits are.
    assert!(point(&seen, 203, "W").abs_diff(net_mw) <= 5_000, "{seen} {net_mw}");
    let registers = truth.registers;
    let counted = ["TotWhImp", "TotWhExp"].map(|name| point(&seen, 203, name));
    let flowed = [registers.imported, registers.exported];
    assert_eq!(counted.map(i64::unsigned_abs), flowed.map(|it| it.to_milliwatt_hours()));
    assert!(point(&seen, 203, "PhVphA").abs_diff(truth.phase_mv) <= 100);
    assert_eq!(seen["points"]["203"]["VAR"], Value::Null, "what it does not have");

    let floats = noon.seen((WITH_PV, MAPPED_UNIT), &["floats", "52", "70"]).await;
    assert!(floats["52"].as_i64().unwrap().abs_diff(net_mw) <= 10, "{floats} {net_mw}");
    assert!(floats["70"].as_i64().unwrap().abs_diff(50_000) <= 200, "{floats}");
    noon.farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pysunspec2_turns_pv_down_and_makes_a_battery_charge() {
    let Some(noon) = Noon::start().await else { return };
    let inverter = (WITH_PV, INVERTER_UNIT);
    let seen = noon.seen(inverter, &["look"]).await;
    assert_eq!(seen["models"], json!([1, 103, 120, 122, 123]));
    assert_eq!(point(&seen, 103, "W"), point(&seen, 122, "WAval"));
    let seen = noon.seen(inverter, &["set", "123", "WMaxLimPct=10", "WMaxLim_Ena=1"]).await;
    assert_eq!(point(&seen, 123, "WMaxLimPct"), 10_000);
    assert_eq!(noon.pass(WITH_PV).pv.to_milliwatts(), -11_720_000);
    assert_eq!(point(&noon.seen(inverter, &["look"]).await, 103, "W"), 11_720_000);

    let battery = (WITH_BATTERY, BATTERY_UNIT);
    let seen = noon.seen(battery, &["look"]).await;
    assert_eq!(seen["models"], json!([1, 103, 120, 124, 802]));
    let rates = ["set", "124", "OutWRte=-50", "InWRte=100", "StorCtl_Mod=3"];
    noon.seen(battery, &rates).await;
    assert_eq!(noon.pass(WITH_BATTERY).battery.to_milliwatts(), 9_150_000);
    let seen = noon.seen(battery, &["look"]).await;
    // Charging, in SunSpec's list.
    assert_eq!(point(&seen, 124, "ChaSt"), 4_000);
    assert_eq!(point(&seen, 124, "ChaState"), point(&seen, 802, "SoC"));
    noon.farm.stop().await;
}
