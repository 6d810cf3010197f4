//! What flowed through every member's meter in the latest intervals, from the readings in the archive.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use boltgrid_metering::feeder::{Balance, FeederFlow, SiteFlow, balance};
use boltgrid_protocol::charter::{Charter, Feeder};
use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::units::{Energy, Interval, NetEnergy, Power};
use tracing::warn;

use crate::store::{Archive, ArchiveError, SignedBytes};

/// What a flow is made of.
#[derive(Clone, Copy, Debug)]
struct AtEdge {
    sequence: u64,
    import: Energy,
    export: Energy,
}

/// The readings at one edge, and how many bytes they were made of.
#[derive(Debug, Default)]
struct Edge {
    readings: usize,
    members: BTreeMap<ParticipantId, AtEdge>,
}

/// A feeder's flow and its sum, or whose readings are missing.
pub(super) type Added = Result<(FeederFlow, Balance), Vec<ParticipantId>>;

/// The readings at the latest edges. Bounded by the edges that are asked for × members.
#[derive(Debug, Default)]
pub(super) struct Flows {
    edges: BTreeMap<Interval, Edge>,
}

impl Flows {
    /// Reads these edges, as far as there is something new about them, and forgets all others.
    pub(super) fn read(
        &mut self,
        archive: &Archive,
        (charter, rosters): (&Charter, &mut Rosters),
        edges: RangeInclusive<Interval>,
    ) {
        self.edges.retain(|edge, _| edges.contains(edge));
        let mut interval = *edges.start();
        while interval <= *edges.end() {
            match archive.readings(interval) {
                Ok(stored) => {
                    let edge = self.edges.entry(interval).or_default();
                    // The first reading of a meter stands, so there is news only where there are more.
                    if edge.readings != stored.len() {
                        *edge = Edge::of(stored, charter, &rosters.at(interval));
                    }
                }
                Err(error) => not_readable(interval, &error),
            }
            interval = interval.next();
        }
    }

    /// A feeder's meter and what it and its sites say of an interval. None where it has no meter.
    pub(super) fn of(
        &self,
        feeder: &Feeder,
        (charter, roster): (&Charter, &Roster),
        interval: Interval,
    ) -> Option<(ParticipantId, Added)> {
        let members = || roster.members().iter().map(|member| &member.enrolment);
        let is_meter = |point: &str| {
            charter.feeder_metered_at(point).is_some_and(|metered| metered.name == feeder.name)
        };
        let meter = members().find(|it| is_meter(&it.connection_point))?.participant;
        let mut missing = Vec::new();
        let mut net = |member: ParticipantId| {
            let net = self.net(&member, interval);
            if net.is_none() {
                missing.push(member);
            }
            net.unwrap_or(NetEnergy::ZERO)
        };
        let is_here = |point: &String| feeder.connection_points.contains(point);
        let interval_ms = charter.interval.interval_ms;
        // Ratings are at most a gigawatt, so that this fits.
        let most = |rated: Power| rated.energy_over_floor(interval_ms).unwrap_or(Energy::ZERO);
        let into = net(meter);
        let sites = members()
            .filter(|it| !it.outside && is_here(&it.connection_point))
            .map(|it| SiteFlow {
                participant: it.participant,
                net: net(it.participant),
                import_most: most(it.rated_import_mw),
                export_most: most(it.rated_export_mw),
            })
            .collect();
        let others = members().filter(|it| {
            let point = &it.connection_point;
            !it.outside && !is_here(point) && charter.feeder_metered_at(point).is_none()
        });
        let elsewhere = others
            .filter_map(|it| Some((it.participant, self.net(&it.participant, interval)?)))
            .collect();
        let flow = FeederFlow { interval, feeder: into, sites, elsewhere };
        let loss_ppm = charter.connection.loss_ppm;
        let added = balance(&flow, loss_ppm, interval_ms).map(|balance| (flow, balance));
        // Sums beyond 63 bits are nobody's in particular.
        let added = if missing.is_empty() { added.ok_or(Vec::new()) } else { Err(missing) };
        Some((meter, added))
    }

    /// What a member took on balance in an interval (P18).
    fn net(&self, member: &ParticipantId, interval: Interval) -> Option<NetEnergy> {
        let start = self.edges.get(&interval)?.members.get(member)?;
        let end = self.edges.get(&interval.next())?.members.get(member)?;
        if end.sequence <= start.sequence {
            return None;
        }
        let import = end.import.checked_sub(start.import)?;
        let export = end.export.checked_sub(start.export)?;
        NetEnergy::between(import, export).ok()
    }
}

impl Edge {
    fn of(stored: Vec<SignedBytes>, charter: &Charter, roster: &Roster) -> Self {
        let readings = stored.len();
        let verified = stored.into_iter().filter_map(|(member, bytes)| {
            // What is stored is trusted no more than what is received.
            let reading = verify(bytes, charter, roster)?;
            let (sequence, import) = (reading.sequence, reading.import_register_mwh);
            Some((member, AtEdge { sequence, import, export: reading.export_register_mwh }))
        });
        Self { members: verified.collect(), readings }
    }
}

fn verify(bytes: Arc<[u8]>, charter: &Charter, roster: &Roster) -> Option<Reading> {
    let signed = Signed::<Reading>::decode(bytes);
    let verified = signed.and_then(|signed| signed.verify(charter, roster));
    match verified {
        Ok(verified) => Some(*verified.body()),
        Err(error) => {
            warn!(%error, "a stored reading does not verify");
            None
        }
    }
}

fn not_readable(interval: Interval, error: &ArchiveError) {
    warn!(%error, %interval, "stored readings not readable");
}
