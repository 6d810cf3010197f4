//! When devices are read: right after each interval's edge, and evenly in between.
//! Not for: waiting.

use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::units::Timestamp;

/// Devices are read this long after an edge, when those that refresh at it have done so and no
/// rounding of a timer makes it before.
const AFTER_EDGE_MS: u64 = 20;

/// The moments at which all devices of a site are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) timing: Timing,
    pub(super) sample_every_ms: u64,
}

impl Schedule {
    /// The first moment after `now`.
    pub(super) fn after(&self, now: Timestamp) -> Timestamp {
        let interval = self.timing.interval_at(now.minus_ms(AFTER_EDGE_MS));
        let first = self.timing.start_of(interval).plus_ms(AFTER_EDGE_MS);
        let next_first = self.timing.start_of(interval.next()).plus_ms(AFTER_EDGE_MS);
        // Before the very first of all, time is too short for a difference.
        let taken = now.ms_since(first) / self.sample_every_ms;
        first.plus_ms((taken + 1) * self.sample_every_ms).min(next_first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::tests::charter;

    #[test]
    fn every_edge_is_sampled_right_after_and_the_rest_evenly() {
        let schedule = Schedule { timing: charter(2_500).interval, sample_every_ms: 1_000 };
        let mut now = Timestamp::from_unix_ms(2_500);
        let moments: Vec<u64> = (0..6)
            .map(|_| {
                now = schedule.after(now);
                now.to_unix_ms()
            })
            .collect();
        assert_eq!(moments, [2_520, 3_520, 4_520, 5_020, 6_020, 7_020]);
    }

    #[test]
    fn a_missed_moment_is_not_made_up_for() {
        let schedule = Schedule { timing: charter(10_000).interval, sample_every_ms: 1_000 };
        let check = |now_ms, expected_ms| {
            let next = schedule.after(Timestamp::from_unix_ms(now_ms));
            assert_eq!(next.to_unix_ms(), expected_ms, "after {now_ms}");
        };
        check(13_019, 13_020);
        check(13_020, 14_020);
        check(13_999, 14_020);
        check(19_500, 20_020);
        check(0, 1_020);
    }
}
