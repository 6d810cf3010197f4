//! What a node bears of those who ask it: so many calls a second and so many subscribers, for some intervals of a
//! running testnet in which it trades in each, and what it says to who asks for more than it allows.
//!
//! ```text
//!   testnet ─► node 1 ◄── callers (calls): each a token of its own, on a schedule
//!                  │ ◄─── listeners: a WebSocket each, readings and prices
//!                  └────► its own trades of every interval meanwhile, asked for at the end ─► outcome
//! ```
//!
//! Config is that of any testnet, so the limits are those that every node has where its owner says nothing.
//! Not for: how fast trades are paid ([`crate::bench`]).

mod calls;
mod listeners;
mod outcome;

use std::fs;
use std::io;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use boltgrid::access::Role;
use boltgrid::access::secret::Secret;
use boltgrid::access::tokens::{TokenFile, TokenFileError, Wish};
use boltgrid::clock;
use boltgrid::rpc::client::client;
use boltgrid::rpc::{MarketRpcClient as _, NodeRpcClient as _};
use boltgrid::status::{IntervalOutcome, IntervalReport, TradeState};
use jsonrpsee::core::client::Error as ClientError;
use jsonrpsee::http_client::HttpClient;
use tokio::time::{Instant, sleep};

pub use outcome::{LoadOutcome, Refusals};

use crate::bench;
use crate::run::{RunError, RunOptions, run_beside};

/// What a node allows each caller in a second where its config says nothing.
const CALLS_PER_S_MAX: u32 = 500;
/// Callers ask for a part of that: so many share what is to be asked where they must.
const CALLS_PER_S_OF_CALLER: u32 = CALLS_PER_S_MAX / 2;
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long it may take until a trade is settled: some intervals.
const FIRST_TRADE_TIME: Duration = Duration::from_secs(300);
/// Between two looks at the node.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Intervals until the first that counts has not begun to be ordered yet, and after the last until it is settled.
const MARGIN: u64 = 2;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The testnet.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its scenario or its folder.
    #[error("the folder of the testnet cannot be made or read: {0}")]
    Folder(#[source] io::Error),
    /// Its config is not as it was written.
    #[error("the config of the testnet's first node does not say where it answers")]
    Config,
    /// A caller's token.
    #[error(transparent)]
    Token(#[from] TokenFileError),
    /// The node answers nobody.
    #[error("the node cannot be asked how it is: {0}")]
    Ask(#[from] ClientError),
    /// Nothing goes on.
    #[error("the node settled no trade within {} s; take longer intervals", FIRST_TRADE_TIME.as_secs())]
    Idle,
    /// A WebSocket.
    #[error("a subscriber cannot listen: {0}")]
    Listen(#[from] listeners::ListenError),
    /// The results cannot be written.
    #[error(transparent)]
    Write(#[from] bench::BenchError),
    /// A signal.
    #[error("the testnet was ended before everything was measured")]
    Cut,
}

/// What a node is to bear.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Calls a second.
    pub calls_per_s: NonZeroU32,
    /// Subscribers.
    pub subscribers: NonZeroUsize,
    /// Nodes of the testnet.
    pub nodes: NonZeroUsize,
    /// Intervals that count.
    pub intervals: NonZeroU64,
    /// How long one is.
    pub interval_ms: u64,
    /// What keys follow from.
    pub seed: u64,
}

/// The node that is asked.
struct Asked {
    /// Where it answers, as host and port.
    address: String,
    tokens: TokenFile,
}

impl Asked {
    /// The first node of a testnet whose folder this is.
    fn first(folder: &Path) -> Result<Self, LoadError> {
        let folder = folder.join("bus1");
        let text = fs::read_to_string(folder.join("config.toml")).map_err(LoadError::Folder)?;
        let config: toml::Table = text.parse().map_err(|_| LoadError::Config)?;
        let listens =
            config.get("rpc").and_then(|rpc| rpc.get("listen")).and_then(|it| it.as_str());
        let address = listens.ok_or(LoadError::Config)?.to_owned();
        Ok(Self { address, tokens: TokenFile::in_folder(&folder.join("data")) })
    }

    /// A new caller.
    fn caller(&self, name: String) -> Result<Secret, LoadError> {
        let created_at = clock::now();
        let wish = Wish { name, role: Role::Read, created_at, expires_at: None };
        Ok(self.tokens.create(wish)?)
    }

    fn client(&self, token: &Secret) -> Result<HttpClient, LoadError> {
        Ok(client(&self.address, Some(token), ANSWER_TIME)?)
    }
}

/// Runs a testnet and asks one of its nodes as much as is wanted.
///
/// # Errors
///
/// [`LoadError`], saying what to change.
pub async fn load(options: LoadOptions) -> Result<LoadOutcome, LoadError> {
    let folder = tempfile::Builder::new().prefix("boltgrid-load-").tempdir();
    let folder = folder.map_err(LoadError::Folder)?;
    let scenario = bench::trading_scenario(folder.path(), options.nodes.get());
    let kept: PathBuf = folder.path().join("testnet");
    let run = RunOptions {
        scenario: scenario.map_err(LoadError::Folder)?,
        interval_ms: options.interval_ms,
        seed: options.seed,
        headless: true,
        keep: Some(kept.clone()),
        ..RunOptions::default()
    };
    run_beside(&run, measure(options, &kept)).await?.ok_or(LoadError::Cut)?
}

/// Asks the first node of a testnet that runs.
async fn measure(options: LoadOptions, folder: &Path) -> Result<LoadOutcome, LoadError> {
    let LoadOptions { calls_per_s, subscribers, nodes, intervals, interval_ms, .. } = options;
    let node = Asked::first(folder)?;
    let owner = node.client(&node.caller("owner".to_owned())?)?;
    let listener = node.caller("listener".to_owned())?;
    let callers = calls_per_s.get().div_ceil(CALLS_PER_S_OF_CALLER);
    let callers = (0..callers).map(|it| node.client(&node.caller(format!("caller-{it}"))?));
    let callers = callers.collect::<Result<Vec<HttpClient>, LoadError>>()?;
    let place = (node.address.as_str(), &listener);
    // As the first trade is settled, the node does all that it ever does.
    let traded = first_settled(&owner).await?;
    let listening = listeners::listen(place, subscribers.get()).await?;
    let began = Instant::now();
    let first = owner.status().await?.interval + MARGIN;
    let before = first + intervals.get();
    let length = Duration::from_millis(interval_ms.saturating_mul(intervals.get() + 2 * MARGIN));
    let hasty = node.client(&node.caller("hasty".to_owned())?)?;
    let until = began + length;
    let (calls, heard, refused) = tokio::join!(
        calls::call(&callers, calls_per_s.get(), traded, (began, until)),
        listeners::hear(listening, until),
        refusals(&hasty, place, began + length / 2),
    );
    let mut missed = Vec::new();
    for interval in first..before {
        let report = owner.interval(interval.to_string()).await?;
        missed.extend(why_missed(report.as_ref()).map(|why| format!("{interval}: {why}")));
    }
    let told = (first..before, heard);
    Ok(LoadOutcome::new((nodes.get(), options), (calls, length), told, (missed, refused?)))
}

/// Waits until a trade of the node is settled, and returns its interval.
async fn first_settled(node: &HttpClient) -> Result<u64, LoadError> {
    let deadline = Instant::now() + FIRST_TRADE_TIME;
    while Instant::now() < deadline {
        let now = node.status().await?.interval;
        for interval in now.saturating_sub(MARGIN)..now {
            let report = node.interval(interval.to_string()).await?;
            if report.is_some() && why_missed(report.as_ref()).is_none() {
                return Ok(interval);
            }
        }
        sleep(LOOK_EVERY).await;
    }
    Err(LoadError::Idle)
}

/// Why an interval did not go as every one goes on a testnet in which nothing is wrong; none where it did.
fn why_missed(report: Option<&IntervalReport>) -> Option<&'static str> {
    let Some(report) = report else { return Some("the node knows nothing of it") };
    if report.outcome != IntervalOutcome::Decided {
        return Some("nothing was decided");
    }
    if report.own_order.is_empty() {
        return Some("the node ordered nothing");
    }
    if report.own_trades.is_empty() {
        return Some("the node's order was not in the book");
    }
    if report.own_trades.iter().any(|it| it.state != TradeState::Confirmed) {
        return Some("a trade was not confirmed");
    }
    if report.own_trades.iter().any(|it| it.due_msat.is_none()) {
        return Some("a trade was not settled");
    }
    None
}

/// Asks for more than a node allows in two ways, once there is something to be disturbed.
async fn refusals(
    hasty: &HttpClient,
    place: (&str, &Secret),
    at: Instant,
) -> Result<Refusals, LoadError> {
    tokio::time::sleep_until(at).await;
    let (often_answered, often_refused) = calls::too_often(hasty, CALLS_PER_S_MAX).await?;
    let (subscribed, subscribing_refused) = listeners::too_many(place).await?;
    Ok(Refusals { often_answered, often_refused, subscribed, subscribing_refused })
}

#[cfg(test)]
mod tests {
    use boltgrid::status::{StepReport, TradeReport};

    use super::*;

    fn report() -> IntervalReport {
        let side = || "sell".to_owned();
        IntervalReport {
            interval: 7,
            outcome: IntervalOutcome::Decided,
            view: Some(0),
            decide_ms: Some(900),
            orders: 2,
            book_hash: None,
            clearing_digest: None,
            price_msat_per_kwh: Some(200_000),
            volume_mwh: 1_000,
            trades: 1,
            own_order: vec![StepReport {
                side: side(),
                source: "pv".to_owned(),
                energy_mwh: 1_000,
                limit_msat_per_kwh: 90_000,
            }],
            own_trades: vec![TradeReport {
                interval: 7,
                index: 0,
                side: side(),
                counterparty: "another".to_owned(),
                energy_mwh: 1_000,
                price_msat_per_kwh: 200_000,
                state: TradeState::Confirmed,
                delivered_mwh: Some(1_000),
                due_msat: Some(200),
            }],
            settlement: None,
        }
    }

    #[test]
    fn an_interval_is_missed_by_whatever_did_not_come_of_it() {
        assert_eq!(why_missed(Some(&report())), None);
        assert_eq!(why_missed(None), Some("the node knows nothing of it"));
        let missed = |breaks: &dyn Fn(&mut IntervalReport)| {
            let mut report = report();
            breaks(&mut report);
            why_missed(Some(&report)).expect("something is missing")
        };
        assert_eq!(missed(&|it| it.outcome = IntervalOutcome::NoDecision), "nothing was decided");
        assert_eq!(missed(&|it| it.own_order.clear()), "the node ordered nothing");
        let out = "the node's order was not in the book";
        assert_eq!(missed(&|it| it.own_trades.clear()), out);
        let lapsed = missed(&|it| it.own_trades[0].state = TradeState::Lapsed);
        assert_eq!(lapsed, "a trade was not confirmed");
        assert_eq!(missed(&|it| it.own_trades[0].due_msat = None), "a trade was not settled");
    }
}
