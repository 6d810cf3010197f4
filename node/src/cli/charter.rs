//! `boltgrid charter`: write a charter to start from, check one, or show what it says.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use boltgrid_protocol::charter::{
    Charter as GridCharter, Disclosure, PaymentTerms, TariffPeriod, Timing,
};
use boltgrid_protocol::id::ParticipantId;
use clap::{Args, Subcommand};

use super::error::CliError;
use super::show;
use crate::{grid, keys};

const TEMPLATE: &str = include_str!("charter.template.toml");
/// The name of a key file that is made along with a charter.
const REGISTRAR_KEY: &str = "registrar.key";

/// A label and what stands behind it.
type Row = (&'static str, String);

/// Write, check or show a grid's charter.
#[derive(Debug, Subcommand)]
pub(super) enum Charter {
    /// Write a commented charter with sensible values for 5-minute intervals
    New(New),
    /// Say which grid a charter is of, or what is wrong with it (then the exit code is 1)
    Check(File),
    /// Show what a charter says
    Show(File),
}

/// Arguments of `charter new`.
#[derive(Debug, Args)]
pub(super) struct New {
    /// The grid's name
    #[arg(long, default_value = "My grid")]
    name: String,
    /// A registrar's public key, in hexadecimal; may be given several times. Without any, a new
    /// key is made and written next to the charter as `registrar.key`
    #[arg(long = "registrar", value_name = "KEY")]
    registrars: Vec<ParticipantId>,
    /// How many registrars must sign an enrolment
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    threshold: u32,
    /// Where to write the charter
    #[arg(short, long, value_name = "FILE", default_value = "charter.toml")]
    output: PathBuf,
}

/// The charter's file.
#[derive(Debug, Args)]
pub(super) struct File {
    /// The charter
    file: PathBuf,
}

impl Charter {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::New(new) => new.run(out),
            Self::Check(File { file }) => {
                let charter = grid::read_charter(&file)?;
                writeln!(out, "{}: grid {}", file.display(), charter.grid_id())?;
                Ok(())
            }
            Self::Show(File { file }) => show_charter(out, &grid::read_charter(&file)?),
        }
    }
}

impl New {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        if self.output.exists() {
            return Err(CliError::Exists { path: self.output, remedy: "--output" });
        }
        let key_file = self.output.with_file_name(REGISTRAR_KEY);
        let mut registrars = self.registrars;
        let fresh = registrars.is_empty();
        if fresh {
            registrars.push(keys::create(&key_file)?.participant_id());
        }
        let text = fill(&self.name, &registrars, self.threshold);
        let checked = GridCharter::from_toml(&text)
            .map_err(|source| grid::GridError::Charter { path: self.output.clone(), source });
        let charter = match checked {
            Ok(charter) => charter,
            Err(error) => {
                if fresh {
                    // Made a moment ago, and of no use to anyone.
                    std::fs::remove_file(&key_file)
                        .map_err(|source| CliError::Write { path: key_file, source })?;
                }
                return Err(error.into());
            }
        };
        write_new(&self.output, text.as_bytes(), "--output")?;
        writeln!(out, "wrote {} for grid {}", self.output.display(), charter.grid_id())?;
        if fresh {
            writeln!(
                out,
                "wrote {}: it admits members to the grid; keep it safe, and a copy of it",
                key_file.display()
            )?;
        }
        writeln!(
            out,
            "\nEdit the charter to your grid, check it with `boltgrid charter check {}`, and hand \
             it to every member.",
            self.output.display()
        )?;
        Ok(())
    }
}

fn fill(name: &str, registrars: &[ParticipantId], threshold: u32) -> String {
    let keys: String = registrars.iter().map(|key| format!("\n  \"{key}\",")).collect();
    TEMPLATE
        .replace("@REGISTRARS@", &format!("[{keys}\n]"))
        .replace("@THRESHOLD@", &threshold.to_string())
        .replace("@NAME@", &toml::Value::from(name).to_string())
}

/// Writes a file that must not be there yet.
pub(super) fn write_new(path: &Path, bytes: &[u8], remedy: &'static str) -> Result<(), CliError> {
    let failed = |source: std::io::Error| {
        let path = path.to_owned();
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            CliError::Exists { path, remedy }
        } else {
            CliError::Write { path, source }
        }
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

fn show_charter(out: &mut impl Write, charter: &GridCharter) -> Result<(), CliError> {
    let members = &charter.membership;
    let mut rows = vec![("name", charter.name.clone()), ("grid", charter.grid_id().to_string())];
    rows.extend(timing_rows(&charter.interval));
    rows.extend(price_rows(charter));
    rows.push((
        "members",
        format!(
            "change every {} intervals, barred for {}",
            members.roster_epoch_intervals, members.bar_intervals
        ),
    ));
    rows.push(("enrolments", format!("need {} of:", members.registrar_threshold)));
    rows.extend(members.registrars.iter().map(|key| ("", key.to_string())));
    rows.push(("payment", payment(&charter.settlement)));
    let seen = match charter.readings {
        Disclosure::Open => "readings are seen by every member",
        Disclosure::Counterparty => "readings are seen by those who trade with the member",
        Disclosure::Masked => {
            "readings are seen by those who trade with the member, and added up by everybody"
        }
    };
    rows.push(("privacy", seen.to_owned()));
    rows.extend(charter.feeders.iter().map(|feeder| {
        ("feeder", format!("{}: {}", feeder.name, feeder.connection_points.join(", ")))
    }));
    show::rows(out, &rows)?;
    Ok(())
}

fn payment(terms: &PaymentTerms) -> String {
    let routes =
        if terms.forwarding { "over other members too" } else { "to channel partners only" };
    format!(
        "{} at a time, within {}, {routes}",
        terms.tranche_mwh,
        show::seconds(terms.pay_within_ms)
    )
}

fn timing_rows(timing: &Timing) -> [Row; 6] {
    let seconds = show::seconds;
    let orders = format!(
        "from {} to {} before the gate, which closes {} before delivery",
        seconds(timing.orders_open_before_gate_ms),
        seconds(timing.orders_close_before_gate_ms),
        seconds(timing.gate_before_delivery_ms),
    );
    let decision = format!(
        "{} views of {}, the first {} after the gate",
        timing.views,
        seconds(timing.view_ms),
        seconds(timing.proposal_after_gate_ms),
    );
    let readings = format!("by {} after delivery", seconds(timing.readings_by_after_delivery_ms));
    [
        ("interval", seconds(timing.interval_ms)),
        ("orders", orders),
        ("decision", decision),
        ("confirms", format!("by {} after the gate", seconds(timing.confirm_by_after_gate_ms))),
        ("readings", readings),
        ("clocks", format!("within {}", seconds(timing.clock_skew_max_ms))),
    ]
}

fn price_rows(charter: &GridCharter) -> Vec<Row> {
    let GridCharter { price, connection, tariff, .. } = charter;
    let band = format!(
        "{} to {}",
        show::price(price.floor_msat_per_kwh),
        show::price(price.ceiling_msat_per_kwh)
    );
    let capacity = format!(
        "{} in, {} out, {} ppm lost on the lines",
        show::power(connection.import_capacity()),
        show::power(connection.export_capacity()),
        connection.loss_ppm
    );
    let base = format!(
        "{} from the supplier, {} to it",
        show::price(tariff.base.retail_msat_per_kwh),
        show::price(tariff.base.feed_in_msat_per_kwh)
    );
    let mut rows = vec![("prices", band), ("connection", capacity), ("tariff", base)];
    rows.extend(tariff.periods.iter().map(|period| ("", show_period(period))));
    rows
}

fn show_period(period: &TariffPeriod) -> String {
    let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let months: Vec<_> = period.months.iter().map(ToString::to_string).collect();
    format!(
        "{} and {} from {} to {} in months {}",
        show::price(period.prices.retail_msat_per_kwh),
        show::price(period.prices.feed_in_msat_per_kwh),
        time(period.from_minute_of_day),
        time(period.until_minute_of_day),
        months.join(", ")
    )
}
