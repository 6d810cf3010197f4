//! `boltgrid alert`: what the node tells its owner of, and whether it arrives.
//! Not for: rules and receivers, which are in the config file.

use std::io::Write;
use std::path::PathBuf;

use boltgrid_protocol::units::Timestamp;
use clap::{Args, Subcommand};

use super::error::CliError;
use super::{rpc, show};
use crate::rpc::alert::AlertsReport;
use crate::rpc::{AlertListRpcClient, AlertRpcClient};

/// See and try out alerts.
#[derive(Debug, Subcommand)]
pub(super) enum Alert {
    /// Show rules, receivers and what was told last
    List(Node),
    /// Tell a receiver a test, now
    Test(Test),
}

/// Which node to ask, and how to print its answer.
#[derive(Debug, Args)]
pub(super) struct Node {
    /// Where the node's JSON-RPC listens, instead of what the config file says
    #[arg(long, value_name = "ADDR")]
    rpc: Option<String>,
    /// The node's config file
    #[arg(
        long,
        value_name = "FILE",
        env = "BOLTGRID_CONFIG",
        default_value = "boltgrid/config.toml"
    )]
    config: PathBuf,
    /// Print the node's answer as JSON
    #[arg(long)]
    json: bool,
}

/// What to try.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// The receiver's name
    receiver: String,
    #[command(flatten)]
    node: Node,
}

impl Alert {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::List(node) => {
                let address = rpc::address(node.rpc.clone(), &node.config)?;
                let report =
                    rpc::ask(
                        address,
                        |client| async move { AlertListRpcClient::list(&client).await },
                    )?;
                if node.json { json(out, &report) } else { list(out, &report) }
            }
            Self::Test(Test { receiver, node }) => {
                let address = rpc::address(node.rpc.clone(), &node.config)?;
                let name = receiver.clone();
                rpc::ask(
                    address,
                    |client| async move { AlertRpcClient::test(&client, name).await },
                )?;
                if node.json {
                    json(out, &serde_json::json!({ "told": true }))
                } else {
                    writeln!(out, "{receiver} took the test")?;
                    Ok(())
                }
            }
        }
    }
}

fn json(out: &mut impl Write, answer: &impl serde::Serialize) -> Result<(), CliError> {
    serde_json::to_writer_pretty(&mut *out, answer).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn list(out: &mut impl Write, report: &AlertsReport) -> Result<(), CliError> {
    if report.rules.is_empty() {
        writeln!(out, "no rules: write some under `[alerts]` in the config file (docs/alerts.md)")?;
    }
    for rule in &report.rules {
        let state = if rule.told_at_unix_ms.is_some() { "HOLDS" } else { "-" };
        let seen = rule.seen.as_deref().unwrap_or("not known now");
        writeln!(out, "rule      {:30}  {state:5}  {seen}", rule.name)?;
    }
    for receiver in &report.receivers {
        let waiting = receiver.waiting;
        let state =
            receiver.failing.as_ref().map_or("works".to_owned(), |why| format!("FAILS: {why}"));
        writeln!(out, "receiver  {:30}  {waiting} waiting, {state}", receiver.name)?;
    }
    if report.dropped > 0 {
        writeln!(out, "{} alerts were dropped, since they could not be told", report.dropped)?;
    }
    for told in &report.told {
        let at = show::moment(Timestamp::from_unix_ms(told.at_unix_ms));
        writeln!(out, "told      {at}  {:?}: {}: {}", told.turn, told.rule, told.text)?;
    }
    Ok(())
}
