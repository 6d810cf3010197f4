//! `boltgrid meter discover`: looks for meters at the addresses that the user names, and nowhere else.

pub(crate) mod look;

use std::io::Write;

use boltgrid_protocol::units::Power;
use clap::Args;

use crate::cli::error::CliError;
use crate::cli::search::{Where, search};
use crate::cli::show;
use look::{Found, look};

/// The ports that are looked at where none is named: Modbus, HTTP, and those of serial servers for P1.
pub(crate) const PORTS: [u16; 5] = [502, 80, 23, 2_001, 8_088];
/// Ports looked at side by side.
pub(crate) const AT_ONCE: usize = 64;

/// Arguments of `meter discover`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Discover {
    #[command(flatten)]
    place: Where,
}

impl Discover {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let endpoints = self.place.endpoints(&PORTS)?.into_iter();
        let looks = endpoints.map(|(host, port)| async move { look(&host, port).await });
        let seen = search("ports", AT_ONCE, looks, |found| !found.is_empty())?;
        let found: Vec<Found> = seen.into_iter().flatten().collect();
        if self.place.json { show::json(out, &found) } else { print(out, &found) }
    }
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
        if let Some(section) = found.section {
            writeln!(out, "{section}\n{}", found.settings)?;
        }
    }
    Ok(())
}
