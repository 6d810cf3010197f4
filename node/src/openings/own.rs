//! What opens a share of our own: made anew from our stored readings, and only if the share that they
//! give is the one that was heard of us.
//!
//! Not for: sending it.

use boltgrid_market::cohort::NoSum;
use boltgrid_protocol::charter::{Charter, Feeder};
use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::{Cohort, Opening, Share, SumRejected, add_up, share};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, NetEnergy};
use tracing::warn;

use crate::store::{Archive, ArchiveError, CohortRecord};

/// Why this node can't open an interval of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOpening {
    /// No feeder with masked readings.
    #[error("this node is no site of a feeder whose readings are masked")]
    NoFeeder,
    /// It was not of the cohort, or what is kept does not reach back so far.
    #[error("this node knows of no share of its own in that interval")]
    NoShare,
    /// Its readings of one edge are missing.
    #[error("this node's own readings of that interval are missing")]
    NoReadings,
    /// What was heard of this node is something else.
    #[error("the share that others heard does not follow from this node's readings")]
    OtherShare,
    /// The disk.
    #[error("the archive cannot be read")]
    Archive,
}

impl From<ArchiveError> for NoOpening {
    fn from(error: ArchiveError) -> Self {
        warn!(%error, "not readable, and so not opened");
        Self::Archive
    }
}

/// The feeder that feeds a member, if it has a meter's sums.
pub(super) fn feeder_of<'a>(
    charter: &'a Charter,
    roster: &Roster,
    member: &ParticipantId,
) -> Option<&'a Feeder> {
    let site = &roster.member(roster.index_of(member)?)?.enrolment;
    charter.feeders.iter().find(|feeder| feeder.feeds(site))
}

/// The cohort of which a record is kept.
pub(super) fn cohort_of(
    record: &CohortRecord,
    roster: &Roster,
    at: (&str, Interval),
) -> Result<Cohort, NoSum> {
    let present = record.sites.keys().copied().collect();
    let absent = usize::try_from(record.absent).unwrap_or(usize::MAX);
    let sites = record.sites.len().saturating_add(absent);
    Ok(Cohort::new(&roster.hash(), at, &present, sites)?)
}

/// The shares of a record that were heard.
pub(super) fn shares_of(record: &CohortRecord) -> std::collections::BTreeMap<ParticipantId, Share> {
    record.sites.iter().filter_map(|(site, share)| Some((*site, (*share)?))).collect()
}

/// What opens our share of an interval, with the masks where our sum of it is spoilt.
///
/// # Errors
///
/// [`NoOpening`].
pub(super) fn opening(
    archive: &Archive,
    key: &Keypair,
    (charter, roster): (&Charter, &Roster),
    interval: Interval,
) -> Result<Opening, NoOpening> {
    let me = key.participant_id();
    let feeder = feeder_of(charter, roster, &me).ok_or(NoOpening::NoFeeder)?;
    let record = archive.cohort(interval, &feeder.name)?.ok_or(NoOpening::NoShare)?;
    let heard = record.sites.get(&me).ok_or(NoOpening::NoShare)?;
    let cohort = cohort_of(&record, roster, (&feeder.name, interval));
    let cohort = cohort.map_err(|_| NoOpening::NoShare)?;
    let net = net(archive, &me, interval)?;
    let (made, opening) = share(&cohort, key, net).map_err(|_| NoOpening::NoShare)?;
    if heard.is_some_and(|heard| heard != made) {
        return Err(NoOpening::OtherShare);
    }
    let spoilt = Err(SumRejected::DoesNotAddUp);
    let is_spoilt = add_up(&cohort, &shares_of(&record)) == spoilt;
    Ok(if is_spoilt { opening } else { opening.without_masks() })
}

/// What our meter showed of an interval, by the readings from which the share was made.
fn net(archive: &Archive, me: &ParticipantId, interval: Interval) -> Result<NetEnergy, NoOpening> {
    let at = |edge| -> Result<Reading, NoOpening> {
        let bytes = archive.reading(edge, me)?.ok_or(NoOpening::NoReadings)?;
        // It is our own, and the share that follows from it is compared with the one that was heard.
        Ok(*Signed::<Reading>::decode(bytes).map_err(|_| NoOpening::NoReadings)?.body())
    };
    let (start, end) = (at(interval)?, at(interval.next())?);
    let taken = end.import_register_mwh.checked_sub(start.import_register_mwh);
    let given = end.export_register_mwh.checked_sub(start.export_register_mwh);
    let (taken, given) = taken.zip(given).ok_or(NoOpening::NoReadings)?;
    NetEnergy::between(taken, given).map_err(|_| NoOpening::NoReadings)
}
