//! What we accept of others' offers, until they have said their word (P28).

use std::sync::Arc;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::forward::{Acceptance, Reply, Word};
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::offer::Offer;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};

use super::{Forwards, OPEN_MAX, Open, not_taken, persist};
use crate::effect::{Effect, Slot};
use crate::notice::Notice;

impl Forwards {
    /// Signs that we take so much of an offer in some of its intervals, and asks its author.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        offer: &Verified<Offer>,
        (first, after): (Interval, Interval),
        energy_mwh: Energy,
    ) -> Vec<Effect> {
        let body = offer.body();
        if offer.participant() == self.participant {
            return not_taken("own_offer");
        }
        let inside = body.first <= first && first < after && after <= body.after;
        if !inside || energy_mwh < body.minimum_mwh || energy_mwh > body.energy_mwh {
            return not_taken("beyond_the_offer");
        }
        if body.withdrawn || now >= body.expires_at {
            return not_taken("offer_no_longer_stands");
        }
        if self.is_late(now, first) {
            return not_taken("acceptance_too_late");
        }
        if self.open.len() >= OPEN_MAX {
            return not_taken("too_many_open_acceptances");
        }
        let (me, offerer) = (self.participant, offer.participant());
        if !(self.is_member(&me, first, after) && self.is_member(&offerer, first, after)) {
            return not_taken("not_a_member_in_all_intervals");
        }
        let side = body.product.side.opposite();
        let Some(stack) = self.stack(side, first, after) else {
            return not_taken("intervals_too_uneven");
        };
        let acceptance = Acceptance {
            offerer,
            product: body.product,
            energy_mwh,
            price_msat_per_kwh: body.price_msat_per_kwh,
            stack,
        };
        let Some(signed) = self.sign(&acceptance, first) else {
            return not_taken("acceptance_above_rating");
        };
        let slot = self.fresh(Slot::Acceptance, after.previous());
        let mut effects = vec![persist(slot, signed.bytes())];
        effects.push(Effect::Tell(Notice::Accepted { acceptance: signed.hash(), to: offerer }));
        self.open.insert(signed.hash(), Open { signed, ask_again: now });
        effects.extend(self.ask_again(now));
        effects
    }

    /// Takes the offerer's word on an acceptance of ours.
    pub(crate) fn hear_reply(&mut self, reply: &Verified<Reply>) -> Vec<Effect> {
        let of = |open: &Open| open.signed.bytes().as_ref() == reply.body().acceptance.as_slice();
        let Some(hash) = self.open.iter().find(|(_, open)| of(open)).map(|(hash, _)| *hash) else {
            return not_taken("reply_not_asked_for");
        };
        let Some(open) = self.open.remove(&hash) else {
            return Vec::new();
        };
        let last = open.signed.body().stack.span().1.previous();
        let slot = self.fresh(Slot::Reply, last);
        let mut effects = vec![persist(slot, reply.bytes())];
        effects.extend(self.settle_open(&open.signed, reply));
        effects
    }

    /// What an acceptance of ours comes to.
    pub(super) fn settle_open(
        &mut self,
        acceptance: &Verified<Acceptance>,
        reply: &Verified<Reply>,
    ) -> Option<Effect> {
        let word = &reply.body().word;
        match word {
            Word::Forward(_) => self.hold(acceptance, (word, reply.bytes()), false),
            Word::Refused(why) => {
                let acceptance = acceptance.hash();
                Some(Effect::Tell(Notice::AcceptanceRefused { acceptance, why: *why }))
            }
        }
    }

    /// Gives up acceptances that nobody replied to before the order window of their first interval.
    pub(super) fn void(&mut self, now: Timestamp) -> Vec<Effect> {
        let timing = &self.charter.interval;
        let opens = |open: &Open| timing.schedule(open.signed.body().stack.span().0).orders_open;
        let due: Vec<MessageHash> = self
            .open
            .iter()
            .filter(|(_, open)| opens(open) <= now)
            .map(|(hash, _)| *hash)
            .collect();
        let mut effects = Vec::new();
        for acceptance in due {
            self.open.remove(&acceptance);
            effects.push(Effect::Tell(Notice::AcceptanceVoid { acceptance }));
        }
        effects
    }

    /// Asks for the words that are still to be said.
    pub(super) fn ask_again(&mut self, now: Timestamp) -> Vec<Effect> {
        let every_ms = self.charter.interval.view_ms;
        let mut effects = Vec::new();
        for open in self.open.values_mut().filter(|open| open.ask_again <= now) {
            open.ask_again = now.plus_ms(every_ms);
            let (to, bytes) = (open.signed.body().offerer, Arc::clone(open.signed.bytes()));
            effects.push(Effect::AskReply { to, bytes });
        }
        effects
    }
}
