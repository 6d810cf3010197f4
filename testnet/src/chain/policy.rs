//! What may wait for a block, beyond the rules: no dust, no strange scripts, a fee, and who gives way
//! to whom.
//!
//! Any waiting transaction can be replaced by one that pays more, as bitcoind does it today, and so
//! can what hangs on it. Absent, since nothing here sends such: packages, `TRUC`, ephemeral dust.

use std::collections::BTreeSet;

use bitcoin::{Amount, Script, Transaction, TxOut, Txid};

use super::mempool::Mempool;
use super::rejection::Rejection;

/// The heaviest transaction.
const WEIGHT_MAX: u64 = 400_000;
/// The smallest, in bytes without its witness.
const BYTES_MIN: usize = 65;
/// The highest version.
const VERSION_MAX: i32 = 3;
/// What a thousand bytes pay at least.
pub(super) const RELAY_SAT_PER_KVB: u64 = 100;
/// By how much more a thousand bytes must pay to take the place of others.
pub(super) const REPLACE_SAT_PER_KVB: u64 = 100;
/// What a thousand bytes pay at most.
const FEE_MAX_SAT_PER_KVB: u64 = 10_000_000;
/// How many a replacement may throw out.
const REPLACED_MAX: usize = 100;
/// How many may hang on one another upwards, with the one itself.
const ANCESTORS_MAX: usize = 25;
/// How many may wait.
pub(super) const MEMPOOL_MAX: usize = 10_000;

/// What of a transaction alone keeps it from waiting.
pub(super) fn check_form(tx: &Transaction) -> Result<(), Rejection> {
    if tx.is_coinbase() {
        return Err(Rejection::Coinbase);
    }
    if !(1..=VERSION_MAX).contains(&tx.version.0) {
        return Err(Rejection::Version);
    }
    if tx.weight().to_wu() > WEIGHT_MAX {
        return Err(Rejection::TooHeavy);
    }
    if !tx.output.iter().all(|output| is_known(&output.script_pubkey)) {
        return Err(Rejection::UnknownScript);
    }
    if tx.output.iter().any(is_dust) {
        return Err(Rejection::Dust);
    }
    if tx.base_size() < BYTES_MIN { Err(Rejection::TooSmall) } else { Ok(()) }
}

fn is_known(script: &Script) -> bool {
    script.is_witness_program()
        || script.is_p2pkh()
        || script.is_p2sh()
        || script.is_p2pk()
        || script.is_op_return()
}

fn is_dust(output: &TxOut) -> bool {
    !output.script_pubkey.is_op_return() && output.value < output.script_pubkey.minimal_non_dust()
}

/// What so many bytes cost at so much a thousand, rounded up.
const fn fee_ceil(vsize: u64, sat_per_kvb: u64) -> u64 {
    vsize.saturating_mul(sat_per_kvb).div_ceil(1_000)
}

/// Whether the fee is enough, and no mistake.
pub(super) fn check_fee(fee: Amount, vsize: u64) -> Result<(), Rejection> {
    let (fee_sat, required_sat) = (fee.to_sat(), fee_ceil(vsize, RELAY_SAT_PER_KVB));
    if fee_sat < required_sat {
        return Err(Rejection::FeeTooLow { fee_sat, required_sat });
    }
    let too_high = fee_sat > fee_ceil(vsize, FEE_MAX_SAT_PER_KVB);
    if too_high { Err(Rejection::FeeTooHigh) } else { Ok(()) }
}

/// Whether there is space, and not too much hangs on one another.
pub(super) fn check_space(pool: &Mempool, tx: &Transaction) -> Result<(), Rejection> {
    if pool.len() >= MEMPOOL_MAX {
        return Err(Rejection::MempoolFull);
    }
    let is_long = pool.ancestors(tx).len() >= ANCESTORS_MAX;
    if is_long { Err(Rejection::ChainTooLong) } else { Ok(()) }
}

/// Whom a transaction throws out that pays so much; nobody where it spends what nobody else does.
pub(super) fn replaced(
    pool: &Mempool,
    tx: &Transaction,
    fee: Amount,
    vsize: u64,
) -> Result<BTreeSet<Txid>, Rejection> {
    let spenders = tx.input.iter().filter_map(|input| pool.spender(&input.previous_output));
    let direct: BTreeSet<Txid> = spenders.collect();
    if direct.is_empty() {
        return Ok(direct);
    }
    for conflict in direct.iter().filter_map(|txid| pool.get(txid)) {
        let (ours, theirs) = (u128::from(fee.to_sat()), u128::from(conflict.fee_sat));
        if ours * u128::from(conflict.vsize) <= theirs * u128::from(vsize) {
            return Err(Rejection::ReplacementFee);
        }
    }
    let all = pool.with_descendants(direct);
    if all.len() > REPLACED_MAX {
        return Err(Rejection::TooManyReplaced);
    }
    if tx.input.iter().any(|input| all.contains(&input.previous_output.txid)) {
        return Err(Rejection::SpendsConflict);
    }
    let paid = all.iter().filter_map(|txid| pool.get(txid)).map(|entry| entry.fee_sat);
    let required = paid.fold(fee_ceil(vsize, REPLACE_SAT_PER_KVB), u64::saturating_add);
    if fee.to_sat() < required { Err(Rejection::ReplacementFee) } else { Ok(all) }
}
