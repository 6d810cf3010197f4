//! Where something on the network is, with a port that need not be said.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bus::Endpoint;

/// `host` or `host:port`, where the port is `DEFAULT` if nothing is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host<const DEFAULT: u16>(pub Endpoint);

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address; write it as `192.168.1.20`, `broker.local:1883` or `[fe80::1]:80`"
)]
pub struct NotAHost(String);

impl<const DEFAULT: u16> FromStr for Host<DEFAULT> {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let endpoint = Endpoint::parse(text, Some(DEFAULT));
        endpoint.map(Self).ok_or_else(|| NotAHost(text.to_owned()))
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
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_need_not_be_said() {
        let parse = |text: &str| text.parse::<Host<80>>().map(|Host(it)| (it.host, it.port));
        assert_eq!(parse("10.0.0.2"), Ok(("10.0.0.2".to_owned(), 80)));
        assert_eq!(parse("meter.local:502"), Ok(("meter.local".to_owned(), 502)));
        assert_eq!(parse("[fe80::1]"), Ok(("fe80::1".to_owned(), 80)));
        assert_eq!(parse("[fe80::1]:81"), Ok(("fe80::1".to_owned(), 81)));
        assert!(parse("http://10.0.0.2/").is_err());
        assert!(parse("").is_err());
    }
}
