//! Sums are right for whoever is there, one liar is bounded to its cohort, and what can be tested of
//! hiding: that a share alone looks the same whatever it is of. That nobody can see more is not
//! tested but rests on X25519, BLAKE3 and the commitments' blinding.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::id::RosterHash;
use crate::units::Interval;

const ROSTER: RosterHash = RosterHash::from_bytes([3; 32]);
pub(super) const AT: Interval = Interval::from_number(7);

pub(super) fn key(number: usize) -> Keypair {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Keypair::from_seed(&seed)
}

pub(super) fn net(mwh: i64) -> NetEnergy {
    NetEnergy::from_milliwatt_hours(mwh)
}

/// The cohort of some of `sites` keys.
pub(super) fn cohort(
    present: impl IntoIterator<Item = usize>,
    sites: usize,
    at: Interval,
) -> Cohort {
    let present = present.into_iter().map(|number| key(number).participant_id()).collect();
    Cohort::new(&ROSTER, ("north", at), &present, sites).unwrap()
}

fn shares(cohort: &Cohort, of: &BTreeMap<usize, i64>) -> BTreeMap<ParticipantId, Share> {
    of.iter()
        .map(|(number, mwh)| {
            let key = key(*number);
            (key.participant_id(), share(cohort, &key, net(*mwh)).unwrap().0)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_sum_is_right_whoever_of_the_sites_is_there(
        absent in prop_oneof![Just(BTreeSet::new()), btree_set(0_usize..24, 8)],
        energies in vec(-1_000_000_000_000_i64..1_000_000_000_000, 24),
    ) {
        let there: BTreeMap<usize, i64> =
            (0..24).filter(|site| !absent.contains(site)).map(|it| (it, energies[it])).collect();
        let cohort = cohort(there.keys().copied(), 24, AT);
        let sum: i64 = there.values().sum();
        prop_assert_eq!(add_up(&cohort, &shares(&cohort, &there)), Ok(net(sum)));
    }

    #[test]
    fn whoever_changes_its_share_changes_the_sum_by_that_or_spoils_it(
        liar in 0_usize..9,
        truth in vec(-1_000_000_i64..1_000_000, 9),
        by in prop_oneof![-1_000_000_i64..0, 1_i64..1_000_000],
    ) {
        let all: BTreeMap<usize, i64> = truth.iter().copied().enumerate().collect();
        let cohort = cohort(0..9, 9, AT);
        let sum: i64 = truth.iter().sum();
        let honest = shares(&cohort, &all);
        // It claims another energy: the sum is off by what it claims, and nobody's else is touched.
        let claims = shares(&cohort, &BTreeMap::from([(liar, truth[liar] + by)]));
        let mut consistent = honest.clone();
        consistent.extend(claims.clone());
        prop_assert_eq!(add_up(&cohort, &consistent), Ok(net(sum + by)));
        // It says another energy than it commits to.
        let id = key(liar).participant_id();
        let mut spoilt = honest.clone();
        spoilt.insert(id, Share { masked_mwh: claims[&id].masked_mwh, ..honest[&id] });
        prop_assert_eq!(add_up(&cohort, &spoilt), Err(SumRejected::DoesNotAddUp));
    }
}

#[test]
fn without_all_shares_there_is_no_sum() {
    let all: BTreeMap<usize, i64> = (0..9).map(|site| (site, 5)).collect();
    let cohort = cohort(0..9, 9, AT);
    let mut shares = shares(&cohort, &all);
    let gone = key(4).participant_id();
    shares.remove(&gone);
    assert_eq!(add_up(&cohort, &shares), Err(SumRejected::Missing(vec![gone])));
    shares.insert(gone, Share { commitment: [0xFF; 32], masked_mwh: 0 });
    assert_eq!(add_up(&cohort, &shares), Err(SumRejected::NotAPoint(gone)));
    // A share of somebody else is no part of it.
    shares.insert(gone, share(&cohort, &key(4), net(5)).unwrap().0);
    shares.insert(key(77).participant_id(), Share { commitment: [0xFF; 32], masked_mwh: 1 });
    assert_eq!(add_up(&cohort, &shares), Ok(net(45)));
}

#[test]
fn shares_of_two_cohorts_or_intervals_have_no_masks_in_common() {
    let ten = cohort(0..10, 10, AT);
    let nine = cohort(0..9, 9, AT);
    let later = cohort(0..10, 10, AT.next());
    let masked = |cohort: &Cohort| share(cohort, &key(0), net(0)).unwrap().0;
    let three = [masked(&ten), masked(&nine), masked(&later)];
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        assert_ne!(three[one].masked_mwh, three[other].masked_mwh);
        assert_ne!(three[one].commitment, three[other].commitment);
    }
    // What one would learn by leaving a site out of one of two sums is not its energy.
    let energies: BTreeMap<usize, i64> = (0..10).map(|site| (site, 1_000)).collect();
    let (with, mut without) = (shares(&ten, &energies), energies);
    without.remove(&9);
    let nine_of_ten = shares(&nine, &without);
    let total = |shares: &BTreeMap<ParticipantId, Share>| {
        shares.values().fold(0_u64, |sum, it| sum.wrapping_add(it.masked_mwh))
    };
    assert_eq!(total(&with).wrapping_sub(total(&nine_of_ten)), 1_000, "sums are public …");
    let left: BTreeMap<_, _> =
        with.into_iter().filter(|(id, _)| *id != key(9).participant_id()).collect();
    assert_ne!(total(&left), 9_000, "… and a part of one is not the other");
}

#[test]
fn a_pair_has_another_mask_for_every_feeder_interval_roster_and_set_of_sites() {
    let sites = |last: usize| {
        (0..9).chain([last]).map(|number| key(number).participant_id()).collect::<BTreeSet<_>>()
    };
    let of = |roster: &RosterHash, at: (&str, Interval), last: usize| {
        let cohort = Cohort::new(roster, at, &sites(last), 10).unwrap();
        let pair = pair::of(&cohort, &key(0), &key(1).participant_id()).unwrap();
        (pair.mask, pair.blinding.to_bytes())
    };
    let other_roster = RosterHash::from_bytes([4; 32]);
    let all = [
        of(&ROSTER, ("north", AT), 9),
        of(&ROSTER, ("south", AT), 9),
        of(&ROSTER, ("north", AT.next()), 9),
        of(&other_roster, ("north", AT), 9),
        of(&ROSTER, ("north", AT), 77),
    ];
    assert_eq!(all[0], of(&ROSTER, ("north", AT), 9));
    let masks: BTreeSet<u64> = all.iter().map(|(mask, _)| *mask).collect();
    let blindings: BTreeSet<[u8; 32]> = all.iter().map(|(_, blinding)| *blinding).collect();
    assert_eq!((masks.len(), blindings.len()), (all.len(), all.len()));
}

#[test]
fn few_sites_or_many_absent_ones_are_no_cohort() {
    let of = |present: usize, sites| {
        let present = (0..present).map(|number| key(number).participant_id()).collect();
        Cohort::new(&ROSTER, ("north", AT), &present, sites).map(drop)
    };
    assert_eq!(of(COHORT_MIN, COHORT_MIN), Ok(()));
    assert_eq!(of(7, 7), Err(CohortRefused::TooFew { present: 7 }));
    assert_eq!(of(16, 24), Ok(()));
    assert_eq!(of(16, 25), Err(CohortRefused::TooManyAbsent { absent: 9, sites: 25 }));
    // Of a feeder of which one site is absent, the meter less the sum is that site.
    assert_eq!(of(23, 24), Err(CohortRefused::AbsentSeen { absent: 1 }));
    assert_eq!(of(17, 24), Err(CohortRefused::AbsentSeen { absent: 7 }));
}

#[test]
fn neighbours_are_mutual_and_as_many_as_there_should_be() {
    for sites in [8, 9, 12, 13, 14, 15, 50] {
        let cohort = cohort(0..sites, sites, AT);
        for site in cohort.sites() {
            let neighbours = cohort.neighbours(site).unwrap();
            assert_eq!(neighbours.len(), (sites - 1).min(NEIGHBOURS_MAX), "{sites} sites");
            let mutual = |it: &ParticipantId| cohort.neighbours(it).unwrap().contains(site);
            assert!(neighbours.iter().all(mutual) && !neighbours.contains(site));
        }
    }
    assert_eq!(cohort(0..9, 9, AT).neighbours(&key(50).participant_id()), None);
    let stranger = share(&cohort(0..9, 9, AT), &key(50), net(1));
    assert_eq!(stranger.map(drop), Err(NoShare::NotOfCohort));
}

/// The same energy under many masks: every bit is set about half the time, whatever the energy.
/// A thousand fair coins are further than 100 from 500 once in 4 · 10⁹ times.
#[test]
fn a_masked_energy_looks_like_chance() {
    for energy in [0, -1, 1_000_000_000] {
        let mut set = [0_u32; 64];
        for at in 0..1_000 {
            let cohort = cohort(0..8, 8, Interval::from_number(at));
            let masked = share(&cohort, &key(1), net(energy)).unwrap().0.masked_mwh;
            for (bit, count) in set.iter_mut().enumerate() {
                *count += u32::from(masked >> bit & 1 == 1);
            }
        }
        assert!(set.iter().all(|count| (400..=600).contains(count)), "{energy}: {set:?}");
    }
}

/// All neighbours but one tell everything they have in common with a site: what it took is still
/// under the last one's mask.
#[test]
fn one_honest_neighbour_hides_a_site() {
    let cohort = cohort(0..8, 8, AT);
    let me = key(0).participant_id();
    let mut masked = share(&cohort, &key(0), net(4_711)).unwrap().0.masked_mwh;
    for other in 1..8 {
        let id = key(other).participant_id();
        let Some(pair) = pair::of(&cohort, &key(other), &me) else { panic!("{other}") };
        let told = if me < id { pair.mask } else { pair.mask.wrapping_neg() };
        assert_ne!(masked, 4_711, "before {other} tells");
        masked = masked.wrapping_sub(told);
    }
    assert_eq!(masked, 4_711, "once all of them have told, nothing hides it");
}

#[test]
fn the_bytes_are_what_they_always_were() {
    let cohort = cohort(0..9, 9, AT);
    let (share, opening) = share(&cohort, &key(0), net(-5)).unwrap();
    let text = format!(
        "{} {} {} {:016x} {}",
        hex::encode(second_base().compress().as_bytes()),
        hex::encode(cohort.digest()),
        hex::encode(share.commitment),
        share.masked_mwh,
        hex::encode(opening.blinding()),
    );
    assert_eq!(text, VECTOR);
    let sites: BTreeSet<_> = cohort.sites().iter().collect();
    assert_eq!(sites.len(), 9);
}

/// Second base, cohort's digest, commitment, masked energy and blinding of one share.
const VECTOR: &str = "b063d8e4f4e3e3b7ef2d85976851267771687b46d80cf28b8f33f82a262a095d \
    58990d51529dd783c69ade44622a6d119282e7f7d04351fd606fb63b5f3d2431 \
    a460d25ec4824e53e130d689e459e9259b94c086fb2813e9edbf4cdef3e7d332 \
    04a9c1f5feeaff64 ee68f77d4ecf28b96cd11d2235d330ff46d11556909417070f997511ba0af50e";
