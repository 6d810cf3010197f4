//! Forgiving: the owner writes off what a counterparty owes and has not paid in time, or will not pay
//! since it reckons otherwise, and trusts it anew as a newcomer.
//!
//! Nothing is asked for what is forgiven any more, and it counts as owed no longer; the records of its
//! disputes stay. What is paid for it all the same is a gift, and no part of the ledger.
//! Not for: what is due and not in dispute.

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Msat, Timestamp};

use super::due::DueId;
use super::record::Record;
use super::{Payments, Told, not_taken, tell};
use crate::effect::Effect;

impl Payments {
    /// Forgives a counterparty all that it owes and is in dispute.
    pub fn forgive(&mut self, now: Timestamp, counterparty: ParticipantId) -> Vec<Effect> {
        let dues = self.state.in_dispute(&counterparty);
        if dues.is_empty() && self.standing(&counterparty).defaults == 0 {
            return not_taken("nothing_to_forgive");
        }
        let unpaid = dues.iter().filter_map(|id| self.state.open.get(id));
        let unpaid_msat = unpaid
            .fold(Msat::ZERO, |sum, open| sum.checked_add(open.unpaid()).unwrap_or(Msat::MAX));
        let effect = self.write(now, Record::Forgiven(counterparty));
        vec![effect, tell(Told::Forgiven { counterparty, dues, unpaid_msat })]
    }
}

impl super::state::State {
    /// The dues of a counterparty to us that are in dispute and not paid.
    pub(super) fn in_dispute(&self, counterparty: &ParticipantId) -> Vec<DueId> {
        self.open
            .values()
            .filter(|open| open.due.is_to_me() && open.due.counterparty == *counterparty)
            .filter(|open| open.disputed.is_some() && !open.is_paid())
            .map(|open| open.due.id)
            .collect()
    }

    /// Writes off what is in dispute with a counterparty, and forgets how it has behaved.
    pub(super) fn forgive(&mut self, counterparty: &ParticipantId) {
        for id in self.in_dispute(counterparty) {
            if let Some(open) = self.open.remove(&id) {
                self.note_paid(id, *counterparty, open.unpaid());
            }
        }
        self.standings.remove(counterparty);
    }
}
