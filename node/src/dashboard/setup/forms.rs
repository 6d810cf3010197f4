//! What the forms of the set-up send: taken where it is right, and else shown again with the reason.
//!
//! Not for: what is right ([`super::said`]), or writing anything ([`super::finish`]).

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::chain::{self, Seen};
use super::pages::sheet;
use super::said::{
    CharterForm, LimitsForm, MeterForm, MoneyForm, PlaceForm, Problem, Step, WORDS_ASKED,
    WordsForm, asked,
};
use super::trying::{Trying, look_around};
use super::{COOKIE, Progress, Setup, words};
use crate::access::secret::Secret;
use crate::dashboard::frame::{Frame, Notice};
use crate::dashboard::login::is_own;

/// What the door's form sends.
#[derive(Deserialize)]
pub(super) struct Shown {
    token: String,
}

/// `POST ./door`: the token, once.
pub(super) async fn door(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
    Form(Shown { token }): Form<Shown>,
) -> Response {
    let shown = Secret::shown(token.trim()).filter(|_| is_own(&headers));
    let opened = shown.map(|shown| setup.door.open(&shown)).transpose();
    match opened.map(Option::flatten) {
        Ok(Some(session)) => {
            let cookie = format!("{COOKIE}={}; HttpOnly; SameSite=Strict", session.reveal());
            let headers = [(SET_COOKIE, cookie), (LOCATION, "./".to_owned())];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Ok(None) => {
            let text = words::of(frame.language).door_wrong.to_owned();
            let frame = Frame { notice: Some(Notice { is_good: false, text }), ..frame };
            (StatusCode::UNAUTHORIZED, super::pages::door(frame)).into_response()
        }
        Err(error) => {
            // Nothing logs yet; the browser's user is the terminal's.
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

/// Goes on to what is to be said next, or shows the step again with what is wrong.
fn answered(
    setup: &Setup,
    frame: Frame,
    state: &mut Progress,
    (step, done): (Step, Result<(), Problem>),
) -> Response {
    let Err(problem) = done else {
        return (StatusCode::SEE_OTHER, [(LOCATION, "./")]).into_response();
    };
    let text = words::of(frame.language).problem(&problem);
    let frame = Frame { notice: Some(Notice { is_good: false, text }), ..frame };
    sheet(setup, frame, state, step)
}

/// Whether a form is of this set-up's own pages.
fn own(headers: &HeaderMap) -> Result<(), Problem> {
    if is_own(headers) { Ok(()) } else { Err(Problem::Foreign) }
}

/// `POST ./place`.
pub(super) async fn place(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
    Form(form): Form<PlaceForm>,
) -> Response {
    let mut state = setup.state.lock().await;
    let done = own(&headers).and_then(|()| form.read());
    state.place = form;
    let done = done.map(|place| state.said.place = Some(place));
    answered(&setup, frame, &mut state, (Step::Place, done))
}

/// `POST ./charter`.
pub(super) async fn charter(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
    Form(form): Form<CharterForm>,
) -> Response {
    let mut state = setup.state.lock().await;
    let done = own(&headers).and_then(|()| form.read());
    state.charter = form;
    let done = done.map(|grid| state.said.grid = Some(grid));
    answered(&setup, frame, &mut state, (Step::Charter, done))
}

/// `POST ./meter`: looks for meters, tries one out, or takes it.
pub(super) async fn meter(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
    Form(form): Form<MeterForm>,
) -> Response {
    // A search takes a while, in which nothing else needs to wait.
    let found = match (own(&headers), &*form.what) {
        (Ok(()), "look") => Some(look_around(&form.target).await),
        (Ok(()) | Err(_), _) => None,
    };
    let mut state = setup.state.lock().await;
    let what = form.what.clone();
    state.meter = form;
    let done = match (own(&headers), found) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Some(found)) => found.map(|found| state.found = Some(found)),
        (Ok(()), None) => metered(&mut state, &what),
    };
    let is_said = done.is_ok() && ["keep", "skip"].contains(&&*what);
    if done.is_err() || is_said {
        return answered(&setup, frame, &mut state, (Step::Meter, done));
    }
    sheet(&setup, frame, &mut state, Step::Meter)
}

/// What a button of the meter's page does, but for the search.
fn metered(state: &mut Progress, what: &str) -> Result<(), Problem> {
    if what == "skip" {
        state.said.meter = Some(None);
        return Ok(());
    }
    if let Some(place) = what.strip_prefix("take-") {
        let found = state.found.iter().flatten().nth(place.parse().unwrap_or(usize::MAX));
        let form = found.and_then(|found| MeterForm::of(&found.settings));
        let form = form.ok_or(Problem::Foreign)?;
        state.meter = MeterForm { target: std::mem::take(&mut state.meter.target), ..form };
    }
    let device = state.meter.read()?;
    if what != "keep" {
        state.trying = Some(Trying::new(device)?);
        return Ok(());
    }
    let tried = state.trying.as_ref().filter(|it| it.device == device && it.answered().0 > 0);
    tried.ok_or(Problem::NotTried)?;
    state.said.meter = Some(Some(device));
    // Devices serve one at a time where their line does.
    state.trying = None;
    Ok(())
}

/// `POST ./limits`.
pub(super) async fn limits(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
    Form(form): Form<LimitsForm>,
) -> Response {
    let mut state = setup.state.lock().await;
    let done = own(&headers).and_then(|()| form.read());
    state.limits = form;
    let done = done.map(|limits| state.said.limits = Some(limits));
    answered(&setup, frame, &mut state, (Step::Limits, done))
}

/// `POST ./money`: asks the chain's source, and takes it where it is the right one.
pub(super) async fn money(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
    Form(form): Form<MoneyForm>,
) -> Response {
    let checked = match own(&headers).and_then(|()| form.read()) {
        Ok((money, None)) => Ok((money, None)),
        Ok((money, Some(config))) => {
            let password = money.password.as_ref().map(Secret::reveal);
            let seen = chain::check(&config, password).await;
            seen.map(|seen| (money, Some(seen))).map_err(Problem::Other)
        }
        Err(problem) => Err(problem),
    };
    let mut state = setup.state.lock().await;
    state.money = MoneyForm { password: String::new(), ..form };
    match checked {
        Ok((money, seen)) => {
            state.said.money = Some(money);
            let Some(seen) = seen else {
                return answered(&setup, frame, &mut state, (Step::Money, Ok(())));
            };
            let s = words::of(frame.language);
            let text = match seen {
                Seen::Right => s.chain_right,
                Seen::There => s.chain_there,
            };
            let notice = Some(Notice { is_good: true, text: text.to_owned() });
            let next = state.said.next();
            sheet(&setup, Frame { notice, ..frame }, &mut state, next)
        }
        Err(problem) => answered(&setup, frame, &mut state, (Step::Money, Err(problem))),
    }
}

/// `POST ./words`: they are on paper, some of them are asked for, or others are made.
pub(super) async fn words(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
    Form(form): Form<WordsForm>,
) -> Response {
    let mut state = setup.state.lock().await;
    let done = own(&headers).and_then(|()| worded(&mut state, &form));
    answered(&setup, frame, &mut state, (Step::Words, done))
}

fn worded(state: &mut Progress, form: &WordsForm) -> Result<(), Problem> {
    let Some(seed) = &state.seed else { return Ok(()) };
    match &*form.what {
        "written" => {
            let mut chance = [0; WORDS_ASKED];
            getrandom::fill(&mut chance).map_err(|error| Problem::Other(error.to_string()))?;
            (state.asked, state.is_written_down) = (asked(chance), true);
        }
        "again" => (state.seed, state.is_written_down) = (None, false),
        _ if state.is_written_down => {
            form.check(seed, state.asked)?;
            state.said.has_words = true;
        }
        _ => return Err(Problem::WrongWords),
    }
    Ok(())
}
