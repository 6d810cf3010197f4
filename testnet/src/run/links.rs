//! The links between the nodes of a run whose faults concern them: all traffic goes over QUIC through
//! one proxy per node, which knows who talks with whom.
//!
//! A node listens at an address that nobody is told, and announces only that of its proxy. Who dials
//! is told by the operating system: each connection comes from a UDP port of its own, and `/proc`
//! says whose it is.
//! Not for: when links fail.

mod owner;
mod proxy;
pub mod weather;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use boltgrid::status::quoted;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use proxy::Proxy;
use weather::{End, Weather};

/// What became of all datagrams between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinksRow {
    /// Passed on at once.
    #[serde(with = "quoted")]
    pub datagrams_passed: u64,
    /// Passed on later.
    #[serde(with = "quoted")]
    pub datagrams_delayed: u64,
    /// Lost by chance.
    #[serde(with = "quoted")]
    pub datagrams_lost: u64,
    /// Sent over a link that was cut.
    #[serde(with = "quoted")]
    pub datagrams_cut: u64,
    /// Lost since there were too many of them.
    #[serde(with = "quoted")]
    pub datagrams_overflowed: u64,
}

/// The same, being counted.
#[derive(Debug, Default)]
struct Counts {
    passed: AtomicU64,
    delayed: AtomicU64,
    lost: AtomicU64,
    cut: AtomicU64,
    overflowed: AtomicU64,
}

impl Counts {
    fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What proxies share with one another and with whoever changes the weather.
#[derive(Debug)]
struct Shared {
    weather: Mutex<Weather>,
    processes: Mutex<Vec<Option<u32>>>,
    counts: Counts,
}

impl Shared {
    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().expect("nothing panics while it holds the weather")
    }

    fn processes(&self) -> Vec<Option<u32>> {
        self.processes.lock().expect("nothing panics while it holds the processes").clone()
    }

    fn pid(&self, end: End) -> Option<u32> {
        let processes = self.processes.lock().expect("nothing panics while it holds the processes");
        processes.get(end?).copied().flatten()
    }
}

/// The links of a run. Dropping it takes the proxies away.
#[derive(Debug)]
pub struct Links {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    _proxies: JoinSet<()>,
}

impl Links {
    /// Opens a proxy for every node, which itself will listen at an address of `targets`.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub async fn open(targets: &[SocketAddr], seed: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            weather: Mutex::new(Weather::new(seed)),
            processes: Mutex::new(vec![None; targets.len()]),
            counts: Counts::default(),
        });
        let mut addresses = Vec::new();
        let mut proxies = JoinSet::new();
        for (node, target) in targets.iter().enumerate() {
            let proxy = Proxy::bind(node, *target, Arc::clone(&shared)).await?;
            addresses.push(proxy.address()?);
            proxies.spawn(proxy.run());
        }
        Ok(Self { shared, addresses, _proxies: proxies })
    }

    /// Where others reach the nodes.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Says which process a node is now.
    ///
    /// # Panics
    ///
    /// Never: nothing panics while it holds the processes.
    pub fn node_is(&self, node: usize, pid: Option<u32>) {
        let processes = &mut self.shared.processes.lock().expect("nothing panics while it does");
        if let Some(process) = processes.get_mut(node) {
            *process = pid;
        }
    }

    /// The weather, to be looked at or changed. Nothing gets through while it is held.
    ///
    /// # Panics
    ///
    /// Never: nothing panics while it holds the weather.
    pub fn weather(&self) -> MutexGuard<'_, Weather> {
        self.shared.weather()
    }

    /// What became of all datagrams so far.
    #[must_use]
    pub fn row(&self) -> LinksRow {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { passed, delayed, lost, cut, overflowed } = &self.shared.counts;
        LinksRow {
            datagrams_passed: count(passed),
            datagrams_delayed: count(delayed),
            datagrams_lost: count(lost),
            datagrams_cut: count(cut),
            datagrams_overflowed: count(overflowed),
        }
    }
}

#[cfg(test)]
mod tests;
