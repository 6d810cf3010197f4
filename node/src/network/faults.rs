//! Peers that hand us what no correct peer would, and for how long they are kept away.
//!
//! A correct node passes on only what it has verified itself, so a handful of faults is already
//! strange. Peers that are kept away are disconnected, not silently ignored: a message that an
//! ignored peer brings first would be taken for seen when an honest one brings it.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

/// More faults than this within [`WINDOW`] and the peer is kept away.
pub(super) const FAULTS_MAX: u32 = 64;
/// After this, faults are forgotten.
const WINDOW: Duration = Duration::from_secs(60);
/// For how long a peer is kept away.
const BLOCKED_FOR: Duration = Duration::from_secs(600);
/// Peers remembered; beyond that, new ones are not. Far more than can be connected in a window.
const PEERS_MAX: usize = 1024;

/// Who did what no correct peer does.
#[derive(Debug)]
pub(super) struct Faults {
    window_started: Instant,
    counts: BTreeMap<PeerId, u32>,
    blocked_until: BTreeMap<PeerId, Instant>,
}

impl Faults {
    pub(super) const fn new(now: Instant) -> Self {
        Self { window_started: now, counts: BTreeMap::new(), blocked_until: BTreeMap::new() }
    }

    /// Counts a fault. True where the peer is to be kept away from now on.
    #[must_use]
    pub(super) fn add(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.counts.len() >= PEERS_MAX && !self.counts.contains_key(&peer) {
            return false;
        }
        let count = self.counts.entry(peer).or_default();
        *count = count.saturating_add(1);
        if *count <= FAULTS_MAX || self.blocked_until.len() >= PEERS_MAX {
            return false;
        }
        self.blocked_until.insert(peer, now + BLOCKED_FOR).is_none()
    }

    /// Forgets what is long past. Returns who may come back.
    pub(super) fn forgive(&mut self, now: Instant) -> Vec<PeerId> {
        if now.duration_since(self.window_started) >= WINDOW {
            self.window_started = now;
            self.counts.clear();
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

    /// Adds faults until the peer is to be blocked, `most` at most.
    fn faults_until_blocked(faults: &mut Faults, now: Instant, most: u32) -> Option<u32> {
        (1..=most).find(|_| faults.add(peer(1), now))
    }

    #[test]
    fn a_peer_is_blocked_once_it_has_made_too_many_faults_and_forgiven_later() {
        let start = Instant::now();
        let mut faults = Faults::new(start);
        assert_eq!(faults_until_blocked(&mut faults, start, 1000), Some(FAULTS_MAX + 1));
        assert_eq!(faults_until_blocked(&mut faults, start, 1000), None, "blocked only once");
        assert!(!faults.add(peer(2), start), "others are not affected");
        assert_eq!(faults.forgive(start + BLOCKED_FOR / 2), []);
        assert_eq!(faults.forgive(start + BLOCKED_FOR), [peer(1)]);
        assert_eq!(faults.forgive(start + BLOCKED_FOR), []);
    }

    #[test]
    fn a_fault_now_and_then_is_forgotten() {
        let start = Instant::now();
        let mut faults = Faults::new(start);
        for window in 0..10 {
            let now = start + WINDOW * window;
            assert_eq!(faults.forgive(now), []);
            assert_eq!(faults_until_blocked(&mut faults, now, FAULTS_MAX), None);
        }
    }
}
