//! What a rogue answers when it is asked: the truth, something else, or nothing.

use std::sync::Arc;

use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::direct::ORDERS_MAX;
use boltgrid_protocol::envelope::{Header, Verified};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::Interval;

use super::{Rogue, Role};

/// What a spammer calls a certificate.
const NO_CERTIFICATE: [u8; 1024] = [7; 1024];

impl Rogue {
    /// The signed orders that it hands to whoever asks for those of some members.
    #[must_use]
    pub fn orders_of(&self, interval: Interval, authors: &[RosterIndex]) -> Vec<Arc<[u8]>> {
        let honest = self.market.orders_of(interval, authors);
        let kept = self.memory.get(interval);
        let not_ours = |bytes: &Arc<[u8]>| {
            Header::peek(bytes).is_ok_and(|header| header.author != self.hand.me)
        };
        let other = kept.and_then(|kept| kept.other_order.as_ref());
        let other = other.filter(|other| authors.contains(&other.author())).map(Verified::bytes);
        match self.role {
            Role::Equivocator => {
                honest.into_iter().filter(not_ours).chain(other.cloned()).collect()
            }
            Role::EquivocatingLeader => honest.into_iter().chain(other.cloned()).collect(),
            Role::LatePartial => honest.into_iter().filter(not_ours).collect(),
            Role::WithholdingLeader => Vec::new(),
            Role::Replayer => self.market.orders_of(interval.previous(), authors),
            Role::Spammer => {
                let spam = kept.map_or(&[][..], |kept| &kept.spam_orders);
                spam.iter().take(ORDERS_MAX).cloned().collect()
            }
            Role::SelectiveAcker
            | Role::DoubleVoter
            | Role::LyingMeter
            | Role::NeverConfirms
            | Role::NeverDelivers
            | Role::FalsePayee
            | Role::FalsePayer
            | Role::Eavesdropper => honest,
        }
    }

    /// The certificate that it hands to whoever asks for an interval's.
    #[must_use]
    pub fn certificate(&self, interval: Interval) -> Option<Arc<[u8]>> {
        match self.role {
            Role::WithholdingLeader => None,
            Role::Replayer => self.market.certificate(interval.previous()),
            Role::Spammer => Some(NO_CERTIFICATE.as_slice().into()),
            Role::DoubleVoter => {
                // One precommit short, and one of them twice.
                let honest = self.market.certificate(interval)?;
                let mut certificate = BookCertificate::from_bytes(&honest).ok()?;
                certificate.precommits.pop();
                let last = certificate.precommits.last().cloned();
                certificate.precommits.extend(last);
                Some(certificate.to_bytes().into())
            }
            Role::Equivocator
            | Role::LatePartial
            | Role::SelectiveAcker
            | Role::EquivocatingLeader
            | Role::LyingMeter
            | Role::NeverConfirms
            | Role::NeverDelivers
            | Role::FalsePayee
            | Role::FalsePayer
            | Role::Eavesdropper => self.market.certificate(interval),
        }
    }
}
