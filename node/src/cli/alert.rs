//! `boltgrid alert`: what the node tells its owner of, and whether it arrives.
//! Not for: rules and receivers, which are in the config file.

use std::io::Write;

use boltgrid_protocol::units::Timestamp;
use clap::{Args, Subcommand};

use super::error::CliError;
use super::node::Node;
use super::show;
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
                let report =
                    node.ask(|client| async move { AlertListRpcClient::list(&client).await })?;
                if node.json { show::json(out, &report) } else { list(out, &report) }
            }
            Self::Test(Test { receiver, node }) => {
                let name = receiver.clone();
                node.ask(|client| async move { AlertRpcClient::test(&client, name).await })?;
                if node.json {
                    show::json(out, &serde_json::json!({ "told": true }))
                } else {
                    writeln!(out, "{receiver} took the test")?;
                    Ok(())
                }
            }
        }
    }
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
