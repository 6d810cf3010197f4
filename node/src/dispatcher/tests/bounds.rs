//! What bounds machines and calls on them: fuses, steps, frequency and voltage, edges of intervals, and
//! how long a word counts.

use boltgrid_miners::react::{GridSupport, Target};
use boltgrid_protocol::units::Price;

use super::house::Shows;
use super::*;
use crate::clock;
use crate::dispatcher::desk::FOR_MS_MAX;
use crate::site::grid_for_tests;

const RUN: SetPoint = SetPoint::Run { power_mw: Power::from_milliwatts(MACHINE_W * 1_000) };

fn kw(kw: i64) -> Power {
    Power::from_milliwatts(kw * 1_000_000)
}

/// Why a machine does what it does.
fn reason(status: &DispatchStatus, machine: usize) -> &str {
    status.machines[machine].reason.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn machines_follow_frequency_and_voltage_where_their_owner_lets_them() {
    let supports = |mining| MiningConfig { support: Some(GridSupport::default()), ..mining };
    let mut house = House::treated(&[160_000, 100_000], supports).await;
    house.found().await;
    house.give(4_500);
    house.until("both run", |it, _| it.running() == [true, true]).await;
    // A fifth less than 4 kW: the poorer one has to stop.
    *house.shows.lock().unwrap() = Shows { frequency_mhz: Some(49_300), ..Shows::default() };
    house.until("frequency is low", |it, _| it.running() == [true, false]).await;
    let status = house.ends.desk.status();
    assert!(reason(&status, 1).contains("the frequency or the voltage"), "{status:#?}");
    *house.shows.lock().unwrap() = Shows { frequency_mhz: Some(49_801), ..Shows::default() };
    house.until("it is within the dead band", |it, _| it.running() == [true, true]).await;
    *house.shows.lock().unwrap() = Shows { voltage_mv: Some(207_000), ..Shows::default() };
    house.until("voltage is low", |it, _| it.running() == [false, false]).await;
    // Nothing is left for them, and two fifths of them are asked for.
    house.give(0);
    *house.shows.lock().unwrap() = Shows { frequency_mhz: Some(51_200), ..Shows::default() };
    house.until("frequency is high", |it, _| it.running() == [true, false]).await;
    *house.shows.lock().unwrap() = Shows { voltage_mv: Some(253_000), ..Shows::default() };
    house.until("voltage is high", |it, _| it.running() == [true, true]).await;
    *house.shows.lock().unwrap() = Shows::default();
    house.until("all is well", |it, _| it.running() == [false, false]).await;
}

#[tokio::test]
async fn machines_start_one_after_another_where_a_weak_grid_wants_that() {
    let starts_at = |house: &House| -> Vec<u64> {
        let status = house.ends.desk.status();
        let started = status.decisions.iter().filter(|it| it.set_point_mw > Some(0));
        started.map(|it| it.at_unix_ms).collect()
    };
    let treats: [fn(MiningConfig) -> MiningConfig; 3] = [
        |mining| mining,
        |mining| MiningConfig { starts_max: 1, ..mining },
        |mining| MiningConfig { step_max: kw(3), ..mining },
    ];
    for (number, treat) in treats.into_iter().enumerate() {
        let mut house = House::treated(&[160_000, 100_000], treat).await;
        house.found().await;
        house.give(4_500);
        house.until("both run", |it, _| it.running() == [true, true]).await;
        let at = starts_at(&house);
        assert_eq!((at.len(), at[0] == at[1]), (2, number == 0), "{number}: {at:?}");
    }
}

#[tokio::test]
async fn neither_the_machines_fuse_nor_the_connection_carries_more_than_it_may() {
    let mut house =
        House::treated(&[160_000, 100_000], |it| MiningConfig { machines_max: kw(3), ..it }).await;
    house.found().await;
    house.give(4_500);
    house
        .until("one runs, and the fuse is full", |it, status| {
            it.running() == [true, false] && reason(status, 1).contains("would carry too much")
        })
        .await;
    drop(house);
    // The connection takes 10 kW, and 9 are used, whatever the owner says.
    let mut house = House::with(&[160_000]).await;
    house.found().await;
    house.give(-9_000);
    sleep(Duration::from_millis(300)).await;
    house.ends.desk.decide("m0".to_owned(), Some(RUN), 60_000).await.unwrap();
    house
        .until("it does not fit", |it, status| {
            it.running() == [false] && reason(status, 0).contains("would carry too much")
        })
        .await;
    house.give(-7_000);
    house.until("it does", |it, _| it.running() == [true]).await;
}

#[tokio::test]
async fn what_the_next_interval_wants_is_told_shortly_before_its_edge() {
    let mut house = House::with(&[160_000]).await;
    house.found().await;
    let (_, (charter, _)) = grid_for_tests();
    let timing = charter.interval;
    // In each second interval the machine has power that was bought for it.
    let aim = |watts| Aim {
        target: Target {
            net: Power::from_watts(watts).unwrap(),
            mining: Power::ZERO,
            spare_brings: Price::from_msat_per_kwh(80_000),
            lack_costs: Price::from_msat_per_kwh(300_000),
        },
        price: Price::ZERO,
        is_traded: true,
        next_hour: None,
    };
    let is_bought = |number: u64| number.is_multiple_of(2);
    let now = timing.interval_at(clock::now());
    let bought = |it: u64| {
        let interval = now.plus(it);
        (interval, aim(if is_bought(interval.to_number()) { MACHINE_W } else { 0 }))
    };
    house.targets.send_replace((0..60).map(bought).collect());
    let before_edge_ms = |status: &DispatchStatus| -> Vec<u64> {
        let started = status.decisions.iter().filter(|it| it.set_point_mw > Some(0));
        let early = started.filter_map(|it| {
            let at = boltgrid_protocol::units::Timestamp::from_unix_ms(it.at_unix_ms);
            let interval = timing.interval_at(at);
            let early = !is_bought(interval.to_number());
            early.then(|| timing.start_of(interval.next()).ms_since(at))
        });
        early.collect()
    };
    house.until("it was started before an edge", |_, it| !before_edge_ms(it).is_empty()).await;
    // No sooner than a tenth of an interval, however long the machine takes.
    let early = before_edge_ms(&house.ends.desk.status());
    assert!(early.iter().all(|ms| *ms <= timing.interval_ms / 10), "{early:?}");
}

#[tokio::test]
async fn an_owners_word_and_an_emergency_are_over_when_their_time_is_up() {
    let mut house = House::with(&[0]).await;
    house.found().await;
    let desk = house.ends.desk.clone();
    desk.decide("m0".to_owned(), Some(RUN), 1_500).await.unwrap();
    house.until("its owner started it", |it, _| it.running() == [true]).await;
    house.until("the plan decides", |it, _| it.running() == [false]).await;
    assert!(reason(&desk.status(), 0).contains("worth more elsewhere"), "{:#?}", desk.status());
    desk.decide("m0".to_owned(), Some(RUN), 60_000).await.unwrap();
    house.until("its owner started it", |it, _| it.running() == [true]).await;
    desk.shed(1_500).await.unwrap();
    house
        .until("an emergency stops it", |it, status| {
            it.running() == [false] && status.emergency_until_unix_ms.is_some()
        })
        .await;
    house
        .until("the emergency is over", |it, status| {
            it.running() == [true] && status.emergency_until_unix_ms.is_none()
        })
        .await;
    assert_eq!(desk.shed(FOR_MS_MAX + 1).await, Err(Refused::Time));
    let for_ever = desk.decide("m0".to_owned(), Some(RUN), FOR_MS_MAX + 1).await;
    assert_eq!(for_ever, Err(Refused::Time));
}

#[tokio::test]
async fn what_a_meter_shows_that_is_not_to_be_relied_on_starts_nothing() {
    let rules =
        "[[rules]]\nname = \"never\"\naction = \"stop\"\nwhen = { power_w = { above = 9000 } }\n";
    let mut house = ruled(rules).await;
    house.found().await;
    house.until("it sees", |_, it| it.machines[0].rules[0].contains("does not hold")).await;
    house.shows.lock().unwrap().wrong = true;
    house.give(9_000);
    house.until("nobody knows", |_, it| it.machines[0].rules[0].contains("not known")).await;
    house.until("that is five seconds old", |_, it| it.budget_mw == Some(0)).await;
    assert_eq!(house.relays[0].switched.lock().unwrap().as_slice(), [false]);
    house.shows.lock().unwrap().wrong = false;
    house.until("it is right again", |it, _| it.running() == [true]).await;
}

#[tokio::test]
async fn a_start_is_on_disk_soon_and_not_only_when_the_node_stops() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("machines.json");
    let kept = |mining| MiningConfig { kept_file: Some(file.clone()), ..mining };
    let mut house = House::treated(&[160_000], kept).await;
    house.found().await;
    house.give(2_500);
    house.until("it runs", |it, _| it.running() == [true]).await;
    let is_kept = |text: &str| {
        let kept: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        kept["m0"]["starts_unix_ms"].as_array().is_some_and(|it| it.len() == 1)
    };
    house
        .until("it is kept", |_, _| std::fs::read_to_string(&file).is_ok_and(|it| is_kept(&it)))
        .await;
}
