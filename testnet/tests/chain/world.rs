//! The chains that there are, and coins that anybody can spend.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};
use boltgrid_testnet::chain::{Choice, Source};
use tempfile::TempDir;

/// A chain, and the folder that it may use.
pub(crate) struct Ground {
    pub(crate) source: Source,
    _folder: TempDir,
}

/// One test at a time: a port that is found free is free for both until somebody binds it.
static TURN: Mutex<()> = Mutex::new(());

/// Waits for the other test; a failed one does not fail this one.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which chains can be had: ours, and a real one where there is one.
pub(crate) fn choices() -> Vec<(&'static str, Choice)> {
    let mut choices = vec![("embedded", Choice::Embedded)];
    match std::env::var_os("BITCOIND_EXE") {
        Some(path) => choices.push(("bitcoind", Choice::Program(PathBuf::from(path)))),
        None => eprintln!("BITCOIND_EXE is not set: this test saw no real bitcoind"),
    }
    choices
}

impl Ground {
    pub(crate) async fn start(choice: &Choice) -> Self {
        let folder = tempfile::Builder::new().prefix("boltgrid-chain-").tempdir().unwrap();
        let source = Source::start(choice, folder.path()).await.unwrap();
        Self { source, _folder: folder }
    }
}

/// A script that is true.
pub(crate) fn anyone() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

/// An address whose coins anybody can spend who knows `script`.
pub(crate) fn address(script: &ScriptBuf) -> Address {
    Address::p2wsh(script, Network::Regtest)
}

/// Spends one output of `script` to `to`, all but a fee.
pub(crate) fn spend(
    from: OutPoint,
    script: &ScriptBuf,
    (value, fee): (Amount, Amount),
    to: ScriptBuf,
) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: from,
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[script.as_bytes()]),
            ..TxIn::default()
        }],
        output: vec![TxOut { value: value - fee, script_pubkey: to }],
    }
}
