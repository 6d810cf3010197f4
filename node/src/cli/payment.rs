//! `boltgrid payment`: what was paid for which interval, how one stands with everyone, and what is in
//! dispute. Not for: the wallet or its channels.

use std::io::Write;

use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Energy, SignedMsat, Timestamp};
use clap::{Args, Subcommand};

use super::error::CliError;
use super::export::csv;
use super::node::Node;
use super::{by_hand, export, show};
use crate::rpc::forgive::ForgiveReport;
use crate::rpc::payment::{AccountReport, DisputeReport, PaymentReport, PaymentStage};
use crate::rpc::{ForgiveRpcClient, PaymentRpcClient};

/// See what was paid, what is owed and what is in dispute.
#[derive(Debug, Subcommand)]
pub(super) enum Payment {
    /// Show payments, the latest first
    List(Since),
    /// Write payments as CSV, one in a line
    Export(Since),
    /// Show what everyone owes and is owed, and how they have paid so far
    Accounts(Node),
    /// Show what is or was in dispute, and with what both sides signed
    Disputes(Node),
    /// Write off what a member owes and is in dispute, and trust it anew as a newcomer; what is
    /// forgiven cannot be asked for again
    Forgive(Whom),
    /// Make an invoice by hand, beside all trades
    Invoice(by_hand::Invoice),
    /// Pay an invoice by hand, beside all trades, and wait for its end
    Pay(by_hand::Pay),
    /// Show how a payment is, by its hash
    LookUp(by_hand::LookUp),
    /// Show the invoices that were made and paid by hand, the latest first
    ByHand(Since),
}

/// Whom to forgive.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// The member's participant id, as `boltgrid payment accounts --json` shows it
    #[arg(value_name = "PARTICIPANT")]
    counterparty: ParticipantId,
    #[command(flatten)]
    node: Node,
}

/// From when on.
#[derive(Debug, Args)]
pub(super) struct Since {
    /// The first interval, by its number; all that are kept by default
    #[arg(long, value_name = "INTERVAL", default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    node: Node,
}

impl Payment {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::List(since) => {
                let (json, payments) = since.ask()?;
                if json { show::json(out, &payments) } else { table(out, &payments) }
            }
            Self::Export(since) => csv(out, &since.ask()?.1),
            Self::Accounts(node) => {
                let accounts = node.ask(|it| async move { it.accounts().await })?;
                if node.json { show::json(out, &accounts) } else { standings(out, &accounts) }
            }
            Self::Forgive(Whom { counterparty, node }) => {
                let whom = counterparty.to_string();
                let forgiven = node.ask(|it| async move { it.forgive(whom).await })?;
                if node.json { show::json(out, &forgiven) } else { pardon(out, &forgiven) }
            }
            Self::Invoice(it) => it.run(out),
            Self::Pay(it) => it.run(out),
            Self::LookUp(it) => it.run(out),
            Self::ByHand(Since { from, node }) => by_hand::list(&node, from, out),
            Self::Disputes(node) => {
                let disputes = export::disputes(&node.door()?)?;
                if node.json { show::json(out, &disputes) } else { quarrels(out, &disputes) }
            }
        }
    }
}

impl Since {
    fn ask(self) -> Result<(bool, Vec<PaymentReport>), CliError> {
        let door = self.node.door()?;
        Ok((self.node.json, export::payments(&door, self.from.to_string())?))
    }
}

fn table(out: &mut impl Write, payments: &[PaymentReport]) -> Result<(), CliError> {
    if payments.is_empty() {
        writeln!(out, "no payments")?;
    }
    for it in payments {
        writeln!(
            out,
            "{}  interval {}  {} {} of {}  {}  {} {}",
            show::moment(Timestamp::from_unix_ms(it.at_unix_ms)),
            it.interval,
            what(it.trade, it.forward.as_deref()),
            it.tranche,
            it.tranches,
            stage(it),
            if it.is_received { "from" } else { "to" },
            short(&it.counterparty),
        )?;
    }
    Ok(())
}

fn what(trade: Option<u32>, forward: Option<&str>) -> String {
    let forward = || format!("forward {}", short(forward.unwrap_or_default()));
    trade.map_or_else(forward, |index| format!("trade {index}"))
}

fn stage(payment: &PaymentReport) -> String {
    let amount = sat(payment.amount_msat);
    match payment.stage {
        PaymentStage::Paid => format!("{amount} paid"),
        PaymentStage::Invoiced => format!("{amount} asked for"),
        PaymentStage::Paying => format!("{amount} on the way"),
        PaymentStage::Failed => format!("{amount} failed"),
    }
}

fn standings(out: &mut impl Write, accounts: &[AccountReport]) -> Result<(), CliError> {
    if accounts.is_empty() {
        writeln!(out, "nothing was traded with anyone yet")?;
    }
    for it in accounts {
        let owed = show::money(SignedMsat::from_millisatoshi(it.balance_msat.saturating_abs()));
        let owes = if it.balance_msat < 0 { "is owed" } else { "owes" };
        let energy = Energy::from_milliwatt_hours(it.energy_mwh.unsigned_abs());
        writeln!(
            out,
            "{}  {owes} {owed}  {} {}  at worst {}{}  paid {} in time, {} defaults{}",
            short(&it.counterparty),
            if it.energy_mwh < 0 { "gave" } else { "took" },
            show::energy(energy),
            sat(it.exposure_msat),
            it.limit_msat.map_or_else(String::new, |limit| format!(" of {}", sat(limit))),
            sat(it.paid_msat),
            it.defaults,
            if it.open_defaults > 0 { ", not all made good: it gets no credit" } else { "" },
        )?;
    }
    if accounts.iter().any(|it| !it.is_paid_by_lightning) {
        writeln!(out, "this node has no Lightning: dues are kept in the ledger and not paid")?;
    }
    Ok(())
}

fn quarrels(out: &mut impl Write, disputes: &[DisputeReport]) -> Result<(), CliError> {
    if disputes.is_empty() {
        writeln!(out, "no disputes")?;
    }
    for it in disputes {
        let forgiven = it.forgiven_at_unix_ms.map(Timestamp::from_unix_ms);
        let open = || {
            let at = forgiven.map(|at| format!("forgiven, {}", show::moment(at)));
            at.unwrap_or_else(|| "open".to_owned())
        };
        let end = it.resolved_at_unix_ms.map(Timestamp::from_unix_ms);
        writeln!(
            out,
            "{}  interval {}  {}  with {}  due {}, unpaid {}  {}  {}",
            show::moment(Timestamp::from_unix_ms(it.at_unix_ms)),
            it.interval,
            what(it.trade, it.forward.as_deref()),
            short(&it.counterparty),
            show::money(SignedMsat::from_millisatoshi(it.due_msat)),
            sat(it.unpaid_msat),
            it.why,
            end.map_or_else(open, |at| format!("paid in the end, {}", show::moment(at))),
        )?;
    }
    if !disputes.is_empty() {
        writeln!(out, "with --json, the signed readings, confirms and invoices are shown too")?;
    }
    Ok(())
}

fn pardon(out: &mut impl Write, forgiven: &ForgiveReport) -> Result<(), CliError> {
    let (who, owed) = (short(&forgiven.counterparty), sat(forgiven.unpaid_msat));
    writeln!(out, "forgiven {who}: {} dues, {owed}; it has a newcomer's credit", forgiven.dues)?;
    Ok(())
}

fn sat(msat: u64) -> String {
    show::money(SignedMsat::from_millisatoshi(i64::try_from(msat).unwrap_or(i64::MAX)))
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment() -> PaymentReport {
        PaymentReport {
            interval: 7,
            trade: Some(3),
            forward: None,
            counterparty: "ab".repeat(32),
            is_received: true,
            tranche: 1,
            tranches: 2,
            amount_msat: 20_500,
            fee_msat: 0,
            payment_hash: "cd".repeat(32),
            preimage: None,
            stage: PaymentStage::Paid,
            at_unix_ms: 1_000,
        }
    }

    #[test]
    fn an_export_has_a_line_a_payment_after_the_names_of_its_fields() {
        let mut out = Vec::new();
        csv(&mut out, &[payment(), PaymentReport { trade: None, ..payment() }]).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("interval,trade,forward,counterparty,is_received,"), "{text}");
        assert!(lines[1].starts_with("7,3,,abab") && lines[1].contains(",paid,1000"), "{text}");
        assert_eq!(lines.len(), 3, "{text}");
    }

    #[test]
    fn a_payment_is_one_line_for_people() {
        let mut out = Vec::new();
        table(&mut out, &[payment()]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("interval 7  trade 3 1 of 2  20.5 sat paid  from abababab"),
            "{text}"
        );
    }
}
