//! `[dashboard]`: what the owner's pages show besides what the node knows.
//! Not for: the port they are on ([`super::rpc`]).

use serde::{Deserialize, Serialize};

use super::{BadValue, require};

/// `[dashboard]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawDashboard {
    /// A currency that amounts are shown in beside satoshi.
    pub fiat_currency: Option<String>,
    /// What a bitcoin is worth in it.
    pub fiat_per_bitcoin: Option<u32>,
}

/// The owner's own rate of a currency. Nothing is reckoned by it; it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fiat {
    /// Its three letters (ISO 4217).
    pub currency: [u8; 3],
    /// What a bitcoin is worth, in whole units of it; not zero.
    pub per_bitcoin: u32,
}

impl Fiat {
    /// The currency's letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.currency).unwrap_or_default()
    }
}

impl RawDashboard {
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            fiat_currency: self.fiat_currency.or(below.fiat_currency),
            fiat_per_bitcoin: self.fiat_per_bitcoin.or(below.fiat_per_bitcoin),
        }
    }

    pub(super) fn check(self) -> Result<Option<Fiat>, BadValue> {
        let (code, per_bitcoin) = match (self.fiat_currency, self.fiat_per_bitcoin) {
            (None, None) => return Ok(None),
            (Some(code), Some(per_bitcoin)) => (code, per_bitcoin),
            (Some(_), None) | (None, Some(_)) => {
                return Err(BadValue {
                    key: "dashboard.fiat_currency",
                    problem: "and `dashboard.fiat_per_bitcoin` belong together: set both, or none"
                        .to_owned(),
                });
            }
        };
        let letters = <[u8; 3]>::try_from(code.as_bytes()).ok();
        let currency = letters.filter(|it| it.iter().all(u8::is_ascii_uppercase));
        let currency = currency.ok_or_else(|| BadValue {
            key: "dashboard.fiat_currency",
            problem: format!("must be three capital letters, such as \"EUR\", is {code:?}"),
        })?;
        require(per_bitcoin > 0, "dashboard.fiat_per_bitcoin", || "must not be 0".to_owned())?;
        Ok(Some(Fiat { currency, per_bitcoin }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_currency_and_is_not_zero() {
        let checked = |text: &str| toml::from_str::<RawDashboard>(text).unwrap().check();
        assert_eq!(checked("").unwrap(), None);
        let fiat = checked("fiat_currency = \"EUR\"\nfiat_per_bitcoin = 58000").unwrap().unwrap();
        assert_eq!((fiat.code(), fiat.per_bitcoin), ("EUR", 58_000));
        let refused = |text: &str, word: &str| {
            let BadValue { key, problem } = checked(text).unwrap_err();
            assert!(format!("{key} {problem}").contains(word), "{key} {problem}");
        };
        refused("fiat_currency = \"EUR\"", "belong together");
        refused("fiat_currency = \"euro\"\nfiat_per_bitcoin = 1", "three capital letters");
        refused("fiat_currency = \"EUR\"\nfiat_per_bitcoin = 0", "must not be 0");
    }
}
