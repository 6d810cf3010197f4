//! The loop: a sample comes, or an edge comes near; the plan is made, and machines are told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use boltgrid_miners::effect::Notice;
use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::machine::{Control, SetPoint};
use boltgrid_miners::plan::{Conditions, plan, room};
use boltgrid_miners::react::{self, Draws, Limits, Shown, Target};
use boltgrid_protocol::charter::{Charter, Timing};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Interval, Power, Price, Timestamp};
use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::bids::Mining;
use super::desk::{Asked, DispatchDesk, DispatchStatus, FOR_MS_MAX, Log, MachineStatus, Refused};
use super::desk::{WISHES_MAX, Wish};
use super::hand::{Hand, Report, Wanted};
use super::hashprice;
use super::kept::{self, Kept, KeptError};
use super::member::Member;
use super::places::Warmed;
use super::reaction::{Reactions, Sampled};
use super::ruling::{Around, Ruling};
use super::{HashpriceSource, MiningConfig};
use crate::clock;
use crate::site::{SiteState, SiteWatch};

/// Reports of hands waiting.
const REPORTS_MAX: usize = 256;
/// Decisions that are kept.
const DECISIONS_MAX: usize = 200;
/// Without a sample the machines are looked at after this time anyway.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Machines are told of the next interval at most this part of one before it starts.
const LEAD_DIVISOR: u64 = 10;

/// What was learnt is kept this often.
const KEEP_EVERY_MS: u64 = 60_000;

/// What the site is to do in the intervals that are planned.
pub(crate) type Targets = BTreeMap<Interval, Aim>;

/// What the site is to do in one interval, and at which price others trade in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    /// What it is to do.
    pub(crate) target: Target,
    /// The clearing price, or the supplier's where nothing was traded.
    pub(crate) price: Price,
}

/// The dispatcher, yet to be run.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    charter: Arc<Charter>,
    rosters: Rosters,
    participant: ParticipantId,
    mining: MiningConfig,
    site: SiteWatch,
    targets: watch::Receiver<Targets>,
    members: Vec<Member>,
    hands: Vec<Hand>,
    reports: mpsc::Receiver<Report>,
    wishes: mpsc::Receiver<Asked>,
    bids: watch::Sender<Mining>,
    status: watch::Sender<Arc<DispatchStatus>>,
    hashprice: Option<Hashprice>,
    conditions: Option<Conditions>,
    emergency_until: Option<Timestamp>,
    decisions: VecDeque<Log>,
    reactions: Reactions,
    sampled: Sampled,
    shown: Option<Shown>,
    ruling: Ruling,
    places: Vec<Warmed>,
    /// What is to be known after a restart, and since when.
    kept: watch::Sender<Kept>,
    kept_at: Timestamp,
    stop_hands: CancellationToken,
}

/// What others have to do with it.
#[derive(Debug)]
pub(crate) struct DispatcherEnds {
    /// For JSON-RPC.
    pub(crate) desk: DispatchDesk,
    /// For the planner.
    pub(crate) mining: watch::Receiver<Mining>,
}

impl Dispatcher {
    pub(crate) fn new(
        mining: MiningConfig,
        participant: ParticipantId,
        (charter, rosters): (Arc<Charter>, Rosters),
        (site, targets): (SiteWatch, watch::Receiver<Targets>),
    ) -> Result<(Self, DispatcherEnds), KeptError> {
        let before = mining.kept_file.as_deref().map_or_else(|| Ok(Kept::new()), kept::read)?;
        let (report, reports) = mpsc::channel(REPORTS_MAX);
        let (wish, wishes) = mpsc::channel(WISHES_MAX);
        let (bids, mining_watch) = watch::channel(Mining::default());
        let (status, status_watch) = watch::channel(Arc::default());
        let stop_hands = CancellationToken::new();
        let (members, hands) = mining
            .machines
            .iter()
            .enumerate()
            .map(|(place, miner)| {
                let (wanted, wanted_watch) = watch::channel(Wanted::default());
                let (restart, may_restart) = watch::channel(false);
                let kept = before.get(&miner.owned.name).cloned().unwrap_or_default();
                let hand = Hand {
                    place,
                    miner: miner.clone(),
                    wanted: wanted_watch,
                    may_restart,
                    meters: site.meters.clone(),
                    learnt: Arc::clone(&kept.learnt),
                    reports: report.clone(),
                    stop: stop_hands.clone(),
                };
                (Member::new(miner.clone(), mining.habits, (wanted, restart), &kept), hand)
            })
            .unzip();
        let rules = mining.rules.clone();
        let places = mining.places.iter().cloned().map(Warmed::new).collect();
        let ends = DispatcherEnds {
            desk: DispatchDesk { wishes: wish, status: status_watch },
            mining: mining_watch,
        };
        let dispatcher = Self {
            charter,
            rosters,
            participant,
            mining,
            site,
            targets,
            members,
            hands,
            reports,
            wishes,
            bids,
            status,
            hashprice: None,
            conditions: None,
            emergency_until: None,
            decisions: VecDeque::new(),
            reactions: Reactions::default(),
            sampled: Sampled::default(),
            shown: None,
            ruling: Ruling::new(rules),
            places,
            kept: watch::channel(before).0,
            kept_at: clock::now(),
            stop_hands,
        };
        Ok((dispatcher, ends))
    }

    /// Runs until shutdown, and leaves the machines as they are then.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let hands = join_all(std::mem::take(&mut self.hands).into_iter().map(Hand::run));
        let (found, hashprices) = watch::channel(None);
        let source = self.mining.hashprice.clone();
        let price = hashprice::follow(source, found, self.stop_hands.clone());
        let hands_stop = self.stop_hands.clone();
        let (file, stop_keeping) = (self.mining.kept_file.clone(), CancellationToken::new());
        let keeping = kept::keep(file, self.kept.subscribe(), stop_keeping.clone());
        let react = async {
            self.react_until(&stop, hashprices).await;
            self.remember();
            stop_keeping.cancel();
            hands_stop.cancel();
        };
        // In one task: a command never waits for another task to be woken.
        tokio::join!(react, hands, price, keeping);
    }

    async fn react_until(
        &mut self,
        stop: &CancellationToken,
        mut hashprices: watch::Receiver<Option<Hashprice>>,
    ) {
        let mut site_lives = true;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = self.site.state.changed(), if site_lives => {
                    site_lives = changed.is_ok();
                    self.react();
                }
                Some(report) = self.reports.recv() => self.take(report),
                Some((wish, answer)) = self.wishes.recv() => {
                    // Whoever asked may have gone.
                    drop(answer.send(self.wish(wish)));
                    self.react();
                }
                Ok(()) = hashprices.changed() => {
                    self.hashprice = *hashprices.borrow_and_update();
                    self.reckon();
                }
                () = sleep(LOOK_EVERY) => self.react(),
            }
        }
    }

    /// Hands over what is to be known of the machines after a restart.
    fn remember(&mut self) {
        let kept = |member: &Member| (member.miner.owned.name.clone(), member.kept());
        self.kept.send_replace(self.members.iter().map(kept).collect());
        self.kept_at = clock::now();
    }

    fn reckon(&mut self) {
        for member in &mut self.members {
            member.reckon(&self.mining, self.hashprice);
        }
    }

    fn take(&mut self, report: Report) {
        let Report { place, known, sent, notices } = report;
        if let Some((cause_at, sent_at)) = sent {
            self.reactions.note(sent_at.ms_since(cause_at));
        }
        let Some(member) = self.members.get_mut(place) else { return };
        member.know(clock::now(), known);
        member.reckon(&self.mining, self.hashprice);
        for notice in notices {
            member.trouble = match &notice {
                Notice::Recovered { .. } => None,
                // What it does in the end is told by its standing.
                Notice::Followed { .. } => continue,
                Notice::Unresponsive { .. }
                | Notice::ContactLost { .. }
                | Notice::NotCut { .. } => Some(notice.to_string()),
            };
        }
        self.show();
    }

    fn wish(&mut self, wish: Wish) -> Result<(), Refused> {
        let now = clock::now();
        match wish {
            Wish::Emergency { for_ms } if for_ms > FOR_MS_MAX => Err(Refused::Time),
            Wish::Emergency { for_ms } => {
                self.emergency_until = (for_ms > 0).then(|| now.plus_ms(for_ms));
                Ok(())
            }
            Wish::Warm { place, seen } => {
                let found = self.places.iter_mut().find(|it| it.name() == place);
                let Some(found) = found else { return Err(Refused::NoPlace(place)) };
                if found.hear(now, seen) { Ok(()) } else { Err(Refused::Temperature) }
            }
            Wish::Owner { machine, set_point, for_ms } => {
                let member = self.members.iter_mut().find(|it| it.miner.owned.name == machine);
                let Some(member) = member else { return Err(Refused::Unknown(machine)) };
                let Some(set_point) = set_point else {
                    member.owner = None;
                    return Ok(());
                };
                if !(1..=FOR_MS_MAX).contains(&for_ms) {
                    return Err(Refused::Time);
                }
                let set_point = able(member, set_point)
                    .map_err(|problem| Refused::Unable { machine, problem })?;
                member.owner = Some((set_point, now.plus_ms(for_ms)));
                Ok(())
            }
        }
    }

    /// Plans, tells what changed, and shows it.
    fn react(&mut self) {
        let now = clock::now();
        let shown = self.shown();
        let cause_at = self.sampled.caused_at(now, shown.map(|shown| shown.at));
        let mut draws = Draws::default();
        for member in &self.members {
            let of_it = member.draws(now, shown.map(|shown| shown.at));
            draws.least = plus(draws.least, of_it.least);
            draws.most = plus(draws.most, of_it.most);
        }
        let (target, limits) = (self.target(now), self.limits(now));
        let emergency = self.emergency_until.is_some_and(|until| now < until);
        let conditions = react::conditions(now, shown.as_ref(), draws, &target, &limits);
        let conditions = Conditions { emergency, ..conditions };
        self.conditions = Some(conditions);
        self.warm(now);
        self.judge(now, draws.least);
        let places: Vec<usize> = (0..self.members.len())
            .filter(|place| self.members.get(*place).is_some_and(|it| it.known.is_some()))
            .collect();
        let machines: Vec<_> =
            self.members.iter().filter_map(|member| member.planned(now)).collect();
        let decisions = plan(&conditions, &machines);
        let mut left = room(&conditions, &machines, &decisions);
        let mut is_switched = false;
        for (place, decision) in places.into_iter().zip(decisions) {
            let Some(member) = self.members.get_mut(place) else { continue };
            let switched_at = member.switched_at;
            let is_news = member.follow(now, cause_at, decision);
            is_switched |= member.switched_at != switched_at;
            if is_news {
                let set_point_mw = decision.set_point.map(milliwatts);
                let machine = member.miner.owned.name.clone();
                let reason = member.reason().unwrap_or_default();
                info!(
                    target: "boltgrid::event::dispatch", %machine, ?set_point_mw,
                    reason = %reason, budget_mw = conditions.budget_most.to_milliwatts(),
                    "decided"
                );
                let at_unix_ms = now.to_unix_ms();
                self.decisions.push_back(Log { at_unix_ms, machine, set_point_mw, reason });
            }
        }
        for member in &self.members {
            left = member.grant(left);
        }
        if is_switched || now.ms_since(self.kept_at) >= KEEP_EVERY_MS {
            self.remember();
        }
        while self.decisions.len() > DECISIONS_MAX {
            self.decisions.pop_front();
        }
        let next = self.charter.interval.interval_at(now).next();
        let starts = self.charter.interval.start_of(next);
        let bids = Mining::of(&self.members, now, starts);
        self.bids.send_if_modified(|before| {
            let is_news = *before != bids;
            *before = bids;
            is_news
        });
        self.show();
    }

    /// What the site's meter showed last that could be relied on; how old that may be is for the
    /// reactive loop to say. A sample that is missed now and then changes nothing.
    fn shown(&mut self) -> Option<Shown> {
        let state = self.site.state.borrow_and_update();
        let state = state.as_ref().filter(|state| state.stale.is_none());
        let shown = state.map(|state| Shown {
            at: state.at,
            power: state.power_mw,
            frequency_mhz: state.frequency_mhz,
            voltage_mv: state.voltage_mv,
        });
        self.shown = shown.or(self.shown);
        self.shown
    }

    /// What the site is to do: in the present interval or, as machines need time, in the one that is
    /// about to start, once that is planned. What nobody planned is bought from and sold to the
    /// supplier.
    fn target(&self, now: Timestamp) -> Target {
        let timing = &self.charter.interval;
        let lead_max = timing.interval_ms.checked_div(LEAD_DIVISOR).unwrap_or(0);
        let able = self.members.iter().filter_map(Member::counted_on);
        let slowest = able.map(|abilities| abilities.settle_ms).max().unwrap_or(0);
        let planned =
            planned(&self.targets.borrow(), timing, (now, now.plus_ms(slowest.min(lead_max))));
        let interval = timing.interval_at(now);
        planned.map(|aim| aim.target).unwrap_or_else(|| {
            let prices = self.charter.tariff.at(timing.start_of(interval));
            Target {
                net: Power::ZERO,
                mining: Power::ZERO,
                spare_brings: prices.feed_in_msat_per_kwh,
                lack_costs: prices.retail_msat_per_kwh,
            }
        })
    }

    /// Works out what places ask of the machines that warm them.
    fn warm(&mut self, now: Timestamp) {
        for place in &mut self.places {
            place.reckon(now, self.charter.interval.interval_ms);
            let warming = self.members.iter_mut();
            for member in warming.filter(|it| place.is_warmed_by(&it.miner.owned.name)) {
                let value = member.heating.and_then(|heating| heating.value);
                member.heating = Some(place.heating);
                member.inside_m_celsius = place.seen(now).inside_m_celsius;
                if value != place.heating.value {
                    member.reckon(&self.mining, self.hashprice);
                }
            }
        }
    }

    /// Has the owner's rules say what they come to.
    fn judge(&mut self, now: Timestamp, machines: Power) {
        let interval = self.charter.interval.interval_at(now);
        let price = self.targets.borrow().get(&interval).map(|aim| aim.price);
        let state = self.site.state.borrow();
        let recent = |state: &&SiteState| {
            state.stale.is_none() && now.ms_since(state.at) <= react::SAMPLE_MS_MAX
        };
        let around = Around {
            now,
            local_ms: self.charter.tariff.clock.local_ms(now),
            site: state.as_ref().filter(recent),
            machines,
            price,
            hashprice: self.hashprice,
        };
        for member in &mut self.members {
            (member.ruled, member.rules) = self.ruling.judge(member, &around);
        }
    }

    fn limits(&mut self, now: Timestamp) -> Limits {
        let interval = self.charter.interval.interval_at(now);
        let roster = self.rosters.at(interval);
        let place = roster.index_of(&self.participant);
        let member = place.and_then(|place| roster.member(place));
        // Who is no member has no connection point that anybody vouched for.
        let import_max = member.map_or(Power::ZERO, |member| member.enrolment.rated_import_mw);
        let MiningConfig { machines_max, step_max, starts_max, support, .. } = self.mining;
        Limits { import_max, machines_max, step_max, starts_max, support }
    }

    fn show(&self) {
        let machines = self.members.iter().map(status_of).collect();
        let conditions = self.conditions.as_ref();
        let status = DispatchStatus {
            hashprice_msat_per_th_day: self.hashprice.map(Hashprice::to_msat_per_th_day),
            hashprice_source: match &self.mining.hashprice {
                HashpriceSource::Fixed(_) => "the config file".to_owned(),
                HashpriceSource::Chain(source) => source.to_string(),
                HashpriceSource::Unknown => "nowhere".to_owned(),
            },
            budget_mw: conditions.map(|it| it.budget_least.to_milliwatts()),
            spare_brings_msat_per_kwh: conditions.map(|it| it.spare_brings.to_msat_per_kwh()),
            reaction_ms_p95: self.reactions.ms_p95(),
            reactions: u32::try_from(self.reactions.count()).unwrap_or(u32::MAX),
            emergency_until_unix_ms: self.emergency_until.map(Timestamp::to_unix_ms),
            places: self.places.iter().map(|place| place.status(clock::now())).collect(),
            machines,
            decisions: self.decisions.iter().cloned().collect(),
        };
        self.status.send_replace(Arc::new(status));
    }
}

/// What is planned for the interval of `ahead`; while that is not planned yet, what is for `now`'s.
fn planned(
    targets: &Targets,
    timing: &Timing,
    (now, ahead): (Timestamp, Timestamp),
) -> Option<Aim> {
    let of = |at| targets.get(&timing.interval_at(at));
    of(ahead).or_else(|| of(now)).copied()
}

/// The set point that a machine can take which is nearest below what its owner wants.
fn able(member: &Member, wanted: SetPoint) -> Result<SetPoint, String> {
    let Some(known) = &member.known else { return Err("it is not found yet".to_owned()) };
    let abilities = &known.abilities;
    if abilities.control == Control::Nothing {
        return Err("it can only be looked at".to_owned());
    }
    let SetPoint::Run { power_mw } = wanted else { return Ok(SetPoint::Off) };
    match abilities.within(power_mw) {
        Some(set_point @ SetPoint::Run { .. }) => Ok(set_point),
        Some(SetPoint::Off) | None => {
            Err(format!("it draws at least {} while it runs", abilities.least()))
        }
    }
}

fn status_of(member: &Member) -> MachineStatus {
    let known = member.known.as_ref();
    let seen = known.and_then(|known| known.seen);
    let (parts, worth) = (member.break_even, member.worth());
    MachineStatus {
        name: member.miner.owned.name.clone(),
        about: known.map(|known| known.about.to_string()),
        power_mw: seen.and_then(|seen| seen.power).map(Power::to_milliwatts),
        hash_rate_gh_per_s: seen.and_then(|seen| seen.hash_rate).map(|it| it.to_gigahashes()),
        efficiency_mj_per_th: known
            .and_then(|known| known.efficiency)
            .map(|efficiency| efficiency.to_millijoules()),
        goes_on_msat_per_kwh: worth.to_go_on.to_msat_per_kwh(),
        starts_msat_per_kwh: worth.to_start.to_msat_per_kwh(),
        break_even_msat_per_kwh: parts.to_go_on().to_msat_per_kwh(),
        hashing_msat_per_kwh: parts.hashing_msat_per_kwh.to_msat_per_kwh(),
        pool_fee_msat_per_kwh: parts.pool_fee_msat_per_kwh.to_msat_per_kwh(),
        wear_msat_per_kwh: parts.wear_msat_per_kwh.to_msat_per_kwh(),
        heat_msat_per_kwh: parts.heat_msat_per_kwh.to_msat_per_kwh(),
        start_msat_per_kwh: parts.start_msat_per_kwh.to_msat_per_kwh(),
        set_point_mw: member.decision.and_then(|it| it.set_point).map(milliwatts),
        reason: member.reason(),
        rules: member.rules.clone(),
        is_in_plan: known.is_some_and(|known| known.standing.is_in_plan()),
        trouble: member.trouble.clone(),
        starts: member.starts_ever,
    }
}

const fn milliwatts(set_point: SetPoint) -> i64 {
    match set_point {
        SetPoint::Off => 0,
        SetPoint::Run { power_mw } => power_mw.to_milliwatts(),
    }
}

fn plus(power: Power, other: Power) -> Power {
    Power::from_milliwatts(power.to_milliwatts().saturating_add(other.to_milliwatts()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::grid_for_tests;

    #[test]
    fn the_next_interval_counts_before_its_edge_only_once_it_is_planned() {
        let (_, (charter, _)) = grid_for_tests();
        let timing = &charter.interval;
        let first = Interval::from_number(1_000);
        let target = |watts| Aim {
            target: Target {
                net: Power::from_watts(watts).expect("some watts"),
                mining: Power::ZERO,
                spare_brings: Price::ZERO,
                lack_costs: Price::ZERO,
            },
            price: Price::ZERO,
        };
        let now = timing.start_of(first.next()).minus_ms(1);
        let ahead = timing.start_of(first.next());
        let mut targets = Targets::from([(first, target(1))]);
        assert_eq!(planned(&targets, timing, (now, ahead)), Some(target(1)));
        targets.insert(first.next(), target(2));
        assert_eq!(planned(&targets, timing, (now, ahead)), Some(target(2)));
        assert_eq!(planned(&targets, timing, (now, now)), Some(target(1)));
        assert_eq!(planned(&Targets::new(), timing, (now, ahead)), None);
    }
}
