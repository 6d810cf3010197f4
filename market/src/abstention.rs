//! Abstention: when this node signs nothing new, since it cannot trust what it sees (P25).
//!
//! Three causes: too few members were heard for a whole interval (it may be eclipsed), the clocks of
//! its peers disagree with its own, or its own clock jumped. It returns by itself after two clean
//! intervals. Not for: measuring clocks, which the node does, or for setting any: a clock is judged
//! by peers and never adjusted to them.

use std::collections::BTreeSet;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::Interval;

/// Whole intervals without a cause before a node signs again.
pub const CLEAN_INTERVALS: u64 = 2;
/// Fewer than one in so many of the other members heard in a whole interval is an eclipse. A grid cut
/// in halves is none, nor one that lost a third of its members: there the quorum decides.
pub const ECLIPSE_PART: usize = 3;

/// What a check of the clock found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockCheck {
    /// Members were asked what their clocks show.
    Peers(PeerClocks),
    /// The clock moved by so much more than time passed (less, if negative): it was set, or the
    /// machine slept.
    Jumped {
        /// Milliseconds forward.
        by_ms: i64,
    },
    /// The node did not run for a while. That is no reason to abstain, since the clock is right and
    /// votes are late at worst; but the current interval was not watched as a whole.
    Paused,
}

/// The clocks of some members against our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerClocks {
    /// The median of their time less ours.
    pub median_offset_ms: i64,
    /// How many it rests on, at least [`PeerClocks::PEERS_MIN`].
    pub peers: u32,
}

impl PeerClocks {
    /// Fewer answers say nothing: of two clocks nobody knows which is wrong.
    pub const PEERS_MIN: usize = 3;
    /// Members asked at a time. Half of them have to lie to move the median: with a fifth of all
    /// members liars, and members asked at random, that is so for one node in two hundred.
    pub const PEERS_MAX: usize = 15;

    /// The median of offsets, each the time of another less ours; of two in the middle the one that
    /// speaks for us. `None` where they are too few.
    #[must_use]
    pub fn of(mut offsets_ms: Vec<i64>) -> Option<Self> {
        if offsets_ms.len() < Self::PEERS_MIN {
            return None;
        }
        offsets_ms.sort_unstable();
        let last = offsets_ms.len().checked_sub(1)?;
        let middle = [last.div_euclid(2), last.div_ceil(2)];
        let median = middle.iter().filter_map(|place| offsets_ms.get(*place));
        Some(Self {
            median_offset_ms: *median.min_by_key(|offset| offset.unsigned_abs())?,
            peers: count(offsets_ms.len()),
        })
    }
}

/// Why a node abstains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Fewer than a third of the other members were heard in a whole interval.
    Eclipsed {
        /// How many were heard.
        heard: u32,
        /// Of how many.
        members: u32,
    },
    /// The clocks of our peers differ from ours by more than clocks may.
    ClockDisagrees {
        /// The median of their time less ours.
        median_offset_ms: i64,
        /// How many peers it rests on.
        peers: u32,
    },
    /// Our clock moved by more than time passed, or by less.
    ClockJumped {
        /// Milliseconds forward.
        by_ms: i64,
    },
}

impl Cause {
    /// All names, for those who count.
    pub const NAMES: [&'static str; 3] = ["eclipsed", "clock_disagrees", "clock_jumped"];

    /// A stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Eclipsed { .. } => "eclipsed",
            Self::ClockDisagrees { .. } => "clock_disagrees",
            Self::ClockJumped { .. } => "clock_jumped",
        }
    }
}

/// That a node abstains, and until when at the earliest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abstaining {
    /// The latest cause.
    pub cause: Cause,
    /// The interval in which it began.
    pub since: Interval,
    /// It signs again after this interval, if no cause is seen until then.
    pub returns_after: Interval,
}

/// How many of the other members were heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// How many were heard.
    pub heard: u32,
    /// Of how many.
    pub members: u32,
}

/// How far a node can trust its view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Set while it abstains.
    pub abstaining: Option<Abstaining>,
    /// In the latest whole interval; none before the first.
    pub hearing: Option<Hearing>,
    /// The clocks of peers when they were asked last; none before the first time.
    pub clocks: Option<PeerClocks>,
}

/// A change that others may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It abstains, or for another kind of cause than before.
    Abstains(Abstaining),
    /// It signs again.
    Returned {
        /// The interval in which it had begun to abstain.
        since: Interval,
    },
}

/// The interval being watched.
#[derive(Debug)]
struct Watched {
    interval: Interval,
    /// Whether it was watched from its first moment on and without a pause.
    is_whole: bool,
    heard: BTreeSet<ParticipantId>,
}

/// Decides when to abstain.
///
/// Invariants: who is heard is bounded by the roster; `returns_after` is at most
/// [`CLEAN_INTERVALS`] after the current interval.
#[derive(Debug)]
pub(crate) struct Abstention {
    me: ParticipantId,
    clock_skew_max_ms: u64,
    watched: Option<Watched>,
    sight: Sight,
}

impl Abstention {
    pub(crate) fn new(me: ParticipantId, clock_skew_max_ms: u64) -> Self {
        Self { me, clock_skew_max_ms, watched: None, sight: Sight::default() }
    }

    /// How far the view can be trusted.
    pub(crate) const fn sight(&self) -> Sight {
        self.sight
    }

    /// Whether nothing new may be signed.
    pub(crate) const fn abstains(&self) -> bool {
        self.sight.abstaining.is_some()
    }

    /// Time has passed: judges the interval that ended, and returns after two clean ones.
    pub(crate) fn advance(
        &mut self,
        current: Interval,
        members_of: impl FnOnce(Interval) -> Vec<ParticipantId>,
    ) -> Option<Change> {
        if self.watched.as_ref().is_some_and(|watched| watched.interval == current) {
            return None;
        }
        let ended = self.watched.take();
        let follows = ended.as_ref().is_some_and(|ended| ended.interval.next() == current);
        self.watched =
            Some(Watched { interval: current, is_whole: follows, heard: BTreeSet::new() });
        self.keep_near(current);
        let mut change = None;
        match ended {
            Some(ended) if ended.is_whole && follows => {
                let hearing = self.hearing(&ended, &members_of(ended.interval));
                self.sight.hearing = Some(hearing);
                if hearing.is_eclipse() {
                    let Hearing { heard, members } = hearing;
                    change = self.see(Cause::Eclipsed { heard, members }, ended.interval);
                }
            }
            // What was not watched as a whole is no clean interval.
            Some(_) => self.postpone(current.previous()),
            None => {}
        }
        // An eclipse explains more than the clocks of those few who are still heard.
        let clock = self.judge_clock(current);
        change.or(clock).or_else(|| self.come_back(current))
    }

    /// A message of a member was verified. What is of an interval long over may be a replay, and
    /// says nothing of whom we hear now.
    pub(crate) fn heard(&mut self, author: ParticipantId, of: Interval) {
        if let Some(watched) = &mut self.watched
            && author != self.me
            && of >= watched.interval
        {
            watched.heard.insert(author);
        }
    }

    /// The clock was checked.
    pub(crate) fn check(&mut self, check: ClockCheck, current: Interval) -> Option<Change> {
        match check {
            ClockCheck::Peers(clocks) => {
                self.sight.clocks = Some(clocks);
                self.judge_clock(current)
            }
            ClockCheck::Jumped { by_ms } => {
                // What was measured before the jump no longer holds.
                self.sight.clocks = None;
                self.pause();
                self.see(Cause::ClockJumped { by_ms }, current)
            }
            ClockCheck::Paused => {
                self.pause();
                None
            }
        }
    }

    fn pause(&mut self) {
        if let Some(watched) = &mut self.watched {
            watched.is_whole = false;
        }
    }

    fn hearing(&self, ended: &Watched, members: &[ParticipantId]) -> Hearing {
        let others = || members.iter().filter(|member| **member != self.me);
        let heard = others().filter(|member| ended.heard.contains(member)).count();
        Hearing { heard: count(heard), members: count(others().count()) }
    }

    /// The latest word of our peers holds until there is another: with none to be had, a clock that
    /// was wrong is still wrong.
    fn judge_clock(&mut self, current: Interval) -> Option<Change> {
        let PeerClocks { median_offset_ms, peers } = self.sight.clocks?;
        if median_offset_ms.unsigned_abs() <= self.clock_skew_max_ms {
            return None;
        }
        self.see(Cause::ClockDisagrees { median_offset_ms, peers }, current)
    }

    /// A cause was seen in interval `at`.
    fn see(&mut self, cause: Cause, at: Interval) -> Option<Change> {
        let before = self.sight.abstaining.map(|it| it.cause.name());
        let since = self.watched.as_ref().map_or(at, |watched| watched.interval);
        let abstaining = self.sight.abstaining.get_or_insert(Abstaining {
            cause,
            since,
            returns_after: at.plus(CLEAN_INTERVALS),
        });
        abstaining.cause = cause;
        abstaining.returns_after = abstaining.returns_after.max(at.plus(CLEAN_INTERVALS));
        let abstaining = *abstaining;
        (before != Some(cause.name())).then_some(Change::Abstains(abstaining))
    }

    /// Interval `at` was not clean, for whatever reason.
    fn postpone(&mut self, at: Interval) {
        if let Some(abstaining) = &mut self.sight.abstaining {
            abstaining.returns_after = abstaining.returns_after.max(at.plus(CLEAN_INTERVALS));
        }
    }

    /// After a clock was set back, what lies in its future is counted from now.
    fn keep_near(&mut self, current: Interval) {
        if let Some(abstaining) = &mut self.sight.abstaining {
            abstaining.since = abstaining.since.min(current);
            abstaining.returns_after = abstaining.returns_after.min(current.plus(CLEAN_INTERVALS));
        }
    }

    fn come_back(&mut self, current: Interval) -> Option<Change> {
        let abstaining = self.sight.abstaining.filter(|it| current > it.returns_after)?;
        self.sight.abstaining = None;
        Some(Change::Returned { since: abstaining.since })
    }
}

impl Hearing {
    fn is_eclipse(self) -> bool {
        let heard = usize::try_from(self.heard).unwrap_or(usize::MAX);
        let members = usize::try_from(self.members).unwrap_or(usize::MAX);
        heard.saturating_mul(ECLIPSE_PART) < members
    }
}

/// A count that fits, or the largest.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
