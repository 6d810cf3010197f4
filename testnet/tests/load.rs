//! The load program as a user runs it, as small as it can be: that a node under load trades on, and says to who
//! asks too much what it should. How much it bears is measured by hand (docs/rpc.md).

use std::fs;
use std::process::Command;

use boltgrid_testnet::load::{LoadOutcome, Refusals};

const REPORT: &str = "report.json";

#[test]
fn a_node_that_is_asked_much_misses_no_interval_and_refuses_what_is_too_much_by_its_codes() {
    let dir = tempfile::tempdir().unwrap();
    let args = "load --nodes 2 --intervals 2 --interval-ms 6000 --calls-per-s 100 --subscribers 20";
    let mut command = Command::new(env!("CARGO_BIN_EXE_boltgrid-testnet"));
    command.args(args.split(' ')).args(["--report", REPORT]).current_dir(dir.path());
    let output = command.env("TMPDIR", dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    let left = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), [REPORT], "nothing else is left behind");

    let json = fs::read_to_string(dir.path().join(REPORT)).unwrap();
    let it: LoadOutcome = serde_json::from_str(&json).unwrap();
    assert_eq!(it.broken(), Vec::<String>::new(), "{said}");
    // Six intervals of 6 s each, of which the middle two count.
    assert_eq!((it.seconds, it.intervals, it.subscribers), (36, 2, 20), "{said}");
    assert!(it.calls >= 3_528 && it.answer_us_p50 > 0, "{said}");
    assert!(it.news > 20 * it.intervals, "readings were told too: {said}");
    let Refusals { often_answered, often_refused, subscribed, subscribing_refused } = it.refusals;
    assert_eq!(often_answered + often_refused, 1_500);
    assert!(often_answered >= 500 && often_refused > 0, "{said}");
    assert_eq!((subscribed, subscribing_refused), (16, 4));
}
