//! From verdicts to an anomaly with a beginning and an end, so that noise does not make it come and go.

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Finding, Verdict};

/// Something that cannot be, for as long as it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What was seen last.
    pub finding: Finding,
    /// When it was seen first.
    pub began_at: Timestamp,
    /// When it was seen last.
    pub seen_at: Timestamp,
    /// How often it was seen.
    pub count: u64,
    /// When it was over: none while it stands.
    pub ended_at: Option<Timestamp>,
}

/// What became of an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stands from now on.
    Began(Anomaly),
    /// It is over.
    Ended(Anomaly),
}

impl Change {
    /// The anomaly, as it is now.
    #[must_use]
    pub const fn anomaly(&self) -> &Anomaly {
        match self {
            Self::Began(anomaly) | Self::Ended(anomaly) => anomaly,
        }
    }
}

/// Follows one kind of anomaly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracker {
    /// Violations in a row that make an anomaly.
    raise_after: u32,
    /// How long after it was seen last it is over, if the check holds then.
    clean_ms: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Clean,
    /// Seen, but not often enough.
    Suspected(Anomaly),
    Standing(Anomaly),
}

impl Tracker {
    pub(super) const fn new(raise_after: u32, clean_ms: u64) -> Self {
        Self { raise_after, clean_ms, state: State::Clean }
    }

    pub(super) const fn standing(&self) -> Option<&Anomaly> {
        match &self.state {
            State::Standing(anomaly) => Some(anomaly),
            State::Clean | State::Suspected(_) => None,
        }
    }

    pub(super) fn judge(&mut self, at: Timestamp, verdict: Verdict) -> Option<Change> {
        match verdict {
            Verdict::Violated(finding) => self.violated(at, finding),
            Verdict::Holds => self.holds(at),
            Verdict::Unknown => None,
        }
    }

    fn violated(&mut self, at: Timestamp, finding: Finding) -> Option<Change> {
        let seen = match self.state {
            State::Clean => {
                Anomaly { finding, began_at: at, seen_at: at, count: 1, ended_at: None }
            }
            State::Suspected(it) | State::Standing(it) => {
                let count = it.count.saturating_add(1);
                Anomaly { finding, seen_at: at.max(it.seen_at), count, ..it }
            }
        };
        let stood = matches!(self.state, State::Standing(_));
        let stands = stood || seen.count >= u64::from(self.raise_after);
        self.state = if stands { State::Standing(seen) } else { State::Suspected(seen) };
        (stands && !stood).then_some(Change::Began(seen))
    }

    fn holds(&mut self, at: Timestamp) -> Option<Change> {
        let State::Standing(anomaly) = self.state else {
            self.state = State::Clean;
            return None;
        };
        if at.ms_since(anomaly.seen_at) < self.clean_ms {
            return None;
        }
        self.state = State::Clean;
        Some(Change::Ended(Anomaly { ended_at: Some(at), ..anomaly }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    const GAP: Verdict = Verdict::Violated(Finding::Gap { for_ms: 1 });

    #[test]
    fn noise_begins_nothing_and_ends_nothing() {
        let mut tracker = Tracker::new(3, 1_000);
        let verdicts = [GAP, GAP, Verdict::Holds, GAP, GAP, Verdict::Holds];
        for (ms, verdict) in (0..).zip(verdicts) {
            assert_eq!(tracker.judge(at(ms), verdict), None);
        }
        assert!([GAP, GAP].map(|it| tracker.judge(at(10), it)).iter().all(Option::is_none));
        let Some(Change::Began(began)) = tracker.judge(at(12), GAP) else { panic!("it stands") };
        assert_eq!((began.began_at, began.seen_at, began.count), (at(10), at(12), 3));
        assert_eq!(tracker.judge(at(1_011), Verdict::Holds), None, "not clean for long enough");
        assert_eq!(tracker.judge(at(1_011), GAP), None, "it stands already");
        assert_eq!(tracker.judge(at(2_010), Verdict::Holds), None);
        let Some(Change::Ended(ended)) = tracker.judge(at(2_011), Verdict::Holds) else {
            panic!("it is over")
        };
        assert_eq!((ended.count, ended.ended_at), (4, Some(at(2_011))));
        assert!(tracker.standing().is_none());
    }

    proptest! {
        /// What begins ends before it begins again, and whatever stands has been told.
        #[test]
        fn beginnings_and_ends_take_turns(
            steps in prop::collection::vec((0_u64..3_000, 0_u8..3), 0..200),
        ) {
            let mut tracker = Tracker::new(2, 2_000);
            let (mut now, mut stands) = (0, false);
            for (pause_ms, verdict) in steps {
                now += pause_ms;
                let verdict = match verdict {
                    0 => GAP,
                    1 => Verdict::Holds,
                    _ => Verdict::Unknown,
                };
                match tracker.judge(at(now), verdict) {
                    Some(Change::Began(_)) => {
                        prop_assert!(!stands);
                        stands = true;
                    }
                    Some(Change::Ended(_)) => {
                        prop_assert!(stands);
                        stands = false;
                    }
                    None => {}
                }
                prop_assert_eq!(tracker.standing().is_some(), stands);
            }
        }
    }
}
