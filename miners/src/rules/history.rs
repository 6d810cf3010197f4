//! What was seen in the past, from a table: one line a moment, one column a quantity.

use std::collections::BTreeMap;

use boltgrid_protocol::units::Timestamp;

use super::quantity::{Quantity, SCALE, Seen};

/// The column of the time.
const TIME: &str = "at_unix_ms";
/// Most lines of one history: ten years of quarters of an hour.
const LINES_MAX: usize = 400_000;
/// Digits after the point that a thousandth has.
const DIGITS: usize = 3;

/// One moment of the past.
pub type Sample = Seen;

/// Why a table is no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryRejected {
    /// No column of times.
    #[error("line 1: the first line names the columns, and one of them is {TIME}")]
    NoTime,
    /// A column that nothing is.
    #[error(
        "line 1: there is no column {0}; the columns are {TIME} and those that rules look at, such as price_sat_per_kwh"
    )]
    Column(String),
    /// A column that is there twice.
    #[error("line 1: the column {0} is there twice")]
    Twice(String),
    /// A value that is no number.
    #[error(
        "line {line}, column {column}: {text:?} is no number with at most {DIGITS} digits after the point"
    )]
    Value {
        /// Counted from 1.
        line: usize,
        /// The column's name.
        column: String,
        /// What stands there.
        text: String,
    },
    /// A line of another length.
    #[error("line {line} has {found} values, and the first line {expected}")]
    Length {
        /// Counted from 1.
        line: usize,
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// Times that do not rise.
    #[error("line {0}: its time is not after that of the line before")]
    Order(usize),
    /// Too many lines.
    #[error("more than {LINES_MAX} lines; cut the history into pieces")]
    TooLong,
}

/// Reads a table of comma-separated values: the first line names the columns, an empty value is one
/// that was not known. The owner's clock is `clock_ahead_ms` ahead of UTC.
///
/// # Errors
///
/// [`HistoryRejected`] with line and column.
pub fn read_history(text: &str, clock_ahead_ms: i64) -> Result<Vec<Sample>, HistoryRejected> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header: Vec<&str> =
        lines.next().map(|(_, line)| line.split(',').map(str::trim).collect()).unwrap_or_default();
    let mut seen_names: Vec<&str> = Vec::new();
    for name in &header {
        if seen_names.contains(name) {
            return Err(HistoryRejected::Twice((*name).to_owned()));
        }
        if *name != TIME && Quantity::named(name).is_none() {
            return Err(HistoryRejected::Column((*name).to_owned()));
        }
        seen_names.push(name);
    }
    if !header.contains(&TIME) {
        return Err(HistoryRejected::NoTime);
    }
    let mut samples: Vec<Sample> = Vec::new();
    for (number, line) in lines {
        let line_number = number.saturating_add(1);
        if samples.len() == LINES_MAX {
            return Err(HistoryRejected::TooLong);
        }
        let sample = sample(&header, line, line_number, clock_ahead_ms)?;
        if samples.last().is_some_and(|before| sample.at <= before.at) {
            return Err(HistoryRejected::Order(line_number));
        }
        samples.push(sample);
    }
    Ok(samples)
}

fn sample(
    header: &[&str],
    line: &str,
    line_number: usize,
    clock_ahead_ms: i64,
) -> Result<Sample, HistoryRejected> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    if cells.len() != header.len() {
        let (found, expected) = (cells.len(), header.len());
        return Err(HistoryRejected::Length { line: line_number, found, expected });
    }
    let mut at = None;
    let mut values = BTreeMap::new();
    for (name, text) in header.iter().zip(cells) {
        let wrong = || HistoryRejected::Value {
            line: line_number,
            column: (*name).to_owned(),
            text: text.to_owned(),
        };
        match Quantity::named(name) {
            None => at = Some(text.parse::<u64>().map_err(|_| wrong())?),
            Some(_) if text.is_empty() => {}
            Some(quantity) => {
                values.insert(quantity, thousandths(text).ok_or_else(wrong)?);
            }
        }
    }
    let at = at.ok_or(HistoryRejected::NoTime)?;
    let local_ms = at.checked_add_signed(clock_ahead_ms).unwrap_or(at);
    Ok(Seen { at: Timestamp::from_unix_ms(at), local_ms, values })
}

/// A decimal number in thousandths, exactly.
fn thousandths(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(rest) || rest.len() > DIGITS {
        return None;
    }
    let rest: i64 = format!("{rest:0<DIGITS$}").parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(SCALE)?.checked_add(rest)?.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_to_the_thousandth_and_what_is_empty_is_not_known() {
        let text = "at_unix_ms, price_sat_per_kwh ,surplus_w\n1000,95.5,\n2000,-30,2500\n\n";
        let samples = read_history(text, 3_600_000).unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[0].values, BTreeMap::from([(Quantity::Price, 95_500)]));
        assert_eq!(samples[0].local_ms, 3_601_000);
        assert_eq!(samples[1].values[&Quantity::Price], -30_000);
        assert_eq!(samples[1].values[&Quantity::Surplus], 2_500_000);
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said_with_its_line() {
        let wrong = |text: &str| read_history(text, 0).unwrap_err().to_string();
        assert!(wrong("price_sat_per_kwh\n1\n").contains("at_unix_ms"));
        assert!(wrong("at_unix_ms,price\n").contains("no column price"));
        assert!(wrong("at_unix_ms,pv_w,pv_w\n").contains("twice"));
        assert!(wrong("at_unix_ms,pv_w\n1,2,3\n").contains("line 2 has 3 values"));
        assert!(wrong("at_unix_ms,pv_w\n1,2.0001\n").contains("line 2, column pv_w"));
        assert!(wrong("at_unix_ms,pv_w\n1,\u{b2}\n").contains("line 2, column pv_w"));
        assert!(wrong("at_unix_ms\n2\n2\n").contains("line 3"));
        assert!(wrong("").contains("first line"));
    }
}
