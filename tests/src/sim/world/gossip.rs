//! How messages get about: an author tells everybody, who takes a message passes it on to some, and
//! what somebody still lacks after a heartbeat is offered again, as gossipsub does.
//!
//! Not for: what a single link does ([`crate::sim::network`]).

use std::sync::Arc;

use boltgrid_market::abstention::{ClockCheck, PeerClocks};
use boltgrid_market::input::Input;
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::direct::Question;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::topic::Topic;

use super::{What, World};
use crate::sim::admission::{MessageId, Parts};
use crate::sim::dice::{lot, to_index};
use crate::sim::network::Journey;
use crate::sim::node::Mind;

/// To how many others a message is passed on.
const PASSED_ON_TO: usize = 4;
/// Between two offers of what others may lack.
const BEAT_MS: u64 = 1_000;
/// To how many others it is offered.
const OFFERED_TO: usize = 3;
/// Clocks are compared once in so many beats.
const CLOCKS_ASKED_EVERY: u64 = 3;
/// A question's place among the keys of a link, apart from messages.
pub(super) const QUESTION_KEY: u64 = 1 << 40;

impl World {
    /// Tells everybody, or only some.
    pub(super) fn publish(
        &mut self,
        from: usize,
        topic: Topic,
        bytes: &Arc<[u8]>,
        to: Option<&[usize]>,
    ) {
        let id = self.message(bytes);
        self.nodes[from].see(id);
        if to.is_none() {
            self.nodes[from].offer(self.now_ms, id, topic);
        }
        for other in 0..self.nodes.len() {
            if other != from && to.is_none_or(|to| to.contains(&other)) {
                self.send(from, other, id, Some(topic));
            }
        }
    }

    /// The place of a message that may be new.
    pub(super) fn message(&mut self, bytes: &Arc<[u8]>) -> MessageId {
        let (id, is_new) = self.admission.note(bytes);
        if is_new && let Some(message) = self.admission.message(id) {
            self.checks.seen(self.since_ms(), message);
        }
        id
    }

    /// Sends a message over one link.
    pub(super) fn send(&mut self, from: usize, to: usize, id: MessageId, topic: Option<Topic>) {
        let key = id.as_usize() as u64;
        for after_ms in self.journey(from, to, key) {
            self.after(after_ms, What::Arrive { to, from, id, topic });
        }
    }

    /// When something sent arrives, once or twice, if it does.
    pub(super) fn journey(
        &mut self,
        from: usize,
        to: usize,
        key: u64,
    ) -> impl Iterator<Item = u64> + use<> {
        self.counts.sent += 1;
        let (first, second) = match self.network.send(self.since_ms(), from, to, key) {
            Journey::Lost => {
                self.counts.lost += 1;
                (None, None)
            }
            Journey::CutOff => {
                self.counts.cut_off += 1;
                (None, None)
            }
            Journey::Arrives { after_ms, again_after_ms } => {
                self.counts.copied += u64::from(again_after_ms.is_some());
                (Some(after_ms), again_after_ms)
            }
        };
        first.into_iter().chain(second)
    }

    /// Passes on what the market took.
    pub(super) fn pass_on(&mut self, from: usize, id: MessageId, topic: Topic) {
        self.nodes[from].offer(self.now_ms, id, topic);
        for to in self.others(from, id.as_usize() as u64, PASSED_ON_TO) {
            self.send(from, to, id, Some(topic));
        }
    }

    /// Some others, drawn for this moment.
    fn others(&self, from: usize, key: u64, count: usize) -> Vec<usize> {
        let all = self.nodes.len();
        let draw = lot([self.plan.seed, from as u64, key, self.now_ms]);
        let start = to_index(draw % all as u64);
        // Steps of a length that visits everybody.
        let strides: Vec<usize> =
            [1, 3, 5, 7].into_iter().filter(|it| !all.is_multiple_of(*it) || *it == 1).collect();
        let stride = strides.get(to_index((draw >> 32) % 4)).copied().unwrap_or(1);
        (0..all)
            .map(|step| (start + step * stride) % all)
            .filter(|other| *other != from)
            .take(count)
            .collect()
    }

    /// Offers what others lack.
    pub(super) fn beat(&mut self, node: usize) {
        self.after(BEAT_MS, What::Beat { node });
        if !self.nodes[node].is_up() {
            return;
        }
        if (self.since_ms() / BEAT_MS).is_multiple_of(CLOCKS_ASKED_EVERY) {
            self.compare_clocks(node);
        }
        let offers = self.nodes[node].offers(self.now_ms);
        for to in self.others(node, QUESTION_KEY, OFFERED_TO) {
            if !self.nodes[to].is_up() {
                continue;
            }
            for (id, topic) in &offers {
                if self.nodes[to].has_seen(*id) {
                    continue;
                }
                // The offer, the request, and the message.
                let key = QUESTION_KEY + id.as_usize() as u64;
                let there = self.journey(node, to, key).next();
                let back = there.and_then(|_| self.journey(to, node, key).next());
                let there_again = back.and_then(|_| self.journey(node, to, key + 1).next());
                if let (Some(one), Some(two), Some(three)) = (there, back, there_again) {
                    let arrives = What::Arrive { to, from: node, id: *id, topic: Some(*topic) };
                    self.after(one + two + three, arrives);
                    self.counts.repaired += 1;
                }
            }
        }
    }

    /// Asks some others what their clocks show (P25).
    fn compare_clocks(&mut self, node: usize) {
        let mine = self.local(node).to_unix_ms();
        let skew_max_ms = self.founding.charter.interval.clock_skew_max_ms;
        let mut offsets_ms = Vec::with_capacity(PeerClocks::PEERS_MAX);
        for other in self.others(node, QUESTION_KEY + 1, PeerClocks::PEERS_MAX) {
            let key = QUESTION_KEY + 2;
            let there = self.journey(node, other, key).next();
            let back = there.and_then(|_| self.journey(other, node, key).next());
            let (Some(there), Some(back)) = (there, back) else { continue };
            if self.nodes[other].is_up() && there + back <= skew_max_ms {
                let theirs = self.local(other).to_unix_ms();
                // The middle of asking and hearing, as far as both ways take as long.
                let error_ms = i64::try_from(there).unwrap_or(0) - i64::try_from(back).unwrap_or(0);
                let apart = theirs.saturating_add_signed(error_ms / 2);
                offsets_ms.push(apart.checked_signed_diff(mine).unwrap_or(i64::MAX));
            }
        }
        if let Some(clocks) = PeerClocks::of(offsets_ms) {
            self.after(skew_max_ms, What::Clock { node, check: ClockCheck::Peers(clocks) });
        }
    }

    /// A message arrives.
    pub(super) fn arrive(&mut self, to: usize, from: usize, id: MessageId, topic: Option<Topic>) {
        if !self.nodes[to].is_up() || (topic.is_some() && !self.nodes[to].see(id)) {
            return;
        }
        let local = self.local(to);
        let message = self.admission.admit(id, local);
        let message = message
            .filter(|message| topic.is_none_or(|topic| self.admission.belongs(message, topic)))
            .cloned();
        let Some(message) = message else {
            self.counts.refused += 1;
            return;
        };
        if matches!(message, Message::Reading(_)) {
            let interval = Parts::of(&message).interval;
            self.nodes[to].archive.push_back((interval, id));
        }
        let here = self.here(to);
        if topic.is_some() && self.honest[to] {
            self.checks.heard(here, &message);
        }
        self.note(to, || format!("hears from {from}: {}", describe(&message)));
        let token = topic.map(|_| id.as_usize() as u64);
        self.input(to, Input::Heard { message: Box::new(message), token }, Some((id, topic)));
    }

    /// Asks another node directly.
    pub(super) fn ask(&mut self, from: usize, to: usize, question: &Question) {
        let key = QUESTION_KEY + self.sequence;
        for after_ms in self.journey(from, to, key) {
            self.after(after_ms, What::Asked { to, from, question: question.clone() });
        }
    }

    /// A question arrives, and is answered at once.
    pub(super) fn asked(&mut self, to: usize, from: usize, question: &Question) {
        let (orders, certificate) = match (&self.nodes[to].mind, question) {
            // History and clocks are not asked for here, and nobody offers anything; nothing in
            // them binds anybody.
            (Mind::Down, _)
            | (
                _,
                Question::Reconcile { .. }
                | Question::Items { .. }
                | Question::Clock
                | Question::Reply { .. }
                | Question::Invoice { .. }
                | Question::Escrow(_)
                | Question::Readings { .. }
                | Question::Open { .. },
            ) => return,
            (Mind::Honest(market), Question::Orders { interval, authors }) => {
                (market.orders_of(*interval, authors), None)
            }
            (Mind::Honest(market), Question::Certificate { interval }) => {
                (Vec::new(), market.certificate(*interval))
            }
            (Mind::Rogue(rogue), Question::Orders { interval, authors }) => {
                (rogue.orders_of(*interval, authors), None)
            }
            (Mind::Rogue(rogue), Question::Certificate { interval }) => {
                (Vec::new(), rogue.certificate(*interval))
            }
        };
        for bytes in orders {
            let id = self.message(&bytes);
            self.send(to, from, id, None);
        }
        if let Some(bytes) = certificate {
            let key = QUESTION_KEY + self.sequence;
            for after_ms in self.journey(to, from, key) {
                let bytes = Arc::clone(&bytes);
                self.after(after_ms, What::Certificate { to: from, bytes });
            }
        }
    }

    pub(super) fn take_certificate(&mut self, to: usize, bytes: &Arc<[u8]>) {
        if !self.nodes[to].is_up() {
            return;
        }
        if let Ok(certificate) = BookCertificate::from_bytes(bytes) {
            self.note(to, || format!("gets a certificate of interval {}", certificate.interval));
            self.input(to, Input::Certificate(Box::new(certificate)), None);
        }
    }
}

/// A message in a trace.
pub(super) fn describe(message: &Message) -> String {
    let parts = Parts::of(message);
    let what = match message {
        Message::Order(it) => format!("order of {}", it.author()),
        Message::Ack(it) => {
            let held: Vec<String> = it.body().held.iter().map(|it| it.to_string()).collect();
            format!("ack of {}: {}", it.author(), held.join(" "))
        }
        Message::Proposal(it) => {
            let body = it.body();
            format!(
                "proposal of {} for view {}, {} orders, valid view {:?}",
                it.author(),
                body.view,
                body.book.entries.len(),
                body.valid_view
            )
        }
        Message::Vote(it) => {
            let body = it.body();
            let book = body.book.map_or_else(|| "none".to_owned(), |book| book.short());
            format!("{:?} of {} in view {} for {book}", body.stage, it.author(), body.view)
        }
        Message::Confirm(it) => {
            format!("confirm of {}, trade {}", it.author(), it.body().terms.index)
        }
        Message::Reading(it) => format!("reading of {}", it.author()),
        Message::Evidence(it) => format!("evidence by {}", it.author()),
        Message::PeerRecord(it) => format!("peer record of {}", it.author()),
        Message::Offer(it) => format!("offer of {}", it.author()),
        Message::Acceptance(it) => format!("acceptance of {}", it.author()),
        Message::Reply(it) => format!("reply of {}", it.author()),
        Message::Invoice(it) => format!("invoice of {}", it.author()),
        Message::Deed(it) => format!("deed of {}", it.author()),
        Message::Seal(it) => format!("seal of {}", it.author()),
        Message::Share(it) => format!("share of {}", it.author()),
    };
    format!("interval {}: {what} ({})", parts.interval, parts.hash.short())
}
