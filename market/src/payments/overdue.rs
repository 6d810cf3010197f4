//! What is not paid in time, and what the two sides reckon differently, becomes a dispute (P35).
//!
//! Not for: what a default does to credit ([`super::credit`]).

use boltgrid_protocol::units::Timestamp;

use super::dispute::{Dispute, Why};
use super::due::DueId;
use super::record::Record;
use super::{Payments, Told, tell};
use crate::effect::Effect;

impl Payments {
    /// Opens a dispute about a due whose time is over.
    pub(super) fn dispute_overdue(&mut self, now: Timestamp, id: &DueId) -> Vec<Effect> {
        let overdue = self
            .state
            .open
            .get(id)
            .filter(|open| now > open.due.pay_by && open.disputed.is_none() && !open.is_paid());
        let Some(open) = overdue else { return Vec::new() };
        let why = if open.due.is_to_me() {
            Why::NotPaid
        } else if open.attempt.is_some() || open.failed > 0 {
            Why::CouldNotPay
        } else {
            Why::NotInvoiced
        };
        let invoice = open.attempt.as_ref().map(|attempt| attempt.invoice.clone());
        self.dispute(now, id, why, invoice)
    }

    /// Opens a dispute, unless there is one about this due. What is only reckoned differently is no
    /// default, and neither is it paid: it goes on counting as owed, so that whoever never agrees
    /// uses up its limit and no more.
    pub(super) fn dispute(
        &mut self,
        now: Timestamp,
        id: &DueId,
        why: Why,
        invoice: Option<Vec<u8>>,
    ) -> Vec<Effect> {
        let Some(open) = self.state.open.get(id).filter(|open| open.disputed.is_none()) else {
            return Vec::new();
        };
        let is_lasting = !matches!(why, Why::WrongPayment { .. });
        let dispute = Dispute {
            due: open.due.id,
            counterparty: open.due.counterparty,
            due_msat: open.due.due_msat,
            unpaid_msat: open.unpaid(),
            why,
            at: now,
            proof: open.proof.clone(),
            invoice,
        };
        let mut effects = Vec::new();
        // A wrong payment may still be put right in time, or become a default.
        effects.extend(is_lasting.then(|| self.write(now, Record::Disputed(*id, why))));
        effects.push(tell(Told::Disputed(Box::new(dispute))));
        effects
    }
}
