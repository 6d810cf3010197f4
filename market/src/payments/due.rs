//! One due: what a settled trade or forward came to, its tranches, and how far they are paid.
//!
//! Not for: deciding what happens next; that is `charging` and `paying`.

use boltgrid_protocol::charter::PaymentTerms;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::{Cause, TRANCHES_MAX};
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Energy, Interval, Msat, Price, SignedMsat, Timestamp};
use serde::{Deserialize, Serialize};

use super::dispute::Why;

/// What a due is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DueId {
    /// The interval that was delivered.
    pub interval: Interval,
    /// The trade or forward.
    pub cause: Cause,
}

/// Signed messages that show what was agreed and what the meters said (P35).
pub type Proof = Vec<Vec<u8>>;

/// What one side owes the other for one trade or forward of one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// What it is known by.
    pub id: DueId,
    /// The other side.
    pub counterparty: ParticipantId,
    /// What is due, to this participant positive, never zero.
    pub due_msat: SignedMsat,
    /// What was delivered.
    pub delivered_mwh: Energy,
    /// At what price.
    pub price_msat_per_kwh: Price,
    /// When all of it is to be paid.
    pub pay_by: Timestamp,
}

impl Due {
    /// Whether this participant is to be paid.
    #[must_use]
    pub const fn is_to_me(&self) -> bool {
        self.due_msat.to_millisatoshi() > 0
    }

    /// The whole amount, whoever pays it.
    #[must_use]
    pub fn amount(&self) -> Msat {
        // A due is an amount with a sign.
        Msat::from_millisatoshi(self.due_msat.to_millisatoshi().unsigned_abs()).unwrap_or(Msat::MAX)
    }
}

/// The amounts of a due's tranches (P31): by energy, rounded down, the last with the rest, so that
/// they add up to the due.
#[must_use]
pub fn tranches(due: &Due, terms: &PaymentTerms) -> Vec<Msat> {
    let whole = due.amount();
    let delivered = due.delivered_mwh.to_milliwatt_hours();
    let most = u64::from(TRANCHES_MAX);
    let size = terms.tranche_mwh.to_milliwatt_hours().max(delivered.div_ceil(most)).max(1);
    let count = delivered.div_ceil(size).max(1);
    let each = due.price_msat_per_kwh.amount_floor(Energy::from_milliwatt_hours(size));
    let each = each.map_or(0, Msat::to_millisatoshi);
    if each == 0 {
        return vec![whole];
    }
    let mut left = whole.to_millisatoshi();
    let mut amounts = Vec::new();
    for place in 1..=count {
        let amount = if place == count { left } else { each.min(left) };
        left = left.saturating_sub(amount);
        // A last one that comes to nothing is none.
        amounts.extend(Msat::from_millisatoshi(amount).ok().filter(|it| *it != Msat::ZERO));
    }
    amounts
}

/// An invoice that is out, or being paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// The signed invoice.
    pub(super) invoice: Vec<u8>,
    /// What it is bound to.
    pub(super) payment_hash: PaymentHash,
    /// When its BOLT11 text expires.
    pub(super) expires_at: Timestamp,
}

/// A due with all that is known of its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) due: Due,
    /// What each tranche comes to.
    pub(super) tranches: Vec<Msat>,
    /// How many of them are paid, the first ones.
    pub(super) paid: u32,
    /// How many invoices for the current tranche have failed.
    pub(super) failed: u32,
    /// The invoice for the current tranche.
    pub(super) attempt: Option<Attempt>,
    /// What is in dispute about it.
    pub(super) disputed: Option<Why>,
    /// What shows it; dropped once it is paid or disputed.
    pub(super) proof: Proof,
}

impl Open {
    /// A due of which nothing is paid.
    pub(super) fn new(due: Due, terms: &PaymentTerms, proof: Proof) -> Self {
        let tranches = tranches(&due, terms);
        Self { due, tranches, paid: 0, failed: 0, attempt: None, disputed: None, proof }
    }

    /// How many tranches there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.tranches.len()).unwrap_or(u32::MAX)
    }

    /// Whether all of it is paid.
    pub(super) fn is_paid(&self) -> bool {
        self.paid >= self.count()
    }

    /// What a tranche comes to.
    pub(super) fn amount_of(&self, tranche: u32) -> Option<Msat> {
        self.tranches.get(usize::try_from(tranche).ok()?).copied()
    }

    /// What is not paid yet.
    pub(super) fn unpaid(&self) -> Msat {
        let left = self.tranches.iter().skip(usize::try_from(self.paid).unwrap_or(usize::MAX));
        left.fold(Msat::ZERO, |sum, amount| sum.checked_add(*amount).unwrap_or(Msat::MAX))
    }

    /// Notes that the current tranche is paid.
    pub(super) fn pay(&mut self) {
        self.paid = self.paid.saturating_add(1);
        self.failed = 0;
        self.attempt = None;
        if self.is_paid() {
            self.proof = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn due(delivered_mwh: u64, price: i64) -> Due {
        let delivered_mwh = Energy::from_milliwatt_hours(delivered_mwh);
        let price_msat_per_kwh = Price::from_msat_per_kwh(price);
        Due {
            id: DueId { interval: Interval::default(), cause: Cause::Trade { index: 0 } },
            counterparty: ParticipantId::default(),
            due_msat: SignedMsat::payable(price_msat_per_kwh.amount_floor(delivered_mwh).unwrap()),
            delivered_mwh,
            price_msat_per_kwh,
            pay_by: Timestamp::default(),
        }
    }

    fn amounts(delivered_mwh: u64, price: i64) -> Vec<u64> {
        let amounts = tranches(&due(delivered_mwh, price), &PaymentTerms::default());
        amounts.into_iter().map(Msat::to_millisatoshi).collect()
    }

    #[test]
    fn a_due_is_split_by_energy_and_the_last_tranche_takes_the_rest() {
        assert_eq!(amounts(250_000, 80_000), [20_000]);
        assert_eq!(amounts(600_001, 80_000), [20_000, 20_000, 8_000]);
        assert_eq!(amounts(600_001, -80_001), [20_000, 20_000, 8_000]);
        assert_eq!(amounts(500_000, 3), [1], "where one would come to nothing, there is one");
        assert_eq!(amounts(500_001, 80_000), [20_000, 20_000], "nor is there an empty last one");
    }

    #[test]
    fn a_due_has_at_most_sixty_four_tranches() {
        let huge = amounts(100_000_000, 80_000);
        assert_eq!(huge.len(), 64);
        assert_eq!(huge.iter().sum::<u64>(), 8_000_000);
    }

    proptest! {
        #[test]
        fn tranches_add_up_to_the_due(
            delivered in 1..1_000_000_000_u64,
            price in -1_000_000_000..1_000_000_000_i64,
            tranche in 50_000..=250_000_u64,
        ) {
            let due = due(delivered, price);
            prop_assume!(due.amount() != Msat::ZERO);
            let tranche_mwh = Energy::from_milliwatt_hours(tranche);
            let terms = PaymentTerms { tranche_mwh, ..PaymentTerms::default() };
            let amounts = tranches(&due, &terms);
            let sum: u64 = amounts.iter().map(|amount| amount.to_millisatoshi()).sum();
            prop_assert_eq!(sum, due.amount().to_millisatoshi());
            prop_assert!(amounts.len() <= 64);
            prop_assert!(amounts.iter().all(|amount| *amount != Msat::ZERO));
        }
    }
}
