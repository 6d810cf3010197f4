//! `/metrics` for Prometheus and `/health` for whoever restarts or alarms, on the port of JSON-RPC.
//!
//! Every number is taken from what the other tasks publish anyway, at the moment it is asked for.
//! Not for: anything that only a person asks, which is `node.status` ([`crate::status`]).

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use boltgrid_market::abstention::Cause;
use jsonrpsee::core::BoxError;
use jsonrpsee::server::{HttpRequest, HttpResponse};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tower::{Layer, Service};

use crate::history::History;
use crate::lightning::{ChannelState, LightningHandle};
use crate::network::NetworkHandle;
use crate::status::AbstentionStatus;

/// The text format of `OpenMetrics`, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Where the numbers come from.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    history: watch::Receiver<History>,
    network: NetworkHandle,
    lightning: Option<LightningHandle>,
}

impl Metrics {
    pub(crate) const fn new(
        history: watch::Receiver<History>,
        network: NetworkHandle,
        lightning: Option<LightningHandle>,
    ) -> Self {
        Self { history, network, lightning }
    }

    /// 200 while the node signs, and 503 with the reason while it abstains.
    fn health(&self) -> (u16, String) {
        match self.history.borrow().sight().abstaining {
            None => (200, "ok\n".to_owned()),
            Some(abstaining) => {
                let status = AbstentionStatus::from(&abstaining);
                (503, format!("abstains ({}): {}\n", status.cause, status.why))
            }
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder };
        self.encode_market(&mut page)?;
        self.encode_network(&mut page)?;
        self.encode_payments(&mut page)?;
        self.encode_lightning(&mut page)
    }
}

impl Metrics {
    fn encode_market(&self, page: &mut Page<'_>) -> fmt::Result {
        let (sight, outcomes, not_taken) = {
            let history = self.history.borrow();
            (history.sight(), history.outcomes(), history.not_taken())
        };
        let cause = sight.abstaining.map(|it| it.cause.name());
        let causes = Cause::NAMES.map(|name| ([("cause", name)], u64::from(cause == Some(name))));
        page.gauges("abstaining", "Whether the node signs nothing new, and why", causes)?;
        if let Some(clocks) = sight.clocks {
            let help = "Median of the peers' clocks less this node's, in milliseconds";
            page.gauge("clock_median_offset_ms", help, clocks.median_offset_ms)?;
            page.gauge("clock_peers", "Peers behind the median offset", clocks.peers)?;
        }
        if let Some(hearing) = sight.hearing {
            let help = "Other members heard in the latest whole interval";
            page.gauge("members_heard", help, hearing.heard)?;
        }
        let outcomes = [("decided", outcomes.decided), ("no_decision", outcomes.fallen_back)];
        let help = "Intervals that ended, by outcome";
        page.counters("intervals", help, outcomes.map(|(name, n)| ([("outcome", name)], n)))?;
        let not_taken = not_taken.iter().map(|(why, count)| ([("reason", why.as_str())], *count));
        page.counters("messages_not_taken", "Messages the market did not take", not_taken)
    }

    fn encode_network(&self, page: &mut Page<'_>) -> fmt::Result {
        let status = self.network.status();
        page.gauge("peers_connected", "Peers connected", count(status.peers_connected))?;
        page.gauge("members_connected", "Members connected", count(status.members_connected))?;
        page.gauge("members", "Other members of the roster", count(status.members))?;
        let refused = status
            .refused
            .iter()
            .map(|((place, reason), count)| ([("place", *place), ("reason", *reason)], *count));
        page.counters("messages_refused", "Messages the network refused", refused)?;
        let bytes = [("in", status.bytes_in), ("out", status.bytes_out)];
        let bytes = bytes.map(|(name, n)| ([("direction", name)], n));
        page.counters("payload_bytes", "Payload bytes over the network", bytes)
    }
}

impl Metrics {
    fn encode_payments(&self, page: &mut Page<'_>) -> fmt::Result {
        let it = self.history.borrow().payments();
        let outcomes = [("sent", it.sent), ("received", it.received), ("failed", it.failed)];
        let outcomes = outcomes.map(|(name, n)| ([("outcome", name)], n));
        page.counters("payments", "Payments for trades, by outcome", outcomes)?;
        let amounts = [("sent", it.sent_msat), ("received", it.received_msat)];
        let amounts = amounts.map(|(name, msat)| ([("direction", name)], msat));
        page.counters("paid_msat", "Paid for trades, in millisatoshi", amounts)?;
        let dues = [("to_us", it.due_to_us_msat), ("by_us", it.due_by_us_msat)];
        let dues = dues.map(|(name, msat)| ([("direction", name)], msat));
        let help = "Due for what was delivered and not paid yet, in millisatoshi";
        page.gauges("due_msat", help, dues)?;
        let help = "What all others together owe at worst, in millisatoshi";
        page.gauge("exposure_msat", help, it.exposure_msat)?;
        page.gauge("disputes_open", "Dues in dispute that are not paid", it.disputes_open)
    }

    fn encode_lightning(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(lightning) = &self.lightning else { return Ok(()) };
        let status = lightning.status();
        let balances = [
            ("onchain", status.balances.onchain_sat),
            ("onchain_spendable", status.balances.spendable_sat),
            ("channels", status.balances.channels_sat),
            ("closing", status.balances.closing_sat),
        ];
        let balances = balances.map(|(place, sat)| ([("place", place)], sat));
        page.gauges("balance_sat", "The node's money by place, in satoshi", balances)?;
        let states = [
            ("pending", ChannelState::Pending),
            ("offline", ChannelState::Offline),
            ("usable", ChannelState::Usable),
        ];
        let channels = states.map(|(name, state)| {
            let such = status.channels.iter().filter(|it| it.state == state);
            ([("state", name)], count(such.count()))
        });
        page.gauges("channels", "Lightning channels, by state", channels)?;
        let (send, receive) = status.room();
        let room = [("send", send.to_millisatoshi()), ("receive", receive.to_millisatoshi())];
        let room = room.map(|(name, msat)| ([("direction", name)], msat));
        let help = "What can go through usable channels now, in millisatoshi";
        page.gauges("channel_room_msat", help, room)?;
        page.gauge("chain_height_blocks", "The latest block that is known", status.height)?;
        page.gauge("lightning_peers", "Lightning nodes connected", count(status.peers))
    }
}

/// What is being written.
struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values
            .into_iter()
            .try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)
        })
    }
}

/// A count that fits, or the largest.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Answers `GET /metrics` and `GET /health`, and leaves everything else to JSON-RPC.
#[derive(Clone, Debug)]
pub(crate) struct MetricsLayer {
    metrics: Metrics,
    registry: Arc<Registry>,
}

impl MetricsLayer {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let mut registry = Registry::with_prefix("boltgrid");
        registry.register_collector(Box::new(metrics.clone()));
        Self { metrics, registry: Arc::new(registry) }
    }

    /// The answer to a path of ours.
    fn answer(&self, path: &str) -> Option<HttpResponse> {
        let (status, format, body) = match path {
            "/metrics" => {
                let mut page = String::new();
                match text::encode(&mut page, &self.registry) {
                    Ok(()) => (200, OPEN_METRICS, page),
                    Err(error) => (500, PLAIN, format!("{error}\n")),
                }
            }
            "/health" => {
                let (status, body) = self.metrics.health();
                (status, PLAIN, body)
            }
            _ => return None,
        };
        let mut response = HttpResponse::new(body.into());
        *response.status_mut() = status.try_into().ok()?;
        response.headers_mut().insert("content-type", format.try_into().ok()?);
        Some(response)
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = WithMetrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithMetrics { inner, layer: self.clone() }
    }
}

/// JSON-RPC with the two pages beside it.
#[derive(Clone, Debug)]
pub(crate) struct WithMetrics<S> {
    inner: S,
    layer: MetricsLayer,
}

impl<S> Service<HttpRequest> for WithMetrics<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let ours = Some(request.uri().path()).filter(|_| request.method() == "GET");
        match ours.and_then(|path| self.layer.answer(path)) {
            Some(response) => Box::pin(ready(Ok(response))),
            None => Box::pin(self.inner.call(request)),
        }
    }
}
