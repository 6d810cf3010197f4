//! The testnet's own page: all nodes at a glance, the price, who traded with whom in the last interval
//! and what of it is paid, and what goes wrong, with ways into each node's dashboard.
//!
//! It has the look of the dashboards, and shows what the run sees anyway; nothing can be changed by it.
//! It listens on loopback only, and its coins are worth nothing, so nobody is asked who it is.
//! Not for: what is shown ([`shown`]), or watching ([`super::course`]).

pub mod shown;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use boltgrid::dashboard::{POLICY, asset};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use shown::Shown;

#[derive(Template)]
#[template(path = "testnet.html")]
struct Whole {
    shown: Arc<Shown>,
}

#[derive(Template)]
#[template(path = "testnet_live.html")]
struct Part {
    shown: Arc<Shown>,
}

/// The page, which is served until this is dropped.
#[derive(Debug)]
pub struct Page {
    /// Where it is.
    pub address: SocketAddr,
    shown: watch::Sender<Arc<Shown>>,
    _serving: JoinSet<()>,
}

impl Page {
    /// Listens, and shows from now on that the run begins.
    ///
    /// # Errors
    ///
    /// What keeps it from listening; also where the address is not this machine's alone.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let why = format!("{address} is not on loopback, where nobody else may look");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (shown, seen) = watch::channel(Arc::new(Shown::default()));
        let router = router(seen);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the testnet's page is served no more");
            }
        });
        Ok(Self { address, shown, _serving: serving })
    }

    /// What is shown now.
    #[must_use]
    pub fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown.borrow())
    }

    /// Shows something else.
    pub fn show(&self, shown: Shown) {
        self.shown.send_replace(Arc::new(shown));
    }
}

fn router(seen: watch::Receiver<Arc<Shown>>) -> Router {
    Router::new()
        .route("/", get(whole))
        .route("/live", get(live))
        .route("/prices", get(prices))
        .with_state(seen)
        .route("/health", get(|| async { "running\n" }))
        .route("/assets/{name}", get(file))
        .layer(middleware::from_fn(guard))
}

type Seen = State<watch::Receiver<Arc<Shown>>>;

async fn whole(State(seen): Seen) -> Response {
    let shown = Arc::clone(&seen.borrow());
    drawn(&Whole { shown })
}

async fn live(State(seen): Seen) -> Response {
    let shown = Arc::clone(&seen.borrow());
    drawn(&Part { shown })
}

async fn prices(State(seen): Seen) -> Json<serde_json::Value> {
    let shown = Arc::clone(&seen.borrow());
    Json(shown.chart())
}

fn drawn(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "the testnet's page cannot be drawn");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn file(Path(name): Path<String>) -> Response {
    match asset(&name) {
        Some(it) => ([(header::CONTENT_TYPE, it.kind)], it.bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Answers only who calls this machine by its own name (no DNS rebinding), and tells browsers what the
/// page may do.
async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|it| it.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    if !name.is_some_and(|name| ["127.0.0.1", "localhost", "[::1]"].contains(&name)) {
        return (StatusCode::FORBIDDEN, "call the testnet by an address of this machine\n")
            .into_response();
    }
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::shown::{NodeShown, State as NodeState};
    use super::*;

    async fn asked(address: SocketAddr, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn what_is_shown_is_on_the_page_at_once_for_this_machine_only() {
        let page = Page::open("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let own = page.address.to_string();
        assert!(asked(page.address, "/", &own).await.contains("nodes start"));
        let node = NodeShown {
            name: "<bus1>".to_owned(),
            state: NodeState::Killed,
            ..NodeShown::default()
        };
        page.show(Shown { nodes: vec![node], ..Shown::default() });
        let live = asked(page.address, "/live", &own).await;
        assert!(live.contains("&#60;bus1&#62;") && live.contains("killed"), "{live}");
        assert!(asked(page.address, "/", "evil.example").await.starts_with("HTTP/1.1 403"));
        assert!(asked(page.address, "/health", &own).await.starts_with("HTTP/1.1 200"));
        assert!(asked(page.address, "/assets/app.css", &own).await.contains("text/css"));
        assert!(asked(page.address, "/assets/../x", &own).await.starts_with("HTTP/1.1 404"));
        assert!(Page::open("0.0.0.0:0".parse().unwrap()).await.is_err());
    }
}
