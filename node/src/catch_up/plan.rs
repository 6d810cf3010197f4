//! With whom to catch up, on which intervals, and when: pure book-keeping.
//!
//! A gap is asked about at several members in turn, since one may withhold, or lie about having
//! nothing; an interval of which that many know nothing has no book. Not for: asking.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use boltgrid_protocol::history::{ITEMS_MAX, STRETCH_MAX, Stretch};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Interval, Timestamp};

/// Most intervals back that are reconciled, whatever the config says: two weeks of five-minute
/// intervals.
pub(super) const WINDOW_MAX: u64 = 4032;
/// How many members are asked about a gap before it is taken for an interval without a book.
pub(super) const WITNESSES: usize = 3;
/// The shortest wait after a visit that failed, or that left a gap.
const RETRY_MIN_MS: u64 = 1_000;
/// The longest.
const RETRY_MAX_MS: u64 = 60_000;
/// Routine visits are spread over this much of their period, so that members do not meet all at once.
const JITTER_PERCENT: u64 = 20;

/// What one visit is about, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    /// Who is asked.
    pub(super) member: ParticipantId,
    /// What is left to reconcile, the latest first.
    pub(super) stretches: VecDeque<Stretch>,
    /// The first interval that is not asked about.
    pub(super) until: Interval,
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of it was reconciled, and nothing withheld.
    Through,
    /// It was not: nobody answered, something was withheld or false.
    Short,
}

/// When to visit whom.
///
/// Bounded by the members of the roster.
#[derive(Debug)]
pub(super) struct Plan {
    every_ms: u64,
    /// Until which interval a member was asked about everything, and when it was tried last.
    asked: BTreeMap<ParticipantId, Asked>,
    routine_at: Timestamp,
    gap_at: Timestamp,
    wait_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    through: Interval,
    tried_at: Timestamp,
}

impl Plan {
    /// A plan that visits somebody at `now`, and then once in `every_ms`.
    #[must_use]
    pub(super) const fn new(now: Timestamp, every_ms: u64) -> Self {
        Self {
            every_ms,
            asked: BTreeMap::new(),
            routine_at: now,
            gap_at: now,
            wait_ms: RETRY_MIN_MS,
        }
    }

    /// The intervals of `unknown` that not enough members were asked about yet.
    #[must_use]
    pub(super) fn behind(&self, unknown: &BTreeSet<Interval>, others: usize) -> BTreeSet<Interval> {
        let mut through: Vec<Interval> = self.asked.values().map(|asked| asked.through).collect();
        through.sort_unstable_by(|a, b| b.cmp(a));
        let witnesses = WITNESSES.min(others).checked_sub(1);
        // Everything before it was asked about at so many members.
        let settled = witnesses.and_then(|place| through.get(place).copied()).unwrap_or_default();
        unknown.range(settled..).copied().collect()
    }

    /// The next visit, if one is due: to the member that was asked the longest ago; `lot` draws
    /// among equals. `window` is all that is reconciled, `behind` what is known to be lacking.
    pub(super) fn next(
        &mut self,
        now: Timestamp,
        others: &[ParticipantId],
        (window, behind): (Stretch, &BTreeSet<Interval>),
        lot: u64,
    ) -> Option<Visit> {
        self.asked.retain(|member, _| others.contains(member));
        let gap = behind.first().filter(|_| now >= self.gap_at);
        let from = match gap {
            _ if now >= self.routine_at => window.from,
            Some(first) => *first,
            None => return None,
        };
        let asked = |member| self.asked.get(member).copied().unwrap_or_default();
        let least = others.iter().map(asked).map(|it| (it.tried_at, it.through)).min()?;
        let equals: Vec<_> = others
            .iter()
            .filter(|member| (asked(member).tried_at, asked(member).through) == least)
            .collect();
        let place = lot.checked_rem(u64::try_from(equals.len()).ok()?)?;
        let member = **equals.get(usize::try_from(place).ok()?)?;
        self.asked.entry(member).or_default().tried_at = now;
        let stretches = stretches(Stretch { from, until: window.until }, others.len() + 1);
        Some(Visit { member, stretches, until: window.until })
    }

    /// A visit ended. `lot` jitters the next routine one.
    pub(super) fn ended(&mut self, now: Timestamp, visit: &Visit, ended: Ended, lot: u64) {
        match ended {
            Ended::Through => {
                self.asked.entry(visit.member).or_default().through = visit.until;
                let spread = self.every_ms.saturating_mul(JITTER_PERCENT).div_euclid(100);
                let jitter = lot.checked_rem(spread.max(1)).unwrap_or(0);
                self.routine_at = now.plus_ms(self.every_ms.saturating_sub(jitter));
                self.wait_ms = RETRY_MIN_MS;
                self.gap_at = now.plus_ms(RETRY_MIN_MS);
            }
            Ended::Short => {
                let again = now.plus_ms(self.wait_ms);
                self.gap_at = again;
                self.routine_at = self.routine_at.max(again);
                self.wait_ms = self.wait_ms.saturating_mul(2).min(RETRY_MAX_MS);
            }
        }
    }
}

/// Cuts a window into stretches that hold no more than is served, the latest first. They lie the same
/// at every member, so that whoever serves several makes one set for all.
fn stretches(window: Stretch, members: usize) -> VecDeque<Stretch> {
    // A reading and an order of each, the book, and room for evidence.
    let items = u64::try_from(members).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(2);
    let most = u64::try_from(ITEMS_MAX).unwrap_or(u64::MAX);
    let length = most.checked_div(items).unwrap_or(1).clamp(1, STRETCH_MAX);
    let mut stretches = VecDeque::new();
    let mut from = window.from;
    while from < window.until {
        let into = from.to_number().checked_rem(length).unwrap_or(0);
        let until = from.minus(into).plus(length).min(window.until);
        stretches.push_front(Stretch { from, until });
        from = until;
    }
    stretches
}

/// The two halves of a stretch, the earlier one first; a single interval has none.
pub(super) fn halves(stretch: Stretch) -> Option<[Stretch; 2]> {
    let middle = stretch.from.plus(stretch.len().div_euclid(2));
    let Stretch { from, until } = stretch;
    (stretch.len() > 1)
        .then_some([Stretch { from, until: middle }, Stretch { from: middle, until }])
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_ms(1_000_000);
    const HOUR_MS: u64 = 3_600_000;

    fn at(number: u64) -> Interval {
        Interval::from_number(number)
    }

    fn window(from: u64, until: u64) -> Stretch {
        Stretch { from: at(from), until: at(until) }
    }

    fn others(count: u8) -> Vec<ParticipantId> {
        (1..=count).map(|byte| ParticipantId::from_bytes([byte; 32])).collect()
    }

    #[test]
    fn a_gap_is_asked_about_at_three_members_in_turn_and_then_taken_for_none() {
        let (others, mut now) = (others(5), START);
        let mut plan = Plan::new(now, HOUR_MS);
        let unknown: BTreeSet<_> = [at(14), at(15)].into();
        let mut asked = BTreeSet::new();
        for visits in 0..3 {
            let behind = plan.behind(&unknown, others.len());
            assert_eq!(behind, unknown, "after {visits}");
            let visit = plan.next(now, &others, (window(10, 20), &behind), 7).unwrap();
            assert_eq!(visit.stretches[0].from, at(if visits == 0 { 10 } else { 14 }));
            assert!(asked.insert(visit.member), "another one each time");
            plan.ended(now, &visit, Ended::Through, 0);
            now = now.plus_ms(RETRY_MIN_MS);
        }
        let behind = plan.behind(&unknown, others.len());
        assert_eq!(behind, BTreeSet::new());
        assert_eq!(plan.next(now, &others, (window(10, 20), &behind), 7), None);
        let later = [at(15), at(21)].into();
        assert_eq!(plan.behind(&later, others.len()), [at(21)].into(), "asked about up to 20");
    }

    #[test]
    fn in_a_grid_of_two_the_other_one_has_to_do() {
        let (others, nobody) = (others(1), others(0));
        let mut plan = Plan::new(START, HOUR_MS);
        let unknown: BTreeSet<_> = [at(14)].into();
        let visit = plan.next(START, &others, (window(10, 20), &unknown), 0).unwrap();
        plan.ended(START, &visit, Ended::Through, 0);
        assert_eq!(plan.behind(&unknown, 1), BTreeSet::new());
        assert_eq!(plan.next(START.plus_ms(HOUR_MS), &nobody, (window(10, 20), &unknown), 0), None);
    }

    #[test]
    fn who_falls_short_does_not_count_and_the_waits_grow_up_to_a_limit() {
        let (others, mut now) = (others(4), START);
        let mut plan = Plan::new(now, HOUR_MS);
        let unknown: BTreeSet<_> = [at(14)].into();
        let mut waits = Vec::new();
        for _ in 0..12 {
            let visit = plan.next(now, &others, (window(10, 20), &unknown), 3).unwrap();
            plan.ended(now, &visit, Ended::Short, 0);
            let since = now;
            while plan.next(now, &others, (window(10, 20), &unknown), 3).is_none() {
                now = now.plus_ms(500);
            }
            waits.push(now.ms_since(since));
        }
        assert_eq!(waits[..4], [1_000, 2_000, 4_000, 8_000]);
        assert_eq!(waits[11], RETRY_MAX_MS);
        assert_eq!(plan.behind(&unknown, others.len()), unknown);
    }

    #[test]
    fn without_a_gap_somebody_is_visited_about_once_in_a_period() {
        let others = others(4);
        let mut plan = Plan::new(START, HOUR_MS);
        let none = BTreeSet::new();
        let visit = plan.next(START, &others, (window(10, 20), &none), 0).unwrap();
        plan.ended(START, &visit, Ended::Through, 600_000);
        let early = START.plus_ms(HOUR_MS * 4 / 5 - 1);
        assert_eq!(plan.next(early, &others, (window(10, 20), &none), 0), None);
        let next = plan.next(START.plus_ms(HOUR_MS), &others, (window(10, 20), &none), 0);
        assert_ne!(next.unwrap().member, visit.member);
    }

    #[test]
    fn a_stretch_is_halved_down_to_single_intervals() {
        assert_eq!(halves(window(10, 13)), Some([window(10, 11), window(11, 13)]));
        assert_eq!(halves(window(10, 11)), None);
    }

    #[test]
    fn stretches_cover_the_window_once_and_no_more_of_it_than_is_served() {
        for (members, longest) in [(2, 288), (13, 288), (100, 40), (1000, 4), (100_000, 1)] {
            let mut cut = stretches(window(1000, 2000), members);
            assert_eq!(cut.front().unwrap().until, at(2000));
            let mut from = at(1000);
            while let Some(stretch) = cut.pop_back() {
                assert_eq!(stretch.from, from);
                assert!((1..=longest).contains(&stretch.len()), "{members}: {stretch:?}");
                from = stretch.until;
            }
            assert_eq!(from, at(2000));
        }
        assert!(stretches(window(20, 10), 5).is_empty());
    }
}
