//! Ten-minute means, and what a week of them comes to against EN 50160.

use std::collections::BTreeMap;

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::{GridSample, Nominal};

/// How long a window is: ten minutes, from the full hour on.
pub const WINDOW_MS: u64 = 600_000;
/// A week of them.
pub const WINDOWS_KEPT: usize = 7 * 24 * 6;
/// A window of which fewer samples are known, or less than half the time, says nothing.
const SAMPLES_MIN: u64 = 5;
/// Parts per million of one.
const PPM: u64 = 1_000_000;

/// The mean, the least and the most of one value in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean, rounded down.
    pub mean: u32,
    /// The least.
    pub least: u32,
    /// The most.
    pub most: u32,
}

/// Ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it began.
    pub from: Timestamp,
    /// The phases' voltages, in mV.
    pub voltages_mv: [Option<Mean>; 3],
    /// The frequency, in mHz.
    pub frequency_mhz: Option<Mean>,
    /// Samples whose frequency was within ±1 %, and all that had one.
    pub frequency_samples: (u32, u32),
}

/// How many of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that are.
    pub within: u64,
    /// All.
    pub all: u64,
}

impl Share {
    /// In parts per million, rounded down; none of none.
    #[must_use]
    pub fn ppm(self) -> Option<u64> {
        self.within.saturating_mul(PPM).checked_div(self.all)
    }

    /// Whether it is at least so many parts per million. None of none.
    #[must_use]
    pub fn is_at_least(self, ppm: u64) -> Option<bool> {
        let needed = u128::from(self.all) * u128::from(ppm);
        (self.all > 0).then(|| u128::from(self.within) * u128::from(PPM) >= needed)
    }

    fn count(&mut self, is_within: bool) {
        self.within += u64::from(is_within);
        self.all += 1;
    }
}

/// Seven days against EN 50160.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeekSummary {
    /// 10-minute means within ±10 %, of all phases: 95 % of a week must be.
    pub within_10_percent: Share,
    /// Within +10/−15 %: all must be.
    pub within_15_percent: Share,
    /// Samples of the frequency within ±1 %: 99.5 % must be (of a year).
    pub frequency_within_1_percent: Share,
    /// The lowest and the highest 10-minute mean, in mV.
    pub voltage_range_mv: Option<(u32, u32)>,
    /// The lowest and the highest frequency shown, in mHz.
    pub frequency_range_mhz: Option<(u32, u32)>,
}

impl WeekSummary {
    /// Whether the week met EN 50160 as far as it can be told from here. None without any voltage.
    #[must_use]
    pub fn meets_en_50160(&self) -> Option<bool> {
        let voltage = self.within_10_percent.is_at_least(950_000)?
            && self.within_15_percent.is_at_least(PPM)?;
        Some(voltage && self.frequency_within_1_percent.is_at_least(995_000).unwrap_or(true))
    }
}

/// The latest windows, and the one that is open.
#[derive(Debug)]
pub struct Week {
    nominal: Nominal,
    open: Option<Open>,
    windows: BTreeMap<Timestamp, Window>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: u64,
    count: u64,
    least: u32,
    most: u32,
}

#[derive(Debug)]
struct Open {
    from: Timestamp,
    first: Timestamp,
    last: Timestamp,
    voltages: [Sum; 3],
    frequency: Sum,
    frequency_samples: Share,
}

impl Week {
    pub(super) fn resume(nominal: Nominal, windows: impl IntoIterator<Item = Window>) -> Self {
        let mut week = Self { nominal, open: None, windows: BTreeMap::new() };
        for window in windows {
            week.keep(window);
        }
        week
    }

    /// Takes a sample; returns the window that ended before it, if there was one and it counts.
    pub(super) fn sampled(&mut self, at: Timestamp, shown: &GridSample) -> Option<Window> {
        let from = Timestamp::from_unix_ms(at.to_unix_ms() / WINDOW_MS * WINDOW_MS);
        let open = self.open.take().filter(|open| open.from <= from);
        let (mut open, ended) = match open {
            Some(open) if open.from == from => (open, None),
            before => (Open::at(from, at), before.and_then(|it| it.close())),
        };
        open.add(at, shown, self.nominal);
        self.open = Some(open);
        if let Some(window) = ended {
            self.keep(window);
        }
        ended
    }

    fn keep(&mut self, window: Window) {
        self.windows.insert(window.from, window);
        while self.windows.len() > WINDOWS_KEPT {
            self.windows.pop_first();
        }
    }

    pub(super) fn summary(&self) -> WeekSummary {
        let mut it = WeekSummary::default();
        let percent = |percent| self.nominal.voltage_mv / 100 * percent;
        let Some(newest) = self.windows.keys().next_back() else { return it };
        let week_ms = WINDOW_MS.saturating_mul(WINDOWS_KEPT.try_into().unwrap_or(u64::MAX));
        let recent = |from: &Timestamp| newest.ms_since(*from) < week_ms;
        for window in self.windows.values().filter(|window| recent(&window.from)) {
            for Mean { mean, .. } in window.voltages_mv.into_iter().flatten() {
                it.within_10_percent.count((percent(90)..=percent(110)).contains(&mean));
                it.within_15_percent.count((percent(85)..=percent(110)).contains(&mean));
                let (low, high) = it.voltage_range_mv.unwrap_or((mean, mean));
                it.voltage_range_mv = Some((low.min(mean), high.max(mean)));
            }
            let (within, all) = window.frequency_samples;
            it.frequency_within_1_percent.within += u64::from(within);
            it.frequency_within_1_percent.all += u64::from(all);
            if let Some(Mean { least, most, .. }) = window.frequency_mhz {
                let (low, high) = it.frequency_range_mhz.unwrap_or((least, most));
                it.frequency_range_mhz = Some((low.min(least), high.max(most)));
            }
        }
        it
    }
}

impl Sum {
    fn add(&mut self, value: u32) {
        self.least = if self.count == 0 { value } else { self.least.min(value) };
        self.most = self.most.max(value);
        self.total = self.total.saturating_add(value.into());
        self.count += 1;
    }

    fn mean(self) -> Option<Mean> {
        if self.count < SAMPLES_MIN {
            return None;
        }
        let mean = self.total.checked_div(self.count).and_then(|mean| u32::try_from(mean).ok())?;
        Some(Mean { mean, least: self.least, most: self.most })
    }
}

impl Open {
    fn at(from: Timestamp, first: Timestamp) -> Self {
        Self {
            from,
            first,
            last: first,
            voltages: [Sum::default(); 3],
            frequency: Sum::default(),
            frequency_samples: Share::default(),
        }
    }

    fn add(&mut self, at: Timestamp, shown: &GridSample, nominal: Nominal) {
        self.last = at;
        for (sum, value) in self.voltages.iter_mut().zip(shown.voltages_mv) {
            if let Some(value) = value {
                sum.add(value);
            }
        }
        if let Some(value) = shown.frequency_mhz {
            self.frequency.add(value);
            let off = value.abs_diff(nominal.frequency_mhz);
            self.frequency_samples.count(off <= nominal.frequency_mhz / 100);
        }
    }

    /// The window, if enough of it is known.
    fn close(self) -> Option<Window> {
        if self.last.ms_since(self.first) < WINDOW_MS / 2 {
            return None;
        }
        let held = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let Share { within, all } = self.frequency_samples;
        Some(Window {
            from: self.from,
            voltages_mv: self.voltages.map(Sum::mean),
            frequency_mhz: self.frequency.mean(),
            frequency_samples: (held(within), held(all)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(volts: u32, mhz: u32) -> GridSample {
        let voltages_mv = [Some(volts * 1_000), None, None];
        GridSample { voltages_mv, frequency_mhz: Some(mhz) }
    }

    /// A week whose window number `n` has the voltage `volts(n)`, ten samples each.
    fn week(windows: u64, volts: impl Fn(u64) -> u32) -> Week {
        let mut week = Week::resume(Nominal::EUROPE, []);
        for minute in 0..windows * 10 + 1 {
            let at = Timestamp::from_unix_ms(minute * 60_000);
            week.sampled(at, &sample(volts(minute / 10), 50_000));
        }
        week
    }

    #[test]
    fn a_week_with_one_mean_in_twenty_too_low_is_good_and_with_more_is_not() {
        let good = week(100, |window| if window % 20 == 0 { 205 } else { 230 }).summary();
        assert_eq!((good.within_10_percent.within, good.within_10_percent.all), (95, 100));
        assert_eq!(good.meets_en_50160(), Some(true));
        assert_eq!(good.voltage_range_mv, Some((205_000, 230_000)));
        let bad = week(100, |window| if window % 19 == 0 { 205 } else { 230 }).summary();
        assert_eq!(bad.meets_en_50160(), Some(false));
    }

    #[test]
    fn a_single_mean_below_15_percent_spoils_the_week() {
        let it = week(100, |window| if window == 50 { 195 } else { 230 }).summary();
        assert_eq!(it.within_15_percent.ppm(), Some(990_000));
        assert_eq!(it.meets_en_50160(), Some(false));
    }

    #[test]
    fn a_window_of_which_half_is_missing_does_not_count() {
        let mut week = Week::resume(Nominal::EUROPE, []);
        for second in 400..600_u64 {
            week.sampled(Timestamp::from_unix_ms(second * 1_000), &sample(180, 49_000));
        }
        assert_eq!(week.sampled(Timestamp::from_unix_ms(600_000), &sample(230, 50_000)), None);
        assert_eq!(week.summary().meets_en_50160(), None);
    }

    #[test]
    fn frequency_counts_sample_by_sample() {
        let mut week = Week::resume(Nominal::EUROPE, []);
        for second in 0..=600_u64 {
            let mhz = if second % 100 == 0 { 50_501 } else { 50_500 };
            week.sampled(Timestamp::from_unix_ms(second * 1_000), &sample(230, mhz));
        }
        let it = week.summary();
        let share = it.frequency_within_1_percent;
        assert_eq!((share.within, share.all), (594, 600));
        assert_eq!(it.meets_en_50160(), Some(false), "99.0 % are not 99.5 %");
        assert_eq!(it.frequency_range_mhz, Some((50_500, 50_501)));
    }

    #[test]
    fn only_a_week_is_kept_and_it_is_taken_up_again() {
        let it = week(1_500, |window| if window < 300 { 180 } else { 230 });
        assert_eq!(it.windows.len(), WINDOWS_KEPT);
        let again = Week::resume(Nominal::EUROPE, it.windows.values().copied());
        assert_eq!(again.summary(), it.summary());
        assert_eq!(it.summary().within_10_percent, Share { within: 1_008, all: 1_008 });
    }
}
