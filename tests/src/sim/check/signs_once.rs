//! What binds is written first, and nothing is ever signed anew for a filled slot (P21).
//!
//! Every message of its own that an honest node lets out is compared with its disk at that moment and
//! with everything it ever let out before. Not for: adversaries, who may sign what they like.

use std::collections::BTreeMap;

use boltgrid_market::effect::Slot;
use boltgrid_protocol::agreement::Stage;
use boltgrid_protocol::envelope::Kind;
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::message::Message;

use super::{Findings, Guarantee, Here};
use crate::sim::admission::Parts;
use crate::sim::journal::Journal;

/// All that honest nodes let out.
#[derive(Debug, Default)]
pub(super) struct SignsOnce {
    out: BTreeMap<(usize, Kind, Slot), MessageHash>,
}

impl SignsOnce {
    pub(super) fn left(
        &mut self,
        findings: &mut Findings,
        here: Here,
        message: &Message,
        journal: &Journal,
    ) {
        let Some(slot) = slot_of(message) else { return };
        let parts = Parts::of(message);
        let is_stored = journal
            .get(slot)
            .is_some_and(|entry| follows_from_reading(message) || entry.bytes == parts.bytes);
        if !is_stored {
            let what = format!("{slot:?} leaves and is not on disk");
            findings.at(Guarantee::SignsOnce, here, parts.interval, what);
        }
        let earlier = self.out.insert((here.node, message.kind(), slot), parts.hash);
        if earlier.is_some_and(|earlier| earlier != parts.hash) {
            let what = format!("{slot:?} is signed anew");
            findings.at(Guarantee::SignsOnce, here, parts.interval, what);
        }
    }
}

/// A seal follows from the reading, and a share from two readings and the book that there is one of.
const fn follows_from_reading(message: &Message) -> bool {
    matches!(message, Message::Seal(_) | Message::Share(_))
}

/// The slot that a message fills.
pub(super) fn slot_of(message: &Message) -> Option<Slot> {
    Some(match message {
        Message::Order(it) => Slot::Order(it.interval()),
        Message::Ack(it) => Slot::Ack(it.interval()),
        Message::Proposal(it) => Slot::Proposal(it.interval(), it.body().view),
        Message::Vote(it) => match it.body().stage {
            Stage::Prevote => Slot::Prevote(it.interval(), it.body().view),
            Stage::Precommit => Slot::Precommit(it.interval(), it.body().view),
        },
        Message::Confirm(it) => Slot::Confirm(it.interval(), it.body().terms.index),
        Message::Reading(it) => Slot::Reading(it.interval()),
        Message::Seal(it) => Slot::Reading(it.interval()),
        // Its interval ends with this reading.
        Message::Share(it) => Slot::Reading(it.interval().next()),
        Message::Evidence(_)
        | Message::PeerRecord(_)
        | Message::Offer(_)
        | Message::Acceptance(_)
        | Message::Reply(_)
        | Message::Invoice(_)
        | Message::Deed(_) => return None,
    })
}
