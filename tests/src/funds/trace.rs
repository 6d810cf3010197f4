//! Follows coins through the blocks: from what the nodes were given to what is left of it.
//! Not for: who owns what; the chain does not know that.

use std::collections::BTreeMap;

use bitcoin::{Block, OutPoint, ScriptBuf, TxOut};
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
    unspent: BTreeMap<OutPoint, Coin>,
    is_begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Coin {
    sat: u64,
    /// Whether a script has to be satisfied for it, as in channels and in what is left of them;
    /// wallets have none such.
    is_bound: bool,
}

impl Coin {
    fn of(output: &TxOut) -> Self {
        Self { sat: output.value.to_sat(), is_bound: output.script_pubkey.is_p2wsh() }
    }

    const fn is_anchor(self) -> bool {
        self.sat == ANCHOR_SAT
    }
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
            let spent: Vec<u64> = spent.map(|coin| coin.sat).collect();
            let outputs = (0..).zip(&tx.output);
            if !spent.is_empty() {
                let made: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
                self.fees_sat += spent.iter().sum::<u64>().saturating_sub(made);
                let made = outputs.map(|(vout, output)| (outpoint(vout), Coin::of(output)));
                self.unspent.extend(made);
            } else if !self.is_begun
                && tx.output.iter().any(|it| scripts.contains(&it.script_pubkey))
            {
                let given = outputs.filter(|(_, output)| scripts.contains(&output.script_pubkey));
                let given: Vec<(OutPoint, Coin)> =
                    given.map(|(vout, output)| (outpoint(vout), Coin::of(output))).collect();
                self.given_sat = given.iter().map(|(_, coin)| coin.sat).sum();
                self.unspent.extend(given);
                self.is_begun = true;
            }
        }
    }

    /// Where the coins are, as far as the chain knows, once all channels are closed.
    pub(super) fn coins(&self) -> Coins {
        let left_sat = self.sum(|coin| coin.is_anchor());
        let (given_sat, fees_sat) = (self.given_sat, self.fees_sat);
        Coins { given_sat, fees_sat, left_sat, bound_sat: self.bound_sat() }
    }

    /// What is neither in a wallet nor an anchor.
    pub(super) fn bound_sat(&self) -> u64 {
        self.sum(|coin| coin.is_bound && !coin.is_anchor())
    }

    /// What should be in wallets.
    pub(super) fn spendable_sat(&self) -> u64 {
        self.sum(|coin| !coin.is_bound && !coin.is_anchor())
    }

    fn sum(&self, is: impl Fn(Coin) -> bool) -> u64 {
        self.unspent.values().filter(|coin| is(**coin)).map(|coin| coin.sat).sum()
    }

    /// The outputs, for people.
    pub(super) fn list(&self) -> String {
        let lines = self.unspent.iter().map(|(output, coin)| format!("{output}: {} sat", coin.sat));
        lines.collect::<Vec<_>>().join("\n    ")
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::hashes::Hash;
    use bitcoin::transaction::Version;
    use bitcoin::{Amount, Network, Transaction, TxIn, TxOut, WScriptHash, constants};

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
        let coins = Coins { given_sat: 5_000, fees_sat: 670, left_sat: 330, bound_sat: 0 };
        assert_eq!(found.coins(), coins);
        assert_eq!(found.spendable_sat(), 4_000);
    }

    #[test]
    fn what_a_script_binds_is_in_no_wallet() {
        let given = tx(OutPoint::null(), &[(5_000, 1)]);
        let mut closing = tx(OutPoint::new(given.compute_txid(), 0), &[(3_000, 2), (1_500, 3)]);
        closing.output[0].script_pubkey = ScriptBuf::new_p2wsh(&WScriptHash::all_zeros());
        let mut block = constants::genesis_block(Network::Regtest);
        block.txdata = vec![given, closing];
        let mut found = Found::default();
        found.take(&block, &[ScriptBuf::from_bytes(vec![1])]);
        assert_eq!((found.bound_sat(), found.spendable_sat()), (3_000, 1_500));
        assert_eq!(found.coins().bound_sat, 3_000);
    }
}
