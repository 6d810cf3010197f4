//! What must hold of machines, each verdict broken once.

use boltgrid_protocol::charter::Disclosure;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::Power;

use super::*;
use crate::plant::MachineRating;
use crate::run::charter;

const ON_MS: u64 = 7_000;
const OFF_MS: u64 = 4_000;

fn watts(watts: i64) -> Power {
    Power::from_watts(watts).unwrap()
}

fn truth() -> MachineTruth {
    MachineTruth {
        power: watts(5_000),
        hash_rate_gh_per_s: 100_000,
        chips_m_celsius: 60_000,
        limit: watts(5_000),
        awake: true,
        answers: true,
        is_cut: false,
        rating: MachineRating {
            rated: watts(5_000),
            idle: Power::ZERO,
            hash_rate_gh_per_s: 100_000,
            ramp_ms: 1_000,
            warm_up_ms: 1_000,
            boot_ms: 1_000,
            restarts: false,
        },
        mined: Energy::ZERO,
        starts: 1,
        run_ms_min: None,
        rest_ms_min: None,
    }
}

/// A machine to which power is worth so much, and the first interval at whose price it ran.
fn seen(name: &str, worth_sat: i64, first_paid: Option<u64>) -> Seen {
    Seen {
        site: 3,
        machine: 0,
        row: MinerRow {
            name: name.to_owned(),
            worth_msat_per_kwh: Some(worth_sat * 1_000),
            ..MinerRow::default()
        },
        truth: Some(truth()),
        first_paid: first_paid.map(Interval::from_number),
        ran_in: BTreeSet::new(),
    }
}

fn timing() -> Timing {
    let charter = charter::charter(&charter::Terms {
        name: "rural1",
        interval_ms: 10_000,
        voters: 13,
        connection: watts(160_000),
        registrar: Keypair::from_seed(&[1; 32]).participant_id(),
        clock: charter::tariff_clock(10_000, 1_800_000_000_000, 0).unwrap(),
        readings: Disclosure::Open,
        pay_within_intervals: charter::PAY_WITHIN_INTERVALS,
        feeders: Vec::new(),
    });
    charter.unwrap().interval
}

fn watch(machines: Vec<Seen>) -> Watch {
    Watch {
        timing: timing(),
        on_ms: ON_MS,
        off_ms: OFF_MS,
        starts_max: 12,
        machines,
        reactions: BTreeMap::new(),
        budgets_mw: BTreeMap::new(),
        asked_at: Timestamp::default(),
        overloaded_since: None,
        relieved: Tally::default(),
        clouds: Vec::new(),
        spoilt: Spoilt::default(),
        wells: Wells::default(),
    }
}

fn violations(watch: &Watch, verdict: &str) -> Option<u32> {
    let rows = watch.verdicts();
    rows.iter().find(|row| row.name == verdict).map(|row| row.violations)
}

#[test]
fn machines_start_in_the_order_of_what_power_is_worth_to_them() {
    let order = |dear: Option<u64>, cheap: Option<u64>| {
        let both = vec![seen("dear", 90, dear), seen("cheap", 30, cheap)];
        violations(&watch(both), "machines_start_in_the_order_of_their_break_evens")
    };
    assert_eq!(order(Some(10), Some(12)), Some(0));
    assert_eq!(order(Some(11), Some(10)), Some(0), "an interval later is as good");
    assert_eq!(order(Some(12), Some(10)), Some(1));
    assert_eq!(order(None, Some(10)), Some(1), "it never starts");
    assert_eq!(order(Some(12), None), None, "nothing is judged that never ran at its price");
    let verdict = "machines_start_in_the_order_of_their_break_evens";
    // The last of a row may lack what the sun gives less; the first may not.
    let row = vec![seen("a", 90, Some(10)), seen("b", 90, None), seen("cheap", 30, Some(10))];
    assert_eq!(violations(&watch(row), verdict), Some(0));
    let elsewhere = Seen { site: 4, ..seen("b", 90, None) };
    let row = vec![seen("a", 90, Some(10)), elsewhere, seen("cheap", 30, Some(10))];
    assert_eq!(violations(&watch(row), verdict), Some(1), "another site's is another row");
    let equal = vec![seen("one", 30, Some(12)), seen("other", 31, Some(10))];
    assert_eq!(violations(&watch(equal), verdict), None, "nearly the same is worth the same");
}

#[test]
fn no_machine_runs_or_rests_too_shortly_or_starts_too_often() {
    let verdict = |change: fn(&mut MachineTruth)| {
        let mut seen = seen("one", 30, None);
        let mut truth = truth();
        change(&mut truth);
        seen.truth = Some(truth);
        violations(&watch(vec![seen]), "no_machine_is_switched_more_often_than_it_may_be")
    };
    assert_eq!(verdict(|_| {}), Some(0));
    assert_eq!(verdict(|truth| truth.run_ms_min = Some(ON_MS)), Some(0));
    assert_eq!(verdict(|truth| truth.run_ms_min = Some(3_000)), Some(1));
    assert_eq!(verdict(|truth| truth.rest_ms_min = Some(1_000)), Some(1));
    assert_eq!(verdict(|truth| truth.starts = 13), Some(1));
}

#[test]
fn what_a_cloud_takes_machines_give_back() {
    let at = Timestamp::from_unix_ms;
    let cloud = |least_w: i64, lasts_ms: u64| {
        let under = Under {
            site: 3,
            before_mw: 30_000_000,
            due_mw: 20_000_000,
            least_mw: least_w * 1_000,
            shed_ms: None,
        };
        let mut watch = watch(Vec::new());
        watch.clouds.push(Cloud { began: at(0), ended: Some(at(lasts_ms)), sites: vec![under] });
        violations(&watch, "a_cloud_sheds_machines")
    };
    assert_eq!(cloud(14_000, 14_000), Some(0), "four fifths");
    assert_eq!(cloud(14_001, 14_000), Some(1));
    assert_eq!(cloud(30_000, 11_999), None, "it was over too soon to tell");
}

#[test]
fn a_machine_that_a_fault_befell_is_judged_by_what_becomes_of_it_and_nothing_else() {
    let both = vec![seen("dear", 90, None), seen("cheap", 30, Some(10))];
    let mut watch = watch(both);
    let at = Timestamp::from_unix_ms;
    watch.fault_begins((0, true), Fault::NoEffect, at(0));
    let verdict = "machines_start_in_the_order_of_their_break_evens";
    assert_eq!(violations(&watch, verdict), None);
    // It draws 5 kW, was told to be off, and its node says nothing of it.
    let told = |trouble: Option<&str>| {
        let machine = boltgrid::dispatcher::MachineStatus {
            name: "dear".to_owned(),
            set_point_mw: Some(0),
            is_in_plan: trouble.is_none(),
            trouble: trouble.map(str::to_owned),
            ..Default::default()
        };
        [(3, DispatchStatus { machines: vec![machine], ..DispatchStatus::default() })]
    };
    for second in 0..=31 {
        watch.hear(at(second * 1_000), &told(None));
    }
    let verdict = "faulty_machines_end_safe_and_explained";
    assert_eq!(violations(&watch, verdict), Some(1), "it is not explained");
    let mut fine = watch.clone();
    fine.spoilt = Spoilt::default();
    fine.fault_begins((0, true), Fault::NoEffect, at(0));
    for second in 0..=31 {
        fine.hear(at(second * 1_000), &told((second > 20).then_some("no effect")));
    }
    assert_eq!(violations(&fine, verdict), Some(1), "explained, but its relay has not cut it off");
    fine.machines[0].truth = Some(MachineTruth { power: Power::ZERO, is_cut: true, ..truth() });
    fine.hear(at(32_000), &told(Some("no effect")));
    assert_eq!(violations(&fine, verdict), Some(0));
    assert_eq!(fine.report().machine_faults[0].fault, "no_effect");
}

#[test]
fn machines_that_could_relieve_the_transformer_and_do_not_are_seen_after_a_while() {
    let at = |ms: u64| Timestamp::from_unix_ms(1_000_000 + ms);
    let relieve = "machines_relieve_the_transformer";
    let mut watch = watch(Vec::new());
    watch.judge_overload(at(0), 5_000_000, 6_000_000);
    watch.judge_overload(at(12_000), 5_000_000, 6_000_000);
    assert_eq!(violations(&watch, relieve), Some(0), "they may rest for a while first");
    watch.judge_overload(at(12_001), 5_000_000, 6_000_000);
    assert_eq!(violations(&watch, relieve), Some(1));
    // Machines that cannot help enough are not to blame, and whoever was relieved begins anew.
    watch.judge_overload(at(13_000), 5_000_000, 4_000_000);
    watch.judge_overload(at(24_000), 5_000_000, 6_000_000);
    assert_eq!(violations(&watch, relieve), Some(1));
}
