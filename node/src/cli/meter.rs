//! `boltgrid meter`: what the site's meters show, from the running node or by trying them out.
//! Not for: what the readings settle.

mod checks;
pub(crate) mod discover;
mod flows;
mod openings;
mod test;

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use boltgrid_protocol::units::{Energy, Power};
use clap::{Args, Subcommand};

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::rpc::MeterRpcClient;
use crate::rpc::meter::MeterReport;

/// How often live values are asked for.
const LIVE_EVERY: Duration = Duration::from_secs(1);

/// See, try out and find meters.
#[derive(Debug, Subcommand)]
pub(super) enum Meter {
    /// Show all meters of the site, as the running node last read them
    List(Node),
    /// Show them again every second, until Ctrl-C
    Live(Live),
    /// Read a meter of the config file for some seconds: live values, what is missing, and whether
    /// it seems to be mounted the wrong way round. A serial line serves one at a time, so stop the
    /// node before
    Test(test::Test),
    /// Show what was found implausible: at the site's meters, and in the balance of feeders
    Anomalies(checks::Since),
    /// Show voltage and frequency of the last week against EN 50160, and dips, swells and the like
    Quality(checks::Since),
    /// Hold each feeder's meter against those of its sites
    Balance(Node),
    /// Show an arbiter what this site took in some intervals, where readings are masked
    Open(openings::Open),
    /// Show what others opened to this node as their arbiter, and whose meter a gap comes from
    Openings(Node),
    /// Show what passed the meter that settles in each interval, with what stands in for missing
    /// readings marked as a substitute
    Flows(flows::Span),
    /// Show what was shown of an interval and corrected later: old value, new value and difference
    Corrections(flows::Span),
    /// Look for meters at addresses in your network: Modbus, HTTP and P1. Prints what to put into the
    /// config file; only the addresses that you name are looked at
    Discover(discover::Discover),
}

/// How long to look on.
#[derive(Debug, Args)]
pub(super) struct Live {
    /// For how many seconds; without, until Ctrl-C
    #[arg(long, value_name = "S")]
    seconds: Option<u32>,
    #[command(flatten)]
    node: Node,
}

impl Meter {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::List(node) => {
                let meters = meters(&node)?;
                if node.json { show::json(out, &meters) } else { table(out, &meters) }
            }
            Self::Live(live) => live.run(out),
            Self::Test(test) => test.run(out),
            Self::Anomalies(since) => checks::anomalies(&since, out),
            Self::Quality(since) => checks::quality(&since, out),
            Self::Balance(node) => checks::balance(&node, out),
            Self::Open(it) => openings::open(&it, out),
            Self::Openings(node) => openings::openings(&node, out),
            Self::Flows(span) => flows::flows(&span, out),
            Self::Corrections(span) => flows::corrections(&span, out),
            Self::Discover(discover) => discover.run(out),
        }
    }
}

fn meters(node: &Node) -> Result<Vec<MeterReport>, CliError> {
    node.ask(|node| async move { node.meters().await })
}

impl Live {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let mut left = self.seconds;
        loop {
            let meters = meters(&self.node)?;
            if self.node.json {
                serde_json::to_writer(&mut *out, &meters).map_err(std::io::Error::from)?;
                writeln!(out)?;
            } else {
                table(out, &meters)?;
                writeln!(out)?;
            }
            out.flush()?;
            match left.as_mut() {
                Some(0 | 1) => return Ok(()),
                Some(left) => *left -= 1,
                None => {}
            }
            sleep(LIVE_EVERY);
        }
    }
}

fn table(out: &mut impl Write, meters: &[MeterReport]) -> Result<(), CliError> {
    if meters.is_empty() {
        writeln!(out, "no meters: name them under `[site]` in the config file")?;
    }
    let width = meters.iter().map(|meter| meter.name.len()).max().unwrap_or(0);
    for meter in meters {
        writeln!(out, "{:width$}  {}", meter.name, line(meter))?;
    }
    Ok(())
}

/// A meter in one line, but for its name.
fn line(meter: &MeterReport) -> String {
    let mut parts = vec![format!("{:9}", meter.role)];
    parts.extend(values(meter).into_iter().map(|(label, value)| format!("{label} {value}")));
    if meter.is_virtual {
        parts.push("(virtual)".to_owned());
    }
    if meter.settles {
        parts.push("(settles)".to_owned());
    }
    parts.extend(meter.stale.as_ref().map(|why| format!("STALE: {why}")));
    parts.join("  ")
}

/// What a meter shows, with the units of people.
fn values(meter: &MeterReport) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut put = |label: &str, value: Option<String>| {
        values.extend(value.map(|value| (label.to_owned(), value)));
    };
    let power = |mw| show::power(Power::from_milliwatts(mw));
    let energy = |mwh| show::energy(Energy::from_milliwatt_hours(mwh));
    put("power", meter.power_mw.map(power));
    put("import", meter.import_register_mwh.map(energy));
    put("export", meter.export_register_mwh.map(energy));
    put("voltage", meter.voltage_mv.map(|mv| show::milli(mv.into(), "V")));
    put("frequency", meter.frequency_mhz.map(|mhz| show::milli(mhz.into(), "Hz")));
    put("gas", meter.gas_register_ml.map(|ml| show::milli(ml.into(), "l")));
    put("charge", meter.charge_milli_percent.map(|it| show::milli(it.into(), "%")));
    for phase in &meter.phases {
        let number = phase.phase;
        put(&format!("power L{number}"), phase.power_mw.map(power));
        put(&format!("voltage L{number}"), phase.voltage_mv.map(|mv| show::milli(mv.into(), "V")));
        put(&format!("current L{number}"), phase.current_ma.map(|ma| show::milli(ma.into(), "A")));
    }
    values
}
