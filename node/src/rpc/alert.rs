//! JSON-RPC of alerts: `alert.list`, which only reads, and `alert.test`, which tells somebody something.
//! Not for: changing rules, which are in the config file.

use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::code::Code;
use crate::alerts::outbox::Alert;
use crate::alerts::rule::{Turn, When};
use crate::alerts::{AlertStatus, ReceiverStatus, RuleStatus};
use crate::status::quoted;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertsReport {
    /// The rules.
    pub rules: Vec<RuleReport>,
    /// The receivers.
    pub receivers: Vec<ReceiverReport>,
    /// How many alerts were dropped ever, as too many waited or for too long.
    #[serde(with = "quoted")]
    pub dropped: u64,
    /// What was told last, oldest first.
    pub told: Vec<ToldReport>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// Its condition, as in the config file.
    pub when: When,
    /// Since when, or when last, it was told that it holds; none while it does not.
    pub told_at_unix_ms: Option<String>,
    /// What is seen now, in words; none where it is not known.
    pub seen: Option<String>,
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverReport {
    /// Its name.
    pub name: String,
    /// How many alerts wait for it.
    pub waiting: u32,
    /// Why it fails, if it does.
    pub failing: Option<String>,
}

/// An alert that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldReport {
    /// The rule's name.
    pub rule: String,
    /// What was told of it.
    pub turn: Turn,
    /// What was seen.
    pub text: String,
    /// When it was seen.
    #[serde(with = "quoted")]
    pub at_unix_ms: u64,
}

impl From<AlertStatus> for AlertsReport {
    fn from(status: AlertStatus) -> Self {
        let rule = |RuleStatus { rule, told_at, seen }| RuleReport {
            name: rule.name,
            when: rule.when,
            told_at_unix_ms: told_at.map(|at| at.to_unix_ms().to_string()),
            seen,
        };
        let receiver = |ReceiverStatus { name, waiting, failing }| ReceiverReport {
            name,
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            failing,
        };
        let told = |Alert { rule, turn, text, at, .. }| ToldReport {
            rule,
            turn,
            text,
            at_unix_ms: at.to_unix_ms(),
        };
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
