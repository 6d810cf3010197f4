//! The measured grid with machines at some of its sites, a quarter of an hour at a time.
//!
//! Before each interval the machines bid what a kilowatt-hour is worth to them. Once it is cleared,
//! they are planned by its outcome. Half a minute into it, when the meters have shown what flows,
//! they are planned again: unsold surplus is taken up, and what only the supplier would cover is
//! shed. A machine stays on or off for 14 minutes at least.
//! Not for: who pays how, or what the best would have been.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use boltgrid_market::auction::executions;
use boltgrid_market::channels::Named;
use boltgrid_market::clear::{rules, terms};
use boltgrid_market::settlement::{Contract, Metered, before_losses_ceil};
use boltgrid_market::strategy::{Contracted, Dispatch, Flexible};
use boltgrid_miners::react::{Draws, Limits, Shown, Target, conditions};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::order::{Side, Source, Step};
use boltgrid_protocol::units::{Energy, Interval, Power, Price};
use boltgrid_testnet::plant::ROW_MS;
use boltgrid_testnet::scenario::Scenario;

use super::machines::Machines;
use super::park::Park;
use super::record::{Account, Delivered, Slot};
use crate::village::{Cleared, Village};

/// Ticks of the plant to an interval: half a minute each.
const TICKS: u64 = 30;
/// How long it takes until what the meters show has changed what machines draw: one tick, since that
/// is when the plant heeds a command. A node reacts within seconds, the machines in half a minute.
pub(super) const REACTION_MS: u64 = ROW_MS / TICKS;

/// The trades of an interval.
#[derive(Default)]
struct Traded {
    price: Option<Price>,
    contracts: Vec<Contract>,
    contracted: Vec<Contracted>,
    /// What each site bought for its machines.
    bought: BTreeMap<usize, Energy>,
    /// What each site kept for its machines instead of selling it at that price.
    kept: BTreeMap<usize, Energy>,
}

/// One grid and its machines.
pub(super) struct Mining {
    village: Village,
    machines: Machines,
    parks: Vec<Park>,
    running: Traded,
    named: Vec<Named>,
    loss_ppm: u32,
}

impl Mining {
    /// The grid from a row on, with `machines` at each of the sites of these names; `None` where
    /// there is no site of a name.
    pub(super) fn new(
        scenario: &Arc<Scenario>,
        start_row: usize,
        machines: Machines,
        sites: &[String],
    ) -> Option<Self> {
        let buses: BTreeSet<usize> = scenario.devices.iter().map(|device| device.bus).collect();
        let nodes = NonZeroUsize::new(buses.len())?;
        let mut village = Village::new(Arc::clone(scenario), nodes, start_row, TICKS);
        let site = |name: &String| (0..village.len()).find(|it| village.name(*it) == name);
        let park = |name| site(name).map(|site| Park::new(site, machines));
        let parks: Vec<Park> = sites.iter().map(park).collect::<Option<_>>()?;
        for park in &parks {
            village.connect_machines(park.site, machines.draw(machines.count));
        }
        let nothing = vec![Contracted::default(); village.len()];
        Some(Self {
            parks,
            running: Traded { contracted: nothing, ..Traded::default() },
            named: vec![Named::default(); village.len()],
            loss_ppm: village.charter.connection.loss_ppm,
            village,
            machines,
        })
    }

    /// The sites' names and what happened to them, interval by interval.
    pub(super) fn into_slots(self) -> Vec<(String, Vec<Slot>)> {
        let Self { village, parks, .. } = self;
        parks.into_iter().map(|it| (village.name(it.site).to_owned(), it.slots)).collect()
    }

    /// Lives through one interval.
    pub(super) fn step(&mut self) {
        for park in &self.parks {
            self.village.bid(park.site, park.bids());
        }
        let cleared = self.village.clear_next(&self.named);
        let next = self.traded(&cleared);
        let (metered, dispatches) = self.village.deliver(&cleared.situations, &next.contracted);
        let ended = std::mem::replace(&mut self.running, next);
        self.settle(&ended, metered);
        self.begin(&dispatches);
    }

    /// What the clearing gives everybody, and what of it machines get.
    fn traded(&self, cleared: &Cleared) -> Traded {
        let Cleared { book, clearing, situations } = cleared;
        let price = clearing.price_msat_per_kwh;
        let mut contracted = vec![Contracted::default(); self.village.len()];
        for trade in &clearing.trades {
            let sold = &mut contracted[trade.seller.as_usize()].sold;
            *sold = sold.saturating_add(trade.energy_mwh);
            let bought = &mut contracted[trade.buyer.as_usize()].bought;
            *bought = bought.saturating_add(trade.energy_mwh);
        }
        let mut bought: BTreeMap<usize, Energy> = BTreeMap::new();
        for execution in executions(clearing.interval, &rules(&self.village.charter), book) {
            let order = book.iter().find(|it| it.participant == execution.participant);
            let order = &order.expect("what executes is in the book").order;
            let step = order.steps[usize::from(execution.step)];
            if (step.side, step.source) == (Side::Buy, Source::Miner) {
                let sum = bought.entry(execution.participant.as_usize()).or_default();
                *sum = sum.saturating_add(execution.energy);
            }
        }
        let kept = self.parks.iter().map(|park| {
            let order = book.iter().find(|it| it.participant.as_usize() == park.site);
            let steps = order.map_or(&[][..], |order| &order.order.steps);
            let situation = situations[park.site].as_ref();
            let flexible = situation.map_or(&[][..], |situation| &situation.flexible);
            (park.site, kept(flexible, steps, price))
        });
        let kept = kept.collect();
        let contracts = terms(clearing).into_iter().map(|terms| Contract {
            terms,
            counterparty: ParticipantId::from_bytes([0; 32]),
            seller_total: contracted[terms.seller.as_usize()].sold,
            buyer_total: contracted[terms.buyer.as_usize()].bought,
            seller_committed: Energy::ZERO,
            buyer_committed: Energy::ZERO,
            seller: None,
            buyer: None,
        });
        Traded { price, contracts: contracts.collect(), contracted, bought, kept }
    }

    /// Has machines follow the plan as an interval begins, and then what flows in it.
    fn begin(&mut self, dispatches: &[Dispatch]) {
        let interval = self.village.running();
        let edge = self.village.charter.interval.start_of(interval);
        let lack_costs = self.retail(interval);
        for park in &mut self.parks {
            let dispatch = &dispatches[park.site];
            let spare_brings = self.village.spare_brings(park.site, interval);
            let target =
                Target { net: dispatch.net, mining: dispatch.flexible, spare_brings, lack_costs };
            let all = self.machines.draw(self.machines.count);
            // What was contracted and planned, before anybody has seen what flows.
            let planned = Shown {
                at: edge,
                power: minus(target.net, target.mining),
                frequency_mhz: None,
                voltage_mv: None,
            };
            let limits = Limits {
                import_max: Power::from_milliwatts(i64::MAX),
                machines_max: all,
                step_max: all,
                starts_max: usize::try_from(self.machines.count).expect("a few machines"),
                support: None,
            };
            let conditions_of = |now, shown: &Shown| {
                conditions(now, Some(shown), Draws::default(), &target, &limits)
            };
            park.follow(&conditions_of(edge, &planned));
            let at_edge = park.draw();
            let truth = self.village.truth(park.site);
            let pv_mw = -truth.pv_potential.to_milliwatts();
            let others_mw = truth.load.to_milliwatts() + truth.battery.to_milliwatts();
            // What the meter would show without machines if PV was not turned down for them.
            let at = edge.plus_ms(REACTION_MS);
            let power = Power::from_milliwatts(others_mw - pv_mw);
            park.follow(&conditions_of(at, &Shown { at, power, ..planned }));
            let draw = park.draw();
            let first = energy(at_edge, REACTION_MS);
            park.mined = first.saturating_add(energy(draw, ROW_MS - REACTION_MS));
            park.net_potential_mwh = signed_mwh(others_mw - pv_mw);
            let wanted_mw = others_mw + draw.to_milliwatts() - target.net.to_milliwatts();
            let wanted = Power::from_milliwatts(wanted_mw.clamp(0, pv_mw));
            self.village.let_pv_give(park.site, wanted);
            self.village.set_machines(park.site, draw);
        }
    }

    /// Notes what the interval that has just ended cost the machines.
    fn settle(&mut self, ended: &Traded, mut metered: Vec<Metered>) {
        let interval = self.village.running().previous();
        for park in &self.parks {
            let import = &mut metered[park.site].import;
            *import = import.saturating_add(park.mined);
        }
        for number in 0..self.parks.len() {
            let park = &self.parks[number];
            let Metered { import, export } = metered[park.site];
            let net = i128::from(import.to_milliwatt_hours())
                - i128::from(export.to_milliwatt_hours())
                - i128::from(park.mined.to_milliwatt_hours());
            let account = Account {
                price: ended.price,
                retail: self.retail(interval),
                spare_brings: self.village.spare_brings(park.site, interval),
                delivered: self.delivered(ended, park.site, &metered),
                reserved: ended.kept.get(&park.site).copied().unwrap_or_default(),
                net_potential_mwh: park.net_potential_mwh,
                net_mwh: net,
                mined: park.mined,
            };
            self.parks[number].note(&account);
        }
    }

    /// What a site bought and got, and what it sold.
    fn delivered(&self, ended: &Traded, site: usize, metered: &[Metered]) -> Delivered {
        let mine = ended.contracts.iter().filter(|it| it.terms.buyer.as_usize() == site);
        let bought = mine.fold(Energy::ZERO, |sum, contract| {
            let contract = Contract {
                seller: Some(metered[contract.terms.seller.as_usize()]),
                buyer: Some(metered[site]),
                ..*contract
            };
            let delivered = contract.delivered(self.loss_ppm).expect("no total is zero");
            sum.saturating_add(delivered.expect("both meters were read"))
        });
        let Contracted { bought: all, sold } = ended.contracted[site];
        let for_machines = ended.bought.get(&site).copied().unwrap_or_default();
        let for_machines =
            if all.is_zero() { Ok(Energy::ZERO) } else { for_machines.share_floor(bought, all) };
        Delivered {
            bought,
            for_machines: for_machines.expect("a part of it"),
            sold_before_losses: before_losses_ceil(sold, self.loss_ppm).expect("it was given"),
        }
    }

    fn retail(&self, interval: Interval) -> Price {
        let from = self.village.charter.interval.start_of(interval);
        self.village.charter.tariff.at(from).retail_msat_per_kwh
    }
}

/// What machines keep of what their site has itself: what is worth more to them than the price, and
/// was not bought.
fn kept(flexible: &[Flexible], steps: &[Step], price: Option<Price>) -> Energy {
    let worth_it = flexible.iter().filter(|it| price.is_none_or(|price| price < it.worth));
    let wanted =
        worth_it.fold(Energy::ZERO, |sum, it| sum.saturating_add(energy(it.power, ROW_MS)));
    let bought = steps.iter().filter(|it| (it.side, it.source) == (Side::Buy, Source::Miner));
    bought.fold(wanted, |left, step| left.saturating_sub(step.energy_mwh))
}

fn minus(power: Power, less: Power) -> Power {
    power.checked_sub(less).expect("a site's power")
}

/// What flows at a power in `ms`.
fn energy(power: Power, ms: u64) -> Energy {
    power.energy_over_floor(ms).expect("a site's energy")
}

/// What flows at `mw` in an interval, with its sign.
fn signed_mwh(mw: i64) -> i128 {
    let energy = energy(Power::from_milliwatts(mw), ROW_MS);
    i128::from(energy.to_milliwatt_hours()) * i128::from(mw.signum())
}
