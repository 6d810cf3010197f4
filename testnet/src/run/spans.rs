//! Times during which something was so: that a node was cut off, that links lost datagrams.
//! Not for: what that means for an interval.

use std::collections::VecDeque;

use boltgrid_protocol::units::Timestamp;

/// Most spans that are remembered; an interval is judged long before so many have passed.
const SPANS_MAX: usize = 256;

/// Spans of time, the latest of which may still last.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    spans: VecDeque<(Timestamp, Option<Timestamp>)>,
}

impl Spans {
    /// Notes whether it is so from now on.
    pub fn note(&mut self, is_so: bool, now: Timestamp) {
        match (self.spans.back_mut(), is_so) {
            (Some((_, end @ None)), false) => *end = Some(now),
            (Some((_, None)), true) => {}
            (_, false) => {}
            (_, true) => {
                if self.spans.len() == SPANS_MAX {
                    self.spans.pop_front();
                }
                self.spans.push_back((now, None));
            }
        }
    }

    /// Whether it is so now.
    #[must_use]
    pub fn is_so(&self) -> bool {
        matches!(self.spans.back(), Some((_, None)))
    }

    /// Whether it was so all the time from `from` to `to`.
    #[must_use]
    pub fn cover(&self, from: Timestamp, to: Timestamp) -> bool {
        self.spans.iter().any(|(start, end)| *start <= from && end.is_none_or(|end| end >= to))
    }

    /// Whether it was so at any time from `from` to `to`.
    #[must_use]
    pub fn touch(&self, from: Timestamp, to: Timestamp) -> bool {
        self.spans.iter().any(|(start, end)| *start <= to && end.is_none_or(|end| end >= from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_covers_what_is_inside_it_and_touches_what_overlaps_it() {
        let at = Timestamp::from_unix_ms;
        let mut spans = Spans::default();
        for (is_so, now) in [(false, 5), (true, 10), (true, 12), (false, 20), (true, 30)] {
            spans.note(is_so, at(now));
        }
        assert!(spans.is_so());
        let check = |from, to, covers, touches| {
            assert_eq!(spans.cover(at(from), at(to)), covers, "{from} to {to}");
            assert_eq!(spans.touch(at(from), at(to)), touches, "{from} to {to}");
        };
        check(1, 9, false, false);
        check(5, 10, false, true);
        check(10, 20, true, true);
        check(10, 21, false, true);
        check(21, 29, false, false);
        check(15, 35, false, true);
        check(30, 99, true, true);
    }
}
