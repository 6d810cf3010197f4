//! JSON-RPC of the site's meters: `meter.list`. It only reads.
//! Not for: what the site comes to as a whole, which is in `node.status`.

use boltgrid_metering::shown::{Phase, Shown};
use boltgrid_protocol::units::{Energy, Power};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use crate::site::{MeterState, SiteState};
use crate::status::{QuotedOption, SiteStatus};

/// The site's meters.
#[rpc(server, client, namespace = "meter", namespace_separator = ".")]
pub trait MeterRpc {
    /// All meters, real and virtual, as last read.
    #[method(name = "list")]
    async fn meters(&self) -> RpcResult<Vec<MeterReport>>;
}

/// A meter as last read. What it does not have is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeterReport {
    /// Its name in the configuration.
    pub name: String,
    /// What it measures: grid, pv, battery, load, generator, gas or feeder.
    pub role: String,
    /// Whether it is made of other meters.
    pub is_virtual: bool,
    /// Whether its readings are signed and settled.
    pub settles: bool,
    /// When it was read last.
    #[serde(with = "QuotedOption")]
    pub at_unix_ms: Option<u64>,
    /// Why it shows nothing now, if so.
    pub stale: Option<String>,
    /// Power through it, positive where taken.
    #[serde(with = "QuotedOption")]
    pub power_mw: Option<i64>,
    /// All energy ever taken.
    #[serde(with = "QuotedOption")]
    pub import_register_mwh: Option<u64>,
    /// All energy ever given.
    #[serde(with = "QuotedOption")]
    pub export_register_mwh: Option<u64>,
    /// Mean phase voltage.
    pub voltage_mv: Option<u32>,
    /// Frequency.
    pub frequency_mhz: Option<u32>,
    /// The phases that it tells something of, the first one first.
    pub phases: Vec<PhaseReport>,
    /// All gas ever drawn.
    #[serde(with = "QuotedOption")]
    pub gas_register_ml: Option<u64>,
    /// How full the battery is, in thousandths of a per cent.
    pub charge_milli_percent: Option<u32>,
}

/// The site and its meters as read at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadingsReport {
    /// The site as a whole; null before it was measured.
    pub site: Option<SiteStatus>,
    /// All meters, real and virtual.
    pub meters: Vec<MeterReport>,
}

/// A phase of a meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseReport {
    /// 1, 2 or 3.
    pub phase: u8,
    /// Power.
    #[serde(with = "QuotedOption")]
    pub power_mw: Option<i64>,
    /// Voltage to neutral.
    pub voltage_mv: Option<u32>,
    /// Current.
    pub current_ma: Option<i32>,
}

impl PhaseReport {
    /// The phases that something is known of.
    pub(crate) fn of(shown: &Shown) -> Vec<Self> {
        let report = |(number, phase): (u8, &Phase)| {
            (*phase != Phase::default()).then_some(Self {
                phase: number,
                power_mw: phase.power.map(Power::to_milliwatts),
                voltage_mv: phase.voltage_mv,
                current_ma: phase.current_ma,
            })
        };
        (1..).zip(&shown.phases).filter_map(report).collect()
    }
}

impl ReadingsReport {
    pub(crate) fn of(site: Option<&SiteState>, meters: &[MeterState]) -> Self {
        let meters = meters.iter().map(MeterReport::from).collect();
        Self { site: site.map(SiteStatus::from), meters }
    }
}

impl From<&MeterState> for MeterReport {
    fn from(meter: &MeterState) -> Self {
        let last = meter.last.as_ref();
        let shown = last.map(|last| &last.shown);
        Self {
            name: meter.name.to_string(),
            role: meter.role.to_string(),
            is_virtual: meter.is_virtual,
            settles: meter.settles,
            at_unix_ms: last.map(|last| last.at.to_unix_ms()),
            stale: meter.stale.as_ref().map(ToString::to_string),
            power_mw: last.and_then(|last| last.power).map(Power::to_milliwatts),
            import_register_mwh: last.and_then(|it| it.import).map(Energy::to_milliwatt_hours),
            export_register_mwh: last.and_then(|it| it.export).map(Energy::to_milliwatt_hours),
            voltage_mv: shown.and_then(Shown::mean_voltage_mv),
            frequency_mhz: shown.and_then(|shown| shown.frequency_mhz),
            phases: shown.map(PhaseReport::of).unwrap_or_default(),
            gas_register_ml: shown.and_then(|shown| shown.gas?.thousandths_floor()),
            charge_milli_percent: shown.and_then(|shown| shown.charge_milli_percent),
        }
    }
}

#[async_trait]
impl MeterRpcServer for Answers {
    async fn meters(&self) -> RpcResult<Vec<MeterReport>> {
        Ok(self.site.meters.borrow().iter().map(MeterReport::from).collect())
    }
}
