//! The network task itself: opens the sockets, then turns events and commands into method calls.
//! Not for: what those methods do; see the module's map.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::{GridId, ParticipantId};
use boltgrid_protocol::message::Gatekeeper;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::Timestamp;
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, gossipsub, kad, ping};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::arrivals::Crowded;
use super::behaviour::{self, Behaviour, BehaviourEvent, CONNECTIONS_PER_PEER};
use super::clocks::Clocks;
use super::discovery::{Announcement, Recorders};
use super::faults::{Faults, Tolerance};
use super::gossip::Gossiping;
use super::handle::{
    COMMANDS_MAX, Command, EVENTS_MAX, LightningContacts, NetworkEvent, NetworkHandle,
};
use super::identity::identity_of;
use super::mesh::HEARTBEAT;
use super::offers::Offers;
use super::peers::{Peers, Turnover};
use super::refused::{Blame, Refused};
use super::requests::Requests;
use super::scoring::{self, Scores};
use super::screening::Screening;
use super::status::{CONNECTIONS, MemberState, NetworkStatus, Tally};
use super::traffic::Traffic;
use super::{NetworkConfig, NetworkError};

/// How long the system may take to say that it listens.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connections may take to close at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The network task, open but not yet running.
#[expect(missing_debug_implementations, reason = "a swarm of libp2p has none")]
pub struct Network {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) charter: Arc<Charter>,
    pub(super) grid: GridId,
    pub(super) key: Keypair,
    pub(super) me: ParticipantId,
    pub(super) clock: fn() -> Timestamp,
    pub(super) events: mpsc::Sender<NetworkEvent>,
    pub(super) tally: Tally,
    pub(super) screening: Screening,
    pub(super) gossiping: Gossiping,
    pub(super) requests: Requests,
    pub(super) clocks: Clocks,
    pub(super) peers: Peers,
    pub(super) announcement: Announcement,
    pub(super) recorders: Recorders,
    pub(super) lookups: HashMap<kad::QueryId, ParticipantId>,
    pub(super) offers: Offers,
    faults: Faults,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<NetworkStatus>,
    contacts: watch::Sender<LightningContacts>,
    traffic: Arc<Traffic>,
    listeners: HashSet<ListenerId>,
    lost: Option<NetworkError>,
}

impl Network {
    /// Binds all addresses, so that whatever prevents a start is known before anything runs.
    ///
    /// # Errors
    ///
    /// [`NetworkError`], saying what to change.
    pub async fn open(
        config: NetworkConfig,
        key: Keypair,
        charter: Arc<Charter>,
        rosters: Rosters,
        clock: fn() -> Timestamp,
    ) -> Result<(Self, NetworkHandle, mpsc::Receiver<NetworkEvent>), NetworkError> {
        let grid = rosters.grid();
        let (swarm, traffic) = behaviour::swarm(&identity_of(&key), &grid, config.openness)?;
        let (command_sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (events, event_receiver) = mpsc::channel(EVENTS_MAX);
        let (status, watched) = watch::channel(NetworkStatus::default());
        let (contacts, watched_contacts) = watch::channel(LightningContacts::default());
        let (now, me) = (Instant::now(), key.participant_id());
        let gate = Gatekeeper::new(Arc::clone(&charter), rosters);
        let mut network = Self {
            screening: Screening::new(gate, Arc::clone(&charter)),
            gossiping: Gossiping::new(&grid),
            requests: Requests::default(),
            clocks: Clocks::new(&charter.interval, now),
            peers: Peers::new(
                me,
                config.bootstrap,
                config.openness.connections_max,
                Duration::from_millis(charter.interval.interval_ms),
                now,
            ),
            announcement: Announcement::new(config.external.clone(), config.lightning, now),
            recorders: Recorders::new(now),
            lookups: HashMap::new(),
            offers: Offers::default(),
            faults: Faults::new(Tolerance::default()),
            tally: Tally::default(),
            listeners: HashSet::new(),
            lost: None,
            swarm,
            charter,
            grid,
            key,
            me,
            clock,
            events,
            commands,
            status,
            contacts,
            traffic,
        };
        if network.announcement.has_lightning() {
            network.peers.seek_lightning();
        }
        for address in config.external {
            network.swarm.add_external_address(address);
        }
        network.listen(config.listen).await?;
        network.on_heartbeat();
        Ok((network, NetworkHandle::new(command_sender, watched, watched_contacts), event_receiver))
    }

    async fn listen(&mut self, addresses: Vec<Multiaddr>) -> Result<(), NetworkError> {
        if addresses.is_empty() {
            return Err(NetworkError::NothingToListenOn);
        }
        for address in addresses {
            let failed = |error| NetworkError::listen(address.clone(), error);
            refuse_taken_port(&address)
                .map_err(|source| NetworkError::Listen { address: address.clone(), source })?;
            let listener = self.swarm.listen_on(address.clone()).map_err(failed)?;
            self.listeners.insert(listener);
            timeout(LISTEN_TIMEOUT, self.until_listening(listener)).await.map_err(|_| {
                let source = io::ErrorKind::TimedOut.into();
                NetworkError::Listen { address: address.clone(), source }
            })??;
        }
        Ok(())
    }

    async fn until_listening(&mut self, listener: ListenerId) -> Result<(), NetworkError> {
        loop {
            let event = self.swarm.select_next_some().await;
            let listens = matches!(
                &event,
                SwarmEvent::NewListenAddr { listener_id, .. } if *listener_id == listener
            );
            self.on_event(event);
            if let Some(lost) = self.lost.take() {
                return Err(lost);
            }
            if listens {
                return Ok(());
            }
        }
    }

    /// Runs until it is told to stop, then closes its connections.
    ///
    /// # Errors
    ///
    /// [`NetworkError::ListenersLost`].
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), NetworkError> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.lost.is_none() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(command) = self.commands.recv() => self.on_command(command),
                _ = heartbeat.tick() => self.on_heartbeat(),
            }
        }
        self.close().await;
        self.lost.map_or(Ok(()), Err)
    }

    /// Closes all connections, so that the others notice at once and not by a time-out.
    async fn close(&mut self) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        peers.into_iter().for_each(|peer| self.disconnect(peer));
        let closed = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::debug!("some connections were cut, since they did not close in time");
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Gossip(topic, bytes) => self.publish(topic, bytes),
            Command::Judge { token, verdict } => self.judge(token, verdict),
            Command::SendTo { to, bytes } => self.send_to(to, bytes),
            Command::Show { to, shown } => self.show(to, shown),
            Command::Ask { whom, question } => self.ask(whom, question),
            Command::Answer { token, answer } => self.answer(token, answer),
            Command::Blame { whom } => self.blame(&whom),
            Command::PublishOffer(bytes) => self.publish_offer(bytes),
            Command::FindOffers { place, answer } => self.find_offers(place, answer),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most events of libp2p are only traced")]
    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { connection_id, num_established, .. }
                if num_established.get() > CONNECTIONS_PER_PEER =>
            {
                // Libp2p's own limit does not hold for neighbours by the ring.
                self.swarm.close_connection(connection_id);
            }
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.on_connected(peer_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.on_disconnected(&peer_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.on_unreachable(&peer, &error);
            }
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Denied { cause }, ..
            } if cause.downcast_ref::<Crowded>().is_some() => {
                self.tally.refuse(CONNECTIONS, Refused::Crowded);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                self.on_listener_closed(listener_id, reason);
            }
            other => tracing::trace!(?other, "swarm event"),
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => self.hear(propagation_source, message_id, &message),
            BehaviourEvent::Gossip(other) => tracing::trace!(?other, "gossip"),
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Mdns(event) => self.on_mdns(event),
            BehaviourEvent::Direct(event) => self.on_direct(event),
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(error) }) => {
                tracing::debug!(%peer, %error, "a connection is dead");
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Ping(ping::Event { result: Ok(_), .. }) => {}
            BehaviourEvent::Blocked(never)
            | BehaviourEvent::Arrivals(never)
            | BehaviourEvent::Limits(never)
            | BehaviourEvent::Memory(never) => match never {},
        }
    }

    fn on_listener_closed(&mut self, listener: ListenerId, reason: io::Result<()>) {
        self.listeners.remove(&listener);
        if self.listeners.is_empty() {
            let reason = reason.err().unwrap_or_else(|| io::ErrorKind::NotConnected.into());
            self.lost = Some(NetworkError::ListenersLost(reason));
        }
    }

    fn on_heartbeat(&mut self) {
        let (now, wall) = (Instant::now(), (self.clock)());
        let current = self.charter.interval.interval_at(wall);
        let roster = self.screening.gate().roster(current);
        if let Some(turnover) = self.peers.take_over(&roster, now) {
            self.turn_over(turnover);
            self.recorders.keep(|participant| roster.index_of(participant).is_some());
            self.requests.keep(|participant| roster.index_of(participant).is_some());
            self.resettle_offers(&roster, now, wall);
        }
        self.screening.forget_before(current);
        for peer in self.faults.forgive(now) {
            self.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        self.rate_all(now);
        self.drop_unjudged(now);
        self.publish_unsent(wall);
        self.settle_requests(now, wall);
        self.check_clocks(now, wall);
        self.look_around(now);
        self.announce(now, wall);
        self.tend_offers(now, wall);
        self.report();
        let latest = self.peers.lightning_contacts();
        self.contacts.send_if_modified(|known| {
            let is_news = **known != latest;
            if is_news {
                *known = Arc::new(latest);
            }
            is_news
        });
    }

    /// Adapts to another roster.
    fn turn_over(&mut self, turnover: Turnover) {
        let interval = Duration::from_millis(self.charter.interval.interval_ms);
        let (members, allowance) = (turnover.members.len(), self.screening.allowance());
        self.faults.tolerate(Tolerance::of(members, allowance, interval));
        self.traffic.members_are(turnover.members);
        let behaviour = self.swarm.behaviour_mut();
        for peer in turnover.unpinned {
            behaviour.limits.remove_peer_id(&peer);
        }
        for peer in turnover.pinned {
            // No number of other connections keeps a neighbour out.
            behaviour.limits.bypass_peer_id(&peer);
        }
        for left in turnover.left {
            self.swarm.behaviour_mut().kad.remove_peer(&left);
            self.disconnect(left);
        }
    }

    /// Brings all scores up to date, and bans those that sank too low.
    fn rate_all(&mut self, now: Instant) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            self.rate(peer, now);
        }
    }

    /// Brings a peer's score up to date, and bans it where it is too low.
    pub(super) fn rate(&mut self, peer: PeerId, now: Instant) {
        let standing = self.peers.standing(&peer);
        let is_pinned = self.peers.is_pinned(&peer);
        let faults = self.faults.faults_of(&peer, now);
        let score = scoring::application_score(&standing, is_pinned, faults);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if gossip.set_application_score(&peer, score)
            && gossip.peer_score(&peer).is_some_and(|score| score < scoring::GRAYLIST)
            && let Some(time) = self.faults.ban(peer, now)
        {
            self.keep_away(peer, time);
        }
    }

    fn scores(&self) -> Option<Scores> {
        let gossip = &self.swarm.behaviour().gossip;
        let members = self.swarm.connected_peers().filter(|peer| self.peers.member(peer).is_some());
        Scores::of(members.filter_map(|peer| gossip.peer_score(peer)))
    }

    /// All other members.
    fn each(&self) -> Vec<MemberState> {
        let gossip = &self.swarm.behaviour().gossip;
        let score = |peer: &PeerId| Some(scoring::rounded(gossip.peer_score(peer)?));
        self.peers.each(Instant::now(), score)
    }

    fn report(&self) {
        let census = self.peers.census();
        self.status.send_replace(NetworkStatus {
            listening: self.swarm.listeners().cloned().collect(),
            peers_connected: self.swarm.connected_peers().count(),
            members: census.members,
            members_known: census.known,
            members_connected: census.connected,
            dialled: census.dialled,
            pinned: census.pinned,
            pinned_connected: census.pinned_connected,
            strangers: census.strangers,
            each: self.each(),
            banned: self.faults.banned(),
            scores: self.scores(),
            bytes_in: self.traffic.bytes_in(),
            bytes_out: self.traffic.bytes_out(),
            heard: self.tally.heard,
            published: self.tally.published,
            unsent: self.tally.unsent,
            offer_keys: self.offers.keys(),
            refused: self.tally.refused().clone(),
        });
    }

    /// Counts what was not taken, and all that follows from it for its sender.
    pub(super) fn refuse(&mut self, place: &'static str, peer: PeerId, refused: Refused) {
        self.tally.refuse(place, refused);
        tracing::debug!(place, %peer, reason = refused.reason(), "refused");
        if peer == *self.swarm.local_peer_id() {
            return;
        }
        let (now, blame) = (Instant::now(), refused.blame());
        if let Some(time) = self.faults.add(peer, blame, now) {
            self.keep_away(peer, time);
        }
        if blame == Blame::Sender {
            self.rate(peer, now);
        }
    }

    fn keep_away(&mut self, peer: PeerId, time: Duration) {
        tracing::warn!(%peer, ?time, "keeping away a peer that broke the rules too often");
        self.tally.refuse(CONNECTIONS, Refused::Blocked);
        self.swarm.behaviour_mut().blocked.block_peer(peer);
    }

    /// Sends an event to the market task, unless it has too much to do.
    pub(super) fn tell(&self, event: NetworkEvent) -> Result<(), Refused> {
        self.events.try_send(event).map_err(|_| Refused::Overloaded)
    }

    pub(super) fn disconnect(&mut self, peer: PeerId) {
        if self.swarm.disconnect_peer_id(peer).is_err() {
            tracing::trace!(%peer, "was not connected");
        }
    }
}

/// Fails where another socket listens on a TCP port.
///
/// libp2p shares its ports so that it can dial from them, and so would not notice that another
/// node of the same user listens there.
fn refuse_taken_port(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => {
            TcpListener::bind(SocketAddr::new(ip, port)).map(drop)
        }
        _ => Ok(()),
    }
}
