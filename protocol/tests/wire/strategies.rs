//! Arbitrary values of every type that has bytes, valid or not: bytes come from anyone.

use boltgrid_protocol::agreement::{Ack, Book, BookCertificate, BookEntry, Proposal, Stage, Vote};
use boltgrid_protocol::bitmap::Bitmap;
use boltgrid_protocol::confirm::{TradeConfirm, TradeTerms};
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::escrow::{Condition, Deed, EscrowTerms, Releases};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::forward::{Acceptance, Level, Refusal, Reply, Stack, Word};
use boltgrid_protocol::id::{
    BookHash, ClearingDigest, GridId, MessageHash, MeterKey, ParticipantId, RosterIndex,
};
use boltgrid_protocol::invoice::{Cause, Invoice};
use boltgrid_protocol::lightning::{LightningId, PaymentHash};
use boltgrid_protocol::offer::{Offer, Product};
use boltgrid_protocol::order::{Order, Preference, Side, Source, Step};
use boltgrid_protocol::peer::{LightningContact, PeerRecord};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Energy, Interval, Msat, Power, Price, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::fixture::key;

fn energy() -> impl Strategy<Value = Energy> {
    any::<u64>().prop_map(Energy::from_milliwatt_hours)
}

fn power() -> impl Strategy<Value = Power> {
    any::<i64>().prop_map(Power::from_milliwatts)
}

fn price() -> impl Strategy<Value = Price> {
    any::<i64>().prop_map(Price::from_msat_per_kwh)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_unix_ms)
}

fn place() -> impl Strategy<Value = RosterIndex> {
    any::<u32>().prop_map(RosterIndex::new)
}

fn message_hash() -> impl Strategy<Value = MessageHash> {
    any::<[u8; 32]>().prop_map(MessageHash::from_bytes)
}

fn book_hash() -> impl Strategy<Value = BookHash> {
    any::<[u8; 32]>().prop_map(BookHash::from_bytes)
}

fn interval() -> impl Strategy<Value = Interval> {
    any::<u64>().prop_map(Interval::from_number)
}

fn source() -> impl Strategy<Value = Source> {
    prop::sample::select(vec![
        Source::Load,
        Source::Pv,
        Source::PvMustRun,
        Source::Battery,
        Source::Miner,
        Source::Generator,
    ])
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Buy, Side::Sell])
}

fn step() -> impl Strategy<Value = Step> {
    (side(), source(), energy(), price()).prop_map(
        |(side, source, energy_mwh, limit_msat_per_kwh)| Step {
            side,
            source,
            energy_mwh,
            limit_msat_per_kwh,
        },
    )
}

pub(crate) fn order() -> impl Strategy<Value = Order> {
    let preference =
        prop_oneof![place().prop_map(Preference::Partner), source().prop_map(Preference::Source)];
    let lists = (vec(step(), 0..12), vec(place(), 0..12), vec(preference, 0..12));
    (lists, energy(), energy()).prop_map(|(lists, committed_sell_mwh, committed_buy_mwh)| {
        let (steps, channel_partners, preferences) = lists;
        Order { steps, channel_partners, preferences, committed_sell_mwh, committed_buy_mwh }
    })
}

fn product() -> impl Strategy<Value = Product> {
    (side(), source()).prop_map(|(side, source)| Product { side, source })
}

pub(crate) fn offer() -> impl Strategy<Value = Offer> {
    let span = (interval(), interval(), any::<u64>());
    let life = (timestamp(), timestamp(), any::<bool>());
    (product(), (energy(), energy(), price()), span, life).prop_map(
        |(product, (energy_mwh, minimum_mwh, price_msat_per_kwh), span, life)| Offer {
            product,
            energy_mwh,
            minimum_mwh,
            price_msat_per_kwh,
            first: span.0,
            after: span.1,
            sequence: span.2,
            made_at: life.0,
            expires_at: life.1,
            withdrawn: life.2,
        },
    )
}

fn stack() -> impl Strategy<Value = Stack> {
    let level = (interval(), interval(), energy()).prop_map(|(first, after, before_mwh)| Level {
        first,
        after,
        before_mwh,
    });
    vec(level, 0..6).prop_map(|levels| Stack { levels })
}

pub(crate) fn acceptance() -> impl Strategy<Value = Acceptance> {
    (any::<[u8; 32]>(), product(), energy(), price(), stack()).prop_map(
        |(offerer, product, energy_mwh, price_msat_per_kwh, stack)| Acceptance {
            offerer: ParticipantId::from_bytes(offerer),
            product,
            energy_mwh,
            price_msat_per_kwh,
            stack,
        },
    )
}

pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    let refusal = prop::sample::select(vec![
        Refusal::UnknownOffer,
        Refusal::Withdrawn,
        Refusal::TooLate,
        Refusal::BelowMinimum,
        Refusal::NotEnoughLeft,
        Refusal::NotAMember,
        Refusal::TooUneven,
    ]);
    let word = prop_oneof![stack().prop_map(Word::Forward), refusal.prop_map(Word::Refused)];
    (vec(any::<u8>(), 0..80), word).prop_map(|(acceptance, word)| Reply { acceptance, word })
}

pub(crate) fn invoice() -> impl Strategy<Value = Invoice> {
    let cause = prop_oneof![
        any::<u32>().prop_map(|index| Cause::Trade { index }),
        message_hash().prop_map(|acceptance| Cause::Forward { acceptance }),
    ];
    let amount = (0..=Msat::MAX.to_millisatoshi())
        .prop_map(|msat| Msat::from_millisatoshi(msat).expect("in range"));
    let tranche = (any::<u32>(), any::<u32>());
    (place(), cause, tranche, amount, any::<[u8; 32]>(), ".{0,40}").prop_map(
        |(payer, cause, (tranche, tranches), amount_msat, hash, bolt11)| Invoice {
            payer,
            cause,
            tranche,
            tranches,
            amount_msat,
            payment_hash: PaymentHash::from_bytes(hash),
            bolt11,
        },
    )
}

pub(crate) fn ack() -> impl Strategy<Value = Ack> {
    (vec(any::<bool>(), 0..80), message_hash()).prop_map(|(held, root)| {
        let mut bitmap = Bitmap::empty(held.len());
        (0..)
            .zip(held)
            .filter(|(_, held)| *held)
            .for_each(|(place, _)| bitmap.insert(RosterIndex::new(place)));
        Ack { held: bitmap, root }
    })
}

fn book() -> impl Strategy<Value = Book> {
    let entry = (place(), message_hash()).prop_map(|(author, order)| BookEntry { author, order });
    vec(entry, 0..12).prop_map(|entries| Book { entries })
}

fn blobs() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..40), 0..6)
}

pub(crate) fn proposal() -> impl Strategy<Value = Proposal> {
    (any::<u32>(), option::of(any::<u32>()), blobs(), book())
        .prop_map(|(view, valid_view, acks, book)| Proposal { view, valid_view, acks, book })
}

pub(crate) fn vote() -> impl Strategy<Value = Vote> {
    let stage = prop::sample::select(vec![Stage::Prevote, Stage::Precommit]);
    (any::<u32>(), stage, option::of(book_hash())).prop_map(|(view, stage, book)| Vote {
        view,
        stage,
        book,
    })
}

pub(crate) fn certificate() -> impl Strategy<Value = BookCertificate> {
    (interval(), any::<u32>(), book(), blobs()).prop_map(|(interval, view, book, precommits)| {
        BookCertificate { interval, view, book, precommits }
    })
}

pub(crate) fn confirm() -> impl Strategy<Value = TradeConfirm> {
    let terms = (any::<u32>(), place(), place(), energy(), price()).prop_map(
        |(index, seller, buyer, energy_mwh, price_msat_per_kwh)| TradeTerms {
            index,
            seller,
            buyer,
            energy_mwh,
            price_msat_per_kwh,
        },
    );
    (book_hash(), any::<[u8; 32]>(), terms).prop_map(|(book, clearing, terms)| TradeConfirm {
        book,
        clearing: ClearingDigest::from_bytes(clearing),
        terms,
    })
}

pub(crate) fn reading() -> impl Strategy<Value = Reading> {
    let registers = (energy(), energy(), power(), option::of(power()));
    let quality = (option::of(any::<u32>()), option::of(any::<u32>()));
    (timestamp(), any::<u64>(), message_hash(), registers, quality).prop_map(
        |(at, sequence, previous, (import, export, power_mw, potential_mw), quality)| Reading {
            at,
            sequence,
            previous,
            import_register_mwh: import,
            export_register_mwh: export,
            power_mw,
            potential_mw,
            voltage_mv: quality.0,
            frequency_mhz: quality.1,
        },
    )
}

pub(crate) fn evidence() -> impl Strategy<Value = Evidence> {
    (vec(any::<u8>(), 0..80), vec(any::<u8>(), 0..80))
        .prop_map(|(first, second)| Evidence { first, second })
}

fn participant() -> impl Strategy<Value = ParticipantId> {
    any::<[u8; 32]>().prop_map(ParticipantId::from_bytes)
}

fn condition() -> impl Strategy<Value = Condition> {
    let side = prop::sample::select(vec![Side::Buy, Side::Sell]);
    let releases = prop::sample::select(vec![Releases::Delivered, Releases::Missed]);
    (participant(), side, energy(), interval(), interval(), releases).prop_map(
        |(subject, side, energy_mwh, first, until, releases)| Condition {
            subject,
            side,
            energy_mwh,
            first,
            until,
            releases,
        },
    )
}

fn escrow_terms() -> impl Strategy<Value = EscrowTerms> {
    let amount = 0..=Msat::MAX.to_millisatoshi();
    let rest = (amount, any::<[u8; 32]>(), any::<u32>(), timestamp());
    (participant(), participant(), condition(), rest).prop_map(
        |(payee, arbiter, condition, (amount, hash, hold_blocks, expires_at))| EscrowTerms {
            payee,
            arbiter,
            condition,
            amount_msat: Msat::from_millisatoshi(amount).expect("in range"),
            payment_hash: PaymentHash::from_bytes(hash),
            hold_blocks,
            expires_at,
        },
    )
}

pub(crate) fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        escrow_terms().prop_map(Deed::Terms),
        message_hash().prop_map(|escrow| Deed::Arbitration { escrow }),
        (message_hash(), ".{0,40}").prop_map(|(escrow, bolt11)| Deed::Hold { escrow, bolt11 }),
    ]
}

pub(crate) fn peer_record() -> impl Strategy<Value = PeerRecord> {
    let times = (timestamp(), timestamp());
    (vec(".{0,40}", 0..10), any::<u64>(), times, option::of(lightning_contact())).prop_map(
        |(addresses, sequence, (made_at, expires_at), lightning)| PeerRecord {
            addresses,
            sequence,
            made_at,
            expires_at,
            lightning,
        },
    )
}

fn lightning_contact() -> impl Strategy<Value = LightningContact> {
    (any::<bool>(), any::<[u8; 32]>(), vec(".{0,40}", 0..6), ".{0,120}").prop_map(
        |(odd, x, addresses, signature)| {
            let mut node = [0; 33];
            node[0] = 2 + u8::from(odd);
            node[1..].copy_from_slice(&x);
            LightningContact {
                node: LightningId::from_bytes(&node).expect("a point of the curve"),
                addresses,
                signature,
            }
        },
    )
}

pub(crate) fn enrolment() -> impl Strategy<Value = CertifiedEnrolment> {
    let keys = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
    let rated = (power(), power(), any::<bool>(), any::<bool>());
    (keys, ".{0,40}", rated, (interval(), interval()), 0..4_u32).prop_map(
        |((grid, participant, meter), connection_point, rated, valid, signatures)| {
            let enrolment = Enrolment {
                grid: GridId::from_bytes(grid),
                participant: ParticipantId::from_bytes(participant),
                meter: MeterKey::Ed25519(meter),
                connection_point,
                outside: rated.2,
                rated_import_mw: rated.0,
                rated_export_mw: rated.1,
                votes: rated.3,
                valid_from: valid.0,
                valid_until: valid.1,
            };
            let mut certified = CertifiedEnrolment::request(enrolment);
            (0..signatures).for_each(|number| certified.sign(&key(8, number)));
            certified
        },
    )
}
