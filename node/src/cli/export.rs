//! `boltgrid export`: what the running node keeps, as CSV or Parquet files in a folder.
//!
//! It is asked for page by page, and each page is written before the next one is asked for, so that years need
//! no more memory than a day.
//! Not for: a backup of the wallet; none of it brings money back.

mod table;

use std::fs;
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jsonrpsee::core::client::Error;
use jsonrpsee::http_client::HttpClient;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::CliError;
use super::node::Node;
use super::past::every_page;
use super::rpc::Door;
use super::show;
use crate::dispatcher::Log;
use crate::rpc::by_hand::ByHandReport;
use crate::rpc::code::Code;
use crate::rpc::kept::RegisterReport;
use crate::rpc::market::PriceReport;
use crate::rpc::past::{BalanceReport, ChannelPastReport};
use crate::rpc::payment::{DisputeReport, PaymentReport};
use crate::rpc::{
    ByHandRpcClient, ChannelPastRpcClient, DispatchPastRpcClient, DisputeRpcClient, GridRpcClient,
    MarketRpcClient, MeterPastRpcClient, PaymentRpcClient, WalletPastRpcClient,
};
use crate::status::{TradeReport, quoted};
use table::{Format, Table, is_there};

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The folder to write payments.csv, trades.csv and the like into; it is made where there is none, and no
    /// file is overwritten
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The first interval, by its number; all that are kept by default
    #[arg(long, value_name = "INTERVAL", default_value_t = 0)]
    from: u64,
    /// The interval after the last, by its number; up to now by default
    #[arg(long, value_name = "INTERVAL")]
    before: Option<u64>,
    /// Only these; all by default
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    only: Vec<What>,
    /// The form of the files
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    format: Format,
    #[command(flatten)]
    node: Node,
}

/// What can be exported, each into a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// What was paid, at which stage each payment is
    Payments,
    /// What was asked for and paid by hand, beside all trades
    ByHand,
    /// This node's trades
    Trades,
    /// The price of every interval
    Prices,
    /// What the meter that settles showed at the start of each interval, as it was signed
    Readings,
    /// What machines were told, and why
    Decisions,
    /// Dues in dispute
    Disputes,
    /// Where the money was at the end of each interval
    Balances,
    /// What became of channels
    Channels,
    /// The on-chain wallet's transactions
    Transactions,
}

/// A file that was written.
#[derive(Debug, Serialize)]
struct Written {
    file: PathBuf,
    #[serde(with = "quoted")]
    rows: u64,
}

/// A dispute in a line: without what both sides signed, which is no table.
#[derive(Debug, Serialize, JsonSchema)]
struct DisputeRow {
    interval: u64,
    trade: Option<u32>,
    forward: Option<String>,
    counterparty: String,
    due_msat: i64,
    unpaid_msat: u64,
    why: String,
    at_unix_ms: u64,
    resolved_at_unix_ms: Option<u64>,
    forgiven_at_unix_ms: Option<u64>,
}

/// An export under way.
struct Work<'a> {
    door: &'a Door,
    folder: &'a Path,
    format: Format,
    /// The first interval, and the one after the last.
    span: (u64, Option<u64>),
    interval_ms: u64,
}

impl Export {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let all = What::value_variants();
        let wanted = if self.only.is_empty() { all } else { self.only.as_slice() };
        let path = |what: What| self.folder.join(what.file(self.format));
        if let Some(path) = wanted.iter().map(|it| path(*it)).find(|it| is_there(it)) {
            return Err(CliError::Exists { path, remedy: "`boltgrid export DIR`" });
        }
        let door = self.node.door()?;
        let charter = door.ask(|it| async move { it.charter().await })?;
        let failed = |source| CliError::Write { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let work = Work {
            door: &door,
            folder: &self.folder,
            format: self.format,
            span: (self.from, self.before),
            interval_ms: charter.interval_ms,
        };
        let mut written = Vec::new();
        for what in wanted {
            if let Some(it) = work.export(*what)? {
                if !self.node.json {
                    writeln!(out, "{}: {} rows", it.file.display(), it.rows)?;
                }
                written.push(it);
            }
        }
        if self.node.json { show::json(out, &written) } else { Ok(()) }
    }
}

impl What {
    fn file(self, format: Format) -> String {
        let name = self.to_possible_value().expect("none of them is hidden");
        format!("{}.{}", name.get_name(), format.ending())
    }
}

impl Work<'_> {
    /// Writes one file; none where this node has nothing of the kind.
    fn export(&self, what: What) -> Result<Option<Written>, CliError> {
        let from = || self.span.0.to_string();
        match what {
            What::Payments => {
                self.pages(what, self.span.1, |it: &PaymentReport| it.interval, {
                    |it: HttpClient, before| async move {
                        PaymentRpcClient::list(&it, from(), before).await
                    }
                })
            }
            What::ByHand => self.pages(what, self.span.1, |it: &ByHandReport| it.interval, {
                |it: HttpClient, before| async move {
                    ByHandRpcClient::by_hand(&it, from(), before).await
                }
            }),
            What::Trades => self.pages(what, self.span.1, |it: &TradeReport| it.interval, {
                |it: HttpClient, before| async move { it.trades(from(), before, None).await }
            }),
            What::Prices => self.pages(what, self.span.1, |it: &PriceReport| it.interval, {
                |it: HttpClient, before| async move { it.prices(from(), before).await }
            }),
            What::Readings => self.pages(what, self.span.1, |it: &RegisterReport| it.interval, {
                |it: HttpClient, before| async move {
                    MeterPastRpcClient::history(&it, from(), before).await
                }
            }),
            What::Balances => self.pages(what, self.span.1, |it: &BalanceReport| it.interval, {
                |it: HttpClient, before| async move {
                    WalletPastRpcClient::history(&it, from(), before).await
                }
            }),
            What::Channels => {
                self.pages(what, self.span.1, |it: &ChannelPastReport| it.interval, {
                    |it: HttpClient, before| async move {
                        ChannelPastRpcClient::history(&it, from(), before).await
                    }
                })
            }
            What::Decisions => {
                let (from, before) = self.span_ms();
                self.pages(
                    what,
                    before,
                    |it: &Log| it.at_unix_ms,
                    |it: HttpClient, before| async move {
                        DispatchPastRpcClient::history(&it, from.to_string(), before).await
                    },
                )
            }
            What::Disputes => self.pages(what, self.span.1, |it: &DisputeRow| it.interval, {
                |it: HttpClient, before| async move {
                    let page = it.disputes(Some(from()), before).await?;
                    Ok(page.into_iter().map(DisputeRow::from).collect())
                }
            }),
            What::Transactions => self.transactions(what),
        }
    }

    /// The span in Unix milliseconds.
    fn span_ms(&self) -> (u64, Option<u64>) {
        let ms = |interval: u64| interval.saturating_mul(self.interval_ms);
        (ms(self.span.0), self.span.1.map(ms))
    }

    fn table<T: JsonSchema>(&self, what: What) -> Result<Table, CliError> {
        Table::create::<T>(self.folder.join(what.file(self.format)), self.format)
    }

    /// Writes page after page.
    fn pages<T, F>(
        &self,
        what: What,
        before: Option<u64>,
        place_of: impl Fn(&T) -> u64,
        ask: impl Fn(HttpClient, Option<String>) -> F,
    ) -> Result<Option<Written>, CliError>
    where
        T: Serialize + JsonSchema,
        F: Future<Output = Result<Vec<T>, Error>>,
    {
        let mut table = self.table::<T>(what)?;
        let page =
            |before: Option<u64>| self.door.ask(|it| ask(it, before.map(|it| it.to_string())));
        page_by_page(before, page, place_of, |page| {
            table.add(page)?;
            progress(what, table.rows());
            Ok(())
        })?;
        finish(table).map(Some)
    }

    fn transactions(&self, what: What) -> Result<Option<Written>, CliError> {
        let (from, before) = self.span_ms();
        let is_in = |at: u64| at >= from && before.is_none_or(|before| at < before);
        let transactions = self.door.ask(|it| async move {
            match it.transactions().await {
                // A node without Lightning has no wallet, and all else to export.
                Err(Error::Call(why)) if why.code() == Code::NoLightning.number() => Ok(None),
                answer => answer.map(Some),
            }
        })?;
        let Some(mut rows) = transactions else { return Ok(None) };
        rows.retain(|it| is_in(it.at_unix_ms));
        let mut table = self.table::<crate::rpc::past::TransactionReport>(what)?;
        table.add(&rows)?;
        finish(table).map(Some)
    }
}

/// Takes page after page, each before the last entry of the one before it, until one is empty.
fn page_by_page<T>(
    mut before: Option<u64>,
    page: impl Fn(Option<u64>) -> Result<Vec<T>, CliError>,
    place_of: impl Fn(&T) -> u64,
    mut take: impl FnMut(&[T]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    loop {
        let page = page(before)?;
        let Some(last) = page.last() else { return Ok(()) };
        before = Some(place_of(last));
        take(&page)?;
    }
}

fn finish(table: Table) -> Result<Written, CliError> {
    let rows = table.rows();
    Ok(Written { file: table.finish()?, rows })
}

/// Says on a terminal how far a long export is; what is shown there is no answer, so nothing hangs on it.
fn progress(what: What, rows: u64) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        drop(write!(terminal, "\r{what:?}: {rows} rows\x1b[K\r"));
    }
}

/// All payments since an interval, page by page.
pub(super) fn payments(door: &Door, from: String) -> Result<Vec<PaymentReport>, CliError> {
    door.ask(|it| async move {
        let page = async |before| PaymentRpcClient::list(&it, from.clone(), before).await;
        every_page(page, |it: &PaymentReport| it.interval).await
    })
}

/// All disputes, page by page.
pub(super) fn disputes(door: &Door) -> Result<Vec<DisputeReport>, CliError> {
    door.ask(|it| async move {
        let page = async |before| it.disputes(None, before).await;
        every_page(page, |it: &DisputeReport| it.interval).await
    })
}

/// One row in a line, after a line with the fields' names.
pub(super) fn csv<T: Serialize>(out: impl Write, rows: &[T]) -> Result<(), CliError> {
    let mut writer = csv::Writer::from_writer(out);
    for row in rows {
        writer.serialize(row).map_err(io::Error::from)?;
    }
    Ok(writer.flush()?)
}

impl From<DisputeReport> for DisputeRow {
    fn from(it: DisputeReport) -> Self {
        Self {
            interval: it.interval,
            trade: it.trade,
            forward: it.forward,
            counterparty: it.counterparty,
            due_msat: it.due_msat,
            unpaid_msat: it.unpaid_msat,
            why: it.why,
            at_unix_ms: it.at_unix_ms,
            resolved_at_unix_ms: it.resolved_at_unix_ms,
            forgiven_at_unix_ms: it.forgiven_at_unix_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written of entries that are numbered by their places, in pages of four.
    fn written(kept: &[u64], before: Option<u64>) -> (Vec<u64>, usize) {
        let (mut written, mut pages) = (Vec::new(), 0);
        let page = |before: Option<u64>| {
            let is_asked = |it: &&u64| before.is_none_or(|before| **it < before);
            Ok(kept.iter().filter(is_asked).take(4).copied().collect())
        };
        page_by_page(
            before,
            page,
            |it| *it,
            |page: &[u64]| {
                pages += 1;
                written.extend_from_slice(page);
                Ok(())
            },
        )
        .unwrap();
        (written, pages)
    }

    #[test]
    fn every_page_is_written_once_the_latest_first_and_none_is_lost() {
        let kept: Vec<u64> = (0..10).rev().collect();
        assert_eq!(written(&kept, None), (kept.clone(), 3));
        assert_eq!(written(&kept, Some(7)), (kept[3..].to_vec(), 2));
        assert_eq!(written(&kept, Some(0)), (Vec::new(), 0));
        assert_eq!(written(&kept[..8], None), (kept[..8].to_vec(), 2), "the last one is full");
    }

    #[test]
    fn a_page_that_cannot_be_had_ends_the_export() {
        let page = |_| Err::<Vec<u64>, _>(CliError::Runtime(io::ErrorKind::TimedOut.into()));
        let ended = page_by_page(None, page, |it| *it, |_| Ok(()));
        assert!(matches!(ended, Err(CliError::Runtime(_))));
    }
}
