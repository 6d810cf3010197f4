//! The transports under all protocols: TCP with noise and yamux, and QUIC; how long they may take and
//! how much they may hold.
//!
//! What one connection can make us hold: unread bytes up to its windows (16 MiB on yamux: 64
//! streams of 256 KiB; 4 MiB on QUIC) and what is waiting to be sent to it (`mesh`, some MiB).
//! Strangers have eight connections, so 160 MiB at the worst; members could come to more, and
//! beyond a gibibyte of the whole process no new connection is taken (`behaviour`).

use std::sync::Arc;
use std::time::Duration;

use futures::future::Either;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::{PeerId, Transport, dns, identity, noise, quic, tcp};

use super::NetworkError;
use super::muxer::Streams;
use super::one_socket::OneSocket;
use super::traffic::{CountedMuxer, Traffic};

/// Streams of one connection: five protocols with a few each, far below yamux's 512. An honest
/// peer never reaches it; one that does is cut off.
const STREAMS_MAX: u16 = 64;
/// How long a connection may take to become one.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the handshake of QUIC may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A QUIC connection of which nothing is heard for so long is dead.
const SILENCE_MAX_MS: u32 = 10_000;
/// How often something is said on a QUIC connection: three times before it would be dead.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Unread bytes of one QUIC stream: the largest message of all and then some.
const STREAM_BYTES_MAX: u32 = 512 << 10;
/// Unread bytes of all streams of a QUIC connection.
const CONNECTION_BYTES_MAX: u32 = 4 << 20;

/// All transports, with their bytes counted and throttled.
pub(super) fn transport(
    identity: &identity::Keypair,
    traffic: Arc<Traffic>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetworkError> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(identity).map_err(NetworkError::Noise)?)
        .multiplex(Streams::new(usize::from(STREAMS_MAX)))
        .timeout(UPGRADE_TIMEOUT);
    let mut quic = quic::Config::new(identity);
    quic.handshake_timeout = HANDSHAKE_TIMEOUT;
    quic.max_idle_timeout = SILENCE_MAX_MS;
    quic.keep_alive_interval = KEEP_ALIVE;
    quic.max_concurrent_stream_limit = u32::from(STREAMS_MAX);
    quic.max_stream_data = STREAM_BYTES_MAX;
    quic.max_connection_data = CONNECTION_BYTES_MAX;
    let both =
        OneSocket(quic::tokio::Transport::new(quic)).or_transport(tcp).map(|connection, _| {
            match connection {
                Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
                Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
            }
        });
    let counted = dns::tokio::Transport::system(both).map_err(NetworkError::Dns)?.map(
        move |(peer, muxer), _| {
            let counted = CountedMuxer::new(muxer, peer, Arc::clone(&traffic));
            (peer, StreamMuxerBox::new(counted))
        },
    );
    Ok(counted.boxed())
}
