//! JSON-RPC of a node, on loopback by default: how it is, and what it knows of an interval.
//!
//! HTTP only, on one port with `/metrics` and `/health` ([`crate::metrics`]). On loopback it answers
//! whoever calls it by a name of this machine, so that no web page reaches it by a name of its own.
//! Everything here only reads, but for `offer` ([`offer`]), `wallet` and `channel` ([`wallet`]),
//! `payment.forgive` ([`forgive`]) and what signs of `escrow` ([`escrow`]), which are there on loopback only.
//! Not for: the shapes of the answers, which are in [`crate::status`].

pub mod alert;
mod channel_plan;
pub mod checks;
pub mod escrow;
pub mod forgive;
pub mod meter;
pub mod offer;
pub mod past;
pub mod payment;
pub mod wallet;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Interval, Timestamp};
use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::server::middleware::http::HostFilterLayer;
use jsonrpsee::server::{Methods, Server, ServerConfig, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use crate::alerts::AlertDesk;
use crate::catch_up::CatchUpStatus;
use crate::channels::ChannelPlans;
use crate::clock;
use crate::escrow::EscrowDesk;
use crate::feeders::FeederState;
use crate::history::History;
use crate::lightning::LightningHandle;
use crate::metrics::{Metrics, MetricsLayer};
use crate::network::NetworkHandle;
use crate::site::SiteWatch;
use crate::status::{
    AbstentionStatus, BookReport, ClockStatus, HearingStatus, IntervalOutcome, IntervalReport,
    LightningStatus, NetworkStatus, NodeStatus, SettlementReport, SiteStatus,
};
use crate::store::Archive;
use crate::trading::Trading;

pub use alert::{AlertListRpcClient, AlertRpcClient};
use alert::{AlertListRpcServer, AlertRpcServer};
pub use channel_plan::ChannelPlanRpcClient;
use channel_plan::ChannelPlanRpcServer;
pub use checks::ChecksRpcClient;
use checks::ChecksRpcServer;
pub use escrow::EscrowListRpcClient;
pub use escrow::EscrowRpcClient;
use escrow::{EscrowListRpcServer, EscrowRpcServer};
pub use forgive::ForgiveRpcClient;
use forgive::ForgiveRpcServer;
pub use meter::MeterRpcClient;
use meter::MeterRpcServer;
pub use offer::{ForwardRpcClient, OfferRpcClient};
use offer::{ForwardRpcServer, OfferRpcServer};
pub use past::{ChannelPastRpcClient, WalletPastRpcClient};
use past::{ChannelPastRpcServer, WalletPastRpcServer};
pub use payment::{DisputeRpcClient, PaymentRpcClient};
use payment::{DisputeRpcServer, PaymentRpcServer};
pub use wallet::{ChannelRpcClient, WalletRpcClient};
use wallet::{ChannelRpcServer, WalletRpcServer};

/// Connections served at once.
const CONNECTIONS_MAX: u32 = 32;
/// Most bytes of a request: no method takes more than a few texts.
const REQUEST_MAX: u32 = 64 * 1024;
/// Most bytes of an answer: the book of a thousand members.
const RESPONSE_MAX: u32 = 8 * 1024 * 1024;

/// The names by which this machine calls itself, with any port.
const OWN_HOSTS: [&str; 3] = ["127.0.0.1:*", "localhost:*", "[::1]:*"];

/// The archive cannot be read; the cause is in the node's log.
const CODE_ARCHIVE: i32 = -32001;
/// An interval is not a decimal number.
const CODE_BAD_INTERVAL: i32 = -32002;

/// What a node answers.
#[rpc(server, client, namespace = "node", namespace_separator = ".")]
pub trait NodeRpc {
    /// How the node is.
    #[method(name = "status")]
    async fn status(&self) -> RpcResult<NodeStatus>;
}

/// What a node knows of the market. Intervals are decimal strings.
#[rpc(server, client, namespace = "market", namespace_separator = ".")]
pub trait MarketRpc {
    /// What the node knows of one interval; null where it knows nothing.
    #[method(name = "interval")]
    async fn interval(&self, interval: String) -> RpcResult<Option<IntervalReport>>;

    /// The stored book of one interval, to be cleared again; null where there is none.
    #[method(name = "book")]
    async fn book(&self, interval: String) -> RpcResult<Option<BookReport>>;
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
    /// The alerts.
    pub alerts: AlertDesk,
}

/// Why JSON-RPC cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("JSON-RPC cannot listen on {address}: {source}; set another `rpc.listen` in the config")]
pub struct RpcError {
    address: SocketAddr,
    source: std::io::Error,
}

/// A bound server that is yet to be waited for.
#[derive(Debug)]
pub struct Rpc {
    handle: ServerHandle,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Rpc {
    /// Binds the port and starts to answer.
    ///
    /// # Errors
    ///
    /// [`RpcError`] when the port cannot be had.
    ///
    /// # Panics
    ///
    /// Never: the methods are the same at every start.
    pub async fn open(address: SocketAddr, answers: Answers) -> Result<Self, RpcError> {
        let config = ServerConfig::builder()
            .max_connections(CONNECTIONS_MAX)
            .max_request_body_size(REQUEST_MAX)
            .max_response_body_size(RESPONSE_MAX)
            // A browser opens a WebSocket to whatever address a page names, and asks nobody.
            .http_only()
            .build();
        let failed = |source| RpcError { address, source };
        let metrics = MetricsLayer::new(Metrics::new(
            answers.history.clone(),
            answers.network.clone(),
            answers.lightning.clone(),
        ));
        let server = Server::builder()
            .set_config(config)
            .set_http_middleware(ServiceBuilder::new().layer(hosts(address)).layer(metrics))
            .build(address)
            .await
            .map_err(failed)?;
        let address = server.local_addr().map_err(failed)?;
        tracing::info!(%address, "JSON-RPC listens");
        let methods = methods(address, answers);
        Ok(Self { handle: server.start(methods), address })
    }

    /// Answers until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.cancelled().await;
        if self.handle.stop().is_ok() {
            self.handle.stopped().await;
        }
    }
}

/// Refuses on loopback what was sent to another host's name: a page whose name was made to mean this
/// machine (DNS rebinding). Elsewhere nothing can be spent, and any name may be right.
fn hosts(address: SocketAddr) -> HostFilterLayer {
    if address.ip().is_loopback() {
        HostFilterLayer::new(OWN_HOSTS).expect("the names are well formed")
    } else {
        HostFilterLayer::disable()
    }
}

/// All methods that there are at an address: those that sign are for whoever is on this machine.
fn methods(address: SocketAddr, answers: Answers) -> Methods {
    let no_overlap = "the namespaces have no method in common";
    let mut methods = Methods::from(NodeRpcServer::into_rpc(answers.clone()));
    methods.merge(MarketRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(MeterRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ChecksRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ForwardRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(ChannelPlanRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(PaymentRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(DisputeRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(EscrowListRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    methods.merge(AlertListRpcServer::into_rpc(answers.clone())).expect(no_overlap);
    if address.ip().is_loopback() {
        methods.merge(AlertRpcServer::into_rpc(answers.clone())).expect(no_overlap);
        methods.merge(ForgiveRpcServer::into_rpc(answers.clone())).expect(no_overlap);
        methods.merge(OfferRpcServer::into_rpc(answers.clone())).expect(no_overlap);
        methods.merge(EscrowRpcServer::into_rpc(answers.clone())).expect(no_overlap);
        methods.merge(WalletRpcServer::into_rpc(answers.clone())).expect(no_overlap);
        methods.merge(WalletPastRpcServer::into_rpc(answers.clone())).expect(no_overlap);
        methods.merge(ChannelPastRpcServer::into_rpc(answers.clone())).expect(no_overlap);
        methods.merge(ChannelRpcServer::into_rpc(answers)).expect(no_overlap);
    } else {
        tracing::warn!(%address, "JSON-RPC is not on loopback, so nothing can be offered or spent by it");
    }
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

#[async_trait]
impl MarketRpcServer for Answers {
    async fn interval(&self, interval: String) -> RpcResult<Option<IntervalReport>> {
        let interval = parse(&interval)?;
        let seen = self.history.borrow().interval(interval).cloned();
        if seen.as_ref().is_some_and(|seen| seen.outcome == IntervalOutcome::Decided) {
            return Ok(seen);
        }
        // A node that was restarted, or learnt of the book later, saw no decision since it started.
        let Some(clearing) = self.archive.clearing(interval).map_err(unreadable)? else {
            return Ok(seen);
        };
        let settlement: Option<Settlement> =
            self.archive.settlement(interval).map_err(unreadable)?;
        let settlement = settlement.as_ref().map(SettlementReport::from);
        let stored = IntervalReport::stored(interval, &clearing);
        Ok(Some(match seen {
            Some(seen) => IntervalReport {
                own_order: seen.own_order,
                settlement: settlement.or(seen.settlement),
                ..stored
            },
            None => IntervalReport { settlement, ..stored },
        }))
    }

    async fn book(&self, interval: String) -> RpcResult<Option<BookReport>> {
        let interval = parse(&interval)?;
        let book = self.archive.book(interval).map_err(unreadable)?;
        let clearing = self.archive.clearing(interval).map_err(unreadable)?;
        Ok(book.zip(clearing).map(|(book, clearing)| BookReport {
            certificate_hex: hex::encode(&book.certificate),
            orders_hex: book.orders.iter().map(hex::encode).collect(),
            clearing_digest: clearing.clearing.to_string(),
        }))
    }
}

fn error(code: i32, message: &str) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<BTreeMap<(), ()>>)
}

fn parse(interval: &str) -> Result<Interval, ErrorObjectOwned> {
    interval.parse().map(Interval::from_number).map_err(|_| {
        let message = "an interval is a decimal number in a string, such as \"5933334\"";
        error(CODE_BAD_INTERVAL, message)
    })
}

fn unreadable(error: crate::store::ArchiveError) -> ErrorObjectOwned {
    tracing::error!(%error, "archive not readable");
    let message = "the archive cannot be read; see the node's log";
    self::error(CODE_ARCHIVE, message)
}
