//! The page Market: the curves of any interval with the point where they cross, price and volume over
//! days, and own trades with each partner.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use boltgrid_market::clear::{self, Replayed};
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::units::Interval;
use serde::Deserialize;

use super::Dashboard;
use super::chart::{Chart, Series, Thousandths};
use super::curves::Curves;
use super::format::Quantity;
use super::frame::{Frame, show};
use super::tally::Tally;
use super::words::Words;
use crate::clock;
use crate::store::ArchiveError;

/// Points of a chart, at most: a month of five minutes. Of more, the latest.
const POINTS_MAX: usize = 8_928;
/// Days that can be looked at.
const SPANS: [u64; 3] = [1, 7, 30];

#[derive(Template)]
#[template(path = "market.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
    days: u64,
    chosen: Option<Chosen>,
    partners: Vec<Partner>,
}

/// One interval, cleared again.
struct Chosen {
    number: u64,
    from: String,
    until: String,
    earlier: Option<u64>,
    later: Option<u64>,
    /// None where there is no book.
    book: Option<Book>,
}

struct Book {
    curves: Option<Curves>,
    price: Option<Quantity>,
    volume: Quantity,
    own: Quantity,
    orders: usize,
    trades: usize,
}

struct Partner {
    name: String,
    trades: u32,
    bought: Quantity,
    sold: Quantity,
    due: Quantity,
    owes: bool,
}

/// What is to be looked at.
#[derive(Deserialize)]
pub(super) struct Wish {
    interval: Option<u64>,
    days: Option<u64>,
}

impl Wish {
    fn days(&self) -> u64 {
        self.days.filter(|days| SPANS.contains(days)).unwrap_or(1)
    }
}

/// `GET ./market`.
pub(super) async fn page(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    frame: Frame,
) -> Response {
    let frame = Frame { page: "market", ..frame };
    let all = || {
        let chosen = chosen(&dashboard, &frame, wish.interval.map(Interval::from_number))?;
        Ok((chosen, partners(&dashboard, &frame, wish.days())?))
    };
    match all() {
        Ok((chosen, partners)) => {
            show(&Page { w: frame.words(), frame, days: wish.days(), chosen, partners })
        }
        Err(error) => super::unreadable(&frame, &error),
    }
}

/// `GET ./market-prices`: the numbers of the chart.
pub(super) async fn prices(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    frame: Frame,
) -> Response {
    match chart(&dashboard, frame.words(), wish.days()) {
        Ok(chart) => chart.show(),
        Err(error) => super::unreadable(&frame, &error),
    }
}

fn chart(dashboard: &Dashboard, w: &Words, days: u64) -> Result<Chart, ArchiveError> {
    let charter = &dashboard.answers.charter;
    let from = dashboard.since(days);
    let latest = dashboard.answers.archive.clearings(from..).take(POINTS_MAX);
    let mut clearings = latest.collect::<Result<Vec<_>, _>>()?;
    clearings.reverse();
    let clock = &charter.tariff.clock;
    let second = |interval| clock.local_ms(charter.interval.start_of(interval)) / 1_000;
    let price = clearings
        .iter()
        .map(|(_, it)| it.price_msat_per_kwh.map(|price| Thousandths(price.to_msat_per_kwh())));
    let volume = clearings.iter().map(|(_, it)| {
        // Wh, which are thousandths of a kWh.
        let wh = it.volume_mwh.to_milliwatt_hours() / 1_000;
        Some(Thousandths(i64::try_from(wh).unwrap_or(i64::MAX)))
    });
    let series = |label, unit, (colour, style, scale), values| Series {
        label,
        unit,
        colour,
        style,
        scale,
        values,
    };
    Ok(Chart {
        time: w.time,
        times: clearings.iter().map(|(interval, _)| second(*interval)).collect(),
        series: vec![
            series(w.price, "sat/kWh", ("--bad", "line", "y"), price.collect()),
            series(w.volume, "kWh", ("--neighbours", "bars", "kwh"), volume.collect()),
        ],
    })
}

/// The interval that is asked for, or the latest with a book.
fn chosen(
    dashboard: &Dashboard,
    frame: &Frame,
    asked: Option<Interval>,
) -> Result<Option<Chosen>, ArchiveError> {
    let archive = &dashboard.answers.archive;
    let first_of = |interval: Option<Result<(Interval, _), ArchiveError>>| {
        interval.transpose().map(|found: Option<(Interval, crate::store::ClearingRecord)>| {
            found.map(|(interval, _)| interval.to_number())
        })
    };
    let interval = match asked {
        Some(interval) => interval,
        None => match first_of(archive.clearings(..).next())? {
            Some(number) => Interval::from_number(number),
            None => return Ok(None),
        },
    };
    let latest = first_of(archive.clearings(..).next())?;
    let later = latest.filter(|it| *it > interval.to_number());
    Ok(Some(Chosen {
        number: interval.to_number(),
        from: dashboard.time_of(interval),
        until: dashboard.time_of(interval.next()),
        earlier: first_of(archive.clearings(..interval).next())?,
        later: later.map(|_| interval.next().to_number()),
        book: book(dashboard, frame, interval)?,
    }))
}

fn book(
    dashboard: &Dashboard,
    frame: &Frame,
    interval: Interval,
) -> Result<Option<Book>, ArchiveError> {
    let (answers, format) = (&dashboard.answers, frame.format());
    let Some(stored) = answers.archive.book(interval)? else { return Ok(None) };
    let roster = answers.rosters.clone().at(interval);
    let replayed = BookCertificate::from_bytes(&stored.certificate)
        .map_err(|error| error.to_string())
        .and_then(|certificate| {
            let replayed = clear::replay(&answers.charter, &roster, &certificate, &stored.orders);
            replayed.map_err(|error| error.to_string())
        });
    let Replayed { clearing, orders, .. } = match replayed {
        Ok(replayed) => replayed,
        Err(error) => {
            tracing::warn!(%interval, error, "a stored book cannot be shown");
            return Ok(None);
        }
    };
    let me = roster.index_of(&answers.participant);
    let mwh = |energy: boltgrid_protocol::units::Energy| {
        i64::try_from(energy.to_milliwatt_hours()).unwrap_or(i64::MAX)
    };
    let own = clearing.trades.iter().filter(|it| Some(it.buyer) == me || Some(it.seller) == me);
    let own = own.fold(0_i64, |sum, it| sum.saturating_add(mwh(it.energy_mwh)));
    let price = clearing.price_msat_per_kwh.map(|it| it.to_msat_per_kwh());
    let volume = mwh(clearing.volume_mwh);
    Ok(Some(Book {
        curves: Curves::new(&orders, me, price.map(|price| (volume, price)), format),
        price: price.map(|price| format.price(price)),
        volume: format.energy(volume),
        own: format.energy(own),
        orders: orders.len(),
        trades: clearing.trades.len(),
    }))
}

fn partners(dashboard: &Dashboard, frame: &Frame, days: u64) -> Result<Vec<Partner>, ArchiveError> {
    let (answers, format) = (&dashboard.answers, frame.format());
    let before = answers.charter.interval.interval_at(clock::now()).next();
    let from = dashboard.since(days);
    let tally = Tally::of(&answers.archive, &answers.charter, from, before)?;
    let mut partners: Vec<_> = tally.partners.into_iter().collect();
    partners.sort_by_key(|(_, it)| it.bought_mwh.saturating_add(it.sold_mwh).saturating_neg());
    let shown = partners.into_iter().map(|(whom, it)| Partner {
        name: dashboard.name_of(&whom),
        trades: it.trades,
        bought: format.energy(it.bought_mwh),
        sold: format.energy(it.sold_mwh),
        due: format.money(it.due_msat),
        owes: it.due_msat < 0,
    });
    Ok(shown.collect())
}
