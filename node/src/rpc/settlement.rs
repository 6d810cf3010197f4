//! JSON-RPC of what follows from the meters: `settlement.list`, `settlement.due` and `settlement.summary`. All
//! of it only reads.
//! Not for: single payments ([`super::payment`]), or disputes, which are `dispute.list`.

use boltgrid_market::payments::Payments;
use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::invoice::Cause;
use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::Interval;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::code::Code;
use super::past::{page, span};
use super::{Answers, unreadable};
use crate::status::{Quoted, SettlementReport};

/// What was delivered, and who owes what.
#[rpc(server, client, namespace = "settlement", namespace_separator = ".")]
pub trait SettlementRpc {
    /// What followed from this site's meters, interval by interval since `from_interval`, the latest first,
    /// a page of them ([`super::past`]); only those before `before_interval`, if given.
    #[method(name = "list", param_kind = map)]
    async fn list(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<IntervalSettlement>>;

    /// Everything that is due and not paid, either way, the latest interval first; what each counterparty
    /// may owe at worst is in `payment.accounts`.
    #[method(name = "due")]
    async fn due(&self) -> RpcResult<Vec<DueReport>>;

    /// The same span added up: energy and money by trades and by the supplier, and what the same meters
    /// would have cost at the tariff alone.
    #[method(name = "summary", param_kind = map)]
    async fn summary(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<SummaryReport>;
}

/// One interval's settlement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntervalSettlement {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// What followed.
    pub settlement: SettlementReport,
}

/// What is due for one trade or forward of one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DueReport {
    /// The interval that was delivered.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// The trade's place in the clearing; null for a forward.
    pub trade: Option<u32>,
    /// The hash of the forward's acceptance; null for a trade.
    pub forward: Option<String>,
    /// The other side.
    pub counterparty: String,
    /// What was delivered.
    #[serde(with = "Quoted")]
    pub delivered_mwh: u64,
    /// At what price.
    #[serde(with = "Quoted")]
    pub price_msat_per_kwh: i64,
    /// What is due, to this node positive.
    #[serde(with = "Quoted")]
    pub due_msat: i64,
    /// What is not paid of it yet.
    #[serde(with = "Quoted")]
    pub unpaid_msat: u64,
    /// When all of it is to be paid; after that it is a default.
    #[serde(with = "Quoted")]
    pub pay_by_unix_ms: u64,
}

/// A span of intervals added up, as this site's meters and both sides' signatures have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryReport {
    /// Intervals that were settled.
    #[serde(with = "Quoted")]
    pub intervals: u64,
    /// Of those, the ones in which the meter gave no readings; nothing of theirs is in the rest.
    #[serde(with = "Quoted")]
    pub without_readings: u64,
    /// Bought from other members, delivered.
    #[serde(with = "Quoted")]
    pub bought_mwh: u64,
    /// Sold to other members, delivered.
    #[serde(with = "Quoted")]
    pub sold_mwh: u64,
    /// Due for what was bought; negative where this node pays.
    #[serde(with = "Quoted")]
    pub bought_due_msat: i64,
    /// Due for what was sold; negative where this node pays, at a negative price.
    #[serde(with = "Quoted")]
    pub sold_due_msat: i64,
    /// Taken from the supplier, in the intervals in which it gave on balance.
    #[serde(with = "Quoted")]
    pub supplier_import_mwh: u64,
    /// Given to the supplier, in the intervals in which it took on balance.
    #[serde(with = "Quoted")]
    pub supplier_export_mwh: u64,
    /// Due from the supplier; negative where this node pays.
    #[serde(with = "Quoted")]
    pub supplier_due_msat: i64,
    /// Contracted and not delivered.
    #[serde(with = "Quoted")]
    pub deviation_mwh: u64,
    /// What would have been due from the supplier without any trade; negative where this node pays.
    #[serde(with = "Quoted")]
    pub tariff_only_due_msat: i64,
    /// What trading brought against that.
    #[serde(with = "Quoted")]
    pub saved_msat: i64,
}

impl SummaryReport {
    /// Adds an interval.
    fn add(&mut self, charter: &Charter, settlement: &Settlement) {
        self.intervals = self.intervals.saturating_add(1);
        let Some(metered) = settlement.metered_mwh else {
            self.without_readings = self.without_readings.saturating_add(1);
            return;
        };
        let trades = settlement.trades.iter().map(|it| (it.side, it.delivered_mwh, it.due_msat));
        let forwards = settlement.forwards.iter();
        let forwards = forwards.map(|it| (it.side, it.delivered_mwh, it.due_msat));
        let mut traded_msat = 0_i64;
        for (side, delivered, due) in trades.chain(forwards) {
            let (energy, money) = match side {
                Side::Buy => (&mut self.bought_mwh, &mut self.bought_due_msat),
                Side::Sell => (&mut self.sold_mwh, &mut self.sold_due_msat),
            };
            *energy = energy.saturating_add(delivered.to_milliwatt_hours());
            *money = money.saturating_add(due.to_millisatoshi());
            traded_msat = traded_msat.saturating_add(due.to_millisatoshi());
        }
        let supplied = settlement.supplier_mwh.to_milliwatt_hours();
        let side = if supplied >= 0 {
            &mut self.supplier_import_mwh
        } else {
            &mut self.supplier_export_mwh
        };
        *side = side.saturating_add(supplied.unsigned_abs());
        let supplier_msat = settlement.supplier_due_msat.to_millisatoshi();
        self.supplier_due_msat = self.supplier_due_msat.saturating_add(supplier_msat);
        let deviation = settlement.deviation_mwh.to_milliwatt_hours();
        self.deviation_mwh = self.deviation_mwh.saturating_add(deviation);
        let tariff = charter.tariff.at(charter.interval.start_of(settlement.interval));
        let only_msat = at_tariff(metered.to_milliwatt_hours(), &tariff);
        self.tariff_only_due_msat = self.tariff_only_due_msat.saturating_add(only_msat);
        let with_trades = traded_msat.saturating_add(supplier_msat);
        self.saved_msat = self.saved_msat.saturating_add(with_trades.saturating_sub(only_msat));
    }
}

/// What is due from the supplier for so much, given where negative: rounded as a settlement without trades
/// rounds it.
fn at_tariff(metered_mwh: i64, tariff: &boltgrid_protocol::charter::TariffPrices) -> i64 {
    let taken = metered_mwh >= 0;
    let price = if taken { tariff.retail_msat_per_kwh } else { tariff.feed_in_msat_per_kwh };
    let energy = boltgrid_protocol::units::Energy::from_milliwatt_hours(metered_mwh.unsigned_abs());
    let amount = price.amount_floor(energy).map_or(0, |it| it.to_millisatoshi());
    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    if taken == price.is_negative() { amount } else { amount.saturating_neg() }
}

/// What is due and not paid, the latest interval first.
pub(crate) fn dues(payments: &Payments) -> Vec<DueReport> {
    let report = |(due, unpaid): (&boltgrid_market::payments::Due, _)| {
        let (trade, forward) = match due.id.cause {
            Cause::Trade { index } => (Some(index), None),
            Cause::Forward { acceptance } => (None, Some(acceptance.to_string())),
        };
        DueReport {
            interval: due.id.interval.to_number(),
            trade,
            forward,
            counterparty: due.counterparty.to_string(),
            delivered_mwh: due.delivered_mwh.to_milliwatt_hours(),
            price_msat_per_kwh: due.price_msat_per_kwh.to_msat_per_kwh(),
            due_msat: due.due_msat.to_millisatoshi(),
            unpaid_msat: boltgrid_protocol::units::Msat::to_millisatoshi(unpaid),
            pay_by_unix_ms: due.pay_by.to_unix_ms(),
        }
    };
    let mut dues: Vec<DueReport> = payments.unpaid().map(report).collect();
    dues.reverse();
    dues
}

#[async_trait]
impl SettlementRpcServer for Answers {
    async fn list(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<IntervalSettlement>> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        if before <= from {
            return Ok(Vec::new());
        }
        let report = |(interval, it): (Interval, Settlement)| {
            let settlement = SettlementReport::from(&it);
            (interval, IntervalSettlement { interval: interval.to_number(), settlement })
        };
        Ok(page(self.archive.settlements(from..before).map(|it| it.map(report)))?)
    }

    async fn due(&self) -> RpcResult<Vec<DueReport>> {
        self.trading.dues().await.map_err(|why| Code::NotDone.because(why.to_string()))
    }

    async fn summary(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<SummaryReport> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        let mut summary = SummaryReport::default();
        if before <= from {
            return Ok(summary);
        }
        for settled in self.archive.settlements::<Settlement>(from..before) {
            summary.add(&self.charter, &settled.map_err(unreadable)?.1);
        }
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::units::{NetEnergy, SignedMsat};

    use super::*;
    use crate::site::charter_for_tests;

    #[test]
    fn without_trades_nothing_is_saved_whatever_the_meter_showed() {
        let charter = charter_for_tests(300_000);
        let (mut summary, tariff) = (SummaryReport::default(), charter.tariff);
        for (number, metered_mwh) in [(1, 1_234_567), (2, -7_654_321), (3, 0)] {
            let interval = Interval::from_number(number);
            let prices = tariff.at(charter.interval.start_of(interval));
            let due = at_tariff(metered_mwh, &prices);
            let settlement = Settlement {
                interval,
                metered_mwh: Some(NetEnergy::from_milliwatt_hours(metered_mwh)),
                trades: Vec::new(),
                forwards: Vec::new(),
                losses_mwh: boltgrid_protocol::units::Energy::ZERO,
                supplier_mwh: NetEnergy::from_milliwatt_hours(metered_mwh),
                supplier_due_msat: SignedMsat::from_millisatoshi(due),
                deviation_mwh: boltgrid_protocol::units::Energy::ZERO,
            };
            let charter = charter_for_tests(300_000);
            summary.add(&charter, &settlement);
        }
        assert_eq!(summary.intervals, 3);
        assert_eq!(summary.saved_msat, 0);
        assert_eq!(summary.supplier_import_mwh, 1_234_567);
        assert_eq!(summary.supplier_export_mwh, 7_654_321);
        assert_eq!(summary.supplier_due_msat, summary.tariff_only_due_msat);
        assert_ne!(summary.supplier_due_msat, 0, "the tariff is not zero");
    }
}
