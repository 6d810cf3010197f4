//! What the testnet's page shows of a run under way.
//! Not for: the page; see [`crate::run::page`].

use std::collections::BTreeMap;

use boltgrid_protocol::units::{Interval, Timestamp};

use super::Course;
use crate::run::fleet::Member;
use crate::run::observation::{Observation, TradeSides};
use crate::run::page::shown::{
    EVENTS_MAX, LastShown, NodeShown, PRICES_MAX, PriceShown, Shown, State, TradeShown,
};
use crate::run::report::IntervalRow;

impl Course<'_> {
    /// Shows how it stands, and what is under way in words.
    pub(super) fn show(&self, phase: String) {
        let Some(page) = self.page else { return };
        let prices = self.rows.iter().skip(self.rows.len().saturating_sub(PRICES_MAX));
        let members = self.fleet.members.iter().enumerate();
        page.show(Shown {
            grid: self.stage.charter.name.clone(),
            phase,
            nodes: members.map(|(number, member)| self.node(number, member)).collect(),
            faults: self.faults(),
            events: self.events.iter().rev().cloned().collect(),
            prices: prices.map(|row| self.priced(row)).collect(),
            last: self.last_shown(),
            decided: self.decided,
            violations: self.violations,
            pays: self.money.is_some(),
        });
    }

    fn node(&self, number: usize, member: &Member) -> NodeShown {
        let is_rogue = self.rogues.is_rogue(number);
        let status = member.status.as_ref();
        let site = status.and_then(|status| status.site.as_ref());
        let is_abstaining = status.is_some_and(|status| status.abstains.is_some());
        let state = match member.ready_since {
            _ if is_rogue => State::Rogue,
            _ if !member.is_up() => State::Killed,
            _ if !member.answers() => State::Paused,
            _ if member.is_hindered() => State::Hindered,
            _ if is_abstaining => State::Abstaining,
            None => State::Starting,
            Some(_) => State::Trading,
        };
        let earned = status.map(|status| &status.payments).map(|it| {
            let signed = |msat: u64| i64::try_from(msat).unwrap_or(i64::MAX);
            signed(it.received_msat).saturating_sub(signed(it.sent_msat))
        });
        let place = &member.place;
        let dashboard = || (format!("http://{}/", place.rpc), place.token.reveal().to_owned());
        NodeShown {
            name: place.name.clone(),
            state,
            power_mw: site.map(|site| site.power_mw),
            pv_mw: site.map(|site| site.pv_mw),
            channels_sat: status.and_then(|it| it.lightning.as_ref()).map(|it| it.channels_sat),
            earned_msat: earned.unwrap_or(0),
            dashboard: (!is_rogue).then(dashboard),
        }
    }

    /// What goes wrong now.
    fn faults(&self) -> Vec<String> {
        let named = |member: &Member| {
            let name = member.place.name.clone();
            member.troubles().into_iter().map(move |trouble| format!("{name}: {trouble}"))
        };
        let links = self.stage.links.as_ref().map(|links| links.weather().effects());
        let links = links.into_iter().flatten().map(|name| format!("links: {name}"));
        self.fleet.members.iter().flat_map(named).chain(links).collect()
    }

    fn priced(&self, row: &IntervalRow) -> PriceShown {
        let charter = &self.stage.charter;
        let starts = charter.interval.start_of(Interval::from_number(row.interval));
        PriceShown {
            at_unix_s: charter.tariff.clock.local_ms(starts) / 1_000,
            price_msat_per_kwh: row.price_msat_per_kwh,
            volume_mwh: row.volume_mwh,
        }
    }

    /// The last interval with what of it is paid by now.
    fn last_shown(&self) -> Option<LastShown> {
        let (last, indices) = self.last.as_ref()?;
        let mut last = last.clone();
        let paid: BTreeMap<String, u64> = self.payments.paid_by_cause(last.interval.to_number());
        for (trade, index) in last.trades.iter_mut().zip(indices) {
            trade.paid_msat = paid.get(&index.to_string()).copied().unwrap_or(0);
        }
        Some(last)
    }

    /// Keeps the trades of an interval to be shown.
    pub(super) fn keep_to_show(&mut self, observation: &Observation, row: &IntervalRow) {
        let of = |participant: &str| {
            let mut sites = observation.sites.iter();
            let site = sites.find(|site| site.participant == participant);
            site.map_or_else(|| participant.to_owned(), |site| site.name.clone())
        };
        let (mut trades, mut indices) = (Vec::new(), Vec::new());
        for (index, sides) in observation.trades() {
            let TradeSides { seller, buyer } = sides;
            let Some((site, trade)) = seller.or(buyer) else { continue };
            let (own, other) = (site.name.clone(), of(&trade.counterparty));
            let (seller, buyer) = if trade.side == "sell" { (own, other) } else { (other, own) };
            trades.push(TradeShown {
                seller,
                buyer,
                energy_mwh: trade.energy_mwh,
                is_confirmed: sides.is_confirmed_by_both(),
                due_msat: trade.due_msat.map(i64::unsigned_abs),
                paid_msat: 0,
            });
            indices.push(index);
        }
        let last = LastShown {
            interval: Interval::from_number(observation.interval),
            local_time: row.local_time.replace('T', " ").chars().take(16).collect(),
            price_msat_per_kwh: row.price_msat_per_kwh,
            trades,
        };
        self.last = Some((last, indices));
    }

    /// Keeps what was done to the grid to be shown.
    pub(super) fn keep_event(&mut self, now: Timestamp, said: &str) {
        let interval = self.stage.charter.interval.interval_at(now);
        let number = interval.to_number().saturating_sub(self.first.to_number());
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(format!("interval {number}: {said}"));
    }
}
