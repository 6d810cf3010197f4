//! A transport that dials from where it listens, whatever the dialler asks for.
//!
//! It is for QUIC, of which a socket carries any number of connections. A port of its own for every
//! dial, which is right for TCP (a connection that was just lost would still hold the port), would be
//! a socket of its own there, with a task and three mebibytes to receive into; and a node that is cut
//! off dials all the others again and again.

use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::Multiaddr;
use libp2p::core::transport::{
    DialOpts, ListenerId, PortUse, Transport, TransportError, TransportEvent,
};

/// The transport in it, which shares its sockets.
#[derive(Debug)]
pub(super) struct OneSocket<T>(pub(super) T);

impl<T: Transport + Unpin> Transport for OneSocket<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        self.0.dial(address, DialOpts { port_use: PortUse::Reuse, ..options })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
