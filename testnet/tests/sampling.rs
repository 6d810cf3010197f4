//! What it costs a node to sample twenty meters of six kinds every second. Nothing is asserted about
//! time, since machines differ; the numbers are for docs/meters.md.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use boltgrid::clock;
use boltgrid_testnet::devices::Meters;
use boltgrid_testnet::run::RunOptions;
use boltgrid_testnet::run::fleet::Fleet;
use boltgrid_testnet::run::stage::Stage;
use tokio::time::sleep;

const PROGRAM: &str = env!("CARGO_BIN_EXE_boltgrid-testnet");
/// What a node needs at its start is no part of the measurement.
const SETTLES: Duration = Duration::from_secs(15);
const MEASURED: Duration = Duration::from_secs(60);
/// Memory may grow by so much while nothing but sampling happens.
const GROWTH_MAX_KB: u64 = 16 * 1024;

/// Adds the meters of all other sites to the first node's, and lets it read all every second.
fn add_meters(stage: &Stage, count: usize) {
    let config: &Path = &stage.places[0].config;
    let mut table: toml::Table = toml::from_str(&std::fs::read_to_string(config).unwrap()).unwrap();
    let site = table["site"].as_table_mut().unwrap();
    site.insert("sample_every_ms".to_owned(), 1_000.into());
    site.remove("pv");
    site.remove("battery");
    let others = stage.farm.sites()[1..count].iter().map(|described| {
        let (kind, address) = described.meter;
        let mut meter: toml::Table = toml::from_str(&kind.settings(address)).unwrap();
        meter.insert("name".to_owned(), described.nameplate.name.clone().into());
        meter.insert("role".to_owned(), "load".into());
        toml::Value::Table(meter)
    });
    site.insert("meters".to_owned(), others.collect::<Vec<_>>().into());
    std::fs::write(config, toml::to_string(&table).unwrap()).unwrap();
}

/// How many meters of a node show something that is fresh.
fn meters_read(config: &Path) -> usize {
    let mut child = Command::new(PROGRAM)
        .args(["node", "--", "meter", "list", "--json", "--config"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It ends when its standard input does.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let fresh = |it: &&serde_json::Value| it["stale"].is_null() && !it["power_mw"].is_null();
    listed.as_array().unwrap().iter().filter(fresh).count()
}

/// Processor time in a minute, and memory before and after.
async fn cost(meters: usize) -> (u64, u64, u64) {
    let options = RunOptions {
        nodes: NonZeroUsize::new(20),
        interval_ms: 300_000,
        chain: None,
        meters: Meters::Mixed,
        ..RunOptions::default()
    };
    let stage = Stage::set(&options).await.unwrap();
    add_meters(&stage, meters);
    let places = (stage.places[..1].to_vec(), Vec::new());
    let mut fleet = Fleet::start(PROGRAM.into(), places, &BTreeMap::new(), &|_, _| {}).unwrap();
    let began = Instant::now();
    let is_fresh = loop {
        fleet.check_alive().unwrap();
        fleet.look(clock::now()).await;
        let site = fleet.members[0].status.as_ref().and_then(|it| it.site.clone());
        let is_fresh = site.is_some_and(|site| site.stale.is_none());
        if (is_fresh && began.elapsed() > SETTLES) || began.elapsed() > SETTLES * 4 {
            break is_fresh;
        }
        sleep(Duration::from_millis(200)).await;
    };
    assert!(is_fresh, "the settling meter is not read");
    let read = meters_read(&stage.places[0].config);
    assert_eq!(read, meters, "meters that are read");
    let before = fleet.members[0].usage();
    sleep(MEASURED).await;
    fleet.look(clock::now()).await;
    let after = fleet.members[0].usage();
    fleet.stop().await.unwrap();
    stage.farm.stop().await;
    (after.cpu_ms - before.cpu_ms, before.rss_kb, after.rss_kb)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes three minutes and measures; run it on a quiet machine with --nocapture"]
async fn twenty_meters_sampled_every_second() {
    for meters in [1, 20] {
        let (cpu_ms, before_kb, after_kb) = cost(meters).await;
        let minute_ms = u64::try_from(MEASURED.as_millis()).unwrap();
        println!(
            "{meters} meters: {cpu_ms} ms of {minute_ms} ms, {} ppm of a core; {before_kb} KiB, then {after_kb} KiB",
            cpu_ms * 1_000_000 / minute_ms,
        );
        assert!(
            after_kb <= before_kb + GROWTH_MAX_KB,
            "memory grew from {before_kb} to {after_kb} KiB"
        );
    }
}
