//! JSON-RPC of what was found implausible: `meter.anomalies`, `meter.quality` and `meter.balance`. All of
//! it only reads.
//! Not for: what meters show (`meter.list`), or how anything is found.

use boltgrid_metering::feeder::{Balance, FeederGap, Suspect};
use boltgrid_metering::power_quality::{QualityEvent, Share, WeekSummary};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Energy, NetEnergy, Timestamp};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::code::Code;
use super::{Answers, unreadable};
use crate::anomalies::{AnomalyRecord, Found};
use crate::feeders::{CohortState, FeederState};
use crate::status::{Quoted, QuotedOption};
use crate::store::ArchiveError;

/// Most entries of one answer; for more, ask for what was before the last of them.
pub const PAGE_MAX: usize = 1_000;

/// What was found implausible.
#[rpc(server, client, namespace = "meter", namespace_separator = ".")]
pub trait ChecksRpc {
    /// The anomalies that began since `from_unix_ms`, the latest first; only those before
    /// `before_unix_ms`, if given. At most 1000.
    #[method(name = "anomalies", param_kind = map)]
    async fn anomalies(
        &self,
        from_unix_ms: String,
        before_unix_ms: Option<String>,
    ) -> RpcResult<Vec<AnomalyReport>>;

    /// The last week of voltage and frequency at the meter that settles, and the grid's events since
    /// `from_unix_ms`, the latest first, at most 1000.
    #[method(name = "quality", param_kind = map)]
    async fn quality(&self, from_unix_ms: String) -> RpcResult<QualityReport>;

    /// Every feeder of the charter, held against its sites.
    #[method(name = "balance")]
    async fn balance(&self) -> RpcResult<Vec<FeederReport>>;
}

/// An anomaly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnomalyReport {
    /// Of which meter or feeder.
    pub of: String,
    /// register-back, register-jump, frozen, disagrees, pv-at-night, gap or feeder-gap.
    pub kind: String,
    /// What was found last, with its numbers, and what to do about it.
    pub found: String,
    /// Whether the node orders nothing while it stands.
    pub blocks_orders: bool,
    /// When it was found first.
    #[serde(with = "Quoted")]
    pub began_at_unix_ms: u64,
    /// When it was found last.
    #[serde(with = "Quoted")]
    pub seen_at_unix_ms: u64,
    /// How often it was found.
    #[serde(with = "Quoted")]
    pub count: u64,
    /// When it was over; null while it stands.
    #[serde(with = "QuotedOption")]
    pub ended_at_unix_ms: Option<u64>,
    /// Whose meter could be wrong; of a feeder's gap only.
    pub suspects: Vec<SuspectReport>,
    /// Whose meter it is, where that can be told; of a feeder's gap only.
    #[serde(default)]
    pub located: Option<String>,
}

/// A member whose meter alone would explain a feeder's gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuspectReport {
    /// Who.
    pub participant: String,
    /// What its meter would show of the truth.
    #[serde(with = "Quoted")]
    pub shows_ppm: i64,
}

/// Power quality at a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QualityReport {
    /// 10-minute means of all phases in the last week.
    #[serde(with = "Quoted")]
    pub windows: u64,
    /// Those within ±10 %: 950 000 ppm must be.
    #[serde(with = "QuotedOption")]
    pub within_10_percent_ppm: Option<u64>,
    /// Those within +10/−15 %: all must be.
    #[serde(with = "QuotedOption")]
    pub within_15_percent_ppm: Option<u64>,
    /// Samples of the frequency within ±1 %: 995 000 ppm must be.
    #[serde(with = "QuotedOption")]
    pub frequency_within_1_percent_ppm: Option<u64>,
    /// The lowest 10-minute mean.
    pub lowest_mv: Option<u32>,
    /// The highest 10-minute mean.
    pub highest_mv: Option<u32>,
    /// The lowest frequency.
    pub lowest_mhz: Option<u32>,
    /// The highest frequency.
    pub highest_mhz: Option<u32>,
    /// Whether the week meets EN 50160 as far as it was seen; null before there is anything to tell.
    pub meets_en_50160: Option<bool>,
    /// Dips, swells, interruptions and excursions of the frequency.
    pub events: Vec<EventReport>,
}

/// An event of the grid's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventReport {
    /// dip, swell, interruption, frequency-low or frequency-high.
    pub kind: String,
    /// On which phase; null for the frequency.
    pub phase: Option<u8>,
    /// When it began.
    #[serde(with = "Quoted")]
    pub began_at_unix_ms: u64,
    /// When it was over; null while it lasts.
    #[serde(with = "QuotedOption")]
    pub ended_at_unix_ms: Option<u64>,
    /// How far the voltage went; null for the frequency.
    pub extreme_mv: Option<u32>,
    /// How far the frequency went; null for the voltage.
    pub extreme_mhz: Option<u32>,
}

/// A feeder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeederReport {
    /// Its name in the charter.
    pub name: String,
    /// Whose meter is the feeder's; null where there is none.
    pub meter: Option<String>,
    /// The latest interval that could be added up; null before there was one.
    pub balance: Option<BalanceReport>,
    /// The gap that stands; null where none does.
    pub gap: Option<GapReport>,
    /// Whether the charter lets counterparties only see its sites' readings, so that nobody can add
    /// them up.
    #[serde(default)]
    pub unseen: bool,
    /// Whose readings, or masked shares, of the latest interval are missing.
    pub missing: Vec<String>,
    /// The cohort whose sum is all that is known of the sites, where the charter has readings masked;
    /// null where it has not, and before there was one.
    #[serde(default)]
    pub cohort: Option<CohortReport>,
}

/// The sites of a feeder that were added up without any of them being seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CohortReport {
    /// The latest interval that was to be added up.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// How many sites have an order in its book.
    #[serde(with = "Quoted")]
    pub sites: u64,
    /// How many have none.
    #[serde(with = "Quoted")]
    pub absent: u64,
    /// What all these could have moved, which is added to the tolerance.
    #[serde(with = "Quoted")]
    pub absent_most_mwh: u64,
    /// Why there is no sum, and what to do; null where there is one.
    pub no_sum: Option<String>,
}

/// An interval of a feeder, added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// Net flow into the feeder by its meter.
    #[serde(with = "Quoted")]
    pub feeder_mwh: i64,
    /// The sum of what its sites say.
    #[serde(with = "Quoted")]
    pub sites_mwh: i64,
    /// The most that the lines may have taken.
    #[serde(with = "Quoted")]
    pub losses_mwh: u64,
    /// What neither explains.
    #[serde(with = "Quoted")]
    pub gap_mwh: i64,
    /// The same as part of what flowed.
    #[serde(with = "Quoted")]
    pub gap_ppm: i64,
    /// How large an honest gap may be.
    #[serde(with = "Quoted")]
    pub tolerance_mwh: u64,
}

/// A gap that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GapReport {
    /// The first interval of those looked at that has it.
    #[serde(with = "Quoted")]
    pub since_interval: u64,
    /// In how many intervals in a row.
    pub intervals: u32,
    /// All of it.
    #[serde(with = "Quoted")]
    pub gap_mwh: i64,
    /// The same as part of what flowed.
    #[serde(with = "Quoted")]
    pub gap_ppm: i64,
    /// Whose meter could be wrong, the likeliest first; empty where no single one explains it.
    pub suspects: Vec<SuspectReport>,
    /// Whose meter it is: the one whose flow stepped when the gap began. Null where two could be it, or
    /// nobody saw it begin.
    #[serde(default)]
    pub located: Option<String>,
}

impl From<&Suspect> for SuspectReport {
    fn from(it: &Suspect) -> Self {
        Self { participant: it.participant.to_string(), shows_ppm: it.shows_ppm }
    }
}

impl From<&AnomalyRecord> for AnomalyReport {
    fn from(it: &AnomalyRecord) -> Self {
        let suspects = match &it.found {
            Found::Site(_) => Vec::new(),
            Found::Feeder(gap) | Found::LocatedGap(gap, _) | Found::CohortGap(gap, _) => {
                gap.suspects.iter().map(SuspectReport::from).collect()
            }
        };
        Self {
            of: it.of.clone(),
            kind: it.kind().to_owned(),
            found: it.found.to_string(),
            blocks_orders: it.blocks_orders(),
            began_at_unix_ms: it.began_at.to_unix_ms(),
            seen_at_unix_ms: it.seen_at.to_unix_ms(),
            count: it.count,
            ended_at_unix_ms: it.ended_at.map(Timestamp::to_unix_ms),
            suspects,
            located: it.found.located().map(|whose| whose.to_string()),
        }
    }
}

impl From<&QualityEvent> for EventReport {
    fn from(it: &QualityEvent) -> Self {
        let is_voltage = it.line > 0;
        Self {
            kind: it.kind.name().to_owned(),
            phase: is_voltage.then_some(it.line),
            began_at_unix_ms: it.began_at.to_unix_ms(),
            ended_at_unix_ms: it.ended_at.map(Timestamp::to_unix_ms),
            extreme_mv: is_voltage.then_some(it.extreme),
            extreme_mhz: (!is_voltage).then_some(it.extreme),
        }
    }
}

impl QualityReport {
    fn new(week: &WeekSummary, events: Vec<EventReport>) -> Self {
        let (voltage, frequency) = (week.voltage_range_mv, week.frequency_range_mhz);
        Self {
            windows: week.within_10_percent.all,
            within_10_percent_ppm: week.within_10_percent.ppm(),
            within_15_percent_ppm: week.within_15_percent.ppm(),
            frequency_within_1_percent_ppm: Share::ppm(week.frequency_within_1_percent),
            lowest_mv: voltage.map(|(low, _)| low),
            highest_mv: voltage.map(|(_, high)| high),
            lowest_mhz: frequency.map(|(low, _)| low),
            highest_mhz: frequency.map(|(_, high)| high),
            meets_en_50160: week.meets_en_50160(),
            events,
        }
    }
}

impl From<&Balance> for BalanceReport {
    fn from(it: &Balance) -> Self {
        Self {
            interval: it.interval.to_number(),
            feeder_mwh: it.feeder_mwh.to_milliwatt_hours(),
            sites_mwh: it.sites_mwh.to_milliwatt_hours(),
            losses_mwh: it.losses_mwh.to_milliwatt_hours(),
            gap_mwh: it.gap_mwh.to_milliwatt_hours(),
            gap_ppm: it.gap_ppm(),
            tolerance_mwh: Energy::to_milliwatt_hours(it.tolerance_mwh),
        }
    }
}

impl From<&CohortState> for CohortReport {
    fn from(it: &CohortState) -> Self {
        let count = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        Self {
            interval: it.interval.to_number(),
            sites: count(it.turnout.present),
            absent: count(it.turnout.absent),
            absent_most_mwh: it.turnout.absent_most_mwh.to_milliwatt_hours(),
            no_sum: it.no_sum.clone(),
        }
    }
}

impl GapReport {
    pub(super) fn of(gap: &FeederGap, located: Option<ParticipantId>) -> Self {
        Self {
            since_interval: gap.since.to_number(),
            intervals: gap.intervals,
            gap_mwh: NetEnergy::to_milliwatt_hours(gap.gap_mwh),
            gap_ppm: gap.gap_ppm,
            suspects: gap.suspects.iter().map(SuspectReport::from).collect(),
            located: located.map(|whose| whose.to_string()),
        }
    }
}

impl From<&FeederState> for FeederReport {
    fn from(it: &FeederState) -> Self {
        let missing = it.missing.iter().flat_map(|(_, members)| members);
        Self {
            name: it.name.clone(),
            meter: it.meter.map(|meter| meter.to_string()),
            balance: it.balance.as_ref().map(BalanceReport::from),
            gap: it.gap.as_ref().map(|gap| GapReport::of(gap, it.located)),
            unseen: it.unseen,
            missing: missing.map(ToString::to_string).collect(),
            cohort: it.cohort.as_ref().map(CohortReport::from),
        }
    }
}

pub(super) fn time(text: &str) -> Result<Timestamp, ErrorObjectOwned> {
    text.parse().map(Timestamp::from_unix_ms).map_err(|_| {
        let message = "a time is Unix milliseconds in a string, such as \"1795000000000\"";
        Code::BadParameter.because(message)
    })
}

/// The first entries, in another shape.
fn page<T, R>(
    entries: impl Iterator<Item = Result<T, ArchiveError>>,
    report: impl Fn(&T) -> R,
) -> Result<Vec<R>, ErrorObjectOwned> {
    let entries = entries.take(PAGE_MAX).map(|entry| Ok(report(&entry.map_err(unreadable)?)));
    entries.collect()
}

#[async_trait]
impl ChecksRpcServer for Answers {
    async fn anomalies(
        &self,
        from_unix_ms: String,
        before_unix_ms: Option<String>,
    ) -> RpcResult<Vec<AnomalyReport>> {
        let before =
            before_unix_ms.map_or(Ok(Timestamp::from_unix_ms(u64::MAX)), |it| time(&it))?;
        let mut kept = page(self.archive.anomalies(time(&from_unix_ms)?, before), |it| it.clone())?;
        // What stands is known better than what was kept of it some while ago.
        for standing in &self.site.checked.borrow().standing {
            let same = |it: &&mut AnomalyRecord| {
                (it.began_at, it.kind(), &it.of)
                    == (standing.began_at, standing.kind(), &standing.of)
            };
            if let Some(record) = kept.iter_mut().find(same) {
                record.clone_from(standing);
            }
        }
        Ok(kept.iter().map(AnomalyReport::from).collect())
    }

    async fn quality(&self, from_unix_ms: String) -> RpcResult<QualityReport> {
        let until = Timestamp::from_unix_ms(u64::MAX);
        let mut events = page(self.archive.quality_events(time(&from_unix_ms)?, until), |it| *it)?;
        let checked = self.site.checked.borrow();
        for lasting in &checked.lasting {
            let same =
                |it: &&mut QualityEvent| (it.began_at, it.line) == (lasting.began_at, lasting.line);
            if let Some(event) = events.iter_mut().find(same) {
                *event = *lasting;
            }
        }
        let events = events.iter().map(EventReport::from).collect();
        Ok(QualityReport::new(&checked.week, events))
    }

    async fn balance(&self) -> RpcResult<Vec<FeederReport>> {
        Ok(self.feeders.borrow().iter().map(FeederReport::from).collect())
    }
}
