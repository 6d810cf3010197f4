//! The wrong clock of one node: an offset, a drift and steps. Not for: what follows from them.

use boltgrid_protocol::units::Timestamp;

/// One node's clock, as a function of true time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    offset_ms: i64,
    drift_ppm: i64,
    /// Since when it drifts.
    since_ms: u64,
}

impl Clock {
    pub(super) const fn new(since_ms: u64) -> Self {
        Self { offset_ms: 0, drift_ppm: 0, since_ms }
    }

    /// What it shows at true time `now_ms`.
    pub(super) fn shows(&self, now_ms: u64) -> Timestamp {
        let passed = i64::try_from(now_ms.saturating_sub(self.since_ms)).unwrap_or(i64::MAX);
        let drifted = passed.saturating_mul(self.drift_ppm).div_euclid(1_000_000);
        let shown = now_ms.saturating_add_signed(self.offset_ms.saturating_add(drifted));
        Timestamp::from_unix_ms(shown)
    }

    /// How far it is off at true time `now_ms`.
    pub(super) fn error_ms(&self, now_ms: u64) -> u64 {
        self.shows(now_ms).to_unix_ms().abs_diff(now_ms)
    }

    /// Sets it ahead, or back.
    pub(super) const fn step(&mut self, by_ms: i64) {
        self.offset_ms = self.offset_ms.saturating_add(by_ms);
    }

    /// Makes it run fast, or slow, from now on.
    pub(super) fn drift(&mut self, now_ms: u64, drift_ppm: i64) {
        let shown = self.shows(now_ms).to_unix_ms();
        let sign = if shown < now_ms { -1 } else { 1 };
        self.offset_ms =
            sign * i64::try_from(shown.abs_diff(now_ms)).expect("clocks are hours off at most");
        self.since_ms = now_ms;
        self.drift_ppm = drift_ppm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_true_time_with_its_offset_and_drift() {
        let mut clock = Clock::new(1_000);
        assert_eq!(clock.shows(5_000).to_unix_ms(), 5_000);
        clock.step(-300);
        assert_eq!(clock.shows(5_000).to_unix_ms(), 4_700);
        clock.drift(5_000, 1_000);
        assert_eq!(clock.shows(5_000).to_unix_ms(), 4_700);
        assert_eq!(clock.shows(15_000).to_unix_ms(), 14_710);
        assert_eq!(clock.error_ms(15_000), 290);
    }
}
