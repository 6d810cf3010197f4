//! Whether the clock moves as time passes: it is compared with the monotonic one at every look (P25).

use std::time::{Duration, Instant};

use boltgrid_market::abstention::ClockCheck;
use boltgrid_protocol::units::Timestamp;

/// The smallest jump: what a busy machine can seem to do by itself is less.
const JUMP_MIN_MS: u64 = 500;
/// Between two looks of a node that is not stopped.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A node that did not look for so long, and the skew, was stopped.
const STOPPED_AFTER: Duration = Duration::from_secs(1);
const _: () = assert!(LOOK_EVERY.as_millis() * 2 <= STOPPED_AFTER.as_millis());
/// Two clocks read within this time count as read at once.
const AT_ONCE: Duration = Duration::from_millis(20);
/// How often reading both at once is tried before a look is left out.
const TRIES: usize = 3;

/// Notices when the clock is set, when the machine slept, and when the process was stopped.
#[derive(Debug)]
pub(crate) struct Steadiness {
    jump_ms: u64,
    pause: Duration,
    last: Option<(Timestamp, Instant)>,
    /// Whether the node has looked since it runs: how long it took to start is no pause.
    has_looked: bool,
}

impl Steadiness {
    /// Counts from now, so that a clock that is set while the node starts has jumped, too.
    pub(crate) fn begin(clock_skew_max_ms: u64) -> Self {
        Self { last: read_both(), ..Self::new(clock_skew_max_ms) }
    }

    fn new(clock_skew_max_ms: u64) -> Self {
        Self {
            jump_ms: clock_skew_max_ms.max(JUMP_MIN_MS),
            pause: STOPPED_AFTER + Duration::from_millis(clock_skew_max_ms),
            last: None,
            has_looked: false,
        }
    }

    /// Looks at both clocks.
    pub(crate) fn look(&mut self) -> Option<ClockCheck> {
        let (wall, now) = (0..TRIES).find_map(|_| read_both())?;
        self.compare(wall, now)
    }

    /// The machine's sleep stops the monotonic clock, and so is a jump; a process that is stopped
    /// has both clocks go on, and so is a pause.
    fn compare(&mut self, wall: Timestamp, now: Instant) -> Option<ClockCheck> {
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let (last_wall, last) = self.last.replace((wall, now))?;
        let passed = now.saturating_duration_since(last);
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let moved_ms = ms(wall.ms_since(last_wall)).saturating_sub(ms(last_wall.ms_since(wall)));
        let by_ms = moved_ms.saturating_sub(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX));
        if by_ms.unsigned_abs() > self.jump_ms {
            Some(ClockCheck::Jumped { by_ms })
        } else {
            (passed > self.pause && !is_first).then_some(ClockCheck::Paused)
        }
    }
}

/// Both clocks, if nothing came between reading one and the other.
fn read_both() -> Option<(Timestamp, Instant)> {
    let before = Instant::now();
    let wall = super::now();
    (before.elapsed() <= AT_ONCE).then_some((wall, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    /// What is found when the clocks move by so many milliseconds from one look to the next.
    fn found(clock_skew_max_ms: u64, wall_ms: i64, passed_ms: u64) -> Option<ClockCheck> {
        let mut steadiness = Steadiness::new(clock_skew_max_ms);
        let start = Instant::now();
        assert_eq!(steadiness.compare(WALL, start), None, "one look says nothing");
        let wall = Timestamp::from_unix_ms(WALL.to_unix_ms().saturating_add_signed(wall_ms));
        steadiness.compare(wall, start + Duration::from_millis(passed_ms))
    }

    #[test]
    fn a_slow_start_is_no_pause_and_a_clock_that_is_set_meanwhile_has_jumped() {
        let first_look = |wall_ms: u64, passed_ms| {
            let mut steadiness = Steadiness::begin(300);
            let (wall, now) = steadiness.last.expect("nothing came between");
            let passed = Duration::from_millis(passed_ms);
            let first = steadiness.compare(wall.plus_ms(wall_ms), now + passed);
            let again = steadiness.compare(wall.plus_ms(wall_ms + 9_000), now + passed * 10);
            (first, again)
        };
        assert_eq!(first_look(1_000, 1_000), (None, Some(ClockCheck::Paused)));
        assert_eq!(first_look(9_000, 9_000).0, None);
        assert_eq!(first_look(31_000, 1_000).0, Some(ClockCheck::Jumped { by_ms: 30_000 }));
    }

    #[test]
    fn a_clock_that_moves_as_time_passes_is_steady() {
        for (wall_ms, passed_ms) in [(0, 0), (1, 1), (1000, 1000), (1300, 1300)] {
            assert_eq!(found(300, wall_ms, passed_ms), None);
        }
        assert_eq!(found(300, 1500, 1000), None, "half a second more is none yet");
        assert_eq!(found(300, -500, 0), None);
    }

    #[test]
    fn a_clock_that_is_set_jumps_either_way() {
        assert_eq!(found(300, 3100, 100), Some(ClockCheck::Jumped { by_ms: 3000 }));
        assert_eq!(found(300, -2900, 100), Some(ClockCheck::Jumped { by_ms: -3000 }));
        assert_eq!(found(300, 501, 0), Some(ClockCheck::Jumped { by_ms: 501 }));
        assert_eq!(found(1000, 1000, 0), None, "a charter may allow more");
        assert_eq!(found(1000, 1001, 0), Some(ClockCheck::Jumped { by_ms: 1001 }));
    }

    #[test]
    fn a_machine_that_slept_has_jumped_and_a_process_that_was_stopped_has_not() {
        assert_eq!(found(300, 60_010, 10), Some(ClockCheck::Jumped { by_ms: 60_000 }));
        assert_eq!(found(300, 60_010, 60_010), Some(ClockCheck::Paused));
        assert_eq!(found(300, 1301, 1301), Some(ClockCheck::Paused));
    }

    #[test]
    fn looks_at_the_real_clocks_find_nothing() {
        let mut steadiness = Steadiness::new(300);
        let jumps = |_| matches!(steadiness.look(), Some(ClockCheck::Jumped { .. }));
        assert!(!(0..1000).any(jumps));
    }
}
