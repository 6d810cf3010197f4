//! The page Settings: what an owner may change while the node runs, tried out before it is changed, and
//! what was changed.
//!
//! Not for: what holds and since when, which the node's standing instructions say.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Form};
use serde::Deserialize;

use super::format::Format;
use super::frame::{Frame, Notice, show};
use super::now::{Step, step};
use super::words::Words;
use super::{Dashboard, login};
use crate::access::{Caller, Role};
use crate::instructions::{Change, Instructions};
use crate::rpc::order::InstructionsReport;

/// Changes that are shown, the latest.
const CHANGES_SHOWN: usize = 20;
/// Most characters of a price.
const PRICE_TEXT_MAX: usize = 16;

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
    may_change: bool,
    /// Whether something else holds than the config file says.
    is_changed: bool,
    trade: bool,
    buy_at_most: String,
    sell_at_least: String,
    reserve: u8,
    /// What would be ordered by what is in the form; none unless that was asked.
    tried: Option<Vec<Step>>,
    changes: Vec<Row>,
}

struct Row {
    time: String,
    by: String,
    what: Vec<String>,
}

/// What the form says.
#[derive(Deserialize)]
pub(super) struct Wish {
    trade: Option<String>,
    #[serde(default)]
    buy_at_most: String,
    #[serde(default)]
    sell_at_least: String,
    #[serde(default)]
    reserve: String,
    /// `save`, `try`, or `reset` to what the config file says.
    what: String,
}

/// `GET ./settings`.
pub(super) async fn page(State(dashboard): State<Arc<Dashboard>>, frame: Frame) -> Response {
    match dashboard.answers.trading.instructions().await {
        Ok(report) => sheet(&dashboard, frame, &report, None),
        Err(error) => busy(&error.to_string()),
    }
}

/// `POST ./settings`: changes the limits, or says what would follow.
pub(super) async fn change(
    State(dashboard): State<Arc<Dashboard>>,
    frame: Frame,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Form(wish): Form<Wish>,
) -> Response {
    let report = match dashboard.answers.trading.instructions().await {
        Ok(report) => report,
        Err(error) => return busy(&error.to_string()),
    };
    let w = frame.words();
    let allowed = if !login::is_own(&headers) {
        Err(w.sign_in_foreign.to_owned())
    } else if !frame.may(Role::Trade) {
        Err(w.not_allowed.to_owned())
    } else {
        wanted(&wish, &report.config, w)
    };
    let is_dry = wish.what == "try";
    let done = match allowed {
        Ok(wanted) => instruct(&dashboard, wanted, &caller.name, is_dry).await,
        Err(why) => Err(why),
    };
    match done {
        Ok(report) if is_dry => {
            let (format, next) = (frame.format(), report.next.as_ref());
            let steps = next.map_or(&[][..], |next| &next.steps);
            let tried = steps.iter().map(|it| step(it, w, format)).collect();
            sheet(&dashboard, frame, &trying(report), Some(tried))
        }
        Ok(report) => {
            let notice = Some(Notice { is_good: true, text: w.saved_limits.to_owned() });
            sheet(&dashboard, Frame { notice, ..frame }, &report, None)
        }
        Err(text) => {
            let notice = Some(Notice { is_good: false, text });
            sheet(&dashboard, Frame { notice, ..frame }, &report, None)
        }
    }
}

async fn instruct(
    dashboard: &Dashboard,
    wanted: Instructions,
    by: &str,
    is_dry: bool,
) -> Result<InstructionsReport, String> {
    let answers = &dashboard.answers;
    wanted.check(&answers.charter).map_err(|why| why.to_string())?;
    let done = answers.trading.instruct(wanted, by.to_owned(), is_dry).await;
    done.map_err(|why| why.to_string())
}

/// What is only tried out, shown in the form as if it held.
fn trying(report: InstructionsReport) -> InstructionsReport {
    InstructionsReport { holds: over(&report.instructions, &report.config), ..report }
}

fn busy(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, why.to_owned()).into_response()
}

fn sheet(
    dashboard: &Dashboard,
    frame: Frame,
    report: &InstructionsReport,
    tried: Option<Vec<Step>>,
) -> Response {
    let (w, format) = (frame.words(), frame.format());
    let text = |price: Option<i64>| price.map_or_else(String::new, |it| plain(it, format));
    // Before the oldest change that is known, what the config file says held.
    let mut before = report.config;
    let mut changes: Vec<Row> = Vec::new();
    for Change { at_unix_ms, by, instructions } in &report.changes {
        let after = over(instructions, &report.config);
        let what = differences(&before, &after, w, format);
        changes.push(Row { time: dashboard.clock_at(*at_unix_ms), by: by.clone(), what });
        before = after;
    }
    changes.reverse();
    changes.truncate(CHANGES_SHOWN);
    let holds = &report.holds;
    show(&Page {
        w,
        may_change: frame.may(Role::Trade),
        is_changed: report.instructions != Instructions::default(),
        trade: holds.trade.unwrap_or(true),
        buy_at_most: text(holds.buy_at_most_msat_per_kwh),
        sell_at_least: text(holds.sell_at_least_msat_per_kwh),
        reserve: holds.reserve_state_of_charge_percent.unwrap_or(0),
        tried,
        changes,
        frame: Frame { page: "settings", ..frame },
    })
}

/// What the form wants, as far as that is not what the config file says anyway.
fn wanted(wish: &Wish, config: &Instructions, w: &Words) -> Result<Instructions, String> {
    if wish.what == "reset" {
        return Ok(Instructions::default());
    }
    let price = |text: &str, config: Option<i64>| match text.trim() {
        "" => Ok(None),
        text => match parse(text) {
            Some(price) => Ok(Some(price).filter(|price| Some(*price) != config)),
            None => Err(w.not_a_price.to_owned()),
        },
    };
    let percent = wish.reserve.trim().parse().ok().filter(|it| *it <= 100_u8);
    let percent = percent.ok_or_else(|| w.not_a_percent.to_owned())?;
    let trade = wish.trade.is_some();
    Ok(Instructions {
        trade: Some(trade).filter(|trade| Some(*trade) != config.trade),
        buy_at_most_msat_per_kwh: price(&wish.buy_at_most, config.buy_at_most_msat_per_kwh)?,
        sell_at_least_msat_per_kwh: price(&wish.sell_at_least, config.sell_at_least_msat_per_kwh)?,
        reserve_state_of_charge_percent: Some(percent)
            .filter(|percent| Some(*percent) != config.reserve_state_of_charge_percent),
    })
}

/// Instructions where they say something, and else the config file.
fn over(said: &Instructions, config: &Instructions) -> Instructions {
    let (buy, sell) = (said.buy_at_most_msat_per_kwh, said.sell_at_least_msat_per_kwh);
    let reserve = said.reserve_state_of_charge_percent;
    Instructions {
        trade: said.trade.or(config.trade),
        buy_at_most_msat_per_kwh: buy.or(config.buy_at_most_msat_per_kwh),
        sell_at_least_msat_per_kwh: sell.or(config.sell_at_least_msat_per_kwh),
        reserve_state_of_charge_percent: reserve.or(config.reserve_state_of_charge_percent),
    }
}

/// A price from sat per kWh with up to three digits after a point or comma.
pub(super) fn parse(text: &str) -> Option<i64> {
    if text.len() > PRICE_TEXT_MAX {
        return None;
    }
    let (sign, digits) = text.strip_prefix(['-', '\u{2212}']).map_or((1, text), |it| (-1, it));
    let (whole, rest) = digits.split_once(['.', ',']).unwrap_or((digits, ""));
    let is_digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(rest) || rest.len() > 3 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let rest: i64 = format!("{rest:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(rest)?.checked_mul(sign)
}

/// A price as it is typed, with all its digits.
fn plain(msat: i64, format: Format) -> String {
    let sign = if msat < 0 { "-" } else { "" };
    let (whole, rest) = (msat.unsigned_abs() / 1_000, msat.unsigned_abs() % 1_000);
    let point = format.point();
    let text = format!("{sign}{whole}{point}{rest:03}");
    text.trim_end_matches('0').trim_end_matches(point).to_owned()
}

fn differences(
    before: &Instructions,
    after: &Instructions,
    w: &Words,
    format: Format,
) -> Vec<String> {
    let price =
        |it: Option<i64>| it.map_or_else(|| w.tariff_word.to_owned(), |it| plain(it, format));
    let word = |it: Option<bool>| if it == Some(false) { w.no } else { w.yes }.to_owned();
    let percent = |it: Option<u8>| it.unwrap_or(0).to_string();
    [
        (w.trade, word(before.trade), word(after.trade)),
        (
            w.buy_at_most,
            price(before.buy_at_most_msat_per_kwh),
            price(after.buy_at_most_msat_per_kwh),
        ),
        (
            w.sell_at_least,
            price(before.sell_at_least_msat_per_kwh),
            price(after.sell_at_least_msat_per_kwh),
        ),
        (
            w.reserve,
            percent(before.reserve_state_of_charge_percent),
            percent(after.reserve_state_of_charge_percent),
        ),
    ]
    .into_iter()
    .filter(|(_, before, after)| before != after)
    .map(|(what, before, after)| format!("{what}: {before} → {after}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::words::Language;

    #[test]
    fn a_price_is_typed_in_sat_with_point_or_comma_and_comes_back_the_same() {
        let german = Format(Language::German, None);
        for (typed, msat, again) in [
            ("52", 52_000, "52"),
            ("52.3", 52_300, "52,3"),
            ("-0,005", -5, "-0,005"),
            ("0", 0, "0"),
            ("100", 100_000, "100"),
        ] {
            let price = parse(typed).unwrap();
            assert_eq!((price, plain(price, german).as_str()), (msat, again));
        }
        for wrong in ["", "-", "1.2345", "1e3", "1 000", ".5", "99999999999999999", "--1", "NaN"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
