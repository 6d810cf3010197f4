//! What every method does.
//!
//! Those that ldk-node, BDK and the testnet call, with the errors that bitcoind gives.
//! Not for: how they arrive.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, FeeRate, OutPoint};
use serde_json::{Value, json};

use super::{CODE_INTERNAL, CODE_NO_METHOD, CODE_NOT_FOUND, CODE_VALUE, Failure, Params, describe};
use crate::chain::coins::Coin;
use crate::chain::kept::{BLOCKS_AT_ONCE_MAX, State};
use crate::chain::policy::{RELAY_SAT_PER_KVB, REPLACE_SAT_PER_KVB};
use crate::chain::tree::Placed;

/// What a fee estimate says: there is no market for space on this chain.
const ESTIMATE: FeeRate = FeeRate::BROADCAST_MIN;
/// A version that speaks these methods so.
const VERSION: u32 = 310_000;
/// Bytes that all waiting transactions may take in bitcoind, for those who look.
const MEMPOOL_BYTES: u64 = 300_000_000;

type Answer = Result<Value, Failure>;

/// Carries out a call.
pub(super) fn call(state: &mut State, method: &str, params: &Params, now_s: u64) -> Answer {
    match method {
        "getblockchaininfo" => Ok(chain_info(state)),
        "getbestblockhash" => Ok(json!(state.chain.tree.tip().to_string())),
        "getblockcount" => Ok(json!(state.chain.tree.height())),
        "getblockhash" => block_hash(state, params),
        "getblockheader" => header(state, params),
        "getblock" => block(state, params),
        "getrawtransaction" => raw_transaction(state, params),
        "gettxout" => tx_out(state, params),
        "gettxoutsetinfo" => Ok(coins_info(state)),
        "getmempoolinfo" => Ok(mempool_info(state)),
        "getrawmempool" => raw_mempool(state, params),
        "getmempoolentry" => mempool_entry(state, params),
        "getnetworkinfo" => Ok(network_info()),
        "estimatesmartfee" => estimate(params),
        "sendrawtransaction" => {
            let txid = state.submit(params.transaction(0)?, now_s)?;
            Ok(json!(txid.to_string()))
        }
        "generatetoaddress" => generate(state, params, now_s),
        "invalidateblock" => invalidate(state, params),
        other => Err(Failure::new(CODE_NO_METHOD, format!("Method not found: {other}"))),
    }
}

/// So much for a thousand bytes, in bitcoin.
fn per_kvb(sat: u64) -> Value {
    describe::bitcoin(Amount::from_sat(sat))
}

fn not_found(message: &str) -> Failure {
    Failure::new(CODE_NOT_FOUND, message)
}

fn chain_info(state: &State) -> Value {
    let tree = &state.chain.tree;
    let (tip, height) = (tree.tip(), tree.height());
    let time = tree.get(&tip).map(|placed| placed.block.header.time);
    json!({
        "chain": "regtest",
        "blocks": height,
        "headers": height,
        "bestblockhash": tip.to_string(),
        "difficulty": describe::DIFFICULTY,
        "time": time,
        "mediantime": tree.time_past(height),
        "verificationprogress": 1,
        "initialblockdownload": false,
        "chainwork": describe::chainwork(height),
        "pruned": false,
        "warnings": [],
    })
}

fn block_hash(state: &State, params: &Params) -> Answer {
    let height = params.number(0, "height")?;
    let hash = state.chain.tree.hash_at(height);
    let hash = hash.ok_or_else(|| Failure::new(CODE_VALUE, "Block height out of range"))?;
    Ok(json!(hash.to_string()))
}

fn placed<'a>(state: &'a State, params: &Params, place: usize) -> Result<&'a Placed, Failure> {
    let hash = params.block_hash(place)?;
    state.chain.tree.get(&hash).ok_or_else(|| not_found("Block not found"))
}

fn header(state: &State, params: &Params) -> Answer {
    let placed = placed(state, params, 0)?;
    Ok(if params.flag(1, true)? {
        describe::header(&state.chain, placed)
    } else {
        json!(serialize_hex(&placed.block.header))
    })
}

fn block(state: &State, params: &Params) -> Answer {
    let placed = placed(state, params, 0)?;
    match params.verbosity(1, 1)? {
        0 => Ok(json!(serialize_hex(&placed.block))),
        1 => Ok(describe::block(&state.chain, placed)),
        _ => Err(Failure::new(CODE_VALUE, "verbosity 0 and 1 are served")),
    }
}

/// A transaction that waits, or one of the block that is named: there is no index of all.
fn raw_transaction(state: &State, params: &Params) -> Answer {
    let txid = params.txid(0)?;
    let is_verbose = params.verbosity(1, 0)? > 0;
    let tx = if params.has(2) {
        let block = &placed(state, params, 2)?.block;
        let found = block.txdata.iter().find(|tx| tx.compute_txid() == txid);
        found.ok_or_else(|| not_found("No such transaction found in the provided block."))?
    } else {
        let found = state.chain.pool.get(&txid).map(|entry| &entry.tx);
        found.ok_or_else(|| {
            let message = "No such mempool transaction. Provide a block hash to look into.";
            not_found(message)
        })?
    };
    let hex = serialize_hex(tx);
    Ok(if is_verbose { json!({ "txid": txid.to_string(), "hex": hex }) } else { json!(hex) })
}

fn tx_out(state: &State, params: &Params) -> Answer {
    let outpoint = OutPoint { txid: params.txid(0)?, vout: params.number(1, "n")? };
    let with_waiting = params.flag(2, true)?;
    let (chain, tip) = (&state.chain, state.chain.tree.height());
    if with_waiting && chain.pool.spender(&outpoint).is_some() {
        return Ok(Value::Null);
    }
    let waiting = chain.pool.output(&outpoint).filter(|_| with_waiting);
    let (output, confirmations, coinbase) = match (chain.coins.get(&outpoint), waiting) {
        (Some(Coin { output, height, is_coinbase }), _) => {
            (output, tip.saturating_sub(*height) + 1, *is_coinbase)
        }
        (None, Some(output)) => (output, 0, false),
        (None, None) => return Ok(Value::Null),
    };
    Ok(json!({
        "bestblock": chain.tree.tip().to_string(),
        "confirmations": confirmations,
        "value": describe::bitcoin(output.value),
        "scriptPubKey": { "hex": output.script_pubkey.to_hex_string() },
        "coinbase": coinbase,
    }))
}

/// All coins together, which is what the truth about balances is compared with.
fn coins_info(state: &State) -> Value {
    let chain = &state.chain;
    json!({
        "height": chain.tree.height(),
        "bestblock": chain.tree.tip().to_string(),
        "txouts": chain.coins.len(),
        "total_amount": describe::bitcoin(chain.coins.total()),
    })
}

fn mempool_info(state: &State) -> Value {
    let pool = &state.chain.pool;
    json!({
        "loaded": true,
        "size": pool.len(),
        "bytes": pool.vsize(),
        "total_fee": describe::bitcoin(Amount::from_sat(pool.fees_sat())),
        "maxmempool": MEMPOOL_BYTES,
        "mempoolminfee": per_kvb(RELAY_SAT_PER_KVB),
        "minrelaytxfee": per_kvb(RELAY_SAT_PER_KVB),
        "incrementalrelayfee": per_kvb(REPLACE_SAT_PER_KVB),
        "unbroadcastcount": 0,
        "fullrbf": true,
    })
}

fn raw_mempool(state: &State, params: &Params) -> Answer {
    let pool = &state.chain.pool;
    if params.flag(0, false)? {
        let described = |entry| (describe::name(entry), describe::entry(pool, entry));
        return Ok(Value::Object(pool.in_order().map(described).collect()));
    }
    Ok(pool.in_order().map(describe::name).collect())
}

fn mempool_entry(state: &State, params: &Params) -> Answer {
    let pool = &state.chain.pool;
    let entry = pool.get(&params.txid(0)?);
    let entry = entry.ok_or_else(|| not_found("Transaction not in mempool"))?;
    Ok(describe::entry(pool, entry))
}

fn network_info() -> Value {
    json!({
        "version": VERSION,
        "subversion": concat!("/boltgrid-testnet:", env!("CARGO_PKG_VERSION"), "/"),
        "protocolversion": 70_016,
        "localrelay": true,
        "networkactive": false,
        "connections": 0,
        "networks": [],
        "relayfee": per_kvb(RELAY_SAT_PER_KVB),
        "incrementalfee": per_kvb(REPLACE_SAT_PER_KVB),
        "localaddresses": [],
        "warnings": [],
    })
}

fn estimate(params: &Params) -> Answer {
    let blocks = params.number(0, "conf_target")?;
    let per_vb = ESTIMATE.to_sat_per_vb_ceil();
    Ok(json!({ "feerate": per_kvb(per_vb * 1_000), "blocks": blocks }))
}

fn generate(state: &mut State, params: &Params, now_s: u64) -> Answer {
    let count = params.number(0, "nblocks")?;
    if count > BLOCKS_AT_ONCE_MAX {
        let message = format!("at most {BLOCKS_AT_ONCE_MAX} blocks are made at once");
        return Err(Failure::new(CODE_VALUE, message));
    }
    let script = params.script(1)?;
    let hashes = state.mine(count, &script, now_s);
    let hashes = hashes.map_err(|error| Failure::new(CODE_INTERNAL, error.to_string()))?;
    Ok(hashes.iter().map(ToString::to_string).collect())
}

fn invalidate(state: &mut State, params: &Params) -> Answer {
    let hash = params.block_hash(0)?;
    let depth = state.chain.depth(&hash).ok_or_else(|| not_found("Block not found"))?;
    if depth > BLOCKS_AT_ONCE_MAX || depth > state.chain.tree.height() {
        let message = format!("at most {BLOCKS_AT_ONCE_MAX} blocks, and not the first one");
        return Err(Failure::new(CODE_VALUE, message));
    }
    let done = state.disconnect(depth);
    done.map_err(|error| Failure::new(CODE_INTERNAL, error.to_string()))?;
    Ok(Value::Null)
}
