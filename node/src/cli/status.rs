//! `boltgrid status`: what the running node says of itself, for people or as JSON.

use std::io::Write;

use boltgrid_protocol::units::{Energy, Power, Price, SignedMsat, Timestamp};
use clap::Args;

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::catch_up::{CatchUpState, CatchUpStatus};
use crate::rpc::NodeRpcClient;
use crate::status::{
    HearingStatus, IntervalOutcome, IntervalReport, LightningStatus, NodeStatus, PaymentsStatus,
    SettlementReport, SiteStatus, TradeReport, TradeState,
};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    node: Node,
}

type Rows = Vec<(&'static str, String)>;

impl Status {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let status = self.node.ask(|node| async move { node.status().await })?;
        if self.node.json {
            show::json(out, &status)?;
        } else {
            show::rows(out, &rows(&status))?;
        }
        Ok(())
    }
}

fn rows(status: &NodeStatus) -> Rows {
    let role = match (status.is_member, status.is_voter) {
        (true, true) => "member with a vote",
        (true, false) => "member without a vote",
        (false, _) => "not a member in this epoch",
    };
    let now = Timestamp::from_unix_ms(status.now_unix_ms);
    let started = Timestamp::from_unix_ms(status.started_at_unix_ms);
    let network = &status.network;
    let mut rows = vec![
        ("boltgrid", status.version.clone()),
        ("participant", status.participant.clone()),
        ("grid", format!("{} ({})", status.grid_name, status.grid_id)),
        ("role", format!("{role}; {} members, {} voters", status.members, status.voters)),
        ("running since", show::moment(started)),
        ("clock", format!("{}, interval {}", show::moment(now), status.interval)),
        (
            "peers",
            format!("{} connected, {} of them members", network.peers, network.members_connected),
        ),
        ("traffic", format!("{} bytes in, {} bytes out", network.bytes_in, network.bytes_out)),
    ];
    rows.extend(sight_rows(status));
    rows.extend(status.clock_test_offset_ms.map(|offset_ms| {
        ("clock", format!("FOR TESTS ONLY: offset by {offset_ms} ms; this node must not trade"))
    }));
    rows.extend(network.listening.iter().map(|address| ("listening at", address.clone())));
    for (topic, reasons) in &network.rejected {
        rows.extend(
            reasons.iter().map(|(why, count)| ("rejected", format!("{topic}: {count} {why}"))),
        );
    }
    rows.extend(
        status.not_taken.iter().map(|(why, count)| ("not taken", format!("{count} {why}"))),
    );
    rows.extend(lightning_rows(status.lightning.as_ref()));
    rows.extend(status.lightning.is_some().then(|| ("payments", payments(&status.payments))));
    rows.push(("history", history(&status.catch_up)));
    match &status.site {
        Some(site) => rows.extend(site_rows(site)),
        None => rows.push(("site", "not measured yet".to_owned())),
    }
    match &status.last_interval {
        Some(report) => rows.extend(interval_rows(report)),
        None => rows.push(("last interval", "none yet".to_owned())),
    }
    rows
}

fn lightning_rows(status: Option<&LightningStatus>) -> Rows {
    let Some(it) = status else {
        return vec![("payments", "none: trades are accounted for, not paid".to_owned())];
    };
    let synced = match it.synced_at_unix_s {
        None => "catching up with the chain".to_owned(),
        Some(_) => format!("at block {}", it.height_blocks),
    };
    let (usable, channels) = (it.channels_usable, it.channels);
    vec![
        ("Lightning", format!("{}, {synced}", it.node_id)),
        (
            "channels",
            format!(
                "{usable} of {channels} usable, with {} sat of ours; {} can be sent, {} received",
                it.channels_sat,
                sat(it.sendable_msat),
                sat(it.receivable_msat),
            ),
        ),
        ("wallet", format!("{} sat on-chain, {} of it to spend", it.onchain_sat, it.spendable_sat)),
    ]
}

fn payments(it: &PaymentsStatus) -> String {
    format!(
        "{} sent, {} received, {} failed since the start; {} to pay, {} to come, {} at worst; {}",
        it.sent,
        it.received,
        it.failed,
        sat(it.due_by_us_msat),
        sat(it.due_to_us_msat),
        sat(it.exposure_msat),
        match it.disputes_open {
            0 => "no open disputes".to_owned(),
            open => format!("{open} open disputes, see `boltgrid payment disputes`"),
        },
    )
}

fn sat(msat: u64) -> String {
    show::money(SignedMsat::from_millisatoshi(i64::try_from(msat).unwrap_or(i64::MAX)))
}

fn history(status: &CatchUpStatus) -> String {
    let learnt = format!(
        "{} books, {} readings learnt from others",
        status.books_learnt, status.readings_learnt
    );
    let asking = if status.state == CatchUpState::Asking { ", asking a member" } else { "" };
    match status.behind_intervals {
        0 => format!("complete{asking}; {learnt}"),
        behind => format!("{behind} intervals behind{asking}; {learnt}"),
    }
}

/// How far the node can trust what it sees, and what to do where it cannot.
fn sight_rows(status: &NodeStatus) -> Rows {
    let mut rows = Rows::new();
    if let Some(clocks) = &status.peer_clocks {
        let (offset_ms, peers) = (clocks.median_offset_ms, clocks.peers);
        rows.push(("peer clocks", format!("{offset_ms:+} ms, the median of {peers}")));
    }
    if let Some(HearingStatus { heard, members }) = status.hearing {
        let heard = format!("{heard} of {members} other members in the last whole interval");
        rows.push(("heard", heard));
    }
    if let Some(abstains) = &status.abstains {
        rows.push(("ABSTAINS", format!("signs nothing new: {}", abstains.why)));
        rows.push(("what to do", abstains.advice.clone()));
        let (since, after) = (abstains.since_interval, abstains.returns_after_interval);
        rows.push((
            "returns",
            format!("by itself after interval {after}, if all is well until then; since {since}"),
        ));
    }
    rows
}

fn site_rows(site: &SiteStatus) -> Rows {
    let watts = |mw| show::power(Power::from_milliwatts(mw));
    let mut rows = vec![
        ("site", format!("{} net, {} load", watts(site.power_mw), watts(site.load_mw))),
        ("pv", format!("{} of {} possible", watts(site.pv_mw), watts(site.pv_potential_mw))),
    ];
    if let Some(battery) = site.battery_mw {
        let stored = site.stored_mwh.map(|mwh| show::energy(Energy::from_milliwatt_hours(mwh)));
        rows.push(("battery", format!("{}, stored: {}", watts(battery), show::or_none(stored))));
    }
    rows.extend(site.stale.iter().map(|why| ("stale", why.clone())));
    rows
}

fn interval_rows(report: &IntervalReport) -> Rows {
    let outcome = match report.outcome {
        IntervalOutcome::Open => "open",
        IntervalOutcome::Decided => "decided",
        IntervalOutcome::NoDecision => "no decision: supplied at the tariff",
    };
    let took = report.decide_ms.map(|ms| format!(" after {}", show::seconds(ms)));
    let price = report.price_msat_per_kwh.map(|msat| show::price(Price::from_msat_per_kwh(msat)));
    let mut rows = vec![
        ("last interval", format!("{}: {outcome}{}", report.interval, took.unwrap_or_default())),
        ("price", show::or_none(price)),
        (
            "volume",
            format!(
                "{} from {} orders in {} trades",
                show::energy(Energy::from_milliwatt_hours(report.volume_mwh)),
                report.orders,
                report.trades
            ),
        ),
    ];
    rows.extend(report.own_trades.iter().map(|trade| ("own trade", own_trade(trade))));
    rows.extend(report.settlement.iter().map(|settlement| ("settled", settled(settlement))));
    rows
}

fn own_trade(trade: &TradeReport) -> String {
    let state = match trade.state {
        TradeState::Cleared => "not signed by both yet",
        TradeState::Confirmed => "confirmed",
        TradeState::Lapsed => "lapsed",
    };
    format!(
        "{} {} at {} with {}, {state}",
        trade.side,
        show::energy(Energy::from_milliwatt_hours(trade.energy_mwh)),
        show::price(Price::from_msat_per_kwh(trade.price_msat_per_kwh)),
        trade.counterparty.chars().take(8).collect::<String>(),
    )
}

fn settled(settlement: &SettlementReport) -> String {
    let money = |msat| show::money(SignedMsat::from_millisatoshi(msat));
    format!(
        "{} from trades, {} from the supplier",
        money(settlement.trades_due_msat),
        money(settlement.supplier_due_msat)
    )
}
