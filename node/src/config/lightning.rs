//! `[lightning]`: which bitcoin network, where its chain is seen, and whom to trust with what.
//!
//! A file that says nothing here is a node without payments. There is no default network, and none
//! whose coins are worth something is used without the owner saying so twice.

use std::path::{Path, PathBuf};

use boltgrid_protocol::lightning::LightningId;
use serde::{Deserialize, Serialize};

use super::{BadValue, given, require};

/// Addresses to listen at, or to tell others, at most.
const ADDRESSES_MAX: usize = 4;
/// Partners without confirmations, at most.
const ZERO_CONF_PARTNERS_MAX: usize = 16;

/// `[lightning]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLightning {
    /// Which bitcoin network.
    pub network: Option<String>,
    /// That real money is meant.
    pub accept_mainnet: Option<bool>,
    /// The wallet's seed.
    pub seed_file: Option<PathBuf>,
    /// JSON-RPC of a bitcoind.
    pub bitcoind_url: Option<String>,
    /// Its cookie file.
    pub bitcoind_cookie_file: Option<PathBuf>,
    /// Its user.
    pub bitcoind_user: Option<String>,
    /// The user's password.
    pub bitcoind_password_file: Option<PathBuf>,
    /// An Esplora server.
    pub esplora_url: Option<String>,
    /// An Electrum server.
    pub electrum_url: Option<String>,
    /// Where to listen for other Lightning nodes.
    pub listen: Option<Vec<String>>,
    /// Where others reach this Lightning node.
    pub external: Option<Vec<String>>,
    /// Whether to pass on other members' payments.
    pub forward: Option<bool>,
    /// Whose channels count before they are confirmed.
    pub zero_conf_partners: Option<Vec<String>>,
}

/// A bitcoin network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitcoinNetwork {
    /// Real money.
    Mainnet,
    /// The public test network whose blocks are signed.
    Signet,
    /// A chain of one's own.
    Regtest,
}

impl BitcoinNetwork {
    /// Its name in config files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }
}

/// Where the chain is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainSource {
    /// A bitcoind, by its JSON-RPC.
    Bitcoind {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// How to log in.
        login: Login,
    },
    /// An Esplora server, by its URL.
    Esplora(String),
    /// An Electrum server, by its URL.
    Electrum(String),
}

impl std::fmt::Display for ChainSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bitcoind { host, port, .. } => write!(f, "the bitcoind at http://{host}:{port}"),
            Self::Esplora(url) => write!(f, "the Esplora server {url}"),
            Self::Electrum(url) => write!(f, "the Electrum server {url}"),
        }
    }
}

/// How to log in to a bitcoind. Secrets stay in their files until the node starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// The file that bitcoind writes anew at each of its starts.
    CookieFile(PathBuf),
    /// A user, and the file with its password.
    Password {
        /// The user.
        user: String,
        /// The file.
        password_file: PathBuf,
    },
}

/// Lightning, as the owner wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightningConfig {
    /// Which bitcoin network.
    pub network: BitcoinNetwork,
    /// Where its chain is seen.
    pub chain: ChainSource,
    /// The file with the wallet's seed.
    pub seed_file: PathBuf,
    /// Addresses to listen at, as host:port; none to call others only.
    pub listen: Vec<String>,
    /// Addresses that others are told, as host:port; those of `listen` where there are none.
    pub external: Vec<String>,
    /// Whether to pass on payments between other members, at no fee, where the charter allows it.
    pub forward: bool,
    /// Nodes whose channels to us count before they are confirmed.
    pub zero_conf_partners: Vec<LightningId>,
}

impl RawLightning {
    /// What has a default.
    pub(super) fn defaults() -> Self {
        Self {
            accept_mainnet: Some(false),
            seed_file: Some(PathBuf::from("wallet.seed")),
            listen: Some(vec!["0.0.0.0:9735".to_owned()]),
            external: Some(Vec::new()),
            forward: Some(true),
            zero_conf_partners: Some(Vec::new()),
            ..Self::default()
        }
    }

    pub(super) fn over(self, below: Self) -> Self {
        Self {
            network: self.network.or(below.network),
            accept_mainnet: self.accept_mainnet.or(below.accept_mainnet),
            seed_file: self.seed_file.or(below.seed_file),
            bitcoind_url: self.bitcoind_url.or(below.bitcoind_url),
            bitcoind_cookie_file: self.bitcoind_cookie_file.or(below.bitcoind_cookie_file),
            bitcoind_user: self.bitcoind_user.or(below.bitcoind_user),
            bitcoind_password_file: self.bitcoind_password_file.or(below.bitcoind_password_file),
            esplora_url: self.esplora_url.or(below.esplora_url),
            electrum_url: self.electrum_url.or(below.electrum_url),
            listen: self.listen.or(below.listen),
            external: self.external.or(below.external),
            forward: self.forward.or(below.forward),
            zero_conf_partners: self.zero_conf_partners.or(below.zero_conf_partners),
        }
    }

    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        for path in
            [&mut self.seed_file, &mut self.bitcoind_cookie_file, &mut self.bitcoind_password_file]
        {
            *path = path.take().map(|path| folder.join(path));
        }
        self
    }

    /// Whether anything is asked for beyond what every file has by default.
    fn is_silent(&self) -> bool {
        let sources = [&self.bitcoind_url, &self.esplora_url, &self.electrum_url];
        self.network.is_none()
            && sources.into_iter().all(Option::is_none)
            && self.accept_mainnet != Some(true)
    }
}

/// The file of the wallet's seed, whether Lightning is used or not.
pub(super) fn seed_file(raw: &RawLightning) -> Result<PathBuf, BadValue> {
    given(raw.seed_file.clone(), "lightning.seed_file")
}

/// Lightning as the owner wants it, or none.
pub(super) fn check(raw: RawLightning) -> Result<Option<LightningConfig>, BadValue> {
    if raw.is_silent() {
        return Ok(None);
    }
    let network = check_network(&raw)?;
    let chain = check_chain(&raw)?;
    Ok(Some(LightningConfig {
        network,
        chain,
        seed_file: seed_file(&raw)?,
        listen: addresses(given(raw.listen, "lightning.listen")?, "lightning.listen")?,
        external: addresses(given(raw.external, "lightning.external")?, "lightning.external")?,
        forward: given(raw.forward, "lightning.forward")?,
        zero_conf_partners: partners(given(
            raw.zero_conf_partners,
            "lightning.zero_conf_partners",
        )?)?,
    }))
}

fn check_network(raw: &RawLightning) -> Result<BitcoinNetwork, BadValue> {
    let key = "lightning.network";
    let bad = |problem: String| BadValue { key, problem };
    let networks = "\"mainnet\", \"signet\" or \"regtest\"";
    match raw.network.as_deref() {
        None => Err(bad(format!("is missing, and there is no default: say {networks}"))),
        Some("signet") => Ok(BitcoinNetwork::Signet),
        Some("regtest") => Ok(BitcoinNetwork::Regtest),
        Some("mainnet") if raw.accept_mainnet == Some(true) => Ok(BitcoinNetwork::Mainnet),
        Some("mainnet") => Err(bad(
            "is \"mainnet\": real bitcoin, which a mistake or a fault in this program can lose for \
             good; if that is what you want, set `lightning.accept_mainnet = true` as well"
                .to_owned(),
        )),
        Some("testnet4") => Err(bad(format!(
            "is \"testnet4\", for which the Lightning library (lightning-invoice 0.34) cannot \
             write invoices yet; say {networks}"
        ))),
        Some(other) => Err(bad(format!("is {other:?}; say {networks}"))),
    }
}

fn check_chain(raw: &RawLightning) -> Result<ChainSource, BadValue> {
    match (&raw.bitcoind_url, &raw.esplora_url, &raw.electrum_url) {
        (Some(url), None, None) => check_bitcoind(url, raw),
        (None, Some(url), None) => {
            let schemes = ["http://", "https://"];
            with_scheme(url, "lightning.esplora_url", &schemes).map(ChainSource::Esplora)
        }
        (None, None, Some(url)) => {
            let schemes = ["tcp://", "ssl://"];
            with_scheme(url, "lightning.electrum_url", &schemes).map(ChainSource::Electrum)
        }
        (None, None, None) => Err(BadValue {
            key: "lightning.bitcoind_url",
            problem: "is missing: name one of `bitcoind_url`, `esplora_url` and `electrum_url`, \
                      where the chain is seen"
                .to_owned(),
        }),
        (Some(_), ..) | (None, Some(_), Some(_)) => Err(BadValue {
            key: "lightning.esplora_url",
            problem: "is one too many: name only one of `bitcoind_url`, `esplora_url` and \
                      `electrum_url`"
                .to_owned(),
        }),
    }
}

fn with_scheme(url: &str, key: &'static str, schemes: &[&str]) -> Result<String, BadValue> {
    let known = schemes.iter().any(|it| url.strip_prefix(it).is_some_and(|rest| !rest.is_empty()));
    require(known, key, || format!("must start with {}, is {url:?}", schemes.join(" or ")))?;
    Ok(url.to_owned())
}

fn check_bitcoind(url: &str, raw: &RawLightning) -> Result<ChainSource, BadValue> {
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let parts = address.and_then(|address| address.rsplit_once(':'));
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parts.filter(|(host, _)| !host.is_empty() && !host.contains('@'))
    else {
        // What might be a password in a URL is not repeated.
        return Err(BadValue {
            key: "lightning.bitcoind_url",
            problem: "must be such as \"http://127.0.0.1:8332\", without user and password: those \
                      are named by `bitcoind_user` and `bitcoind_password_file`"
                .to_owned(),
        });
    };
    let login = match (&raw.bitcoind_cookie_file, &raw.bitcoind_user, &raw.bitcoind_password_file) {
        (Some(file), None, None) => Login::CookieFile(file.clone()),
        (None, Some(user), Some(file)) => {
            Login::Password { user: user.clone(), password_file: file.clone() }
        }
        (Some(_), ..) | (None, _, _) => {
            return Err(BadValue {
                key: "lightning.bitcoind_cookie_file",
                problem: "or `bitcoind_user` with `bitcoind_password_file` is needed to log in to \
                          bitcoind, and not both"
                    .to_owned(),
            });
        }
    };
    Ok(ChainSource::Bitcoind { host: host.to_owned(), port, login })
}

fn addresses(texts: Vec<String>, key: &'static str) -> Result<Vec<String>, BadValue> {
    require(texts.len() <= ADDRESSES_MAX, key, || {
        format!("names {} addresses; at most {ADDRESSES_MAX}", texts.len())
    })?;
    for text in &texts {
        let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let is_address = parts.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|it| it > 0));
        require(is_address, key, || {
            format!("names {text:?}, which is no host and port; one looks like \"192.0.2.7:9735\"")
        })?;
    }
    Ok(texts)
}

fn partners(texts: Vec<String>) -> Result<Vec<LightningId>, BadValue> {
    let key = "lightning.zero_conf_partners";
    require(texts.len() <= ZERO_CONF_PARTNERS_MAX, key, || {
        format!("names {} nodes; at most {ZERO_CONF_PARTNERS_MAX}", texts.len())
    })?;
    let partner = |text: String| {
        text.parse().map_err(|error| BadValue { key, problem: format!("names {text:?}: {error}") })
    };
    texts.into_iter().map(partner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Result<Option<LightningConfig>, String> {
        let raw: RawLightning = toml::from_str(text).unwrap();
        check(raw.over(RawLightning::defaults()))
            .map_err(|BadValue { key, problem }| format!("`{key}` {problem}"))
    }

    const BITCOIND: &str = "bitcoind_url = 'http://[::1]:18443/'\nbitcoind_cookie_file = 'c'\n";

    #[test]
    fn a_file_that_says_nothing_means_no_lightning() {
        assert_eq!(loaded(""), Ok(None));
        assert_eq!(loaded("listen = []\nforward = true"), Ok(None));
    }

    #[test]
    fn a_bitcoind_is_logged_in_to_by_cookie_or_by_password() {
        let config = loaded(&format!("network = 'regtest'\n{BITCOIND}")).unwrap().unwrap();
        let ChainSource::Bitcoind { host, port, login } = &config.chain else {
            panic!("{config:?}")
        };
        assert_eq!((host.as_str(), *port), ("[::1]", 18443));
        assert_eq!(*login, Login::CookieFile("c".into()));
        let both = "network = 'regtest'\nbitcoind_url = 'http://a:1'\nbitcoind_user = 'u'\n";
        let config = loaded(&format!("{both}bitcoind_password_file = 'p'")).unwrap().unwrap();
        let login = Login::Password { user: "u".to_owned(), password_file: "p".into() };
        assert!(matches!(config.chain, ChainSource::Bitcoind { login: it, .. } if it == login));
        for wrong in
            [both, &format!("{both}bitcoind_password_file = 'p'\nbitcoind_cookie_file = 'c'")]
        {
            assert!(loaded(wrong).unwrap_err().contains("bitcoind_password_file"), "{wrong}");
        }
    }

    #[test]
    fn mainnet_is_refused_unless_the_owner_says_so_twice() {
        let error = loaded(&format!("network = 'mainnet'\n{BITCOIND}")).unwrap_err();
        assert!(error.contains("accept_mainnet = true"), "{error}");
        let config = loaded(&format!("network = 'mainnet'\naccept_mainnet = true\n{BITCOIND}"));
        assert_eq!(config.unwrap().unwrap().network, BitcoinNetwork::Mainnet);
    }

    #[test]
    fn there_is_no_default_network_and_no_default_chain() {
        assert!(loaded(BITCOIND).unwrap_err().contains("no default"));
        assert!(loaded("accept_mainnet = true").unwrap_err().contains("no default"));
        assert!(loaded("network = 'signet'").unwrap_err().contains("electrum_url"));
        for network in ["testnet4", "bitcoin", ""] {
            let error = loaded(&format!("network = '{network}'\n{BITCOIND}")).unwrap_err();
            assert!(error.contains("\"signet\""), "{error}");
        }
    }

    #[test]
    fn errors_say_what_would_be_right_and_never_show_a_password() {
        let check = |text: &str, expected: &str| {
            let error = loaded(&format!("network = 'signet'\n{text}")).unwrap_err();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        };
        check("bitcoind_url = 'http://user:secret@127.0.0.1:8332'", "http://127.0.0.1:8332");
        check("bitcoind_url = 'https://127.0.0.1:8332'", "http://127.0.0.1:8332");
        check("esplora_url = 'esplora.example'", "http:// or https://");
        check("electrum_url = 'tcp://'", "tcp:// or ssl://");
        check("electrum_url = 'tcp://a:1'\nesplora_url = 'http://b'", "only one of");
        check("esplora_url = 'http://b'\nlisten = ['9735']", "192.0.2.7:9735");
        check("esplora_url = 'http://b'\nexternal = ['a:0']", "192.0.2.7:9735");
        check("esplora_url = 'http://b'\nzero_conf_partners = ['mill']", "66 hexadecimal");
    }
}
