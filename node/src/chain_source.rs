//! What this node asks its chain source itself, since Lightning's library asks the rest and does not say
//! what it heard: blocks and their fees, and what a transaction pays now.
//!
//! An Electrum server is spoken to by the library only, and says none of it here.
//! Not for: what follows from the answers ([`crate::dispatcher`], [`crate::channels`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::info;

use crate::config::lightning::{ChainSource, Login};
use crate::lightning::Credentials;

/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Blocks within which a channel's transactions are to be confirmed: an hour, since nothing waits.
const CONFIRMED_WITHIN_BLOCKS: u16 = 6;
/// Satoshis in a bitcoin.
const SAT_PER_BTC: u64 = 100_000_000;
/// Virtual bytes in the unit that bitcoind says fee rates in.
const VB_PER_KVB: u64 = 1_000;
/// What is taken for a mistake of the source: no block was ever that dear.
const SAT_PER_VB_MAX: u64 = 10_000;
/// What a transaction is taken to pay where the chain has not said yet.
const SAT_PER_VB_UNKNOWN: u64 = 10;

/// Why a source says nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// No connection, or no HTTP.
    #[error("it cannot be asked: {0}")]
    Http(#[from] reqwest::Error),
    /// No connection, without HTTP.
    #[error("it cannot be asked: {0}")]
    Io(#[source] std::io::Error),
    /// Too long an answer.
    #[error("its answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// Another answer than was asked for.
    #[error("its answer makes no sense: {0}")]
    Garbled(String),
    /// No password or cookie to show.
    #[error("it cannot be logged in to: {0}")]
    Login(String),
}

/// What asks over HTTP, wherever it is told to and nowhere else.
pub(crate) fn client() -> Result<Client, AskError> {
    Ok(Client::builder().redirect(Policy::none()).timeout(ANSWER_TIME).build()?)
}

/// What a transaction pays now, or did when the chain said it last; all clones know the same.
#[derive(Clone, Debug)]
pub(crate) struct FeeRate {
    source: ChainSource,
    last_sat_per_vb: Arc<AtomicU64>,
}

impl FeeRate {
    pub(crate) fn new(source: ChainSource) -> Self {
        Self { source, last_sat_per_vb: Arc::new(AtomicU64::new(SAT_PER_VB_UNKNOWN)) }
    }

    /// Asks the chain, and takes what it said last where it says nothing within `patience`.
    pub(crate) async fn ask(&self, patience: Duration) -> u64 {
        let last = || self.last_sat_per_vb.load(Ordering::Relaxed);
        match timeout(patience, sat_per_vb_ceil(&self.source)).await {
            Ok(Ok(told)) => self.last_sat_per_vb.store(told, Ordering::Relaxed),
            Ok(Err(error)) => {
                info!(chain = %self.source, %error, taken = last(), "what fees are is not known now");
            }
            Err(_) => {
                info!(chain = %self.source, taken = last(), "what fees are is not said in time")
            }
        }
        last()
    }
}

/// What a transaction pays that is to be confirmed within the hour, in sat/vB, rounded up; at least 1.
///
/// # Errors
///
/// [`AskError`]; always with an Electrum server.
async fn sat_per_vb_ceil(source: &ChainSource) -> Result<u64, AskError> {
    let (answer, per_sat) = match source {
        ChainSource::Bitcoind { host, port, login } => {
            let bitcoind = Bitcoind::new((host, *port), login)?;
            let params = json!([CONFIRMED_WITHIN_BLOCKS]);
            let mut answer = bitcoind.call("estimatesmartfee", params).await?;
            (answer["feerate"].take(), SAT_PER_BTC / VB_PER_KVB)
        }
        ChainSource::Esplora(url) => {
            let mut answer = Esplora::new(url)?.get(&["fee-estimates"]).await?;
            (answer[CONFIRMED_WITHIN_BLOCKS.to_string()].take(), 1)
        }
        ChainSource::Electrum(_) => {
            let problem = "an Electrum server is not asked for fee rates".to_owned();
            return Err(AskError::Garbled(problem));
        }
    };
    read_sat_per_vb_ceil(&answer, per_sat)
        .ok_or_else(|| AskError::Garbled(format!("{answer} is no fee rate")))
}

/// A rate times `per_sat` in whole sat/vB; none where it is nothing that a chain could ask.
#[expect(
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "servers say rates as fractions; the result is checked"
)]
fn read_sat_per_vb_ceil(rate: &Value, per_sat: u64) -> Option<u64> {
    // The last digits of a fraction in binary must not round a whole number up.
    const NOTHING: f64 = 1e-6;
    let rate = rate.as_f64()? * per_sat as f64;
    let is_possible = rate > 0.0 && rate <= SAT_PER_VB_MAX as f64;
    is_possible.then(|| ((rate - NOTHING).ceil() as u64).max(1))
}

/// A bitcoind, by its JSON-RPC.
pub(crate) struct Bitcoind<'a> {
    client: Client,
    url: String,
    login: &'a Login,
}

impl<'a> Bitcoind<'a> {
    /// One that listens there.
    pub(crate) fn new((host, port): (&str, u16), login: &'a Login) -> Result<Self, AskError> {
        Ok(Self { client: client()?, url: format!("http://{host}:{port}"), login })
    }

    /// What it answers to a call.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, AskError> {
        // Read each time: bitcoind writes its cookie anew at each of its starts.
        let Credentials { user, password } =
            Credentials::read(self.login).map_err(|error| AskError::Login(error.to_string()))?;
        let body = json!({ "id": "boltgrid", "method": method, "params": params }).to_string();
        let request = self.client.post(&self.url).basic_auth(user, Some(password)).body(body);
        let mut answer = json_of(request.send().await?).await?;
        let result = answer["result"].take();
        if result.is_null() {
            return Err(AskError::Garbled(answer["error"]["message"].to_string()));
        }
        Ok(result)
    }
}

/// An Esplora server.
pub(crate) struct Esplora {
    client: Client,
    url: String,
}

impl Esplora {
    /// The one of this address.
    pub(crate) fn new(url: &str) -> Result<Self, AskError> {
        Ok(Self { client: client()?, url: url.trim_end_matches('/').to_owned() })
    }

    /// JSON that it has there.
    pub(crate) async fn get(&self, path: &[&str]) -> Result<Value, AskError> {
        json_of(self.client.get(self.address(path)?).send().await?).await
    }

    /// Text that it has there.
    pub(crate) async fn text(&self, path: &[&str]) -> Result<String, AskError> {
        let bytes = bytes_of(self.client.get(self.address(path)?).send().await?).await?;
        let text =
            String::from_utf8(bytes).map_err(|error| AskError::Garbled(error.to_string()))?;
        Ok(text.trim().to_owned())
    }

    /// Whatever a server says becomes one part of a path, and nothing else of an address.
    fn address(&self, path: &[&str]) -> Result<Url, AskError> {
        let garbled = |problem: String| AskError::Garbled(problem);
        let mut url = Url::parse(&self.url).map_err(|error| garbled(error.to_string()))?;
        let mut parts = url.path_segments_mut().map_err(|()| garbled(self.url.clone()))?;
        parts.pop_if_empty().extend(path);
        drop(parts);
        Ok(url)
    }
}

/// The JSON of an answer of bounded length.
pub(crate) async fn json_of(answer: reqwest::Response) -> Result<Value, AskError> {
    let status = answer.status();
    let bytes = bytes_of(answer).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| AskError::Garbled(format!("HTTP status {status}, {error}")))
}

async fn bytes_of(mut answer: reqwest::Response) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(AskError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Json;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// An Esplora server that says a rate, until it is dropped.
    async fn esplora(rate: Value) -> (ChainSource, JoinSet<Result<(), Infallible>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let said = json!({ CONFIRMED_WITHIN_BLOCKS.to_string(): rate });
        let router = axum::Router::new().route("/fee-estimates", get(async || Json(said)));
        let mut serves = JoinSet::new();
        serves.spawn(async move {
            axum::serve(listener, router).await.unwrap();
            Ok(())
        });
        (ChainSource::Esplora(url), serves)
    }

    #[tokio::test]
    async fn fees_are_what_the_chain_says_and_what_it_said_last_once_it_is_gone() {
        let (source, mut serves) = esplora(json!(3.2)).await;
        let fees = FeeRate::new(source);
        let another = fees.clone();
        assert_eq!(fees.ask(ANSWER_TIME).await, 4);
        serves.shutdown().await;
        assert_eq!(fees.ask(ANSWER_TIME).await, 4);
        assert_eq!(another.ask(ANSWER_TIME).await, 4, "whoever asked");
    }

    #[tokio::test]
    async fn fees_that_were_never_said_are_reckoned_at_ten_and_nobody_waits_for_them() {
        let (source, serves) = esplora(json!("dear")).await;
        assert_eq!(FeeRate::new(source).ask(ANSWER_TIME).await, SAT_PER_VB_UNKNOWN);
        drop(serves);
        // It takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let fees = FeeRate::new(ChainSource::Esplora(url));
        assert_eq!(fees.ask(Duration::from_millis(50)).await, SAT_PER_VB_UNKNOWN);
    }

    #[test]
    fn a_fee_rate_is_whole_satoshis_for_a_byte_and_nothing_that_cannot_be() {
        let bitcoind = |rate: Value| read_sat_per_vb_ceil(&rate, SAT_PER_BTC / VB_PER_KVB);
        assert_eq!(bitcoind(json!(0.00001)), Some(1));
        assert_eq!(bitcoind(json!(0.00010001)), Some(11));
        assert_eq!(bitcoind(json!(0.00003)), Some(3));
        let esplora = |rate: Value| read_sat_per_vb_ceil(&rate, 1);
        assert_eq!(esplora(json!(0.4)), Some(1), "a relay takes no less");
        assert_eq!(esplora(json!(87.882)), Some(88));
        for wrong in [json!(0), json!(-1), json!(1e18), json!("5"), json!(null)] {
            assert_eq!(esplora(wrong), None);
        }
    }
}
