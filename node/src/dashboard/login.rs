//! Signing in with a token, signing out, and a browser's own taste of language and theme.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::header::{LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Dashboard;
use super::frame::{Frame, LANGUAGE_COOKIE, Notice, THEME_COOKIE, cookie, show};
use super::session::IDLE_MS;
use super::words::{Language, Words};
use crate::access::secret::Secret;
use crate::clock;
use crate::http::connections::Encrypted;

#[derive(Template)]
#[template(path = "login.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
}

/// What the sign-in form sends.
#[derive(Deserialize)]
pub(super) struct Shown {
    token: String,
}

/// What a browser likes.
#[derive(Deserialize)]
pub(super) struct Taste {
    language: Option<String>,
    theme: Option<String>,
    /// The page to go back to.
    #[serde(default)]
    page: String,
}

/// `GET ./login`.
pub(super) async fn page(frame: Frame) -> Response {
    sheet(frame, StatusCode::OK, None)
}

fn sheet(frame: Frame, status: StatusCode, problem: Option<&'static str>) -> Response {
    let notice = problem.map(|text| Notice { is_good: false, text: text.to_owned() });
    let frame = Frame { page: "login", role: None, notice, ..frame };
    (status, show(&Page { w: frame.words(), frame })).into_response()
}

/// `POST ./login`: begins a session.
pub(super) async fn sign_in(
    State(dashboard): State<Arc<Dashboard>>,
    frame: Frame,
    encrypted: Option<axum::Extension<Encrypted>>,
    headers: HeaderMap,
    Form(Shown { token }): Form<Shown>,
) -> Response {
    let w = frame.words();
    if !is_own(&headers) {
        return sheet(frame, StatusCode::FORBIDDEN, Some(w.sign_in_foreign));
    }
    let (now, shown) = (clock::now(), Secret::shown(token.trim()));
    let known = shown.filter(|shown| dashboard.access.caller(now, Some(shown)).is_ok());
    let Some(shown) = known else {
        return sheet(frame, StatusCode::UNAUTHORIZED, Some(w.sign_in_wrong));
    };
    let session = match dashboard.sessions.begin(now, shown.hash()) {
        Ok(session) => session,
        Err(error) => {
            tracing::error!(%error, "no random bytes for a session of the dashboard");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let secure = if encrypted.is_some_and(|it| it.0.0) { "; Secure" } else { "" };
    let (name, value, age_s) = (&dashboard.cookie, session.reveal(), IDLE_MS / 1_000);
    // Without a path: the browser takes that of this page, behind whatever prefix.
    let cookie = format!("{name}={value}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}");
    (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "./".to_owned())]).into_response()
}

/// `POST ./logout`: ends the session.
pub(super) async fn sign_out(
    State(dashboard): State<Arc<Dashboard>>,
    headers: HeaderMap,
) -> Response {
    if is_own(&headers) {
        let session = cookie(&headers, &dashboard.cookie).and_then(Secret::shown);
        if let Some(session) = session {
            dashboard.sessions.end(&session.hash());
        }
    }
    let cookie = format!("{}=; Max-Age=0; HttpOnly; SameSite=Strict", dashboard.cookie);
    (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "login".to_owned())]).into_response()
}

/// `GET ./taste`: remembers language and theme in the browser. It changes nothing in the node.
pub(super) async fn taste(Query(taste): Query<Taste>) -> Response {
    let language = taste.language.as_deref().and_then(Language::from_code).map(Language::code);
    let theme = taste.theme.as_deref().filter(|it| ["light", "dark"].contains(it));
    let pages = ["login", "market", "money", "miners", "meters", "grid", "settings"];
    let back = pages.into_iter().find(|page| *page == taste.page).unwrap_or("./");
    let set = |name, value: &str| {
        (SET_COOKIE, format!("{name}={value}; Max-Age={}; SameSite=Strict", IDLE_MS / 1_000))
    };
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, back)]).into_response();
    let chosen =
        [language.map(|it| set(LANGUAGE_COOKIE, it)), theme.map(|it| set(THEME_COOKIE, it))];
    for (name, value) in chosen.into_iter().flatten() {
        if let Ok(value) = value.parse() {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Whether a form was sent by one of this node's own pages. That an origin is this host was seen to
/// before (`http::guard`); browsers name one with every form.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
}
