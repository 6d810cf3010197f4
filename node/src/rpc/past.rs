//! JSON-RPC of the wallet's past: `wallet.history`, `wallet.transactions` and `channel.history`. All
//! of it only reads.
//!
//! Lists come in pages, the latest first: whoever wants more asks for what was before the last
//! interval of the page. A page never ends inside an interval.
//! Not for: payments for trades ([`super::payment`]).

use boltgrid_protocol::units::{Interval, Msat};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wallet::not_done;
use super::{Answers, parse, unreadable};
use crate::lightning::{Direction, Transaction};
use crate::status::{Quoted, QuotedOption};
use crate::store::{ArchiveError, BalanceRecord, ChannelChange, ChannelRecord};

/// After so many entries a page ends with the interval that it is in.
pub const PAGE_MIN: usize = 4096;

/// The wallet's past.
#[rpc(server, client, namespace = "wallet", namespace_separator = ".")]
pub trait WalletPastRpc {
    /// Where the money was at the end of each interval since `from_interval`, the latest first; only
    /// what was before `before_interval`, if given. Kept for `keep_days` of the config.
    #[method(name = "history", param_kind = map)]
    async fn history(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<BalanceReport>>;

    /// All transactions that the on-chain wallet knows of, the latest first.
    #[method(name = "transactions")]
    async fn transactions(&self) -> RpcResult<Vec<TransactionReport>>;
}

/// What became of channels.
#[rpc(server, client, namespace = "channel", namespace_separator = ".")]
pub trait ChannelPastRpc {
    /// What became of channels since `from_interval`, the latest first; only what was before
    /// `before_interval`, if given. Kept for good.
    #[method(name = "history", param_kind = map)]
    async fn history(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<ChannelPastReport>>;
}

/// Where the money was when it was last looked at in an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// When it was looked at.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// In the on-chain wallet.
    #[serde(with = "Quoted")]
    pub onchain_sat: u64,
    /// This node's in open channels and in channels being closed.
    #[serde(with = "Quoted")]
    pub channels_sat: u64,
    /// On its way from closed channels into the on-chain wallet.
    #[serde(with = "Quoted")]
    pub closing_sat: u64,
    /// What could be sent through channels.
    #[serde(with = "Quoted")]
    pub sendable_msat: u64,
    /// What could be received through channels.
    #[serde(with = "Quoted")]
    pub receivable_msat: u64,
}

/// A transaction of the on-chain wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransactionReport {
    /// When the wallet last heard something new of it.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// Its id.
    pub txid: String,
    /// Whether the on-chain wallet got money by it; what goes into a channel is sent.
    pub is_received: bool,
    /// How much, without the fee.
    #[serde(with = "Quoted")]
    pub amount_msat: u64,
    /// What this wallet paid the miners for it; null where it is not known, or others paid.
    #[serde(with = "QuotedOption")]
    pub fee_msat: Option<u64>,
    /// The block that it is in; null while it waits for one.
    pub height: Option<u32>,
}

/// Something that became of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelPastReport {
    /// The interval in which the node heard of it.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// When.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// The channel's name on this node.
    pub channel: String,
    /// The other Lightning node, where it was named.
    pub counterparty: Option<String>,
    /// What became of it.
    pub change: ChannelChange,
    /// Why it was closed.
    pub reason: Option<String>,
}

impl BalanceReport {
    fn new(interval: Interval, it: &BalanceRecord) -> Self {
        Self {
            interval: interval.to_number(),
            at_unix_ms: it.at.to_unix_ms(),
            onchain_sat: it.onchain_sat,
            channels_sat: it.channels_sat,
            closing_sat: it.closing_sat,
            sendable_msat: it.sendable_msat.to_millisatoshi(),
            receivable_msat: it.receivable_msat.to_millisatoshi(),
        }
    }
}

impl ChannelPastReport {
    fn new(interval: Interval, it: ChannelRecord) -> Self {
        Self {
            interval: interval.to_number(),
            at_unix_ms: it.at.to_unix_ms(),
            channel: it.channel,
            counterparty: it.counterparty.map(|it| it.to_string()),
            change: it.change,
            reason: it.reason,
        }
    }
}

impl From<Transaction> for TransactionReport {
    fn from(it: Transaction) -> Self {
        Self {
            at_unix_ms: it.at.to_unix_ms(),
            txid: it.txid,
            is_received: it.direction == Direction::Incoming,
            amount_msat: it.amount.to_millisatoshi(),
            fee_msat: it.fee.map(Msat::to_millisatoshi),
            height: it.height,
        }
    }
}

/// The first and the interval after the last that are asked for.
pub(super) fn span(
    from: &str,
    before: Option<&String>,
) -> Result<(Interval, Interval), ErrorObjectOwned> {
    let before = before.map_or(Ok(Interval::from_number(u64::MAX)), |text| parse(text))?;
    Ok((parse(from)?, before))
}

/// The first page of entries that come interval by interval, or moment by moment.
pub(super) fn page<At: Copy + PartialEq, T>(
    entries: impl Iterator<Item = Result<(At, T), ArchiveError>>,
) -> Result<Vec<T>, ErrorObjectOwned> {
    page_of(PAGE_MIN, entries)
}

/// The same for entries of another size: after `min` of them the page ends with the interval that it is in.
pub(super) fn page_of<At: Copy + PartialEq, T>(
    min: usize,
    entries: impl Iterator<Item = Result<(At, T), ArchiveError>>,
) -> Result<Vec<T>, ErrorObjectOwned> {
    let (mut page, mut last) = (Vec::new(), None);
    for entry in entries {
        let (interval, entry) = entry.map_err(unreadable)?;
        if page.len() >= min && last != Some(interval) {
            break;
        }
        last = Some(interval);
        page.push(entry);
    }
    Ok(page)
}

#[async_trait]
impl WalletPastRpcServer for Answers {
    async fn history(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<BalanceReport>> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        let report = |(interval, it): (Interval, _)| (interval, BalanceReport::new(interval, &it));
        Ok(page(self.archive.balances(from, before).map(|it| it.map(report)))?)
    }

    async fn transactions(&self) -> RpcResult<Vec<TransactionReport>> {
        let transactions = self.lightning()?.transactions().await.map_err(not_done)?;
        Ok(transactions.into_iter().map(TransactionReport::from).collect())
    }
}

#[async_trait]
impl ChannelPastRpcServer for Answers {
    async fn history(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<ChannelPastReport>> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        let report = |(interval, it)| (interval, ChannelPastReport::new(interval, it));
        Ok(page(self.archive.channel_log(from, before).map(|it| it.map(report)))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_long_enough_and_never_ends_inside_an_interval() {
        let each = 3;
        let entries = |from: usize| {
            (0..from).rev().flat_map(move |number| {
                let interval = Interval::from_number(u64::try_from(number).unwrap());
                (0..each).map(move |place| Ok((interval, (number, place))))
            })
        };
        let first = page(entries(2000)).unwrap();
        assert_eq!(first.len(), PAGE_MIN.next_multiple_of(each));
        let (last, place) = first[first.len() - 1];
        assert_eq!(place, each - 1, "the interval is whole");
        let second = page(entries(last)).unwrap();
        assert_eq!(first.len() + second.len(), 2000 * each, "nothing is left out or told twice");
        assert_eq!(page(entries(0)).unwrap(), []);
    }
}
