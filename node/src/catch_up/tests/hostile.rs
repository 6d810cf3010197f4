//! Members that lie: a session ends, nothing that is not proven is found, and nothing panics.

use super::*;
use boltgrid_protocol::agreement::CertificateRejected;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::MessageRejected;
use boltgrid_protocol::history::RECONCILE_MAX;
use boltgrid_protocol::message::EntryRejected;

/// Version 1 of range reconciliation.
const VERSION: u8 = 0x61;
/// The bound behind everything, and a fingerprint that fits nothing.
const DIFFERENT: [u8; 3] = [0, 0, 1];
/// The bound behind everything, and a list of ids.
const IDS: [u8; 3] = [0, 0, 2];

/// A message that says: I have these.
fn offers(ids: &[ItemId]) -> Answer {
    let count = u8::try_from(ids.len()).unwrap();
    assert!(count < 128);
    let mut message = [&[VERSION][..], &IDS, &[count]].concat();
    ids.iter().for_each(|id| message.extend_from_slice(id.as_bytes()));
    Answer::Reconcile(Some(message))
}

fn is_reconcile(question: &Question) -> bool {
    matches!(question, Question::Reconcile { .. })
}

/// A session of an empty node with a member that offers these ids, and hands out these items to the
/// questions that follow, one list each.
fn handed(grid: &Grid, ids: &[ItemId], items: Vec<Vec<Item>>) -> Result<Went, HistoryRejected> {
    let mut items = items.into_iter();
    run(grid, &Place::new(), |question| {
        if is_reconcile(question) {
            offers(ids)
        } else {
            Answer::Items(items.next().unwrap_or_default())
        }
    })
}

fn item<T>(kind: ItemKind, message: &Verified<T>) -> Item {
    Item { kind, bytes: message.bytes().to_vec() }
}

fn reading_item(grid: &Grid, at: Interval, member: u32) -> (ItemId, Item) {
    let reading = sign_reading(grid, at, member, 1);
    (ItemId::of_reading(at, &reading.hash()), item(ItemKind::Reading, &reading))
}

fn book_item(grid: &Grid, certificate: &BookCertificate) -> (ItemId, Item) {
    let hash = certificate.book.hash(&grid.roster, certificate.interval);
    let id = ItemId::of_book(certificate.interval, &hash);
    (id, Item { kind: ItemKind::Book, bytes: certificate.to_bytes() })
}

fn order_items(orders: &[Arc<[u8]>]) -> Vec<Item> {
    let item = |bytes: &Arc<[u8]>| Item { kind: ItemKind::Order, bytes: bytes.to_vec() };
    orders.iter().map(item).collect()
}

#[test]
fn ids_of_nothing_cost_one_question_and_are_told_as_withheld() {
    let ids: Vec<_> = (0..100).map(|byte| ItemId::from_bytes([byte; 32])).collect();
    let went = handed(&Grid::sample(), &ids, Vec::new()).unwrap();
    assert_eq!(went.outcome, Outcome { served: true, withheld: 100 });
    assert!(went.found.is_empty());
}

#[test]
fn a_member_that_does_not_serve_is_believed_at_once() {
    let went = run(&Grid::sample(), &Place::new(), |_| Answer::Reconcile(None)).unwrap();
    assert!(!went.outcome.served);
}

#[test]
fn reconciliation_without_end_is_ended() {
    let grid = Grid::sample();
    let own = Place::new();
    for at in STRETCH.intervals() {
        (0..5).for_each(|member| {
            own.keep(Found::Reading(sign_reading(&grid, at, member, 1)));
        });
    }
    let mut messages = 0;
    let went = run(&grid, &own, |_| {
        messages += 1;
        Answer::Reconcile(Some([&[VERSION][..], &DIFFERENT, &[7; 16]].concat()))
    });
    assert_eq!(went.unwrap_err(), HistoryRejected::Endless);
    assert_eq!(messages, ROUNDS_MAX);
}

#[test]
fn ids_without_end_are_too_many() {
    let mut number = 0_u32;
    let went = run(&Grid::sample(), &Place::new(), |_| {
        // 500 ids up to some second, and a difference behind it.
        let mut message = vec![VERSION, 2, 0, 2, 0x83, 0x74];
        for _ in 0..500 {
            number += 1;
            message.extend_from_slice(blake3::hash(&number.to_be_bytes()).as_bytes());
        }
        message.extend_from_slice(&DIFFERENT);
        message.extend_from_slice(&[7; 16]);
        assert!(message.len() <= RECONCILE_MAX + 64);
        Answer::Reconcile(Some(message))
    });
    assert_eq!(went.unwrap_err(), HistoryRejected::TooMany);
}

#[test]
fn what_was_not_asked_for_comes_twice_or_is_of_other_days_is_refused() {
    let grid = Grid::sample();
    let (wanted, item) = reading_item(&grid, STRETCH.from, 0);
    let (_, other) = reading_item(&grid, STRETCH.from, 1);
    let (old, old_item) = reading_item(&grid, STRETCH.from.previous(), 0);
    let (new, new_item) = reading_item(&grid, STRETCH.until, 0);
    for (ids, items) in [
        (vec![wanted], vec![other]),
        (vec![wanted], vec![item.clone(), item]),
        (vec![old], vec![old_item]),
        (vec![new], vec![new_item]),
    ] {
        let went = handed(&grid, &ids, vec![items]);
        assert_eq!(went.unwrap_err(), HistoryRejected::NotAskedFor);
    }
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let grid = Grid::sample();
    let (id, _) = reading_item(&grid, STRETCH.from, 0);
    for answer in [Answer::Items(Vec::new()), Answer::Orders(Vec::new()), Answer::Certificate(None)]
    {
        let went = run(&grid, &Place::new(), |_| answer.clone());
        assert_eq!(went.unwrap_err(), HistoryRejected::NotAskedFor);
    }
    let went = run(&grid, &Place::new(), |question| {
        if is_reconcile(question) { offers(&[id]) } else { Answer::Reconcile(None) }
    });
    assert_eq!(went.unwrap_err(), HistoryRejected::NotAskedFor);
}

#[test]
fn forged_messages_are_refused_by_what_is_wrong_with_them() {
    let grid = Grid::sample();
    let (id, good) = reading_item(&grid, STRETCH.from, 0);
    let refused = |change: &dyn Fn(&mut Item)| {
        let mut item = good.clone();
        change(&mut item);
        handed(&grid, &[id], vec![vec![item]]).unwrap_err().reason()
    };
    assert_eq!(refused(&|item| *item.bytes.last_mut().unwrap() ^= 1), "bad_signature");
    assert_eq!(refused(&|item| item.bytes[10] ^= 1), "wrong_grid");
    assert_eq!(refused(&|item| item.bytes[40] ^= 1), "wrong_roster");
    assert_eq!(refused(&|item| item.bytes.truncate(70)), "malformed");
    assert_eq!(refused(&|item| item.bytes = vec![7; 100_000]), "malformed");
    assert_eq!(refused(&|item| item.bytes.clear()), "malformed");
    assert_eq!(refused(&|item| item.kind = ItemKind::Order), "not_asked_for");
    assert_eq!(refused(&|item| item.kind = ItemKind::Book), "bad_certificate");
}

#[test]
fn who_has_another_roster_is_not_to_blame() {
    let grid = Grid::sample();
    let (id, good) = reading_item(&grid, STRETCH.from, 0);
    let is_blamed = |byte: usize| {
        let mut item = good.clone();
        item.bytes[byte] ^= 1;
        handed(&grid, &[id], vec![vec![item]]).unwrap_err().is_the_senders_fault()
    };
    let [a_byte_of_the_roster, a_byte_of_the_body] = [40, 120];
    assert!(!is_blamed(a_byte_of_the_roster));
    assert!(is_blamed(a_byte_of_the_body));
}

#[test]
fn a_book_without_a_quorum_or_of_another_grid_is_refused() {
    let grid = Grid::sample();
    let (mut certificate, _) = book(&grid, STRETCH.from, 3, 0);
    let (id, item) = book_item(&grid, &certificate);
    certificate.precommits.pop();
    let fewer = Item { bytes: certificate.to_bytes(), ..item.clone() };
    let mut forged = item;
    *forged.bytes.last_mut().unwrap() ^= 1;
    for item in [fewer, forged] {
        let refused = handed(&grid, &[id], vec![vec![item]]).unwrap_err();
        assert_eq!(refused.reason(), "bad_certificate");
    }
    // The same people under another charter are another grid.
    let other = {
        let text = fixture::CHARTER.replace("Lindenhof", "Eichenhof");
        let mut other = Grid::sample();
        let charter = Charter::from_toml(&text).unwrap();
        let certified: Vec<_> = other
            .people
            .iter()
            .map(|person| {
                let enrolment = fixture::enrolment(&charter, &person.key, &person.meter);
                fixture::certified(enrolment)
            })
            .collect();
        let roster = boltgrid_protocol::roster::Roster::at(&charter, &certified, INTERVAL).unwrap();
        (other.charter, other.roster) = (Arc::new(charter), Arc::new(roster));
        other
    };
    let (certificate, _) = book(&other, STRETCH.from, 3, 0);
    let (_, item) = book_item(&other, &certificate);
    let refused = handed(&grid, &[id], vec![vec![item]]).unwrap_err();
    let wrong_grid = CertificateRejected::Precommit(MessageRejected::WrongGrid);
    assert_eq!(refused, HistoryRejected::Certificate(wrong_grid));
}

#[test]
fn a_book_with_swapped_orders_is_refused_and_one_without_some_is_no_history() {
    let grid = Grid::sample();
    let (certificate, orders) = book(&grid, STRETCH.from, 3, 0);
    let (id, item) = book_item(&grid, &certificate);
    let swapped = sign_order(&grid, STRETCH.from, 1, 9);
    let mut others = orders.clone();
    others[1] = Arc::clone(swapped.bytes());
    let refused = handed(&grid, &[id], vec![vec![item.clone()], order_items(&others)]);
    assert_eq!(refused.unwrap_err(), HistoryRejected::NotAskedFor);

    let some = order_items(&orders[..2]);
    let went = handed(&grid, &[id], vec![vec![item.clone()], some]).unwrap();
    assert_eq!((went.found.len(), went.outcome.withheld), (0, 1));
    let went = handed(&grid, &[id], vec![vec![item], order_items(&orders)]).unwrap();
    assert!(matches!(went.found[..], [Found::Book(_)]));
}

#[test]
fn evidence_that_convicts_nobody_is_refused() {
    let grid = Grid::sample();
    let at = STRETCH.from;
    let same = sign_order(&grid, at, 1, 1).bytes().to_vec();
    let body = Evidence { first: same.clone(), second: same };
    let unsound = boltgrid_protocol::codec::canonical(&body);
    let id = ItemId::from_bytes([1; 32]);
    let item = Item { kind: ItemKind::Evidence, bytes: unsound };
    let refused = handed(&grid, &[id], vec![vec![item]]).unwrap_err();
    assert!(matches!(refused, HistoryRejected::Entry(EntryRejected::Message(_))), "{refused:?}");
}

#[test]
fn no_bytes_of_a_member_that_asks_or_answers_panic_us() {
    let grid = Grid::sample();
    let mut set = ItemSet::default();
    for number in 0..200_u32 {
        let id = ItemId::from_bytes(*blake3::hash(&number.to_be_bytes()).as_bytes());
        set.add_id(id, STRETCH.from.plus(u64::from(number / 10)), &grid.charter.interval);
    }
    set.seal();
    let set = Arc::new(set);
    let mut verifier = verifier(&grid);
    let (_, honest) = Session::begin(STRETCH, Arc::clone(&set), Arc::default()).unwrap();
    let Question::Reconcile { message: honest, .. } = honest else { panic!("not {honest:?}") };
    for seed in 0..20_000 {
        let noise = chance(seed, 64);
        let place = usize::from(noise[1]) * usize::from(noise[2]) % honest.len();
        let message = match noise[0] % 4 {
            // Noise, noise that says it is a message, and a message with a little noise or an end.
            0 => noise,
            1 => [&[VERSION][..], &noise[3..]].concat(),
            2 => honest[..place].to_vec(),
            _ => [&honest[..place], &noise[3..7], &honest[place..]].concat(),
        };
        if let Ok(answer) = set.reconcile(&message) {
            assert!(answer.len() <= RECONCILE_MAX);
        }
        let (mut session, _) = Session::begin(STRETCH, Arc::clone(&set), Arc::default()).unwrap();
        let answer = Answer::Reconcile(Some(message));
        if let Ok((found, next)) = session.hear(answer, &mut verifier) {
            assert!(found.is_empty());
            if let Next::Ask(Question::Reconcile { message, .. }) = next {
                assert!(message.len() <= RECONCILE_MAX);
            }
        }
    }
}
