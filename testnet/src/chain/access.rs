//! Where a bitcoind, or a chain that speaks like one, is asked, and by whom.
//! Not for: asking.

use std::fmt;

/// The port of a regtest bitcoind.
const PORT: u16 = 18_443;

/// Address, user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// The host.
    pub host: String,
    /// The port of its JSON-RPC.
    pub port: u16,
    /// Who asks.
    pub user: String,
    /// The secret.
    pub password: String,
}

/// The password is not for logs.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, password: _ } = self;
        write!(f, "Access({user}@{host}:{port})")
    }
}

/// Why a text names no bitcoind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no URL of a bitcoind, such as http://user:password@127.0.0.1:18443")]
pub struct BadUrl(String);

impl Access {
    /// Reads `http://user:password@host:port`; the port of regtest where none is given.
    ///
    /// # Errors
    ///
    /// [`BadUrl`], without the password.
    pub fn of_url(url: &str) -> Result<Self, BadUrl> {
        let wrong = || BadUrl(url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned());
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (secret, place) = rest.rsplit_once('@').ok_or_else(wrong)?;
        let (user, password) = secret.split_once(':').ok_or_else(wrong)?;
        let place = place.trim_end_matches('/');
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (place, PORT),
        };
        let is_plain = |text: &str| !text.is_empty() && !text.contains(['/', ' ', '\r', '\n']);
        if !is_plain(host) || !is_plain(user) || !is_plain(password) {
            return Err(wrong());
        }
        let [host, user, password] = [host, user, password].map(str::to_owned);
        Ok(Self { host, port, user, password })
    }

    /// Where it is asked, with all that is needed to ask.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { host, port, user, password } = self;
        format!("http://{user}:{password}@{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_written() {
        let url = "http://alice:se:cret@127.0.0.1:18443";
        let access = Access::of_url(url).unwrap();
        assert_eq!((access.user.as_str(), access.password.as_str()), ("alice", "se:cret"));
        assert_eq!((access.host.as_str(), access.port), ("127.0.0.1", PORT));
        assert_eq!(access.url(), url);
        assert_eq!(Access::of_url("http://a:b@localhost/").unwrap().port, PORT);
    }

    #[test]
    fn what_is_no_url_is_refused_without_telling_the_password() {
        for wrong in ["", "127.0.0.1:1", "http://h:1", "http://a@h:1", "https://a:b@h:1"] {
            assert!(Access::of_url(wrong).is_err(), "{wrong}");
        }
        let refused = Access::of_url("http://alice:secret@host:port").unwrap_err().to_string();
        assert!(!refused.contains("secret"), "{refused}");
        let access = Access::of_url("http://alice:secret@host:1").unwrap();
        assert!(!format!("{access:?}").contains("secret"));
    }
}
