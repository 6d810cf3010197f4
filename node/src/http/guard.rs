//! What stands before every page: whether it was asked by this machine's own name and from its own
//! pages, and by whom.
//! Not for: what a caller may do ([`crate::rpc`] looks at its role), or who is known
//! ([`crate::access`]).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boltgrid_protocol::units::Timestamp;

use super::connections::Private;
use crate::access::secret::{SECRET_TEXT_MAX, Secret};
use crate::access::{Access, Caller, Role, Unknown};
use crate::clock;

/// The names by which this machine calls itself.
const OWN_HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// Most characters of what an `Authorization` header holds: a secret in base64, and its user.
const AUTHORIZATION_MAX: usize = 2 * SECRET_TEXT_MAX;

/// What it takes to be let in.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    access: Access,
}

/// The names by which this node may be called; none where any will do.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Option<Arc<[String]>>);

/// Whether a caller may do less than its role says, since others may read along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limited(pub(crate) bool);

/// What a caller showed, to be looked at again: a WebSocket may live longer than its token.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    access: Access,
    shown: Option<Arc<Secret>>,
}

impl Standing {
    /// Whether what was shown still opens the door at `now`.
    ///
    /// # Errors
    ///
    /// [`Unknown`] once it was revoked or has expired.
    pub(crate) fn holds(&self, now: Timestamp) -> Result<(), Unknown> {
        self.access.caller(now, self.shown.as_deref()).map(drop)
    }
}

impl Guard {
    pub(super) const fn new(access: Access) -> Self {
        Self { access }
    }
}

impl Hosts {
    /// Those that the owner named, beside this machine's own.
    pub(crate) fn new(named: Vec<String>, address: SocketAddr) -> Self {
        let own = || OWN_HOSTS.map(str::to_owned).into_iter();
        // On loopback nobody calls by another name than these but a page whose name was made to mean
        // this machine (DNS rebinding). Elsewhere any name may be right, unless the owner names some.
        let is_open = !address.ip().is_loopback() && named.is_empty();
        Self((!is_open).then(|| own().chain(named).collect()))
    }

    fn has(&self, host: &str) -> bool {
        self.0.as_ref().is_none_or(|hosts| {
            let name = without_port(host);
            hosts.iter().any(|it| it.eq_ignore_ascii_case(name))
        })
    }
}

/// Refuses what was sent to another host's name, and what a page of another host sends: browsers let
/// any page post, and open a WebSocket, to whatever address it names.
pub(crate) async fn same_site(
    State(hosts): State<Hosts>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if !hosts.has(host) {
        let text = format!(
            "this node is not called {host:?}; call it by an address of this machine, or name it in \
             `rpc.hosts`\n"
        );
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let origin = headers.get(header::ORIGIN).map(|it| it.to_str().unwrap_or_default());
    if origin.is_some_and(|origin| !is_of(origin, host)) {
        let text = "a page of another host may not ask this node\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

/// Lets in whoever shows something that this node knows, and says with the request who it is.
pub(super) async fn admit(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let shown = shown(request.headers());
    match guard.access.caller(clock::now(), shown.as_ref()) {
        Ok(Caller { name, role }) => {
            let standing = Standing { access: guard.access.clone(), shown: shown.map(Arc::new) };
            request.extensions_mut().insert(standing);
            let most = most_of(&request);
            request.extensions_mut().insert(Limited(role > most));
            request.extensions_mut().insert(Caller { name, role: role.min(most) });
            next.run(request).await
        }
        Err(unknown) => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"boltgrid\"")];
            (StatusCode::UNAUTHORIZED, challenge, format!("{unknown}\n")).into_response()
        }
    }
}

/// What a caller may do at most: what others may read along opens nothing but a look.
const fn most(is_private: bool) -> Role {
    if is_private { Role::Admin } else { Role::Read }
}

/// What the sender of a request may do at most.
pub(crate) fn most_of(request: &Request) -> Role {
    most(request.extensions().get::<Private>().is_some_and(|it| it.0))
}

/// The secret that a request shows: a token as bearer, or token or cookie as password.
pub(crate) fn shown(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Secret::shown(rest.trim());
    }
    if !scheme.eq_ignore_ascii_case("basic") || rest.len() > AUTHORIZATION_MAX {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    Secret::shown(pair.split_once(':')?.1)
}

/// Whether an origin is the host that was asked.
fn is_of(origin: &str, host: &str) -> bool {
    let authority = origin.split_once("://").map_or("", |(_, rest)| rest);
    !authority.is_empty() && authority.eq_ignore_ascii_case(host)
}

/// A host without its port; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) && !name.is_empty() => {
            let is_bare_ipv6 = name.contains(':') && !name.ends_with(']');
            if is_bare_ipv6 { host } else { name }
        }
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_host_is_told_from_its_port() {
        for (host, name) in [
            ("127.0.0.1:8733", "127.0.0.1"),
            ("localhost", "localhost"),
            ("[::1]:8733", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            (":80", ":80"),
            ("name:80x", "name:80x"),
        ] {
            assert_eq!(without_port(host), name, "{host}");
        }
    }

    #[test]
    fn in_the_clear_from_another_machine_nobody_may_more_than_look() {
        assert_eq!((most(true), most(false)), (Role::Admin, Role::Read));
    }

    #[test]
    fn an_origin_is_the_host_with_a_scheme_before_it_and_nothing_else() {
        assert!(is_of("http://127.0.0.1:8733", "127.0.0.1:8733"));
        assert!(is_of("https://Home.example", "home.example"));
        for origin in ["null", "", "127.0.0.1:8733", "http://127.0.0.1:8734", "http://evil.example"]
        {
            assert!(!is_of(origin, "127.0.0.1:8733"), "{origin}");
        }
        assert!(!is_of("http://", ""));
    }

    #[test]
    fn a_secret_is_shown_as_bearer_or_as_password() {
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            shown(&headers).map(|it| it.reveal().to_owned())
        };
        assert_eq!(shown("Bearer abc").as_deref(), Some("abc"));
        let cookie = format!("Basic {}", STANDARD.encode("__cookie__:s3"));
        assert_eq!(shown(&cookie).as_deref(), Some("s3"));
        assert_eq!(shown("Basic bm9jb2xvbg=="), None, "no colon");
        assert_eq!(shown("Basic ***"), None);
        assert_eq!(shown("Digest abc"), None);
        assert_eq!(shown("abc"), None);
    }
}
