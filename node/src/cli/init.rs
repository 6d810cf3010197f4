//! `boltgrid init`: a node's folder, with a commented config file and new keys.
//!
//! Everything is checked before anything is written. Not for: what is written
//! ([`crate::first_files`]).

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use boltgrid_metering::drivers::{BusAddress, DeviceAddress};
use clap::Args;

use super::error::CliError;
use crate::config::{CONFIG_FILE, Config, RawConfig, RawNetwork};
use crate::first_files::{FirstFiles, Written};
use crate::grid;
use crate::lightning::Seed;
use crate::site::{DeviceConfig, SiteConfig};

/// Words of the wallet's seed in one row on the screen.
const WORDS_IN_A_ROW: usize = 6;
/// The unit of a device that is alone on its bus.
const UNIT: u8 = 1;

/// Arguments of `init`. What is not given is asked for, where there is a terminal to ask on.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The node's folder
    #[arg(long, default_value = "boltgrid")]
    dir: PathBuf,
    /// The grid's charter, to be copied into the folder
    #[arg(long, value_name = "FILE")]
    charter: Option<PathBuf>,
    /// Multiaddress of a node of the grid, such as /ip4/192.0.2.7/tcp/9333; may be given several
    /// times
    #[arg(long, value_name = "ADDR")]
    bootstrap: Vec<String>,
    /// The site's SunSpec meter, as host[:port][/unit]
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    meter: Option<DeviceAddress>,
    /// A SunSpec inverter with PV, as host[:port][/unit]; may be given several times
    #[arg(long, value_name = "DEVICE", value_parser = device, requires = "meter")]
    pv: Vec<DeviceAddress>,
    /// A SunSpec battery, as host[:port][/unit]; may be given several times
    #[arg(long, value_name = "DEVICE", value_parser = device, requires = "meter")]
    battery: Vec<DeviceAddress>,
    /// A line to set in the config file, with its section before a dot: 'rpc.hosts = ["a.example"]';
    /// may be given several times
    #[arg(long, value_name = "LINE")]
    set: Vec<String>,
    /// Ask nothing: what is not given is left out
    #[arg(long)]
    non_interactive: bool,
}

/// Text that is no device.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("write a device as host[:port][/unit], such as 192.168.1.20 or meter.local:1502/126")]
struct NotADevice;

fn device(text: &str) -> Result<DeviceAddress, NotADevice> {
    // The address of a serial line has slashes of its own.
    let mark = if text.contains("://") { '#' } else { '/' };
    let (bus, unit) = match text.split_once(mark) {
        Some((bus, unit)) => (bus, unit.parse().map_err(|_| NotADevice)?),
        None => (text, UNIT),
    };
    let bus = BusAddress::from_str(bus).map_err(|_| NotADevice)?;
    Ok(DeviceAddress { bus, unit })
}

impl Init {
    pub(super) fn run(mut self, out: &mut impl Write) -> Result<(), CliError> {
        let file = self.dir.join(CONFIG_FILE);
        if file.exists() {
            return Err(CliError::Exists { path: file, remedy: "--dir" });
        }
        if !self.non_interactive && io::stdin().is_terminal() {
            self.ask(&mut io::stdin().lock(), out)?;
        }
        let charter = match &self.charter {
            Some(charter) => Some((charter, grid::read_charter(charter)?)),
            None => None,
        };
        let raw = self.to_config()?;
        let text = self.charter.as_ref().map(|source| {
            let failed = |error| CliError::Read { path: source.clone(), source: error };
            fs::read_to_string(source).map_err(failed)
        });
        let text = text.transpose()?;
        let files = FirstFiles {
            dir: &self.dir,
            config: &raw,
            charter: text.as_deref(),
            seed: None,
            bitcoind_password: None,
        };
        let Written { participant, config, new_seed, .. } = files.write()?;
        if let Some((_, charter)) = &charter {
            writeln!(out, "grid         {} ({})", charter.name, charter.grid_id())?;
        }
        writeln!(out, "participant  {participant}")?;
        writeln!(out, "config       {}", file.display())?;
        if let Some(seed) = new_seed {
            show_seed(out, &seed, &config.seed_file)?;
        }
        next_steps(out, &self.dir, &config, charter.is_some())
    }

    /// Asks for what is not given.
    fn ask(&mut self, input: &mut impl BufRead, out: &mut impl Write) -> Result<(), CliError> {
        writeln!(out, "An empty answer leaves a thing out; it can be put into the file later.\n")?;
        if self.charter.is_none() {
            self.charter = question(input, out, "The grid's charter file", |text| {
                fs::exists(text).is_ok_and(|exists| exists).then(|| PathBuf::from(text))
            })?;
        }
        if self.bootstrap.is_empty() {
            let question_text = "Address of a node of the grid, like /ip4/192.0.2.7/tcp/9333";
            let answer = question(input, out, question_text, |text| {
                text.parse::<libp2p::Multiaddr>().is_ok().then(|| text.to_owned())
            })?;
            self.bootstrap.extend(answer);
        }
        let ok = |text: &str| device(text).ok();
        if self.meter.is_none() {
            self.meter = question(input, out, "SunSpec meter, as host[:port][/unit]", ok)?;
        }
        if self.meter.is_some() && self.pv.is_empty() {
            self.pv.extend(question(input, out, "PV inverter, as host[:port][/unit]", ok)?);
        }
        if self.meter.is_some() && self.battery.is_empty() {
            self.battery.extend(question(input, out, "Battery, as host[:port][/unit]", ok)?);
        }
        writeln!(out)?;
        Ok(())
    }

    /// The devices, if any is given.
    fn to_site(&self) -> Option<SiteConfig> {
        let device = |it: &DeviceAddress| DeviceConfig::at(it.bus.clone(), it.unit);
        self.meter.as_ref().map(|meter| SiteConfig {
            meter: Some(device(meter)),
            pv: self.pv.iter().map(device).collect(),
            battery: self.battery.iter().map(device).collect(),
            ..SiteConfig::default()
        })
    }

    fn to_config(&self) -> Result<RawConfig, CliError> {
        let bootstrap = (!self.bootstrap.is_empty()).then(|| self.bootstrap.clone());
        let named = RawConfig {
            network: RawNetwork { bootstrap, ..RawNetwork::default() },
            site: self.to_site(),
            ..RawConfig::default()
        };
        let set = RawConfig::from_toml(&self.set.join("\n")).map_err(|error| {
            CliError::Argument { argument: "--set", problem: format!("is no line of it: {error}") }
        })?;
        Ok(named.over(set))
    }
}

/// Asks until the answer is empty or understood.
fn question<T>(
    input: &mut impl BufRead,
    out: &mut impl Write,
    text: &str,
    understand: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, CliError> {
    loop {
        write!(out, "{text}: ")?;
        out.flush()?;
        let mut line = String::new();
        input.read_line(&mut line)?;
        let answer = line.trim();
        if answer.is_empty() {
            return Ok(None);
        }
        if let Some(understood) = understand(answer) {
            return Ok(Some(understood));
        }
        writeln!(out, "  {answer:?} is none; please try again")?;
    }
}

/// Shows the words, this once.
fn show_seed(out: &mut impl Write, seed: &Seed, path: &Path) -> Result<(), CliError> {
    let words = seed.words();
    writeln!(
        out,
        "wallet       {}\n\nThe wallet's 24 words. They are shown this once: write them on paper. \
         Whoever has them has the money, and without them it is gone with this machine.\n",
        path.display()
    )?;
    for (row, words) in words.split(' ').collect::<Vec<_>>().chunks(WORDS_IN_A_ROW).enumerate() {
        let first = row.saturating_mul(WORDS_IN_A_ROW).saturating_add(1);
        let numbered = (first..).zip(words).map(|(number, word)| format!("{number:>2} {word:<9}"));
        writeln!(out, "  {}", numbered.collect::<Vec<_>>().join(" ").trim_end())?;
    }
    Ok(())
}

fn next_steps(
    out: &mut impl Write,
    dir: &Path,
    config: &Config,
    has_charter: bool,
) -> Result<(), CliError> {
    let mut steps = Vec::new();
    if !has_charter {
        steps.push(format!("put the grid's charter at {}", config.grid.charter_file.display()));
    }
    steps.push(format!(
        "boltgrid enrol request --dir {} --connection-point NAME --import-w W --export-w W",
        dir.display()
    ));
    steps.push(format!(
        "put the enrolments of all members, and your own, into {}",
        config.grid.enrolments_dir.display()
    ));
    steps.push(format!("look through {}", dir.join(CONFIG_FILE).display()));
    steps.push(format!("boltgrid run --config {}", dir.join(CONFIG_FILE).display()));
    writeln!(out, "\nNext:")?;
    for (number, step) in (1..).zip(steps) {
        writeln!(out, "  {number}. {step}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_host_with_or_without_port_and_unit() {
        let check = |text: &str, expected: Option<&str>| {
            let found = device(text).ok().map(|device| device.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("192.168.1.20", Some("192.168.1.20:502 unit 1"));
        check("meter.local:1502/126", Some("meter.local:1502 unit 126"));
        check("[fe80::1]/3", Some("[fe80::1]:502 unit 3"));
        check("meter.local/256", None);
        check("", None);
        check("meter:port", None);
    }

    #[test]
    fn a_question_is_asked_until_it_is_understood_or_skipped() {
        let mut out = Vec::new();
        let mut input = "nowhere at all\nmeter.local\n\n".as_bytes();
        let ok = |text: &str| device(text).ok();
        let first = question(&mut input, &mut out, "Meter", ok).unwrap();
        assert_eq!(first.unwrap().bus.to_string(), "meter.local:502");
        assert!(question(&mut input, &mut out, "Meter", ok).unwrap().is_none());
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.matches("Meter: ").count(), 3, "{out}");
    }
}
