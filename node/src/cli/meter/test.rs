//! `boltgrid meter test`: reads a meter of the config file without a node, and says what looks wrong.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_metering::quantity::{Dimension, Quantity};
use boltgrid_metering::role::Role;
use boltgrid_metering::shown::Shown;
use clap::Args;
use serde::Serialize;
use tokio::runtime;
use tokio::time::{MissedTickBehavior, interval};

use super::{line, values};
use crate::cli::error::CliError;
use crate::cli::node::ConfigFile;
use crate::cli::show;
use crate::config::{Config, RawConfig};
use crate::rpc::meter::MeterReport;
use crate::site::{MeterState, Trial, hints};

/// How often the meter is read.
const EVERY: Duration = Duration::from_secs(1);
/// Longest test, in seconds.
const SECONDS_MAX: u32 = 3_600;

/// Arguments of `meter test`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// The meter's name, as `boltgrid meter list` shows it; `meter` is the one at the grid
    #[arg(default_value = "meter")]
    name: String,
    /// For how many seconds; meters with a P1 port may speak once in ten
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(SECONDS_MAX)))]
    seconds: u32,
    #[command(flatten)]
    file: ConfigFile,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// What a test found.
#[derive(Debug, Serialize)]
struct Found {
    meter: MeterReport,
    samples: u32,
    answered: u32,
    missing: Vec<&'static str>,
    hints: Vec<String>,
    /// What to do where it was not read the last time.
    advice: Option<String>,
}

impl Test {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let config = Config::load(&self.file.config, RawConfig::default())?;
        let trial = Trial::new(&config.site).map_err(|error| CliError::Argument {
            argument: "site",
            problem: format!("of {} is wrong: {error}", self.file.config.display()),
        })?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Runtime)?;
        runtime.block_on(self.watch(trial, out))
    }

    async fn watch(self, mut trial: Trial, out: &mut impl Write) -> Result<(), CliError> {
        let mut seen: Vec<Arc<[MeterState]>> = Vec::new();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..self.seconds {
            ticks.tick().await;
            let meters = trial.read().await;
            let meter = self.named(&meters)?.1;
            if !self.json {
                writeln!(out, "{}", line(&MeterReport::from(meter)))?;
                out.flush()?;
            }
            let is_of_no_use = Trial::is_set_up_wrong(meter);
            seen.push(meters);
            if is_of_no_use {
                break;
            }
        }
        let Some(last) = seen.last() else { return Ok(()) };
        let (place, meter) = self.named(last)?;
        let answered = |meters: &&Arc<[MeterState]>| {
            meters.get(place).is_some_and(|meter| meter.stale.is_none())
        };
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let found = Found {
            meter: MeterReport::from(meter),
            samples: count(seen.len()),
            answered: count(seen.iter().filter(answered).count()),
            missing: meter.last.map(|last| missing(meter.role, &last.shown)).unwrap_or_default(),
            hints: hints(&seen, place),
            advice: trial.advice(meter),
        };
        if self.json {
            show::json(out, &found)?
        } else {
            print(out, &found)?
        }
        if found.answered == 0 { Err(CliError::NotRead(self.name)) } else { Ok(()) }
    }

    fn named<'a>(&self, meters: &'a [MeterState]) -> Result<(usize, &'a MeterState), CliError> {
        let mut all = meters.iter().enumerate();
        all.find(|(_, meter)| *meter.name == *self.name).ok_or_else(|| {
            let names: Vec<&str> = meters.iter().map(|meter| &*meter.name).collect();
            let problem = format!("is `{}`; the config file has: {}", self.name, names.join(", "));
            CliError::Argument { argument: "NAME", problem }
        })
    }
}

/// The quantities that a meter of this role might show and does not.
fn missing(role: Role, shown: &Shown) -> Vec<&'static str> {
    let wanted = |quantity: &Quantity| match (role, quantity.dimension()) {
        (Role::Gas, dimension) => dimension == Dimension::Volume,
        (_, Dimension::Volume) => false,
        (role, Dimension::Share) => role == Role::Battery,
        (
            _,
            Dimension::Power
            | Dimension::Energy
            | Dimension::Voltage
            | Dimension::Current
            | Dimension::Frequency,
        ) => true,
    };
    let all = Quantity::ALL.iter().filter(|quantity| wanted(quantity));
    let is_told = |quantity: Quantity| {
        let has_phases = quantity == Quantity::Voltage && shown.mean_voltage_mv().is_some();
        shown.has(quantity) || has_phases
    };
    all.filter(|quantity| !is_told(**quantity)).map(|quantity| quantity.name()).collect()
}

fn print(out: &mut impl Write, found: &Found) -> Result<(), CliError> {
    writeln!(out)?;
    let values = values(&found.meter);
    let rows: Vec<(&str, String)> =
        values.iter().map(|(label, value)| (label.as_str(), value.clone())).collect();
    show::rows(out, &rows)?;
    let Found { samples, answered, missing, hints, .. } = found;
    writeln!(out, "\nanswered {answered} of {samples} times")?;
    if !missing.is_empty() {
        writeln!(out, "it does not show: {}", missing.join(", "))?;
    }
    let registers = [found.meter.import_register_mwh, found.meter.export_register_mwh];
    if found.missing.contains(&"import") && registers.iter().any(Option::is_some) {
        writeln!(out, "what registers it lacks are made from its power, read by read")?;
    }
    for hint in hints {
        writeln!(out, "LOOK: {hint}")?;
    }
    if let Some(advice) = &found.advice {
        writeln!(out, "DO: {advice}")?;
    }
    if hints.is_empty() && *answered > 0 {
        writeln!(out, "nothing looks wrong about its signs")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What a test of a site's meter prints, and how it ends.
    fn tested(site: &str, seconds: u32) -> (String, Result<(), CliError>) {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.toml");
        fs::write(&config, format!("charter_file = \"charter.toml\"\n{site}")).unwrap();
        let file = ConfigFile { config };
        let test = Test { name: "meter".to_owned(), seconds, file, json: false };
        let mut out = Vec::new();
        let ended = test.run(&mut out);
        (String::from_utf8(out).unwrap(), ended)
    }

    #[test]
    fn whoever_tests_a_meter_that_is_not_read_is_told_what_to_do_and_fails() {
        let site = "[site.meter]\ndriver = \"modbus-map\"\nmap = \"eastron-sdm630\"\n\
                    address = \"rtu:///dev/no-such-port\"\n";
        let (said, ended) = tested(site, 1);
        let Err(error @ CliError::NotRead(_)) = ended else { panic!("{ended:?}: {said}") };
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("meter was not read", 1));
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("DO: ") && last.contains("/dev/serial/by-id"), "{said}");
    }

    #[test]
    fn a_mistake_in_a_map_is_told_once() {
        let site = "[site.meter]\ndriver = \"modbus-map\"\nmap = \"no-such-map\"\n\
                    address = \"127.0.0.1:1\"\n";
        let (said, ended) = tested(site, 5);
        assert!(matches!(ended, Err(CliError::NotRead(_))), "{ended:?}: {said}");
        assert_eq!(said.matches("there is no map `no-such-map`").count(), 1, "{said}");
    }
}
