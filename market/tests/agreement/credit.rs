//! Whoever would be paid by a trade signs it only as far as it trusts the other side (P34).

use boltgrid_market::notice::Notice;
use boltgrid_market::payments::{CreditTerms, Means, Told};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Interval, Msat};

use crate::grid::Grid;

fn lightning(most_msat: u64) -> Means {
    let most_msat = Msat::from_millisatoshi(most_msat).unwrap_or(Msat::MAX);
    Means::Lightning(CreditTerms { first_msat: Msat::ZERO, most_msat })
}

/// Whom a node refused to trust, and with how much.
fn over_limit(grid: &Grid, node: usize) -> Vec<(ParticipantId, u64, u64)> {
    let over = |notice: &Notice| {
        let Notice::Payment(told) = notice else { return None };
        let Told::OverLimit { counterparty, exposure_msat, limit_msat, .. } = **told else {
            return None;
        };
        Some((counterparty, exposure_msat.to_millisatoshi(), limit_msat.to_millisatoshi()))
    };
    grid.nodes[node].notices.iter().filter_map(over).collect()
}

fn id(grid: &Grid, node: usize) -> ParticipantId {
    grid.nodes[node].key.participant_id()
}

fn has_lapsed(grid: &Grid, node: usize, interval: Interval) -> bool {
    let lapsed =
        |notice: &Notice| matches!(notice, Notice::Lapsed { interval: of, .. } if *of == interval);
    grid.nodes[node].notices.iter().any(lapsed)
}

/// How much both sides are bound to, as a node says.
fn bound(grid: &Grid, node: usize) -> Vec<u64> {
    let bound = |notice: &Notice| {
        let Notice::Confirmed { terms, .. } = notice else { return None };
        Some(terms.energy_mwh.to_milliwatt_hours())
    };
    grid.nodes[node].notices.iter().filter_map(bound).collect()
}

/// The first node sells a watt-hour to the second one, which bids 300 sat/kWh for a little more.
const WORST_MSAT: u64 = 300;

#[test]
fn a_creditor_does_not_sign_what_would_take_a_member_beyond_its_limit() {
    // Less than a tenth of it is not worth a trade.
    let mut grid = Grid::paying(2, lightning(WORST_MSAT / 10 - 1));
    let interval = grid.next_interval();
    grid.run_market(interval);
    let buyer = id(&grid, 1);
    assert_eq!(over_limit(&grid, 0), [(buyer, WORST_MSAT, WORST_MSAT / 10 - 1)]);
    assert!(over_limit(&grid, 1).is_empty(), "the buyer risks nothing");
    assert_eq!((grid.nodes[0].confirmed(interval), grid.nodes[1].confirmed(interval)), (0, 0));
    assert!(has_lapsed(&grid, 0, interval) && has_lapsed(&grid, 1, interval));
}

#[test]
fn a_creditor_signs_the_part_that_a_member_may_owe_and_both_are_bound_to_that() {
    let mut grid = Grid::paying(2, lightning(WORST_MSAT / 2));
    let interval = grid.next_interval();
    grid.run_market(interval);
    let buyer = id(&grid, 1);
    assert_eq!(over_limit(&grid, 0), [(buyer, WORST_MSAT, WORST_MSAT / 2)]);
    // 150 msat at 300 sat/kWh, and not quite one more.
    assert_eq!((bound(&grid, 0), bound(&grid, 1)), (vec![503], vec![503]));
    let payments = grid.nodes[0].market.as_ref().unwrap().payments();
    assert_eq!(payments.exposure(&buyer).to_millisatoshi(), WORST_MSAT / 2);
    // What is signed is stored, and counts as that after a restart.
    grid.kill(0);
    grid.start(0);
    grid.run_market(interval.next());
    let again = over_limit(&grid, 0).pop();
    assert_eq!(again, Some((buyer, WORST_MSAT + WORST_MSAT / 2, WORST_MSAT / 2)));
    assert!(bound(&grid, 0).iter().chain(&bound(&grid, 1)).all(|energy| *energy == 503));
}

#[test]
fn a_creditor_signs_up_to_the_limit_and_counts_what_is_signed_and_not_settled() {
    let mut grid = Grid::paying(2, lightning(WORST_MSAT));
    let first = grid.next_interval();
    grid.run_market(first);
    assert_eq!(grid.nodes[0].confirmed(first), 1);
    let payments = grid.nodes[0].market.as_ref().unwrap().payments();
    assert_eq!(payments.exposure(&id(&grid, 1)).to_millisatoshi(), WORST_MSAT);
    assert_eq!(payments.limit(&id(&grid, 1), first).unwrap().to_millisatoshi(), WORST_MSAT);
    assert!(payments.counterparties().contains(&id(&grid, 1)), "though nothing is settled");
    assert_eq!(payments.outline().exposure_msat.to_millisatoshi(), WORST_MSAT);
    grid.run_market(first.next());
    assert_eq!(over_limit(&grid, 0), [(id(&grid, 1), 2 * WORST_MSAT, WORST_MSAT)]);
    // Nobody reads a meter here, so nothing is due for the first one, and there is room again.
    grid.run_market(first.plus(2));
    assert_eq!(grid.nodes[0].confirmed(first.plus(2)), 1);
}

#[test]
fn a_restart_does_not_forget_what_was_risked() {
    let mut grid = Grid::paying(2, lightning(WORST_MSAT));
    let first = grid.next_interval();
    grid.run_market(first);
    grid.kill(0);
    grid.start(0);
    grid.run_market(first.next());
    assert_eq!(grid.nodes[0].confirmed(first.next()), 0);
    assert_eq!(over_limit(&grid, 0), [(id(&grid, 1), 2 * WORST_MSAT, WORST_MSAT)]);
}

#[test]
fn where_dues_are_only_kept_in_the_ledger_everyone_is_trusted() {
    let mut grid = Grid::paying(2, Means::Ledger);
    let first = grid.next_interval();
    for interval in (0..4).map(|count| first.plus(count)) {
        grid.run_market(interval);
        assert_eq!(grid.nodes[0].confirmed(interval), 1);
    }
    let payments = grid.nodes[0].market.as_ref().unwrap().payments();
    assert_eq!(payments.limit(&id(&grid, 1), first), None);
}
