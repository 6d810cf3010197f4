//! `boltgrid meter discover`: looks for meters at the addresses that the user names, and nowhere else.

mod look;

use std::io::{self, IsTerminal, Write};

use boltgrid_protocol::units::Power;
use clap::Args;
use futures::{StreamExt, stream};
use tokio::runtime;

use crate::cli::error::CliError;
use crate::cli::show;
use crate::cli::targets::{HOSTS_MAX, NotATarget, Target, endpoints};
use look::{Found, look};

/// The ports that are looked at where none is named: Modbus, HTTP, and those of serial servers for P1.
const PORTS: [u16; 5] = [502, 80, 23, 2_001, 8_088];
/// Ports looked at side by side.
const AT_ONCE: usize = 64;

fn target(text: &str) -> Result<Target, NotATarget> {
    text.parse()
}

/// Arguments of `meter discover`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Discover {
    /// Where to look: a host, host:port, or a network such as 192.168.1.0/24
    #[arg(required = true, value_name = "ADDRESS|CIDR", value_parser = target)]
    targets: Vec<Target>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

impl Discover {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let endpoints = endpoints(&self.targets, &PORTS).ok_or_else(|| CliError::Argument {
            argument: "ADDRESS|CIDR",
            problem: format!("names more than {HOSTS_MAX} hosts; take smaller networks"),
        })?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Runtime)?;
        let found = runtime.block_on(search(endpoints));
        if self.json { show::json(out, &found) } else { print(out, &found) }
    }
}

/// Looks at all ports, and says on a terminal how far it is.
async fn search(endpoints: Vec<(String, u16)>) -> Vec<Found> {
    let count = endpoints.len();
    let shows = io::stderr().is_terminal();
    let looking = endpoints.into_iter().map(|(host, port)| async move { look(&host, port).await });
    // In the order of the addresses, whoever answers first.
    let mut looking = stream::iter(looking).buffered(AT_ONCE).enumerate();
    let mut all = Vec::new();
    while let Some((number, found)) = looking.next().await {
        all.extend(found);
        if shows {
            let (done, devices) = (number + 1, all.len());
            // Who cannot see how far it is sees the result.
            drop(write!(io::stderr(), "\rlooked at {done} of {count} ports, found {devices} "));
        }
    }
    if shows {
        drop(writeln!(io::stderr()));
    }
    all
}

fn print(out: &mut impl Write, all: &[Found]) -> Result<(), CliError> {
    if all.is_empty() {
        writeln!(
            out,
            "nothing found; a device may have another port (host:port), have its interface switched \
             off, or speak by MQTT or a serial line, which cannot be searched for"
        )?;
    }
    for found in all {
        let power = found.power_mw.as_ref().and_then(|mw| mw.parse().ok());
        let power = power.map(|mw| format!(", shows {}", show::power(Power::from_milliwatts(mw))));
        writeln!(out, "# {}: {}{}", found.address, found.what, power.unwrap_or_default())?;
        if !found.also.is_empty() {
            writeln!(out, "# the same answers fit: {}", found.also.join(", "))?;
        }
        writeln!(out, "{}\n{}", found.section, found.settings)?;
    }
    Ok(())
}
