//! JSON-RPC of a node: one file a noun, one table of who may call what ([`roles`]), one list of codes
//! by which a call is refused ([`code`]).
//!
//! Not for: the port and who is let in ([`crate::http`]), or the shapes of the answers, most of which
//! are in [`crate::status`].

pub mod alert;
pub mod by_hand;
mod channel_plan;
pub mod checks;
pub mod client;
pub mod code;
pub mod discover;
pub mod dispatch;
pub mod escrow;
pub mod flows;
pub mod forgive;
pub mod gas;
mod gate;
pub mod grid;
pub mod kept;
pub mod live;
pub mod log;
pub mod market;
pub mod meter;
pub mod offer;
pub mod opening;
pub mod order;
pub mod past;
pub mod payment;
pub mod peer;
mod roles;
pub mod settlement;
pub mod wallet;

use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Interval, Timestamp};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, Methods, PingConfig, Server, ServerConfig, StopHandle, TowerService,
};
use jsonrpsee::types::ErrorObjectOwned;
use tokio::sync::watch;
use tower::layer::util::{Identity, Stack};

use crate::alerts::AlertDesk;
use crate::catch_up::CatchUpStatus;
use crate::channels::ChannelPlans;
use crate::clock;
use crate::dispatcher::DispatchDesk;
use crate::escrow::EscrowDesk;
use crate::feeders::FeederState;
use crate::history::History;
use crate::lightning::LightningHandle;
use crate::live::Live;
use crate::network::NetworkHandle;
use crate::openings::OpeningsDesk;
use crate::site::SiteWatch;
use crate::status::{
    AbstentionStatus, ClockStatus, HearingStatus, LightningStatus, NetworkStatus, NodeStatus,
    SiteStatus,
};
use crate::store::Archive;
use crate::trading::Trading;

pub use alert::{AlertListRpcClient, AlertRpcClient};
use alert::{AlertListRpcServer, AlertRpcServer};
pub use by_hand::ByHandRpcClient;
use by_hand::ByHandRpcServer;
pub use channel_plan::ChannelPlanRpcClient;
use channel_plan::ChannelPlanRpcServer;
pub use checks::ChecksRpcClient;
use checks::ChecksRpcServer;
use code::Code;
pub use discover::DiscoverRpcClient;
use discover::DiscoverRpcServer;
pub use dispatch::{DispatchListRpcClient, DispatchRpcClient};
use dispatch::{DispatchListRpcServer, DispatchRpcServer};
pub use escrow::EscrowListRpcClient;
pub use escrow::EscrowRpcClient;
use escrow::{EscrowListRpcServer, EscrowRpcServer};
pub use flows::FlowsRpcClient;
use flows::FlowsRpcServer;
pub use forgive::ForgiveRpcClient;
use forgive::ForgiveRpcServer;
pub use gas::GasRpcClient;
use gas::GasRpcServer;
use gate::GateLayer;
pub use grid::GridRpcClient;
use grid::GridRpcServer;
pub use kept::{DispatchPastRpcClient, MeterPastRpcClient};
use kept::{DispatchPastRpcServer, MeterPastRpcServer};
use live::{
    AlertLiveRpcServer, DispatchLiveRpcServer, MarketLiveRpcServer, MeterLiveRpcServer,
    PaymentLiveRpcServer,
};
pub use log::LogRpcClient;
use log::LogRpcServer;
pub use market::MarketRpcClient;
use market::MarketRpcServer;
pub use meter::MeterRpcClient;
use meter::MeterRpcServer;
pub use offer::{ForwardRpcClient, OfferRpcClient};
use offer::{ForwardRpcServer, OfferRpcServer};
pub use opening::OpeningRpcClient;
use opening::OpeningRpcServer;
pub use order::OrderRpcClient;
use order::OrderRpcServer;
pub use past::{ChannelPastRpcClient, WalletPastRpcClient};
use past::{ChannelPastRpcServer, WalletPastRpcServer};
pub use payment::{DisputeRpcClient, PaymentRpcClient};
use payment::{DisputeRpcServer, PaymentRpcServer};
pub use peer::PeerRpcClient;
use peer::PeerRpcServer;
pub use settlement::SettlementRpcClient;
use settlement::SettlementRpcServer;
pub use wallet::{ChannelRpcClient, WalletRpcClient};
use wallet::{ChannelRpcServer, WalletRpcServer};

/// Calls served at once, and subscribers, each of which keeps a WebSocket.
const CONNECTIONS_MAX: u32 = 1024;
/// Most bytes of a request: no method takes more than a few texts.
const REQUEST_MAX: u32 = 64 * 1024;
/// Most bytes of an answer: the book of a thousand members.
const RESPONSE_MAX: u32 = 8 * 1024 * 1024;
/// Most calls of a batch.
const BATCH_MAX: u32 = 100;
/// Messages that wait for one WebSocket to take them.
const MESSAGES_MAX: u32 = 64;
/// Subscriptions of one WebSocket: each of them, and again.
const SUBSCRIPTIONS_MAX: u32 = 16;
/// How often a WebSocket is asked whether it is still there …
const PING_EVERY: Duration = Duration::from_secs(20);
/// … and after what silence it is taken to have gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What a node answers.
#[rpc(server, client, namespace = "node", namespace_separator = ".")]
pub trait NodeRpc {
    /// How the node is.
    #[method(name = "status")]
    async fn status(&self) -> RpcResult<NodeStatus>;
}

/// Where the answers come from.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Who the node is.
    pub participant: ParticipantId,
    /// Its grid.
    pub charter: Arc<Charter>,
    /// Its members.
    pub rosters: Rosters,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// The latest intervals.
    pub history: watch::Receiver<History>,
    /// The site as last measured.
    pub site: SiteWatch,
    /// The feeders, held against their sites.
    pub feeders: watch::Receiver<Vec<FeederState>>,
    /// The network.
    pub network: NetworkHandle,
    /// Books and clearings of the past.
    pub archive: Archive,
    /// How far the node has caught up.
    pub catch_up: watch::Receiver<CatchUpStatus>,
    /// The market task, for what is traded ahead.
    pub trading: Trading,
    /// Lightning; none where the node runs without.
    pub lightning: Option<LightningHandle>,
    /// The channel policy; none without Lightning.
    pub channel_plans: Option<ChannelPlans>,
    /// The escrow task.
    pub escrow: EscrowDesk,
    /// The openings' task.
    pub openings: OpeningsDesk,
    /// The alerts.
    pub alerts: AlertDesk,
    /// The dispatcher.
    pub dispatch: DispatchDesk,
    /// What happens, as it happens.
    pub live: Live,
}

/// JSON-RPC as the port serves it.
pub(crate) type RpcService = TowerService<Stack<GateLayer, Identity>, Identity>;

/// The service that answers calls, by POST or WebSocket, until it is told to stop.
pub(crate) fn service(answers: Answers, stop: StopHandle, requests_per_s: u32) -> RpcService {
    let config = ServerConfig::builder()
        .max_connections(CONNECTIONS_MAX)
        .max_request_body_size(REQUEST_MAX)
        .max_response_body_size(RESPONSE_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
        .set_message_buffer_capacity(MESSAGES_MAX)
        .max_subscriptions_per_connection(SUBSCRIPTIONS_MAX)
        .enable_ws_ping(PingConfig::new().ping_interval(PING_EVERY).inactive_limit(SILENCE_MAX))
        .build();
    Server::builder()
        .set_config(config)
        .set_rpc_middleware(RpcServiceBuilder::new().layer(GateLayer::new(requests_per_s)))
        .to_service_builder()
        .build(methods(answers), stop)
}

/// All methods that there are.
///
/// # Panics
///
/// Never: they are the same at every start, and a test starts them.
fn methods(answers: Answers) -> Methods {
    let no_overlap = "the namespaces have no method in common";
    let mut methods = Methods::from(NodeRpcServer::into_rpc(answers.clone()));
    methods.merge(LogRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    let live = || answers.live.clone();
    methods.merge(MeterLiveRpcServer::into_rpc(live())).expect(no_overlap);
    methods.merge(MarketLiveRpcServer::into_rpc(live())).expect(no_overlap);
    methods.merge(PaymentLiveRpcServer::into_rpc(live())).expect(no_overlap);
    methods.merge(DispatchLiveRpcServer::into_rpc(live())).expect(no_overlap);
    methods.merge(AlertLiveRpcServer::into_rpc(live())).expect(no_overlap);
    methods.merge(MarketRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(MeterRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ChecksRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(FlowsRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(MeterPastRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(DispatchPastRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ForwardRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ChannelPlanRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(PaymentRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(DisputeRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(EscrowListRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(AlertListRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(AlertRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(DispatchListRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(DispatchRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(GasRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ForgiveRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ByHandRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(OfferRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(GridRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(PeerRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(SettlementRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(DiscoverRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(OrderRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(EscrowRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(OpeningRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(WalletRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(WalletPastRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ChannelPastRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ChannelRpcServer::into_rpc(answers)).expect(no_overlap);
    assert!(roles::are_all(methods.method_names()), "`rpc::roles` lists every method");
    methods
}

#[async_trait]
impl NodeRpcServer for Answers {
    async fn status(&self) -> RpcResult<NodeStatus> {
        let now = clock::now();
        let interval = self.charter.interval.interval_at(now);
        let roster = self.rosters.clone().at(interval);
        let place = roster.index_of(&self.participant);
        let history = self.history.borrow();
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Ok(NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            participant: self.participant.to_string(),
            grid_id: roster.grid().to_string(),
            grid_name: self.charter.name.clone(),
            is_member: place.is_some(),
            is_voter: place.is_some_and(|place| roster.is_voter(place)),
            members: count(roster.members().len()),
            voters: count(roster.voters().len()),
            started_at_unix_ms: self.started_at.to_unix_ms(),
            now_unix_ms: now.to_unix_ms(),
            clock_test_offset_ms: clock::test_offset_ms(),
            peer_clocks: history.sight().clocks.map(ClockStatus::from),
            hearing: history.sight().hearing.map(HearingStatus::from),
            abstains: history.sight().abstaining.as_ref().map(AbstentionStatus::from),
            interval: interval.to_number(),
            site: self.site.state.borrow().as_ref().map(SiteStatus::from),
            network: NetworkStatus::from(&self.network.status()),
            lightning: self.lightning.as_ref().map(|lightning| {
                LightningStatus::new(lightning, self.network.lightning_contacts().len())
            }),
            payments: history.payments(),
            catch_up: self.catch_up.borrow().clone(),
            not_taken: history.not_taken(),
            last_interval: history.last_concluded().cloned(),
        })
    }
}

fn parse(interval: &str) -> Result<Interval, ErrorObjectOwned> {
    interval.parse().map(Interval::from_number).map_err(|_| {
        Code::BadParameter
            .because("an interval is a decimal number in a string, such as \"5933334\"")
    })
}

fn unreadable(error: crate::store::ArchiveError) -> ErrorObjectOwned {
    tracing::error!(%error, "archive not readable");
    Code::Archive.because("the archive cannot be read; see the node's log")
}
