//! `boltgrid channel plan`: what the channel policy would do now, and why. Nothing is done.

use std::io::Write;

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::channels::PlanReport;
use crate::channels::report::{ActionKind, StepReport};
use crate::rpc::ChannelPlanRpcClient;

/// Asks the node and prints its plan.
pub(super) fn run(node: Node, out: &mut impl Write) -> Result<(), CliError> {
    let plan = node.ask(|node| async move { node.plan().await })?;
    if node.json { show::json(out, &plan) } else { print(&plan, out) }
}

fn print(plan: &PlanReport, out: &mut impl Write) -> Result<(), CliError> {
    let expected = show::msat_as_sat(plan.expected_msat_a_day);
    writeln!(out, "all members together are expected to pay {expected} sat a day")?;
    if plan.steps.is_empty() {
        writeln!(out, "nothing is to be done")?;
    } else if plan.automatic {
        writeln!(out, "the node is going to do this by itself:")?;
    } else {
        writeln!(out, "the node does not do this by itself (`channels.automatic` is false):")?;
    }
    for step in &plan.steps {
        writeln!(out)?;
        show::rows(out, &rows(step))?;
    }
    for waiting in &plan.waiting {
        writeln!(out, "\nnot now: {waiting}")?;
    }
    Ok(())
}

fn rows(step: &StepReport) -> Vec<(&'static str, String)> {
    let action = match step.action {
        ActionKind::Open => "open a channel",
        ActionKind::SpliceIn => "refill a channel",
        ActionKind::CloseTogether => "close a channel together",
        ActionKind::CloseAlone => "close a channel alone",
    };
    let amount = step.amount_msat.map(|amount| format!("{} sat", show::msat_as_sat(amount)));
    vec![
        ("do", action.to_owned()),
        ("channel", show::or_none(step.channel.as_ref())),
        ("member", show::or_none(step.partner.as_ref())),
        ("amount", show::or_none(amount.as_ref())),
        ("fee", format!("{} sat", show::msat_as_sat(step.fee_msat))),
        ("why", step.reason.clone()),
    ]
}
