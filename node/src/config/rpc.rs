//! `[rpc]`: the node's port for people and programs, and under which names and how often it is called.
//! Not for: who may call; tokens are made by command and kept in the data folder.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BadValue, Fiat, given, require};
use crate::http::tls::TlsConfig;

/// Names at most.
const HOSTS_MAX: usize = 16;
/// Proxies at most.
const PROXIES_MAX: usize = 16;
/// Most calls a second that a caller may be allowed.
const REQUESTS_PER_S_MAX: u32 = 100_000;
/// Calls a second of one caller, unless the file says otherwise.
const REQUESTS_PER_S: u32 = 500;

/// `[rpc]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRpc {
    /// Where to listen.
    pub listen: Option<String>,
    /// By which other names the node is called.
    pub hosts: Option<Vec<String>>,
    /// Which proxies are trusted as this machine is.
    pub proxies: Option<Vec<String>>,
    /// The chain of certificates.
    pub tls_certificate_file: Option<PathBuf>,
    /// Its private key.
    pub tls_key_file: Option<PathBuf>,
    /// Calls a second of one caller.
    pub requests_per_s: Option<u32>,
}

/// The node's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// By which names it is called beside those of this machine.
    pub hosts: Vec<String>,
    /// Callers from these addresses are private, as those of this machine.
    pub proxies: Vec<IpAddr>,
    /// Its certificate; none where it speaks in the clear.
    pub tls: Option<TlsConfig>,
    /// Calls a second of one caller at most.
    pub requests_per_s: u32,
    /// The owner's rate of a currency, which pages show amounts in too.
    pub fiat: Option<Fiat>,
}

impl RawRpc {
    /// What holds where the file says nothing.
    pub(super) fn defaults() -> Self {
        Self {
            listen: Some("127.0.0.1:8733".to_owned()),
            hosts: Some(Vec::new()),
            proxies: Some(Vec::new()),
            tls_certificate_file: None,
            tls_key_file: None,
            requests_per_s: Some(REQUESTS_PER_S),
        }
    }

    pub(super) fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            hosts: self.hosts.or(below.hosts),
            proxies: self.proxies.or(below.proxies),
            tls_certificate_file: self.tls_certificate_file.or(below.tls_certificate_file),
            tls_key_file: self.tls_key_file.or(below.tls_key_file),
            requests_per_s: self.requests_per_s.or(below.requests_per_s),
        }
    }

    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        for path in [&mut self.tls_certificate_file, &mut self.tls_key_file] {
            *path = path.take().map(|path| folder.join(path));
        }
        self
    }

    pub(super) fn check(self) -> Result<RpcConfig, BadValue> {
        let hosts = given(self.hosts, "rpc.hosts")?;
        require(hosts.len() <= HOSTS_MAX, "rpc.hosts", || {
            format!("may name {HOSTS_MAX} hosts, names {}", hosts.len())
        })?;
        let is_name = |host: &String| !host.is_empty() && !host.contains(['/', ' ']);
        require(hosts.iter().all(is_name), "rpc.hosts", || {
            "holds names alone, such as \"boltgrid.home.example\", without scheme or path"
                .to_owned()
        })?;
        let proxies = proxies(given(self.proxies, "rpc.proxies")?)?;
        let requests_per_s = given(self.requests_per_s, "rpc.requests_per_s")?;
        require((1..=REQUESTS_PER_S_MAX).contains(&requests_per_s), "rpc.requests_per_s", || {
            format!("must be 1 to {REQUESTS_PER_S_MAX}, is {requests_per_s}")
        })?;
        let tls = match (self.tls_certificate_file, self.tls_key_file) {
            (Some(certificate_file), Some(key_file)) => {
                Some(TlsConfig { certificate_file, key_file })
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(BadValue {
                    key: "rpc.tls_certificate_file",
                    problem: "and `rpc.tls_key_file` belong together: set both, or none".to_owned(),
                });
            }
        };
        let listen = address(self.listen)?;
        Ok(RpcConfig { listen, hosts, proxies, tls, requests_per_s, fiat: None })
    }
}

fn proxies(texts: Vec<String>) -> Result<Vec<IpAddr>, BadValue> {
    let key = "rpc.proxies";
    require(texts.len() <= PROXIES_MAX, key, || {
        format!("may name {PROXIES_MAX} addresses, names {}", texts.len())
    })?;
    let proxy = |text: String| {
        text.parse().map_err(|_| BadValue {
            key,
            problem: format!("holds IP addresses alone, such as \"172.30.32.2\", names {text:?}"),
        })
    };
    texts.into_iter().map(proxy).collect()
}

fn address(raw: Option<String>) -> Result<SocketAddr, BadValue> {
    let text = given(raw, "rpc.listen")?;
    text.parse().map_err(|_| BadValue {
        key: "rpc.listen",
        problem: format!(
            "must be an IP address and a port, such as \"127.0.0.1:8733\", is {text:?}"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_named_with_what_would_be_right() {
        let check = |text: &str, words: &[&str]| {
            let raw: RawRpc = toml::from_str(text).unwrap();
            let BadValue { key, problem } = raw.over(RawRpc::defaults()).check().unwrap_err();
            let said = format!("{key} {problem}");
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        };
        check("listen = \"localhost\"", &["rpc.listen", "127.0.0.1:8733", "localhost"]);
        check("hosts = [\"http://a.example\"]", &["rpc.hosts", "without scheme"]);
        check("proxies = [\"172.30.32.0/23\"]", &["rpc.proxies", "172.30.32.2", "addresses alone"]);
        check("requests_per_s = 0", &["rpc.requests_per_s", "1 to 100000"]);
        check("tls_key_file = \"key.pem\"", &["rpc.tls_certificate_file", "belong together"]);
    }
}
