//! The proxy of one node: the only address at which others reach it. Every datagram that passes it,
//! either way, meets the fate that the weather has for the link.
//!
//! ```text
//!   dialler (its own port) ◄──► proxy's port │ one socket per dialler's port ◄──► node's own port
//! ```
//! Not for: who dials (`owner`), or what links are like (`weather`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use boltgrid::clock;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::owner;
use super::weather::{End, Fate};
use super::{Counts, Shared};

/// The largest datagram.
const DATAGRAM_MAX: usize = 65_535;
/// Answers of the node that wait to be passed on. Then its sockets' buffers fill, and lose the rest.
const ANSWERS_MAX: usize = 256;
/// Datagrams that are on their way for longer; of more, the newest is lost.
const DELAYED_MAX: usize = 8_192;
/// Diallers' ports at a time; who comes from yet another one gets nothing through.
const FLOWS_MAX: usize = 1_024;
/// For so long a flow may be silent before it is forgotten. QUIC keeps its connections alive far
/// more often, and who comes later is a new flow.
const FLOW_IDLE: Duration = Duration::from_secs(60);

/// What one dialler's port sends, and where what it is sent comes from.
struct Flow {
    dialler: End,
    /// The process that the dialler was.
    pid: Option<u32>,
    upstream: Arc<UdpSocket>,
    reader: AbortHandle,
    used: Instant,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Where a datagram goes.
enum Way {
    /// To the node.
    In(Arc<UdpSocket>),
    /// To whoever dialled it.
    Out(SocketAddr),
}

/// A datagram that takes longer. Ordered by when it is due, then by when it came.
struct Delayed {
    due: Instant,
    number: u64,
    way: Way,
    bytes: Vec<u8>,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.number) == (other.due, other.number)
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

/// The proxy of one node.
pub(super) struct Proxy {
    node: usize,
    target: SocketAddr,
    socket: UdpSocket,
    shared: Arc<Shared>,
    flows: HashMap<SocketAddr, Flow>,
    readers: JoinSet<()>,
    delayed: BinaryHeap<Reverse<Delayed>>,
    number: u64,
}

impl Proxy {
    /// Binds the address at which others reach `node`, which itself listens at `target`.
    pub(super) async fn bind(
        node: usize,
        target: SocketAddr,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (flows, readers, delayed) = (HashMap::new(), JoinSet::new(), BinaryHeap::new());
        Ok(Self { node, target, socket, shared, flows, readers, delayed, number: 0 })
    }

    /// Its address.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Passes datagrams on until it is dropped.
    pub(super) async fn run(mut self) {
        let (answers, mut answered) = mpsc::channel::<(SocketAddr, Vec<u8>)>(ANSWERS_MAX);
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut sweep = tokio::time::interval(FLOW_IDLE);
        loop {
            let next = self.delayed.peek().map(|Reverse(delayed)| delayed.due);
            let idle = Instant::now() + FLOW_IDLE;
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    // What the system says of an earlier datagram is nothing to us.
                    if let Ok((length, source)) = received
                        && let Some(bytes) = buffer.get(..length)
                    {
                        self.inward(source, bytes, &answers).await;
                    }
                }
                Some((source, bytes)) = answered.recv() => self.outward(source, bytes).await,
                () = sleep_until(next.unwrap_or(idle)), if next.is_some() => self.deliver().await,
                _ = sweep.tick() => {
                    let now = Instant::now();
                    self.flows.retain(|_, flow| now.duration_since(flow.used) < FLOW_IDLE);
                    while self.readers.try_join_next().is_some() {}
                }
            }
        }
    }

    /// From a dialler to the node.
    async fn inward(
        &mut self,
        source: SocketAddr,
        bytes: &[u8],
        answers: &mpsc::Sender<(SocketAddr, Vec<u8>)>,
    ) {
        let Some((dialler, upstream)) = self.flow(source, answers).await else {
            Counts::add(&self.shared.counts.overflowed);
            return;
        };
        let (from, to) = (dialler, Some(self.node));
        self.pass(from, to, Way::In(upstream), bytes.to_vec()).await;
    }

    /// From the node to a dialler.
    async fn outward(&mut self, source: SocketAddr, bytes: Vec<u8>) {
        let Some(flow) = self.flows.get_mut(&source) else { return };
        flow.used = Instant::now();
        let (from, to) = (Some(self.node), flow.dialler);
        self.pass(from, to, Way::Out(source), bytes).await;
    }

    async fn pass(&mut self, from: End, to: End, way: Way, bytes: Vec<u8>) {
        let counts = &self.shared.counts;
        let fate = self.shared.weather().fate(from, to, clock::now());
        match fate {
            Fate::Cut => Counts::add(&counts.cut),
            Fate::Lost => Counts::add(&counts.lost),
            Fate::Arrives { delay_ms: 0 } => {
                Counts::add(&counts.passed);
                self.send(&way, &bytes).await;
            }
            Fate::Arrives { .. } if self.delayed.len() == DELAYED_MAX => {
                Counts::add(&counts.overflowed);
            }
            Fate::Arrives { delay_ms } => {
                Counts::add(&counts.delayed);
                self.number = self.number.wrapping_add(1);
                let due = Instant::now() + Duration::from_millis(delay_ms);
                let delayed = Delayed { due, number: self.number, way, bytes };
                self.delayed.push(Reverse(delayed));
            }
        }
    }

    async fn deliver(&mut self) {
        let now = Instant::now();
        while self.delayed.peek().is_some_and(|Reverse(delayed)| delayed.due <= now) {
            let Some(Reverse(Delayed { way, bytes, .. })) = self.delayed.pop() else { return };
            self.send(&way, &bytes).await;
        }
    }

    /// A datagram that the system does not take is one lost on the way, as anywhere.
    async fn send(&self, way: &Way, bytes: &[u8]) {
        let sent = match way {
            Way::In(upstream) => upstream.send(bytes).await,
            Way::Out(source) => self.socket.send_to(bytes, source).await,
        };
        if let Err(error) = sent {
            tracing::trace!(%error, node = self.node, "a datagram was not taken");
        }
    }

    /// The flow of a dialler's port, opened if it is new.
    async fn flow(
        &mut self,
        source: SocketAddr,
        answers: &mpsc::Sender<(SocketAddr, Vec<u8>)>,
    ) -> Option<(End, Arc<UdpSocket>)> {
        if let Some(flow) = self.flows.get_mut(&source)
            && flow.pid == self.shared.pid(flow.dialler)
        {
            flow.used = Instant::now();
            return Some((flow.dialler, Arc::clone(&flow.upstream)));
        }
        if self.flows.len() >= FLOWS_MAX {
            return None;
        }
        let upstream = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        upstream.connect(self.target).await.ok()?;
        let upstream = Arc::new(upstream);
        let dialler = owner::of_udp_port(source.port(), &self.shared.processes());
        let reader = self.readers.spawn(read(Arc::clone(&upstream), source, answers.clone()));
        let flow = Flow {
            dialler,
            pid: self.shared.pid(dialler),
            upstream: Arc::clone(&upstream),
            reader,
            used: Instant::now(),
        };
        self.flows.insert(source, flow);
        Some((dialler, upstream))
    }
}

/// Hands on what the node sends to one dialler's port.
async fn read(
    upstream: Arc<UdpSocket>,
    source: SocketAddr,
    answers: mpsc::Sender<(SocketAddr, Vec<u8>)>,
) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        // An error is what the system says of an earlier datagram: the node is not there.
        let Ok(length) = upstream.recv(&mut buffer).await else { continue };
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        if answers.send((source, bytes)).await.is_err() {
            return;
        }
    }
}
