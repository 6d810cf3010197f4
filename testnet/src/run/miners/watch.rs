//! What is seen of mining machines during a run, and what must hold of it: in which order they start,
//! how often, that a cloud sheds them, and that they do not overload the transformer. Machines that a
//! fault befell are judged by what becomes of them ([`super::spoilt`]) and nothing else.
//!
//! Judged by the plant, not by what nodes say of themselves; only what power is worth to a machine and
//! how soon commands followed is asked of its node.

use std::collections::{BTreeMap, BTreeSet};

use boltgrid::dispatcher::DispatchStatus;
use boltgrid_protocol::charter::Timing;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};

use super::Park;
use super::spoilt::Spoilt;
use super::well::Wells;
use crate::devices::miners::Fault;
use crate::plant::{MachineTruth, Plant, TICKS_PER_INTERVAL};
use crate::run::invariants::Tally;
use crate::run::report::{InvariantRow, MinerRow, MiningReport};

/// Intervals in which a machine ran are remembered until they are observed; so many at most.
const RAN_MAX: usize = 16;
/// How often nodes are asked how their machines are, in ms.
const ASK_EVERY_MS: u64 = 1_000;
/// Machines to which power is worth nearly the same may start in any order, and at nearly its worth one
/// need not, in msat/kWh.
const NEARLY_MSAT_PER_KWH: i64 = 1_000;
/// A machine may start so many intervals before one to which power is worth more: its own site's
/// surplus may be there first.
const EARLY_INTERVALS: u64 = 1;
/// How long machines may take to relieve the transformer, or to be shed by a cloud, after what keeps
/// them running is over, in ms.
const RELIEF_MS: u64 = 5_000;
/// Of what a cloud takes from a site beyond what it gave away, its machines must give back this part, in
/// percent; the rest is what their steps do not reach.
const SHED_PERCENT_MIN: i64 = 80;
/// What a cloud takes from a site is judged where it is more than this, in mW.
const SHED_MIN_MW: i64 = 1_000_000;

/// All machines of a run, as they are seen.
#[derive(Clone, Debug)]
pub struct Watch {
    timing: Timing,
    on_ms: u64,
    off_ms: u64,
    starts_max: u32,
    machines: Vec<Seen>,
    /// By node: what 95 of 100 commands took, and how many there were.
    reactions: BTreeMap<usize, (u64, u32)>,
    /// By node: what its machines may draw without anybody's buying more, in mW.
    budgets_mw: BTreeMap<usize, i64>,
    asked_at: Timestamp,
    /// Since when the transformer carries too much although machines could help.
    overloaded_since: Option<Timestamp>,
    relieved: Tally,
    clouds: Vec<Cloud>,
    spoilt: Spoilt,
    wells: Wells,
}

/// One machine.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    site: usize,
    machine: usize,
    row: MinerRow,
    truth: Option<MachineTruth>,
    /// The first interval at whose price it pays to run, and in which it does.
    first_paid: Option<Interval>,
    /// The latest intervals in which it was seen to run.
    ran_in: BTreeSet<Interval>,
}

/// A cloud, and what it takes from sites with machines.
#[derive(Clone, Debug)]
struct Cloud {
    began: Timestamp,
    ended: Option<Timestamp>,
    sites: Vec<Under>,
}

/// A site under a cloud; all powers in mW.
#[derive(Clone, Copy, Debug)]
struct Under {
    site: usize,
    /// What its machines drew before.
    before_mw: i64,
    /// What they have to give back.
    due_mw: i64,
    /// The least that they drew since.
    least_mw: i64,
    /// How long that took.
    shed_ms: Option<u64>,
}

impl Watch {
    /// The machines of a park at sites of these names.
    #[must_use]
    pub fn new(park: &Park, timing: &Timing, names: &[String]) -> Self {
        let machines = park.stands.iter().map(|stand| Seen {
            site: stand.is.spec.site,
            machine: stand.is.machine,
            row: MinerRow {
                site: names.get(stand.is.spec.site).cloned().unwrap_or_default(),
                name: stand.name.clone(),
                ..MinerRow::default()
            },
            truth: None,
            first_paid: None,
            ran_in: BTreeSet::new(),
        });
        Self {
            timing: *timing,
            on_ms: park.on_ms,
            off_ms: park.off_ms,
            starts_max: park.starts_max,
            machines: machines.collect(),
            reactions: BTreeMap::new(),
            budgets_mw: BTreeMap::new(),
            asked_at: Timestamp::default(),
            overloaded_since: None,
            relieved: Tally::default(),
            clouds: Vec::new(),
            spoilt: Spoilt::default(),
            wells: Wells::new(&park.wells, names, timing.interval_ms),
        }
    }

    /// A machine misbehaves from now on, by its number in the park.
    pub fn fault_begins(
        &mut self,
        (number, has_relay): (usize, bool),
        fault: Fault,
        now: Timestamp,
    ) {
        self.spoilt.begin((number, has_relay), fault, now);
    }

    /// It no longer does.
    pub fn fault_ends(&mut self, number: usize, now: Timestamp) {
        self.spoilt.end(number, now);
    }

    /// The nodes to ask now, if it is time to.
    pub fn to_ask(&mut self, now: Timestamp) -> Vec<usize> {
        if now.ms_since(self.asked_at) < ASK_EVERY_MS {
            return Vec::new();
        }
        self.asked_at = now;
        let mut sites: Vec<usize> = self.machines.iter().map(|seen| seen.site).collect();
        sites.dedup();
        sites
    }

    /// Takes what nodes say of their machines.
    pub fn hear(&mut self, now: Timestamp, told: &[(usize, DispatchStatus)]) {
        self.wells.hear(told);
        for (node, status) in told {
            if let Some(budget_mw) = status.budget_mw {
                self.budgets_mw.insert(*node, budget_mw);
            }
            if let Some(ms) = status.reaction_ms_p95 {
                self.reactions.insert(*node, (ms, status.reactions));
            }
            let here = self.machines.iter_mut().enumerate();
            for (number, seen) in here.filter(|(_, seen)| seen.site == *node) {
                let said = status.machines.iter().find(|it| it.name == seen.row.name);
                let Some(said) = said else { continue };
                self.spoilt.hear(number, now, said, seen.truth);
                seen.row.trouble = said.trouble.clone().or(seen.row.trouble.take());
                // By what it was worth when it was started first.
                if said.is_in_plan && seen.first_paid.is_none() {
                    seen.row.worth_msat_per_kwh = Some(said.starts_msat_per_kwh);
                }
            }
        }
    }

    /// Notes the price of an interval that is over; none where nothing was decided.
    pub fn priced(&mut self, interval: Interval, price_msat_per_kwh: Option<i64>) {
        self.wells.priced(interval, price_msat_per_kwh);
        let Some(price) = price_msat_per_kwh else { return };
        for seen in &mut self.machines {
            // At the margin it gets a part of what it bids for, if anything.
            let pays = |worth: i64| worth.saturating_sub(price) > NEARLY_MSAT_PER_KWH;
            let pays = seen.row.worth_msat_per_kwh.is_some_and(pays);
            let ran = seen.ran_in.contains(&interval);
            if pays && ran && seen.first_paid.is_none() {
                seen.first_paid = Some(interval);
                seen.row.first_price_msat_per_kwh = Some(price);
            }
        }
    }

    /// Looks at the plant, which has moved on to `now`.
    pub fn look(&mut self, now: Timestamp, plant: &Plant) {
        for seen in &mut self.machines {
            let truth = plant.machines(seen.site).get(seen.machine).copied();
            if truth.is_some_and(|truth| truth.awake) {
                seen.ran_in.insert(self.timing.interval_at(now));
                while seen.ran_in.len() > RAN_MAX {
                    seen.ran_in.pop_first();
                }
            }
            seen.truth = truth;
        }
        self.wells.look(self.timing.interval_at(now), plant);
        self.look_at_transformer(now, plant);
        for cloud in self.clouds.iter_mut().filter(|cloud| cloud.ended.is_none()) {
            for under in &mut cloud.sites {
                let draws_mw = plant.site_truth(under.site).machines.to_milliwatts();
                under.least_mw = under.least_mw.min(draws_mw);
                if under.is_shed() && under.shed_ms.is_none() {
                    under.shed_ms = Some(now.ms_since(cloud.began));
                }
            }
        }
    }

    /// Whether machines leave the transformer with too much for longer than they need to help: those
    /// that stand still while their own site gives what nobody bought, those that run on what nobody
    /// sold. That others do not deliver what they sold no site can see.
    fn look_at_transformer(&mut self, now: Timestamp, plant: &Plant) {
        let state = plant.grid_state();
        let flow_mw = state.transformer.to_milliwatts();
        let over_mw = flow_mw.abs().saturating_sub(state.transformer_rated.to_milliwatts());
        let mut help_mw = 0_i64;
        for (site, machines) in self.by_site() {
            let Some(budget_mw) = self.budgets_mw.get(&site) else { continue };
            let draws_mw: i64 = machines.iter().map(|it| it.power.to_milliwatts()).sum();
            let able_mw = if flow_mw < 0 {
                let rated_mw: i64 = machines.iter().map(|it| it.rating.rated.to_milliwatts()).sum();
                rated_mw.min(*budget_mw).saturating_sub(draws_mw)
            } else {
                draws_mw.saturating_sub((*budget_mw).max(0))
            };
            help_mw = help_mw.saturating_add(able_mw.max(0));
        }
        self.judge_overload(now, over_mw, help_mw);
    }

    /// Machines that could help by so much do not leave the transformer with too much for long.
    fn judge_overload(&mut self, now: Timestamp, over_mw: i64, help_mw: i64) {
        if over_mw <= 0 || help_mw < over_mw {
            self.overloaded_since = None;
            self.relieved.check(true, String::new);
            return;
        }
        let since = *self.overloaded_since.get_or_insert(now);
        let lasts_ms = now.ms_since(since);
        let patience_ms = RELIEF_MS.saturating_add(self.on_ms.max(self.off_ms));
        self.relieved.check(lasts_ms <= patience_ms, || {
            format!(
                "{} W too much flow through the transformer for {lasts_ms} ms, and machines that \
                 could help by {} W do not",
                over_mw / 1_000,
                help_mw / 1_000
            )
        });
    }

    fn by_site(&self) -> BTreeMap<usize, Vec<MachineTruth>> {
        let mut sites: BTreeMap<usize, Vec<MachineTruth>> = BTreeMap::new();
        for seen in &self.machines {
            sites.entry(seen.site).or_default().extend(seen.truth);
        }
        sites
    }

    /// A cloud comes that leaves so much of 100, before it does; 100 ends the last one.
    pub fn cloud(&mut self, now: Timestamp, sun_percent: u32, plant: &Plant) {
        if let Some(cloud) = self.clouds.last_mut().filter(|cloud| cloud.ended.is_none()) {
            cloud.ended = Some(now);
        }
        if sun_percent >= 100 {
            return;
        }
        let under = |site: usize| {
            let truth = plant.site_truth(site);
            let left = i64::from(sun_percent);
            let clear_mw = truth.pv_potential.to_milliwatts().saturating_neg();
            let gives_mw = truth.pv.to_milliwatts().saturating_neg();
            let lost_mw = gives_mw.saturating_sub(clear_mw.saturating_mul(left) / 100);
            // What it gave away before is missing to others first, and what it bought and did not take
            // it may take now.
            let given_mw = truth.net.to_milliwatts().saturating_neg();
            let before_mw = truth.machines.to_milliwatts();
            let budget_mw = self.budgets_mw.get(&site).copied().unwrap_or(before_mw);
            let spare_mw = given_mw.max(budget_mw.saturating_sub(before_mw)).max(0);
            let due_mw = lost_mw.saturating_sub(spare_mw).min(before_mw);
            Under { site, before_mw, due_mw, least_mw: before_mw, shed_ms: None }
        };
        let sites: Vec<Under> = self.by_site().into_keys().map(under).collect();
        let sites = sites.into_iter().filter(|under| under.due_mw >= SHED_MIN_MW).collect();
        self.clouds.push(Cloud { began: now, ended: None, sites });
    }

    /// What the report says of machines.
    #[must_use]
    pub fn report(&self) -> MiningReport {
        let truths = || self.machines.iter().filter_map(|seen| seen.truth);
        let mined = truths().map(|truth| truth.mined).fold(Energy::ZERO, Energy::saturating_add);
        let shed = self.clouds.iter().flat_map(|cloud| &cloud.sites);
        MiningReport {
            mined_mwh: mined.to_milliwatt_hours(),
            miner_starts: truths().map(|truth| truth.starts).fold(0, u32::saturating_add),
            reaction_ms_p95: self.reactions.values().map(|(ms, _)| *ms).max(),
            reactions: self
                .reactions
                .values()
                .map(|(_, count)| *count)
                .fold(0, u32::saturating_add),
            shed_ms_max: shed.filter_map(|under| under.shed_ms).max(),
            gas: self.wells.rows(),
            miners: self.machines.iter().map(Seen::row).collect(),
            machine_faults: self.spoilt.rows(|number| self.machines.get(number).map(Seen::row)),
            ..MiningReport::default()
        }
    }

    /// What must hold.
    #[must_use]
    pub fn verdicts(&self) -> Vec<InvariantRow> {
        let rows = [
            ("machines_start_in_the_order_of_their_break_evens", self.in_order()),
            ("no_machine_is_switched_more_often_than_it_may_be", self.within_habits()),
            ("a_cloud_sheds_machines", self.shed()),
            ("machines_relieve_the_transformer", self.relieved.clone()),
            (
                "faulty_machines_end_safe_and_explained",
                self.spoilt
                    .verdict(|number| self.machines.get(number).map(Seen::is).unwrap_or_default()),
            ),
        ];
        let rows = rows.map(|(name, tally)| tally.row(name));
        let rows = rows.into_iter().filter(|row| row.checked > 0);
        rows.chain(self.wells.verdicts()).collect()
    }

    /// As prices fall, machines run no later than others to which power is worth less: in the first
    /// interval at whose price it pays. What starts before, on surplus of its own site, is not judged;
    /// and of machines of one site to which power is worth the same the first one is, since the last of
    /// them lacks what the site's sun gives less than was expected when it ordered.
    fn in_order(&self) -> Tally {
        let mut rows: BTreeMap<(usize, i64), (Option<Interval>, String)> = BTreeMap::new();
        for seen in self.spoilt.sound(&self.machines) {
            let Some(worth) = seen.row.worth_msat_per_kwh else { continue };
            let row = rows.entry((seen.site, worth)).or_insert_with(|| (None, seen.is()));
            if seen.first_paid.is_some_and(|it| row.0.is_none_or(|first| it < first)) {
                *row = (seen.first_paid, seen.is());
            }
        }
        let mut tally = Tally::default();
        for ((_, more), (dearer, one)) in &rows {
            for ((_, less), (cheaper, other)) in &rows {
                let Some(started) = cheaper else { continue };
                if more.saturating_sub(*less) <= NEARLY_MSAT_PER_KWH {
                    continue;
                }
                let by = started.plus(EARLY_INTERVALS);
                tally.check(dearer.is_some_and(|it| it <= by), || {
                    let began =
                        dearer.map_or_else(|| "never".to_owned(), |it| format!("in interval {it}"));
                    format!(
                        "{other} starts in interval {started}, and {one}, to which power is worth \
                         more, {began}"
                    )
                });
            }
        }
        tally
    }

    fn within_habits(&self) -> Tally {
        let mut tally = Tally::default();
        // A command may wait for a tick, and the one after it not.
        let slack_ms = self.timing.interval_ms.saturating_mul(2) / TICKS_PER_INTERVAL;
        for seen in self.spoilt.sound(&self.machines) {
            let Some(truth) = seen.truth else { continue };
            let is = seen.is();
            let long_enough = |ms: Option<u64>, least_ms: u64| {
                ms.is_none_or(|ms| ms.saturating_add(slack_ms) >= least_ms)
            };
            tally.check(long_enough(truth.run_ms_min, self.on_ms), || {
                format!("{is} ran for {:?} ms only", truth.run_ms_min)
            });
            tally.check(long_enough(truth.rest_ms_min, self.off_ms), || {
                format!("{is} stood still for {:?} ms only", truth.rest_ms_min)
            });
            tally.check(truth.starts <= self.starts_max, || {
                format!("{is} was started {} times", truth.starts)
            });
        }
        tally
    }

    fn shed(&self) -> Tally {
        let mut tally = Tally::default();
        let needed_ms = self.on_ms.saturating_add(RELIEF_MS);
        for cloud in &self.clouds {
            let Some(ended) = cloud.ended else { continue };
            if ended.ms_since(cloud.began) < needed_ms {
                continue;
            }
            for under in &cloud.sites {
                tally.check(under.is_shed(), || {
                    let Under { site, before_mw, due_mw, least_mw, .. } = under;
                    format!(
                        "site {site}: a cloud took {} W from machines that drew {} W, and they \
                         went on with {} W",
                        due_mw / 1_000,
                        before_mw / 1_000,
                        least_mw / 1_000
                    )
                });
            }
        }
        tally
    }
}

impl Under {
    fn is_shed(&self) -> bool {
        let gave_mw = self.before_mw.saturating_sub(self.least_mw);
        gave_mw.saturating_mul(100) >= self.due_mw.saturating_mul(SHED_PERCENT_MIN)
    }
}

impl Seen {
    fn is(&self) -> String {
        format!("{} at {}", self.row.name, self.row.site)
    }

    fn row(&self) -> MinerRow {
        let row = self.row.clone();
        let first_paid_interval = self.first_paid.map(Interval::to_number);
        let Some(truth) = self.truth else { return MinerRow { first_paid_interval, ..row } };
        MinerRow {
            first_paid_interval,
            starts: truth.starts,
            mined_mwh: truth.mined.to_milliwatt_hours(),
            run_ms_min: truth.run_ms_min,
            rest_ms_min: truth.rest_ms_min,
            ..row
        }
    }
}

#[cfg(test)]
mod tests;
