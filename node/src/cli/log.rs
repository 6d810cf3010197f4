//! `boltgrid log`: what the running node logs, and having it log something else.
//! Not for: the log's lines, which are where the node's standard error goes.

use std::io::Write;

use clap::Args;

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::rpc::LogRpcClient;

/// Arguments of `log`.
#[derive(Debug, Args)]
pub(super) struct Log {
    /// What to log from now on until the node ends, such as "info,boltgrid=debug"; without, what is logged is
    /// shown
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    #[command(flatten)]
    node: Node,
}

impl Log {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let Self { filter, node } = self;
        let report = node.ask(|it| async move {
            match filter {
                Some(filter) => it.set_log(filter).await,
                None => it.log().await,
            }
        })?;
        if node.json {
            return show::json(out, &report);
        }
        Ok(show::rows(out, &[("logs", report.filter), ("as", report.format)])?)
    }
}
