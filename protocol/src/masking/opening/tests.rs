//! An opening opens one share of one site in one interval, and who tells other masks than its neighbour
//! is one of two.

use super::*;
use crate::codec;
use crate::masking::tests::{AT, cohort, key, net};
use crate::masking::{NEIGHBOURS_MAX, SumRejected, add_up, share};

/// Nine sites; the share and the opening of each, of 100 Wh and some.
fn all() -> (Cohort, BTreeMap<ParticipantId, (Share, Opening)>) {
    let cohort = cohort(0..9, 9, AT);
    let made = (0..9).map(|site| {
        let mwh = 100_000 + i64::try_from(site).unwrap();
        (key(site).participant_id(), share(&cohort, &key(site), net(mwh)).unwrap())
    });
    let made = made.collect();
    (cohort, made)
}

#[test]
fn an_opening_opens_its_own_share_only() {
    let (cohort, all) = all();
    let me = key(2).participant_id();
    let (mine, full) = &all[&me];
    assert_eq!(full.masks(), 8);
    let short = full.clone().without_masks();
    assert_eq!((short.masks(), short.net()), (0, net(100_002)));
    for opening in [full, &short] {
        assert_eq!(opening.check(&cohort, &me, mine), Ok(()));
        let other = &all[&key(3).participant_id()].0;
        assert_eq!(opening.check(&cohort, &me, other), Err(OpeningRejected::OtherCommitment));
        let stranger = key(50).participant_id();
        assert_eq!(opening.check(&cohort, &stranger, mine), Err(OpeningRejected::NotOfCohort));
    }
    let later = super::super::tests::cohort(0..9, 9, AT.next());
    let (of_later, _) = share(&later, &key(2), net(100_002)).unwrap();
    assert_eq!(short.check(&later, &me, &of_later), Err(OpeningRejected::OtherCommitment));
    let mut other_energy = short.clone();
    other_energy.net_mwh = 100_001;
    assert_eq!(
        other_energy.check(&cohort, &me, mine),
        Err(OpeningRejected::OtherCommitment),
        "it binds"
    );
    let mut garbage = short.clone();
    garbage.blinding = [0xFF; 32];
    assert_eq!(garbage.check(&cohort, &me, mine), Err(OpeningRejected::NotAScalar));
    assert!(!format!("{short:?}").contains("100"));
}

#[test]
fn masks_must_be_one_for_each_neighbour_and_come_to_the_share() {
    let (cohort, all) = all();
    let me = key(2).participant_id();
    let (mine, full) = &all[&me];
    let with = |change: fn(&mut Vec<PairMask>)| {
        let mut opening = full.clone();
        change(&mut opening.pairs);
        opening.check(&cohort, &me, mine)
    };
    assert_eq!(with(|pairs| drop(pairs.pop())), Err(OpeningRejected::MaskCount));
    assert_eq!(with(|pairs| pairs.push(pairs[0].clone())), Err(OpeningRejected::MaskCount));
    assert_eq!(with(|pairs| pairs[4].mask ^= 1), Err(OpeningRejected::OtherMasks));
    assert_eq!(with(|pairs| pairs[4].blinding[0] ^= 1), Err(OpeningRejected::OtherMasks));
    assert_eq!(with(|pairs| pairs[4].blinding = [0xFF; 32]), Err(OpeningRejected::NotAScalar));
    // Whoever commits to one energy and shares another can't tell its true masks.
    let lie = Share { masked_mwh: mine.masked_mwh.wrapping_sub(40_000), ..*mine };
    assert_eq!(full.check(&cohort, &me, &lie), Err(OpeningRejected::OtherMasks));
    assert_eq!(full.clone().without_masks().check(&cohort, &me, &lie), Ok(()), "as honest ones do");
}

#[test]
fn a_sum_is_spoilt_by_one_of_two_neighbours_that_tell_different_masks() {
    let (cohort, all) = all();
    let mut shares: BTreeMap<_, _> = all.iter().map(|(id, (share, _))| (*id, *share)).collect();
    let mut openings: BTreeMap<_, _> = all.iter().map(|(id, (_, it))| (*id, it.clone())).collect();
    assert_eq!(differing(&cohort, &openings), []);
    assert!(add_up(&cohort, &shares).is_ok());
    // It shares 40 Wh less than it committed to, and blames one of its masks.
    let liar = key(2).participant_id();
    let share = shares.get_mut(&liar).unwrap();
    share.masked_mwh = share.masked_mwh.wrapping_sub(40_000);
    let share = *share;
    assert_eq!(add_up(&cohort, &shares), Err(SumRejected::DoesNotAddUp));
    let blamed = *cohort.neighbours(&liar).unwrap().last().unwrap();
    let bent = openings.get_mut(&liar).unwrap();
    let by = if liar < blamed { 40_000_u64.wrapping_neg() } else { 40_000 };
    let bent_pair = bent.pairs.last_mut().unwrap();
    bent_pair.mask = bent_pair.mask.wrapping_add(by);
    assert_eq!(bent.check(&cohort, &liar, &share), Ok(()), "the arbiter takes it");
    let two = (liar.min(blamed), liar.max(blamed));
    assert_eq!(differing(&cohort, &openings), [two]);
    // As long as one of the two keeps its masks to itself, nobody can tell.
    let silent = openings.remove(&blamed).unwrap();
    assert_eq!(differing(&cohort, &openings), []);
    openings.insert(blamed, silent.without_masks());
    assert_eq!(differing(&cohort, &openings), []);
}

#[test]
fn an_opening_is_as_long_as_it_says_and_survives_the_round_trip() {
    let cohort = cohort(0..NEIGHBOURS_MAX + 1, NEIGHBOURS_MAX + 1, AT);
    let (_, full) = share(&cohort, &key(0), net(i64::MIN)).unwrap();
    assert_eq!(codec::canonical(&full).len(), Opening::LIMIT);
    for opening in [full.clone(), full.without_masks()] {
        let bytes = codec::canonical(&opening);
        assert_eq!(codec::decode::<Opening>(&bytes, Opening::LIMIT), Ok(opening));
    }
}
