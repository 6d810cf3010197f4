//! JSON-RPC of the grid: `grid.charter`, `grid.members` and `grid.topology`. All of it only reads.
//! Not for: how agreement on single intervals went, which is `market.interval`, or connections
//! ([`super::peer`]).

use boltgrid_protocol::roster::{Member, Roster};
use boltgrid_protocol::units::Price;
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answers;
use super::checks::FeederReport;
use super::code::Code;
use crate::clock;
use crate::status::Quoted;

/// What all members agree on.
#[rpc(server, client, namespace = "grid", namespace_separator = ".")]
pub trait GridRpc {
    /// The charter: in parts for programs, and as the file that everybody has.
    #[method(name = "charter")]
    async fn charter(&self) -> RpcResult<CharterReport>;

    /// The members of the interval being delivered, by their place in the roster.
    #[method(name = "members")]
    async fn members(&self) -> RpcResult<Vec<MemberReport>>;

    /// Who is behind which feeder, and what the feeder's meter shows against its sites', where it has
    /// one; feeders as in the charter.
    #[method(name = "topology")]
    async fn topology(&self) -> RpcResult<Vec<LineReport>>;
}

/// The constitution of the grid. Lengths of time are in milliseconds, as in the charter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CharterReport {
    /// The hash of it, by which the grid is known.
    pub grid_id: String,
    /// The grid's name.
    pub name: String,
    /// Length of an interval.
    #[serde(with = "Quoted")]
    pub interval_ms: u64,
    /// How long before delivery orders open …
    #[serde(with = "Quoted")]
    pub orders_open_before_delivery_ms: u64,
    /// … and how long before it no order counts any more.
    #[serde(with = "Quoted")]
    pub gate_before_delivery_ms: u64,
    /// How much the clocks of two members may differ.
    #[serde(with = "Quoted")]
    pub clock_skew_max_ms: u64,
    /// The lowest price that an order may name.
    #[serde(with = "Quoted")]
    pub floor_msat_per_kwh: i64,
    /// The highest price.
    #[serde(with = "Quoted")]
    pub ceiling_msat_per_kwh: i64,
    /// What the supplier takes for a kilowatt-hour now.
    #[serde(with = "Quoted")]
    pub retail_msat_per_kwh: i64,
    /// What the supplier gives for one now.
    #[serde(with = "Quoted")]
    pub feed_in_msat_per_kwh: i64,
    /// Most power into the grid across its connection.
    #[serde(with = "Quoted")]
    pub import_capacity_w: u64,
    /// Most power out of the grid across its connection.
    #[serde(with = "Quoted")]
    pub export_capacity_w: u64,
    /// Line losses between members, off the seller's metered export.
    pub loss_ppm: u32,
    /// The whole file.
    pub toml: String,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberReport {
    /// Who.
    pub participant: String,
    /// Whether it is this node.
    pub is_this_node: bool,
    /// Where it is connected.
    pub connection_point: String,
    /// The feeders that its connection point is behind.
    pub feeders: Vec<String>,
    /// Whether it is beyond the grid connection.
    pub is_outside: bool,
    /// Whether it is a feeder's meter, and no site.
    pub is_feeders_meter: bool,
    /// Whether it votes.
    pub is_voter: bool,
    /// Most power that its connection point may take.
    #[serde(with = "Quoted")]
    pub rated_import_mw: i64,
    /// Most power that it may give, as a positive amount.
    #[serde(with = "Quoted")]
    pub rated_export_mw: i64,
    /// The first interval after its membership.
    #[serde(with = "Quoted")]
    pub valid_until_interval: u64,
    /// Its Lightning node, where it has told; null for this node.
    pub lightning_node: Option<String>,
}

/// A feeder and who is behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineReport {
    /// Its name in the charter.
    pub name: String,
    /// Its connection points.
    pub connection_points: Vec<String>,
    /// The members at them, but for meters of feeders.
    pub members: Vec<String>,
    /// Its meter against its sites'; null before anything was added up.
    pub metered: Option<FeederReport>,
}

impl Answers {
    fn member(&self, roster: &Roster, (place, member): (usize, &Member)) -> MemberReport {
        let enrolment = &member.enrolment;
        let index = roster.index_of(&enrolment.participant);
        let feeders = self.charter.feeders.iter().filter(|feeder| feeder.feeds(enrolment));
        let contacts = self.network.lightning_contacts();
        debug_assert_eq!(index.map(boltgrid_protocol::id::RosterIndex::as_usize), Some(place));
        MemberReport {
            participant: enrolment.participant.to_string(),
            is_this_node: enrolment.participant == self.participant,
            connection_point: enrolment.connection_point.clone(),
            feeders: feeders.map(|feeder| feeder.name.clone()).collect(),
            is_outside: enrolment.outside,
            is_feeders_meter: index.is_some_and(|it| roster.is_feeders_meter(it, &self.charter)),
            is_voter: index.is_some_and(|it| roster.is_voter(it)),
            rated_import_mw: enrolment.rated_import_mw.to_milliwatts(),
            rated_export_mw: enrolment.rated_export_mw.to_milliwatts(),
            valid_until_interval: enrolment.valid_until.to_number(),
            lightning_node: contacts.get(&enrolment.participant).map(|it| it.node.to_string()),
        }
    }

    fn current_members(&self) -> Vec<MemberReport> {
        let interval = self.charter.interval.interval_at(clock::now());
        let roster = self.rosters.clone().at(interval);
        let members = roster.members().iter().enumerate();
        members.map(|member| self.member(&roster, member)).collect()
    }
}

#[async_trait]
impl GridRpcServer for Answers {
    async fn charter(&self) -> RpcResult<CharterReport> {
        let charter = &self.charter;
        let toml = toml::to_string(charter.as_ref()).map_err(|error| {
            tracing::error!(%error, "the charter cannot be written as TOML, which is a bug");
            Code::NotDone.because("the charter cannot be written; see the node's log")
        })?;
        let tariff = charter.tariff.at(clock::now());
        let timing = &charter.interval;
        let gate = timing.gate_before_delivery_ms;
        Ok(CharterReport {
            grid_id: self.rosters.grid().to_string(),
            name: charter.name.clone(),
            interval_ms: timing.interval_ms,
            orders_open_before_delivery_ms: gate.saturating_add(timing.orders_open_before_gate_ms),
            gate_before_delivery_ms: gate,
            clock_skew_max_ms: timing.clock_skew_max_ms,
            floor_msat_per_kwh: charter.price.floor_msat_per_kwh.to_msat_per_kwh(),
            ceiling_msat_per_kwh: charter.price.ceiling_msat_per_kwh.to_msat_per_kwh(),
            retail_msat_per_kwh: Price::to_msat_per_kwh(tariff.retail_msat_per_kwh),
            feed_in_msat_per_kwh: Price::to_msat_per_kwh(tariff.feed_in_msat_per_kwh),
            import_capacity_w: charter.connection.import_capacity_w,
            export_capacity_w: charter.connection.export_capacity_w,
            loss_ppm: charter.connection.loss_ppm,
            toml,
        })
    }

    async fn members(&self) -> RpcResult<Vec<MemberReport>> {
        Ok(self.current_members())
    }

    async fn topology(&self) -> RpcResult<Vec<LineReport>> {
        let members = self.current_members();
        let states = self.feeders.borrow();
        let line = |feeder: &boltgrid_protocol::charter::Feeder| {
            let is_behind =
                |it: &&MemberReport| !it.is_feeders_meter && it.feeders.contains(&feeder.name);
            LineReport {
                name: feeder.name.clone(),
                connection_points: feeder.connection_points.clone(),
                members: members
                    .iter()
                    .filter(is_behind)
                    .map(|it| it.participant.clone())
                    .collect(),
                metered: states.iter().find(|it| it.name == feeder.name).map(FeederReport::from),
            }
        };
        Ok(self.charter.feeders.iter().map(line).collect())
    }
}
