//! A measured year of mining, replayed without network and without waiting: what machines earn that
//! bid in the market, beside other ways to run them and the best that was possible.
//!
//! Physics, orders, auction, settlement and dispatch are the program's own: the plant of the testnet,
//! `market::strategy`, `market::auction`, `market::settlement`, `miners::plan`. Not for: payments, lost messages, or
//! machines that fail.

mod chart;
mod foresight;
mod machines;
mod mining;
mod park;
mod policy;
mod record;
mod report;
mod summary;

use std::sync::Arc;

use boltgrid_protocol::units::{Energy, Power, Price};
use boltgrid_testnet::scenario::{Scenario, TimeError};

pub use chart::chart;
pub use machines::Machines;
pub use policy::{Policy, Run};
pub use report::report;
pub use summary::summary;

/// Intervals of a day.
const DAY_INTERVALS: usize = 96;

/// What is replayed.
#[derive(Clone, Debug)]
pub struct Year {
    /// The time in the profiles to begin with.
    pub from: String,
    /// For how many days.
    pub days: usize,
    /// At which sites there are machines.
    pub sites: Vec<String>,
    /// What machines each of them has.
    pub machines: Machines,
    /// The prices of [`Policy::Threshold`] to compare with.
    pub thresholds: Vec<Price>,
}

impl Default for Year {
    /// 20 kW at each of a site with PV that can be turned down, one with PV that cannot, and a
    /// workshop without PV that buys all its power.
    fn default() -> Self {
        Self {
            from: "2016-01-01T00:00:00+01:00".to_owned(),
            days: 366,
            sites: ["bus1", "bus5", "bus10"].map(str::to_owned).to_vec(),
            machines: Machines {
                count: 8,
                power: Power::from_milliwatts(2_500_000),
                break_even: Price::from_msat_per_kwh(120_000),
                start_msat: 10_000,
            },
            thresholds: [40_000, 80_000, 120_000].map(Price::from_msat_per_kwh).to_vec(),
        }
    }
}

/// Why a year cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum YearError {
    /// The beginning is not in the data.
    #[error("the first day: {0}")]
    From(#[from] TimeError),
    /// A site that is not on the grid.
    #[error("one of the sites {0:?} is not on the grid; its sites are named like bus1")]
    Site(Vec<String>),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Each site with machines, in the order in which they were named.
    pub sites: Vec<SiteOutcome>,
    /// The month of each interval, 1 to 12.
    pub months: Vec<u8>,
}

/// One site with machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteOutcome {
    /// Its name.
    pub name: String,
    /// What each policy came to, in the same order everywhere.
    pub runs: Vec<Run>,
}

/// Replays the year; `progress` hears of each day that is over.
///
/// # Errors
///
/// [`YearError`] if the first day or a site is not in the scenario.
pub fn run(
    scenario: &Arc<Scenario>,
    year: &Year,
    progress: impl Fn(usize),
) -> Result<Outcome, YearError> {
    let row = scenario.profiles.row_at(&year.from)?;
    let mining = mining::Mining::new(scenario, row, year.machines, &year.sites);
    let mut mining = mining.ok_or_else(|| YearError::Site(year.sites.clone()))?;
    for day in 0..year.days {
        for _ in 0..DAY_INTERVALS {
            mining.step();
        }
        progress(day);
    }
    let policies = policies(&year.thresholds);
    let sites = mining.into_slots().into_iter().map(|(name, slots)| SiteOutcome {
        name,
        runs: policies.iter().map(|policy| policy.run(&year.machines, &slots)).collect(),
    });
    let rows = row..row.saturating_add(year.days.saturating_mul(DAY_INTERVALS));
    let months = rows.map(|row| month(scenario, row)).collect();
    Ok(Outcome { sites: sites.collect(), months })
}

fn month(scenario: &Scenario, row: usize) -> u8 {
    u8::try_from(scenario.profiles.time_of_row(row).month()).expect("a month is at most twelve")
}

fn policies(thresholds: &[Price]) -> Vec<Policy> {
    let fixed =
        [Policy::Dispatch, Policy::Foresight, Policy::Never, Policy::Always, Policy::OwnSurplus];
    fixed.into_iter().chain(thresholds.iter().copied().map(Policy::Threshold)).collect()
}

impl Outcome {
    /// The runs of all sites together, policy by policy.
    #[must_use]
    pub fn together(&self) -> Vec<Run> {
        let Some((first, others)) = self.sites.split_first() else { return Vec::new() };
        let mut sums = first.runs.clone();
        for site in others {
            for (sum, run) in sums.iter_mut().zip(&site.runs) {
                sum.add(run);
            }
        }
        sums
    }
}

impl Run {
    fn add(&mut self, other: &Self) {
        self.mined = self.mined.saturating_add(other.mined);
        self.starts = self.starts.saturating_add(other.starts);
        for (profit, more) in self.profits.iter_mut().zip(&other.profits) {
            *profit += more;
        }
    }

    /// What was earned in all, rounded down.
    #[must_use]
    pub fn profit_msat_floor(&self) -> i128 {
        self.profits.iter().sum::<i128>().div_euclid(1_000_000)
    }

    /// What a kilowatt-hour of mining earned on average, in msat, rounded down; `None` without any.
    #[must_use]
    pub fn per_kwh_msat_floor(&self) -> Option<i128> {
        let mined = i128::from(self.mined.to_milliwatt_hours());
        self.profits.iter().sum::<i128>().checked_div_euclid(mined)
    }
}

/// The part of the best that `run` reached, in parts per million, rounded down; `None` where nothing
/// could be earned.
#[must_use]
pub fn share_of_best_ppm_floor(run: &Run, best: &Run) -> Option<i128> {
    let of = best.profit_msat_floor();
    (of > 0).then(|| (run.profit_msat_floor() * 1_000_000).div_euclid(of))
}

/// Whole and tenths of a kilowatt-hour.
fn tenths_of_kwh(energy: Energy) -> String {
    let tenths = energy.to_milliwatt_hours() / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(from: &str, days: usize) -> Outcome {
        let scenario = Arc::new(Scenario::builtin("rural1").unwrap());
        let year = Year { from: from.to_owned(), days, ..Year::default() };
        run(&scenario, &year, |_| ()).unwrap()
    }

    fn profit(runs: &[Run], policy: Policy) -> i128 {
        runs.iter().find(|run| run.policy == policy).unwrap().profit_msat_floor()
    }

    #[test]
    fn in_may_bids_earn_most_of_what_is_possible_and_more_than_always_or_never() {
        let outcome = replayed("2016-05-20T00:00", 4);
        assert_eq!(outcome, replayed("2016-05-20T00:00", 4), "the same every time");
        let runs = outcome.together();
        let (real, best) = (profit(&runs, Policy::Dispatch), profit(&runs, Policy::Foresight));
        assert!(real * 100 >= best * 85, "{real} of {best} msat");
        assert!(real > profit(&runs, Policy::Never).max(profit(&runs, Policy::Always)));
        assert!(real > profit(&runs, Policy::OwnSurplus));
        assert_eq!(outcome.months, [5].repeat(4 * DAY_INTERVALS));
    }

    #[test]
    fn nothing_earns_more_than_perfect_foresight_at_any_site() {
        for from in ["2016-02-10T00:00", "2016-07-01T00:00", "2016-12-01T00:00"] {
            for site in replayed(from, 2).sites {
                let best = profit(&site.runs, Policy::Foresight);
                for run in &site.runs {
                    let earned = run.profit_msat_floor();
                    assert!(earned <= best, "{from} {}: {run:?}", site.name);
                }
            }
        }
    }

    #[test]
    fn report_and_chart_say_what_came_of_it() {
        let outcome = replayed("2016-05-22T00:00", 1);
        let year = Year { days: 1, ..Year::default() };
        let json = report(&year, &outcome).unwrap();
        let shown = &json["all_sites"][0];
        assert_eq!(shown["policy"], "dispatch");
        let real = profit(&outcome.together(), Policy::Dispatch);
        assert_eq!(shown["profit_msat"], real.to_string());
        assert_eq!(shown["profit_by_month_msat"][4], real.to_string());
        assert_eq!(json["sites"][2]["name"], "bus10");
        let picture = chart(&outcome);
        assert_eq!(picture.matches("<polyline").count(), outcome.together().len());
        assert!(summary(&year, &outcome).contains(&(real.div_euclid(1000)).to_string()));
    }

    #[test]
    fn a_site_or_a_day_that_is_not_there_is_an_error() {
        let scenario = Arc::new(Scenario::builtin("rural1").unwrap());
        let nowhere = Year { sites: vec!["bus99".to_owned()], ..Year::default() };
        let error = run(&scenario, &nowhere, |_| ()).unwrap_err().to_string();
        assert!(error.contains("bus99"), "{error}");
        let never = Year { from: "2031-01-01T00:00".to_owned(), ..Year::default() };
        assert!(matches!(run(&scenario, &never, |_| ()), Err(YearError::From(_))));
    }
}
