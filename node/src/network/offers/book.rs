//! What is known of standing offers, what of it is ours, and which searches are under way. Pure
//! book-keeping. Not for: asking or storing anything; [`super`] does.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::offer::{Day, Offer, OfferSet, Product, by_price};
use boltgrid_protocol::units::Timestamp;
use libp2p::kad;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::pace::Backoff;
use super::FoundOffers;

/// Most keys of the DHT whose offers are kept: all products of two weeks in a grid of two hundred.
pub(crate) const OFFER_KEYS_MAX: usize = 2048;
/// Lookups at a time; more are answered with nothing, and not completely.
const LOOKUPS_MAX: usize = 8;
/// Parts that one lookup asks for at a time.
const PARTS_AT_ONCE: usize = 8;
/// How long a lookup takes at most; then it is answered with what was found.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);
/// Own offers published at a time.
const PUBLISHED_AT_ONCE: usize = 8;
/// Own offers: one per product and day, in the week that they may be of.
const OWN_MAX: usize = 128;
/// Between the first and the second publication of an offer; then twice as long each time.
const PUBLISH_MIN: Duration = Duration::from_secs(5);
/// Between two publications, at most: who stores it may go at any time.
const PUBLISH_MAX: Duration = Duration::from_secs(15 * 60);

/// Where offers are in the DHT.
pub(super) type Key = [u8; 32];
/// What an author has one offer of.
pub(super) type Place = (Product, Day);

/// What a search is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    /// To merge what others keep with an own offer.
    Publishing(Place),
    /// To answer the lookup with this number.
    Lookup(u64),
}

/// One search of one key.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) key: Key,
    pub(super) set: OfferSet,
    pub(super) purpose: For,
}

#[derive(Debug)]
struct Own {
    key: Key,
    offer: Verified<Offer>,
    pace: Backoff,
}

#[derive(Debug)]
struct Lookup {
    place: Place,
    left: Range<u16>,
    under_way: usize,
    offers: Vec<Verified<Offer>>,
    is_complete: bool,
    until: Instant,
    answer: oneshot::Sender<FoundOffers>,
}

impl Lookup {
    fn end(self, is_complete: bool) {
        let standing = by_price(&self.offers);
        let offers = standing.into_iter().cloned().collect();
        // Whoever asked may have gone.
        drop(self.answer.send(FoundOffers { offers, is_complete }));
    }
}

/// All that a node knows of standing offers.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    kept: BTreeMap<Key, OfferSet>,
    own: BTreeMap<Place, Own>,
    lookups: BTreeMap<u64, Lookup>,
    next_lookup: u64,
    pub(super) searches: HashMap<kad::QueryId, Search>,
}

impl Offers {
    /// Whether a query is a search of offers.
    pub(crate) fn is_search(&self, id: &kad::QueryId) -> bool {
        self.searches.contains_key(id)
    }

    /// Under how many keys something is kept.
    pub(crate) fn keys(&self) -> usize {
        self.kept.len()
    }

    /// What is kept under a key.
    pub(super) fn kept(&self, key: &Key) -> OfferSet {
        self.kept.get(key).cloned().unwrap_or_default()
    }

    /// Whether something may be kept under a key.
    pub(super) fn has_room(&self, key: &Key) -> bool {
        self.kept.contains_key(key) || self.kept.len() < OFFER_KEYS_MAX
    }

    pub(super) fn keep(&mut self, key: Key, set: OfferSet) {
        self.kept.insert(key, set);
    }

    /// Forgets all that is kept, and says what that was. Own offers are due again.
    pub(super) fn clear(&mut self, now: Instant) -> Vec<(Key, OfferSet)> {
        self.own.values_mut().for_each(|own| own.pace.restart(now));
        std::mem::take(&mut self.kept).into_iter().collect()
    }

    /// Drops what has ended; says what is left under the keys where something has.
    pub(super) fn expire(&mut self, wall: Timestamp) -> Vec<(Key, OfferSet)> {
        self.own.retain(|_, own| wall < own.offer.body().expires_at);
        let mut changed = Vec::new();
        for (key, set) in &mut self.kept {
            if set.iter().any(|offer| offer.body().expires_at <= wall) {
                set.expire(wall);
                changed.push((*key, set.clone()));
            }
        }
        self.kept.retain(|_, set| set.iter().next().is_some());
        changed
    }

    /// Our own offers.
    pub(super) fn own(&self) -> Vec<(Place, Verified<Offer>)> {
        self.own.iter().map(|(place, own)| (*place, own.offer.clone())).collect()
    }

    /// An own offer is to be published under a key, at once and now and then.
    pub(super) fn publish(&mut self, place: Place, key: Key, offer: Verified<Offer>, now: Instant) {
        if self.own.contains_key(&place) || self.own.len() < OWN_MAX {
            let pace = Backoff::new(now, PUBLISH_MIN, PUBLISH_MAX);
            self.own.insert(place, Own { key, offer, pace });
        }
    }

    /// The own offers to be published now, as many as may be at a time.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Place, Key)> {
        let mut under_way = Vec::new();
        for search in self.searches.values() {
            if let For::Publishing(place) = search.purpose {
                under_way.push(place);
            }
        }
        let room = PUBLISHED_AT_ONCE.saturating_sub(under_way.len());
        let mut due = Vec::new();
        for (place, own) in &mut self.own {
            if due.len() < room && own.pace.is_due(now) && !under_way.contains(place) {
                own.pace.tried(now);
                due.push((*place, own.key));
            }
        }
        due
    }

    /// Notes a lookup of so many parts.
    pub(super) fn look_up(
        &mut self,
        (place, parts): (Place, u16),
        is_complete: bool,
        answer: oneshot::Sender<FoundOffers>,
        now: Instant,
    ) {
        let lookup = Lookup {
            place,
            left: 0..parts,
            under_way: 0,
            offers: Vec::new(),
            is_complete,
            until: now + LOOKUP_TIMEOUT,
            answer,
        };
        if self.lookups.len() >= LOOKUPS_MAX {
            lookup.end(false);
            return;
        }
        self.lookups.insert(self.next_lookup, lookup);
        self.next_lookup = self.next_lookup.wrapping_add(1);
    }

    /// The next part that a lookup has to ask for.
    pub(super) fn next_part(&mut self) -> Option<(u64, Place, u16)> {
        self.lookups.iter_mut().find_map(|(number, lookup)| {
            let part = (lookup.under_way < PARTS_AT_ONCE).then(|| lookup.left.next()).flatten()?;
            lookup.under_way = lookup.under_way.saturating_add(1);
            Some((*number, lookup.place, part))
        })
    }

    /// A part of a lookup is through; the last one ends it.
    pub(super) fn found(&mut self, number: u64, set: &OfferSet, is_complete: bool) {
        let Some(lookup) = self.lookups.get_mut(&number) else { return };
        lookup.offers.extend(set.iter().cloned());
        lookup.is_complete &= is_complete;
        lookup.under_way = lookup.under_way.saturating_sub(1);
        if lookup.under_way == 0
            && lookup.left.is_empty()
            && let Some(lookup) = self.lookups.remove(&number)
        {
            let is_complete = lookup.is_complete;
            lookup.end(is_complete);
        }
    }

    /// Ends lookups that take too long.
    pub(super) fn give_up(&mut self, now: Instant) {
        let late = |lookup: &Lookup| lookup.until <= now;
        let late: Vec<u64> =
            self.lookups.iter().filter(|(_, it)| late(it)).map(|(number, _)| *number).collect();
        for number in late {
            if let Some(lookup) = self.lookups.remove(&number) {
                lookup.end(false);
            }
        }
    }
}
