//! The Lightning task: requests in, events out, the library's blocking calls on threads of their own.
//!
//! The library's threads are apart from the node's, so that a slow disk under a channel's state holds
//! up no vote. A start that fails says so before any task runs.

use std::any::Any;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::lightning::LightningId;
use boltgrid_protocol::peer::LightningContact;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use ldk_node::{Event, Node, NodeError};
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::begun::Begun;
use super::event::{Delivery, LightningEvents};
use super::fundings::Fundings;
use super::guard::Guard;
use super::handle::{LightningHandle, Request};
use super::hold::NodeKey;
use super::ldk::{self, Credentials, Parts};
use super::logs::Logs;
use super::reconnect::Reconnect;
use super::seed::Seed;
use super::status::LightningStatus;
use super::store::{Health, Store};
use super::strangers::{Closing, Strangers};
use super::{LightningFailure, LightningStartError, bitcoind, convert, events, serve, unsent};
use crate::config::LightningConfig;
use crate::config::lightning::ChainSource;
use crate::network::LightningContacts;
use crate::store::JournalHandle;

/// Folder of Lightning's own store inside the data folder.
pub const LIGHTNING_DIR: &str = "lightning";
/// Threads of the library's own tasks.
const WORKERS: usize = 2;
/// Threads for its blocking calls and its disk.
const BLOCKING_MAX: usize = 32;
/// Requests carried out at once. One that has to reach another node takes seconds.
const CALLS_AT_ONCE: usize = 8;
/// Between two looks at balances and channels, and at whether the marks have to grow.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before an event that was not kept is delivered again.
const REDELIVER_AFTER: Duration = Duration::from_secs(1);
/// How long the library's threads may take to end once it has stopped.
const THREADS_STOP_TIME: Duration = Duration::from_secs(2);

/// Threads of the library. Dropped inside a task, they are left to end by themselves.
pub(super) struct Threads {
    runtime: Option<Runtime>,
    handle: runtime::Handle,
}

impl Threads {
    pub(super) fn start() -> Result<Self, LightningStartError> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("lightning")
            .enable_all()
            .build()
            .map_err(LightningStartError::Threads)?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    pub(super) fn handle(&self) -> runtime::Handle {
        self.handle.clone()
    }

    /// Runs something that blocks.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn_blocking(work)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The library's node. Once it has failed, its own `drop` fails as well, and where that happens while
/// something else fails it takes the process with it; so it is let go of only after it has stopped.
struct Kept {
    node: Arc<Node>,
    has_stopped: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.has_stopped {
            std::mem::forget(Arc::clone(&self.node));
        }
    }
}

/// Lightning, started, with a task yet to be run.
pub struct Lightning {
    threads: Threads,
    kept: Kept,
    /// Signs invoices of our own making; none where it could not be derived.
    key: Option<Arc<NodeKey>>,
    health: Arc<Health>,
    guard: Guard,
    begun: Arc<Begun>,
    requests: mpsc::Receiver<Request>,
    deliveries: mpsc::Sender<Delivery>,
    status: watch::Sender<LightningStatus>,
    addresses: Vec<String>,
    partners: Vec<LightningId>,
}

impl std::fmt::Debug for Lightning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lightning")
    }
}

impl Lightning {
    /// Reads the seed, checks that the chain is the one that is meant and that the store is not an old
    /// copy, and starts the library's node, its
    /// store in [`LIGHTNING_DIR`] under `data_dir`.
    ///
    /// # Errors
    ///
    /// [`LightningStartError`], saying what to do about it.
    pub async fn open(
        config: LightningConfig,
        data_dir: &Path,
        journal: JournalHandle,
    ) -> Result<(Self, LightningHandle, LightningEvents), LightningStartError> {
        let seed = Seed::read(&config.seed_file)?;
        if let ChainSource::Bitcoind { host, port, login } = &config.chain {
            bitcoind::check((host, *port), &Credentials::read(login)?, config.network).await?;
        }
        let threads = Threads::start()?;
        let dir = data_dir.join(LIGHTNING_DIR);
        let store = open_store(&threads, &dir).await?;
        let guard = Guard::open(Arc::clone(&store), journal).await?;
        let begun = open_begun(&threads, &store, &dir).await?;
        let (health, logs) = (store.health(), Arc::new(Logs::default()));
        let (network, chain) = (config.network.name(), config.chain.to_string());
        let addresses = if config.external.is_empty() { &config.listen } else { &config.external };
        let (addresses, partners) = (addresses.clone(), config.zero_conf_partners.clone());
        let bitcoin = convert::network(config.network);
        let parts = Parts { config, dir, seed: seed.clone(), store, logs };
        let handle = threads.handle();
        let noted = Arc::clone(&begun);
        let starting = threads.run(move || {
            let node = ldk::build(&parts, &handle)?;
            unsent::forget(&node, &noted, &parts.dir).map_err(|error| {
                let path = parts.dir.clone();
                LightningStartError::Store { path, problem: error.to_string() }
            })?;
            ldk::start(&node, &parts)?;
            Ok::<_, LightningStartError>(node)
        });
        let node = Arc::new(starting.await.map_err(|it| panicked(&it.into_panic()))??);
        let node_id = convert::id(&node.node_id());
        tracing::info!(%node_id, network, %chain, "Lightning runs");
        let key = NodeKey::derive(&seed, bitcoin, &node.node_id()).map(Arc::new);
        if key.is_none() {
            tracing::error!(
                "the Lightning node's key is not as expected: this node holds no escrow"
            );
        }
        let (status, watched) = watch::channel(LightningStatus::default());
        let (handle, requests) = LightningHandle::new(node_id, watched);
        let (deliveries, events) = LightningEvents::new();
        let lightning = Self {
            threads,
            kept: Kept { node, has_stopped: false },
            key,
            health,
            guard,
            begun,
            requests,
            deliveries,
            status,
            addresses,
            partners,
        };
        Ok((lightning, handle, events))
    }

    /// Where this Lightning node is, with its signature of `binding`: what binds it to a participant.
    #[must_use]
    pub fn contact(&self, binding: &[u8]) -> LightningContact {
        LightningContact {
            node: convert::id(&self.kept.node.node_id()),
            addresses: self.addresses.clone(),
            signature: self.kept.node.sign_message(binding),
        }
    }

    /// Serves until `stop`, then stops the library in order. Whoever is not among the `contacts` is a
    /// stranger.
    ///
    /// # Errors
    ///
    /// [`LightningFailure`], after which the node must end: what Lightning holds in memory may be
    /// ahead of its disk.
    pub async fn run(
        self,
        stop: CancellationToken,
        contacts: watch::Receiver<LightningContacts>,
    ) -> Result<(), LightningFailure> {
        let Self { threads, mut kept, key, health, mut guard, begun, .. } = self;
        let (requests, deliveries, status) = (self.requests, self.deliveries, self.status);
        let node = Arc::clone(&kept.node);
        let calling = contacts.clone();
        let known = Known { named: self.partners, contacts };
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            reason = health.failed() => Err(LightningFailure::Disk(reason)),
            ended = serve(&threads, (&node, key, &begun), requests) => ended,
            ended = deliver((&threads, &node), &begun, deliveries) => ended,
            ended = look((&threads, &node), &mut guard, &status, known) => ended,
            ended = call_again((&threads, &node), &calling) => ended,
        };
        let stopping = Arc::clone(&node);
        let stopped = threads.run(move || stopping.stop()).await;
        let stopped = match stopped {
            Ok(Ok(())) => {
                kept.has_stopped = true;
                guard.keep_up().await.map_err(LightningFailure::from)
            }
            Ok(Err(error)) => Err(LightningFailure::Library(error.to_string())),
            Err(_) => Err(LightningFailure::Panicked),
        };
        finish(threads, node, kept).await;
        // Where a write fails the library panics, here or there, and whoever sees that first knows no
        // reason.
        ended.and(stopped).map_err(|error| match health.failure() {
            Some(reason) => LightningFailure::Disk(reason),
            None => error,
        })
    }
}

pub(super) async fn open_store(
    threads: &Threads,
    dir: &Path,
) -> Result<Arc<Store>, LightningStartError> {
    let (opened, dir) = (dir.to_owned(), dir.to_owned());
    let failed = |problem: String| LightningStartError::Store { path: dir.clone(), problem };
    let opening = threads.run(move || Store::open(&opened));
    let store = opening.await.map_err(|_| failed("it is damaged".to_owned()))?;
    Ok(Arc::new(store.map_err(|error| failed(error.to_string()))?))
}

async fn open_begun(
    threads: &Threads,
    store: &Arc<Store>,
    dir: &Path,
) -> Result<Arc<Begun>, LightningStartError> {
    let store = Arc::clone(store);
    let failed = |problem| LightningStartError::Store { path: dir.to_owned(), problem };
    let opened = threads.run(move || Begun::open(store)).await;
    let opened = opened.map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(opened.map_err(|error| failed(error.to_string()))?))
}

fn panicked(panic: &(dyn Any + Send)) -> LightningStartError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    LightningStartError::Panicked(text.unwrap_or("no reason given").to_owned())
}

/// Carries out requests, several at a time.
async fn serve(
    threads: &Threads,
    (node, key, begun): (&Arc<Node>, Option<Arc<NodeKey>>, &Arc<Begun>),
    mut requests: mpsc::Receiver<Request>,
) -> Result<(), LightningFailure> {
    let mut under_way = FuturesUnordered::new();
    let fundings = Arc::new(Fundings::default());
    loop {
        tokio::select! {
            Some(done) = under_way.next(), if !under_way.is_empty() => {
                let done: Result<(), _> = done;
                done.map_err(|_| LightningFailure::Panicked)?;
            }
            request = requests.recv(), if under_way.len() < CALLS_AT_ONCE => {
                // Without any handle left there is nothing to do until the stop.
                let Some(request) = request else { return std::future::pending().await };
                let (node, key, begun) = (Arc::clone(node), key.clone(), Arc::clone(begun));
                let fundings = Arc::clone(&fundings);
                let work = move || {
                    serve::carry_out(&node, (key.as_deref(), &begun, &fundings), request);
                };
                under_way.push(threads.run(work));
            }
        }
    }
}

/// Hands out events one by one, each until it is kept.
async fn deliver(
    (threads, node): (&Threads, &Arc<Node>),
    begun: &Arc<Begun>,
    deliveries: mpsc::Sender<Delivery>,
) -> Result<(), LightningFailure> {
    loop {
        let event = node.next_event_async().await;
        set_up(threads, node, &event).await?;
        let mut ended = None;
        if let Some(event) = events::convert(event) {
            ended = events::end_of_payment(&event);
            loop {
                let (delivery, kept) = Delivery::new(event.clone());
                if deliveries.send(delivery).await.is_err() {
                    // Nobody listens any more: it is told again after the restart.
                    return std::future::pending().await;
                }
                if kept.await.is_ok() {
                    break;
                }
                tokio::time::sleep(REDELIVER_AFTER).await;
            }
        }
        let (node, begun) = (Arc::clone(node), Arc::clone(begun));
        let handled = threads.run(move || {
            ended.map_or(Ok(()), |end| {
                serve::keep_end(&node, &begun, end).map_err(|_| NodeError::PersistenceFailed)
            })?;
            node.event_handled()
        });
        let handled = handled.await;
        handled
            .map_err(|_| LightningFailure::Panicked)?
            .map_err(|error| LightningFailure::Disk(error.to_string()))?;
    }
}

/// Puts a new channel on our terms, whoever opened it.
async fn set_up(
    threads: &Threads,
    node: &Arc<Node>,
    event: &Event,
) -> Result<(), LightningFailure> {
    let Some((channel, with)) = events::new_channel(event) else { return Ok(()) };
    let node = Arc::clone(node);
    let done = threads.run(move || serve::set_up(&node, channel, with)).await;
    done.map_err(|_| LightningFailure::Panicked)
}

/// Keeps the status and the marks up to date, and closes what strangers opened.
async fn look(
    (threads, node): (&Threads, &Arc<Node>),
    guard: &mut Guard,
    status: &watch::Sender<LightningStatus>,
    mut known: Known,
) -> Result<(), LightningFailure> {
    let mut ticks = interval_at(Instant::now(), LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut strangers = Strangers::default();
    loop {
        ticks.tick().await;
        guard.keep_up().await?;
        let looking = Arc::clone(node);
        let seen = threads.run(move || serve::status(&looking)).await;
        let seen = seen.map_err(|_| LightningFailure::Panicked)?;
        let closings = strangers.review(&seen.channels, &known.now(), Instant::now());
        status.send_replace(seen);
        for Closing { channel, force } in closings {
            tracing::warn!(%channel, force, "closing a channel that no member has opened");
            let node = Arc::clone(node);
            let closed = threads.run(move || serve::close_channel(&node, channel, force)).await;
            if let Err(error) = closed.map_err(|_| LightningFailure::Panicked)? {
                tracing::warn!(%channel, %error, "it could not be closed yet");
            }
        }
    }
}

/// Calls partners of our channels that were lost.
async fn call_again(
    (threads, node): (&Threads, &Arc<Node>),
    contacts: &watch::Receiver<LightningContacts>,
) -> Result<(), LightningFailure> {
    let mut ticks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reconnect = Reconnect::default();
    loop {
        ticks.tick().await;
        let looking = Arc::clone(node);
        let seen = threads.run(move || serve::partners(&looking)).await;
        let (channels, connected) = seen.map_err(|_| LightningFailure::Panicked)?;
        let members = Arc::clone(&contacts.borrow());
        let addresses = members.values().map(|it| (it.node, it.addresses.clone())).collect();
        let due = reconnect.due(&channels, &connected, &addresses, Instant::now());
        let calls = due.into_iter().map(|(partner, address)| {
            let node = Arc::clone(node);
            threads.run(move || {
                if let Err(error) = serve::connect(&node, &partner, &address) {
                    tracing::debug!(%partner, address, %error, "a channel's partner does not answer");
                }
            })
        });
        for called in join_all(calls).await {
            called.map_err(|_| LightningFailure::Panicked)?;
        }
    }
}

/// Who is no stranger: the members, as far as their Lightning nodes are known, and whom the owner
/// names.
struct Known {
    named: Vec<LightningId>,
    contacts: watch::Receiver<LightningContacts>,
}

impl Known {
    fn now(&mut self) -> BTreeSet<LightningId> {
        let contacts = self.contacts.borrow_and_update();
        contacts.values().map(|it| it.node).chain(self.named.iter().copied()).collect()
    }
}

/// Lets go of the library where it may block.
async fn finish(mut threads: Threads, node: Arc<Node>, kept: Kept) {
    let runtime = threads.runtime.take();
    let ended = tokio::task::spawn_blocking(move || {
        drop((node, kept));
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(THREADS_STOP_TIME);
        }
    });
    if ended.await.is_err() {
        tracing::error!("Lightning panicked while it was put away");
    }
}
