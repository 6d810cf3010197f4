//! Tests of evidence: what convicts, and what must never convict an honest member.

use super::*;
use crate::agreement::Stage;
use crate::fixture::{Grid, INTERVAL, confirm, order, reading, share, vote};
use crate::units::{Energy, Interval};

const NOTHING: Result<ParticipantId, MessageRejected> =
    Err(MessageRejected::Body("the two messages do not contradict each other"));

/// Signs both as these members in these intervals and asks who is guilty.
fn culprit<T: Payload>(
    grid: &Grid,
    (first, first_by, first_interval): (&T, u32, Interval),
    (second, second_by, second_interval): (&T, u32, Interval),
) -> Result<ParticipantId, MessageRejected> {
    let bytes = |body: &T, by, interval| {
        grid.try_sign(RosterIndex::new(by), interval, body).unwrap().bytes().to_vec()
    };
    let first = bytes(first, first_by, first_interval);
    let second = bytes(second, second_by, second_interval);
    Evidence { first, second }.culprit(&grid.charter, &grid.roster)
}

/// Asserts that the two convict the first member if both are of one interval.
fn convicts_within_an_interval<T: Payload>(first: &T, second: &T) {
    let grid = Grid::sample();
    let guilty = grid.people[0].key.participant_id();
    let next = INTERVAL.next();
    assert_eq!(culprit(&grid, (first, 0, INTERVAL), (second, 0, INTERVAL)), Ok(guilty));
    assert_eq!(culprit(&grid, (first, 0, INTERVAL), (first, 0, INTERVAL)), NOTHING, "the same");
    assert_eq!(culprit(&grid, (first, 0, INTERVAL), (second, 0, next)), NOTHING, "two intervals");
    assert_eq!(culprit(&grid, (first, 0, INTERVAL), (second, 1, INTERVAL)), NOTHING, "two authors");
}

#[test]
fn two_orders_of_one_interval_convict() {
    let first = Order { steps: order(0).steps, ..Order::default() };
    let second = Order { steps: first.steps[1..].to_vec(), ..Order::default() };
    convicts_within_an_interval(&first, &second);
}

#[test]
fn two_acks_of_one_interval_convict() {
    let grid = Grid::sample();
    let ack = grid.acks_and_book().0[0].body().clone();
    convicts_within_an_interval(&ack, &Ack { root: Default::default(), ..ack.clone() });
}

#[test]
fn two_votes_convict_if_they_are_of_one_stage_of_one_view() {
    let (yes, no) = (vote(Some(7)), vote(None));
    convicts_within_an_interval(&yes, &no);
    let grid = Grid::sample();
    for other in [Vote { view: 2, ..no }, Vote { stage: Stage::Prevote, ..no }] {
        assert_eq!(culprit(&grid, (&yes, 0, INTERVAL), (&other, 0, INTERVAL)), NOTHING);
    }
}

#[test]
fn two_shares_of_one_interval_convict() {
    convicts_within_an_interval(&share(1), &share(2));
}

#[test]
fn two_readings_convict_if_they_are_of_one_instant() {
    let grid = Grid::sample();
    let guilty = grid.people[2].key.participant_id();
    let first = reading(&grid.charter, INTERVAL);
    let other = Reading { export_register_mwh: Energy::ZERO, sequence: 43, ..first };
    assert_eq!(culprit(&grid, (&first, 2, INTERVAL), (&other, 2, INTERVAL)), Ok(guilty));
    assert_eq!(culprit(&grid, (&first, 2, INTERVAL), (&first, 2, INTERVAL)), NOTHING);
    assert_eq!(culprit(&grid, (&first, 2, INTERVAL), (&other, 1, INTERVAL)), NOTHING);
}

#[test]
fn a_meter_that_counts_from_zero_again_is_not_convicted() {
    let grid = Grid::sample();
    let next = INTERVAL.next();
    let first = reading(&grid.charter, INTERVAL);
    let same_number = reading(&grid.charter, next);
    assert_eq!(first.sequence, same_number.sequence);
    assert_eq!(culprit(&grid, (&first, 2, INTERVAL), (&same_number, 2, next)), NOTHING);
}

#[test]
fn messages_of_other_kinds_or_of_two_kinds_prove_nothing() {
    let grid = Grid::sample();
    let of_kind = |name: &str| {
        let messages = grid.messages();
        messages.into_iter().find(|(kind, _)| *kind == name).unwrap().1.to_vec()
    };
    for kind in ["proposal", "trade_confirm", "evidence", "peer_record"] {
        let evidence = Evidence { first: of_kind(kind), second: of_kind(kind) };
        let result = evidence.culprit(&grid.charter, &grid.roster);
        assert!(matches!(result, Err(MessageRejected::Body(_))), "{kind}: {result:?}");
    }
    let evidence = Evidence { first: of_kind("order"), second: of_kind("ack") };
    let result = evidence.culprit(&grid.charter, &grid.roster);
    assert_eq!(result, Err(MessageRejected::WrongKind));
    assert!(grid.try_sign(RosterIndex::new(0), INTERVAL, &confirm()).is_ok());
}

#[test]
fn a_forged_message_frames_nobody() {
    let grid = Grid::sample();
    let mut evidence = grid.evidence();
    let last = evidence.second.len() - 1;
    evidence.second[last] ^= 1;
    let result = evidence.culprit(&grid.charter, &grid.roster);
    assert_eq!(result, Err(MessageRejected::BadSignature));
    assert!(grid.try_sign(RosterIndex::new(3), INTERVAL, &evidence).is_err());
}

#[test]
fn verified_evidence_names_its_culprit() {
    let grid = Grid::sample();
    let evidence = grid.sign(3, &grid.evidence());
    assert_eq!(evidence.body().culprit_index(&grid.roster), Some(RosterIndex::new(0)));
}
