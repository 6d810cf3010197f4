//! Asking the running node over its JSON-RPC: where it answers, and what to show it.

use std::fs;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use jsonrpsee::core::client::Error;
use jsonrpsee::http_client::{HttpClient, transport};
use tokio::runtime;

use super::error::CliError;
use crate::access::cookie::Cookie;
use crate::access::secret::Secret;
use crate::config::Config;
use crate::rpc::client::client;

/// How long a node on this machine may take to answer; it may have to ask others first.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The code by which the port says that it doesn't know the caller.
const UNAUTHORIZED: u16 = 401;

/// A running node's door: where it is, and what opens it.
#[derive(Clone, Debug)]
pub(super) struct Door {
    address: SocketAddr,
    /// A token, or its cookie; none where nothing is at hand.
    shows: Option<Secret>,
}

impl Door {
    /// That of the node of a config, opened by the cookie in its data folder, unless a file with a
    /// token is named. The cookie is shown on this machine only: elsewhere it would open nothing, and
    /// tell somebody.
    ///
    /// # Errors
    ///
    /// A file that cannot be read. Without a cookie the node is asked all the same, and says what it
    /// wants, or is found not to run.
    pub(super) fn new(
        config: &Config,
        is_elsewhere: bool,
        token_file: Option<&Path>,
    ) -> Result<Self, CliError> {
        let address = reachable(config.rpc.listen);
        let shows = match token_file {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|source| CliError::Read { path: path.to_owned(), source })?;
                let is_text = text.trim().bytes().all(|it| it.is_ascii_graphic());
                let secret = Secret::shown(text.trim()).filter(|_| is_text);
                Some(secret.ok_or_else(not_a_token)?)
            }
            None if is_elsewhere && !address.ip().is_loopback() => None,
            None => Cookie::read(&config.data_dir).ok().map(Cookie::into_secret),
        };
        Ok(Self { address, shows })
    }

    /// Where it is.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the node and waits for its answer.
    pub(super) fn ask<T, F>(&self, question: impl FnOnce(HttpClient) -> F) -> Result<T, CliError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let address = self.address;
        let answer = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Runtime)?
            .block_on(async { question(client(address, self.shows.as_ref(), TIMEOUT)?).await });
        answer.map_err(|error| {
            let refused = |problem| CliError::Refused { address, problem };
            if let Error::Call(error) = error {
                refused(error.message().to_owned())
            } else if let Error::ParseError(error) = error {
                refused(format!("something else than this version expects ({error})"))
            } else if is_unknown(&error) {
                CliError::Unknown { address, has_shown: self.shows.is_some() }
            } else {
                CliError::NoNode { address, problem: root_cause(&error) }
            }
        })
    }
}

/// The address to call for one to listen at: "any" is this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn not_a_token() -> CliError {
    let problem = "names a file that holds no token; `boltgrid token create` prints one".to_owned();
    CliError::Argument { argument: "--token-file", problem }
}

/// Whether the node refused to answer whoever calls.
fn is_unknown(error: &Error) -> bool {
    let Error::Transport(cause) = error else { return false };
    matches!(cause.downcast_ref(), Some(transport::Error::Rejected { status_code: UNAUTHORIZED }))
}

/// The innermost reason: the outer ones only say that a request failed.
fn root_cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_at_anywhere_is_called_on_this_machine() {
        let check = |listen: &str, called: &str| {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), called);
        };
        check("0.0.0.0:8733", "127.0.0.1:8733");
        check("[::]:8733", "[::1]:8733");
        check("192.0.2.7:1", "192.0.2.7:1");
    }
}
