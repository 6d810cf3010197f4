//! Tests of the roster: the same everywhere, who is in it when, and how many are enough.

use super::*;
use crate::fixture::{CHARTER, Grid, INTERVAL, certified, enrolment, key};

const EPOCH: u64 = 288;

fn charter() -> Charter {
    Charter::from_toml(CHARTER).unwrap()
}

/// Somebody's enrolment for these intervals.
fn enrolled(charter: &Charter, who: u32, from: u64, until: u64) -> CertifiedEnrolment {
    certified(Enrolment {
        valid_from: Interval::from_number(from),
        valid_until: Interval::from_number(until),
        ..enrolment(charter, &key(1, who), &key(2, who))
    })
}

fn size_at(charter: &Charter, enrolments: &[CertifiedEnrolment], interval: u64) -> usize {
    Roster::at(charter, enrolments, Interval::from_number(interval)).unwrap().members().len()
}

#[test]
fn members_are_sorted_and_found_by_their_key() {
    let roster = Grid::of(13, 13).roster;
    assert!(roster.members().is_sorted_by_key(|member| member.enrolment.participant));
    for (place, member) in (0..).zip(roster.members()) {
        let index = RosterIndex::new(place);
        assert_eq!(roster.index_of(&member.enrolment.participant), Some(index));
        assert_eq!(roster.participant(index), Some(member.enrolment.participant));
    }
    assert_eq!(roster.index_of(&key(9, 9).participant_id()), None);
    assert!(roster.member(RosterIndex::new(13)).is_none());
}

#[test]
fn the_order_and_repetition_of_enrolments_change_nothing() {
    let charter = charter();
    let mut enrolments: Vec<_> = (0..5).map(|who| enrolled(&charter, who, 0, 1000)).collect();
    let renewed = enrolled(&charter, 3, 100, 2000);
    enrolments.push(renewed.clone());
    let hash = |enrolments: &[CertifiedEnrolment]| {
        Roster::at(&charter, enrolments, Interval::from_number(EPOCH)).unwrap().hash()
    };
    let expected = hash(&enrolments);
    enrolments.reverse();
    enrolments.push(renewed);
    assert_eq!(hash(&enrolments), expected);
    let mut fewer_signatures = enrolments.clone();
    fewer_signatures[0].signatures.reverse();
    assert_eq!(hash(&fewer_signatures), expected, "who signed is not part of the roster");
}

#[test]
fn the_latest_enrolment_that_is_valid_wins() {
    let charter = charter();
    let old = enrolled(&charter, 0, 0, 10_000);
    let new = enrolled(&charter, 0, 300, 600);
    let holds = |interval| {
        let roster =
            Roster::at(&charter, &[new.clone(), old.clone()], Interval::from_number(interval));
        roster.unwrap().members()[0].enrolment.clone()
    };
    assert_eq!(holds(299), old.enrolment);
    assert_eq!(holds(2 * EPOCH), new.enrolment);
    assert_eq!(holds(3 * EPOCH), old.enrolment, "the new one has ended");
}

#[test]
fn of_two_enrolments_that_start_together_everyone_picks_the_same() {
    let charter = charter();
    let short = enrolled(&charter, 0, 0, 1000);
    let long = enrolled(&charter, 0, 0, 2000);
    let hash = |enrolments: &[CertifiedEnrolment]| {
        Roster::at(&charter, enrolments, Interval::from_number(0)).unwrap().hash()
    };
    assert_eq!(hash(&[short.clone(), long.clone()]), hash(&[long, short]));
}

#[test]
fn the_roster_changes_at_the_epochs_edge_only() {
    let charter = charter();
    // Enrolled in the middle of the first epoch, ended in the middle of the third.
    let enrolments = [enrolled(&charter, 0, 100, 2 * EPOCH + 100)];
    let sizes = [0, 100, EPOCH - 1, EPOCH, 2 * EPOCH + 100, 3 * EPOCH - 1, 3 * EPOCH]
        .map(|interval| size_at(&charter, &enrolments, interval));
    assert_eq!(sizes, [0, 0, 0, 1, 1, 1, 0]);
    let edge = Interval::from_number(EPOCH);
    assert_eq!(epoch_start(&charter, Interval::from_number(2 * EPOCH - 1)), edge);
    assert_eq!(epoch_start(&charter, edge), edge);
}

#[test]
fn one_bad_enrolment_is_named_and_no_roster_is_made() {
    let charter = charter();
    let mut bad = enrolled(&charter, 1, 0, 1000);
    bad.signatures.pop();
    let participant = bad.enrolment.participant;
    let source = EnrolmentRejected::TooFewSignatures { have: 1, need: 2 };
    let rejected = RosterRejected::Enrolment { participant, source };
    let enrolments = [enrolled(&charter, 0, 0, 1000), bad];
    let at = Roster::at(&charter, &enrolments, Interval::from_number(0));
    assert_eq!(at.unwrap_err(), rejected);
    let all = Rosters::new(Arc::new(charter), enrolments.to_vec());
    assert_eq!(all.unwrap_err(), rejected);
}

#[test]
fn renewals_do_not_count_as_participants() {
    let charter = Arc::new(charter());
    let mut enrolments: Vec<_> =
        (0..MEMBERS_MAX).map(|who| enrolled(&charter, who, 0, 1000)).collect();
    enrolments.push(enrolled(&charter, 0, 500, 2000));
    assert!(Rosters::new(Arc::clone(&charter), enrolments.clone()).is_ok());
    enrolments.push(enrolled(&charter, MEMBERS_MAX, 5000, 6000));
    assert_eq!(Rosters::new(charter, enrolments).unwrap_err(), RosterRejected::TooMany);
}

#[test]
fn rosters_at_hand_are_those_made_afresh_in_whatever_order_they_are_asked_for() {
    let charter = Arc::new(charter());
    let enrolments: Vec<_> =
        (0..30).map(|who| enrolled(&charter, who, u64::from(who) * EPOCH, 40 * EPOCH)).collect();
    let mut rosters = Rosters::new(Arc::clone(&charter), enrolments.clone()).unwrap();
    for epoch in (0..30).rev().chain(0..30).chain([29, 0, 29, 0]) {
        let interval = Interval::from_number(epoch * EPOCH + 7);
        let fresh = Roster::at(&charter, &enrolments, interval).unwrap();
        assert_eq!(rosters.at(interval).hash(), fresh.hash(), "epoch {epoch}");
        assert!(rosters.at_hand.len() <= EPOCHS_KEPT);
    }
}

#[test]
fn the_quorum_is_all_but_a_third() {
    let table = [0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9];
    for (voters, quorum) in (0..=13).zip(table) {
        let roster = Grid::of(13, voters).roster;
        assert_eq!(roster.voters().len(), usize::try_from(voters).unwrap());
        assert_eq!(roster.quorum(), quorum, "of {voters} voters");
        let (faulty, voters) = (roster.faulty_max(), roster.voters().len());
        // Two quorums share more voters than can be faulty, and the honest ones are a quorum.
        assert!(voters == 0 || 2 * quorum - voters > faulty);
        assert!(voters - faulty >= quorum);
    }
}

#[test]
fn only_voters_vote() {
    let grid = Grid::of(6, 4);
    let voting: Vec<bool> =
        (0..7).map(|place| grid.roster.is_voter(RosterIndex::new(place))).collect();
    assert_eq!(voting, [true, true, true, true, false, false, false]);
}

#[test]
fn every_voter_leads_once_before_anyone_leads_again() {
    let roster = Grid::of(9, 7).roster;
    for interval in 0..20 {
        let interval = INTERVAL.plus(interval);
        let mut leaders: Vec<_> =
            (0..7).map(|view| roster.leader(interval, view).unwrap()).collect();
        assert_eq!(roster.leader(interval, 7), Some(leaders[0]));
        assert!(roster.leader(interval, u32::MAX).is_some());
        leaders.sort_unstable();
        assert_eq!(leaders, roster.voters());
    }
}

#[test]
fn the_first_leader_differs_from_interval_to_interval() {
    let roster = Grid::of(7, 7).roster;
    let mut firsts: Vec<_> =
        (0..100).map(|count| roster.leader(INTERVAL.plus(count), 0).unwrap()).collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), 7, "everyone is first now and then");
}

#[test]
fn nobody_leads_where_nobody_votes() {
    assert_eq!(Grid::of(3, 0).roster.leader(INTERVAL, 0), None);
}
