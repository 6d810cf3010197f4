//! The largest honest message of every kind fits its limit, in a grid of as many members as there may
//! be: a limit that is too low would stop a grid that has grown.

use boltgrid_protocol::agreement::{Ack, BookCertificate, CERTIFICATE_MAX, Proposal, Vote};
use boltgrid_protocol::charter::{MEMBERS_MAX, REGISTRARS_MAX};
use boltgrid_protocol::codec::CodecRejected;
use boltgrid_protocol::confirm::TradeConfirm;
use boltgrid_protocol::enrolment::{CERTIFIED_ENROLMENT_MAX, CertifiedEnrolment};
use boltgrid_protocol::envelope::{MessageRejected, Payload, Signed};
use boltgrid_protocol::escrow::Deed;
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::forward::{Acceptance, LEVELS_MAX, Reply, Word};
use boltgrid_protocol::id::{MessageHash, RosterIndex, SealSecret};
use boltgrid_protocol::invoice::{BOLT11_MAX, Invoice};
use boltgrid_protocol::masking::Share;
use boltgrid_protocol::offer::Offer;
use boltgrid_protocol::order::{Order, PARTNERS_MAX, PREFERENCES_MAX, Preference};
use boltgrid_protocol::peer::{
    ADDRESS_MAX, ADDRESSES_MAX, LIGHTNING_ADDRESSES_MAX, LIGHTNING_SIGNATURE_MAX, LightningContact,
    PeerRecord,
};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::seal::Seal;

use crate::fixture::{
    Grid, INTERVAL, acceptance, escrow_terms, invoice, key, lightning_contact, offer, order,
    peer_record, reading, share, stack, vote,
};

fn largest_order() -> Order {
    let places = |count: usize| (1..).take(count).map(RosterIndex::new);
    Order {
        channel_partners: places(PARTNERS_MAX).collect(),
        preferences: places(PREFERENCES_MAX).map(Preference::Partner).collect(),
        ..order(0)
    }
}

#[test]
fn the_largest_of_every_kind_fits_the_largest_grid() {
    let grid = Grid::of(MEMBERS_MAX, MEMBERS_MAX);
    // Signing fails where the message does not fit.
    let order = grid.sign(0, &largest_order());
    grid.sign(0, &vote(Some(7)));
    let reading = Reading { frequency_mhz: Some(50_000), ..reading(&grid.charter, INTERVAL) };
    let reading = grid.sign(0, &reading);
    grid.sign(0, &Seal::over(&reading, &SealSecret::from_bytes([7; 32])));
    grid.sign(0, &share(u64::MAX));
    let other = Order { channel_partners: Vec::new(), ..largest_order() };
    let second = grid.sign(0, &other);
    grid.sign(1, &Evidence { first: order.bytes().to_vec(), second: second.bytes().to_vec() });
    let addresses = vec!["x".repeat(ADDRESS_MAX); ADDRESSES_MAX];
    let lightning = LightningContact {
        addresses: vec!["x".repeat(ADDRESS_MAX); LIGHTNING_ADDRESSES_MAX],
        signature: "y".repeat(LIGHTNING_SIGNATURE_MAX),
        ..lightning_contact()
    };
    let lightning = Some(lightning);
    grid.sign(0, &PeerRecord { addresses, lightning, ..peer_record(&grid.charter) });
    grid.sign(0, &offer(&grid.charter));
    let uneven: Vec<u64> = (0..).take(LEVELS_MAX).map(|step| step % 2).collect();
    let stack = stack(INTERVAL, &uneven);
    let acceptance =
        grid.sign(1, &Acceptance { stack: stack.clone(), ..acceptance(&grid) }).bytes().to_vec();
    grid.sign(0, &Reply { acceptance, word: Word::Forward(stack) });
    grid.sign(1, &Invoice { bolt11: "x".repeat(BOLT11_MAX), ..invoice() });
    grid.sign(0, &Deed::Terms(escrow_terms(&grid)));
    let escrow = MessageHash::default();
    grid.sign(1, &Deed::Hold { escrow, bolt11: "x".repeat(BOLT11_MAX) });
    let (leader, proposal) = grid.proposal();
    let largest = Proposal { valid_view: None, ..proposal };
    let bytes = grid.sign(leader.get(), &largest).bytes().len();
    assert!(bytes > 256 * 1024, "the limit is there for a reason: {bytes}");
    assert!(bytes + 64 <= Proposal::LIMIT, "with a valid view it would still fit");
}

#[test]
fn the_certificate_of_the_largest_grid_reads_back() {
    let grid = Grid::of(MEMBERS_MAX, MEMBERS_MAX);
    let certificate = grid.certificate();
    let bytes = certificate.to_bytes();
    assert!(bytes.len() <= CERTIFICATE_MAX);
    let read = BookCertificate::from_bytes(&bytes).expect("it fits");
    assert!(read.verify(&grid.charter, &grid.roster).is_ok());
}

#[test]
fn an_enrolment_that_all_registrars_signed_reads_back() {
    let grid = Grid::of(1, 1);
    let mut enrolment = grid.people[0].certified.enrolment.clone();
    enrolment.connection_point = "x".repeat(64);
    let mut certified = CertifiedEnrolment::request(enrolment);
    (0..).take(REGISTRARS_MAX).for_each(|number| certified.sign(&key(7, number)));
    assert_eq!(certified.signatures.len(), REGISTRARS_MAX);
    assert!(certified.to_bytes().len() <= CERTIFIED_ENROLMENT_MAX);
    assert_eq!(CertifiedEnrolment::from_bytes(&certified.to_bytes()), Ok(certified));
}

/// Asserts that one byte more than a kind allows is refused for its length, before it is read.
fn one_byte_more_is_oversize<T: Payload>() {
    let refused = |len| Signed::<T>::decode(vec![0; len]).map(|_| ()).expect_err("only zeros");
    let (limit, len) = (T::LIMIT, T::LIMIT + 1);
    assert_eq!(refused(len), MessageRejected::Codec(CodecRejected::Oversize { len, limit }));
    assert_eq!(refused(limit), MessageRejected::Codec(CodecRejected::BadMagic));
}

#[test]
fn what_is_longer_than_its_kind_allows_is_refused_unread() {
    one_byte_more_is_oversize::<Order>();
    one_byte_more_is_oversize::<Ack>();
    one_byte_more_is_oversize::<Proposal>();
    one_byte_more_is_oversize::<Vote>();
    one_byte_more_is_oversize::<TradeConfirm>();
    one_byte_more_is_oversize::<Reading>();
    one_byte_more_is_oversize::<Evidence>();
    one_byte_more_is_oversize::<PeerRecord>();
    one_byte_more_is_oversize::<Offer>();
    one_byte_more_is_oversize::<Acceptance>();
    one_byte_more_is_oversize::<Reply>();
    one_byte_more_is_oversize::<Invoice>();
    one_byte_more_is_oversize::<Deed>();
    one_byte_more_is_oversize::<Seal>();
    one_byte_more_is_oversize::<Share>();
}
