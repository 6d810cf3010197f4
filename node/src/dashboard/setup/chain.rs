//! Whether a chain source is there and on the network that is meant, asked before anything is written.
//!
//! Each network has a first block of its own, by which an Esplora or Electrum server is told; a bitcoind
//! says the network's name. Not for: following the chain, which Lightning's library does.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::lightning::{BitcoinNetwork, ChainSource, LightningConfig, Login};
use crate::lightning::{Credentials, check_bitcoind};

/// How long a server may take.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// What an Electrum server is asked: it names the first block of its chain.
const FEATURES: &[u8] = b"{\"id\":0,\"method\":\"server.features\",\"params\":[]}\n";

/// What is known of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is on the network that is meant.
    Right,
    /// It is there; over TLS it is asked only when the node starts.
    There,
}

/// Asks the source of `config`; `password` is not in its file yet.
///
/// # Errors
///
/// What is wrong, in English.
pub(super) async fn check(
    config: &LightningConfig,
    password: Option<&str>,
) -> Result<Seen, String> {
    match &config.chain {
        ChainSource::Bitcoind { host, port, login } => {
            let credentials = match (login, password) {
                (Login::Password { user, .. }, Some(password)) => {
                    Credentials { user: user.clone(), password: password.to_owned() }
                }
                (login, _) => Credentials::read(login).map_err(|error| error.to_string())?,
            };
            let checked = check_bitcoind((host, *port), &credentials, config.network).await;
            checked.map(|()| Seen::Right).map_err(|error| error.to_string())
        }
        ChainSource::Esplora(url) => {
            let found = esplora(url).await.map_err(|why| format!("{}: {why}", config.chain))?;
            is_first(&found, config)
        }
        ChainSource::Electrum(url) => match timeout(ANSWER_TIME, electrum(url)).await {
            Ok(Ok(Some(found))) => is_first(&found, config),
            Ok(Ok(None)) => Ok(Seen::There),
            Ok(Err(why)) => Err(format!("{}: {why}", config.chain)),
            Err(_) => Err(format!("{} does not answer", config.chain)),
        },
    }
}

/// The hash of a network's first block.
const fn first_block(network: BitcoinNetwork) -> &'static str {
    match network {
        BitcoinNetwork::Mainnet => {
            "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
        }
        BitcoinNetwork::Signet => {
            "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"
        }
        BitcoinNetwork::Regtest => {
            "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
        }
    }
}

fn is_first(found: &str, config: &LightningConfig) -> Result<Seen, String> {
    if found.trim() == first_block(config.network) {
        return Ok(Seen::Right);
    }
    let (source, wanted) = (&config.chain, config.network.name());
    Err(format!("{source} is on another network than {wanted}: its first block is {found:?}"))
}

async fn esplora(url: &str) -> Result<String, String> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_TIME)
        .build()
        .map_err(|error| error.to_string())?;
    let place = format!("{}/block-height/0", url.trim_end_matches('/'));
    let mut answer = client.get(place).send().await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("it answers with status {}", answer.status()));
    }
    let chunk = answer.chunk().await.map_err(|error| error.to_string())?.unwrap_or_default();
    // A hash comes in one piece; whatever else comes is none.
    let text = chunk.get(..64).and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.map(str::to_owned).ok_or_else(|| "its answer is no hash of a block".to_owned())
}

/// The first block of an Electrum server's chain; none where it is asked over TLS.
async fn electrum(url: &str) -> Result<Option<String>, String> {
    let (scheme, place) = url.split_once("://").unwrap_or(("", url));
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(place).await.map_err(failed)?;
    if scheme == "ssl" {
        return Ok(None);
    }
    stream.write_all(FEATURES).await.map_err(failed)?;
    let mut line = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut line).await.map_err(failed)?;
    let answer: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    let hash = answer["result"]["genesis_hash"].as_str();
    hash.map(|it| Some(it.to_owned())).ok_or_else(|| "it names no first block".to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of asking a source of regtest that answers this.
    async fn checked(
        source: impl FnOnce(u16) -> ChainSource,
        answer: String,
    ) -> Result<Seen, String> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = LightningConfig {
            network: BitcoinNetwork::Regtest,
            chain: source(port),
            seed_file: "wallet.seed".into(),
            listen: Vec::new(),
            external: Vec::new(),
            forward: false,
            zero_conf_partners: Vec::new(),
        };
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            assert!(length > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = answering => unreachable!("it answers for ever"),
            checked = check(&config, None) => checked,
        }
    }

    #[tokio::test]
    async fn an_electrum_server_is_told_by_its_first_block() {
        let source = |port| ChainSource::Electrum(format!("tcp://127.0.0.1:{port}"));
        let answer = |hash: &str| format!("{{\"result\":{{\"genesis_hash\":\"{hash}\"}}}}\n");
        let right = answer(first_block(BitcoinNetwork::Regtest));
        assert_eq!(checked(source, right).await, Ok(Seen::Right));
        let other = answer(first_block(BitcoinNetwork::Signet));
        assert!(checked(source, other).await.unwrap_err().contains("another network"));
        assert!(checked(source, "SSH-2.0\n".to_owned()).await.is_err());
    }

    #[tokio::test]
    async fn an_esplora_server_is_told_by_its_first_block() {
        let source = |port| ChainSource::Esplora(format!("http://127.0.0.1:{port}/api/"));
        let answer = |status: &str, body: &str| {
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let right = answer("200 OK", first_block(BitcoinNetwork::Regtest));
        assert_eq!(checked(source, right).await, Ok(Seen::Right));
        let other = answer("200 OK", first_block(BitcoinNetwork::Mainnet));
        assert!(checked(source, other).await.unwrap_err().contains("another network"));
        let none = answer("404 Not Found", "");
        assert!(checked(source, none).await.unwrap_err().contains("404"));
    }
}
