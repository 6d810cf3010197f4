//! Dips, swells, interruptions and excursions of the frequency: when, and how far.

use boltgrid_protocol::units::Timestamp;
use serde::{Deserialize, Serialize};

use crate::quantity::Line;

/// Below this share of the nominal voltage, in per cent, it is a dip, above the other a swell …
const DIP_PERCENT: u32 = 90;
const SWELL_PERCENT: u32 = 110;
/// … until it is back by so much more (EN 61000-4-30).
const HYSTERESIS_PERCENT: u32 = 2;
/// Below this share it is an interruption.
const INTERRUPTION_PERCENT: u32 = 5;
/// A phase is there once it has shown this share; one that is not connected is not interrupted.
const ALIVE_PERCENT: u32 = 50;
/// Beyond this the grid codes let generators act (LFSM-O, LFSM-U), in mHz …
const EXCURSION_MHZ: u32 = 200;
/// … until it is back by so much.
const HYSTERESIS_MHZ: u32 = 20;

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QualityKind {
    /// Voltage below 90 %.
    Dip,
    /// Voltage above 110 %.
    Swell,
    /// Voltage below 5 %.
    Interruption,
    /// Frequency over 200 mHz too low.
    FrequencyLow,
    /// Frequency over 200 mHz too high.
    FrequencyHigh,
}

impl QualityKind {
    /// Its name in JSON and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dip => "dip",
            Self::Swell => "swell",
            Self::Interruption => "interruption",
            Self::FrequencyLow => "frequency-low",
            Self::FrequencyHigh => "frequency-high",
        }
    }

    const fn is_low(self) -> bool {
        match self {
            Self::Dip | Self::Interruption | Self::FrequencyLow => true,
            Self::Swell | Self::FrequencyHigh => false,
        }
    }
}

/// Something that was out of its limits for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityEvent {
    /// What.
    pub kind: QualityKind,
    /// On which phase; 0 for the frequency, 1 to 3 else.
    pub line: u8,
    /// When it was seen first.
    pub began_at: Timestamp,
    /// When it was seen to be over; none while it lasts.
    pub ended_at: Option<Timestamp>,
    /// The furthest that it went, in mV or mHz.
    pub extreme: u32,
}

/// Limits of one value.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Below this it begins, and it is over at …
    low: u32,
    low_over: u32,
    /// Above this it begins, and it is over at …
    high: u32,
    high_over: u32,
    /// Below this it is an interruption.
    interrupted: u32,
    /// From here on there is something to watch.
    alive: u32,
}

/// Watches one value.
#[derive(Debug)]
pub(super) struct Watch {
    line: u8,
    kinds: (QualityKind, QualityKind),
    limits: Limits,
    is_alive: bool,
    lasting: Option<QualityEvent>,
}

impl Watch {
    pub(super) const fn of_voltage(nominal_mv: u32, line: Line) -> Self {
        let line = match line {
            Line::L1 => 1,
            Line::L2 => 2,
            Line::L3 => 3,
        };
        let limits = Limits {
            low: nominal_mv / 100 * DIP_PERCENT,
            low_over: nominal_mv / 100 * (DIP_PERCENT + HYSTERESIS_PERCENT),
            high: nominal_mv / 100 * SWELL_PERCENT,
            high_over: nominal_mv / 100 * (SWELL_PERCENT - HYSTERESIS_PERCENT),
            interrupted: nominal_mv / 100 * INTERRUPTION_PERCENT,
            alive: nominal_mv / 100 * ALIVE_PERCENT,
        };
        Self::new(line, (QualityKind::Dip, QualityKind::Swell), limits)
    }

    pub(super) const fn of_frequency(nominal_mhz: u32) -> Self {
        let limits = Limits {
            low: nominal_mhz - EXCURSION_MHZ,
            low_over: nominal_mhz - EXCURSION_MHZ + HYSTERESIS_MHZ,
            high: nominal_mhz + EXCURSION_MHZ,
            high_over: nominal_mhz + EXCURSION_MHZ - HYSTERESIS_MHZ,
            interrupted: 0,
            alive: 0,
        };
        Self::new(0, (QualityKind::FrequencyLow, QualityKind::FrequencyHigh), limits)
    }

    const fn new(line: u8, kinds: (QualityKind, QualityKind), limits: Limits) -> Self {
        Self { line, kinds, limits, is_alive: false, lasting: None }
    }

    pub(super) const fn lasting(&self) -> Option<&QualityEvent> {
        self.lasting.as_ref()
    }

    /// Takes a value; returns what began or ended, the end first.
    pub(super) fn sampled(&mut self, at: Timestamp, value: u32) -> Vec<QualityEvent> {
        self.is_alive |= value >= self.limits.alive;
        let mut news = Vec::new();
        if !self.is_alive {
            return news;
        }
        if let Some(mut event) = self.lasting.take() {
            let is_over = if event.kind.is_low() {
                value >= self.limits.low_over
            } else {
                value <= self.limits.high_over
            };
            if is_over {
                event.ended_at = Some(at);
                news.push(event);
            } else if event.kind.is_low() {
                event.extreme = event.extreme.min(value);
                if event.extreme < self.limits.interrupted {
                    event.kind = QualityKind::Interruption;
                }
                self.lasting = Some(event);
                return news;
            } else {
                event.extreme = event.extreme.max(value);
                self.lasting = Some(event);
                return news;
            }
        }
        let (low, high) = self.kinds;
        let kind = if value < self.limits.interrupted {
            QualityKind::Interruption
        } else if value < self.limits.low {
            low
        } else if value > self.limits.high {
            high
        } else {
            return news;
        };
        let event =
            QualityEvent { kind, line: self.line, began_at: at, ended_at: None, extreme: value };
        self.lasting = Some(event);
        news.push(event);
        news
    }

    /// Ends what lasts, as nothing is seen of it any more.
    pub(super) fn lose(&mut self, at: Timestamp) -> Option<QualityEvent> {
        self.lasting.take().map(|event| {
            let ended_at = Some(at.max(event.began_at));
            QualityEvent { ended_at, ..event }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(values: &[u32], mut watch: Watch) -> Vec<QualityEvent> {
        let at = |second: u64| Timestamp::from_unix_ms(second * 1_000);
        let told = (0..).zip(values).flat_map(|(second, value)| watch.sampled(at(second), *value));
        told.filter(|it| it.ended_at.is_some()).collect()
    }

    fn voltage(volts: &[u32]) -> Vec<(QualityKind, u64, u64, u32)> {
        let values: Vec<u32> = volts.iter().map(|volts| volts * 1_000).collect();
        let ended = events(&values, Watch::of_voltage(230_000, Line::L2));
        ended
            .into_iter()
            .map(|it| {
                assert_eq!(it.line, 2);
                let second = |at: Timestamp| at.to_unix_ms() / 1_000;
                (it.kind, second(it.began_at), second(it.ended_at.unwrap()), it.extreme / 1_000)
            })
            .collect()
    }

    #[test]
    fn a_dip_has_begin_end_and_depth() {
        // 207 V are 90 %; it is over at 92 %, which are 211.6 V.
        let told = voltage(&[230, 207, 206, 190, 200, 211, 212, 230]);
        assert_eq!(told, [(QualityKind::Dip, 2, 6, 190)]);
    }

    #[test]
    fn a_swell_has_begin_end_and_height() {
        assert_eq!(voltage(&[230, 253, 254, 260, 249, 248]), [(QualityKind::Swell, 2, 5, 260)]);
    }

    #[test]
    fn a_dip_to_nothing_is_an_interruption() {
        assert_eq!(voltage(&[230, 150, 3, 230]), [(QualityKind::Interruption, 1, 3, 3)]);
    }

    #[test]
    fn a_phase_that_is_not_connected_is_not_interrupted() {
        assert_eq!(voltage(&[0, 0, 2, 0]), []);
    }

    #[test]
    fn a_swell_may_follow_a_dip_at_once() {
        let told = voltage(&[230, 200, 260, 230]);
        assert_eq!(told, [(QualityKind::Dip, 1, 2, 200), (QualityKind::Swell, 2, 3, 260)]);
    }

    #[test]
    fn the_frequency_is_out_beyond_200_mhz() {
        let told =
            events(&[50_000, 50_200, 50_201, 50_250, 50_190, 50_180], Watch::of_frequency(50_000));
        let [it] = told[..] else { panic!("{told:?}") };
        assert_eq!((it.kind, it.line, it.extreme), (QualityKind::FrequencyHigh, 0, 50_250));
        let told = events(&[50_000, 49_700, 49_820], Watch::of_frequency(50_000));
        assert_eq!(told[0].kind, QualityKind::FrequencyLow);
    }

    proptest! {
        /// Events of one value follow one another, and none is within the limits.
        #[test]
        fn events_never_overlap(volts in prop::collection::vec(0_u32..300, 0..200)) {
            let told = voltage(&volts);
            for pair in told.windows(2) {
                prop_assert!(pair[0].2 <= pair[1].1, "{:?}", pair);
            }
            for (kind, from, to, extreme) in told {
                prop_assert!(from < to);
                prop_assert_eq!(kind.is_low(), extreme < 207);
                prop_assert_eq!(!kind.is_low(), extreme >= 253);
            }
        }
    }
}
