//! One interval of one grid, from the order window to the certificate.
//!
//! Each distinct message is verified once for all nodes, and reaches each node's market once, as
//! gossip sees to. A hop takes [`HOP_MS`]; what a link loses is offered again at the next heartbeat of
//! a neighbour. Not for: crashes, partitions, wrong clocks, payment.

mod node;
mod post;

use std::collections::BTreeMap;

use boltgrid_market::effect::{Effect, Verdict};
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_protocol::charter::Schedule;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::units::Interval;
use boltgrid_testnet::rogue::Deed;

use super::Cell;
use super::dice::Dice;
use super::founding::{FIRST, Founding, order};
use super::outcome::Outcome;
use node::{Done, Node};
use post::{Event, Place, Post};

/// How long a message travels from a node to its neighbour, or to whoever is asked directly.
const HOP_MS: u64 = 250;
/// Between two heartbeats, at which neighbours are told what was heard.
const HEARTBEAT_MS: u64 = 1_000;
/// What was heard in so many heartbeats is told.
const TOLD_HEARTBEATS: u64 = 3;
/// Each clock is off by at most this, one way or the other: two differ by what the charter bears.
const SKEW_MS: u64 = 500;
/// Orders leave so long before the window closes at the latest, for clocks differ.
const ORDER_MARGIN_MS: u64 = 2 * SKEW_MS;

/// A trial under way.
struct Trial<'a> {
    founding: &'a Founding,
    interval: Interval,
    schedule: Schedule,
    loss_percent: u64,
    dice: Dice,
    nodes: Vec<Node>,
    neighbours: Vec<Vec<usize>>,
    post: Post,
    now_ms: u64,
}

pub(super) fn run(cell: &Cell, founding: &Founding, seed: u64, number: u64) -> Outcome {
    let circumstances = [
        seed,
        number,
        cell.members as u64,
        cell.loss_percent,
        cell.fault as u64,
        cell.faulty() as u64,
    ];
    let mut dice = Dice::of(&circumstances);
    let interval = FIRST.plus(number);
    let schedule = founding.charter.interval.schedule(interval);
    let nodes = node::cast(cell, founding, &mut dice);
    let neighbours = super::links::graph(cell.members, &mut dice);
    let start_ms = schedule.orders_open.to_unix_ms() - 3 * SKEW_MS;
    let mut trial = Trial {
        founding,
        interval,
        schedule,
        loss_percent: cell.loss_percent,
        dice,
        nodes,
        neighbours,
        post: Post::new(founding, cell.members, interval, start_ms),
        now_ms: start_ms,
    };
    for node in 0..cell.members {
        trial.post.at(start_ms, Event::Wake { node });
        let phase_ms = trial.dice.below(HEARTBEAT_MS);
        trial.post.at(start_ms + phase_ms, Event::Beat { node });
    }
    trial.run();
    trial.outcome()
}

impl Trial<'_> {
    fn run(&mut self) {
        let gate_ms = self.schedule.gate.to_unix_ms();
        let counted_ms = gate_ms + self.baseline_after_gate_ms() + 2 * SKEW_MS;
        let last_ms = self.schedule.confirm_by.to_unix_ms() + SKEW_MS;
        while let Some((at_ms, event)) = self.post.next() {
            let decided = self.nodes.iter().all(|node| !node.is_honest() || node.decided.is_some());
            if at_ms > last_ms || (at_ms > counted_ms && decided) {
                break;
            }
            self.now_ms = at_ms;
            self.happen(event);
        }
    }

    /// The rule without a vote counts the acks that are there when a leader would propose.
    fn baseline_after_gate_ms(&self) -> u64 {
        self.schedule.first_view.ms_since(self.schedule.gate)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { node } => {
                if self.nodes[node].wakes_ms == Some(self.now_ms) {
                    self.nodes[node].wakes_ms = None;
                }
                self.input(node, Input::Tick, None);
            }
            Event::Place { node } => {
                let (interval, order) = (self.interval, order(node));
                self.input(node, Input::Place { interval, order }, None);
            }
            Event::Arrive { node, place, gossiped } => self.arrive(node, place, gossiped),
            Event::Beat { node } => self.beat(node),
            Event::AskedForOrders { node, by, authors } => {
                let authors = self.post.asked(authors);
                for bytes in self.nodes[node].orders_of(self.interval, &authors) {
                    let place = self.post.note(&bytes);
                    self.hand(by, Event::Arrive { node: by, place, gossiped: false });
                }
            }
            Event::AskedForCertificate { node, by } => {
                if let Some(bytes) = self.nodes[node].certificate(self.interval) {
                    let certificate = self.post.keep(bytes);
                    self.hand(by, Event::Answered { node: by, certificate });
                }
            }
            Event::Answered { node, certificate } => {
                if let Some(certificate) = self.post.certificate(certificate) {
                    self.input(node, Input::Certificate(Box::new(certificate)), None);
                }
            }
        }
    }

    /// Sends something directly, which may be lost.
    fn hand(&mut self, to: usize, event: Event) {
        if !self.dice.happens(self.loss_percent) && !self.nodes[to].is_silent() {
            self.post.at(self.now_ms + HOP_MS, event);
        }
    }

    fn arrive(&mut self, node: usize, place: Place, gossiped: bool) {
        if gossiped && !self.post.is_first(node, place) {
            return;
        }
        let Some(message) = self.post.message(place).cloned() else { return };
        if let Message::Ack(ack) = &message {
            let local = self.nodes[node].clock(self.now_ms);
            let by = self.schedule.gate.plus_ms(self.baseline_after_gate_ms());
            if local <= by {
                self.nodes[node].acks.entry(ack.author()).or_insert(place);
            }
        }
        let token = gossiped.then_some(0);
        self.input(node, Input::Heard { message: Box::new(message), token }, Some(place));
    }

    /// Hands a node an input, carries out what it wants, and wakes it when it asks to be.
    fn input(&mut self, node: usize, input: Input, about: Option<Place>) {
        let now_ms = self.now_ms;
        for done in self.nodes[node].handle(now_ms, input) {
            match done {
                Done::Effect(effect) => self.carry_out(node, effect, about),
                Done::Deed(Deed::Do(effect)) => self.carry_out(node, effect, about),
                Done::Deed(Deed::Whisper { bytes, to, .. }) => {
                    let place = self.post.note(&bytes);
                    let to: Vec<usize> = to.iter().map(|it| self.founding.node_of(it)).collect();
                    to.into_iter().for_each(|to| self.send(to, place, HOP_MS));
                }
            }
        }
        if let Some(at_ms) = self.nodes[node].wake_earlier(now_ms) {
            self.post.at(at_ms, Event::Wake { node });
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect, about: Option<Place>) {
        match effect {
            Effect::Gossip(_, bytes) => {
                let place = self.post.note(&bytes);
                if let Some(Message::Ack(ack)) = self.post.message(place) {
                    let author = ack.author();
                    self.nodes[node].acks.insert(author, place);
                }
                self.post.is_first(node, place);
                self.spread(node, place);
            }
            Effect::Judge { verdict, .. } => {
                // Faulty nodes pass nothing on.
                if let Some(place) = about.filter(|_| self.nodes[node].is_honest())
                    && verdict == Verdict::Accept
                {
                    self.spread(node, place);
                }
            }
            Effect::FetchOrders { authors, from, .. } => {
                let authors = self.post.ask(authors);
                for to in self.nodes_of(&from) {
                    self.hand(to, Event::AskedForOrders { node: to, by: node, authors });
                }
            }
            Effect::FetchCertificate { from, interval } if interval == self.interval => {
                for to in self.nodes_of(&from) {
                    self.hand(to, Event::AskedForCertificate { node: to, by: node });
                }
            }
            Effect::AskOrder(interval) if interval == self.interval => {
                let window_ms = self.schedule.orders_close.ms_since(self.schedule.orders_open);
                let after_ms = self.dice.below(window_ms - ORDER_MARGIN_MS);
                self.post.at(self.now_ms + after_ms, Event::Place { node });
            }
            Effect::Tell(Notice::Cleared(cleared)) if cleared.interval == self.interval => {
                let gate_ms = self.schedule.gate.to_unix_ms();
                self.nodes[node].decided =
                    Some((self.now_ms.saturating_sub(gate_ms), cleared.book));
            }
            Effect::Tell(_)
            | Effect::Persist(_)
            | Effect::SendTo { .. }
            | Effect::Show { .. }
            | Effect::FetchCertificate { .. }
            | Effect::PublishOffer(_)
            | Effect::AskReply { .. }
            | Effect::AnswerReply { .. }
            | Effect::Payment(_)
            | Effect::AskOrder(_) => {}
        }
    }

    fn nodes_of(&self, participants: &[ParticipantId]) -> Vec<usize> {
        participants.iter().map(|participant| self.founding.node_of(participant)).collect()
    }

    /// Passes gossip on to all neighbours.
    fn spread(&mut self, node: usize, place: Place) {
        let now_ms = self.now_ms;
        self.nodes[node].recent.push((now_ms, place));
        for neighbour in self.neighbours[node].clone() {
            self.send(neighbour, place, HOP_MS);
        }
    }

    /// Sends gossip over one link, unless it comes there sooner anyway.
    fn send(&mut self, to: usize, place: Place, after_ms: u64) {
        let at_ms = self.now_ms + after_ms;
        if !self.nodes[to].is_silent()
            && self.post.comes_later(to, place, at_ms)
            && !self.dice.happens(self.loss_percent)
        {
            self.post.will_come(to, place, at_ms);
            self.post.at(at_ms, Event::Arrive { node: to, place, gossiped: true });
        }
    }

    /// Tells each neighbour what was heard of late; it asks for what it lacks, and gets it. Each of
    /// the three may be lost.
    fn beat(&mut self, node: usize) {
        let now_ms = self.now_ms;
        self.post.at(now_ms + HEARTBEAT_MS, Event::Beat { node });
        let oldest_ms = now_ms.saturating_sub(TOLD_HEARTBEATS * HEARTBEAT_MS);
        self.nodes[node].recent.retain(|(at_ms, _)| *at_ms >= oldest_ms);
        if !self.nodes[node].is_honest() || self.nodes[node].recent.is_empty() {
            return;
        }
        let recent = self.nodes[node].recent.clone();
        for neighbour in self.neighbours[node].clone() {
            if self.dice.happens(self.loss_percent) || self.dice.happens(self.loss_percent) {
                continue;
            }
            for (_, place) in &recent {
                // What is on its way when it is asked for is not asked for.
                if self.post.comes_later(neighbour, *place, now_ms + HOP_MS) {
                    self.send(neighbour, *place, 3 * HOP_MS);
                }
            }
        }
    }

    fn outcome(&self) -> Outcome {
        let honest: Vec<&Node> = self.nodes.iter().filter(|node| node.is_honest()).collect();
        let books: BTreeMap<_, ()> =
            honest.iter().filter_map(|node| Some((node.decided?.1, ()))).collect();
        assert!(books.len() <= 1, "two books of one interval were decided");
        let decided_ms = honest.iter().map(|node| node.decided.map(|(after_ms, _)| after_ms));
        let sets = honest.iter().map(|node| self.majority(node));
        Outcome::of(decided_ms.collect(), sets.collect())
    }

    /// The rule without a vote: whose orders more than half of the acks at hand show. Malicious voters
    /// know the moment at which acks are counted, and hand theirs to half of the others so late that
    /// they cannot be passed on; they show every order there is.
    fn majority(&self, node: &Node) -> Vec<usize> {
        let late = self.nodes.iter().filter(|other| node.hears_late_acks && other.is_rogue());
        let late = late.count();
        let mut holders = vec![late; self.nodes.len()];
        let mut acks = late;
        for place in node.acks.values() {
            if let Some(Message::Ack(ack)) = self.post.message(*place)
                && self.nodes[ack.author().as_usize()].is_honest()
            {
                acks += 1;
                ack.body().held.iter().for_each(|author| holders[author.as_usize()] += 1);
            }
        }
        (0..self.nodes.len()).filter(|author| 2 * holders[*author] > acks).collect()
    }
}
