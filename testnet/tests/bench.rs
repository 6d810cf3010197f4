//! The benchmark as a user runs it, as small as it can be: that it measures something, not how much.

use std::fs;
use std::process::Command;

use boltgrid_testnet::bench::Comparison;

const REPORT: &str = "report.json";

#[test]
fn every_settlement_of_a_run_is_made_once_more_by_bare_lightning_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["bench", "--nodes", "2", "--intervals", "2", "--interval-ms", "6000"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_boltgrid-testnet"));
    command.args(args).args(["--report", REPORT]).current_dir(dir.path());
    let output = command.env("TMPDIR", dir.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    let left = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), [REPORT], "nothing else is left behind");

    let json = fs::read_to_string(dir.path().join(REPORT)).unwrap();
    let comparisons: Vec<Comparison> = serde_json::from_str(&json).unwrap();
    let [it] = comparisons.as_slice() else { panic!("one comparison: {comparisons:?}") };
    assert_eq!((it.nodes, it.settlements.payments, it.bare.payments), (2, 2, 2));
    assert_eq!(it.beside_market.payments, 2);
    assert!(it.beside_market.payment_ms_mean > 0);
    assert!(it.settlements.payment_ms_mean > 0 && it.bare.payment_ms_mean > 0);
    assert!(it.settlements.all_paid_ms_max >= Some(it.settlements.payment_ms_p50));
}
