//! Real testnets as small as they can be, run as a user runs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use boltgrid_testnet::run::report::Report;
use rustix::process::{Pid, Signal, kill_process};

/// How long something may take that takes a second or two on an idle machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// The report's file name.
const REPORT: &str = "report.json";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The program, told to make temporary folders in `dir`, so that what is left behind is seen.
fn testnet(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boltgrid-testnet"));
    command.args(args).current_dir(dir).env("TMPDIR", dir);
    command
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Processes of nodes whose config is somewhere in `dir`.
fn nodes(dir: &Path) -> usize {
    let dir = dir.to_str().unwrap().as_bytes();
    let is_node = |cmdline: Vec<u8>| cmdline.windows(dir.len()).any(|part| part == dir);
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .filter(|cmdline| is_node(cmdline.clone()))
        .count()
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(LOOK);
    }
}

/// Runs a testnet in which every invariant holds: its report, and what it said.
fn ran(args: &str, dir: &Path) -> (Report, String) {
    let (report, said, held) = told(args, dir);
    assert!(held, "{said}");
    (report, said)
}

/// Runs a testnet to its end: its report, what it said, and whether every invariant held.
fn told(args: &str, dir: &Path) -> (Report, String, bool) {
    let args: Vec<&str> = args.split(' ').chain(["--report", REPORT]).collect();
    let output = testnet(&args, dir).output().unwrap();
    let said = said(&output);
    let json = fs::read_to_string(dir.join(REPORT)).expect(&said);
    (serde_json::from_str(&json).unwrap(), said, output.status.success())
}

/// A testnet of two nodes that are up.
fn started(dir: &Path) -> Child {
    let args = ["run", "--nodes", "2", "--interval-ms", "2000", "--headless"];
    let child = testnet(&args, dir).stdout(Stdio::piped()).spawn().unwrap();
    eventually("both nodes are up", || nodes(dir) == 2);
    child
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn four_nodes_trade_though_one_is_killed_and_a_peer_is_hostile() {
    let dir = tempfile::tempdir().unwrap();
    let faults = "[[fault]]\nat_interval = 0\nkind = \"hostile\"\n\
                  [[fault]]\nat_interval = 0\nat_ms = 500\nkind = \"restart\"\nnode = 2\n\
                  restart_after_ms = 500\n";
    fs::write(dir.path().join("faults.toml"), faults).unwrap();
    // A quarter past seven, some have sun already and others have not.
    let args = [
        "run --nodes 4 --from 2016-05-25T07:15 --interval-ms 6000 --intervals 4 --headless",
        "--faults faults.toml",
    ];
    let (report, said) = ran(&args.join(" "), dir.path());
    let left = ["faults.toml", REPORT].map(|name| dir.path().join(name));
    assert_eq!(files(dir.path()), left);
    assert_eq!(nodes(dir.path()), 0);

    assert_eq!(report.intervals.len(), 4);
    for row in &report.intervals {
        assert!(row.decided && row.distinct_digests == 1, "{row:?}");
    }
    assert!(report.intervals.iter().any(|row| row.trades_confirmed > 0), "{}", said);
    let restarts: Vec<u32> = report.nodes.iter().map(|node| node.restarts).collect();
    assert_eq!(restarts, [0, 0, 1, 0]);
    for node in &report.nodes {
        assert!(node.rss_kb_max > 0 && node.cpu_ms > 0 && node.bytes_in > 0, "{node:?}");
    }
    for invariant in &report.invariants {
        assert!(invariant.checked > 0, "{} was never checked", invariant.name);
    }
    let conserved =
        report.invariants.iter().any(|it| it.name == "coins_and_channels_are_conserved");
    assert!(conserved, "nobody counted the coins");
    assert!(report.rejected["votes"]["bad_signature"] > 0);
}

#[test]
fn a_node_that_was_away_learns_what_was_decided_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let faults = "[[fault]]\nat_interval = 0\nat_ms = 500\nkind = \"restart\"\nnode = 1\n\
                  restart_after_ms = 18000\n";
    fs::write(dir.path().join("faults.toml"), faults).unwrap();
    let args = [
        "run --nodes 4 --from 2016-05-25T07:15 --interval-ms 6000 --intervals 5 --headless",
        "--faults faults.toml",
    ];
    let (report, _) = ran(&args.join(" "), dir.path());
    let name = "nodes_that_were_away_know_every_book";
    let afterwards = report.invariants.iter().find(|row| row.name == name).unwrap();
    assert!(afterwards.checked >= 4 && afterwards.violations == 0, "{afterwards:?}");
}

#[test]
fn nodes_open_their_channels_themselves_and_pay_what_became_due_before() {
    let dir = tempfile::tempdir().unwrap();
    // They plan a minute after their start, and six blocks later channels can be used.
    let args = [
        "run --nodes 3 --from 2016-05-25T07:15 --interval-ms 6000 --intervals 16 --headless",
        "--channels policy --pay-within-intervals 40",
    ];
    // Three of three votes decide, so on a busy machine an interval may pass without: that is not asked.
    let (report, said, _) = told(&args.join(" "), dir.path());
    let row = |name: &str| report.invariants.iter().find(|row| row.name == name).unwrap();
    assert_eq!(row("nodes_open_channels_by_their_policy").violations, 0, "{said}");
    let first = report.intervals.iter().find(|row| row.trades_confirmed > 0).unwrap();
    assert!(first.payments > 0, "what became due before there was a channel: {said}");
}

#[test]
fn two_sides_of_a_partition_know_it_and_trade_again_after_healing() {
    let dir = tempfile::tempdir().unwrap();
    // Five votes of six decide, so neither side can; but all hear enough others to go on.
    let faults = "[[fault]]\nat_interval = 1\nkind = \"cut\"\ngroups = [[0, 1, 2], [3, 4, 5]]\n\
                  for_ms = 18_000\n";
    fs::write(dir.path().join("faults.toml"), faults).unwrap();
    let args = [
        "run --nodes 6 --from 2016-05-25T07:15 --interval-ms 6000 --intervals 8 --headless",
        "--faults faults.toml",
    ];
    let (report, said) = ran(&args.join(" "), dir.path());

    assert!(!report.intervals[3].decided, "{}", said);
    assert!(report.intervals.last().unwrap().decided, "{}", said);
    assert_eq!(report.faults["cut"], 1);
    assert!(report.links.unwrap().datagrams_cut > 0);
    assert!(report.resumed_within_intervals.unwrap() <= 2);
    for name in ["sides_of_a_partition_say_no_decision", "histories_agree"] {
        let row = report.invariants.iter().find(|row| row.name == name).unwrap();
        assert!(row.checked > 0, "{name}");
    }
}

#[test]
fn a_node_with_a_wrong_clock_signs_nothing_and_the_others_trade_on() {
    let dir = tempfile::tempdir().unwrap();
    let faults = "[[fault]]\nat_interval = 1\nkind = \"skew\"\nnode = 2\nby_ms = 7_000\n\
                  for_ms = 13_000\n";
    fs::write(dir.path().join("faults.toml"), faults).unwrap();
    let args = [
        "run --nodes 4 --from 2016-05-25T07:15 --interval-ms 6000 --intervals 9 --headless",
        "--faults faults.toml",
    ];
    let (report, said) = ran(&args.join(" "), dir.path());
    assert!(report.intervals.iter().all(|row| row.decided), "{}", said);
    // It stays out for a while, and is back before the end.
    for name in ["nodes_with_a_wrong_clock_sign_nothing", "unhindered_nodes_trade_again"] {
        let row = report.invariants.iter().find(|row| row.name == name);
        assert!(row.is_some_and(|row| row.checked > 0), "{name}: {}", said);
    }
}

#[test]
fn a_testnet_that_is_asked_to_stop_does_so_in_order_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = started(dir.path());
    signal(&child, Signal::TERM);
    assert!(child.wait().unwrap().success());
    assert_eq!(nodes(dir.path()), 0);
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    let mut said = String::new();
    child.stdout.unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("0 of 0 intervals decided"), "{said}");
}

#[test]
fn nodes_do_not_outlive_a_testnet_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = started(dir.path());
    signal(&child, Signal::KILL);
    assert!(!child.wait().unwrap().success());
    eventually("the nodes are gone", || nodes(dir.path()) == 0);
}

#[test]
fn a_node_that_dies_ends_the_run_with_the_end_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let child = started(dir.path());
    let output = {
        let of_node = |process: &fs::DirEntry| {
            let cmdline = fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&cmdline).contains("/bus2/config.toml")
                && String::from_utf8_lossy(&cmdline).contains(dir.path().to_str().unwrap())
        };
        let process = fs::read_dir("/proc").unwrap().filter_map(Result::ok).find(of_node).unwrap();
        let pid = process.file_name().to_str().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        child.wait_with_output().unwrap()
    };
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(nodes(dir.path()), 0);
}

#[test]
fn wrong_arguments_are_said_with_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str], code, expected: &str| {
        let output = testnet(args, dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    };
    check(&["run", "--interval-ms", "7000"], 1, "such as 5000");
    check(&["run", "--scenario", "nowhere"], 1, "there is no scenario `nowhere`");
    check(&["run", "--faults", "nowhere.toml"], 1, "nowhere.toml cannot be read");
    check(&["run", "--nodes", "0"], 2, "--nodes");
    check(&["check", "nowhere"], 1, "there is no scenario `nowhere`");
    check(&["check", "rural1"], 0, "rural1: a valid scenario of 14 buses");
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn the_examples_of_faults_are_valid_for_the_nodes_they_are_meant_for() {
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("faults")) {
        // `under-fire.toml` names its rogues among thirty nodes, as its first lines say.
        let nodes = if file.ends_with("under-fire.toml") { 30 } else { 13 };
        let faults = boltgrid_testnet::run::faults::load(&file, nodes, 10_000).unwrap();
        assert!(!faults.is_empty(), "{}", file.display());
    }
}
