//! The dashboard: pages for those who live with a node, on the port of JSON-RPC, embedded in the binary.
//!
//! Pages are written on the node's side and need no build step, no outside address and no inline script
//! or style. All addresses in them are relative and one level deep, so that they work behind a prefix.
//! What lives is asked for again every few seconds as a part of a page.
//!
//! | part | what |
//! |---|---|
//! | [`frame`] | what all pages have in common; a browser's language and theme |
//! | [`login`], [`session`] | who is signed in |
//! | [`words`], [`format`] | every text in each language; numbers with their units |
//! | [`now`] and the others | one page a file |
//! | [`setup`] | the first run, before there is a node |
//!
//! Not for: what is shown, which the node's other parts know; pages read the same handles as JSON-RPC.

mod assets;
mod chart;
mod curves;
mod flows;
mod format;
mod frame;
mod grid;
mod login;
mod market;
mod meters;
mod miners;
mod money;
mod now;
mod opening;
mod reasons;
mod session;
mod settings;
pub(crate) mod setup;
mod tally;
mod well;
mod words;

use std::convert::Infallible;
use std::sync::Arc;

pub use assets::{Asset, asset};

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Interval, Timestamp};

use crate::access::secret::{Hash, Secret};
use crate::access::{Access, Caller, Role};
use crate::clock;
use crate::config::Fiat;
use crate::http::guard;
use crate::rpc::Answers;
use crate::store::ArchiveError;
use frame::{Frame, cookie, taste};
use session::Sessions;

/// Most bytes of a form.
const FORM_MAX: usize = 16 * 1024;
/// Intervals shorter than this are told apart by seconds.
const SHORT_INTERVAL_MS: u64 = 60_000;

/// What a browser may do with a page: load from this host, and be framed by it (Home Assistant).
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'";

/// What every page is made from.
#[derive(Debug)]
pub(crate) struct Dashboard {
    answers: Answers,
    access: Access,
    sessions: Sessions,
    /// The session cookie's name: with the node's own in it, since a browser tells no ports apart.
    cookie: String,
    /// The owner's rate of a currency.
    fiat: Option<Fiat>,
}

/// The pages. `access` says who may look.
pub(crate) fn router(answers: Answers, access: Access, fiat: Option<Fiat>) -> Router {
    let cookie = format!("boltgrid_{}", answers.participant.short());
    let dashboard = Dashboard { answers, access, sessions: Sessions::default(), cookie, fiat };
    let dashboard = Arc::new(dashboard);
    let pages = Router::new()
        .route("/", get(now::page))
        .route("/now-live", get(now::live))
        .route("/market", get(market::page))
        .route("/market-prices", get(market::prices))
        .route("/money", get(money::page).post(opening::post))
        .route("/miners", get(miners::page).post(miners::decide))
        .route("/miners-live", get(miners::live))
        .route("/meters", get(meters::page))
        .route("/meters-live", get(meters::live))
        .route("/grid", get(grid::page))
        .route("/settings", get(settings::page).post(settings::change))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&dashboard), admit));
    Router::new()
        .route("/login", get(login::page).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/taste", get(login::taste))
        .route("/assets/{name}", get(assets::serve))
        .merge(pages)
        .with_state(dashboard)
        .layer(DefaultBodyLimit::max(FORM_MAX))
        .layer(middleware::from_fn(harden))
}

impl Dashboard {
    /// Whose request this is: by its session, or by a token in the header as for JSON-RPC.
    fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let now = clock::now();
        if let Some(shown) = guard::shown(headers) {
            return self.access.caller(now, Some(&shown)).ok();
        }
        let session = cookie(headers, &self.cookie).and_then(Secret::shown)?;
        let shown: Hash = self.sessions.shown(now, &session.hash())?;
        self.access.caller_by_hash(now, &shown).ok()
    }

    /// When an interval starts by the grid's clock.
    fn time_of(&self, interval: Interval) -> String {
        self.clock_at(self.answers.charter.interval.start_of(interval).to_unix_ms())
    }

    /// The first interval of so many days until now, by the grid's clock.
    fn since(&self, days: u64) -> Interval {
        let charter = &self.answers.charter;
        let back_ms = charter.tariff.clock.day_ms().saturating_mul(days);
        charter.interval.interval_at(clock::now().minus_ms(back_ms))
    }

    /// What the grid's clock shows at a moment.
    fn clock_at(&self, unix_ms: u64) -> String {
        let charter = &self.answers.charter;
        let local_ms = charter.tariff.clock.local_ms(Timestamp::from_unix_ms(unix_ms));
        let has_seconds =
            charter.interval.interval_ms < SHORT_INTERVAL_MS && charter.tariff.clock.speed == 1;
        format::time_of_day(local_ms, has_seconds)
    }

    /// A member by its connection point and the beginning of its id.
    fn name_of(&self, whom: &ParticipantId) -> String {
        let interval = self.answers.charter.interval.interval_at(clock::now());
        let roster = self.answers.rosters.clone().at(interval);
        let member = roster.index_of(whom).and_then(|place| roster.member(place));
        let short = whom.short();
        member.map_or_else(
            || short.clone(),
            |member| format!("{} · {short}", member.enrolment.connection_point),
        )
    }

    fn is_member(&self) -> bool {
        let interval = self.answers.charter.interval.interval_at(clock::now());
        let roster = self.answers.rosters.clone().at(interval);
        roster.index_of(&self.answers.participant).is_some()
    }
}

/// Lets in whoever is signed in; everybody else is sent to sign in.
async fn admit(
    State(dashboard): State<Arc<Dashboard>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(Caller { name, role }) = dashboard.caller(request.headers()) else {
        // A part of a page cannot be replaced by a sign-in; htmx goes there as a whole.
        let is_part = request.headers().contains_key("hx-request");
        return if is_part {
            (StatusCode::UNAUTHORIZED, [("hx-redirect", "login")]).into_response()
        } else {
            (StatusCode::SEE_OTHER, [(header::LOCATION, "login")]).into_response()
        };
    };
    let role = role.min(guard::most_of(&request));
    request.extensions_mut().insert(Caller { name, role });
    next.run(request).await
}

/// Tells browsers what a page may do, and keeps pages out of caches.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`, with which browsers would hide the origin of forms.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The answer where the archive fails.
fn unreadable(frame: &Frame, error: &ArchiveError) -> Response {
    tracing::error!(%error, "archive not readable");
    (StatusCode::INTERNAL_SERVER_ERROR, frame.words().unreadable).into_response()
}

impl FromRequestParts<Arc<Dashboard>> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        dashboard: &Arc<Dashboard>,
    ) -> Result<Self, Infallible> {
        let (language, theme) = taste(&parts.headers);
        let role: Option<Role> = parts.extensions.get::<Caller>().map(|caller| caller.role);
        Ok(Self {
            page: "",
            language,
            theme,
            grid_name: dashboard.answers.charter.name.clone(),
            who: dashboard.answers.participant.short(),
            role,
            fiat: role.and(dashboard.fiat),
            notice: None,
        })
    }
}
