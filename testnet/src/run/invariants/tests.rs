//! Every invariant holds where all is well, and each catches what breaks it.

use super::*;
use crate::run::fleet::Back;
use crate::run::observation::sample::{self, PRICE};

/// The names of the invariants that `observation` violates.
fn violated(observation: &Observation) -> Vec<String> {
    let mut invariants = Invariants::default();
    let violations = invariants.check(observation);
    let rows = invariants.rows();
    assert_eq!(rows.iter().map(|row| row.violations).sum::<u32>(), violations);
    let violated = rows.into_iter().filter(|row| row.violations > 0);
    violated
        .inspect(|row| assert_eq!(row.examples.len(), row.violations.min(8) as usize))
        .map(|row| row.name)
        .collect()
}

/// Breaks the sample and expects exactly these invariants to notice.
fn breaks(expected: &[&str], change: impl FnOnce(&mut Observation)) {
    let mut observation = sample::observation();
    change(&mut observation);
    assert_eq!(violated(&observation), expected);
}

fn trade(observation: &mut Observation, site: usize) -> &mut TradeReport {
    &mut sample::report(observation, site).own_trades[0]
}

fn settlement(observation: &mut Observation, site: usize) -> &mut SettlementReport {
    sample::report(observation, site).settlement.as_mut().unwrap()
}

#[test]
fn nothing_is_violated_where_all_is_well_and_everything_is_checked() {
    let mut invariants = Invariants::default();
    assert_eq!(invariants.check(&sample::observation()), 0);
    for row in invariants.rows() {
        // Nobody was restarted.
        let expected = row.name != "restarted_nodes_trade_again";
        assert_eq!(row.checked > 0, expected, "{}", row.name);
    }
}

#[test]
fn another_clearing_at_one_node_is_noticed() {
    breaks(&["one_digest_per_interval"], |it| {
        sample::report(it, 2).clearing_digest = Some("another".to_owned());
    });
    breaks(&["one_digest_per_interval"], |it| sample::report(it, 1).volume_mwh = 999);
}

#[test]
fn a_node_that_knows_nothing_or_never_concluded_is_noticed() {
    let both = ["decided_or_fallen_back", "decided_while_a_quorum_is_up"];
    breaks(&both, |it| {
        // It had no trades that others would miss.
        it.sites.push(SiteObservation { report: None, ..it.sites[2].clone() });
        it.sites[3].participant = "bus4".to_owned();
    });
    breaks(&both, |it| {
        it.sites.push(it.sites[2].clone());
        it.sites[3].participant = "bus4".to_owned();
        let report = sample::report(it, 3);
        report.outcome = IntervalOutcome::Open;
        report.own_trades.clear();
        report.settlement = None;
    });
}

#[test]
fn falling_back_is_well_below_the_quorum_only() {
    let mut fallen = sample::fallen_back();
    assert_eq!(violated(&fallen), ["decided_while_a_quorum_is_up"]);
    fallen.sites[0].present = false;
    assert_eq!(violated(&fallen), Vec::<String>::new());
    let digest = Some("digest".to_owned());
    sample::report(&mut fallen, 1).clearing_digest = digest;
    assert_eq!(violated(&fallen), ["decided_or_fallen_back"]);
}

#[test]
fn who_falls_back_is_supplied_with_all_it_metered() {
    let mut fallen = sample::fallen_back();
    fallen.sites[0].present = false;
    settlement(&mut fallen, 1).supplier_mwh += 1;
    assert_eq!(violated(&fallen), ["decided_or_fallen_back", "energy_sums_to_zero"]);
}

#[test]
fn a_trade_that_one_side_did_not_confirm_is_noticed() {
    let name = ["every_cleared_trade_confirmed_by_both"];
    breaks(&name, |it| trade(it, 1).state = TradeState::Cleared);
    breaks(&name, |it| trade(it, 0).state = TradeState::Lapsed);
}

#[test]
fn a_trade_that_one_side_or_both_do_not_know_is_noticed() {
    let name = "every_cleared_trade_confirmed_by_both";
    let mut observation = sample::observation();
    sample::report(&mut observation, 1).own_trades.clear();
    assert!(violated(&observation).contains(&name.to_owned()));
    let mut observation = sample::observation();
    for site in 0..3 {
        sample::report(&mut observation, site).trades = 3;
    }
    assert_eq!(violated(&observation), [name]);
}

#[test]
fn a_trade_with_whoever_paid_late_before_may_be_refused_and_no_other() {
    let lapses = |late: [&str; 2]| {
        let mut observation = sample::observation();
        trade(&mut observation, 0).state = TradeState::Lapsed;
        observation.late = [(late[0].to_owned(), late[1].to_owned())].into();
        violated(&observation)
    };
    let name = "every_cleared_trade_confirmed_by_both";
    assert_eq!(lapses(["bus1", "bus2"]), [""; 0]);
    assert_eq!(lapses(["bus2", "bus1"]), [""; 0]);
    assert_eq!(lapses(["bus1", "bus3"]), [name]);
}

#[test]
fn nothing_is_expected_of_trades_with_a_node_that_was_down() {
    breaks(&[], |it| {
        it.sites[1].present = false;
        it.sites[1].report = None;
        trade(it, 0).state = TradeState::Lapsed;
    });
}

#[test]
fn a_trade_beyond_the_own_order_is_noticed_even_at_a_node_that_was_down() {
    let name = ["no_trade_outside_own_order"];
    breaks(&name, |it| sample::report(it, 1).own_order[0].energy_mwh = 599);
    breaks(&name, |it| sample::report(it, 2).own_order[0].limit_msat_per_kwh = PRICE - 1);
    breaks(&name, |it| sample::report(it, 0).own_order[0].limit_msat_per_kwh = PRICE + 1);
    breaks(&name, |it| {
        it.sites[2].present = false;
        sample::report(it, 2).own_order[0].energy_mwh = 399;
    });
    breaks(&name, |it| sample::report(it, 2).own_order.clear());
}

#[test]
fn sides_that_disagree_about_what_is_due_are_noticed() {
    breaks(&["both_sides_compute_the_same_due", "money_sums_to_zero"], |it| {
        trade(it, 1).due_msat = Some(-61);
        settlement(it, 1).trades_due_msat = -61;
    });
    breaks(&["both_sides_compute_the_same_due", "energy_sums_to_zero"], |it| {
        trade(it, 1).delivered_mwh = Some(599);
    });
}

#[test]
fn energy_that_comes_from_nowhere_is_noticed() {
    let name = ["energy_sums_to_zero"];
    breaks(&name, |it| settlement(it, 0).losses_mwh = 10);
    breaks(&name, |it| settlement(it, 1).is_balanced = false);
    breaks(&name, |it| settlement(it, 2).metered_mwh = Some(301));
}

#[test]
fn money_that_goes_nowhere_is_noticed() {
    breaks(&["money_sums_to_zero"], |it| settlement(it, 0).trades_due_msat += 1);
}

#[test]
fn a_meter_that_shows_something_else_than_what_flowed_is_noticed() {
    breaks(&[], |it| it.sites[0].flowed_mwh = Some(-1010 - 5));
    breaks(&["meters_match_the_plant"], |it| it.sites[0].flowed_mwh = Some(-1010 - 6));
    breaks(&["meters_match_the_plant"], |it| it.sites[0].flowed_mwh = Some(1010));
}

#[test]
fn a_node_that_is_not_back_in_time_is_noticed() {
    breaks(&[], |it| it.sites[1].due_back = Some(Back::Restarted));
    breaks(&["restarted_nodes_trade_again"], |it| {
        it.sites.push(SiteObservation {
            participant: "bus4".to_owned(),
            present: false,
            due_back: Some(Back::Restarted),
            report: None,
            ..it.sites[1].clone()
        });
    });
}

#[test]
fn a_node_that_was_cut_off_must_know_that_nothing_was_decided() {
    let cut_off = |outcome, is_split| {
        let mut it = sample::fallen_back();
        it.is_split = is_split;
        it.sites[1].cut_off = true;
        it.sites[1].present = false;
        sample::report(&mut it, 1).outcome = outcome;
        let mut tally = Tally::default();
        cut_off_say_so(&it, &mut tally);
        (tally.checked, tally.violations)
    };
    for is_split in [true, false] {
        assert_eq!(cut_off(IntervalOutcome::NoDecision, is_split), (1, 0));
        assert_eq!(cut_off(IntervalOutcome::Open, is_split), (1, 1));
    }
    // The others' book may be learnt once the links have healed; if there is one.
    assert_eq!(cut_off(IntervalOutcome::Decided, false), (1, 0));
    assert_eq!(cut_off(IntervalOutcome::Decided, true), (1, 1));
}

#[test]
fn a_node_with_a_wrong_clock_must_sign_nothing() {
    let skewed = |orders: bool, trades: bool| {
        let mut it = sample::observation();
        it.sites[1].skewed = true;
        let report = sample::report(&mut it, 1);
        if !orders {
            report.own_order.clear();
        }
        if !trades {
            report.own_trades.clear();
        }
        let mut tally = Tally::default();
        skewed_sign_nothing(&it, &mut tally);
        (tally.checked, tally.violations)
    };
    assert_eq!(skewed(false, false), (1, 0));
    assert_eq!(skewed(true, false), (1, 1));
    assert_eq!(skewed(false, true), (1, 1));
}

#[test]
fn late_decisions_over_bad_links_are_judged_over_the_whole_run() {
    let late = |it: &mut Observation| {
        for site in 0..3 {
            sample::report(it, site).outcome = IntervalOutcome::NoDecision;
        }
    };
    let mut tally = Tally::default();
    let mut observation = sample::observation();
    late(&mut observation);
    decided_with_a_quorum(&observation, &mut tally);
    assert_eq!((tally.checked, tally.violations), (3, 3));
    observation.is_rough = true;
    decided_with_a_quorum(&observation, &mut tally);
    assert_eq!((tally.checked, tally.violations), (3, 3));
}
