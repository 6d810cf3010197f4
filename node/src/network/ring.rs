//! The neighbours that every member keeps: its two next ones on each of a few rings of all members.
//!
//! A ring is the members sorted by a hash that nobody can choose, since it is of the whole roster,
//! and so everybody works out the same rings. Being next to each other is mutual: the two sides of a
//! connection both hold on to it. Of `n` members of whom a third is hostile, one in seven hundred
//! honest ones has hostile neighbours only (a third to the sixth), and a few strangers or a full
//! table of connections can't push any of them out.
//! Not for: the rest of the connections; [`super::peers`] chooses those.

use std::collections::BTreeSet;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::roster::Roster;

/// How many rings there are. Two neighbours each.
const RINGS: u8 = 3;
/// Most neighbours that a member has.
#[cfg(test)]
pub(super) const NEIGHBOURS_MAX: usize = 2 * RINGS as usize;

/// The neighbours of a member; of anybody else there are none.
pub(super) fn neighbours(roster: &Roster, me: &ParticipantId) -> BTreeSet<ParticipantId> {
    let mut neighbours: BTreeSet<_> =
        (0..RINGS).flat_map(|ring| next_to(roster, me, ring)).collect();
    neighbours.remove(me);
    neighbours
}

fn next_to(roster: &Roster, me: &ParticipantId, ring: u8) -> Vec<ParticipantId> {
    let place = |participant: &ParticipantId| {
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 ring of neighbours");
        hasher.update(&[ring]).update(roster.hash().as_bytes()).update(participant.as_bytes());
        *hasher.finalize().as_bytes()
    };
    let members = roster.members().iter().map(|member| member.enrolment.participant);
    let mut members: Vec<_> =
        members.map(|participant| (place(&participant), participant)).collect();
    members.sort_unstable();
    let Some(mine) = members.iter().position(|(_, participant)| participant == me) else {
        return Vec::new();
    };
    let before = mine.checked_sub(1).or_else(|| members.len().checked_sub(1));
    let after = mine.saturating_add(1).checked_rem(members.len());
    let found = [before, after].into_iter().flatten().filter_map(|at| members.get(at));
    found.map(|(_, participant)| *participant).collect()
}
