//! Conditions that hold one by one and never together.

use std::collections::BTreeMap;
use std::ops::Range as Span;

use super::super::condition::{Condition, Range, Weekdays, is_between};
use super::super::fault::Faults;
use super::super::quantity::Quantity;

/// Whether all of these can hold at once; if not, that is noted.
pub(super) fn all_of(all: &[Condition], span: &Span<usize>, faults: &mut Faults<'_>) -> bool {
    let mut together = Together::new();
    let found = together.takes_in(all);
    if let Some(found) = &found {
        faults.note(span, format!("this can never hold: {found}"));
    }
    found.is_none()
}

/// What is left when all conditions so far hold.
struct Together {
    ranges: BTreeMap<Quantity, Range>,
    days: Weekdays,
    /// The minutes of the day.
    minutes: Vec<bool>,
}

impl Together {
    fn new() -> Self {
        Self { ranges: BTreeMap::new(), days: Weekdays([true; 7]), minutes: vec![true; 1_440] }
    }

    /// Takes in more conditions; says what can no longer hold.
    fn takes_in(&mut self, all: &[Condition]) -> Option<String> {
        all.iter().find_map(|condition| match condition {
            Condition::AllOf(inner) => self.takes_in(inner),
            Condition::Is(quantity, range) => {
                let before = self.ranges.get(quantity).copied().unwrap_or(Range::ALL);
                let after = before.and(range);
                self.ranges.insert(*quantity, after);
                after.is_empty().then(|| format!("{quantity} {before} and {range}"))
            }
            Condition::Day(days) => {
                for (left, day) in self.days.0.iter_mut().zip(days.0) {
                    *left = *left && day;
                }
                (!self.days.0.contains(&true)).then(|| "no day is all of these".to_owned())
            }
            Condition::Time { from_minute, until_minute } => {
                for (minute, left) in (0..).zip(self.minutes.iter_mut()) {
                    *left = *left && is_between(minute, *from_minute, *until_minute);
                }
                (!self.minutes.contains(&true)).then(|| "no time is in all of these".to_owned())
            }
            // What one of several, or the opposite, leaves is not looked at.
            Condition::AnyOf(_) | Condition::Not(_) => None,
        })
    }
}
