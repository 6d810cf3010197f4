//! The page Money: what trade came to, where the money is, channels as bars, who owes whom, payments and
//! disputes.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use boltgrid_market::payments::{Payment, Stage};
use boltgrid_protocol::lightning::LightningId;
use boltgrid_protocol::units::{Interval, Msat};
use serde::Deserialize;

use super::format::{Format, Quantity};
use super::frame::{Frame, show};
use super::opening::{Opening, Partner, partners};
use super::tally::Tally;
use super::words::Words;
use super::{Dashboard, reasons};
use crate::access::Role;
use crate::clock;
use crate::lightning::{Channel, ChannelState};
use crate::rpc::payment::AccountReport;
use crate::store::ArchiveError;

/// Payments and disputes that are shown, the latest.
const PAYMENTS_SHOWN: usize = 30;
const DISPUTES_SHOWN: usize = 20;
/// The width of a channel's bar in its own units.
const BAR: u64 = 1_000;
/// Days that can be looked at.
const SPANS: [u64; 3] = [1, 7, 30];

#[derive(Template)]
#[template(path = "money.html")]
struct Page {
    frame: Frame,
    w: &'static Words,
    days: u64,
    result: Outcome,
    wallet: Option<Wallet>,
    /// Whom a channel can be opened with, by whoever may.
    partners: Vec<Partner>,
    /// What a channel would come to, where that was asked.
    opening: Option<Opening>,
    accounts: Vec<Account>,
    payments: Vec<Paid>,
    disputes: Vec<Dispute>,
}

struct Outcome {
    earned: Quantity,
    spent: Quantity,
    saved: Quantity,
    is_worse: bool,
    supplier: Quantity,
}

struct Wallet {
    in_channels: Quantity,
    on_chain: Quantity,
    can_send: Quantity,
    can_receive: Quantity,
    channels: Vec<Bar>,
}

/// A channel: what can be sent of it on the left, what can be received on the right.
struct Bar {
    name: String,
    size: Quantity,
    state: &'static str,
    is_usable: bool,
    ours: u64,
    theirs_from: u64,
    theirs: u64,
    can_send: Quantity,
    can_receive: Quantity,
}

struct Account {
    name: String,
    owes_you: bool,
    balance: Quantity,
    at_worst: Quantity,
    may_owe: Option<Quantity>,
}

struct Paid {
    time: String,
    name: String,
    amount: Quantity,
    is_received: bool,
    stage: &'static str,
}

struct Dispute {
    time: String,
    name: String,
    unpaid: Quantity,
    why: String,
    is_over: bool,
}

/// What is to be looked at.
#[derive(Deserialize)]
pub(super) struct Wish {
    days: Option<u64>,
}

/// `GET ./money`.
pub(super) async fn page(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    frame: Frame,
) -> Response {
    let days = wish.days.filter(|days| SPANS.contains(days)).unwrap_or(1);
    sheet(&dashboard, frame, days, None).await
}

/// The page, with what a channel would come to where that was asked.
pub(super) async fn sheet(
    dashboard: &Dashboard,
    frame: Frame,
    days: u64,
    opening: Option<Opening>,
) -> Response {
    let frame = Frame { page: "money", ..frame };
    // Without an answer the node is stopping, and so is this page.
    let accounts = dashboard.answers.trading.accounts().await.unwrap_or_default();
    match Page::new(dashboard, &frame, days, &accounts) {
        Ok(page) => show(&Page { opening, ..page }),
        Err(error) => super::unreadable(&frame, &error),
    }
}

impl Page {
    fn new(
        dashboard: &Dashboard,
        frame: &Frame,
        days: u64,
        accounts: &[AccountReport],
    ) -> Result<Self, ArchiveError> {
        let (w, format) = (frame.words(), frame.format());
        Ok(Self {
            w,
            days,
            result: outcome(dashboard, format, days)?,
            wallet: wallet(dashboard, w, format),
            partners: if frame.may(Role::Admin) { partners(dashboard) } else { Vec::new() },
            opening: None,
            accounts: accounts.iter().map(|it| account(dashboard, it, format)).collect(),
            payments: payments(dashboard, w, format)?,
            disputes: disputes(dashboard, w, format)?,
            frame: frame.clone(),
        })
    }
}

fn outcome(dashboard: &Dashboard, format: Format, days: u64) -> Result<Outcome, ArchiveError> {
    let (archive, charter) = (&dashboard.answers.archive, &dashboard.answers.charter);
    let before = charter.interval.interval_at(clock::now()).next();
    let tally = Tally::of(archive, charter, dashboard.since(days), before)?;
    Ok(Outcome {
        earned: format.money(tally.earned_msat),
        spent: format.money(tally.spent_msat),
        saved: format.money(tally.saved_msat),
        is_worse: tally.saved_msat < 0,
        supplier: format.money(tally.supplier_msat),
    })
}

fn signed(amount: Msat) -> i64 {
    i64::try_from(amount.to_millisatoshi()).unwrap_or(i64::MAX)
}

/// Satoshi as millisatoshi.
fn sat(sat: u64) -> i64 {
    i64::try_from(sat.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

fn wallet(dashboard: &Dashboard, w: &'static Words, format: Format) -> Option<Wallet> {
    let status = dashboard.answers.lightning.as_ref()?.status();
    let (sendable, receivable) = status.room();
    Some(Wallet {
        in_channels: format.money(sat(status.balances.channels_sat)),
        on_chain: format.money(sat(status.balances.onchain_sat)),
        can_send: format.money(signed(sendable)),
        can_receive: format.money(signed(receivable)),
        channels: status.channels.iter().map(|it| bar(dashboard, it, w, format)).collect(),
    })
}

fn bar(dashboard: &Dashboard, channel: &Channel, w: &'static Words, format: Format) -> Bar {
    let size = u128::from(channel.size_sat.max(1)) * 1_000;
    let part = |amount: Msat| {
        let part = u128::from(amount.to_millisatoshi()) * u128::from(BAR) / size;
        u64::try_from(part).unwrap_or(BAR).min(BAR)
    };
    let (ours, theirs) = (part(channel.sendable), part(channel.receivable));
    let is_usable = channel.state == ChannelState::Usable;
    Bar {
        name: dashboard.name_on_lightning(&channel.counterparty),
        size: format.money(sat(channel.size_sat)),
        state: if is_usable { w.usable } else { w.not_usable },
        is_usable,
        ours,
        theirs_from: BAR.saturating_sub(theirs),
        theirs,
        can_send: format.money(signed(channel.sendable)),
        can_receive: format.money(signed(channel.receivable)),
    }
}

fn account(dashboard: &Dashboard, it: &AccountReport, format: Format) -> Account {
    let amount = |msat: u64| format.money(i64::try_from(msat).unwrap_or(i64::MAX));
    Account {
        name: it
            .counterparty
            .parse()
            .map_or_else(|_| it.counterparty.clone(), |whom| dashboard.name_of(&whom)),
        owes_you: it.balance_msat >= 0,
        balance: format.money(it.balance_msat.saturating_abs()),
        at_worst: amount(it.exposure_msat),
        may_owe: it.limit_msat.map(amount),
    }
}

fn payments(
    dashboard: &Dashboard,
    w: &'static Words,
    format: Format,
) -> Result<Vec<Paid>, ArchiveError> {
    let all = (Interval::from_number(0), Interval::from_number(u64::MAX));
    let latest = dashboard.answers.archive.payments(all.0, all.1).take(PAYMENTS_SHOWN);
    let paid = |it: Payment| Paid {
        time: dashboard.clock_at(it.at.to_unix_ms()),
        name: dashboard.name_of(&it.counterparty),
        amount: format.money(signed(it.amount_msat)),
        is_received: it.to_me,
        stage: match it.stage {
            Stage::Invoiced => w.stage_invoiced,
            Stage::Paying => w.stage_paying,
            Stage::Paid { .. } => w.stage_paid,
            Stage::Failed => w.stage_failed,
        },
    };
    latest.map(|it| Ok(paid(it?))).collect()
}

fn disputes(
    dashboard: &Dashboard,
    w: &'static Words,
    format: Format,
) -> Result<Vec<Dispute>, ArchiveError> {
    let ever = (Interval::default(), Interval::from_number(u64::MAX));
    let latest = dashboard.answers.archive.disputes(ever.0, ever.1).take(DISPUTES_SHOWN);
    latest
        .map(|record| {
            let record = record?;
            Ok(Dispute {
                time: dashboard.clock_at(record.dispute.at.to_unix_ms()),
                name: dashboard.name_of(&record.dispute.counterparty),
                unpaid: format.money(signed(record.dispute.unpaid_msat)),
                why: reasons::of_dispute(record.dispute.why, w),
                is_over: record.resolved_at.is_some() || record.forgiven_at.is_some(),
            })
        })
        .collect()
}

impl Dashboard {
    /// Whose Lightning node this is: a member's name, or the beginning of the node's id.
    fn name_on_lightning(&self, node: &LightningId) -> String {
        let contacts = self.answers.network.lightning_contacts();
        let member = contacts.iter().find(|(_, contact)| contact.node == *node);
        member.map_or_else(
            || node.to_string().chars().take(8).collect(),
            |(whom, _)| self.name_of(whom),
        )
    }
}
