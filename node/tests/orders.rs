//! The owner's word over JSON-RPC, through the market task of a whole node: own orders are placed as they
//! stand, cannot be changed any more then, and hold after a restart; so do standing instructions.
//!
//! The node is the only member of its grid and measures nothing, so that its planner orders nothing by itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod commands;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use boltgrid::access::secret::Secret;
use boltgrid::config::{Config, RawConfig};
use boltgrid::instructions::{Instructions, StepTerms};
use boltgrid::node::{self, RunError};
use boltgrid::rpc::client::client;
use boltgrid::rpc::order::{OrderState, OwnOrderReport};
use boltgrid::rpc::{MarketRpcClient, NodeRpcClient, OrderRpcClient};
use boltgrid_protocol::order::{Side, Source};
use commands::{boltgrid, free_port};
use jsonrpsee::core::client::Error;
use jsonrpsee::http_client::HttpClient;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Whatever takes longer does not happen.
const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Lengths of time of the grid, in ms: intervals are short, and orders are placed early in the one before.
const TIMING: [(&str, i64); 9] = [
    ("interval_ms", 6_000),
    ("gate_before_delivery_ms", 3_900),
    ("orders_open_before_gate_ms", 1_500),
    ("orders_close_before_gate_ms", 300),
    ("proposal_after_gate_ms", 180),
    ("view_ms", 480),
    ("confirm_by_after_gate_ms", 3_600),
    ("readings_by_after_delivery_ms", 1_800),
    ("clock_skew_max_ms", 180),
];
/// Intervals until an own order that is placed while the test looks on.
const SOON: u64 = 3;
/// Intervals until one that waits for longer than the test takes.
const LATER: u64 = 400;
/// Codes by which JSON-RPC refuses.
const BAD_PARAMETER: i32 = -32602;
const NOT_DONE: i32 = -32026;

/// A node that is the only member of its grid.
struct Alone {
    folder: tempfile::TempDir,
    stop: CancellationToken,
    node: JoinSet<Result<(), RunError>>,
    asks: HttpClient,
}

impl Alone {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        boltgrid(at, &["charter", "new"]);
        let file = at.join("charter.toml");
        let mut charter: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
        let timing = charter["interval"].as_table_mut().unwrap();
        for (name, ms) in TIMING {
            assert!(timing.insert(name.to_owned(), ms.into()).is_some(), "{name} is in a charter");
        }
        timing.insert("views".to_owned(), 6.into());
        fs::write(&file, toml::to_string(&charter).unwrap()).unwrap();
        boltgrid(at, &["init", "--charter", "charter.toml"]);
        let what = ["--connection-point", "House 7", "--import-w", "17000", "--export-w", "10000"];
        boltgrid(
            at,
            &[&["enrol", "request", "--founding", "-o", "me.request"], &what[..]].concat(),
        );
        boltgrid(at, &["enrol", "sign", "me.request", "-o", "boltgrid/enrolments/me.enrolment"]);
        let port = free_port();
        let config = format!(
            "[network]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nmdns = false\n\
             [rpc]\nlisten = \"127.0.0.1:{port}\"\n"
        );
        fs::write(at.join("boltgrid/config.toml"), config).unwrap();
        let token = boltgrid(at, &["token", "create", "owner", "--role", "trade"]);
        let token = Secret::shown(token.trim());
        let asks = client(format!("127.0.0.1:{port}"), token.as_ref(), DEADLINE).unwrap();
        let mut alone = Self { folder, stop: CancellationToken::new(), node: JoinSet::new(), asks };
        alone.begin().await;
        alone
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("boltgrid/config.toml")
    }

    async fn begin(&mut self) {
        self.stop = CancellationToken::new();
        let config = Config::load(&self.config(), RawConfig::default()).unwrap();
        self.node.spawn(node::run(config, self.stop.clone()));
        until("it answers", || async { self.asks.status().await.is_ok() }).await;
    }

    async fn end(&mut self) {
        self.stop.cancel();
        self.node.join_next().await.unwrap().unwrap().unwrap();
    }

    async fn now(&self) -> u64 {
        self.asks.status().await.unwrap().interval
    }

    /// The order for an interval, if there is one.
    async fn order(&self, interval: u64) -> Option<OwnOrderReport> {
        self.asks.orders().await.unwrap().into_iter().find(|it| it.interval == interval)
    }

    async fn place(&self, interval: u64, steps: Vec<StepTerms>) -> Result<(), Error> {
        self.asks.place_order(interval.to_string(), steps).await.map(drop)
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looked = async {
        while !is_so().await {
            sleep(LOOK).await;
        }
    };
    timeout(DEADLINE, looked).await.unwrap_or_else(|_| panic!("did not happen: {what}"));
}

fn buys(energy_mwh: u64) -> Vec<StepTerms> {
    let (side, source) = (Side::Buy, Source::Load);
    vec![StepTerms { side, source, energy_mwh, limit_msat_per_kwh: 150_000 }]
}

/// The code and the words of a refusal.
fn refusal(answer: Result<(), Error>) -> (i32, String) {
    match answer {
        Err(Error::Call(why)) => (why.code(), why.message().to_owned()),
        other => panic!("was not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_order_waits_can_be_taken_back_is_placed_and_holds_after_a_restart() {
    let mut node = Alone::start().await;
    let now = node.now().await;
    assert_eq!(node.asks.orders().await.unwrap(), [], "a site that is not measured plans nothing");
    // What the rating bears in an interval of six seconds is 28 Wh.
    let (soon, later) = (now + SOON, now + LATER);
    for (interval, energy_mwh) in [(soon, 5_000), (soon + 1, 6_000), (later, 7_000)] {
        node.place(interval, buys(energy_mwh)).await.unwrap();
    }
    node.place(soon + 2, Vec::new()).await.unwrap();
    let waits = node.order(later).await.unwrap();
    assert_eq!((waits.state, waits.steps[0].energy_mwh), (OrderState::Own, 7_000));
    assert!(waits.changeable_until_unix_ms < waits.starts_at_unix_ms);
    node.asks.withdraw_order((soon + 1).to_string()).await.unwrap();
    assert_eq!(node.order(soon + 1).await, None, "it was taken back");

    let (code, why) = refusal(node.place(now, buys(5_000)).await);
    assert!(code == NOT_DONE && why.contains("too late for this interval"), "{code} {why}");
    let (code, why) = refusal(node.place(now + 1_000_000, buys(5_000)).await);
    assert!(code == BAD_PARAMETER && why.contains("a week ahead"), "{code} {why}");
    let (code, why) = refusal(node.place(later, buys(50_000_000)).await);
    assert!(code == BAD_PARAMETER && why.contains("P8"), "{code} {why}");

    until("the own order is placed", || async {
        node.order(soon).await.is_none_or(|it| it.state == OrderState::Placed)
    })
    .await;
    let seen = node.asks.interval(soon.to_string()).await.unwrap().unwrap();
    assert_eq!(seen.own_order.len(), 1, "{seen:?}");
    assert_eq!(
        (seen.own_order[0].energy_mwh, seen.own_order[0].limit_msat_per_kwh),
        (5_000, 150_000)
    );
    let (code, why) = refusal(node.asks.withdraw_order(soon.to_string()).await.map(drop));
    assert!(code == NOT_DONE && why.contains("too late"), "{code} {why}");
    until("the intervals after it are over", || async { node.now().await > soon + 2 }).await;
    for left in [soon + 1, soon + 2] {
        let seen = node.asks.interval(left.to_string()).await.unwrap();
        assert!(seen.is_none_or(|it| it.own_order.is_empty()), "nothing is ordered for {left}");
    }

    node.end().await;
    node.begin().await;
    assert_eq!(node.order(later).await.unwrap(), waits, "it holds after a restart");
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standing_instructions_say_who_gave_them_and_hold_after_a_restart() {
    let mut node = Alone::start().await;
    let asks = &node.asks;
    let before = OrderRpcClient::instructions(asks).await.unwrap();
    assert_eq!(before.holds.trade, Some(true));
    let wanted = Instructions {
        trade: Some(false),
        buy_at_most_msat_per_kwh: Some(123_000),
        ..Instructions::default()
    };
    let tried = asks.instruct(wanted, Some(true)).await.unwrap();
    assert_eq!(tried.holds.trade, Some(false), "it shows what would hold");
    assert_eq!(OrderRpcClient::instructions(asks).await.unwrap(), before, "and changes nothing");

    let beyond = Instructions { buy_at_most_msat_per_kwh: Some(i64::MAX), ..wanted };
    let (code, why) = refusal(asks.instruct(beyond, None).await.map(drop));
    assert!(code == BAD_PARAMETER && why.contains("charter's band"), "{code} {why}");

    let told = asks.instruct(wanted, None).await.unwrap();
    assert_eq!((told.holds.trade, told.instructions), (Some(false), wanted));
    assert_eq!(told.changes.len(), 1);
    assert_eq!((told.changes[0].by.as_str(), told.changes[0].instructions), ("owner", wanted));
    node.end().await;
    node.begin().await;
    assert_eq!(OrderRpcClient::instructions(&node.asks).await.unwrap(), told);
    node.end().await;
}
