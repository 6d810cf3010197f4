//! The signed readings of all members at the latest interval edges.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Interval, Power};

use crate::settlement::Metered;

/// How many edges are kept: those of the interval being settled, of the one being delivered, and one.
pub(crate) const EDGES_KEPT: usize = 5;

/// The first reading of each member at each of the latest edges.
///
/// Bounded by [`EDGES_KEPT`] × members.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    edges: BTreeMap<Interval, BTreeMap<ParticipantId, Verified<Reading>>>,
}

/// What became of a reading.
#[derive(Debug)]
pub(crate) enum Noted {
    /// The first of its meter at this edge.
    New,
    /// It was there, or its edge is no longer of interest.
    Known,
    /// The meter said something else before.
    Contradicts(Arc<[u8]>),
}

/// The sum of the latest readings of all members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GridPower {
    /// Net power of all members, import positive: what flows across the grid connection.
    pub power_mw: Power,
    /// What it would be if nothing were turned down.
    pub potential_mw: Power,
    /// How many members' readings are in the sums.
    pub members: usize,
}

impl Readings {
    pub(crate) fn note(&mut self, reading: Verified<Reading>) -> Noted {
        let edge = reading.interval();
        let oldest = self.edges.first_key_value().map(|(edge, _)| *edge);
        if self.edges.len() >= EDGES_KEPT && oldest.is_some_and(|oldest| edge < oldest) {
            return Noted::Known;
        }
        let at_edge = self.edges.entry(edge).or_default();
        let noted = match at_edge.get(&reading.participant()) {
            None => {
                at_edge.insert(reading.participant(), reading);
                Noted::New
            }
            Some(earlier) if earlier.hash() == reading.hash() => Noted::Known,
            Some(earlier) => Noted::Contradicts(Arc::clone(earlier.bytes())),
        };
        while self.edges.len() > EDGES_KEPT {
            self.edges.pop_first();
        }
        noted
    }

    /// A member's reading at an edge, if it was heard.
    pub(crate) fn of(&self, member: &ParticipantId, edge: Interval) -> Option<&Verified<Reading>> {
        self.edges.get(&edge)?.get(member)
    }

    /// What the same meter said otherwise at the same edge.
    pub(crate) fn other_than(&self, reading: &Verified<Reading>) -> Option<Arc<[u8]>> {
        let noted = self.edges.get(&reading.interval())?.get(&reading.participant())?;
        (noted.hash() != reading.hash()).then(|| Arc::clone(noted.bytes()))
    }

    /// What a member's registers advanced by over an interval, if both edges were heard, in one chain,
    /// and neither register ran backwards. Registers of another chain are another meter's (P18).
    pub(crate) fn metered(&self, member: &ParticipantId, interval: Interval) -> Option<Metered> {
        let start = self.edges.get(&interval)?.get(member)?.body();
        let end = self.edges.get(&interval.next())?.get(member)?.body();
        if end.sequence <= start.sequence {
            return None;
        }
        Some(Metered {
            import: end.import_register_mwh.checked_sub(start.import_register_mwh)?,
            export: end.export_register_mwh.checked_sub(start.export_register_mwh)?,
        })
    }

    /// A member's signed readings at both edges of an interval, as far as they were heard.
    pub(crate) fn signed(&self, member: &ParticipantId, interval: Interval) -> Vec<Arc<[u8]>> {
        [interval, interval.next()]
            .iter()
            .filter_map(|edge| Some(Arc::clone(self.edges.get(edge)?.get(member)?.bytes())))
            .collect()
    }

    /// The sum of the readings of all sites at the latest edge that at least half of the members were
    /// heard at.
    pub(crate) fn grid_power(
        &self,
        members: usize,
        is_site: impl Fn(&ParticipantId) -> bool,
    ) -> GridPower {
        let heard = |at_edge: &&BTreeMap<_, _>| at_edge.len().saturating_mul(2) >= members;
        let Some(at_edge) = self.edges.values().rev().find(heard) else {
            return GridPower::default();
        };
        let sites = || at_edge.iter().filter(|(member, _)| is_site(member));
        let sum = |power: fn(&Reading) -> Power| {
            sites()
                .map(|(_, reading)| power(reading.body()))
                .fold(Power::ZERO, |sum, power| sum.checked_add(power).unwrap_or(sum))
        };
        GridPower {
            power_mw: sum(|reading| reading.power_mw),
            potential_mw: sum(|reading| reading.potential_mw.unwrap_or(reading.power_mw)),
            members: sites().count(),
        }
    }
}
