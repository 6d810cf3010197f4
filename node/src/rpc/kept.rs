//! JSON-RPC of what is kept of meter and machines: `meter.history` and `dispatch.history`. All of it only
//! reads, page by page as everything that was ([`super::past`]).
//! Not for: what they show and do now (`meter.list`, `dispatch.list`).

use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Interval, Power, Timestamp};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::checks::time;
use super::past::{page, span};
use crate::dispatcher::Log;
use crate::status::{Quoted, QuotedOption};
use crate::store::DecisionRecord;

/// What the meter that settles showed.
#[rpc(server, client, namespace = "meter", namespace_separator = ".")]
pub trait MeterPastRpc {
    /// This node's own signed readings since `from_interval`, the latest first, a page of them
    /// ([`super::past`]); only those before `before_interval`, if given. Kept for `keep_days` of the config.
    #[method(name = "history", param_kind = map)]
    async fn history(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<RegisterReport>>;
}

/// What machines were told.
#[rpc(server, client, namespace = "dispatch", namespace_separator = ".")]
pub trait DispatchPastRpc {
    /// What machines were told since `from_unix_ms`, the latest first, a page of it ([`super::past`]);
    /// only what was before `before_unix_ms`, if given. Kept for `keep_days` of the config.
    #[method(name = "history", param_kind = map)]
    async fn history(
        &self,
        from_unix_ms: String,
        before_unix_ms: Option<String>,
    ) -> RpcResult<Vec<Log>>;
}

/// What the meter that settles showed at the start of an interval, as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegisterReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// When it was read.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// Which reading of the meter, from zero.
    #[serde(with = "Quoted")]
    pub sequence: u64,
    /// All energy ever taken.
    #[serde(with = "Quoted")]
    pub import_register_mwh: u64,
    /// All energy ever given.
    #[serde(with = "Quoted")]
    pub export_register_mwh: u64,
    /// Power through the meter, positive where taken.
    #[serde(with = "Quoted")]
    pub power_mw: i64,
    /// What the power would be if nothing were turned down; null where the site cannot tell.
    #[serde(with = "QuotedOption")]
    pub potential_mw: Option<i64>,
    /// Mean phase voltage.
    pub voltage_mv: Option<u32>,
    /// Frequency.
    pub frequency_mhz: Option<u32>,
}

impl RegisterReport {
    fn new(interval: Interval, it: &Reading) -> Self {
        Self {
            interval: interval.to_number(),
            at_unix_ms: it.at.to_unix_ms(),
            sequence: it.sequence,
            import_register_mwh: it.import_register_mwh.to_milliwatt_hours(),
            export_register_mwh: it.export_register_mwh.to_milliwatt_hours(),
            power_mw: it.power_mw.to_milliwatts(),
            potential_mw: it.potential_mw.map(Power::to_milliwatts),
            voltage_mv: it.voltage_mv,
            frequency_mhz: it.frequency_mhz,
        }
    }
}

#[async_trait]
impl MeterPastRpcServer for Answers {
    async fn history(
        &self,
        from_interval: String,
        before_interval: Option<String>,
    ) -> RpcResult<Vec<RegisterReport>> {
        let (from, before) = span(&from_interval, before_interval.as_ref())?;
        let kept = self.archive.readings_by(&self.participant, from, before);
        // The own readings are this node's; what cannot be decoded is not shown.
        let readings = kept.filter_map(|entry| match entry {
            Ok((interval, bytes)) => {
                let signed = Signed::<Reading>::decode(bytes).ok()?;
                Some(Ok((interval, RegisterReport::new(interval, signed.body()))))
            }
            Err(error) => Some(Err(error)),
        });
        Ok(page(readings)?)
    }
}

#[async_trait]
impl DispatchPastRpcServer for Answers {
    async fn history(
        &self,
        from_unix_ms: String,
        before_unix_ms: Option<String>,
    ) -> RpcResult<Vec<Log>> {
        let last = Timestamp::from_unix_ms(u64::MAX);
        let before = before_unix_ms.as_deref().map_or(Ok(last), time)?;
        let report = |it: DecisionRecord| (it.at, Log::from(it));
        let kept = self.archive.decisions(time(&from_unix_ms)?, before);
        Ok(page(kept.map(|it| it.map(report)))?)
    }
}
