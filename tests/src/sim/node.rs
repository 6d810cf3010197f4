//! One simulated node: its market, its disk, its clock and what its gossip layer remembers.
//!
//! Not for: what happens to it; that is the world's.

use std::collections::VecDeque;

use boltgrid_market::Market;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Interval;
use boltgrid_testnet::rogue::Rogue;

use super::admission::MessageId;
use super::clock::Clock;
use super::incident::Moment;
use super::journal::Journal;
use super::site::Site;

/// How long a message is offered to those who lack it, as gossipsub does for some heartbeats.
pub(super) const OFFERED_MS: u64 = 3_500;

/// What runs in a node.
#[derive(Debug)]
pub(super) enum Mind {
    /// Nothing.
    Down,
    /// The market.
    Honest(Box<Market>),
    /// Somebody that plays a part.
    Rogue(Box<Rogue>),
}

/// Somebody means to kill a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doom {
    pub(super) moment: Moment,
    pub(super) down_ms: u64,
    /// Sends that still leave, once the write is done.
    pub(super) sends_left: Option<u32>,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) mind: Mind,
    pub(super) clock: Clock,
    pub(super) journal: Journal,
    pub(super) site: Site,
    /// Counts starts and stops, so that what was meant for an earlier life is dropped.
    pub(super) life: u32,
    /// Since when it runs.
    pub(super) up_since_ms: u64,
    /// When it is to be woken.
    pub(super) wake_ms: u64,
    pub(super) doom: Option<Doom>,
    pub(super) disk_full_until_ms: u64,
    pub(super) stands_until_ms: u64,
    /// Until when it must stay away, having lost its journal.
    pub(super) silent_until_ms: u64,
    /// Whether it says that it signs nothing.
    pub(super) abstains: bool,
    /// When it last did.
    pub(super) abstained_ms: u64,
    /// Readings and evidence that it heard, as its archive keeps them.
    pub(super) archive: VecDeque<(Interval, MessageId)>,
    seen: Vec<u64>,
    offered: VecDeque<(u64, MessageId, Topic)>,
}

impl Node {
    pub(super) const fn new(clock: Clock, journal: Journal, site: Site) -> Self {
        Self {
            mind: Mind::Down,
            clock,
            journal,
            site,
            life: 0,
            up_since_ms: 0,
            wake_ms: u64::MAX,
            doom: None,
            disk_full_until_ms: 0,
            stands_until_ms: 0,
            silent_until_ms: 0,
            abstains: false,
            abstained_ms: 0,
            archive: VecDeque::new(),
            seen: Vec::new(),
            offered: VecDeque::new(),
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        !matches!(self.mind, Mind::Down)
    }

    /// Whether its gossip layer has this message.
    pub(super) fn has_seen(&self, id: MessageId) -> bool {
        let at = id.as_usize();
        self.seen.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Remembers a message; whether it is new.
    pub(super) fn see(&mut self, id: MessageId) -> bool {
        let is_new = !self.has_seen(id);
        let at = id.as_usize();
        if self.seen.len() <= at / 64 {
            self.seen.resize(at / 64 + 1, 0);
        }
        self.seen[at / 64] |= 1 << (at % 64);
        is_new
    }

    /// Offers a message to those who lack it for a while.
    pub(super) fn offer(&mut self, now_ms: u64, id: MessageId, topic: Topic) {
        while self.offered.front().is_some_and(|(at_ms, ..)| at_ms + OFFERED_MS < now_ms) {
            self.offered.pop_front();
        }
        self.offered.push_back((now_ms, id, topic));
    }

    pub(super) fn offers(&self, now_ms: u64) -> Vec<(MessageId, Topic)> {
        let fresh = self.offered.iter().filter(|(at_ms, ..)| at_ms + OFFERED_MS >= now_ms);
        fresh.map(|(_, id, topic)| (*id, *topic)).collect()
    }

    /// It abstains no more.
    pub(super) const fn trusts_again(&mut self, now_ms: u64) {
        if self.abstains {
            self.abstains = false;
            self.abstained_ms = now_ms;
        }
    }

    /// The process is gone, and with it all that was in memory only.
    pub(super) fn stop(&mut self, now_ms: u64) {
        self.trusts_again(now_ms);
        self.mind = Mind::Down;
        self.life += 1;
        self.wake_ms = u64::MAX;
        self.doom = None;
        self.journal.crash();
        self.seen.clear();
        self.offered.clear();
    }
}
