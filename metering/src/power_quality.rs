//! Power quality at the meter: voltage and frequency against EN 50160 and the grid codes.
//!
//! EN 50160 asks of 230 V: 95 % of a week's 10-minute means within ±10 %, and all of them within
//! +10/−15 %; of 50 Hz: within ±1 % for 99.5 % of the time. The grid codes let generators act beyond
//! ±200 mHz. A household's meter is looked at about once a second: what is shorter than that, as most
//! dips are, is not seen, and its means are of what it shows, not of its samples.
//! Not for: reacting to it.

mod event;
mod week;

use boltgrid_protocol::units::Timestamp;

use crate::quantity::Line;
use event::Watch;

pub use event::{QualityEvent, QualityKind};
pub use week::{Mean, Share, WINDOW_MS, WINDOWS_KEPT, Week, WeekSummary, Window};

/// No sample for this long ends whatever lasted: what became of it is not known.
const GAP_MS: u64 = 60_000;

/// What voltage and frequency should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nominal {
    /// Phase to neutral.
    pub voltage_mv: u32,
    /// Of the grid.
    pub frequency_mhz: u32,
}

impl Nominal {
    /// Europe's low voltage.
    pub const EUROPE: Self = Self { voltage_mv: 230_000, frequency_mhz: 50_000 };
}

/// What a meter shows of the grid at one instant. What it has not is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GridSample {
    /// The phases' voltages to neutral; a single one in the first place.
    pub voltages_mv: [Option<u32>; 3],
    /// The frequency.
    pub frequency_mhz: Option<u32>,
}

/// Follows one meter's grid.
///
/// Invariant: it holds a week of 10-minute windows and the events that last, and nothing else.
#[derive(Debug)]
pub struct PowerQuality {
    lines: [Watch; 3],
    frequency: Watch,
    week: Week,
    last: Option<Timestamp>,
}

/// What came of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Events that began or ended, as they are now.
    pub events: Vec<QualityEvent>,
    /// The window that it ended, to be kept.
    pub window: Option<Window>,
}

impl PowerQuality {
    /// Goes on from the windows of the week before, in any order.
    #[must_use]
    pub fn resume(nominal: Nominal, windows: impl IntoIterator<Item = Window>) -> Self {
        let line = |line| Watch::of_voltage(nominal.voltage_mv, line);
        Self {
            lines: [line(Line::L1), line(Line::L2), line(Line::L3)],
            frequency: Watch::of_frequency(nominal.frequency_mhz),
            week: Week::resume(nominal, windows),
            last: None,
        }
    }

    /// Takes a sample. One from before the last is not taken: the clock was set back.
    pub fn sampled(&mut self, at: Timestamp, shown: &GridSample) -> Noticed {
        let mut noticed = Noticed::default();
        let last = self.last.replace(at);
        if last.is_some_and(|last| at < last) {
            noticed.events.extend(self.watches().filter_map(|it| it.lose(at)));
            return noticed;
        }
        if let Some(last) = last.filter(|last| at.ms_since(*last) > GAP_MS) {
            noticed.events.extend(self.watches().filter_map(|it| it.lose(last)));
        }
        let values = shown.voltages_mv.into_iter().chain([shown.frequency_mhz]);
        for (watch, value) in self.watches().zip(values) {
            if let Some(value) = value {
                noticed.events.extend(watch.sampled(at, value));
            }
        }
        noticed.window = self.week.sampled(at, shown);
        noticed
    }

    /// What lasts now.
    pub fn lasting(&self) -> impl Iterator<Item = &QualityEvent> {
        self.lines.iter().chain([&self.frequency]).filter_map(Watch::lasting)
    }

    /// The last seven days.
    #[must_use]
    pub fn summary(&self) -> WeekSummary {
        self.week.summary()
    }

    fn watches(&mut self) -> impl Iterator<Item = &mut Watch> {
        self.lines.iter_mut().chain([&mut self.frequency])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1_000)
    }

    fn shown(volts: u32) -> GridSample {
        let voltages_mv = [Some(volts * 1_000), None, None];
        GridSample { voltages_mv, frequency_mhz: Some(50_000) }
    }

    #[test]
    fn what_lasts_when_the_meter_falls_silent_ends_where_it_was_seen_last() {
        let mut quality = PowerQuality::resume(Nominal::EUROPE, []);
        quality.sampled(at(0), &shown(230));
        let began = quality.sampled(at(1), &shown(180)).events;
        assert_eq!((began.len(), began[0].ended_at), (1, None));
        quality.sampled(at(5), &shown(175));
        let ended = quality.sampled(at(600), &shown(231)).events;
        assert_eq!((ended[0].kind, ended[0].extreme), (QualityKind::Dip, 175_000));
        assert_eq!((ended[0].began_at, ended[0].ended_at), (at(1), Some(at(5))));
        assert_eq!(quality.lasting().count(), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_what_lasts() {
        let mut quality = PowerQuality::resume(Nominal::EUROPE, []);
        quality.sampled(at(1_000), &shown(230));
        quality.sampled(at(1_001), &shown(260));
        let noticed = quality.sampled(at(900), &shown(230));
        assert_eq!(noticed.events[0].ended_at, Some(at(1_001)), "never before it began");
        assert_eq!(noticed.window, None);
    }
}
