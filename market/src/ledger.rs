//! A double-entry ledger of energy and money, as one participant sees them.
//!
//! Every entry sums to zero in both, or it is not an entry; so the balances of all accounts sum to
//! zero at any time, and nothing appears or gets lost between a meter and a bill.
//! Not for: history (the caller keeps entries as long as it wants) or what is durable about
//! payments.

use std::collections::BTreeMap;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Interval, NetEnergy, OutOfRange, SignedMsat};
use serde::{Deserialize, Serialize};

/// Who or what a posting is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Account {
    /// This participant; its energy is what its meter showed.
    Me,
    /// A participant we trade with.
    Counterparty(ParticipantId),
    /// The supplier, who takes and gives the rest at the tariff.
    Supplier,
    /// What the lines lose on the way from us to a buyer.
    Losses,
}

/// What one account receives by an entry; gives, where negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The account.
    pub account: Account,
    /// Energy received.
    pub energy: NetEnergy,
    /// Money to receive.
    pub money: SignedMsat,
}

/// Postings that belong together. Invariant: they sum to zero in energy and in money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    interval: Interval,
    postings: Vec<Posting>,
}

/// Why postings are not an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the postings leave {energy_mwh} mWh and {money_msat} msat without an account")]
pub struct Unbalanced {
    /// The sum of energies, in mWh.
    pub energy_mwh: i128,
    /// The sum of money, in msat.
    pub money_msat: i128,
}

impl Entry {
    /// An entry about `interval`, be it a settlement, a payment or a correction.
    ///
    /// # Errors
    ///
    /// [`Unbalanced`] unless the postings sum to zero in energy and in money.
    pub fn new(interval: Interval, postings: Vec<Posting>) -> Result<Self, Unbalanced> {
        // No list that fits memory brings sums of 64-bit values near the end of 128 bits.
        let energy_mwh = postings
            .iter()
            .map(|posting| i128::from(posting.energy.to_milliwatt_hours()))
            .fold(0, i128::saturating_add);
        let money_msat = postings
            .iter()
            .map(|posting| i128::from(posting.money.to_millisatoshi()))
            .fold(0, i128::saturating_add);
        if energy_mwh == 0 && money_msat == 0 {
            Ok(Self { interval, postings })
        } else {
            Err(Unbalanced { energy_mwh, money_msat })
        }
    }

    /// The interval it is about.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// Its postings.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}

/// The balance of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Energy received so far.
    pub energy: NetEnergy,
    /// Money to receive so far.
    pub money: SignedMsat,
}

impl Balance {
    fn plus(self, posting: &Posting) -> Result<Self, OutOfRange> {
        Ok(Self {
            energy: self.energy.checked_add(posting.energy).ok_or(OutOfRange)?,
            money: self.money.checked_add(posting.money).ok_or(OutOfRange)?,
        })
    }
}

/// Running balances of all accounts. Invariant: they sum to zero in energy and in money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    balances: BTreeMap<Account, Balance>,
}

impl Ledger {
    /// Adds an entry to the balances: all of it, or on error nothing.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] when a balance would not fit 63 bits.
    pub fn post(&mut self, entry: &Entry) -> Result<(), OutOfRange> {
        let mut changed = BTreeMap::new();
        for posting in &entry.postings {
            let account = posting.account;
            let before = changed.get(&account).copied().unwrap_or_else(|| self.balance(account));
            changed.insert(account, before.plus(posting)?);
        }
        self.balances.extend(changed);
        Ok(())
    }

    /// Puts back a balance that was written down with all others.
    pub(crate) fn restore(&mut self, account: Account, balance: Balance) {
        self.balances.insert(account, balance);
    }

    /// The balance of an account; zero for one that was never posted to.
    #[must_use]
    pub fn balance(&self, account: Account) -> Balance {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// All accounts that were ever posted to, with their balances.
    pub fn balances(&self) -> impl Iterator<Item = (Account, Balance)> {
        self.balances.iter().map(|(account, balance)| (*account, *balance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posting(account: Account, mwh: i64, msat: i64) -> Posting {
        Posting {
            account,
            energy: NetEnergy::from_milliwatt_hours(mwh),
            money: SignedMsat::from_millisatoshi(msat),
        }
    }

    fn entry(postings: Vec<Posting>) -> Result<Entry, Unbalanced> {
        Entry::new(Interval::from_number(7), postings)
    }

    #[test]
    fn what_does_not_sum_to_zero_is_not_an_entry() {
        let lost = vec![posting(Account::Me, 5, -3), posting(Account::Supplier, -4, 3)];
        assert_eq!(entry(lost), Err(Unbalanced { energy_mwh: 1, money_msat: 0 }));
        let minted = vec![posting(Account::Me, 5, -2), posting(Account::Supplier, -5, 3)];
        assert_eq!(entry(minted), Err(Unbalanced { energy_mwh: 0, money_msat: 1 }));
    }

    #[test]
    fn the_largest_postings_are_summed_without_wrapping() {
        let wraps = vec![
            posting(Account::Me, i64::MAX, i64::MIN),
            posting(Account::Supplier, i64::MAX, i64::MIN),
            posting(Account::Losses, 2, 0),
        ];
        assert!(entry(wraps).is_err(), "64-bit sums would wrap to zero here");
    }

    #[test]
    fn balances_run_and_a_later_payment_clears_the_debt() {
        let peer = Account::Counterparty(ParticipantId::from_bytes([1; 32]));
        let mut ledger = Ledger::default();
        let sale = entry(vec![posting(Account::Me, -10, 4), posting(peer, 10, -4)]).unwrap();
        ledger.post(&sale).unwrap();
        ledger.post(&sale).unwrap();
        assert_eq!(ledger.balance(Account::Me).money, SignedMsat::from_millisatoshi(8));
        assert_eq!(ledger.balance(peer).energy, NetEnergy::from_milliwatt_hours(20));
        let paid = entry(vec![posting(Account::Me, 0, -8), posting(peer, 0, 8)]).unwrap();
        ledger.post(&paid).unwrap();
        assert_eq!(ledger.balance(peer).money, SignedMsat::ZERO);
    }

    #[test]
    fn an_entry_that_does_not_fit_changes_nothing() {
        let mut ledger = Ledger::default();
        let huge = entry(vec![
            posting(Account::Me, i64::MAX, 0),
            posting(Account::Supplier, -i64::MAX, 0),
        ]);
        let huge = huge.unwrap();
        ledger.post(&huge).unwrap();
        let before = ledger.clone();
        assert_eq!(ledger.post(&huge), Err(OutOfRange));
        assert_eq!(ledger, before);
    }
}
