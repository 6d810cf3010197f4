//! Lengths of the interval and its phases, and the moments of one interval computed from them.
//!
//! ```text
//!   order window   guard   gate   views …            confirm by   delivery           readings by
//!   |--------------|-------|------|----|----|----|---|------------|==================|---|
//!   opens        closes   T_g    first proposal       T_c         D                  D+len
//! ```

use serde::{Deserialize, Serialize};

use super::{CharterRejected, require};
use crate::units::{Interval, Timestamp};

/// Most views of one interval.
const VIEWS_MAX: u32 = 32;

/// Interval and phase lengths, all in milliseconds (P10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Length of one interval.
    pub interval_ms: u64,
    /// Gate closure, this long before delivery starts.
    pub gate_before_delivery_ms: u64,
    /// The order window opens this long before the gate.
    pub orders_open_before_gate_ms: u64,
    /// The order window closes this long before the gate.
    pub orders_close_before_gate_ms: u64,
    /// The first view starts this long after the gate, when acks have travelled.
    pub proposal_after_gate_ms: u64,
    /// Length of one view.
    pub view_ms: u64,
    /// Number of views; no book after the last means no decision.
    pub views: u32,
    /// Confirms count until this long after the gate.
    pub confirm_by_after_gate_ms: u64,
    /// Readings count until this long after delivery ends.
    pub readings_by_after_delivery_ms: u64,
    /// Clocks of members differ by at most this much.
    pub clock_skew_max_ms: u64,
}

impl Timing {
    pub(super) fn check(&self) -> Result<(), CharterRejected> {
        require((1_000..=3_600_000).contains(&self.interval_ms), "interval.interval_ms", || {
            format!("must be 1000 (a second) to 3600000 (an hour), is {}", self.interval_ms)
        })?;
        require((1..=VIEWS_MAX).contains(&self.views), "interval.views", || {
            format!("must be 1 to {VIEWS_MAX}, is {}", self.views)
        })?;
        require(self.view_ms >= 100, "interval.view_ms", || {
            format!("must be at least 100, is {}", self.view_ms)
        })?;
        require(
            self.orders_close_before_gate_ms < self.orders_open_before_gate_ms,
            "interval.orders_close_before_gate_ms",
            || "must be less than interval.orders_open_before_gate_ms".to_owned(),
        )?;
        require(
            self.clock_skew_max_ms <= self.orders_close_before_gate_ms,
            "interval.clock_skew_max_ms",
            || {
                "must be at most interval.orders_close_before_gate_ms, or honest orders come late"
                    .to_owned()
            },
        )?;
        let views_ms = self.view_ms.saturating_mul(u64::from(self.views));
        require(
            self.proposal_after_gate_ms.saturating_add(views_ms) <= self.confirm_by_after_gate_ms,
            "interval.confirm_by_after_gate_ms",
            || "must leave room for proposal_after_gate_ms and all views".to_owned(),
        )?;
        require(
            self.confirm_by_after_gate_ms <= self.gate_before_delivery_ms,
            "interval.gate_before_delivery_ms",
            || {
                "must be at least confirm_by_after_gate_ms: trades are firm before delivery"
                    .to_owned()
            },
        )?;
        require(
            self.orders_open_before_gate_ms.saturating_add(self.gate_before_delivery_ms)
                <= self.interval_ms.saturating_mul(2),
            "interval.orders_open_before_gate_ms",
            || "with gate_before_delivery_ms must fit two intervals".to_owned(),
        )?;
        require(
            (1..=self.interval_ms).contains(&self.readings_by_after_delivery_ms),
            "interval.readings_by_after_delivery_ms",
            || format!("must be 1 to interval_ms ({})", self.interval_ms),
        )
    }

    /// The interval whose delivery `now` falls into.
    #[must_use]
    pub fn interval_at(&self, now: Timestamp) -> Interval {
        // A checked charter has a length above zero.
        Interval::from_number(now.to_unix_ms().checked_div(self.interval_ms).unwrap_or(0))
    }

    /// When delivery of `interval` starts.
    #[must_use]
    pub const fn start_of(&self, interval: Interval) -> Timestamp {
        Timestamp::from_unix_ms(interval.to_number().saturating_mul(self.interval_ms))
    }

    /// All moments of `interval`.
    #[must_use]
    pub const fn schedule(&self, interval: Interval) -> Schedule {
        let delivery_starts = self.start_of(interval);
        let delivery_ends = delivery_starts.plus_ms(self.interval_ms);
        let gate = delivery_starts.minus_ms(self.gate_before_delivery_ms);
        Schedule {
            orders_open: gate.minus_ms(self.orders_open_before_gate_ms),
            orders_close: gate.minus_ms(self.orders_close_before_gate_ms),
            gate,
            first_view: gate.plus_ms(self.proposal_after_gate_ms),
            view_ms: self.view_ms,
            views: self.views,
            confirm_by: gate.plus_ms(self.confirm_by_after_gate_ms),
            delivery_starts,
            delivery_ends,
            readings_by: delivery_ends.plus_ms(self.readings_by_after_delivery_ms),
        }
    }
}

/// The moments of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Orders may be published.
    pub orders_open: Timestamp,
    /// Honest orders are out.
    pub orders_close: Timestamp,
    /// Gate closure: orders seen by now are acked.
    pub gate: Timestamp,
    /// The first view starts.
    pub first_view: Timestamp,
    view_ms: u64,
    views: u32,
    /// Confirms count until now.
    pub confirm_by: Timestamp,
    /// Delivery starts.
    pub delivery_starts: Timestamp,
    /// Delivery ends.
    pub delivery_ends: Timestamp,
    /// Readings count until now.
    pub readings_by: Timestamp,
}

impl Schedule {
    /// When `view` starts; for the number of views, when the last one ends.
    #[must_use]
    pub const fn view_starts(&self, view: u32) -> Timestamp {
        self.first_view.plus_ms(self.view_ms.saturating_mul(view as u64))
    }

    /// A moment inside `view`, `percent` of its length after its start.
    #[must_use]
    pub const fn within_view(&self, view: u32, percent: u64) -> Timestamp {
        let part = self.view_ms.saturating_mul(percent).div_euclid(100);
        self.view_starts(view).plus_ms(part)
    }

    /// When the last view ends: no book by now means no decision.
    #[must_use]
    pub const fn views_end(&self) -> Timestamp {
        self.view_starts(self.views)
    }
}
