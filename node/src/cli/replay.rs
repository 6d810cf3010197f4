//! `boltgrid replay`: clears a past interval again, trusting nothing that is stored.
//!
//! The certificate and every order are verified against charter and roster, the auction is run, and
//! its digest is compared with the one that the node computed at the time.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use boltgrid_market::auction::Clearing;
use boltgrid_market::clear::{self, Replayed};
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::id::ClearingDigest;
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::units::Interval;
use clap::Args;
use serde_json::json;

use super::error::CliError;
use super::rpc::Door;
use super::show;
use crate::config::{Config, RawConfig, RawRpc};
use crate::grid::Grid;
use crate::rpc::MarketRpcClient;
use crate::status::BookReport;
use crate::store::{BookRecord, FolderError, Store, StoreError};

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The interval's number
    interval: u64,
    /// The node's config file
    #[arg(
        long,
        value_name = "FILE",
        env = "BOLTGRID_CONFIG",
        default_value = "boltgrid/config.toml"
    )]
    config: PathBuf,
    /// Where a running node's JSON-RPC listens, instead of what the config file says
    #[arg(long, value_name = "ADDR")]
    rpc: Option<String>,
    /// Print price, volume and trades as JSON
    #[arg(long)]
    json: bool,
}

/// A book and what came of it at the time.
struct Stored {
    book: BookRecord,
    clearing: ClearingDigest,
}

impl Replay {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let interval = Interval::from_number(self.interval);
        let rpc = RawRpc { listen: self.rpc, ..RawRpc::default() };
        let config = Config::load(&self.config, RawConfig { rpc, ..RawConfig::default() })?;
        let mut grid = Grid::load(&config.grid)?;
        let stored = find(interval, &config)?.ok_or(CliError::NoBook(interval))?;
        let certificate = BookCertificate::from_bytes(&stored.book.certificate)?;
        if certificate.interval != interval {
            return Err(CliError::WrongInterval { asked: interval, found: certificate.interval });
        }
        let roster = grid.rosters.at(interval);
        let replayed = clear::replay(&grid.charter, &roster, &certificate, &stored.book.orders)?;
        if self.json {
            serde_json::to_writer_pretty(&mut *out, &to_json(&replayed, &roster))
                .map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            let starts = show::interval(interval, grid.charter.interval.start_of(interval));
            show::rows(out, &to_rows(&replayed, &roster, starts))?;
        }
        let again = replayed.clearing.digest();
        if again == stored.clearing {
            Ok(())
        } else {
            Err(CliError::Differs { before: stored.clearing, again })
        }
    }
}

/// From the data folder, or where a node is running on it, from that node.
fn find(interval: Interval, config: &Config) -> Result<Option<Stored>, CliError> {
    if !config.data_dir.exists() {
        return Ok(None);
    }
    match Store::open(&config.data_dir) {
        Ok(store) => {
            let archive = store.archive();
            let (book, clearing) = (archive.book(interval)?, archive.clearing(interval)?);
            Ok(book
                .zip(clearing)
                .map(|(book, clearing)| Stored { book, clearing: clearing.clearing }))
        }
        Err(StoreError::Folder(FolderError::InUse { .. })) => ask(interval, config),
        Err(error) => Err(error.into()),
    }
}

fn ask(interval: Interval, config: &Config) -> Result<Option<Stored>, CliError> {
    let door = Door::new(config, false, None)?;
    let answer = door.ask(|node| async move { node.book(interval.to_string()).await })?;
    let address = door.address();
    let malformed = |problem: &str| CliError::Refused { address, problem: problem.to_owned() };
    let decode = |report: BookReport| {
        let bytes = |text: &String| hex::decode(text).map(Arc::<[u8]>::from).ok();
        let orders: Option<Vec<_>> = report.orders_hex.iter().map(bytes).collect();
        let book = BookRecord { certificate: bytes(&report.certificate_hex)?, orders: orders? };
        Some(Stored { book, clearing: report.clearing_digest.parse().ok()? })
    };
    answer
        .map(|report| decode(report).ok_or_else(|| malformed("a book that is not in hexadecimal")))
        .transpose()
}

fn to_rows(
    Replayed { book, clearing, orders }: &Replayed,
    roster: &Roster,
    interval: String,
) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("interval", interval),
        ("book", format!("{book}, {} orders", orders.len())),
        ("digest", clearing.digest().to_string()),
        ("price", show::or_none(clearing.price_msat_per_kwh.map(show::price))),
        ("volume", show::energy(clearing.volume_mwh)),
    ];
    rows.extend(clearing.trades.iter().map(|trade| {
        let name = |index| show::or_none(roster.participant(index).map(|id| id.short()));
        let energy = show::energy(trade.energy_mwh);
        ("trade", format!("{} to {}: {energy}", name(trade.seller), name(trade.buyer)))
    }));
    rows
}

fn to_json(replayed: &Replayed, roster: &Roster) -> serde_json::Value {
    let Replayed { book, clearing, orders } = replayed;
    let Clearing { interval, price_msat_per_kwh, volume_mwh, trades } = clearing;
    let name = |index| roster.participant(index).map(|id| id.to_string());
    let trades: Vec<_> = trades
        .iter()
        .map(|trade| {
            json!({
                "seller": name(trade.seller),
                "buyer": name(trade.buyer),
                "energy_mwh": trade.energy_mwh.to_milliwatt_hours().to_string(),
            })
        })
        .collect();
    json!({
        "interval": interval.to_string(),
        "book_hash": book.to_string(),
        "clearing_digest": clearing.digest().to_string(),
        "orders": orders.len(),
        "price_msat_per_kwh": price_msat_per_kwh.map(|price| price.to_msat_per_kwh().to_string()),
        "volume_mwh": volume_mwh.to_milliwatt_hours().to_string(),
        "trades": trades,
    })
}
