//! What terms and conditions of an escrow must be.

use super::*;
use crate::envelope::{MessageRejected, Signed};
use crate::fixture::{Grid, INTERVAL, escrow_terms, reading};
use crate::id::RosterIndex;

fn problem(change: impl FnOnce(&mut EscrowTerms)) -> MessageRejected {
    let grid = Grid::sample();
    let mut terms = escrow_terms(&grid);
    change(&mut terms);
    grid.try_sign(RosterIndex::new(0), INTERVAL, &Deed::Terms(terms)).unwrap_err()
}

fn refused(change: impl FnOnce(&mut EscrowTerms), expected: &str) {
    let rejected = problem(change);
    assert!(rejected.to_string().contains(expected), "{rejected}");
}

#[test]
fn an_escrow_below_the_minimum_is_refused_and_the_message_says_why() {
    let least = Msat::from_millisatoshi(ESCROW_MIN_SAT * 1000).unwrap();
    let below = Msat::from_millisatoshi(ESCROW_MIN_SAT * 1000 - 1).unwrap();
    refused(|terms| terms.amount_msat = below, "10000 sat");
    refused(|terms| terms.amount_msat = below, "dust");
    let grid = Grid::sample();
    let terms = EscrowTerms { amount_msat: least, ..escrow_terms(&grid) };
    assert!(grid.try_sign(RosterIndex::new(0), INTERVAL, &Deed::Terms(terms)).is_ok());
}

#[test]
fn an_escrow_is_between_three_members_and_about_the_right_one() {
    let grid = Grid::sample();
    let id = |place: usize| grid.people[place].key.participant_id();
    let stranger = ParticipantId::from_bytes([7; 32]);
    refused(|terms| terms.arbiter = terms.payee, "three");
    refused(|terms| terms.payee = id(0), "three");
    refused(|terms| terms.arbiter = id(0), "three");
    refused(|terms| terms.arbiter = stranger, "not a member");
    refused(|terms| terms.payee = stranger, "not a member");
    refused(|terms| terms.condition.subject = id(0), "subject");
    refused(|terms| terms.condition.releases = Releases::Missed, "subject");
    refused(|terms| terms.condition.subject = id(2), "subject");
}

#[test]
fn a_condition_that_decides_nothing_is_refused() {
    refused(|terms| terms.condition.energy_mwh = Energy::from_milliwatt_hours(0), "no energy");
    refused(|terms| terms.condition.until = terms.condition.first, "ends before");
    refused(|terms| terms.hold_blocks = 0, "blocks");
    refused(|terms| terms.hold_blocks = HOLD_BLOCKS_MAX + 1, "blocks");
}

#[test]
fn a_hold_is_of_text_that_shows_as_it_is() {
    let grid = Grid::sample();
    let escrow = MessageHash::from_bytes([1; 32]);
    for bolt11 in [String::new(), "a b".to_owned(), "x".repeat(BOLT11_MAX + 1)] {
        let deed = Deed::Hold { escrow, bolt11 };
        assert!(grid.try_sign(RosterIndex::new(1), INTERVAL, &deed).is_err());
    }
    let deed = Deed::Hold { escrow, bolt11: "x".repeat(BOLT11_MAX) };
    let signed = grid.sign(1, &deed);
    assert_eq!(Signed::<Deed>::decode(signed.bytes().to_vec()).unwrap().body(), &deed);
}

#[test]
fn delivery_is_what_the_register_moved_between_the_edges() {
    let grid = Grid::sample();
    let condition = escrow_terms(&grid).condition;
    let start = reading(&grid.charter, INTERVAL);
    let moved = |export: u64, import: u64| {
        let energy = Energy::from_milliwatt_hours;
        Reading {
            export_register_mwh: start.export_register_mwh.saturating_add(energy(export)),
            import_register_mwh: start.import_register_mwh.saturating_add(energy(import)),
            ..start
        }
    };
    let needed = condition.energy_mwh.to_milliwatt_hours();
    assert!(condition.is_delivered(&start, &moved(needed, 0)));
    assert!(!condition.is_delivered(&start, &moved(needed - 1, needed)));
    assert!(!condition.is_delivered(&moved(needed, 0), &start), "registers never go back");
    let taken = Condition { side: Side::Buy, ..condition };
    assert!(taken.is_delivered(&start, &moved(0, needed)));
    assert!(!taken.is_delivered(&start, &moved(needed, needed - 1)));
    let bond = Condition { releases: Releases::Missed, ..condition };
    assert!(condition.releases_if(true) && !condition.releases_if(false));
    assert!(bond.releases_if(false) && !bond.releases_if(true));
}

#[test]
fn the_longest_hold_stays_within_what_lightning_allows() {
    let terms = EscrowTerms { hold_blocks: HOLD_BLOCKS_MAX, ..escrow_terms(&Grid::sample()) };
    assert!(terms.final_cltv_blocks() < 1008);
}
