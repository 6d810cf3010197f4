//! `boltgrid miner discover`: looks for mining machines at the addresses that the user names, and
//! nowhere else.

use std::io::Write;
use std::net::IpAddr;

use boltgrid_miners::drivers::{DeviceError, Found, discover};
use boltgrid_miners::hash::Efficiency;
use boltgrid_miners::machine::{Abilities, Control};
use boltgrid_protocol::units::Power;
use clap::Args;
use serde::Serialize;
use tokio::net::lookup_host;

use crate::cli::error::CliError;
use crate::cli::search::{ARGUMENT, Where, search};
use crate::cli::show;
use crate::cli::targets::Target;
use crate::clock;
use crate::status::quoted;

/// Machines looked at side by side; each is asked at a few ports.
const AT_ONCE: usize = 32;
/// Machines have the ports of their firmware: this one stands for all of them.
const ANY_PORT: u16 = 80;

/// Arguments of `miner discover`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Discover {
    #[command(flatten)]
    place: Where,
}

/// A machine as it is printed.
#[derive(Debug, Serialize)]
struct Report {
    address: IpAddr,
    about: String,
    /// What it can be told; none where its owner must say first what it draws.
    can: Option<String>,
    #[serde(with = "quoted::option")]
    rated_mw: Option<i64>,
    #[serde(with = "quoted::option")]
    power_mw: Option<i64>,
    #[serde(with = "quoted::option")]
    hash_rate_gh_per_s: Option<u64>,
    #[serde(with = "quoted::option")]
    efficiency_mj_per_th: Option<u64>,
    /// How it is written into the config file.
    settings: String,
}

/// What was looked at.
#[derive(Debug, Serialize)]
struct Looked {
    machines: Vec<Report>,
    /// Addresses of which nothing can be said, and why.
    failed: Vec<String>,
}

impl Discover {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        if self.place.targets.iter().any(|it| matches!(it, Target::Port(..))) {
            let problem = "names a port; machines have those of their firmware".to_owned();
            return Err(CliError::Argument { argument: ARGUMENT, problem });
        }
        let hosts = self.place.endpoints(&[ANY_PORT])?.into_iter();
        let looks = hosts.map(|(host, _)| look(host));
        let is_found = |seen: &Result<Option<Found>, String>| matches!(seen, Ok(Some(_)));
        let (mut machines, mut failed) = (Vec::new(), Vec::new());
        for seen in search("hosts", AT_ONCE, looks, is_found)? {
            match seen {
                Ok(found) => machines.extend(found.as_ref().map(report)),
                Err(error) => failed.push(error),
            }
        }
        let looked = Looked { machines, failed };
        if self.place.json { show::json(out, &looked) } else { print(out, &looked) }
    }
}

async fn look(host: String) -> Result<Option<Found>, String> {
    let address = match host.parse() {
        Ok(address) => address,
        Err(_) => {
            let found = lookup_host((host.as_str(), ANY_PORT)).await;
            let mut found = found.map_err(|error| format!("{host}: {error}"))?;
            found.next().ok_or_else(|| format!("{host}: it has no address"))?.ip()
        }
    };
    discover(address, clock::now()).await.map_err(|error: DeviceError| error.to_string())
}

fn report(found: &Found) -> Report {
    let abilities = found.abilities.as_ref();
    let (power, rate) =
        (found.shows.and_then(|it| it.power), found.shows.and_then(|it| it.hash_rate));
    let efficiency = power.zip(rate).and_then(|(power, rate)| Efficiency::of_ceil(power, rate));
    let last = found.address.to_string().replace([':', '.'], "-");
    let rated = match abilities {
        Some(_) => "",
        None => "rated_w = 0  # what it draws at full power: look at its plate\n",
    };
    Report {
        address: found.address,
        about: found.about.clone(),
        can: abilities.map(can),
        rated_mw: abilities.map(|it| it.rated.to_milliwatts()),
        power_mw: power.map(Power::to_milliwatts),
        hash_rate_gh_per_s: rate.map(|rate| rate.to_gigahashes()),
        efficiency_mj_per_th: efficiency.map(Efficiency::to_millijoules),
        settings: format!(
            "[[miner]]\nname = \"miner-{last}\"\ndriver = \"asic\"\naddress = \"{}\"\n{rated}",
            found.address
        ),
    }
}

/// What a machine can be told, in words.
pub(super) fn can(abilities: &Abilities) -> String {
    let power = |it: Power| show::power(it);
    match &abilities.control {
        Control::Nothing => "it can only be looked at".to_owned(),
        Control::Switch => format!("off, or on at {}", power(abilities.rated)),
        Control::Range { least, most, step } => {
            format!("off, or {} to {} in steps of {}", power(*least), power(*most), power(*step))
        }
        Control::Presets(powers) => {
            let powers: Vec<String> = powers.iter().map(|it| power(*it)).collect();
            format!("off, or {}", powers.join(", "))
        }
    }
}

fn print(out: &mut impl Write, looked: &Looked) -> Result<(), CliError> {
    if looked.machines.is_empty() {
        writeln!(
            out,
            "no mining machine found; one may be off, or its firmware may not let others ask (a \
             WhatsMiner's API is off as it comes)"
        )?;
    }
    for machine in &looked.machines {
        writeln!(out, "# {}: {}", machine.address, machine.about)?;
        let draws = machine.power_mw.map(|mw| show::power(Power::from_milliwatts(mw)));
        let hashes = machine.hash_rate_gh_per_s.map(hash_rate);
        writeln!(out, "# draws {}, hashes {}", show::or_none(draws), show::or_none(hashes))?;
        match &machine.can {
            Some(can) => writeln!(out, "# can be told: {can}")?,
            None => writeln!(out, "# it does not say what it draws at full power; fill that in")?,
        }
        writeln!(out, "{}", machine.settings)?;
    }
    for failed in &looked.failed {
        writeln!(out, "# LOOK: {failed}")?;
    }
    Ok(())
}

/// A hash rate as people write it.
pub(super) fn hash_rate(gh_per_s: u64) -> String {
    show::milli(gh_per_s.into(), "TH/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    #[test]
    fn what_was_found_is_a_configuration() {
        let found = Found {
            address: "192.168.1.50".parse().unwrap(),
            about: "AntMiner S19K Pro (LuxOS)".to_owned(),
            abilities: None,
            shows: None,
        };
        let report = report(&found);
        assert!(report.settings.contains("rated_w"), "{}", report.settings);
        let table: toml::Table = toml::from_str(&report.settings).unwrap();
        assert_eq!(table["miner"][0]["name"].as_str(), Some("miner-192-168-1-50"));
    }

    #[test]
    fn what_can_be_told_is_said_in_words() {
        let abilities = |control| Abilities {
            control,
            rated: watts(3_400),
            idle: watts(20),
            settle_ms: 1,
            warm_up_ms: 1,
        };
        let said = can(&abilities(Control::Presets(vec![watts(784), watts(2_794)])));
        assert!(said.contains("784") && said.contains("2794"), "{said}");
        let range = Control::Range { least: watts(2_000), most: watts(3_400), step: watts(50) };
        assert!(can(&abilities(range)).contains("in steps of 50"));
    }
}
