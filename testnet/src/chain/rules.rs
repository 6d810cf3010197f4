//! The rules that every transaction keeps, in a block or before: form, lock times, maturity, sums.
//!
//! In the order in which Bitcoin Core checks them, so that the same one is named.
//! Not for: scripts; or what is merely not relayed.

use std::collections::BTreeSet;

use bitcoin::absolute::LOCK_TIME_THRESHOLD;
use bitcoin::{Amount, Transaction};

use super::coins::Coin;
use super::rejection::Rejection;

/// The heaviest block.
pub(super) const BLOCK_WEIGHT_MAX: u64 = 4_000_000;
/// How much a byte outside the witness weighs.
const WITNESS_SCALE: u64 = 4;
/// Blocks after which a coinbase can be spent.
pub(super) const COINBASE_MATURITY: u32 = 100;
/// Set in a sequence number that is no relative lock time (BIP 68).
const SEQUENCE_DISABLED: u32 = 1 << 31;
/// Set where the relative lock time is one of time and not of blocks.
const SEQUENCE_IS_TIME: u32 = 1 << 22;
/// The bits of the lock time itself.
const SEQUENCE_MASK: u32 = 0xffff;
/// Seconds of its unit, as a shift.
const SEQUENCE_TIME_SHIFT: u32 = 9;

/// Where a transaction is, or would be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The height of its block.
    pub(super) height: u32,
    /// The median time of the eleven blocks before (BIP 113).
    pub(super) time_past: u32,
}

/// What can be said of a transaction alone.
pub(super) fn check_alone(tx: &Transaction) -> Result<(), Rejection> {
    if tx.input.is_empty() {
        return Err(Rejection::NoInputs);
    }
    if tx.output.is_empty() {
        return Err(Rejection::NoOutputs);
    }
    let bytes = u64::try_from(tx.base_size()).unwrap_or(u64::MAX);
    if bytes.saturating_mul(WITNESS_SCALE) > BLOCK_WEIGHT_MAX {
        return Err(Rejection::Oversize);
    }
    sum(tx.output.iter().map(|output| output.value)).ok_or(Rejection::TooMuch)?;
    let inputs: BTreeSet<_> = tx.input.iter().map(|input| input.previous_output).collect();
    if inputs.len() != tx.input.len() {
        return Err(Rejection::InputTwice);
    }
    let has_null = tx.input.iter().any(|input| input.previous_output.is_null());
    if has_null && !tx.is_coinbase() { Err(Rejection::NullInput) } else { Ok(()) }
}

/// Whether its lock time has come.
pub(super) fn check_lock_time(tx: &Transaction, place: Place) -> Result<(), Rejection> {
    let lock_time = tx.lock_time.to_consensus_u32();
    let now = if lock_time < LOCK_TIME_THRESHOLD { place.height } else { place.time_past };
    let is_final =
        lock_time < now || lock_time == 0 || tx.input.iter().all(|input| input.sequence.is_final());
    if is_final { Ok(()) } else { Err(Rejection::NotFinal) }
}

/// Whether the relative lock time of every input has come (BIP 68).
///
/// `time_past` gives the median time of the eleven blocks up to a height.
pub(super) fn check_sequences(
    tx: &Transaction,
    spent: &[&Coin],
    place: Place,
    time_past: impl Fn(u32) -> u32,
) -> Result<(), Rejection> {
    if tx.version.0.cast_unsigned() < 2 {
        return Ok(());
    }
    for (input, coin) in tx.input.iter().zip(spent) {
        let sequence = input.sequence.to_consensus_u32();
        let length = sequence & SEQUENCE_MASK;
        let has_come = if sequence & SEQUENCE_DISABLED != 0 {
            true
        } else if sequence & SEQUENCE_IS_TIME != 0 {
            let since = u64::from(time_past(coin.height.saturating_sub(1)));
            since + (u64::from(length) << SEQUENCE_TIME_SHIFT) <= u64::from(place.time_past)
        } else {
            coin.height.saturating_add(length) <= place.height
        };
        if !has_come {
            return Err(Rejection::NotFinalBySequence);
        }
    }
    Ok(())
}

/// The fee of a transaction that spends mature coins, and not more than they are.
pub(super) fn fee(tx: &Transaction, spent: &[&Coin], place: Place) -> Result<Amount, Rejection> {
    for coin in spent.iter().filter(|coin| coin.is_coinbase) {
        let depth = place.height.saturating_sub(coin.height);
        if depth < COINBASE_MATURITY {
            return Err(Rejection::PrematureCoinbase { depth });
        }
    }
    let taken = sum(spent.iter().map(|coin| coin.output.value)).ok_or(Rejection::TooMuch)?;
    let given = sum(tx.output.iter().map(|output| output.value)).ok_or(Rejection::TooMuch)?;
    taken.checked_sub(given).ok_or(Rejection::CreatesMoney)
}

/// The sum, unless it or a part of it is more than there can ever be.
fn sum(amounts: impl Iterator<Item = Amount>) -> Option<Amount> {
    let mut total = Amount::ZERO;
    for amount in amounts {
        total = total.checked_add(amount)?;
        if amount > Amount::MAX_MONEY || total > Amount::MAX_MONEY {
            return None;
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use bitcoin::absolute::LockTime;
    use bitcoin::hashes::Hash;
    use bitcoin::transaction::Version;
    use bitcoin::{OutPoint, ScriptBuf, Sequence, TxIn, TxOut, Txid};

    use super::*;

    fn outpoint(vout: u32) -> OutPoint {
        OutPoint { txid: Txid::from_byte_array([7; 32]), vout }
    }

    fn spending(sequence: u32, lock_time: u32) -> Transaction {
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::from_consensus(lock_time),
            input: vec![TxIn {
                previous_output: outpoint(0),
                sequence: Sequence(sequence),
                ..TxIn::default()
            }],
            output: vec![TxOut { value: Amount::from_sat(900), script_pubkey: ScriptBuf::new() }],
        }
    }

    fn coin(height: u32) -> Coin {
        let output = TxOut { value: Amount::from_sat(1_000), script_pubkey: ScriptBuf::new() };
        Coin { output, height, is_coinbase: false }
    }

    const PLACE: Place = Place { height: 200, time_past: 1_700_000_000 };

    #[test]
    fn a_lock_time_counts_blocks_or_seconds_and_not_where_all_inputs_are_final() {
        let check = |sequence, lock_time| check_lock_time(&spending(sequence, lock_time), PLACE);
        assert_eq!(check(0, 199), Ok(()));
        assert_eq!(check(0, 200), Err(Rejection::NotFinal));
        assert_eq!(check(0, 1_699_999_999), Ok(()));
        assert_eq!(check(0, 1_700_000_000), Err(Rejection::NotFinal));
        assert_eq!(check(u32::MAX, 5_000), Ok(()));
    }

    #[test]
    fn a_sequence_counts_blocks_or_units_of_512_seconds_from_the_coin() {
        let check = |sequence, coin_height| {
            let coin = coin(coin_height);
            let time_past = |height| 1_700_000_000 - (200 - height) * 512;
            check_sequences(&spending(sequence, 0), &[&coin], PLACE, time_past)
        };
        assert_eq!(check(10, 190), Ok(()));
        assert_eq!(check(10, 191), Err(Rejection::NotFinalBySequence));
        assert_eq!(check(SEQUENCE_IS_TIME | 10, 191), Ok(()));
        assert_eq!(check(SEQUENCE_IS_TIME | 10, 192), Err(Rejection::NotFinalBySequence));
        assert_eq!(check(SEQUENCE_DISABLED | 10, 200), Ok(()));
        let mut old = spending(10, 0);
        old.version = Version::ONE;
        assert_eq!(check_sequences(&old, &[&coin(200)], PLACE, |_| 0), Ok(()));
    }

    #[test]
    fn a_coinbase_is_spent_after_a_hundred_blocks() {
        let tx = spending(0, 0);
        let mut coin = coin(100);
        coin.is_coinbase = true;
        assert_eq!(fee(&tx, &[&coin], PLACE), Ok(Amount::from_sat(100)));
        coin.height = 101;
        assert_eq!(fee(&tx, &[&coin], PLACE), Err(Rejection::PrematureCoinbase { depth: 99 }));
    }

    #[test]
    fn nobody_makes_money() {
        let mut tx = spending(0, 0);
        tx.output[0].value = Amount::from_sat(1_001);
        assert_eq!(fee(&tx, &[&coin(1)], PLACE), Err(Rejection::CreatesMoney));
        tx.output[0].value = Amount::MAX_MONEY;
        let more = tx.output[0].clone();
        tx.output.push(more);
        assert_eq!(check_alone(&tx), Err(Rejection::TooMuch));
    }

    #[test]
    fn a_transaction_without_form_is_refused() {
        let good = spending(0, 0);
        let with = |change: fn(&mut Transaction)| {
            let mut tx = good.clone();
            change(&mut tx);
            check_alone(&tx)
        };
        assert_eq!(check_alone(&good), Ok(()));
        assert_eq!(with(|tx| tx.input.clear()), Err(Rejection::NoInputs));
        assert_eq!(with(|tx| tx.output.clear()), Err(Rejection::NoOutputs));
        assert_eq!(with(|tx| tx.input.push(tx.input[0].clone())), Err(Rejection::InputTwice));
        let null = |tx: &mut Transaction| tx.input.push(TxIn::default());
        assert_eq!(with(null), Err(Rejection::NullInput));
        let large = |tx: &mut Transaction| {
            tx.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0; 1_000_000]);
        };
        assert_eq!(with(large), Err(Rejection::Oversize));
    }
}
