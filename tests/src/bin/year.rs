//! The command `year`: a measured year of mining, replayed, with what else could have been earned.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use boltgrid_protocol::units::{OutOfRange, Power, Price};
use boltgrid_testnet::scenario::{Scenario, ScenarioError};
use boltgrid_tests::year::{Machines, Year, YearError, chart, report, run, summary};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

const EXAMPLES: &str = "\
Examples:
  The whole year, 20 kW of machines at each of three sites:
    cargo run --release -p boltgrid-tests --bin year
  A week in May, for a program to read:
    cargo run --release -p boltgrid-tests --bin year -- --from 2016-05-23T00:00 --days 7 --report week.json";

/// Replays a measured year of mining, without network and without waiting.
#[derive(Debug, Parser)]
#[command(name = "year", version, after_help = EXAMPLES)]
struct Options {
    /// A built-in scenario, or a folder of the same format.
    #[arg(long, default_value = "rural1")]
    scenario: String,
    /// The time in the profiles to begin with.
    #[arg(long, default_value = "2016-01-01T00:00:00+01:00")]
    from: String,
    /// For how many days.
    #[arg(long, default_value_t = 366)]
    days: usize,
    /// The sites with machines.
    #[arg(long, value_delimiter = ',', default_value = "bus1,bus5,bus10")]
    sites: Vec<String>,
    /// How many machines each has.
    #[arg(long, default_value_t = 8)]
    machines: u32,
    /// What each draws.
    #[arg(long, default_value_t = 2_500)]
    machine_power_w: i64,
    /// What a kilowatt-hour is worth to it, in satoshis.
    #[arg(long, default_value_t = 120)]
    break_even_sat_per_kwh: i64,
    /// What a start costs, in millisatoshis.
    #[arg(long, default_value_t = 10_000)]
    start_cost_msat: u32,
    /// Fixed thresholds to compare with, in satoshis per kilowatt-hour.
    #[arg(long, value_delimiter = ',', default_value = "40,80,120")]
    thresholds_sat_per_kwh: Vec<i64>,
    /// Where to write the report, as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Where to draw what each policy had earned by each day.
    #[arg(long, value_name = "FILE.svg")]
    chart: Option<PathBuf>,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Year(#[from] YearError),
    #[error("--machine-power-w: {0}")]
    Power(#[from] OutOfRange),
    #[error("{}: {source}; choose a folder that can be written to", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the report: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the terminal: {0}")]
    Print(#[from] io::Error),
}

fn main() -> ExitCode {
    match replay(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "year: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn replay(options: &Options) -> Result<(), Failure> {
    let scenario = Arc::new(Scenario::open(&options.scenario)?);
    let sat = |sat: &i64| Price::from_msat_per_kwh(sat.saturating_mul(1000));
    let year = Year {
        from: options.from.clone(),
        days: options.days,
        sites: options.sites.clone(),
        machines: Machines {
            count: options.machines,
            power: Power::from_watts(options.machine_power_w)?,
            break_even: sat(&options.break_even_sat_per_kwh),
            start_msat: i128::from(options.start_cost_msat),
        },
        thresholds: options.thresholds_sat_per_kwh.iter().map(sat).collect(),
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} days, {eta} left");
    let bar = ProgressBar::new(u64::try_from(year.days).unwrap_or(u64::MAX));
    bar.set_style(style.expect("the template is right"));
    let outcome = run(&scenario, &year, |_| bar.inc(1))?;
    bar.finish_and_clear();
    if let Some(path) = &options.report {
        let json = format!("{:#}\n", report(&year, &outcome)?);
        write(path, &json)?;
    }
    if let Some(path) = &options.chart {
        write(path, &chart(&outcome))?;
    }
    io::stdout().write_all(summary(&year, &outcome).as_bytes())?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|source| Failure::Write { path: path.to_owned(), source })
}
