//! The page Meters: what each meter shows now, how good the grid's power was, and what cannot be.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::format::{Format, Quantity};
use super::frame::{Frame, show};
use super::words::Words;
use super::{Dashboard, reasons};
use crate::clock;
use crate::rpc::checks::{AnomalyReport, ChecksRpcServer, QualityReport};
use crate::rpc::meter::{MeterReport, PhaseReport};
use crate::site::MeterState;

/// How far back quality and anomalies are looked at: a week, as EN 50160 does.
const BACK_MS: u64 = 7 * 86_400_000;
/// Anomalies that are shown, the latest.
const ANOMALIES_SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "meters.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
    meters: Vec<Meter>,
    quality: Option<Quality>,
    anomalies: Vec<Anomaly>,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "meters_live.html")]
struct Part {
    w: &'static Words,
    meters: Vec<Meter>,
}

struct Meter {
    name: String,
    role: String,
    settles: bool,
    is_virtual: bool,
    stale: Option<String>,
    power: Option<Quantity>,
    taken: Option<Quantity>,
    given: Option<Quantity>,
    voltage: Option<Quantity>,
    frequency: Option<Quantity>,
    phases: Vec<Phase>,
}

struct Phase {
    number: u8,
    power: String,
    voltage: String,
    current: String,
}

struct Quality {
    is_good: bool,
    within_ten: Option<Quantity>,
    lowest: Option<Quantity>,
    highest: Option<Quantity>,
    slowest: Option<Quantity>,
    fastest: Option<Quantity>,
    events: usize,
}

struct Anomaly {
    time: String,
    of: String,
    found: String,
    stands: bool,
}

/// `GET ./meters`.
pub(super) async fn page(State(dashboard): State<Arc<Dashboard>>, frame: Frame) -> Response {
    let frame = Frame { page: "meters", ..frame };
    let (w, format) = (frame.words(), frame.format());
    let from = clock::now().minus_ms(BACK_MS).to_unix_ms().to_string();
    let answers = &dashboard.answers;
    let looked = async {
        let quality = answers.quality(from.clone()).await?;
        Ok::<_, jsonrpsee::types::ErrorObjectOwned>((quality, answers.anomalies(from, None).await?))
    };
    // What fails here is in the log already.
    let (quality, anomalies, problem) = match looked.await {
        Ok((quality, anomalies)) => (quality_of(&quality, format), anomalies, None),
        Err(error) => (None, Vec::new(), Some(error.message().to_owned())),
    };
    let latest = anomalies.iter().rev().take(ANOMALIES_SHOWN);
    let anomalies = latest.map(|it| anomaly(&dashboard, it)).collect();
    show(&Page { w, meters: meters(&dashboard, w, format), quality, anomalies, problem, frame })
}

/// `GET ./meters-live`.
pub(super) async fn live(State(dashboard): State<Arc<Dashboard>>, frame: Frame) -> Response {
    show(&Part { w: frame.words(), meters: meters(&dashboard, frame.words(), frame.format()) })
}

fn meters(dashboard: &Dashboard, w: &'static Words, format: Format) -> Vec<Meter> {
    let meters = dashboard.answers.site.meters.borrow();
    let shown = |it: &MeterState| Meter {
        stale: it.stale.as_ref().map(|stale| reasons::of_stale(stale, w)),
        ..meter(MeterReport::from(it), format)
    };
    meters.iter().map(shown).collect()
}

fn meter(it: MeterReport, format: Format) -> Meter {
    let energy = |mwh: u64| format.energy(i64::try_from(mwh).unwrap_or(i64::MAX));
    Meter {
        power: it.power_mw.map(|mw| format.power(mw)),
        taken: it.import_register_mwh.map(energy),
        given: it.export_register_mwh.map(energy),
        voltage: it.voltage_mv.map(|mv| format.voltage(mv)),
        frequency: it.frequency_mhz.map(|mhz| format.frequency(mhz)),
        phases: it.phases.iter().map(|phase| phase_of(phase, format)).collect(),
        name: it.name,
        role: it.role,
        settles: it.settles,
        is_virtual: it.is_virtual,
        stale: it.stale,
    }
}

fn phase_of(it: &PhaseReport, format: Format) -> Phase {
    let or_none = |quantity: Option<Quantity>| {
        quantity.map_or_else(|| "–".to_owned(), |quantity| quantity.to_string())
    };
    Phase {
        number: it.phase,
        power: or_none(it.power_mw.map(|mw| format.power(mw))),
        voltage: or_none(it.voltage_mv.map(|mv| format.voltage(mv))),
        current: or_none(it.current_ma.map(|ma| format.current(ma))),
    }
}

fn quality_of(it: &QualityReport, format: Format) -> Option<Quality> {
    // Parts per million are ten times as fine as thousandths of a per cent.
    let percent = |ppm: u64| format.percent(i64::try_from(ppm / 10).unwrap_or(i64::MAX));
    Some(Quality {
        is_good: it.meets_en_50160?,
        within_ten: it.within_10_percent_ppm.map(percent),
        lowest: it.lowest_mv.map(|mv| format.voltage(mv)),
        highest: it.highest_mv.map(|mv| format.voltage(mv)),
        slowest: it.lowest_mhz.map(|mhz| format.frequency(mhz)),
        fastest: it.highest_mhz.map(|mhz| format.frequency(mhz)),
        events: it.events.len(),
    })
}

fn anomaly(dashboard: &Dashboard, it: &AnomalyReport) -> Anomaly {
    Anomaly {
        time: dashboard.clock_at(it.began_at_unix_ms),
        of: it.of.clone(),
        found: it.found.clone(),
        stands: it.ended_at_unix_ms.is_none(),
    }
}
