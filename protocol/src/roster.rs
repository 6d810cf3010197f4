//! The roster: the sorted members of one epoch, who votes, and how many are enough.
//! Not for: admission (see [`crate::enrolment`]) or which peers are connected right now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::charter::{Charter, Feeder, MEMBERS_MAX};
use crate::enrolment::{CertifiedEnrolment, Enrolment, EnrolmentRejected};
use crate::id::{GridId, ParticipantId, RosterHash, RosterIndex};
use crate::message::{INTERVALS_AHEAD, INTERVALS_BACK};
use crate::signing::PublicKey;
use crate::units::Interval;

/// One member, with its keys ready to verify.
#[derive(Clone, Debug)]
pub struct Member {
    /// What the registrars certified.
    pub enrolment: Enrolment,
    /// [`Enrolment::hash`].
    enrolment_hash: [u8; 32],
    pub(crate) participant_key: PublicKey,
    pub(crate) meter_key: PublicKey,
}

/// The members of one epoch. Cheap to share, never changed.
///
/// Invariants: members are sorted by participant, each once; voters are ascending places in them.
#[derive(Clone, Debug)]
pub struct Roster {
    grid: GridId,
    hash: RosterHash,
    members: Vec<Member>,
    voters: Vec<RosterIndex>,
    /// Votes fewer than a quorum that are taken for one: a negative control, zero in every node.
    #[cfg(feature = "sabotage")]
    quorum_lowered_by: usize,
}

/// Why a set of enrolments is not a roster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterRejected {
    /// One of the enrolments.
    #[error("the enrolment of {participant}: {source}")]
    Enrolment {
        /// Whose.
        participant: ParticipantId,
        /// What is wrong with it.
        source: EnrolmentRejected,
    },
    /// Enrolments of more participants than a roster may have members.
    #[error(
        "more than {MEMBERS_MAX} participants are enrolled; remove those whose enrolment has ended, \
         or split the region into several grids"
    )]
    TooMany,
}

impl Roster {
    /// The roster that holds in `interval` (P7): of every participant the latest enrolment that is
    /// valid at the start of the epoch.
    ///
    /// # Errors
    ///
    /// [`RosterRejected`], naming the enrolment that does not verify.
    pub fn at(
        charter: &Charter,
        enrolments: &[CertifiedEnrolment],
        interval: Interval,
    ) -> Result<Self, RosterRejected> {
        let admitted = admit(charter, enrolments)?;
        Ok(Self::of_epoch(charter.grid_id(), &admitted, epoch_start(charter, interval)))
    }

    /// The roster of the epoch that starts at `epoch`.
    fn of_epoch(grid: GridId, admitted: &[Member], epoch: Interval) -> Self {
        let mut latest: BTreeMap<ParticipantId, &Member> = BTreeMap::new();
        for member in admitted.iter().filter(|member| member.enrolment.holds_in(epoch)) {
            let slot = latest.entry(member.enrolment.participant).or_insert(member);
            if slot.age() < member.age() {
                *slot = member;
            }
        }
        Self::of_members(grid, latest.into_values().cloned().collect())
    }

    fn of_members(grid: GridId, members: Vec<Member>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 roster");
        hasher.update(grid.as_bytes());
        for member in &members {
            hasher.update(&member.enrolment_hash);
        }
        let hash = RosterHash::from_bytes(hasher.finalize().into());
        let voters = (0_u32..)
            .zip(&members)
            .filter(|(_, member)| member.enrolment.votes)
            .map(|(index, _)| RosterIndex::new(index))
            .collect();
        Self {
            grid,
            hash,
            members,
            voters,
            #[cfg(feature = "sabotage")]
            quorum_lowered_by: 0,
        }
    }

    /// The grid.
    #[must_use]
    pub const fn grid(&self) -> GridId {
        self.grid
    }

    /// The hash that every message of the epoch carries.
    #[must_use]
    pub const fn hash(&self) -> RosterHash {
        self.hash
    }

    /// All members, sorted by participant.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether a member is the meter of a feeder, which has no site of its own (P39).
    #[must_use]
    pub fn is_feeders_meter(&self, index: RosterIndex, charter: &Charter) -> bool {
        let point = self.member(index).map(|member| &member.enrolment.connection_point);
        point.is_some_and(|point| charter.feeder_metered_at(point).is_some())
    }

    /// The members whose sites a feeder feeds, with their places, ascending (P39).
    pub fn sites_of<'a>(
        &'a self,
        feeder: &'a Feeder,
    ) -> impl Iterator<Item = (RosterIndex, &'a Member)> + 'a {
        let members = (0_u32..).zip(&self.members);
        let sites = members.filter(|(_, member)| feeder.feeds(&member.enrolment));
        sites.map(|(place, member)| (RosterIndex::new(place), member))
    }

    /// The member that is a feeder's meter; of several the first one (P39).
    #[must_use]
    pub fn meter_of(&self, feeder: &Feeder, charter: &Charter) -> Option<ParticipantId> {
        let is_meter = |member: &&Member| {
            let metered = charter.feeder_metered_at(&member.enrolment.connection_point);
            metered.is_some_and(|metered| metered.name == feeder.name)
        };
        self.members.iter().find(is_meter).map(|member| member.enrolment.participant)
    }

    /// The member at a place.
    #[must_use]
    pub fn member(&self, index: RosterIndex) -> Option<&Member> {
        self.members.get(index.as_usize())
    }

    /// The participant at a place.
    #[must_use]
    pub fn participant(&self, index: RosterIndex) -> Option<ParticipantId> {
        self.member(index).map(|member| member.enrolment.participant)
    }

    /// The place of a participant.
    #[must_use]
    pub fn index_of(&self, participant: &ParticipantId) -> Option<RosterIndex> {
        self.members
            .binary_search_by(|member| member.enrolment.participant.cmp(participant))
            .ok()
            .and_then(|index| u32::try_from(index).ok())
            .map(RosterIndex::new)
    }

    /// The members that ack, propose and vote, ascending.
    #[must_use]
    pub fn voters(&self) -> &[RosterIndex] {
        &self.voters
    }

    /// Whether the member at this place votes.
    #[must_use]
    pub fn is_voter(&self, index: RosterIndex) -> bool {
        self.voters.binary_search(&index).is_ok()
    }

    /// `f`: how many voters may be faulty, `⌊(w−1)/3⌋` (P11).
    #[must_use]
    pub fn faulty_max(&self) -> usize {
        self.voters.len().saturating_sub(1).div_euclid(3)
    }

    /// `q = w − f`: how many acks or votes decide (P11). Any two such sets share an honest voter.
    #[must_use]
    pub fn quorum(&self) -> usize {
        let quorum = self.voters.len().saturating_sub(self.faulty_max());
        #[cfg(feature = "sabotage")]
        let quorum = quorum.saturating_sub(self.quorum_lowered_by);
        quorum
    }

    /// The leader of a view (P12): voters take turns from a place that the interval's hash picks,
    /// so `f + 1` views in a row have at least one honest leader. `None` where nobody votes.
    #[must_use]
    pub fn leader(&self, interval: Interval, view: u32) -> Option<RosterIndex> {
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 leader");
        hasher.update(self.hash.as_bytes());
        hasher.update(&interval.to_number().to_be_bytes());
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        let voters = u64::try_from(self.voters.len()).ok()?;
        let turn = u64::from_be_bytes(first).checked_rem(voters)?;
        let turn = turn.saturating_add(u64::from(view)).checked_rem(voters)?;
        self.voters.get(usize::try_from(turn).ok()?).copied()
    }
}

impl Member {
    fn new(enrolment: &Enrolment) -> Option<Self> {
        Some(Self {
            participant_key: PublicKey::of_participant(&enrolment.participant).ok()?,
            meter_key: PublicKey::of_meter(&enrolment.meter).ok()?,
            enrolment_hash: enrolment.hash(),
            enrolment: enrolment.clone(),
        })
    }

    /// Later enrolments are greater; of two that start together, lots are drawn.
    const fn age(&self) -> (Interval, [u8; 32]) {
        (self.enrolment.valid_from, self.enrolment_hash)
    }
}

/// Verifies every enrolment and makes its keys ready.
fn admit(
    charter: &Charter,
    enrolments: &[CertifiedEnrolment],
) -> Result<Vec<Member>, RosterRejected> {
    let mut participants = BTreeSet::new();
    let mut admitted = Vec::with_capacity(enrolments.len());
    for certified in enrolments {
        let participant = certified.enrolment.participant;
        let rejected = |source| RosterRejected::Enrolment { participant, source };
        let enrolment = certified.verify(charter).map_err(rejected)?;
        let member = Member::new(enrolment).ok_or_else(|| rejected(EnrolmentRejected::BadKey))?;
        participants.insert(participant);
        if u32::try_from(participants.len()).is_ok_and(|count| count <= MEMBERS_MAX) {
            admitted.push(member);
        } else {
            return Err(RosterRejected::TooMany);
        }
    }
    Ok(admitted)
}

/// The first interval of the epoch that `interval` is in.
#[must_use]
pub fn epoch_start(charter: &Charter, interval: Interval) -> Interval {
    let length = charter.membership.roster_epoch_intervals;
    let into_epoch = interval.to_number().checked_rem(length).unwrap_or(0);
    interval.minus(into_epoch)
}

/// Rosters kept at hand: more than the epochs that messages can be of at once, were every interval
/// an epoch. Older ones are dropped and made again when asked for.
const EPOCHS_KEPT: usize = 8;
const _: () = assert!((EPOCHS_KEPT as u64) > INTERVALS_BACK + INTERVALS_AHEAD);

/// The rosters of all epochs, from one set of verified enrolments.
#[derive(Clone, Debug)]
pub struct Rosters {
    charter: Arc<Charter>,
    grid: GridId,
    admitted: Vec<Member>,
    at_hand: BTreeMap<Interval, Arc<Roster>>,
    #[cfg(feature = "sabotage")]
    quorum_lowered_by: usize,
}

impl Rosters {
    /// Verifies the enrolments once, for all epochs.
    ///
    /// # Errors
    ///
    /// [`RosterRejected`], naming the enrolment that does not verify.
    pub fn new(
        charter: Arc<Charter>,
        enrolments: Vec<CertifiedEnrolment>,
    ) -> Result<Self, RosterRejected> {
        let admitted = admit(&charter, &enrolments)?;
        let grid = charter.grid_id();
        Ok(Self {
            charter,
            grid,
            admitted,
            at_hand: BTreeMap::new(),
            #[cfg(feature = "sabotage")]
            quorum_lowered_by: 0,
        })
    }

    /// Breaks P11 on purpose: so many votes fewer decide. A check that does not notice is worth
    /// nothing, and only the simulator's negative controls call this.
    #[cfg(feature = "sabotage")]
    pub fn lower_quorum(&mut self, by: usize) {
        self.quorum_lowered_by = by;
        self.at_hand.clear();
    }

    /// The grid.
    #[must_use]
    pub const fn grid(&self) -> GridId {
        self.grid
    }

    /// The roster that holds in `interval`; empty when nobody is enrolled then.
    pub fn at(&mut self, interval: Interval) -> Arc<Roster> {
        let epoch = epoch_start(&self.charter, interval);
        if let Some(roster) = self.at_hand.get(&epoch) {
            return Arc::clone(roster);
        }
        let roster = Roster::of_epoch(self.grid, &self.admitted, epoch);
        #[cfg(feature = "sabotage")]
        let roster = Roster { quorum_lowered_by: self.quorum_lowered_by, ..roster };
        let roster = Arc::new(roster);
        while self.at_hand.len() >= EPOCHS_KEPT {
            self.at_hand.pop_first();
        }
        self.at_hand.insert(epoch, Arc::clone(&roster));
        roster
    }
}

#[cfg(test)]
mod tests;
