//! The page Miners: machines with their break-even beside the price, a well where there is one,
//! decisions with their reasons, and the owner's own word for a while.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use boltgrid_miners::machine::SetPoint;
use boltgrid_protocol::units::Power;
use serde::Deserialize;

use super::format::{Format, Quantity};
use super::frame::{Frame, Notice, show};
use super::well::Well;
use super::words::{Words, fill};
use super::{Dashboard, login, reasons};
use crate::access::Role;
use crate::clock;
use crate::dispatcher::MachineStatus;

/// Decisions that are shown, the latest.
const DECISIONS_SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "miners.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
    may_decide: bool,
    /// Machines as forms know them.
    names: Vec<String>,
    live: Live,
}

#[derive(Template)]
#[template(path = "miners_live.html")]
struct Part {
    w: &'static Words,
    live: Live,
}

struct Live {
    hashprice: Option<Quantity>,
    source: String,
    spare: Option<Quantity>,
    price: Option<Quantity>,
    machines: Vec<Machine>,
    well: Option<Well>,
    decisions: Vec<Decision>,
}

struct Machine {
    name: String,
    about: String,
    draws: Option<Quantity>,
    set_point: String,
    reason: String,
    break_even: Quantity,
    /// Whether a kilowatt-hour costs less than it earns.
    pays: bool,
    is_in_plan: bool,
    trouble: Option<String>,
}

struct Decision {
    time: String,
    machine: String,
    set_point: String,
    reason: String,
}

/// What the owner's form says.
#[derive(Deserialize)]
pub(super) struct Word {
    machine: String,
    #[serde(default)]
    power_w: String,
    #[serde(default)]
    for_minutes: String,
    /// `decide`, or `plan` to give the machine back.
    what: String,
}

/// `GET ./miners`.
pub(super) async fn page(State(dashboard): State<Arc<Dashboard>>, frame: Frame) -> Response {
    sheet(&dashboard, frame)
}

/// `GET ./miners-live`.
pub(super) async fn live(State(dashboard): State<Arc<Dashboard>>, frame: Frame) -> Response {
    show(&Part { w: frame.words(), live: Live::new(&dashboard, &frame) })
}

/// `POST ./miners`: the owner's word.
pub(super) async fn decide(
    State(dashboard): State<Arc<Dashboard>>,
    frame: Frame,
    headers: HeaderMap,
    Form(word): Form<Word>,
) -> Response {
    let w = frame.words();
    let done = if !login::is_own(&headers) {
        Err(w.sign_in_foreign.to_owned())
    } else if !frame.may(Role::Admin) {
        Err(w.not_allowed.to_owned())
    } else {
        carry_out(&dashboard, w, word).await
    };
    let notice = match done {
        Ok(text) => Notice { is_good: true, text },
        Err(text) => Notice { is_good: false, text },
    };
    sheet(&dashboard, Frame { notice: Some(notice), ..frame })
}

async fn carry_out(dashboard: &Dashboard, w: &Words, word: Word) -> Result<String, String> {
    let number = |text: &str, what: &str| {
        text.trim().parse::<u32>().map_err(|_| format!("{what}: {text:?}"))
    };
    let (set_point, for_ms, said) = if word.what == "plan" {
        (None, 1, w.done_given_back)
    } else {
        let power = match number(&word.power_w, w.power_w)? {
            0 => SetPoint::Off,
            watts => SetPoint::Run { power_mw: Power::from_milliwatts(i64::from(watts) * 1_000) },
        };
        let minutes = number(&word.for_minutes, w.for_minutes)?;
        (Some(power), u64::from(minutes) * 60_000, w.done_decided)
    };
    let done = dashboard.answers.dispatch.decide(word.machine.clone(), set_point, for_ms).await;
    done.map_err(|refused| refused.to_string())?;
    Ok(fill(said, &[("machine", &word.machine)]))
}

fn sheet(dashboard: &Dashboard, frame: Frame) -> Response {
    let frame = Frame { page: "miners", ..frame };
    let live = Live::new(dashboard, &frame);
    let names = live.machines.iter().map(|it| it.name.clone()).collect();
    let may_decide = frame.may(Role::Admin);
    show(&Page { w: frame.words(), may_decide, names, frame, live })
}

impl Live {
    fn new(dashboard: &Dashboard, frame: &Frame) -> Self {
        let (w, format) = (frame.words(), frame.format());
        let (status, charter) = (dashboard.answers.dispatch.status(), &dashboard.answers.charter);
        let now = clock::now();
        let interval = charter.interval.interval_at(now);
        let history = dashboard.answers.history.borrow();
        let cleared = history.interval(interval).and_then(|it| it.price_msat_per_kwh);
        let retail = || charter.tariff.at(now).retail_msat_per_kwh.to_msat_per_kwh();
        let price = cleared.unwrap_or_else(retail);
        let hashprice = status.hashprice_msat_per_th_day.and_then(|it| i64::try_from(it).ok());
        let latest = status.decisions.iter().rev().take(DECISIONS_SHOWN);
        Self {
            hashprice: hashprice.map(|it| Quantity {
                unit: "sat/TH/d",
                beside: String::new(),
                ..format.money(it)
            }),
            source: status.hashprice_source.clone(),
            spare: status.spare_brings_msat_per_kwh.map(|it| format.price(it)),
            price: Some(format.price(price)),
            machines: status.machines.iter().map(|it| machine(it, price, w, format)).collect(),
            well: status.gas.as_ref().map(|it| Well::new(it, w, format)),
            decisions: latest
                .map(|it| Decision {
                    time: dashboard.clock_at(it.at_unix_ms),
                    machine: it.machine.clone(),
                    set_point: set_point(it.set_point_mw, w, format),
                    reason: reasons::of_machine(&it.reason, w),
                })
                .collect(),
        }
    }
}

fn set_point(mw: Option<i64>, w: &Words, format: Format) -> String {
    match mw {
        None => w.told_nothing.to_owned(),
        Some(0) => w.off.to_owned(),
        Some(mw) => format.power(mw).to_string(),
    }
}

fn machine(it: &MachineStatus, price: i64, w: &'static Words, format: Format) -> Machine {
    Machine {
        name: it.name.clone(),
        about: it.about.clone().unwrap_or_default(),
        draws: it.power_mw.map(|mw| format.power(mw)),
        set_point: set_point(it.set_point_mw, w, format),
        reason: it.reason.as_ref().map_or_else(String::new, |it| reasons::of_machine(it, w)),
        break_even: format.price(it.goes_on_msat_per_kwh),
        pays: it.goes_on_msat_per_kwh >= price,
        is_in_plan: it.is_in_plan,
        trouble: it.trouble.clone(),
    }
}
