//! What a machine's history says of it: how soon it follows, what it draws at which set point, what
//! its hashes take, how long it warms up. It corrects what the machine or its maker says.
//!
//! Not for: whether it follows (`effect`), or keeping what was learnt (the node's archive).

use std::collections::BTreeMap;

use boltgrid_protocol::units::{Power, Timestamp};
use serde::{Deserialize, Serialize};

use crate::effect::Notice;
use crate::hash::{Efficiency, HashRate};
use crate::machine::{Abilities, Observation, SetPoint};

/// Most set points of one machine that are kept; those seen longest ago go.
pub const SET_POINTS_MAX: usize = 64;
/// Set points nearer to each other than this share what is learnt.
const STEP: i64 = 50_000;
/// A new sample moves what was learnt by this part of the difference.
const WEIGHT_DIVISOR: i64 = 8;
/// A machine is given half as much again as it took …
const MARGIN_PERCENT: u64 = 150;
/// … and what it took once is forgotten by this part with each time that it was sooner.
const FORGET_DIVISOR: u64 = 16;
/// What was learnt of how soon it follows stays within these, whatever it does.
const SETTLE_MS: std::ops::RangeInclusive<u64> = 2_000..=900_000;
/// The longest warm-up that is believed.
const WARM_UP_MAX_MS: u64 = 3_600_000;
/// A machine hashes once it has this part of the hash rate that it had last at the set point, in
/// percent.
const WARM_PERCENT: u128 = 80;
/// How long a machine must have followed before what it does there is learnt.
const STEADY_MS: u64 = 30_000;
/// Samples after which what was learnt is worth more than what was said.
const SAMPLES_MIN: u32 = 10;

/// What was learnt of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Learnt {
    /// How long it took to follow, at worst lately, with a margin.
    settle_ms: Option<u64>,
    /// How long it drew power after a start before it hashed.
    warm_up_ms: Option<u64>,
    /// What it draws when off.
    off: Option<Steady>,
    /// What it does at which power that it was told, in steps of 50 W.
    at: BTreeMap<i64, Steady>,
    /// What it was told and follows, since when.
    #[serde(skip)]
    follows: Option<(SetPoint, Timestamp)>,
    /// When it started, while it warms up.
    #[serde(skip)]
    started_at: Option<Timestamp>,
}

/// What a machine does once it has settled at a set point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steady {
    /// What it draws.
    pub power_mw: Power,
    /// How fast it hashes, where it says so.
    pub hash_rate_gh_per_s: HashRate,
    /// How often it was seen, up to a limit.
    pub samples: u32,
    /// When it was seen last.
    pub seen_unix_ms: Timestamp,
}

impl Learnt {
    /// Takes what happened to the machine, at `now`.
    pub fn happened(&mut self, now: Timestamp, notice: &Notice) {
        match notice {
            Notice::Followed { set_point, from, after_ms, .. } => {
                let took = after_ms.saturating_mul(MARGIN_PERCENT).div_euclid(100);
                let before = self.settle_ms.unwrap_or(took);
                let forgotten = before.saturating_sub(before.div_euclid(FORGET_DIVISOR));
                let settle_ms = took.max(forgotten).clamp(*SETTLE_MS.start(), *SETTLE_MS.end());
                self.settle_ms = Some(settle_ms);
                self.follows = Some((*set_point, now));
                let rested = from.is_some_and(|from| self.rests(from));
                let started = rested && *set_point != SetPoint::Off;
                self.started_at = started.then(|| now.minus_ms(*after_ms));
            }
            Notice::Unresponsive { .. } | Notice::ContactLost { .. } | Notice::NotCut { .. } => {
                self.follows = None;
                self.started_at = None;
            }
            Notice::Recovered { .. } => {}
        }
    }

    /// It was told something else: what it shows from now on is not what it does at the last one.
    pub const fn told(&mut self) {
        self.follows = None;
        self.started_at = None;
    }

    /// Takes what it shows.
    pub fn observed(&mut self, seen: &Observation) {
        let Some((set_point, since)) = self.follows else { return };
        if let (Some(started_at), Some(rate)) = (self.started_at, seen.hash_rate)
            && self.is_warm(set_point, rate)
        {
            let took = seen.at.ms_since(started_at).min(WARM_UP_MAX_MS);
            self.warm_up_ms = Some(self.warm_up_ms.map_or(took, |before| before.midpoint(took)));
            self.started_at = None;
        }
        let is_steady = seen.at.ms_since(since) >= STEADY_MS && self.started_at.is_none();
        let (Some(power), true) = (seen.power, is_steady) else { return };
        let rate = seen.hash_rate.unwrap_or_default();
        match set_point {
            SetPoint::Off => take(&mut self.off, seen.at, power, rate),
            SetPoint::Run { power_mw } => {
                let mut steady = self.at.remove(&step(power_mw));
                take(&mut steady, seen.at, power, rate);
                self.at.extend(steady.map(|steady| (step(power_mw), steady)));
                self.forget();
            }
        }
    }

    /// What it does at a set point, once it was seen there often enough.
    #[must_use]
    pub fn at(&self, set_point: SetPoint) -> Option<Steady> {
        let steady = match set_point {
            SetPoint::Off => self.off,
            SetPoint::Run { power_mw } => self.at.get(&step(power_mw)).copied(),
        };
        steady.filter(|steady| steady.samples >= SAMPLES_MIN)
    }

    /// What it draws at a set point: as it was seen to, else as it was told to.
    #[must_use]
    pub fn draws(&self, abilities: &Abilities, set_point: SetPoint) -> Power {
        self.at(set_point).map_or_else(|| abilities.draws(set_point), |steady| steady.power_mw)
    }

    /// What its hashes take at a set point; `None` until that is known.
    #[must_use]
    pub fn efficiency_ceil(&self, set_point: SetPoint) -> Option<Efficiency> {
        let steady = self.at(set_point)?;
        Efficiency::of_ceil(steady.power_mw, steady.hash_rate_gh_per_s)
    }

    /// The abilities that it or its maker states, corrected by what it does.
    #[must_use]
    pub fn correct(&self, stated: Abilities) -> Abilities {
        Abilities {
            settle_ms: self.settle_ms.unwrap_or(stated.settle_ms),
            warm_up_ms: self.warm_up_ms.unwrap_or(stated.warm_up_ms),
            idle: self.at(SetPoint::Off).map_or(stated.idle, |steady| steady.power_mw),
            ..stated
        }
    }

    /// Whether a power is what it draws when off, as far as that is known.
    fn rests(&self, power: Power) -> bool {
        let off = self.off.map_or(Power::ZERO, |steady| steady.power_mw);
        let most = self.at.values().map(|steady| steady.power_mw).max().unwrap_or(power);
        let half_way = off.to_milliwatts().midpoint(most.to_milliwatts());
        power.to_milliwatts() < half_way || most <= off || self.at.is_empty()
    }

    fn is_warm(&self, set_point: SetPoint, rate: HashRate) -> bool {
        let full =
            self.at(set_point).map(|steady| u128::from(steady.hash_rate_gh_per_s.to_gigahashes()));
        let now = u128::from(rate.to_gigahashes());
        // Before it was ever seen there, its first hashes have to do.
        full.map_or(now > 0, |full| now * 100 >= full * WARM_PERCENT)
    }

    fn forget(&mut self) {
        while self.at.len() > SET_POINTS_MAX {
            let oldest = self.at.iter().min_by_key(|(_, steady)| steady.seen_unix_ms);
            let Some((oldest, _)) = oldest else { return };
            let oldest = *oldest;
            self.at.remove(&oldest);
        }
    }
}

/// The step that a power belongs to.
const fn step(power: Power) -> i64 {
    power.to_milliwatts().div_euclid(STEP)
}

/// Takes a sample into what is known of a set point.
fn take(known: &mut Option<Steady>, at: Timestamp, power: Power, rate: HashRate) {
    let Some(steady) = known else {
        let first =
            Steady { power_mw: power, hash_rate_gh_per_s: rate, samples: 1, seen_unix_ms: at };
        *known = Some(first);
        return;
    };
    let moved = |from: i64, to: i64| {
        from.saturating_add(to.saturating_sub(from).div_euclid(WEIGHT_DIVISOR))
    };
    let mw = moved(steady.power_mw.to_milliwatts(), power.to_milliwatts());
    steady.power_mw = Power::from_milliwatts(mw);
    let before = i64::try_from(steady.hash_rate_gh_per_s.to_gigahashes()).unwrap_or(i64::MAX);
    let now = i64::try_from(rate.to_gigahashes()).unwrap_or(i64::MAX);
    let gigahashes = u64::try_from(moved(before, now)).unwrap_or(0);
    steady.hash_rate_gh_per_s = HashRate::from_gigahashes(gigahashes);
    steady.samples = steady.samples.saturating_add(1).min(SAMPLES_MIN);
    steady.seen_unix_ms = at;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Control;

    fn watts(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1_000)
    }

    fn run(power: i64) -> SetPoint {
        SetPoint::Run { power_mw: watts(power) }
    }

    fn stated() -> Abilities {
        Abilities {
            control: Control::Switch,
            rated: watts(3000),
            idle: watts(10),
            settle_ms: 60_000,
            warm_up_ms: 120_000,
        }
    }

    fn followed(set_point: SetPoint, from: i64, after_ms: u64) -> Notice {
        Notice::Followed { set_point, from: Some(watts(from)), to: None, after_ms }
    }

    fn seen(seconds: u64, power: i64, gh_per_s: u64) -> Observation {
        Observation {
            at: at(seconds),
            power: Some(watts(power)),
            power_is_metered: true,
            hash_rate: Some(HashRate::from_gigahashes(gh_per_s)),
            temperature_m_celsius: None,
        }
    }

    #[test]
    fn how_soon_it_follows_is_learnt_at_once_and_forgotten_slowly() {
        let mut learnt = Learnt::default();
        assert_eq!(learnt.correct(stated()).settle_ms, 60_000);
        learnt.happened(at(0), &followed(run(3000), 10, 20_000));
        assert_eq!(learnt.correct(stated()).settle_ms, 30_000);
        learnt.happened(at(1), &followed(SetPoint::Off, 3000, 80_000));
        assert_eq!(learnt.correct(stated()).settle_ms, 120_000);
        learnt.happened(at(2), &followed(run(3000), 10, 1_000));
        assert_eq!(learnt.correct(stated()).settle_ms, 112_500);
        // One that never says when keeps within bounds.
        learnt.happened(at(3), &followed(run(3000), 10, u64::MAX));
        assert_eq!(learnt.correct(stated()).settle_ms, 900_000);
    }

    #[test]
    fn what_it_draws_and_what_its_hashes_take_is_learnt_once_it_is_steady() {
        let mut learnt = Learnt::default();
        learnt.happened(at(0), &followed(run(3000), 10, 5_000));
        // It still climbs: none of this counts.
        (0..30).for_each(|second| learnt.observed(&seen(second, 900, 0)));
        assert_eq!(learnt.draws(&stated(), run(3000)), watts(3000));
        (30..80).for_each(|second| learnt.observed(&seen(second, 3200, 160_000)));
        assert_eq!(learnt.draws(&stated(), run(3000)), watts(3200));
        let efficiency = learnt.efficiency_ceil(run(3000)).unwrap();
        assert_eq!(efficiency.to_millijoules(), 20_000);
        assert_eq!(learnt.efficiency_ceil(run(2000)), None);
    }

    #[test]
    fn how_long_it_warms_up_is_from_its_start_to_its_hashes() {
        let mut learnt = Learnt::default();
        learnt.happened(at(10), &followed(run(3000), 10, 10_000));
        (11..90).for_each(|second| learnt.observed(&seen(second, 1000, 0)));
        learnt.observed(&seen(90, 3000, 150_000));
        assert_eq!(learnt.correct(stated()).warm_up_ms, 90_000);
    }

    #[test]
    fn what_it_draws_when_off_is_learnt() {
        let mut learnt = Learnt::default();
        learnt.happened(at(0), &followed(SetPoint::Off, 3000, 1_000));
        (40..60).for_each(|second| learnt.observed(&seen(second, 35, 0)));
        assert_eq!(learnt.correct(stated()).idle, watts(35));
    }

    #[test]
    fn what_it_does_after_another_command_is_not_counted_for_the_last() {
        let mut learnt = Learnt::default();
        learnt.happened(at(0), &followed(run(3000), 10, 1_000));
        learnt.told();
        (40..60).for_each(|second| learnt.observed(&seen(second, 500, 9)));
        assert_eq!(learnt.at(run(3000)), None);
    }

    #[test]
    fn only_so_many_set_points_are_kept_and_the_latest_of_them() {
        let mut learnt = Learnt::default();
        for number in 0..200 {
            let start = u64::try_from(number).unwrap() * 100;
            learnt.happened(at(start), &followed(run(1000 + 50 * number), 10, 1_000));
            (31..50).for_each(|second| learnt.observed(&seen(start + second, 1000, 50_000)));
        }
        assert_eq!(learnt.at.len(), SET_POINTS_MAX);
        assert!(learnt.at(run(1000 + 50 * 199)).is_some() && learnt.at(run(1000)).is_none());
    }

    #[test]
    fn what_was_learnt_outlives_a_restart() {
        let mut learnt = Learnt::default();
        learnt.happened(at(0), &followed(run(3000), 10, 5_000));
        (30..80).for_each(|second| learnt.observed(&seen(second, 3200, 160_000)));
        learnt.told();
        let text = serde_json::to_string(&learnt).unwrap();
        assert_eq!(serde_json::from_str::<Learnt>(&text).unwrap(), learnt);
    }
}
