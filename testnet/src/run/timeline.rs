//! When a run begins: the first traded interval, which is when the plant starts to move.
//!
//! Until then meters show the powers of the first row and batteries stand still, whatever nodes that
//! are up early order of them: so a run does not depend on how long its nodes took to start.
//! Not for: what happens then.

use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::units::{Interval, Timestamp};

/// How long the first node takes to start, on a slow machine.
const STARTUP_MS: u64 = 3_000;
/// How much longer with every further node.
const STARTUP_MS_PER_NODE: u64 = 400;

/// How long it takes until the first node has coins and channels …
const MONEY_MS: u64 = 14_000;
/// … and how much longer with every further node.
const MONEY_MS_PER_NODE: u64 = 500;

/// How long until so many nodes can be ready; with coins and channels, where they pay.
#[must_use]
pub fn startup_ms(nodes: usize, pays: bool) -> u64 {
    let nodes = u64::try_from(nodes).unwrap_or(u64::MAX);
    let of = |base_ms: u64, each_ms: u64| base_ms.saturating_add(each_ms.saturating_mul(nodes));
    let money_ms = if pays { of(MONEY_MS, MONEY_MS_PER_NODE) } else { 0 };
    of(STARTUP_MS, STARTUP_MS_PER_NODE).saturating_add(money_ms)
}

/// When what begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// When the plant starts to move: when the first interval's delivery starts.
    pub epoch: Timestamp,
    /// The row of the profiles that begins then.
    pub epoch_row: usize,
    /// The interval that stands for the row asked for.
    pub first: Interval,
}

impl Timeline {
    /// The earliest that nodes which start `now` and take so long can be ready for, from row
    /// `from_row` of `rows`.
    #[must_use]
    pub fn plan(
        now: Timestamp,
        timing: &Timing,
        startup_ms: u64,
        (from_row, rows): (usize, usize),
    ) -> Self {
        let first = first_open(timing, now.plus_ms(startup_ms));
        Self { epoch: timing.start_of(first), epoch_row: from_row % rows, first }
    }
}

/// The first interval whose order window opens at `ready` or after it.
#[must_use]
pub fn first_open(timing: &Timing, ready: Timestamp) -> Interval {
    let lead_ms = timing.gate_before_delivery_ms.saturating_add(timing.orders_open_before_gate_ms);
    let delivery = ready.plus_ms(lead_ms);
    let interval = timing.interval_at(delivery);
    if timing.start_of(interval) >= delivery { interval } else { interval.next() }
}

/// The first interval in which a node restarted at `restarted` must be trading: two after the one
/// that was being delivered then, or the first whose order window it can be in time for.
#[must_use]
pub fn due_back(timing: &Timing, restarted: Timestamp) -> Interval {
    timing.interval_at(restarted).plus(2).max(first_open(timing, restarted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        interval_ms: 10_000,
        gate_before_delivery_ms: 6_500,
        orders_open_before_gate_ms: 2_500,
        orders_close_before_gate_ms: 500,
        proposal_after_gate_ms: 300,
        view_ms: 800,
        views: 6,
        confirm_by_after_gate_ms: 6_000,
        readings_by_after_delivery_ms: 3_000,
        clock_skew_max_ms: 300,
    };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    #[test]
    fn an_order_window_is_met_if_one_is_ready_when_it_opens() {
        // The window of interval 101 opens at 1 001 000.
        let check = |ready_ms, expected| {
            let first = first_open(&TIMING, at(ready_ms));
            assert_eq!(first.to_number(), expected, "{ready_ms}");
            assert!(TIMING.schedule(first).orders_open >= at(ready_ms));
            assert!(TIMING.schedule(first.previous()).orders_open < at(ready_ms));
        };
        check(0, 101);
        check(1_000, 101);
        check(1_001, 102);
        check(10_999, 102);
    }

    #[test]
    fn the_row_asked_for_is_that_of_the_first_interval() {
        for now_ms in (0..20_000).step_by(777) {
            for (from_row, rows) in [(500, 1000), (0, 1000), (1, 3), (0, 1)] {
                let startup_ms = startup_ms(13, false);
                let plan = Timeline::plan(at(now_ms), &TIMING, startup_ms, (from_row, rows));
                assert!(plan.epoch > at(now_ms));
                assert_eq!(plan.epoch.to_unix_ms() % TIMING.interval_ms, 0);
                assert!(plan.epoch_row < rows);
                assert_eq!(plan.epoch, TIMING.start_of(plan.first));
                assert_eq!(plan.epoch_row, from_row);
                let opens = TIMING.schedule(plan.first).orders_open;
                assert!(opens >= at(now_ms + startup_ms));
            }
        }
    }

    #[test]
    fn a_restarted_node_is_due_two_intervals_later() {
        for offset_ms in [0, 1, 5_000, 9_999] {
            assert_eq!(due_back(&TIMING, at(offset_ms)).to_number(), 102, "{offset_ms}");
        }
    }
}
