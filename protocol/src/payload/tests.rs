//! Tests of what bodies must satisfy: acks, readings, confirms and peer records. Orders, proposals,
//! votes and evidence are tested where they are.

use super::*;
use crate::bitmap::Bitmap;
use crate::confirm::TradeTerms;
use crate::fixture::{
    Grid, INTERVAL, confirm, invoice, lightning_contact, peer_record, reading, share,
};
use crate::id::RosterIndex;
use crate::invoice::BOLT11_MAX;
use crate::peer::LightningContact;
use crate::units::Energy;

/// What everyone says to this body of the member at a place.
fn check<T: Payload>(author: u32, body: &T) -> Result<(), MessageRejected> {
    let grid = Grid::sample();
    grid.try_sign(RosterIndex::new(author), INTERVAL, body).map(|_| ())
}

fn refused(problem: &'static str) -> Result<(), MessageRejected> {
    Err(MessageRejected::Body(problem))
}

#[test]
fn a_reading_is_of_the_start_of_its_interval() {
    let charter = Grid::sample().charter;
    assert_eq!(check(0, &reading(&charter, INTERVAL)), Ok(()));
    let edge = reading(&charter, INTERVAL).at;
    for at in [edge.plus_ms(1), edge.minus_ms(1), charter.interval.start_of(INTERVAL.next())] {
        let elsewhere = Reading { at, ..reading(&charter, INTERVAL) };
        assert_eq!(check(0, &elsewhere), refused("not a reading of its interval's start"));
    }
}

#[test]
fn an_ack_is_over_exactly_the_roster() {
    let root = Default::default();
    let over = |members| check(0, &Ack { held: Bitmap::empty(members), root });
    assert_eq!(over(5), Ok(()));
    assert_eq!(over(9), refused("the bitmap is not over the roster"));
    assert_eq!(over(0), refused("the bitmap is not over the roster"));
    let mut beyond = Ack { held: Bitmap::empty(5), root };
    beyond.held.insert(RosterIndex::new(5));
    assert_eq!(check(0, &beyond), refused("the bitmap is not over the roster"));
}

fn with_terms(change: impl FnOnce(&mut TradeTerms)) -> TradeConfirm {
    let mut confirm = confirm();
    change(&mut confirm.terms);
    confirm
}

#[test]
fn a_confirm_is_signed_by_one_of_two_members_that_trade_some_energy() {
    assert_eq!(check(0, &confirm()), Ok(()), "the seller");
    assert_eq!(check(1, &confirm()), Ok(()), "the buyer");
    assert_eq!(check(2, &confirm()), refused("signed by neither side"));
    let alone = with_terms(|terms| terms.buyer = terms.seller);
    assert_eq!(check(0, &alone), refused("both sides are one"));
    let beyond = with_terms(|terms| terms.buyer = RosterIndex::new(5));
    assert_eq!(check(0, &beyond), refused("a side is not a member"));
    let empty = with_terms(|terms| terms.energy_mwh = Energy::ZERO);
    assert_eq!(check(0, &empty), refused("a trade without energy"));
}

fn with_record(change: impl FnOnce(&mut PeerRecord)) -> PeerRecord {
    let mut record = peer_record(&Grid::sample().charter);
    change(&mut record);
    record
}

#[test]
fn a_peer_record_has_one_to_eight_addresses_of_bounded_length() {
    let with =
        |count, len| check(0, &with_record(|it| it.addresses = vec!["x".repeat(len); count]));
    assert_eq!(with(ADDRESSES_MAX, ADDRESS_MAX), Ok(()));
    assert_eq!(with(0, 1), refused("no addresses, or too many"));
    assert_eq!(with(ADDRESSES_MAX + 1, 1), refused("no addresses, or too many"));
    assert_eq!(with(1, ADDRESS_MAX + 1), refused("an address is too long"));
}

#[test]
fn a_lightning_node_has_a_bounded_number_of_bounded_addresses_and_one_signature() {
    let with = |count: usize, len: usize, signature: usize| {
        let lightning = LightningContact {
            addresses: vec!["x".repeat(len); count],
            signature: "y".repeat(signature),
            ..lightning_contact()
        };
        check(0, &with_record(|it| it.lightning = Some(lightning)))
    };
    assert_eq!(with(LIGHTNING_ADDRESSES_MAX, ADDRESS_MAX, LIGHTNING_SIGNATURE_MAX), Ok(()));
    assert_eq!(with(0, 0, 0), Ok(()));
    assert_eq!(check(0, &with_record(|it| it.lightning = None)), Ok(()));
    let too_many = refused("too many addresses of a Lightning node");
    assert_eq!(with(LIGHTNING_ADDRESSES_MAX + 1, 1, 1), too_many);
    assert_eq!(with(1, ADDRESS_MAX + 1, 1), refused("an address of a Lightning node is too long"));
    let too_long = refused("a Lightning signature is too long");
    assert_eq!(with(1, 1, LIGHTNING_SIGNATURE_MAX + 1), too_long);
}

#[test]
fn a_peer_record_lives_for_a_day_at_most() {
    let living = |ms| check(0, &with_record(|it| it.expires_at = it.made_at.plus_ms(ms)));
    assert_eq!(living(LIFETIME_MAX_MS), Ok(()));
    assert_eq!(living(LIFETIME_MAX_MS + 1), refused("it lives too long, or not at all"));
    assert_eq!(living(0), refused("it lives too long, or not at all"));
    let backwards = with_record(|it| it.expires_at = it.made_at.minus_ms(1));
    assert_eq!(check(0, &backwards), refused("it lives too long, or not at all"));
}

fn with_invoice(change: impl FnOnce(&mut Invoice)) -> Result<(), MessageRejected> {
    let mut invoice = invoice();
    change(&mut invoice);
    check(1, &invoice)
}

#[test]
fn an_invoice_asks_another_member_for_something_that_there_is() {
    assert_eq!(check(1, &invoice()), Ok(()));
    assert_eq!(check(0, &invoice()), refused("both sides are one"));
    let stranger = with_invoice(|it| it.payer = RosterIndex::new(5));
    assert_eq!(stranger, refused("the payer is not a member"));
    for tranches in [0, TRANCHES_MAX + 1] {
        let count = with_invoice(|it| it.tranches = tranches);
        assert_eq!(count, refused("no tranches, or too many"));
    }
    let last = with_invoice(|it| (it.tranche, it.tranches) = (TRANCHES_MAX - 1, TRANCHES_MAX));
    assert_eq!(last, Ok(()));
    assert_eq!(with_invoice(|it| it.tranche = 1), refused("a tranche beyond the last"));
    let nothing = with_invoice(|it| it.amount_msat = Msat::ZERO);
    assert_eq!(nothing, refused("an invoice over nothing"));
}

#[test]
fn the_text_of_an_invoice_is_short_and_printable() {
    let text = |text: String| with_invoice(|it| it.bolt11 = text);
    assert_eq!(text("x".repeat(BOLT11_MAX)), Ok(()));
    for bad in
        [String::new(), "x".repeat(BOLT11_MAX + 1), "ln bc".to_owned(), "lnbc\u{e4}".to_owned()]
    {
        assert_eq!(text(bad), refused("not the text of a Lightning invoice"));
    }
}

#[test]
fn a_share_is_a_point_and_of_a_site_of_a_feeder() {
    assert_eq!(check(0, &share(7)), Ok(()));
    let broken = Share { commitment: [0xFF; 32], ..share(7) };
    assert_eq!(check(0, &broken), refused("a commitment that is no point"));
    let mut grid = Grid::sample();
    let charter = std::sync::Arc::make_mut(&mut grid.charter);
    charter.feeders.retain(|feeder| feeder.name != "north");
    let roster = grid.roster.as_ref();
    let member = &roster.members()[0];
    let context = Context {
        charter: &grid.charter,
        roster,
        author: RosterIndex::new(0),
        member,
        interval: INTERVAL,
    };
    let stranger = Payload::check(&share(7), &context);
    assert_eq!(stranger, refused("a share of a member that is no feeder's site"));
}
