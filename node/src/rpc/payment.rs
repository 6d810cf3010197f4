//! JSON-RPC of payments: `payment.list`, `payment.accounts` and `dispute.list`. All of it only reads.
//!
//! Not for: the wallet behind the payments, or channels.

use boltgrid_market::ledger::Account as LedgerAccount;
use boltgrid_market::payments::{Means, Payment, Payments, Stage};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::Cause;
use boltgrid_protocol::units::{Interval, Msat};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::code::Code;
use super::past::{page, page_of, span};
use crate::status::{Quoted, QuotedOption};
use crate::store::DisputeRecord;

/// After so many disputes a page ends with the interval that it is in: what both sides signed is some
/// kilobytes of each.
const DISPUTES_PAGE_MIN: usize = 512;

/// What was paid, and what each member owes.
#[rpc(server, client, namespace = "payment", namespace_separator = ".")]
pub trait PaymentRpc {
    /// The payments for an interval and all after it, the latest first, a page of them
    /// ([`super::past`]); only those before `before_interval`, if given. Only those that are kept: see
    /// `keep_days` in the config.
    #[method(name = "list", param_kind = map)]
    async fn list(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<PaymentReport>>;

    /// What every counterparty owes and is owed, and what it may owe.
    #[method(name = "accounts")]
    async fn accounts(&self) -> RpcResult<Vec<AccountReport>>;
}

/// What is in dispute.
#[rpc(server, client, namespace = "dispute", namespace_separator = ".")]
pub trait DisputeRpc {
    /// Disputes about an interval and all after it, the latest first, a page of them ([`super::past`]), also
    /// those that are over; all without `from_interval`, and only those before `before_interval`, if given.
    /// Kept for good.
    #[method(name = "list", param_kind = map)]
    async fn disputes(
        &self,
        from_interval: Option<String>,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<DisputeReport>>;
}

/// How far a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStage {
    /// The invoice is out.
    Invoiced,
    /// It is on its way.
    Paying,
    /// It arrived.
    Paid,
    /// It has failed for good; another one takes its place.
    Failed,
}

/// One payment: one tranche of what is due for one trade or forward of one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentReport {
    /// The interval that was delivered.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// The trade's place in the clearing; null for a forward.
    pub trade: Option<u32>,
    /// The hash of the forward's acceptance; null for a trade.
    pub forward: Option<String>,
    /// The other side.
    pub counterparty: String,
    /// Whether this node is paid; otherwise it pays.
    pub is_received: bool,
    /// Which tranche, from one.
    pub tranche: u32,
    /// Of how many.
    pub tranches: u32,
    /// How much.
    #[serde(with = "Quoted")]
    pub amount_msat: u64,
    /// What it cost this node on the way; zero where it is paid.
    #[serde(with = "Quoted")]
    pub fee_msat: u64,
    /// What the payment is known by.
    pub payment_hash: String,
    /// The payer's receipt; null before it arrived, and where this node is paid.
    pub preimage: Option<String>,
    /// How far it is.
    pub stage: PaymentStage,
    /// Since when.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
}

/// How this node stands with one counterparty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountReport {
    /// Who.
    pub counterparty: String,
    /// What it still owes this node; negative: what this node owes it.
    #[serde(with = "Quoted")]
    pub balance_msat: i64,
    /// What it took of this node's energy in all; negative: what it gave.
    #[serde(with = "Quoted")]
    pub energy_mwh: i64,
    /// What it owes at worst: what was delivered, and what is signed and not settled.
    #[serde(with = "Quoted")]
    pub exposure_msat: u64,
    /// What it may owe for a trade to be signed now, where that costs no more than retail; null where
    /// dues are only kept in the ledger, and everyone is trusted.
    #[serde(with = "QuotedOption", default)]
    pub limit_msat: Option<u64>,
    /// What it has paid in time since its last default: the limit of its credit grows with it.
    #[serde(with = "Quoted")]
    pub paid_msat: u64,
    /// How often it did not pay in time.
    pub defaults: u32,
    /// How many of these dues are not paid yet.
    pub open_defaults: u32,
    /// Whether dues are paid at all; otherwise they are only kept in the ledger.
    pub is_paid_by_lightning: bool,
}

/// One dispute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeReport {
    /// The interval that was delivered.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// The trade's place in the clearing; null for a forward.
    pub trade: Option<u32>,
    /// The hash of the forward's acceptance; null for a trade.
    pub forward: Option<String>,
    /// With whom.
    pub counterparty: String,
    /// What is due, to this node positive.
    #[serde(with = "Quoted")]
    pub due_msat: i64,
    /// What was not paid of it when the dispute began.
    #[serde(with = "Quoted")]
    pub unpaid_msat: u64,
    /// What it is about.
    pub why: String,
    /// When it began.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// When it was over; null while it is not.
    #[serde(with = "QuotedOption")]
    pub resolved_at_unix_ms: Option<u64>,
    /// When the owner forgave it; null while it has not.
    #[serde(default, with = "QuotedOption")]
    pub forgiven_at_unix_ms: Option<u64>,
    /// The signed readings and confirms that show it.
    pub proof_hex: Vec<String>,
    /// The signed invoice, where there is one.
    pub invoice_hex: Option<String>,
}

fn trade(cause: Cause) -> (Option<u32>, Option<String>) {
    match cause {
        Cause::Trade { index } => (Some(index), None),
        Cause::Forward { acceptance } => (None, Some(acceptance.to_string())),
    }
}

impl From<&Payment> for PaymentReport {
    fn from(payment: &Payment) -> Self {
        let (trade, forward) = trade(payment.due.cause);
        let (stage, preimage, fee_msat) = match payment.stage {
            Stage::Invoiced => (PaymentStage::Invoiced, None, Msat::ZERO),
            Stage::Paying => (PaymentStage::Paying, None, Msat::ZERO),
            Stage::Paid { preimage, fee_msat } => (PaymentStage::Paid, preimage, fee_msat),
            Stage::Failed => (PaymentStage::Failed, None, Msat::ZERO),
        };
        Self {
            interval: payment.due.interval.to_number(),
            trade,
            forward,
            counterparty: payment.counterparty.to_string(),
            is_received: payment.to_me,
            tranche: payment.tranche.saturating_add(1),
            tranches: payment.tranches,
            amount_msat: payment.amount_msat.to_millisatoshi(),
            fee_msat: fee_msat.to_millisatoshi(),
            payment_hash: payment.payment_hash.to_string(),
            preimage: preimage.map(|it| it.to_string()),
            stage,
            at_unix_ms: payment.at.to_unix_ms(),
        }
    }
}

impl From<&DisputeRecord> for DisputeReport {
    fn from(record: &DisputeRecord) -> Self {
        let dispute = &record.dispute;
        let (trade, forward) = trade(dispute.due.cause);
        Self {
            interval: dispute.due.interval.to_number(),
            trade,
            forward,
            counterparty: dispute.counterparty.to_string(),
            due_msat: dispute.due_msat.to_millisatoshi(),
            unpaid_msat: dispute.unpaid_msat.to_millisatoshi(),
            why: dispute.why.to_string(),
            at_unix_ms: dispute.at.to_unix_ms(),
            resolved_at_unix_ms: record.resolved_at.map(|at| at.to_unix_ms()),
            forgiven_at_unix_ms: record.forgiven_at.map(|at| at.to_unix_ms()),
            proof_hex: dispute.proof.iter().map(hex::encode).collect(),
            invoice_hex: dispute.invoice.as_ref().map(hex::encode),
        }
    }
}

/// How this node stands with everyone it ever traded with, in the current interval.
pub(crate) fn accounts(payments: &Payments, current: Interval) -> Vec<AccountReport> {
    let report = |who: ParticipantId| {
        let balance = payments.ledger().balance(LedgerAccount::Counterparty(who));
        let standing = payments.standing(&who);
        AccountReport {
            counterparty: who.to_string(),
            // What an account receives is what is owed to it, so what it owes is the opposite.
            balance_msat: balance.money.to_millisatoshi().saturating_neg(),
            energy_mwh: balance.energy.to_milliwatt_hours(),
            exposure_msat: payments.exposure(&who).to_millisatoshi(),
            limit_msat: payments.limit(&who, current).map(Msat::to_millisatoshi),
            paid_msat: standing.paid_msat.to_millisatoshi(),
            defaults: standing.defaults,
            open_defaults: standing.open_defaults,
            is_paid_by_lightning: payments.means() != Means::Ledger,
        }
    };
    payments.counterparties().into_iter().map(report).collect()
}

#[async_trait]
impl PaymentRpcServer for Answers {
    async fn list(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<PaymentReport>> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        let report = |it: Payment| (it.due.interval, PaymentReport::from(&it));
        Ok(page(self.archive.payments(from, before).map(|it| it.map(report)))?)
    }

    async fn accounts(&self) -> RpcResult<Vec<AccountReport>> {
        self.trading.accounts().await.map_err(|why| Code::NotDone.because(why.to_string()))
    }
}

#[async_trait]
impl DisputeRpcServer for Answers {
    async fn disputes(
        &self,
        from_interval: Option<String>,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<DisputeReport>> {
        let from = from_interval.as_deref().unwrap_or("0");
        let (from, before) = span(from, before_interval.as_ref())?;
        let report = |it: DisputeRecord| (it.dispute.due.interval, DisputeReport::from(&it));
        let disputes = self.archive.disputes(from, before).map(|it| it.map(report));
        Ok(page_of(DISPUTES_PAGE_MIN, disputes)?)
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_market::payments::DueId;
    use boltgrid_protocol::lightning::{PaymentHash, Preimage};
    use boltgrid_protocol::units::Timestamp;

    use super::*;

    #[test]
    fn a_payment_is_shown_with_strings_for_long_numbers_and_its_receipt() {
        let payment = Payment {
            due: DueId { interval: Interval::from_number(7), cause: Cause::Trade { index: 3 } },
            counterparty: ParticipantId::from_bytes([1; 32]),
            to_me: false,
            tranche: 0,
            tranches: 2,
            amount_msat: Msat::from_millisatoshi(20_000).unwrap(),
            payment_hash: PaymentHash::from_bytes([2; 32]),
            stage: Stage::Paid {
                preimage: Some(Preimage::from_bytes([3; 32])),
                fee_msat: Msat::ZERO,
            },
            at: Timestamp::from_unix_ms(9),
        };
        let shown = serde_json::to_value(PaymentReport::from(&payment)).unwrap();
        let expected = serde_json::json!({
            "interval": "7", "trade": 3, "forward": null, "counterparty": "01".repeat(32),
            "is_received": false, "tranche": 1, "tranches": 2, "amount_msat": "20000",
            "fee_msat": "0", "payment_hash": "02".repeat(32), "preimage": "03".repeat(32),
            "stage": "paid", "at_unix_ms": "9",
        });
        assert_eq!(shown, expected);
    }
}
