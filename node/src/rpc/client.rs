//! A client of a node's JSON-RPC that shows who it is, for the command line and for those who run
//! nodes as processes.
//! Not for: what to ask; that are the client traits beside the methods.

use std::fmt::Display;
use std::time::Duration;

use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HeaderMap, HeaderValue, HttpClient};
use reqwest::header::AUTHORIZATION;

use crate::access::secret::Secret;

/// A client of the node at `address` (host and port) that shows a token or the node's cookie, and waits
/// so long for an answer.
///
/// # Errors
///
/// When there is no such address.
pub fn client(
    address: impl Display,
    shows: Option<&Secret>,
    patience: Duration,
) -> Result<HttpClient, ClientError> {
    let header = |it: &Secret| HeaderValue::from_str(&format!("Bearer {}", it.reveal()));
    let shows =
        shows.map(header).transpose().map_err(|error| ClientError::Custom(error.to_string()))?;
    let headers: HeaderMap = shows.into_iter().map(|it| (AUTHORIZATION, it)).collect();
    HttpClient::builder()
        .request_timeout(patience)
        .set_headers(headers)
        .build(format!("http://{address}/rpc"))
}
