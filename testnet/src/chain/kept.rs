//! The chain as all who ask share it, with what it did written down first or not at all.
//! Not for: who asks.

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use bitcoin::{Block, BlockHash, Script, Transaction, Txid};

use super::log::{Log, LogError, Record};
use super::rejection::Rejection;
use super::state::Chain;

/// The most blocks that are made or taken away at once.
pub(super) const BLOCKS_AT_ONCE_MAX: u32 = 2_000;

/// A chain that is shared, and kept in a folder where there is one.
#[derive(Debug)]
pub(super) struct Kept(Mutex<State>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) chain: Chain,
    log: Option<Log>,
}

impl Kept {
    /// The chain of a folder, begun where there is none; without a folder, one in memory.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self, LogError> {
        let mut chain = Chain::new();
        let log = folder.map(|folder| Log::open(folder, &mut chain)).transpose()?;
        Ok(Self(Mutex::new(State { chain, log })))
    }

    /// The chain, for as long as the answer lives.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("a panic in the chain ends the testnet")
    }
}

/// Why something did not happen.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The transaction breaks a rule.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The disk does not take it.
    #[error("the chain cannot be written: {0}")]
    Disk(#[from] io::Error),
}

impl State {
    /// Lets a transaction wait for a block.
    pub(super) fn submit(&mut self, tx: Transaction, now_s: u64) -> Result<Txid, Refusal> {
        let is_new = self.chain.pool.get(&tx.compute_txid()).is_none();
        let txid = self.chain.submit(tx.clone(), now_s)?;
        if is_new {
            self.write(&Record::Transaction { seen_s: now_s, tx })?;
        }
        Ok(txid)
    }

    /// Makes so many blocks.
    pub(super) fn mine(
        &mut self,
        count: u32,
        script: &Script,
        now_s: u64,
    ) -> Result<Vec<BlockHash>, io::Error> {
        let mut hashes = Vec::new();
        for _ in 0..count.min(BLOCKS_AT_ONCE_MAX) {
            let block: Block = self.chain.mine(script, now_s);
            hashes.push(block.block_hash());
            self.write(&Record::Block(block))?;
        }
        Ok(hashes)
    }

    /// Takes so many blocks off the tip.
    pub(super) fn disconnect(&mut self, count: u32) -> Result<(), io::Error> {
        let taken = self.chain.disconnect(count);
        if taken == 0 { Ok(()) } else { self.write(&Record::Disconnect(taken)) }
    }

    fn write(&mut self, record: &Record) -> Result<(), io::Error> {
        self.log.as_mut().map_or(Ok(()), |log| log.append(record))
    }
}
