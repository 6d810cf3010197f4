//! Asking the running node over its JSON-RPC.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use jsonrpsee::core::client::Error;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use tokio::runtime;

use super::error::CliError;
use crate::config::{Config, RawConfig, RawRpc};

/// How long a node on this machine may take to answer; it may have to ask others first.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where the node of a config file answers; `given` on the command line wins.
pub(super) fn address(given: Option<String>, config: &Path) -> Result<SocketAddr, CliError> {
    let raw = RawConfig { rpc: RawRpc { listen: given.clone() }, ..RawConfig::default() };
    // With an address at hand, or with nothing to go by but defaults, no file is needed.
    let config = if given.is_some() || !config.exists() {
        Config::checked(raw, config)?
    } else {
        Config::load(config, raw)?
    };
    Ok(reachable(config.rpc.listen))
}

/// The address to call for one to listen at: "any" is this machine.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Asks the node at `address` and waits for its answer.
pub(super) fn ask<T, F>(
    address: SocketAddr,
    question: impl FnOnce(HttpClient) -> F,
) -> Result<T, CliError>
where
    F: Future<Output = Result<T, Error>>,
{
    let answer = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?
        .block_on(async {
            let client = HttpClientBuilder::default()
                .request_timeout(TIMEOUT)
                .build(format!("http://{address}/rpc"))?;
            question(client).await
        });
    answer.map_err(|error| {
        let refused = |problem| CliError::Refused { address, problem };
        if let Error::Call(error) = error {
            refused(error.message().to_owned())
        } else if let Error::ParseError(error) = error {
            refused(format!("something else than this version expects ({error})"))
        } else {
            CliError::NoNode { address, problem: root_cause(&error) }
        }
    })
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
