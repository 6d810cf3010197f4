//! Blocks and waiting transactions in the words of bitcoind's JSON.
//! Not for: finding them.

use bitcoin::{Amount, Block};
use serde_json::{Number, Value, json};

use crate::chain::mempool::{Entry, Mempool};
use crate::chain::state::Chain;
use crate::chain::tree::Placed;

/// The difficulty of every block of regtest.
pub(super) const DIFFICULTY: f64 = 4.656_542_373_906_925e-10;
/// The work of every block of regtest.
const WORK: u64 = 2;

/// An amount in bitcoin, which is how bitcoind tells them.
pub(super) fn bitcoin(amount: Amount) -> Value {
    let text = amount.to_string_in(bitcoin::Denomination::Bitcoin);
    let number = text.parse::<f64>().ok().and_then(Number::from_f64);
    number.map_or(Value::Null, Value::Number)
}

/// The work of a chain of this height.
pub(super) fn chainwork(height: u32) -> String {
    format!("{:064x}", (u64::from(height) + 1) * WORK)
}

/// A header and what is known of its block.
pub(super) fn header(chain: &Chain, placed: &Placed) -> Value {
    let Placed { block, height } = placed;
    let (header, hash) = (&block.header, block.block_hash());
    let is_active = chain.tree.is_active(placed);
    let depth = i64::from(chain.tree.height()) - i64::from(*height) + 1;
    let mut value = json!({
        "hash": hash.to_string(),
        "confirmations": if is_active { depth } else { -1 },
        "height": height,
        "version": header.version.to_consensus(),
        "versionHex": format!("{:08x}", header.version.to_consensus()),
        "merkleroot": header.merkle_root.to_string(),
        "time": header.time,
        "mediantime": chain.tree.time_past_of(&hash),
        "nonce": header.nonce,
        "bits": format!("{:08x}", header.bits.to_consensus()),
        "difficulty": DIFFICULTY,
        "chainwork": chainwork(*height),
        "nTx": block.txdata.len(),
    });
    if *height > 0 {
        value["previousblockhash"] = json!(header.prev_blockhash.to_string());
    }
    let after = if is_active { chain.tree.hash_at(height + 1) } else { None };
    if let Some(after) = after {
        value["nextblockhash"] = json!(after.to_string());
    }
    value
}

/// A block with the names of its transactions.
pub(super) fn block(chain: &Chain, placed: &Placed) -> Value {
    let mut value = header(chain, placed);
    let block: &Block = &placed.block;
    let names = block.txdata.iter().map(|tx| tx.compute_txid().to_string());
    value["tx"] = names.collect();
    value["size"] = json!(block.total_size());
    value["weight"] = json!(block.weight().to_wu());
    value
}

/// A transaction that waits.
pub(super) fn entry(pool: &Mempool, entry: &Entry) -> Value {
    let ancestors = pool.ancestors(&entry.tx);
    let descendants = pool.with_descendants([entry.txid].into());
    let names = |txids: std::collections::BTreeSet<bitcoin::Txid>| -> Value {
        txids.iter().map(ToString::to_string).collect()
    };
    let fee = bitcoin(Amount::from_sat(entry.fee_sat));
    json!({
        "vsize": entry.vsize,
        "weight": entry.tx.weight().to_wu(),
        "time": entry.seen_s,
        "height": entry.height,
        "wtxid": entry.tx.compute_wtxid().to_string(),
        "ancestorcount": ancestors.len() + 1,
        "descendantcount": descendants.len(),
        "fees": { "base": fee, "modified": fee },
        "depends": names(pool.parents(&entry.tx)),
        "spentby": names(pool.children(entry)),
        "bip125-replaceable": true,
        "unbroadcast": false,
    })
}

/// The name of a transaction that waits.
pub(super) fn name(entry: &Entry) -> String {
    entry.txid.to_string()
}
