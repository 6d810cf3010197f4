//! One script of calls, valid and invalid, asked of both chains.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, TapTweak};
use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Txid, Witness,
    taproot,
};
use boltgrid_testnet::chain::{Client, ClientError};
use serde_json::{Value, json};

use super::world::{Ground, address, anyone, choices, spend, turn};

const COINBASE: Amount = Amount::from_int_btc(50);
const FEE: Amount = Amount::from_sat(2_000);
const BLOCKS: u32 = 110;

/// What every call came to: its name, and bitcoind's number where it was refused.
type Verdicts = Vec<(&'static str, Result<(), i64>)>;

/// A chain under test.
struct Trial {
    client: Client,
    verdicts: Verdicts,
}

impl Trial {
    fn note<T>(&mut self, name: &'static str, result: Result<T, ClientError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.verdicts.push((name, Ok(())));
                Some(value)
            }
            Err(error) => {
                assert!(error.code().is_some(), "{name}: {error}");
                self.verdicts.push((name, Err(error.code().unwrap())));
                None
            }
        }
    }

    async fn send(&mut self, name: &'static str, tx: &Transaction) {
        let sent = self.client.send(tx).await;
        self.note(name, sent);
    }

    async fn call(&mut self, name: &'static str, method: &'static str, params: Value) -> Value {
        let answer = self.client.call(method, params).await;
        self.note(name, answer).unwrap_or(Value::Null)
    }

    async fn mine(&self, count: u32) {
        self.client.generate(count, &address(&anyone())).await.unwrap();
    }

    async fn coinbase(&self, height: u32) -> OutPoint {
        let hash = self.client.hash_at(height).await.unwrap();
        let block = self.client.block(&hash).await.unwrap();
        OutPoint::new(block.txdata[0].compute_txid(), 0)
    }

    async fn waiting(&self) -> Vec<String> {
        let waiting = self.client.call("getrawmempool", json!([])).await.unwrap();
        waiting.as_array().unwrap().iter().map(|txid| txid.as_str().unwrap().to_owned()).collect()
    }
}

/// Spends a coinbase of anyone to anyone.
fn simple(from: OutPoint, fee: Amount) -> Transaction {
    spend(from, &anyone(), (COINBASE, fee), anyone().to_p2wsh())
}

fn after(tx: &Transaction) -> (OutPoint, Amount) {
    (OutPoint::new(tx.compute_txid(), 0), tx.output[0].value)
}

async fn spends(trial: &mut Trial) {
    let first = trial.coinbase(1).await;
    let young = trial.coinbase(BLOCKS - 98).await;
    trial.send("an immature coinbase", &simple(young, FEE)).await;
    trial.send("a valid spend", &simple(first, FEE)).await;
    trial.send("the same again", &simple(first, FEE)).await;
    trial.send("a double spend that pays less", &simple(first, Amount::from_sat(1_000))).await;
    trial.send("a replacement that pays more", &simple(first, FEE * 10)).await;
    let nothing = OutPoint::new(Txid::from_byte_array([1; 32]), 0);
    trial.send("a spend of nothing", &simple(nothing, FEE)).await;

    let second = trial.coinbase(2).await;
    let mut more = simple(second, FEE);
    more.output[0].value = COINBASE + Amount::ONE_SAT;
    trial.send("more out than in", &more).await;
    trial.send("no fee", &simple(second, Amount::ZERO)).await;
    trial.send("an absurd fee", &simple(second, Amount::from_int_btc(1))).await;
    let mut dust = simple(second, FEE);
    dust.output.push(TxOut { value: Amount::from_sat(100), ..dust.output[0].clone() });
    dust.output[0].value -= Amount::from_sat(100);
    trial.send("dust", &dust).await;
    let mut wrong = simple(second, FEE);
    wrong.input[0].witness = Witness::from_slice(&[[0x52]]);
    trial.send("a witness of another script", &wrong).await;
    let mut none = simple(second, FEE);
    none.input[0].witness = Witness::new();
    trial.send("no witness", &none).await;
    let mut strange = simple(second, FEE);
    strange.output[0].script_pubkey = anyone();
    trial.send("an unknown script", &strange).await;
    let mut twice = simple(second, FEE);
    twice.input.push(twice.input[0].clone());
    trial.send("one input twice", &twice).await;

    trial.mine(1).await;
    trial.send("what is in a block", &simple(first, FEE * 10)).await;
    trial.send("a spend of what is spent", &simple(first, FEE * 20)).await;
    assert!(trial.waiting().await.is_empty());
}

async fn lock_times(trial: &mut Trial) {
    let coin = trial.coinbase(3).await;
    let height = trial.client.height().await.unwrap();
    let locked = |until: u32| {
        let mut tx = simple(coin, FEE);
        tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
        tx.lock_time = LockTime::from_consensus(until);
        tx
    };
    trial.send("a lock time of the block after next", &locked(height + 1)).await;
    trial.send("a lock time far off in seconds", &locked(4_000_000_000)).await;
    trial.send("a lock time of the next block", &locked(height)).await;
    let (from, value) = after(&locked(height));
    let relative = |sequence: u32| {
        let mut tx = spend(from, &anyone(), (value, FEE), anyone().to_p2wsh());
        tx.input[0].sequence = Sequence::from_consensus(sequence);
        tx
    };
    trial.send("one block after a coin that waits", &relative(1)).await;
    trial.mine(1).await;
    trial.send("two blocks after a coin of the tip", &relative(2)).await;
    trial.send("512 seconds after a coin of the tip", &relative(1 << 22 | 1)).await;
    trial.send("one block after a coin of the tip", &relative(1)).await;
    trial.mine(1).await;

    // A script that wants two blocks.
    let script = ScriptBuf::from_bytes(vec![0x52, 0xb2, 0x75, 0x51]);
    let to = spend(trial.coinbase(4).await, &anyone(), (COINBASE, FEE), script.to_p2wsh());
    trial.send("to a script with a relative lock", &to).await;
    trial.mine(1).await;
    let (from, value) = after(&to);
    let out = |sequence: u32| {
        let mut tx = spend(from, &script, (value, FEE), anyone().to_p2wsh());
        tx.input[0].sequence = Sequence::from_consensus(sequence);
        tx
    };
    trial.send("a sequence below what the script wants", &out(1)).await;
    trial.send("a sequence that has not come", &out(2)).await;
    trial.mine(1).await;
    trial.send("a sequence that has come", &out(2)).await;
    trial.mine(1).await;
}

async fn taproot(trial: &mut Trial) {
    let secp = Secp256k1::new();
    let key = SecretKey::from_slice(&[5; 32]).unwrap();
    let pair = Keypair::from_secret_key(&secp, &key);
    let own = Address::p2tr(&secp, pair.x_only_public_key().0, None, Network::Regtest);
    let to = spend(trial.coinbase(5).await, &anyone(), (COINBASE, FEE), own.script_pubkey());
    trial.send("to a taproot key", &to).await;
    let (from, value) = after(&to);
    let mut tx = spend(from, &anyone(), (value, FEE), anyone().to_p2wsh());
    let spent = [to.output[0].clone()];
    let kind = TapSighashType::Default;
    let hash = SighashCache::new(&tx)
        .taproot_key_spend_signature_hash(0, &Prevouts::All(&spent), kind)
        .unwrap();
    let message = Message::from_digest(hash.to_byte_array());
    let sign = |pair: &Keypair| {
        let signature = secp.sign_schnorr_no_aux_rand(&message, pair);
        Witness::p2tr_key_spend(&taproot::Signature { signature, sighash_type: kind })
    };
    tx.input[0].witness = sign(&pair);
    trial.send("a signature of the key without its tweak", &tx).await;
    tx.input[0].witness = sign(&pair.tap_tweak(&secp, None).to_keypair());
    trial.send("a signature of the key", &tx).await;
    trial.mine(1).await;
}

async fn questions(trial: &mut Trial) {
    let unknown = "11".repeat(32);
    for (name, method, params) in [
        ("no such method", "getnothing", json!([])),
        ("a hash beyond the tip", "getblockhash", json!([9_999])),
        ("a height that is text", "getblockhash", json!(["1"])),
        ("no height", "getblockhash", json!([])),
        ("a block that is unknown", "getblock", json!([unknown, 0])),
        ("a header that is unknown", "getblockheader", json!([unknown])),
        ("a hash that is none", "getblockheader", json!(["zz"])),
        ("an entry that is unknown", "getmempoolentry", json!([unknown])),
        ("a transaction that is unknown", "getrawtransaction", json!([unknown])),
        ("a coin that is unknown", "gettxout", json!([unknown, 0])),
        ("what is no transaction", "sendrawtransaction", json!(["00"])),
        ("blocks for nobody", "generatetoaddress", json!([1, "nobody"])),
        ("an unknown block to be undone", "invalidateblock", json!([unknown])),
        ("the mempool", "getmempoolinfo", json!([])),
        ("the network", "getnetworkinfo", json!([])),
        ("the fee", "estimatesmartfee", json!([6, "ECONOMICAL"])),
    ] {
        trial.call(name, method, params).await;
    }
    let info = trial.call("the chain", "getblockchaininfo", json!([])).await;
    let best = info["bestblockhash"].clone();
    let header = trial.call("the tip", "getblockheader", json!([best])).await;
    assert_eq!(header["height"], info["blocks"]);
    assert_eq!(header["chainwork"], info["chainwork"]);
    for field in ["version", "previousblockhash", "merkleroot", "time", "bits", "nonce"] {
        assert!(!header[field].is_null(), "{field}");
    }
}

async fn reorganisation(trial: &mut Trial) {
    let tx = simple(trial.coinbase(6).await, FEE);
    let txid = tx.compute_txid().to_string();
    trial.send("a spend that is undone", &tx).await;
    let entry = trial.call("its entry", "getmempoolentry", json!([txid])).await;
    assert!(entry["time"].is_u64() && entry["height"].is_u64(), "{entry}");
    let raw = trial.call("its bytes", "getrawtransaction", json!([txid])).await;
    assert_eq!(raw, json!(serialize_hex(&tx)));
    let height = trial.client.height().await.unwrap();
    trial.mine(2).await;
    assert!(trial.waiting().await.is_empty());
    let coin = trial.call("a coin in a block", "gettxout", json!([txid, 0, false])).await;
    assert_eq!(coin["confirmations"], json!(2));
    let undone = trial.client.hash_at(height + 1).await.unwrap().to_string();
    trial.call("two blocks are undone", "invalidateblock", json!([undone])).await;
    assert_eq!(trial.client.height().await.unwrap(), height);
    assert_eq!(trial.waiting().await, std::slice::from_ref(&txid));
    let coin = trial.call("a coin that waits", "gettxout", json!([txid, 0, false])).await;
    assert_eq!(coin, Value::Null);
    let stale = trial.call("a header that was undone", "getblockheader", json!([undone])).await;
    assert_eq!(stale["confirmations"], json!(-1));
    // To somebody else: bitcoind would make the undone block again where nothing differs.
    let other = ScriptBuf::from_bytes(vec![0x52]);
    trial.client.generate(3, &address(&other)).await.unwrap();
    assert_eq!(trial.client.height().await.unwrap(), height + 3);
    assert!(trial.waiting().await.is_empty());
    trial.send("it is in a block again", &tx).await;
}

/// What our own chain must say, so that the test means something where there is no bitcoind.
const EXPECTED: [(&str, Result<(), i64>); 21] = [
    ("an immature coinbase", Err(-26)),
    ("a valid spend", Ok(())),
    ("the same again", Ok(())),
    ("a double spend that pays less", Err(-26)),
    ("a replacement that pays more", Ok(())),
    ("a spend of nothing", Err(-25)),
    ("more out than in", Err(-26)),
    ("a witness of another script", Err(-26)),
    ("what is in a block", Err(-27)),
    ("a spend of what is spent", Err(-25)),
    ("a lock time of the block after next", Err(-26)),
    ("a lock time of the next block", Ok(())),
    ("one block after a coin that waits", Err(-26)),
    ("one block after a coin of the tip", Ok(())),
    ("a sequence below what the script wants", Err(-26)),
    ("a sequence that has not come", Err(-26)),
    ("a sequence that has come", Ok(())),
    ("a signature of the key without its tweak", Err(-26)),
    ("a signature of the key", Ok(())),
    ("what is no transaction", Err(-22)),
    ("it is in a block again", Err(-27)),
];

async fn verdicts(ground: &Ground) -> Verdicts {
    let mut trial = Trial { client: ground.source.client(), verdicts: Vec::new() };
    trial.mine(BLOCKS).await;
    spends(&mut trial).await;
    lock_times(&mut trial).await;
    taproot(&mut trial).await;
    questions(&mut trial).await;
    reorganisation(&mut trial).await;
    trial.verdicts
}

#[test]
fn both_chains_say_the_same_of_everything() {
    let _turn = turn();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut all = Vec::new();
    for (name, choice) in choices() {
        let verdicts = runtime.block_on(async {
            let ground = Ground::start(&choice).await;
            let verdicts = verdicts(&ground).await;
            ground.source.stop().await.unwrap();
            verdicts
        });
        for expected in EXPECTED {
            let found = verdicts.iter().find(|(call, _)| *call == expected.0);
            assert_eq!(found, Some(&expected), "on {name}");
        }
        all.push(verdicts);
    }
    for (ours, theirs) in all[0].iter().zip(all.last().unwrap()) {
        assert_eq!(ours, theirs, "the embedded chain first, then bitcoind");
    }
}
