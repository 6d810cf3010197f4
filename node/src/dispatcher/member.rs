//! One machine of the site: what is known of it, what it was told, and when it was switched.

use std::collections::VecDeque;
use std::sync::Arc;

use boltgrid_miners::break_even::{BreakEven, Inputs, Worth, run_energy};
use boltgrid_miners::effect::Standing as Effect;
use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::heat::Heating;
use boltgrid_miners::learnt::Learnt;
use boltgrid_miners::machine::{Abilities, Control, SetPoint};
use boltgrid_miners::plan::{Decision, Habits, Machine, Past, Reason, Say};
use boltgrid_miners::react::Draws;
use boltgrid_protocol::units::{Power, Timestamp};
use tokio::sync::watch;

use super::hand::{Known, Wanted};
use super::kept::KeptMachine;
use super::ruling::Ruled;
use super::{MinerConfig, MiningConfig};

/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;
/// Starts that are remembered at most; no owner allows more in a day.
pub(crate) const STARTS_MAX: usize = 1_000;
/// A machine runs if it draws more than this part of its rating.
const RUNS_DIVISOR: i64 = 10;

/// Lets machines that are cut off have power again, as far as there is room for all that they can draw.
pub(super) fn grant(members: &[Member], left: Power) {
    members.iter().fold(left, |left, member| member.grant(left));
}

/// One machine.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) miner: MinerConfig,
    pub(super) habits: Habits,
    pub(super) wanted: watch::Sender<Wanted>,
    /// Whether it may have power again, should it be cut off.
    restart: watch::Sender<bool>,
    /// What is known of it; none until it is found.
    pub(super) known: Option<Known>,
    /// What the last plan that changed anything wants of it.
    pub(super) ordered: Option<SetPoint>,
    pub(super) switched_at: Option<Timestamp>,
    /// When it was started within the last day.
    starts: VecDeque<Timestamp>,
    /// How often it was started since the node runs.
    pub(super) starts_ever: u64,
    /// What it drew when it was ordered that.
    drew_before: Power,
    /// What its owner said, and until when that counts.
    pub(super) owner: Option<(SetPoint, Timestamp)>,
    pub(super) break_even: BreakEven,
    pub(super) decision: Option<Decision>,
    /// What is wrong with it, in words.
    pub(super) trouble: Option<String>,
    /// What the place asks of it that it warms, where there is one …
    pub(super) heating: Option<Heating>,
    /// … and how warm that is, in thousandths of a degree Celsius, where that is known.
    pub(super) inside_m_celsius: Option<i32>,
    /// The rule that decides for it; none where the plan does.
    pub(super) ruled: Option<Ruled>,
    /// What each rule came to, in words.
    pub(super) rules: Vec<String>,
    /// Whether it was told to run, and when that was said, before the node was started.
    before: Option<(Timestamp, bool)>,
    /// What was learnt of it before.
    learnt_before: Arc<Learnt>,
}

impl Member {
    pub(super) fn new(
        miner: MinerConfig,
        habits: Habits,
        (wanted, restart): (watch::Sender<Wanted>, watch::Sender<bool>),
        kept: &KeptMachine,
    ) -> Self {
        let starts = kept.starts_unix_ms.iter().copied().rev().take(STARTS_MAX);
        Self {
            miner,
            habits,
            wanted,
            restart,
            known: None,
            ordered: None,
            switched_at: None,
            starts: starts.rev().collect(),
            starts_ever: 0,
            drew_before: Power::ZERO,
            owner: None,
            break_even: BreakEven::default(),
            decision: None,
            trouble: None,
            heating: None,
            inside_m_celsius: None,
            ruled: None,
            rules: Vec::new(),
            before: kept.switched_unix_ms.map(|at| (at, kept.runs)),
            learnt_before: Arc::clone(&kept.learnt),
        }
    }

    /// Takes what its hand says. A machine that is found as it was told before the node was started was
    /// switched then; of any other what was before the node looked is not known, so it counts as
    /// switched when it is found.
    pub(super) fn know(&mut self, now: Timestamp, known: Option<Known>) {
        let is_found = self.known.is_none() && known.is_some();
        self.known = known.or(self.known.take());
        if is_found {
            let runs = self.known.as_ref().is_some_and(|known| self.told(known) != SetPoint::Off);
            let before = self.before.filter(|(at, did_run)| *did_run == runs && *at <= now);
            self.switched_at = Some(before.map_or(now, |(at, _)| at));
        }
    }

    /// What is to be known of it after a restart.
    pub(super) fn kept(&self) -> KeptMachine {
        let runs = self.known.as_ref().is_some_and(|known| self.told(known) != SetPoint::Off);
        let (switched_unix_ms, runs) = match (self.switched_at, self.before) {
            (Some(at), _) => (Some(at), runs),
            (None, before) => (before.map(|(at, _)| at), before.is_some_and(|(_, runs)| runs)),
        };
        let learnt = self.known.as_ref().map(|known| Arc::clone(&known.learnt));
        KeptMachine {
            starts_unix_ms: self.starts.clone(),
            switched_unix_ms,
            runs,
            learnt: learnt.unwrap_or_else(|| Arc::clone(&self.learnt_before)),
        }
    }

    /// Reckons its break-even anew.
    pub(super) fn reckon(&mut self, mining: &MiningConfig, hashprice: Option<Hashprice>) {
        let Some(known) = &self.known else { return };
        let run = run_energy(known.abilities.most(), self.habits.on_ms_min);
        self.break_even = BreakEven::of(&Inputs {
            hashprice,
            efficiency: known.efficiency,
            pool_fee_ppm: mining.pool_fee_ppm,
            wear: mining.wear,
            start: mining.start,
            run,
            heat: self.heating.and_then(|heating| heating.value),
        });
    }

    pub(super) fn worth(&self) -> Worth {
        self.break_even.worth(self.miner.owned.appetite)
    }

    /// The machine as a plan sees it; none until it is found.
    pub(super) fn planned(&self, now: Timestamp) -> Option<Machine<'_>> {
        let known = self.known.as_ref()?;
        let since = now.minus_ms(DAY_MS);
        let starts = self.starts.iter().filter(|at| **at > since).count();
        let starts_of_a_day = u32::try_from(starts).unwrap_or(u32::MAX);
        let say = match self.owner {
            _ if !known.standing.is_in_plan() => Say::Nobody { draws: known.assumed },
            Some((set_point, until)) if now < until => Say::Owner { set_point, until },
            Some(_) | None if self.heating.is_some_and(|it| it.is_too_hot) => Say::TooHot,
            Some(_) | None => self.rule(now, known, starts_of_a_day).map_or(Say::Plan, |ruled| {
                Say::Rule { set_point: ruled.set_point, number: ruled.number }
            }),
        };
        Some(Machine {
            abilities: &known.abilities,
            worth: self.worth(),
            heat_is_due: self.heating.is_some_and(|heating| heating.is_due),
            told: self.told(known),
            habits: self.habits,
            past: Past { switched_at: self.switched_at, starts_of_a_day },
            say,
        })
    }

    /// The rule that decides for it now. None starts a machine sooner or more often than its owner
    /// allows any to.
    fn rule(&self, now: Timestamp, known: &Known, starts_of_a_day: u32) -> Option<&Ruled> {
        let ruled = self.ruled.as_ref()?;
        let starts = ruled.set_point != SetPoint::Off && self.told(known) == SetPoint::Off;
        let rests = |at: Timestamp| now < at.plus_ms(self.habits.off_ms_min);
        let may_start = starts_of_a_day < self.habits.starts_per_day_max
            && !self.switched_at.is_some_and(rests);
        (!starts || may_start).then_some(ruled)
    }

    /// Why it is to do what it is to do, in words; none before the first plan.
    pub(super) fn reason(&self) -> Option<String> {
        let reason = self.decision?.reason;
        let by_rule =
            matches!(reason, Reason::Rule { .. }).then_some(self.ruled.as_ref()).flatten();
        Some(by_rule.map_or_else(|| reason.to_string(), |ruled| ruled.because.clone()))
    }

    /// What it was told, or is seen to do if it was told nothing.
    fn told(&self, known: &Known) -> SetPoint {
        let seen = || {
            let power = known.seen.and_then(|seen| seen.power).unwrap_or(Power::ZERO);
            let rated = known.abilities.rated.to_milliwatts();
            let runs = power.to_milliwatts() > rated / RUNS_DIVISOR;
            if runs { SetPoint::Run { power_mw: power } } else { SetPoint::Off }
        };
        if known.abilities.control == Control::Nothing {
            return seen();
        }
        self.ordered.or(known.told).unwrap_or_else(seen)
    }

    /// What it draws beyond what it draws asleep, as far as that is known; in a sample of the site's
    /// meter that was taken at `sampled_at` it may not be yet.
    pub(super) fn draws(&self, now: Timestamp, sampled_at: Option<Timestamp>) -> Draws {
        let Some(known) = &self.known else { return Draws::default() };
        let told = known.abilities.draws(self.told(known));
        let power = known.seen_lately(now).and_then(|seen| seen.power);
        let between = |one: Power, other: Power| (one.min(other), one.max(other));
        let (least, most) = match (known.standing, power) {
            (Effect::Settling { .. }, Some(power)) => between(power, told),
            (Effect::Following { since }, Some(power))
                if sampled_at.is_some_and(|at| at < since) =>
            {
                between(power, self.drew_before)
            }
            (Effect::Following { .. } | Effect::Untold, Some(power)) => {
                // A set point that is on its way to its hand is not in its standing yet.
                if known.told.is_none() || known.told == self.ordered {
                    (power, power)
                } else {
                    between(power, told)
                }
            }
            (Effect::Settling { .. } | Effect::Following { .. } | Effect::Untold, None) => {
                (known.abilities.idle, told)
            }
            // Out of the plan: the same amount is taken out of it again.
            (
                Effect::Unresponsive { .. }
                | Effect::ContactLost { .. }
                | Effect::CutOff { .. }
                | Effect::Restored { .. },
                _,
            ) => (known.assumed, known.assumed),
        };
        let idle = known.abilities.idle;
        let above = |power: Power| {
            let mw = power.to_milliwatts().saturating_sub(idle.to_milliwatts());
            Power::from_milliwatts(mw.max(0))
        };
        Draws { least: above(least), most: above(most) }
    }

    /// What it can, if the plan may count on it.
    pub(super) fn counted_on(&self) -> Option<&Abilities> {
        let known = self.known.as_ref()?;
        let is_in_plan = known.standing.is_in_plan() && known.abilities.control != Control::Nothing;
        is_in_plan.then_some(&known.abilities)
    }

    /// Lets it have power again where it is cut off and all that it can draw has room in `left`; says
    /// what is left then for others.
    fn grant(&self, left: Power) -> Power {
        let cut_off = self.known.as_ref().filter(|it| matches!(it.standing, Effect::CutOff { .. }));
        let most = cut_off.map(|it| it.abilities.rated.max(it.abilities.most()));
        let rest = most.and_then(|most| left.checked_sub(most)).filter(|it| *it >= Power::ZERO);
        self.restart.send_replace(rest.is_some());
        rest.unwrap_or(left)
    }

    /// Takes a decision; says whether it is another than before.
    pub(super) fn follow(
        &mut self,
        now: Timestamp,
        cause_at: Timestamp,
        decision: Decision,
    ) -> bool {
        let before = self.decision.replace(decision);
        let is_news = before.is_none_or(|before| {
            before.set_point != decision.set_point || !before.reason.is_same(&decision.reason)
        });
        let Some(set_point) = decision.set_point else { return is_news };
        if self.ordered == Some(set_point) {
            return is_news;
        }
        let did_run = self.known.as_ref().is_some_and(|known| self.told(known) != SetPoint::Off);
        let is_to_run = set_point != SetPoint::Off;
        if did_run != is_to_run {
            self.switched_at = Some(now);
        }
        if is_to_run && !did_run {
            self.starts_ever = self.starts_ever.saturating_add(1);
            self.starts.push_back(now);
            let since = now.minus_ms(DAY_MS);
            while self.starts.len() > STARTS_MAX
                || self.starts.front().is_some_and(|at| *at <= since)
            {
                self.starts.pop_front();
            }
        }
        let seen = self.known.as_ref().and_then(|known| known.seen?.power);
        self.drew_before = seen.unwrap_or(self.drew_before);
        self.ordered = Some(set_point);
        self.wanted.send_replace(Wanted { set_point: Some(set_point), cause_at });
        is_news
    }
}
