//! JSON-RPC of the market's past: `market.interval`, `market.book`, `market.prices`, `market.trades`. All of
//! it only reads.
//! Not for: what the site wants next, or offers ahead ([`super::offer`]).

use std::collections::BTreeMap;

use boltgrid_market::settlement::{SettledTrade, Settlement};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Interval, Price};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::code::Code;
use super::past::{PAGE_MIN, page, span};
use super::{Answers, parse, unreadable};
use crate::history::History;
use crate::status::{
    BookReport, IntervalOutcome, IntervalReport, Quoted, QuotedOption, SettlementReport,
    TradeReport,
};

/// What a node knows of the market. Intervals are decimal strings.
#[rpc(server, client, namespace = "market", namespace_separator = ".")]
pub trait MarketRpc {
    /// What the node knows of one interval; null where it knows nothing.
    #[method(name = "interval")]
    async fn interval(&self, interval: String) -> RpcResult<Option<IntervalReport>>;

    /// The stored book of one interval, to be cleared again; null where there is none.
    #[method(name = "book")]
    async fn book(&self, interval: String) -> RpcResult<Option<BookReport>>;

    /// The prices since `from_interval`, the latest first, a page of them ([`super::past`]); only those
    /// before `before_interval`, if given. An interval that fell back to the tariff is there only since
    /// the node started.
    #[method(name = "prices", param_kind = map)]
    async fn prices(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<PriceReport>>;

    /// This node's trades since `from_interval`, the latest first, a page of them; only those before
    /// `before_interval`, and only those with one counterparty, if given. Trades that lapsed are there
    /// only since the node started.
    #[method(name = "trades", param_kind = map)]
    async fn trades(
        &self,
        from_interval: String,
        before_interval: Option<String>,
        counterparty: Option<String>,
    ) -> RpcResult<Vec<TradeReport>>;
}

/// What a kilowatt-hour cost in one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// When its delivery starts.
    #[serde(with = "Quoted")]
    pub starts_at_unix_ms: u64,
    /// How it ended.
    pub outcome: IntervalOutcome,
    /// The clearing price; null where nothing matched, and all was supplied at the tariff.
    #[serde(with = "QuotedOption")]
    pub price_msat_per_kwh: Option<i64>,
    /// The matched volume.
    #[serde(with = "Quoted")]
    pub volume_mwh: u64,
    /// All trades of the clearing.
    pub trades: u32,
    /// What the supplier takes for a kilowatt-hour then.
    #[serde(with = "Quoted")]
    pub retail_msat_per_kwh: i64,
    /// What the supplier gives for one.
    #[serde(with = "Quoted")]
    pub feed_in_msat_per_kwh: i64,
}

impl PriceReport {
    /// The price of an interval of which so much is known.
    pub(crate) fn of(report: &IntervalReport, charter: &Charter) -> Self {
        let starts = charter.interval.start_of(Interval::from_number(report.interval));
        let tariff = charter.tariff.at(starts);
        Self {
            interval: report.interval,
            starts_at_unix_ms: starts.to_unix_ms(),
            outcome: report.outcome,
            price_msat_per_kwh: report.price_msat_per_kwh,
            volume_mwh: report.volume_mwh,
            trades: report.trades,
            retail_msat_per_kwh: Price::to_msat_per_kwh(tariff.retail_msat_per_kwh),
            feed_in_msat_per_kwh: Price::to_msat_per_kwh(tariff.feed_in_msat_per_kwh),
        }
    }
}

/// The prices of the archive, a page of them, with what the history adds: intervals without a decision.
fn with_undecided(
    mut archived: Vec<PriceReport>,
    (history, charter): (&History, &Charter),
    (from, before): (Interval, Interval),
) -> Vec<PriceReport> {
    let last = archived.last().filter(|_| archived.len() >= PAGE_MIN);
    let from = last.map_or(from, |last| Interval::from_number(last.interval));
    let undecided = history.intervals(from..before);
    let undecided = undecided.filter(|it| it.outcome == IntervalOutcome::NoDecision);
    let known: BTreeMap<u64, ()> = archived.iter().map(|it| (it.interval, ())).collect();
    let added = undecided.filter(|it| !known.contains_key(&it.interval));
    archived.extend(added.map(|it| PriceReport::of(it, charter)));
    archived.sort_unstable_by_key(|it| std::cmp::Reverse(it.interval));
    archived
}

/// This node's trades of one interval: as they were seen since the start, or else as they were settled.
fn trades_of(
    settlement: Option<&Settlement>,
    seen: Option<&IntervalReport>,
    counterparty: Option<&ParticipantId>,
) -> Vec<TradeReport> {
    let seen = seen.map(|it| it.own_trades.clone()).filter(|it| !it.is_empty());
    let settled = || {
        settlement.map(|it| it.trades.iter().map(|trade| TradeReport::settled(it.interval, trade)))
    };
    let trades = seen.or_else(|| settled().map(Iterator::collect)).unwrap_or_default();
    let name = counterparty.map(ToString::to_string);
    let is_meant = |it: &TradeReport| name.as_ref().is_none_or(|name| it.counterparty == *name);
    trades.into_iter().filter(is_meant).collect()
}

#[async_trait]
impl MarketRpcServer for Answers {
    async fn interval(&self, interval: String) -> RpcResult<Option<IntervalReport>> {
        let interval = parse(&interval)?;
        let seen = self.history.borrow().interval(interval).cloned();
        if seen.as_ref().is_some_and(|seen| seen.outcome == IntervalOutcome::Decided) {
            return Ok(seen);
        }
        // A node that was restarted, or learnt of the book later, saw no decision since it started.
        let Some(clearing) = self.archive.clearing(interval).map_err(unreadable)? else {
            return Ok(seen);
        };
        let settlement: Option<Settlement> =
            self.archive.settlement(interval).map_err(unreadable)?;
        let own_trades = trades_of(settlement.as_ref(), seen.as_ref(), None);
        let settlement = settlement.as_ref().map(SettlementReport::from);
        let stored = IntervalReport { own_trades, ..IntervalReport::stored(interval, &clearing) };
        Ok(Some(match seen {
            Some(seen) => IntervalReport {
                own_order: seen.own_order,
                settlement: settlement.or(seen.settlement),
                ..stored
            },
            None => IntervalReport { settlement, ..stored },
        }))
    }

    async fn book(&self, interval: String) -> RpcResult<Option<BookReport>> {
        let interval = parse(&interval)?;
        let book = self.archive.book(interval).map_err(unreadable)?;
        let clearing = self.archive.clearing(interval).map_err(unreadable)?;
        Ok(book.zip(clearing).map(|(book, clearing)| BookReport {
            certificate_hex: hex::encode(&book.certificate),
            orders_hex: book.orders.iter().map(hex::encode).collect(),
            clearing_digest: clearing.clearing.to_string(),
        }))
    }

    async fn prices(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<PriceReport>> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        if before <= from {
            return Ok(Vec::new());
        }
        let entries = self.archive.clearings(from..before).map(|entry| {
            let (interval, clearing) = entry?;
            let report = IntervalReport::stored(interval, &clearing);
            Ok((interval, PriceReport::of(&report, &self.charter)))
        });
        let archived = page(entries)?;
        let history = self.history.borrow();
        Ok(with_undecided(archived, (&history, &self.charter), (from, before)))
    }

    async fn trades(
        &self,
        from_interval: String,
        before_interval: Option<String>,
        counterparty: Option<String>,
    ) -> RpcResult<Vec<TradeReport>> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        let counterparty = counterparty.as_deref().map(participant).transpose()?;
        if before <= from {
            return Ok(Vec::new());
        }
        // Every interval that is in either, the latest first.
        let seen: BTreeMap<Interval, IntervalReport> = {
            let history = self.history.borrow();
            let seen = history.intervals(from..before).filter(|it| !it.own_trades.is_empty());
            seen.map(|it| (Interval::from_number(it.interval), it.clone())).collect()
        };
        let mut trades = Vec::new();
        let mut unseen = seen.iter().rev().peekable();
        let mut add = |interval: Interval, settlement: Option<&Settlement>| {
            trades.extend(trades_of(settlement, seen.get(&interval), counterparty.as_ref()));
            trades.len() >= PAGE_MIN
        };
        for settled in self.archive.settlements::<Settlement>(from..before) {
            let (interval, settlement) = settled.map_err(unreadable)?;
            while let Some((later, _)) = unseen.next_if(|(it, _)| **it >= interval) {
                if *later != interval && add(*later, None) {
                    return Ok(trades);
                }
            }
            if add(interval, Some(&settlement)) {
                return Ok(trades);
            }
        }
        for (interval, _) in unseen {
            if add(*interval, None) {
                break;
            }
        }
        Ok(trades)
    }
}

impl TradeReport {
    /// A trade as it was settled.
    fn settled(interval: Interval, trade: &SettledTrade) -> Self {
        Self {
            interval: interval.to_number(),
            index: trade.terms.index,
            side: trade.side.to_string(),
            counterparty: trade.counterparty.to_string(),
            energy_mwh: trade.terms.energy_mwh.to_milliwatt_hours(),
            price_msat_per_kwh: trade.terms.price_msat_per_kwh.to_msat_per_kwh(),
            state: crate::status::TradeState::Confirmed,
            delivered_mwh: Some(trade.delivered_mwh.to_milliwatt_hours()),
            due_msat: Some(trade.due_msat.to_millisatoshi()),
        }
    }
}

/// A participant that is named in a parameter.
pub(super) fn participant(text: &str) -> Result<ParticipantId, ErrorObjectOwned> {
    text.parse().map_err(|_| {
        Code::BadParameter.because("a participant is 64 hexadecimal digits, as in `grid.members`")
    })
}
