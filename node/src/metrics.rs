//! `/metrics` for Prometheus.
//!
//! Every number is taken from what the other tasks publish anyway, at the moment it is asked for.
//! Not for: anything that only a person asks, which is `node.status` ([`crate::status`]).

use std::fmt;

use boltgrid_market::abstention::Cause;
use boltgrid_protocol::units::Energy;
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
use crate::rpc::Answers;
use crate::site::SiteWatch;

/// Where the numbers come from.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    history: watch::Receiver<History>,
    network: NetworkHandle,
    lightning: Option<LightningHandle>,
    dispatch: DispatchDesk,
    site: SiteWatch,
}

impl Metrics {
    pub(crate) fn of(answers: &Answers) -> Self {
        Self {
            history: answers.history.clone(),
            network: answers.network.clone(),
            lightning: answers.lightning.clone(),
            dispatch: answers.dispatch.clone(),
            site: answers.site.clone(),
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder };
        self.encode_market(&mut page)?;
        self.encode_network(&mut page)?;
        self.encode_payments(&mut page)?;
        self.encode_site(&mut page)?;
        self.encode_machines(&mut page)?;
        self.encode_lightning(&mut page)
    }
}

impl Metrics {
    fn encode_market(&self, page: &mut Page<'_>) -> fmt::Result {
        let (sight, outcomes, not_taken, price) = {
            let history = self.history.borrow();
            let price = history.last_concluded().and_then(|it| it.price_msat_per_kwh);
            (history.sight(), history.outcomes(), history.not_taken(), price)
        };
        let help =
            "Price of the latest interval, in millisatoshi per kilowatt-hour; none without trade";
        page.gauge_if("price_msat_per_kwh", help, price)?;
        let cause = sight.abstaining.map(|it| it.cause.name());
        let causes = Cause::NAMES.map(|name| ([("cause", name)], u64::from(cause == Some(name))));
        page.gauges("abstaining", "Whether the node signs nothing new, and why", causes)?;
        let help = "Median of the peers' clocks less this node's, in milliseconds";
        let clocks = sight.clocks;
        page.gauge_if("clock_median_offset_ms", help, clocks.map(|it| it.median_offset_ms))?;
        page.gauge_if("clock_peers", "Peers behind the median offset", clocks.map(|it| it.peers))?;
        let help = "Other members heard in the latest whole interval";
        page.gauge_if("members_heard", help, sight.hearing.map(|it| it.heard))?;
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
    /// Nothing while the site's values cannot be relied on: a gap tells more than what was.
    fn encode_site(&self, page: &mut Page<'_>) -> fmt::Result {
        let state = self.site.state.borrow();
        let stale = state.as_ref().is_none_or(|it| it.stale.is_some());
        page.gauge(
            "site_stale",
            "Whether the site's values cannot be relied on",
            u64::from(stale),
        )?;
        let state = state.as_ref().filter(|_| !stale);
        let battery = state.and_then(|it| it.battery.as_ref());
        let powers = [
            ("grid", state.map(|it| it.power_mw)),
            ("load", state.map(|it| it.load_mw)),
            ("pv", state.map(|it| it.pv_mw)),
            ("battery", battery.map(|it| it.power_mw)),
        ];
        let powers = powers
            .into_iter()
            .filter_map(|(part, power)| Some(([("part", part)], power?.to_milliwatts())));
        let help = "Power in milliwatts: into the site, used, from PV, into the battery";
        page.gauges("site_power_mw", help, powers)?;
        let energies = state.iter().flat_map(|it| {
            [("import", it.import_register_mwh), ("export", it.export_register_mwh)]
        });
        let energies = energies.map(|(name, it)| ([("direction", name)], it.to_milliwatt_hours()));
        let help = "All energy ever taken from the grid and given to it, in milliwatt-hours";
        page.counters("site_energy_mwh", help, energies)?;
        let energy = |it: Option<Energy>| it.map(Energy::to_milliwatt_hours);
        let help = "Energy that the battery holds, in milliwatt-hours";
        page.gauge_if("battery_stored_mwh", help, energy(battery.map(|it| it.stored_mwh)))?;
        let help = "Energy that the battery can hold, in milliwatt-hours";
        page.gauge_if("battery_capacity_mwh", help, energy(battery.map(|it| it.capacity_mwh)))
    }
}

/// The label of a machine's numbers.
fn label(machine: &str) -> [(&'static str, String); 1] {
    [("machine", machine.to_owned())]
}

impl Metrics {
    fn encode_machines(&self, page: &mut Page<'_>) -> fmt::Result {
        let status = self.dispatch.status();
        let help = "What a terahash a second earns in a day, in millisatoshi";
        page.gauge_if("hashprice_msat_per_th_day", help, status.hashprice_msat_per_th_day)?;
        let help = "Within which time 95 of 100 commands follow a meter's sample";
        page.gauge_if("reaction_ms_p95", help, status.reaction_ms_p95)?;
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
        let status = self.lightning.as_ref().map(LightningHandle::status);
        let balances = status.iter().flat_map(|it| {
            let it = &it.balances;
            [
                ("onchain", it.onchain_sat),
                ("onchain_spendable", it.spendable_sat),
                ("channels", it.channels_sat),
                ("closing", it.closing_sat),
            ]
        });
        let balances = balances.map(|(place, sat)| ([("place", place)], sat));
        page.gauges("balance_sat", "The node's money by place, in satoshi", balances)?;
        let states = [
            ("pending", ChannelState::Pending),
            ("offline", ChannelState::Offline),
            ("usable", ChannelState::Usable),
        ];
        let channels = status.iter().flat_map(|it| {
            states.map(|(name, state)| {
                let such = it.channels.iter().filter(|it| it.state == state);
                ([("state", name)], count(such.count()))
            })
        });
        page.gauges("channels", "Lightning channels, by state", channels)?;
        let room = status.iter().flat_map(|it| {
            let (send, receive) = it.room();
            [("send", send.to_millisatoshi()), ("receive", receive.to_millisatoshi())]
        });
        let room = room.map(|(name, msat)| ([("direction", name)], msat));
        let help = "What can go through usable channels now, in millisatoshi";
        page.gauges("channel_room_msat", help, room)?;
        let (height, peers) = status.map(|it| (it.height, count(it.peers))).unzip();
        page.gauge_if("chain_height_blocks", "The latest block that is known", height)?;
        page.gauge_if("lightning_peers", "Lightning nodes connected", peers)
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

    /// A number that there may be none of now. Its name and meaning are there all the same, so that
    /// every node's page names everything that any node's may show.
    fn gauge_if<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        value: Option<V>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        value.map_or(Ok(()), |value| metric.encode_gauge(&value))
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
