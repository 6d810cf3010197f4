//! Load and PV of a coming interval: what they are now, changed as much as they changed yesterday.
//! Not for: weather, or learning; both can replace [`History::forecast`] and nothing else.

use std::collections::BTreeMap;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::units::{Interval, Power};

/// What the site's devices did at one time, or are expected to do. Both are positive amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// What the site consumes, without its battery.
    pub load: Power,
    /// What its PV could give if it were not turned down.
    pub pv: Power,
}

/// Samples of the last day, one an interval, and the forecast that follows from them.
///
/// Bounded by one day of intervals.
#[derive(Clone, Debug)]
pub struct History {
    samples: BTreeMap<Interval, Sample>,
    day_intervals: u64,
}

impl History {
    /// An empty history for a grid whose day is that of the charter's tariff.
    #[must_use]
    pub fn new(charter: &Charter) -> Self {
        let day_ms = charter.tariff.clock.day_ms();
        // A checked charter has a length above zero.
        let day_intervals = day_ms.checked_div(charter.interval.interval_ms).unwrap_or(0);
        Self { samples: BTreeMap::new(), day_intervals }
    }

    /// Notes what was seen in an interval, in place of what was noted for it before.
    pub fn record(&mut self, interval: Interval, sample: Sample) {
        self.samples.insert(interval, sample);
        let latest = self.samples.last_key_value().map_or(interval, |(latest, _)| *latest);
        self.samples = self.samples.split_off(&latest.minus(self.day_intervals));
    }

    /// What to expect of `interval`: the last sample, plus the change at the same time yesterday
    /// where both of yesterday's samples are known, and never below zero.
    ///
    /// `None` without any sample up to then.
    #[must_use]
    pub fn forecast(&self, interval: Interval) -> Option<Sample> {
        let (_, now) = self.samples.range(..=interval).next_back()?;
        Some(self.foreseen(interval).unwrap_or(*now))
    }

    /// The same, and `None` where yesterday does not say how it will change.
    #[must_use]
    pub fn foreseen(&self, interval: Interval) -> Option<Sample> {
        let (last, now) = self.samples.range(..=interval).next_back()?;
        let yesterday = |interval: &Interval| self.samples.get(&interval.minus(self.day_intervals));
        let (before, after) = (yesterday(last)?, yesterday(&interval)?);
        Some(Sample {
            load: moved(now.load, before.load, after.load),
            pv: moved(now.pv, before.pv, after.pv),
        })
    }
}

/// `now + (after − before)`, at least zero; `now` where that does not fit.
fn moved(now: Power, before: Power, after: Power) -> Power {
    let change = after.checked_sub(before);
    change.and_then(|change| now.checked_add(change)).map_or(now, |power| power.max(Power::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(load_mw: i64, pv_mw: i64) -> Sample {
        Sample { load: Power::from_milliwatts(load_mw), pv: Power::from_milliwatts(pv_mw) }
    }

    fn history(samples: &[(u64, Sample)]) -> History {
        let mut history = History { samples: BTreeMap::new(), day_intervals: 96 };
        for (number, sample) in samples {
            history.record(Interval::from_number(*number), *sample);
        }
        history
    }

    fn forecast(samples: &[(u64, Sample)], number: u64) -> Option<Sample> {
        history(samples).forecast(Interval::from_number(number))
    }

    #[test]
    fn without_a_yesterday_the_last_sample_stays() {
        assert_eq!(forecast(&[], 100), None);
        assert_eq!(forecast(&[(98, sample(5, 7)), (99, sample(6, 8))], 101), Some(sample(6, 8)));
        assert_eq!(forecast(&[(99, sample(6, 8))], 98), None, "the future forecasts nothing");
    }

    #[test]
    fn yesterdays_change_is_added_and_stops_at_zero() {
        let yesterday = [(104, sample(10, 900)), (105, sample(14, 100))];
        let today = |now| forecast(&[yesterday[0], yesterday[1], (200, now)], 201);
        assert_eq!(today(sample(20, 1000)), Some(sample(24, 200)));
        assert_eq!(today(sample(20, 700)), Some(sample(24, 0)));
    }

    #[test]
    fn what_yesterday_does_not_say_is_not_foreseen() {
        let both = [(104, sample(10, 900)), (105, sample(14, 100)), (200, sample(20, 1000))];
        let foreseen =
            |samples: &[_], number| history(samples).foreseen(Interval::from_number(number));
        assert_eq!(foreseen(&both, 201), Some(sample(24, 200)));
        assert_eq!(foreseen(&both, 202), None, "yesterday was not seen so far");
        assert_eq!(foreseen(&both[2..], 201), None);
    }

    #[test]
    fn one_day_is_kept() {
        let samples: Vec<_> = (0..1000).map(|number| (number, sample(1, 1))).collect();
        assert_eq!(history(&samples).samples.len(), 97);
    }
}
