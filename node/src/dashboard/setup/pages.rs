//! What the set-up shows: the step that is next, or an earlier one that is looked at again.
//!
//! Not for: what is taken ([`super::forms`]), or texts ([`super::words`]).

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use boltgrid_metering::drivers::{http, modbus_map};
use serde::Deserialize;

use super::said::{CharterForm, LimitsForm, MeterForm, MoneyForm, PlaceForm, Said, Step};
use super::trying::Trying;
use super::words::{self, Words as SetupWords};
use super::{Progress, Setup};
use crate::cli::meter::discover::look::{Found, METER};
use crate::config::render;
use crate::dashboard::format::{Format, Quantity};
use crate::dashboard::frame::{Frame, Notice, show};
use crate::dashboard::words::{Words, fill};
use crate::lightning::Seed;

/// The drivers that the form can describe; those with more settings are for the config file.
const DRIVERS: [(&str, &str); 5] = [
    ("sunspec", "SunSpec (Modbus TCP)"),
    ("modbus-map", "Modbus TCP"),
    ("http", "HTTP, JSON"),
    ("p1", "P1"),
    ("sml", "SML"),
];

#[derive(Template)]
#[template(path = "setup.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
    s: &'static SetupWords,
    /// Every step: its name, its address where it was said, and whether it is this one.
    steps: Vec<(&'static str, Option<&'static str>, bool)>,
    view: View,
}

#[derive(Template)]
#[template(path = "setup_meter_live.html")]
struct Part {
    s: &'static SetupWords,
    live: Option<Live>,
}

/// What a page is about.
pub(super) enum View {
    Door,
    Place {
        form: PlaceForm,
        has_testnet: bool,
    },
    Charter(CharterForm),
    Meter(MeterView),
    Limits(LimitsForm),
    Money(MoneyView),
    /// Each word with its number.
    Words(Vec<(usize, String)>),
    /// The words that are asked for: number and label.
    Confirm(Vec<(usize, String)>),
    Review {
        rows: Vec<(&'static str, String)>,
        config: String,
        lead: String,
    },
    Done(Done),
    Testnet,
}

/// The meter's page.
pub(super) struct MeterView {
    form: MeterForm,
    drivers: [(&'static str, &'static str); 5],
    modbus_maps: Vec<&'static str>,
    http_maps: Vec<&'static str>,
    found: Option<Vec<Row>>,
    live: Option<Live>,
}

/// The page of payments.
pub(super) struct MoneyView {
    form: MoneyForm,
    /// Each with what it is called.
    networks: [(&'static str, &'static str); 4],
    sources: [(&'static str, &'static str); 3],
}

/// A device that was found.
struct Row {
    what: String,
    address: String,
    power: Option<String>,
    also: Option<String>,
    is_meter: bool,
}

/// What a meter that is tried out shows.
struct Live {
    power: Option<Quantity>,
    values: Vec<(&'static str, Quantity)>,
    silent: Option<String>,
    answered: String,
    hints: Vec<String>,
    is_fine: bool,
}

/// What was written, and what is left to do.
pub(super) struct Done {
    pub(super) token: Option<String>,
    pub(super) no_token: String,
    /// The request for membership, in base64.
    pub(super) request: Option<String>,
    pub(super) no_request: String,
    pub(super) request_file: String,
    pub(super) folder: String,
    pub(super) enrolments: String,
}

/// Which page is wanted.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    step: String,
}

/// `GET ./`.
pub(super) async fn page(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Response {
    if !setup.knows(&headers) {
        return door(frame);
    }
    let mut state = setup.state.lock().await;
    let next = state.said.next();
    // What was said may be looked at again, but for the words.
    let wanted = Step::from_name(&wanted.step).filter(|it| *it <= next && *it != Step::Words);
    sheet(&setup, frame, &mut state, wanted.unwrap_or(next))
}

/// `GET ./meter-live`: reads the meter that is tried out once more.
pub(super) async fn live(State(setup): State<Arc<Setup>>, frame: Frame) -> Response {
    let mut state = setup.state.lock().await;
    let (w, s) = (frame.words(), words::of(frame.language));
    let live = match &mut state.trying {
        Some(trying) => {
            trying.read().await;
            Live::of(trying, (w, s), frame.format())
        }
        None => None,
    };
    show(&Part { s, live })
}

/// The door.
pub(super) fn door(frame: Frame) -> Response {
    ending(frame, View::Door)
}

/// A page outside of the steps.
pub(super) fn ending(frame: Frame, view: View) -> Response {
    let (w, s) = (frame.words(), words::of(frame.language));
    show(&Page { frame, w, s, steps: Vec::new(), view })
}

/// A step's page.
pub(super) fn sheet(setup: &Setup, frame: Frame, state: &mut Progress, step: Step) -> Response {
    let (w, s, format) = (frame.words(), words::of(frame.language), frame.format());
    let mut frame = frame;
    let view = match step {
        Step::Place => {
            View::Place { form: state.place.clone(), has_testnet: setup.testnet.is_some() }
        }
        Step::Charter => View::Charter(state.charter.clone()),
        Step::Meter => View::Meter(MeterView::of(state, (w, s), format)),
        Step::Limits => View::Limits(state.limits.clone()),
        Step::Money => View::Money(MoneyView::of(&state.money, s)),
        Step::Words if state.is_written_down => {
            View::Confirm(state.asked.iter().map(|it| (*it, s.word(*it))).collect())
        }
        Step::Words => match worded(state) {
            Ok(words) => View::Words(words),
            Err(text) => {
                frame.notice = Some(Notice { is_good: false, text });
                View::Words(Vec::new())
            }
        },
        Step::Review => {
            let file = setup.file().display().to_string();
            let lead = fill(s.review_lead, &[("file", &file)]);
            View::Review { rows: rows(&state.said, (w, s), format), config: config(state), lead }
        }
    };
    let next = state.said.next();
    let link = |it: Step| (it < next && it != Step::Words).then(|| it.name());
    let steps = Step::ALL.map(|it| (s.step(it), link(it), it == step)).to_vec();
    let number = Step::ALL.iter().position(|it| *it == step).unwrap_or(0).saturating_add(1);
    let gaps = [("number", &*number.to_string()), ("count", &*Step::ALL.len().to_string())];
    frame.who = fill(s.progress, &gaps);
    show(&Page { frame, w, s, steps, view })
}

/// The words of the seed, which is made where there is none.
fn worded(state: &mut Progress) -> Result<Vec<(usize, String)>, String> {
    let seed = match state.seed.take() {
        Some(seed) => seed,
        None => Seed::new().map_err(|error| error.to_string())?,
    };
    let words = seed.words();
    state.seed = Some(seed);
    Ok((1..).zip(words.split(' ').map(str::to_owned)).collect())
}

/// The lines of the config file that say something.
fn config(state: &Progress) -> String {
    let text = render(&state.said.config());
    let says = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let lines: Vec<&str> = text.lines().filter(says).collect();
    // A heading without anything below it says nothing.
    let is_heading = |line: &str| line.starts_with('[');
    let kept = lines.iter().enumerate().filter(|(place, line)| {
        !is_heading(line) || lines.get(place.saturating_add(1)).is_some_and(|it| !is_heading(it))
    });
    kept.map(|(_, line)| *line).collect::<Vec<_>>().join("\n")
}

/// What was said, in short.
fn rows(
    said: &Said,
    (w, s): (&'static Words, &'static SetupWords),
    format: Format,
) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(place) = &said.place {
        let power = |watts: u32| format.power(i64::from(watts) * 1_000).to_string();
        let (import, export) = (power(place.import_w), power(place.export_w));
        rows.push((s.place, format!("{} · {}: {import} / {export}", place.name, w.rated)));
    }
    if let Some(grid) = &said.grid {
        rows.push((s.charter, format!("{} · {}", grid.charter.name, grid.charter.grid_id())));
    }
    let meter = said.meter.as_ref().map(|meter| match meter {
        Some(device) => toml::Table::from(device.clone())
            .get("address")
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        None => s.skip_meter.to_owned(),
    });
    rows.extend(meter.map(|meter| (s.meter, meter)));
    if let Some(limits) = &said.limits {
        let price = |price: Option<boltgrid_protocol::units::Price>| {
            price.map_or_else(
                || w.tariff_word.to_owned(),
                |price| format.price(price.to_msat_per_kwh()).to_string(),
            )
        };
        let trade = if limits.trade { w.yes } else { w.no };
        rows.push((w.trade, trade.to_owned()));
        rows.push((w.buy_at_most, price(limits.buy_at_most)));
        rows.push((w.sell_at_least, price(limits.sell_at_least)));
        rows.push((w.reserve, limits.reserve_percent.to_string()));
    }
    if let Some(money) = &said.money {
        let network = money.lightning.network.clone();
        rows.push((s.network, network.unwrap_or_else(|| s.network_none.to_owned())));
    }
    rows
}

impl MoneyView {
    fn of(form: &MoneyForm, s: &'static SetupWords) -> Self {
        Self {
            form: form.clone(),
            networks: [
                ("none", s.network_none),
                ("regtest", s.network_regtest),
                ("signet", s.network_signet),
                ("mainnet", s.network_mainnet),
            ],
            sources: [("bitcoind", s.bitcoind), ("esplora", s.esplora), ("electrum", s.electrum)],
        }
    }
}

impl MeterView {
    fn of(state: &Progress, texts: (&'static Words, &'static SetupWords), format: Format) -> Self {
        let s = texts.1;
        let row = |found: &Found| {
            let mw = found.power_mw.as_ref().and_then(|mw| mw.parse().ok());
            let power =
                mw.map(|mw| fill(s.shows_power, &[("power", &format.power(mw).to_string())]));
            let maps = found.also.join(", ");
            Row {
                what: found.what.clone(),
                address: found.address.clone(),
                power,
                also: (!maps.is_empty()).then(|| fill(s.also_fits, &[("maps", &maps)])),
                is_meter: found.section == Some(METER),
            }
        };
        Self {
            form: state.meter.clone(),
            drivers: DRIVERS,
            modbus_maps: modbus_map::shipped().iter().map(|map| map.name).collect(),
            http_maps: http::SHIPPED.iter().map(|(name, _)| *name).collect(),
            found: state.found.as_ref().map(|found| found.iter().map(row).collect()),
            live: state.trying.as_ref().and_then(|trying| Live::of(trying, texts, format)),
        }
    }

    /// Whether a meter is tried out.
    const fn is_tried(&self) -> bool {
        self.live.is_some()
    }
}

impl Live {
    fn of(
        trying: &Trying,
        (w, s): (&'static Words, &'static SetupWords),
        format: Format,
    ) -> Option<Self> {
        let (answered, asked) = trying.answered();
        let gaps = [("answered", &*answered.to_string()), ("asked", &*asked.to_string())];
        let hints = trying.hints();
        let last = trying.last();
        let mut values = Vec::new();
        if let Some(last) = &last {
            let energy = |mwh: u64| format.energy(i64::try_from(mwh).unwrap_or(i64::MAX));
            values.extend(last.import_register_mwh.map(|it| (w.taken, energy(it))));
            values.extend(last.export_register_mwh.map(|it| (w.given, energy(it))));
            values.extend(last.voltage_mv.map(|it| (w.voltage, format.voltage(it))));
            values.extend(last.frequency_mhz.map(|it| (w.frequency, format.frequency(it))));
        }
        let silent = last.as_ref().and_then(|last| last.stale.as_ref());
        Some(Self {
            power: last.as_ref().and_then(|last| last.power_mw).map(|mw| format.power(mw)),
            values,
            silent: silent.map(|why| fill(s.silent, &[("why", why)])),
            answered: fill(s.answered, &gaps),
            is_fine: hints.is_empty() && answered > 0,
            hints,
        })
    }
}
