//! An arbiter's part in what sites open to it (P44): which openings of one interval it keeps, and what they
//! come to once they are there.
//!
//! Not for: the commitments ([`boltgrid_protocol::masking`]), or whose meter a gap comes from, which is
//! reckoned from these flows as from open readings.

use std::collections::BTreeMap;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::masking::{
    Cohort, Opening, OpeningRefused, Share, SumRejected, add_up, differing,
};
use boltgrid_protocol::units::NetEnergy;

/// Whether an arbiter that heard these shares keeps this opening of a site: it opens the share that was
/// heard, and shows masks where these are needed to settle anything, and only there.
///
/// # Errors
///
/// [`OpeningRefused`].
pub fn check(
    cohort: &Cohort,
    shares: &BTreeMap<ParticipantId, Share>,
    (site, opening): (&ParticipantId, &Opening),
) -> Result<(), OpeningRefused> {
    let is_spoilt = match add_up(cohort, shares) {
        Ok(_) => false,
        Err(SumRejected::DoesNotAddUp | SumRejected::NotAPoint(_)) => true,
        Err(SumRejected::Missing(_)) => return Err(OpeningRefused::NotHeard),
    };
    let share = shares.get(site).ok_or(OpeningRefused::NotHeard)?;
    opening.check(cohort, site, share)?;
    match (is_spoilt, opening.masks()) {
        (true, 0) => Err(OpeningRefused::NeedsMasks),
        (false, 1..) => Err(OpeningRefused::MasksNotNeeded),
        (true, 1..) | (false, 0) => Ok(()),
    }
}

/// What is open of one interval of a feeder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What each site that opened took on balance.
    pub net_mwh: BTreeMap<ParticipantId, NetEnergy>,
    /// Who of the cohort has not opened.
    pub missing: Vec<ParticipantId>,
    /// Whether the sum is spoilt.
    pub is_spoilt: bool,
    /// Two neighbours each that tell different masks.
    pub differing: Vec<(ParticipantId, ParticipantId)>,
}

/// What openings that [`check`] let pass come to.
#[must_use]
pub fn opened(cohort: &Cohort, openings: &BTreeMap<ParticipantId, Opening>) -> Opened {
    let mut missing: Vec<ParticipantId> =
        cohort.sites().iter().filter(|site| !openings.contains_key(*site)).copied().collect();
    missing.sort_unstable();
    Opened {
        net_mwh: openings.iter().map(|(site, opening)| (*site, opening.net())).collect(),
        missing,
        // Masks are shown where the sum is spoilt, and only there.
        is_spoilt: openings.values().any(|opening| opening.masks() > 0),
        differing: differing(cohort, openings),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use boltgrid_protocol::id::RosterHash;
    use boltgrid_protocol::masking::{OpeningRejected, share};
    use boltgrid_protocol::signing::Keypair;
    use boltgrid_protocol::units::Interval;

    use super::*;

    type Made = (Cohort, BTreeMap<ParticipantId, Share>, BTreeMap<ParticipantId, Opening>);

    fn key(site: u8) -> Keypair {
        Keypair::from_seed(&[site; 32])
    }

    /// Nine sites that take 1, 2, … 9 Wh.
    fn made() -> Made {
        let sites: BTreeSet<_> = (1..=9).map(|site| key(site).participant_id()).collect();
        let at = ("north", Interval::from_number(7));
        let cohort = Cohort::new(&RosterHash::from_bytes([3; 32]), at, &sites, 9).unwrap();
        let (mut shares, mut openings) = (BTreeMap::new(), BTreeMap::new());
        for site in 1..=9 {
            let net = NetEnergy::from_milliwatt_hours(i64::from(site) * 1_000);
            let (it, opening) = share(&cohort, &key(site), net).unwrap();
            shares.insert(key(site).participant_id(), it);
            openings.insert(key(site).participant_id(), opening);
        }
        (cohort, shares, openings)
    }

    fn spoilt() -> Made {
        let (cohort, mut shares, openings) = made();
        shares.get_mut(&key(4).participant_id()).unwrap().masked_mwh ^= 1 << 20;
        (cohort, shares, openings)
    }

    #[test]
    fn an_opening_is_kept_if_it_opens_what_was_heard_and_shows_no_more_than_it_must() {
        let (cohort, shares, openings) = made();
        let (me, other) = (key(2).participant_id(), key(3).participant_id());
        let (full, short) = (openings[&me].clone(), openings[&me].clone().without_masks());
        assert_eq!(check(&cohort, &shares, (&me, &short)), Ok(()));
        let not_needed = Err(OpeningRefused::MasksNotNeeded);
        assert_eq!(check(&cohort, &shares, (&me, &full)), not_needed);
        let wrong = Err(OpeningRefused::Rejected(OpeningRejected::OtherCommitment));
        assert_eq!(check(&cohort, &shares, (&other, &short)), wrong, "somebody else's");
        let stranger = key(77).participant_id();
        assert_eq!(check(&cohort, &shares, (&stranger, &short)), Err(OpeningRefused::NotHeard));
        let mut fewer = shares;
        fewer.remove(&other);
        assert_eq!(check(&cohort, &fewer, (&me, &short)), Err(OpeningRefused::NotHeard));
    }

    #[test]
    fn of_a_spoilt_sum_masks_are_needed_and_whoever_spoilt_it_has_none_that_fit() {
        let (cohort, shares, openings) = spoilt();
        let (me, liar) = (key(2).participant_id(), key(4).participant_id());
        let short = openings[&me].clone().without_masks();
        assert_eq!(check(&cohort, &shares, (&me, &short)), Err(OpeningRefused::NeedsMasks));
        assert_eq!(check(&cohort, &shares, (&me, &openings[&me])), Ok(()));
        let wrong = Err(OpeningRefused::Rejected(OpeningRejected::OtherMasks));
        assert_eq!(check(&cohort, &shares, (&liar, &openings[&liar])), wrong);
    }

    #[test]
    fn who_has_not_opened_is_named_and_what_it_took_is_not_reckoned() {
        let (cohort, _, mut openings) = made();
        let (third, eighth) = (key(3).participant_id(), key(8).participant_id());
        openings.remove(&third);
        openings.remove(&eighth);
        let openings = openings.into_iter().map(|(id, it)| (id, it.without_masks())).collect();
        let it = opened(&cohort, &openings);
        assert_eq!(it.missing, BTreeSet::from([third, eighth]).into_iter().collect::<Vec<_>>());
        assert_eq!((it.net_mwh.len(), it.is_spoilt, it.differing), (7, false, Vec::new()));
        assert_eq!(it.net_mwh[&key(9).participant_id()].to_milliwatt_hours(), 9_000);
        let (cohort, _, openings) = spoilt();
        assert!(opened(&cohort, &openings).is_spoilt);
    }
}
