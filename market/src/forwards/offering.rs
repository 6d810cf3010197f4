//! Our own offers, and our word on what others accept of them (P27, P28).

use std::sync::Arc;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::forward::{Acceptance, Forward, Refusal, Reply, Word};
use boltgrid_protocol::offer::{DAYS_AHEAD_MAX, Day, OFFER_LIFETIME_MAX_MS, Offer, Product};
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, Interval, Price, Timestamp};

use super::{Forwards, Held, REPLIES_PER_MEMBER, Replied, not_taken, persist};
use crate::effect::{Effect, Slot};
use crate::notice::Notice;

/// What a site wants to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What.
    pub product: Product,
    /// How much in every interval.
    pub energy_mwh: Energy,
    /// The least that may be accepted in every interval.
    pub minimum_mwh: Energy,
    /// At what price.
    pub price_msat_per_kwh: Price,
    /// The first interval.
    pub first: Interval,
    /// The interval after the last.
    pub after: Interval,
    /// When the offer ends, within a day; `None` for as long as anything of it can be accepted.
    pub expires_at: Option<Timestamp>,
}

impl Forwards {
    /// Signs and publishes an offer, in place of an earlier one of the same product and day.
    pub(crate) fn offer(&mut self, now: Timestamp, terms: &Terms) -> Vec<Effect> {
        let day = self.day_of(terms.first);
        let today = Day::of(now).to_number();
        if day.to_number() > today.saturating_add(DAYS_AHEAD_MAX) {
            return not_taken("offer_too_far_ahead");
        }
        if terms.first >= terms.after || now >= self.latest(terms.after.previous()) {
            return not_taken("offer_too_late");
        }
        let life = now.plus_ms(OFFER_LIFETIME_MAX_MS);
        let until = terms.expires_at.unwrap_or_else(|| self.latest(terms.after.previous()));
        if terms.expires_at.is_some_and(|until| until > life) {
            return not_taken("offer_lives_too_long");
        }
        let offer = Offer {
            product: terms.product,
            energy_mwh: terms.energy_mwh,
            minimum_mwh: terms.minimum_mwh,
            price_msat_per_kwh: terms.price_msat_per_kwh,
            first: terms.first,
            after: terms.after,
            sequence: 0,
            made_at: now,
            expires_at: until.min(life),
            withdrawn: false,
        };
        self.publish(now, offer)
    }

    /// Withdraws our offer of a product and day. What was accepted of it stays.
    pub(crate) fn withdraw(&mut self, now: Timestamp, product: Product, day: Day) -> Vec<Effect> {
        match self.offers.get(&(day, product)).map(Verified::body) {
            Some(offer) if !offer.withdrawn => {
                let withdrawn = Offer { withdrawn: true, made_at: now, ..*offer };
                self.publish(now, withdrawn)
            }
            _ => not_taken("no_such_offer"),
        }
    }

    /// Signs the next version of an offer. Its number is the time, so it grows over restarts.
    fn publish(&mut self, now: Timestamp, offer: Offer) -> Vec<Effect> {
        let place = (self.day_of(offer.first), offer.product);
        let before = self.offers.get(&place).map_or(0, |known| known.body().sequence);
        let sequence = now.to_unix_ms().max(before.saturating_add(1));
        let Some(signed) = self.sign(&Offer { sequence, ..offer }, offer.first) else {
            return not_taken("offer_invalid");
        };
        let slot = self.fresh(Slot::Offer, offer.after.previous());
        let bytes = signed.bytes();
        let effects = vec![
            persist(slot, bytes),
            Effect::PublishOffer(Arc::clone(bytes)),
            Effect::Tell(Notice::Offered(Box::new(*signed.body()))),
        ];
        self.offers.insert(place, signed);
        effects
    }

    /// When an offer that stands is to be signed again: half-way, if it ended only for its age.
    pub(super) fn renew_at(&self, offer: &Offer) -> Option<Timestamp> {
        let ends_for_age = offer.expires_at == offer.made_at.plus_ms(OFFER_LIFETIME_MAX_MS);
        (ends_for_age && !offer.withdrawn)
            .then(|| offer.made_at.plus_ms(OFFER_LIFETIME_MAX_MS.div_euclid(2)))
    }

    /// Publishes our offers after a start, as they were signed.
    pub(super) fn publish_again(&mut self) -> Vec<Effect> {
        if std::mem::replace(&mut self.published, true) {
            return Vec::new();
        }
        let unreadable = std::mem::take(&mut self.unreadable);
        let mut effects: Vec<Effect> =
            (0..unreadable).flat_map(|_| not_taken("journal_of_another_roster")).collect();
        let offers = self.offers.values();
        effects.extend(offers.map(|offer| Effect::PublishOffer(Arc::clone(offer.bytes()))));
        effects
    }

    /// Signs again what stands on.
    pub(super) fn renew(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        let offers = self.offers.values().map(|offer| *offer.body());
        let due: Vec<Offer> =
            offers.filter(|offer| self.renew_at(offer).is_some_and(|at| at <= now)).collect();
        for offer in due {
            let life = now.plus_ms(OFFER_LIFETIME_MAX_MS);
            let expires_at = self.latest(offer.after.previous()).min(life);
            if now < expires_at {
                effects.extend(self.publish(now, Offer { made_at: now, expires_at, ..offer }));
            }
        }
        effects
    }

    /// Our word on an acceptance, the same whenever it is asked for; `None` where there is none. While
    /// we abstain no new one is said, and the acceptor asks again (P25).
    pub(crate) fn reply(
        &mut self,
        now: Timestamp,
        asked: &Verified<Acceptance>,
        token: u64,
        may_sign: bool,
    ) -> Vec<Effect> {
        let answer = |bytes| vec![Effect::AnswerReply { token, bytes }];
        if let Some(replied) = self.replied.get(&asked.hash()) {
            return answer(Some(Arc::clone(&replied.bytes)));
        }
        let (first, after) = asked.body().stack.span();
        let to = asked.participant();
        let of_member = self.replied.values().filter(|replied| replied.to == to).count();
        let current = self.charter.interval.interval_at(now);
        let signs = may_sign
            && asked.body().offerer == self.participant
            && after > current
            && Day::of(self.charter.interval.start_of(first)).to_number()
                <= Day::of(now).to_number().saturating_add(DAYS_AHEAD_MAX)
            && of_member < REPLIES_PER_MEMBER;
        let word = self.word(now, asked);
        let reply = Reply { acceptance: asked.bytes().to_vec(), word: word.clone() };
        let Some(signed) = signs.then(|| self.sign(&reply, first)).flatten() else {
            return answer(None);
        };
        let slot = self.fresh(Slot::Reply, after.previous());
        let bytes = Arc::clone(signed.bytes());
        let mut effects = vec![persist(slot, &bytes)];
        effects.extend(answer(Some(Arc::clone(&bytes))));
        effects.extend(self.hold(asked, (&word, &bytes), true));
        self.replied.insert(asked.hash(), Replied { to, after, bytes });
        effects
    }

    /// Keeps a forward that both sides have signed.
    pub(super) fn hold(
        &mut self,
        acceptance: &Verified<Acceptance>,
        (word, reply): (&Word, &Arc<[u8]>),
        offered: bool,
    ) -> Option<Effect> {
        let forward = Forward::of(acceptance, word)?;
        let acceptance = acceptance.hash();
        let held = Held { acceptance, forward, offered, reply: Arc::clone(reply) };
        self.held.insert(acceptance, held.clone());
        Some(Effect::Tell(Notice::ForwardMade(Box::new(held))))
    }

    /// What the journal lets us say: the only place that decides about our own energy (P28).
    fn word(&mut self, now: Timestamp, asked: &Verified<Acceptance>) -> Word {
        match self.forward(now, asked) {
            Ok(word) => word,
            Err(refusal) => Word::Refused(refusal),
        }
    }

    fn forward(&mut self, now: Timestamp, asked: &Verified<Acceptance>) -> Result<Word, Refusal> {
        let accepted = asked.body();
        let (first, after) = accepted.stack.span();
        let require = |holds, refusal| if holds { Ok(()) } else { Err(refusal) };
        let offer = self
            .offers
            .get(&(self.day_of(first), accepted.product))
            .map(|offer| *offer.body())
            .ok_or(Refusal::UnknownOffer)?;
        require(!offer.withdrawn && now < offer.expires_at, Refusal::Withdrawn)?;
        let fits = offer.price_msat_per_kwh == accepted.price_msat_per_kwh
            && offer.first <= first
            && after <= offer.after;
        require(fits, Refusal::UnknownOffer)?;
        require(!self.is_late(now, first), Refusal::TooLate)?;
        require(accepted.energy_mwh >= offer.minimum_mwh, Refusal::BelowMinimum)?;
        let taken = self.accepted(accepted.product, first, after);
        let left = offer.energy_mwh.saturating_sub(taken);
        require(accepted.energy_mwh <= left, Refusal::NotEnoughLeft)?;
        let (me, them) = (self.participant, asked.participant());
        let members = self.is_member(&me, first, after) && self.is_member(&them, first, after);
        require(members, Refusal::NotAMember)?;
        let side = accepted.product.side;
        let stack = self.stack(side, first, after).ok_or(Refusal::TooUneven)?;
        let top = stack.highest().checked_add(accepted.energy_mwh);
        let rated = self.rated(side, first);
        require(top.is_some_and(|top| top <= rated), Refusal::NotEnoughLeft)?;
        Ok(Word::Forward(stack))
    }

    /// What our connection point moves in an interval on a side.
    fn rated(&mut self, side: Side, at: Interval) -> Energy {
        let roster = self.roster(at);
        let member = roster.index_of(&self.participant).and_then(|index| roster.member(index));
        let rated = member.map(|member| match side {
            Side::Buy => member.enrolment.rated_import_mw,
            Side::Sell => member.enrolment.rated_export_mw,
        });
        rated
            .and_then(|rated| rated.energy_over_floor(self.charter.interval.interval_ms).ok())
            .unwrap_or_default()
    }

    pub(super) fn day_of(&self, interval: Interval) -> Day {
        Day::of(self.charter.interval.start_of(interval))
    }
}
