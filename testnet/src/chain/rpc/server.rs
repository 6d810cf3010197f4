//! Listens for requests over HTTP, on a loopback address, from whoever knows user and password.
//!
//! Not for: what they ask.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use axum::serve::Listener;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answer;
use crate::chain::access::Access;
use crate::chain::kept::Kept;

/// The largest request: a transaction of the heaviest block, in hexadecimal, and some more.
const REQUEST_BYTES_MAX: usize = 9_000_000;
/// Connections at once; whoever comes later waits.
const CONNECTIONS_MAX: usize = 512;

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address.
    #[error("the chain cannot listen on {address}: {source}; name another address")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Anybody on the network could mine and spend.
    #[error("{0} is not on this machine; the chain listens on a loopback address only")]
    NotLoopback(SocketAddr),
}

/// A listening server; ends when it is dropped.
#[derive(Debug)]
pub(in crate::chain) struct Server {
    pub(in crate::chain) access: Access,
    stopping: CancellationToken,
    task: JoinSet<()>,
}

impl Drop for Server {
    /// Connections that are open end as well, once they are answered.
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

struct Shared {
    kept: Arc<Kept>,
    /// What the header of a request that is let in says.
    authorization: String,
}

impl Server {
    /// Listens on `address`, and answers for a chain.
    pub(in crate::chain) async fn start(
        kept: Arc<Kept>,
        address: SocketAddr,
        user: &str,
        password: &str,
    ) -> Result<Self, ServerError> {
        if !address.ip().is_loopback() {
            return Err(ServerError::NotLoopback(address));
        }
        let failed = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let access = Access {
            host: bound.ip().to_string(),
            port: bound.port(),
            user: user.to_owned(),
            password: password.to_owned(),
        };
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let shared = Arc::new(Shared { kept, authorization });
        let router = Router::new().route("/", post(serve)).with_state(shared);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let stopping = CancellationToken::new();
        let stopped = stopping.clone().cancelled_owned();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let serving = axum::serve(Bounded { listener, places }, router);
            if let Err(error) = serving.with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the chain answers nobody any more");
            }
        });
        Ok(Self { access, stopping, task })
    }

    /// Answers what was asked, and ends.
    pub(in crate::chain) async fn stop(mut self) {
        self.stopping.cancel();
        while let Some(ended) = self.task.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the chain's server ended badly");
            }
        }
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body): (_, Body) = request.into_parts();
    if !is_let_in(&parts.headers, &shared.authorization) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let now_s = boltgrid::clock::now().to_unix_ms() / 1_000;
    // Blocks and scripts take their time, and the devices answer from the same threads.
    let asked = move || answer(&shared.kept, &body, now_s);
    let Ok((status, body)) = tokio::task::spawn_blocking(asked).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}

fn is_let_in(headers: &HeaderMap, authorization: &str) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|given| given == authorization)
}

/// Takes so many connections and no more.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("nobody closes it");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Connection { stream, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that holds its place among those allowed.
struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
