//! Catching up between two archives, and with members that lie in every way there is.

#![allow(clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod hostile;

use std::collections::BTreeSet;
use std::sync::Arc;

use boltgrid_market::notice::Notice;
use boltgrid_protocol::agreement::{Book, BookCertificate, BookEntry, Stage, Vote};
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::history::{Item, ItemKind, Stretch};
use boltgrid_protocol::id::{ItemId, RosterIndex};
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::Interval;

use super::keep::{Kept, keep};
use super::rejected::HistoryRejected;
use super::session::{Next, Outcome, ROUNDS_MAX, Session};
use super::set::ItemSet;
use super::verify::{Certified, Found, Verifier};
use crate::fixture::{self, Grid, INTERVAL, order, reading};
use crate::history::History;
use crate::status::IntervalOutcome;
use crate::store::{Archive, Store};

/// The stretch of all tests.
const STRETCH: Stretch = Stretch { from: INTERVAL.minus(20), until: INTERVAL };

/// An archive of its own.
struct Place {
    archive: Archive,
    _store: Store,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Self { archive: store.archive(), _store: store, _folder: folder }
    }

    fn set(&self, grid: &Grid) -> Arc<ItemSet> {
        Arc::new(ItemSet::read(&self.archive, STRETCH, &grid.charter).unwrap())
    }

    /// What it holds, by id.
    fn ids(&self, grid: &Grid) -> BTreeSet<ItemId> {
        self.set(grid).ids().collect()
    }

    /// An honest member's answer.
    fn answer(&self, grid: &Grid, question: &Question) -> Answer {
        let set = self.set(grid);
        match question {
            Question::Reconcile { message, .. } => {
                Answer::Reconcile(Some(set.reconcile(message).unwrap()))
            }
            Question::Items { ids, .. } => set.items(&self.archive, ids).unwrap(),
            Question::Orders { .. }
            | Question::Certificate { .. }
            | Question::Clock
            | Question::Reply { .. }
            | Question::Invoice { .. }
            | Question::Escrow(_)
            | Question::Readings { .. }
            | Question::Open { .. } => {
                panic!("{question:?} is not about history")
            }
        }
    }

    fn keep(&self, found: Found) -> Kept {
        keep(&self.archive, found).unwrap().0
    }
}

fn verifier(grid: &Grid) -> Verifier {
    Verifier::new(Arc::clone(&grid.charter), grid.gatekeeper(), fixture::now(&grid.charter))
}

fn sign_order(grid: &Grid, at: Interval, author: u32, salt: u64) -> Verified<Order> {
    let mut body = order(author);
    body.steps[0].energy_mwh =
        boltgrid_protocol::units::Energy::from_milliwatt_hours(100_000 + salt);
    grid.try_sign(RosterIndex::new(author), at, &body).unwrap()
}

/// A certified book of so many members' orders, as it travels.
fn book(grid: &Grid, at: Interval, authors: u32, salt: u64) -> (BookCertificate, Vec<Arc<[u8]>>) {
    let orders: Vec<_> = (0..authors).map(|author| sign_order(grid, at, author, salt)).collect();
    let entry = |order: &Verified<Order>| BookEntry { author: order.author(), order: order.hash() };
    let book = Book { entries: orders.iter().map(entry).collect() };
    let hash = book.hash(&grid.roster, at);
    let vote = Vote { view: 1, stage: Stage::Precommit, book: Some(hash) };
    let voters = grid.roster.voters().iter().take(grid.roster.quorum());
    let sign = |voter: &RosterIndex| grid.try_sign(*voter, at, &vote).unwrap().bytes().to_vec();
    let precommits = voters.map(sign).collect();
    let orders = orders.iter().map(|order| Arc::clone(order.bytes())).collect();
    (BookCertificate { interval: at, view: 1, book, precommits }, orders)
}

fn found_book(grid: &Grid, at: Interval, authors: u32, salt: u64) -> Found {
    let (certificate, orders) = book(grid, at, authors, salt);
    let bytes = certificate.to_bytes().into();
    let past = verifier(grid).clear(Certified { certificate, bytes }, orders).unwrap();
    Found::Book(Box::new(past))
}

fn sign_reading(grid: &Grid, at: Interval, member: u32, sequence: u64) -> Verified<Reading> {
    let body = Reading { sequence, ..reading(&grid.charter, at) };
    grid.try_sign(RosterIndex::new(member), at, &body).unwrap()
}

fn found_evidence(grid: &Grid, at: Interval, culprit: u32, accuser: u32) -> Found {
    let [first, second] = [1, 2].map(|salt| sign_order(grid, at, culprit, salt).bytes().to_vec());
    let accuser = RosterIndex::new(accuser);
    let message = grid.try_sign(accuser, at, &Evidence { first, second }).unwrap();
    let culprit = grid.people[RosterIndex::new(culprit).as_usize()].key.participant_id();
    Found::Evidence { culprit, message }
}

/// How a session went.
#[derive(Debug)]
struct Went {
    found: Vec<Found>,
    messages: u32,
    outcome: Outcome,
}

/// Runs one session of a node that holds `own` with a member that answers like this.
fn run(
    grid: &Grid,
    own: &Place,
    mut member: impl FnMut(&Question) -> Answer,
) -> Result<Went, HistoryRejected> {
    let mut verifier = verifier(grid);
    let (mut session, mut question) =
        Session::begin(STRETCH, own.set(grid), Arc::default()).unwrap();
    let (mut all, mut messages) = (Vec::new(), 0);
    for _ in 0..10_000 {
        messages += u32::from(matches!(question, Question::Reconcile { .. }));
        let (found, next) = session.hear(member(&question), &mut verifier)?;
        all.extend(found);
        match next {
            Next::Ask(next) => question = next,
            Next::Done(outcome) => return Ok(Went { found: all, messages, outcome }),
        }
    }
    panic!("a session without end");
}

/// Catches up with an honest member; returns how many messages of reconciliation it took.
fn catch_up(grid: &Grid, own: &Place, other: &Place) -> u32 {
    let went = run(grid, own, |question| other.answer(grid, question)).unwrap();
    assert_eq!(went.outcome, Outcome { served: true, withheld: 0 });
    for found in went.found {
        let kept = own.keep(found);
        assert!(
            matches!(kept, Kept::Book(_) | Kept::Reading | Kept::Evidence { .. }),
            "only what was lacking is fetched: {kept:?}"
        );
    }
    went.messages
}

/// Bytes that look like chance and are the same every time.
fn chance(seed: u32, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn two_archives_that_differ_in_any_way_are_equal_after_both_caught_up() {
    let grid = Grid::sample();
    for seed in 0..16 {
        let (one, other) = (Place::new(), Place::new());
        // Of every item: nobody has it, one of them, the other, or both.
        let mut shares = chance(seed, 1000).into_iter().map(|byte| byte % 4);
        let mut put = |found: &dyn Fn() -> Found| {
            let share = shares.next().unwrap();
            for (place, bit) in [(&one, 1), (&other, 2)] {
                if share & bit != 0 {
                    place.keep(found());
                }
            }
        };
        for at in STRETCH.intervals().take(usize::try_from(seed + 1).unwrap()) {
            put(&|| found_book(&grid, at, 3, 0));
            put(&|| found_evidence(&grid, at, 1, 2));
            for member in 0..5 {
                put(&|| Found::Reading(sign_reading(&grid, at, member, 1)));
            }
        }
        let both: BTreeSet<_> = one.ids(&grid).union(&other.ids(&grid)).copied().collect();
        let messages = catch_up(&grid, &one, &other).max(catch_up(&grid, &other, &one));
        assert!(messages <= 8, "seed {seed}: {messages} messages");
        assert_eq!(one.ids(&grid), both, "seed {seed}");
        assert_eq!(other.ids(&grid), both, "seed {seed}");
        assert_eq!(catch_up(&grid, &one, &other), 1, "seed {seed}: equal sets are seen to be");
    }
}

#[test]
fn two_proofs_of_one_thing_are_one_item() {
    let grid = Grid::sample();
    let (one, other) = (Place::new(), Place::new());
    one.keep(found_evidence(&grid, STRETCH.from, 1, 2));
    other.keep(found_evidence(&grid, STRETCH.from, 1, 3));
    assert_eq!(catch_up(&grid, &one, &other), 1);
    assert_eq!(one.ids(&grid).len(), 1);
}

#[test]
fn a_book_that_was_learnt_clears_to_what_it_cleared_to() {
    let grid = Grid::sample();
    let (one, other) = (Place::new(), Place::new());
    let at = STRETCH.from.plus(3);
    other.keep(found_book(&grid, at, 5, 0));
    catch_up(&grid, &one, &other);
    let learnt = one.archive.clearing(at).unwrap().unwrap();
    assert_eq!(learnt, other.archive.clearing(at).unwrap().unwrap());
    assert_eq!(one.archive.book(at).unwrap(), other.archive.book(at).unwrap());
    assert_eq!(learnt.orders, 5);
}

#[test]
fn a_second_book_or_reading_is_told_and_does_not_replace_the_first() {
    let grid = Grid::sample();
    let place = Place::new();
    let at = STRETCH.from;
    place.keep(found_book(&grid, at, 3, 0));
    place.keep(Found::Reading(sign_reading(&grid, at, 0, 1)));
    let before = (place.ids(&grid), place.archive.book(at).unwrap());
    let kept = place.keep(found_book(&grid, at, 4, 0));
    assert!(matches!(kept, Kept::SecondBook { .. }), "{kept:?}");
    let kept = place.keep(Found::Reading(sign_reading(&grid, at, 0, 2)));
    assert!(matches!(kept, Kept::SecondReading { .. }), "{kept:?}");
    assert_eq!((place.ids(&grid), place.archive.book(at).unwrap()), before);
    assert!(matches!(place.keep(found_book(&grid, at, 3, 0)), Kept::Known));
}

#[test]
fn a_book_learnt_after_falling_back_is_shown_and_binds_nobody() {
    let grid = Grid::sample();
    let (at, me) = (STRETCH.from, grid.people[0].key.participant_id());
    let Kept::Book(cleared) = Place::new().keep(found_book(&grid, at, 5, 0)) else {
        panic!("it was lacking");
    };
    let mut history = History::default();
    history.note(&Notice::NoDecision(at), &me, &grid.roster);
    history.note_learnt(&cleared);
    let report = history.interval(at).unwrap();
    assert_eq!(report.outcome, IntervalOutcome::Decided);
    assert_eq!(report.clearing_digest, Some(cleared.clearing.to_string()));
    assert_eq!((report.decide_ms, report.own_trades.len()), (None, 0));
}

#[test]
fn what_is_of_no_use_is_not_asked_for_again() {
    let grid = Grid::sample();
    let (one, other) = (Place::new(), Place::new());
    let second = sign_reading(&grid, STRETCH.from, 0, 2);
    one.keep(Found::Reading(sign_reading(&grid, STRETCH.from, 0, 1)));
    let id = ItemId::of_reading(STRETCH.from, &second.hash());
    other.keep(Found::Reading(second));
    let useless = Arc::new(BTreeSet::from([id]));
    let (mut session, question) = Session::begin(STRETCH, one.set(&grid), useless).unwrap();
    let heard = session.hear(other.answer(&grid, &question), &mut verifier(&grid)).unwrap();
    assert!(matches!(heard.1, Next::Done(Outcome { served: true, withheld: 0 })), "{heard:?}");
}

#[test]
fn a_node_that_has_nothing_learns_a_full_stretch_within_the_rounds_allowed() {
    // Every id only, without the signatures, which would take minutes to make.
    let grid = Grid::sample();
    let timing = &grid.charter.interval;
    let mut full = ItemSet::default();
    let at = |number: u32| STRETCH.from.plus(u64::from(number % 20));
    let ids = |number: u32| ItemId::from_bytes(*blake3::hash(&number.to_be_bytes()).as_bytes());
    let items = u32::try_from(boltgrid_protocol::history::ITEMS_MAX).unwrap();
    (0..items).for_each(|number| full.add_id(ids(number), at(number), timing));
    full.seal();
    let own = Place::new();
    let (mut messages, mut asked) = (0, 0);
    let went = run(&grid, &own, |question| match question {
        Question::Reconcile { message, .. } => {
            messages += 1;
            Answer::Reconcile(Some(full.reconcile(message).unwrap()))
        }
        Question::Items { ids, .. } => {
            asked += ids.len();
            Answer::Items(Vec::new())
        }
        Question::Orders { .. }
        | Question::Certificate { .. }
        | Question::Clock
        | Question::Reply { .. }
        | Question::Invoice { .. }
        | Question::Escrow(_)
        | Question::Readings { .. }
        | Question::Open { .. } => {
            panic!("{question:?}")
        }
    });
    assert_eq!(went.unwrap().outcome.withheld, asked);
    assert_eq!(asked, boltgrid_protocol::history::ITEMS_MAX);
    assert!(messages < ROUNDS_MAX / 2, "{messages}");
}
