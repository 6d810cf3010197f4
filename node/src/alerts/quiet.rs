//! Quiet hours, in the grid's standard time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay {
    minute: u16,
}

/// Text that is no time of day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time of day; write it as 22:30")]
pub struct NotATime(String);

impl FromStr for TimeOfDay {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let refused = || NotATime(text.to_owned());
        let (hour, minute) = text.split_once(':').ok_or_else(refused)?;
        let is_plain = |part: &str| part.len() == 2 && part.bytes().all(|it| it.is_ascii_digit());
        if !is_plain(hour) || !is_plain(minute) {
            return Err(refused());
        }
        let (hour, minute): (u16, u16) =
            (hour.parse().map_err(|_| refused())?, minute.parse().map_err(|_| refused())?);
        if hour > 23 || minute > 59 {
            return Err(refused());
        }
        Ok(Self { minute: hour * 60 + minute })
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = NotATime;

    fn try_from(text: String) -> Result<Self, NotATime> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

/// From when until when only what is urgent is told. The two being the same, it never is quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// The first minute.
    pub from: TimeOfDay,
    /// The first minute after them; of the next day where it is earlier.
    pub until: TimeOfDay,
}

impl QuietHours {
    /// Whether it is quiet at a local time, in ms since some midnight.
    #[must_use]
    pub fn hold_at(&self, local_ms: u64) -> bool {
        let minute = (local_ms % DAY_MS).div_euclid(MINUTE_MS);
        let (from, until) = (u64::from(self.from.minute), u64::from(self.until.minute));
        if from <= until {
            (from..until).contains(&minute)
        } else {
            minute >= from || minute < until
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: &str, until: &str) -> QuietHours {
        QuietHours { from: from.parse().unwrap(), until: until.parse().unwrap() }
    }

    fn ms(hour: u64, minute: u64) -> u64 {
        7 * DAY_MS + (hour * 60 + minute) * MINUTE_MS
    }

    #[test]
    fn a_night_spans_midnight() {
        let night = hours("22:00", "06:30");
        assert!(!night.hold_at(ms(21, 59)));
        assert!(night.hold_at(ms(22, 0)));
        assert!(night.hold_at(ms(0, 0)));
        assert!(night.hold_at(ms(6, 29)));
        assert!(!night.hold_at(ms(6, 30)));
    }

    #[test]
    fn a_nap_does_not() {
        let nap = hours("13:00", "14:00");
        assert!(nap.hold_at(ms(13, 30)));
        assert!(!nap.hold_at(ms(14, 0)));
        assert!(!nap.hold_at(ms(3, 0)));
        assert!(!hours("10:00", "10:00").hold_at(ms(10, 0)));
    }

    #[test]
    fn times_are_written_one_way() {
        for text in ["7:00", "24:00", "12:60", "1200", "+1:00", "12:0", ""] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
        assert_eq!("09:05".parse::<TimeOfDay>().unwrap().to_string(), "09:05");
    }
}
