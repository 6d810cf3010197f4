//! A grid of real network tasks, and waiting for what must happen sooner or later.

use std::future::Future;
use std::time::Duration;

use boltgrid::network::behaviour::Openness;
use boltgrid::network::{
    Network, NetworkConfig, NetworkError, NetworkEvent, NetworkHandle, NetworkStatus,
};
use boltgrid_market::abstention::PeerClocks;
use boltgrid_market::effect::Verdict;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::Timestamp;
use libp2p::Multiaddr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Grid, INTERVAL};

/// Whatever takes longer does not happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// A port of the system's choice.
pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
/// The same over QUIC.
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// The sample grid's time: just after the sample interval has begun.
pub(crate) fn clock() -> Timestamp {
    Timestamp::from_unix_ms(INTERVAL.to_number() * 300_000 + 1)
}

/// Waits for something that ends by itself.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("did not happen: {what}"))
}

/// Looks again and again until something is so.
pub(crate) async fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    soon(what, until(is_so)).await;
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        sleep(LOOK).await;
    }
}

/// A running network task.
pub(crate) struct Node {
    pub(crate) id: ParticipantId,
    pub(crate) handle: NetworkHandle,
    pub(crate) events: mpsc::Receiver<NetworkEvent>,
    stop: CancellationToken,
}

impl Node {
    pub(crate) fn status(&self) -> NetworkStatus {
        self.handle.status()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Multiaddr {
        self.status().listening[0].clone()
    }

    /// The next event, but for what the clocks of others show.
    pub(crate) async fn event(&mut self) -> NetworkEvent {
        loop {
            let event = soon("an event", self.events.recv()).await.expect("the task runs");
            if !matches!(event, NetworkEvent::Clocks(_)) {
                return event;
            }
        }
    }

    /// The next event, which is what the clocks of others show.
    pub(crate) async fn clocks(&mut self) -> PeerClocks {
        let event = soon("clocks", self.events.recv()).await.expect("the task runs");
        let NetworkEvent::Clocks(clocks) = event else { panic!("not clocks: {event:?}") };
        clocks
    }

    /// The next event, which is a message.
    pub(crate) async fn heard(&mut self) -> (Message, Option<u64>) {
        let event = self.event().await;
        let NetworkEvent::Heard { message, token } = event else {
            panic!("not a message: {event:?}");
        };
        (*message, token)
    }

    /// The next event, which is a gossiped message, judged.
    pub(crate) async fn hear(&mut self, verdict: Verdict) -> Message {
        let (message, token) = self.heard().await;
        self.handle.judge(token.expect("it was gossiped"), verdict).unwrap();
        message
    }

    /// Waits until so much was refused at a place for a reason.
    pub(crate) async fn refuses(&self, place: &str, reason: &str, times: u64) {
        let what = format!("{times} refused as {reason} on {place}");
        let counted = || self.status().refused(place, reason);
        if timeout(DEADLINE, until(|| counted() >= times)).await.is_err() {
            panic!("not {what}, but {:?}", self.status().refused);
        }
        assert_eq!(counted(), times, "{what}");
    }

    /// Tells it to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

/// The sample grid, and the tasks of those of its members that run.
pub(crate) struct World {
    pub(crate) grid: Grid,
    tasks: JoinSet<Result<(), NetworkError>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Grid::sample())
    }

    /// Another grid than the sample.
    pub(crate) fn of(grid: Grid) -> Self {
        Self { grid, tasks: JoinSet::new() }
    }

    /// A configuration that finds nobody by itself.
    pub(crate) fn config(listen: &[&str], bootstrap: &[Multiaddr]) -> NetworkConfig {
        NetworkConfig {
            listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
            external: Vec::new(),
            bootstrap: bootstrap.to_vec(),
            openness: Openness { mdns: false, ..Openness::default() },
            lightning: None,
        }
    }

    /// Opens the network of the member at a place and runs it.
    pub(crate) async fn try_start(
        &mut self,
        place: usize,
        config: NetworkConfig,
    ) -> Result<Node, NetworkError> {
        self.try_start_at(place, config, clock).await
    }

    /// The same for a member with another clock.
    pub(crate) async fn try_start_at(
        &mut self,
        place: usize,
        config: NetworkConfig,
        clock: fn() -> Timestamp,
    ) -> Result<Node, NetworkError> {
        let person = &self.grid.people[place];
        let id = person.key.participant_id();
        let enrolments = self.grid.people.iter().map(|person| person.certified.clone()).collect();
        let charter = self.grid.charter.clone();
        let rosters = Rosters::new(charter.clone(), enrolments).unwrap();
        let (network, handle, events) =
            Network::open(config, person.key.clone(), charter, rosters, clock).await?;
        let stop = CancellationToken::new();
        self.tasks.spawn(network.run(stop.clone()));
        Ok(Node { id, handle, events, stop })
    }

    /// Starts the member at a place on TCP.
    pub(crate) async fn start(&mut self, place: usize, bootstrap: &[Multiaddr]) -> Node {
        self.try_start(place, Self::config(&[TCP], bootstrap)).await.unwrap()
    }

    /// Starts the first members, of whom all know only the first one's address, and waits until all
    /// are connected to all.
    pub(crate) async fn start_first(&mut self, count: usize) -> Vec<Node> {
        let mut nodes = vec![self.start(0, &[]).await];
        let first = nodes[0].address();
        for place in 1..count {
            nodes.push(self.start(place, std::slice::from_ref(&first)).await);
        }
        all_connected(&nodes).await;
        nodes
    }

    /// Waits for a task that was told to stop.
    pub(crate) async fn ended(&mut self) -> Result<(), NetworkError> {
        soon("a task ends", self.tasks.join_next()).await.expect("one ran").expect("no panic")
    }
}

/// Waits until all these are connected to all others.
pub(crate) async fn all_connected(nodes: &[Node]) {
    for node in nodes {
        let what = format!("{} is connected to all others", node.id);
        let others = nodes.len() - 1;
        eventually(&what, || node.status().members_connected >= others).await;
    }
}
