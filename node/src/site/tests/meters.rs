//! Sites of several meters: virtual ones, integrated ones, and those that nothing rests on.

use boltgrid_metering::role::Role;
use boltgrid_protocol::units::Energy;

use super::*;

/// The site of [`config`] with more said in TOML.
fn config_and(fake: &Fake, more: &str) -> SiteConfig {
    let more: SiteConfig = toml::from_str(more).unwrap();
    SiteConfig { settles: more.settles, virtual_meters: more.virtual_meters, ..config(fake) }
}

async fn meters(site: &mut Running, wanted: impl Fn(&[MeterState]) -> bool) -> Arc<[MeterState]> {
    let waiting = site.meters.wait_for(|meters| wanted(meters));
    Arc::clone(&timeout(PATIENCE, waiting).await.unwrap().unwrap())
}

#[tokio::test]
async fn a_virtual_meter_settles_by_the_energy_of_its_own_power() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let more = r#"
        settles = "house"
        virtual = [{ name = "house", role = "grid", sum = ["meter", "-battery"] }]
    "#;
    let mut site = Running::open(config_and(&fake, more), dir.path()).await.unwrap();
    let state = site.state(|_| true).await;
    assert_eq!((state.power_mw, state.frequency_mhz), (watts(-1_500), Some(50_000)));
    let first = site.reading().await;
    let second = site.reading().await;
    let of = |reading: &Verified<Reading>| {
        let Reading { import_register_mwh, export_register_mwh, .. } = reading.body();
        (import_register_mwh.to_milliwatt_hours(), export_register_mwh.to_milliwatt_hours())
    };
    assert_eq!((of(&first).0, of(&second).0), (0, 0));
    // 1.5 kW for a second, and as much more or less as the moments of reading differ.
    let grown = of(&second).1 - of(&first).1;
    assert!((300..=600).contains(&grown), "{grown} mWh");

    // The registers go on from there in the next life.
    site.stop().await;
    let mut site = Running::open(config_and(&fake, more), dir.path()).await.unwrap();
    assert_eq!(site.reading().await.bytes(), second.bytes());
    let third = site.reading().await;
    assert!(of(&third).1 > of(&second).1);
    assert!(third.interval() > second.interval().next(), "what flowed meanwhile is in neither");
    let all = meters(&mut site, |_| true).await;
    let settling: Vec<&str> = all.iter().filter(|it| it.settles).map(|it| &*it.name).collect();
    assert_eq!(settling, ["house"]);
    site.stop().await;
}

#[tokio::test]
async fn a_meter_that_nothing_rests_on_may_fail() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let absent = DeviceConfig {
        site: InSite { name: Some("oven".to_owned()), role: Some(Role::Load), ..InSite::default() },
        ..DeviceConfig::at("127.0.0.1:1".parse().unwrap(), 1)
    };
    let config = SiteConfig { meters: vec![absent], ..config(&fake) };
    let mut site = Running::open(config, dir.path()).await.unwrap();
    let all = meters(&mut site, |all| all.iter().any(|meter| meter.last.is_some())).await;
    let names: Vec<&str> = all.iter().map(|meter| &*meter.name).collect();
    assert_eq!(names, ["meter", "pv", "battery", "oven"]);
    let oven = all.iter().find(|meter| &*meter.name == "oven").unwrap();
    assert!(oven.last.is_none());
    assert!(oven.stale.as_ref().unwrap().to_string().starts_with("oven: "), "{:?}", oven.stale);
    assert!(site.state(|_| true).await.stale.is_none());
    assert_eq!(all[0].last.unwrap().import, Some(Energy::from_milliwatt_hours(5_000)));
    site.stop().await;
}

#[tokio::test]
async fn after_a_gap_the_interval_that_lacks_energy_has_no_two_readings() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (outbox, mut sent) = mpsc::channel(8);
    let edge = charter(INTERVAL_MS).interval.start_of(current());
    let (charter, rosters) = grid();
    let signer =
        Signer { participant: key(2).participant_id(), meter: key(3).into(), charter, rosters };
    let mut readings = Readings::resume(signer, store.journal(), outbox, edge).await.unwrap();
    let mut sampled = async |after_ms, begins: bool| {
        let sample = sample(edge.plus_ms(after_ms), after_ms);
        if begins {
            readings.begin_after_gap(sample.at);
        }
        readings.sampled(sample).await.unwrap();
        sent.try_recv().ok().map(|reading| reading.reading().interval())
    };
    let first = current_at(edge);
    assert_eq!(sampled(10, false).await, Some(first));
    // A gap within the interval: its end is not signed, the one after is.
    assert_eq!(sampled(500, true).await, None);
    assert_eq!(sampled(INTERVAL_MS + 10, false).await, None);
    assert_eq!(sampled(2 * INTERVAL_MS + 10, false).await, Some(first.plus(2)));
    // A gap over an edge: that edge is not signed, the next one is.
    assert_eq!(sampled(3 * INTERVAL_MS + 10, true).await, None);
    assert_eq!(sampled(4 * INTERVAL_MS + 10, false).await, Some(first.plus(4)));
}

fn current_at(at: Timestamp) -> Interval {
    charter(INTERVAL_MS).interval.interval_at(at)
}
