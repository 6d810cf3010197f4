//! `boltgrid market`: prices, this node's trades and orders, and the owner's word in the next ones.
//! Not for: trading ahead of the auction ([`super::offer`]), or payments ([`super::payment`]).

use std::io::Write;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::order::{Side, Source};
use boltgrid_protocol::units::{Energy, Interval, Price, SignedMsat, Timestamp};
use clap::{Args, Subcommand};

use super::error::CliError;
use super::node::Node;
use super::past::every_page;
use super::show;
use crate::instructions::{Instructions, StepTerms};
use crate::rpc::market::PriceReport;
use crate::rpc::order::{InstructionsReport, OrderState, OwnOrderReport};
use crate::rpc::settlement::SummaryReport;
use crate::rpc::{MarketRpcClient, OrderRpcClient, SettlementRpcClient};
use crate::status::{IntervalOutcome, StepReport, TradeReport, TradeState};

/// Prices shown unless told otherwise: two hours of five-minute intervals.
const PRICES_SHOWN: usize = 24;
/// Milliwatt-hours of a watt-hour, and millisatoshi of a satoshi.
const THOUSAND: u64 = 1_000;

/// Prices, trades and orders.
#[derive(Debug, Subcommand)]
pub(super) enum Market {
    /// Show the latest prices, the newest first, beside the supplier's
    Price(Latest),
    /// Show this node's trades, the newest first
    Trades(Trades),
    /// Show this node's orders: placed, waiting, and what it would order next
    Orders(Node),
    /// Order one step of your own in an interval, instead of what the node would
    Place(Place),
    /// Leave an interval to the node again
    Withdraw(Withdraw),
    /// Show the standing instructions, and who changed them
    Instructions(Node),
    /// Replace the standing instructions; what is left out is as in the config file
    Instruct(Instruct),
    /// Add up energy and money of a span of intervals, against the tariff alone
    Summary(Span),
}

/// How many prices.
#[derive(Debug, Args)]
pub(super) struct Latest {
    /// How many to show
    #[arg(long, value_name = "N", default_value_t = PRICES_SHOWN)]
    last: usize,
    #[command(flatten)]
    node: Node,
}

/// From when on.
#[derive(Debug, Args)]
pub(super) struct Span {
    /// The first interval, by its number; all that are kept by default
    #[arg(long, value_name = "INTERVAL", default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    node: Node,
}

/// Whose trades.
#[derive(Debug, Args)]
pub(super) struct Trades {
    /// Only those with this member
    #[arg(long, value_name = "PARTICIPANT")]
    with: Option<ParticipantId>,
    #[command(flatten)]
    span: Span,
}

/// A step of one's own.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The interval, by its number
    interval: u64,
    /// Buy or sell
    #[arg(value_parser = side)]
    side: Side,
    /// How much, in Wh
    #[arg(long, value_name = "WH")]
    energy_wh: u64,
    /// The highest price to buy at, or the lowest to sell at, in sat per kWh
    #[arg(long, value_name = "SAT", allow_hyphen_values = true)]
    price_sat_per_kwh: i32,
    #[command(flatten)]
    node: Node,
}

/// Which interval.
#[derive(Debug, Args)]
pub(super) struct Withdraw {
    /// The interval, by its number
    interval: u64,
    #[command(flatten)]
    node: Node,
}

/// What is to hold.
#[derive(Debug, Args)]
pub(super) struct Instruct {
    /// Whether to place orders at all
    #[arg(long)]
    trade: Option<bool>,
    /// Never buy above this, in sat per kWh
    #[arg(long, value_name = "SAT", allow_hyphen_values = true)]
    buy_at_most_sat_per_kwh: Option<i32>,
    /// Never sell what can be withheld below this, in sat per kWh
    #[arg(long, value_name = "SAT", allow_hyphen_values = true)]
    sell_at_least_sat_per_kwh: Option<i32>,
    /// What stays in the battery, in percent
    #[arg(long, value_name = "PERCENT")]
    reserve_percent: Option<u8>,
    /// Change nothing, and show what would be ordered
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    node: Node,
}

fn side(text: &str) -> Result<Side, String> {
    match text {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err("`buy` or `sell`".to_owned()),
    }
}

fn msat(sat: i32) -> i64 {
    i64::from(sat) * 1_000
}

impl Market {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Price(Latest { last, node }) => {
                let since = "0".to_owned();
                let mut prices = node.ask(|it| async move { it.prices(since, None).await })?;
                prices.truncate(last);
                if node.json { show::json(out, &prices) } else { price_table(out, &prices) }
            }
            Self::Trades(Trades { with, span: Span { from, node } }) => {
                let (from, with) = (from.to_string(), with.map(|it| it.to_string()));
                let trades = node.ask(|it| async move {
                    let page = async |before| it.trades(from.clone(), before, with.clone()).await;
                    every_page(page, |it: &TradeReport| it.interval).await
                })?;
                if node.json { show::json(out, &trades) } else { trade_table(out, &trades) }
            }
            Self::Orders(node) => {
                let orders = node.ask(|it| async move { it.orders().await })?;
                if node.json { show::json(out, &orders) } else { order_table(out, &orders) }
            }
            Self::Place(place) => place.run(out),
            Self::Withdraw(Withdraw { interval, node }) => {
                let interval = interval.to_string();
                let orders = node.ask(|it| async move { it.withdraw_order(interval).await })?;
                if node.json { show::json(out, &orders) } else { order_table(out, &orders) }
            }
            Self::Instructions(node) => {
                let report = OrderRpcClient::instructions;
                let report = node.ask(|it| async move { report(&it).await })?;
                if node.json { show::json(out, &report) } else { instructed(out, &report) }
            }
            Self::Instruct(instruct) => instruct.run(out),
            Self::Summary(Span { from, node }) => {
                let from = from.to_string();
                let sum = node.ask(|it| async move { it.summary(from, None).await })?;
                if node.json { show::json(out, &sum) } else { summary(out, &sum) }
            }
        }
    }
}

impl Place {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let Self { interval, side, energy_wh, price_sat_per_kwh, node } = self;
        let source = if side == Side::Buy { Source::Load } else { Source::Pv };
        let step = StepTerms {
            side,
            source,
            energy_mwh: energy_wh.saturating_mul(THOUSAND),
            limit_msat_per_kwh: msat(price_sat_per_kwh),
        };
        let interval = interval.to_string();
        let orders = node.ask(|it| async move { it.place_order(interval, vec![step]).await })?;
        if node.json { show::json(out, &orders) } else { order_table(out, &orders) }
    }
}

impl Instruct {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let instructions = Instructions {
            trade: self.trade,
            buy_at_most_msat_per_kwh: self.buy_at_most_sat_per_kwh.map(msat),
            sell_at_least_msat_per_kwh: self.sell_at_least_sat_per_kwh.map(msat),
            reserve_state_of_charge_percent: self.reserve_percent,
        };
        let (node, is_dry) = (self.node, Some(self.dry_run));
        let report = node.ask(|it| async move { it.instruct(instructions, is_dry).await })?;
        if node.json { show::json(out, &report) } else { instructed(out, &report) }
    }
}

fn sat_per_kwh(msat: i64) -> String {
    show::price(Price::from_msat_per_kwh(msat))
}

fn wh(mwh: u64) -> String {
    show::energy(Energy::from_milliwatt_hours(mwh))
}

fn money(msat: i64) -> String {
    show::money(SignedMsat::from_millisatoshi(msat))
}

fn price_table(out: &mut impl Write, prices: &[PriceReport]) -> Result<(), CliError> {
    if prices.is_empty() {
        writeln!(out, "no interval was decided yet; `boltgrid status` shows how far the node is")?;
    }
    for it in prices {
        let starts = Timestamp::from_unix_ms(it.starts_at_unix_ms);
        let price = match (it.outcome, it.price_msat_per_kwh) {
            (_, Some(price)) => sat_per_kwh(price),
            (IntervalOutcome::Decided, None) => "nothing matched".to_owned(),
            (IntervalOutcome::Open | IntervalOutcome::NoDecision, None) => "no decision".to_owned(),
        };
        writeln!(
            out,
            "{}  {price}  {}  {} trades  supplier takes {}, gives {}",
            show::interval(Interval::from_number(it.interval), starts),
            wh(it.volume_mwh),
            it.trades,
            sat_per_kwh(it.retail_msat_per_kwh),
            sat_per_kwh(it.feed_in_msat_per_kwh),
        )?;
    }
    Ok(())
}

fn trade_table(out: &mut impl Write, trades: &[TradeReport]) -> Result<(), CliError> {
    if trades.is_empty() {
        writeln!(out, "no trades")?;
    }
    for it in trades {
        let state = match it.state {
            TradeState::Cleared => "cleared",
            TradeState::Confirmed => "confirmed",
            TradeState::Lapsed => "lapsed",
        };
        let settled = it.delivered_mwh.zip(it.due_msat);
        let settled =
            settled.map(|(mwh, due)| format!(", {} delivered, due {}", wh(mwh), money(due)));
        writeln!(
            out,
            "interval {}  trade {}  {} {} at {}  with {}  {state}{}",
            it.interval,
            it.index,
            it.side,
            wh(it.energy_mwh),
            sat_per_kwh(it.price_msat_per_kwh),
            it.counterparty,
            settled.unwrap_or_default(),
        )?;
    }
    Ok(())
}

fn steps(steps: &[StepReport]) -> String {
    if steps.is_empty() {
        return "nothing".to_owned();
    }
    let step = |it: &StepReport| {
        let at = sat_per_kwh(it.limit_msat_per_kwh);
        format!("{} {} ({}) at {at}", it.side, wh(it.energy_mwh), it.source)
    };
    steps.iter().map(step).collect::<Vec<_>>().join(", ")
}

fn order(it: &OwnOrderReport) -> String {
    let until = show::moment(Timestamp::from_unix_ms(it.changeable_until_unix_ms));
    let state = match it.state {
        OrderState::Placed => "placed".to_owned(),
        OrderState::Own => format!("your own, until {until}"),
        OrderState::Planned => format!("planned, until {until}"),
    };
    let starts = Timestamp::from_unix_ms(it.starts_at_unix_ms);
    let interval = show::interval(Interval::from_number(it.interval), starts);
    format!("{interval}  {state}: {}", steps(&it.steps))
}

fn order_table(out: &mut impl Write, orders: &[OwnOrderReport]) -> Result<(), CliError> {
    if orders.is_empty() {
        writeln!(out, "nothing is ordered; `boltgrid status` shows whether the site is measured")?;
    }
    for it in orders {
        writeln!(out, "{}", order(it))?;
    }
    Ok(())
}

fn instructed(out: &mut impl Write, report: &InstructionsReport) -> Result<(), CliError> {
    let said = |it: &Instructions| {
        let price = |it: Option<i64>| it.map_or_else(|| "the supplier's".to_owned(), sat_per_kwh);
        let percent = it.reserve_state_of_charge_percent;
        [
            show::or_none(it.trade),
            price(it.buy_at_most_msat_per_kwh),
            price(it.sell_at_least_msat_per_kwh),
            show::or_none(percent.map(|it| format!("{it} %"))),
        ]
    };
    let [trade, buy, sell, reserve] = said(&report.holds);
    let next = report.next.as_ref().map_or_else(|| "nothing".to_owned(), order);
    show::rows(
        out,
        &[
            ("trades", trade),
            ("buys at most at", buy),
            ("sells at least at", sell),
            ("keeps in the battery", reserve),
            ("would order next", next),
        ],
    )?;
    for change in &report.changes {
        let at = show::moment(Timestamp::from_unix_ms(change.at_unix_ms));
        writeln!(out, "changed by {} at {at}", change.by)?;
    }
    Ok(())
}

fn summary(out: &mut impl Write, it: &SummaryReport) -> Result<(), CliError> {
    let due = |mwh: u64, msat: i64| format!("{}, due {}", wh(mwh), money(msat));
    let supplied =
        format!("{} taken, {} given", wh(it.supplier_import_mwh), wh(it.supplier_export_mwh));
    Ok(show::rows(
        out,
        &[
            ("intervals", format!("{}, {} without readings", it.intervals, it.without_readings)),
            ("bought", due(it.bought_mwh, it.bought_due_msat)),
            ("sold", due(it.sold_mwh, it.sold_due_msat)),
            ("supplier", format!("{supplied}, due {}", money(it.supplier_due_msat))),
            ("not delivered", wh(it.deviation_mwh)),
            ("at the tariff alone", money(it.tariff_only_due_msat)),
            ("saved by trading", money(it.saved_msat)),
        ],
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_says_until_when_it_can_be_changed() {
        let step = StepReport {
            side: "buy".to_owned(),
            source: "load".to_owned(),
            energy_mwh: 250_500,
            limit_msat_per_kwh: -1_500,
        };
        let mut report = OwnOrderReport {
            interval: 7,
            starts_at_unix_ms: 2_100_000,
            changeable_until_unix_ms: 2_055_000,
            state: OrderState::Own,
            steps: vec![step],
        };
        let line = order(&report);
        assert!(line.starts_with("7 (from 1970-01-01 00:35:00 UTC)"), "{line}");
        assert!(
            line.contains("your own, until 1970-01-01 00:34:15 UTC: buy 250.5 Wh (load)"),
            "{line}"
        );
        assert!(line.ends_with("at -1.5 sat/kWh"), "{line}");
        report.steps.clear();
        assert!(order(&report).ends_with(": nothing"));
    }
}
