//! The loop: a sample comes, or an edge comes near; the plan is made, and machines are told.

mod shown;
mod well;
mod wishes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_miners::effect::Notice;
use boltgrid_miners::emissions::Account;
use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::machine::SetPoint;
use boltgrid_miners::plan::{Conditions, plan, room};
use boltgrid_miners::react::{self, Draws, Limits, Shown, Target};
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::units::{Power, Timestamp};
use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::MiningConfig;
use super::aim::{Targets, planned};
use super::bids::Mining;
use super::desk::{Asked, DispatchDesk, DispatchStatus, Log, WISHES_MAX};
use super::gas::{self, Opened, Well};
use super::hand::{Hand, Report, Wanted};
use super::hashprice;
use super::kept::{self, Kept, KeptError};
use super::member::{Member, grant};
use super::places::Warmed;
use super::reaction::{Reactions, Sampled};
use super::ruling::{Around, Ruling};
use super::thermometer;
use crate::clock;
use crate::live::{Live, News};
use crate::site::{SiteState, SiteWatch};
use crate::stratum::WorkerStatus;

/// Reports of hands waiting.
const REPORTS_MAX: usize = 256;
/// Temperatures waiting; what comes while there are more is told again soon.
const TEMPERATURES_MAX: usize = 64;
/// Decisions that are kept.
const DECISIONS_MAX: usize = 200;
/// Without a sample the machines are looked at after this time anyway.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Machines are told of the next interval at most this part of one before it starts.
const LEAD_DIVISOR: u64 = 10;

/// What was learnt is kept this often.
const KEEP_EVERY_MS: u64 = 60_000;

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
    well: Option<Well>,
    well_hand: Option<gas::Hand>,
    account: watch::Sender<Arc<Account>>,
    /// What workers proved.
    workers: watch::Receiver<Arc<[WorkerStatus]>>,
    /// What is to be known after a restart, and since when.
    kept: watch::Sender<Kept>,
    kept_at: Timestamp,
    stop_hands: CancellationToken,
    live: Live,
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
        (site, targets, live): (SiteWatch, watch::Receiver<Targets>, Live),
        workers: watch::Receiver<Arc<[WorkerStatus]>>,
    ) -> Result<(Self, DispatcherEnds), KeptError> {
        let before = mining.kept_file.as_deref().map_or_else(|| Ok(Kept::new()), kept::read)?;
        let account: Account =
            mining.account_file.as_deref().map_or_else(|| Ok(Account::default()), kept::read)?;
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
        let opened = mining.gas.clone().map(|gas| Well::open(gas, account.clone()));
        let (well, well_hand) = opened.map(|Opened { well, hand }| (well, hand)).unzip();
        let (account, account_watch) = watch::channel(Arc::new(account));
        let ends = DispatcherEnds {
            desk: DispatchDesk { wishes: wish, status: status_watch, account: account_watch },
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
            well,
            well_hand,
            account,
            workers,
            kept: watch::channel(before).0,
            kept_at: clock::now(),
            stop_hands,
            live,
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
        let (gas, accounts) = (self.well_hand.take(), self.account.subscribe());
        let (account_file, gas_stop) = (self.mining.account_file.clone(), self.stop_hands.clone());
        let accounting = kept::keep(account_file, accounts, stop_keeping.clone());
        let burn = async move {
            if let Some(hand) = gas {
                hand.run(gas_stop).await;
            }
        };
        let places = self.places.iter().enumerate();
        let probes =
            places.flat_map(|(place, it)| it.probes().map(move |(probe, is)| (place, probe, is)));
        let (probes, self_stop) = (probes.collect(), self.stop_hands.clone());
        let (shows, shown) = mpsc::channel(TEMPERATURES_MAX);
        let react = async {
            self.react_until(&stop, hashprices, shown).await;
            self.remember();
            stop_keeping.cancel();
            hands_stop.cancel();
        };
        let warm = thermometer::follow(probes, shows, self_stop);
        // In one task: a command never waits for another task to be woken.
        tokio::join!(react, hands, price, keeping, warm, burn, accounting);
    }

    async fn react_until(
        &mut self,
        stop: &CancellationToken,
        mut hashprices: watch::Receiver<Option<Hashprice>>,
        mut shown: mpsc::Receiver<thermometer::Shown>,
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
                Some((place, probe, m_celsius)) = shown.recv() => {
                    let now = clock::now();
                    let place = self.places.get_mut(place);
                    if place.is_some_and(|it| !it.shown(now, probe, m_celsius)) {
                        warn!(?probe, m_celsius, "a thermometer shows what cannot be");
                    }
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
        if let Some(well) = &mut self.well {
            self.account.send_replace(Arc::new(well.enter(self.kept_at).clone()));
        }
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
        let conditions = self.with_generator(now, conditions, (draws, &target));
        let conditions = Conditions { emergency, ..conditions };
        self.conditions = Some(conditions);
        self.warm(now);
        self.judge(now, draws);
        let places: Vec<usize> = (0..self.members.len())
            .filter(|place| self.members.get(*place).is_some_and(|it| it.known.is_some()))
            .collect();
        let machines: Vec<_> =
            self.members.iter().filter_map(|member| member.planned(now)).collect();
        let decisions = plan(&conditions, &machines);
        let left = room(&conditions, &machines, &decisions);
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
                let decision = Log { at_unix_ms, machine, set_point_mw, reason };
                self.live.tell(|| News::Decision(decision.clone()));
                self.decisions.push_back(decision);
            }
        }
        grant(&self.members, left);
        if is_switched || now.ms_since(self.kept_at) >= KEEP_EVERY_MS {
            self.remember();
        }
        while self.decisions.len() > DECISIONS_MAX {
            self.decisions.pop_front();
        }
        let next = self.charter.interval.interval_at(now).next();
        let starts = self.charter.interval.start_of(next);
        let bids = Mining::of(&self.members, now, starts);
        let bids = Mining { generation: self.generation(now, starts), ..bids };
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
    fn judge(&mut self, now: Timestamp, draws: Draws) {
        let interval = self.charter.interval.interval_at(now);
        let aim = self.targets.borrow().get(&interval).copied();
        let state = self.site.state.borrow();
        let recent = |state: &&SiteState| {
            state.stale.is_none() && now.ms_since(state.at) <= react::SAMPLE_MS_MAX
        };
        let site = state.as_ref().filter(recent);
        let around = Around {
            now,
            local_ms: self.charter.tariff.clock.local_ms(now),
            site,
            own: site.map(|site| self.ruling.own(now, site, draws)),
            price: aim.map(|aim| aim.price),
            next_hour: aim.and_then(|aim| aim.next_hour),
            sun: self.mining.place.and_then(|place| place.sun_millidegrees(now)),
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
