//! What one site orders for the next interval and what its devices do in this one: the strategy,
//! fed with what the site measures and what was traded.
//!
//! For every interval it plans from the *first* sample after the interval's edge. Meters refresh about
//! once a second, so that sample shows the edge itself, and the same inputs give the same orders.
//! Not for: the strategy's rules, which are pure and stand in `market::strategy`.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::GridPower;
use boltgrid_market::channels::Named;
use boltgrid_market::notice::Notice;
use boltgrid_market::strategy::{
    self, Battery, Contracted, Dispatch, History, OwnerLimits, PvControl, Relations, Sample, Site,
    Situation, Throttle,
};
use boltgrid_miners::react::Target;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Energy, Interval, NetEnergy, Power, Price, Timestamp, scale_floor};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use crate::channels::OrderNames;
use crate::config::OwnerConfig;
use crate::dispatcher::{Aim, Mining, NextHour, Targets};
use crate::site::{BatteryState, DispatchCommand, SiteState};

/// Intervals whose trades and set points are remembered.
const INTERVALS_KEPT: usize = 8;
/// An hour, of whose PV rules may speak.
const HOUR_MS: u64 = 3_600_000;

/// What the planner hands over, and what machines tell it.
pub(crate) type PlannerEnds =
    (mpsc::Sender<DispatchCommand>, watch::Receiver<Mining>, watch::Sender<Targets>);

/// Plans one site.
///
/// Invariant: what it remembers is bounded by [`INTERVALS_KEPT`] and by one day of samples.
#[derive(Debug)]
pub(crate) struct Planner {
    charter: Arc<Charter>,
    rosters: Rosters,
    participant: ParticipantId,
    owner: OwnerConfig,
    site: watch::Receiver<Option<SiteState>>,
    /// Whom orders name, so that pairing follows the channels.
    named: watch::Receiver<OrderNames>,
    commands: mpsc::Sender<DispatchCommand>,
    /// What the machines bid and draw.
    mining: watch::Receiver<Mining>,
    /// What the dispatcher is to keep the meter at.
    targets: watch::Sender<Targets>,
    /// The first sample of the latest interval that has one.
    edge: Option<(Interval, SiteState)>,
    samples: History,
    throttle: Throttle,
    /// The intervals that the throttle has followed.
    throttled: Interval,
    contracted: BTreeMap<Interval, Contracted>,
    dispatched: BTreeMap<Interval, Dispatch>,
}

impl Planner {
    pub(crate) fn new(
        (charter, rosters): (Arc<Charter>, Rosters),
        participant: ParticipantId,
        owner: OwnerConfig,
        (site, named): (watch::Receiver<Option<SiteState>>, watch::Receiver<OrderNames>),
        (commands, mining, targets): PlannerEnds,
    ) -> Self {
        Self {
            samples: History::new(&charter),
            charter,
            rosters,
            participant,
            owner,
            site,
            named,
            commands,
            mining,
            targets,
            edge: None,
            throttle: Throttle::OPEN,
            throttled: Interval::default(),
            contracted: BTreeMap::new(),
            dispatched: BTreeMap::new(),
        }
    }

    /// Waits until the site was sampled again.
    pub(crate) async fn sampled(&mut self) {
        if self.site.changed().await.is_err() {
            // The site's task has ended, and the node is about to.
            std::future::pending::<()>().await;
        }
    }

    /// Notes the first sample of each interval.
    pub(crate) fn observe(&mut self) {
        let Some(state) = self.site.borrow_and_update().clone() else { return };
        let interval = self.charter.interval.interval_at(state.at);
        if state.stale.is_some() || self.edge.as_ref().is_some_and(|(seen, _)| *seen >= interval) {
            return;
        }
        // What machines draw that bid for their power is no load of the site's own.
        let mining = self.mining.borrow().draws.to_milliwatts();
        let load = state.load_mw.to_milliwatts().saturating_sub(mining).max(0);
        let load = Power::from_milliwatts(load);
        self.samples.record(interval, Sample { load, pv: state.pv_potential_mw });
        self.edge = Some((interval, state));
    }

    /// The order for `interval`; none where the site cannot say what it needs.
    pub(crate) fn order(
        &mut self,
        now: Timestamp,
        interval: Interval,
        grid: &GridPower,
        prices: &[(Interval, Price)],
    ) -> Option<Order> {
        if self.is_in_doubt() {
            debug!(%interval, "what the site's meter shows cannot be proved: nothing is ordered");
            return None;
        }
        let (site, situation) = self.situation(now, interval, prices)?;
        let named = self.named_in(interval);
        let relations =
            Relations { channel_partners: &named.partners, preferences: &named.preferences };
        strategy::order(&self.charter, &site, &situation, grid, &relations)
    }

    /// The owner's own order for `interval`, naming whom orders name; none while the meter is in doubt, or
    /// where the owner wants none.
    pub(crate) fn own(&mut self, interval: Interval, order: Order) -> Option<Order> {
        if self.is_in_doubt() || order.steps.is_empty() {
            return None;
        }
        let Named { partners, preferences, .. } = self.named_in(interval);
        Some(Order { channel_partners: partners, preferences, ..order })
    }

    /// Goes by other wishes of the owner from now on.
    pub(crate) const fn set_owner(&mut self, owner: OwnerConfig) {
        self.owner = owner;
    }

    fn is_in_doubt(&self) -> bool {
        let state = self.site.borrow();
        let stale = state.as_ref().and_then(|state| state.stale.as_ref());
        stale.is_some_and(|stale| stale.failure.is_of_what_it_shows())
    }

    /// Whom an order for `interval` names. Places are those of one roster, and near the end of an
    /// epoch the interval may have another: then it names nobody rather than somebody else.
    fn named_in(&mut self, interval: Interval) -> Named {
        let roster = self.rosters.at(interval).hash();
        let known = self.named.borrow().clone().filter(|(of, _)| *of == roster);
        known.map_or_else(Named::default, |(_, named)| named)
    }

    /// When something is to be planned without anything being heard: at the confirms' deadline.
    pub(crate) fn next_wakeup(&self, now: Timestamp) -> Timestamp {
        let current = self.charter.interval.interval_at(now);
        [current, current.next(), current.plus(2)]
            .map(|interval| self.charter.interval.schedule(interval).confirm_by.plus_ms(1))
            .into_iter()
            .filter(|moment| *moment > now)
            .min()
            .unwrap_or(now)
    }

    /// Whether confirms no longer count and the interval about to start is yet to be dispatched.
    pub(crate) fn dispatch_is_due(&self, now: Timestamp) -> bool {
        let interval = self.charter.interval.interval_at(now).next();
        now > self.charter.interval.schedule(interval).confirm_by
            && !self.dispatched.contains_key(&interval)
    }

    /// Tells the devices what to do in the interval about to start, with what was traded ahead.
    pub(crate) fn dispatch(
        &mut self,
        now: Timestamp,
        grid: &GridPower,
        prices: &[(Interval, Price)],
        ahead: &Contracted,
    ) {
        let interval = self.charter.interval.interval_at(now).next();
        self.follow_connection(interval, grid);
        let Some((site, situation)) = self.situation(now, interval, prices) else { return };
        let mut contracted = self.contracted.get(&interval).copied().unwrap_or_default();
        contracted.sold = contracted.sold.saturating_add(ahead.sold);
        contracted.bought = contracted.bought.saturating_add(ahead.bought);
        let dispatch =
            strategy::dispatch(&self.charter, &site, &situation, &contracted, self.throttle);
        self.dispatched.insert(interval, dispatch);
        while self.dispatched.len() > INTERVALS_KEPT {
            self.dispatched.pop_first();
        }
        debug!(%interval, battery = %dispatch.battery, pv_at_most = ?dispatch.pv_at_most, "dispatched");
        let price = prices.iter().find(|(of, _)| *of == interval).map(|(_, price)| *price);
        self.aim(interval, (&site, &dispatch), price);
        let command = DispatchCommand {
            interval,
            battery_mw: site.battery.map(|_| dispatch.battery),
            pv_limit_mw: dispatch.pv_at_most,
        };
        if self.commands.try_send(command).is_err() {
            warn!(%interval, "the site takes no set points; its devices go on as they are");
        }
    }

    /// Tells the dispatcher what the meter is to show, and what power is worth that it does not.
    fn aim(&self, interval: Interval, (site, dispatch): (&Site, &Dispatch), price: Option<Price>) {
        let next_hour = self.next_hour(interval);
        let prices = self.charter.tariff.at(self.charter.interval.start_of(interval));
        let feed_in = prices.feed_in_msat_per_kwh;
        // What may not go out, or need not, brings nothing.
        let is_held_back = dispatch.pv_at_most.is_some() && site.pv == PvControl::Curtailable;
        let target = Target {
            net: dispatch.net,
            mining: dispatch.flexible,
            spare_brings: if is_held_back { Price::ZERO } else { feed_in },
            lack_costs: prices.retail_msat_per_kwh,
        };
        self.targets.send_modify(|targets| {
            let (is_traded, price) = (price.is_some(), price.unwrap_or(prices.retail_msat_per_kwh));
            targets.insert(interval, Aim { target, price, is_traded, next_hour });
            while targets.len() > INTERVALS_KEPT {
                targets.pop_first();
            }
        });
    }

    /// What PV gives in the hour that starts with `interval`, and what is left of it beyond the load;
    /// `None` where yesterday does not say it for the whole of it.
    fn next_hour(&self, interval: Interval) -> Option<NextHour> {
        let interval_ms = self.charter.interval.interval_ms;
        let mut hour = NextHour::default();
        for ahead in 0..HOUR_MS.div_ceil(interval_ms.max(1)) {
            let Sample { load, pv } = self.samples.foreseen(interval.plus(ahead))?;
            let surplus = pv.checked_sub(load)?.max(Power::ZERO);
            hour.pv = hour.pv.saturating_add(pv.energy_over_floor(interval_ms).ok()?);
            hour.surplus =
                hour.surplus.saturating_add(surplus.energy_over_floor(interval_ms).ok()?);
        }
        Some(hour)
    }

    /// Notes what was traded.
    pub(crate) fn note(&mut self, notice: &Notice) {
        let Notice::Confirmed { interval, terms } = notice else { return };
        let roster = self.rosters.at(*interval);
        let sells = roster.participant(terms.seller) == Some(self.participant);
        let contracted = self.contracted.entry(*interval).or_default();
        let side = if sells { &mut contracted.sold } else { &mut contracted.bought };
        *side = side.saturating_add(terms.energy_mwh);
        while self.contracted.len() > INTERVALS_KEPT {
            self.contracted.pop_first();
        }
    }

    fn follow_connection(&mut self, interval: Interval, grid: &GridPower) {
        if self.throttled < interval {
            let feed_in = self
                .charter
                .tariff
                .at(self.charter.interval.start_of(interval))
                .feed_in_msat_per_kwh;
            let capacity = self.charter.connection.export_capacity();
            self.throttle = self.throttle.after(grid, capacity, feed_in);
            self.throttled = interval;
        }
    }

    /// The site, and what is to be expected of `interval`; none without a fresh sample or membership.
    fn situation(
        &mut self,
        now: Timestamp,
        interval: Interval,
        prices: &[(Interval, Price)],
    ) -> Option<(Site, Situation)> {
        let (seen, state) = self.edge.clone()?;
        if seen.next() < self.charter.interval.interval_at(now) {
            debug!(%interval, "no fresh sample of the site: nothing is planned");
            return None;
        }
        let site = self.site(interval, &state)?;
        let from = self.charter.interval.start_of(interval);
        let day = self.charter.tariff.clock.day_ms().checked_div(self.charter.interval.interval_ms);
        let oldest = interval.minus(day.unwrap_or(0));
        let last_day: Vec<Price> =
            prices.iter().filter(|(at, _)| *at >= oldest).map(|(_, price)| *price).collect();
        let situation = Situation {
            interval,
            expected: self.samples.forecast(interval)?,
            stored: self.projected(&site, seen, &state, interval),
            outlook: strategy::Outlook::new(&self.charter, from, &last_day),
            flexible: self.mining.borrow().loads.clone(),
            generation: self.mining.borrow().generation,
        };
        Some((site, situation))
    }

    fn site(&mut self, interval: Interval, state: &SiteState) -> Option<Site> {
        let roster = self.rosters.at(interval);
        let enrolment = &roster.member(roster.index_of(&self.participant)?)?.enrolment;
        Some(Site {
            rated_import: enrolment.rated_import_mw,
            rated_export: enrolment.rated_export_mw,
            pv: if state.pv_curtailable { PvControl::Curtailable } else { PvControl::MustRun },
            battery: state.battery.as_ref().map(|battery| self.battery(battery)),
            limits: OwnerLimits {
                trade: self.owner.trade,
                buy_at_most: self.owner.buy_at_most,
                sell_at_least: self.owner.sell_at_least,
            },
        })
    }

    fn battery(&self, state: &BatteryState) -> Battery {
        let percent = u64::from(self.owner.reserve_state_of_charge_percent);
        let reserve = scale_floor(state.capacity_mwh.to_milliwatt_hours(), percent, 100);
        Battery {
            capacity: state.capacity_mwh,
            reserve: reserve.map_or(Energy::ZERO, Energy::from_milliwatt_hours),
            charge_at_most: state.charge_max_mw,
            discharge_at_most: state.discharge_max_mw,
            efficiency_ppm: self.owner.battery_efficiency_ppm,
            wear: self.owner.wear,
        }
    }

    /// What the battery holds when `interval` starts, if it follows its set points until then.
    fn projected(
        &self,
        site: &Site,
        seen: Interval,
        state: &SiteState,
        interval: Interval,
    ) -> Energy {
        let (Some(battery), Some(now)) = (&site.battery, &state.battery) else {
            return Energy::ZERO;
        };
        if seen >= interval {
            return now.stored_mwh;
        }
        // In the interval of the sample the battery does what it shows, which need not be what it
        // was told; after that, what it is going to be told.
        let mut stored = battery.projected(now.stored_mwh, self.moved(now.power_mw));
        let mut at = seen.next();
        while at < interval {
            let power = self.dispatched.get(&at).map_or(Power::ZERO, |dispatch| dispatch.battery);
            stored = battery.projected(stored, self.moved(power));
            at = at.next();
        }
        stored
    }

    /// What a battery moves in one interval at a power, charging positive.
    fn moved(&self, power: Power) -> NetEnergy {
        let amount =
            power.energy_over_floor(self.charter.interval.interval_ms).unwrap_or(Energy::ZERO);
        let (received, given) =
            if power > Power::ZERO { (amount, Energy::ZERO) } else { (Energy::ZERO, amount) };
        NetEnergy::between(received, given).unwrap_or(NetEnergy::ZERO)
    }
}
