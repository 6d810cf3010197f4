//! The measured grid as the nodes run it: real plant, real strategy, real auction.
//!
//! One step is one quarter of an hour. At each edge every site plans the next interval from what it
//! sees now, as the planner of a node does. Not for: who pays how, or loads that answer to a price:
//! whoever has some changes the orders and says what they draw.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use boltgrid_market::GridPower;
use boltgrid_market::auction::{BookOrder, Clearing, clear};
use boltgrid_market::channels::Named;
use boltgrid_market::clear::rules;
use boltgrid_market::settlement::Metered;
use boltgrid_market::strategy::{
    self, Battery, Contracted, Flexible, History, Outlook, OwnerLimits, PvControl, Relations,
    Sample, Site, Situation, Throttle,
};
use boltgrid_protocol::charter::{Charter, Disclosure};
use boltgrid_protocol::id::{MessageHash, ParticipantId, RosterIndex};
use boltgrid_protocol::units::{
    Energy, Interval, MILLION, NetEnergy, Power, Price, Timestamp, scale_floor,
};
use boltgrid_testnet::plant::{BatteryRange, Command, Plant, PlantOptions, ROW_MS, SiteTruth};
use boltgrid_testnet::run::charter::{PAY_WITHIN_INTERVALS, Terms, charter, tariff_clock};
use boltgrid_testnet::scenario::Scenario;

/// What stays in a battery for its owner, in percent: a node's default.
const RESERVE_PERCENT: u64 = 10;
/// What cycling a kWh costs a battery: a node's default.
const WEAR: Price = Price::from_msat_per_kwh(40_000);
/// Intervals of a day, whose prices the outlook looks at.
const DAY_INTERVALS: usize = 96;

/// The grid and all sites on it.
pub(crate) struct Village {
    plant: Plant,
    pub(crate) charter: Charter,
    sites: Vec<Site>,
    samples: Vec<History>,
    throttle: Throttle,
    prices: VecDeque<Price>,
    /// What machines beside the plant draw at each site in the interval that is running.
    machines: Vec<Power>,
    /// What power is worth to the machines of each site.
    flexible: Vec<Vec<Flexible>>,
    /// What the PV of each site was told to give at most.
    pv_limits: Vec<Option<Power>>,
    /// The interval that is running.
    now: Interval,
}

/// The next interval, cleared.
pub(crate) struct Cleared {
    /// What the sites ordered.
    pub(crate) book: Vec<BookOrder>,
    /// What came of it.
    pub(crate) clearing: Clearing,
    /// What each site expects of the interval.
    pub(crate) situations: Vec<Option<Situation>>,
}

impl Village {
    /// A grid of so many sites from a row of the profiles on, with so many ticks of the plant to an
    /// interval.
    pub(crate) fn new(
        scenario: Arc<Scenario>,
        nodes: NonZeroUsize,
        start_row: usize,
        ticks_per_interval: u64,
    ) -> Self {
        let time = scenario.profiles.time_of_row(start_row);
        let ms = |s: i64| u64::try_from(s).expect("the data begin after 1970") * 1_000;
        let epoch = Timestamp::from_unix_ms(ms(time.unix_s()));
        let copies =
            nodes.get().div_ceil(scenario.sites(nodes, 1).iter().filter(|it| it.copy == 0).count());
        let rated = scenario.grid.transformer.to_milliwatts()
            * i64::try_from(copies).expect("a few copies");
        let clock = tariff_clock(ROW_MS, epoch.to_unix_ms(), ms(time.local_s()));
        let terms = Terms {
            name: "village",
            interval_ms: ROW_MS,
            voters: nodes.get(),
            connection: Power::from_milliwatts(rated),
            readings: Disclosure::Open,
            feeders: Vec::new(),
            registrar: ParticipantId::from_bytes([7; 32]),
            clock: clock.expect("a row lasts an interval"),
            pay_within_intervals: PAY_WITHIN_INTERVALS,
        };
        let charter = charter(&terms).expect("a quarter of an hour has room for all phases");
        let options = PlantOptions {
            nodes,
            seed: 1,
            interval_ms: ROW_MS,
            ticks_per_interval,
            start_row,
            epoch,
        };
        let mut plant = Plant::new(scenario, options).expect("the options fit");
        plant.step_to(epoch);
        let sites: Vec<Site> = (0..plant.len()).map(|number| site(&plant, number)).collect();
        Self {
            samples: sites.iter().map(|_| History::new(&charter)).collect(),
            plant,
            throttle: Throttle::OPEN,
            prices: VecDeque::new(),
            machines: vec![Power::ZERO; sites.len()],
            flexible: vec![Vec::new(); sites.len()],
            pv_limits: vec![None; sites.len()],
            now: charter.interval.interval_at(epoch),
            sites,
            charter,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sites.len()
    }

    /// What flows at a site now, without its machines.
    pub(crate) fn truth(&self, number: usize) -> SiteTruth {
        self.plant.site_truth(number)
    }

    /// The name of a site.
    pub(crate) fn name(&self, number: usize) -> &str {
        &self.plant.nameplate(number).name
    }

    /// The interval that is running.
    pub(crate) const fn running(&self) -> Interval {
        self.now
    }

    /// What a kilowatt-hour that nobody bought brings a site in an interval: the feed-in price, or
    /// nothing where it can be turned down instead of paid for.
    pub(crate) fn spare_brings(&self, number: usize, interval: Interval) -> Price {
        let from = self.charter.interval.start_of(interval);
        let feed_in = self.charter.tariff.at(from).feed_in_msat_per_kwh;
        match self.sites[number].pv {
            PvControl::MustRun => feed_in,
            PvControl::Curtailable => feed_in.max(Price::ZERO),
        }
    }

    /// Lets the PV of a site give at least `power` from the next tick on, where it was turned down
    /// to less.
    pub(crate) fn let_pv_give(&mut self, number: usize, power: Power) {
        let Some(limit) = self.pv_limits[number].filter(|limit| *limit < power) else { return };
        let done = strategy::Dispatch { pv_at_most: Some(power.max(limit)), ..Default::default() };
        self.limit_pv(self.charter.interval.start_of(self.now), number, &done);
    }

    /// Makes a site's connection point strong enough for machines that draw so much.
    pub(crate) fn connect_machines(&mut self, number: usize, power: Power) {
        let rated = &mut self.sites[number].rated_import;
        *rated = rated.checked_add(power).expect("a connection point's power");
    }

    /// Says what power is worth to the machines of a site in the next interval.
    pub(crate) fn bid(&mut self, number: usize, flexible: Vec<Flexible>) {
        self.flexible[number] = flexible;
    }

    /// Says what the machines of a site draw from now on.
    pub(crate) fn set_machines(&mut self, number: usize, power: Power) {
        self.machines[number] = power;
    }

    /// Clears the next interval, with what each order names.
    pub(crate) fn clear_next(&mut self, named: &[Named]) -> Cleared {
        let interval = self.now.next();
        let grid = self.grid_power();
        let from = self.charter.interval.start_of(interval);
        let prices = self.charter.tariff.at(from);
        let capacity = self.charter.connection.export_capacity();
        self.throttle = self.throttle.after(&grid, capacity, prices.feed_in_msat_per_kwh);
        let last_day: Vec<Price> = self.prices.iter().copied().collect();
        let outlook = Outlook::new(&self.charter, from, &last_day);
        let situations: Vec<_> =
            (0..self.len()).map(|it| self.situation(it, interval, outlook)).collect();
        let mut book = Vec::new();
        for (number, situation) in (0_u32..).zip(&situations) {
            let place = RosterIndex::new(number);
            let named = &named[place.as_usize()];
            let relations =
                Relations { channel_partners: &named.partners, preferences: &named.preferences };
            let site = &self.sites[place.as_usize()];
            let order = situation.as_ref().and_then(|situation| {
                strategy::order(&self.charter, site, situation, &grid, &relations)
            });
            let Some(order) = order else { continue };
            let hash = hash_of(interval, number);
            book.push(BookOrder { participant: place, hash, outside: false, order });
        }
        let clearing = clear(interval, &rules(&self.charter), &book);
        self.prices.extend(clearing.price_msat_per_kwh);
        if self.prices.len() > DAY_INTERVALS {
            self.prices.pop_front();
        }
        Cleared { book, clearing, situations }
    }

    /// Has every site do what follows from its contracts in the next interval, which then begins.
    /// Returns what the meters showed over the interval that ends, without machines, and what every
    /// site does in the one that begins.
    pub(crate) fn deliver(
        &mut self,
        situations: &[Option<Situation>],
        contracted: &[Contracted],
    ) -> (Vec<Metered>, Vec<strategy::Dispatch>) {
        let edge = self.charter.interval.start_of(self.now.next());
        let mut dispatches = vec![strategy::Dispatch::default(); self.len()];
        for (number, situation) in situations.iter().enumerate() {
            let Some(situation) = situation else { continue };
            let site = &self.sites[number];
            let mine = &contracted[number];
            let done = strategy::dispatch(&self.charter, site, situation, mine, self.throttle);
            dispatches[number] = done;
            self.command(edge.minus_ms(1), number, &done);
        }
        self.plant.step_to(edge);
        let metered = self.metered();
        self.now = self.now.next();
        (metered, dispatches)
    }

    fn command(&mut self, at: Timestamp, number: usize, done: &strategy::Dispatch) {
        let nameplate = self.plant.nameplate(number);
        let battery = nameplate.battery.is_some();
        self.limit_pv(at, number, done);
        if battery {
            let range = BatteryRange::exactly(done.battery);
            self.plant.command(at, number, Command::Battery(range)).expect("it is there");
        }
    }

    fn limit_pv(&mut self, at: Timestamp, number: usize, done: &strategy::Dispatch) {
        self.pv_limits[number] = done.pv_at_most;
        let nameplate = self.plant.nameplate(number);
        if let Some(pv) = nameplate.pv.filter(|pv| pv.curtailable) {
            let limit = done.pv_at_most.map(|most| {
                let ppm = scale_floor(
                    most.to_milliwatts().unsigned_abs(),
                    MILLION,
                    pv.rated.to_milliwatts().unsigned_abs(),
                );
                u32::try_from(ppm.unwrap_or(MILLION)).unwrap_or(u32::MAX)
            });
            self.plant.command(at, number, Command::PvLimit(limit)).expect("it can be curtailed");
        }
    }

    fn situation(
        &mut self,
        number: usize,
        interval: Interval,
        outlook: Outlook,
    ) -> Option<Situation> {
        let truth = self.plant.site_truth(number);
        let pv = Power::from_milliwatts(-truth.pv_potential.to_milliwatts());
        self.samples[number].record(self.now, Sample { load: truth.load, pv });
        let battery = self.sites[number].battery;
        Some(Situation {
            interval,
            expected: self.samples[number].forecast(interval)?,
            stored: battery.map_or(Energy::ZERO, |battery| {
                battery.projected(truth.battery_stored, moved(truth.battery))
            }),
            outlook,
            flexible: self.flexible[number].clone(),
            generation: None,
        })
    }

    fn grid_power(&self) -> GridPower {
        let (mut power, mut potential) = (0, 0);
        for number in 0..self.len() {
            let truth = self.plant.site_truth(number);
            let net = truth.net.to_milliwatts() + self.machines[number].to_milliwatts();
            power += net;
            potential += net - truth.pv.to_milliwatts() + truth.pv_potential.to_milliwatts();
        }
        GridPower {
            power_mw: Power::from_milliwatts(power),
            potential_mw: Power::from_milliwatts(potential),
            members: self.len(),
        }
    }

    /// What the meters showed over the interval that has just ended.
    fn metered(&self) -> Vec<Metered> {
        let at = |interval| {
            let edge = self.charter.interval.start_of(interval);
            self.plant.registers_at(edge).expect("the edge is past and not long ago")
        };
        at(self.now)
            .iter()
            .zip(at(self.now.next()))
            .map(|(start, end)| Metered {
                import: end.imported.saturating_sub(start.imported),
                export: end.exported.saturating_sub(start.exported),
            })
            .collect()
    }
}

/// What the strategy knows of a site.
fn site(plant: &Plant, number: usize) -> Site {
    let nameplate = plant.nameplate(number);
    let reserve = |capacity: Energy| {
        let mwh = scale_floor(capacity.to_milliwatt_hours(), RESERVE_PERCENT, 100);
        Energy::from_milliwatt_hours(mwh.expect("a part of it"))
    };
    Site {
        rated_import: nameplate.rated_import,
        rated_export: nameplate.rated_export,
        pv: match nameplate.pv {
            Some(pv) if !pv.curtailable => PvControl::MustRun,
            Some(_) | None => PvControl::Curtailable,
        },
        battery: nameplate.battery.map(|battery| Battery {
            capacity: battery.capacity,
            reserve: reserve(battery.capacity),
            charge_at_most: battery.rated,
            discharge_at_most: battery.rated,
            efficiency_ppm: battery.efficiency_ppm,
            wear: WEAR,
        }),
        limits: OwnerLimits { trade: true, buy_at_most: None, sell_at_least: None },
    }
}

/// What a battery moves in one interval at a power, charging positive.
fn moved(power: Power) -> NetEnergy {
    let amount = power.energy_over_floor(ROW_MS).expect("a quarter of an hour of a battery");
    let charges = power > Power::ZERO;
    let (received, given) = if charges { (amount, Energy::ZERO) } else { (Energy::ZERO, amount) };
    NetEnergy::between(received, given).expect("it is one of two")
}

/// A hash that differs from order to order, as those of signed messages do.
fn hash_of(interval: Interval, number: u32) -> MessageHash {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        let salt = u64::try_from(place / 8).expect("a small number");
        let mixed = boltgrid_testnet::scenario::splitmix64(
            interval.to_number() << 24 ^ u64::from(number) << 8 ^ salt,
        );
        *byte = mixed.to_le_bytes()[place % 8];
    }
    MessageHash::from_bytes(bytes)
}
