//! One machine of the site: what is known of it, what it was told, and when it was switched.

use std::collections::VecDeque;

use boltgrid_miners::break_even::{BreakEven, Inputs, Worth, run_energy};
use boltgrid_miners::effect::Standing as Effect;
use boltgrid_miners::hash::Hashprice;
use boltgrid_miners::machine::{Abilities, Control, SetPoint};
use boltgrid_miners::plan::{Decision, Habits, Machine, Past, Standing};
use boltgrid_miners::react::Draws;
use boltgrid_protocol::units::{Power, Timestamp};
use tokio::sync::watch;

use super::hand::{Known, Wanted};
use super::{MinerConfig, MiningConfig};

/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;
/// Starts that are remembered at most; no owner allows more in a day.
pub(crate) const STARTS_MAX: usize = 1_000;
/// What a machine said is old after this time: it may draw anything up to what it was told.
const SEEN_MS_MAX: u64 = 15_000;
/// A machine runs if it draws more than this part of its rating.
const RUNS_DIVISOR: i64 = 10;

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
    /// What its owner said, and until when that counts.
    pub(super) owner: Option<(SetPoint, Timestamp)>,
    pub(super) break_even: BreakEven,
    pub(super) decision: Option<Decision>,
    /// What is wrong with it, in words.
    pub(super) trouble: Option<String>,
}

impl Member {
    pub(super) fn new(
        miner: MinerConfig,
        habits: Habits,
        (wanted, restart): (watch::Sender<Wanted>, watch::Sender<bool>),
    ) -> Self {
        Self {
            miner,
            habits,
            wanted,
            restart,
            known: None,
            ordered: None,
            switched_at: None,
            starts: VecDeque::new(),
            starts_ever: 0,
            owner: None,
            break_even: BreakEven::default(),
            decision: None,
            trouble: None,
        }
    }

    /// Takes what its hand says. What was before the node looked is not known, so a machine counts as
    /// switched when it is found.
    pub(super) fn know(&mut self, now: Timestamp, known: Option<Known>) {
        if self.known.is_none() && known.is_some() {
            self.switched_at = Some(now);
        }
        self.known = known.or(self.known.take());
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
            heat: None,
        });
    }

    pub(super) fn worth(&self) -> Worth {
        self.break_even.worth(self.miner.owned.appetite)
    }

    /// The machine as a plan sees it; none until it is found.
    pub(super) fn planned(&self, now: Timestamp) -> Option<Machine<'_>> {
        let known = self.known.as_ref()?;
        let standing = match self.owner {
            _ if !known.standing.is_in_plan() => Standing::Unresponsive { draws: known.assumed },
            Some((set_point, until)) if now < until => Standing::Owner { set_point, until },
            Some(_) | None => Standing::Ready,
        };
        let since = now.minus_ms(DAY_MS);
        let starts = self.starts.iter().filter(|at| **at > since).count();
        Some(Machine {
            abilities: &known.abilities,
            worth: self.worth(),
            heat_is_due: false,
            told: self.told(known),
            habits: self.habits,
            past: Past {
                switched_at: self.switched_at,
                starts_of_a_day: u32::try_from(starts).unwrap_or(u32::MAX),
            },
            standing,
        })
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

    /// What it draws beyond what it draws asleep, as far as that is known.
    pub(super) fn draws(&self, now: Timestamp) -> Draws {
        let Some(known) = &self.known else { return Draws::default() };
        let told = known.abilities.draws(self.told(known));
        let seen = known.seen.filter(|seen| now.ms_since(seen.at) <= SEEN_MS_MAX);
        let power = seen.and_then(|seen| seen.power);
        let between = |one: Power, other: Power| (one.min(other), one.max(other));
        let (least, most) = match (known.standing, power) {
            (Effect::Settling { .. }, Some(power)) => between(power, told),
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
    pub(super) fn grant(&self, left: Power) -> Power {
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
        self.ordered = Some(set_point);
        self.wanted.send_replace(Wanted { set_point: Some(set_point), cause_at });
        is_news
    }
}
