//! Peers that hand us what no correct peer would, and for how long they are kept away.
//!
//! A correct node passes on only what it has verified itself, so a handful of faults is already
//! strange; what another clock or roster may explain counts far less, but it counts. Peers that are kept away are disconnected, not silently ignored: a message that an
//! ignored peer brings first would be taken for seen when an honest one brings it.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use super::refused::Blame;

/// A peer with more points than this within [`WINDOW`] is kept away.
const POINTS_MAX: u32 = 2048;
/// Points for what no correct peer would send: 64 times, and it is enough.
const FAULT: u32 = 32;
/// Points for what a correct peer may send: it takes another roster or clock and a busy grid to do
/// it so often.
const NUISANCE: u32 = 1;
/// After this, faults are forgotten.
const WINDOW: Duration = Duration::from_secs(60);
/// For how long a peer is kept away.
const BLOCKED_FOR: Duration = Duration::from_secs(600);
/// Peers remembered; beyond that, new ones are not. Far more than can be connected in a window.
const PEERS_MAX: usize = 1024;

/// Who did how much of what it should not.
#[derive(Debug)]
pub(super) struct Faults {
    window_started: Instant,
    points: BTreeMap<PeerId, u32>,
    blocked_until: BTreeMap<PeerId, Instant>,
}

impl Faults {
    pub(super) const fn new(now: Instant) -> Self {
        Self { window_started: now, points: BTreeMap::new(), blocked_until: BTreeMap::new() }
    }

    /// Counts what a peer did. True where it is to be kept away from now on.
    #[must_use]
    pub(super) fn add(&mut self, peer: PeerId, blame: Blame, now: Instant) -> bool {
        let more = match blame {
            Blame::Sender => FAULT,
            Blame::Nobody => NUISANCE,
            Blame::Us => return false,
        };
        if self.points.len() >= PEERS_MAX && !self.points.contains_key(&peer) {
            return false;
        }
        let points = self.points.entry(peer).or_default();
        *points = points.saturating_add(more);
        if *points <= POINTS_MAX || self.blocked_until.len() >= PEERS_MAX {
            return false;
        }
        self.blocked_until.insert(peer, now + BLOCKED_FOR).is_none()
    }

    /// Forgets what is long past. Returns who may come back.
    pub(super) fn forgive(&mut self, now: Instant) -> Vec<PeerId> {
        if now.duration_since(self.window_started) >= WINDOW {
            self.window_started = now;
            self.points.clear();
        }
        let forgiven: Vec<_> = self
            .blocked_until
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in &forgiven {
            self.blocked_until.remove(peer);
        }
        forgiven
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::identity::peer_of;
    use boltgrid_protocol::signing::Keypair;

    fn peer(seed: u8) -> PeerId {
        peer_of(&Keypair::from_seed(&[seed; 32]).participant_id()).unwrap()
    }

    /// How often a peer can be blamed until it is to be blocked.
    fn times_until_blocked(faults: &mut Faults, blame: Blame, now: Instant) -> Option<u32> {
        (1..=10_000).find(|_| faults.add(peer(1), blame, now))
    }

    #[test]
    fn a_peer_is_blocked_once_it_has_done_too_much_and_forgiven_later() {
        let start = Instant::now();
        let mut faults = Faults::new(start);
        assert_eq!(times_until_blocked(&mut faults, Blame::Sender, start), Some(65));
        assert_eq!(times_until_blocked(&mut faults, Blame::Sender, start), None, "only once");
        assert!(!faults.add(peer(2), Blame::Sender, start), "others are not affected");
        assert_eq!(faults.forgive(start + BLOCKED_FOR / 2), []);
        assert_eq!(faults.forgive(start + BLOCKED_FOR), [peer(1)]);
        assert_eq!(faults.forgive(start + BLOCKED_FOR), []);
    }

    #[test]
    fn what_may_happen_to_a_correct_peer_weighs_little_and_our_own_doing_nothing() {
        let start = Instant::now();
        assert_eq!(times_until_blocked(&mut Faults::new(start), Blame::Nobody, start), Some(2049));
        assert_eq!(times_until_blocked(&mut Faults::new(start), Blame::Us, start), None);
    }

    #[test]
    fn a_fault_now_and_then_is_forgotten() {
        let start = Instant::now();
        let mut faults = Faults::new(start);
        for window in 0..10 {
            let now = start + WINDOW * window;
            assert_eq!(faults.forgive(now), []);
            assert!((0..64).all(|_| !faults.add(peer(1), Blame::Sender, now)));
        }
    }
}
