//! The Stratum V1 proxy: machines mine through this node, so that their accepted work is counted.
//!
//! | part | what |
//! |---|---|
//! | [`Stratum`] | listens, and keeps the connections |
//! | `line` | lines, none longer than it may be |
//! | `passing` | one machine and its pool |
//! | `ledger` | what each worker proved, beside what its machine says |
//!
//! Every line passes as it came: the pool's address, the worker's name and with it the payout are the
//! machine's own settings, and nothing here can change them ([`boltgrid_miners::stratum`]). Everything
//! runs in one task: connections, lines and workers are bounded, and a side that does not read holds up
//! nobody but its partner, for a bounded time.
//! Not for: TLS to pools, Stratum V2, or whether a machine may be listened to: whoever reaches the
//! address may mine through it, for itself.

mod ledger;
mod line;
mod passing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::clock;
use crate::dispatcher::DispatchStatus;
use ledger::Ledger;
pub use ledger::WorkerStatus;

/// Most machines that mine through one node at once.
const CONNECTIONS_MAX: usize = 512;
/// How often it is told what workers proved.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How long the listener rests after the system refused it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the owner says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StratumConfig {
    /// Where machines reach it.
    pub listen: SocketAddr,
    /// The pool, as `host:port`.
    pub pool: String,
}

/// Why the proxy cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("machines cannot be listened to at {listen} (mining.stratum.listen): {source}")]
pub struct StratumError {
    listen: SocketAddr,
    source: io::Error,
}

impl StratumConfig {
    /// What is wrong with it, in words; none where nothing is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let port = self.pool.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        match port {
            Some((host, Ok(1..))) if !host.is_empty() && !host.contains("//") => None,
            Some(_) | None => Some(format!(
                "`pool` is host:port of a Stratum V1 pool without TLS, not {:?}",
                self.pool
            )),
        }
    }
}

/// The proxy, yet to be run.
#[derive(Debug)]
pub(crate) struct Stratum {
    listener: TcpListener,
    pool: Arc<str>,
    /// Which machine a worker is.
    machines: BTreeMap<String, String>,
    dispatch: watch::Receiver<Arc<DispatchStatus>>,
    workers: watch::Sender<Arc<[WorkerStatus]>>,
}

impl Stratum {
    /// Listens.
    ///
    /// # Errors
    ///
    /// [`StratumError`] where the address is taken or not ours.
    pub(crate) async fn open(
        config: &StratumConfig,
        machines: BTreeMap<String, String>,
        dispatch: watch::Receiver<Arc<DispatchStatus>>,
        workers: watch::Sender<Arc<[WorkerStatus]>>,
    ) -> Result<Self, StratumError> {
        let listen = config.listen;
        let failed = |source| StratumError { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let pool = config.pool.as_str().into();
        Ok(Self { listener, pool, machines, dispatch, workers })
    }

    /// Where it listens.
    #[cfg(test)]
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it listens")
    }

    /// Runs until shutdown, and hangs up then.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let ledger = Ledger::new(self.machines, self.dispatch);
        let mut connections = FuturesUnordered::new();
        let mut tell = interval(TELL_EVERY);
        loop {
            let has_room = connections.len() < CONNECTIONS_MAX;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = tell.tick() => {
                    self.workers.send_replace(ledger.status(clock::now()).into());
                }
                accepted = self.listener.accept(), if has_room => match accepted {
                    Ok((machine, from)) => {
                        debug!(%from, "a machine mines through this node");
                        let pool = Arc::clone(&self.pool);
                        let ledger = &ledger;
                        connections.push(async move {
                            (from, passing::pass(machine, &pool, ledger).await)
                        });
                    }
                    Err(error) => {
                        warn!(%error, "no machine can connect to the proxy for now");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some((from, ended)) = connections.next(), if !connections.is_empty() => {
                    info!(%from, why = %ended, "a machine no longer mines through this node");
                }
            }
        }
    }
}
