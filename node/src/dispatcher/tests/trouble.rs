//! Machines that do not do as they are told, say what is not, or say nothing.

use std::sync::Arc;

use boltgrid_metering::role::Role;
use boltgrid_metering::shown::Shown;
use boltgrid_miners::effect::OnContactLost;
use tokio::net::TcpListener;

use super::house::Relay;
use super::*;
use crate::clock;
use crate::site::{Failure, MeterState, MeterValue, Stale};

/// What a machine's own meter shows.
fn meter(watts: i64) -> MeterState {
    let power = Some(Power::from_watts(watts).unwrap());
    let last =
        MeterValue { at: clock::now(), power, import: None, export: None, shown: Shown::default() };
    let last = Some(last);
    let role = Role::Load;
    MeterState { name: "m".into(), role, is_virtual: false, settles: false, last, stale: None }
}

/// The same machines, each with what its owner says of it.
fn owned(mining: MiningConfig, change: impl Fn(Owned) -> Owned) -> MiningConfig {
    let machines = mining.machines.into_iter();
    let machines = machines.map(|it| MinerConfig { owned: change(it.owned), ..it });
    MiningConfig { machines: machines.collect(), ..mining }
}

fn trouble(status: &DispatchStatus) -> &str {
    status.machines[0].trouble.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_machines_own_meter_is_believed_and_not_its_word() {
    let metered = |mining| owned(mining, |it| Owned { meter: Some("m".to_owned()), ..it });
    let mut house = House::treated(&[160_000], metered).await;
    house.meters.send_replace([meter(0)].into());
    house.found().await;
    house.give(2_500);
    // It says that it draws 2 kW, and its meter shows nothing.
    house.until("that is noticed", |_, it| trouble(it).contains("did not follow")).await;
    assert_eq!(
        (house.running(), house.ends.desk.status().machines[0].is_in_plan),
        (vec![true], false)
    );
    house.meters.send_replace([meter(MACHINE_W)].into());
    house
        .until("its meter shows that it runs", |_, it| {
            it.machines[0].is_in_plan && it.machines[0].trouble.is_none()
        })
        .await;
}

#[tokio::test]
async fn a_machines_meter_that_is_silent_leaves_its_own_word() {
    let metered = |mining| owned(mining, |it| Owned { meter: Some("m".to_owned()), ..it });
    let mut house = House::treated(&[160_000], metered).await;
    let stale = Some(Stale { device: "m".into(), failure: Failure::Late });
    house.meters.send_replace([MeterState { stale, ..meter(0) }].into());
    house.found().await;
    house.give(2_500);
    let two_kw = Some(MACHINE_W * 1_000);
    house
        .until("it runs, by its own word", |_, it| {
            it.machines[0].power_mw == two_kw && it.machines[0].is_in_plan
        })
        .await;
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(house.ends.desk.status().machines[0].trouble, None);
}

#[tokio::test]
async fn a_machine_that_refuses_is_told_of_as_such() {
    let mut house = House::with(&[160_000]).await;
    house.found().await;
    house.relays[0].refuses.store(true, Ordering::SeqCst);
    house.give(2_500);
    house.until("that is told", |_, it| trouble(it).contains("it refused")).await;
    // Somebody presses its button: its watts are what count.
    house.relays[0].runs.store(true, Ordering::SeqCst);
    house
        .until("it is back", |_, it| it.machines[0].is_in_plan && it.machines[0].trouble.is_none())
        .await;
}

#[tokio::test]
async fn a_machine_that_is_not_heard_of_is_left_as_it_is_where_its_owner_chose_that() {
    let lost = |mining| owned(mining, |it| Owned { contact_lost_s: 1, ..it });
    let mut house = House::treated(&[160_000, 100_000], lost).await;
    house.found().await;
    house.give(2_500);
    house.until("it runs", |it, _| it.running() == [true, false]).await;
    house.relays[0].mute.store(true, Ordering::SeqCst);
    house.until("it is lost", |_, it| trouble(it).contains("left as it is")).await;
    assert_eq!(house.running(), [true, false], "it is left, and its watts are nobody else's");
    house.relays[0].mute.store(false, Ordering::SeqCst);
    house.until("it is heard of again", |_, it| it.machines[0].is_in_plan).await;
    house.give(0);
    house.until("it does as it is told", |it, _| it.running() == [false, false]).await;
}

#[tokio::test]
async fn a_machine_that_is_not_heard_of_is_cut_off_by_its_relay_where_its_owner_chose_that() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fuse = Arc::new(Relay::default());
    fuse.runs.store(true, Ordering::SeqCst);
    let relay = format!(
        "driver = \"relay-http\"\naddress = \"{address}\"\non_path = \"/on\"\noff_path = \"/off\"\n\
         state_path = \"/state\"\npower_w_pointer = \"/power\"\n"
    );
    let lost = |mining| {
        owned(mining, |it| Owned {
            contact_lost_s: 1,
            on_contact_lost: OnContactLost::OffByRelay,
            relay: Some(toml::from_str(&relay).unwrap()),
            ..it
        })
    };
    let mut house = House::treated(&[160_000], lost).await;
    house.tasks.spawn(Arc::clone(&fuse).serve(listener));
    house.found().await;
    house.give(2_500);
    house.until("it runs", |it, _| it.running() == [true]).await;
    assert!(fuse.switched.lock().unwrap().is_empty());
    house.relays[0].mute.store(true, Ordering::SeqCst);
    // This relay only says that it cuts: what flows through it shows that it does not.
    fuse.stuck.store(true, Ordering::SeqCst);
    house.until("its relay cuts it off", |_, it| trouble(it).contains("its relay cuts it")).await;
    house.until("its owner is told", |_, it| trouble(it).contains("look at the relay")).await;
    assert_eq!(fuse.switched.lock().unwrap().as_slice(), [false, false], "told twice");
    assert!(!house.ends.desk.status().machines[0].is_in_plan);
}
