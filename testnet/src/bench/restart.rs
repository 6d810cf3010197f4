//! How soon a node answers that has paid and been paid for long: a past is made for it, and then it is
//! started a few times as it always is, beside a partner with the same past.
//! Not for: nodes without a past; their start is part of every run.

use std::fs;
use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use boltgrid::clock;
use boltgrid::rpc::NodeRpcClient as _;
use boltgrid::rpc::client::client;
use boltgrid::status::NodeStatus;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::past::{self, PastError};
use crate::chain::Faucet;
use crate::run::display::Display;
use crate::run::founding::Place;
use crate::run::process::NodeProcess;
use crate::run::stage::Stage;
use crate::run::{RunError, RunOptions};

/// How long an interval is that the past is made of.
const INTERVAL_MS: u64 = 300_000;
/// How often the node is started.
const STARTS: usize = 3;
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks: what is measured is that exact.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Why nothing is measured.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// The stage.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The past.
    #[error(transparent)]
    Past(#[from] PastError),
    /// A process.
    #[error("a node cannot be started or stopped: {0}")]
    Process(#[source] io::Error),
    /// A client.
    #[error("there is no way to ask a node: {0}")]
    Client(#[source] Box<jsonrpsee::core::client::Error>),
    /// It is not ready.
    #[error("the node was not ready within {} s; the end of its log:\n{log}", PATIENCE.as_secs())]
    NotReady {
        /// What it last wrote.
        log: String,
    },
}

/// What is to be started.
#[derive(Clone, Copy, Debug)]
pub struct RestartOptions {
    /// After how many payments.
    pub payments: NonZeroU32,
    /// What keys follow from.
    pub seed: u64,
}

/// One start, from the moment at which its process is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartTimes {
    /// Until `node.status` is answered.
    pub answers_ms: u64,
    /// Until its wallet is at the tip of the chain.
    pub synced_ms: u64,
    /// Until it can use its channel again, whose other side is there.
    pub usable_ms: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Payments before.
    pub payments: u32,
    /// How long they took to make.
    pub made_in_s: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of Lightning's store.
    pub lightning_bytes: u64,
    /// The starts, one after the other.
    pub starts: Vec<StartTimes>,
}

/// A restart for people.
#[must_use]
pub fn told(restart: &Restart) -> String {
    let Restart { payments, made_in_s, journal_bytes, archive_bytes, lightning_bytes, starts } =
        restart;
    let mut lines = vec![format!(
        "{payments} payments, made in {made_in_s} s; journal {journal_bytes} bytes, archive \
         {archive_bytes}, Lightning {lightning_bytes}"
    )];
    for StartTimes { answers_ms, synced_ms, usable_ms } in starts {
        lines.push(format!(
            "answers after {answers_ms} ms, is at the tip of the chain after {synced_ms} ms, can use \
             its channel after {usable_ms} ms"
        ));
    }
    lines.join("\n")
}

/// Makes a past for a node, and starts it.
///
/// # Errors
///
/// [`RestartError`].
pub async fn restart(options: RestartOptions) -> Result<Restart, RestartError> {
    let program = std::env::current_exe().map_err(RestartError::Process)?;
    let run = RunOptions {
        nodes: NonZeroUsize::new(2),
        interval_ms: INTERVAL_MS,
        seed: options.seed,
        headless: true,
        ..RunOptions::default()
    };
    let stage = Stage::set(&run).await?;
    let (Some(chain), [node, partner]) = (&stage.chain, stage.places.as_slice()) else {
        return Err(PastError::NotReady("a chain and two places").into());
    };
    let mut faucet = Faucet::new(chain.client(), options.seed);
    let display = Display::new(true);
    let began = Instant::now();
    let payments = past::make([node, partner], options.payments.get(), &mut faucet, &display);
    let payments = payments.await?;
    let made_in_s = began.elapsed().as_secs();
    let partner_process = start(&program, partner)?;
    measure(partner, |status| is_synced(status, 0)).await?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let (began, began_unix_s) = (Instant::now(), clock::now().to_unix_ms() / 1_000);
        let process = start(&program, node)?;
        let since =
            |at: Instant| u64::try_from(at.duration_since(began).as_millis()).unwrap_or(u64::MAX);
        let answers_ms = since(measure(node, |_| true).await?);
        let synced_ms = since(measure(node, |it| is_synced(it, began_unix_s)).await?);
        let usable = |status: &NodeStatus| {
            status.lightning.as_ref().is_some_and(|lightning| lightning.channels_usable > 0)
        };
        let usable_ms = since(measure(node, usable).await?);
        starts.push(StartTimes { answers_ms, synced_ms, usable_ms });
        stop(process).await?;
    }
    let bytes = |name: &str| bytes(&node.data.join(name)).map_err(RestartError::Process);
    let (journal_bytes, archive_bytes) = (bytes("journal.sqlite")?, bytes("archive")?);
    let lightning_bytes = bytes("lightning")?;
    stop(partner_process).await?;
    Ok(Restart { payments, made_in_s, journal_bytes, archive_bytes, lightning_bytes, starts })
}

fn is_synced(status: &NodeStatus, since_unix_s: u64) -> bool {
    let synced_at = status.lightning.as_ref().and_then(|it| it.synced_at_unix_s);
    synced_at.is_some_and(|at| at >= since_unix_s)
}

fn start(program: &Path, place: &Place) -> Result<NodeProcess, RestartError> {
    NodeProcess::start(program, &place.config, None, &place.log).map_err(RestartError::Process)
}

async fn stop(process: NodeProcess) -> Result<(), RestartError> {
    process.ask_to_stop();
    process.stopped().await.map_err(RestartError::Process)?;
    Ok(())
}

/// Waits until a node says something, and returns when it did.
async fn measure(
    place: &Place,
    holds: impl Fn(&NodeStatus) -> bool,
) -> Result<Instant, RestartError> {
    let client = client(place.rpc, Some(&place.token), ANSWER_TIME)
        .map_err(|error| RestartError::Client(Box::new(error)))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if client.status().await.is_ok_and(|status| holds(&status)) {
            return Ok(Instant::now());
        }
        if Instant::now() >= deadline {
            let log = fs::read_to_string(&place.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let log = lines[lines.len().saturating_sub(12)..].join("\n");
            return Err(RestartError::NotReady { log });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Bytes of a file, or of all files in a folder.
fn bytes(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        sum += bytes(&entry?.path())?;
    }
    Ok(sum)
}
