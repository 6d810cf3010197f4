//! What every link is like: which datagrams get through, and how late, by the faults in force.
//!
//! Time is an argument and chance follows from a seed, so that all of it can be tested.
//! Not for: sockets.

use std::collections::BTreeMap;

use boltgrid_protocol::units::Timestamp;

use crate::run::faults::{LinkChoice, LinkEffect};
use crate::scenario::splitmix64;

/// One end of a link: a node, or somebody who is none.
pub type End = Option<usize>;

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The link is cut.
    Cut,
    /// It is lost by chance.
    Lost,
    /// It arrives, so much later.
    Arrives {
        /// How much.
        delay_ms: u64,
    },
}

/// A fault of links that is in force.
#[derive(Clone, Debug)]
struct Front {
    choice: LinkChoice,
    effect: LinkEffect,
    since: Timestamp,
}

/// All faults of links that are in force.
#[derive(Clone, Debug)]
pub struct Weather {
    fronts: BTreeMap<u64, Front>,
    begun: u64,
    chance: u64,
}

impl Weather {
    /// Fair weather; what chance does follows from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { fronts: BTreeMap::new(), begun: 0, chance: seed }
    }

    /// Lets a fault begin. Returns its number.
    pub fn begin(&mut self, choice: LinkChoice, effect: LinkEffect, now: Timestamp) -> u64 {
        self.begun = self.begun.saturating_add(1);
        self.fronts.insert(self.begun, Front { choice, effect, since: now });
        self.begun
    }

    /// Lets a fault end. Returns whether it was in force.
    pub fn end(&mut self, number: u64) -> bool {
        self.fronts.remove(&number).is_some()
    }

    /// What becomes of a datagram.
    pub fn fate(&mut self, from: End, to: End, now: Timestamp) -> Fate {
        let mut delay_ms = 0_u64;
        let mut chance = self.chance;
        for front in self.fronts.values().filter(|front| front.choice.holds(from, to)) {
            match front.effect {
                LinkEffect::Cut { flap_ms } => {
                    if is_down(flap_ms, now.ms_since(front.since)) {
                        return Fate::Cut;
                    }
                }
                LinkEffect::Drop { loss_percent } => {
                    chance = splitmix64(chance);
                    self.chance = chance;
                    if chance % 100 < u64::from(loss_percent) {
                        return Fate::Lost;
                    }
                }
                LinkEffect::Delay { delay_ms: fixed, jitter_ms } => {
                    chance = splitmix64(chance);
                    self.chance = chance;
                    let jitter = chance % jitter_ms.saturating_add(1);
                    delay_ms = delay_ms.saturating_add(fixed).saturating_add(jitter);
                }
            }
        }
        Fate::Arrives { delay_ms }
    }

    /// Whether links lose or delay datagrams, or flap, so that much may come late.
    #[must_use]
    pub fn is_rough(&self) -> bool {
        self.fronts.values().any(|front| front.effect != LinkEffect::Cut { flap_ms: None })
    }

    /// What is wrong with links now, in words.
    #[must_use]
    pub fn effects(&self) -> Vec<&'static str> {
        self.fronts.values().map(|front| front.effect.name()).collect()
    }

    /// How many of `nodes` nodes each of them can talk with, itself included, over whatever ways
    /// are open both ways. Those that are not `up` pass nothing on.
    #[must_use]
    pub fn reach(&self, up: &[bool]) -> Vec<usize> {
        let mut reach = vec![0; up.len()];
        let mut seen = vec![false; up.len()];
        for start in 0..up.len() {
            if seen[start] || !up[start] {
                continue;
            }
            let mut group = vec![start];
            seen[start] = true;
            let mut next = 0;
            while let Some(node) = group.get(next).copied() {
                next += 1;
                for (other, is_up) in up.iter().enumerate() {
                    if *is_up && !seen[other] && self.is_open(node, other) {
                        seen[other] = true;
                        group.push(other);
                    }
                }
            }
            for node in &group {
                reach[*node] = group.len();
            }
        }
        reach
    }

    /// Whether two nodes can talk directly. A link that flaps is as good as cut.
    fn is_open(&self, one: usize, other: usize) -> bool {
        let cuts = |front: &&Front| matches!(front.effect, LinkEffect::Cut { .. });
        !self.fronts.values().filter(cuts).any(|front| {
            front.choice.holds(Some(one), Some(other)) || front.choice.holds(Some(other), Some(one))
        })
    }
}

/// Whether a cut link is down, so long after the cut.
fn is_down(flap_ms: Option<u64>, after_ms: u64) -> bool {
    flap_ms.is_none_or(|flap_ms| (after_ms / flap_ms.max(1)).is_multiple_of(2))
}

impl LinkChoice {
    /// Whether what goes from one end to the other is among these.
    #[must_use]
    pub fn holds(&self, from: End, to: End) -> bool {
        match self {
            Self::All => true,
            Self::Of(nodes) => [from, to].into_iter().flatten().any(|end| nodes.contains(&end)),
            Self::Between { groups, one_way } => {
                let group = |end: End| {
                    groups.iter().position(|group| end.is_some_and(|end| group.contains(&end)))
                };
                match (group(from), group(to)) {
                    (Some(from), Some(to)) if *one_way => (from, to) == (0, 1),
                    (Some(from), Some(to)) => from != to,
                    _ => false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVES: Fate = Fate::Arrives { delay_ms: 0 };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn between(groups: [&[usize]; 2], one_way: bool) -> LinkChoice {
        LinkChoice::Between { groups: groups.map(<[usize]>::to_vec).to_vec(), one_way }
    }

    #[test]
    fn a_cut_is_between_groups_until_it_heals() {
        let mut weather = Weather::new(1);
        let cut = LinkEffect::Cut { flap_ms: None };
        let number = weather.begin(between([&[0, 1], &[2]], false), cut, at(0));
        assert_eq!(weather.fate(Some(0), Some(2), at(1)), Fate::Cut);
        assert_eq!(weather.fate(Some(2), Some(1), at(1)), Fate::Cut);
        assert_eq!(weather.fate(Some(0), Some(1), at(1)), ARRIVES);
        assert_eq!(weather.fate(Some(0), Some(3), at(1)), ARRIVES);
        assert_eq!(weather.fate(None, Some(2), at(1)), ARRIVES);
        assert!(weather.end(number) && !weather.end(number));
        assert_eq!(weather.fate(Some(0), Some(2), at(1)), ARRIVES);
    }

    #[test]
    fn a_cut_one_way_lets_answers_through() {
        let mut weather = Weather::new(1);
        weather.begin(between([&[0], &[1]], true), LinkEffect::Cut { flap_ms: None }, at(0));
        assert_eq!(weather.fate(Some(0), Some(1), at(1)), Fate::Cut);
        assert_eq!(weather.fate(Some(1), Some(0), at(1)), ARRIVES);
    }

    #[test]
    fn a_flapping_link_is_down_first_and_then_every_other_time() {
        let mut weather = Weather::new(1);
        let cut = LinkEffect::Cut { flap_ms: Some(100) };
        weather.begin(LinkChoice::Of(vec![3]), cut, at(1_000));
        for (now, fate) in [(1_000, Fate::Cut), (1_099, Fate::Cut), (1_100, ARRIVES)] {
            assert_eq!(weather.fate(Some(3), Some(1), at(now)), fate, "{now}");
            assert_eq!(weather.fate(None, Some(3), at(now)), fate, "{now}");
        }
        assert_eq!(weather.fate(Some(3), Some(1), at(1_200)), Fate::Cut);
        assert_eq!(weather.fate(Some(2), Some(1), at(1_200)), ARRIVES);
    }

    #[test]
    fn so_many_of_a_hundred_are_lost_and_the_same_ones_in_every_run() {
        let fates = |seed| {
            let mut weather = Weather::new(seed);
            weather.begin(LinkChoice::All, LinkEffect::Drop { loss_percent: 5 }, at(0));
            let fate = |_| weather.fate(Some(0), Some(1), at(1)) == Fate::Lost;
            (0..10_000).map(fate).collect::<Vec<bool>>()
        };
        let lost = fates(1).iter().filter(|lost| **lost).count();
        assert!((400..600).contains(&lost), "{lost}");
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
    }

    #[test]
    fn delays_add_up_and_jitter_stays_inside_its_bound() {
        let mut weather = Weather::new(1);
        for (delay_ms, jitter_ms) in [(30, 0), (50, 20)] {
            let effect = LinkEffect::Delay { delay_ms, jitter_ms };
            weather.begin(LinkChoice::All, effect, at(0));
        }
        let mut seen = (u64::MAX, 0);
        for _ in 0..1_000 {
            let Fate::Arrives { delay_ms } = weather.fate(None, Some(1), at(1)) else {
                panic!("nothing is lost");
            };
            seen = (seen.0.min(delay_ms), seen.1.max(delay_ms));
        }
        assert_eq!(seen, (80, 100));
    }

    #[test]
    fn who_can_talk_with_whom_follows_from_cuts_and_who_is_up() {
        let mut weather = Weather::new(1);
        assert_eq!(weather.reach(&[true; 5]), [5; 5]);
        let cut = LinkEffect::Cut { flap_ms: None };
        weather.begin(between([&[0, 1], &[2, 3]], false), cut, at(0));
        // Node 4 is in neither group and passes on what it hears.
        assert_eq!(weather.reach(&[true; 5]), [5; 5]);
        assert_eq!(weather.reach(&[true, true, true, true, false]), [2, 2, 2, 2, 0]);
        weather.begin(LinkChoice::Of(vec![4]), cut, at(0));
        assert_eq!(weather.reach(&[true; 5]), [2, 2, 2, 2, 1]);
    }
}
