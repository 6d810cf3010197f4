//! Feeding a market and carrying its effects out in order, as the node's market task does: everything
//! that one step signed is written in one transaction before any of it leaves.
//!
//! Not for: what a crash does in between ([`super::faults`]).

use boltgrid_market::effect::{Effect, JournalEntry, Slot, Verdict};
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_protocol::direct::Question;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Interval, Timestamp};
use boltgrid_testnet::rogue::Deed;

use super::gossip::describe;
use super::{What, World};
use crate::sim::admission::MessageId;
use crate::sim::flaw::Flaw;
use crate::sim::node::Mind;

/// The longest sleep of a node, as in its market task.
const SLEEP_MAX_MS: u64 = 1_000;
/// How long a voter keeps its gate open that says it is closed.
const LATE_GATE_MS: u64 = 290;

/// What an input is about, where it is a message.
pub(super) type About = Option<(MessageId, Option<Topic>)>;

impl World {
    /// Gives a node an input and carries out what it wants, and what follows from that.
    pub(super) fn input(&mut self, node: usize, input: Input, about: About) {
        let mut inputs = vec![(input, about)];
        while let Some((input, about)) = inputs.pop() {
            let now = self.shown_to_market(node);
            self.counts.steps += 1;
            let effects = match &mut self.nodes[node].mind {
                Mind::Down => return,
                Mind::Honest(market) => market.handle(now, input),
                Mind::Rogue(rogue) => {
                    let deeds = rogue.handle(now, input);
                    let next = deeds.into_iter().filter_map(|deed| self.commit(node, deed, about));
                    inputs.extend(next.map(|input| (input, None)));
                    continue;
                }
            };
            let entries: Vec<JournalEntry> = effects.iter().filter_map(persisted).collect();
            if !self.write(node, &entries) {
                return;
            }
            self.watch(node, &effects, about);
            for effect in effects {
                if !matches!(effect, Effect::Tell(_) | Effect::Persist(_)) && self.dies(node) {
                    return;
                }
                let next = self.carry_out(node, effect, about);
                inputs.extend(next.map(|input| (input, None)));
            }
        }
        self.sleep(node);
    }

    /// Carries out what a rogue does.
    fn commit(&mut self, node: usize, deed: Deed, about: About) -> Option<Input> {
        match deed {
            Deed::Do(effect) => self.carry_out(node, effect, about),
            Deed::Whisper { topic, bytes, to } => {
                let to: Vec<usize> = to.iter().filter_map(|it| self.founding.node_of(it)).collect();
                self.counts.whispers += 1;
                self.publish(node, topic, &bytes, Some(&to));
                None
            }
        }
    }

    /// Tells the checks which messages the market took.
    fn watch(&mut self, node: usize, effects: &[Effect], about: About) {
        let Some((id, Some(_))) = about.filter(|_| self.honest[node]) else { return };
        let took = effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::Judge { verdict: Verdict::Accept, .. } | Effect::Gossip(Topic::Evidence, _)
            )
        });
        let here = self.here(node);
        if took
            && let Some(message) = self.admission.message(id)
            && let Some(due_ms) = self.checks.took(here, message)
        {
            self.put(self.starts_ms() + due_ms, What::EvidenceDue);
        }
    }

    /// Carries out one effect; the answer to it, if it asks for one, is the next input.
    fn carry_out(&mut self, node: usize, effect: Effect, about: About) -> Option<Input> {
        match effect {
            Effect::Persist(_) => {}
            Effect::Gossip(topic, bytes) => {
                let id = self.message(&bytes);
                self.leaves(node, id);
                self.publish(node, topic, &bytes, None);
            }
            Effect::SendTo { to, bytes } => {
                let id = self.message(&bytes);
                self.leaves(node, id);
                if let Some(to) = self.founding.node_of(&to) {
                    self.send(node, to, id, None);
                }
            }
            Effect::Show { to, shown } => self.start_showing(node, &to, shown),
            Effect::Judge { verdict, .. } => {
                if let (Verdict::Accept, Some((id, Some(topic)))) = (verdict, about) {
                    self.pass_on(node, id, topic);
                }
            }
            Effect::FetchOrders { interval, authors, from } => {
                for question in Question::for_orders(interval, &authors) {
                    self.ask_all(node, &from, &question);
                }
            }
            Effect::FetchCertificate { interval, from } => {
                self.ask_all(node, &from, &Question::Certificate { interval });
            }
            Effect::AskOrder(interval) => return self.asked_for_order(node, interval),
            Effect::Tell(notice) => self.tell(node, &notice),
            // Nobody offers anything here.
            Effect::PublishOffer(_)
            | Effect::AskReply { .. }
            | Effect::AnswerReply { .. }
            | Effect::Payment(_) => {}
        }
        None
    }

    fn ask_all(
        &mut self,
        node: usize,
        from: &[boltgrid_protocol::id::ParticipantId],
        question: &Question,
    ) {
        let others: Vec<usize> = from.iter().filter_map(|it| self.founding.node_of(it)).collect();
        others.into_iter().for_each(|other| self.ask(node, other, question));
    }

    fn leaves(&mut self, node: usize, id: MessageId) {
        let here = self.here(node);
        let Some(message) = self.admission.message(id) else { return };
        if self.honest[node] {
            self.checks.left(here, message, &self.nodes[node].journal);
        }
        if self.options.traced {
            let line = format!("sends {}", describe(message));
            self.note(node, || line);
        }
    }

    fn tell(&mut self, node: usize, notice: &Notice) {
        if self.honest[node] {
            let here = self.here(node);
            self.checks.told(here, notice, &self.nodes[node].journal);
        }
        match notice {
            Notice::Confirmed { .. } => self.counts.confirmed += 1,
            Notice::Settled(settled) => {
                self.counts.settled += 1;
                let measured = settled.trades.iter().filter(|trade| trade.measured).count();
                self.counts.measured += measured as u64;
            }
            Notice::NoDecision(_) => self.counts.fallbacks += 1,
            Notice::Summed(it) => {
                self.counts.summed += u64::from(it.sum.is_ok());
                self.counts.not_summed += u64::from(it.sum.is_err());
            }
            Notice::Abstains(_) => {
                self.counts.abstentions += 1;
                self.nodes[node].abstains = true;
            }
            Notice::Returned { .. } => self.nodes[node].trusts_again(self.now_ms),
            Notice::Barred { evidence, interval, .. } => {
                let id = self.message(evidence);
                self.nodes[node].archive.push_back((*interval, id));
            }
            Notice::NotTaken(_)
            | Notice::Passed(_)
            | Notice::Placed { .. }
            | Notice::Cleared(_)
            | Notice::Lapsed { .. }
            | Notice::NotSettled(..)
            | Notice::Offered(_)
            | Notice::Accepted { .. }
            | Notice::AcceptanceRefused { .. }
            | Notice::AcceptanceVoid { .. }
            | Notice::ForwardMade(_)
            | Notice::Payment(_) => {}
        }
        self.note(node, || match notice {
            Notice::Cleared(it) => format!(
                "clears interval {} in view {}: book {}, {} orders, {} trades",
                it.interval,
                it.view,
                it.book.short(),
                it.orders.len(),
                it.trades.len()
            ),
            Notice::Settled(it) => {
                format!("settles interval {}, {} trades", it.interval, it.trades.len())
            }
            Notice::Placed { interval, .. } => format!("has placed its order of {interval}"),
            Notice::NotTaken(_)
            | Notice::NoDecision(_)
            | Notice::Summed(_)
            | Notice::Passed(_)
            | Notice::Confirmed { .. }
            | Notice::Lapsed { .. }
            | Notice::NotSettled(..)
            | Notice::Abstains(_)
            | Notice::Returned { .. }
            | Notice::Offered(_)
            | Notice::Accepted { .. }
            | Notice::AcceptanceRefused { .. }
            | Notice::AcceptanceVoid { .. }
            | Notice::ForwardMade(_)
            | Notice::Payment(_) => format!("tells {notice:?}"),
            Notice::Barred { culprit, until, .. } => {
                format!("bars {} until {until}", culprit.short())
            }
        });
    }

    /// A site is asked what it wants: it says so now, later or not at all.
    fn asked_for_order(&mut self, node: usize, interval: Interval) -> Option<Input> {
        let hesitates_ms = self.nodes[node].site.hesitates_ms(interval);
        if hesitates_ms == 0 {
            return self.order(node, interval);
        }
        let life = self.nodes[node].life;
        self.after(hesitates_ms, What::Place { node, life, interval });
        None
    }

    fn order(&mut self, node: usize, interval: Interval) -> Option<Input> {
        let roster = self.founding.rosters.at(interval);
        let me = roster.index_of(&self.founding.participants[node])?;
        let members = u32::try_from(roster.members().len()).expect("a roster is small");
        let order = self.nodes[node].site.order(interval, me.get(), members)?;
        Some(Input::Place { interval, order })
    }

    pub(super) fn place(&mut self, node: usize, life: u32, interval: Interval) {
        if self.nodes[node].life == life
            && self.nodes[node].is_up()
            && let Some(input) = self.order(node, interval)
        {
            self.input(node, input, None);
        }
    }

    /// A node's sleep is over.
    pub(super) fn wake(&mut self, node: usize, at_ms: u64) {
        if self.nodes[node].wake_ms != at_ms || !self.nodes[node].is_up() {
            return;
        }
        self.nodes[node].wake_ms = u64::MAX;
        self.meter(node);
        self.input(node, Input::Tick, None);
    }

    /// Has a node woken when something is due.
    fn sleep(&mut self, node: usize) {
        let (now, local) = (self.shown_to_market(node), self.local(node));
        let market = match &self.nodes[node].mind {
            Mind::Down => return,
            Mind::Honest(market) => market.next_wakeup(now).ms_since(now),
            Mind::Rogue(rogue) => rogue.next_wakeup(now).ms_since(now),
        };
        let timing = &self.founding.charter.interval;
        let edge = timing.start_of(timing.interval_at(local).next()).ms_since(local);
        let wake_ms = self.now_ms + market.min(edge).clamp(1, SLEEP_MAX_MS);
        // Woken too early does no harm.
        if wake_ms < self.nodes[node].wake_ms {
            self.nodes[node].wake_ms = wake_ms;
            self.put(wake_ms, What::Wake { node, at_ms: wake_ms });
        }
    }

    /// The time that a market is given: its clock's, unless it keeps its gate open on purpose.
    fn shown_to_market(&self, node: usize) -> Timestamp {
        let local = self.local(node);
        if self.options.flaw != Some(Flaw::LateOrders) {
            return local;
        }
        let timing = &self.founding.charter.interval;
        let current = timing.interval_at(local);
        let gates = [current, current.next()].map(|it| timing.schedule(it).gate);
        let late = |gate: &Timestamp| *gate <= local && local < gate.plus_ms(LATE_GATE_MS);
        gates.into_iter().find(late).map_or(local, |gate| gate.minus_ms(1))
    }
}

fn persisted(effect: &Effect) -> Option<JournalEntry> {
    match effect {
        Effect::Persist(entry) => Some(entry.clone()),
        Effect::Gossip(..)
        | Effect::SendTo { .. }
        | Effect::Show { .. }
        | Effect::Judge { .. }
        | Effect::FetchOrders { .. }
        | Effect::FetchCertificate { .. }
        | Effect::AskOrder(_)
        | Effect::PublishOffer(_)
        | Effect::AskReply { .. }
        | Effect::AnswerReply { .. }
        | Effect::Payment(_)
        | Effect::Tell(_) => None,
    }
}

/// A slot in a trace.
pub(super) fn name_of(slot: Slot) -> String {
    format!("{slot:?}")
}
