//! The one port of a node: the dashboard at `/`, JSON-RPC at `/rpc` by POST and by WebSocket, `/metrics`
//! for Prometheus, `/health` and `/ready` for whoever restarts or alarms.
//!
//! Everything but the last two asks who is there ([`crate::access`]).
//! Not for: what the methods do ([`crate::rpc`]), or pages ([`crate::dashboard`]).

pub(crate) mod connections;
pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use jsonrpsee::server::{ServerHandle, stop_channel};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::access::{Access, AccessError};
use crate::config::RpcConfig;
use crate::dashboard;
use crate::metrics::{Metrics, MetricsPage};
use crate::rpc::{self, Answers, RpcService};
use connections::Connections;
use guard::{Guard, Hosts};
use tls::{Tls, TlsError};

/// The text format of `OpenMetrics`, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why the port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken, or not of this machine.
    #[error(
        "JSON-RPC cannot listen on {address}: {source}; set another `rpc.listen` in the config"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Who may ask.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A bound port that is yet to be served.
#[derive(Debug)]
pub(crate) struct Http {
    connections: Connections,
    router: Router,
    rpc: ServerHandle,
}

impl Http {
    /// Binds the port, makes this start's cookie in the data folder, and reads the tokens there.
    ///
    /// # Errors
    ///
    /// [`HttpError`].
    pub(crate) async fn open(
        config: &RpcConfig,
        data_dir: &Path,
        answers: Answers,
    ) -> Result<Self, HttpError> {
        let failed = |source| HttpError::Listen { address: config.listen, source };
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        // Bound first: a second node by mistake must not take the cookie from the first.
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let access = Access::open(data_dir)?;
        if !address.ip().is_loopback() && tls.is_none() {
            tracing::warn!(
                %address,
                "JSON-RPC is neither on loopback nor under TLS, so callers from other machines may \
                 only look; set `rpc.tls_certificate_file` and `rpc.tls_key_file` to let them do more"
            );
        }
        let pages = dashboard::router(answers.clone(), access.clone(), config.fiat);
        let guard = (Guard::new(access), Hosts::new(config.hosts.clone(), address));
        let (stop, handle) = stop_channel();
        let router = router((answers, pages), guard, stop, config.requests_per_s);
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!(%address, scheme, "JSON-RPC listens");
        Ok(Self {
            connections: Connections::new(listener, tls, &config.proxies),
            router,
            rpc: handle,
        })
    }

    /// Serves until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Self { connections, router, rpc } = self;
        connections.serve(router, shutdown.clone()).await;
        // WebSockets have been handed over, and end when they are told.
        if rpc.stop().is_ok() {
            rpc.stopped().await;
        }
    }
}

fn router(
    (answers, pages): (Answers, Router),
    (guard, hosts): (Guard, Hosts),
    stop: jsonrpsee::server::StopHandle,
    requests_per_s: u32,
) -> Router {
    let page = Arc::new(MetricsPage::new(Metrics::of(&answers)));
    let readiness = health::Readiness::new(&answers);
    let service = rpc::service(answers, stop, requests_per_s);
    let guarded = Router::new()
        .route("/rpc", any(call).with_state(service))
        .route("/metrics", get(show_metrics).with_state(page))
        .route_layer(middleware::from_fn_with_state(guard, guard::admit));
    Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .with_state(readiness)
        .merge(guarded)
        .merge(pages)
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(hosts, guard::same_site))
}

/// Hands a request to JSON-RPC, which also takes over a WebSocket.
async fn call(State(mut service): State<RpcService>, request: Request) -> Response {
    match service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::error!(%error, "JSON-RPC could not answer");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn show_metrics(State(page): State<Arc<MetricsPage>>) -> Response {
    match page.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn nothing_here() -> (StatusCode, &'static str) {
    let text = "there is / (the dashboard), /rpc (JSON-RPC by POST or WebSocket), /metrics, /health and /ready\n";
    (StatusCode::NOT_FOUND, text)
}
