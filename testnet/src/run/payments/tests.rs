//! Payments that are as they should be, and each way in which they may not.

use super::*;

const INTERVAL: u64 = 7;

fn preimage(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

fn hash(number: u8) -> String {
    sha256::Hash::hash(&[number; 32]).to_string()
}

fn tranche(number: u32) -> Tranche {
    let [cause, payer, payee] = ["0", "alice", "bob"].map(str::to_owned);
    Tranche { interval: INTERVAL, cause, number, payer, payee }
}

fn told(number: u8, by_payee: bool) -> Told {
    Told {
        tranche: tranche(u32::from(number)),
        by_payee,
        amount_msat: 1_000,
        is_paid: true,
        is_failed: false,
        preimage: (!by_payee).then(|| preimage(number)),
        at_unix_ms: 10_000 + u64::from(number),
    }
}

/// Two tranches, as both sides tell them.
fn good() -> Payments {
    let mut payments = Payments::default();
    for number in [1, 2] {
        payments.note(hash(number), told(number, false));
        payments.note(hash(number), told(number, true));
    }
    payments
}

/// The names of what does not hold.
fn violated(payments: &Payments, due_msat: u64, all_are_up: bool) -> Vec<String> {
    let rows = payments.verdicts(&[(INTERVAL, due_msat)], all_are_up).into_iter();
    rows.filter(|row| row.violations > 0).map(|row| row.name).collect()
}

#[test]
fn what_is_paid_is_what_was_due() {
    assert!(violated(&good(), 2_000, true).is_empty());
    assert_eq!(violated(&good(), 2_001, true), ["receipts_sum_to_the_dues"]);
    assert!(violated(&good(), 2_001, false).is_empty(), "somebody may be away");
    assert_eq!(violated(&good(), 1_999, false), ["receipts_sum_to_the_dues"]);
}

#[test]
fn a_second_payment_of_a_tranche_is_seen() {
    let mut payments = good();
    for by_payee in [false, true] {
        let again = Told { tranche: tranche(1), ..told(3, by_payee) };
        payments.note(hash(3), again);
    }
    assert_eq!(violated(&payments, 3_000, true), ["nobody_paid_twice"]);
}

#[test]
fn a_receipt_that_opens_no_hash_is_seen() {
    let mut payments = good();
    payments.note(hash(1), Told { preimage: Some(preimage(2)), ..told(1, false) });
    assert_eq!(violated(&payments, 2_000, true), ["every_payment_has_its_receipt"]);
    payments.note(hash(1), Told { preimage: None, ..told(1, false) });
    assert_eq!(violated(&payments, 2_000, true), ["every_payment_has_its_receipt"]);
}

#[test]
fn sides_that_tell_different_things_are_seen() {
    let mut payments = good();
    payments.note(hash(1), Told { amount_msat: 999, ..told(1, true) });
    assert_eq!(violated(&payments, 2_000, true), ["payer_and_payee_tell_the_same"]);
    let mut payments = good();
    payments.note(hash(3), told(3, true));
    assert_eq!(violated(&payments, 2_000, true), ["payer_and_payee_tell_the_same"]);
    assert!(violated(&payments, 2_000, false).is_empty());
}

#[test]
fn a_row_says_what_was_paid_and_how_soon() {
    let mut payments = good();
    let failed = Told { is_paid: false, is_failed: true, preimage: None, ..told(3, false) };
    payments.note(hash(3), failed);
    let mut row = IntervalRow { interval: INTERVAL, ..IntervalRow::default() };
    payments.add_to(&mut row, 10_000);
    assert_eq!((row.paid_msat, row.payments, row.payments_failed), (2_000, 2, 1));
    assert_eq!((row.settle_ms_p50, row.settle_ms_p95), (Some(1), Some(2)));
    assert!(!payments.is_settling());
    payments.note(hash(4), Told { is_paid: false, ..told(4, false) });
    assert!(payments.is_settling());
    let mut other = IntervalRow { interval: INTERVAL + 1, ..IntervalRow::default() };
    payments.add_to(&mut other, 10_000);
    assert_eq!((other.paid_msat, other.payments, other.settle_ms_p50), (0, 0, None));
}
