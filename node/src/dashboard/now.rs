//! The page Now: where power flows, what it costs, what was made of today, what is ordered next and why,
//! and all of it in one plain sentence.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use boltgrid_protocol::units::{Energy, Interval, Power, Timestamp};

use super::flows::{Flows, mean_power};
use super::format::{Format, Quantity};
use super::frame::{Frame, show};
use super::tally::{Tally, first_of_day};
use super::words::{Words, fill};
use super::{Dashboard, reasons};
use crate::clock;
use crate::rpc::order::{OrderState, OwnOrderReport};
use crate::site::SiteState;
use crate::status::{IntervalReport, StepReport, TradeState};
use crate::store::ArchiveError;

#[derive(Template)]
#[template(path = "now.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
    live: Live,
}

#[derive(Template)]
#[template(path = "now_live.html")]
struct Part {
    w: &'static Words,
    live: Live,
}

/// What changes from second to second.
struct Live {
    sentence: String,
    /// None before the first sample.
    picture: Option<Picture>,
    price: Option<Quantity>,
    price_from: String,
    price_until: String,
    tariff: String,
    today: Today,
    next_from: String,
    next_until: String,
    next: Vec<Step>,
}

/// The parts of the energy-flow picture.
struct Picture {
    house: Quantity,
    spokes: Vec<Spoke>,
    /// What of the drawing is seen.
    view_box: &'static str,
}

/// One part beside the house, and the line between them.
struct Spoke {
    /// The name of its symbol and place.
    kind: &'static str,
    label: &'static str,
    power: Quantity,
    note: String,
    /// `in` to the house, `out` of it, or `idle`.
    way: &'static str,
    /// The line's width in pixels.
    width: u64,
}

struct Today {
    bought: Quantity,
    sold: Quantity,
    earned: Quantity,
    spent: Quantity,
    saved: Quantity,
    is_worse: bool,
}

pub(super) struct Step {
    pub(super) is_sell: bool,
    pub(super) energy: Quantity,
    pub(super) limit: String,
    pub(super) why: &'static str,
}

/// `GET ./`.
pub(super) async fn page(State(dashboard): State<Arc<Dashboard>>, frame: Frame) -> Response {
    let frame = Frame { page: "now", ..frame };
    let orders = orders(&dashboard).await;
    match Live::new(&dashboard, &frame, &orders) {
        Ok(live) => show(&Page { w: frame.words(), frame, live }),
        Err(error) => super::unreadable(&frame, &error),
    }
}

/// `GET ./now-live`.
pub(super) async fn live(State(dashboard): State<Arc<Dashboard>>, frame: Frame) -> Response {
    let orders = orders(&dashboard).await;
    match Live::new(&dashboard, &frame, &orders) {
        Ok(live) => show(&Part { w: frame.words(), live }).into_response(),
        Err(error) => super::unreadable(&frame, &error),
    }
}

/// What is or would be ordered; nothing where the market task is too busy to say.
async fn orders(dashboard: &Dashboard) -> Vec<OwnOrderReport> {
    dashboard.answers.trading.orders().await.unwrap_or_default()
}

impl Live {
    fn new(
        dashboard: &Dashboard,
        frame: &Frame,
        orders: &[OwnOrderReport],
    ) -> Result<Self, ArchiveError> {
        let (w, format, now) = (frame.words(), frame.format(), clock::now());
        let answers = &dashboard.answers;
        let charter = &answers.charter;
        let current = charter.interval.interval_at(now);
        let report = answers.history.borrow().interval(current).cloned();
        // The latest order that is out, and before there is one, what would be ordered.
        let coming = || orders.iter().filter(|it| it.interval > current.to_number());
        let is_placed = |it: &&OwnOrderReport| it.state == OrderState::Placed;
        let next = coming().rfind(is_placed).or_else(|| coming().next());
        let next = next.map(|it| (Interval::from_number(it.interval), it.steps.clone()));
        let state = answers.site.state.borrow().clone();
        let traded = traded(report.as_ref(), charter.interval.interval_ms);
        let miners_mw = miners(dashboard);
        let mut flows = state.as_ref().map(|state| Flows::new(state, miners_mw, traded));
        if let Some(flows) = flows.as_mut().filter(|_| answers.dispatch.status().gas.is_some()) {
            flows.generator_mw.get_or_insert(0);
        }
        let price = report.as_ref().and_then(|report| report.price_msat_per_kwh);
        let tariff = charter.tariff.at(now);
        let said = [
            ("retail", format.price(tariff.retail_msat_per_kwh.to_msat_per_kwh()).to_string()),
            ("feed_in", format.price(tariff.feed_in_msat_per_kwh.to_msat_per_kwh()).to_string()),
        ];
        let said = said.each_ref().map(|(name, text)| (*name, text.as_str()));
        let (next_interval, next) = next.unwrap_or((current.next(), Vec::new()));
        let time = |interval| dashboard.time_of(interval);
        Ok(Self {
            sentence: sentence(dashboard, frame, (state.as_ref(), flows.as_ref()), price),
            picture: state.zip(flows).map(|(state, flows)| picture(w, format, &state, &flows)),
            price: price.map(|price| format.price(price)),
            price_from: time(current),
            price_until: time(current.next()),
            tariff: fill(w.beside_tariff, &said),
            today: today(dashboard, format, (now, current))?,
            next_from: time(next_interval),
            next_until: time(next_interval.next()),
            next: next.iter().map(|it| step(it, w, format)).collect(),
        })
    }
}

/// What was bought less what was sold, as a power over the whole interval.
fn traded(report: Option<&IntervalReport>, interval_ms: u64) -> Power {
    let mut sum = Power::ZERO;
    let trades = report.map_or(&[][..], |report| &report.own_trades);
    for trade in trades.iter().filter(|it| it.state == TradeState::Confirmed) {
        let power = mean_power(Energy::from_milliwatt_hours(trade.energy_mwh), interval_ms);
        let sum_now =
            if trade.side == "buy" { sum.checked_add(power) } else { sum.checked_sub(power) };
        sum = sum_now.unwrap_or(sum);
    }
    sum
}

/// What machines draw; none without machines.
fn miners(dashboard: &Dashboard) -> Option<i64> {
    let status = dashboard.answers.dispatch.status();
    let draw = |sum: i64, mw: i64| sum.saturating_add(mw);
    (!status.machines.is_empty())
        .then(|| status.machines.iter().filter_map(|it| it.power_mw).fold(0, draw))
}

fn picture(w: &'static Words, format: Format, state: &SiteState, flows: &Flows) -> Picture {
    let spoke = |kind, label, mw: i64, note| Spoke {
        kind,
        label,
        power: format.power(mw.saturating_abs()),
        note,
        way: match mw {
            ..IDLE_FROM => "out",
            IDLE_FROM..=IDLE_TO => "idle",
            _ => "in",
        },
        width: width(mw),
    };
    let mut spokes = vec![
        spoke("sun", w.sun, flows.sun_mw, String::new()),
        spoke("neighbours", w.neighbours, flows.neighbours_mw, way_words(w, flows.neighbours_mw)),
        spoke("supplier", w.supplier, flows.supplier_mw, String::new()),
    ];
    if let Some((battery, mw)) = state.battery.zip(flows.battery_mw) {
        let capacity = u128::from(battery.capacity_mwh.to_milliwatt_hours().max(1));
        let stored = u128::from(battery.stored_mwh.to_milliwatt_hours()) * 100_000 / capacity;
        let percent = format.percent(i64::try_from(stored).unwrap_or(i64::MAX)).to_string();
        let note = fill(w.stored, &[("percent", &percent)]);
        spokes.push(spoke("battery", w.battery, mw, note));
    }
    if let Some(mw) = flows.generator_mw {
        spokes.push(spoke("generator", w.generator, mw, String::new()));
    }
    if let Some(mw) = flows.miners_mw {
        let note = if mw == 0 { w.off.to_owned() } else { String::new() };
        spokes.push(spoke("miners", w.miners, mw.saturating_neg(), note));
    }
    // A generator stands above the rest.
    let view_box = if flows.generator_mw.is_some() { "0 -50 640 490" } else { "0 0 640 440" };
    Picture { house: format.power(flows.house_mw), spokes, view_box }
}

/// Less than this in milliwatts, either way, is drawn as no flow.
const IDLE_TO: i64 = 4_999;
const IDLE_FROM: i64 = -IDLE_TO;

fn way_words(w: &Words, mw: i64) -> String {
    match mw {
        ..IDLE_FROM => w.sold.to_owned(),
        IDLE_FROM..=IDLE_TO => String::new(),
        _ => w.bought.to_owned(),
    }
}

/// How wide the line of a flow is: two pixels more for each tenfold from 10 W on.
fn width(mw: i64) -> u64 {
    match mw.unsigned_abs() {
        0..100_000 => 2,
        100_000..1_000_000 => 4,
        1_000_000..5_000_000 => 6,
        _ => 9,
    }
}

fn today(
    dashboard: &Dashboard,
    format: Format,
    (now, current): (Timestamp, Interval),
) -> Result<Today, ArchiveError> {
    let (archive, charter) = (&dashboard.answers.archive, &dashboard.answers.charter);
    let tally = Tally::of(archive, charter, first_of_day(charter, now), current.next())?;
    Ok(Today {
        bought: format.energy(tally.bought_mwh),
        sold: format.energy(tally.sold_mwh),
        earned: format.money(tally.earned_msat),
        spent: format.money(tally.spent_msat),
        saved: format.money(tally.saved_msat),
        is_worse: tally.saved_msat < 0,
    })
}

pub(super) fn step(step: &StepReport, w: &'static Words, format: Format) -> Step {
    let is_sell = step.side == "sell";
    let price = format.price(step.limit_msat_per_kwh).to_string();
    Step {
        is_sell,
        energy: format.energy(i64::try_from(step.energy_mwh).unwrap_or(i64::MAX)),
        limit: fill(if is_sell { w.at_least } else { w.at_most }, &[("price", &price)]),
        why: match (is_sell, step.source.as_str()) {
            (false, "load") => w.why_buy_load,
            (false, "battery") => w.why_buy_battery,
            (false, "miner") => w.why_buy_miner,
            (true, "pv" | "pv_must_run") => w.why_sell_pv,
            (true, "battery") => w.why_sell_battery,
            (true, "generator") => w.why_sell_generator,
            (true | false, _) => w.why_other,
        },
    }
}

/// What the node is doing, in one plain sentence.
fn sentence(
    dashboard: &Dashboard,
    frame: &Frame,
    (state, flows): (Option<&SiteState>, Option<&Flows>),
    price: Option<i64>,
) -> String {
    let (w, format) = (frame.words(), frame.format());
    let (Some(state), Some(flows)) = (state, flows) else { return w.no_site.to_owned() };
    if let Some(stale) = &state.stale {
        return fill(w.says_stale, &[("why", &reasons::of_stale(stale, w))]);
    }
    if dashboard.answers.history.borrow().sight().abstaining.is_some() {
        return w.says_abstains.to_owned();
    }
    if !dashboard.is_member() {
        return w.says_not_member.to_owned();
    }
    let power = |mw: i64| format.power(mw.saturating_abs()).to_string();
    let price = price.map_or_else(|| w.no_price.to_owned(), |it| format.price(it).to_string());
    let with = |text: &str, mw: i64| fill(text, &[("power", &power(mw)), ("price", &price)]);
    let is_some = |mw: i64| !(IDLE_FROM..=IDLE_TO).contains(&mw);
    let (neighbours, supplier) = (flows.neighbours_mw, flows.supplier_mw);
    let mut said = match (is_some(neighbours), neighbours > 0) {
        (true, true) => with(w.says_buys, neighbours),
        (true, false) => with(w.says_sells, neighbours),
        (false, _) => String::new(),
    };
    if is_some(supplier) {
        let text = match (said.is_empty(), supplier > 0) {
            (true, true) => w.says_takes,
            (true, false) => w.says_gives,
            (false, true) => w.says_and_takes,
            (false, false) => w.says_and_gives,
        };
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(&with(text, supplier));
    }
    if said.is_empty() {
        w.says_even.clone_into(&mut said);
    }
    if let Some(mw) = flows.battery_mw.filter(|mw| is_some(*mw)) {
        said.push_str("; ");
        said.push_str(if mw > 0 { w.says_discharges } else { w.says_charges });
    }
    if let Some(mw) = flows.miners_mw.filter(|mw| is_some(*mw)) {
        said.push_str("; ");
        said.push_str(&with(w.says_mines, mw));
    }
    said.push('.');
    said
}
