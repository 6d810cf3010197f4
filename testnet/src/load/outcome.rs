//! What came of it, for people and for programs, and whether it is what a node promises.
//! Not for: judging how fast it is; that depends on the machine.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::LoadOptions;
use super::calls::Calls;
use super::listeners::Heard;
use crate::run::report::percentile;

/// Of what was to be asked, so much must have been, in percent: the rest is what the machine has no time for.
const ASKED_PERCENT_MIN: u64 = 98;

/// What a node said to who asked for too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// Calls that one caller could make as fast as it can …
    pub often_answered: u64,
    /// … and those that were refused for being too often.
    pub often_refused: u64,
    /// Subscriptions that one WebSocket could make …
    pub subscribed: u64,
    /// … and those that were refused for being too many.
    pub subscribing_refused: u64,
}

/// What a node bore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadOutcome {
    /// Nodes of the testnet.
    pub nodes: usize,
    /// Calls a second that were to be made.
    pub wanted_per_s: u32,
    /// For how long.
    pub seconds: u64,
    /// Calls that were made.
    pub calls: u64,
    /// Calls a second, in thousandths.
    pub calls_per_1000_s: u64,
    /// How long an answer took, in microseconds: the median, …
    pub answer_us_p50: u64,
    /// … all but the slowest twentieth, …
    pub answer_us_p95: u64,
    /// … all but the slowest hundredth, …
    pub answer_us_p99: u64,
    /// … and the slowest.
    pub answer_us_max: u64,
    /// Calls that were refused, by their code, or not answered.
    pub errors: BTreeMap<String, u64>,
    /// Subscribers that listened.
    pub subscribers: usize,
    /// News that all of them heard.
    pub news: u64,
    /// Prices of intervals that some of them did not hear, once for each.
    pub prices_missed: u64,
    /// Why subscribers heard no more before the end.
    pub dropped: Vec<String>,
    /// Intervals meanwhile.
    pub intervals: u64,
    /// Those that the node missed, each with the reason.
    pub intervals_missed: Vec<String>,
    /// What it refused.
    pub refusals: Refusals,
}

impl LoadOutcome {
    pub(super) fn new(
        (nodes, options): (usize, LoadOptions),
        (calls, length): (Calls, Duration),
        (intervals, heard): (Range<u64>, Vec<Heard>),
        (intervals_missed, refusals): (Vec<String>, Refusals),
    ) -> Self {
        let Calls { mut took_us, errors } = calls;
        took_us.sort_unstable();
        let at = |percent| percentile(&took_us, percent).unwrap_or_default();
        let count = u64::try_from(took_us.len()).unwrap_or(u64::MAX);
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1);
        let missing = |it: &Heard| {
            intervals.clone().filter(|interval| !it.prices.contains_key(interval)).count()
        };
        let prices_missed = heard.iter().map(missing).sum::<usize>();
        Self {
            nodes,
            wanted_per_s: options.calls_per_s.get(),
            seconds: length.as_secs(),
            calls: count,
            calls_per_1000_s: count.saturating_mul(1_000_000) / length_ms,
            answer_us_p50: at(50),
            answer_us_p95: at(95),
            answer_us_p99: at(99),
            answer_us_max: at(100),
            errors,
            subscribers: heard.len(),
            news: heard.iter().map(|it| it.news).sum(),
            prices_missed: u64::try_from(prices_missed).unwrap_or(u64::MAX),
            dropped: heard.into_iter().filter_map(|it| it.ended).collect(),
            intervals: intervals.end.saturating_sub(intervals.start),
            intervals_missed,
            refusals,
        }
    }

    /// What is not as a node promises; nothing where all is.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let wanted = u64::from(self.wanted_per_s).saturating_mul(1_000);
        if self.calls_per_1000_s.saturating_mul(100) < wanted.saturating_mul(ASKED_PERCENT_MIN) {
            broken.push("fewer calls were made than were to be".to_owned());
        }
        if !self.errors.is_empty() {
            broken.push(format!("calls were refused: {:?}", self.errors));
        }
        if let Some(why) = self.dropped.first() {
            broken.push(format!("{} subscribers were dropped: {why}", self.dropped.len()));
        }
        if self.prices_missed > 0 {
            broken.push(format!("{} prices were not told", self.prices_missed));
        }
        broken.extend(self.intervals_missed.iter().map(|it| format!("missed interval {it}")));
        let Refusals { often_answered, often_refused, subscribed, subscribing_refused } =
            self.refusals;
        if often_answered == 0 || often_refused == 0 {
            broken.push("who called too often was not refused, or not answered before".to_owned());
        }
        if subscribed == 0 || subscribing_refused == 0 {
            broken.push("who subscribed too often was not refused, or had nothing".to_owned());
        }
        broken
    }

    /// For people.
    #[must_use]
    pub fn told(&self) -> String {
        let ms = |us: u64| format!("{}.{:02}", us / 1_000, us % 1_000 / 10);
        let Refusals { often_answered, often_refused, subscribed, subscribing_refused } =
            self.refusals;
        let mut lines = vec![
            format!(
                "{} calls in {} s, {}.{} a second; answered in {} ms (p50), {} (p95), {} (p99), {} (max)",
                self.calls,
                self.seconds,
                self.calls_per_1000_s / 1_000,
                self.calls_per_1000_s % 1_000 / 100,
                ms(self.answer_us_p50),
                ms(self.answer_us_p95),
                ms(self.answer_us_p99),
                ms(self.answer_us_max),
            ),
            format!("calls refused or not answered: {:?}", self.errors),
            format!(
                "{} subscribers heard {} news; {} prices missed, {} dropped",
                self.subscribers,
                self.news,
                self.prices_missed,
                self.dropped.len()
            ),
            format!(
                "{} intervals of {} nodes, {} missed by the node that was asked",
                self.intervals,
                self.nodes,
                self.intervals_missed.len()
            ),
            format!(
                "of {} calls of one caller at once {often_refused} were refused as too often, of {} \
                 subscriptions of one WebSocket {subscribing_refused} as too many",
                often_answered + often_refused,
                subscribed + subscribing_refused,
            ),
        ];
        lines.extend(self.broken().into_iter().map(|it| format!("NOT AS PROMISED: {it}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

    use super::*;

    fn heard(prices: &[u64], ended: Option<&str>) -> Heard {
        let prices = prices.iter().map(|it| (*it, 1)).collect();
        Heard { news: 10, prices, ended: ended.map(str::to_owned) }
    }

    fn outcome(heard: Vec<Heard>) -> LoadOutcome {
        let options = LoadOptions {
            calls_per_s: NonZeroU32::new(100).unwrap(),
            subscribers: NonZeroUsize::new(2).unwrap(),
            nodes: NonZeroUsize::new(4).unwrap(),
            intervals: NonZeroU64::new(2).unwrap(),
            interval_ms: 1_000,
            seed: 1,
        };
        let calls = Calls { took_us: (1..=200).rev().collect(), errors: BTreeMap::new() };
        let refusals =
            Refusals { often_answered: 1, often_refused: 1, subscribed: 1, subscribing_refused: 1 };
        let length = Duration::from_secs(2);
        LoadOutcome::new((4, options), (calls, length), (7..9, heard), (Vec::new(), refusals))
    }

    #[test]
    fn all_that_was_promised_is_what_the_numbers_say() {
        let it = outcome(vec![heard(&[6, 7, 8], None), heard(&[7, 8, 9], None)]);
        assert_eq!(it.broken(), Vec::<String>::new());
        assert_eq!((it.answer_us_p50, it.answer_us_p95, it.answer_us_p99), (100, 190, 198));
        assert_eq!((it.calls_per_1000_s, it.news, it.intervals), (100_000, 20, 2));
        assert!(it.told().starts_with("200 calls in 2 s, 100.0 a second; answered in 0.10 ms"));
    }

    #[test]
    fn whatever_is_not_as_promised_is_said() {
        let broken = |breaks: &dyn Fn(&mut LoadOutcome)| {
            let mut it = outcome(vec![heard(&[7, 8], None); 2]);
            breaks(&mut it);
            let broken = it.broken();
            assert_eq!(broken.len(), 1, "{broken:?}");
            assert!(it.told().contains(&format!("NOT AS PROMISED: {}", broken[0])));
            broken[0].clone()
        };
        assert!(broken(&|it| it.calls_per_1000_s = 97_999).contains("fewer calls"));
        let busy = || [("-32027".to_owned(), 3)].into();
        assert!(broken(&|it| it.errors = busy()).contains("-32027"));
        assert!(broken(&|it| it.intervals_missed.push("8: why".to_owned())).contains("8: why"));
        assert!(broken(&|it| it.refusals.often_refused = 0).contains("called too often"));
        assert!(broken(&|it| it.refusals.subscribing_refused = 0).contains("subscribed too often"));
        let deaf = outcome(vec![heard(&[7], None), heard(&[7, 8], Some("too slow"))]);
        assert_eq!(deaf.prices_missed, 1);
        assert_eq!(deaf.broken().len(), 2);
    }
}
