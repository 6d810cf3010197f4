//! How many strangers may knock: every connection that comes in costs a handshake, before anybody
//! can know who it is from, so they are let in at a bounded pace.
//!
//! Whoever is turned away tries again; and members dial each other from both sides, so an attacker
//! who uses up the pace does not keep them apart. Not for: how many connections there may be at a
//! time; that is libp2p's own limit.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::pace::{Rate, TokenBucket};

/// Handshakes at once, as when a whole grid comes back after a power cut, and one more every 60 ms:
/// with less than a millisecond each, two percent of a core.
const HANDSHAKES: Rate = Rate { capacity: 64, one_more_in: Duration::from_millis(60) };

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many connections come in at once")]
pub(super) struct Crowded;

/// Lets connections in at a bounded pace.
#[derive(Debug)]
pub struct Arrivals {
    bucket: TokenBucket,
}

impl Arrivals {
    pub(super) const fn new(now: Instant) -> Self {
        Self { bucket: TokenBucket::new(HANDSHAKES, now) }
    }
}

impl NetworkBehaviour for Arrivals {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if self.bucket.take(Instant::now()) { Ok(()) } else { Err(ConnectionDenied::new(Crowded)) }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
