//! The transactions that wait for a block, each after those it spends of.
//! Not for: which ones may wait.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Transaction, TxOut, Txid};

/// A transaction that waits.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tx: Transaction,
    pub(super) txid: Txid,
    pub(super) fee_sat: u64,
    /// Its size, in bytes of the old count.
    pub(super) vsize: u64,
    /// When it was first seen, in Unix seconds.
    pub(super) seen_s: u64,
    /// The height of the chain then.
    pub(super) height: u32,
}

/// All transactions that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Mempool {
    entries: BTreeMap<Txid, (u64, Entry)>,
    /// In the order in which they came, parents first.
    order: BTreeMap<u64, Txid>,
    /// What they spend.
    spenders: BTreeMap<OutPoint, Txid>,
    came: u64,
    vsize: u64,
    fees_sat: u64,
}

impl Mempool {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The size of all of them.
    pub(super) const fn vsize(&self) -> u64 {
        self.vsize
    }

    /// What all of them pay.
    pub(super) const fn fees_sat(&self) -> u64 {
        self.fees_sat
    }

    pub(super) fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid).map(|(_, entry)| entry)
    }

    /// Which transaction spends an output.
    pub(super) fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spenders.get(outpoint).copied()
    }

    /// An output of one of them.
    pub(super) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let vout = usize::try_from(outpoint.vout).ok()?;
        self.get(&outpoint.txid)?.tx.output.get(vout)
    }

    /// All of them, parents first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Entry> {
        self.order.values().filter_map(|txid| self.get(txid))
    }

    /// Those that a transaction spends of.
    pub(super) fn parents(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let parents = tx.input.iter().map(|input| input.previous_output.txid);
        parents.filter(|parent| self.entries.contains_key(parent)).collect()
    }

    /// Those that spend of a transaction.
    pub(super) fn children(&self, entry: &Entry) -> BTreeSet<Txid> {
        let outpoints =
            (0..).zip(&entry.tx.output).map(|(vout, _)| OutPoint::new(entry.txid, vout));
        outpoints.filter_map(|outpoint| self.spender(&outpoint)).collect()
    }

    /// Those that a transaction hangs on.
    pub(super) fn ancestors(&self, tx: &Transaction) -> BTreeSet<Txid> {
        self.reached(self.parents(tx), |entry| self.parents(&entry.tx))
    }

    /// These, and those that hang on them.
    pub(super) fn with_descendants(&self, txids: BTreeSet<Txid>) -> BTreeSet<Txid> {
        self.reached(txids, |entry| self.children(entry))
    }

    fn reached(
        &self,
        from: BTreeSet<Txid>,
        next: impl Fn(&Entry) -> BTreeSet<Txid>,
    ) -> BTreeSet<Txid> {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<Txid> = from.into_iter().collect();
        while let Some(txid) = ahead.pop() {
            if let Some(entry) = self.get(&txid).filter(|_| reached.insert(txid)) {
                ahead.extend(next(entry));
            }
        }
        reached
    }

    /// Adds a transaction whose parents are there and with which none conflicts.
    pub(super) fn insert(&mut self, entry: Entry) {
        for input in &entry.tx.input {
            let before = self.spenders.insert(input.previous_output, entry.txid);
            assert!(before.is_none(), "two that wait spend the same");
        }
        self.vsize = self.vsize.saturating_add(entry.vsize);
        self.fees_sat = self.fees_sat.saturating_add(entry.fee_sat);
        self.order.insert(self.came, entry.txid);
        self.entries.insert(entry.txid, (self.came, entry));
        self.came += 1;
    }

    /// Takes a transaction out, and leaves those that hang on it.
    pub(super) fn remove(&mut self, txid: &Txid) -> Option<Entry> {
        let (came, entry) = self.entries.remove(txid)?;
        self.order.remove(&came);
        for input in &entry.tx.input {
            self.spenders.remove(&input.previous_output);
        }
        self.vsize = self.vsize.saturating_sub(entry.vsize);
        self.fees_sat = self.fees_sat.saturating_sub(entry.fee_sat);
        Some(entry)
    }

    /// Takes all out, parents first.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let mut all = std::mem::take(self);
        std::mem::take(&mut all.order).values().filter_map(|txid| all.remove(txid)).collect()
    }
}
