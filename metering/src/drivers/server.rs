//! Where a server on the network is and whether it is spoken to over TLS, as people write it down.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bus::Endpoint;

/// A language that is spoken in the clear and over TLS.
pub trait Language {
    /// What stands before `://`, and the port where none is said, in the clear.
    const CLEAR: (&'static str, u16);
    /// The same over TLS.
    const SECURE: (&'static str, u16);
}

/// HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {}

/// MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mqtt {}

impl Language for Http {
    const CLEAR: (&'static str, u16) = ("http", 80);
    const SECURE: (&'static str, u16) = ("https", 443);
}

impl Language for Mqtt {
    const CLEAR: (&'static str, u16) = ("mqtt", 1883);
    const SECURE: (&'static str, u16) = ("mqtts", 8883);
}

/// `host` or `host:port` in the clear, and behind the language's scheme over TLS (`https://host`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "L: Language + Clone")]
pub struct Server<L> {
    /// Where it is.
    pub place: Endpoint,
    /// Whether it is spoken to over TLS.
    pub is_secure: bool,
    language: PhantomData<L>,
}

/// A server that is asked over HTTP.
pub type HttpServer = Server<Http>;
/// A broker of MQTT.
pub type MqttServer = Server<Mqtt>;

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an address; write it as `192.168.1.20`, `host.local:{port}` or `[fe80::1]`, \
     and over TLS as `{secure}://host.local`"
)]
pub struct NotAServer {
    text: String,
    port: u16,
    secure: &'static str,
}

impl<L: Language> FromStr for Server<L> {
    type Err = NotAServer;

    fn from_str(text: &str) -> Result<Self, NotAServer> {
        let ((clear, clear_port), (secure, secure_port)) = (L::CLEAR, L::SECURE);
        let (is_secure, rest) = match text.split_once("://") {
            None => (Some(false), text),
            Some((scheme, rest)) if scheme == clear => (Some(false), rest),
            Some((scheme, rest)) if scheme == secure => (Some(true), rest),
            Some((_, rest)) => (None, rest),
        };
        let found = is_secure.and_then(|is_secure| {
            let port = if is_secure { secure_port } else { clear_port };
            let place = Endpoint::parse(rest, Some(port))?;
            Some(Self { place, is_secure, language: PhantomData })
        });
        found.ok_or_else(|| NotAServer { text: text.to_owned(), port: clear_port, secure })
    }
}

impl<L: Language> TryFrom<String> for Server<L> {
    type Error = NotAServer;

    fn try_from(text: String) -> Result<Self, NotAServer> {
        text.parse()
    }
}

impl<L: Language> From<Server<L>> for String {
    fn from(server: Server<L>) -> Self {
        server.to_string()
    }
}

impl<L: Language> fmt::Display for Server<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_secure {
            write!(f, "{}://", L::SECURE.0)?;
        }
        self.place.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_need_not_be_said() {
        let parse = |text: &str| text.parse::<HttpServer>().map(|it| it.to_string());
        assert_eq!(parse("10.0.0.2"), Ok("10.0.0.2:80".to_owned()));
        assert_eq!(parse("http://10.0.0.2"), Ok("10.0.0.2:80".to_owned()));
        assert_eq!(parse("meter.local:502"), Ok("meter.local:502".to_owned()));
        assert_eq!(parse("[fe80::1]"), Ok("[fe80::1]:80".to_owned()));
        assert_eq!(parse("https://[fe80::1]:81"), Ok("https://[fe80::1]:81".to_owned()));
        assert_eq!(parse("https://meter.local"), Ok("https://meter.local:443".to_owned()));
        let broker: MqttServer = "mqtts://broker.local".parse().unwrap();
        assert_eq!((broker.place.port, broker.is_secure), (8883, true));
        assert_eq!("broker".parse::<MqttServer>().unwrap().place.port, 1883);
    }

    #[test]
    fn what_is_no_address_is_refused_and_told_what_would_be_one() {
        for text in ["", "http://10.0.0.2/", "mqtts://10.0.0.2", "https://", "ftp://a"] {
            let refused = text.parse::<HttpServer>().unwrap_err().to_string();
            assert!(refused.contains("https://host.local"), "{refused}");
        }
        assert!("https://broker".parse::<MqttServer>().is_err());
    }
}
