//! Calendar times as they stand in profiles and on command lines, to and from Unix seconds.
//!
//! Not for the clock of the market: that is `units::Timestamp`.

use std::fmt;

/// Seconds in a day.
const DAY_S: i64 = 86_400;

/// A point in time together with the offset from UTC in which it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilTime {
    unix_s: i64,
    offset_s: i64,
}

impl CivilTime {
    /// A point in time in Unix seconds, written `offset_s` seconds east of UTC.
    #[must_use]
    pub const fn new(unix_s: i64, offset_s: i64) -> Self {
        Self { unix_s, offset_s }
    }

    /// Reads `2016-05-25T06:00:00+01:00`; the seconds may be missing, `Z` stands for UTC.
    /// A time without zone is taken at `default_offset_s`, and is `None` if that is `None`.
    #[must_use]
    pub fn parse(text: &str, default_offset_s: Option<i64>) -> Option<Self> {
        let (date, clock) = text.split_at_checked(10)?;
        let [year, month, day] = date_fields(date.as_bytes())?;
        let clock = clock.strip_prefix(['T', ' '])?;
        let zone_at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
        let (clock, zone) = clock.split_at_checked(zone_at)?;
        let (hour, minute, second) = match *clock.as_bytes() {
            [h1, h0, b':', m1, m0] => (number(&[h1, h0])?, number(&[m1, m0])?, 0),
            [h1, h0, b':', m1, m0, b':', s1, s0] => {
                (number(&[h1, h0])?, number(&[m1, m0])?, number(&[s1, s0])?)
            }
            _ => return None,
        };
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let offset_s = if zone.is_empty() { default_offset_s? } else { zone_offset_s(zone)? };
        let local_s = days_from_date(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
        Some(Self { unix_s: local_s - offset_s, offset_s })
    }

    /// Unix seconds, UTC.
    #[must_use]
    pub const fn unix_s(self) -> i64 {
        self.unix_s
    }

    /// Seconds east of UTC in which the time is written.
    #[must_use]
    pub const fn offset_s(self) -> i64 {
        self.offset_s
    }

    /// What the clock shows, in seconds since it showed 1970-01-01 00:00.
    #[must_use]
    pub const fn local_s(self) -> i64 {
        self.unix_s + self.offset_s
    }

    /// The month that the clock shows, 1 to 12.
    #[must_use]
    pub const fn month(self) -> i64 {
        let (_, month, _) = date_from_days(self.local_s().div_euclid(DAY_S));
        month
    }

    /// The same clock `seconds` later.
    #[must_use]
    pub const fn plus_s(self, seconds: i64) -> Self {
        Self { unix_s: self.unix_s + seconds, offset_s: self.offset_s }
    }

    /// Whether a clock that is to show `self` shows `other` instead because it is changed to or
    /// from summer time, which in Europe happens on the last Sundays of March and October.
    #[must_use]
    pub const fn is_changed_to(self, other: Self) -> bool {
        let days = self.local_s().div_euclid(DAY_S);
        let (_, month, day) = date_from_days(days);
        // Day 0 was a Thursday, and the last seven days of both months begin on the 25th.
        let last_sunday = (days + 4).rem_euclid(7) == 0 && day >= 25;
        let hour = self.local_s().rem_euclid(DAY_S) / 3600;
        let on_the_hour = self.local_s().rem_euclid(3600) == 0;
        let change_s = other.local_s() - self.local_s();
        last_sunday
            && on_the_hour
            && (month == 3 && hour == 2 && change_s == 3600
                || month == 10 && hour == 3 && change_s == -3600)
    }
}

impl fmt::Display for CivilTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_from_days(self.local_s().div_euclid(DAY_S));
        let second = self.local_s().rem_euclid(DAY_S);
        let (sign, offset_s) =
            if self.offset_s < 0 { ('-', -self.offset_s) } else { ('+', self.offset_s) };
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60,
            offset_s / 3600,
            offset_s / 60 % 60,
        )
    }
}

/// Year, month and day of `2016-05-25`, if there is such a day.
fn date_fields(date: &[u8]) -> Option<[i64; 3]> {
    let [y3, y2, y1, y0, b'-', m1, m0, b'-', d1, d0] = *date else { return None };
    let (year, month, day) = (number(&[y3, y2, y1, y0])?, number(&[m1, m0])?, number(&[d1, d0])?);
    let exists = date_from_days(days_from_date(year, month, day)) == (year, month, day);
    exists.then_some([year, month, day])
}

/// Seconds east of UTC of `Z` or `+01:00`.
fn zone_offset_s(zone: &str) -> Option<i64> {
    match *zone.as_bytes() {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h0, b':', m1, m0] => {
            let (hours, minutes) = (number(&[h1, h0])?, number(&[m1, m0])?);
            let offset_s = hours * 3600 + minutes * 60;
            (hours <= 14 && minutes <= 59).then_some(if sign == b'-' {
                -offset_s
            } else {
                offset_s
            })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in eras of 400 years from March.
const fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_date`].
const fn date_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_zone() {
        let check = |text, unix_s| {
            assert_eq!(CivilTime::parse(text, Some(3600)).map(CivilTime::unix_s), unix_s, "{text}");
        };
        check("1970-01-01T00:00:00Z", Some(0));
        check("2016-05-25T06:00:00+01:00", Some(1_464_152_400));
        check("2016-05-25T06:00:00", Some(1_464_152_400));
        check("2016-05-25 06:00", Some(1_464_152_400));
        check("2016-05-25T05:00Z", Some(1_464_152_400));
        check("2016-02-29T00:00:00-00:30", Some(1_456_705_800));
        for wrong in [
            "",
            "2016-05-25",
            "2015-02-29T00:00:00Z",
            "2016-13-01T00:00:00Z",
            "2016-05-25T24:00Z",
            "2016-05-25T06:00:00+1:00",
            "2016-05-25T06:00:00.5Z",
            "2016-05-2éT06:00",
            "x",
        ] {
            check(wrong, None);
        }
        assert_eq!(CivilTime::parse("2016-05-25T06:00:00", None), None);
    }

    #[test]
    fn clocks_change_on_two_nights_of_the_year_only() {
        let check = |from, to, expected| {
            let [from, to] = [from, to].map(|text| CivilTime::parse(text, Some(3600)).unwrap());
            assert_eq!(from.is_changed_to(to), expected, "{from}");
        };
        check("2016-03-27T02:00", "2016-03-27T03:00", true);
        check("2016-10-30T03:00", "2016-10-30T02:00", true);
        check("2016-03-27T03:00", "2016-03-27T02:00", false);
        check("2016-03-27T02:00", "2016-03-27T04:00", false);
        check("2016-03-27T02:15", "2016-03-27T03:15", false);
        check("2016-03-20T02:00", "2016-03-20T03:00", false);
        check("2016-03-28T02:00", "2016-03-28T03:00", false);
        check("2016-10-30T02:00", "2016-10-30T01:00", false);
    }

    #[test]
    fn what_is_written_is_read_back_on_every_day_of_nine_years() {
        for day in 16_000..19_300 {
            for offset_s in [3600, -12_600] {
                let time = CivilTime::new(day * DAY_S + 1800, offset_s);
                assert_eq!(CivilTime::parse(&time.to_string(), None), Some(time));
            }
        }
    }
}
