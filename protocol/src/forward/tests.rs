//! Acceptances, replies and stacks: what makes them valid.

use super::*;
use crate::envelope::Payload;
use crate::fixture::{Grid, INTERVAL, acceptance, reply, stack};
use crate::id::RosterIndex;

const fn mwh(mwh: u64) -> Energy {
    Energy::from_milliwatt_hours(mwh)
}

fn check<T: Payload>(grid: &Grid, author: u32, body: &T) -> Result<(), MessageRejected> {
    grid.try_sign(RosterIndex::new(author), INTERVAL, body).map(|_| ())
}

#[test]
fn a_stack_joins_what_is_alike_and_knows_what_stands_before() {
    let first = Interval::from_number(10);
    let stack = stack(first, &[5, 5, 0]);
    assert_eq!(stack.levels.len(), 2);
    assert_eq!(stack.span(), (first, first.plus(3)));
    assert_eq!(stack.before(first.plus(1)), Some(mwh(5)));
    assert_eq!(stack.before(first.plus(2)), Some(mwh(0)));
    assert_eq!(stack.before(first.plus(3)), None);
    assert_eq!(stack.highest(), mwh(5));
    assert_eq!(Stack::of([]), None);
    let uneven = (0..=LEVELS_MAX as u64).map(|place| Level {
        first: first.plus(place),
        after: first.plus(place).next(),
        before_mwh: mwh(place),
    });
    assert_eq!(Stack::of(uneven), None, "one level too many");
}

#[test]
fn an_acceptance_is_of_anothers_offer_and_within_its_authors_rating() {
    let grid = Grid::sample();
    let good = acceptance(&grid);
    assert_eq!(check(&grid, 1, &good), Ok(()));
    let only = |before| stack(INTERVAL.plus(20), &[before]);
    // The acceptor's import of 20 kW moves 1 666 666 mWh in five minutes.
    let up_to_rating = Acceptance { stack: only(1_566_666), ..good.clone() };
    assert_eq!(check(&grid, 1, &up_to_rating), Ok(()));
    let one = Level { first: INTERVAL, after: INTERVAL.next(), before_mwh: mwh(0) };
    let gap = Level { first: INTERVAL.plus(2), after: INTERVAL.plus(3), before_mwh: mwh(1) };
    let same = Level { first: INTERVAL.next(), after: INTERVAL.plus(2), before_mwh: mwh(0) };
    let levels = |levels: Vec<Level>| Stack { levels };
    let bad = [
        Acceptance { offerer: grid.people[1].key.participant_id(), ..good.clone() },
        Acceptance { energy_mwh: Energy::ZERO, ..good.clone() },
        Acceptance { stack: only(1_566_667), ..good.clone() },
        Acceptance { stack: only(u64::MAX), ..good.clone() },
        Acceptance { stack: levels(vec![]), ..good.clone() },
        Acceptance { stack: levels(vec![one, gap]), ..good.clone() },
        Acceptance { stack: levels(vec![one, same]), ..good.clone() },
        Acceptance { stack: stack(INTERVAL, &[0; 289]), ..good },
    ];
    for acceptance in bad {
        let refused = check(&grid, 1, &acceptance);
        assert!(matches!(refused, Err(MessageRejected::Body(_))), "{acceptance:?}: {refused:?}");
    }
}

#[test]
fn a_reply_is_its_addressees_and_about_the_same_intervals() {
    let grid = Grid::sample();
    let good = reply(&grid);
    assert_eq!(check(&grid, 0, &good), Ok(()));
    assert!(check(&grid, 2, &good).is_err(), "only the offerer replies");
    let with = |word| Reply { word, ..good.clone() };
    let shorter = stack(INTERVAL.plus(20), &[0]);
    assert!(check(&grid, 0, &with(Word::Forward(shorter))).is_err());
    assert_eq!(check(&grid, 0, &with(Word::Refused(Refusal::TooLate))), Ok(()));
    let mut forged = good.acceptance.clone();
    forged[150] ^= 1;
    assert!(check(&grid, 0, &Reply { acceptance: forged, ..good }).is_err());
}

#[test]
fn a_forward_says_who_sells_whoever_made_the_offer() {
    let grid = Grid::sample();
    let [offerer, acceptor] = [0, 1].map(|place| grid.people[place].key.participant_id());
    let reply = reply(&grid);
    for side in [Side::Sell, Side::Buy] {
        let body = acceptance(&grid);
        let product = Product { side, ..body.product };
        let signed = grid.sign(1, &Acceptance { product, ..body });
        let forward = Forward::of(&signed, &reply.word).unwrap();
        let (seller, buyer) =
            if side == Side::Sell { (offerer, acceptor) } else { (acceptor, offerer) };
        assert_eq!((forward.seller, forward.buyer), (seller, buyer));
        let (sellers, buyers) = if side == Side::Sell { (7, 0) } else { (0, 7) };
        assert_eq!(forward.seller_stack.before(INTERVAL.plus(20)), Some(mwh(sellers)));
        assert_eq!(forward.buyer_stack.before(INTERVAL.plus(20)), Some(mwh(buyers)));
        assert_eq!(Forward::of(&signed, &Word::Refused(Refusal::TooLate)), None);
    }
}
