//! The supplier's tariff: what everyone pays and gets where no trade does better.
//!
//! Prices depend on month and time of day of the *tariff clock*, a fixed affine function of Unix
//! time. A real grid sets its speed to 1 and its offset to the local standard time; a testnet that
//! lets one interval stand for a quarter of an hour sets a higher speed. There is no daylight saving
//! time: the hours of a charter are standard time all year.

use serde::{Deserialize, Serialize};

use super::{CharterRejected, PriceBand, require};
use crate::units::{Price, Timestamp};

/// Most periods of one tariff.
const PERIODS_MAX: usize = 64;
const DAY_MS: u64 = 86_400_000;
const MINUTES_PER_DAY: u32 = 1440;
const SPEED_MAX: u32 = 100_000;

/// Retail and feed-in prices by month and time of day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tariff {
    /// The clock that the periods are told by.
    pub clock: TariffClock,
    /// What holds where no period does.
    pub base: TariffPrices,
    /// Exceptions; the first that fits holds.
    #[serde(default, rename = "period")]
    pub periods: Vec<TariffPeriod>,
}

/// The supplier's prices at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TariffPrices {
    /// What the supplier takes for energy from it.
    pub retail_msat_per_kwh: Price,
    /// What the supplier gives for energy to it; negative means it takes.
    pub feed_in_msat_per_kwh: Price,
}

/// Prices for some months and some time of the day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TariffPeriod {
    /// Months, 1 to 12.
    pub months: Vec<u8>,
    /// First minute of the day, from 0.
    pub from_minute_of_day: u32,
    /// First minute of the day after the period, at most 1440.
    pub until_minute_of_day: u32,
    /// The prices.
    pub prices: TariffPrices,
}

/// Local time of the tariff as an affine function of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TariffClock {
    /// A moment in Unix time …
    pub anchor_unix_ms: u64,
    /// … and what the tariff clock shows then, in ms since 1970-01-01 00:00 local standard time.
    pub anchor_local_ms: u64,
    /// Tariff milliseconds per real millisecond: 1, but for testnets.
    pub speed: u32,
}

impl TariffClock {
    /// What the tariff clock shows at `now`, in ms since 1970-01-01 00:00 local standard time.
    #[must_use]
    pub fn local_ms(&self, now: Timestamp) -> u64 {
        let speed = u64::from(self.speed);
        let now_ms = now.to_unix_ms();
        if now_ms >= self.anchor_unix_ms {
            let passed = now_ms.saturating_sub(self.anchor_unix_ms).saturating_mul(speed);
            self.anchor_local_ms.saturating_add(passed)
        } else {
            let before = self.anchor_unix_ms.saturating_sub(now_ms).saturating_mul(speed);
            self.anchor_local_ms.saturating_sub(before)
        }
    }

    /// The length of one day of the tariff clock in real milliseconds.
    #[must_use]
    pub fn day_ms(&self) -> u64 {
        DAY_MS.checked_div(u64::from(self.speed)).unwrap_or(DAY_MS)
    }

    /// The minute of the tariff clock's day, 0 to 1439, at `now`.
    #[must_use]
    pub fn minute_of_day(&self, now: Timestamp) -> u32 {
        let minute = self.local_ms(now).rem_euclid(DAY_MS).div_euclid(60_000);
        u32::try_from(minute).unwrap_or(0)
    }

    /// The month of the tariff clock, 1 to 12, at `now`.
    #[must_use]
    pub fn month(&self, now: Timestamp) -> u8 {
        month_of_day(self.local_ms(now).div_euclid(DAY_MS))
    }
}

/// The month, 1 to 12, of a day counted from 1970-01-01.
///
/// After Howard Hinnant, *chrono-Compatible Low-Level Date Algorithms*, `civil_from_days`.
fn month_of_day(days_since_1970: u64) -> u8 {
    let days = days_since_1970.saturating_add(719_468);
    let day_of_era = days.rem_euclid(146_097);
    let leap_corrected = day_of_era
        .saturating_sub(day_of_era.div_euclid(1460))
        .saturating_add(day_of_era.div_euclid(36_524))
        .saturating_sub(day_of_era.div_euclid(146_096));
    let year_of_era = leap_corrected.div_euclid(365);
    let days_of_years = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era.div_euclid(4))
        .saturating_sub(year_of_era.div_euclid(100));
    let day_of_year = day_of_era.saturating_sub(days_of_years);
    let month_from_march = day_of_year.saturating_mul(5).saturating_add(2).div_euclid(153);
    let month = if month_from_march < 10 {
        month_from_march.saturating_add(3)
    } else {
        month_from_march.saturating_sub(9)
    };
    u8::try_from(month).unwrap_or(1)
}

impl Tariff {
    /// The supplier's prices at `now`.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> TariffPrices {
        let minute = self.clock.minute_of_day(now);
        let month = self.clock.month(now);
        self.periods
            .iter()
            .find(|period| {
                period.months.contains(&month)
                    && (period.from_minute_of_day..period.until_minute_of_day).contains(&minute)
            })
            .map_or(self.base, |period| period.prices)
    }

    pub(super) fn check(&self, band: &PriceBand) -> Result<(), CharterRejected> {
        require((1..=SPEED_MAX).contains(&self.clock.speed), "tariff.clock.speed", || {
            format!("must be 1 to {SPEED_MAX}, is {}", self.clock.speed)
        })?;
        require(self.periods.len() <= PERIODS_MAX, "tariff.period", || {
            format!("must be at most {PERIODS_MAX}, are {}", self.periods.len())
        })?;
        self.base
            .check(band, ["tariff.base.retail_msat_per_kwh", "tariff.base.feed_in_msat_per_kwh"])?;
        for period in &self.periods {
            period.prices.check(
                band,
                [
                    "tariff.period.prices.retail_msat_per_kwh",
                    "tariff.period.prices.feed_in_msat_per_kwh",
                ],
            )?;
            require(
                !period.months.is_empty()
                    && period.months.iter().all(|month| (1..=12).contains(month)),
                "tariff.period.months",
                || "must name one or more of 1 to 12".to_owned(),
            )?;
            require(
                period.from_minute_of_day < period.until_minute_of_day
                    && period.until_minute_of_day <= MINUTES_PER_DAY,
                "tariff.period.until_minute_of_day",
                || format!("must be above from_minute_of_day and at most {MINUTES_PER_DAY}"),
            )?;
        }
        Ok(())
    }
}

impl TariffPrices {
    fn check(
        &self,
        band: &PriceBand,
        [retail, feed_in]: [&'static str; 2],
    ) -> Result<(), CharterRejected> {
        for (parameter, price) in
            [(retail, self.retail_msat_per_kwh), (feed_in, self.feed_in_msat_per_kwh)]
        {
            require(band.contains(price), parameter, || {
                format!("must be inside the price band, or nobody could match it, is {price}")
            })?;
        }
        require(self.feed_in_msat_per_kwh <= self.retail_msat_per_kwh, feed_in, || {
            format!("must not be above {retail}: the supplier would pay for a circle")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_the_calendar() {
        let check = |days, month| assert_eq!(month_of_day(days), month, "day {days}");
        check(0, 1); // 1970-01-01
        check(58, 2); // 1970-02-28
        check(59, 3); // 1970-03-01
        check(789, 2); // 1972-02-29
        check(790, 3); // 1972-03-01
        check(16_946, 5); // 2016-05-25
        check(17_166, 12); // 2016-12-31
    }

    #[test]
    fn a_fast_clock_shortens_the_day() {
        let clock = TariffClock { anchor_unix_ms: 1_000_000, anchor_local_ms: 0, speed: 90 };
        assert_eq!(clock.day_ms(), 960_000);
        assert_eq!(clock.minute_of_day(Timestamp::from_unix_ms(1_010_000)), 15);
    }
}
