//! The outputs that can be spent.
//! Not for: whether somebody may.

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint, Transaction, TxOut};

/// The longest script that can be spent.
const SCRIPT_BYTES_MAX: usize = 10_000;

/// An output that is not spent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coin {
    /// The output.
    pub(super) output: TxOut,
    /// The block that made it; that after the tip, where none has yet.
    pub(super) height: u32,
    /// Whether a coinbase made it.
    pub(super) is_coinbase: bool,
}

/// All outputs that can be spent on top of one block.
#[derive(Clone, Debug, Default)]
pub(super) struct Coins {
    unspent: BTreeMap<OutPoint, Coin>,
    total: Amount,
}

impl Coins {
    pub(super) fn get(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.unspent.get(outpoint)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.unspent.len()
    }

    /// What they come to.
    pub(super) const fn total(&self) -> Amount {
        self.total
    }

    /// Adds an output that was not there.
    pub(super) fn add(&mut self, outpoint: OutPoint, coin: Coin) {
        let total = self.total.checked_add(coin.output.value);
        self.total = total.expect("a chain with the sum of all subsidies in 64 bits");
        let before = self.unspent.insert(outpoint, coin);
        assert!(before.is_none(), "an output was made twice");
    }

    /// Takes an output away.
    pub(super) fn take(&mut self, outpoint: &OutPoint) -> Option<Coin> {
        let coin = self.unspent.remove(outpoint)?;
        let total = self.total.checked_sub(coin.output.value);
        self.total = total.expect("the sum of what is there");
        Some(coin)
    }

    /// Adds the outputs of a transaction that can ever be spent.
    pub(super) fn add_outputs(&mut self, tx: &Transaction, height: u32) {
        for (outpoint, output) in outputs(tx).filter(|(_, output)| is_spendable(output)) {
            let is_coinbase = tx.is_coinbase();
            self.add(outpoint, Coin { output: output.clone(), height, is_coinbase });
        }
    }

    /// Takes the outputs of a transaction away again, of which nothing was spent.
    pub(super) fn take_outputs(&mut self, tx: &Transaction) {
        for (outpoint, output) in outputs(tx) {
            let taken = self.take(&outpoint);
            assert_eq!(taken.is_some(), is_spendable(output), "a block is undone in order");
        }
    }
}

/// The outputs of a transaction with their names.
pub(super) fn outputs(tx: &Transaction) -> impl Iterator<Item = (OutPoint, &TxOut)> {
    let txid = tx.compute_txid();
    (0..).zip(&tx.output).map(move |(vout, output)| (OutPoint { txid, vout }, output))
}

fn is_spendable(output: &TxOut) -> bool {
    let script = &output.script_pubkey;
    !script.is_op_return() && script.len() <= SCRIPT_BYTES_MAX
}
