//! Reading certified books of a made-up grid.

use boltgrid_market::channels::Reach;
use boltgrid_protocol::agreement::{Book, BookEntry, Stage, Vote};
use boltgrid_protocol::order::{Order, Side};
use boltgrid_protocol::units::Msat;

use super::*;
use crate::fixture::{self, Grid, INTERVAL};
use crate::store::Store;

const fn at(index: u32) -> RosterIndex {
    RosterIndex::new(index)
}

/// Member 0 sells to members 1 and 2, and names both as partners; only member 1 names it, too.
fn order(author: u32) -> Order {
    let (side, limit, partners) = match author {
        0 => (Side::Sell, 100_000, vec![at(1), at(2)]),
        1 => (Side::Buy, 200_000, vec![at(0)]),
        _ => (Side::Buy, 200_000, Vec::new()),
    };
    let energy_mwh = if author == 0 { 600_000 } else { 300_000 };
    let steps = vec![fixture::step(side, energy_mwh, limit)];
    Order { steps, channel_partners: partners, ..Order::default() }
}

/// The certified book of members 0, 1 and 2.
fn book(grid: &Grid, interval: Interval) -> BookRecord {
    let sign = |author| grid.try_sign(at(author), interval, &order(author)).unwrap();
    let orders = [0, 1, 2].map(sign);
    let entry = |it: &boltgrid_protocol::envelope::Verified<Order>| BookEntry {
        author: it.author(),
        order: it.hash(),
    };
    let book = Book { entries: orders.iter().map(entry).collect() };
    let hash = book.hash(&grid.roster, interval);
    let vote = Vote { view: 0, stage: Stage::Precommit, book: Some(hash) };
    let voters = grid.roster.voters().iter().take(grid.roster.quorum());
    let sign = |voter: &RosterIndex| grid.try_sign(*voter, interval, &vote).unwrap();
    let precommits = voters.map(|voter| sign(voter).bytes().to_vec()).collect();
    let certificate = BookCertificate { interval, view: 0, book, precommits };
    BookRecord {
        certificate: certificate.to_bytes().into(),
        orders: orders.iter().map(|it| Arc::clone(it.bytes())).collect(),
    }
}

fn past(grid: &Grid) -> Past {
    let enrolments = grid.people.iter().map(|person| person.certified.clone()).collect();
    let rosters = Rosters::new(Arc::clone(&grid.charter), enrolments).unwrap();
    Past::new(Arc::clone(&grid.charter), rosters, INTERVAL)
}

#[test]
fn books_tell_who_pays_whom_and_who_has_a_channel_with_whom() {
    let grid = Grid::sample();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let archive = store.archive();
    for interval in [INTERVAL.minus(2), INTERVAL.minus(1)] {
        archive.put_book(interval, &book(&grid, interval)).unwrap();
    }
    let mut past = past(&grid);
    past.read(&archive, INTERVAL).unwrap();
    let pays = |past: &Past, payer, payee| past.flows().per_day(at(payer), at(payee));
    assert!(pays(&past, 1, 0) > Msat::ZERO);
    assert_eq!(pays(&past, 1, 0), pays(&past, 2, 0), "both buy the same");
    assert_eq!(pays(&past, 0, 1), Msat::ZERO);
    let interval_ms = grid.charter.interval.interval_ms;
    assert_eq!(past.flows().span_ms(), 2 * interval_ms, "nobody traded before there was a grid");
    let graph = past.graph(INTERVAL);
    assert_eq!(graph.reach(at(0), at(1)), Reach::Direct);
    assert_eq!(graph.reach(at(0), at(2)), Reach::Beyond, "only one side names the other");
    let later = past.graph(INTERVAL.plus(300));
    assert_eq!(later.reach(at(0), at(1)), Reach::Beyond, "nobody has said so for a day");
    let before = past.flows().clone();
    past.read(&archive, INTERVAL).unwrap();
    assert_eq!(past.flows(), &before, "no book counts twice");
}

#[test]
fn a_book_that_does_not_verify_tells_nothing() {
    let grid = Grid::sample();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let archive = store.archive();
    let interval = INTERVAL.minus(1);
    let honest = book(&grid, interval);
    let other = book(&grid, INTERVAL.minus(2));
    archive.put_book(interval, &BookRecord { orders: other.orders, ..honest }).unwrap();
    let mut past = past(&grid);
    past.read(&archive, INTERVAL).unwrap();
    assert_eq!(past.flows().total(), Msat::ZERO);
    assert_eq!(past.graph(INTERVAL).links().count(), 0);
}
