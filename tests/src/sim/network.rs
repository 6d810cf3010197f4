//! The links: how long a message travels, whether it is lost or copied, and who is cut off from whom.
//!
//! What happens to a message depends on the seed, the link, the message and the moment, and on
//! nothing that happened elsewhere. Not for: who passes what on; that is the nodes' gossip.

use super::dice::{MILLION, lot};
use super::incident::{Event, Incident};
use super::plan::Weather;

/// The links of one run.
#[derive(Clone, Debug)]
pub(super) struct Network {
    seed: u64,
    weather: Weather,
    /// What is going on now.
    troubles: Vec<Incident>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Journey {
    Lost,
    CutOff,
    Arrives { after_ms: u64, again_after_ms: Option<u64> },
}

impl Network {
    pub(super) const fn new(seed: u64, weather: Weather) -> Self {
        Self { seed, weather, troubles: Vec::new() }
    }

    pub(super) fn begin(&mut self, trouble: Incident) {
        self.troubles.push(trouble);
    }

    /// Forgets what is over, so that the list stays short.
    pub(super) fn expire(&mut self, since_ms: u64) {
        self.troubles.retain(|trouble| trouble.until_ms() > since_ms);
    }

    /// What becomes of a message with this key from one node to another.
    pub(super) fn send(&self, since_ms: u64, from: usize, to: usize, key: u64) -> Journey {
        let mut loss_ppm = self.weather.loss_ppm;
        let mut copies_ppm = self.weather.copies_ppm;
        let mut jitter_ms = self.weather.jitter_ms;
        for trouble in self.troubles.iter().filter(|trouble| trouble.until_ms() > since_ms) {
            match trouble.event {
                Event::Cut { side, one_way, flap_ms } => {
                    let phase = (since_ms - trouble.at_ms).checked_div(flap_ms).unwrap_or(0);
                    let (left, right) = (side >> from & 1 == 1, side >> to & 1 == 1);
                    let across = (left && !right) || (right && !left && !one_way);
                    if across && phase.is_multiple_of(2) {
                        return Journey::CutOff;
                    }
                }
                Event::Loss { chance_ppm } => loss_ppm = (loss_ppm + chance_ppm).min(MILLION),
                Event::Delay { most_ms } => jitter_ms += most_ms,
                Event::Copies { chance_ppm } => copies_ppm = (copies_ppm + chance_ppm).min(MILLION),
                Event::Crash { .. }
                | Event::DiskFull { .. }
                | Event::DiskLost { .. }
                | Event::Pause { .. }
                | Event::ClockStep { .. }
                | Event::ClockDrift { .. } => {}
            }
        }
        let draw = lot([self.seed, ((from as u64) << 32) | to as u64, key, since_ms]);
        if draw % MILLION < loss_ppm {
            return Journey::Lost;
        }
        let travel = |draw: u64| self.weather.delay_ms.max(1) + draw % (jitter_ms + 1);
        let (first, second) = (lot([draw, 1, 0, 0]), lot([draw, 2, 0, 0]));
        let copied = lot([draw, 3, 0, 0]) % MILLION < copies_ppm;
        Journey::Arrives {
            after_ms: travel(first),
            again_after_ms: copied.then(|| travel(second) + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Weather = Weather { delay_ms: 10, jitter_ms: 0, loss_ppm: 0, copies_ppm: 0 };

    fn cut(one_way: bool, flap_ms: u64) -> Network {
        let mut network = Network::new(1, FINE);
        let event = Event::Cut { side: 0b0011, one_way, flap_ms };
        network.begin(Incident { at_ms: 100, for_ms: 1_000, event });
        network
    }

    #[test]
    fn a_partition_stops_both_ways_or_one() {
        let arrives = Journey::Arrives { after_ms: 10, again_after_ms: None };
        assert_eq!(cut(false, 0).send(500, 0, 2, 7), Journey::CutOff);
        assert_eq!(cut(false, 0).send(500, 2, 0, 7), Journey::CutOff);
        assert_eq!(cut(false, 0).send(500, 0, 1, 7), arrives);
        assert_eq!(cut(true, 0).send(500, 0, 2, 7), Journey::CutOff);
        assert_eq!(cut(true, 0).send(500, 2, 0, 7), arrives);
    }

    #[test]
    fn a_flapping_partition_comes_and_goes_and_ends() {
        let mut network = cut(false, 100);
        assert_eq!(network.send(150, 0, 2, 7), Journey::CutOff);
        assert_ne!(network.send(250, 0, 2, 7), Journey::CutOff);
        assert_eq!(network.send(350, 0, 2, 7), Journey::CutOff);
        assert_ne!(network.send(1_150, 0, 2, 7), Journey::CutOff);
        network.expire(1_100);
        assert!(network.troubles.is_empty());
    }

    #[test]
    fn as_many_are_lost_as_the_weather_says() {
        let network = Network::new(3, Weather { loss_ppm: 200_000, ..FINE });
        let lost = (0..10_000).filter(|key| network.send(1, 0, 1, *key) == Journey::Lost).count();
        assert!((1_900..2_100).contains(&lost), "{lost} of 10000");
    }
}
