//! The nodes of a trial: honest ones, silent ones and rogues.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::effect::Effect;
use boltgrid_market::input::Input;
use boltgrid_market::payments::Means;
use boltgrid_protocol::id::{BookHash, RosterIndex};
use boltgrid_protocol::units::{Interval, Timestamp};
use boltgrid_testnet::rogue::{Deed, Rogue, Role};

use super::super::dice::Dice;
use super::super::founding::Founding;
use super::super::{Cell, Fault};
use super::SKEW_MS;
use super::post::Place;

/// The parts of malicious voters, dealt round.
const PARTS: [Role; 4] =
    [Role::DoubleVoter, Role::EquivocatingLeader, Role::SelectiveAcker, Role::LatePartial];

enum Inside {
    Honest(Box<Market>),
    Rogue(Box<Rogue>),
    Silent,
}

pub(super) struct Node {
    inside: Inside,
    /// What its clock shows while the truth is [`SKEW_MS`].
    clock_ms: u64,
    /// When it is to be woken.
    pub(super) wakes_ms: Option<u64>,
    /// What it passed on of late, and when.
    pub(super) recent: Vec<(u64, Place)>,
    /// The first ack of each voter that was here in time for the rule without a vote.
    pub(super) acks: BTreeMap<RosterIndex, Place>,
    /// Whether malicious voters hand it their acks, where acks are counted without a vote.
    pub(super) hears_late_acks: bool,
    /// How long after the gate it held the certificate, and of which book.
    pub(super) decided: Option<(u64, BookHash)>,
}

/// Something that a node wants done.
pub(super) enum Done {
    Effect(Effect),
    Deed(Deed),
}

/// All nodes of a trial, the faulty ones drawn by lot.
pub(super) fn cast(cell: &Cell, founding: &Founding, dice: &mut Dice) -> Vec<Node> {
    let mut order: Vec<usize> = (0..cell.members).collect();
    dice.shuffle(&mut order);
    let faulty: Vec<usize> = order.into_iter().take(cell.faulty()).collect();
    let keys = || faulty.iter().map(|node| founding.keys[*node].clone()).collect::<Vec<_>>();
    (0..cell.members)
        .map(|node| {
            let (charter, rosters) = (Arc::clone(&founding.charter), founding.rosters.clone());
            let key = founding.keys[node].clone();
            let part = faulty.iter().position(|it| *it == node);
            let inside = match (part, cell.fault) {
                (None, _) => {
                    let market = Market::new(charter, rosters, key, Vec::new(), Means::Ledger);
                    Inside::Honest(Box::new(market))
                }
                (Some(_), Fault::Silent) => Inside::Silent,
                (Some(part), Fault::Malicious) => {
                    let (role, seed) = (PARTS[part % PARTS.len()], dice.below(u64::MAX));
                    Inside::Rogue(Box::new(Rogue::new(role, seed, charter, rosters, key, keys())))
                }
            };
            Node {
                inside,
                clock_ms: dice.below(2 * SKEW_MS + 1),
                wakes_ms: None,
                recent: Vec::new(),
                acks: BTreeMap::new(),
                hears_late_acks: dice.happens(50),
                decided: None,
            }
        })
        .collect()
}

impl Node {
    pub(super) const fn is_honest(&self) -> bool {
        matches!(self.inside, Inside::Honest(_))
    }

    pub(super) const fn is_rogue(&self) -> bool {
        matches!(self.inside, Inside::Rogue(_))
    }

    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.inside, Inside::Silent)
    }

    /// What its clock shows.
    pub(super) const fn clock(&self, now_ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(now_ms + self.clock_ms - SKEW_MS)
    }

    pub(super) fn handle(&mut self, now_ms: u64, input: Input) -> Vec<Done> {
        let now = self.clock(now_ms);
        match &mut self.inside {
            Inside::Honest(market) => {
                market.handle(now, input).into_iter().map(Done::Effect).collect()
            }
            Inside::Rogue(rogue) => rogue.handle(now, input).into_iter().map(Done::Deed).collect(),
            Inside::Silent => Vec::new(),
        }
    }

    /// When to wake it, if that is sooner than it would be woken.
    pub(super) fn wake_earlier(&mut self, now_ms: u64) -> Option<u64> {
        let now = self.clock(now_ms);
        let next = match &self.inside {
            Inside::Honest(market) => market.next_wakeup(now),
            Inside::Rogue(rogue) => rogue.next_wakeup(now),
            Inside::Silent => return None,
        };
        let at_ms = now_ms + next.ms_since(now);
        let sooner = self.wakes_ms.is_none_or(|wakes_ms| at_ms < wakes_ms);
        sooner.then(|| {
            self.wakes_ms = Some(at_ms);
            at_ms
        })
    }

    pub(super) fn orders_of(&self, interval: Interval, authors: &[RosterIndex]) -> Vec<Arc<[u8]>> {
        match &self.inside {
            Inside::Honest(market) => market.orders_of(interval, authors),
            Inside::Rogue(rogue) => rogue.orders_of(interval, authors),
            Inside::Silent => Vec::new(),
        }
    }

    pub(super) fn certificate(&self, interval: Interval) -> Option<Arc<[u8]>> {
        match &self.inside {
            Inside::Honest(market) => market.certificate(interval),
            Inside::Rogue(rogue) => rogue.certificate(interval),
            Inside::Silent => None,
        }
    }
}
