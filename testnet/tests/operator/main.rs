//! An operator's script in Python, which knows nothing of Boltgrid but its `OpenRPC` document: it places an
//! order with a node of a small testnet, follows its trades to the last payment, and reconciles the CSV.
//! And owners who pay each other by hand ([`by_hand`]).
//!
//! `PYTHON` names the program; without, `python3` is taken, and where there is none the test says so and
//! checks nothing.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![allow(clippy::print_stderr, reason = "what is not checked is said aloud")]

mod by_hand;
#[path = "../dashboard/world.rs"]
#[expect(dead_code, reason = "browsers need more of it")]
mod world;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use boltgrid::access::Role;
use boltgrid::access::secret::Secret;
use boltgrid::rpc::NodeRpcClient as _;
use boltgrid::rpc::client::client;
use boltgrid::status::TradeState;
use jsonrpsee::http_client::HttpClient;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use world::World;

const PROGRAM: &str = env!("CARGO_BIN_EXE_boltgrid-testnet");
/// The script, and the document that it is given.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/order_to_payment.py");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openrpc.json");
/// Four sites from five in the afternoon, when some have sun left and others buy it.
const TESTNET: [&str; 4] = ["--nodes", "4", "--from", "2016-05-25T17:00"];
/// How long nodes may take until they trade, on a machine that is busy as well, …
const PATIENCE: Duration = Duration::from_secs(180);
/// … how long the script may take from an order to the last payment, …
const SCRIPT_PATIENCE_S: &str = "240";
/// … and how long one answer may.
const ANSWER_TIME: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The Python that `PYTHON` names, or else `python3` where there is one.
fn python() -> Option<OsString> {
    let runs = |program: &OsString| {
        let asked = std::process::Command::new(program).arg("--version").output();
        asked.is_ok_and(|it| it.status.success())
    };
    if let Some(named) = std::env::var_os("PYTHON") {
        assert!(runs(&named), "PYTHON names {}, which does not run", named.display());
        return Some(named);
    }
    Some(OsString::from("python3")).filter(runs)
}

/// What asks a site's node, as the operator who has made `token`.
fn asks(world: &World, site: &str, token: &str) -> HttpClient {
    let address = world.address(site).replace("http://", "");
    client(address, Secret::shown(token).as_ref(), ANSWER_TIME).unwrap()
}

/// A site that trades, and a token that may trade for it.
async fn trader(world: &World) -> (String, String) {
    let tokens = world.sites.iter().map(|site| world.token(site, "operator", Role::Trade));
    let all: Vec<(&String, String)> = world.sites.iter().zip(tokens).collect();
    let began = Instant::now();
    loop {
        for (site, token) in &all {
            let status = asks(world, site, token).status().await.ok();
            let trades = status.and_then(|it| it.last_interval).map(|it| it.own_trades);
            if trades.into_iter().flatten().any(|it| it.state == TradeState::Confirmed) {
                return ((*site).clone(), token.clone());
            }
        }
        assert!(began.elapsed() < PATIENCE, "nobody trades");
        sleep(LOOK_EVERY).await;
    }
}

/// Runs the script against a site's node.
async fn run(python: &OsString, world: &World, folder: &Path) -> Output {
    let (site, token) = trader(world).await;
    let token_file = folder.join("operator.token");
    std::fs::write(&token_file, token).unwrap();
    let export =
        format!("'{PROGRAM}' node -- export --config '{}'", world.config_file(&site).display());
    let mut script = Command::new(python)
        .args([SCRIPT, "--document", DOCUMENT, "--patience-s", SCRIPT_PATIENCE_S])
        .args(["--rpc", &world.address(&site).replace("http://", ""), "--export", &export])
        .arg("--token-file")
        .arg(&token_file)
        .env("TMPDIR", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Kept open: as a node of a testnet, the program ends when its input does.
    let input = script.stdin.take();
    let output = timeout(2 * PATIENCE, script.wait_with_output()).await.unwrap().unwrap();
    drop(input);
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_knows_only_the_document_follows_an_order_to_payment_and_reconciles_the_csv()
{
    let Some(python) = python() else {
        eprintln!("NOT CHECKED: there is no python3, and PYTHON names none");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), &TESTNET).await;
    let output = run(&python, &world, folder.path()).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{all}");

    let lines: Vec<&str> = said.lines().collect();
    let placed = lines.iter().rev().find(|it| it.starts_with("placed: ")).expect(&all);
    let interval = placed.split("in interval ").nth(1).unwrap().split(' ').next().unwrap();
    let is_paid = format!("interval {interval} is paid");
    let paid = lines.iter().position(|it| *it == is_paid).expect(&all);
    let (last, before) = lines.split_last().unwrap();
    // What `export` says comes between; then a line for each trade, and the verdict.
    let reconciled: Vec<&&str> =
        before[paid + 1..].iter().filter(|it| it.starts_with("trade ")).collect();
    assert!(!reconciled.is_empty(), "{all}");
    for line in &reconciled {
        let amounts =
            line.split(": due ").nth(1).and_then(|it| it.split_once(" msat, in the CSV "));
        let (due, in_csv) = amounts.expect(&all);
        assert_eq!(in_csv, format!("{due} msat"), "{all}");
    }
    assert!(reconciled.iter().any(|it| !it.contains("due 0 msat")), "something was paid: {all}");
    assert!(last.ends_with("/export/payments.csv fits"), "{all}");
    world.end().await;
}
