//! What a node tells about itself and about one interval: the JSON of `node.status` and
//! `market.interval`.
//!
//! Names end in their unit; 64-bit integers are strings, which JavaScript can hold.

mod abstention;
mod lightning;
mod payments;
pub mod quoted;
pub(crate) mod shapes;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catch_up::CatchUpStatus;

pub use abstention::{AbstentionStatus, ClockStatus, HearingStatus};
pub use lightning::LightningStatus;
pub use payments::PaymentsStatus;
pub use quoted::{Quoted, QuotedCounts, QuotedCountsByPlace, QuotedOption};

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// The node's version.
    pub version: String,
    /// Who it is.
    pub participant: String,
    /// Its grid.
    pub grid_id: String,
    /// The grid's name.
    pub grid_name: String,
    /// Whether it is in the current roster, and votes.
    pub is_member: bool,
    /// Whether it votes.
    pub is_voter: bool,
    /// Members of the current roster.
    pub members: u32,
    /// Voters of the current roster.
    pub voters: u32,
    /// Since when it runs.
    #[serde(with = "Quoted")]
    pub started_at_unix_ms: u64,
    /// What its clock shows.
    #[serde(with = "Quoted")]
    pub now_unix_ms: u64,
    /// What a test adds to its clock; null in every real node.
    #[serde(with = "QuotedOption", default)]
    pub clock_test_offset_ms: Option<i64>,
    /// The clocks of peers against its own; null before they were asked.
    #[serde(default)]
    pub peer_clocks: Option<ClockStatus>,
    /// How many other members it heard in the latest whole interval; null before there was one.
    #[serde(default)]
    pub hearing: Option<HearingStatus>,
    /// Why it signs nothing new, and until when; null while it signs.
    #[serde(default)]
    pub abstains: Option<AbstentionStatus>,
    /// The interval being delivered.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// The site as last measured; none before the first sample.
    pub site: Option<SiteStatus>,
    /// The network.
    pub network: NetworkStatus,
    /// Payments over Lightning; null where the node runs without, and only keeps accounts.
    #[serde(default)]
    pub lightning: Option<LightningStatus>,
    /// What was paid for trades, and what is still to be paid; all zero where only accounts are kept.
    #[serde(default)]
    pub payments: PaymentsStatus,
    /// How far it has caught up with what it missed.
    pub catch_up: CatchUpStatus,
    /// Messages not taken, by reason.
    #[serde(with = "QuotedCounts")]
    pub not_taken: BTreeMap<String, u64>,
    /// The latest interval that was cleared or fell back.
    pub last_interval: Option<IntervalReport>,
}

/// The site as last measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteStatus {
    /// When.
    #[serde(with = "Quoted")]
    pub at_unix_ms: u64,
    /// Why the values cannot be relied on, if so.
    pub stale: Option<String>,
    /// Net power, import positive.
    #[serde(with = "Quoted")]
    pub power_mw: i64,
    /// Consumption.
    #[serde(with = "Quoted")]
    pub load_mw: i64,
    /// Photovoltaics, as a positive amount.
    #[serde(with = "Quoted")]
    pub pv_mw: i64,
    /// What photovoltaics could give.
    #[serde(with = "Quoted")]
    pub pv_potential_mw: i64,
    /// Battery power, charging positive; none without a battery.
    #[serde(with = "QuotedOption")]
    pub battery_mw: Option<i64>,
    /// Energy in the battery; none without one.
    #[serde(with = "QuotedOption")]
    pub stored_mwh: Option<u64>,
}

/// The network as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkStatus {
    /// Addresses it listens at.
    pub listening: Vec<String>,
    /// Connected peers.
    pub peers: u32,
    /// Connected peers that are members.
    pub members_connected: u32,
    /// Of those, the ones that this node dialled.
    pub members_dialled: u32,
    /// Members whose connections are kept before all others.
    pub pinned: u32,
    /// Of those, the ones that are connected.
    pub pinned_connected: u32,
    /// Peers that broke the rules too often and are kept away for now.
    pub banned: u32,
    /// The lowest score of a connected member; none where none is connected.
    pub score_lowest: Option<i32>,
    /// The median score of the connected members.
    pub score_median: Option<i32>,
    /// Payload bytes received.
    #[serde(with = "Quoted")]
    pub bytes_in: u64,
    /// Payload bytes sent.
    #[serde(with = "Quoted")]
    pub bytes_out: u64,
    /// Rejected messages by topic or protocol, then reason.
    #[serde(with = "QuotedCountsByPlace")]
    pub rejected: BTreeMap<String, BTreeMap<String, u64>>,
}

/// How an interval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalOutcome {
    /// Not decided yet.
    Open,
    /// The book is certified and cleared.
    Decided,
    /// No book in time: supplied at the tariff.
    NoDecision,
}

/// What this node knows of one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntervalReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// How it stands.
    pub outcome: IntervalOutcome,
    /// The view that decided.
    pub view: Option<u32>,
    /// From gate closure to the decision on this node's clock.
    #[serde(with = "QuotedOption")]
    pub decide_ms: Option<u64>,
    /// Orders in the book.
    pub orders: u32,
    /// The certified book.
    pub book_hash: Option<String>,
    /// The digest of its clearing.
    pub clearing_digest: Option<String>,
    /// The clearing price; none where nothing matched.
    #[serde(with = "QuotedOption")]
    pub price_msat_per_kwh: Option<i64>,
    /// The matched volume.
    #[serde(with = "Quoted")]
    pub volume_mwh: u64,
    /// All trades of the clearing.
    pub trades: u32,
    /// The steps of this node's own order.
    pub own_order: Vec<StepReport>,
    /// This node's trades.
    pub own_trades: Vec<TradeReport>,
    /// What followed from the meters; none until the interval is settled.
    pub settlement: Option<SettlementReport>,
}

/// One step of an own order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// `buy` or `sell`.
    pub side: String,
    /// What stands behind it.
    pub source: String,
    /// How much.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// At what limit.
    #[serde(with = "Quoted")]
    pub limit_msat_per_kwh: i64,
}

/// How far a trade has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TradeState {
    /// Cleared, and not signed by both sides yet.
    Cleared,
    /// Signed by both sides.
    Confirmed,
    /// Not signed by both sides in time.
    Lapsed,
}

/// One of this node's trades.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TradeReport {
    /// The interval.
    #[serde(with = "Quoted")]
    pub interval: u64,
    /// Its place in the clearing.
    pub index: u32,
    /// `buy` or `sell`, from this node's side.
    pub side: String,
    /// The other side.
    pub counterparty: String,
    /// How much is contracted.
    #[serde(with = "Quoted")]
    pub energy_mwh: u64,
    /// At what price.
    #[serde(with = "Quoted")]
    pub price_msat_per_kwh: i64,
    /// How far it has come.
    pub state: TradeState,
    /// What was delivered; none until settled.
    #[serde(with = "QuotedOption")]
    pub delivered_mwh: Option<u64>,
    /// What is due, to this node positive; none until settled.
    #[serde(with = "QuotedOption")]
    pub due_msat: Option<i64>,
}

/// What followed from the meters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettlementReport {
    /// What the meter took on balance, given negative; none without readings.
    #[serde(with = "QuotedOption")]
    pub metered_mwh: Option<i64>,
    /// Lost on the lines of what was sold.
    #[serde(with = "Quoted")]
    pub losses_mwh: u64,
    /// From the supplier, to it negative.
    #[serde(with = "Quoted")]
    pub supplier_mwh: i64,
    /// Due from the supplier, to it negative.
    #[serde(with = "Quoted")]
    pub supplier_due_msat: i64,
    /// Contracted and not delivered.
    #[serde(with = "Quoted")]
    pub deviation_mwh: u64,
    /// Due from all trades together, to pay negative.
    #[serde(with = "Quoted")]
    pub trades_due_msat: i64,
    /// Whether the ledger entry of the interval sums to zero in energy and in money.
    pub is_balanced: bool,
    /// From the end of delivery until this node had reckoned all this, on its clock; null for what was
    /// reckoned before it last started.
    #[serde(default, with = "QuotedOption")]
    pub settled_ms: Option<u64>,
}

/// A stored book, to be cleared again: the result of `market.book`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookReport {
    /// The certificate, in hexadecimal.
    pub certificate_hex: String,
    /// The signed orders, in hexadecimal.
    pub orders_hex: Vec<String>,
    /// The digest that this node computed when it cleared the book.
    pub clearing_digest: String,
}

impl From<&crate::network::NetworkStatus> for NetworkStatus {
    fn from(status: &crate::network::NetworkStatus) -> Self {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let mut rejected: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((place, reason), count) in &status.refused {
            rejected.entry((*place).to_owned()).or_default().insert((*reason).to_owned(), *count);
        }
        Self {
            listening: status.listening.iter().map(ToString::to_string).collect(),
            peers: count(status.peers_connected),
            members_connected: count(status.members_connected),
            members_dialled: count(status.dialled),
            pinned: count(status.pinned),
            pinned_connected: count(status.pinned_connected),
            banned: count(status.banned),
            score_lowest: status.scores.map(|scores| scores.lowest),
            score_median: status.scores.map(|scores| scores.median),
            bytes_in: status.bytes_in,
            bytes_out: status.bytes_out,
            rejected,
        }
    }
}

impl From<&crate::site::SiteState> for SiteStatus {
    fn from(state: &crate::site::SiteState) -> Self {
        Self {
            at_unix_ms: state.at.to_unix_ms(),
            stale: state.stale.as_ref().map(ToString::to_string),
            power_mw: state.power_mw.to_milliwatts(),
            load_mw: state.load_mw.to_milliwatts(),
            pv_mw: state.pv_mw.to_milliwatts(),
            pv_potential_mw: state.pv_potential_mw.to_milliwatts(),
            battery_mw: state.battery.map(|battery| battery.power_mw.to_milliwatts()),
            stored_mwh: state.battery.map(|battery| battery.stored_mwh.to_milliwatt_hours()),
        }
    }
}
