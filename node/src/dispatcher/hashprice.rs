//! The hashprice as a chain source gives it: difficulty and fees of the latest blocks.
//!
//! | source | difficulty | fees |
//! |---|---|---|
//! | bitcoind | the tip's header | `getblockstats` of each block, as far as it keeps them |
//! | Esplora | the tip | of each block what its coinbase creates beyond the subsidy |
//! | Electrum | – | – |
//!
//! An Electrum server hands out headers and single transactions, and this node speaks its protocol
//! through Lightning's library only: the owner sets the hashprice then. A source that fails leaves the
//! hashprice as it was until it is too old to be believed.
//! Not for: the formula (`boltgrid_miners::hashprice`).

use std::time::Duration;

use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::hashprice::{Block, Chain, subsidy_sat};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::HashpriceSource;
use crate::clock;
use crate::config::lightning::{ChainSource, Login};
use crate::lightning::Credentials;

/// How often the source is asked for its tip.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Blocks that are asked for at once: a day's in ten minutes.
const BLOCKS_AT_ONCE: usize = 16;
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why a source says nothing.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("it cannot be asked: {0}")]
    Http(#[from] reqwest::Error),
    #[error("its answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("its answer makes no sense: {0}")]
    Garbled(String),
    #[error("it cannot be logged in to: {0}")]
    Login(String),
}

/// Keeps `found` at what the source says, until stopped.
pub(super) async fn follow(
    source: HashpriceSource,
    found: watch::Sender<Option<Hashprice>>,
    stop: CancellationToken,
) {
    let source = match source {
        HashpriceSource::Fixed(hashprice) => {
            found.send_replace(Some(hashprice));
            return stop.cancelled().await;
        }
        HashpriceSource::Unknown => return stop.cancelled().await,
        HashpriceSource::Chain(source) => source,
    };
    let asking = async {
        let mut chain = Chain::default();
        let mut failed = false;
        loop {
            match ask(&source, &mut chain).await {
                Ok(()) => failed = false,
                Err(error) if failed => debug!(%source, %error, "still no hashprice"),
                Err(error) => {
                    warn!(%source, %error, "no hashprice; set `mining.hashprice_msat_per_th_day`");
                    failed = true;
                }
            }
            let now = chain.hashprice(clock::now());
            found.send_if_modified(|before| {
                let is_news = *before != now;
                if is_news {
                    info!(hashprice = ?now, blocks = chain.blocks_with_fees(), "hashprice");
                }
                *before = now;
                is_news
            });
            sleep(ASK_EVERY).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = asking => {}
    }
}

async fn ask(source: &ChainSource, chain: &mut Chain) -> Result<(), AskError> {
    let client = Client::builder().redirect(Policy::none()).timeout(ANSWER_TIME).build()?;
    match source {
        ChainSource::Bitcoind { host, port, login } => {
            Bitcoind { client, url: format!("http://{host}:{port}"), login }.ask(chain).await
        }
        ChainSource::Esplora(url) => {
            Esplora { client, url: url.trim_end_matches('/').to_owned() }.ask(chain).await
        }
        ChainSource::Electrum(_) => Err(AskError::Garbled(
            "an Electrum server does not tell what blocks pay in fees".to_owned(),
        )),
    }
}

struct Bitcoind<'a> {
    client: Client,
    url: String,
    login: &'a Login,
}

impl Bitcoind<'_> {
    async fn ask(&self, chain: &mut Chain) -> Result<(), AskError> {
        let tip = number(&self.call("getblockcount", json!([])).await?)?;
        let hash = self.call("getblockhash", json!([tip])).await?;
        let bits = bits(&self.call("getblockheader", json!([hash])).await?["bits"])?;
        let missing: Vec<u64> = chain.missing(tip).take(BLOCKS_AT_ONCE).collect();
        chain.tip(clock::now(), tip);
        for height in missing {
            // One that keeps no old blocks says nothing of them: their fees are not known.
            let stats = self.call("getblockstats", json!([height, ["totalfee"]])).await;
            let fees_sat = stats.ok().and_then(|stats| stats["totalfee"].as_u64());
            chain.note(Block { height, bits, fees_sat });
        }
        Ok(())
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, AskError> {
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

struct Esplora {
    client: Client,
    url: String,
}

impl Esplora {
    async fn ask(&self, chain: &mut Chain) -> Result<(), AskError> {
        let tip = number(&self.get(&["blocks", "tip", "height"]).await?)?;
        let missing: Vec<u64> = chain.missing(tip).take(BLOCKS_AT_ONCE).collect();
        for height in missing {
            let hash = self.text(&["block-height", &height.to_string()]).await?;
            let block = self.get(&["block", &hash]).await?;
            let bits = block["bits"].as_u64().and_then(|bits| u32::try_from(bits).ok());
            let bits = bits.ok_or_else(|| AskError::Garbled("a block without bits".to_owned()))?;
            let coinbase = self.text(&["block", &hash, "txid", "0"]).await?;
            let transaction = self.get(&["tx", &coinbase]).await?;
            let outputs = transaction["vout"].as_array().into_iter().flatten();
            let created = outputs.filter_map(|output| output["value"].as_u64());
            let created = created.fold(0_u64, u64::saturating_add);
            let fees_sat = created.checked_sub(subsidy_sat(height));
            chain.note(Block { height, bits, fees_sat });
        }
        chain.tip(clock::now(), tip);
        Ok(())
    }

    async fn get(&self, path: &[&str]) -> Result<Value, AskError> {
        json_of(self.client.get(self.address(path)?).send().await?).await
    }

    async fn text(&self, path: &[&str]) -> Result<String, AskError> {
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

async fn json_of(answer: reqwest::Response) -> Result<Value, AskError> {
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

fn number(value: &Value) -> Result<u64, AskError> {
    value.as_u64().ok_or_else(|| AskError::Garbled(format!("{value} is no height")))
}

fn bits(value: &Value) -> Result<u32, AskError> {
    let bits = value.as_str().and_then(|text| u32::from_str_radix(text, 16).ok());
    bits.ok_or_else(|| AskError::Garbled(format!("{value} are no bits")))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers each request by what `answer` makes of its text, until it is dropped.
    async fn asked(source: impl FnOnce(u16) -> ChainSource, answer: fn(&str) -> String) -> Chain {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap();
                let body = answer(&String::from_utf8_lossy(&request[..length]));
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n");
                let answer = format!("{head}Connection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let mut chain = Chain::default();
        let source = source(port);
        tokio::select! {
            () = serving => {}
            asked = ask(&source, &mut chain) => asked.unwrap(),
        }
        chain
    }

    fn provider() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }

    #[tokio::test]
    async fn a_bitcoind_says_difficulty_and_fees_of_what_it_keeps() {
        provider();
        let dir = tempfile::tempdir().unwrap();
        let cookie = dir.path().join("cookie");
        std::fs::write(&cookie, "user:password").unwrap();
        let source = |port| ChainSource::Bitcoind {
            host: "127.0.0.1".to_owned(),
            port,
            login: Login::CookieFile(cookie.clone()),
        };
        let chain = asked(source, |request| {
            let result = if request.contains("getblockcount") {
                "840001"
            } else if request.contains("getblockhash") {
                "\"00aa\""
            } else if request.contains("getblockheader") {
                "{\"bits\":\"17034219\"}"
            } else if request.contains("[840001,") {
                "{\"totalfee\":312500000}"
            } else {
                // It was pruned.
                "null"
            };
            format!("{{\"result\":{result},\"error\":null}}")
        })
        .await;
        assert_eq!(chain.blocks_with_fees(), 1);
        let found = chain.hashprice(clock::now()).unwrap();
        assert_eq!(found.to_msat_per_th_day(), 2 * 72_768, "as much in fees as in subsidy");
    }

    #[tokio::test]
    async fn an_esplora_server_says_fees_by_what_coinbases_create() {
        provider();
        let source = |port| ChainSource::Esplora(format!("http://127.0.0.1:{port}/api/"));
        let chain = asked(source, |request| {
            let path = request.split(' ').nth(1).unwrap();
            match path.split('/').skip(2).collect::<Vec<_>>()[..] {
                ["blocks", ..] => "840000".to_owned(),
                ["block-height", height] => format!("{height}\n"),
                ["block", _, "txid", "0"] => "c0ffee".to_owned(),
                ["block", _] => format!("{{\"bits\":{}}}", 0x1703_4219),
                ["tx", "c0ffee"] => "{\"vout\":[{\"value\":312500000},{\"value\":7}]}".to_owned(),
                _ => panic!("{path}"),
            }
        })
        .await;
        // Blocks before the halving create more than this coinbase: their fees are not believed.
        assert_eq!(chain.blocks_with_fees(), 1);
        assert_eq!(chain.hashprice(clock::now()).unwrap().to_msat_per_th_day(), 72_768);
    }
}
