//! Conditions: what has to be seen for a rule to act, in three values.

use std::fmt;

use super::quantity::{Quantity, SCALE, Seen, shown};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;
/// 1970-01-01 was a Thursday, the fourth day counted from Monday as the first.
const FIRST_DAY: u64 = 3;

/// What a condition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It does not hold.
    Fails,
    /// Nobody knows.
    Unknown,
    /// It holds.
    Holds,
}

impl Verdict {
    const fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    const fn negated(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Unknown => Self::Unknown,
            Self::Fails => Self::Holds,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Unknown => "is not known",
            Self::Fails => "does not hold",
        })
    }
}

/// Values between two bounds, both included, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The lowest; `None` for any.
    pub least: Option<i64>,
    /// The highest; `None` for any.
    pub most: Option<i64>,
}

impl Range {
    /// All values.
    pub const ALL: Self = Self { least: None, most: None };

    /// Whether a value is in it.
    #[must_use]
    pub fn holds(&self, value: i64) -> bool {
        self.least.is_none_or(|least| value >= least) && self.most.is_none_or(|most| value <= most)
    }

    /// What is in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let pick =
            |one: Option<i64>, other: Option<i64>, of: fn(i64, i64) -> i64| match (one, other) {
                (Some(one), Some(other)) => Some(of(one, other)),
                (one, other) => one.or(other),
            };
        Self {
            least: pick(self.least, other.least, i64::max),
            most: pick(self.most, other.most, i64::min),
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.least.zip(self.most).is_some_and(|(least, most)| least > most)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever wrote `above = 5` means above 5, and not at least 5.001.
        let below_whole = |value: i64| value.rem_euclid(SCALE) == SCALE.saturating_sub(1);
        let least = self.least.map(|least| match least.rem_euclid(SCALE) {
            1 => format!("above {}", shown(least.saturating_sub(1))),
            _ => format!("at least {}", shown(least)),
        });
        let most = self.most.map(|most| {
            if below_whole(most) {
                format!("below {}", shown(most.saturating_add(1)))
            } else {
                format!("at most {}", shown(most))
            }
        });
        match (least, most) {
            (Some(least), Some(most)) => write!(f, "{least} and {most}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(&one),
            (None, None) => f.write_str("anything"),
        }
    }
}

/// Days of the week, Monday first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekdays(pub [bool; 7]);

/// Their names in a file, Monday first.
pub(super) const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = WEEKDAYS.iter().zip(self.0).filter(|(_, is)| *is).map(|(name, _)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

/// What has to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All of these hold; at least one.
    AllOf(Vec<Self>),
    /// One of these holds; at least one.
    AnyOf(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// A quantity is in a range.
    Is(Quantity, Range),
    /// The clock shows a time from the first minute of the day up to before the second; over midnight
    /// where the second is the smaller.
    Time {
        /// From this minute of the day …
        from_minute: u32,
        /// … until before this one.
        until_minute: u32,
    },
    /// It is one of these days.
    Day(Weekdays),
}

impl Condition {
    /// What it comes to.
    #[must_use]
    pub fn verdict(&self, seen: &Seen) -> Verdict {
        match self {
            // Fails < Unknown < Holds, so these are Kleene's tables.
            Self::AllOf(all) => {
                all.iter().map(|it| it.verdict(seen)).min().unwrap_or(Verdict::Unknown)
            }
            Self::AnyOf(any) => {
                any.iter().map(|it| it.verdict(seen)).max().unwrap_or(Verdict::Unknown)
            }
            Self::Not(of) => of.verdict(seen).negated(),
            Self::Is(quantity, range) => {
                let value = seen.values.get(quantity);
                value.map_or(Verdict::Unknown, |value| Verdict::of(range.holds(*value)))
            }
            Self::Time { from_minute, until_minute } => {
                Verdict::of(is_between(minute(seen), *from_minute, *until_minute))
            }
            Self::Day(days) => {
                let number = seen.local_ms.div_euclid(DAY_MS).saturating_add(FIRST_DAY);
                let day = usize::try_from(number.rem_euclid(7)).unwrap_or(0);
                days.0.get(day).map_or(Verdict::Unknown, |is| Verdict::of(*is))
            }
        }
    }

    /// What it comes to and why, in words: each condition with the value that decided it.
    #[must_use]
    pub fn explained(&self, seen: &Seen) -> String {
        let parts = |of: &[Self], word: &str| {
            let parts: Vec<String> = of.iter().map(|it| it.explained(seen)).collect();
            format!("{word} ({})", parts.join("; "))
        };
        match self {
            Self::AllOf(all) => parts(all, "all of"),
            Self::AnyOf(any) => parts(any, "any of"),
            Self::Not(of) => format!("not ({})", of.explained(seen)),
            Self::Is(quantity, range) => match seen.values.get(quantity) {
                Some(value) => {
                    let verdict = self.verdict(seen);
                    format!("{quantity} is {}, {range} {verdict}", shown(*value))
                }
                None => format!("{quantity} is not known, wanted {range}"),
            },
            Self::Time { from_minute, until_minute } => format!(
                "it is {}, {} to {} {}",
                clock(minute(seen)),
                clock(*from_minute),
                clock(*until_minute),
                self.verdict(seen)
            ),
            Self::Day(days) => format!("the day is one of {days} {}", self.verdict(seen)),
        }
    }
}

/// The minute of the day that the owner's clock shows.
fn minute(seen: &Seen) -> u32 {
    u32::try_from(seen.local_ms.rem_euclid(DAY_MS).div_euclid(MINUTE_MS)).unwrap_or(0)
}

/// Whether a minute of the day is from one up to before another, over midnight if need be.
pub(super) const fn is_between(minute: u32, from: u32, until: u32) -> bool {
    if from <= until { from <= minute && minute < until } else { from <= minute || minute < until }
}

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute.div_euclid(60), minute.rem_euclid(60))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use boltgrid_protocol::units::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn seen(values: &[(Quantity, i64)], local_ms: u64) -> Seen {
        let values: BTreeMap<Quantity, i64> = values.iter().copied().collect();
        Seen { at: Timestamp::from_unix_ms(0), local_ms, values }
    }

    fn below(quantity: Quantity, value: i64) -> Condition {
        Condition::Is(quantity, Range { least: None, most: Some(value * SCALE - 1) })
    }

    #[test]
    fn what_is_not_known_does_not_hold_and_its_opposite_neither() {
        let hot = below(Quantity::Temperature, 30);
        let unknown = seen(&[], 0);
        assert_eq!(hot.verdict(&unknown), Verdict::Unknown);
        assert_eq!(Condition::Not(Box::new(hot.clone())).verdict(&unknown), Verdict::Unknown);
        let cheap = below(Quantity::Price, 100);
        let both = |price| seen(&[(Quantity::Price, price * SCALE)], 0);
        let all = Condition::AllOf(vec![hot.clone(), cheap.clone()]);
        assert_eq!(all.verdict(&both(50)), Verdict::Unknown);
        assert_eq!(all.verdict(&both(100)), Verdict::Fails, "one that fails is enough");
        let any = Condition::AnyOf(vec![hot, cheap]);
        assert_eq!(any.verdict(&both(50)), Verdict::Holds, "one that holds is enough");
        assert_eq!(any.verdict(&both(100)), Verdict::Unknown);
    }

    #[test]
    fn a_window_may_go_over_midnight_and_ends_before_its_last_minute() {
        let at = |hour: u64, minute: u64| seen(&[], (hour * 60 + minute) * MINUTE_MS);
        let night = Condition::Time { from_minute: 22 * 60, until_minute: 6 * 60 };
        let found =
            [at(21, 59), at(22, 0), at(3, 0), at(5, 59), at(6, 0)].map(|it| night.verdict(&it));
        use Verdict::{Fails, Holds};
        assert_eq!(found, [Fails, Holds, Holds, Holds, Fails]);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        // 2016-05-25 was a Wednesday: 16 946 days after 1970-01-01.
        let wednesday = seen(&[], 16_946 * DAY_MS);
        let only = |day: usize| {
            let mut days = [false; 7];
            days[day] = true;
            Condition::Day(Weekdays(days)).verdict(&wednesday)
        };
        assert_eq!((only(1), only(2), only(3)), (Verdict::Fails, Verdict::Holds, Verdict::Fails));
    }

    #[test]
    fn an_explanation_names_each_value_and_what_was_wanted() {
        let condition = Condition::AllOf(vec![
            below(Quantity::Price, 100),
            Condition::Not(Box::new(below(Quantity::Battery, 30))),
        ]);
        let seen = seen(&[(Quantity::Price, 95_500)], 0);
        assert_eq!(
            condition.explained(&seen),
            "all of (price_sat_per_kwh is 95.5, below 100 holds; \
             not (battery_percent is not known, wanted below 30))"
        );
    }

    fn any_condition() -> impl Strategy<Value = Condition> {
        let leaf = (0..Quantity::ALL.len(), -5_i64..5)
            .prop_map(|(number, value)| below(Quantity::ALL[number], value));
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Condition::AllOf),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Condition::AnyOf),
                inner.prop_map(|of| Condition::Not(Box::new(of))),
            ]
        })
    }

    proptest! {
        /// Whatever an unknown turns out to be, a verdict that was not unknown stays.
        #[test]
        fn what_holds_without_knowing_holds_whatever_is_learnt(
            condition in any_condition(),
            known in prop::collection::vec((0..Quantity::ALL.len(), -6_000_i64..6_000), 0..6),
            learnt in prop::collection::vec((0..Quantity::ALL.len(), -6_000_i64..6_000), 0..16),
        ) {
            let of = |pairs: &[(usize, i64)]| -> Vec<(Quantity, i64)> {
                pairs.iter().map(|(number, value)| (Quantity::ALL[*number], *value)).collect()
            };
            let before = seen(&of(&known), 0);
            let mut after = before.clone();
            for (quantity, value) in of(&learnt) {
                after.values.entry(quantity).or_insert(value);
            }
            let verdict = condition.verdict(&before);
            if verdict != Verdict::Unknown {
                prop_assert_eq!(condition.verdict(&after), verdict);
            }
        }
    }
}
