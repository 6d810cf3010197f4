//! Trades ahead of the auction between three whole nodes, by JSON-RPC and over real networks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod commands;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boltgrid::access::secret::Secret;
use boltgrid::config::{Config, RawConfig};
use boltgrid::node::{self, RunError};
use boltgrid::rpc::client::client;
use boltgrid::rpc::offer::{AcceptState, AcceptTerms, OfferTerms};
use boltgrid::rpc::{ForwardRpcClient, NodeRpcClient, OfferRpcClient};
use boltgrid::store::Store;
use boltgrid::{clock, grid};
use boltgrid_market::effect::Slot;
use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::forward::{Reply, Word};
use boltgrid_protocol::offer::{DAY_MS, Product};
use boltgrid_protocol::order::{Side, Source};
use boltgrid_protocol::units::{Interval, Timestamp};
use commands::{boltgrid, free_port};
use jsonrpsee::http_client::HttpClient;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Whatever takes longer does not happen.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The members; each knows the address of the one before it.
const NAMES: [&str; 3] = ["seller", "buyer", "other"];
/// What is offered.
const PV: Product = Product { side: Side::Sell, source: Source::Pv };

fn found(at: &Path) -> [u16; 3] {
    boltgrid(at, &["charter", "new"]);
    fs::create_dir(at.join("enrolments")).unwrap();
    let (listen, rpc) = ([(); 3].map(|()| free_port()), [(); 3].map(|()| free_port()));
    for (place, name) in NAMES.iter().enumerate() {
        boltgrid(at, &["init", "--dir", name, "--charter", "charter.toml"]);
        let request = format!("{name}.request");
        let who = ["enrol", "request", "--founding", "--dir", name, "--connection-point", name];
        let what = ["--import-w", "9000", "--export-w", "9000", "-o", &request];
        boltgrid(at, &[&who[..], &what].concat());
        let enrolment = format!("enrolments/{name}.enrolment");
        boltgrid(at, &["enrol", "sign", &request, "-o", &enrolment]);
        let before = place.checked_sub(1).map(|before| listen[before]);
        let bootstrap = before.map(|port| format!("\"/ip4/127.0.0.1/tcp/{port}\""));
        let config = format!(
            "charter_file = \"../charter.toml\"\nenrolments_dir = \"../enrolments\"\n\
             [network]\nlisten = [\"/ip4/127.0.0.1/tcp/{}\"]\nbootstrap = [{}]\nmdns = false\n\
             [rpc]\nlisten = \"127.0.0.1:{}\"\n[owner]\ntrade = false\n",
            listen[place],
            bootstrap.unwrap_or_default(),
            rpc[place],
        );
        fs::write(at.join(name).join("config.toml"), config).unwrap();
    }
    rpc
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

/// Asks the nodes at these ports, once all are connected to all.
async fn connected(at: &Path, ports: [u16; 3]) -> [HttpClient; 3] {
    let mut names = NAMES.into_iter();
    let nodes = ports.map(|port| {
        let config = format!("{}/config.toml", names.next().unwrap());
        let token = ["token", "create", "test", "--role", "trade", "--config", &config];
        let token = Secret::shown(boltgrid(at, &token).trim());
        client(format!("127.0.0.1:{port}"), token.as_ref(), DEADLINE).unwrap()
    });
    for node in &nodes {
        until("all are connected", || async {
            node.status().await.is_ok_and(|status| status.network.members_connected == 2)
        })
        .await;
    }
    nodes
}

/// The words in a node's journal, by acceptance, that make a forward.
async fn signed_by_both(config: &Config, at: Interval) -> BTreeMap<Vec<u8>, Arc<[u8]>> {
    let store = Store::open(&config.data_dir).unwrap();
    let entries = store.journal().load_since(at.minus(1)).await.unwrap();
    let replies = entries.into_iter().filter(|entry| matches!(entry.slot, Slot::Reply(..)));
    let of = |bytes: &Arc<[u8]>| Signed::<Reply>::decode(Arc::clone(bytes)).unwrap().body().clone();
    replies
        .map(|entry| (of(&entry.bytes), entry.bytes))
        .filter(|(reply, _)| matches!(reply.word, Word::Forward(_)))
        .map(|(reply, bytes)| (reply.acceptance, bytes))
        .collect()
}

/// The same as people see it; withdraws the offer in the end.
fn by_command_line(at: &Path, offerer: &str) {
    let [seller, _, other] = NAMES.map(|name| format!("{name}/config.toml"));
    let day = ["sell", "pv", "--days-ahead", "1", "--config"];
    let listed = boltgrid(at, &[&["offer", "list"], &day[..], &[&other]].concat());
    assert!(listed.contains("500 Wh an interval at 150 sat/kWh"), "{listed}");
    assert!(listed.contains(offerer), "{listed}");
    let held = boltgrid(at, &["offer", "forwards", "--config", &seller]);
    assert!(held.starts_with("sold"), "{held}");
    boltgrid(at, &[&["offer", "withdraw"], &day[..], &[&seller]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_offers_is_found_and_accepted_by_others_but_never_twice() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let ports = found(at);
    let timing = grid::read_charter(&at.join("charter.toml")).unwrap().interval;
    // From the next midnight of UTC on, so that all is in one day.
    let day = clock::now().to_unix_ms() / DAY_MS + 1;
    let first = timing.interval_at(Timestamp::from_unix_ms(day * DAY_MS + timing.interval_ms));
    let stop = CancellationToken::new();
    let mut nodes: JoinSet<Result<(), RunError>> = JoinSet::new();
    for name in NAMES {
        nodes.spawn(node::run(config(at, name), stop.clone()));
    }
    let [seller, buyer, other] = connected(at, ports).await;
    let terms = OfferTerms {
        product: PV,
        energy_mwh: 500_000,
        minimum_mwh: 1_000,
        price_msat_per_kwh: 150_000,
        first_interval: first.to_number(),
        after_interval: first.plus(4).to_number(),
        expires_at_unix_ms: None,
    };
    let too_much = OfferTerms { energy_mwh: 50_000_000, ..terms.clone() };
    let refused = seller.publish(too_much).await.unwrap_err().to_string();
    assert!(refused.contains("within the rating"), "{refused}");
    let offer = seller.publish(terms).await.unwrap();
    for node in [&seller, &buyer, &other] {
        until("the offer is found", || async {
            let found = node.list(PV, day.to_string()).await.unwrap();
            found.offers == [offer.clone()]
        })
        .await;
    }

    let wanted = AcceptTerms {
        offerer: offer.offerer.clone(),
        product: PV,
        energy_mwh: 300_000,
        price_msat_per_kwh: offer.price_msat_per_kwh,
        first_interval: offer.first_interval,
        after_interval: first.plus(3).to_number(),
    };
    // At the same time, and both do not fit.
    let both = tokio::join!(buyer.accept(wanted.clone()), other.accept(wanted.clone()));
    let (one, two) = (both.0.unwrap(), both.1.unwrap());
    let mut states = [one.state, two.state];
    states.sort_by_key(|state| *state != AcceptState::Forward);
    assert_eq!(states, [AcceptState::Forward, AcceptState::Refused], "{one:?} {two:?}");
    let why = one.why.or(two.why).unwrap();
    assert_eq!(why, "more than is left of the offer");
    let sold = seller.forwards().await.unwrap();
    let bought = [buyer.forwards().await.unwrap(), other.forwards().await.unwrap()].concat();
    assert_eq!((sold.len(), bought.len()), (1, 1));
    assert_eq!(sold[0].acceptance, bought[0].acceptance);
    assert!(sold[0].is_own_offer && !bought[0].is_own_offer);

    by_command_line(at, &offer.offerer);
    until("the offer is gone", || async {
        other.list(PV, day.to_string()).await.unwrap().offers.is_empty()
    })
    .await;
    let gone = other.accept(wanted).await.unwrap_err().to_string();
    assert!(gone.contains("no such standing offer"), "{gone}");
    assert_eq!(seller.forwards().await.unwrap().len(), 1, "what was accepted stays");

    stop.cancel();
    while let Some(ended) = nodes.join_next().await {
        ended.unwrap().unwrap();
    }
    let sellers = signed_by_both(&config(at, "seller"), first).await;
    let mut buyers = signed_by_both(&config(at, "buyer"), first).await;
    buyers.extend(signed_by_both(&config(at, "other"), first).await);
    assert_eq!(sellers.len(), 1);
    assert_eq!(sellers, buyers, "both journals hold both signatures");
}
