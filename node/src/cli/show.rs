//! Values for people: labelled rows, and units without a flood of digits.

use std::fmt::Display;
use std::io::{self, Write};

use boltgrid_protocol::units::{Energy, Interval, Power, Price, SignedMsat, Timestamp};
use serde::Serialize;

use super::error::CliError;

/// Writes labelled rows in two columns; an empty label continues the row above.
pub(super) fn rows(out: &mut impl Write, rows: &[(&str, String)]) -> io::Result<()> {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (label, value) in rows {
        writeln!(out, "{label:width$}  {value}")?;
    }
    Ok(())
}

/// Writes an answer as JSON.
pub(super) fn json(out: &mut impl Write, answer: &impl Serialize) -> Result<(), CliError> {
    serde_json::to_writer_pretty(&mut *out, answer).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// A value that may be absent.
pub(super) fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// A price in sat per kWh, with its thousandths where it has any.
pub(super) fn price(price: Price) -> String {
    format!("{} sat/kWh", thousandths(price.to_msat_per_kwh().into()))
}

/// An amount of money in sat.
pub(super) fn money(amount: SignedMsat) -> String {
    format!("{} sat", thousandths(amount.to_millisatoshi().into()))
}

/// An amount of millisatoshi in sat.
pub(super) fn msat_as_sat(msat: u64) -> String {
    thousandths(msat.into())
}

/// A power in W.
pub(super) fn power(power: Power) -> String {
    format!("{} W", thousandths(power.to_milliwatts().into()))
}

/// An energy in Wh.
pub(super) fn energy(energy: Energy) -> String {
    format!("{} Wh", thousandths(energy.to_milliwatt_hours().into()))
}

/// Thousandths of a unit, in that unit.
pub(super) fn milli(number: i128, unit: &str) -> String {
    format!("{} {unit}", thousandths(number))
}

/// A time in seconds.
pub(super) fn seconds(ms: u64) -> String {
    format!("{} s", thousandths(ms.into()))
}

/// A moment in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    let seconds = at.to_unix_ms() / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// An interval and when it starts.
pub(super) fn interval(interval: Interval, starts: Timestamp) -> String {
    format!("{interval} (from {})", moment(starts))
}

/// A number of thousandths as a decimal number without trailing zeros.
fn thousandths(number: i128) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let (whole, part) = (number.unsigned_abs() / 1000, number.unsigned_abs() % 1000);
    let decimals = format!(".{part:03}");
    format!("{sign}{whole}{}", decimals.trim_end_matches('0').trim_end_matches('.'))
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// After Howard Hinnant, *chrono-Compatible Low-Level Date Algorithms*, `civil_from_days`.
const fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_lose_no_digit_and_show_no_empty_one() {
        let check = |msat, text| assert_eq!(price(Price::from_msat_per_kwh(msat)), text);
        check(300_000, "300 sat/kWh");
        check(-30_500, "-30.5 sat/kWh");
        check(-1, "-0.001 sat/kWh");
        check(0, "0 sat/kWh");
        check(i64::MIN, "-9223372036854775.808 sat/kWh");
    }

    #[test]
    fn moments_are_dates_and_times() {
        let check = |unix_ms, text| assert_eq!(moment(Timestamp::from_unix_ms(unix_ms)), text);
        check(0, "1970-01-01 00:00:00 UTC");
        check(951_782_400_000, "2000-02-29 00:00:00 UTC");
        check(1_464_178_199_999, "2016-05-25 12:09:59 UTC");
        check(1_798_761_600_000, "2027-01-01 00:00:00 UTC");
    }
}
