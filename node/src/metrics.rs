//! `/metrics` for Prometheus.
//!
//! Every number is taken from what the other tasks publish anyway, at the moment it is asked for.
//! Not for: anything that only a person asks, which is `node.status` ([`crate::status`]).

use std::fmt;

use boltgrid_market::abstention::Cause;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::dispatcher::DispatchDesk;
use crate::history::History;
use crate::lightning::{ChannelState, LightningHandle};
use crate::network::NetworkHandle;
use crate::status::AbstentionStatus;

/// Where the numbers come from.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    history: watch::Receiver<History>,
    network: NetworkHandle,
    lightning: Option<LightningHandle>,
    dispatch: DispatchDesk,
}

impl Metrics {
    pub(crate) fn new(
        history: watch::Receiver<History>,
        network: NetworkHandle,
        (lightning, dispatch): (Option<LightningHandle>, DispatchDesk),
    ) -> Self {
        Self { history, network, lightning, dispatch }
    }

    /// Why the node abstains; none while it signs.
    pub(crate) fn abstaining(&self) -> Option<AbstentionStatus> {
        self.history.borrow().sight().abstaining.as_ref().map(AbstentionStatus::from)
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder };
        self.encode_market(&mut page)?;
        self.encode_network(&mut page)?;
        self.encode_payments(&mut page)?;
        self.encode_machines(&mut page)?;
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

/// The label of a machine's numbers.
fn label(machine: &str) -> [(&'static str, String); 1] {
    [("machine", machine.to_owned())]
}

impl Metrics {
    fn encode_machines(&self, page: &mut Page<'_>) -> fmt::Result {
        let status = self.dispatch.status();
        if let Some(hashprice) = status.hashprice_msat_per_th_day {
            let help = "What a terahash a second earns in a day, in millisatoshi";
            page.gauge("hashprice_msat_per_th_day", help, hashprice)?;
        }
        if let Some(ms) = status.reaction_ms_p95 {
            let help = "Within which time 95 of 100 commands follow a meter's sample";
            page.gauge("reaction_ms_p95", help, ms)?;
        }
        let machines = &status.machines;
        let powers = machines.iter().filter_map(|it| Some((label(&it.name), it.power_mw?)));
        page.gauges("miner_power_mw", "What a machine draws, in milliwatts", powers)?;
        let worths = machines.iter().map(|it| (label(&it.name), it.break_even_msat_per_kwh));
        let help = "A machine's break-even, in millisatoshi per kilowatt-hour";
        page.gauges("miner_break_even_msat_per_kwh", help, worths)?;
        let troubles = machines.iter().map(|it| (label(&it.name), u64::from(it.trouble.is_some())));
        page.gauges("miner_trouble", "Whether a machine does not do as told", troubles)?;
        let starts = machines.iter().map(|it| (label(&it.name), it.starts));
        page.counters("miner_starts", "How often a machine was started", starts)
    }

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

/// The page that Prometheus reads.
#[derive(Debug)]
pub(crate) struct MetricsPage(Registry);

impl MetricsPage {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let mut registry = Registry::with_prefix("boltgrid");
        registry.register_collector(Box::new(metrics));
        Self(registry)
    }

    /// Every number as it is now, in the text format of `OpenMetrics`.
    ///
    /// # Errors
    ///
    /// When a number cannot be written, which is a bug.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }
}
