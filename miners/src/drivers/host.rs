//! Where a machine is in the network, as people write it down.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `host` or `host:port`, where the port is `DEFAULT` if nothing is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host<const DEFAULT: u16> {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address; write it as `192.168.1.20`, `plug.local:8080` or `[fe80::1]:80`")]
pub struct NotAHost(String);

impl<const DEFAULT: u16> Host<DEFAULT> {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(DEFAULT), |port| port.parse().ok())?;
        let bad =
            |letter: char| letter.is_whitespace() || letter.is_control() || "/?#@".contains(letter);
        (!host.is_empty() && !host.contains(bad)).then(|| Self { host: host.to_owned(), port })
    }
}

impl<const DEFAULT: u16> FromStr for Host<DEFAULT> {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        Self::parse(text).ok_or_else(|| NotAHost(text.to_owned()))
    }
}

impl<const DEFAULT: u16> TryFrom<String> for Host<DEFAULT> {
    type Error = NotAHost;

    fn try_from(text: String) -> Result<Self, NotAHost> {
        text.parse()
    }
}

impl<const DEFAULT: u16> From<Host<DEFAULT>> for String {
    fn from(host: Host<DEFAULT>) -> Self {
        host.to_string()
    }
}

impl<const DEFAULT: u16> fmt::Display for Host<DEFAULT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_need_not_be_said() {
        let parse = |text: &str| text.parse::<Host<80>>().map(|it| (it.host, it.port));
        assert_eq!(parse("10.0.0.2"), Ok(("10.0.0.2".to_owned(), 80)));
        assert_eq!(parse("plug.local:8080"), Ok(("plug.local".to_owned(), 8080)));
        assert_eq!(parse("[fe80::1]:81"), Ok(("fe80::1".to_owned(), 81)));
        assert_eq!(parse("[fe80::1]"), Ok(("fe80::1".to_owned(), 80)));
        assert!(parse("http://10.0.0.2/").is_err());
        assert!(parse("user@10.0.0.2").is_err());
        assert!(parse("").is_err() && parse("a:b").is_err() && parse("[fe80::1]81").is_err());
    }
}
