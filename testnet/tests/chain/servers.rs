//! An Esplora and an Electrum server on a test's chain: as much of them as Lightning asks for.
//! Not for: anybody else's wallet.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bitcoin::consensus::encode::{serialize, serialize_hex};
use bitcoin::{BlockHash, MerkleBlock, OutPoint, Transaction, Txid};
use boltgrid_testnet::chain::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::index::{Index, Reader};

/// Servers, until they are dropped, and where they are.
pub(crate) struct Servers {
    pub(crate) esplora_url: String,
    pub(crate) electrum_url: String,
    _serve: JoinSet<()>,
}

impl Servers {
    pub(crate) async fn start(client: Client) -> Self {
        let reader = Arc::new(Reader::new(client));
        let mut serve = JoinSet::new();
        let esplora = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let electrum = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let esplora_url = format!("http://{}/api", esplora.local_addr().unwrap());
        let electrum_url = format!("tcp://{}", electrum.local_addr().unwrap());
        let router = Router::new().fallback(esplora_answer).with_state(Arc::clone(&reader));
        serve.spawn(async move { axum::serve(esplora, router).await.unwrap() });
        serve.spawn(async move {
            let mut callers = JoinSet::new();
            while let Ok((stream, _)) = electrum.accept().await {
                callers.spawn(electrum_caller(Arc::clone(&reader), stream));
            }
        });
        Self { esplora_url, electrum_url, _serve: serve }
    }
}

async fn esplora_answer(
    State(reader): State<Arc<Reader>>,
    method: Method,
    uri: Uri,
    body: String,
) -> Response {
    let path: Vec<&str> = uri.path().split('/').skip(2).collect();
    if (method, path.as_slice()) == (Method::POST, &["tx"]) {
        return match reader.client.call("sendrawtransaction", json!([body])).await {
            Ok(txid) => txid.as_str().unwrap().to_owned().into_response(),
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        };
    }
    let index = reader.now().await;
    if let ["tx", txid, "raw"] = path[..] {
        let found = txid.parse().ok().and_then(|txid: Txid| index.txs.get(&txid));
        return found.map_or(StatusCode::NOT_FOUND.into_response(), |(tx, _)| {
            serialize(tx).into_response()
        });
    }
    let Some(answer) = index.esplora(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Texts are told as they are, everything else as JSON.
    answer.as_str().map_or_else(|| answer.to_string(), str::to_owned).into_response()
}

impl Index {
    fn esplora(&self, path: &[&str]) -> Option<Value> {
        Some(match path {
            ["blocks", "tip", "height"] => json!(self.height().to_string()),
            ["blocks", "tip", "hash"] => json!(self.hash(self.height()).to_string()),
            ["blocks"] => self.summaries(self.height()),
            ["blocks", height] => self.summaries(height.parse().ok()?),
            ["block-height", height] => {
                let height: usize = height.parse().ok()?;
                json!(self.blocks.get(height)?.block_hash().to_string())
            }
            ["block", hash, "header"] => {
                json!(serialize_hex(&self.blocks[self.place(hash)?].header))
            }
            ["block", hash, "status"] => match self.place(hash) {
                Some(height) => {
                    json!({ "in_best_chain": true, "height": height, "next_best": null })
                }
                None => json!({ "in_best_chain": false, "height": null, "next_best": null }),
            },
            ["fee-estimates"] => Value::Object(
                (1..=1008).map(|blocks: u16| (blocks.to_string(), json!(1.0))).collect(),
            ),
            ["tx", txid] => self.shown(&txid.parse().ok()?)?,
            ["tx", txid, "status"] => self.status(&txid.parse().ok()?),
            ["tx", txid, "merkle-proof"] => {
                let (height, place) = self.txs.get(&txid.parse::<Txid>().ok()?)?.1?;
                json!({ "block_height": height, "pos": place, "merkle": self.branch(height, place) })
            }
            ["tx", txid, "merkleblock-proof"] => {
                let txid: Txid = txid.parse().ok()?;
                let (height, _) = self.txs.get(&txid)?.1?;
                let block = &self.blocks[height];
                json!(serialize_hex(
                    &MerkleBlock::from_block_with_predicate(block, |it| *it == txid)
                ))
            }
            ["tx", txid, "outspend", place] => {
                let at = OutPoint::new(txid.parse().ok()?, place.parse().ok()?);
                match self.spent.get(&at) {
                    None => json!({ "spent": false }),
                    Some((by, vin)) => {
                        json!({ "spent": true, "txid": by, "vin": vin, "status": self.status(by) })
                    }
                }
            }
            // Pages are of 25: these have all of them in the first one.
            ["scripthash", _, "txs", "chain", _] => json!([]),
            ["scripthash", hash, "txs"] => {
                let of = self.scripts.get(&unhex(hash)?).into_iter().flatten();
                Value::Array(of.rev().filter_map(|txid| self.shown(txid)).collect())
            }
            _ => return None,
        })
    }

    fn hash(&self, height: usize) -> BlockHash {
        self.blocks[height].block_hash()
    }

    fn place(&self, hash: &str) -> Option<usize> {
        self.blocks.iter().position(|it| it.block_hash().to_string() == hash)
    }

    fn summaries(&self, from: usize) -> Value {
        let heights = (0..=from.min(self.height())).rev().take(10);
        let blocks = heights.map(|height| {
            let block = &self.blocks[height];
            let header = &block.header;
            json!({
                "id": self.hash(height), "height": height, "timestamp": header.time,
                "previousblockhash": (height > 0).then_some(header.prev_blockhash),
                "merkle_root": header.merkle_root, "mediantime": header.time, "difficulty": 1.0,
                "version": header.version.to_consensus(), "nonce": header.nonce,
                "bits": header.bits.to_consensus(), "tx_count": block.txdata.len(),
                "size": block.total_size(), "weight": block.weight().to_wu(),
            })
        });
        blocks.collect()
    }

    fn status(&self, txid: &Txid) -> Value {
        match self.txs.get(txid).and_then(|(_, place)| *place) {
            None => json!({ "confirmed": false }),
            Some((height, _)) => json!({
                "confirmed": true, "block_height": height, "block_hash": self.hash(height),
                "block_time": self.blocks[height].header.time,
            }),
        }
    }

    fn shown(&self, txid: &Txid) -> Option<Value> {
        let (tx, _) = self.txs.get(txid)?;
        let hexes = |parts: &bitcoin::Witness| -> Vec<String> { parts.iter().map(hex).collect() };
        let inputs = tx.input.iter().map(|input| {
            let prevout = self.output(&input.previous_output);
            let prevout =
                prevout.map(|(sat, script)| json!({ "value": sat, "scriptpubkey": script }));
            json!({
                "txid": input.previous_output.txid, "vout": input.previous_output.vout,
                "prevout": prevout, "scriptsig": input.script_sig, "witness": hexes(&input.witness),
                "sequence": input.sequence.0, "is_coinbase": tx.is_coinbase(),
            })
        });
        let inputs: Vec<Value> = inputs.collect();
        let outputs = tx.output.iter().map(|output| {
            json!({ "value": output.value.to_sat(), "scriptpubkey": output.script_pubkey })
        });
        Some(json!({
            "txid": txid, "version": tx.version.0, "locktime": tx.lock_time.to_consensus_u32(),
            "vin": inputs, "vout": outputs.collect::<Vec<_>>(), "size": tx.total_size(),
            "weight": tx.weight().to_wu(), "status": self.status(txid), "fee": self.fee(tx),
        }))
    }

    fn electrum(&self, method: &str, params: &Value) -> Option<Value> {
        let height = |at: usize| usize::try_from(params[at].as_u64()?).ok();
        let txid = || params[0].as_str()?.parse::<Txid>().ok();
        Some(match method {
            "server.version" => json!(["a test's", "1.4"]),
            "server.ping" => Value::Null,
            "server.features" => json!({
                "genesis_hash": self.hash(0), "server_version": "a test's", "protocol_min": "1.4",
                "protocol_max": "1.4", "hash_function": "sha256", "pruning": null, "hosts": {},
            }),
            "blockchain.estimatefee" | "blockchain.relayfee" => json!(0.00001),
            "mempool.get_fee_histogram" => json!([]),
            "blockchain.headers.subscribe" => {
                let header = serialize_hex(&self.blocks[self.height()].header);
                json!({ "height": self.height(), "hex": header })
            }
            "blockchain.block.header" => json!(serialize_hex(&self.blocks.get(height(0)?)?.header)),
            "blockchain.block.headers" => {
                let blocks = self.blocks.iter().skip(height(0)?).take(height(1)?);
                let headers: Vec<String> = blocks.map(|it| serialize_hex(&it.header)).collect();
                json!({ "count": headers.len(), "hex": headers.concat(), "max": 2016 })
            }
            "blockchain.scripthash.get_history" => {
                let mut hash = unhex(params[0].as_str()?)?;
                hash.reverse();
                let of = self.scripts.get(&hash).into_iter().flatten();
                let known = of.filter_map(|txid| {
                    let (tx, place) = self.txs.get(txid)?;
                    let height = place.map_or(0, |(height, _)| height);
                    Some(json!({ "tx_hash": txid, "height": height, "fee": self.fee(tx) }))
                });
                known.collect()
            }
            "blockchain.transaction.get" => {
                json!(serialize_hex::<Transaction>(&self.txs.get(&txid()?)?.0))
            }
            "blockchain.transaction.get_merkle" => {
                let (height, place) = self.txs.get(&txid()?)?.1?;
                json!({ "block_height": height, "pos": place, "merkle": self.branch(height, place) })
            }
            "blockchain.transaction.id_from_pos" => {
                let (height, place) = (height(0)?, height(1)?);
                let txid = self.blocks.get(height)?.txdata.get(place)?.compute_txid();
                json!({ "tx_hash": txid, "merkle": self.branch(height, place) })
            }
            _ => return None,
        })
    }
}

/// Answers line by line.
async fn electrum_caller(reader: Arc<Reader>, stream: TcpStream) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let question: Value = serde_json::from_str(&line).unwrap();
        let (method, params) = (question["method"].as_str().unwrap(), &question["params"]);
        let answer = if method == "blockchain.transaction.broadcast" {
            let sent = reader.client.call("sendrawtransaction", params.clone()).await;
            sent.map_err(|error| error.to_string())
        } else {
            let found = reader.now().await.electrum(method, params);
            found.ok_or_else(|| format!("{method} {params} is not known here"))
        };
        let mut told = match answer {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }),
            Err(message) => {
                let error = json!({ "code": 1, "message": message });
                json!({ "jsonrpc": "2.0", "id": question["id"], "error": error })
            }
        }
        .to_string();
        told.push('\n');
        if write.write_all(told.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = |place: usize| u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(digits).collect();
    bytes?.try_into().ok()
}
