//! `boltgrid grid`: what all members agree on, as the running node sees it.
//! Not for: writing or checking a charter's file ([`super::charter`]), or who is connected ([`super::peer`]).

use std::io::Write;

use boltgrid_protocol::units::{Power, Price};
use clap::Subcommand;

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::rpc::GridRpcClient;
use crate::rpc::grid::{CharterReport, LineReport, MemberReport};

/// Members, charter, wires.
#[derive(Debug, Subcommand)]
pub(super) enum Grid {
    /// Show the members of the interval being delivered
    Members(Node),
    /// Show the charter that the node goes by
    Charter(Node),
    /// Show who is behind which feeder, and how the feeder's meter and its sites' fit together
    Topology(Node),
}

impl Grid {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Members(node) => {
                let members = node.ask(|it| async move { it.members().await })?;
                if node.json { show::json(out, &members) } else { member_table(out, &members) }
            }
            Self::Charter(node) => {
                let charter = node.ask(|it| async move { it.charter().await })?;
                if node.json { show::json(out, &charter) } else { charter_rows(out, &charter) }
            }
            Self::Topology(node) => {
                let lines = node.ask(|it| async move { it.topology().await })?;
                if node.json { show::json(out, &lines) } else { line_table(out, &lines) }
            }
        }
    }
}

fn member_table(out: &mut impl Write, members: &[MemberReport]) -> Result<(), CliError> {
    if members.is_empty() {
        writeln!(out, "nobody is a member now; see `boltgrid enrol`")?;
    }
    let width = members.iter().map(|it| it.connection_point.chars().count()).max().unwrap_or(0);
    for it in members {
        writeln!(out, "{:width$}  {}", it.connection_point, about(it))?;
    }
    Ok(())
}

fn about(it: &MemberReport) -> String {
    let power = |mw| show::power(Power::from_milliwatts(mw));
    let mut parts = vec![
        it.participant.clone(),
        format!("takes up to {}", power(it.rated_import_mw)),
        format!("gives up to {}", power(it.rated_export_mw)),
        format!("until interval {}", it.valid_until_interval),
    ];
    for (is_so, word) in [
        (it.is_this_node, "this node"),
        (it.is_voter, "votes"),
        (it.is_feeders_meter, "a feeder's meter"),
        (it.is_outside, "beyond the grid's connection"),
    ] {
        parts.extend(is_so.then(|| format!("({word})")));
    }
    parts.join("  ")
}

fn charter_rows(out: &mut impl Write, it: &CharterReport) -> Result<(), CliError> {
    let price = |msat| show::price(Price::from_msat_per_kwh(msat));
    let orders = format!(
        "open {} before delivery, count until {} before it",
        show::seconds(it.orders_open_before_delivery_ms),
        show::seconds(it.gate_before_delivery_ms)
    );
    Ok(show::rows(
        out,
        &[
            ("name", it.name.clone()),
            ("grid", it.grid_id.clone()),
            ("interval", show::seconds(it.interval_ms)),
            ("orders", orders),
            ("clocks", format!("differ by {} at most", show::seconds(it.clock_skew_max_ms))),
            (
                "prices",
                format!("{} to {}", price(it.floor_msat_per_kwh), price(it.ceiling_msat_per_kwh)),
            ),
            ("supplier takes", price(it.retail_msat_per_kwh)),
            ("supplier gives", price(it.feed_in_msat_per_kwh)),
            ("into the grid", format!("{} W at most", it.import_capacity_w)),
            ("out of the grid", format!("{} W at most", it.export_capacity_w)),
            ("losses", format!("{} ppm", it.loss_ppm)),
        ],
    )?)
}

fn line_table(out: &mut impl Write, lines: &[LineReport]) -> Result<(), CliError> {
    if lines.is_empty() {
        writeln!(out, "the charter names no feeders")?;
    }
    for it in lines {
        writeln!(out, "{}: {}", it.name, it.connection_points.join(", "))?;
        let gap = it.metered.as_ref().and_then(|it| it.gap.as_ref());
        let state = match (&it.metered, gap) {
            (None, _) => "nothing was added up yet",
            (Some(_), Some(_)) => {
                "its meter and its sites' do NOT fit: see `boltgrid meter balance`"
            }
            (Some(_), None) => "its meter and its sites' fit, as far as they are known",
        };
        writeln!(out, "  {} members; {state}", it.members.len())?;
    }
    Ok(())
}
