//! JSON-RPC of alerts: `alert.list`, which only reads, and `alert.test`, which tells somebody something.
//! Not for: changing rules, which are in the config file.

use boltgrid_protocol::units::Timestamp;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::code::Code;
use crate::alerts::outbox::Alert;
use crate::alerts::rule::{Turn, When};
use crate::alerts::{AlertStatus, ReceiverStatus, RuleStatus};
use crate::status::{Quoted, QuotedOption};

/// How alerts are.
#[rpc(server, client, namespace = "alert", namespace_separator = ".")]
pub trait AlertListRpc {
    /// The rules and whether they hold, the receivers and whether they work, and what was told last, at
    /// most 100.
    #[method(name = "list")]
    async fn list(&self) -> RpcResult<AlertsReport>;
}

/// Trying them out.
#[rpc(server, client, namespace = "alert", namespace_separator = ".")]
pub trait AlertRpc {
    /// Tells a receiver a test, now, and says whether it arrived.
    #[method(name = "test", param_kind = map)]
    async fn test(&self, receiver: String) -> RpcResult<()>;
}

/// All alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertsReport {
    /// The rules.
    pub rules: Vec<RuleReport>,
    /// The receivers.
    pub receivers: Vec<ReceiverReport>,
    /// How many alerts were dropped ever, as too many waited or for too long.
    #[serde(with = "Quoted")]
    pub dropped: u64,
    /// What was told last, oldest first.
    pub told: Vec<ToldReport>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// Its condition, named as in the config file.
    pub when: WhenReport,
    /// Since when, or when last, it was told that it holds; none while it does not.
    #[serde(with = "QuotedOption")]
    pub told_at_unix_ms: Option<u64>,
    /// What is seen now, in words; none where it is not known.
    pub seen: Option<String>,
}

/// What must hold for a rule, with its number as a string; without a number, its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenReport {
    /// The site takes more than this; a negative number means giving.
    PowerAboveW(#[serde(with = "Quoted")] i64),
    /// The site takes less than this, or gives more than its opposite.
    PowerBelowW(#[serde(with = "Quoted")] i64),
    /// More than this was taken since midnight of the grid's standard time.
    ImportTodayAboveWh(#[serde(with = "Quoted")] u64),
    /// More than this was given since midnight.
    ExportTodayAboveWh(#[serde(with = "Quoted")] u64),
    /// The last clearing price was above this.
    PriceAboveSatPerKwh(#[serde(with = "Quoted")] i64),
    /// It was below this.
    PriceBelowSatPerKwh(#[serde(with = "Quoted")] i64),
    /// All that is in the wallet and in channels is less than this.
    BalanceBelowSat(#[serde(with = "Quoted")] u64),
    /// The battery holds less than this.
    BatteryBelowPercent(u8),
    /// It holds more.
    BatteryAbovePercent(u8),
    /// Something implausible was found at a meter of the site.
    Anomaly,
    /// A feeder's meter and its sites' do not fit together.
    FeederGap,
    /// A device of the site does not answer, or cannot be relied on.
    DeviceSilent,
    /// A mining machine does not do as it is told.
    MinerTrouble,
    /// The node gives no orders, as it cannot trust what it sees of the grid.
    Abstaining,
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiverReport {
    /// Its name.
    pub name: String,
    /// How many alerts wait for it.
    pub waiting: u32,
    /// Why it fails, if it does.
    pub failing: Option<String>,
}

/// An alert that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToldReport {
    /// The rule's name.
    pub rule: String,
    /// What was told of it.
    pub turn: Turn,
    /// What was seen.
    pub text: String,
    /// When it was seen.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
}

impl ToldReport {
    /// What a rule tells, and when that was seen.
    pub(crate) fn new(rule: String, (turn, text): (Turn, String), at: Timestamp) -> Self {
        Self { rule, turn, text, at_unix_ms: at.to_unix_ms() }
    }
}

impl From<When> for WhenReport {
    fn from(when: When) -> Self {
        match when {
            When::PowerAboveW(w) => Self::PowerAboveW(w),
            When::PowerBelowW(w) => Self::PowerBelowW(w),
            When::ImportTodayAboveWh(wh) => Self::ImportTodayAboveWh(wh),
            When::ExportTodayAboveWh(wh) => Self::ExportTodayAboveWh(wh),
            When::PriceAboveSatPerKwh(sat) => Self::PriceAboveSatPerKwh(sat),
            When::PriceBelowSatPerKwh(sat) => Self::PriceBelowSatPerKwh(sat),
            When::BalanceBelowSat(sat) => Self::BalanceBelowSat(sat),
            When::BatteryBelowPercent(percent) => Self::BatteryBelowPercent(percent),
            When::BatteryAbovePercent(percent) => Self::BatteryAbovePercent(percent),
            When::Anomaly => Self::Anomaly,
            When::FeederGap => Self::FeederGap,
            When::DeviceSilent => Self::DeviceSilent,
            When::MinerTrouble => Self::MinerTrouble,
            When::Abstaining => Self::Abstaining,
        }
    }
}

impl From<AlertStatus> for AlertsReport {
    fn from(status: AlertStatus) -> Self {
        let rule = |RuleStatus { rule, told_at, seen }| RuleReport {
            name: rule.name,
            when: rule.when.into(),
            told_at_unix_ms: told_at.map(Timestamp::to_unix_ms),
            seen,
        };
        let receiver = |ReceiverStatus { name, waiting, failing }| ReceiverReport {
            name,
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            failing,
        };
        let told = |Alert { rule, turn, text, at, .. }| ToldReport::new(rule, (turn, text), at);
        Self {
            rules: status.rules.into_iter().map(rule).collect(),
            receivers: status.receivers.into_iter().map(receiver).collect(),
            dropped: status.dropped,
            told: status.told.into_iter().map(told).collect(),
        }
    }
}

#[async_trait]
impl AlertListRpcServer for Answers {
    async fn list(&self) -> RpcResult<AlertsReport> {
        let status = self.alerts.status().await;
        Ok(status.ok_or_else(|| Code::Busy.because("the node is stopping"))?.into())
    }
}

#[async_trait]
impl AlertRpcServer for Answers {
    async fn test(&self, receiver: String) -> RpcResult<()> {
        let told = self.alerts.test(receiver).await;
        told.map_err(|why| Code::NotDone.because(why))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_is_named_as_in_the_config_file_and_its_long_number_is_a_string() {
        for (when, shown) in [
            (When::PowerBelowW(-9_000), json!({ "power_below_w": "-9000" })),
            (When::BalanceBelowSat(u64::MAX), json!({ "balance_below_sat": u64::MAX.to_string() })),
            (When::BatteryBelowPercent(20), json!({ "battery_below_percent": 20 })),
            (When::FeederGap, json!("feeder_gap")),
        ] {
            let report = WhenReport::from(when);
            assert_eq!(serde_json::to_value(report).unwrap(), shown);
            assert_eq!(serde_json::from_value::<WhenReport>(shown).unwrap(), report);
        }
    }
}
