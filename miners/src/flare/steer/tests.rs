//! Steering a generator from sample to sample.

use super::*;
use crate::generator::Point;

const fn watts(watts: i64) -> Power {
    Power::from_milliwatts(watts * 1000)
}

const fn sat(sat: i64) -> Price {
    Price::from_msat_per_kwh(sat * 1000)
}

fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_000_000_000 + s * 1_000)
}

/// 30 to 100 kW; warms up for a minute, rests for two, runs for five at least.
fn steer() -> Steer {
    let point = |output, efficiency_ppm| Point { output: watts(output), efficiency_ppm };
    let curve = vec![point(30_000, 240_000), point(60_000, 300_000), point(100_000, 340_000)];
    let mut generator = Generator::new(curve).unwrap();
    (generator.warm_up_ms, generator.rest_ms, generator.wear) = (60_000, 120_000, sat(15));
    Steer::new(generator, 300_000, 5_000)
}

/// 200 kW of gas, which make 60 kW.
fn seen(s: u64, runs: bool, gives: i64, site: i64) -> Seen {
    Seen {
        now: at(s),
        gas: Some(watts(200_000)),
        runs: Some(runs),
        gives: Some(watts(gives)),
        site: Some(watts(site)),
    }
}

fn wanted() -> Wanted {
    Wanted {
        net: Power::ZERO,
        machines: Power::ZERO,
        machines_most: watts(50_000),
        machines_worth: sat(120),
        feed_in: Price::ZERO,
        retail: sat(300),
        traded: None,
        export_max: watts(100_000),
    }
}

/// One that is warm and gives its least.
fn warm() -> Steer {
    let mut steer = steer();
    assert!(steer.steer(&seen(0, false, 0, 0), &wanted()).runs, "machines want its power");
    steer.steer(&seen(1, true, 0, 0), &wanted());
    let steered = steer.steer(&seen(61, true, 0, 0), &wanted());
    assert_eq!((steered.output, steered.headroom), (watts(30_000), watts(60_000)));
    steer
}

#[test]
fn it_warms_up_before_anything_is_promised_of_it() {
    let mut steer = steer();
    steer.steer(&seen(0, false, 0, 0), &wanted());
    let steered = steer.steer(&seen(1, true, 0, 0), &wanted());
    assert_eq!((steered.output, steered.headroom), (Power::ZERO, Power::ZERO));
    assert_eq!(steered.because, Because::WarmsUp);
    assert_eq!(steer.offer(at(1), at(60)), None, "it is not warm by then");
    assert_eq!(steer.offer(at(1), at(61)), Some(watts(60_000)));
}

#[test]
fn it_follows_the_meter_within_what_the_gas_is_enough_for() {
    let mut steer = warm();
    // Machines have started with 20 kW and the least of 30 flows: 10 flow out.
    let steered = steer.steer(&seen(62, true, 30_000, -10_000), &wanted());
    assert_eq!((steered.output, steered.headroom), (watts(30_000), watts(30_000)));
    // With 45 kW they take 15 from the grid.
    let steered = steer.steer(&seen(63, true, 30_000, 15_000), &wanted());
    assert_eq!((steered.output, steered.because), (watts(45_000), Because::NoDemand));
    // 20 kW are sold on top: it would be 65 and is all that there is.
    let sold = Wanted { net: watts(-20_000), ..wanted() };
    let steered = steer.steer(&seen(64, true, 45_000, 0), &sold);
    assert_eq!((steered.output, steered.because), (watts(60_000), Because::AllGas));
}

#[test]
fn where_gas_falls_machines_give_back_what_it_no_longer_gives() {
    let mut steer = warm();
    let less = Seen { gas: Some(watts(162_500)), ..seen(62, true, 60_000, 0) };
    let steered = steer.steer(&less, &wanted());
    assert_eq!((steered.output, steered.headroom), (watts(45_000), watts(-15_000)));
    let none = Seen { gas: Some(watts(100_000)), ..seen(63, true, 45_000, 0) };
    let steered = steer.steer(&none, &wanted());
    assert_eq!((steered.runs, steered.because), (false, Because::BelowLeast));
}

#[test]
fn a_gas_meter_that_is_silent_for_a_moment_stops_nothing_and_promises_nothing() {
    let mut steer = warm();
    let blind = |s| Seen { gas: None, ..seen(s, true, 30_000, 0) };
    let steered = steer.steer(&blind(91), &wanted());
    assert_eq!((steered.output, steered.headroom), (watts(30_000), Power::ZERO));
    let steered = steer.steer(&blind(92), &wanted());
    assert_eq!((steered.runs, steered.because), (false, Because::GasUnknown));
    let mut cold = steer;
    cold.steer(&seen(93, false, 0, 0), &wanted());
    let unknown = Seen { gas: None, ..seen(220, false, 0, 0) };
    assert!(!cold.steer(&unknown, &wanted()).runs, "it starts nothing");
}

#[test]
fn unwanted_it_runs_on_for_a_while_and_stops_then() {
    let mut steer = warm();
    let nobody = Wanted { machines_most: Power::ZERO, ..wanted() };
    let steered = steer.steer(&seen(300, true, 30_000, -30_000), &nobody);
    assert_eq!((steered.runs, steered.output), (true, watts(30_000)));
    assert_eq!((steered.headroom, steered.because), (Power::ZERO, Because::RunsOn));
    assert!(!steer.steer(&seen(301, true, 30_000, -30_000), &nobody).runs);
    steer.steer(&seen(302, false, 0, 0), &nobody);
    let steered = steer.steer(&seen(303, false, 0, 0), &wanted());
    assert_eq!((steered.runs, steered.because), (false, Because::Rests));
    assert!(steer.steer(&seen(422, false, 0, 0), &wanted()).runs);
}

#[test]
fn one_that_is_told_to_stop_is_not_started_again_before_it_has_stood_and_rested() {
    let mut steer = warm();
    let nobody = Wanted { machines_most: Power::ZERO, ..wanted() };
    assert!(!steer.steer(&seen(400, true, 30_000, -30_000), &nobody).runs);
    // Machines want it again at once. It cools down, and says that it runs until it stands.
    for s in 401..=430 {
        let steered = steer.steer(&seen(s, true, 0, 0), &wanted());
        assert_eq!((steered.runs, steered.because), (false, Because::Rests), "at {s}");
    }
    assert!(!steer.steer(&seen(431, false, 0, 0), &wanted()).runs);
    assert!(!steer.steer(&seen(549, false, 0, 0), &wanted()).runs, "it stood for 119 s");
    assert!(steer.steer(&seen(550, false, 0, 0), &wanted()).runs);
}

#[test]
fn what_it_says_late_neither_starts_nor_stops_it() {
    let mut steer = steer();
    let nobody = Wanted { machines_most: Power::ZERO, ..wanted() };
    assert!(steer.steer(&seen(0, false, 0, 0), &wanted()).runs);
    assert!(!steer.steer(&seen(1, false, 0, 0), &nobody).runs, "nobody wants it any more");
    // What it does follows what it was told by a second, and what it says by another one.
    let said = [false, true, false, false, false, false, false, false];
    for (s, runs) in (2..).zip(said) {
        let steered = steer.steer(&seen(s, runs, 0, 0), &nobody);
        assert!(!steered.runs, "at {s}: {steered:?}");
    }
    // Long after that it runs, and it was somebody else who started it.
    assert!(steer.steer(&seen(60, true, 0, 0), &nobody).runs);
}

#[test]
fn where_the_supplier_pays_more_than_its_wear_it_gives_all_that_the_connection_takes() {
    let mut steer = warm();
    let fed_in = Wanted { feed_in: sat(80), ..wanted() };
    assert_eq!(steer.steer(&seen(62, true, 30_000, -30_000), &fed_in).output, watts(60_000));
    let narrow = Wanted { export_max: watts(35_000), ..fed_in };
    assert_eq!(steer.steer(&seen(63, true, 60_000, -60_000), &narrow).output, watts(35_000));
}

#[test]
fn for_machines_that_bought_their_power_it_does_not_start() {
    let bought = Wanted { net: watts(40_000), machines: watts(40_000), ..wanted() };
    let steered = steer().steer(&seen(0, false, 0, 40_000), &bought);
    assert_eq!((steered.runs, steered.because), (false, Because::BelowLeast), "10 kW are left");
    let few = Wanted { net: watts(10_000), ..bought };
    assert!(steer().steer(&seen(0, false, 0, 40_000), &few).runs);
}

#[test]
fn it_starts_for_a_market_that_pays_and_not_for_hope_alone() {
    let alone = Wanted { machines_most: Power::ZERO, ..wanted() };
    assert!(!steer().steer(&seen(0, false, 0, 1_000), &alone).runs);
    let pays = Wanted { traded: Some(sat(100)), ..alone };
    assert!(steer().steer(&seen(0, false, 0, 1_000), &pays).runs);
    let worn = Wanted { traded: Some(sat(15)), ..alone };
    assert!(!steer().steer(&seen(0, false, 0, 1_000), &worn).runs);
}

#[test]
fn nothing_is_promised_of_one_that_is_silent_or_does_something_else() {
    let mut steer = warm();
    let silent = Seen { runs: None, ..seen(62, true, 30_000, -30_000) };
    let steered = steer.steer(&silent, &wanted());
    assert_eq!((steered.runs, steered.output), (true, watts(30_000)), "it goes on");
    assert_eq!((steered.headroom, steered.because), (Power::ZERO, Because::Silent));
    assert_eq!(steer.offer(at(62), at(70)), None);
    // It answers again, and gives nothing of its 30 kW.
    for s in 63..=68 {
        assert!(!steer.is_off(at(s)), "at {s}");
        steer.steer(&seen(s, true, 0, 0), &wanted());
    }
    steer.steer(&seen(69, true, 0, 0), &wanted());
    assert!(steer.is_off(at(69)));
    assert_eq!(steer.offer(at(69), at(70)), None);
    assert_eq!(steer.steer(&seen(70, true, 0, 0), &wanted()).headroom, Power::ZERO);
}
