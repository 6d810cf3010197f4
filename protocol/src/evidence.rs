//! Evidence: two signed messages that their author must never have signed both, provable by anyone.
//! Not for: omission, which proves nothing.

use serde::{Deserialize, Serialize};

use crate::agreement::{Ack, Vote};
use crate::charter::Charter;
use crate::envelope::{Header, Kind, MessageRejected, Payload, Signed, Verified};
use crate::id::{ParticipantId, RosterIndex};
use crate::masking::Share;
use crate::order::Order;
use crate::reading::Reading;
use crate::roster::Roster;
use crate::seal::Seal;

/// Two messages of one author for one slot that differ (P20): two orders or acks of one interval,
/// two votes of one stage of one view, two readings, or seals, of one instant, or two shares of one
/// interval.
///
/// Two readings of one sequence number prove nothing: a meter that lost its memory counts from zero.
/// Both messages belong to one roster, and so does the one that carries them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// A signed message.
    pub first: Vec<u8>,
    /// Another one for the same slot.
    pub second: Vec<u8>,
}

impl Evidence {
    /// Checks that the two messages convict their author, and returns it.
    ///
    /// # Errors
    ///
    /// [`MessageRejected`] where they prove nothing.
    pub fn culprit(
        &self,
        charter: &Charter,
        roster: &Roster,
    ) -> Result<ParticipantId, MessageRejected> {
        match Header::peek(&self.first)?.kind {
            Kind::Order => self.convict::<Order>(charter, roster, same_interval),
            Kind::Ack => self.convict::<Ack>(charter, roster, same_interval),
            Kind::Vote => self.convict::<Vote>(charter, roster, |a, b| {
                let (first, second) = (a.body(), b.body());
                same_interval(a, b) && (first.view, first.stage) == (second.view, second.stage)
            }),
            Kind::Reading => self.convict::<Reading>(charter, roster, same_interval),
            Kind::Seal => self.convict::<Seal>(charter, roster, same_interval),
            Kind::Share => self.convict::<Share>(charter, roster, same_interval),
            Kind::Proposal
            | Kind::TradeConfirm
            | Kind::Evidence
            | Kind::PeerRecord
            | Kind::Offer
            | Kind::Acceptance
            | Kind::Reply
            | Kind::Invoice
            | Kind::Deed => Err(MessageRejected::Body("two messages of this kind prove nothing")),
        }
    }

    fn convict<T: Payload>(
        &self,
        charter: &Charter,
        roster: &Roster,
        same_slot: impl FnOnce(&Verified<T>, &Verified<T>) -> bool,
    ) -> Result<ParticipantId, MessageRejected> {
        let verify = |bytes: &[u8]| -> Result<Verified<T>, MessageRejected> {
            Signed::decode(bytes)?.verify(charter, roster)
        };
        let (first, second) = (verify(&self.first)?, verify(&self.second)?);
        if first.participant() == second.participant()
            && first.hash() != second.hash()
            && same_slot(&first, &second)
        {
            Ok(first.participant())
        } else {
            Err(MessageRejected::Body("the two messages do not contradict each other"))
        }
    }

    /// The place of the culprit, for evidence that was verified.
    #[must_use]
    pub fn culprit_index(&self, roster: &Roster) -> Option<RosterIndex> {
        let header = Header::peek(&self.first).ok()?;
        roster.index_of(&header.author)
    }
}

fn same_interval<T>(a: &Verified<T>, b: &Verified<T>) -> bool {
    a.interval() == b.interval()
}

#[cfg(test)]
mod tests;
