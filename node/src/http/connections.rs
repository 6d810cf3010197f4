//! Connections to the port: how many at once, how long one may take to say what it wants, and how all
//! of them end with the node.
//! Not for: what is asked over one.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::tls::Tls;

/// Connections at once; a subscriber keeps one.
const CONNECTIONS_MAX: usize = 1024;
/// How long a caller may take for the handshake, and then for the head of each request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long requests that are under way may take once the node stops.
const STOP_TIME: Duration = Duration::from_secs(5);
/// How long to wait after the operating system has no socket to give.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 22;

/// Whether nobody on the way reads or changes what is said: under TLS, or within this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Private(pub(super) bool);

/// Whether it came under TLS, so that a cookie may be kept to that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encrypted(pub(crate) bool);

/// A bound port.
#[derive(Debug)]
pub(crate) struct Connections {
    listener: TcpListener,
    tls: Option<Tls>,
    /// Addresses of proxies that the owner trusts as this machine.
    proxies: Arc<[IpAddr]>,
}

impl Connections {
    pub(crate) fn new(listener: TcpListener, tls: Option<Tls>, proxies: &[IpAddr]) -> Self {
        Self { listener, tls, proxies: proxies.into() }
    }

    /// Serves until shutdown, then ends every connection.
    pub(crate) async fn serve(self, router: Router, shutdown: CancellationToken) {
        let mut open = JoinSet::new();
        loop {
            let is_full = open.len() >= CONNECTIONS_MAX;
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = open.join_next() => {}
                accepted = self.listener.accept(), if !is_full => match accepted {
                    Ok((stream, peer)) => {
                        let (tls, router) = (self.tls.clone(), router.clone());
                        let from = (stream, peer, Arc::clone(&self.proxies));
                        open.spawn(connection(from, tls, router, shutdown.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no connection to JSON-RPC can be taken");
                        tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    }
                },
            }
        }
        let all = async { while open.join_next().await.is_some() {} };
        if timeout(STOP_TIME, all).await.is_err() {
            tracing::debug!("connections to JSON-RPC are cut");
        }
        open.shutdown().await;
    }
}

/// One connection from its first byte to its last.
async fn connection(
    (stream, peer, proxies): (TcpStream, SocketAddr, Arc<[IpAddr]>),
    tls: Option<Tls>,
    router: Router,
    shutdown: CancellationToken,
) {
    let ended = async {
        let is_near = is_trusted(peer.ip(), stream.local_addr()?.ip(), &proxies);
        match tls {
            Some(tls) if !is_near || in_time(speaks_tls(&stream)).await? => {
                let stream = in_time(tls.accept(stream)).await?;
                serve(stream, (Private(true), Encrypted(true)), router, shutdown).await
            }
            Some(_) | None => {
                serve(stream, (Private(is_near), Encrypted(false)), router, shutdown).await
            }
        }
    };
    if let Err(error) = ended.await {
        // Callers vanish as they please.
        tracing::debug!(%error, "a connection to JSON-RPC ended");
    }
}

/// Whether nobody but the owner can be on the way to a caller: it is on this machine, or a proxy that is trusted as
/// if it were.
fn is_trusted(peer: IpAddr, local: IpAddr, proxies: &[IpAddr]) -> bool {
    is_near(peer, local) || is_one_of(peer, proxies)
}

/// Whether a caller is on this machine. Such a one may speak in the clear even where the port has TLS.
fn is_near(peer: IpAddr, local: IpAddr) -> bool {
    let (peer, local) = (peer.to_canonical(), local.to_canonical());
    peer.is_loopback() || peer == local
}

/// Whether a caller is a proxy that the owner trusts as this machine.
fn is_one_of(peer: IpAddr, proxies: &[IpAddr]) -> bool {
    proxies.iter().any(|it| it.to_canonical() == peer.to_canonical())
}

/// Whether the first byte is that of a TLS handshake.
async fn speaks_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    Ok(first == [TLS_HANDSHAKE])
}

async fn in_time<T>(part: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(HEAD_TIME, part).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    (private, encrypted): (Private, Encrypted),
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(private);
        request.extensions_mut().insert(encrypted);
        request.map(Body::new)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let serving = http
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return ended.map_err(io::Error::other),
        () = shutdown.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    serving.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_calls_from_this_machine_is_near_by_whatever_address() {
        let near = |peer: &str, local: &str| is_near(peer.parse().unwrap(), local.parse().unwrap());
        assert!(near("127.0.0.1", "127.0.0.1"));
        assert!(near("::1", "::1"));
        assert!(near("::ffff:127.0.0.1", "::ffff:127.0.0.1"));
        assert!(near("192.0.2.7", "192.0.2.7"));
        assert!(near("::ffff:192.0.2.7", "192.0.2.7"));
        assert!(!near("192.0.2.8", "192.0.2.7"));
        assert!(!near("2001:db8::8", "2001:db8::7"));
    }

    #[test]
    fn a_proxy_is_known_by_its_own_address_and_its_neighbours_are_not() {
        let proxies = ["172.30.32.2", "fd0c:ac1e:2100::2"].map(|it| it.parse().unwrap());
        let known = |peer: &str| is_one_of(peer.parse().unwrap(), &proxies);
        assert!(known("172.30.32.2") && known("::ffff:172.30.32.2") && known("fd0c:ac1e:2100::2"));
        assert!(!known("172.30.32.1") && !known("172.30.33.2") && !known("fd0c:ac1e:2100::3"));
        assert!(!is_one_of("172.30.32.2".parse().unwrap(), &[]), "nobody is trusted unnamed");

        let local = "172.30.32.5".parse().unwrap();
        let trusted = |peer: &str| is_trusted(peer.parse().unwrap(), local, &proxies);
        assert!(trusted("127.0.0.1") && trusted("172.30.32.5") && trusted("172.30.32.2"));
        assert!(!trusted("172.30.32.1") && !trusted("203.0.113.9"));
    }
}
