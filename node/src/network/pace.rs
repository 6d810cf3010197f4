//! Two ways not to do something too often: waiting longer after each try, and a bucket of tokens.

use std::time::Duration;

use tokio::time::Instant;

/// Waits twice as long after each try, up to a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    next: Instant,
    wait: Duration,
    wait_min: Duration,
    wait_max: Duration,
}

impl Backoff {
    /// The first try may be made at `now`.
    pub(super) const fn new(now: Instant, wait_min: Duration, wait_max: Duration) -> Self {
        Self { next: now, wait: wait_min, wait_min, wait_max }
    }

    /// Whether the next try may be made.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// Notes a try.
    pub(super) fn tried(&mut self, now: Instant) {
        self.next = now + self.wait;
        self.wait = self.wait.saturating_mul(2).min(self.wait_max);
    }

    /// The next try may be made after `wait`, whatever was tried before.
    pub(super) fn retry_in(&mut self, now: Instant, wait: Duration) {
        self.next = now + wait;
    }

    /// Starts again with the shortest wait, and at `now`.
    pub(super) const fn restart(&mut self, now: Instant) {
        self.next = now;
        self.wait = self.wait_min;
    }
}

/// So many at once, and one more now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Most tokens at once.
    pub(super) capacity: u32,
    /// One more token in this time.
    pub(super) one_more_in: Duration,
}

/// Tokens to be taken at a rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenBucket {
    rate: Rate,
    tokens: u32,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) const fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: rate.capacity, filled: now }
    }

    /// Takes a token, if there is one.
    #[must_use]
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let Rate { capacity, one_more_in } = self.rate;
        let since = now.saturating_duration_since(self.filled);
        let earned = since.as_millis().checked_div(one_more_in.as_millis()).unwrap_or(0);
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if self.tokens.saturating_add(earned) >= capacity {
            *self = Self::new(self.rate, now);
        } else {
            self.tokens = self.tokens.saturating_add(earned);
            self.filled += one_more_in.saturating_mul(earned);
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_again() {
        let second = Duration::from_secs(1);
        let mut now = Instant::now();
        let mut backoff = Backoff::new(now, second, second * 4);
        for wait in [1, 2, 4, 4] {
            assert!(backoff.is_due(now));
            backoff.tried(now);
            assert!(!backoff.is_due(now + second * wait - Duration::from_millis(1)));
            now += second * wait;
        }
        backoff.tried(now);
        backoff.restart(now);
        assert!(backoff.is_due(now));
    }

    #[test]
    fn a_bucket_gives_its_capacity_at_once_and_then_its_rate() {
        let start = Instant::now();
        let rate = Rate { capacity: 32, one_more_in: Duration::from_millis(125) };
        let mut bucket = TokenBucket::new(rate, start);
        let taken =
            |bucket: &mut TokenBucket, now| (0..1000).take_while(|_| bucket.take(now)).count();
        assert_eq!(taken(&mut bucket, start), 32);
        assert_eq!(taken(&mut bucket, start + rate.one_more_in / 2), 0);
        assert_eq!(taken(&mut bucket, start + rate.one_more_in), 1);
        assert_eq!(taken(&mut bucket, start + rate.one_more_in * 4), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(3600)), 32);
    }
}
