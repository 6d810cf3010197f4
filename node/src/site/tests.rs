//! The site's task against real Modbus TCP, a real journal and one-second intervals.

mod checks;
mod fake;
mod keys;
mod meters;

use std::path::Path;
use std::time::Duration;

use boltgrid_market::effect::Slot;
use boltgrid_metering::sample::{MeterSample, Sample};
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::reading::Reading;

use super::*;
use crate::store::Store;
use fake::{
    BATTERY, BATTERY_IN, BATTERY_MODE, Fake, GRID_IMPORT_LOW, GRID_W, METER, PV, PV_LIMIT,
    PV_LIMITED,
};

const INTERVAL_MS: u64 = 1_000;
/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);

fn key(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

/// A charter with intervals of this length and everything else in proportion.
pub(crate) fn charter(interval_ms: u64) -> Charter {
    let part = |percent: u64| interval_ms * percent / 100;
    Charter::from_toml(&format!(
        r#"
        name = "site"
        [interval]
        interval_ms = {interval_ms}
        gate_before_delivery_ms = {}
        orders_open_before_gate_ms = {}
        orders_close_before_gate_ms = {}
        proposal_after_gate_ms = {}
        view_ms = {}
        views = 4
        confirm_by_after_gate_ms = {}
        readings_by_after_delivery_ms = {}
        clock_skew_max_ms = {}
        [price]
        floor_msat_per_kwh = -200000
        ceiling_msat_per_kwh = 500000
        [connection]
        import_capacity_w = 160000
        export_capacity_w = 160000
        loss_ppm = 0
        [membership]
        registrars = ["{}"]
        registrar_threshold = 1
        roster_epoch_intervals = 1000
        bar_intervals = 10
        [tariff]
        clock = {{ anchor_unix_ms = 0, anchor_local_ms = 0, speed = 1 }}
        base = {{ retail_msat_per_kwh = 300000, feed_in_msat_per_kwh = 80000 }}
        "#,
        part(60),
        part(40),
        part(10),
        part(5),
        part(10),
        part(55),
        part(40),
        part(5),
        key(1).participant_id(),
    ))
    .unwrap()
}

fn grid() -> (Arc<Charter>, Rosters) {
    grid_of(&[2])
}

/// A member with a connection point of 10 kW, and its grid.
pub(crate) fn grid_for_tests() -> (ParticipantId, (Arc<Charter>, Rosters)) {
    (key(2).participant_id(), grid())
}

/// A grid of members with these keys; the meter's is the next.
fn grid_of(members: &[u8]) -> (Arc<Charter>, Rosters) {
    let charter = Arc::new(charter(INTERVAL_MS));
    let rated = Power::from_watts(10_000).unwrap();
    let enrol = |member: &u8| {
        let mut enrolment = CertifiedEnrolment::request(Enrolment {
            grid: charter.grid_id(),
            participant: key(*member).participant_id(),
            meter: key(member + 1).meter_key(),
            connection_point: "bus-1".to_owned(),
            outside: false,
            rated_import_mw: rated,
            rated_export_mw: rated,
            votes: true,
            valid_from: Interval::from_number(0),
            valid_until: Interval::from_number(u64::MAX),
        });
        enrolment.sign(&key(1));
        enrolment
    };
    let enrolments = members.iter().map(enrol).collect();
    let rosters = Rosters::new(Arc::clone(&charter), enrolments).unwrap();
    (charter, rosters)
}

fn config(fake: &Fake) -> SiteConfig {
    let device = |unit| DeviceConfig::at(fake.address.to_string().parse().unwrap(), unit);
    SiteConfig {
        sample_every_ms: Some(100),
        meter: Some(device(METER)),
        pv: vec![device(PV)],
        battery: vec![DeviceConfig {
            site: InSite { capacity_wh: Some(10_000), ..InSite::default() },
            ..device(BATTERY)
        }],
        ..SiteConfig::default()
    }
}

/// A site that runs until this is dropped or stopped.
struct Running {
    store: Store,
    state: watch::Receiver<Option<SiteState>>,
    meters: watch::Receiver<Arc<[MeterState]>>,
    checked: watch::Receiver<Checked>,
    readings: mpsc::Receiver<OwnReading>,
    commands: mpsc::Sender<DispatchCommand>,
    shutdown: CancellationToken,
    task: JoinSet<Result<(), SiteError>>,
}

impl Running {
    async fn open(config: SiteConfig, dir: &Path) -> Result<Self, SiteError> {
        Self::open_with(config, key(3).into(), grid(), dir).await
    }

    async fn open_with(
        config: SiteConfig,
        meter: MeterKeys,
        grid: (Arc<Charter>, Rosters),
        dir: &Path,
    ) -> Result<Self, SiteError> {
        let store = Store::open(dir).unwrap();
        let (outbox, readings) = mpsc::channel(16);
        let (commands, receiver) = mpsc::channel(4);
        let who = (meter, key(2).participant_id());
        let (site, shows) = Site::open(
            config,
            who,
            grid,
            (store.journal(), store.archive()),
            (outbox, receiver, Live::default()),
        )
        .await?;
        let shutdown = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(site.run(shutdown.clone()));
        let SiteWatch { state, meters, checked } = shows;
        Ok(Self { store, state, meters, checked, readings, commands, shutdown, task })
    }

    async fn reading(&mut self) -> Verified<Reading> {
        let own = timeout(PATIENCE, self.readings.recv()).await.unwrap().unwrap();
        let (OwnReading::Made(reading) | OwnReading::Again(reading)) = own;
        reading
    }

    async fn state(&mut self, wanted: impl Fn(&SiteState) -> bool) -> SiteState {
        let wanted = |state: &Option<SiteState>| state.as_ref().is_some_and(&wanted);
        timeout(PATIENCE, self.state.wait_for(wanted)).await.unwrap().unwrap().clone().unwrap()
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

fn watts(watts: i64) -> Power {
    Power::from_watts(watts).unwrap()
}

fn current() -> Interval {
    charter(INTERVAL_MS).interval.interval_at(clock::now())
}

/// A site that shows no power at `at`, with this in its import register.
fn sample(at: Timestamp, import_mwh: u64) -> Sample {
    let meter = MeterSample {
        power: Power::ZERO,
        import_register: Energy::from_milliwatt_hours(import_mwh),
        export_register: Energy::ZERO,
        voltage_mv: None,
        frequency_mhz: None,
    };
    Sample { at, meter, pv: None, battery: None }
}

#[tokio::test]
async fn the_state_is_what_the_devices_show_together() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    let state = site.state(|_| true).await;
    assert_eq!(
        (state.power_mw, state.pv_mw, state.load_mw),
        (watts(-1_000), watts(4_000), watts(2_500))
    );
    assert!(state.pv_curtailable && state.stale.is_none());
    let battery = state.battery.unwrap();
    assert_eq!((battery.power_mw, battery.charge_max_mw), (watts(500), watts(5_000)));
    assert_eq!(battery.stored_mwh, Energy::from_milliwatt_hours(5_000_000));
    assert_eq!((state.voltage_mv, state.frequency_mhz), (Some(230_000), Some(50_000)));
    site.stop().await;
}

#[tokio::test]
async fn every_edge_has_a_reading_that_was_stored_before_it_left() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    let first = site.reading().await;
    fake.set(GRID_IMPORT_LOW, 5_001);
    let second = site.reading().await;
    let stored = site.store.journal().get(Slot::Reading(second.interval())).await.unwrap();
    assert_eq!(stored.as_ref(), Some(second.bytes()));
    assert_eq!(second.interval(), first.interval().next());
    assert_eq!((second.body().sequence, second.body().previous), (1, first.hash()));
    assert_eq!(first.body().import_register_mwh, Energy::from_milliwatt_hours(5_000));
    assert_eq!(second.body().import_register_mwh, Energy::from_milliwatt_hours(5_001));
    assert_eq!(second.body().potential_mw, Some(watts(-1_000)));
    site.stop().await;
}

#[tokio::test]
async fn after_a_restart_the_stored_reading_is_sent_again_and_the_chain_goes_on() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    let before = site.reading().await;
    site.stop().await;
    // Had the restarted site signed anew for this edge, it would show this.
    fake.set(GRID_IMPORT_LOW, 5_002);
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    let again = site.reading().await;
    assert_eq!(again.bytes(), before.bytes());
    let next = site.reading().await;
    assert_eq!((next.body().sequence, next.body().previous), (1, before.hash()));
    assert!(next.interval() > before.interval());
    site.stop().await;
}

#[tokio::test]
async fn set_points_come_a_lead_before_the_edge_and_go_with_the_interval() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let config = SiteConfig { set_point_lead_ms: Some(500), ..config(&fake) };
    let mut site = Running::open(config, dir.path()).await.unwrap();
    site.state(|_| true).await;
    let interval = current().plus(2);
    let (battery_mw, pv_limit_mw) = (Some(watts(2_500)), Some(watts(1_000)));
    site.commands.send(DispatchCommand { interval, battery_mw, pv_limit_mw }).await.unwrap();
    let starts = charter(INTERVAL_MS).interval.start_of(interval);
    eventually("set point", || fake.get(BATTERY_MODE) == 3).await;
    let early_ms = starts.ms_since(clock::now());
    assert!((1..=500).contains(&early_ms), "came {early_ms} ms before the edge");
    assert_eq!(fake.get(BATTERY_IN), 5_000);
    eventually("limit", || fake.get(PV_LIMITED) == 1).await;
    assert_eq!(fake.get(PV_LIMIT), 1_000);
    eventually("release", || fake.get(BATTERY_MODE) == 0 && fake.get(PV_LIMITED) == 0).await;
    assert!(clock::now() >= starts.plus_ms(INTERVAL_MS));
    site.stop().await;
}

#[tokio::test]
async fn a_site_that_stops_leaves_its_devices_to_themselves() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    site.state(|_| true).await;
    let (interval, battery_mw) = (current().next(), Some(watts(-2_500)));
    let command = DispatchCommand { interval, battery_mw, pv_limit_mw: None };
    site.commands.send(command).await.unwrap();
    eventually("set point", || fake.get(BATTERY_MODE) == 3).await;
    site.stop().await;
    assert_eq!(fake.get(BATTERY_MODE), 0);
}

#[tokio::test]
async fn a_device_that_fails_makes_the_state_stale_until_it_answers_again() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    site.state(|state| state.stale.is_none()).await;
    fake.mute(true);
    let stale = site.state(|state| state.stale.is_some()).await.stale.unwrap();
    assert!(stale.to_string().contains("failed"), "{stale}");
    fake.mute(false);
    fake.set(GRID_W, -900);
    let state = site.state(|state| state.stale.is_none()).await;
    assert_eq!(state.power_mw, watts(-900));
    // What cannot be is refused as well: 20 kW at a connection of 10.
    fake.set(GRID_W, 20_000);
    let stale = site.state(|state| state.stale.is_some()).await.stale.unwrap();
    assert!(stale.to_string().starts_with("meter: point W"), "{stale}");
    site.stop().await;
}

#[tokio::test]
async fn a_site_starts_without_its_devices_but_not_with_others() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.mute(true);
    let mut site = Running::open(config(&fake), &dir.path().join("a")).await.unwrap();
    fake.mute(false);
    site.state(|state| state.stale.is_none()).await;
    site.stop().await;

    let mut swapped = config(&fake);
    swapped.meter = Some(swapped.pv.remove(0));
    let refused = Running::open(swapped, &dir.path().join("b")).await.err().unwrap();
    assert!(refused.to_string().contains("meter: no meter"), "{refused}");
}

#[tokio::test]
async fn a_node_without_devices_runs() {
    let dir = tempfile::tempdir().unwrap();
    let site = Running::open(SiteConfig::default(), dir.path()).await.unwrap();
    site.stop().await;
}

#[tokio::test]
async fn nothing_is_signed_anew_for_an_edge_even_where_the_chain_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (outbox, mut sent) = mpsc::channel(4);
    let edge = charter(INTERVAL_MS).interval.start_of(current());
    let resume = async |(charter, rosters): (Arc<Charter>, Rosters)| {
        let participant = key(2).participant_id();
        let signer = Signer { participant, meter: key(3).into(), charter, rosters };
        Readings::resume(signer, store.journal(), outbox.clone(), edge).await.unwrap()
    };
    let sample = |after_ms, import_mwh| sample(edge.plus_ms(after_ms), import_mwh);
    resume(grid()).await.sampled(sample(10, 1)).await.unwrap();
    assert_eq!(sent.try_recv().unwrap().reading().body().sequence, 0);

    // Under another roster the stored reading counts for nothing, but it was sent.
    let mut anew = resume(grid_of(&[2, 5])).await;
    anew.sampled(sample(20, 2)).await.unwrap();
    assert!(sent.try_recv().is_err());
    anew.sampled(sample(INTERVAL_MS + 10, 3)).await.unwrap();
    let next = sent.try_recv().unwrap();
    let next = next.reading().body();
    assert_eq!((next.at, next.sequence), (edge.plus_ms(INTERVAL_MS), 0));
}
