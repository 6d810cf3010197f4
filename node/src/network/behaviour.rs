//! The libp2p swarm of a node: transports, protocols and their limits, all in one place.
//!
//! It needs only a key and a grid id, so a test can put up a hostile peer that speaks the same
//! protocols. Not for: what any of the events mean; that is `event_loop`.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::charter::MEMBERS_MAX;
use boltgrid_protocol::envelope::Payload;
use boltgrid_protocol::id::GridId;
use boltgrid_protocol::offer::OFFER_SET_MAX;
use boltgrid_protocol::peer::PeerRecord;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, allow_block_list, connection_limits, identify, identity, kad,
    mdns, memory_connection_limits, ping, request_response, swarm,
};
use tokio::time::Instant;

use super::NetworkError;
use super::arrivals::Arrivals;
use super::direct::{self, Frames};
use super::mesh::gossip;
pub use super::mesh::{Gossip, gossip_topic, message_id};
use super::offers::OFFER_KEYS_MAX;
use super::traffic::Traffic;
use super::transport::transport;

/// Direct requests of one connection at a time.
const DIRECT_STREAMS_MAX: usize = 16;
/// How long a direct request may take.
pub(super) const DIRECT_TIMEOUT: Duration = Duration::from_secs(4);
/// A connection on which no protocol has a stream is closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two pings; a peer that answers none is dropped.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections from and to one peer: two, since both sides may dial at once.
pub(super) const CONNECTIONS_PER_PEER: u32 = 2;
/// Connections on their way in.
const PENDING_IN_MAX: u32 = 32;
/// Connections on their way out.
const PENDING_OUT_MAX: u32 = 32;
/// No new connections while the process has more memory than this.
const MEMORY_MAX_BYTES: usize = 1 << 30;
/// How long one lookup in the DHT may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a stored record is handed on to those who should have it now.
const REPLICATION_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// Records kept: one for each member that there can be, and some in change; and offers.
const RECORDS_MAX: usize = MEMBERS_MAX as usize + 24 + OFFER_KEYS_MAX;
/// Most bytes of a record: a member's, or the offers under one key.
const RECORD_MAX: usize =
    if PeerRecord::LIMIT > OFFER_SET_MAX { PeerRecord::LIMIT } else { OFFER_SET_MAX };
/// Most bytes of twenty peers with eight addresses each.
const PEERS_MAX: usize = 32 * 1024;
/// Most bytes of a Kademlia message: peers that may know more, and a record.
const KAD_PACKET_MAX: usize = 64 * 1024;

const _: () = assert!(RECORD_MAX + PEERS_MAX <= KAD_PACKET_MAX);

/// How open a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Openness {
    /// Most connections at a time. A quarter of them is dialled for, and kept free for that; beyond
    /// a half, members that have had the time to find others are left.
    pub connections_max: u32,
    /// Whether peers are looked for in the local network.
    pub mdns: bool,
    /// Whether peers are told the external addresses only, and not where the node listens.
    pub hides_listen: bool,
}

/// Most connections where the owner does not say otherwise: a grid's neighbours four times over.
pub const CONNECTIONS_MAX: u32 = 64;

impl Default for Openness {
    fn default() -> Self {
        Self { connections_max: CONNECTIONS_MAX, mdns: true, hides_listen: false }
    }
}

pub use whole::{Behaviour, BehaviourEvent};

mod whole {
    #![expect(missing_docs, reason = "the derive makes an enum of events without documentation")]

    use libp2p::kad::store::MemoryStore;
    use libp2p::swarm::NetworkBehaviour;
    use libp2p::swarm::behaviour::toggle::Toggle;
    use libp2p::{
        allow_block_list, connection_limits, identify, kad, mdns, memory_connection_limits, ping,
        request_response,
    };

    use super::{Arrivals, Frames, Gossip};

    /// Everything that a node speaks.
    #[derive(NetworkBehaviour)]
    #[expect(missing_debug_implementations, reason = "the behaviours of libp2p have none")]
    pub struct Behaviour {
        /// Peers that broke the rules and may not connect for a while. First, since it denies.
        pub blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
        /// The pace at which connections come in.
        pub arrivals: Arrivals,
        /// Limits on the number of connections.
        pub limits: connection_limits::Behaviour,
        /// A limit on memory.
        pub memory: memory_connection_limits::Behaviour,
        /// Gossip.
        pub gossip: Gossip,
        /// The table of peer records and standing offers.
        pub kad: kad::Behaviour<MemoryStore>,
        /// Who is behind a connection, and where it listens.
        pub identify: identify::Behaviour,
        /// Whether a connection still lives.
        pub ping: ping::Behaviour,
        /// Peers in the local network.
        pub mdns: Toggle<mdns::tokio::Behaviour>,
        /// Direct requests.
        pub direct: request_response::Behaviour<Frames>,
    }
}

/// The name of the grid's DHT.
///
/// # Panics
///
/// Never: the name starts with a slash.
#[must_use]
pub fn kad_protocol(grid: &GridId) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/boltgrid/1/{grid}/kad"))
        .expect("it starts with a slash")
}

/// A swarm that speaks a grid's protocols under an identity and has joined all its topics, and the
/// count of its bytes. It listens and dials nowhere yet.
///
/// # Errors
///
/// [`NetworkError`] where encryption, DNS or mDNS cannot be set up.
pub fn swarm(
    identity: &identity::Keypair,
    grid: &GridId,
    openness: Openness,
) -> Result<(Swarm<Behaviour>, Arc<Traffic>), NetworkError> {
    let traffic = Arc::new(Traffic::default());
    let transport = transport(identity, Arc::clone(&traffic))?;
    let behaviour = behaviour(identity, grid, openness)?;
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
    let peer = identity.public().to_peer_id();
    Ok((Swarm::new(transport, behaviour, peer, config), traffic))
}

fn behaviour(
    identity: &identity::Keypair,
    grid: &GridId,
    openness: Openness,
) -> Result<Behaviour, NetworkError> {
    let peer = identity.public().to_peer_id();
    let identify = identify::Config::new(format!("/boltgrid/1/{grid}"), identity.public())
        .with_agent_version(concat!("boltgrid/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_push_listen_addr_updates(true)
        .with_hide_listen_addrs(openness.hides_listen);
    let mdns = openness
        .mdns
        .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), peer))
        .transpose()
        .map_err(NetworkError::Mdns)?;
    let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
    let direct = request_response::Config::default()
        .with_request_timeout(DIRECT_TIMEOUT)
        .with_max_concurrent_streams(DIRECT_STREAMS_MAX);
    Ok(Behaviour {
        blocked: allow_block_list::Behaviour::default(),
        arrivals: Arrivals::new(Instant::now()),
        limits: connection_limits::Behaviour::new(limits(openness.connections_max)),
        memory: memory_connection_limits::Behaviour::with_max_bytes(MEMORY_MAX_BYTES),
        gossip: gossip(grid),
        kad: kad(peer, grid),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        mdns: Toggle::from(mdns),
        direct: request_response::Behaviour::new(
            [(direct::protocol(grid), request_response::ProtocolSupport::Full)],
            direct,
        ),
    })
}

fn limits(connections_max: u32) -> connection_limits::ConnectionLimits {
    let for_others = connections_max.saturating_sub(connections_max.div_euclid(4));
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_IN_MAX))
        .with_max_pending_outgoing(Some(PENDING_OUT_MAX))
        .with_max_established(Some(connections_max))
        .with_max_established_incoming(Some(for_others))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER))
}

fn kad(peer: PeerId, grid: &GridId) -> kad::Behaviour<MemoryStore> {
    let store = MemoryStore::with_config(
        peer,
        MemoryStoreConfig {
            max_records: RECORDS_MAX,
            max_value_bytes: RECORD_MAX.saturating_add(1),
            max_providers_per_key: 0,
            max_provided_keys: 0,
        },
    );
    let mut config = kad::Config::new(kad_protocol(grid));
    config
        .disjoint_query_paths(true)
        // Nothing is stored or routed to before we have looked at it.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_caching(kad::Caching::Disabled)
        .set_query_timeout(QUERY_TIMEOUT)
        .set_parallelism(NonZeroUsize::MIN.saturating_add(2))
        .set_max_packet_size(KAD_PACKET_MAX)
        .set_record_ttl(Some(Duration::from_millis(boltgrid_protocol::peer::LIFETIME_MAX_MS)))
        .set_replication_interval(Some(REPLICATION_INTERVAL))
        // Our own record is signed anew before it is published again.
        .set_publication_interval(None)
        .set_provider_publication_interval(None);
    let mut kad = kad::Behaviour::with_config(peer, store, config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}
