//! How much gas flows, from a meter that counts it in pulses.
//!
//! A counter moves in steps, so its flow is what it moved over a while: from the oldest count that is
//! remembered to the newest. Not for: how the meter is read, or what becomes of the gas
//! ([`crate::flare`]).

use std::collections::VecDeque;

use boltgrid_protocol::units::{Power, Timestamp};

/// Counts that are remembered at most.
const COUNTS_MAX: usize = 4_096;
/// A millilitre a millisecond, of which a cubic metre gives a watt-hour, is so many milliwatts:
/// 10⁻⁶ m³ · 3.6·10⁶ ms/h · 10³ mW/W.
pub(crate) const MW_MS_PER_ML: u32 = 3_600;

/// What a gas meter counted lately.
///
/// Invariant: at most [`COUNTS_MAX`] counts, in the order of their times, none below the one before.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Over how long the flow is taken.
    window_ms: u64,
    /// What the count may grow by in a millisecond; more is no flow but another counter.
    ml_per_ms_max: u64,
    counts: VecDeque<(Timestamp, u64)>,
}

impl Flow {
    /// Nothing yet. A flow is taken over `window_ms`, and none is more than `m3_per_h_max`.
    #[must_use]
    pub fn new(window_ms: u64, m3_per_h_max: u32) -> Self {
        // 1 m³/h is 1 000 000 ml in 3 600 000 ms; rounded up.
        let ml_per_ms_max = u64::from(m3_per_h_max).saturating_mul(10).div_ceil(36);
        Self { window_ms, ml_per_ms_max, counts: VecDeque::new() }
    }

    /// Takes what the meter counted until `at`, in ml, and says by how much that is more than before;
    /// none where it cannot be: it is the first count, one of the past, or the counter is another.
    pub fn count(&mut self, at: Timestamp, ml: u64) -> Option<u64> {
        let Some((last_at, last_ml)) = self.counts.back().copied() else {
            self.counts.push_back((at, ml));
            return None;
        };
        let passed_ms = at.ms_since(last_at);
        if at <= last_at {
            return None;
        }
        let grown = ml.checked_sub(last_ml);
        // A pulse stands for what flowed before as well, so a little more than the most may show.
        let most = self.ml_per_ms_max.saturating_mul(passed_ms.saturating_add(self.window_ms));
        let grown = grown.filter(|grown| *grown <= most);
        if grown.is_none() {
            self.counts.clear();
        }
        self.counts.push_back((at, ml));
        // One count at the beginning of the window or before it is kept.
        let from = at.minus_ms(self.window_ms);
        while self.counts.get(1).is_some_and(|(second, _)| *second <= from)
            || self.counts.len() > COUNTS_MAX
        {
            self.counts.pop_front();
        }
        grown
    }

    /// The heat of what flows at `now`, rounded down, where a cubic metre gives `wh_per_m3`; none where
    /// the meter was not seen for a window, or not yet for half of one.
    #[must_use]
    pub fn heat_floor(&self, now: Timestamp, wh_per_m3: u32) -> Option<Power> {
        let (first_at, first_ml) = *self.counts.front()?;
        let (last_at, last_ml) = *self.counts.back()?;
        let over_ms = last_at.ms_since(first_at);
        if now.ms_since(last_at) > self.window_ms || over_ms < self.window_ms.div_ceil(2) {
            return None;
        }
        let ml = i128::from(last_ml.checked_sub(first_ml)?);
        let heat = ml.checked_mul(i128::from(wh_per_m3))?.checked_mul(i128::from(MW_MS_PER_ML))?;
        let mw = heat.checked_div(i128::from(over_ms))?;
        i64::try_from(mw).ok().map(Power::from_milliwatts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    /// A meter that is read each second while 36 m³/h flow: 10 l/s.
    fn seen(seconds: u64) -> Flow {
        let mut flow = Flow::new(10_000, 100);
        for second in 0..=seconds {
            flow.count(at(second * 1_000), second * 10_000);
        }
        flow
    }

    #[test]
    fn a_flow_is_what_was_counted_over_a_window() {
        // 36 m³/h of 10 kWh each.
        let heat = Some(Power::from_milliwatts(360_000_000));
        assert_eq!(seen(30).heat_floor(at(30_000), 10_000), heat);
        assert_eq!(seen(5).heat_floor(at(5_000), 10_000), heat, "half a window is enough");
        assert_eq!(seen(4).heat_floor(at(4_000), 10_000), None, "less is not");
        assert_eq!(seen(30).heat_floor(at(40_001), 10_000), None, "what it said is old");
    }

    #[test]
    fn a_window_forgets_what_flowed_before_it() {
        let mut flow = seen(30);
        for second in 31..=40 {
            flow.count(at(second * 1_000), 300_000);
        }
        assert_eq!(flow.heat_floor(at(40_000), 10_000), Some(Power::ZERO));
    }

    #[test]
    fn what_cannot_have_flowed_is_another_counter_and_no_gas() {
        let mut flow = seen(10);
        assert_eq!(flow.count(at(11_000), 99_000), None, "it went back");
        assert_eq!(flow.heat_floor(at(11_000), 10_000), None);
        assert_eq!(flow.count(at(12_000), 109_000), Some(10_000));
        assert_eq!(flow.count(at(13_000), 99_000_000), None, "it leapt");
        assert_eq!(flow.count(at(13_000), 99_000_000), None, "no time has passed");
    }
}
