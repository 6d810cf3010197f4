//! What was said in the set-up so far, checked at once: the steps, what each of them takes, and the
//! config file that follows from all of them.
//!
//! Pure: no disk, no device, no network. Not for: how it is asked ([`super::pages`]).

use std::path::Path;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::CONNECTION_POINT_MAX;
use boltgrid_protocol::units::Price;
use libp2p::Multiaddr;
use serde::Deserialize;
use toml::{Table, Value};

use crate::access::secret::Secret;
use crate::config::lightning::LightningConfig;
use crate::config::{Config, RawConfig, RawLightning, RawNetwork, RawOwner};
use crate::dashboard::settings;
use crate::first_files::BITCOIND_PASSWORD_FILE;
use crate::lightning::Seed;
use crate::site::{DeviceConfig, SiteConfig};

/// Most power that a site is asked for, in W: more than any home or workshop has.
const WATTS_MAX: u32 = 10_000_000;
/// Most bytes of a charter: a hundred times what the usual one has.
const CHARTER_MAX: usize = 256 * 1024;
/// Most characters of an address, a name of a file, or a password.
const TEXT_MAX: usize = 512;
/// Nodes to call first, at most.
const BOOTSTRAP_MAX: usize = 16;
/// Words that are asked for to see that all of them were written down.
pub(super) const WORDS_ASKED: usize = 3;

/// One thing to be said, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Place,
    Charter,
    Meter,
    Limits,
    Money,
    Words,
    Review,
}

impl Step {
    pub(super) const ALL: [Self; 7] = [
        Self::Place,
        Self::Charter,
        Self::Meter,
        Self::Limits,
        Self::Money,
        Self::Words,
        Self::Review,
    ];

    /// Its name in addresses.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Charter => "charter",
            Self::Meter => "meter",
            Self::Limits => "limits",
            Self::Money => "money",
            Self::Words => "words",
            Self::Review => "review",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// Why something that was said is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The form is of another page.
    Foreign,
    /// No name, or one that is too long or has control characters.
    Name,
    /// No watts.
    Watts,
    /// No charter was given.
    NoCharter,
    /// Text that is no multiaddress.
    NotAnAddress(String),
    /// A text that is longer than such a thing is.
    TooLong,
    /// A meter that was not tried, or not as it is now, or that did not answer.
    NotTried,
    /// Nothing to look at.
    NotATarget(String),
    /// No price.
    Price,
    /// No percentage.
    Percent,
    /// No network was chosen.
    NoNetwork,
    /// Real money, but not said so.
    RealMoney,
    /// A user without a password, or one that is too long.
    Password,
    /// Not the words that were shown.
    WrongWords,
    /// Somebody else's word, in English.
    Other(String),
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) place: Option<Place>,
    pub(super) grid: Option<Grid>,
    /// None inside: without a meter for now.
    pub(super) meter: Option<Option<DeviceConfig>>,
    pub(super) limits: Option<Limits>,
    pub(super) money: Option<Money>,
    /// Whether the words of the wallet were written down.
    pub(super) has_words: bool,
}

/// Where the site is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) import_w: u32,
    pub(super) export_w: u32,
}

/// Which grid, and how its nodes are found.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    pub(super) text: String,
    pub(super) charter: Charter,
    pub(super) bootstrap: Vec<String>,
    pub(super) looks_around: bool,
}

/// What the owner wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) trade: bool,
    pub(super) buy_at_most: Option<Price>,
    pub(super) sell_at_least: Option<Price>,
    pub(super) reserve_percent: u8,
}

/// How it is paid.
#[derive(Clone, Debug)]
pub(super) struct Money {
    /// Without a network: no payments for now.
    pub(super) lightning: RawLightning,
    pub(super) password: Option<Secret>,
}

/// The form of [`Step::Place`].
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PlaceForm {
    pub(super) name: String,
    pub(super) import_w: String,
    pub(super) export_w: String,
}

/// The form of [`Step::Charter`].
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct CharterForm {
    pub(super) charter: String,
    #[serde(default)]
    pub(super) bootstrap: String,
    pub(super) looks_around: Option<String>,
}

/// The form of [`Step::Meter`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MeterForm {
    /// Where to look for meters.
    pub(super) target: String,
    pub(super) driver: String,
    pub(super) address: String,
    pub(super) unit: String,
    pub(super) modbus_map: String,
    pub(super) http_map: String,
    pub(super) inverted: Option<String>,
    /// `look`, `take-N`, `try`, `keep`, or `skip`.
    pub(super) what: String,
}

/// The form of [`Step::Limits`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LimitsForm {
    pub(super) trade: Option<String>,
    pub(super) buy_at_most: String,
    pub(super) sell_at_least: String,
    pub(super) reserve: String,
}

/// The form of [`Step::Money`]. Without `Debug`, for its password's sake.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MoneyForm {
    /// `none`, or a network; there is no default.
    pub(super) network: String,
    pub(super) accept_mainnet: Option<String>,
    /// `bitcoind`, `esplora` or `electrum`.
    pub(super) source: String,
    pub(super) url: String,
    pub(super) cookie_file: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) listen: String,
}

/// The form of [`Step::Words`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WordsForm {
    pub(super) word_1: String,
    pub(super) word_2: String,
    pub(super) word_3: String,
    /// `written`, `confirm`, or `again` for new words.
    pub(super) what: String,
}

impl Said {
    /// The first step that is still to be said.
    pub(super) fn next(&self) -> Step {
        if self.place.is_none() {
            Step::Place
        } else if self.grid.is_none() {
            Step::Charter
        } else if self.meter.is_none() {
            Step::Meter
        } else if self.limits.is_none() {
            Step::Limits
        } else if self.money.is_none() {
            Step::Money
        } else if !self.has_words {
            Step::Words
        } else {
            Step::Review
        }
    }

    /// The config that follows.
    pub(super) fn config(&self) -> RawConfig {
        let grid = self.grid.as_ref();
        let bootstrap = grid.map(|it| it.bootstrap.clone()).filter(|it| !it.is_empty());
        let mdns = grid.filter(|it| !it.looks_around).map(|_| false);
        let meter = self.meter.clone().flatten();
        RawConfig {
            network: RawNetwork { bootstrap, mdns, ..RawNetwork::default() },
            site: meter.map(|it| SiteConfig { meter: Some(it), ..SiteConfig::default() }),
            owner: self.limits.map(Limits::to_config).unwrap_or_default(),
            lightning: self.money.as_ref().map(|it| it.lightning.clone()).unwrap_or_default(),
            ..RawConfig::default()
        }
    }
}

impl PlaceForm {
    pub(super) fn read(&self) -> Result<Place, Problem> {
        let name = self.name.trim();
        let is_name = (1..=CONNECTION_POINT_MAX).contains(&name.len());
        if !is_name || name.chars().any(char::is_control) {
            return Err(Problem::Name);
        }
        let watts = |text: &str| {
            let watts = text.trim().parse().ok().filter(|it| *it <= WATTS_MAX);
            watts.ok_or(Problem::Watts)
        };
        Ok(Place {
            name: name.to_owned(),
            import_w: watts(&self.import_w)?,
            export_w: watts(&self.export_w)?,
        })
    }
}

impl CharterForm {
    pub(super) fn read(&self) -> Result<Grid, Problem> {
        if self.charter.trim().is_empty() {
            return Err(Problem::NoCharter);
        }
        if self.charter.len() > CHARTER_MAX {
            return Err(Problem::TooLong);
        }
        // Forms end lines as mail does; a charter means the same by either.
        let text = self.charter.replace("\r\n", "\n");
        let charter =
            Charter::from_toml(&text).map_err(|error| Problem::Other(error.to_string()))?;
        let address = |text: &str| match text.parse::<Multiaddr>() {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(Problem::NotAnAddress(text.to_owned())),
        };
        let bootstrap: Vec<String> =
            self.bootstrap.split_whitespace().map(address).collect::<Result<_, _>>()?;
        if bootstrap.len() > BOOTSTRAP_MAX {
            return Err(Problem::TooLong);
        }
        Ok(Grid { text, charter, bootstrap, looks_around: self.looks_around.is_some() })
    }
}

impl MeterForm {
    /// The device that the form describes.
    pub(super) fn read(&self) -> Result<DeviceConfig, Problem> {
        let address = self.address.trim();
        if address.len() > TEXT_MAX {
            return Err(Problem::TooLong);
        }
        let mut table = Table::new();
        table.insert("driver".to_owned(), Value::from(self.driver.clone()));
        table.insert("address".to_owned(), Value::from(address));
        let map = match &*self.driver {
            "modbus-map" => Some(&self.modbus_map),
            "http" => Some(&self.http_map),
            _ => None,
        };
        table.extend(map.map(|map| ("map".to_owned(), Value::from(map.clone()))));
        let unit = self.unit.trim();
        if ["modbus-map", "sunspec"].contains(&&*self.driver) && !unit.is_empty() {
            let unit: i64 =
                unit.parse().map_err(|_| Problem::Other(format!("{unit:?} is no unit")))?;
            table.insert("unit".to_owned(), Value::from(unit));
        }
        if self.inverted.is_some() {
            table.insert("inverted".to_owned(), Value::from(true));
        }
        DeviceConfig::try_from(table)
            .map_err(|error| Problem::Other(error.message().trim().to_owned()))
    }

    /// The form of what was found, from its lines for the config file.
    pub(super) fn of(settings: &str) -> Option<Self> {
        let table: Table = settings.parse().ok()?;
        let text =
            |key: &str| table.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let driver = match text("driver") {
            none if none.is_empty() => "sunspec".to_owned(),
            driver => driver,
        };
        let unit = table.get("unit").and_then(Value::as_integer);
        let map_of = |wanted: &str| if driver == wanted { text("map") } else { String::new() };
        Some(Self {
            address: text("address"),
            unit: unit.map_or_else(String::new, |it| it.to_string()),
            modbus_map: map_of("modbus-map"),
            http_map: map_of("http"),
            driver,
            ..Self::default()
        })
    }
}

impl LimitsForm {
    pub(super) fn read(&self) -> Result<Limits, Problem> {
        let price = |text: &str| match text.trim() {
            "" => Ok(None),
            text => {
                let price = settings::parse(text).ok_or(Problem::Price)?;
                Ok(Some(Price::from_msat_per_kwh(price)))
            }
        };
        let reserve = self.reserve.trim().parse().ok().filter(|it| *it <= 100);
        Ok(Limits {
            trade: self.trade.is_some(),
            buy_at_most: price(&self.buy_at_most)?,
            sell_at_least: price(&self.sell_at_least)?,
            reserve_percent: reserve.ok_or(Problem::Percent)?,
        })
    }
}

impl Limits {
    fn to_config(self) -> RawOwner {
        RawOwner {
            trade: Some(self.trade),
            buy_at_most_msat_per_kwh: self.buy_at_most,
            sell_at_least_msat_per_kwh: self.sell_at_least,
            reserve_state_of_charge_percent: Some(self.reserve_percent),
            ..RawOwner::default()
        }
    }
}

impl MoneyForm {
    /// What the form says, checked as the config file would be; the second is none without payments.
    pub(super) fn read(&self) -> Result<(Money, Option<LightningConfig>), Problem> {
        let texts = [&self.url, &self.cookie_file, &self.user, &self.listen];
        if texts.iter().any(|text| text.len() > TEXT_MAX) {
            return Err(Problem::TooLong);
        }
        let mut lightning = RawLightning::default();
        if self.network == "none" {
            return Ok((Money { lightning, password: None }, None));
        }
        if self.network.is_empty() {
            return Err(Problem::NoNetwork);
        }
        if self.network == "mainnet" && self.accept_mainnet.is_none() {
            return Err(Problem::RealMoney);
        }
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        lightning.network = some(&self.network);
        lightning.accept_mainnet = (self.network == "mainnet").then_some(true);
        lightning.listen = some(&self.listen).map(|it| vec![it]);
        let mut password = None;
        match &*self.source {
            "esplora" => lightning.esplora_url = some(&self.url),
            "electrum" => lightning.electrum_url = some(&self.url),
            _ => {
                lightning.bitcoind_url = some(&self.url);
                lightning.bitcoind_cookie_file = some(&self.cookie_file).map(Into::into);
                lightning.bitcoind_user = some(&self.user);
                if lightning.bitcoind_user.is_some() {
                    lightning.bitcoind_password_file = Some(BITCOIND_PASSWORD_FILE.into());
                    password = Some(Secret::shown(&self.password).ok_or(Problem::Password)?);
                }
            }
        }
        let raw = RawConfig { lightning: lightning.clone(), ..RawConfig::default() };
        let config = Config::checked(raw, Path::new("config.toml"));
        let config = config.map_err(|error| Problem::Other(error.to_string()))?;
        Ok((Money { lightning, password }, config.lightning))
    }
}

/// Which words are asked for, counted from 1, from some chance.
pub(super) fn asked(chance: [u8; WORDS_ASKED]) -> [usize; WORDS_ASKED] {
    // One of each third, so that they are never the same.
    let third = crate::lightning::seed::WORDS / WORDS_ASKED;
    let mut from = 1;
    chance.map(|byte| {
        let place = from + usize::from(byte) % third;
        from += third;
        place
    })
}

impl WordsForm {
    /// Whether these are the words of the seed at the places that were asked for.
    pub(super) fn check(&self, seed: &Seed, asked: [usize; WORDS_ASKED]) -> Result<(), Problem> {
        let words = seed.words();
        let given = [&self.word_1, &self.word_2, &self.word_3];
        let fits = asked.into_iter().zip(given).all(|(place, given)| {
            let word = words.split(' ').nth(place.saturating_sub(1));
            word.is_some_and(|word| given.trim().eq_ignore_ascii_case(word))
        });
        if fits { Ok(()) } else { Err(Problem::WrongWords) }
    }
}

#[cfg(test)]
mod tests;
