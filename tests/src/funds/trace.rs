//! Follows coins through the blocks: from what the nodes were given to what is left of it.
//! Not for: who owns what; the chain does not know that.

use std::collections::BTreeMap;

use bitcoin::{Block, OutPoint, ScriptBuf};
use boltgrid_testnet::chain::{Client, ClientError};

use super::check::Coins;

/// What an anchor is worth: an output that nobody spends unless a closing has to be hurried.
const ANCHOR_SAT: u64 = 330;

/// The coins that were given, wherever they are now.
#[derive(Debug)]
pub(super) struct Trace {
    chain: Client,
    /// Whom they were given to.
    scripts: Vec<ScriptBuf>,
    /// The first block to look at.
    from: u32,
}

/// What is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    given_sat: u64,
    fees_sat: u64,
    unspent: BTreeMap<OutPoint, u64>,
    is_begun: bool,
}

impl Trace {
    pub(super) const fn new(chain: Client, scripts: Vec<ScriptBuf>, from: u32) -> Self {
        Self { chain, scripts, from }
    }

    /// Reads all blocks.
    pub(super) async fn read(&self) -> Result<Found, ClientError> {
        let mut found = Found::default();
        for height in self.from..=self.chain.height().await? {
            let hash = self.chain.hash_at(height).await?;
            found.take(&self.chain.block(&hash).await?, &self.scripts);
        }
        Ok(found)
    }
}

impl Found {
    fn take(&mut self, block: &Block, scripts: &[ScriptBuf]) {
        for tx in &block.txdata {
            let outpoint = |vout| OutPoint { txid: tx.compute_txid(), vout };
            let spent = tx.input.iter().filter_map(|it| self.unspent.remove(&it.previous_output));
            let spent: Vec<u64> = spent.collect();
            let outputs = (0..).zip(&tx.output);
            if !spent.is_empty() {
                let made: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
                self.fees_sat += spent.iter().sum::<u64>().saturating_sub(made);
                let made = outputs.map(|(vout, output)| (outpoint(vout), output.value.to_sat()));
                self.unspent.extend(made);
            } else if !self.is_begun
                && tx.output.iter().any(|it| scripts.contains(&it.script_pubkey))
            {
                let given = outputs.filter(|(_, output)| scripts.contains(&output.script_pubkey));
                let given: Vec<(OutPoint, u64)> =
                    given.map(|(vout, output)| (outpoint(vout), output.value.to_sat())).collect();
                self.given_sat = given.iter().map(|(_, sat)| sat).sum();
                self.unspent.extend(given);
                self.is_begun = true;
            }
        }
    }

    /// Where the coins are, as far as the chain knows.
    pub(super) fn coins(&self) -> Coins {
        let left = self.unspent.values().filter(|sat| **sat == ANCHOR_SAT);
        Coins { given_sat: self.given_sat, fees_sat: self.fees_sat, left_sat: left.sum() }
    }

    /// What should be in wallets.
    pub(super) fn spendable_sat(&self) -> u64 {
        self.unspent.values().filter(|sat| **sat != ANCHOR_SAT).sum()
    }

    /// The outputs, for people.
    pub(super) fn list(&self) -> String {
        let lines = self.unspent.iter().map(|(output, sat)| format!("{output}: {sat} sat"));
        lines.collect::<Vec<_>>().join("\n    ")
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, Network, Transaction, TxIn, TxOut, constants};

    use super::*;

    fn tx(spends: OutPoint, outputs: &[(u64, u8)]) -> Transaction {
        let output = outputs.iter().map(|(sat, script)| TxOut {
            value: Amount::from_sat(*sat),
            script_pubkey: ScriptBuf::from_bytes(vec![*script]),
        });
        let input = vec![TxIn { previous_output: spends, ..TxIn::default() }];
        let (version, lock_time) = (Version::TWO, LockTime::ZERO);
        Transaction { version, lock_time, input, output: output.collect() }
    }

    #[test]
    fn what_was_given_is_followed_and_nothing_else() {
        let given = tx(OutPoint::null(), &[(5_000, 1), (9_000, 2)]);
        let funding = tx(OutPoint::new(given.compute_txid(), 0), &[(330, 3), (4_000, 4)]);
        let other = tx(OutPoint::new(given.compute_txid(), 1), &[(8_000, 1)]);
        let mut block = constants::genesis_block(Network::Regtest);
        block.txdata = vec![given, funding, other];
        let mut found = Found::default();
        found.take(&block, &[ScriptBuf::from_bytes(vec![1])]);
        assert_eq!(found.coins(), Coins { given_sat: 5_000, fees_sat: 670, left_sat: 330 });
        assert_eq!(found.spendable_sat(), 4_000);
    }
}
