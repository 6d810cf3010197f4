//! The seals of all members' readings at the latest interval edges (P40).
//!
//! Not for: the readings themselves ([`crate::readings`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::seal::Seal;
use boltgrid_protocol::units::Interval;

use crate::readings::{EDGES_KEPT, Noted};

/// The first seal of each member at each of the latest edges.
///
/// Bounded by [`EDGES_KEPT`] × members.
#[derive(Debug, Default)]
pub(crate) struct Seals {
    edges: BTreeMap<Interval, BTreeMap<ParticipantId, Verified<Seal>>>,
}

impl Seals {
    pub(crate) fn note(&mut self, seal: Verified<Seal>) -> Noted {
        let edge = seal.interval();
        let oldest = self.edges.first_key_value().map(|(edge, _)| *edge);
        if self.edges.len() >= EDGES_KEPT && oldest.is_some_and(|oldest| edge < oldest) {
            return Noted::Known;
        }
        let at_edge = self.edges.entry(edge).or_default();
        let noted = match at_edge.get(&seal.participant()) {
            None => {
                at_edge.insert(seal.participant(), seal);
                Noted::New
            }
            Some(earlier) if earlier.hash() == seal.hash() => Noted::Known,
            Some(earlier) => Noted::Contradicts(Arc::clone(earlier.bytes())),
        };
        while self.edges.len() > EDGES_KEPT {
            self.edges.pop_first();
        }
        noted
    }

    /// What the same member sealed otherwise at the same edge.
    pub(crate) fn other_than(&self, seal: &Verified<Seal>) -> Option<Arc<[u8]>> {
        let noted = self.edges.get(&seal.interval())?.get(&seal.participant())?;
        (noted.hash() != seal.hash()).then(|| Arc::clone(noted.bytes()))
    }
}
