//! `boltgrid export`: everything that the running node keeps about money, as CSV files in a folder.
//! Not for: a backup of the wallet; none of it brings money back.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::error::CliError;
use super::node::Running;
use super::past::every_page;
use super::rpc::Door;
use crate::rpc::past::{BalanceReport, ChannelPastReport};
use crate::rpc::payment::{DisputeReport, PaymentReport};
use crate::rpc::{ChannelPastRpcClient, DisputeRpcClient, PaymentRpcClient, WalletPastRpcClient};

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The folder to write payments.csv, disputes.csv, balances.csv, channels.csv and
    /// transactions.csv into; it is made where there is none, and no file is overwritten
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The first interval, by its number; all that are kept by default
    #[arg(long, value_name = "INTERVAL", default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    running: Running,
}

/// A dispute in a line: without what both sides signed, which is no table.
#[derive(Debug, Serialize)]
struct DisputeRow<'a> {
    interval: u64,
    trade: Option<u32>,
    forward: Option<&'a str>,
    counterparty: &'a str,
    due_msat: i64,
    unpaid_msat: u64,
    why: &'a str,
    at_unix_ms: u64,
    resolved_at_unix_ms: Option<u64>,
}

impl Export {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let door = self.running.door()?;
        let from = || self.from.to_string();
        let payments = payments(&door, from())?;
        let disputes = door.ask(|it| async move { it.disputes().await })?;
        let disputes: Vec<DisputeRow<'_>> = disputes.iter().map(DisputeRow::from).collect();
        let since = from();
        let balances = door.ask(|it| async move {
            let page =
                async |before| WalletPastRpcClient::history(&it, since.clone(), before).await;
            every_page(page, |it: &BalanceReport| it.interval).await
        })?;
        let since = from();
        let channels = door.ask(|it| async move {
            let page =
                async |before| ChannelPastRpcClient::history(&it, since.clone(), before).await;
            every_page(page, |it: &ChannelPastReport| it.interval).await
        })?;
        let transactions = door.ask(|it| async move { it.transactions().await })?;
        let folder = &self.folder;
        let failed = |source| CliError::Write { path: folder.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        file(out, folder, "payments.csv", &payments)?;
        file(out, folder, "disputes.csv", &disputes)?;
        file(out, folder, "balances.csv", &balances)?;
        file(out, folder, "channels.csv", &channels)?;
        file(out, folder, "transactions.csv", &transactions)
    }
}

/// All payments since an interval, page by page.
pub(super) fn payments(door: &Door, from: String) -> Result<Vec<PaymentReport>, CliError> {
    door.ask(|it| async move {
        let page = async |before| PaymentRpcClient::list(&it, from.clone(), before).await;
        every_page(page, |it: &PaymentReport| it.interval).await
    })
}

/// One row in a line, after a line with the fields' names.
pub(super) fn csv<T: Serialize>(out: impl Write, rows: &[T]) -> Result<(), CliError> {
    let mut writer = csv::Writer::from_writer(out);
    for row in rows {
        writer.serialize(row).map_err(std::io::Error::from)?;
    }
    Ok(writer.flush()?)
}

fn file<T: Serialize>(
    out: &mut impl Write,
    folder: &Path,
    name: &str,
    rows: &[T],
) -> Result<(), CliError> {
    let path = folder.join(name);
    let file = fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let file = file.map_err(|source| {
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            CliError::Exists { path: path.clone(), remedy: "`boltgrid export DIR`" }
        } else {
            CliError::Write { path: path.clone(), source }
        }
    })?;
    csv(file, rows)?;
    writeln!(out, "{}: {} rows", path.display(), rows.len())?;
    Ok(())
}

impl<'a> From<&'a DisputeReport> for DisputeRow<'a> {
    fn from(it: &'a DisputeReport) -> Self {
        Self {
            interval: it.interval,
            trade: it.trade,
            forward: it.forward.as_deref(),
            counterparty: &it.counterparty,
            due_msat: it.due_msat,
            unpaid_msat: it.unpaid_msat,
            why: &it.why,
            at_unix_ms: it.at_unix_ms,
            resolved_at_unix_ms: it.resolved_at_unix_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ChannelChange;

    #[test]
    fn text_with_commas_and_quotes_survives() {
        let closed = ChannelPastReport {
            interval: 7,
            at_unix_ms: 9,
            channel: "01".repeat(16),
            counterparty: None,
            change: ChannelChange::Closed,
            reason: Some("\"fees, fees\"\nand more".to_owned()),
        };
        let mut out = Vec::new();
        csv(&mut out, &[closed]).unwrap();
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let head = reader.headers().unwrap().clone();
        assert_eq!(head.len(), 6);
        let row = reader.records().next().unwrap().unwrap();
        assert_eq!(row.get(0), Some("7"));
        assert_eq!((head.get(4), row.get(4)), (Some("change"), Some("closed")));
        assert_eq!(row.get(5), Some("\"fees, fees\"\nand more"));
    }
}
