//! Counts the bytes that really cross connections, whatever the transport, and holds back those that
//! a peer sends faster than it may ([`super::throttle`]).
//!
//! Counted is what the multiplexed streams carry: every protocol's bytes, without the frames and
//! encryption below them. Not for: limits of size and number; those are elsewhere.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use libp2p::core::StreamMuxer;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerEvent, SubstreamBox};
use tokio::time::{Instant, Sleep, sleep};

use super::throttle::{self, Speed, Throttle};

/// Bytes in and out since the start, and who may send fast.
#[derive(Debug, Default)]
pub struct Traffic {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    members: RwLock<BTreeSet<PeerId>>,
}

impl Traffic {
    /// Bytes received.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes sent.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Says who are members; all others are strangers.
    pub(super) fn members_are(&self, members: BTreeSet<PeerId>) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members;
    }

    fn speed_of(&self, peer: &PeerId) -> Speed {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        if members.contains(peer) { throttle::MEMBER } else { throttle::STRANGER }
    }
}

/// The bytes of one connection.
#[derive(Debug)]
struct Flow {
    peer: PeerId,
    throttle: Throttle,
    traffic: Arc<Traffic>,
}

impl Flow {
    /// The wait until more may be read; none where it may be at once.
    fn wait(&self) -> Option<Pin<Box<Sleep>>> {
        let speed = self.traffic.speed_of(&self.peer);
        Some(Box::pin(sleep(self.throttle.wait(speed, Instant::now())?)))
    }

    fn came_in(&self, moved: &Poll<io::Result<usize>>) {
        count(&self.traffic.bytes_in, moved);
        if let Poll::Ready(Ok(bytes)) = moved {
            self.throttle.charge(u64::try_from(*bytes).unwrap_or(u64::MAX));
        }
    }
}

fn count(counter: &AtomicU64, moved: &Poll<io::Result<usize>>) {
    if let Poll::Ready(Ok(bytes)) = moved {
        counter.fetch_add(u64::try_from(*bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A connection whose streams are counted.
#[derive(Debug)]
pub(super) struct CountedMuxer {
    inner: StreamMuxerBox,
    flow: Arc<Flow>,
}

impl CountedMuxer {
    pub(super) fn new(inner: StreamMuxerBox, peer: PeerId, traffic: Arc<Traffic>) -> Self {
        let throttle = Throttle::new(traffic.speed_of(&peer), Instant::now());
        Self { inner, flow: Arc::new(Flow { peer, throttle, traffic }) }
    }

    fn counted(&self, inner: SubstreamBox) -> CountedStream {
        CountedStream { inner, flow: Arc::clone(&self.flow), wait: None }
    }
}

impl StreamMuxer for CountedMuxer {
    type Substream = CountedStream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<CountedStream>> {
        let stream = Pin::new(&mut self.inner).poll_inbound(cx);
        if stream.is_ready() {
            self.flow.throttle.charge(throttle::STREAM_BYTES);
        }
        stream.map_ok(|stream| self.counted(stream))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<CountedStream>> {
        Pin::new(&mut self.inner).poll_outbound(cx).map_ok(|stream| self.counted(stream))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(super) struct CountedStream {
    inner: SubstreamBox,
    flow: Arc<Flow>,
    /// Until when its peer has to wait.
    wait: Option<Pin<Box<Sleep>>>,
}

impl CountedStream {
    /// Ready once more may be read.
    fn poll_allowed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
            }
            self.wait = self.flow.wait();
            if self.wait.is_none() {
                return Poll::Ready(());
            }
        }
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_allowed(cx));
        let moved = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.flow.came_in(&moved);
        moved
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_allowed(cx));
        let moved = Pin::new(&mut self.inner).poll_read_vectored(cx, bufs);
        self.flow.came_in(&moved);
        moved
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.inner).poll_write(cx, buf);
        count(&self.flow.traffic.bytes_out, &moved);
        moved
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        count(&self.flow.traffic.bytes_out, &moved);
        moved
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
