//! Payments for trades in `node.status`: how many there were, and what is still to be paid.
//! Not for: single payments, which `payment.list` shows, or the wallet behind them.

use boltgrid_market::payments::{Outline, Stage, Told};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Quoted;

/// Payments since the node started, and how it stands with all others together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentsStatus {
    /// Payments of this node that arrived.
    #[serde(with = "Quoted")]
    pub sent: u64,
    /// What they came to.
    #[serde(with = "Quoted")]
    pub sent_msat: u64,
    /// Payments to this node that arrived.
    #[serde(with = "Quoted")]
    pub received: u64,
    /// What they came to.
    #[serde(with = "Quoted")]
    pub received_msat: u64,
    /// Payments of this node that failed for good; others were made in their place.
    #[serde(with = "Quoted")]
    pub failed: u64,
    /// What others still have to pay for what was delivered.
    #[serde(with = "Quoted")]
    pub due_to_us_msat: u64,
    /// What this node still has to pay for what was delivered.
    #[serde(with = "Quoted")]
    pub due_by_us_msat: u64,
    /// What all others together owe at worst: what was delivered, and what is signed and not settled.
    #[serde(with = "Quoted")]
    pub exposure_msat: u64,
    /// Dues in dispute that are not paid.
    pub disputes_open: u32,
}

impl PaymentsStatus {
    /// Counts what became of a payment.
    pub(crate) const fn count(&mut self, told: &Told) {
        let Told::Payment(payment) = told else { return };
        let amount_msat = payment.amount_msat.to_millisatoshi();
        let (number, sum) = match payment.stage {
            Stage::Invoiced | Stage::Paying => return,
            Stage::Failed => {
                self.failed = self.failed.saturating_add(1);
                return;
            }
            Stage::Paid { .. } if payment.to_me => (&mut self.received, &mut self.received_msat),
            Stage::Paid { .. } => (&mut self.sent, &mut self.sent_msat),
        };
        *number = number.saturating_add(1);
        *sum = sum.saturating_add(amount_msat);
    }

    /// Takes over how the node stands with others.
    pub(crate) const fn set(&mut self, outline: &Outline) {
        self.due_to_us_msat = outline.due_to_me_msat.to_millisatoshi();
        self.due_by_us_msat = outline.due_by_me_msat.to_millisatoshi();
        self.exposure_msat = outline.exposure_msat.to_millisatoshi();
        self.disputes_open = outline.disputes_open;
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_market::payments::{DueId, Payment};
    use boltgrid_protocol::id::ParticipantId;
    use boltgrid_protocol::invoice::Cause;
    use boltgrid_protocol::lightning::PaymentHash;
    use boltgrid_protocol::units::{Interval, Msat, Timestamp};

    use super::*;

    fn told(to_me: bool, stage: Stage) -> Told {
        Told::Payment(Payment {
            due: DueId { interval: Interval::from_number(7), cause: Cause::Trade { index: 0 } },
            counterparty: ParticipantId::default(),
            to_me,
            tranche: 0,
            tranches: 1,
            amount_msat: Msat::from_millisatoshi(20_000).unwrap(),
            payment_hash: PaymentHash::from_bytes([1; 32]),
            stage,
            at: Timestamp::default(),
        })
    }

    #[test]
    fn what_arrived_is_counted_by_its_way_and_what_failed_apart() {
        let paid = Stage::Paid { preimage: None, fee_msat: Msat::ZERO };
        let mut status = PaymentsStatus::default();
        for (to_me, stage) in [
            (true, Stage::Invoiced),
            (true, paid),
            (false, Stage::Paying),
            (false, Stage::Failed),
            (false, Stage::Paying),
            (false, paid),
            (false, paid),
        ] {
            status.count(&told(to_me, stage));
        }
        assert_eq!((status.received, status.received_msat), (1, 20_000));
        assert_eq!((status.sent, status.sent_msat), (2, 40_000));
        assert_eq!(status.failed, 1);
    }
}
