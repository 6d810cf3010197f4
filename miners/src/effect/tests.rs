//! Every kind of faulty machine ends in a state that is safe and says why.

use boltgrid_protocol::units::{Power, Timestamp};

use super::*;
use crate::hash::HashRate;
use crate::machine::{Abilities, Control, Observation};

/// How long the machine of these tests may take to follow.
const SETTLE_MS: u64 = 30_000;
/// How long it may be silent.
const LOST_MS: u64 = 60_000;

fn watts(watts: i64) -> Power {
    Power::from_watts(watts).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_000_000 + seconds * 1_000)
}

fn run(power: i64) -> SetPoint {
    SetPoint::Run { power_mw: watts(power) }
}

fn abilities() -> Abilities {
    Abilities {
        control: Control::Range { least: watts(1000), most: watts(3500), step: watts(50) },
        rated: watts(3500),
        idle: watts(20),
        settle_ms: SETTLE_MS,
        warm_up_ms: 60_000,
    }
}

fn seen(seconds: u64, power: i64) -> Observation {
    Observation {
        at: at(seconds),
        power: Some(watts(power)),
        power_is_metered: false,
        hash_rate: None,
        temperature_m_celsius: None,
    }
}

fn blind(seconds: u64, hash_rate: Option<HashRate>) -> Observation {
    Observation { power: None, hash_rate, ..seen(seconds, 0) }
}

/// A machine that runs at 3 kW as it was told.
fn running(on_contact_lost: OnContactLost) -> Check {
    let mut check = Check::new(abilities(), LOST_MS, on_contact_lost, at(0));
    assert_eq!(check.observed(&seen(0, 20)), []);
    assert_eq!(check.command(at(1), run(3000)), [Action::Command(run(3000))]);
    let followed = Notice::Followed {
        set_point: run(3000),
        from: Some(watts(20)),
        to: Some(watts(2990)),
        after_ms: 9_000,
    };
    assert_eq!(check.observed(&seen(10, 2990)), [Action::Tell(followed)]);
    check
}

/// Hands over what it draws, second by second, and what time does.
fn watch(check: &mut Check, seconds: std::ops::Range<u64>, power: i64) -> Vec<(u64, Action)> {
    let mut actions = Vec::new();
    for second in seconds {
        let mut now = check.observed(&seen(second, power));
        now.extend(check.tick(at(second)));
        actions.extend(now.into_iter().map(|action| (second, action)));
    }
    actions
}

fn unresponsive(set_point: SetPoint, why: Why, draws: Option<Power>) -> Action {
    Action::Tell(Notice::Unresponsive { set_point, why, draws })
}

#[test]
fn a_pause_that_is_acknowledged_without_effect_is_noticed_within_its_settle_time() {
    let mut check = running(OnContactLost::Leave);
    assert_eq!(check.command(at(20), SetPoint::Off), [Action::Command(SetPoint::Off)]);
    let actions = watch(&mut check, 21..200, 3010);
    let expected = [
        (50, Action::Command(SetPoint::Off)),
        (80, unresponsive(SetPoint::Off, Why::NoEffect, Some(watts(3010)))),
    ];
    assert_eq!(actions, expected);
    assert!(!check.standing().is_in_plan());
    assert_eq!(check.assumed(), watts(3010), "its power is counted with as a load");
    assert_eq!(check.command(at(200), run(1000)), [], "it is out of the plan");
}

#[test]
fn an_unresponsive_machine_is_told_to_be_off_at_growing_pauses_and_comes_back_when_it_is() {
    let mut check = running(OnContactLost::Leave);
    drop(check.command(at(20), run(1000)));
    let actions = watch(&mut check, 21..1300, 3010);
    let told = actions.iter().filter(|(_, it)| *it == Action::Command(SetPoint::Off));
    assert_eq!(told.map(|(second, _)| *second).collect::<Vec<_>>(), [380, 980]);
    let back = watch(&mut check, 1300..1301, 22);
    let recovered = Action::Tell(Notice::Recovered { after_ms: 1_220_000 });
    assert!(back.contains(&(1300, recovered)), "{back:?}");
    assert_eq!(check.standing(), Standing::Following { since: at(1300) });
    assert_eq!(check.command(at(1301), run(2000)), [Action::Command(run(2000))]);
}

#[test]
fn an_effect_that_comes_after_all_brings_a_machine_back() {
    let mut check = running(OnContactLost::Leave);
    drop(check.command(at(20), run(1500)));
    drop(watch(&mut check, 21..100, 3000));
    assert!(!check.standing().is_in_plan());
    let actions = watch(&mut check, 100..101, 1510);
    assert!(matches!(actions[0].1, Action::Tell(Notice::Followed { .. })), "{actions:?}");
    assert!(matches!(actions[1].1, Action::Tell(Notice::Recovered { .. })), "{actions:?}");
    assert!(check.standing().is_in_plan());
}

#[test]
fn a_refusal_with_an_effect_is_no_refusal_and_one_without_says_so() {
    let mut check = running(OnContactLost::Leave);
    drop(check.command(at(20), run(1500)));
    check.refused();
    let actions = watch(&mut check, 21..22, 1500);
    assert!(matches!(actions[..], [(21, Action::Tell(Notice::Followed { .. }))]), "{actions:?}");

    drop(check.command(at(30), SetPoint::Off));
    check.refused();
    assert_eq!(watch(&mut check, 31..61, 1500), [(60, Action::Command(SetPoint::Off))]);
    check.refused();
    let actions = watch(&mut check, 61..100, 1500);
    assert_eq!(actions, [(90, unresponsive(SetPoint::Off, Why::Refused, Some(watts(1500))))]);
}

#[test]
fn half_an_effect_is_none() {
    let mut check = running(OnContactLost::Leave);
    drop(check.command(at(20), SetPoint::Off));
    let actions = watch(&mut check, 21..100, 1500);
    assert_eq!(actions.last().unwrap().1, {
        unresponsive(SetPoint::Off, Why::NoEffect, Some(watts(1500)))
    });
}

#[test]
fn a_small_step_must_be_made_too() {
    let mut check = running(OnContactLost::Leave);
    drop(check.command(at(20), run(2800)));
    let actions = watch(&mut check, 21..30, 2950);
    assert_eq!(actions, [], "it is within the tolerance, and has not moved");
    let actions = watch(&mut check, 30..31, 2850);
    assert!(matches!(actions[..], [(30, Action::Tell(Notice::Followed { .. }))]), "{actions:?}");
}

#[test]
fn a_start_may_take_the_warm_up_as_well() {
    let mut check = Check::new(abilities(), LOST_MS, OnContactLost::Leave, at(0));
    drop(check.observed(&seen(0, 20)));
    drop(check.command(at(0), run(3000)));
    assert_eq!(watch(&mut check, 1..90, 700), []);
    assert_eq!(watch(&mut check, 90..91, 700), [(90, Action::Command(run(3000)))]);
}

#[test]
fn a_machine_that_nobody_sees_is_not_relied_on() {
    let mut check = Check::new(abilities(), LOST_MS, OnContactLost::Leave, at(0));
    drop(check.command(at(0), run(3000)));
    let mut actions = Vec::new();
    for second in 1..200 {
        actions.extend(check.observed(&blind(second, None)));
        actions.extend(check.tick(at(second)));
    }
    let expected = [Action::Command(run(3000)), unresponsive(run(3000), Why::Unseen, None)];
    assert_eq!(actions, expected);
    assert_eq!(check.assumed(), watts(3500), "it may draw all it can");
}

#[test]
fn where_nobody_measures_its_hashes_tell() {
    let mut check = Check::new(abilities(), LOST_MS, OnContactLost::Leave, at(0));
    drop(check.command(at(0), SetPoint::Off));
    assert_eq!(check.observed(&blind(1, Some(HashRate::from_gigahashes(90_000)))), []);
    let actions = check.observed(&blind(2, Some(HashRate::ZERO)));
    assert!(matches!(actions[..], [Action::Tell(Notice::Followed { .. })]), "{actions:?}");
}

#[test]
fn lost_contact_leaves_or_cuts_off_as_the_owner_chose() {
    let mut left = running(OnContactLost::Leave);
    assert_eq!(left.tick(at(69)), []);
    let lost = |cut_off| Action::Tell(Notice::ContactLost { silent_ms: 60_000, cut_off });
    assert_eq!(left.tick(at(70)), [lost(false)]);
    assert_eq!(left.tick(at(71)), [], "it is said once");
    assert_eq!(left.assumed(), watts(3500), "it may do anything now");

    let mut cut = running(OnContactLost::OffByRelay);
    assert_eq!(cut.tick(at(70)), [Action::CutOff, lost(true)]);
    assert_eq!(cut.standing(), Standing::CutOff { since: at(70) });
    assert_eq!(cut.assumed(), Power::ZERO);
    assert!(!cut.is_trial_due(at(600)) && cut.is_trial_due(at(670)));
    assert_eq!(cut.try_again(at(670)), [Action::Restore]);
    assert_eq!(cut.assumed(), watts(3500), "it starts by itself");
    // It boots, is told to be off before anything else, and is back once it is.
    assert_eq!(cut.observed(&seen(700, 900)), [Action::Command(SetPoint::Off)]);
    let actions = cut.observed(&seen(710, 20));
    assert!(
        actions.contains(&Action::Tell(Notice::Recovered { after_ms: 640_000 })),
        "{actions:?}"
    );
}

#[test]
fn a_machine_that_is_not_heard_of_after_a_cut_is_cut_off_for_longer() {
    let mut check = running(OnContactLost::OffByRelay);
    drop(check.tick(at(70)));
    drop(check.try_again(at(670)));
    assert_eq!(check.tick(at(969)), []);
    assert_eq!(check.tick(at(970)), [Action::CutOff]);
    assert!(!check.is_trial_due(at(970 + 1199)) && check.is_trial_due(at(970 + 1200)));
}

#[test]
fn a_relay_that_does_not_cut_is_told_twice_and_then_its_owner() {
    let mut check = running(OnContactLost::OffByRelay);
    drop(check.tick(at(70)));
    assert_eq!(check.metered(at(75), watts(3000)), []);
    assert_eq!(check.metered(at(81), watts(3000)), [Action::CutOff]);
    let not_cut = Action::Tell(Notice::NotCut { draws: watts(3000) });
    assert_eq!(check.metered(at(92), watts(3000)), [not_cut]);
    assert_eq!(check.metered(at(103), watts(3000)), []);
    assert_eq!(check.assumed(), watts(3000));
}

#[test]
fn a_machine_that_draws_too_much_and_does_not_listen_is_cut_off_where_that_was_chosen() {
    let mut check = running(OnContactLost::OffByRelay);
    drop(check.command(at(20), SetPoint::Off));
    let actions = watch(&mut check, 21..81, 3000);
    assert_eq!(actions[1].1, Action::CutOff);
    // One that draws too little is no danger to anything.
    let mut check = running(OnContactLost::OffByRelay);
    drop(check.command(at(20), run(3500)));
    let actions = watch(&mut check, 21..81, 800);
    assert!(!actions.iter().any(|(_, it)| *it == Action::CutOff), "{actions:?}");
}

#[test]
fn a_reboot_in_the_middle_is_waited_for_and_what_was_wanted_is_told_again() {
    let mut check = running(OnContactLost::Leave);
    assert_eq!(check.command(at(20), run(2000)), [Action::Command(run(2000))]);
    // It reboots: nothing is heard until it counts as lost, and nothing is held against it.
    for second in 21..70 {
        assert_eq!(check.tick(at(second)), [], "at {second} s");
    }
    assert!(matches!(check.tick(at(70))[..], [Action::Tell(Notice::ContactLost { .. })]));
    assert_eq!(check.observed(&seen(95, 3400)), [Action::Command(run(2000))]);
    let actions = check.observed(&seen(105, 2010));
    assert!(actions.contains(&Action::Tell(Notice::Recovered { after_ms: 35_000 })), "{actions:?}");
}

#[test]
fn a_machine_that_goes_astray_is_told_again() {
    let mut check = running(OnContactLost::Leave);
    assert_eq!(watch(&mut check, 11..20, 2900), []);
    // It starts anew by itself and draws what it likes.
    let actions = watch(&mut check, 20..51, 3490);
    assert_eq!(actions, [(50, Action::Command(run(3000)))]);
    drop(watch(&mut check, 51..52, 3000));
    // One odd sample is none.
    drop(watch(&mut check, 52..53, 100));
    assert_eq!(watch(&mut check, 53..150, 3000), []);
}

#[test]
fn it_wakes_up_when_there_is_something_to_do() {
    let mut check = running(OnContactLost::Leave);
    assert_eq!(check.next_wakeup(), Some(at(70)));
    drop(check.command(at(20), SetPoint::Off));
    drop(check.observed(&seen(21, 3000)));
    assert_eq!(check.next_wakeup(), Some(at(50)));
    let mut cut = running(OnContactLost::OffByRelay);
    drop(cut.tick(at(70)));
    assert_eq!(cut.next_wakeup(), None, "it waits for room in the plan");
}

#[test]
fn what_it_was_told_already_is_not_said_again() {
    let mut check = running(OnContactLost::Leave);
    assert_eq!(check.command(at(20), run(3000)), []);
}
