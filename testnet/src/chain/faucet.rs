//! Pays from the coins that it mined for itself, over JSON-RPC, so that it works with any bitcoind:
//! these have no wallet, or none of ours.
//!
//! Not for: keeping anything. Its key follows from a seed, and it finds its coins in the blocks.

use std::collections::BTreeMap;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, BlockHash, CompressedPublicKey, Network, OutPoint, ScriptBuf, Sequence,
    Transaction, TxIn, TxOut, Txid, Witness, ecdsa,
};

use super::client::{Client, ClientError};
use super::rules::COINBASE_MATURITY;

/// What a byte pays.
const FEE_SAT_PER_VB: u64 = 2;
/// Bytes of a transaction beside inputs and outputs, at most.
const VB_BASE: u64 = 11;
/// Bytes of an input, at most.
const VB_INPUT: u64 = 69;
/// Bytes of an output, at most.
const VB_OUTPUT: u64 = 43;
/// The smallest change that is worth an output.
const CHANGE_MIN: Amount = Amount::from_sat(10_000);
/// The most that are paid at once.
pub const PAYEES_MAX: usize = 500;

/// Why nothing is paid.
#[derive(Debug, thiserror::Error)]
pub enum FaucetError {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ClientError),
    /// There are not enough coins.
    #[error("the faucet has {0} in mature coins, which is not enough; mine more blocks to it")]
    Dry(Amount),
    /// Too many at once.
    #[error("{0} are paid at once; at most {PAYEES_MAX} can be")]
    TooMany(usize),
}

/// A coin of the faucet.
#[derive(Clone, Copy, Debug)]
struct Own {
    value: Amount,
    height: u32,
    is_coinbase: bool,
}

/// A faucet.
#[derive(Debug)]
pub struct Faucet {
    client: Client,
    secp: Secp256k1<All>,
    key: SecretKey,
    public: CompressedPublicKey,
    script: ScriptBuf,
    /// The blocks it has looked through: how many, and the last.
    seen: Option<(u32, BlockHash)>,
    coins: BTreeMap<OutPoint, Own>,
}

impl Faucet {
    /// A faucet whose key follows from a seed.
    #[must_use]
    pub fn new(client: Client, seed: u64) -> Self {
        let secp = Secp256k1::new();
        let mut digest =
            sha256::Hash::hash(&[b"boltgrid faucet".as_slice(), &seed.to_le_bytes()].concat());
        // Not one hash in 2^127 is no key.
        let key = loop {
            match SecretKey::from_slice(digest.as_byte_array()) {
                Ok(key) => break key,
                Err(_) => digest = sha256::Hash::hash(digest.as_byte_array()),
            }
        };
        let public = CompressedPublicKey(key.public_key(&secp));
        let script = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
        Self { client, secp, key, public, script, seen: None, coins: BTreeMap::new() }
    }

    /// Where blocks are mined to for it.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::p2wpkh(&self.public, Network::Regtest)
    }

    /// The chain that it pays on.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Mines so many blocks to itself.
    ///
    /// # Errors
    ///
    /// [`FaucetError::Chain`].
    pub async fn mine(&self, count: u32) -> Result<(), FaucetError> {
        self.client.generate(count, &self.address()).await?;
        Ok(())
    }

    /// Mines until it can pay so much, and no further than it takes for the first coinbases to be
    /// mature.
    ///
    /// # Errors
    ///
    /// [`FaucetError`].
    pub async fn fill(&mut self, amount: Amount) -> Result<(), FaucetError> {
        const STEP: u32 = 10;
        for _ in 0..=COINBASE_MATURITY / STEP {
            if self.mature().await? >= amount {
                return Ok(());
            }
            self.mine(STEP).await?;
        }
        let mature = self.mature().await?;
        if mature >= amount { Ok(()) } else { Err(FaucetError::Dry(mature)) }
    }

    /// What it could pay now, fees included.
    ///
    /// # Errors
    ///
    /// [`FaucetError::Chain`].
    pub async fn mature(&mut self) -> Result<Amount, FaucetError> {
        let height = self.look().await?;
        let mature = self.coins.values().filter(|coin| coin.is_mature(height));
        Ok(mature.map(|coin| coin.value).sum())
    }

    /// Pays every address its amount in one transaction, and mines it in.
    ///
    /// # Errors
    ///
    /// [`FaucetError`].
    pub async fn pay(&mut self, payees: &[(Address, Amount)]) -> Result<Txid, FaucetError> {
        let txid = self.send(payees).await?;
        self.mine(1).await?;
        Ok(txid)
    }

    /// Pays every address its amount in one transaction, and leaves it to wait for a block.
    ///
    /// # Errors
    ///
    /// [`FaucetError`].
    pub async fn send(&mut self, payees: &[(Address, Amount)]) -> Result<Txid, FaucetError> {
        if payees.len() > PAYEES_MAX {
            return Err(FaucetError::TooMany(payees.len()));
        }
        let height = self.look().await?;
        let mut output: Vec<TxOut> = payees
            .iter()
            .map(|(address, value)| TxOut { value: *value, script_pubkey: address.script_pubkey() })
            .collect();
        let total: Amount = payees.iter().map(|(_, value)| *value).sum();
        let outputs = u64::try_from(output.len() + 1).unwrap_or(u64::MAX);
        let mut fee = Amount::from_sat(FEE_SAT_PER_VB * (VB_BASE + VB_OUTPUT * outputs));
        let (mut chosen, mut sum) = (Vec::new(), Amount::ZERO);
        for (outpoint, coin) in self.coins.iter().filter(|(_, coin)| coin.is_mature(height)) {
            if sum >= total + fee + CHANGE_MIN {
                break;
            }
            chosen.push((*outpoint, *coin));
            sum += coin.value;
            fee += Amount::from_sat(FEE_SAT_PER_VB * VB_INPUT);
        }
        let change = sum.checked_sub(total + fee).ok_or(FaucetError::Dry(sum))?;
        if change >= CHANGE_MIN {
            output.push(TxOut { value: change, script_pubkey: self.script.clone() });
        }
        let input = chosen.iter().map(|(previous_output, _)| TxIn {
            previous_output: *previous_output,
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            ..TxIn::default()
        });
        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: input.collect(),
            output,
        };
        self.sign(&mut tx, &chosen);
        let txid = self.client.send(&tx).await?;
        for (outpoint, _) in chosen {
            self.coins.remove(&outpoint);
        }
        Ok(txid)
    }

    fn sign(&self, tx: &mut Transaction, spent: &[(OutPoint, Own)]) {
        let kind = EcdsaSighashType::All;
        let witnesses: Vec<Witness> = {
            let mut cache = SighashCache::new(&*tx);
            let sign = |(input, (_, coin)): (usize, &(OutPoint, Own))| {
                let hash = cache.p2wpkh_signature_hash(input, &self.script, coin.value, kind);
                let hash = hash.expect("every coin has an input, and the script is of its kind");
                let message = Message::from_digest(hash.to_byte_array());
                let signature = self.secp.sign_ecdsa(&message, &self.key);
                let signature = ecdsa::Signature { signature, sighash_type: kind };
                Witness::p2wpkh(&signature, &self.public.0)
            };
            spent.iter().enumerate().map(sign).collect()
        };
        for (input, witness) in tx.input.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
    }

    /// Looks through the blocks that are new; through all, where the chain changed. Returns its
    /// height.
    async fn look(&mut self) -> Result<u32, FaucetError> {
        let height = self.client.height().await?;
        if let Some((seen, hash)) = self.seen {
            let same = seen <= height && self.client.hash_at(seen).await? == hash;
            if !same {
                self.seen = None;
                self.coins.clear();
            }
        }
        let from = self.seen.map_or(0, |(seen, _)| seen + 1);
        for height in from..=height {
            let hash = self.client.hash_at(height).await?;
            let block = self.client.block(&hash).await?;
            for tx in &block.txdata {
                self.note(tx, height);
            }
            self.seen = Some((height, hash));
        }
        Ok(height)
    }

    fn note(&mut self, tx: &Transaction, height: u32) {
        for input in &tx.input {
            self.coins.remove(&input.previous_output);
        }
        let (txid, is_coinbase) = (tx.compute_txid(), tx.is_coinbase());
        for (vout, output) in (0..).zip(&tx.output) {
            if output.script_pubkey == self.script {
                let coin = Own { value: output.value, height, is_coinbase };
                self.coins.insert(OutPoint { txid, vout }, coin);
            }
        }
    }
}

impl Own {
    /// Whether the block after this height may spend it.
    const fn is_mature(&self, height: u32) -> bool {
        !self.is_coinbase || self.height + COINBASE_MATURITY <= height + 1
    }
}
