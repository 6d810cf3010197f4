//! How soon commands follow the samples that cause them.

use std::collections::VecDeque;

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

#[cfg(test)]
mod tests {
    use super::*;

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
