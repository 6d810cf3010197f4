//! `boltgrid miner`: what the site's machines do and why, and the owner's word about it.
//! Not for: which machines there are, which the config file says.

mod discover;
mod test;

use std::io::Write;

use boltgrid_protocol::units::{Power, Price, Timestamp};
use clap::{Args, Subcommand};

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::dispatcher::{DispatchStatus, MachineStatus};
use crate::rpc::{DispatchListRpcClient, DispatchRpcClient};

/// See and decide what machines do.
#[derive(Debug, Subcommand)]
pub(super) enum Miner {
    /// Show all machines in a line each, as the running node sees them
    List(Node),
    /// Try a machine of the config file out without a node: what it is, what it can be told, what it
    /// shows, and with --switch whether it does as told
    Test(test::Test),
    /// Look for mining machines at addresses in your network. Prints what to put into the config file;
    /// only the addresses that you name are looked at, and nothing is changed
    Discover(discover::Discover),
    /// Show what each machine does and why, its break-even in its parts, and the latest decisions
    Decisions(Node),
    /// Decide yourself what a machine does for a while; without a power the plan decides again
    Override(Override),
    /// Stop all machines for a while; 0 ends that
    Shed(Shed),
}

/// What a machine is to do.
#[derive(Debug, Args)]
pub(super) struct Override {
    /// The machine's name
    machine: String,
    /// What it is to draw, in W; 0 for off
    #[arg(long)]
    power_w: Option<u32>,
    /// For how long, in minutes
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    #[command(flatten)]
    node: Node,
}

/// For how long all stop.
#[derive(Debug, Args)]
pub(super) struct Shed {
    /// For how long, in minutes
    minutes: u32,
    #[command(flatten)]
    node: Node,
}

impl Miner {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::List(node) => {
                let status =
                    node.ask(|client| async move { DispatchListRpcClient::list(&client).await })?;
                if node.json { show::json(out, &status.machines) } else { list(out, &status) }
            }
            Self::Test(test) => test.run(out),
            Self::Discover(discover) => discover.run(out),
            Self::Decisions(node) => {
                let status =
                    node.ask(|client| async move { DispatchListRpcClient::list(&client).await })?;
                if node.json { show::json(out, &status) } else { decisions(out, &status) }
            }
            Self::Override(Override { machine, power_w, minutes, node }) => {
                let (name, for_s) = (machine.clone(), minutes.saturating_mul(60));
                node.ask(|client| async move { client.decide(name, power_w, for_s).await })?;
                match power_w {
                    _ if node.json => show::json(out, &serde_json::json!({ "taken": true })),
                    None => Ok(writeln!(out, "{machine} does what the plan says")?),
                    Some(0) => Ok(writeln!(out, "{machine} stays off for {minutes} minutes")?),
                    Some(watts) => Ok(writeln!(
                        out,
                        "{machine} draws at most {watts} W for {minutes} minutes, whatever power costs"
                    )?),
                }
            }
            Self::Shed(Shed { minutes, node }) => {
                let for_s = minutes.saturating_mul(60);
                node.ask(|client| async move { client.shed(for_s).await })?;
                if node.json {
                    return show::json(out, &serde_json::json!({ "taken": true }));
                }
                match minutes {
                    0 => writeln!(out, "machines do what the plan says")?,
                    minutes => writeln!(out, "all machines stop for {minutes} minutes")?,
                }
                Ok(())
            }
        }
    }
}

/// Each machine in one line.
fn list(out: &mut impl Write, status: &DispatchStatus) -> Result<(), CliError> {
    if status.machines.is_empty() {
        writeln!(out, "no machines: write some as `[[miner]]` in the config file")?;
    }
    let width = status.machines.iter().map(|it| it.name.len()).max().unwrap_or(0);
    for machine in &status.machines {
        let draws = machine.power_mw.map(|mw| show::power(Power::from_milliwatts(mw)));
        let hashes = machine.hash_rate_gh_per_s.map(discover::hash_rate);
        let takes = machine.efficiency_mj_per_th.map(|mj| show::milli(mj.into(), "J/TH"));
        let trouble = machine.trouble.as_ref().map(|why| format!("  TROUBLE: {why}"));
        writeln!(
            out,
            "{:width$}  is {}  draws {}  hashes {}  takes {}  {}{}",
            machine.name,
            machine.set_point_mw.map_or_else(
                || "told nothing".to_owned(),
                |mw| format!("to {}", set_point(Some(mw)))
            ),
            show::or_none(draws),
            show::or_none(hashes),
            show::or_none(takes),
            machine.about.as_deref().unwrap_or("not found yet"),
            trouble.unwrap_or_default()
        )?;
    }
    Ok(())
}

fn decisions(out: &mut impl Write, status: &DispatchStatus) -> Result<(), CliError> {
    if status.machines.is_empty() {
        writeln!(out, "no machines: write some as `[[miner]]` in the config file")?;
        return Ok(());
    }
    let hashprice = status.hashprice_msat_per_th_day.map_or_else(
        || "not known: machines run for somebody else's money only".to_owned(),
        |msat| format!("{} sat/TH/day", show::msat_as_sat(msat)),
    );
    let watts = |mw: Option<i64>| {
        let power = mw.map(|mw| show::power(Power::from_milliwatts(mw)));
        power.unwrap_or_else(|| "not known".to_owned())
    };
    let reaction = status.reaction_ms_p95.map_or_else(
        || "none yet".to_owned(),
        |ms| format!("95 of 100 within {ms} ms, of {}", status.reactions),
    );
    let mut rows = vec![
        ("hashprice", format!("{hashprice}, from {}", status.hashprice_source)),
        ("power for machines", watts(status.budget_mw)),
        ("commands after a sample", reaction),
    ];
    if let Some(until) = status.emergency_until_unix_ms {
        rows.push(("all stop until", show::moment(Timestamp::from_unix_ms(until))));
    }
    show::rows(out, &rows)?;
    for machine in &status.machines {
        writeln!(out)?;
        show::rows(out, &rows_of(machine))?;
    }
    writeln!(out)?;
    for decision in &status.decisions {
        let at = show::moment(Timestamp::from_unix_ms(decision.at_unix_ms));
        let to = set_point(decision.set_point_mw);
        writeln!(out, "{at}  {:20}  {to:12}  {}", decision.machine, decision.reason)?;
    }
    Ok(())
}

fn rows_of(machine: &MachineStatus) -> Vec<(&'static str, String)> {
    let price = |msat: i64| show::price(Price::from_msat_per_kwh(msat));
    let about = machine.about.clone().unwrap_or_else(|| "not found yet".to_owned());
    let draws = machine.power_mw.map(|mw| show::power(Power::from_milliwatts(mw)));
    let efficiency =
        machine.efficiency_mj_per_th.map(|mj| format!("{} J/TH", show::msat_as_sat(mj)));
    let mut rows = vec![
        ("machine", machine.name.clone()),
        ("", about),
        ("draws", show::or_none(draws)),
        ("is to", set_point(machine.set_point_mw)),
        ("since", machine.reason.clone().unwrap_or_else(|| "nothing is decided yet".to_owned())),
        ("takes for its hashes", show::or_none(efficiency)),
        ("break-even", price(machine.break_even_msat_per_kwh)),
        ("  hashes earn", price(machine.hashing_msat_per_kwh)),
        ("  less the pool's fee", price(machine.pool_fee_msat_per_kwh)),
        ("  less wear", price(machine.wear_msat_per_kwh)),
        ("  plus heat", price(machine.heat_msat_per_kwh)),
        ("  less its start", price(machine.start_msat_per_kwh)),
        ("starts at", price(machine.starts_msat_per_kwh)),
        ("goes on up to", price(machine.goes_on_msat_per_kwh)),
        ("was started", format!("{} times since the node runs", machine.starts)),
    ];
    if let Some(trouble) = &machine.trouble {
        rows.push(("TROUBLE", trouble.clone()));
    }
    rows
}

fn set_point(mw: Option<i64>) -> String {
    match mw {
        None => "told nothing".to_owned(),
        Some(0) => "off".to_owned(),
        Some(mw) => show::power(Power::from_milliwatts(mw)),
    }
}
