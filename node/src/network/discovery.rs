//! Finding the members and being found: connections, identify, the local network and the DHT.
//!
//! From one member's address a node comes to all: it connects, asks the DHT for every member's
//! signed record and dials what the record says. Safety never rests on it: a record only says
//! where a member is, and the connection proves who it is. Not for: choosing whom to dial, which is
//! [`super::peers`].

use std::collections::BTreeMap;
use std::time::Duration;

use boltgrid_protocol::charter::MEMBERS_MAX;
use boltgrid_protocol::envelope::{MessageRejected, Verified};
use boltgrid_protocol::id::{GridId, ParticipantId};
use boltgrid_protocol::offer::OfferSet;
use boltgrid_protocol::peer::{LIFETIME_MAX_MS, LightningContact, PeerRecord};
use boltgrid_protocol::units::{Interval, Timestamp};
use libp2p::core::ConnectedPoint;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, GetRecordOk, InboundRequest, QueryResult, Quorum};
use libp2p::swarm::DialError;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, PeerId, identify, mdns};
use tokio::time::Instant;

use super::addresses::shareable;
use super::behaviour::kad_protocol;
use super::event_loop::Network;
use super::identity::peer_of;
use super::pace::{Backoff, Rate, TokenBucket};
use super::peers::{Novelty, Standing};
use super::refused::Refused;
use super::status::{CONNECTIONS, RECORDS};
use crate::lightning;

/// Between the first and the second announcement; then twice as long each time, since a starting
/// grid grows while the first ones are made.
const ANNOUNCE_MIN: Duration = Duration::from_secs(15);
/// Between two announcements, at most. A record lives far longer.
const ANNOUNCE_MAX: Duration = Duration::from_secs(3600);
/// How long an announcement holds.
const RECORD_LIFETIME_MS: u64 = LIFETIME_MAX_MS;

const _: () = assert!(ANNOUNCE_MAX.as_millis() * 4 < RECORD_LIFETIME_MS as u128);

/// Where a member's record is in the DHT.
fn record_key(grid: &GridId, participant: &ParticipantId) -> kad::RecordKey {
    let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 peer record");
    hasher.update(grid.as_bytes()).update(participant.as_bytes());
    kad::RecordKey::new(hasher.finalize().as_bytes())
}

/// When a record that ends at `expires_at` ends on the monotonic clock.
pub(super) fn ends_at(expires_at: Timestamp, now: Timestamp) -> std::time::Instant {
    std::time::Instant::now() + Duration::from_millis(expires_at.ms_since(now))
}

/// What we last told the DHT about ourselves, and when we do so next.
#[derive(Debug)]
pub(super) struct Announcement {
    external: Vec<Multiaddr>,
    lightning: Option<LightningContact>,
    addresses: Vec<Multiaddr>,
    sequence: u64,
    pace: Backoff,
}

impl Announcement {
    pub(super) const fn new(
        external: Vec<Multiaddr>,
        lightning: Option<LightningContact>,
        now: Instant,
    ) -> Self {
        let pace = Backoff::new(now, ANNOUNCE_MIN, ANNOUNCE_MAX);
        Self { external, lightning, addresses: Vec::new(), sequence: 0, pace }
    }

    /// Whether the record names a Lightning node.
    pub(super) const fn has_lightning(&self) -> bool {
        self.lightning.is_some()
    }

    /// The next record, of the addresses at hand. Its number is the time, so it grows over restarts.
    fn next_record(&mut self, now: Timestamp) -> PeerRecord {
        self.sequence = now.to_unix_ms().max(self.sequence.saturating_add(1));
        PeerRecord {
            addresses: self.addresses.iter().map(Multiaddr::to_string).collect(),
            sequence: self.sequence,
            made_at: now,
            expires_at: now.plus_ms(RECORD_LIFETIME_MS),
            lightning: self.lightning.clone(),
        }
    }
}

/// How many new records peers may bring to be stored, since each has a signature to be checked. What
/// is stored already is recognised by its bytes and costs nothing.
#[derive(Debug)]
pub(super) struct Recorders {
    members: BTreeMap<ParticipantId, TokenBucket>,
    /// All strangers together, who could else come under ever new names.
    strangers: TokenBucket,
}

/// A member may hand on the records of a whole grid at once.
const RECORDS_OF_MEMBER: Rate =
    Rate { capacity: MEMBERS_MAX, one_more_in: Duration::from_millis(125) };
/// Strangers may be members of tomorrow, and have a few.
const RECORDS_OF_STRANGERS: Rate = Rate { capacity: 64, one_more_in: Duration::from_millis(250) };

impl Recorders {
    pub(super) const fn new(now: Instant) -> Self {
        let strangers = TokenBucket::new(RECORDS_OF_STRANGERS, now);
        Self { members: BTreeMap::new(), strangers }
    }

    fn may_bring(&mut self, member: Option<ParticipantId>, now: Instant) -> bool {
        let bucket = match member {
            None => &mut self.strangers,
            Some(member) => {
                let full = || TokenBucket::new(RECORDS_OF_MEMBER, now);
                self.members.entry(member).or_insert_with(full)
            }
        };
        bucket.take(now)
    }

    /// Forgets who is no longer a member.
    pub(super) fn keep(&mut self, is_member: impl Fn(&ParticipantId) -> bool) {
        self.members.retain(|participant, _| is_member(participant));
    }
}

impl Network {
    pub(super) fn on_connected(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        let dialled = endpoint.is_dialer().then(|| endpoint.get_remote_address());
        if let Err(refused) = self.peers.connected(peer, dialled, Instant::now()) {
            self.refuse(CONNECTIONS, peer, refused);
            self.disconnect(peer);
        } else {
            // Before it says anything.
            self.rate(peer, Instant::now());
        }
    }

    pub(super) fn on_disconnected(&mut self, peer: &PeerId) {
        self.peers.disconnected(peer, Instant::now());
    }

    pub(super) fn on_unreachable(&mut self, peer: &PeerId, error: &DialError) {
        tracing::debug!(%peer, %error, "could not be dialled");
        if matches!(error, DialError::Transport(_) | DialError::WrongPeerId { .. }) {
            self.peers.unreachable(peer);
        }
    }

    /// A peer says who it is and where it listens. Only peers that we know of and that keep the
    /// grid's DHT come into the routing table.
    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else { return };
        let standing = self.peers.standing(&peer_id);
        if standing == Standing::Stranger || !info.protocols.contains(&kad_protocol(&self.grid)) {
            return;
        }
        let addresses = shareable(info.listen_addrs);
        let kad = &mut self.swarm.behaviour_mut().kad;
        // In place of what it said before, so that the table does not grow.
        kad.remove_peer(&peer_id);
        for address in &addresses {
            kad.add_address(&peer_id, address.clone());
        }
        if let Standing::Member(participant) = standing {
            self.peers.learn(&participant, addresses, Instant::now());
        }
    }

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else { return };
        for (peer, address) in found {
            if let Some(participant) = self.peers.member(&peer) {
                self.peers.learn(&participant, [address], Instant::now());
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most events of libp2p are only traced")]
    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest {
                request: InboundRequest::PutRecord { source, record: Some(record), .. },
            } => {
                if let Err(refused) = self.store_record(&source, record) {
                    self.refuse(RECORDS, source, refused);
                }
            }
            kad::Event::InboundRequest {
                request: InboundRequest::AddProvider { record: Some(record) },
            } => self.refuse(RECORDS, record.provider, Refused::Provider),
            kad::Event::OutboundQueryProgressed { id, result, step, .. }
                if self.offers.is_search(&id) =>
            {
                self.on_search(id, result, step.last);
            }
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.on_query(id, result);
                if step.last {
                    self.lookups.remove(&id);
                }
            }
            other => tracing::trace!(?other, "kademlia"),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most events of libp2p are only traced")]
    fn on_query(&mut self, id: kad::QueryId, result: QueryResult) {
        match result {
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                match self.learn_record(&found.record) {
                    // What we had already may be why we are looking: somebody may have a later one.
                    Ok((_, Novelty::Known)) => {}
                    Ok((_, Novelty::News)) => {
                        if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
                            query.finish();
                        }
                    }
                    Err(refused) => {
                        let source = found.peer.unwrap_or(*self.swarm.local_peer_id());
                        self.refuse(RECORDS, source, refused);
                    }
                }
            }
            QueryResult::PutRecord(Err(error)) => {
                tracing::debug!(%error, "the own record did not reach the grid");
                self.announcement.pace.retry_in(Instant::now(), ANNOUNCE_MIN);
            }
            other => tracing::trace!(?other, "query"),
        }
    }

    /// Checks a record and learns where its author is.
    fn learn_record(
        &mut self,
        record: &kad::Record,
    ) -> Result<(Verified<PeerRecord>, Novelty), Refused> {
        let verified = self.screening.peer_record(&record.value, (self.clock)())?;
        if record.key != record_key(&self.grid, &verified.participant()) {
            return Err(Refused::WrongKey);
        }
        if let Some(contact) = &verified.body().lightning {
            let binding = LightningContact::binding(&self.grid, &verified.participant());
            if !lightning::verify::verify(&binding, &contact.signature, &contact.node) {
                return Err(Refused::NotItsLightning);
            }
        }
        let novelty = self.peers.learn_record(&verified, Instant::now())?;
        Ok((verified, novelty))
    }

    /// Stores a record for others to find, if it is one.
    fn store_record(&mut self, source: &PeerId, record: kad::Record) -> Result<(), Refused> {
        let store = self.swarm.behaviour_mut().kad.store_mut();
        if store.get(&record.key).is_some_and(|stored| stored.value == record.value) {
            return Ok(());
        }
        if let Ok(entries) = OfferSet::split(&record.value) {
            return self.store_offers(source, &record, entries);
        }
        if !self.may_bring(source) {
            return Err(Refused::TooOften);
        }
        let (verified, _) = self.learn_record(&record)?;
        let expires = ends_at(verified.body().expires_at, (self.clock)());
        let record = kad::Record {
            publisher: peer_of(&verified.participant()),
            expires: Some(expires),
            ..record
        };
        let stored = self.swarm.behaviour_mut().kad.store_mut().put(record);
        stored.map_err(|_| Refused::Overloaded)
    }

    /// Whether a peer may bring one more thing to be verified and stored.
    pub(super) fn may_bring(&mut self, source: &PeerId) -> bool {
        self.recorders.may_bring(self.peers.member(source), Instant::now())
    }

    /// Whether anybody is known who could store or find something.
    pub(super) fn somebody_listens(&mut self) -> bool {
        self.swarm.behaviour_mut().kad.kbuckets().any(|bucket| !bucket.is_empty())
    }

    /// Dials and looks up as planned.
    pub(super) fn look_around(&mut self, now: Instant) {
        let plan = self.peers.plan(self.lookups.len(), now);
        for address in plan.bootstrap {
            tracing::debug!(%address, "dialling a bootstrap address");
            let dial = DialOpts::unknown_peer_id().address(address).allocate_new_port().build();
            self.dial(dial);
        }
        for peer in plan.part {
            self.disconnect(peer);
        }
        for (peer, addresses) in plan.dial {
            self.dial(DialOpts::peer_id(peer).addresses(addresses).allocate_new_port().build());
        }
        for participant in plan.look_up {
            let key = record_key(&self.grid, &participant);
            let id = self.swarm.behaviour_mut().kad.get_record(key);
            self.lookups.insert(id, participant);
        }
    }

    fn dial(&mut self, options: DialOpts) {
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(%error, "not dialled");
        }
    }

    /// Tells the DHT where we are: at the start, when it changes, and now and then.
    pub(super) fn announce(&mut self, now: Instant, wall: Timestamp) {
        let addresses = if self.announcement.external.is_empty() {
            shareable(self.swarm.listeners().cloned())
        } else {
            self.announcement.external.clone()
        };
        if addresses != self.announcement.addresses {
            self.announcement.addresses = addresses;
            self.announcement.pace.restart(now);
        }
        if !self.somebody_listens() || !self.announcement.pace.is_due(now) {
            return;
        }
        self.announcement.pace.tried(now);
        match self.own_record(wall) {
            Ok(record) => self.publish_record(record),
            Err(error) => tracing::warn!(%error, "others would not take this node's record"),
        }
    }

    fn own_record(&mut self, wall: Timestamp) -> Result<kad::Record, MessageRejected> {
        let current = self.charter.interval.interval_at(wall);
        let roster = self.screening.gate().roster(current);
        let record = self.announcement.next_record(wall);
        let author = (&self.me, &self.key);
        let signed =
            Verified::sign(&record, Interval::default(), author, (&self.charter, &roster))?;
        let key = record_key(&self.grid, &self.me);
        let expires = Some(ends_at(record.expires_at, wall));
        Ok(kad::Record { expires, ..kad::Record::new(key, signed.bytes().to_vec()) })
    }

    fn publish_record(&mut self, record: kad::Record) {
        if let Err(error) = self.swarm.behaviour_mut().kad.put_record(record, Quorum::One) {
            tracing::warn!(%error, "the own record could not be stored");
        }
    }
}
