//! What was: the money interval by interval, the wallet's transactions, what became of channels. For
//! people here; as CSV in [`super::export`].

use std::io::Write;

use boltgrid_protocol::units::Timestamp;
use jsonrpsee::core::client::Error;

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::rpc::past::{BalanceReport, ChannelPastReport, TransactionReport};
use crate::rpc::{ChannelPastRpcClient, WalletPastRpcClient};
use crate::store::ChannelChange;

/// Asks for page after page, each before the last interval of the one before it, until one is empty.
pub(super) async fn every_page<T>(
    mut ask: impl AsyncFnMut(Option<String>) -> Result<Vec<T>, Error>,
    interval_of: impl Fn(&T) -> u64,
) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    loop {
        let before = all.last().map(|last| interval_of(last).to_string());
        let page = ask(before).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// `wallet history`.
pub(super) fn balances(node: Node, from: u64, out: &mut impl Write) -> Result<(), CliError> {
    let from = from.to_string();
    let balances = node.ask(|it| async move {
        let page = async |before| WalletPastRpcClient::history(&it, from.clone(), before).await;
        every_page(page, |it: &BalanceReport| it.interval).await
    })?;
    if node.json {
        return show::json(out, &balances);
    }
    if balances.is_empty() {
        writeln!(out, "nothing is kept of the wallet yet")?;
    }
    for it in &balances {
        writeln!(
            out,
            "{}  interval {}  on-chain {} sat  channels {} sat  closing {} sat  can send {} sat  \
             can receive {} sat",
            show::moment(Timestamp::from_unix_ms(it.at_unix_ms)),
            it.interval,
            it.onchain_sat,
            it.channels_sat,
            it.closing_sat,
            show::msat_as_sat(it.sendable_msat),
            show::msat_as_sat(it.receivable_msat),
        )?;
    }
    Ok(())
}

/// `wallet transactions`.
pub(super) fn transactions(node: Node, out: &mut impl Write) -> Result<(), CliError> {
    let transactions = node.ask(|it| async move { it.transactions().await })?;
    if node.json {
        return show::json(out, &transactions);
    }
    if transactions.is_empty() {
        writeln!(out, "no transactions; `boltgrid wallet address` shows where to send bitcoin to")?;
    }
    for it in &transactions {
        writeln!(out, "{}", transaction(it))?;
    }
    Ok(())
}

fn transaction(it: &TransactionReport) -> String {
    let way = if it.is_received { "received" } else { "sent" };
    let fee = it.fee_msat.map(|fee| format!(", fee {} sat", show::msat_as_sat(fee)));
    let waits = || "waits for a block".to_owned();
    format!(
        "{}  {way} {} sat{}  {}  {}",
        show::moment(Timestamp::from_unix_ms(it.at_unix_ms)),
        show::msat_as_sat(it.amount_msat),
        fee.unwrap_or_default(),
        it.height.map_or_else(waits, |height| format!("in block {height}")),
        it.txid,
    )
}

/// `channel history`.
pub(super) fn channels(node: Node, from: u64, out: &mut impl Write) -> Result<(), CliError> {
    let from = from.to_string();
    let channels = node.ask(|it| async move {
        let page = async |before| ChannelPastRpcClient::history(&it, from.clone(), before).await;
        every_page(page, |it: &ChannelPastReport| it.interval).await
    })?;
    if node.json {
        return show::json(out, &channels);
    }
    if channels.is_empty() {
        writeln!(out, "this node had no channels yet")?;
    }
    for it in &channels {
        writeln!(
            out,
            "{}  {}  {}{}  {}",
            show::moment(Timestamp::from_unix_ms(it.at_unix_ms)),
            it.channel,
            change(it.change),
            it.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}")),
            it.counterparty.as_ref().map_or_else(String::new, |with| format!("with {with}")),
        )?;
    }
    Ok(())
}

const fn change(change: ChannelChange) -> &'static str {
    match change {
        ChannelChange::Pending => "is being opened",
        ChannelChange::Ready => "can be used",
        ChannelChange::Closed => "is closed",
        ChannelChange::SplicePending => "is being spliced",
        ChannelChange::SpliceFailed => "was not spliced",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_asked_for_until_one_is_empty() {
        let kept: Vec<u64> = (0..10).rev().collect();
        let page = async |before: Option<String>| {
            let before = before.map_or(u64::MAX, |text| text.parse().unwrap());
            Ok(kept.iter().copied().filter(|it| *it < before).take(4).collect())
        };
        assert_eq!(every_page(page, |it| *it).await.unwrap(), kept);
    }

    #[test]
    fn a_transaction_is_one_line_for_people() {
        let it = TransactionReport {
            at_unix_ms: 1_000,
            txid: "ab".repeat(32),
            is_received: false,
            amount_msat: 100_000_000,
            fee_msat: Some(153_000),
            height: None,
        };
        let line = transaction(&it);
        assert!(line.contains("sent 100000 sat, fee 153 sat  waits for a block  abab"), "{line}");
        let received =
            TransactionReport { is_received: true, fee_msat: None, height: Some(7), ..it };
        let line = transaction(&received);
        assert!(line.contains("received 100000 sat  in block 7"), "{line}");
    }
}
