//! Peers that hand us what no correct peer would, and for how long they are kept away.
//!
//! Two buckets fill per peer, and leak: *faults*, which no correct peer commits (it passes on only
//! what it has verified itself), and *nuisances*, which another clock or roster may explain. A full
//! bucket is a ban. The bucket of faults is also what bounds the signatures that a peer can make us
//! check for nothing, so there is no other limit in front of them: a message that is dropped
//! unlooked-at from one peer would be taken for seen when an honest one brings it, and whoever
//! brings everything first could so keep us from hearing anything. For the same reason who is
//! banned is disconnected, not silently ignored.
//!
//! Every ban is four times as long as the one before, until the peer has been quiet for an hour.
//! All of this is in memory: after a restart everybody starts anew, and a flood is recognised again
//! within a fraction of a second.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use super::refused::Blame;

/// Faults that a peer may have committed: what a few broken messages on all topics come to.
const FAULTS_MAX: u32 = 64;
/// One fault is forgotten in this time, all of them in about a minute.
const FAULT_FORGOTTEN_AFTER: Duration = Duration::from_secs(1);
/// Nuisances that a peer may have been in a grid without members.
const NUISANCES_MIN: u32 = 2048;
/// Nuisances that are forgotten in a second in a grid without members.
const NUISANCES_FORGOTTEN_PER_S: u32 = 32;
/// For how long a peer is kept away the first time …
const BAN_FIRST: Duration = Duration::from_secs(60);
/// … and how many times longer the next time, …
const BAN_GROWTH: u32 = 4;
/// … but never longer than this.
const BAN_MAX: Duration = Duration::from_secs(3600);
/// A peer that gave no cause for so long after its last ban starts anew.
const QUIET: Duration = Duration::from_secs(3600);
/// Peers remembered. Beyond that, who was not heard of for longest is forgotten.
const PEERS_MAX: usize = 1024;

/// How many nuisances an honest member can be.
///
/// The worst case is not its own doing: of every culprit among the members it may hear other
/// contradictions first than we do, and pass all of them on, each one more than we want of that
/// author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tolerance {
    /// At once.
    nuisances_max: u32,
    /// One is forgotten in this time.
    forgotten_after: Duration,
}

impl Tolerance {
    /// In a grid of so many members, each of whom may gossip so many messages in an interval.
    pub(super) fn of(members: usize, allowance: usize, interval: Duration) -> Self {
        let culprits = members.div_ceil(3);
        let per_interval = u32::try_from(culprits.saturating_mul(allowance)).unwrap_or(u32::MAX);
        let interval_s = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).max(1);
        let per_s = per_interval.div_ceil(interval_s).saturating_add(NUISANCES_FORGOTTEN_PER_S);
        Self {
            nuisances_max: per_interval.saturating_add(NUISANCES_MIN),
            forgotten_after: Duration::from_secs(1).checked_div(per_s).unwrap_or_default(),
        }
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::of(0, 0, Duration::from_secs(1))
    }
}

/// A count that goes down by one again and again.
#[derive(Clone, Copy, Debug)]
struct Leaky {
    count: u32,
    since: Instant,
}

impl Leaky {
    fn leak(&mut self, one_in: Duration, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let gone = passed.as_nanos().checked_div(one_in.as_nanos()).unwrap_or(0);
        let gone = u32::try_from(gone).unwrap_or(u32::MAX);
        if gone >= self.count {
            *self = Self { count: 0, since: now };
        } else {
            self.count = self.count.saturating_sub(gone);
            self.since += one_in.saturating_mul(gone);
        }
    }
}

/// How a peer behaved.
#[derive(Debug)]
struct Conduct {
    faults: Leaky,
    nuisances: Leaky,
    bans: u32,
    banned_until: Option<Instant>,
    /// When it last gave cause to be here.
    last: Instant,
}

impl Conduct {
    const fn new(now: Instant) -> Self {
        let none = Leaky { count: 0, since: now };
        Self { faults: none, nuisances: none, bans: 0, banned_until: None, last: now }
    }
}

/// Who did how much of what it should not, and who is banned.
#[derive(Debug)]
pub(super) struct Faults {
    tolerance: Tolerance,
    peers: BTreeMap<PeerId, Conduct>,
}

impl Faults {
    pub(super) const fn new(tolerance: Tolerance) -> Self {
        Self { tolerance, peers: BTreeMap::new() }
    }

    /// Takes over what a grid of another size brings with it.
    pub(super) const fn tolerate(&mut self, tolerance: Tolerance) {
        self.tolerance = tolerance;
    }

    /// Counts what a peer did. Says for how long it is banned, where that is from now on.
    #[must_use]
    pub(super) fn add(&mut self, peer: PeerId, blame: Blame, now: Instant) -> Option<Duration> {
        let consequence = blame.consequence();
        if consequence.faults == 0 && consequence.nuisances == 0 {
            return None;
        }
        let tolerance = self.tolerance;
        let conduct = self.conduct(peer, now);
        conduct.last = now;
        conduct.faults.leak(FAULT_FORGOTTEN_AFTER, now);
        conduct.nuisances.leak(tolerance.forgotten_after, now);
        conduct.faults.count = conduct.faults.count.saturating_add(consequence.faults);
        conduct.nuisances.count = conduct.nuisances.count.saturating_add(consequence.nuisances);
        let is_full =
            conduct.faults.count > FAULTS_MAX || conduct.nuisances.count > tolerance.nuisances_max;
        if is_full { self.ban(peer, now) } else { None }
    }

    /// Bans a peer. Says for how long, unless it is banned already.
    #[must_use]
    pub(super) fn ban(&mut self, peer: PeerId, now: Instant) -> Option<Duration> {
        let conduct = self.conduct(peer, now);
        if conduct.banned_until.is_some() {
            return None;
        }
        let time = BAN_FIRST.saturating_mul(BAN_GROWTH.saturating_pow(conduct.bans)).min(BAN_MAX);
        conduct.bans = conduct.bans.saturating_add(1);
        conduct.banned_until = Some(now + time);
        conduct.last = now + time;
        Some(time)
    }

    /// How many faults of a peer are not forgotten.
    pub(super) fn faults_of(&mut self, peer: &PeerId, now: Instant) -> u32 {
        self.peers.get_mut(peer).map_or(0, |conduct| {
            conduct.faults.leak(FAULT_FORGOTTEN_AFTER, now);
            conduct.faults.count
        })
    }

    /// How many peers are banned.
    pub(super) fn banned(&self) -> usize {
        self.peers.values().filter(|conduct| conduct.banned_until.is_some()).count()
    }

    /// Forgets what is long past. Returns whose ban is over; they start with empty buckets.
    pub(super) fn forgive(&mut self, now: Instant) -> Vec<PeerId> {
        let mut forgiven = Vec::new();
        for (peer, conduct) in &mut self.peers {
            if conduct.banned_until.is_some_and(|until| until <= now) {
                *conduct = Conduct { bans: conduct.bans, ..Conduct::new(now) };
                forgiven.push(*peer);
            }
        }
        self.peers.retain(|_, conduct| {
            let kept_for = if conduct.bans > 0 { QUIET } else { QUIET / 10 };
            conduct.banned_until.is_some() || now.saturating_duration_since(conduct.last) < kept_for
        });
        forgiven
    }

    fn conduct(&mut self, peer: PeerId, now: Instant) -> &mut Conduct {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            // Never one that is banned, or nobody would let it in again.
            let free = self.peers.iter().filter(|(_, conduct)| conduct.banned_until.is_none());
            let oldest = free.min_by_key(|(_, conduct)| conduct.last).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                self.peers.remove(&oldest);
            }
        }
        self.peers.entry(peer).or_insert_with(|| Conduct::new(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::identity::peer_of;
    use boltgrid_protocol::signing::Keypair;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer(seed: u16) -> PeerId {
        let mut bytes = [7; 32];
        bytes[..2].copy_from_slice(&seed.to_be_bytes());
        peer_of(&Keypair::from_seed(&bytes).participant_id()).unwrap()
    }

    fn faults() -> Faults {
        Faults::new(Tolerance::default())
    }

    /// How often a peer can be blamed until it is banned, and for how long it then is.
    fn banned_after(faults: &mut Faults, blame: Blame, now: Instant) -> Option<(u32, Duration)> {
        (1..=10_000).find_map(|times| Some((times, faults.add(peer(1), blame, now)?)))
    }

    #[test]
    fn a_peer_is_banned_once_it_has_done_too_much_and_others_are_not() {
        let start = Instant::now();
        let mut faults = faults();
        assert_eq!(banned_after(&mut faults, Blame::Sender, start), Some((65, BAN_FIRST)));
        assert_eq!(banned_after(&mut faults, Blame::Sender, start), None, "only once");
        assert_eq!(faults.add(peer(2), Blame::Sender, start), None);
        assert_eq!(faults.banned(), 1);
        assert_eq!(faults.forgive(start + BAN_FIRST / 2), []);
        assert_eq!(faults.forgive(start + BAN_FIRST), [peer(1)]);
        assert_eq!(faults.forgive(start + BAN_FIRST), []);
        assert_eq!(faults.banned(), 0);
    }

    #[test]
    fn every_ban_is_longer_than_the_one_before_until_the_peer_was_quiet() {
        let mut now = Instant::now();
        let mut faults = faults();
        let mut ban = |faults: &mut Faults| {
            let (_, time) = banned_after(faults, Blame::Sender, now).unwrap();
            now += time;
            assert_eq!(faults.forgive(now), [peer(1)]);
            time.as_secs()
        };
        let times: Vec<_> = (0..5).map(|_| ban(&mut faults)).collect();
        assert_eq!(times, [60, 240, 960, 3600, 3600]);
        now += QUIET;
        faults.forgive(now);
        assert!(faults.peers.is_empty());
        assert_eq!(banned_after(&mut faults, Blame::Sender, now), Some((65, BAN_FIRST)));
    }

    #[test]
    fn what_may_happen_to_a_correct_peer_weighs_little_and_our_own_doing_nothing() {
        let start = Instant::now();
        let times = banned_after(&mut faults(), Blame::Nobody, start).unwrap().0;
        assert_eq!(times, NUISANCES_MIN + 1);
        assert_eq!(banned_after(&mut faults(), Blame::Us, start), None);
    }

    #[test]
    fn a_fault_a_second_is_forgotten_and_two_are_not() {
        let start = Instant::now();
        let (mut slow, mut fast) = (faults(), faults());
        let blame = |faults: &mut Faults, now| faults.add(peer(1), Blame::Sender, now);
        assert!((0..1000).all(|second| blame(&mut slow, start + SECOND * second).is_none()));
        assert!((0..1000).any(|half| blame(&mut fast, start + SECOND / 2 * half).is_some()));
    }

    #[test]
    fn an_honest_member_may_pass_on_what_a_third_of_a_large_grid_says_too_much() {
        let start = Instant::now();
        let (members, allowance, interval) = (200, 32, Duration::from_secs(10));
        let mut faults = Faults::new(Tolerance::of(members, allowance, interval));
        for second in 0..600 {
            let now = start + SECOND * second;
            let per_s = u32::try_from(members * allowance / 30).unwrap();
            assert!((0..per_s).all(|_| faults.add(peer(1), Blame::Nobody, now).is_none()));
        }
    }

    #[test]
    fn many_names_do_not_grow_the_memory_and_the_banned_stay_banned() {
        let now = Instant::now();
        let mut faults = faults();
        banned_after(&mut faults, Blame::Sender, now).unwrap();
        for number in 2..2000 {
            assert_eq!(faults.add(peer(number), Blame::Sender, now), None);
        }
        assert_eq!(faults.peers.len(), PEERS_MAX);
        assert_eq!(faults.banned(), 1);
    }
}
