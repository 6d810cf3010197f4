//! One machine of the site, as plan and market see it, without sockets.

use std::sync::Arc;

use boltgrid_miners::effect::{Standing, Why};
use boltgrid_miners::heat::Heating;
use boltgrid_miners::machine::{Abilities, Control, Observation};
use boltgrid_miners::plan::{Decision, Machine, Reason, Say};
use boltgrid_miners::react::Draws;
use boltgrid_protocol::units::{Price, Timestamp};
use tokio::sync::watch;

use super::super::bids::Mining;
use super::super::hand::{Known, Wanted};
use super::super::kept::KeptMachine;
use super::super::member::{Member, grant};
use super::super::ruling::Ruled;
use super::*;

const DAY_S: u64 = 86_400;

pub(crate) const fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + s * 1_000)
}

const fn watts(watts: i64) -> Power {
    Power::from_milliwatts(watts * 1_000)
}

const fn run(at: i64) -> SetPoint {
    SetPoint::Run { power_mw: watts(at) }
}

/// A machine of 2 kW that was just found.
pub(crate) fn known() -> Known {
    let abilities = Abilities {
        control: Control::Switch,
        rated: watts(2_000),
        idle: Power::ZERO,
        settle_ms: 1_000,
        warm_up_ms: 0,
    };
    Known {
        about: "a machine".into(),
        abilities,
        standing: Standing::Untold,
        assumed: watts(2_000),
        told: None,
        seen: None,
        efficiency: None,
        learnt: Arc::default(),
    }
}

/// A machine to which power is worth so much, that runs for ten minutes and rests for five at least, and is
/// started twice a day at most; it is not found yet.
pub(crate) fn member(worth_sat: i64) -> Member {
    opened(worth_sat, &KeptMachine::default()).0
}

/// The same with what is known from before, and with the ear that hears whether it may have power again.
fn opened(worth_sat: i64, kept: &KeptMachine) -> (Member, watch::Receiver<bool>) {
    let text = "name = \"m0\"\ndriver = \"relay-modbus\"\naddress = \"127.0.0.1\"\ncoil = 0\n";
    let miner: MinerConfig = toml::from_str(text).unwrap();
    let worth = Price::from_msat_per_kwh(worth_sat * 1_000);
    let appetite = Appetite::BelowMsatPerKwh(worth);
    let miner = MinerConfig { owned: Owned { appetite, ..miner.owned }, ..miner };
    let habits = Habits {
        on_ms_min: 600_000,
        off_ms_min: 300_000,
        starts_per_day_max: 2,
        dead_band: Power::ZERO,
    };
    let (restart, may_restart) = watch::channel(false);
    let wanted = watch::channel(Wanted::default()).0;
    (Member::new(miner, habits, (wanted, restart), kept), may_restart)
}

/// One that was found, long ago.
pub(crate) fn relied_on(mut member: Member) -> Member {
    member.know(at(0).minus_ms(DAY_S * 1_000), Some(known()));
    member
}

/// Has the plan tell it something.
fn told(member: &mut Member, s: u64, set_point: SetPoint) {
    let decision = Decision { set_point: Some(set_point), reason: Reason::Pays };
    member.follow(at(s), at(s), decision);
}

fn planned(member: &Member, s: u64) -> Machine<'_> {
    member.planned(at(s)).unwrap()
}

#[test]
fn a_word_of_its_owner_counts_until_its_time_is_up_and_above_a_place_that_is_too_hot() {
    let mut member = relied_on(member(100));
    member.owner = Some((SetPoint::Off, at(60)));
    let hot = Heating { is_due: false, is_too_hot: true, demand: Power::ZERO, value: None };
    member.heating = Some(hot);
    assert!(matches!(planned(&member, 59).say, Say::Owner { .. }));
    assert_eq!(planned(&member, 60).say, Say::TooHot);
    member.heating = None;
    assert_eq!(planned(&member, 60).say, Say::Plan);
}

#[test]
fn a_rule_starts_no_machine_that_rests_or_has_no_start_left_but_stops_any() {
    let rule = |set_point| Some(Ruled { set_point, number: 0, because: String::new() });
    let is_ruled = |member: &Member, s| matches!(planned(member, s).say, Say::Rule { .. });
    let mut member = relied_on(member(100));
    member.ruled = rule(run(2_000));
    assert!(is_ruled(&member, 0));
    told(&mut member, 0, run(2_000));
    told(&mut member, 1, SetPoint::Off);
    assert!(!is_ruled(&member, 300), "it was stopped 299 s ago");
    assert!(is_ruled(&member, 301));
    told(&mut member, 301, run(2_000));
    assert!(is_ruled(&member, 302), "it runs already");
    told(&mut member, 302, SetPoint::Off);
    assert!(!is_ruled(&member, 5_000), "it was started twice");
    assert!(is_ruled(&member, DAY_S + 1), "which is a day ago");
    member.ruled = rule(SetPoint::Off);
    assert!(is_ruled(&member, 303));
}

#[test]
fn one_that_is_found_as_it_was_left_was_switched_then_and_any_other_just_now() {
    let left = |runs| KeptMachine {
        switched_unix_ms: Some(at(0)),
        runs,
        starts_unix_ms: [at(0)].into(),
        ..KeptMachine::default()
    };
    let found = |kept: &KeptMachine| {
        let (mut member, _) = opened(100, kept);
        member.know(at(500), Some(known()));
        member.switched_at
    };
    assert_eq!(found(&left(false)), Some(at(0)));
    assert_eq!(found(&left(true)), Some(at(500)), "somebody stopped it meanwhile");
    assert_eq!(found(&KeptMachine::default()), Some(at(500)), "nobody knows");
    let (mut member, _) = opened(100, &left(false));
    member.know(at(500), Some(known()));
    assert_eq!(planned(&member, 500).past.starts_of_a_day, 1);
}

/// What a machine counts with that was told to draw 2 kW, of which this is known.
fn draws(known: Known, sampled_s: u64) -> (i64, i64) {
    let mut member = relied_on(member(100));
    told(&mut member, 10, run(2_000));
    member.know(at(10), Some(known));
    let Draws { least, most } = member.draws(at(30), Some(at(sampled_s)));
    (least.to_milliwatts() / 1_000, most.to_milliwatts() / 1_000)
}

fn seen(s: u64, power: i64) -> Option<Observation> {
    Some(Observation {
        at: at(s),
        power: Some(watts(power)),
        power_is_metered: false,
        hash_rate: None,
        temperature_m_celsius: None,
    })
}

#[test]
fn a_machine_counts_with_what_it_may_draw_in_the_sample() {
    let told = Some(run(2_000));
    let settles = Known {
        standing: Standing::Settling { until: at(40) },
        told,
        seen: seen(29, 500),
        ..known()
    };
    assert_eq!(draws(settles.clone(), 29), (500, 2_000), "it is on its way");
    let follows = Known { standing: Standing::Following { since: at(20) }, ..settles.clone() };
    assert_eq!(draws(follows.clone(), 29), (500, 500));
    assert_eq!(draws(follows.clone(), 19), (0, 500), "the sample is of before");
    let silent = Known { seen: seen(14, 500), ..follows };
    assert_eq!(draws(silent, 29), (0, 2_000), "what it said is 16 s old");
    let standing = Standing::Unresponsive { since: at(20), why: Why::NoEffect };
    let astray = Known { standing, assumed: watts(1_500), ..settles };
    assert_eq!(draws(astray, 29), (1_500, 1_500), "out of the plan, what it is thought to draw");
}

#[test]
fn machines_that_are_cut_off_get_power_again_only_where_there_is_room_for_each() {
    let cut = Known { standing: Standing::CutOff { since: at(0) }, ..known() };
    let [(mut one, one_may), (mut other, other_may)] =
        [(), ()].map(|()| opened(100, &KeptMachine::default()));
    one.know(at(0), Some(cut.clone()));
    other.know(at(0), Some(cut));
    let members = [relied_on(member(100)), one, other];
    let may = |left| {
        grant(&members, watts(left));
        (*one_may.borrow(), *other_may.borrow())
    };
    assert_eq!(may(1_999), (false, false));
    assert_eq!(may(2_000), (true, false));
    assert_eq!(may(3_999), (true, false));
    assert_eq!(may(4_000), (true, true));
    assert_eq!(may(-1), (false, false));
}

/// What a machine bids at 0 s for an interval that starts then: watts, and msat/kWh.
fn bid(member: Member, starts_s: u64) -> Option<(i64, i64)> {
    let bids = Mining::of(&[member], at(0), at(starts_s));
    let bid = bids.loads.first()?;
    Some((bid.power.to_milliwatts() / 1_000, bid.worth.to_msat_per_kwh()))
}

#[test]
fn a_machine_bids_what_power_is_worth_to_it_and_whoever_has_to_run_bids_anything() {
    let has_to = Some((2_000, i64::MAX));
    assert_eq!(bid(relied_on(member(100)), 60), Some((2_000, 100_000)));
    let owned = |until| {
        let mut member = relied_on(member(100));
        member.owner = Some((run(2_000), at(until)));
        member
    };
    assert_eq!(bid(owned(61), 60), has_to);
    assert_eq!(bid(owned(60), 60), Some((2_000, 100_000)), "the plan decides by then");
    let mut off = owned(61);
    off.owner = Some((SetPoint::Off, at(61)));
    assert_eq!(bid(off, 60), None);
    let ruled = |set_point| {
        let mut member = relied_on(member(100));
        member.ruled = Some(Ruled { set_point, number: 0, because: String::new() });
        member
    };
    assert_eq!(bid(ruled(run(2_000)), 60), has_to);
    assert_eq!(bid(ruled(SetPoint::Off), 60), None);
    let mut hot = relied_on(member(100));
    hot.heating =
        Some(Heating { is_due: false, is_too_hot: true, demand: Power::ZERO, value: None });
    assert_eq!(bid(hot, 60), None);
}

#[test]
fn what_may_not_stop_by_then_bids_anything_and_what_may_not_start_bids_nothing() {
    let mut runs = relied_on(member(100));
    told(&mut runs, 0, run(2_000));
    assert_eq!(bid(runs, 599), Some((2_000, i64::MAX)));
    let mut runs = relied_on(member(100));
    told(&mut runs, 0, run(2_000));
    assert_eq!(bid(runs, 600), Some((2_000, 100_000)));
    let stopped = || {
        let mut member = relied_on(member(100));
        member.follow(
            at(0).minus_ms(1),
            at(0),
            Decision { set_point: Some(run(2_000)), reason: Reason::Pays },
        );
        told(&mut member, 0, SetPoint::Off);
        member
    };
    assert_eq!(bid(stopped(), 299), None);
    assert_eq!(bid(stopped(), 300), Some((2_000, 100_000)));
    let mut often = stopped();
    told(&mut often, 0, run(2_000));
    told(&mut often, 0, SetPoint::Off);
    assert_eq!(bid(often, 300), None, "it was started twice");
}
