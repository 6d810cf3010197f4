//! The course of a run: nodes start and find each other, then interval after interval is watched,
//! disturbed as the faults say, and judged.
//!
//! One loop with one clock; nothing here decides anything for the nodes.

mod acting;
mod paying;
mod showing;
mod verdict;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use boltgrid::clock;
use boltgrid::rpc::checks::FeederReport;
use boltgrid::status::IntervalReport;
use boltgrid_protocol::message::INTERVALS_AHEAD;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};
use tokio::sync::Notify;

use super::afterwards;
use super::agenda::Agenda;
use super::deluge::{Condition, Deluge};
use super::display::Display;
use super::exposure::Exposures;
use super::fleet::{Back, Fleet, Member};
use super::fraud::{Disputes, Frauds};
use super::hostility::Hostility;
use super::invariants::{Invariants, Tally};
use super::links::Links;
use super::located::Located;
use super::masked::Masked;
use super::miners::Watch;
use super::money::Money;
use super::observation::{Observation, SiteObservation};
use super::overheard;
use super::page::Page;
use super::page::shown::LastShown;
use super::payments::Payments;
use super::report::{
    IntervalRow, InvariantRow, MiningReport, NodeRow, Rejected, Report, add_rejected,
};
use super::rogues::Rogues;
use super::spans::Spans;
use super::stage::Stage;
use super::table::{self, Remarks};
use super::timeline::{due_back, first_open};
use super::{RunError, RunOptions};
use crate::plant::TICKS_PER_INTERVAL;

/// Between two looks at the nodes, at least and at most, in ms.
const LOOK_MS: std::ops::RangeInclusive<u64> = 100..=500;
/// The longest that nodes may take to find each other: the first …
const READY_MS: u64 = 60_000;
/// … and every further one.
const READY_MS_PER_NODE: u64 = 4_000;
/// Readings may be due and a node not yet have settled; in percent of the interval …
const SETTLE_GRACE_PERCENT: u64 = 5;
/// … and where a node is slow, so much longer.
const SETTLE_WAIT_PERCENT: u64 = 50;
/// How long nodes that were away may take to catch up at the end.
const CATCH_UP_TIME_MS: u64 = 60_000;
/// Intervals that a node which had reason to abstain stays out of (P25): two clean ones, and the one
/// in which all came right.
pub(super) const ABSTAINED_INTERVALS: u64 = 3;
/// A node reads how wrong its clock is, and notices, within this time.
const CLOCK_STEP_MS: u64 = 500;
/// How long nodes may take to tell what they rejected at the end.
const COUNT_TIME_MS: u64 = 5_000;

/// A run under way.
pub(super) struct Course<'a> {
    options: &'a RunOptions,
    stage: &'a Stage,
    pub(super) fleet: Fleet,
    display: &'a Display,
    /// Told once all nodes have found each other.
    ready: Arc<Notify>,
    /// Where people look on, if anywhere.
    page: Option<&'a Page>,
    /// What was done to the grid, as people are told.
    events: VecDeque<String>,
    /// The last interval that was observed, and its trades' places in the clearing.
    last: Option<(LastShown, Vec<u32>)>,
    /// How much was seen that must not be.
    violations: u32,
    /// The first interval of the run.
    first: Interval,
    /// The interval to be observed next.
    next: Interval,
    agenda: Agenda,
    /// What the next draw follows from.
    chance: u64,
    /// How often which fault was begun.
    begun: BTreeMap<&'static str, u32>,
    /// When no side of a partition could decide.
    split: Spans,
    /// When such partitions healed, and whether any node abstained meanwhile.
    healed: Vec<(Timestamp, bool)>,
    /// When links lost or delayed datagrams, or flapped.
    rough: Spans,
    /// How many intervals were observed for which a quorum of nodes was there.
    decidable: u32,
    /// How many of them were decided.
    decided: u32,
    /// Whether nodes hold the same history at the end.
    histories: Tally,
    done: BTreeMap<Interval, Vec<String>>,
    /// When nodes were last asked how they stand with everyone.
    stood_at: Timestamp,
    /// Nodes that were down while an interval was delivered.
    down: BTreeMap<Interval, usize>,
    /// What nodes knew when they were killed.
    last_words: BTreeMap<(Interval, usize), IntervalReport>,
    invariants: Invariants,
    rows: Vec<IntervalRow>,
    hostility: Hostility,
    deluge: Deluge,
    afterwards: Option<InvariantRow>,
    money: Option<Money>,
    /// What nodes told of their payments.
    payments: Payments,
    /// What nodes told of what others owe them.
    exposures: Exposures,
    /// What nodes had to do with rogues.
    frauds: Frauds,
    /// What nodes had to say of falsified meters.
    located: Located,
    masked: Masked,
    /// When clouds came and went.
    weather_changes: Vec<Timestamp>,
    /// What mining machines do, where there are any.
    mining: Option<Watch>,
    /// What is in dispute at the end.
    disputes: Disputes,
    /// Whether all coins are still there at the end.
    conserved: Vec<InvariantRow>,
    pub(super) rogues: Rogues,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        options: &'a RunOptions,
        stage: &'a Stage,
        (fleet, rogues): (Fleet, Rogues),
        money: Option<Money>,
        display: &'a Display,
    ) -> Self {
        let first = stage.timeline.first;
        Self {
            options,
            stage,
            fleet,
            display,
            ready: Arc::default(),
            page: None,
            events: VecDeque::new(),
            last: None,
            violations: 0,
            first,
            next: first,
            agenda: Agenda::default(),
            chance: options.seed,
            begun: BTreeMap::new(),
            split: Spans::default(),
            healed: Vec::new(),
            rough: Spans::default(),
            decidable: 0,
            decided: 0,
            histories: Tally::default(),
            done: BTreeMap::new(),
            stood_at: Timestamp::default(),
            down: BTreeMap::new(),
            last_words: BTreeMap::new(),
            invariants: Invariants::default(),
            rows: Vec::new(),
            hostility: Hostility::default(),
            deluge: Deluge::default(),
            afterwards: None,
            money,
            payments: Payments::default(),
            exposures: Exposures::default(),
            frauds: Frauds::default(),
            located: Located::default(),
            masked: Masked::default(),
            weather_changes: Vec::new(),
            mining: stage.park.as_ref().map(|park| {
                let names: Vec<_> = stage.places.iter().map(|it| it.name.clone()).collect();
                Watch::new(park, &stage.charter.interval, &names)
            }),
            disputes: Disputes::default(),
            conserved: Vec::new(),
            rogues,
        }
    }

    /// The same, on a page for people to look at.
    pub(super) fn shown_on(self, page: &'a Page) -> Self {
        Self { page: Some(page), ..self }
    }

    /// Tells when all nodes have found each other.
    pub(super) fn ready(&self) -> Arc<Notify> {
        Arc::clone(&self.ready)
    }

    /// Waits until all nodes are connected, then watches until the run is over.
    ///
    /// # Errors
    ///
    /// [`RunError`] when a node does not get ready, or ends by itself.
    pub(super) async fn run(&mut self) -> Result<(), RunError> {
        self.until_ready().await?;
        self.ready.notify_one();
        if let Some(money) = &mut self.money {
            money.begin(self.display).await?;
        }
        self.first = self.first.max(first_open(&self.stage.charter.interval, clock::now()));
        self.next = self.first;
        self.agenda = Agenda::of(&self.stage.faults, &self.stage.charter.interval, self.first);
        self.display.row(&table::head());
        while self.options.intervals.is_none_or(|most| self.observed() < most.get()) {
            tokio::time::sleep(self.pause()).await;
            let now = self.look().await?;
            self.act(now).await?;
            let is = self.condition();
            self.deluge.take_stock(now, &is);
            if now >= self.settled_at(self.next) {
                self.observe(now).await;
            }
            self.hear_of_exposures(now).await;
            self.tell(now);
        }
        self.until_caught_up().await?;
        self.end_hostility().await?;
        self.compare_histories().await;
        self.until_paid().await?;
        if let Some(money) = &mut self.money {
            self.display.now("counting coins".to_owned());
            self.conserved = money.verdict().await?;
        }
        Ok(())
    }

    /// Moves the plant, and asks every node how it is.
    async fn look(&mut self) -> Result<Timestamp, RunError> {
        self.fleet.check_alive()?;
        self.fleet.look(clock::now()).await;
        let to_ask = self.mining.as_mut().map(|mining| mining.to_ask(clock::now()));
        let told = self.fleet.machines(&to_ask.unwrap_or_default()).await;
        let now = clock::now();
        let mut plant = self.stage.plant.lock().expect("a panic in the plant ends the testnet");
        plant.step_to(now);
        if let Some(mining) = &mut self.mining {
            mining.hear(now, &told);
            mining.look(now, &plant);
        }
        Ok(now)
    }

    async fn until_ready(&mut self) -> Result<(), RunError> {
        let began = clock::now();
        let nodes = self.fleet.honest();
        let patience_ms = READY_MS.saturating_add(
            READY_MS_PER_NODE.saturating_mul(u64::try_from(nodes).unwrap_or(u64::MAX)),
        );
        loop {
            let now = self.look().await?;
            let (ready, waited_ms) = (self.fleet.ready(), now.ms_since(began));
            let phase = format!("{ready} of {nodes} nodes have found each other");
            self.show(phase.clone());
            self.display.now(phase);
            if ready == nodes {
                break;
            }
            if waited_ms > patience_ms {
                let names = self.fleet.members.iter().filter(|it| it.is_up());
                let names = names.filter(|it| it.ready_since.is_none());
                let names = names.map(|member| member.place.name.clone()).collect();
                return Err(RunError::NotReady { names, seconds: waited_ms / 1000 });
            }
            tokio::time::sleep(self.pause()).await;
        }
        let waited_ms = i64::try_from(clock::now().ms_since(began)).unwrap_or(i64::MAX);
        let waited = table::thousandths(waited_ms, 1);
        self.display.row(&format!("{nodes} nodes have found each other in {waited} s"));
        Ok(())
    }

    fn pause(&self) -> Duration {
        let part_ms = self.options.interval_ms / 20;
        Duration::from_millis(part_ms.clamp(*LOOK_MS.start(), *LOOK_MS.end()))
    }

    fn percent_ms(&self, percent: u64) -> u64 {
        self.options.interval_ms * percent / 100
    }

    fn observed(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }

    /// Asks a node what it knows of every interval that has yet to be observed.
    async fn hear_last_words(&mut self, node: usize) {
        let current = self.stage.charter.interval.interval_at(clock::now());
        let mut interval = self.next;
        while interval <= current.plus(INTERVALS_AHEAD) {
            if let Some(report) = self.fleet.report(node, interval).await {
                self.last_words.insert((interval, node), report);
            }
            interval = interval.next();
        }
    }

    fn condition(&self) -> Condition {
        let up = self.fleet.members.iter().enumerate().filter(|(_, member)| member.is_up());
        let usage = up.map(|(number, member)| (number, member.usage())).collect();
        Condition { usage, rejected: self.rejected() }
    }

    fn rejected(&self) -> Rejected {
        let mut sum = Rejected::new();
        for member in &self.fleet.members {
            add_rejected(&mut sum, &member.rejected());
        }
        sum
    }

    /// When everything of an interval should be settled.
    fn settled_at(&self, interval: Interval) -> Timestamp {
        let timing = &self.stage.charter.interval;
        let grace_ms = timing.clock_skew_max_ms + self.percent_ms(SETTLE_GRACE_PERCENT);
        timing.schedule(interval).readings_by.plus_ms(grace_ms)
    }

    /// Asks what became of the next interval, judges it and adds its row. Comes back later where a
    /// node has not settled yet but still may.
    async fn observe(&mut self, now: Timestamp) {
        let interval = self.next;
        let reports = self.fleet.reports(interval).await;
        let observation = self.observation(interval, reports);
        let unsettled = observation
            .present()
            .any(|site| site.report.as_ref().is_none_or(|report| report.settlement.is_none()));
        let patience = self.settled_at(interval).plus_ms(self.percent_ms(SETTLE_WAIT_PERCENT));
        let feeders = self.balances().await;
        let is_waiting =
            self.located.is_waiting(interval, &feeders) || Masked::is_waiting(interval, &feeders);
        if (unsettled || is_waiting) && now < patience {
            return;
        }
        self.located.note(interval, &feeders);
        self.masked.note(interval, &feeders, self.located.is_lied(interval));
        let remarks = Remarks {
            transformer_mw: self.transformer_mw(&observation),
            down: self.down.remove(&interval).unwrap_or_default(),
            violations: self.invariants.check(&observation),
            faults: self.done.remove(&interval).unwrap_or_default(),
        };
        self.violations = self.violations.saturating_add(remarks.violations);
        self.frauds.note(&observation, &self.stage.charter);
        let row = self.with_surroundings(
            interval,
            IntervalRow::of(&observation, self.stage.local_time(interval)),
        );
        self.display.row(&table::line(self.observed(), &row, &remarks));
        if observation.present().count() >= observation.quorum {
            self.decidable = self.decidable.saturating_add(1);
            self.decided = self.decided.saturating_add(u32::from(row.decided));
        }
        self.fleet.members.iter_mut().for_each(Member::mark_start);
        if let Some(mining) = &mut self.mining {
            mining.priced(interval, row.price_msat_per_kwh);
        }
        self.keep_to_show(&observation, &row);
        self.rows.push(row);
        self.note_settled(&observation);
        self.hear_of_payments().await;
        self.next = interval.next();
        self.last_words.retain(|(of, _), _| *of > interval);
    }

    /// A row with what is not seen by nodes: the sky, the supplier, and what PV was turned down by.
    fn with_surroundings(&self, interval: Interval, row: IntervalRow) -> IntervalRow {
        let charter = &self.stage.charter;
        let (opens, starts) =
            (charter.interval.schedule(interval).orders_open, charter.interval.start_of(interval));
        let plant = self.stage.plant.lock().expect("a panic in the plant ends the testnet");
        let curtailed =
            |interval: Interval| plant.curtailed_at(charter.interval.start_of(interval));
        let curtailed = curtailed(interval.next()).zip(curtailed(interval));
        let curtailed = curtailed.map(|(after, before)| after.saturating_sub(before));
        let ends = charter.interval.start_of(interval.next());
        IntervalRow {
            curtailed_mwh: curtailed.map_or(0, Energy::to_milliwatt_hours),
            feed_in_msat_per_kwh: charter.tariff.at(starts).feed_in_msat_per_kwh.to_msat_per_kwh(),
            weather_changed: self.weather_changes.iter().any(|at| (opens..ends).contains(at)),
            ..row
        }
    }

    /// What nodes tell of the feeders, where there are any.
    async fn balances(&self) -> Vec<(String, Vec<FeederReport>)> {
        if self.stage.feeders.is_empty() { Vec::new() } else { self.fleet.balances().await }
    }

    fn observation(&self, interval: Interval, reports: Vec<Option<IntervalReport>>) -> Observation {
        let timing = &self.stage.charter.interval;
        let schedule = timing.schedule(interval);
        let (opens, confirmed) = (schedule.orders_open, schedule.confirm_by);
        let flowed = self.flowed_mwh(interval);
        let sites = self.fleet.members.iter().zip(reports).enumerate();
        let sites = sites.map(|(number, (member, report))| SiteObservation {
            name: member.place.name.clone(),
            participant: member.place.participant.to_string(),
            is_rogue: self.rogues.is_rogue(number),
            present: member.is_present_since(opens)
                && member.back.is_none_or(|(at, from)| {
                    from != Back::Abstained
                        || interval >= due_back(timing, at).plus(ABSTAINED_INTERVALS)
                }),
            // Who is hindered again is not expected back, and may not even answer.
            due_back: member.back.filter(|_| member.is_up() && !member.is_hindered()).and_then(
                |(at, from)| {
                    let wait = if from == Back::Abstained { ABSTAINED_INTERVALS } else { 0 };
                    (due_back(timing, at).plus(wait) == interval).then_some(from)
                },
            ),
            cut_off: member.is_up()
                && member.cut_off.cover(opens, confirmed)
                && !member.hindered.touch(opens, confirmed),
            skewed: member.skewed.cover(opens.minus_ms(CLOCK_STEP_MS), confirmed),
            report: with_last_words(report, self.last_words.get(&(interval, number))),
            flowed_mwh: flowed.get(number).copied(),
            meter_tolerance_mwh: self.meter_tolerance_mwh(number),
        });
        Observation {
            interval: interval.to_number(),
            quorum: self.stage.quorum(),
            is_rough: self.rough.touch(opens, schedule.readings_by),
            is_split: self.split.cover(opens, confirmed),
            late: self.exposures.late(),
            sites: sites.collect(),
        }
    }

    /// What really flowed into every site; nothing where the plant no longer knows.
    fn flowed_mwh(&self, interval: Interval) -> Vec<i64> {
        let timing = &self.stage.charter.interval;
        let plant = self.stage.plant.lock().expect("a panic in the plant ends the testnet");
        let registers = |interval| plant.registers_at(timing.start_of(interval));
        let (Some(before), Some(after)) = (registers(interval), registers(interval.next())) else {
            return Vec::new();
        };
        let moved = |before: Energy, after: Energy| {
            let moved = after.saturating_sub(before).to_milliwatt_hours();
            i64::try_from(moved).unwrap_or(i64::MAX)
        };
        let flowed = before.iter().zip(after).map(|(before, after)| {
            moved(before.imported, after.imported) - moved(before.exported, after.exported)
        });
        flowed.collect()
    }

    /// What the site's rated power moves while a meter shows the same.
    fn meter_tolerance_mwh(&self, number: usize) -> u64 {
        let Some(site) = self.stage.farm.sites().get(number) else { return 0 };
        let rated = site.nameplate.rated_import.max(site.nameplate.rated_export);
        let tick_ms = self.options.interval_ms / TICKS_PER_INTERVAL;
        rated.energy_over_floor(tick_ms).map_or(0, |energy| energy.to_milliwatt_hours())
    }

    /// The mean power through the transformer, which is what all sites took together.
    fn transformer_mw(&self, observation: &Observation) -> i64 {
        let mwh: i64 = observation.sites.iter().filter_map(|site| site.flowed_mwh).sum();
        let ms_per_h = 3_600_000;
        let mw = i128::from(mwh) * ms_per_h / i128::from(self.options.interval_ms);
        i64::try_from(mw).unwrap_or(i64::MAX)
    }

    /// Shows what is under way, as the node sees it that has seen most.
    fn tell(&self, now: Timestamp) {
        let told = self.fleet.members.iter().filter_map(|it| it.status.as_ref());
        let last = told
            .filter_map(|status| status.last_interval.as_ref())
            .max_by_key(|report| report.interval);
        let phase = table::phase(&self.stage.charter.interval, self.first, now, last);
        self.show(phase.clone());
        self.display.now(phase);
    }

    /// Waits until nodes that were away know all that was decided without them.
    async fn until_caught_up(&mut self) -> Result<(), RunError> {
        let deadline = clock::now().plus_ms(CATCH_UP_TIME_MS);
        loop {
            self.afterwards = afterwards::check(&self.fleet, &self.rows).await;
            let missing = self.afterwards.as_ref().is_some_and(|row| row.violations > 0);
            if !missing || self.look().await? >= deadline {
                return Ok(());
            }
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// Sends hostile peers away, and waits until nodes have told of all that they rejected.
    async fn end_hostility(&mut self) -> Result<(), RunError> {
        let is = self.condition();
        self.deluge.end(clock::now(), &is).await;
        self.hostility.end().await;
        let deadline = clock::now().plus_ms(COUNT_TIME_MS);
        loop {
            let row = self.hostility.row(&self.rejected());
            let missing = row.is_some_and(|row| row.violations > 0);
            if !missing || self.look().await? >= deadline {
                return Ok(());
            }
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// All that was seen.
    pub(super) fn report(&self) -> Report {
        let mut invariants = self.invariants.rows();
        invariants.extend(self.hostility.row(&self.rejected()));
        invariants.extend(self.deluge.invariants(&self.rows, self.options.interval_ms));
        invariants.extend(self.afterwards.clone());
        invariants.extend(self.payment_verdicts());
        invariants.extend(self.exposures.row());
        invariants.extend(self.fraud_verdicts());
        let readings = self.stage.charter.readings;
        invariants.extend(overheard::verdict(readings, self.rogues.overheard()));
        invariants.extend(self.conserved.clone());
        invariants.extend(self.located.verdicts());
        invariants.extend(self.masked.verdicts());
        invariants.extend(self.mining.iter().flat_map(Watch::verdicts));
        invariants.extend(self.verdicts());
        Report {
            scenario: self.stage.scenario.name.clone(),
            seed: self.options.seed,
            interval_ms: self.options.interval_ms,
            intervals: self.rows.clone(),
            nodes: self.nodes(),
            invariants,
            rejected: self.rejected(),
            floods: self.deluge.rows(),
            faults: self.begun.iter().map(|(kind, times)| ((*kind).to_owned(), *times)).collect(),
            links: self.stage.links.as_ref().map(Links::row),
            resumed_within_intervals: self.resumed_within(),
            rogues: self.rogue_rows(),
            falsified: self.located.rows(),
            masked: self.masked.rows(),
            mining: self.mining_report(),
        }
    }

    fn mining_report(&self) -> MiningReport {
        let plant = self.stage.plant.lock().expect("a panic in the plant ends the testnet");
        let unsold = self.rows.iter().map(|row| row.unsold_export_mwh);
        MiningReport {
            curtailed_mwh: plant.curtailed().to_milliwatt_hours(),
            unsold_export_mwh: unsold.fold(0, u64::saturating_add),
            ..self.mining.as_ref().map(Watch::report).unwrap_or_default()
        }
    }

    fn nodes(&self) -> Vec<NodeRow> {
        self.fleet.members.iter().map(Member::row).collect()
    }
}

/// What a node knows, and of a node that was killed what it knew.
fn with_last_words(
    report: Option<IntervalReport>,
    last_words: Option<&IntervalReport>,
) -> Option<IntervalReport> {
    match (report, last_words) {
        (None, last_words) => last_words.cloned(),
        (Some(report), Some(last_words)) if report.own_order.is_empty() => {
            Some(IntervalReport { own_order: last_words.own_order.clone(), ..report })
        }
        (report, _) => report,
    }
}
