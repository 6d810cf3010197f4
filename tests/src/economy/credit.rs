//! Who owes whom, and how much each lets each owe.
//!
//! What a counterparty owes is what it has not paid, and what firm trades may yet come to. Of a trade
//! that would take it over its limit only the part up to it is signed. Not for: paying.

use std::collections::BTreeMap;

use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{Energy, Msat, Price};

/// How far a creditor trusts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// What a newcomer may owe, if that is more than one tranche.
    pub(super) first: Msat,
    /// One in so many of what it has paid is added.
    pub(super) grows_by_one_in: u64,
    /// But never more than this.
    pub(super) most: Msat,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    owes: Msat,
    may_owe: Msat,
    has_paid: Msat,
}

/// All accounts, by debtor and creditor.
#[derive(Debug)]
pub(super) struct Credit {
    terms: Terms,
    accounts: BTreeMap<(RosterIndex, RosterIndex), Account>,
    /// The largest part of its limit that anybody ever owed anybody, in parts per million.
    pub(super) used_max_ppm: u64,
    /// The most that anybody ever owed anybody.
    pub(super) owed_max: Msat,
}

impl Credit {
    pub(super) const fn new(terms: Terms) -> Self {
        Self { terms, accounts: BTreeMap::new(), used_max_ppm: 0, owed_max: Msat::ZERO }
    }

    /// How much of a trade the creditor signs; that counts from now on.
    pub(super) fn signs(
        &mut self,
        (debtor, creditor): (RosterIndex, RosterIndex),
        (energy, price): (Energy, Price),
        tranche: Msat,
    ) -> Energy {
        let terms = self.terms;
        let account = self.accounts.entry((debtor, creditor)).or_default();
        let grown = account.has_paid.to_millisatoshi() / terms.grows_by_one_in;
        let grown = Msat::from_millisatoshi(grown).expect("a part of what was paid");
        let limit = terms.first.max(tranche).saturating_add(grown).min(terms.most);
        let exposed = account.owes.saturating_add(account.may_owe);
        let room = limit.saturating_sub(exposed);
        if room == Msat::ZERO {
            return Energy::ZERO;
        }
        let part = price.energy_floor(room).map_or(energy, |most| most.min(energy));
        let amount = price.amount_floor(part).expect("a small amount");
        account.may_owe = account.may_owe.saturating_add(amount);
        let exposed = exposed.saturating_add(amount);
        let ppm = exposed.to_millisatoshi() * 1_000_000 / limit.to_millisatoshi().max(1);
        self.used_max_ppm = self.used_max_ppm.max(ppm);
        self.owed_max = self.owed_max.max(exposed);
        part
    }

    /// What may have come to `at_most` came to `due`.
    pub(super) fn settled(
        &mut self,
        (debtor, creditor): (RosterIndex, RosterIndex),
        at_most: Msat,
        due: Msat,
    ) {
        let account = self.accounts.get_mut(&(debtor, creditor)).expect("it was signed");
        account.may_owe = account.may_owe.saturating_sub(at_most);
        account.owes = account.owes.saturating_add(due);
    }

    pub(super) fn paid(&mut self, debtor: RosterIndex, creditor: RosterIndex, amount: Msat) {
        let account = self.accounts.get_mut(&(debtor, creditor)).expect("it was signed");
        account.owes = account.owes.saturating_sub(amount);
        account.has_paid = account.has_paid.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sat(sat: u64) -> Msat {
        Msat::from_satoshi_saturating(sat)
    }

    #[test]
    fn whoever_has_paid_may_owe_more_and_nobody_more_than_its_limit() {
        let terms = Terms { first: sat(100), grows_by_one_in: 2, most: sat(180) };
        let mut credit = Credit::new(terms);
        let pair = (RosterIndex::new(1), RosterIndex::new(0));
        // At a thousandth of a satoshi for a milliwatt-hour, so that a satoshi is a thousand of them.
        let price = Price::from_msat_per_kwh(1_000_000);
        let energy = |sat: u64| Energy::from_milliwatt_hours(sat * 1_000);
        let signs = |credit: &mut Credit, amount, tranche| {
            credit.signs(pair, (energy(amount), price), sat(tranche)).to_milliwatt_hours() / 1_000
        };
        assert_eq!(signs(&mut credit, 101, 101), 101, "one tranche in any case");
        assert_eq!(signs(&mut credit, 1, 25), 0, "it may owe all of that already");
        credit.settled(pair, sat(101), sat(80));
        assert_eq!(signs(&mut credit, 30, 25), 20, "less was delivered, and a part fits");
        credit.settled(pair, sat(20), sat(20));
        credit.paid(pair.0, pair.1, sat(100));
        assert_eq!(signs(&mut credit, 150, 25), 150);
        assert_eq!(signs(&mut credit, 1, 25), 0);
        assert_eq!((credit.owed_max, credit.used_max_ppm), (sat(150), 1_000_000));
    }
}
