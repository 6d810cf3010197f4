//! The outcome for people: a table for each site, and a bar for each month.

use std::fmt::Write as _;

use super::report::by_month;
use super::{Outcome, Policy, Run, Year, share_of_best_ppm_floor, tenths_of_kwh};

/// The longest bar.
const BAR: i128 = 40;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The outcome as text.
#[must_use]
pub fn summary(year: &Year, outcome: &Outcome) -> String {
    let machines = &year.machines;
    let mut text = format!(
        "{} days from {}: {} machines of {} W at each of {} sites, {} sat/kWh, {} msat a start\n",
        year.days,
        year.from,
        machines.count,
        machines.power.to_milliwatts() / 1000,
        year.sites.len(),
        sat(i128::from(machines.break_even.to_msat_per_kwh())),
        machines.start_msat,
    );
    for site in &outcome.sites {
        table(&mut text, &site.name, &site.runs);
    }
    let all = outcome.together();
    table(&mut text, "all sites", &all);
    bars(&mut text, &all, &outcome.months);
    text
}

fn table(text: &mut String, name: &str, runs: &[Run]) {
    let best = runs.iter().find(|run| run.policy == Policy::Foresight);
    _ = writeln!(text, "\n{name}");
    _ = writeln!(
        text,
        "  {:<28} {:>12} {:>9} {:>12} {:>9} {:>8}",
        "", "profit sat", "of best", "mined kWh", "sat/kWh", "starts"
    );
    for run in runs {
        let share = best.and_then(|best| share_of_best_ppm_floor(run, best));
        let share = share.map_or_else(
            || "–".to_owned(),
            |ppm| {
                let tenths = ppm.div_euclid(1_000);
                let sign = if tenths < 0 { "−" } else { "" };
                format!("{sign}{}.{} %", tenths.abs() / 10, tenths.abs() % 10)
            },
        );
        let per_kwh = run.per_kwh_msat_floor().map_or_else(|| "–".to_owned(), sat);
        _ = writeln!(
            text,
            "  {:<28} {:>12} {:>9} {:>12} {:>9} {:>8}",
            named(run.policy),
            sat(run.profit_msat_floor()),
            share,
            tenths_of_kwh(run.mined),
            per_kwh,
            run.starts,
        );
    }
}

/// What a policy is called.
pub(super) fn named(policy: Policy) -> String {
    match policy {
        Policy::Dispatch => "bids and dispatch".to_owned(),
        Policy::Foresight => "perfect foresight".to_owned(),
        Policy::Never => "never".to_owned(),
        Policy::Always => "always on".to_owned(),
        Policy::Threshold(price) => {
            format!("last price ≤ {} sat/kWh", sat(i128::from(price.to_msat_per_kwh())))
        }
        Policy::OwnSurplus => "own surplus".to_owned(),
    }
}

/// A bar for each month: what was earned of what could have been.
fn bars(text: &mut String, runs: &[Run], months: &[u8]) {
    let of = |policy| runs.iter().find(|run| run.policy == policy);
    let (Some(run), Some(best)) = (of(Policy::Dispatch), of(Policy::Foresight)) else { return };
    let (got, best) = (by_month(run, months), by_month(best, months));
    let longest = best.iter().copied().max().unwrap_or(0).max(1);
    _ = writeln!(text, "\nall sites by month: earned (█) of the best possible (░), in sat");
    for (month, (got, best)) in MONTHS.iter().zip(got.into_iter().zip(best)) {
        let length = |msat: i128| usize::try_from(msat.max(0) * BAR / longest).unwrap_or(0);
        let (full, all) = (length(got), length(best));
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(all.saturating_sub(full)));
        _ = writeln!(text, "  {month} {bar:<40} {:>9} of {:>9}", sat(got), sat(best));
    }
}

/// Millisatoshis in whole satoshis, rounded down.
fn sat(msat: i128) -> String {
    msat.div_euclid(1000).to_string()
}
