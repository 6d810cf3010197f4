//! A hashprice that somebody says over HTTP, as JSON.
//!
//! Whoever says it is believed, within what a hashprice can be: too high a one would let machines run at
//! a loss. Not for: the hashprice that follows from the chain, which needs nobody's word.

use boltgrid_miners::hash::Hashprice;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// The most that a terahash a second ever earned in a day was some 10 000 sat, in 2017.
const MSAT_PER_TH_DAY_MAX: u64 = 100_000_000;
/// Digits that are read.
const DIGITS_MAX: usize = 18;

/// Where it is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashpriceFeed {
    /// The address that is asked.
    pub url: String,
    /// Where in the answer it stands, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// In what unit.
    pub unit: FeedUnit,
}

/// In what unit a feed says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedUnit {
    /// Satoshi for a terahash a second over a day.
    SatPerThDay,
    /// Satoshi for a petahash a second over a day.
    SatPerPhDay,
    /// Bitcoin for a petahash a second over a day.
    BtcPerPhDay,
}

impl FeedUnit {
    /// What it is in msat for a terahash a second over a day, as a power of ten.
    const fn power(self) -> u32 {
        match self {
            Self::SatPerThDay => 3,
            Self::SatPerPhDay => 0,
            // 10¹¹ msat are a bitcoin, and 10³ TH a PH.
            Self::BtcPerPhDay => 8,
        }
    }
}

impl HashpriceFeed {
    /// What is wrong with it, in words; none where nothing is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let is_web =
            Url::parse(&self.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_web {
            return Some(format!("`url` is no address of http or https: {:?}", self.url));
        }
        let is_pointer = self.pointer.starts_with('/');
        (!is_pointer).then(|| format!("`pointer` begins with `/`, unlike {:?}", self.pointer))
    }

    /// Where it is said, without a password or key that its address may have.
    pub(super) fn shown(&self) -> String {
        shown(&self.url)
    }

    /// What an answer says; in words, why that is none.
    pub(super) fn read(&self, answer: &Value) -> Result<Hashprice, String> {
        let found = answer.pointer(&self.pointer);
        let number = found.and_then(|found| match found {
            Value::Number(number) => Some(number.clone()),
            // Exchanges quote numbers.
            Value::String(text) => text.parse::<Number>().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        });
        let msat = number.and_then(|number| scaled_floor(&number.to_string(), self.unit.power()));
        let msat = msat.filter(|msat| (1..=MSAT_PER_TH_DAY_MAX).contains(msat));
        msat.map(Hashprice::from_msat_per_th_day).ok_or_else(|| {
            let found = found.map_or_else(
                || "nothing".to_owned(),
                |it| it.to_string().chars().take(40).collect(),
            );
            format!("at {} there is {found} and no hashprice", self.pointer)
        })
    }
}

/// An address as it may be logged and shown: without user, password and query, since people put keys
/// into these.
pub(super) fn shown(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return "no address".to_owned() };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// A decimal number times a power of ten, rounded down; `None` for what is negative or too long.
fn scaled_floor(text: &str, power: u32) -> Option<u64> {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let both = format!("{whole}{part}");
    if both.len() > 2 * DIGITS_MAX || !both.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let value: u128 = both.parse().ok()?;
    let shift = exponent.checked_add(power.into())?.checked_sub(i64::try_from(part.len()).ok()?)?;
    let factor = 10_u128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    let scaled = if shift < 0 { value.checked_div(factor)? } else { value.checked_mul(factor)? };
    u64::try_from(scaled).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(unit: FeedUnit, answer: &str) -> Result<u64, String> {
        let url = "https://feed.example/hashprice".to_owned();
        let feed = HashpriceFeed { url, pointer: "/data/0/price".to_owned(), unit };
        assert_eq!(feed.problem(), None);
        feed.read(&serde_json::from_str(answer).unwrap()).map(Hashprice::to_msat_per_th_day)
    }

    #[test]
    fn it_is_read_in_each_unit_and_rounded_down() {
        let said = |price: &str| format!("{{\"data\":[{{\"price\":{price}}}]}}");
        assert_eq!(read(FeedUnit::SatPerThDay, &said("52.4567")), Ok(52_456));
        assert_eq!(read(FeedUnit::SatPerPhDay, &said("52456.7")), Ok(52_456));
        assert_eq!(read(FeedUnit::BtcPerPhDay, &said("0.00052456")), Ok(52_456));
        assert_eq!(read(FeedUnit::BtcPerPhDay, &said("5.2456e-4")), Ok(52_456));
        assert_eq!(read(FeedUnit::SatPerPhDay, &said("\"52456\"")), Ok(52_456));
    }

    #[test]
    fn what_is_no_hashprice_is_none() {
        for odd in ["{}", "{\"data\":[]}", "[]"] {
            assert!(read(FeedUnit::SatPerThDay, odd).unwrap_err().contains("nothing"));
        }
        for price in ["0", "-52", "null", "\"much\"", "1e30", "1e-30", "100001"] {
            let said = format!("{{\"data\":[{{\"price\":{price}}}]}}");
            assert!(read(FeedUnit::SatPerThDay, &said).is_err(), "{price}");
        }
    }

    #[test]
    fn what_is_shown_of_an_address_has_no_password_and_no_key() {
        assert_eq!(
            shown("https://me:pass@feed.example:81/v1?key=k#f"),
            "https://feed.example:81/v1"
        );
        assert_eq!(shown("http://[::1]/"), "http://[::1]/");
        assert_eq!(shown("pass"), "no address");
    }

    #[test]
    fn an_address_and_a_pointer_are_asked_for() {
        let feed = |url: &str, pointer: &str| HashpriceFeed {
            url: url.to_owned(),
            pointer: pointer.to_owned(),
            unit: FeedUnit::SatPerThDay,
        };
        assert!(feed("file:///etc/passwd", "/a").problem().unwrap().contains("`url`"));
        assert!(feed("feed.example", "/a").problem().unwrap().contains("`url`"));
        assert!(feed("http://feed.example/", "a").problem().unwrap().contains("`pointer`"));
    }
}
