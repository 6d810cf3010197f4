//! Numbers as people read them: with a unit, few digits, and the decimal sign of the language.
//!
//! Integers only; the last digit is rounded to the nearest. Not for: texts ([`super::words`]).

use super::words::Language;
use crate::config::Fiat;

/// A number and its unit, apart, so that a page can show the number large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    pub(super) number: String,
    pub(super) unit: &'static str,
    /// The same in the owner's currency, by the owner's rate; empty where it is not wanted.
    pub(super) beside: String,
}

impl Quantity {
    const fn new(number: String, unit: &'static str) -> Self {
        Self { number, unit, beside: String::new() }
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A narrow space that does not break.
        write!(f, "{}\u{202f}{}", self.number, self.unit)
    }
}

/// Writes numbers in one language, and amounts in the owner's currency too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format(pub(super) Language, pub(super) Option<Fiat>);

impl Format {
    /// Power in milliwatts, as W or kW.
    pub(super) fn power(self, mw: i64) -> Quantity {
        if mw.unsigned_abs() < 999_500 {
            return Quantity::new(self.decimal(mw, 1_000, 0), "W");
        }
        let digits = if mw.unsigned_abs() < 99_950_000 { 2 } else { 1 };
        Quantity::new(self.decimal(mw, 1_000_000, digits), "kW")
    }

    /// Energy in mWh, as Wh or kWh.
    pub(super) fn energy(self, mwh: i64) -> Quantity {
        if mwh.unsigned_abs() < 9_950 && mwh != 0 {
            return Quantity::new(self.decimal(mwh, 1_000, 1), "Wh");
        }
        if mwh.unsigned_abs() < 999_500 {
            return Quantity::new(self.decimal(mwh, 1_000, 0), "Wh");
        }
        let digits = if mwh.unsigned_abs() < 99_950_000 { 2 } else { 1 };
        Quantity::new(self.decimal(mwh, 1_000_000, digits), "kWh")
    }

    /// Money in millisatoshi, as sat.
    pub(super) fn money(self, msat: i64) -> Quantity {
        let digits = match msat.unsigned_abs() {
            0 => 0,
            1..10_000 => 2,
            10_000..100_000 => 1,
            _ => 0,
        };
        let beside = self.1.map_or_else(String::new, |fiat| self.fiat(msat, fiat));
        Quantity { beside, ..Quantity::new(self.decimal(msat, 1_000, digits), "sat") }
    }

    /// Money in millisatoshi in a currency, with four digits where it is less than one unit.
    fn fiat(self, msat: i64, fiat: Fiat) -> String {
        // 10^11 msat are a bitcoin; millionths of the currency are left.
        let millionths = i128::from(msat) * i128::from(fiat.per_bitcoin) / 100_000;
        let limit = i128::from(i64::MAX);
        let millionths = i64::try_from(millionths.clamp(-limit, limit)).unwrap_or(i64::MAX);
        let digits = if millionths.unsigned_abs() < 995_000 { 4 } else { 2 };
        let number = self.decimal(millionths, 1_000_000, digits);
        format!("\u{2248}\u{202f}{number}\u{202f}{}", fiat.code())
    }

    /// A price in msat per kWh, as sat/kWh.
    pub(super) fn price(self, msat_per_kwh: i64) -> Quantity {
        let digits = if msat_per_kwh.unsigned_abs() < 99_950 { 1 } else { 0 };
        Quantity::new(self.decimal(msat_per_kwh, 1_000, digits), "sat/kWh")
    }

    /// Thousandths of a per cent, as whole per cent.
    pub(super) fn percent(self, milli_percent: i64) -> Quantity {
        Quantity::new(self.decimal(milli_percent, 1_000, 0), "%")
    }

    /// A voltage in millivolts.
    pub(super) fn voltage(self, mv: u32) -> Quantity {
        Quantity::new(self.decimal(i64::from(mv), 1_000, 1), "V")
    }

    /// A current in milliamperes.
    pub(super) fn current(self, ma: i32) -> Quantity {
        Quantity::new(self.decimal(i64::from(ma), 1_000, 2), "A")
    }

    /// A frequency in millihertz.
    pub(super) fn frequency(self, mhz: u32) -> Quantity {
        Quantity::new(self.decimal(i64::from(mhz), 1_000, 2), "Hz")
    }

    /// `value / unit`, rounded to the nearest with so many digits after the decimal sign.
    fn decimal(self, value: i64, unit: u64, digits: u32) -> String {
        let scale = 10_u128.pow(digits);
        let (value, is_negative) = (u128::from(value.unsigned_abs()), value < 0);
        let unit = u128::from(unit);
        let scaled = (value * scale + unit / 2) / unit;
        let (whole, rest) = (scaled / scale, scaled % scale);
        let sign = if is_negative && scaled > 0 { "\u{2212}" } else { "" };
        let whole = self.grouped(whole);
        if digits == 0 {
            return format!("{sign}{whole}");
        }
        let (point, width) = (self.point(), usize::try_from(digits).unwrap_or(0));
        format!("{sign}{whole}{point}{rest:0width$}")
    }

    /// A count, with its digits in groups of three from 10 000 on.
    pub(super) fn grouped(self, count: u128) -> String {
        let text = count.to_string();
        if text.len() < 5 {
            return text;
        }
        let mut grouped = String::with_capacity(text.len() + text.len() / 3);
        for (place, digit) in text.chars().enumerate() {
            if place > 0 && (text.len() - place).is_multiple_of(3) {
                grouped.push('\u{202f}');
            }
            grouped.push(digit);
        }
        grouped
    }

    pub(super) const fn point(self) -> char {
        match self.0 {
            Language::English => '.',
            Language::German => ',',
        }
    }
}

/// The time of day of local milliseconds: hours and minutes, and seconds where intervals are short.
pub(super) fn time_of_day(local_ms: u64, with_seconds: bool) -> String {
    let second = local_ms / 1_000 % 86_400;
    let (hours, minutes, seconds) = (second / 3_600, second / 60 % 60, second % 60);
    if with_seconds {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    } else {
        format!("{hours:02}:{minutes:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EN: Format = Format(Language::English, None);
    const DE: Format = Format(Language::German, None);

    fn text(quantity: &Quantity) -> String {
        format!("{} {}", quantity.number, quantity.unit)
    }

    #[test]
    fn power_changes_its_unit_at_a_kilowatt_and_rounds_to_the_nearest() {
        assert_eq!(text(&EN.power(0)), "0 W");
        assert_eq!(text(&EN.power(812_499)), "812 W");
        assert_eq!(text(&EN.power(999_500)), "1.00 kW");
        assert_eq!(text(&DE.power(-1_235_000)), "\u{2212}1,24 kW");
        assert_eq!(text(&EN.power(-400)), "0 W", "no minus before a zero");
        assert_eq!(
            text(&EN.power(i64::MIN)),
            "\u{2212}9\u{202f}223\u{202f}372\u{202f}036\u{202f}854.8 kW"
        );
    }

    #[test]
    fn small_amounts_keep_a_digit_and_large_ones_are_grouped() {
        assert_eq!(text(&EN.money(1_234)), "1.23 sat");
        assert_eq!(text(&EN.money(0)), "0 sat");
        assert_eq!(text(&DE.money(12_345_678_000)), "12\u{202f}345\u{202f}678 sat");
        assert_eq!(text(&EN.energy(2_500)), "2.5 Wh");
        assert_eq!(text(&EN.energy(1_234_567)), "1.23 kWh");
        assert_eq!(text(&EN.price(-52_340)), "\u{2212}52.3 sat/kWh");
    }

    #[test]
    fn an_amount_is_shown_in_the_owners_currency_by_the_owners_rate() {
        let fiat = Fiat { currency: *b"EUR", per_bitcoin: 58_000 };
        let beside = |msat| Format(Language::German, Some(fiat)).money(msat).beside;
        assert_eq!(beside(1_000_000), "\u{2248}\u{202f}0,5800\u{202f}EUR");
        assert_eq!(beside(-100_000_000_000), "\u{2248}\u{202f}\u{2212}58\u{202f}000,00\u{202f}EUR");
        assert_eq!(EN.money(1).beside, "");
        assert!(beside(i64::MIN).ends_with("EUR"));
    }

    #[test]
    fn a_day_begins_again_at_midnight() {
        assert_eq!(time_of_day(86_400_000 + 3_661_000, false), "01:01");
        assert_eq!(time_of_day(3_661_000, true), "01:01:01");
    }
}
