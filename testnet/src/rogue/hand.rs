//! What a rogue signs with and whom it tells what: its keys, its dice and the halves it plays off
//! against each other.

use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{Payload, Verified};
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::seal::Seal;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::Interval;

use crate::scenario::splitmix64;

/// The keys of a rogue and of its accomplices, and the grid they are members of.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) charter: Arc<Charter>,
    rosters: Rosters,
    key: Keypair,
    pub(super) me: ParticipantId,
    /// The key that its readings are signed with.
    meter: Keypair,
    accomplices: Vec<Keypair>,
    seed: u64,
}

/// The honest members in two parts, as equal as can be in voters and in members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Halves {
    pub(super) left: Vec<ParticipantId>,
    pub(super) right: Vec<ParticipantId>,
}

impl Hand {
    pub(super) fn new(
        seed: u64,
        charter: Arc<Charter>,
        rosters: Rosters,
        key: Keypair,
        accomplices: Vec<Keypair>,
    ) -> Self {
        let me = key.participant_id();
        let accomplices = accomplices.into_iter().filter(|it| it.participant_id() != me).collect();
        Self { charter, rosters, meter: key.clone(), key, me, accomplices, seed }
    }

    pub(super) fn set_meter(&mut self, meter: Keypair) {
        self.meter = meter;
    }

    pub(super) fn roster(&mut self, interval: Interval) -> Arc<Roster> {
        self.rosters.at(interval)
    }

    /// Our place in an interval's roster.
    pub(super) fn place(&mut self, interval: Interval) -> Option<RosterIndex> {
        let me = self.me;
        self.roster(interval).index_of(&me)
    }

    /// Signs as ourselves what everybody will find valid; nothing else comes out.
    pub(super) fn sign<T: Payload>(&mut self, body: &T, interval: Interval) -> Option<Verified<T>> {
        let roster = self.roster(interval);
        let gate = (self.charter.as_ref(), roster.as_ref());
        Verified::sign(body, interval, (&self.me, &self.key), gate).ok()
    }

    /// Signs with the meter's key.
    pub(super) fn sign_metered<T: Payload>(
        &mut self,
        body: &T,
        interval: Interval,
    ) -> Option<Verified<T>> {
        let roster = self.roster(interval);
        let gate = (self.charter.as_ref(), roster.as_ref());
        Verified::sign(body, interval, (&self.me, &self.meter), gate).ok()
    }

    /// Our seal over a reading of our own.
    pub(super) fn seal(&mut self, reading: &Verified<Reading>) -> Option<Verified<Seal>> {
        let secret = Seal::secret(reading, &self.key);
        self.sign(&Seal::over(reading, &secret), reading.interval())
    }

    /// Signs as ourselves and as every accomplice; those who may not say it are left out.
    pub(super) fn sign_all<T: Payload>(
        &mut self,
        body: &T,
        interval: Interval,
    ) -> Vec<Verified<T>> {
        let roster = self.roster(interval);
        let gate = (self.charter.as_ref(), roster.as_ref());
        std::iter::once(&self.key)
            .chain(&self.accomplices)
            .filter_map(|key| {
                Verified::sign(body, interval, (&key.participant_id(), key), gate).ok()
            })
            .collect()
    }

    /// Raw bytes under our signature, whatever they are.
    pub(super) fn sign_raw(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let signature = self.key.sign(&bytes);
        bytes.extend_from_slice(&signature.to_bytes());
        bytes
    }

    /// Whether `member` is one of us.
    pub(super) fn is_ours(&self, member: &ParticipantId) -> bool {
        *member == self.me || self.accomplices.iter().any(|key| key.participant_id() == *member)
    }

    /// The other members of an interval, accomplices among them.
    pub(super) fn others(&mut self, interval: Interval) -> Vec<ParticipantId> {
        let (roster, me) = (self.roster(interval), self.me);
        let members = roster.members().iter().map(|member| member.enrolment.participant);
        members.filter(|member| *member != me).collect()
    }

    /// The two halves of an interval. They follow from the interval and from who is not one of us
    /// only, so that accomplices play off the same ones.
    pub(super) fn halves(&mut self, interval: Interval) -> Halves {
        let roster = self.roster(interval);
        let mut honest: Vec<_> = roster
            .members()
            .iter()
            .map(|member| &member.enrolment)
            .filter(|enrolment| !self.is_ours(&enrolment.participant))
            .map(|it| (!it.votes, lot(interval, &it.participant), it.participant))
            .collect();
        honest.sort_unstable();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (place, (_, _, member)) in honest.into_iter().enumerate() {
            if place.is_multiple_of(2) { left.push(member) } else { right.push(member) }
        }
        Halves { left, right }
    }

    /// A number below `sides` (above zero) that follows from the seed, an interval and what it is for.
    pub(super) fn dice(&self, interval: Interval, salt: u64, sides: u64) -> u64 {
        let mixed = splitmix64(splitmix64(self.seed ^ salt) ^ interval.to_number());
        mixed.checked_rem(sides).unwrap_or(0)
    }
}

fn lot(interval: Interval, member: &ParticipantId) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&member.as_bytes()[..8]);
    splitmix64(splitmix64(interval.to_number()) ^ u64::from_be_bytes(first))
}
