//! Yamux with windows that do not grow.
//!
//! The libp2p wrapper of yamux lets the receive windows of a connection grow to a gibibyte and has
//! no setting for it. How far they grow follows from a round-trip time that the other side measures
//! out to us, so a hostile one could fill all of it. This wrapper is the same with the windows
//! bounded, and nothing else. Not for: QUIC, which has settings of its own.

use std::collections::VecDeque;
use std::io;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::future::{Ready, ready};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use yamux::{Connection, ConnectionError, Mode};

/// The protocol's name.
const YAMUX: &str = "/yamux/1.0.0";
/// Streams that came in and were not yet taken; those beyond are reset.
const WAITING_MAX: usize = 16;

/// How to multiplex a connection.
#[derive(Clone, Debug)]
pub(super) struct Streams(yamux::Config);

impl Streams {
    /// At most so many streams, each with the protocol's smallest window and no more.
    pub(super) fn new(streams_max: usize) -> Self {
        let window_bytes = usize::try_from(yamux::DEFAULT_CREDIT).unwrap_or(usize::MAX);
        let mut config = yamux::Config::default();
        config
            .set_max_num_streams(streams_max)
            .set_max_connection_receive_window(Some(streams_max.saturating_mul(window_bytes)));
        Self(config)
    }

    fn over<C: AsyncRead + AsyncWrite + Unpin>(self, connection: C, mode: Mode) -> Multiplexed<C> {
        Multiplexed {
            connection: Connection::new(connection, self.0, mode),
            waiting: VecDeque::new(),
            waker: None,
        }
    }
}

impl UpgradeInfo for Streams {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once(YAMUX)
    }
}

impl<C> InboundConnectionUpgrade<C> for Streams
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Multiplexed<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Multiplexed<C>>>;

    fn upgrade_inbound(self, connection: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.over(connection, Mode::Server)))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Streams
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Multiplexed<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Multiplexed<C>>>;

    fn upgrade_outbound(self, connection: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.over(connection, Mode::Client)))
    }
}

/// A multiplexed connection.
#[derive(Debug)]
pub(super) struct Multiplexed<C> {
    connection: Connection<C>,
    /// Yamux makes progress only while it is asked for streams, so some come when nobody wants one.
    waiting: VecDeque<yamux::Stream>,
    waker: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Multiplexed<C> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<yamux::Stream>> {
        self.connection
            .poll_next_inbound(cx)
            .map(|next| next.unwrap_or(Err(ConnectionError::Closed)).map_err(failed))
    }
}

fn failed(error: ConnectionError) -> io::Error {
    if let ConnectionError::Io(error) = error { error } else { io::Error::other(error) }
}

impl<C> StreamMuxer for Multiplexed<C>
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
{
    type Substream = yamux::Stream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<yamux::Stream>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.poll_next(cx);
        if next.is_pending() {
            self.waker = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<yamux::Stream>> {
        self.connection.poll_new_outbound(cx).map_err(failed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_close(cx).map_err(failed)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let stream = futures::ready!(self.poll_next(cx))?;
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(stream);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        // There may be more; let others run first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
