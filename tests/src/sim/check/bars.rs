//! Equivocation that reached honest nodes is known to all of them soon, and no honest member is ever
//! barred (P20).
//!
//! It has reached them once honest nodes took two different messages for one slot. Not for: what was
//! whispered to one node only, or came when it counts no more.

use std::collections::{BTreeMap, BTreeSet};

use boltgrid_market::effect::Slot;
use boltgrid_protocol::envelope::Kind;
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::units::Interval;

use super::signs_once::slot_of;
use super::{Facts, Findings, Fitness, Guarantee, Here};
use crate::sim::admission::Parts;

/// How soon everyone knows.
const KNOWN_WITHIN_MS: u64 = 5_000;

/// Somebody that signed two things for one slot.
#[derive(Clone, Copy, Debug)]
struct Culprit {
    who: ParticipantId,
    interval: Interval,
    /// When it had reached honest nodes.
    since_ms: u64,
}

/// Who signed what twice, and who knows of it.
#[derive(Debug, Default)]
pub(super) struct Bars {
    taken: BTreeMap<(ParticipantId, Kind, Slot), BTreeSet<MessageHash>>,
    /// By the moment at which all must know.
    due: BTreeMap<u64, Vec<Culprit>>,
    /// Until when each node bars whom, since it started.
    barred: BTreeMap<(usize, ParticipantId), Interval>,
    /// The same, whoever barred and whether it forgot.
    ever: BTreeMap<ParticipantId, Interval>,
    /// How often somebody was caught.
    pub(super) caught: u64,
}

impl Bars {
    /// An honest node took a message as the first of its slot or as proof against its author.
    pub(super) fn took(&mut self, facts: &Facts, here: Here, message: &Message) -> Option<u64> {
        let parts = Parts::of(message);
        let author = facts.node_of(&parts.participant);
        let proves = matches!(
            message,
            Message::Order(_)
                | Message::Ack(_)
                | Message::Vote(_)
                | Message::Reading(_)
                | Message::Seal(_)
                | Message::Share(_)
        );
        if author.is_none_or(|author| facts.honest[author]) || !proves {
            return None;
        }
        let slot = slot_of(message)?;
        let taken = self.taken.entry((parts.participant, message.kind(), slot)).or_default();
        let is_new = taken.insert(parts.hash);
        if !is_new || taken.len() != 2 {
            return None;
        }
        self.caught += 1;
        let (who, interval, since_ms) = (parts.participant, parts.interval, here.at_ms);
        let due_ms = since_ms + KNOWN_WITHIN_MS;
        self.due.entry(due_ms).or_default().push(Culprit { who, interval, since_ms });
        Some(due_ms)
    }

    pub(super) fn barred(
        &mut self,
        facts: &Facts,
        findings: &mut Findings,
        here: Here,
        (culprit, until): (&ParticipantId, Interval),
    ) {
        if facts.node_of(culprit).is_some_and(|node| facts.honest[node]) {
            let what = format!("it bars honest member {}", culprit.short());
            findings.at(Guarantee::NeverBarred, here, until, what);
        }
        let later = |slot: &mut Interval| *slot = (*slot).max(until);
        later(self.barred.entry((here.node, *culprit)).or_default());
        later(self.ever.entry(*culprit).or_default());
    }

    /// Whether a node bars somebody in an interval.
    pub(super) fn has(&self, node: usize, who: &ParticipantId, interval: Interval) -> bool {
        self.barred.get(&(node, *who)).is_some_and(|until| interval < *until)
    }

    /// Whether any node ever barred somebody in an interval.
    pub(super) fn anywhere(&self, who: &ParticipantId, interval: Interval) -> bool {
        self.ever.get(who).is_some_and(|until| interval < *until)
    }

    /// A node stopped.
    pub(super) fn forget(&mut self, node: usize) {
        self.barred.retain(|(at, _), _| *at != node);
    }

    /// Since when those are known to somebody that all must know by now.
    pub(super) fn since(&self, at_ms: u64) -> Vec<u64> {
        self.due.range(..=at_ms).flat_map(|(_, due)| due.iter().map(|it| it.since_ms)).collect()
    }

    /// Whoever had to be known by now is.
    pub(super) fn due(
        &mut self,
        facts: &Facts,
        findings: &mut Findings,
        at_ms: u64,
        fitness: &BTreeMap<u64, Fitness>,
    ) {
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() <= at_ms) {
            for culprit in entry.remove() {
                let Some(Fitness { fit, .. }) = fitness.get(&culprit.since_ms) else { continue };
                let ignorant = (0..fit.len()).find(|node| {
                    fit[*node]
                        && facts.honest[*node]
                        && !self.has(*node, &culprit.who, culprit.interval)
                });
                if let Some(node) = ignorant {
                    let what = format!("it does not know of {}", culprit.who.short());
                    let place = (at_ms, Some(node));
                    findings.add(Guarantee::EvidenceSpreads, place, culprit.interval, what);
                }
            }
        }
    }
}
