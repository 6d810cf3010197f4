//! What the chain itself says that miners were paid: the difference of what transactions spend and
//! what they make, block by block.
//! Not for: what nodes say.

use std::collections::BTreeMap;

use bitcoin::{Amount, Block, OutPoint};

use crate::chain::{Client, ClientError};

/// Reads the blocks of a chain.
#[derive(Debug)]
pub(super) struct Truth {
    chain: Client,
    outputs: BTreeMap<OutPoint, Amount>,
    /// The first block that was not read yet.
    next: u32,
    /// All fees so far.
    fees: Amount,
    /// Those before the run.
    before: Amount,
}

impl Truth {
    pub(super) const fn new(chain: Client) -> Self {
        let (next, fees, before) = (0, Amount::ZERO, Amount::ZERO);
        Self { chain, outputs: BTreeMap::new(), next, fees, before }
    }

    /// Counts from the block after the tip.
    pub(super) async fn begin(&mut self) -> Result<(), ClientError> {
        self.read().await?;
        self.before = self.fees;
        Ok(())
    }

    /// The fees of all blocks since the beginning.
    pub(super) async fn fees(&mut self) -> Result<Amount, ClientError> {
        self.read().await?;
        Ok(self.fees - self.before)
    }

    async fn read(&mut self) -> Result<(), ClientError> {
        let height = self.chain.height().await?;
        while self.next <= height {
            let hash = self.chain.hash_at(self.next).await?;
            let block = self.chain.block(&hash).await?;
            self.fees += fees(&mut self.outputs, &block);
            self.next += 1;
        }
        Ok(())
    }
}

/// The fees of a block, whose outputs are noted, and those that it spends forgotten.
fn fees(outputs: &mut BTreeMap<OutPoint, Amount>, block: &Block) -> Amount {
    let mut fees = Amount::ZERO;
    for tx in &block.txdata {
        let txid = tx.compute_txid();
        for (vout, output) in (0..).zip(&tx.output) {
            outputs.insert(OutPoint { txid, vout }, output.value);
        }
        if tx.is_coinbase() {
            continue;
        }
        let spent = tx.input.iter().filter_map(|input| outputs.remove(&input.previous_output));
        let spent: Amount = spent.sum();
        let made: Amount = tx.output.iter().map(|output| output.value).sum();
        fees += spent.checked_sub(made).unwrap_or(Amount::ZERO);
    }
    fees
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;
    use bitcoin::{Network, ScriptBuf, Transaction, TxIn, TxOut, constants};

    use super::*;

    fn tx(spends: OutPoint, values: &[u64]) -> Transaction {
        let output = values.iter().map(|value| TxOut {
            value: Amount::from_sat(*value),
            script_pubkey: ScriptBuf::new(),
        });
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn { previous_output: spends, ..TxIn::default() }],
            output: output.collect(),
        }
    }

    #[test]
    fn fees_are_what_is_spent_and_not_made_also_within_one_block() {
        let coinbase = tx(OutPoint::null(), &[5_000]);
        let first = tx(OutPoint::new(coinbase.compute_txid(), 0), &[3_000, 1_900]);
        let second = tx(OutPoint::new(first.compute_txid(), 1), &[1_880]);
        let mut block = constants::genesis_block(Network::Regtest);
        block.txdata = vec![coinbase, first, second];
        let mut outputs = BTreeMap::new();
        assert_eq!(fees(&mut outputs, &block), Amount::from_sat(120));
        assert_eq!(outputs.len(), 2);
    }
}
