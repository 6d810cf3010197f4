//! The network task: gossip, direct requests and finding the other members, over libp2p.
//!
//! ```text
//!   open ──► Network::run                    the task: one loop over events, commands, heartbeat
//!              ├─ gossip      hear, have it judged, pass on; publish, try again
//!              ├─ requests    ask and answer members directly
//!              ├─ clocks      what the clocks of members show against ours
//!              ├─ discovery   who is where: bootstrap list, local network, DHT
//!              └─ offers      standing offers in the DHT: publish, keep, look up
//!   handle ──► what the market task tells it, and what it tells the market task
//! ```
//!
//! Every message from outside passes `screening` before anybody else sees it: what leaves this
//! module inwards is a verified message of a member, a question by one, or a certificate that was
//! asked for and still has to prove itself.
//!
//! Who is not a member ("stranger") may connect within a small number of connections, use the DHT
//! and pass on gossip that members have signed; it is answered nothing. What one peer can cost us is
//! bounded in layers, the cheapest first:
//!
//! ```text
//!   arrivals    handshakes a second                 transport  unread bytes of a connection
//!   throttle    bytes a second of a connection      mesh       what gossip takes, keeps and repeats
//!   budget      messages of an author an interval   requests   questions of a member a second
//!   scoring     who is in the mesh, who is told     faults     who is disconnected, and for how long
//! ```
//!
//! `refused` is the table from everything that is not taken to what follows from it; `ring` names
//! the neighbours whose connections are kept whatever else happens.
//!
//! Not for: what messages mean. The network knows members, kinds and intervals, and no more.

mod addresses;
mod arrivals;
pub mod behaviour;
mod budget;
mod clocks;
pub mod direct;
mod discovery;
mod event_loop;
mod faults;
mod gossip;
mod handle;
pub mod identity;
mod mesh;
mod muxer;
mod offers;
mod one_socket;
mod pace;
mod peers;
mod refused;
mod requests;
mod ring;
mod scoring;
mod screening;
mod status;
mod throttle;
mod traffic;
mod transport;

use std::io;

use boltgrid_protocol::peer::LightningContact;
use libp2p::{Multiaddr, TransportError, noise};

pub use event_loop::Network;
#[cfg(test)]
pub(crate) use handle::Asked;
pub use handle::{LightningContacts, NetworkEvent, NetworkHandle, NetworkUnavailable};
pub use offers::FoundOffers;
pub use scoring::Scores;
pub use status::{MemberState, NetworkStatus, Refusals};
pub use traffic::Traffic;

use behaviour::Openness;

/// What the owner of a node decides about its network.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Where to listen: TCP (`/ip4/0.0.0.0/tcp/4001`) and QUIC (`/ip4/0.0.0.0/udp/4001/quic-v1`).
    pub listen: Vec<Multiaddr>,
    /// Where others reach this node, if that is not where it listens: behind a router, by name.
    pub external: Vec<Multiaddr>,
    /// Where to begin: one member's address is enough.
    pub bootstrap: Vec<Multiaddr>,
    /// Connections, and whether the local network is searched.
    pub openness: Openness,
    /// This participant's Lightning node, signed by it; none where it has none.
    pub lightning: Option<LightningContact>,
}

/// Why the network cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No address to listen on.
    #[error("no address to listen on; name at least one, such as /ip4/0.0.0.0/tcp/4001")]
    NothingToListenOn,
    /// Something else listens there, or the address is not ours.
    #[error(
        "cannot listen on {address}: {source}; end the program that uses the port, or choose another"
    )]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system says.
        source: io::Error,
    },
    /// Not an address of a kind that can be listened on.
    #[error("cannot listen on {0}: only /ip4/…/tcp/… and /ip4/…/udp/…/quic-v1 (or /ip6) work")]
    Unsupported(Multiaddr),
    /// The listeners are gone while running.
    #[error("the last listener was closed: {0}")]
    ListenersLost(#[source] io::Error),
    /// The encryption of connections could not be set up.
    #[error("cannot set up encryption: {0}")]
    Noise(#[source] noise::Error),
    /// The resolver of names could not be set up.
    #[error("cannot read the system's resolver configuration: {0}")]
    Dns(#[source] io::Error),
    /// The search of the local network could not be set up.
    #[error("cannot search the local network: {0}; switch mdns off if there is none")]
    Mdns(#[source] io::Error),
}

impl NetworkError {
    fn listen(address: Multiaddr, error: TransportError<io::Error>) -> Self {
        match error {
            TransportError::MultiaddrNotSupported(address) => Self::Unsupported(address),
            TransportError::Other(source) => Self::Listen { address, source },
        }
    }
}
