//! A chain by transactions and scripts, as servers of wallets know it: read from a bitcoind anew whenever it
//! has changed. For chains of some hundred blocks.
//! Not for: how it is asked for ([`super::servers`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::{Hash as _, sha256, sha256d};
use bitcoin::{Block, OutPoint, ScriptBuf, Transaction, Txid};
use boltgrid_testnet::chain::Client;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// The chain and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) blocks: Vec<Block>,
    /// Each with the height of its block and its place there, if it is in one.
    pub(crate) txs: BTreeMap<Txid, (Transaction, Option<(usize, usize)>)>,
    /// What spends an output, and by which input.
    pub(crate) spent: BTreeMap<OutPoint, (Txid, usize)>,
    /// By the hash of a script, what pays to it or spends from it.
    pub(crate) scripts: BTreeMap<[u8; 32], Vec<Txid>>,
}

/// What is asked by all servers.
pub(crate) struct Reader {
    pub(crate) client: Client,
    seen: Mutex<(Value, Arc<Index>)>,
}

impl Reader {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, seen: Mutex::default() }
    }

    /// The chain as it is now.
    pub(crate) async fn now(&self) -> Arc<Index> {
        let tip = self.client.call("getbestblockhash", json!([])).await.unwrap();
        let waiting = self.client.call("getrawmempool", json!([])).await.unwrap();
        let mark = json!([tip, waiting]);
        let mut seen = self.seen.lock().await;
        if seen.0 != mark {
            *seen = (mark, Arc::new(self.read(&waiting).await));
        }
        Arc::clone(&seen.1)
    }

    async fn read(&self, waiting: &Value) -> Index {
        let mut index = Index::default();
        for height in 0..=self.client.height().await.unwrap() {
            let hash = self.client.hash_at(height).await.unwrap();
            index.blocks.push(self.client.block(&hash).await.unwrap());
        }
        let mut txs = Vec::new();
        for (height, block) in index.blocks.iter().enumerate() {
            for (place, tx) in block.txdata.iter().enumerate() {
                txs.push((tx.clone(), Some((height, place))));
            }
        }
        for txid in waiting.as_array().unwrap() {
            // It may be in a block by now; then it is found there the next time.
            let raw = self.client.call("getrawtransaction", json!([txid])).await;
            let raw = raw.ok().and_then(|raw| deserialize_hex(raw.as_str()?).ok());
            txs.extend(raw.map(|tx| (tx, None)));
        }
        for (tx, place) in txs {
            index.add(tx, place);
        }
        index
    }
}

impl Index {
    fn add(&mut self, tx: Transaction, place: Option<(usize, usize)>) {
        let txid = tx.compute_txid();
        let mut scripts: Vec<ScriptBuf> =
            tx.output.iter().map(|it| it.script_pubkey.clone()).collect();
        for (place, input) in tx.input.iter().enumerate() {
            self.spent.insert(input.previous_output, (txid, place));
            scripts.extend(self.output(&input.previous_output).map(|it| it.1));
        }
        for script in scripts {
            let hash = sha256::Hash::hash(script.as_bytes()).to_byte_array();
            let of = self.scripts.entry(hash).or_default();
            if !of.contains(&txid) {
                of.push(txid);
            }
        }
        self.txs.insert(txid, (tx, place));
    }

    /// An output's satoshis and script.
    pub(crate) fn output(&self, at: &OutPoint) -> Option<(u64, ScriptBuf)> {
        let (tx, _) = self.txs.get(&at.txid)?;
        let output = tx.output.get(usize::try_from(at.vout).unwrap())?;
        Some((output.value.to_sat(), output.script_pubkey.clone()))
    }

    pub(crate) fn height(&self) -> usize {
        self.blocks.len() - 1
    }

    /// What a transaction pays to miners; a coinbase nothing.
    pub(crate) fn fee(&self, tx: &Transaction) -> u64 {
        let inputs = tx.input.iter().filter_map(|it| self.output(&it.previous_output));
        let given: u64 = inputs.map(|it| it.0).sum();
        given.saturating_sub(tx.output.iter().map(|it| it.value.to_sat()).sum())
    }

    /// The hashes by which a block's root follows from the transaction at a place.
    pub(crate) fn branch(&self, height: usize, mut place: usize) -> Vec<String> {
        let txs = self.blocks[height].txdata.iter();
        let mut row: Vec<[u8; 32]> = txs.map(|it| it.compute_txid().to_byte_array()).collect();
        let mut branch = Vec::new();
        while row.len() > 1 {
            if row.len() % 2 == 1 {
                row.push(row[row.len() - 1]);
            }
            branch.push(sha256d::Hash::from_byte_array(row[place ^ 1]).to_string());
            let joined = row.chunks(2).map(|two| sha256d::Hash::hash(&two.concat()));
            row = joined.map(sha256d::Hash::to_byte_array).collect();
            place /= 2;
        }
        branch
    }
}
