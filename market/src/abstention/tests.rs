//! Tests of abstention: each cause, how it ends, and what is none.

use boltgrid_protocol::signing::Keypair;

use super::*;

const SKEW_MS: u64 = 300;
/// The interval in which the node starts, somewhere in its middle.
const START: u64 = 100;

/// One node's abstention among some members, of whom it is number 0.
struct Bench {
    abstention: Abstention,
    members: Vec<ParticipantId>,
    now: u64,
}

impl Bench {
    fn new(members: u8) -> Self {
        let members: Vec<_> =
            (1..=members).map(|seed| Keypair::from_seed(&[seed; 32]).participant_id()).collect();
        let mut bench =
            Self { abstention: Abstention::new(members[0], SKEW_MS), members, now: START };
        assert_eq!(bench.enter(START), None);
        bench
    }

    fn enter(&mut self, interval: u64) -> Option<Change> {
        self.now = interval;
        let members = self.members.clone();
        self.abstention.advance(Interval::from_number(interval), |_| members)
    }

    /// Hears so many of the others and goes on to the next interval.
    fn pass(&mut self, heard: usize) -> Option<Change> {
        let of = Interval::from_number(self.now);
        for member in self.members.clone().into_iter().skip(1).take(heard) {
            self.abstention.heard(member, of);
        }
        self.enter(self.now + 1)
    }

    fn check(&mut self, check: ClockCheck) -> Option<Change> {
        self.abstention.check(check, Interval::from_number(self.now))
    }

    fn peers_say(&mut self, median_offset_ms: i64) -> Option<Change> {
        self.check(ClockCheck::Peers(PeerClocks { median_offset_ms, peers: 5 }))
    }

    fn abstaining(&self) -> Option<(&'static str, u64, u64)> {
        let it = self.abstention.sight().abstaining?;
        Some((it.cause.name(), it.since.to_number(), it.returns_after.to_number()))
    }
}

#[test]
fn the_first_interval_that_is_judged_is_the_first_whole_one() {
    let mut bench = Bench::new(13);
    assert_eq!(bench.pass(0), None, "the start was in its middle");
    let change = bench.pass(0);
    assert!(matches!(change, Some(Change::Abstains(_))), "{change:?}");
    assert_eq!(bench.abstaining(), Some(("eclipsed", START + 2, START + 3)));
}

#[test]
fn fewer_than_a_third_of_the_others_is_an_eclipse_and_a_third_is_none() {
    // One of three others, two of four, four of twelve.
    for (members, enough) in [(3, 1), (4, 1), (5, 2), (13, 4), (14, 5)] {
        let mut bench = Bench::new(members);
        bench.pass(0);
        bench.pass(enough);
        assert_eq!(bench.abstaining(), None, "{enough} of {members}");
        bench.pass(enough - 1);
        assert!(bench.abstaining().is_some(), "{} of {members}", enough - 1);
    }
}

#[test]
fn halves_of_a_grid_are_not_eclipsed() {
    for members in [4, 6, 7, 8, 13, 14, 100] {
        let mut bench = Bench::new(members);
        bench.pass(0);
        // The smaller half, without ourselves.
        bench.pass(usize::from(members / 2) - 1);
        assert_eq!(bench.abstaining(), None, "{members} members");
    }
}

#[test]
fn whoever_is_alone_on_the_roster_is_never_eclipsed() {
    let mut bench = Bench::new(1);
    for _ in 0..5 {
        assert_eq!(bench.pass(0), None);
    }
    assert_eq!(bench.abstention.sight().hearing, Some(Hearing { heard: 0, members: 0 }));
}

#[test]
fn what_is_of_an_interval_long_over_or_of_a_stranger_is_not_hearing() {
    let mut bench = Bench::new(4);
    bench.pass(0);
    let (old, new) = (Interval::from_number(bench.now - 1), Interval::from_number(bench.now + 1));
    let (me, other) = (bench.members[0], bench.members[1]);
    let stranger = Keypair::from_seed(&[99; 32]).participant_id();
    bench.abstention.heard(other, old);
    bench.abstention.heard(me, new);
    bench.abstention.heard(stranger, new);
    bench.pass(0);
    assert_eq!(bench.abstention.sight().hearing, Some(Hearing { heard: 0, members: 3 }));
    let next = Interval::from_number(bench.now + 1);
    bench.abstention.heard(other, next);
    bench.pass(0);
    assert_eq!(bench.abstention.sight().hearing, Some(Hearing { heard: 1, members: 3 }));
}

#[test]
fn two_clean_intervals_end_an_eclipse_and_one_does_not() {
    let mut bench = Bench::new(7);
    bench.pass(0);
    bench.pass(1);
    assert_eq!(bench.pass(6), None, "one clean interval");
    assert_eq!(bench.pass(1), None, "and an eclipse again, of the same kind");
    assert_eq!(bench.abstaining(), Some(("eclipsed", START + 2, START + 5)));
    assert_eq!(bench.pass(6), None);
    let since = Interval::from_number(START + 2);
    assert_eq!(bench.pass(6), Some(Change::Returned { since }), "two clean ones in a row");
    assert_eq!(bench.abstaining(), None);
}

#[test]
fn a_clock_that_peers_disagree_with_abstains_at_once_and_until_they_agree() {
    let mut bench = Bench::new(7);
    bench.pass(6);
    assert_eq!(bench.peers_say(300), None, "clocks may differ by that");
    assert!(matches!(bench.peers_say(-301), Some(Change::Abstains(_))));
    assert_eq!(bench.abstaining(), Some(("clock_disagrees", START + 1, START + 3)));
    // Nobody answers any more: that does not make the clock right.
    for _ in 0..5 {
        assert_eq!(bench.pass(6), None);
    }
    assert_eq!(bench.peers_say(20), None);
    assert_eq!(bench.pass(6), None, "the interval in which it was put right");
    assert_eq!(bench.pass(6), None, "the first clean one");
    assert!(matches!(bench.pass(6), Some(Change::Returned { .. })));
}

#[test]
fn a_jump_abstains_at_once_and_for_two_whole_intervals() {
    for by_ms in [3_600_000, -3_600_000] {
        let mut bench = Bench::new(7);
        bench.pass(6);
        assert!(matches!(bench.check(ClockCheck::Jumped { by_ms }), Some(Change::Abstains(_))));
        let jumped_in = bench.now;
        assert_eq!(bench.abstaining(), Some(("clock_jumped", jumped_in, jumped_in + 2)));
        assert_eq!(bench.pass(0), None, "an interval with a jump in it is not judged");
        assert_eq!(bench.pass(6), None);
        assert!(matches!(bench.pass(6), Some(Change::Returned { .. })));
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_a_node_abstaining_until_its_old_future() {
    let mut bench = Bench::new(7);
    bench.pass(6);
    bench.enter(START + 1000);
    bench.check(ClockCheck::Jumped { by_ms: 10_000_000 });
    bench.enter(START + 2);
    bench.check(ClockCheck::Jumped { by_ms: -10_000_000 });
    assert_eq!(bench.abstaining(), Some(("clock_jumped", START + 2, START + 4)));
}

#[test]
fn a_pause_is_no_cause_but_no_clean_interval_either() {
    let mut bench = Bench::new(7);
    bench.pass(6);
    assert_eq!(bench.check(ClockCheck::Paused), None);
    assert_eq!(bench.pass(0), None, "nothing could be heard");
    bench.pass(6);
    // Stopped for several intervals: neither the one it stopped in nor the one it came back in.
    assert_eq!(bench.enter(bench.now + 5), None);
    assert_eq!(bench.pass(0), None);
    assert_eq!(bench.abstaining(), None);
    bench.pass(0);
    assert!(bench.abstaining().is_some());
    bench.pass(6);
    bench.check(ClockCheck::Paused);
    bench.pass(6);
    bench.pass(6);
    assert!(bench.abstaining().is_some(), "one clean interval since the pause");
    assert!(matches!(bench.pass(6), Some(Change::Returned { .. })));
}

#[test]
fn another_kind_of_cause_is_told_and_the_same_kind_is_not() {
    let mut bench = Bench::new(7);
    bench.pass(6);
    assert!(bench.check(ClockCheck::Jumped { by_ms: 3000 }).is_some());
    assert!(bench.check(ClockCheck::Jumped { by_ms: 3001 }).is_none());
    assert!(bench.peers_say(-6001).is_some());
    assert!(bench.peers_say(-6000).is_none());
    assert_eq!(bench.abstaining().map(|it| it.0), Some("clock_disagrees"));
}

#[test]
fn two_liars_among_five_do_not_move_the_median() {
    for lie in [i64::MIN, -9000, 9000, i64::MAX] {
        let clocks = PeerClocks::of(vec![lie, 12, lie, -7, 3]).unwrap();
        assert!(clocks.median_offset_ms.unsigned_abs() <= 12, "{clocks:?}");
        assert_eq!(clocks.peers, 5);
        let clocks = PeerClocks::of(vec![12, lie, -7]).unwrap();
        assert!(clocks.median_offset_ms.unsigned_abs() <= 12, "{clocks:?}");
    }
}

#[test]
fn two_of_four_do_not_outvote_our_own_clock_and_two_alone_say_nothing() {
    let of = |offsets: &[i64]| PeerClocks::of(offsets.to_vec()).map(|it| it.median_offset_ms);
    assert_eq!(of(&[9000, 9000, 4, 2]), Some(4));
    assert_eq!(of(&[-9000, -9000, 4, 2]), Some(2));
    assert_eq!(of(&[9000, 9001, 9002, 2]), Some(9000));
    assert_eq!(of(&[9000, 9000]), None);
    assert_eq!(of(&[]), None);
}
