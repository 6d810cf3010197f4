//! Rogues that owe as they should, and each way in which they may not.

use std::num::NonZeroU64;

use boltgrid::rpc::payment::AccountReport;
use boltgrid_protocol::charter::Disclosure;
use boltgrid_protocol::codec;
use boltgrid_protocol::id::{GridId, ParticipantId, RosterHash};
use boltgrid_protocol::units::Power;

use super::*;
use crate::rogue::Trick;
use crate::run::charter::{Terms, charter, tariff_clock};
use crate::run::observation::sample;
use crate::run::payments::{Told, Tranche};

const NODE: ParticipantId = ParticipantId::from_bytes([1; 32]);
const ROGUE: ParticipantId = ParticipantId::from_bytes([2; 32]);
/// No rogue, but late.
const LATE: ParticipantId = ParticipantId::from_bytes([3; 32]);
/// 300 sat a kWh, so that a tranche is worth 75 sat.
const PRICE: Price = Price::from_msat_per_kwh(300_000);

fn grid() -> Charter {
    let terms = Terms {
        name: "test",
        interval_ms: 10_000,
        voters: 3,
        connection: Power::from_milliwatts(1_000_000),
        registrar: NODE,
        clock: tariff_clock(10_000, 1_800_000_000_000, 0).unwrap(),
        readings: Disclosure::Open,
        pay_within_intervals: NonZeroU64::MIN,
        feeders: Vec::new(),
    };
    charter(&terms).unwrap()
}

/// `bus1` sells to `bus2`, a rogue, in interval 7 and in a later one.
fn frauds(charter: &Charter, later: bool) -> Frauds {
    let mut frauds = Frauds::default();
    for interval in [Some(7), later.then_some(17)].into_iter().flatten() {
        let mut observation = sample::observation();
        observation.interval = interval;
        observation.sites[0].participant = NODE.to_string();
        observation.sites[1].participant = ROGUE.to_string();
        observation.sites[1].is_rogue = true;
        observation.sites[1].report = None;
        sample::report(&mut observation, 0).own_trades[0].counterparty = ROGUE.to_string();
        frauds.note(&observation, charter);
    }
    frauds
}

fn message(kind: Kind, author: ParticipantId, number: u8) -> String {
    let (grid, roster) = (GridId::from_bytes([0; 32]), RosterHash::from_bytes([0; 32]));
    let interval = Interval::from_number(7);
    let mut bytes = codec::canonical(&Header { kind, grid, roster, interval, author });
    bytes.extend([number; 80]);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn all_proof() -> Vec<String> {
    let of = |author| {
        [(Kind::TradeConfirm, 0), (Kind::Reading, 1), (Kind::Reading, 2)]
            .map(|(kind, number)| message(kind, author, number))
    };
    [of(NODE), of(ROGUE)].concat()
}

fn dispute(at_unix_ms: u64, proof_hex: Vec<String>) -> DisputeReport {
    DisputeReport {
        interval: 7,
        trade: Some(0),
        forward: None,
        counterparty: ROGUE.to_string(),
        due_msat: 60,
        unpaid_msat: 60,
        why: Why::NotPaid.to_string(),
        at_unix_ms,
        resolved_at_unix_ms: None,
        forgiven_at_unix_ms: None,
        proof_hex,
        invoice_hex: None,
    }
}

/// What does not hold.
fn violated(
    frauds: &Frauds,
    disputes: Vec<DisputeReport>,
    played: &Played,
    (owed_msat, asked): (u64, Option<&str>),
) -> Vec<String> {
    violated_with(frauds, disputes, played, (owed_msat, asked), 37_500)
}

/// The same, where who paid late may owe so much.
fn violated_with(
    frauds: &Frauds,
    disputes: Vec<DisputeReport>,
    played: &Played,
    (owed_msat, asked): (u64, Option<&str>),
    limit_msat: u64,
) -> Vec<String> {
    let charter = grid();
    let rogue = ROGUE.to_string();
    let fraud = Fraud { participant: &rogue, played };
    let mut exposures = Exposures::default();
    let account = AccountReport {
        counterparty: rogue.clone(),
        balance_msat: 0,
        energy_mwh: 0,
        exposure_msat: owed_msat,
        limit_msat: Some(75_000),
        paid_msat: 0,
        defaults: 0,
        open_defaults: 0,
        is_paid_by_lightning: true,
    };
    let late = AccountReport {
        counterparty: LATE.to_string(),
        limit_msat: Some(limit_msat),
        ..account.clone()
    };
    exposures.note(&NODE.to_string(), &[account, late]);
    let mut payments = Payments::default();
    if let Some(hash) = asked {
        let (payer, payee) = (NODE.to_string(), rogue.clone());
        payments.note(
            hash.to_owned(),
            Told {
                tranche: Tranche { interval: 7, cause: "0".to_owned(), number: 1, payer, payee },
                by_payee: false,
                amount_msat: 1,
                is_paid: false,
                is_failed: true,
                preimage: None,
                at_unix_ms: 0,
            },
        );
    }
    let disputes = Disputes::from([(NODE.to_string(), disputes), (LATE.to_string(), Vec::new())]);
    let now = Timestamp::from_unix_ms(10_000_000);
    let told = (&disputes, &exposures, &payments);
    let rows = frauds.verdicts(now, &[fraud], told, (&charter, PRICE)).into_iter();
    rows.filter(|row| row.violations > 0).map(|row| row.name).collect()
}

/// When the time of interval 7 was over, and the gate of interval 17 was yet to come.
const DEFAULTED_AT: u64 = 95_000;

#[test]
fn a_rogue_that_owes_little_and_is_in_dispute_with_all_proof_is_as_it_should_be() {
    let frauds = frauds(&grid(), false);
    let played = Played::default();
    let disputes = vec![dispute(DEFAULTED_AT, all_proof())];
    assert_eq!(violated(&frauds, disputes, &played, (75_000, None)), [""; 0]);
}

#[test]
fn a_default_without_a_dispute_or_with_half_of_the_proof_is_seen() {
    let frauds = frauds(&grid(), false);
    let played = Played::default();
    let name = "defaults_are_in_dispute_with_all_proof";
    assert_eq!(violated(&frauds, Vec::new(), &played, (0, None)), [name]);
    for missing in 0..all_proof().len() {
        let mut proof = all_proof();
        proof.remove(missing);
        let disputes = vec![dispute(DEFAULTED_AT, proof)];
        assert_eq!(violated(&frauds, disputes, &played, (0, None)), [name], "{missing}");
    }
}

#[test]
fn who_signs_for_a_defaulter_or_lets_it_owe_more_than_a_tranche_is_seen() {
    let frauds = frauds(&grid(), true);
    let played = Played::default();
    let both = |at| {
        let later = DisputeReport { interval: 17, ..dispute(DEFAULTED_AT, all_proof()) };
        vec![dispute(at, all_proof()), DisputeReport { at_unix_ms: 900_000, ..later }]
    };
    let name = "nobody_signs_for_a_defaulter";
    assert_eq!(violated(&frauds, both(DEFAULTED_AT), &played, (0, None)), [name]);
    assert_eq!(violated(&frauds, both(900_000), &played, (0, None)), [""; 0]);
    let forgiven = |at| {
        let mut disputes = both(DEFAULTED_AT);
        disputes[0].forgiven_at_unix_ms = Some(at);
        violated(&frauds, disputes, &played, (0, None))
    };
    assert_eq!(forgiven(DEFAULTED_AT + 1), [""; 0], "whom its owner forgave in time");
    assert_eq!(forgiven(900_000), [name], "and not too late");
    let owes = violated(&frauds, both(900_000), &played, (75_001, None));
    assert_eq!(owes, ["rogues_owe_a_tranche_at_most"]);
}

#[test]
fn a_false_invoice_that_is_taken_or_was_to_be_paid_is_seen() {
    let frauds = Frauds::default();
    let mut played = Played::default();
    played.right.insert("aa".to_owned());
    played.words.entry(Trick::Right).or_default().insert(TAKEN, 1);
    played.words.entry(Trick::Expired).or_default().insert("invoice_expired", 1);
    assert_eq!(violated(&frauds, Vec::new(), &played, (0, Some("aa"))), [""; 0]);
    let name = "no_false_invoice_is_taken";
    assert_eq!(violated(&frauds, Vec::new(), &played, (0, Some("bb"))), [name]);
    played.words.entry(Trick::Expired).or_default().insert(TAKEN, 1);
    assert_eq!(violated(&frauds, Vec::new(), &played, (0, Some("aa"))), [name]);
}

#[test]
fn who_is_no_rogue_and_has_not_paid_in_the_end_or_is_trusted_as_before_is_seen() {
    let (frauds, played) = (Frauds::default(), Played::default());
    let late = |resolved_at_unix_ms| {
        let counterparty = LATE.to_string();
        vec![DisputeReport { counterparty, resolved_at_unix_ms, ..dispute(9, Vec::new()) }]
    };
    let name = "late_payments_end_defaults";
    assert_eq!(violated(&frauds, late(Some(10)), &played, (0, None)), [""; 0]);
    assert_eq!(violated(&frauds, late(None), &played, (0, None)), [name]);
    let forgiven = DisputeReport { forgiven_at_unix_ms: Some(10), ..late(None).remove(0) };
    assert_eq!(violated(&frauds, vec![forgiven], &played, (0, None)), [""; 0]);
    let trusted = violated_with(&frauds, late(Some(10)), &played, (0, None), 75_000);
    assert_eq!(trusted, [name]);
}
