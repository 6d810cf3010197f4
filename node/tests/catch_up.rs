//! A member whose archive is empty catches up with one that was there all the time, over real
//! networks, and answers for what it learnt.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod commands;
mod websocket;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boltgrid::access::secret::Secret;
use boltgrid::config::{Config, RawConfig};
use boltgrid::grid::Grid;
use boltgrid::node::{self, RunError};
use boltgrid::rpc::client::client;
use boltgrid::rpc::{MarketRpcClient, NodeRpcClient};
use boltgrid::store::{BookRecord, ClearingRecord, Store};
use boltgrid::{clock, keys};
use boltgrid_market::clear;
use boltgrid_protocol::agreement::{Book, BookCertificate, BookEntry, Stage, Vote};
use boltgrid_protocol::envelope::{Payload, Verified};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Price};
use commands::{boltgrid, free_port};
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use websocket::WebSocket;

/// Past intervals with a book.
const BOOKS: u64 = 200;
/// Whatever takes longer does not happen.
const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The members: one was there, one was away, one is known of only.
const NAMES: [&str; 3] = ["there", "away", "third"];

/// A grid of three members, and the interval that it is now.
struct Village {
    folder: tempfile::TempDir,
    grid: Grid,
    keys: [Keypair; 3],
    now: Interval,
    ports: [u16; 2],
}

impl Village {
    fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        boltgrid(at, &["charter", "new"]);
        let charter = boltgrid::grid::read_charter(&at.join("charter.toml")).unwrap();
        let now = charter.interval.interval_at(clock::now());
        let from = now.minus(BOOKS + 10 + charter.membership.roster_epoch_intervals).to_string();
        fs::create_dir(at.join("enrolments")).unwrap();
        let keys = NAMES.map(|name| {
            boltgrid(at, &["init", "--dir", name, "--charter", "charter.toml"]);
            let (request, enrolment) = (format!("{name}.request"), format!("{name}.enrolment"));
            let who = ["enrol", "request", "--dir", name, "--connection-point", name];
            let what = ["--import-w", "9000", "--export-w", "9000", "--from-interval", &from];
            boltgrid(at, &[&who[..], &what, &["-o", &request]].concat());
            boltgrid(at, &["enrol", "sign", &request, "-o", &format!("enrolments/{enrolment}")]);
            keys::read(&at.join(name).join("participant.key")).unwrap()
        });
        let ports = [free_port(), free_port()];
        for (name, bootstrap) in
            [("there", String::new()), ("away", format!("\"/ip4/127.0.0.1/tcp/{}\"", ports[0]))]
        {
            let listen = if name == "there" { ports[0] } else { 0 };
            let rpc = if name == "there" { 0 } else { ports[1] };
            let config = format!(
                "charter_file = \"../charter.toml\"\nenrolments_dir = \"../enrolments\"\n\
                 [network]\nlisten = [\"/ip4/127.0.0.1/tcp/{listen}\"]\n\
                 bootstrap = [{bootstrap}]\nmdns = false\n\
                 [rpc]\nlisten = \"127.0.0.1:{rpc}\"\n[owner]\ntrade = false\n"
            );
            fs::write(at.join(name).join("config.toml"), config).unwrap();
        }
        let grid = Grid::load(&config(at, "there").grid).unwrap();
        Self { folder, grid, keys, now, ports }
    }

    fn config(&self, name: &str) -> Config {
        config(self.folder.path(), name)
    }

    fn roster(&self, at: Interval) -> Arc<Roster> {
        self.grid.rosters.clone().at(at)
    }

    fn sign<T: Payload>(&self, member: usize, at: Interval, body: &T) -> Verified<T> {
        let key = &self.keys[member];
        let roster = self.roster(at);
        let gate = (self.grid.charter.as_ref(), roster.as_ref());
        Verified::sign(body, at, (&key.participant_id(), key), gate).unwrap()
    }

    /// One buys, another sells, at limits of the day.
    fn order(&self, member: usize, at: Interval, salt: u64) -> Verified<Order> {
        let (side, limit) = if member == 0 { (Side::Buy, 200_000) } else { (Side::Sell, 100_000) };
        let step = Step {
            side,
            source: Source::Load,
            energy_mwh: Energy::from_milliwatt_hours(200_000 + salt + at.to_number() % 1000),
            limit_msat_per_kwh: Price::from_msat_per_kwh(limit),
        };
        self.sign(member, at, &Order { steps: vec![step], ..Order::default() })
    }

    /// The book of an interval, certified by all three.
    fn book(&self, at: Interval) -> (BookRecord, ClearingRecord) {
        let roster = self.roster(at);
        let mut orders = [self.order(0, at, 0), self.order(1, at, 0)];
        orders.sort_by_key(Verified::author);
        let entry =
            |order: &Verified<Order>| BookEntry { author: order.author(), order: order.hash() };
        let book = Book { entries: orders.iter().map(entry).collect() };
        let vote = Vote { view: 0, stage: Stage::Precommit, book: Some(book.hash(&roster, at)) };
        let mut votes = [0, 1, 2].map(|member| self.sign(member, at, &vote));
        votes.sort_by_key(Verified::author);
        let precommits = votes.iter().map(|vote| vote.bytes().to_vec()).collect();
        let certificate = BookCertificate { interval: at, view: 0, book, precommits };
        let orders: Vec<_> = orders.iter().map(|order| Arc::clone(order.bytes())).collect();
        let charter = &self.grid.charter;
        let replayed = clear::replay(charter, &roster, &certificate, &orders).unwrap();
        let clearing = ClearingRecord {
            view: 0,
            decide_ms: 2_000,
            book: replayed.book,
            clearing: replayed.clearing.digest(),
            price_msat_per_kwh: replayed.clearing.price_msat_per_kwh,
            volume_mwh: replayed.clearing.volume_mwh,
            orders: 2,
            trades: u32::try_from(replayed.clearing.trades.len()).unwrap(),
        };
        (BookRecord { certificate: certificate.to_bytes().into(), orders }, clearing)
    }

    /// The intervals that have a book: all but a few, of which nobody knows one.
    fn with_book(&self) -> impl Iterator<Item = Interval> {
        let now = self.now;
        (1..=BOOKS).map(move |back| now.minus(back)).filter(|at| at.to_number() % 40 != 7)
    }
}

fn config(folder: &Path, name: &str) -> Config {
    Config::load(&folder.join(name).join("config.toml"), RawConfig::default()).unwrap()
}

async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looked = async {
        while !is_so().await {
            sleep(LOOK).await;
        }
    };
    timeout(DEADLINE, looked).await.unwrap_or_else(|_| panic!("did not happen: {what}"));
}

/// Subscribes to prices: the intervals of all that are told, once they are so many.
async fn told(at: &str, token: &str, count: usize) -> JoinHandle<BTreeSet<u64>> {
    let (at, token) = (at.to_owned(), token.to_owned());
    let subscribed = spawn_blocking(move || {
        let mut news = WebSocket::open(&at, &token, DEADLINE);
        news.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "market.subscribe_prices" }));
        assert!(news.next().unwrap()["result"].is_number(), "it is subscribed");
        news
    });
    let mut news = subscribed.await.unwrap();
    spawn_blocking(move || {
        let mut told = BTreeSet::new();
        while told.len() < count {
            let price = news.next().unwrap();
            let price = &price["params"]["result"];
            // What is not decided now is no news of the past.
            if price["outcome"] == "decided" {
                told.insert(price["interval"].as_str().unwrap().parse().unwrap());
            }
        }
        told
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_away_learns_every_book_and_answers_for_it() {
    let village = Village::found();
    let (bad, culprit) = (village.now.minus(5), village.keys[2].participant_id());
    let mut expected = Vec::new();
    {
        let store = Store::open(&village.config("there").data_dir).unwrap();
        let archive = store.archive();
        for at in village.with_book() {
            let (book, clearing) = village.book(at);
            archive.put_book(at, &book).unwrap();
            archive.put_clearing(at, &clearing).unwrap();
            expected.push((at, book, clearing));
        }
        let [first, second] = [1, 2].map(|salt| village.order(2, bad, salt).bytes().to_vec());
        let evidence = village.sign(0, bad, &Evidence { first, second });
        archive.put_evidence(bad, &culprit, evidence.bytes()).unwrap();
    }
    let stop = CancellationToken::new();
    let mut nodes: JoinSet<Result<(), RunError>> = JoinSet::new();
    nodes.spawn(node::run(village.config("away"), stop.clone()));
    let at = format!("127.0.0.1:{}", village.ports[1]);
    let token = ["token", "create", "test", "--config", "away/config.toml"];
    let token = boltgrid(village.folder.path(), &token);
    let token = token.trim();
    let client = client(&at, Secret::shown(token).as_ref(), DEADLINE).unwrap();
    until("it answers", || async { client.status().await.is_ok() }).await;
    let told = told(&at, token, expected.len()).await;
    nodes.spawn(node::run(village.config("there"), stop.clone()));
    let count = u64::try_from(expected.len()).unwrap();
    until("all books and the evidence are learnt", || async {
        client.status().await.is_ok_and(|status| {
            status.catch_up.books_learnt == count && status.catch_up.evidence_learnt == 1
        })
    })
    .await;
    let all: BTreeSet<u64> = expected.iter().map(|(at, ..)| at.to_number()).collect();
    let told = timeout(DEADLINE, told).await.expect("subscribers hear of every book").unwrap();
    assert_eq!(told, all);
    for (at, _, clearing) in &expected {
        let told = client.interval(at.to_string()).await.unwrap().unwrap();
        assert_eq!(told.clearing_digest, Some(clearing.clearing.to_string()));
        assert_eq!(told.decide_ms, None, "it was not decided there");
    }
    // The third member never answers, so that nobody else can say that there are no more books.
    until("it is through with the one that is there", || async {
        client.status().await.is_ok_and(|status| {
            status.catch_up.last_with == Some(village.keys[0].participant_id().to_string())
        })
    })
    .await;
    let status = client.status().await.unwrap().catch_up;
    assert!(status.refused.is_empty() && status.withheld == 0, "{status:?}");
    assert!(status.behind_intervals >= BOOKS - count, "{status:?}");
    stop.cancel();
    while let Some(ended) = nodes.join_next().await {
        ended.unwrap().unwrap();
    }

    let archive = Store::open(&village.config("away").data_dir).unwrap().archive();
    for (at, book, _) in &expected {
        assert_eq!(archive.book(*at).unwrap().as_ref(), Some(book), "{at}");
    }
    assert_eq!(archive.evidence(..).count(), 1);
    drop(archive);
    // What is stored clears again to the same digest.
    let at = expected[7].0.to_string();
    boltgrid(village.folder.path(), &["replay", &at, "--config", "away/config.toml"]);
}
