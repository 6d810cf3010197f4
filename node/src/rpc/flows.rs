//! JSON-RPC of what passed the site's own meter: `meter.flows`, with what stands in for missing readings
//! marked as that, and `meter.corrections`. All of it only reads.
//! Not for: what meters show now (`meter.list`), or what was settled (`market.interval`).

use std::collections::BTreeMap;

use boltgrid_metering::substitute::{Edge, Flow, flows};
use boltgrid_protocol::envelope::Signed;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Energy, Interval};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{PAGE_MAX, time};
use super::{Answers, unreadable};
use crate::status::{Quoted, QuotedOption};
use crate::store::{ArchiveError, DayRecord};
use crate::substitutes::{CorrectionRecord, DAY_MS, edge_of, rule};

/// What passed the site's meter.
#[rpc(server, client, namespace = "meter", namespace_separator = ".")]
pub trait FlowsRpc {
    /// What passed the meter that settles in each interval from the one at `from_unix_ms` on, as far as
    /// that is known or something stands in for it. At most 1000 intervals are looked at.
    #[method(name = "flows", param_kind = map)]
    async fn flows(
        &self,
        from_unix_ms: String,
        until_unix_ms: Option<String>,
    ) -> RpcResult<Vec<FlowReport>>;

    /// What was shown of intervals since `from_unix_ms` and was corrected later, the latest first. At
    /// most 1000.
    #[method(name = "corrections", param_kind = map)]
    async fn corrections(&self, from_unix_ms: String) -> RpcResult<Vec<CorrectionReport>>;
}

/// What passed the meter in an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// When it began.
    #[serde(with = "Quoted")]
    pub start_unix_ms: u64,
    /// Energy taken.
    #[serde(with = "Quoted")]
    pub import_mwh: u64,
    /// Energy given.
    #[serde(with = "Quoted")]
    pub export_mwh: u64,
    /// Null where it was measured. Else by which rule it stands in: even or shaped where what flowed in
    /// sum is known, profile where nothing is but earlier days.
    pub substitute: Option<String>,
}

/// A correction of what was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CorrectionReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// When it was corrected.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// How what was shown came about: unknown, even, shaped or profile.
    pub was: String,
    /// Energy taken, as it was shown.
    #[serde(with = "QuotedOption")]
    pub was_import_mwh: Option<u64>,
    /// Energy given, as it was shown.
    #[serde(with = "QuotedOption")]
    pub was_export_mwh: Option<u64>,
    /// How what is shown came about: even, shaped, profile or measured.
    pub is: String,
    /// Energy taken.
    #[serde(with = "Quoted")]
    pub is_import_mwh: u64,
    /// Energy given.
    #[serde(with = "Quoted")]
    pub is_export_mwh: u64,
    /// How much more was taken on balance than was shown.
    #[serde(with = "Quoted")]
    pub more_mwh: i64,
    /// What the difference brings at the supplier's tariff.
    #[serde(with = "Quoted")]
    pub supplier_due_msat: i64,
}

impl From<&CorrectionRecord> for CorrectionReport {
    fn from(it: &CorrectionRecord) -> Self {
        let was = |of: fn(&Flow) -> Energy| it.was.as_ref().map(|it| of(it).to_milliwatt_hours());
        Self {
            interval: it.interval.to_number(),
            at_unix_ms: it.at.to_unix_ms(),
            was: rule(it.was.as_ref()).to_owned(),
            was_import_mwh: was(|it| it.import_mwh),
            was_export_mwh: was(|it| it.export_mwh),
            is: rule(Some(&it.is)).to_owned(),
            is_import_mwh: it.is.import_mwh.to_milliwatt_hours(),
            is_export_mwh: it.is.export_mwh.to_milliwatt_hours(),
            more_mwh: it.more_mwh.to_milliwatt_hours(),
            supplier_due_msat: it.supplier_due_msat.to_millisatoshi(),
        }
    }
}

impl Answers {
    /// The intervals that are asked about: from the one at a time on, a page at most.
    fn asked(
        &self,
        from: &str,
        until: Option<&str>,
    ) -> Result<(Interval, Interval), ErrorObjectOwned> {
        let timing = &self.charter.interval;
        let first = timing.interval_at(time(from)?);
        let page = first.plus(u64::try_from(PAGE_MAX).unwrap_or(u64::MAX));
        let end = match until {
            Some(until) => page.min(timing.interval_at(time(until)?)),
            None => page,
        };
        Ok((first, end.max(first)))
    }

    /// What is kept of whole days, though its readings may be forgotten.
    fn kept_days(
        &self,
        first: Interval,
        end: Interval,
    ) -> Result<BTreeMap<Interval, Flow>, ArchiveError> {
        let day_of = |it| self.charter.interval.start_of(it).to_unix_ms() / DAY_MS;
        let mut known = BTreeMap::new();
        for day in day_of(first)..=day_of(end) {
            let kept = self.archive.day(day)?;
            let kept = kept.iter().flat_map(DayRecord::known);
            known.extend(kept.filter(|(interval, _)| (first..end).contains(interval)));
        }
        Ok(known)
    }

    fn own_edges(
        &self,
        first: Interval,
        last: Interval,
    ) -> Result<BTreeMap<Interval, Edge>, ArchiveError> {
        let mut edges = BTreeMap::new();
        let mut edge = first;
        while edge <= last {
            // The own readings are this node's; what cannot be decoded is not shown.
            let stored = self.archive.reading(edge, &self.participant)?;
            if let Some(Ok(signed)) = stored.map(Signed::<Reading>::decode) {
                edges.insert(edge, edge_of(signed.body()));
            }
            edge = edge.next();
        }
        Ok(edges)
    }
}

#[async_trait]
impl FlowsRpcServer for Answers {
    async fn flows(
        &self,
        from_unix_ms: String,
        until_unix_ms: Option<String>,
    ) -> RpcResult<Vec<FlowReport>> {
        let (first, end) = self.asked(&from_unix_ms, until_unix_ms.as_deref())?;
        let edges = self.own_edges(first, end).map_err(unreadable)?;
        let mut known = self.kept_days(first, end).map_err(unreadable)?;
        known.extend(self.archive.substitutes(first..end).map_err(unreadable)?);
        // Of these only what was measured counts: what stands in is what was kept as that.
        let measured = flows(&edges, first..end, u64::MAX);
        known.extend(measured.into_iter().filter(|(_, flow)| flow.substitute.is_none()));
        let report = |(interval, flow): (Interval, Flow)| FlowReport {
            interval: interval.to_number(),
            start_unix_ms: self.charter.interval.start_of(interval).to_unix_ms(),
            import_mwh: flow.import_mwh.to_milliwatt_hours(),
            export_mwh: flow.export_mwh.to_milliwatt_hours(),
            substitute: flow.substitute.map(|rule| rule.name().to_owned()),
        };
        Ok(known.into_iter().map(report).collect())
    }

    async fn corrections(&self, from_unix_ms: String) -> RpcResult<Vec<CorrectionReport>> {
        let first = self.charter.interval.interval_at(time(&from_unix_ms)?);
        let corrections = self.archive.corrections(first..Interval::from_number(u64::MAX));
        let told = corrections
            .take(PAGE_MAX)
            .map(|it| Ok(CorrectionReport::from(&it.map_err(unreadable)?)));
        told.collect()
    }
}
