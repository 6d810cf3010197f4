//! Our Modbus and SunSpec against independent ones: pymodbus and pysunspec2, over all three wires.
//!
//! `MODBUS_COUNTERPART` names the folder that they are in, such as one made by
//! `pip install --target FOLDER pymodbus==3.8.6 pyserial pysunspec2`; where it is missing, the tests say
//! so and check nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stderr, reason = "what was not checked is said aloud")]

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use boltgrid_metering::drivers::modbus_map::{ModbusMapConfig, ModbusMeter};
use boltgrid_metering::drivers::sunspec::{self, SunSpecBattery, SunSpecMeter};
use boltgrid_metering::drivers::{Bus, DeviceError};
use boltgrid_metering::quantity::Line;
use boltgrid_protocol::units::{Energy, Power};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const MAP_UNIT: u8 = 1;
const METER_UNIT: u8 = 2;
const GENERATOR_UNIT: u8 = 3;
const STRINGS_UNIT: u8 = 4;
const BANK_UNIT: u8 = 5;
const MODULE_UNIT: u8 = 6;
/// How long the counterpart may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How long it may take to answer there.
const PATIENCE: Duration = Duration::from_secs(5);

fn folder() -> Option<OsString> {
    let folder = std::env::var_os("MODBUS_COUNTERPART");
    if folder.is_none() {
        eprintln!("NOT CHECKED: MODBUS_COUNTERPART names no folder with pymodbus and pysunspec2");
    }
    folder
}

/// Starts a device on one of the wires. It is killed with the child.
async fn device(folder: OsString, wire: &str) -> (String, Child) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterpart/modbus_server.py");
    let mut child = Command::new("python3")
        .args([script, wire])
        .env("PYTHONPATH", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = timeout(START, lines.next_line()).await.unwrap().unwrap();
    (address.expect("it says where it is"), child)
}

fn watts(watts: i64) -> Option<Power> {
    Some(Power::from_watts(watts).unwrap())
}

async fn everything_is_read(wire: &str) {
    let Some(folder) = folder() else { return };
    let (address, _child) = device(folder, wire).await;
    let bus = Bus::new(address.parse().unwrap(), PATIENCE);

    let config = format!("address = \"{address}\"\nmap = \"eastron-sdm630\"\nunit = {MAP_UNIT}\n");
    let config: ModbusMapConfig = toml::from_str(&config).unwrap();
    let mut mapped = ModbusMeter::open_on(&bus, &config, "mapped", None).await.unwrap();
    let shown = mapped.read().await.unwrap();
    assert_eq!((shown.power, shown.frequency_mhz), (watts(-375), Some(49_980)));
    assert_eq!(shown.phase(Line::L2).current_ma, Some(4_375));
    assert_eq!(shown.export.unwrap().count, 10_000_250_000);

    let meter = SunSpecMeter::open(&bus, METER_UNIT, "meter", None).await.unwrap();
    let shown = meter.read().await.unwrap();
    assert_eq!((shown.power, shown.frequency_mhz), (watts(-1_230), Some(49_980)));
    assert_eq!(shown.phase(Line::L2).power, watts(-1_730));
    assert_eq!(shown.phase(Line::L1).voltage_mv, Some(230_100));
    assert_eq!(shown.phase(Line::L1).current_ma, Some(2_170));
    assert_eq!(shown.phase(Line::L3).power, None);
    assert_eq!((shown.import.unwrap().count, shown.export.unwrap().count), (5_000, 1_234_567));

    let generator = SunSpecMeter::open(&bus, GENERATOR_UNIT, "generator", None).await.unwrap();
    let shown = generator.read().await.unwrap();
    assert_eq!((shown.power, shown.frequency_mhz), (watts(-1_500), Some(49_980)));
    assert_eq!((shown.import.unwrap().count, shown.export.unwrap().count), (700, 5_000_000_000));

    batteries_are_read(&bus).await;

    let quick = Bus::new(address.parse().unwrap(), Duration::from_millis(300));
    if wire != "rtu" {
        // A unit that is not there does not answer; the others still do.
        quick.read(77, boltgrid_metering::drivers::bus::Table::Holding, 0, 1).await.unwrap_err();
    }
    for _ in 0..3 {
        assert_eq!(meter.read().await.unwrap().power, watts(-1_230));
        assert_eq!(mapped.read().await.unwrap().power, watts(-375));
    }
}

/// One of which a string is off, one that shows its DC side and its strings only, and a module's cells.
async fn batteries_are_read(bus: &Bus) {
    let watt_hours = |wh: u64| Energy::from_milliwatt_hours(wh * 1_000);

    let battery = SunSpecBattery::open(bus, STRINGS_UNIT, "strings", None, None).await.unwrap();
    let sample = battery.read().await.unwrap();
    assert_eq!(Some(sample.power), watts(-1_500));
    assert_eq!((sample.stored, sample.capacity), (watt_hours(2_500), watt_hours(5_000)));

    let bank = SunSpecBattery::open(bus, BANK_UNIT, "bank", None, None).await.unwrap();
    let sample = bank.read().await.unwrap();
    assert_eq!(Some(sample.power), watts(3_900));
    assert_eq!((sample.stored, sample.capacity), (watt_hours(14_000), watt_hours(20_000)));
    assert!(!bank.is_controllable());

    assert_eq!(sunspec::models(bus, MODULE_UNIT, "module").await.unwrap(), [1, 805]);
    for unit in [BANK_UNIT, MODULE_UNIT] {
        let error = SunSpecMeter::open(bus, unit, "no meter", None).await.unwrap_err();
        assert!(matches!(error, DeviceError::ModelMissing { .. }), "{error}");
    }
    let error = SunSpecBattery::open(bus, MODULE_UNIT, "cells", None, None).await.unwrap_err();
    assert!(matches!(error, DeviceError::ModelMissing { .. }), "{error}");
}

#[tokio::test]
async fn pymodbus_and_pysunspec2_are_read_over_tcp() {
    everything_is_read("tcp").await;
}

#[tokio::test]
async fn pymodbus_and_pysunspec2_are_read_through_a_serial_server() {
    everything_is_read("rtu-tcp").await;
}

#[cfg(unix)]
#[tokio::test]
async fn pymodbus_and_pysunspec2_are_read_over_a_serial_line() {
    everything_is_read("rtu").await;
}
