//! A chain of blocks, the coins on top of it, and what waits for the next block.
//!
//! No clock, socket or disk: the time is an argument, and whoever keeps it writes down what it did
//! (see [`super::kept`]). Not for: what may wait, beyond the rules of blocks.

use bitcoin::{Amount, Block, BlockHash, OutPoint, Script, Target, Transaction, Txid};

use super::coins::{Coin, Coins};
use super::mempool::{Entry, Mempool};
use super::policy;
use super::rejection::{BlockRejection, Rejection};
use super::rules::{self, BLOCK_WEIGHT_MAX, Place};
use super::scripts;
use super::template::{self, SUBSIDY, Template};
use super::tree::Tree;

/// Left free in a block for header and coinbase.
const WEIGHT_RESERVED: u64 = 4_000;

/// A chain.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) tree: Tree,
    pub(super) coins: Coins,
    pub(super) pool: Mempool,
    /// What each block after the first one spent, in order.
    spent: Vec<Vec<(OutPoint, Coin)>>,
}

impl Chain {
    /// The first block alone, whose coins nobody can spend.
    pub(super) fn new() -> Self {
        Self {
            tree: Tree::new(),
            coins: Coins::default(),
            pool: Mempool::default(),
            spent: Vec::new(),
        }
    }

    /// The place after the tip.
    fn next(&self) -> Place {
        let height = self.tree.height();
        Place { height: height + 1, time_past: self.tree.time_past(height) }
    }

    /// Lets a transaction wait for a block. Those that it replaces are gone then.
    ///
    /// One that waits already is let in again, as bitcoind does.
    pub(super) fn submit(&mut self, tx: Transaction, now_s: u64) -> Result<Txid, Rejection> {
        let txid = tx.compute_txid();
        if self.pool.get(&txid).is_some() {
            return Ok(txid);
        }
        let outputs = (0..).zip(&tx.output).map(|(vout, _)| OutPoint { txid, vout });
        if outputs.into_iter().any(|outpoint| self.coins.get(&outpoint).is_some()) {
            return Err(Rejection::InChain);
        }
        self.admit(tx, now_s, true)?;
        Ok(txid)
    }

    /// Checks a transaction and lets it wait; without the limits of size and fee where it is only
    /// back from a block.
    fn admit(&mut self, tx: Transaction, seen_s: u64, limits: bool) -> Result<(), Rejection> {
        let place = self.next();
        rules::check_alone(&tx)?;
        policy::check_form(&tx)?;
        rules::check_lock_time(&tx, place)?;
        let vsize = u64::try_from(tx.vsize()).unwrap_or(u64::MAX);
        let (fee, replaced) = {
            let found: Option<Vec<Coin>> =
                tx.input.iter().map(|input| self.coin(&input.previous_output)).collect();
            let found = found.ok_or(Rejection::MissingInputs)?;
            let spent: Vec<&Coin> = found.iter().collect();
            rules::check_sequences(&tx, &spent, place, |height| self.time_past(height))?;
            let fee = rules::fee(&tx, &spent, place)?;
            if limits {
                policy::check_fee(fee, vsize)?;
                policy::check_space(&self.pool, &tx)?;
            }
            let replaced = policy::replaced(&self.pool, &tx, fee, vsize)?;
            let outputs: Vec<_> = spent.iter().map(|coin| &coin.output).collect();
            scripts::verify(&tx, &outputs)?;
            (fee, replaced)
        };
        for txid in replaced {
            self.pool.remove(&txid);
        }
        let (txid, fee_sat, height) = (tx.compute_txid(), fee.to_sat(), self.tree.height());
        self.pool.insert(Entry { tx, txid, fee_sat, vsize, seen_s, height });
        Ok(())
    }

    /// An output that exists, be it spent by one that waits or not.
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        let waiting = self.pool.output(outpoint).map(|output| Coin {
            output: output.clone(),
            height: self.tree.height() + 1,
            is_coinbase: false,
        });
        waiting.or_else(|| self.coins.get(outpoint).cloned())
    }

    fn time_past(&self, height: u32) -> u32 {
        self.tree.time_past(height)
    }

    /// Makes the next block of what waits, and pays subsidy and fees to `script`.
    pub(super) fn mine(&mut self, script: &Script, now_s: u64) -> Block {
        let place = self.next();
        let mut weight = WEIGHT_RESERVED;
        let mut fees = Amount::ZERO;
        let mut transactions: Vec<Transaction> = Vec::new();
        for entry in self.pool.in_order() {
            weight += entry.tx.weight().to_wu();
            // What hangs on one that stays must stay as well.
            if weight > BLOCK_WEIGHT_MAX {
                break;
            }
            fees += Amount::from_sat(entry.fee_sat);
            transactions.push(entry.tx.clone());
        }
        let now_s = u32::try_from(now_s).unwrap_or(u32::MAX);
        let template = Template {
            previous: self.tree.tip(),
            height: place.height,
            time_s: now_s.max(place.time_past.saturating_add(1)),
            extra: self.tree.made(),
            fees,
            transactions,
        };
        let block = template.build(script);
        let taken = self.connect(block.clone());
        taken.expect("only what fits onto the tip waits for a block");
        block
    }

    /// Puts a block on the tip. What waits and is in it, or conflicts with it, waits no more.
    pub(super) fn connect(&mut self, block: Block) -> Result<(), BlockRejection> {
        let place = self.next();
        self.check_header(&block, place)?;
        let mut spent = Vec::new();
        self.apply(&block, place, &mut spent)?;
        self.spent.push(spent);
        for tx in &block.txdata {
            self.pool.remove(&tx.compute_txid());
            let spenders = tx.input.iter().filter_map(|it| self.pool.spender(&it.previous_output));
            for txid in self.pool.with_descendants(spenders.collect()) {
                self.pool.remove(&txid);
            }
        }
        self.tree.push(block);
        Ok(())
    }

    fn check_header(&self, block: &Block, place: Place) -> Result<(), BlockRejection> {
        if block.header.prev_blockhash != self.tree.tip() {
            return Err(BlockRejection::NotOnTip);
        }
        let target = Target::from_compact(template::bits());
        block.header.validate_pow(target).map_err(|_| BlockRejection::Work)?;
        if block.header.time <= place.time_past {
            return Err(BlockRejection::TooOld);
        }
        if block.weight().to_wu() > BLOCK_WEIGHT_MAX {
            return Err(BlockRejection::TooHeavy);
        }
        if !block.check_merkle_root() {
            return Err(BlockRejection::MerkleRoot);
        }
        if !block.check_witness_commitment() {
            return Err(BlockRejection::WitnessRoot);
        }
        let others = block.txdata.iter().skip(1);
        let one = block.coinbase().is_some_and(Transaction::is_coinbase)
            && !others.into_iter().any(Transaction::is_coinbase)
            && names_height(block, place.height);
        if one { Ok(()) } else { Err(BlockRejection::Coinbase) }
    }

    /// Checks and applies the transactions of a block, and undoes all of them where one is wrong.
    fn apply(
        &mut self,
        block: &Block,
        place: Place,
        spent: &mut Vec<(OutPoint, Coin)>,
    ) -> Result<(), BlockRejection> {
        let mut fees = Amount::ZERO;
        for (done, tx) in block.txdata.iter().enumerate() {
            match self.apply_one(tx, place, spent) {
                Ok(fee) => fees += fee,
                Err(rejection) => {
                    self.undo(block.txdata.iter().take(done), std::mem::take(spent));
                    return Err(rejection.into());
                }
            }
        }
        let made = block.coinbase().map(|tx| tx.output.iter().map(|output| output.value));
        let made: Amount = made.into_iter().flatten().sum();
        if made > SUBSIDY + fees {
            self.undo(block.txdata.iter(), std::mem::take(spent));
            return Err(BlockRejection::Subsidy);
        }
        Ok(())
    }

    fn apply_one(
        &mut self,
        tx: &Transaction,
        place: Place,
        spent: &mut Vec<(OutPoint, Coin)>,
    ) -> Result<Amount, Rejection> {
        rules::check_alone(tx)?;
        rules::check_lock_time(tx, place)?;
        if tx.is_coinbase() {
            self.coins.add_outputs(tx, place.height);
            return Ok(Amount::ZERO);
        }
        let found: Option<Vec<&Coin>> =
            tx.input.iter().map(|input| self.coins.get(&input.previous_output)).collect();
        let found = found.ok_or(Rejection::MissingInputs)?;
        rules::check_sequences(tx, &found, place, |height| self.time_past(height))?;
        let fee = rules::fee(tx, &found, place)?;
        let outputs: Vec<_> = found.iter().map(|coin| &coin.output).collect();
        scripts::verify(tx, &outputs)?;
        for input in &tx.input {
            let coin = self.coins.take(&input.previous_output).expect("it was found above");
            spent.push((input.previous_output, coin));
        }
        self.coins.add_outputs(tx, place.height);
        Ok(fee)
    }

    /// Gives back what these transactions spent, and takes what they made.
    fn undo<'a>(
        &mut self,
        txs: impl DoubleEndedIterator<Item = &'a Transaction>,
        spent: Vec<(OutPoint, Coin)>,
    ) {
        let mut spent = spent.into_iter().rev();
        for tx in txs.rev() {
            self.coins.take_outputs(tx);
            let inputs = if tx.is_coinbase() { 0 } else { tx.input.len() };
            for (outpoint, coin) in spent.by_ref().take(inputs) {
                self.coins.add(outpoint, coin);
            }
        }
    }

    /// Takes so many blocks off the tip. Their transactions wait again, before those that waited.
    /// Returns how many it took: the first block stays.
    pub(super) fn disconnect(&mut self, count: u32) -> u32 {
        let mut back: Vec<(Transaction, u64)> = Vec::new();
        let mut taken = 0;
        while taken < count {
            let (Some(block), Some(spent)) = (self.tree.pop(), self.spent.pop()) else { break };
            self.undo(block.txdata.iter(), spent);
            let seen_s = u64::from(block.header.time);
            let txs = block.txdata.into_iter().skip(1).rev();
            back.extend(txs.map(|tx| (tx, seen_s)));
            taken += 1;
        }
        let waited = self.pool.drain();
        let back = back.into_iter().rev();
        for (tx, seen_s) in back.chain(waited.into_iter().map(|entry| (entry.tx, entry.seen_s))) {
            let txid = tx.compute_txid();
            // Whoever spent a coin that is gone is gone with it.
            if let Err(rejection) = self.admit(tx, seen_s, false) {
                tracing::debug!(%txid, %rejection, "a transaction does not survive the reorganisation");
            }
        }
        taken
    }

    /// How many blocks must go so that a block is no part of the chain any more; none where it is
    /// none, and `None` where nobody knows it.
    pub(super) fn depth(&self, hash: &BlockHash) -> Option<u32> {
        let placed = self.tree.get(hash)?;
        let is_active = self.tree.is_active(placed);
        Some(if is_active { self.tree.height() - placed.height + 1 } else { 0 })
    }
}

/// Whether the coinbase begins with its height (BIP 34).
fn names_height(block: &Block, height: u32) -> bool {
    let script = block.coinbase().and_then(|tx| tx.input.first()).map(|input| &input.script_sig);
    let height = template::height_script(height);
    script.is_some_and(|script| script.as_bytes().starts_with(height.as_bytes()))
}

#[cfg(test)]
mod tests;
