//! How fast one connection may bring bytes, whatever they are.
//!
//! This is what bounds the cost of what nobody can be blamed for: the same message a thousand times,
//! empty requests, streams that are opened and closed. Nothing is lost by it: what is not read yet
//! waits with the sender, since the windows of a connection are bounded too ([`super::transport`]).
//! Not for: what is in the bytes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Bytes at once, and bytes per second after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Speed {
    burst: u64,
    per_s: u64,
}

/// Of a member: many intervals' gossip of a thousand members, or a history being caught up on.
pub(super) const MEMBER: Speed = Speed { burst: 16 << 20, per_s: 4 << 20 };
/// Of a stranger: it looks up records and passes on what we lack.
pub(super) const STRANGER: Speed = Speed { burst: 1 << 20, per_s: 256 << 10 };
/// What opening a stream counts for: about what it costs to agree on its protocol.
pub(super) const STREAM_BYTES: u64 = 1024;
/// The shortest wait, so that a slow connection does not wake us for every byte.
const WAIT_MIN: Duration = Duration::from_millis(20);

/// The bytes that a connection may still bring.
#[derive(Debug)]
struct Allowance {
    left: u64,
    /// Read beyond what was left; to be earned first.
    owed: u64,
    since: Instant,
}

/// The pace of one connection, shared by its streams.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<Allowance>);

impl Throttle {
    /// That of a new connection of a peer of this speed.
    pub(super) const fn new(speed: Speed, now: Instant) -> Self {
        Self(Mutex::new(Allowance { left: speed.burst, owed: 0, since: now }))
    }

    /// Counts bytes that were read.
    pub(super) fn charge(&self, bytes: u64) {
        let mut allowance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = bytes.saturating_sub(allowance.left);
        allowance.left = allowance.left.saturating_sub(bytes);
        allowance.owed = allowance.owed.saturating_add(more);
    }

    /// How long to wait before the next byte is read; none where it may be read now.
    pub(super) fn wait(&self, speed: Speed, now: Instant) -> Option<Duration> {
        let mut allowance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(allowance.since).as_millis();
        let passed_ms = u64::try_from(passed).unwrap_or(u64::MAX);
        let earned = passed_ms.saturating_mul(speed.per_s).div_euclid(1000);
        if earned > 0 {
            allowance.since = now;
            let paid = earned.min(allowance.owed);
            allowance.owed = allowance.owed.saturating_sub(paid);
            let rest = earned.saturating_sub(paid);
            allowance.left = allowance.left.saturating_add(rest).min(speed.burst);
        }
        if allowance.left > 0 {
            return None;
        }
        let wait_ms = allowance.owed.saturating_mul(1000).checked_div(speed.per_s).unwrap_or(0);
        Some(Duration::from_millis(wait_ms).max(WAIT_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEED: Speed = Speed { burst: 1000, per_s: 100 };

    /// Reads in pieces of so many bytes until it has to wait. Returns how many bytes came through.
    fn read(throttle: &Throttle, piece: u64, now: Instant) -> u64 {
        let free = (0..100).take_while(|_| {
            let is_free = throttle.wait(SPEED, now).is_none();
            if is_free {
                throttle.charge(piece);
            }
            is_free
        });
        piece * u64::try_from(free.count()).unwrap()
    }

    #[test]
    fn a_burst_comes_at_once_and_then_so_much_a_second() {
        let start = Instant::now();
        let throttle = Throttle::new(SPEED, start);
        assert_eq!(read(&throttle, 100, start), 1000);
        let second = Duration::from_secs(1);
        assert_eq!(throttle.wait(SPEED, start), Some(WAIT_MIN));
        assert_eq!(read(&throttle, 50, start + second), 100);
        assert_eq!(read(&throttle, 50, start + second * 3), 200);
        assert_eq!(read(&throttle, 100, start + second * 100), 1000, "no more than a burst");
    }

    #[test]
    fn what_was_read_beyond_the_allowance_is_earned_first() {
        let start = Instant::now();
        let throttle = Throttle::new(SPEED, start);
        assert_eq!(read(&throttle, 1200, start), 1200);
        let second = Duration::from_secs(1);
        assert_eq!(throttle.wait(SPEED, start), Some(second * 2));
        assert!(throttle.wait(SPEED, start + second).is_some());
        assert!(throttle.wait(SPEED, start + second * 3).is_none());
    }

    #[test]
    fn looking_often_earns_no_less_than_looking_once() {
        let start = Instant::now();
        let throttle = Throttle::new(SPEED, start);
        throttle.charge(1000);
        let step = Duration::from_millis(1);
        let free = (1..2000).find(|steps| throttle.wait(SPEED, start + step * *steps).is_none());
        assert_eq!(free, Some(10), "the first byte, after ten milliseconds");
    }
}
