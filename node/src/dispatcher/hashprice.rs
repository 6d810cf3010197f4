//! The hashprice as a chain source gives it: difficulty and fees of the latest blocks.
//!
//! | source | difficulty | fees |
//! |---|---|---|
//! | bitcoind | the tip's header | `getblockstats` of each block, as far as it keeps them |
//! | Esplora | the tip | of each block what its coinbase creates beyond the subsidy |
//! | Electrum | the tip | likewise |
//!
//! A source that fails leaves the hashprice as it was until it is too old to be believed.
//! Not for: the formula (`boltgrid_miners::hashprice`).

mod electrum;

use std::time::Duration;

use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::hashprice::{Block, Chain, subsidy_sat};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{HashpriceFeed, HashpriceSource};
use crate::chain_source::{self, AskError, Bitcoind, Esplora, json_of};
use crate::clock;
use crate::config::lightning::ChainSource;

/// How often the source is asked for its tip.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// Blocks that are asked for at once: a day's in ten minutes.
const BLOCKS_AT_ONCE: usize = 16;
/// A feed that says nothing is believed no longer than a chain that stands still.
const BELIEVED_MS: u64 = 86_400_000;

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
        HashpriceSource::Feed(feed) => return follow_feed(feed, found, stop).await,
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

/// The same by somebody's word, which is believed for as long as a chain's.
async fn follow_feed(
    feed: HashpriceFeed,
    found: watch::Sender<Option<Hashprice>>,
    stop: CancellationToken,
) {
    let asking = async {
        let mut heard_at = clock::now();
        let mut failed = false;
        loop {
            match ask_feed(&feed).await {
                Ok(hashprice) => {
                    (heard_at, failed) = (clock::now(), false);
                    found.send_if_modified(|before| before.replace(hashprice) != Some(hashprice));
                }
                Err(error) => {
                    if !failed {
                        warn!(feed = %feed.shown(), %error, "no hashprice from the feed");
                    }
                    failed = true;
                    if clock::now().ms_since(heard_at) > BELIEVED_MS {
                        found.send_if_modified(|before| before.take().is_some());
                    }
                }
            }
            sleep(ASK_EVERY).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = asking => {}
    }
}

async fn ask_feed(feed: &HashpriceFeed) -> Result<Hashprice, AskError> {
    let asked = chain_source::client()?.get(&feed.url).send().await;
    let answer = json_of(asked.map_err(reqwest::Error::without_url)?).await?;
    feed.read(&answer).map_err(AskError::Garbled)
}

async fn ask(source: &ChainSource, chain: &mut Chain) -> Result<(), AskError> {
    match source {
        ChainSource::Bitcoind { host, port, login } => {
            ask_bitcoind(&Bitcoind::new((host, *port), login)?, chain).await
        }
        ChainSource::Esplora(url) => ask_esplora(&Esplora::new(url)?, chain).await,
        ChainSource::Electrum(url) => electrum::ask(url, chain).await,
    }
}

async fn ask_bitcoind(bitcoind: &Bitcoind<'_>, chain: &mut Chain) -> Result<(), AskError> {
    let tip = number(&bitcoind.call("getblockcount", json!([])).await?)?;
    let hash = bitcoind.call("getblockhash", json!([tip])).await?;
    let bits = bits(&bitcoind.call("getblockheader", json!([hash])).await?["bits"])?;
    let missing: Vec<u64> = chain.missing(tip).take(BLOCKS_AT_ONCE).collect();
    chain.tip(clock::now(), tip);
    for height in missing {
        // One that keeps no old blocks says nothing of them: their fees are not known.
        let stats = bitcoind.call("getblockstats", json!([height, ["totalfee"]])).await;
        let fees_sat = stats.ok().and_then(|stats| stats["totalfee"].as_u64());
        chain.note(Block { height, bits, fees_sat });
    }
    Ok(())
}

async fn ask_esplora(esplora: &Esplora, chain: &mut Chain) -> Result<(), AskError> {
    let tip = number(&esplora.get(&["blocks", "tip", "height"]).await?)?;
    let missing: Vec<u64> = chain.missing(tip).take(BLOCKS_AT_ONCE).collect();
    for height in missing {
        let hash = esplora.text(&["block-height", &height.to_string()]).await?;
        let block = esplora.get(&["block", &hash]).await?;
        let bits = block["bits"].as_u64().and_then(|bits| u32::try_from(bits).ok());
        let bits = bits.ok_or_else(|| AskError::Garbled("a block without bits".to_owned()))?;
        let coinbase = esplora.text(&["block", &hash, "txid", "0"]).await?;
        let transaction = esplora.get(&["tx", &coinbase]).await?;
        let outputs = transaction["vout"].as_array().into_iter().flatten();
        let created = outputs.filter_map(|output| output["value"].as_u64());
        let created = created.fold(0_u64, u64::saturating_add);
        let fees_sat = created.checked_sub(subsidy_sat(height));
        chain.note(Block { height, bits, fees_sat });
    }
    chain.tip(clock::now(), tip);
    Ok(())
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
    use crate::config::lightning::Login;
    use crate::dispatcher::FeedUnit;

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
    async fn a_feed_is_asked_over_http_and_believed_within_reason() {
        provider();
        let feed = |port: u16| HashpriceFeed {
            url: format!("http://127.0.0.1:{port}/v1"),
            pointer: "/hashprice".to_owned(),
            unit: FeedUnit::SatPerPhDay,
        };
        for (body, expected) in [
            ("{\"hashprice\": 52456.7}", Some(52_456)),
            ("{\"hashprice\": -1}", None),
            ("no", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let feed = feed(listener.local_addr().unwrap().port());
            let serving = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"GET /v1 "));
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(head.as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            };
            let asked = tokio::select! {
                () = serving => unreachable!("it serves for ever"),
                asked = ask_feed(&feed) => asked,
            };
            assert_eq!(asked.ok().map(Hashprice::to_msat_per_th_day), expected, "{body}");
        }
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
