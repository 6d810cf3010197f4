//! Tests of books, certificates and proposals: what proves a decision, and what does not.

use super::*;
use crate::fixture::{Grid, INTERVAL, vote};

fn verify(grid: &Grid, certificate: &BookCertificate) -> Result<BookHash, CertificateRejected> {
    certificate.verify(&grid.charter, &grid.roster)
}

#[test]
fn a_quorum_of_precommits_proves_the_book() {
    let grid = Grid::sample();
    let certificate = grid.certificate();
    let hash = certificate.book.hash(&grid.roster, INTERVAL);
    assert_eq!(certificate.precommits.len(), 3);
    assert_eq!(verify(&grid, &certificate), Ok(hash));
    let read = BookCertificate::from_bytes(&certificate.to_bytes());
    assert_eq!(read, Ok(certificate));
}

#[test]
fn an_empty_book_can_be_certified() {
    let grid = Grid::sample();
    let book = Book::default();
    let vote = Vote { book: Some(book.hash(&grid.roster, INTERVAL)), ..vote(None) };
    let precommits = (0..4).map(|by| grid.sign(by, &vote).bytes().to_vec()).collect();
    let certificate = BookCertificate { interval: INTERVAL, view: 1, book, precommits };
    assert!(verify(&grid, &certificate).is_ok());
}

#[test]
fn fewer_precommits_than_the_quorum_prove_nothing() {
    let grid = Grid::sample();
    let mut certificate = grid.certificate();
    certificate.precommits.pop();
    let too_few = |have| Err(CertificateRejected::NoQuorum { have, need: 3 });
    assert_eq!(verify(&grid, &certificate), too_few(2));
    certificate.precommits.clear();
    assert_eq!(verify(&grid, &certificate), too_few(0));
}

#[test]
fn one_voter_twice_is_not_two_voters() {
    let grid = Grid::sample();
    let mut certificate = grid.certificate();
    certificate.precommits[1] = certificate.precommits[0].clone();
    assert_eq!(verify(&grid, &certificate), Err(CertificateRejected::NotForThis));
    let mut unsorted = grid.certificate();
    unsorted.precommits.swap(0, 1);
    assert_eq!(verify(&grid, &unsorted), Err(CertificateRejected::NotForThis));
}

#[test]
fn precommits_for_anything_else_prove_nothing() {
    let grid = Grid::sample();
    let right =
        Vote { book: Some(grid.certificate().book.hash(&grid.roster, INTERVAL)), ..vote(None) };
    let with = |interval, vote: &Vote| {
        let mut certificate = grid.certificate();
        let place = RosterIndex::new(0);
        certificate.precommits[0] = grid.try_sign(place, interval, vote).unwrap().bytes().to_vec();
        verify(&grid, &certificate).map(|_| ())
    };
    assert_eq!(with(INTERVAL, &right), Ok(()));
    for wrong in [
        Vote { view: 2, ..right },
        Vote { stage: Stage::Prevote, ..right },
        Vote { book: None, ..right },
        vote(Some(7)),
    ] {
        assert_eq!(with(INTERVAL, &wrong), Err(CertificateRejected::NotForThis), "{wrong:?}");
    }
    assert_eq!(with(INTERVAL.next(), &right), Err(CertificateRejected::NotForThis));
}

#[test]
fn a_certificate_proves_its_own_book_interval_and_view_only() {
    let grid = Grid::sample();
    let changed = |change: fn(&mut BookCertificate)| {
        let mut certificate = grid.certificate();
        change(&mut certificate);
        assert_eq!(verify(&grid, &certificate), Err(CertificateRejected::NotForThis));
    };
    changed(|it| it.view = 0);
    changed(|it| it.interval = INTERVAL.next());
    changed(|it| it.book.entries.truncate(4));
    changed(|it| it.book.entries[0].order = MessageHash::default());
}

#[test]
fn a_book_out_of_order_or_of_strangers_is_refused() {
    let grid = Grid::sample();
    let refused = |change: fn(&mut Vec<BookEntry>)| {
        let mut certificate = grid.certificate();
        change(&mut certificate.book.entries);
        assert_eq!(verify(&grid, &certificate), Err(CertificateRejected::BadBook));
    };
    refused(|entries| entries.swap(0, 1));
    refused(|entries| entries[1].author = entries[0].author);
    refused(|entries| entries[4].author = RosterIndex::new(5));
}

#[test]
fn a_certificate_of_another_roster_or_with_a_forged_vote_is_refused() {
    let grid = Grid::sample();
    let other = Grid::of(6, 4);
    let result = grid.certificate().verify(&other.charter, &other.roster);
    assert_eq!(result, Err(CertificateRejected::Precommit(MessageRejected::WrongRoster)));
    let mut forged = grid.certificate();
    forged.precommits[2][200] ^= 1;
    let rejected = Err(CertificateRejected::Precommit(MessageRejected::BadSignature));
    assert_eq!(verify(&grid, &forged), rejected);
}

#[test]
fn a_grid_without_voters_certifies_nothing() {
    let grid = Grid::of(3, 0);
    let certificate = BookCertificate {
        interval: INTERVAL,
        view: 0,
        book: Book::default(),
        precommits: Vec::new(),
    };
    let rejected = Err(CertificateRejected::NoQuorum { have: 0, need: 0 });
    assert_eq!(verify(&grid, &certificate), rejected);
}

#[test]
fn the_hash_of_a_book_is_of_grid_roster_interval_and_entries() {
    let grid = Grid::sample();
    let book = grid.acks_and_book().1;
    let hash = book.hash(&grid.roster, INTERVAL);
    let mut shorter = book.clone();
    shorter.entries.pop();
    for other in [
        shorter.hash(&grid.roster, INTERVAL),
        book.hash(&grid.roster, INTERVAL.next()),
        book.hash(&Grid::of(6, 4).roster, INTERVAL),
    ] {
        assert_ne!(other, hash);
    }
}

#[test]
fn only_the_views_leader_proposes_with_a_quorum_of_acks() {
    let grid = Grid::sample();
    let (leader, proposal) = grid.proposal();
    let propose = |by, proposal: &Proposal| {
        grid.try_sign(by, INTERVAL, proposal).map(|_| ()).map_err(|rejected| rejected.to_string())
    };
    assert_eq!(propose(leader, &proposal), Ok(()));
    let refused = |change: fn(&mut Proposal), why: &str| {
        let mut proposal = proposal.clone();
        change(&mut proposal);
        assert_eq!(propose(leader, &proposal), Err(format!("not a valid body: {why}")));
    };
    refused(|it| it.view = 5, "a view beyond the charter's");
    refused(|it| it.view = 1, "not this view's leader");
    refused(|it| it.valid_view = Some(0), "a valid view to come");
    refused(|it| drop(it.acks.pop()), "not a quorum of acks");
    refused(|it| it.acks.push(it.acks[0].clone()), "not a quorum of acks");
    refused(|it| it.book.entries.swap(0, 1), "the book is not in order");
    let second_leader = grid.roster.leader(INTERVAL, 1).unwrap();
    let again = Proposal { view: 1, valid_view: Some(0), ..proposal.clone() };
    assert_eq!(propose(second_leader, &again), Ok(()));
}

#[test]
fn a_merkle_root_depends_on_every_leaf_and_on_their_order() {
    let leaves: Vec<_> = (0..5).map(|byte| MessageHash::from_bytes([byte; 32])).collect();
    let root = merkle_root(&leaves);
    let mut swapped = leaves.clone();
    swapped.swap(0, 4);
    assert_ne!(root, merkle_root(&swapped));
    assert_ne!(root, merkle_root(leaves.get(..4).unwrap()));
    assert_eq!(merkle_root(&[]), MessageHash::default());
    assert_ne!(merkle_root(&leaves[..1]), leaves[0], "a leaf is not its own root");
}

#[test]
fn lists_of_different_length_never_share_a_root() {
    let leaf = MessageHash::from_bytes([3; 32]);
    let mut roots: Vec<_> = (0..40).map(|count| merkle_root(&vec![leaf; count])).collect();
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), 40);
}
