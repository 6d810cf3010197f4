//! The testnet's mining machines against an independent client: pyasic, in Python.
//!
//! `MINER_COUNTERPART` names the folder that it is in, such as one made by
//! `pip install --target FOLDER pyasic==0.79.0`; where it is missing, the tests say so and check
//! nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stderr, reason = "what was not checked is said aloud")]

use std::ffi::OsString;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use boltgrid_protocol::units::Timestamp;
use boltgrid_testnet::devices::miners::{MinerError, MinerFarm, MinerKind, MinerSpec};
use boltgrid_testnet::devices::{Clock, SharedPlant};
use boltgrid_testnet::plant::{Plant, PlantOptions, TICKS_PER_INTERVAL};
use boltgrid_testnet::scenario::{RURAL1, Scenario};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// How long the counterpart may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
const INTERVAL_MS: u64 = 10_000;

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// What the counterpart saw of a machine, and what the machine draws at the end, in mW.
async fn driven(kind: MinerKind, power_w: Option<u32>) -> Option<(Value, i64)> {
    let Some(folder) = std::env::var_os("MINER_COUNTERPART") else {
        eprintln!("NOT CHECKED: MINER_COUNTERPART names no folder with pyasic");
        return None;
    };
    let scenario = Arc::new(Scenario::builtin(RURAL1).unwrap());
    let epoch = Timestamp::from_unix_ms(now_ms() / INTERVAL_MS * INTERVAL_MS);
    let options = PlantOptions {
        nodes: NonZeroUsize::new(2).unwrap(),
        seed: 7,
        interval_ms: INTERVAL_MS,
        ticks_per_interval: TICKS_PER_INTERVAL,
        start_row: 0,
        epoch,
    };
    let plant: SharedPlant = Arc::new(Mutex::new(Plant::new(scenario, options).unwrap()));
    let clock: Clock = Arc::new(|| Timestamp::from_unix_ms(now_ms()));
    let spec = MinerSpec { site: 0, kind, has_relay: false };
    let farm = match MinerFarm::start(&plant, &clock, &[spec], true).await {
        Ok(farm) => farm,
        Err(MinerError::Bind { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            eprintln!("NOT CHECKED: port 80 is for root only here");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let seen = drive(folder, &farm.machines()[0].address.ip().to_string(), power_w).await;
    let draws = {
        let mut plant = plant.lock().unwrap();
        plant.step_to(clock());
        plant.site_truth(0).machines.to_milliwatts()
    };
    farm.stop().await;
    Some((seen, draws))
}

async fn drive(folder: OsString, address: &str, power_w: Option<u32>) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterpart/drive_miner.py");
    let mut command = Command::new("python3");
    command.args([script, address]).env("PYTHONPATH", folder);
    command.args(power_w.map(|watts| watts.to_string()));
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, running).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("pyasic saw: {said}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap()
}

/// What it saw it draw, in whole watts; pyasic says some as floats.
fn watts(seen: &Value, when: &str) -> i64 {
    let said = seen[when]["watts"].to_string();
    said.split('.').next().unwrap_or_default().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pyasic_drives_luxos_by_its_profiles() {
    let Some((seen, draws)) = driven(MinerKind::LuxOs, Some(1_600)).await else { return };
    assert!(seen["model"].as_str().unwrap().contains("S19k Pro"), "{seen}");
    assert!(watts(&seen, "awake") > 700, "{seen}");
    assert_eq!(seen["set_power"], true);
    assert!((1_000..=1_600).contains(&watts(&seen, "lowered")), "{seen}");
    assert_eq!((&seen["stop"], draws), (&Value::Bool(true), 18_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn pyasic_drives_a_whatsminer_by_its_power_limit() {
    let Some((seen, draws)) = driven(MinerKind::WhatsMiner, Some(2_500)).await else { return };
    assert!(seen["model"].as_str().unwrap().contains("M60S"), "{seen}");
    assert_eq!(seen["set_power"], true);
    assert!((2_000..=2_500).contains(&watts(&seen, "lowered")), "{seen}");
    assert_eq!((&seen["stop"], draws), (&Value::Bool(true), 25_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn pyasic_reads_a_bitaxe() {
    // It can't put one to sleep; that it is asleep and tells so is what there is to see.
    let Some((seen, _)) = driven(MinerKind::Bitaxe, None).await else { return };
    assert!(seen["model"].as_str().unwrap().contains("Supra"), "{seen}");
    assert_eq!(watts(&seen, "asleep"), 3, "{seen}");
}
