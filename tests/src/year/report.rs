//! The outcome for programs, as JSON: 64-bit integers are strings, names end in their unit.

use serde::Serialize;
use serde_json::Value;

use super::{Outcome, Policy, Run, Year, share_of_best_ppm_floor};

/// The report's format; a new one if a field changes its meaning.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    from: &'a str,
    days: usize,
    machines_per_site: u32,
    machine_power_mw: String,
    break_even_msat_per_kwh: String,
    start_cost_msat: String,
    share_of_best_ppm: Option<String>,
    all_sites: Vec<Entry>,
    sites: Vec<Site<'a>>,
}

#[derive(Serialize)]
struct Site<'a> {
    name: &'a str,
    share_of_best_ppm: Option<String>,
    policies: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold_msat_per_kwh: Option<String>,
    profit_msat: String,
    mined_mwh: String,
    starts: String,
    profit_by_month_msat: Vec<String>,
}

/// The outcome as JSON.
///
/// # Errors
///
/// None that is known: strings and lists have a form in JSON.
pub fn report(year: &Year, outcome: &Outcome) -> serde_json::Result<Value> {
    let entries = |runs: &[Run]| runs.iter().map(|run| entry(run, &outcome.months)).collect();
    let all = outcome.together();
    let document = Document {
        format: FORMAT,
        from: &year.from,
        days: year.days,
        machines_per_site: year.machines.count,
        machine_power_mw: year.machines.power.to_milliwatts().to_string(),
        break_even_msat_per_kwh: year.machines.break_even.to_msat_per_kwh().to_string(),
        start_cost_msat: year.machines.start_msat.to_string(),
        share_of_best_ppm: share(&all),
        all_sites: entries(&all),
        sites: outcome
            .sites
            .iter()
            .map(|site| Site {
                name: &site.name,
                share_of_best_ppm: share(&site.runs),
                policies: entries(&site.runs),
            })
            .collect(),
    };
    serde_json::to_value(document)
}

fn share(runs: &[Run]) -> Option<String> {
    let of = |policy| runs.iter().find(|run| run.policy == policy);
    let share = share_of_best_ppm_floor(of(Policy::Dispatch)?, of(Policy::Foresight)?);
    share.map(|ppm| ppm.to_string())
}

fn entry(run: &Run, months: &[u8]) -> Entry {
    let threshold = match run.policy {
        Policy::Threshold(price) => Some(price.to_msat_per_kwh().to_string()),
        Policy::Dispatch
        | Policy::Foresight
        | Policy::Never
        | Policy::Always
        | Policy::OwnSurplus => None,
    };
    let by_month = by_month(run, months);
    Entry {
        policy: match run.policy {
            Policy::Dispatch => "dispatch",
            Policy::Foresight => "perfect_foresight",
            Policy::Never => "never",
            Policy::Always => "always_on",
            Policy::Threshold(_) => "fixed_threshold",
            Policy::OwnSurplus => "own_surplus",
        },
        threshold_msat_per_kwh: threshold,
        profit_msat: run.profit_msat_floor().to_string(),
        mined_mwh: run.mined.to_milliwatt_hours().to_string(),
        starts: run.starts.to_string(),
        profit_by_month_msat: by_month.iter().map(ToString::to_string).collect(),
    }
}

/// What was earned in each month of the calendar, in msat, rounded down.
pub(super) fn by_month(run: &Run, months: &[u8]) -> [i128; 12] {
    let mut sums = [0; 12];
    for (profit, month) in run.profits.iter().zip(months) {
        sums[usize::from(*month) - 1] += profit;
    }
    sums.map(|sum| sum.div_euclid(1_000_000))
}
