//! How soon commands follow what happens at the meter. What a sample shows first may have happened
//! right after the one before, so that is where the time is counted from: never too little.

use std::collections::VecDeque;

use boltgrid_miners::react::SAMPLE_MS_MAX;
use boltgrid_protocol::units::Timestamp;

/// The latest reactions that count.
const KEPT_MAX: usize = 1_000;

/// The latest reactions, in ms from a meter's sample to the command that was sent for it.
///
/// Invariant: at most [`KEPT_MAX`].
#[derive(Clone, Debug, Default)]
pub(super) struct Reactions {
    latest_ms: VecDeque<u64>,
}

impl Reactions {
    pub(super) fn note(&mut self, ms: u64) {
        self.latest_ms.push_back(ms);
        if self.latest_ms.len() > KEPT_MAX {
            self.latest_ms.pop_front();
        }
    }

    /// How many count.
    pub(super) fn count(&self) -> usize {
        self.latest_ms.len()
    }

    /// What 95 in a hundred are within; none before the first.
    pub(super) fn ms_p95(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.latest_ms.iter().copied().collect();
        sorted.sort_unstable();
        let place = (sorted.len() * 95).div_ceil(100).checked_sub(1)?;
        sorted.get(place).copied()
    }
}

/// The last two samples of the meter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sampled {
    last: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Sampled {
    /// Since when what the present sample shows may have been so: since the one before, or since it was
    /// taken itself where there was none that counts.
    pub(super) fn caused_at(&mut self, now: Timestamp, sampled: Option<Timestamp>) -> Timestamp {
        if sampled.is_some() && sampled != self.last {
            self.before = self.last;
            self.last = sampled;
        }
        let recent = |at: &Timestamp| now.ms_since(*at) <= SAMPLE_MS_MAX;
        self.before.filter(recent).or(sampled).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_counted_from_the_sample_before_the_one_that_shows_it() {
        let at = Timestamp::from_unix_ms;
        let mut sampled = Sampled::default();
        assert_eq!(sampled.caused_at(at(5), None), at(5));
        assert_eq!(sampled.caused_at(at(1_010), Some(at(1_000))), at(1_000));
        assert_eq!(sampled.caused_at(at(1_210), Some(at(1_200))), at(1_000));
        assert_eq!(sampled.caused_at(at(1_300), Some(at(1_200))), at(1_000), "the same sample");
        assert_eq!(sampled.caused_at(at(9_000), Some(at(8_990))), at(8_990), "after a gap");
    }

    #[test]
    fn five_in_a_hundred_may_take_longer() {
        let mut reactions = Reactions::default();
        assert_eq!(reactions.ms_p95(), None);
        reactions.note(7);
        assert_eq!(reactions.ms_p95(), Some(7));
        (1..=100).rev().for_each(|ms| reactions.note(ms));
        assert_eq!(reactions.ms_p95(), Some(95), "of 101, the 96th");
    }

    #[test]
    fn old_ones_are_forgotten() {
        let mut reactions = Reactions::default();
        reactions.note(9_999);
        (0..KEPT_MAX).for_each(|_| reactions.note(1));
        assert_eq!((reactions.ms_p95(), reactions.count()), (Some(1), KEPT_MAX));
    }
}
