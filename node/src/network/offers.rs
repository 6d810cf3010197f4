//! Standing offers in the DHT: publishing our own, keeping those of others, and looking some up (P30).
//!
//! Invariant: whatever is stored or told here was verified, holds, and stands under its key; and no
//! member's offer is dropped for another's, whoever brings what. A search asks all that should know and
//! merges what they say, so one that leaves something out hides nothing that others have.
//! Not for: who accepts what; the network knows offers only as something to find.

mod book;

use std::sync::Arc;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::offer::{
    DAYS_AHEAD_MAX, Day, Offer, OfferSet, Product, bucket_of, buckets, offers_key,
};
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::Timestamp;
use libp2p::PeerId;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, GetRecordError, GetRecordOk, QueryResult, Quorum};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::discovery::ends_at;
use super::event_loop::Network;
use super::refused::{Blame, Refused};
use super::status::RECORDS;

use book::{For, Key, Search};
pub(super) use book::{OFFER_KEYS_MAX, Offers};

/// What a lookup found.
#[derive(Clone, Debug)]
pub struct FoundOffers {
    /// The newest offer of each author, withdrawn ones left out; the best first.
    pub offers: Vec<Verified<Offer>>,
    /// Whether everybody who was asked answered; otherwise there may be more.
    pub is_complete: bool,
}

fn record_key(key: &Key) -> kad::RecordKey {
    kad::RecordKey::new(key)
}

impl Network {
    /// Takes an offer of ours, to be published for as long as it holds.
    pub(super) fn publish_offer(&mut self, bytes: Arc<[u8]>) {
        let (now, wall) = (Instant::now(), (self.clock)());
        let offer = match self.screening.offer(bytes, wall) {
            Ok(offer) => offer,
            Err(refused) => {
                tracing::debug!(reason = refused.reason(), "an own offer is not published");
                return;
            }
        };
        let key = self.key_of_offer(&offer, wall);
        let mut set = self.offers.kept(&key);
        set.merge(offer.clone());
        self.keep_offers(key, set, wall);
        let place = (offer.body().product, self.day_of(&offer));
        self.offers.publish(place, key, offer, now);
        self.tend_offers(now, wall);
    }

    /// Looks up the offers of a product on a day, in all parts of the DHT that have some.
    pub(super) fn find_offers(
        &mut self,
        (product, day): (Product, Day),
        answer: oneshot::Sender<FoundOffers>,
    ) {
        let wall = (self.clock)();
        let parts = buckets(self.roster_now(wall).members().len());
        let asks_somebody = self.somebody_listens();
        self.offers.look_up(((product, day), parts), asks_somebody, answer, Instant::now());
        self.search_on();
    }

    /// Drops what has ended, publishes what is due, and ends lookups that take too long.
    pub(super) fn tend_offers(&mut self, now: Instant, wall: Timestamp) {
        for (key, set) in self.offers.expire(wall) {
            self.keep_offers(key, set, wall);
        }
        self.offers.give_up(now);
        if !self.somebody_listens() {
            return;
        }
        for (place, key) in self.offers.due(now) {
            self.search(key, For::Publishing(place));
        }
    }

    /// Brings offers under the keys that they have with another roster.
    pub(super) fn resettle_offers(&mut self, roster: &Roster, now: Instant, wall: Timestamp) {
        let kept = self.offers.clear(now);
        for (key, _) in &kept {
            self.swarm.behaviour_mut().kad.store_mut().remove(&record_key(key));
        }
        let offers = kept.iter().flat_map(|(_, set)| set.iter());
        for offer in offers.filter(|offer| roster.index_of(&offer.participant()).is_some()) {
            let key = self.key_of_offer(offer, wall);
            let mut set = self.offers.kept(&key);
            set.merge(offer.clone());
            if self.offers.has_room(&key) {
                self.keep_offers(key, set, wall);
            }
        }
        for (place, offer) in self.offers.own() {
            let key = self.key_of_offer(&offer, wall);
            self.offers.publish(place, key, offer, now);
        }
    }

    /// Stores offers for others to find, beside those that are there. What is wrong is left out.
    pub(super) fn store_offers(
        &mut self,
        source: &PeerId,
        record: &kad::Record,
        entries: Vec<Vec<u8>>,
    ) -> Result<(), Refused> {
        let key = Key::try_from(record.key.as_ref()).map_err(|_| Refused::Misplaced)?;
        if !self.offers.has_room(&key) {
            return Err(Refused::Overloaded);
        }
        let mut set = self.offers.kept(&key);
        let (is_news, taken) = self.take_in(&key, &mut set, entries, Some(source));
        if is_news {
            self.keep_offers(key, set, (self.clock)());
        }
        taken
    }

    /// What a search of ours comes to, step by step.
    pub(super) fn on_search(&mut self, id: kad::QueryId, result: QueryResult, is_last: bool) {
        let Some(mut search) = self.offers.searches.remove(&id) else { return };
        if let QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) = &result {
            let source = found.peer.unwrap_or(*self.swarm.local_peer_id());
            let entries = OfferSet::split(&found.record.value).map_err(|_| Refused::Malformed);
            let taken = entries
                .and_then(|entries| self.take_in(&search.key, &mut search.set, entries, None).1);
            if let Err(refused) = taken {
                self.refuse(RECORDS, source, refused);
            }
        }
        if !is_last {
            self.offers.searches.insert(id, search);
            return;
        }
        let timed_out =
            matches!(result, QueryResult::GetRecord(Err(GetRecordError::Timeout { .. })));
        match search.purpose {
            For::Publishing(_) => self.publish_found(search),
            For::Lookup(number) => {
                self.offers.found(number, &search.set, !timed_out);
                self.search_on();
            }
        }
    }

    /// Publishes what is kept under the key of an own offer, merged with what others keep there.
    fn publish_found(&mut self, search: Search) {
        let wall = (self.clock)();
        let mut set = self.offers.kept(&search.key);
        for offer in search.set.iter() {
            set.merge(offer.clone());
        }
        let Some(record) = self.keep_offers(search.key, set, wall) else { return };
        if let Err(error) = self.swarm.behaviour_mut().kad.put_record(record, Quorum::One) {
            tracing::warn!(%error, "own offers could not be stored");
        }
    }

    /// Starts what lookups have still to ask.
    fn search_on(&mut self) {
        while let Some((number, (product, day), part)) = self.offers.next_part() {
            let key = offers_key(&self.grid, product, day, part);
            self.search(key, For::Lookup(number));
        }
    }

    fn search(&mut self, key: Key, purpose: For) {
        let set = self.offers.kept(&key);
        let id = self.swarm.behaviour_mut().kad.get_record(record_key(&key));
        self.offers.searches.insert(id, Search { key, set, purpose });
    }

    /// Merges what verifies, holds and belongs under a key into a set. Says whether there was any
    /// news, and what is worst of what was left out.
    fn take_in(
        &mut self,
        key: &Key,
        set: &mut OfferSet,
        entries: Vec<Vec<u8>>,
        brought_by: Option<&PeerId>,
    ) -> (bool, Result<(), Refused>) {
        let (mut is_news, mut taken) = (false, Ok(()));
        for bytes in entries {
            if set.iter().any(|known| known.bytes().as_ref() == bytes.as_slice()) {
                continue;
            }
            // Each has a signature to be checked.
            if brought_by.is_some_and(|source| !self.may_bring(source)) {
                return (is_news, taken.and(Err(Refused::TooOften)));
            }
            match self.screen_offer(key, bytes) {
                Ok(offer) => is_news |= set.merge(offer),
                Err(refused) if refused.blame() == Blame::Sender => taken = Err(refused),
                Err(refused) => taken = taken.and(Err(refused)),
            }
        }
        (is_news, taken)
    }

    fn screen_offer(&mut self, key: &Key, bytes: Vec<u8>) -> Result<Verified<Offer>, Refused> {
        let wall = (self.clock)();
        let offer = self.screening.offer(bytes, wall)?;
        let (day, today) = (self.day_of(&offer).to_number(), Day::of(wall).to_number());
        let days = today.saturating_sub(1)..=today.saturating_add(DAYS_AHEAD_MAX);
        if !days.contains(&day) || self.key_of_offer(&offer, wall) != *key {
            return Err(Refused::Misplaced);
        }
        Ok(offer)
    }

    /// Keeps a set for others to find, in place of what was there; nothing where it is empty.
    fn keep_offers(&mut self, key: Key, set: OfferSet, wall: Timestamp) -> Option<kad::Record> {
        let store = self.swarm.behaviour_mut().kad.store_mut();
        let Some(until) = set.iter().map(|offer| offer.body().expires_at).max() else {
            store.remove(&record_key(&key));
            return None;
        };
        let expires = Some(ends_at(until, wall));
        let record = kad::Record { expires, ..kad::Record::new(record_key(&key), set.to_bytes()) };
        if let Err(error) = store.put(record.clone()) {
            tracing::warn!(%error, "offers could not be stored");
        }
        self.offers.keep(key, set);
        Some(record)
    }

    fn roster_now(&mut self, wall: Timestamp) -> Arc<Roster> {
        let current = self.charter.interval.interval_at(wall);
        self.screening.gate().roster(current)
    }

    fn day_of(&self, offer: &Verified<Offer>) -> Day {
        Day::of(self.charter.interval.start_of(offer.body().first))
    }

    fn key_of_offer(&mut self, offer: &Verified<Offer>, wall: Timestamp) -> Key {
        let part = bucket_of(&offer.participant(), self.roster_now(wall).members().len());
        offers_key(&self.grid, offer.body().product, self.day_of(offer), part)
    }
}
