//! How much a counterparty may owe us: a limit that grows with what it has paid and is cut by what
//! it has not (P34).
//!
//! `limit = min(cap, (first + paid / 2) / 2^defaults)`, and zero as long as a default is open.
//! `first` is the value of one tranche at the trade's price or at retail, whichever is dearer (what is
//! owed of an hour ago was dear, too), or what the owner gives newcomers if that is more; `paid` is what it has paid us in time since its last default. So whoever means to
//! run away must first pay twice what it gains beyond its first tranche.
//! Not for: what we owe others; that is bounded by what we sign.

use std::collections::BTreeMap;

use boltgrid_protocol::charter::PaymentTerms;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Energy, Msat, Price};
use serde::{Deserialize, Serialize};

use super::due::DueId;

/// One part in so many of what was paid is added to the limit.
const GROWTH_DIVISOR: u64 = 2;

/// What the owner decides about credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditTerms {
    /// What a newcomer may owe, if that is more than one tranche.
    pub first_msat: Msat,
    /// What anyone may owe at most, whatever it has paid.
    pub most_msat: Msat,
}

/// How a counterparty has behaved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it has paid us in time since its last default.
    pub paid_msat: Msat,
    /// How often it did not pay in time.
    pub defaults: u32,
    /// How many of these dues are still not paid.
    pub open_defaults: u32,
}

impl Standing {
    /// What it may owe, where a trade is at this price, and the supplier's retail price is that.
    #[must_use]
    pub fn limit(
        &self,
        credit: &CreditTerms,
        terms: &PaymentTerms,
        (price, retail): (Price, Price),
    ) -> Msat {
        if self.open_defaults > 0 {
            return Msat::ZERO;
        }
        let worth = |price: Price| price.amount_floor(terms.tranche_mwh).unwrap_or(Msat::MAX);
        let tranche = worth(price).max(worth(retail));
        let first = tranche.max(credit.first_msat).to_millisatoshi();
        let grown = self.paid_msat.to_millisatoshi().div_euclid(GROWTH_DIVISOR);
        let cut = first.saturating_add(grown).checked_shr(self.defaults).unwrap_or_default();
        Msat::from_millisatoshi(cut).unwrap_or(Msat::MAX).min(credit.most_msat)
    }

    /// It has paid.
    pub(super) fn pay(&mut self, amount: Msat) {
        self.paid_msat = self.paid_msat.checked_add(amount).unwrap_or(Msat::MAX);
    }

    /// It has not paid in time.
    pub(super) const fn default_on(&mut self) {
        self.paid_msat = Msat::ZERO;
        self.defaults = self.defaults.saturating_add(1);
        self.open_defaults = self.open_defaults.saturating_add(1);
    }

    /// It has paid after all. What it paid before the default stays forgotten.
    pub(super) const fn make_good(&mut self) {
        self.open_defaults = self.open_defaults.saturating_sub(1);
    }
}

/// What a counterparty owes us at worst for what is signed and not settled.
#[derive(Debug, Default)]
pub(super) struct Pledges {
    of: BTreeMap<DueId, (ParticipantId, Msat)>,
}

impl Pledges {
    /// The worst of one trade: all of it delivered.
    pub(super) fn worst(energy: Energy, price: Price) -> Msat {
        price.amount_floor(energy).unwrap_or(Msat::MAX)
    }

    pub(super) fn put(&mut self, id: DueId, counterparty: ParticipantId, worst: Msat) {
        self.of.insert(id, (counterparty, worst));
    }

    pub(super) fn release(&mut self, id: &DueId) {
        self.of.remove(id);
    }

    /// Keeps those that fit.
    pub(super) fn retain(&mut self, fits: impl Fn(&DueId) -> bool) {
        self.of.retain(|id, _| fits(id));
    }

    /// Whose there are, each as often as it has one.
    pub(super) fn counterparties(&self) -> impl Iterator<Item = ParticipantId> + '_ {
        self.of.values().map(|(who, _)| *who)
    }

    /// The sum of all.
    pub(super) fn sum(&self) -> Msat {
        self.of
            .values()
            .fold(Msat::ZERO, |sum, (_, worst)| sum.checked_add(*worst).unwrap_or(Msat::MAX))
    }

    /// The sum of one counterparty's, but for this one.
    pub(super) fn of(&self, counterparty: &ParticipantId, but: &DueId) -> Msat {
        self.of
            .iter()
            .filter(|(id, (of, _))| of == counterparty && *id != but)
            .fold(Msat::ZERO, |sum, (_, (_, worst))| sum.checked_add(*worst).unwrap_or(Msat::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDIT: CreditTerms = CreditTerms { first_msat: Msat::ZERO, most_msat: Msat::MAX };

    fn msat(msat: u64) -> Msat {
        Msat::from_millisatoshi(msat).unwrap()
    }

    fn limit(standing: &Standing, credit: &CreditTerms) -> u64 {
        let [price, retail] = [80_000, 60_000].map(Price::from_msat_per_kwh);
        standing.limit(credit, &PaymentTerms::default(), (price, retail)).to_millisatoshi()
    }

    #[test]
    fn a_trade_for_nothing_does_not_make_what_is_owed_already_too_much() {
        let [free, retail] = [0, 60_000].map(Price::from_msat_per_kwh);
        let limit = Standing::default().limit(&CREDIT, &PaymentTerms::default(), (free, retail));
        assert_eq!(limit, msat(15_000));
    }

    #[test]
    fn a_newcomer_may_owe_one_tranche_or_what_the_owner_gives_it() {
        assert_eq!(limit(&Standing::default(), &CREDIT), 20_000);
        let generous = CreditTerms { first_msat: msat(50_000), ..CREDIT };
        assert_eq!(limit(&Standing::default(), &generous), 50_000);
        let mean = CreditTerms { first_msat: msat(5), ..CREDIT };
        assert_eq!(limit(&Standing::default(), &mean), 20_000);
    }

    #[test]
    fn the_limit_grows_by_half_of_what_is_paid_up_to_the_cap() {
        let mut standing = Standing::default();
        standing.pay(msat(100_000));
        assert_eq!(limit(&standing, &CREDIT), 70_000);
        let capped = CreditTerms { most_msat: msat(60_000), ..CREDIT };
        assert_eq!(limit(&standing, &capped), 60_000);
    }

    #[test]
    fn a_default_closes_the_credit_and_a_late_payment_opens_half_of_the_first() {
        let mut standing = Standing::default();
        standing.pay(msat(100_000));
        standing.default_on();
        assert_eq!(limit(&standing, &CREDIT), 0);
        standing.make_good();
        assert_eq!(limit(&standing, &CREDIT), 10_000, "and nothing of what it paid before");
        (0..70).for_each(|_| {
            standing.default_on();
            standing.make_good();
        });
        assert_eq!(limit(&standing, &CREDIT), 0);
    }
}
