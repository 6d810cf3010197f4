//! Where the members are, who is connected, and whom to dial or look up next. Pure book-keeping.
//!
//! Not for: dialling or looking up, which [`super::discovery`] does as [`Plan`] says.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{ParticipantId, RosterHash};
use boltgrid_protocol::peer::{ADDRESSES_MAX, LightningContact, PeerRecord};
use boltgrid_protocol::roster::Roster;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::addresses::without_peer;
use super::identity::{participant_of, peer_of};
use super::pace::Backoff;
use super::refused::Refused;
use super::ring;
use super::status::MemberState;

/// Connections of peers that are not members. They may ask the DHT and pass on gossip, like anyone,
/// and may one day be members; they are served nothing.
pub(super) const STRANGERS_MAX: usize = 8;
/// Of all connections that there may be, this part is dialled for; in a smaller grid, all members.
const WANTED_PART: usize = 4;
/// Members that are dialled by us, even where enough others came to us: whoever comes chooses us, and
/// those who choose us must not be all that we know.
const DIALLED_MIN: usize = 8;
/// Of all connections that there may be, this part is kept, so that there is room for those who
/// come new and know nobody else.
const KEPT_PART: usize = 2;
/// Connections given up at a time.
const PARTINGS_AT_ONCE: usize = 4;
/// Dials started at a time.
const DIALS_AT_ONCE: usize = 8;
/// Lookups in the DHT under way at a time.
const LOOKUPS_AT_ONCE: usize = 4;
/// Between a failed dial and the next one, at first.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Between a failed dial and the next one, at most.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// And at most so much of an interval: a grid that was cut in two trades again two intervals after
/// its links have healed, and until then members must have been dialled and gossip grafted.
const RETRY_INTERVAL_PART: u32 = 4;
/// A connection that lasted this long was a good one: if it is lost, we dial again at once. The other
/// side has also had the time to find others.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// What a peer is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// On the roster.
    Member(ParticipantId),
    /// Not on the roster, but the owner told us to start from it.
    Bootstrap,
    /// Neither.
    Stranger,
}

/// Whether a record tells us something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    /// It is later than what we had.
    News,
    /// It is what we had, or about ourselves.
    Known,
}

/// How many members there are, and how many of them within reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) members: usize,
    pub(super) known: usize,
    pub(super) connected: usize,
    pub(super) dialled: usize,
    pub(super) pinned: usize,
    pub(super) pinned_connected: usize,
    pub(super) strangers: usize,
}

/// What another roster changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turnover {
    /// All other members now.
    pub(super) members: BTreeSet<PeerId>,
    /// Who is no longer a member.
    pub(super) left: Vec<PeerId>,
    /// Who is no longer a neighbour by the ring.
    pub(super) unpinned: Vec<PeerId>,
    /// Who is one now.
    pub(super) pinned: Vec<PeerId>,
}

/// What to do next to find and keep the members.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) part: Vec<PeerId>,
    pub(super) dial: Vec<(PeerId, Vec<Multiaddr>)>,
    pub(super) bootstrap: Vec<Multiaddr>,
    pub(super) look_up: Vec<ParticipantId>,
}

/// What we know about one member.
#[derive(Debug)]
struct Whereabouts {
    peer: PeerId,
    /// Each node prefers other members, so that the connections are spread evenly.
    rank: [u8; 32],
    addresses: Vec<Multiaddr>,
    sequence: Option<u64>,
    lightning: Option<LightningContact>,
    connected_since: Option<Instant>,
    /// Whether we dialled the connection.
    dialled: bool,
    /// Whether it is a neighbour by the ring.
    pinned: bool,
    unreachable: bool,
    dial: Backoff,
    look_up: Backoff,
}

/// A peer that the owner named.
#[derive(Debug)]
struct Bootstrap {
    address: Multiaddr,
    reached: Option<PeerId>,
    dial: Backoff,
}

/// Members, strangers and where to begin.
#[derive(Debug)]
pub(super) struct Peers {
    me: ParticipantId,
    connections_max: usize,
    roster: RosterHash,
    members: BTreeMap<ParticipantId, Whereabouts>,
    bootstrap: Vec<Bootstrap>,
    strangers: BTreeSet<PeerId>,
    retry_max: Duration,
    seeks_lightning: bool,
}

impl Peers {
    pub(super) fn new(
        me: ParticipantId,
        bootstrap: Vec<Multiaddr>,
        connections_max: u32,
        interval: Duration,
        now: Instant,
    ) -> Self {
        let retry_max = interval.checked_div(RETRY_INTERVAL_PART);
        let retry_max = retry_max.unwrap_or(RETRY_MAX).clamp(RETRY_MIN, RETRY_MAX);
        let connections_max = usize::try_from(connections_max).unwrap_or(usize::MAX);
        let bootstrap = bootstrap
            .into_iter()
            .map(|address| Bootstrap {
                address,
                reached: None,
                dial: Backoff::new(now, RETRY_MIN, retry_max),
            })
            .collect();
        let (members, strangers) = (BTreeMap::new(), BTreeSet::new());
        let roster = RosterHash::default();
        Self {
            me,
            connections_max,
            roster,
            members,
            bootstrap,
            strangers,
            retry_max,
            seeks_lightning: false,
        }
    }

    /// From now on, the records of connected members are looked up as well, for their Lightning
    /// nodes.
    pub(super) const fn seek_lightning(&mut self) {
        self.seeks_lightning = true;
    }

    /// Takes over the roster. Returns what changes, unless it is the one that we have.
    pub(super) fn take_over(&mut self, roster: &Roster, now: Instant) -> Option<Turnover> {
        if roster.hash() == self.roster {
            return None;
        }
        self.roster = roster.hash();
        let mut turnover = Turnover::default();
        for member in roster.members() {
            let participant = member.enrolment.participant;
            let Some(peer) = peer_of(&participant).filter(|_| participant != self.me) else {
                continue;
            };
            self.strangers.remove(&peer);
            let rank = rank(&self.me, &participant);
            let retry_max = self.retry_max;
            let new = || Whereabouts::new(peer, rank, retry_max, now);
            self.members.entry(participant).or_insert_with(new);
        }
        let neighbours = ring::neighbours(roster, &self.me);
        self.members.retain(|participant, whereabouts| {
            let is_pinned = neighbours.contains(participant);
            match (whereabouts.pinned, is_pinned) {
                (true, false) => turnover.unpinned.push(whereabouts.peer),
                (false, true) => turnover.pinned.push(whereabouts.peer),
                (false, false) | (true, true) => {}
            }
            whereabouts.pinned = is_pinned;
            let stays = roster.index_of(participant).is_some();
            if stays {
                turnover.members.insert(whereabouts.peer);
            } else {
                turnover.left.push(whereabouts.peer);
            }
            stays
        });
        Some(turnover)
    }

    /// Whether a peer is a neighbour by the ring.
    pub(super) fn is_pinned(&self, peer: &PeerId) -> bool {
        participant_of(peer)
            .and_then(|participant| self.members.get(&participant))
            .is_some_and(|whereabouts| whereabouts.pinned)
    }

    /// The member behind a peer id.
    pub(super) fn member(&self, peer: &PeerId) -> Option<ParticipantId> {
        participant_of(peer).filter(|participant| self.members.contains_key(participant))
    }

    /// What a peer is to us.
    pub(super) fn standing(&self, peer: &PeerId) -> Standing {
        if let Some(participant) = self.member(peer) {
            Standing::Member(participant)
        } else if self.bootstrap.iter().any(|known| known.reached == Some(*peer)) {
            Standing::Bootstrap
        } else {
            Standing::Stranger
        }
    }

    /// A connection is there, to an address that we dialled or from elsewhere.
    ///
    /// # Errors
    ///
    /// [`Refused::Stranger`] where it must be closed again.
    pub(super) fn connected(
        &mut self,
        peer: PeerId,
        dialled: Option<&Multiaddr>,
        now: Instant,
    ) -> Result<(), Refused> {
        if let Some(address) = dialled.map(without_peer) {
            for known in &mut self.bootstrap {
                if without_peer(&known.address) == address {
                    known.reached = Some(peer);
                }
            }
        }
        match self.standing(&peer) {
            Standing::Member(participant) => {
                if let Some(whereabouts) = self.members.get_mut(&participant) {
                    whereabouts.connected_since.get_or_insert(now);
                    whereabouts.dialled |= dialled.is_some();
                    whereabouts.unreachable = false;
                }
                Ok(())
            }
            Standing::Bootstrap => Ok(()),
            Standing::Stranger if self.strangers.contains(&peer) => Ok(()),
            Standing::Stranger if self.strangers.len() < STRANGERS_MAX => {
                self.strangers.insert(peer);
                Ok(())
            }
            Standing::Stranger => Err(Refused::Stranger),
        }
    }

    /// The last connection to a peer is gone.
    pub(super) fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        self.strangers.remove(peer);
        for known in self.bootstrap.iter_mut().filter(|known| known.reached == Some(*peer)) {
            known.reached = None;
        }
        let Some(whereabouts) = self.whereabouts(peer) else { return };
        whereabouts.dialled = false;
        if let Some(since) = whereabouts.connected_since.take()
            && now.saturating_duration_since(since) >= GOOD_CONNECTION
        {
            whereabouts.dial.restart(now);
        }
    }

    /// A peer could not be dialled.
    pub(super) fn unreachable(&mut self, peer: &PeerId) {
        if let Some(whereabouts) = self.whereabouts(peer) {
            whereabouts.unreachable = true;
        }
    }

    fn whereabouts(&mut self, peer: &PeerId) -> Option<&mut Whereabouts> {
        self.members.get_mut(&participant_of(peer)?)
    }

    /// A member said, or somebody in the local network says of it, where it listens.
    pub(super) fn learn(
        &mut self,
        participant: &ParticipantId,
        addresses: impl IntoIterator<Item = Multiaddr>,
        now: Instant,
    ) {
        let Some(whereabouts) = self.members.get_mut(participant) else { return };
        let mut latest: Vec<Multiaddr> = Vec::with_capacity(ADDRESSES_MAX);
        let earlier = std::mem::take(&mut whereabouts.addresses);
        let new = addresses.into_iter().map(|address| without_peer(&address));
        let new: Vec<_> = new.take(ADDRESSES_MAX).collect();
        if new.iter().any(|address| !earlier.contains(address)) {
            whereabouts.dial.restart(now);
        }
        for address in new.into_iter().chain(earlier) {
            if latest.len() < ADDRESSES_MAX && !latest.contains(&address) {
                latest.push(address);
            }
        }
        whereabouts.addresses = latest;
    }

    /// Takes a verified record of a member, or of ourselves.
    ///
    /// # Errors
    ///
    /// [`Refused::Superseded`] where a later one is known.
    pub(super) fn learn_record(
        &mut self,
        record: &Verified<PeerRecord>,
        now: Instant,
    ) -> Result<Novelty, Refused> {
        let participant = record.participant();
        let Some(whereabouts) = self.members.get_mut(&participant) else {
            return Ok(Novelty::Known);
        };
        let sequence = record.body().sequence;
        if whereabouts.sequence.is_some_and(|known| known > sequence) {
            return Err(Refused::Superseded);
        }
        if whereabouts.sequence == Some(sequence) {
            return Ok(Novelty::Known);
        }
        whereabouts.sequence = Some(sequence);
        whereabouts.lightning.clone_from(&record.body().lightning);
        let addresses = record.body().addresses.iter().filter_map(|text| text.parse().ok());
        self.learn(&participant, addresses, now);
        Ok(Novelty::News)
    }

    /// The Lightning nodes of all members that said theirs.
    pub(super) fn lightning_contacts(&self) -> BTreeMap<ParticipantId, LightningContact> {
        let contact = |(participant, it): (&ParticipantId, &Whereabouts)| {
            Some((*participant, it.lightning.clone()?))
        };
        self.members.iter().filter_map(contact).collect()
    }

    /// Where a member can be dialled.
    pub(super) fn find(&self, participant: &ParticipantId) -> Option<(PeerId, &[Multiaddr])> {
        let whereabouts = self.members.get(participant)?;
        Some((whereabouts.peer, &whereabouts.addresses))
    }

    /// The connected members, those whom we would dial first before those who only came to us.
    pub(super) fn connected_members(&self) -> Vec<ParticipantId> {
        let connected = |(_, it): &(&ParticipantId, &Whereabouts)| it.connected_since.is_some();
        let mut members: Vec<_> = self.members.iter().filter(connected).collect();
        members.sort_by_key(|(_, whereabouts)| whereabouts.rank);
        members.into_iter().map(|(participant, _)| *participant).collect()
    }

    /// How many members are within reach.
    pub(super) fn census(&self) -> Census {
        let count = |is: fn(&Whereabouts) -> bool| {
            self.members.values().filter(|whereabouts| is(whereabouts)).count()
        };
        Census {
            members: self.members.len(),
            known: count(|whereabouts| !whereabouts.addresses.is_empty()),
            connected: count(Whereabouts::is_connected),
            dialled: count(|whereabouts| whereabouts.is_connected() && whereabouts.dialled),
            pinned: count(|whereabouts| whereabouts.pinned),
            pinned_connected: count(|it| it.is_connected() && it.pinned),
            strangers: self.strangers.len(),
        }
    }

    /// All other members, with the score of each that is connected.
    pub(super) fn each(
        &self,
        now: Instant,
        score: impl Fn(&PeerId) -> Option<i32>,
    ) -> Vec<MemberState> {
        let state = |(participant, it): (&ParticipantId, &Whereabouts)| MemberState {
            participant: *participant,
            peer: it.peer,
            addresses: it.addresses.clone(),
            connected_for: it.connected_since.map(|since| now.saturating_duration_since(since)),
            is_dialled: it.is_connected() && it.dialled,
            is_pinned: it.pinned,
            score: it.connected_since.and_then(|_| score(&it.peer)),
        };
        self.members.iter().map(state).collect()
    }

    /// What to do next, with so many lookups under way. What is planned counts as tried.
    pub(super) fn plan(&mut self, lookups: usize, now: Instant) -> Plan {
        let Census { members, connected, dialled, pinned, pinned_connected, .. } = self.census();
        let wanted = self.connections_max.div_euclid(WANTED_PART).min(members);
        let kept = self.connections_max.div_euclid(KEPT_PART);
        let absent = members.saturating_sub(connected);
        let missing = wanted
            .saturating_sub(connected)
            .max(DIALLED_MIN.saturating_sub(dialled).min(wanted))
            .min(absent);
        let surplus = connected.saturating_sub(kept);
        let mut plan = Plan { part: self.least_wanted(surplus, now), ..Plan::default() };
        if self.seeks_lightning {
            self.plan_records(&mut plan, lookups, now);
        }
        if missing > 0 || pinned_connected < pinned || members == 0 {
            plan.bootstrap = self.due_bootstrap(now);
            self.plan_search(&mut plan, missing, lookups, now);
        }
        plan
    }

    /// Whom to leave, where there are too many: those whom we would be the last to dial, and never a
    /// neighbour by the ring.
    fn least_wanted(&self, surplus: usize, now: Instant) -> Vec<PeerId> {
        let settled = |whereabouts: &&Whereabouts| {
            let since = whereabouts.connected_since;
            since.is_some_and(|since| now.saturating_duration_since(since) >= GOOD_CONNECTION)
        };
        let members = self.members.values().filter(|whereabouts| !whereabouts.pinned);
        let mut settled: Vec<_> = members.filter(settled).collect();
        settled.sort_by_key(|whereabouts| Reverse(whereabouts.rank));
        let least = settled.into_iter().take(surplus.min(PARTINGS_AT_ONCE));
        least.map(|whereabouts| whereabouts.peer).collect()
    }

    fn due_bootstrap(&mut self, now: Instant) -> Vec<Multiaddr> {
        let due = |known: &&mut Bootstrap| known.reached.is_none() && known.dial.is_due(now);
        let tried = |known: &mut Bootstrap| {
            known.dial.tried(now);
            known.address.clone()
        };
        self.bootstrap.iter_mut().filter(due).map(tried).collect()
    }

    /// Looks up connected members whose record was never seen: what they say of themselves over the
    /// connection is where they are, and not where their Lightning node is.
    fn plan_records(&mut self, plan: &mut Plan, lookups: usize, now: Instant) {
        for (participant, whereabouts) in &mut self.members {
            if whereabouts.is_connected()
                && whereabouts.sequence.is_none()
                && whereabouts.look_up.is_due(now)
                && plan.look_up.len().saturating_add(lookups) < LOOKUPS_AT_ONCE
            {
                whereabouts.look_up.tried(now);
                plan.look_up.push(*participant);
            }
        }
    }

    fn plan_search(&mut self, plan: &mut Plan, missing: usize, lookups: usize, now: Instant) {
        let absent = |(_, whereabouts): &(_, &mut Whereabouts)| !whereabouts.is_connected();
        let mut absent: Vec<_> = self.members.iter_mut().filter(absent).collect();
        absent.sort_by_key(|(_, whereabouts)| (!whereabouts.pinned, whereabouts.rank));
        for (participant, whereabouts) in absent {
            if whereabouts.is_lost()
                && whereabouts.look_up.is_due(now)
                && plan.look_up.len().saturating_add(lookups) < LOOKUPS_AT_ONCE
            {
                whereabouts.look_up.tried(now);
                plan.look_up.push(*participant);
            }
            if !whereabouts.addresses.is_empty()
                && whereabouts.dial.is_due(now)
                && plan.dial.len() < DIALS_AT_ONCE
                && (whereabouts.pinned || plan.dial.len() < missing)
            {
                whereabouts.dial.tried(now);
                plan.dial.push((whereabouts.peer, whereabouts.addresses.clone()));
            }
        }
    }
}

impl Whereabouts {
    fn new(peer: PeerId, rank: [u8; 32], retry_max: Duration, now: Instant) -> Self {
        Self {
            peer,
            rank,
            addresses: Vec::new(),
            sequence: None,
            lightning: None,
            connected_since: None,
            dialled: false,
            pinned: false,
            unreachable: false,
            dial: Backoff::new(now, RETRY_MIN, retry_max),
            look_up: Backoff::new(now, RETRY_MIN, retry_max),
        }
    }

    const fn is_connected(&self) -> bool {
        self.connected_since.is_some()
    }

    /// Whether we do not know where it is, or it is no longer where we think.
    const fn is_lost(&self) -> bool {
        self.addresses.is_empty() || self.unreachable
    }
}

fn rank(me: &ParticipantId, other: &ParticipantId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 preferred neighbours");
    hasher.update(me.as_bytes()).update(other.as_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
