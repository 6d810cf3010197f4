//! What the owner counts on: that a crash loses nothing and tells nothing anew, that the night is quiet,
//! and that nobody is told of what a meter said long ago.

use boltgrid_protocol::charter::Charter;

use super::*;
use crate::alerts::quiet::TimeOfDay;
use crate::lightning::LightningStatus;
use crate::site::{BatteryState, Failure, Stale};

const HOUR_MS: u64 = 3_600_000;

#[tokio::test]
async fn nothing_is_lost_or_told_anew_when_the_node_is_killed() {
    let house = House::new().await;
    let first = house.start();
    house.takes(2_000);
    let nobody = Manners { lives: 0, ..Manners::GOOD };
    assert!(house.hear(nobody).await.is_empty());
    first.until("it waits", |it| it.waiting == 1).await;
    first.crash().await;

    let second = house.start();
    assert_eq!(house.hear(Manners::GOOD).await, ["begins"]);
    second.until("it was told", |it| it.waiting == 0).await;
    second.crash().await;

    // It still takes as much, which was told; what is new is that it ends.
    let third = house.start();
    third.until("nothing waits", |it| it.waiting == 0).await;
    house.takes(500);
    assert_eq!(house.hear(Manners::GOOD).await, ["ends"]);
    third.end().await;
}

#[tokio::test]
async fn how_long_a_condition_has_held_survives_a_restart() {
    let house = House::new().await;
    let patient = Rule { for_s: 3_600, ..rule("long", When::PowerAboveW(1_000)) };
    let rules = vec![patient, rule("much", When::PowerAboveW(1_000))];
    let run = house.start_with_rules(rules, house.webhook(), None);
    house.takes(2_000);
    // Both are looked at together.
    assert_eq!(house.posted().await.0, "begins");
    run.until("nothing waits", |it| it.waiting == 0).await;
    run.end().await;
    let kept = Outbox::open(&house.dir.path().join(FILE)).unwrap().standing("long");
    assert!(kept.turned_at.is_some() && kept.told_at.is_none(), "{kept:?}");
}

/// Quiet hours that hold now.
fn quiet_now(charter: &Charter) -> QuietHours {
    let local_ms = charter.tariff.clock.local_ms(clock::now());
    let time = |ms: u64| -> TimeOfDay {
        let minutes = ms / 60_000 % (24 * 60);
        format!("{:02}:{:02}", minutes / 60, minutes % 60).parse().unwrap()
    };
    QuietHours { from: time(local_ms + 23 * HOUR_MS), until: time(local_ms + HOUR_MS) }
}

#[tokio::test]
async fn in_the_night_only_what_is_urgent_is_told_and_the_rest_afterwards() {
    let house = House::new().await;
    let urgent = Rule { urgent: true, ..rule("least", When::PowerAboveW(-5_000)) };
    let rules = || vec![rule("much", When::PowerAboveW(1_000)), urgent.clone()];
    let quiet = Some(quiet_now(&charter_for_tests(300_000)));
    let at_night = house.start_with_rules(rules(), house.webhook(), quiet);
    // The urgent one begins at once.
    assert_eq!(house.posted().await.0, "begins");
    at_night.until("nothing waits", |it| it.waiting == 0).await;
    // What comes next is not urgent, and waits while what comes after it is told.
    house.takes(2_000);
    at_night.until("it waits", |it| it.waiting == 1).await;
    house.takes(-6_000);
    assert_eq!(house.posted().await, ("ends".to_owned(), "6000 W given to the grid".to_owned()));
    at_night.until("the others wait", |it| it.waiting == 2 && it.failing.is_none()).await;
    at_night.end().await;

    let by_day = house.start_with_rules(rules(), house.webhook(), None);
    let begun = ("begins".to_owned(), "2000 W taken from the grid".to_owned());
    assert_eq!(house.posted().await, begun);
    assert_eq!(house.posted().await.0, "ends");
    by_day.end().await;
}

#[tokio::test]
async fn nobody_is_told_of_what_a_silent_meter_said_last() {
    let house = House::new().await;
    let rules = vec![
        rule("much", When::PowerAboveW(1_000)),
        rule("taken", When::ImportTodayAboveWh(0)),
        rule("given", When::ExportTodayAboveWh(0)),
        rule("low", When::BatteryBelowPercent(50)),
        rule("silent", When::DeviceSilent),
    ];
    let energy = Energy::from_milliwatt_hours;
    let battery = BatteryState {
        power_mw: Power::ZERO,
        stored_mwh: energy(1),
        capacity_mwh: energy(10),
        charge_max_mw: Power::ZERO,
        discharge_max_mw: Power::ZERO,
    };
    let stale = Some(Stale { device: "meter".into(), failure: Failure::Late });
    let silent = SiteState { battery: Some(battery), stale, ..site(2_000) };
    house.power.send_replace(Some(silent.clone()));
    let run = house.start_with_rules(rules, house.webhook(), None);
    let (turn, text) = house.posted().await;
    assert!(turn == "begins" && text.starts_with("meter"), "{turn}: {text}");
    let status = run.desk.status().await.unwrap();
    let known = status.rules.iter().filter(|it| it.seen.is_some());
    let known: Vec<&str> = known.map(|it| it.rule.name.as_str()).collect();
    assert_eq!(known, ["silent"]);
    // Once it answers again, all of it is known.
    house.power.send_replace(Some(SiteState { stale: None, ..silent }));
    let status = run.desk.status().await.unwrap();
    assert!(status.rules.iter().all(|it| it.seen.is_some()), "{:?}", status.rules);
    run.end().await;
}

#[tokio::test]
async fn nobody_is_told_of_an_empty_wallet_that_has_not_seen_the_chain_yet() {
    let mut house = House::new().await;
    let (lightning, status) = watch::channel(LightningStatus::default());
    let id = format!("02{}", "11".repeat(32)).parse().unwrap();
    house.sources.lightning = Some(LightningHandle::new(id, status).0);
    let rules = vec![rule("poor", When::BalanceBelowSat(1_000))];
    let run = house.start_with_rules(rules, house.webhook(), None);
    let seen = async || run.desk.status().await.unwrap().rules[0].seen.clone();
    assert_eq!(seen().await, None);
    lightning.send_replace(LightningStatus { synced_at_unix_s: Some(1), ..Default::default() });
    assert_eq!(seen().await.as_deref(), Some("0 sat in wallet and channels"));
    assert_eq!(house.posted().await.0, "begins");
    run.end().await;
}
