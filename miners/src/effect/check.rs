//! The check of one machine.

use boltgrid_protocol::units::{Power, Timestamp};

use super::contact::{BOOT_MS, CUT_OFF_MIN_MS, Contact, Cut, Seen};
use super::{Action, Notice, OnContactLost, Standing, TRIES_MAX, Why, tolerance, went};
use crate::hash::HashRate;
use crate::machine::{Abilities, Observation, SetPoint};

/// The first pause before an unresponsive machine is told to be off again; it doubles …
const AGAIN_MIN_MS: u64 = 300_000;
/// … up to this.
const AGAIN_MAX_MS: u64 = 3_600_000;

/// Follows one machine from commands to watts.
#[derive(Clone, Debug)]
pub struct Check {
    abilities: Abilities,
    contact_lost_ms: u64,
    on_contact_lost: OnContactLost,
    phase: Phase,
    contact: Contact,
    heard_at: Timestamp,
    /// What it drew last, and when.
    power: Option<(Timestamp, Power)>,
    /// Since when it is out of the plan; it is told of once it is back.
    troubled_since: Option<Timestamp>,
}

/// How far it is with what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Untold,
    Settling(Told),
    Following {
        set_point: SetPoint,
        since: Timestamp,
        /// What it drew when it got there.
        level: Option<Power>,
        /// Since when it does something else.
        astray_since: Option<Timestamp>,
    },
    Unresponsive {
        told: Told,
        since: Timestamp,
        why: Why,
        again_at: Timestamp,
        pause_ms: u64,
    },
}

/// A command, and how it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    set_point: SetPoint,
    at: Timestamp,
    until: Timestamp,
    before: Option<Power>,
    tries: u8,
    refused: bool,
    /// Whether anything was seen of it since.
    looked: bool,
    /// Whether what was seen says how much it draws, or at least how fast it hashes.
    saw: bool,
}

impl Check {
    /// A machine of which nothing is known at `now` but what it can do. It counts as lost once
    /// nothing is heard of it for `contact_lost_ms`.
    #[must_use]
    pub const fn new(
        abilities: Abilities,
        contact_lost_ms: u64,
        on_contact_lost: OnContactLost,
        now: Timestamp,
    ) -> Self {
        Self {
            abilities,
            contact_lost_ms,
            on_contact_lost,
            phase: Phase::Untold,
            contact: Contact::Heard,
            heard_at: now,
            power: None,
            troubled_since: None,
        }
    }

    /// What it can do, as far as is known by now.
    #[must_use]
    pub const fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// Takes what was learnt of it since.
    pub fn set_abilities(&mut self, abilities: Abilities) {
        self.abilities = abilities;
    }

    /// What it was told last.
    #[must_use]
    pub const fn set_point(&self) -> Option<SetPoint> {
        match &self.phase {
            Phase::Untold => None,
            Phase::Settling(told) | Phase::Unresponsive { told, .. } => Some(told.set_point),
            Phase::Following { set_point, .. } => Some(*set_point),
        }
    }

    /// How it stands with the plan.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match (&self.contact, &self.phase) {
            (Contact::CutOff(cut), _) => Standing::CutOff { since: cut.since },
            (Contact::Restored { until, .. }, _) => Standing::Restored { until: *until },
            (Contact::Lost { since }, _) => Standing::ContactLost { since: *since },
            (Contact::Heard, Phase::Untold) => Standing::Untold,
            (Contact::Heard, Phase::Settling(told)) => Standing::Settling { until: told.until },
            (Contact::Heard, Phase::Following { since, .. }) => {
                Standing::Following { since: *since }
            }
            (Contact::Heard, Phase::Unresponsive { since, why, .. }) => {
                Standing::Unresponsive { since: *since, why: *why }
            }
        }
    }

    /// What it must be thought to draw: what was seen, and while that may change, the most of it.
    #[must_use]
    pub fn assumed(&self) -> Power {
        let rated = self.abilities.rated;
        let seen = self.power.map(|(_, power)| power);
        let told = self.set_point().map(|it| self.abilities.draws(it));
        let most = seen.unwrap_or(rated).max(told.unwrap_or(Power::ZERO));
        match (&self.contact, &self.phase) {
            (Contact::CutOff(cut), _) => match self.power {
                Some((at, power)) if at > cut.since => power,
                Some(_) | None => Power::ZERO,
            },
            (Contact::Restored { .. } | Contact::Lost { .. }, _) => most.max(rated),
            (Contact::Heard, Phase::Untold | Phase::Unresponsive { .. }) => seen.unwrap_or(rated),
            (Contact::Heard, Phase::Settling(_)) => most,
            (Contact::Heard, Phase::Following { level, .. }) => {
                seen.or(*level).or(told).unwrap_or(rated)
            }
        }
    }

    /// The plan wants this of it. What a machine that is out of the plan is wanted to do is nothing.
    #[must_use]
    pub fn command(&mut self, now: Timestamp, set_point: SetPoint) -> Vec<Action> {
        if !self.standing().is_in_plan() || self.set_point() == Some(set_point) {
            return Vec::new();
        }
        self.tell(now, set_point, 1)
    }

    /// It refused the command that was sent last, or sending it failed.
    pub const fn refused(&mut self) {
        if let Phase::Settling(told) = &mut self.phase {
            told.refused = true;
        }
    }

    /// It was heard of, and this was seen.
    #[must_use]
    pub fn observed(&mut self, seen: &Observation) -> Vec<Action> {
        self.heard_at = self.heard_at.max(seen.at);
        let mut actions = match self.contact {
            Contact::Heard => Vec::new(),
            // What it does now is not known to be what it was told before.
            Contact::Lost { .. } => self.heard_again(seen.at, self.set_point()),
            Contact::Restored { .. } => self.heard_again(seen.at, Some(SetPoint::Off)),
            // It answers although it should have no power: its watts, if seen, tell below.
            Contact::CutOff(_) => Vec::new(),
        };
        actions.extend(self.look(seen.at, seen.power, seen.hash_rate, true));
        actions
    }

    /// A meter of its own shows this, whether or not the machine itself is heard of.
    #[must_use]
    pub fn metered(&mut self, at: Timestamp, power: Power) -> Vec<Action> {
        self.look(at, Some(power), None, false)
    }

    /// Time has passed.
    #[must_use]
    pub fn tick(&mut self, now: Timestamp) -> Vec<Action> {
        let silent_ms = now.ms_since(self.heard_at);
        match self.contact {
            Contact::Heard if silent_ms >= self.contact_lost_ms => {
                return self.lost(now, silent_ms);
            }
            Contact::Restored { until, pause_ms } if now >= until => {
                self.contact = Contact::CutOff(Cut::new(now, Cut::longer(pause_ms)));
                return vec![Action::CutOff];
            }
            Contact::Heard => {}
            Contact::Lost { .. } | Contact::CutOff(_) | Contact::Restored { .. } => {
                return Vec::new();
            }
        }
        match self.phase {
            // Of a machine that was not looked at since, nothing can be said but that it is silent.
            Phase::Settling(told) if now >= told.until && told.looked => self.late(now, told),
            Phase::Unresponsive { told, since, why, again_at, pause_ms } if now >= again_at => {
                let told = self.told(now, SetPoint::Off, told.tries);
                let pause_ms = pause_ms.saturating_mul(2).min(AGAIN_MAX_MS);
                let again_at = now.plus_ms(pause_ms);
                self.phase = Phase::Unresponsive { told, since, why, again_at, pause_ms };
                vec![Action::Command(SetPoint::Off)]
            }
            Phase::Following { set_point, astray_since: Some(since), .. }
                if now.ms_since(since) >= self.abilities.settle_ms =>
            {
                self.tell(now, set_point, 1)
            }
            Phase::Untold
            | Phase::Settling(_)
            | Phase::Following { .. }
            | Phase::Unresponsive { .. } => Vec::new(),
        }
    }

    /// When [`Check::tick`] has something to do at the latest, if nothing else happens.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        match self.contact {
            Contact::Restored { until, .. } => return Some(until),
            Contact::Lost { .. } | Contact::CutOff(_) => return None,
            Contact::Heard => {}
        }
        let lost = self.heard_at.plus_ms(self.contact_lost_ms);
        let phase = match self.phase {
            Phase::Settling(told) if told.looked => Some(told.until),
            Phase::Unresponsive { again_at, .. } => Some(again_at),
            Phase::Following { astray_since: Some(since), .. } => {
                Some(since.plus_ms(self.abilities.settle_ms))
            }
            Phase::Untold | Phase::Settling(_) | Phase::Following { .. } => None,
        };
        Some(phase.map_or(lost, |phase| phase.min(lost)))
    }

    /// Whether it was cut off for long enough to be tried again, by [`Check::try_again`], once there is
    /// room for its rated power: a machine that gets power starts by itself.
    #[must_use]
    pub const fn is_trial_due(&self, now: Timestamp) -> bool {
        match self.contact {
            Contact::CutOff(cut) => now.ms_since(cut.since) >= cut.pause_ms,
            Contact::Heard | Contact::Lost { .. } | Contact::Restored { .. } => false,
        }
    }

    /// Tries a machine that is out of the plan again: one that was cut off gets power, another one is
    /// told to be off.
    #[must_use]
    pub fn try_again(&mut self, now: Timestamp) -> Vec<Action> {
        if let Contact::CutOff(cut) = self.contact {
            let until = now.plus_ms(BOOT_MS);
            self.contact = Contact::Restored { until, pause_ms: cut.pause_ms };
            return vec![Action::Restore];
        }
        if self.standing().is_in_plan() {
            return Vec::new();
        }
        self.tell(now, SetPoint::Off, 1)
    }

    fn tell(&mut self, now: Timestamp, set_point: SetPoint, tries: u8) -> Vec<Action> {
        self.phase = Phase::Settling(self.told(now, set_point, tries));
        vec![Action::Command(set_point)]
    }

    fn told(&self, now: Timestamp, set_point: SetPoint, tries: u8) -> Told {
        let before = self.power.map(|(_, power)| power);
        let rests = before.is_none_or(|power| self.is_off(power));
        let starts = rests && set_point != SetPoint::Off;
        let warm_up_ms = if starts { self.abilities.warm_up_ms } else { 0 };
        let until = now.plus_ms(self.abilities.settle_ms.saturating_add(warm_up_ms));
        let (refused, looked, saw) = (false, false, false);
        Told { set_point, at: now, until, before, tries, refused, looked, saw }
    }

    fn is_off(&self, power: Power) -> bool {
        went(self.abilities.rated, None, self.abilities.idle, power)
    }

    fn heard_again(&mut self, now: Timestamp, set_point: Option<SetPoint>) -> Vec<Action> {
        self.contact = Contact::Heard;
        match (self.phase, set_point) {
            // It is told again in its own time, or when someone tries.
            (Phase::Unresponsive { .. }, _) => Vec::new(),
            (_, Some(set_point)) => self.tell(now, set_point, 1),
            (_, None) => self.recovered(now),
        }
    }

    fn lost(&mut self, now: Timestamp, silent_ms: u64) -> Vec<Action> {
        self.troubled_since.get_or_insert(now);
        let cut_off = self.on_contact_lost == OnContactLost::OffByRelay;
        let told = Action::Tell(Notice::ContactLost { silent_ms, cut_off });
        if cut_off {
            self.contact = Contact::CutOff(Cut::new(now, CUT_OFF_MIN_MS));
            return vec![Action::CutOff, told];
        }
        self.contact = Contact::Lost { since: now };
        vec![told]
    }

    /// The time to follow is over.
    fn late(&mut self, now: Timestamp, told: Told) -> Vec<Action> {
        if told.tries < TRIES_MAX {
            let again = self.told(now, told.set_point, told.tries.saturating_add(1));
            // It went from where it was when it was told first.
            self.phase = Phase::Settling(Told { before: told.before.or(again.before), ..again });
            return vec![Action::Command(told.set_point)];
        }
        let why = match told {
            Told { saw: false, .. } => Why::Unseen,
            Told { refused: true, .. } => Why::Refused,
            Told { .. } => Why::NoEffect,
        };
        let draws = self.power.filter(|(at, _)| *at >= told.at).map(|(_, power)| power);
        let (again_at, pause_ms) = (now.plus_ms(AGAIN_MIN_MS), AGAIN_MIN_MS);
        self.phase = Phase::Unresponsive { told, since: now, why, again_at, pause_ms };
        self.troubled_since.get_or_insert(now);
        let notice = Notice::Unresponsive { set_point: told.set_point, why, draws };
        let target = self.abilities.draws(told.set_point);
        let too_much = draws.is_none_or(|power| power > target);
        if too_much && self.on_contact_lost == OnContactLost::OffByRelay {
            self.contact = Contact::CutOff(Cut::new(now, CUT_OFF_MIN_MS));
            return vec![Action::CutOff, Action::Tell(notice)];
        }
        vec![Action::Tell(notice)]
    }

    fn recovered(&mut self, now: Timestamp) -> Vec<Action> {
        let since = self.troubled_since.take();
        let told = since.map(|since| Notice::Recovered { after_ms: now.ms_since(since) });
        told.map(Action::Tell).into_iter().collect()
    }

    /// Looks at what it does: `itself` where the machine was asked too, and not only its meter.
    fn look(
        &mut self,
        at: Timestamp,
        power: Option<Power>,
        hash_rate: Option<HashRate>,
        itself: bool,
    ) -> Vec<Action> {
        if let Some(power) = power
            && self.power.is_none_or(|(before, _)| at >= before)
        {
            self.power = Some((at, power));
        }
        if let (Contact::CutOff(cut), Some(power)) = (&mut self.contact, power) {
            return match cut.seen(at, power, tolerance(self.abilities.rated, 0)) {
                Seen::Fine => Vec::new(),
                Seen::Again => vec![Action::CutOff],
                Seen::NotCut => vec![Action::Tell(Notice::NotCut { draws: power })],
            };
        }
        match self.phase {
            Phase::Settling(mut told) | Phase::Unresponsive { mut told, .. } if at > told.at => {
                told.looked |= itself || power.is_some();
                told.saw |= power.is_some() || hash_rate.is_some();
                match &mut self.phase {
                    Phase::Settling(it) | Phase::Unresponsive { told: it, .. } => *it = told,
                    Phase::Untold | Phase::Following { .. } => {}
                }
                if self.follows(told, power, hash_rate) {
                    return self.followed(at, told, power);
                }
            }
            Phase::Following { set_point, since, level, astray_since } => {
                let expected = level.unwrap_or_else(|| self.abilities.draws(set_point));
                let fits = power.is_none_or(|it| went(self.abilities.rated, None, expected, it));
                let astray_since = if fits { None } else { astray_since.or(Some(at)) };
                self.phase = Phase::Following { set_point, since, level, astray_since };
            }
            Phase::Untold | Phase::Settling(_) | Phase::Unresponsive { .. } => {}
        }
        Vec::new()
    }

    fn follows(&self, told: Told, power: Option<Power>, hash_rate: Option<HashRate>) -> bool {
        let target = self.abilities.draws(told.set_point);
        match (power, hash_rate) {
            (Some(power), _) => went(self.abilities.rated, told.before, target, power),
            // Nobody says what it draws: then whether it hashes has to do.
            (None, Some(rate)) => (rate == HashRate::ZERO) == (told.set_point == SetPoint::Off),
            (None, None) => false,
        }
    }

    fn followed(&mut self, at: Timestamp, told: Told, power: Option<Power>) -> Vec<Action> {
        let Told { set_point, before, .. } = told;
        let after_ms = at.ms_since(told.at);
        self.phase = Phase::Following { set_point, since: at, level: power, astray_since: None };
        let followed = Notice::Followed { set_point, from: before, to: power, after_ms };
        let mut actions = vec![Action::Tell(followed)];
        if self.contact == Contact::Heard {
            actions.extend(self.recovered(at));
        }
        actions
    }
}
