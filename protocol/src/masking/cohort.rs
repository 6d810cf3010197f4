//! A cohort: the sites whose shares are added up, and who has masks in common with whom.

use std::collections::BTreeSet;

use crate::charter::Feeder;
use crate::id::{ParticipantId, RosterHash, RosterIndex};
use crate::roster::Roster;
use crate::units::Interval;

/// Most neighbours of a site. A site is seen only if all of its neighbours tell, and its masks cost
/// as much as it has neighbours (Bell, Bonawitz, Gascón, Lepoint and Raykova, *Secure single-server
/// aggregation with (poly)logarithmic overhead*, CCS 2020).
pub const NEIGHBOURS_MAX: usize = 12;
/// Fewest sites of a cohort: the sum of fewer tells too much of each.
pub const COHORT_MIN: usize = 8;
/// Fewest sites that may be absent, if any are: what the feeder's meter shows less the sum of the others
/// is what these took.
pub const ABSENT_MIN: usize = COHORT_MIN;
/// Where more than one in so many sites of a feeder are absent there is no cohort: what is left says
/// too little about the feeder.
pub const ABSENT_ONE_IN: usize = 3;

/// Half of [`NEIGHBOURS_MAX`]: so many on either side of the ring.
const EITHER_SIDE: usize = NEIGHBOURS_MAX / 2;

/// Why there is no cohort of a feeder in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CohortRefused {
    /// Too few sites to hide among.
    #[error("{present} sites are present, and fewer than {COHORT_MIN} do not hide one another")]
    TooFew {
        /// How many there are.
        present: usize,
    },
    /// So few sites are absent that they would be seen.
    #[error(
        "{absent} sites are absent, and the feeder's meter less the sum of the others would show what \
         they took: none must be, or {ABSENT_MIN} at least"
    )]
    AbsentSeen {
        /// How many are absent.
        absent: usize,
    },
    /// Too many sites are absent.
    #[error("{absent} of {sites} sites are absent, which is more than a third")]
    TooManyAbsent {
        /// How many are absent.
        absent: usize,
        /// How many there should be.
        sites: usize,
    },
}

/// The sites of one feeder whose shares of one interval are added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// What all masks depend on: no two cohorts have any in common.
    digest: [u8; 32],
    /// In the order of the ring.
    ring: Vec<ParticipantId>,
}

impl Cohort {
    /// The cohort of these sites of a feeder that has `sites` of them.
    ///
    /// # Errors
    ///
    /// [`CohortRefused`].
    pub fn new(
        roster: &RosterHash,
        (feeder, interval): (&str, Interval),
        present: &BTreeSet<ParticipantId>,
        sites: usize,
    ) -> Result<Self, CohortRefused> {
        let absent = sites.saturating_sub(present.len());
        if present.len() < COHORT_MIN {
            return Err(CohortRefused::TooFew { present: present.len() });
        }
        if (1..ABSENT_MIN).contains(&absent) {
            return Err(CohortRefused::AbsentSeen { absent });
        }
        if absent.saturating_mul(ABSENT_ONE_IN) > sites {
            return Err(CohortRefused::TooManyAbsent { absent, sites });
        }
        let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 mask cohort");
        hasher.update(roster.as_bytes());
        hasher.update(&interval.to_number().to_be_bytes());
        for site in present {
            hasher.update(site.as_bytes());
        }
        hasher.update(feeder.as_bytes());
        // A site has the same neighbours as long as nobody comes or goes.
        let mut ring: Vec<_> = present.iter().map(|site| (place(roster, site), *site)).collect();
        ring.sort_unstable();
        let ring = ring.into_iter().map(|(_, site)| site).collect();
        Ok(Self { digest: hasher.finalize().into(), ring })
    }

    /// The cohort of a feeder in an interval: those of its sites that have an order in the interval's
    /// certified book (P42).
    ///
    /// # Errors
    ///
    /// [`CohortRefused`].
    pub fn of_feeder(
        feeder: &Feeder,
        roster: &Roster,
        interval: Interval,
        is_in_book: impl Fn(RosterIndex) -> bool,
    ) -> Result<Self, CohortRefused> {
        let (mut sites, mut present) = (0_usize, BTreeSet::new());
        for (place, member) in roster.sites_of(feeder) {
            sites = sites.saturating_add(1);
            if is_in_book(place) {
                present.insert(member.enrolment.participant);
            }
        }
        Self::new(&roster.hash(), (&feeder.name, interval), &present, sites)
    }

    /// What all masks depend on.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The sites, in the order of the ring.
    #[must_use]
    pub fn sites(&self) -> &[ParticipantId] {
        &self.ring
    }

    /// With whom a site has masks in common: the nearest six on either side of the ring, or all where
    /// there are no more than twelve others. None for whoever is not of the cohort.
    ///
    /// A neighbour's neighbour is oneself.
    #[must_use]
    pub fn neighbours(&self, site: &ParticipantId) -> Option<BTreeSet<ParticipantId>> {
        let place = self.ring.iter().position(|it| it == site)?;
        let after = self.ring.iter().cycle().skip(place.saturating_add(1)).take(EITHER_SIDE);
        let turned = self.ring.iter().rev().cycle();
        let before = self.ring.len().saturating_sub(place);
        let before = turned.skip(before).take(EITHER_SIDE);
        Some(after.chain(before).filter(|it| *it != site).copied().collect())
    }
}

/// Where a site stands on the ring.
fn place(roster: &RosterHash, site: &ParticipantId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("boltgrid 1 mask ring");
    hasher.update(roster.as_bytes());
    hasher.update(site.as_bytes());
    hasher.finalize().into()
}
