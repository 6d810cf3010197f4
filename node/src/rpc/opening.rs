//! JSON-RPC of openings: `meter.open`, which shows an arbiter what this site took, and `meter.openings`,
//! which shows what others opened to this node.
//! Not for: the rules (P44), or what an arbiter reckons ([`crate::openings`]).

use boltgrid_protocol::masking::{Finding, OpeningWord};
use boltgrid_protocol::units::NetEnergy;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::GapReport;
use super::code::Code;
use super::{Answers, parse, unreadable};
use crate::openings::{
    FeederRuling, IntervalRuling, NotOpened, OpenedInterval, Outcome, Wish, rulings,
};
use crate::status::{Quoted, QuotedOption};

/// Openings, as who opens and as the arbiter.
#[rpc(server, client, namespace = "meter", namespace_separator = ".")]
pub trait OpeningRpc {
    /// Opens this site's masked shares of intervals, at most 24, to the member `to`: it then knows what the
    /// site took in each of them, and where a sum is spoilt the site's masks of that interval too. The
    /// answer has what it says to each, of this site alone. With `dry_run` nothing is sent, and the answer
    /// shows what would be given away. What is open can't be taken back.
    #[method(name = "open", param_kind = map)]
    async fn open(
        &self,
        to: String,
        from_interval: String,
        last_interval: String,
        dry_run: Option<bool>,
    ) -> RpcResult<Vec<GivenReport>>;

    /// What others opened to this node, by feeder: their numbers, who has not opened yet, who tells
    /// other masks than whom, and whose meter a gap comes from. Of each feeder the 24 intervals that most
    /// have opened.
    #[method(name = "openings")]
    async fn openings(&self) -> RpcResult<Vec<RulingReport>>;
}

/// What became of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GivenOutcome {
    /// Nothing was sent: it can't be opened, only a dry run was wanted, or the arbiter did not answer
    /// before.
    NotSent,
    /// The arbiter could not be reached, or would not answer.
    NotAnswered,
    /// The arbiter does not keep it.
    Refused,
    /// It is kept; others have not opened yet, or too few intervals are open.
    Waits,
    /// It is kept; no gap stands in the intervals that are open.
    NoGap,
    /// It is kept; a gap stands, and this site's meter does not explain it.
    Cleared,
    /// It is kept; a gap stands that this site's meter alone would explain.
    Suspected,
    /// It is kept; a gap comes from this site's meter.
    Located,
    /// It is kept; a sum is spoilt, and a neighbour tells another mask than this site.
    Differs,
}

/// An interval that was opened, or could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GivenReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// What the arbiter sees: net energy, positive where taken. Null where the interval can't be opened.
    #[serde(with = "QuotedOption")]
    pub net_mwh: Option<i64>,
    /// How many masks of this site it sees too: of a spoilt sum all, else none.
    pub masks: u32,
    /// What became of it.
    pub outcome: GivenOutcome,
    /// Why it can't be opened, or is refused.
    pub why: Option<String>,
    /// What this site's meter shows of the truth in parts per million, if a gap is all its own; where it
    /// is suspected.
    #[serde(with = "QuotedOption")]
    pub shows_ppm: Option<i64>,
    /// Who tells another mask.
    pub neighbour: Option<String>,
}

/// A feeder of which something was opened to this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulingReport {
    /// Its name in the charter.
    pub feeder: String,
    /// In how many intervals, which all of their cohort opened, a gap was looked for; it takes 3.
    #[serde(with = "Quoted")]
    pub reckoned: u64,
    /// The gap that stands in them, with whose meter it could be; null where none does.
    pub gap: Option<GapReport>,
    /// Neighbours that tell different masks: one of each two lies.
    pub differing: Vec<DifferingReport>,
    /// The intervals that most have opened, the latest first.
    pub intervals: Vec<RulingInterval>,
}

/// Two neighbours that tell different masks of one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DifferingReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// One of the two.
    pub one: String,
    /// The other.
    pub other: String,
}

/// What is open of one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulingInterval {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// Net flow into the feeder by its own meter; null where it is not known.
    #[serde(with = "QuotedOption")]
    pub feeder_mwh: Option<i64>,
    /// Whether the sum of its shares is spoilt.
    pub spoilt: bool,
    /// What was opened.
    pub open: Vec<OpenSite>,
    /// Who of the cohort has not opened.
    pub missing: Vec<String>,
}

/// What one site opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenSite {
    /// Who.
    pub participant: String,
    /// Net energy, positive where taken.
    #[serde(with = "Quoted")]
    pub net_mwh: i64,
}

impl From<OpenedInterval> for GivenReport {
    fn from(it: OpenedInterval) -> Self {
        let given = it.given.ok();
        let mut report = Self {
            interval: it.interval.to_number(),
            net_mwh: given.map(|(net, _)| net.to_milliwatt_hours()),
            masks: given.map_or(0, |(_, masks)| u32::try_from(masks).unwrap_or(u32::MAX)),
            outcome: GivenOutcome::NotSent,
            why: it.given.err().map(|why| why.to_string()),
            shows_ppm: None,
            neighbour: None,
        };
        report.outcome = match it.outcome {
            Outcome::NotSent => GivenOutcome::NotSent,
            Outcome::NotAnswered => GivenOutcome::NotAnswered,
            Outcome::Said(OpeningWord::Refused(why)) => {
                report.why = Some(why.to_string());
                GivenOutcome::Refused
            }
            Outcome::Said(OpeningWord::Kept(finding)) => match finding {
                Finding::Waits => GivenOutcome::Waits,
                Finding::NoGap => GivenOutcome::NoGap,
                Finding::Cleared => GivenOutcome::Cleared,
                Finding::Suspected { shows_ppm } => {
                    report.shows_ppm = Some(shows_ppm);
                    GivenOutcome::Suspected
                }
                Finding::Located { shows_ppm } => {
                    report.shows_ppm = Some(shows_ppm);
                    GivenOutcome::Located
                }
                Finding::Differs { neighbour } => {
                    report.neighbour = Some(neighbour.to_string());
                    GivenOutcome::Differs
                }
            },
        };
        report
    }
}

impl From<&IntervalRuling> for RulingInterval {
    fn from(it: &IntervalRuling) -> Self {
        let open = it.opened.net_mwh.iter().map(|(site, net)| OpenSite {
            participant: site.to_string(),
            net_mwh: net.to_milliwatt_hours(),
        });
        Self {
            interval: it.interval.to_number(),
            feeder_mwh: it.feeder_mwh.map(NetEnergy::to_milliwatt_hours),
            spoilt: it.opened.is_spoilt,
            open: open.collect(),
            missing: it.opened.missing.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&FeederRuling> for RulingReport {
    fn from(it: &FeederRuling) -> Self {
        let differing = it.differing.iter().map(|(interval, one, other)| DifferingReport {
            interval: interval.to_number(),
            one: one.to_string(),
            other: other.to_string(),
        });
        Self {
            feeder: it.feeder.clone(),
            reckoned: u64::try_from(it.reckoned).unwrap_or(u64::MAX),
            gap: it.gap.as_ref().map(|gap| GapReport::of(gap, it.located)),
            differing: differing.collect(),
            intervals: it.intervals.iter().map(RulingInterval::from).collect(),
        }
    }
}

fn not_opened(why: NotOpened) -> ErrorObjectOwned {
    let code = match why {
        NotOpened::Span | NotOpened::NoMember => Code::BadParameter,
        NotOpened::Busy => Code::Busy,
        NotOpened::Late => Code::NotDone,
    };
    code.because(why.to_string())
}

#[async_trait]
impl OpeningRpcServer for Answers {
    async fn open(
        &self,
        to: String,
        from_interval: String,
        last_interval: String,
        dry_run: Option<bool>,
    ) -> RpcResult<Vec<GivenReport>> {
        let wish = Wish {
            to: to.parse().map_err(|_| {
                Code::BadParameter
                    .because("a member is named by its participant id, 64 hexadecimal digits")
            })?,
            first: parse(&from_interval)?,
            last: parse(&last_interval)?,
            is_dry: dry_run.unwrap_or(false),
        };
        let opened = self.openings.open(wish).await.map_err(not_opened)?;
        Ok(opened.into_iter().map(GivenReport::from).collect())
    }

    async fn openings(&self) -> RpcResult<Vec<RulingReport>> {
        let mut rosters = self.rosters.clone();
        let rulings = rulings(&self.archive, &self.charter, &mut rosters).map_err(unreadable)?;
        Ok(rulings.iter().map(RulingReport::from).collect())
    }
}
