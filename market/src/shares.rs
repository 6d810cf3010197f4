//! The masked shares of all sites in the latest intervals (P42).
//!
//! Not for: whose belong into a sum, which the certified book says ([`crate::cohort`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::Share;
use boltgrid_protocol::units::Interval;

use crate::readings::Noted;

/// Of so many intervals shares are kept: of the one that has just ended, of the one before where that
/// is not added up yet, and two against which a second share is still evidence.
const INTERVALS_KEPT: usize = 4;

/// The first share of each site in each of the latest intervals.
///
/// Bounded by [`INTERVALS_KEPT`] × members.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    intervals: BTreeMap<Interval, BTreeMap<ParticipantId, Verified<Share>>>,
}

impl Shares {
    pub(crate) fn note(&mut self, share: Verified<Share>) -> Noted {
        let interval = share.interval();
        let oldest = self.intervals.first_key_value().map(|(oldest, _)| *oldest);
        if self.intervals.len() >= INTERVALS_KEPT && oldest.is_some_and(|it| interval < it) {
            return Noted::Known;
        }
        let of_interval = self.intervals.entry(interval).or_default();
        let noted = match of_interval.get(&share.participant()) {
            None => {
                of_interval.insert(share.participant(), share);
                Noted::New
            }
            Some(earlier) if earlier.hash() == share.hash() => Noted::Known,
            Some(earlier) => Noted::Contradicts(Arc::clone(earlier.bytes())),
        };
        while self.intervals.len() > INTERVALS_KEPT {
            self.intervals.pop_first();
        }
        noted
    }

    /// What the same site said otherwise of the same interval.
    pub(crate) fn other_than(&self, share: &Verified<Share>) -> Option<Arc<[u8]>> {
        let noted = self.intervals.get(&share.interval())?.get(&share.participant())?;
        (noted.hash() != share.hash()).then(|| Arc::clone(noted.bytes()))
    }

    /// The shares of an interval.
    pub(crate) fn of(&self, interval: Interval) -> BTreeMap<ParticipantId, Share> {
        let shares = self.intervals.get(&interval).into_iter().flatten();
        shares.map(|(site, share)| (*site, *share.body())).collect()
    }

    /// Whether there is a share of all these sites.
    pub(crate) fn are_all_here(&self, interval: Interval, sites: &[ParticipantId]) -> bool {
        let shares = self.intervals.get(&interval);
        shares.is_some_and(|shares| sites.iter().all(|site| shares.contains_key(site)))
    }
}
