//! An Electrum server as a source of the hashprice: headers, and of each block its coinbase, which creates
//! what the subsidy and the fees are.
//!
//! JSON-RPC in lines over TCP or TLS (<https://electrum-protocol.readthedocs.io/en/latest/protocol-methods.html>),
//! a connection for each look. Lightning's library speaks it too, and shows nobody blocks.
//! Not for: proofs. What the server says is believed as far as that of any source.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, Transaction};
use boltgrid_miners::hashprice::{Block, Chain, subsidy_sat};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{BLOCKS_AT_ONCE, number};
use crate::chain_source::AskError;
use crate::clock;

/// The ports that servers listen at where nothing is said.
const PORT: u16 = 50_001;
const TLS_PORT: u16 = 50_002;
/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// What is spoken.
const PROTOCOL: &str = "1.4";

/// Whatever goes both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a server.
struct Electrum {
    stream: BufReader<Box<dyn Stream>>,
    id: u64,
}

/// Asks a server what its tip is, and of blocks that are not known yet.
pub(super) async fn ask(url: &str, chain: &mut Chain) -> Result<(), AskError> {
    let mut server = timeout(ANSWER_TIME, Electrum::connect(url)).await.map_err(late)??;
    server.call("server.version", json!(["boltgrid", PROTOCOL])).await?;
    let tip = number(&server.call("blockchain.headers.subscribe", json!([])).await?["height"])?;
    let missing: Vec<u64> = chain.missing(tip).take(BLOCKS_AT_ONCE).collect();
    for height in missing {
        let header = text(server.call("blockchain.block.header", json!([height])).await?)?;
        let header: Header = deserialize_hex(&header).map_err(garbled)?;
        let coinbase =
            text(server.call("blockchain.transaction.id_from_pos", json!([height, 0])).await?)?;
        let raw = text(server.call("blockchain.transaction.get", json!([coinbase])).await?)?;
        let transaction: Transaction = deserialize_hex(&raw).map_err(garbled)?;
        // What is no coinbase says nothing of fees.
        let created = transaction.output.iter().map(|output| output.value);
        let created = created.fold(Amount::ZERO, |sum, it| sum.checked_add(it).unwrap_or(sum));
        let fees_sat = created.to_sat().checked_sub(subsidy_sat(height));
        let fees_sat = fees_sat.filter(|_| transaction.is_coinbase());
        chain.note(Block { height, bits: header.bits.to_consensus(), fees_sat });
    }
    chain.tip(clock::now(), tip);
    Ok(())
}

impl Electrum {
    async fn connect(url: &str) -> Result<Self, AskError> {
        let (is_secure, rest) = match (url.strip_prefix("ssl://"), url.strip_prefix("tcp://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(AskError::Garbled(format!("{url:?} is no address"))),
        };
        let rest = rest.trim_end_matches('/');
        let default = if is_secure { TLS_PORT } else { PORT };
        let split = rest.rsplit_once(':').filter(|(host, _)| !host.ends_with(':'));
        let (host, port) = match split.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some((host, port)) => (host, port),
            None => (rest, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((host, port)).await.map_err(AskError::Io)?;
        let stream: Box<dyn Stream> = if is_secure {
            let mut roots = RootCertStore::empty();
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            let config =
                ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| AskError::Garbled(error.to_string()))?;
            let connector = TlsConnector::from(Arc::new(config));
            Box::new(connector.connect(name, tcp).await.map_err(AskError::Io)?)
        } else {
            Box::new(tcp)
        };
        Ok(Self { stream: BufReader::new(stream), id: 0 })
    }

    /// Asks one thing. What the server tells meanwhile of its own accord is skipped.
    async fn call(&mut self, method: &str, params: Value) -> Result<Value, AskError> {
        self.id = self.id.saturating_add(1);
        let ask = json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params });
        let answering = async {
            let line = format!("{ask}\n");
            self.stream.get_mut().write_all(line.as_bytes()).await.map_err(AskError::Io)?;
            loop {
                let mut answer: Value = serde_json::from_slice(&self.line().await?)
                    .map_err(|error| AskError::Garbled(error.to_string()))?;
                if answer["id"].as_u64() != Some(self.id) {
                    continue;
                }
                let error = answer["error"].take();
                if !error.is_null() {
                    return Err(AskError::Garbled(format!("{method}: {error}")));
                }
                return Ok(answer["result"].take());
            }
        };
        timeout(ANSWER_TIME, answering).await.map_err(late)?
    }

    /// A line of at most [`ANSWER_BYTES_MAX`].
    async fn line(&mut self) -> Result<Vec<u8>, AskError> {
        let mut line = Vec::new();
        let most = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
        let mut bounded = (&mut self.stream).take(most);
        bounded.read_until(b'\n', &mut line).await.map_err(AskError::Io)?;
        match line.last() {
            Some(b'\n') => Ok(line),
            Some(_) if line.len() >= ANSWER_BYTES_MAX => Err(AskError::TooLong),
            Some(_) | None => Err(AskError::Garbled("it hung up".to_owned())),
        }
    }
}

fn late(_: tokio::time::error::Elapsed) -> AskError {
    AskError::Garbled(format!("none within {} s", ANSWER_TIME.as_secs()))
}

fn garbled(error: impl std::fmt::Display) -> AskError {
    AskError::Garbled(error.to_string())
}

fn text(value: Value) -> Result<String, AskError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(AskError::Garbled(format!("{value} is no text")))
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::blockdata::transaction::Version;
    use bitcoin::consensus::encode::serialize_hex;
    use bitcoin::hashes::Hash as _;
    use bitcoin::{
        BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, TxIn, TxMerkleNode, TxOut,
        Witness, block,
    };
    use tokio::net::TcpListener;

    use super::*;

    fn header() -> String {
        serialize_hex(&Header {
            version: block::Version::TWO,
            prev_blockhash: BlockHash::all_zeros(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: 0,
            bits: CompactTarget::from_consensus(0x1703_4219),
            nonce: 0,
        })
    }

    /// A transaction that creates so much, in two outputs.
    fn creates(sat: u64, spends: OutPoint) -> String {
        let output = |sat| TxOut { value: Amount::from_sat(sat), script_pubkey: ScriptBuf::new() };
        serialize_hex(&Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: spends,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![output(7), output(sat - 7)],
        })
    }

    /// Asks a server whose coinbases are `raw`.
    async fn asked(raw: String) -> Result<Chain, AskError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap() > 0 {
                let request: Value = serde_json::from_str(&line).unwrap();
                let result = match request["method"].as_str().unwrap() {
                    "server.version" => json!(["a server", "1.4"]),
                    "blockchain.headers.subscribe" => json!({ "height": 840_000, "hex": header() }),
                    "blockchain.block.header" => json!(header()),
                    "blockchain.transaction.id_from_pos" => json!("c0ffee"),
                    "blockchain.transaction.get" => json!(raw),
                    other => panic!("{other}"),
                };
                // Servers tell of new blocks in between.
                let news = json!({ "method": "blockchain.headers.subscribe", "params": [] });
                let answer = json!({ "id": request["id"], "result": result });
                stream.write_all(format!("{news}\n{answer}\n").as_bytes()).await.unwrap();
                line.clear();
            }
            std::future::pending::<()>().await;
        };
        let mut chain = Chain::default();
        tokio::select! {
            () = serving => unreachable!("it serves for ever"),
            asked = ask(&url, &mut chain) => asked.map(|()| chain),
        }
    }

    #[tokio::test]
    async fn a_server_says_fees_by_what_coinbases_create() {
        let twice = 2 * subsidy_sat(840_000);
        let chain = asked(creates(twice, OutPoint::null())).await.unwrap();
        // Blocks before the halving create as much by themselves, so nothing is left for fees.
        assert_eq!(chain.blocks_with_fees(), BLOCKS_AT_ONCE);
        let one = chain.hashprice(clock::now()).unwrap().to_msat_per_th_day();
        // 312 500 000 sat of subsidy, and a sixteenth of as much in fees.
        assert_eq!(one, 72_768 + 72_768 / 16);
    }

    #[tokio::test]
    async fn what_is_no_coinbase_says_nothing_of_fees() {
        let some = OutPoint { txid: bitcoin::Txid::all_zeros(), vout: 0 };
        let chain = asked(creates(2 * subsidy_sat(840_000), some)).await.unwrap();
        assert_eq!(chain.blocks_with_fees(), 0);
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_said_so() {
        let error = asked("00ff".to_owned()).await.unwrap_err().to_string();
        assert!(error.contains("makes no sense"), "{error}");
        let refused = ask("tcp://127.0.0.1:1", &mut Chain::default()).await.unwrap_err();
        assert!(matches!(refused, AskError::Io(_)), "{refused}");
    }
}
