//! The dispatcher in a house with machines: what they do for surplus and prices, for their owner's word,
//! rules and heat. What bounds them is in `bounds`, what becomes of faulty ones in `trouble`.

mod bounds;
pub(super) mod house;
pub(super) mod members;
mod trouble;

use std::sync::atomic::Ordering;
use std::time::Duration;

use boltgrid_metering::sun::Place;
use boltgrid_miners::break_even::Appetite;
use boltgrid_miners::heat::Temperatures;
use boltgrid_miners::machine::SetPoint;
use boltgrid_miners::plan::Habits;
use boltgrid_miners::rules::read_rules;
use boltgrid_protocol::units::{Energy, Power};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use house::{House, MACHINE_W, PATIENCE};

#[tokio::test]
async fn unsold_surplus_starts_the_most_efficient_and_a_cloud_sheds_them() {
    let mut house = House::with(&[100_000, 160_000]).await;
    house.found().await;
    assert_eq!(house.running(), [false, false]);
    house.give(2_500);
    house.until("the better one runs", |it, _| it.running() == [false, true]).await;
    house.give(4_500);
    house.until("both run", |it, _| it.running() == [true, true]).await;
    house.give(2_500);
    house.until("the worse one is shed", |it, _| it.running() == [false, true]).await;
    house.give(0);
    house.until("all are shed", |it, _| it.running() == [false, false]).await;
    let status = house.ends.desk.status();
    let starts: Vec<u64> = status.machines.iter().map(|it| it.starts).collect();
    assert_eq!(starts, [1, 1], "none was started again on its way");
    assert!(status.reactions >= 4 && status.reaction_ms_p95.is_some(), "{status:#?}");
    let last = status.decisions.last().unwrap();
    assert_eq!((last.machine.as_str(), last.set_point_mw), ("m1", Some(0)));
}

#[tokio::test]
async fn what_was_sold_is_no_surplus_and_what_was_bought_is_mined() {
    let mut house = House::with(&[160_000]).await;
    house.found().await;
    house.aim(2_000, None);
    house.until("what was bought is mined", |it, _| it.running() == [true]).await;
    house.aim(-2_000, None);
    house.give(2_000);
    house.until("what was sold is given", |it, _| it.running() == [false]).await;
}

#[tokio::test]
async fn the_owner_decides_for_a_while_and_an_emergency_stops_all() {
    let mut house = House::with(&[0]).await;
    house.found().await;
    let desk = house.ends.desk.clone();
    let run = SetPoint::Run { power_mw: Power::from_watts(MACHINE_W).unwrap() };
    desk.decide("m0".to_owned(), Some(run), 60_000).await.unwrap();
    house.until("its owner started it", |it, _| it.running() == [true]).await;
    desk.shed(60_000).await.unwrap();
    house.until("an emergency stops it", |it, _| it.running() == [false]).await;
    desk.shed(0).await.unwrap();
    house.until("it is over", |it, _| it.running() == [true]).await;
    desk.decide("m0".to_owned(), None, 0).await.unwrap();
    house.until("the plan decides", |it, _| it.running() == [false]).await;
    let unknown = desk.decide("m9".to_owned(), None, 0).await;
    assert_eq!(unknown, Err(Refused::Unknown("m9".to_owned())));
    assert_eq!(desk.decide("m0".to_owned(), Some(run), 0).await, Err(Refused::Time));
    let little = SetPoint::Run { power_mw: Power::from_milliwatts(1) };
    let refused = desk.decide("m0".to_owned(), Some(little), 1).await;
    assert!(matches!(refused, Err(Refused::Unable { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_machine_that_acknowledges_without_effect_is_noticed_and_its_power_given_to_another() {
    let mut house = House::with(&[160_000, 100_000]).await;
    house.found().await;
    house.relays[0].stuck.store(true, Ordering::SeqCst);
    house.give(2_500);
    house
        .until("it is out of the plan, and its owner told", |_, status| {
            !status.machines[0].is_in_plan && status.machines[0].trouble.is_some()
        })
        .await;
    house.until("another has its power", |it, _| it.running() == [false, true]).await;
    assert_eq!(
        house.relays[0].switched.lock().unwrap().as_slice(),
        [false, true, true],
        "told twice"
    );
}

#[tokio::test]
async fn machines_bid_for_the_next_interval_at_what_power_is_worth_to_them() {
    let mut house = House::with(&[160_000, 100_000]).await;
    house.found().await;
    let mut mining = house.ends.mining.clone();
    let bids = timeout(PATIENCE, mining.wait_for(|it| it.loads.len() == 2)).await;
    let bids = bids.unwrap().unwrap().clone();
    let worths: Vec<i64> = bids.loads.iter().map(|it| it.worth.to_msat_per_kwh()).collect();
    assert_eq!(worths, [160_000, 100_000]);
    assert_eq!(bids.draws, Power::ZERO);
    house.give(2_500);
    let two_kw = Power::from_watts(MACHINE_W).unwrap();
    let drawn = timeout(PATIENCE, mining.wait_for(|it| it.draws == two_kw)).await;
    assert_eq!(drawn.unwrap().unwrap().loads.len(), 2, "what runs goes on bidding");
}

#[tokio::test]
async fn a_sample_that_is_missed_sheds_nothing_and_five_seconds_without_any_do() {
    let mut house = House::with(&[160_000]).await;
    house.found().await;
    house.give(2_500);
    house.until("it runs", |it, _| it.running() == [true]).await;
    house.blind.store(true, Ordering::SeqCst);
    let blind_since = Instant::now();
    house.until("nothing is known of the surplus", |it, _| it.running() == [false]).await;
    assert!(blind_since.elapsed() >= Duration::from_secs(4), "{:?}", blind_since.elapsed());
}

#[tokio::test]
async fn how_often_a_machine_was_started_is_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let once = |mining: MiningConfig| MiningConfig {
        habits: Habits { starts_per_day_max: 1, ..mining.habits },
        kept_file: Some(dir.path().join("machines.json")),
        ..mining
    };
    let mut house = House::treated(&[160_000], once).await;
    house.found().await;
    house.give(2_500);
    house.until("it runs", |it, _| it.running() == [true]).await;
    house.stop.cancel();
    // The dispatcher is the task that ends.
    let ended = timeout(PATIENCE, house.tasks.join_next()).await.unwrap();
    assert!(ended.unwrap().is_ok());
    drop(house);
    let mut house = House::treated(&[160_000], once).await;
    house.give(2_500);
    house
        .until("it was started as often as it may be", |_, status| {
            status.machines.first().and_then(|it| it.reason.as_deref())
                == Some("it was started as often within a day as its owner allows")
        })
        .await;
    assert_eq!(house.running(), [false]);
}

#[tokio::test]
async fn rules_see_the_sun_where_the_place_is_known_and_the_next_hour_where_it_is_foreseen() {
    let rules = |when: &str| {
        let text = format!("[[rules]]\nname = \"run\"\naction = \"run\"\nwhen = {when}\n");
        read_rules(&text).unwrap()
    };
    // It is never lower there.
    let sun = rules("{ sun_degrees = { above = -75 } }");
    let mut house =
        House::treated(&[0], |mining| MiningConfig { rules: sun.clone(), ..mining }).await;
    house.found().await;
    house.until("nobody knows", |_, it| it.machines[0].rules[0].contains("not known")).await;
    let place = Some(Place { latitude_millidegrees: 52_520, longitude_millidegrees: 13_405 });
    let mut house =
        House::treated(&[0], |mining| MiningConfig { rules: sun.clone(), place, ..mining }).await;
    house.until("it sees the sun", |it, _| it.running() == [true]).await;

    let hour = rules("{ forecast_pv_next_hour_wh = { above = 500 } }");
    let mut house =
        House::treated(&[0], |mining| MiningConfig { rules: hour.clone(), ..mining }).await;
    house.found().await;
    house.until("nobody knows", |_, it| it.machines[0].rules[0].contains("not known")).await;
    let energy = Energy::from_milliwatt_hours;
    house.aim(0, Some(NextHour { pv: energy(500_001), surplus: energy(0) }));
    house.until("much will come", |it, _| it.running() == [true]).await;
    house.aim(0, Some(NextHour { pv: energy(500_000), surplus: energy(0) }));
    house.until("not so much will", |it, _| it.running() == [false]).await;
}

/// A house with one machine and these rules.
async fn ruled(rules: &str) -> House {
    let rules = read_rules(rules).unwrap();
    House::treated(&[160_000], |mining| MiningConfig { rules: rules.clone(), ..mining }).await
}

#[tokio::test]
async fn a_rule_stops_what_pays_and_says_why() {
    let mut house = ruled(
        "[[rules]]\nname = \"leave some\"\naction = \"stop\"\nwhen = { surplus_w = { below = 3000 } }\n",
    )
    .await;
    house.found().await;
    house.give(2_500);
    house
        .until("the rule keeps it off", |it, status| {
            let reason = status.machines[0].reason.as_deref().unwrap_or_default();
            it.running() == [false] && reason.contains("leave some") && reason.contains("2500")
        })
        .await;
    house.give(3_500);
    house.until("the plan decides, and it pays", |it, _| it.running() == [true]).await;
    // What the machine takes is surplus all the same.
    house
        .until("it draws, and goes on", |_, status| {
            let rule = &status.machines[0].rules[0];
            status.machines[0].power_mw == Some(MACHINE_W * 1_000) && rule.contains("does not hold")
        })
        .await;
    let status = house.ends.desk.status();
    assert!(status.machines[0].rules[0].contains("3500"), "{status:#?}");
    assert_eq!(status.machines[0].starts, 1);
}

#[tokio::test]
async fn a_rule_is_kept_to_for_as_long_as_it_says() {
    let mut house = ruled(
        "[[rules]]\nname = \"a while\"\naction = \"run\"\nfor_at_least_s = 3\n\
         when = { power_w = { below = 1000 } }\n",
    )
    .await;
    house.found().await;
    house.until("it runs", |it, _| it.running() == [true]).await;
    let began = Instant::now();
    // It draws 2 kW by now, so the rule no longer holds.
    house
        .until("that is said", |it, status| {
            let reason = status.machines[0].reason.as_deref().unwrap_or_default();
            it.running() == [true] && reason.contains("kept to until")
        })
        .await;
    house.until("that is over", |it, _| it.running() == [false]).await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_rule_starts_what_does_not_pay_but_nothing_unknown_starts_anything() {
    let run = |when: &str| format!("[[rules]]\nname = \"run\"\naction = \"run\"\nwhen = {when}\n");
    let unknown = [
        "{ temperature_celsius = { below = 15 } }",
        "{ not = { temperature_celsius = { above = 15 } } }",
        "{ battery_percent = { above = 10 } }",
    ];
    for when in unknown {
        let mut house = ruled(&run(when)).await;
        house.found().await;
        house.until("nobody knows", |_, it| it.machines[0].rules[0].contains("not known")).await;
        house.until("the plan decides", |it, _| it.running() == [false]).await;
    }
    let mut house = ruled(&run("{ power_w = { below = 1000 } }")).await;
    house.until("it runs", |it, _| it.running() == [true]).await;
    house.until("and stops", |it, _| it.running() == [false]).await;
}

#[tokio::test]
async fn heat_that_is_due_starts_what_does_not_pay_and_nothing_runs_where_nobody_knows() {
    let tank = "name = \"tank\"\nmachines = [\"m0\"]\nwanted_celsius = 55\nhottest_celsius = 70\n\
                wh_per_kelvin = 349\nfuel_msat_per_kwh = 360000\nheat_ppm = 900000\n";
    let tank: PlaceConfig = toml::from_str(tank).unwrap();
    let mut house = House::treated(&[0], |mining| {
        let [miner] = mining.machines.clone().try_into().unwrap();
        let appetite = Appetite::WhenItPays;
        let miner = MinerConfig { owned: Owned { appetite, ..miner.owned }, ..miner };
        MiningConfig { places: vec![tank.clone()], machines: vec![miner], ..mining }
    })
    .await;
    house.found().await;
    let desk = house.ends.desk.clone();
    let warm = async |m_celsius| {
        let seen = Temperatures { inside_m_celsius: Some(m_celsius), outside_m_celsius: None };
        desk.warm("tank".to_owned(), seen).await
    };
    house.give(9_000);
    house
        .until("nobody says how warm it is", |it, status| {
            let reason = status.machines[0].reason.as_deref().unwrap_or_default();
            it.running() == [false] && reason.contains("nobody says how warm")
        })
        .await;
    house.give(0);
    warm(40_000).await.unwrap();
    // Heat is worth 400 sat/kWh and power costs no more than that, so it is bought.
    house.until("it heats", |it, _| it.running() == [true]).await;
    let status = house.ends.desk.status();
    assert_eq!(status.machines[0].heat_msat_per_kwh, 400_000);
    assert!(status.places[0].is_due);
    warm(71_000).await.unwrap();
    house.until("it is hot enough", |it, _| it.running() == [false]).await;
    assert_eq!(warm(171_000).await, Err(Refused::Temperature));
    let nowhere = desk.warm("attic".to_owned(), Temperatures::default()).await;
    assert_eq!(nowhere, Err(Refused::NoPlace("attic".to_owned())));
}

/// The numbers of docs/dispatch.md.
#[tokio::test]
#[ignore = "it measures, and a measurement says nothing on a busy machine"]
async fn how_soon_watts_move_with_a_machine_that_answers_in_100_ms() {
    const CHANGES: usize = 40;
    let mut house = House::with(&[160_000]).await;
    house.found().await;
    house.relays[0].answers_after_ms.store(100, Ordering::SeqCst);
    let mut moved_ms = Vec::new();
    for number in 0..CHANGES {
        let runs = number % 2 == 0;
        // Not in step with the samples.
        sleep(Duration::from_millis(1_500 + 37 * u64::try_from(number).unwrap())).await;
        house.give(if runs { 2_500 } else { 0 });
        let began = Instant::now();
        house.until("watts move", |it, _| it.running() == [runs]).await;
        moved_ms.push(began.elapsed().as_millis());
    }
    moved_ms.sort_unstable();
    let at = |percent: usize| moved_ms[(CHANGES * percent).div_ceil(100) - 1];
    let status = house.ends.desk.status();
    println!(
        "{CHANGES} changes: watts moved after {} ms (p50), {} ms (p95), {} ms at most; commands \
         within {:?} ms of the sample before (p95)",
        at(50),
        at(95),
        at(100),
        status.reaction_ms_p95
    );
}
