//! Direct requests between members: questions with answers, and confirms.
//! Not for: their bytes ([`boltgrid_protocol::direct`]) or what the answers are, which the market task knows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::direct::{Answer, Question, Request, Response};
use boltgrid_protocol::envelope::{Header, Kind};
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::seal::Shown;
use boltgrid_protocol::units::{Interval, Timestamp};
use libp2p::PeerId;
use libp2p::request_response::{Event, Message, OutboundRequestId, ResponseChannel};
use tokio::time::Instant;

use super::event_loop::Network;
use super::handle::NetworkEvent;
use super::pace::{Rate, TokenBucket};
use super::refused::Refused;
use super::status::DIRECT;

type Channel = ResponseChannel<Vec<u8>>;

/// Questions of others that wait for an answer.
const OPEN_MAX: usize = 256;
/// How long our answer may take; the other side waits a little longer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// What a member may ask: a burst after it comes back, and eight questions a second.
const ASKED: Rate = Rate { capacity: 32, one_more_in: Duration::from_millis(125) };
/// Own requests under way or waiting to be tried again.
const SENT_MAX: usize = 1024;

/// A question that we have not answered yet.
#[derive(Debug)]
struct Open {
    channel: Channel,
    asked_at: Instant,
}

/// A request of ours.
#[derive(Clone, Debug)]
enum Sent {
    Ask { whom: ParticipantId, question: Question },
    Message { to: ParticipantId, bytes: Arc<[u8]>, until: Timestamp },
    Show { to: ParticipantId, shown: Box<Shown>, until: Timestamp },
}

/// Requests of both directions that are not settled.
#[derive(Debug, Default)]
pub(super) struct Requests {
    buckets: BTreeMap<ParticipantId, TokenBucket>,
    open: BTreeMap<u64, Open>,
    next_token: u64,
    sent: HashMap<OutboundRequestId, Sent>,
    again: Vec<Sent>,
}

impl Requests {
    /// Forgets who is no longer a member.
    pub(super) fn keep(&mut self, is_member: impl Fn(&ParticipantId) -> bool) {
        self.buckets.retain(|participant, _| is_member(participant));
    }
}

impl Network {
    /// Asks a member.
    pub(super) fn ask(&mut self, whom: ParticipantId, question: Question) {
        self.send(Sent::Ask { whom, question });
    }

    /// Sends a confirm or a reading, and sends it again until its like no longer counts.
    pub(super) fn send_to(&mut self, to: ParticipantId, bytes: Arc<[u8]>) {
        let timing = &self.charter.interval;
        let until = Header::peek(&bytes).map_or((self.clock)(), |header| {
            if header.kind == Kind::Reading {
                timing.schedule(header.interval.previous()).readings_by
            } else {
                timing.schedule(header.interval).confirm_by
            }
        });
        self.send(Sent::Message { to, bytes, until });
    }

    /// Shows a reading of ours, and again until readings of its instant no longer count.
    pub(super) fn show(&mut self, to: ParticipantId, shown: Box<Shown>) {
        let until = Header::peek(&shown.reading).map_or((self.clock)(), |header| {
            self.charter.interval.schedule(header.interval.previous()).readings_by
        });
        self.send(Sent::Show { to, shown, until });
    }

    fn send(&mut self, sent: Sent) {
        let (to, request) = match &sent {
            Sent::Ask { whom, question } => (whom, Request::Ask(question.clone())),
            Sent::Message { to, bytes, .. } => (to, Request::Message(bytes.to_vec())),
            Sent::Show { to, shown, .. } => (to, Request::Show((**shown).clone())),
        };
        match self.peers.find(to) {
            Some((peer, addresses)) if self.requests.sent.len() < SENT_MAX => {
                let addresses = addresses.to_vec();
                let direct = &mut self.swarm.behaviour_mut().direct;
                let request = request.to_bytes();
                let id = direct.send_request_with_addresses(&peer, request, addresses);
                self.requests.sent.insert(id, sent);
            }
            _ => self.failed(sent),
        }
    }

    /// A request came to nothing: a confirm or a reading is sent again, a question is the asker's to
    /// repeat.
    fn failed(&mut self, sent: Sent) {
        match sent {
            // The next round asks again.
            Sent::Ask { question: Question::Clock, .. } => {}
            Sent::Ask { whom: by, question } => {
                if self.tell(NetworkEvent::Unanswered { by, question }).is_err() {
                    self.tally.refuse(DIRECT, Refused::Overloaded);
                }
            }
            Sent::Message { until, .. } | Sent::Show { until, .. }
                if (self.clock)() < until && self.requests.again.len() < SENT_MAX =>
            {
                self.requests.again.push(sent);
            }
            Sent::Message { .. } | Sent::Show { .. } => {
                self.tally.unsent = self.tally.unsent.saturating_add(1);
            }
        }
    }

    /// Sends again what failed, and gives up questions that nobody here answered.
    pub(super) fn settle_requests(&mut self, now: Instant, wall: Timestamp) {
        for sent in std::mem::take(&mut self.requests.again) {
            match &sent {
                Sent::Message { until, .. } | Sent::Show { until, .. } if *until <= wall => {
                    self.failed(sent);
                }
                Sent::Message { .. } | Sent::Show { .. } | Sent::Ask { .. } => self.send(sent),
            }
        }
        // Tokens are given in the order of asking.
        while let Some(entry) = self.requests.open.first_entry() {
            if now.duration_since(entry.get().asked_at) < ANSWERED_WITHIN {
                break;
            }
            let Open { channel, .. } = entry.remove();
            self.respond(channel, Response::Refused);
        }
    }

    /// Answers a question, if its asker still waits.
    pub(super) fn answer(&mut self, token: u64, answer: Answer) {
        if let Some(Open { channel, .. }) = self.requests.open.remove(&token) {
            self.respond(channel, Response::Answer(answer));
        }
    }

    fn respond(&mut self, channel: Channel, response: Response) {
        let direct = &mut self.swarm.behaviour_mut().direct;
        if direct.send_response(channel, response.to_bytes()).is_err() {
            tracing::debug!("the asker no longer waits");
        }
    }

    /// Something happened on the direct protocol.
    pub(super) fn on_direct(&mut self, event: Event<Vec<u8>, Vec<u8>>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.on_request(peer, &request, channel);
            }
            Event::Message {
                peer, message: Message::Response { request_id, response }, ..
            } => {
                if let Some(sent) = self.requests.sent.remove(&request_id) {
                    self.on_response(peer, sent, &response);
                }
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "a request failed");
                if let Some(sent) = self.requests.sent.remove(&request_id) {
                    self.failed(sent);
                }
            }
            Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a request of another failed");
            }
            Event::ResponseSent { .. } => {}
        }
    }

    fn on_request(&mut self, peer: PeerId, request: &[u8], channel: Channel) {
        if let Err((channel, refused)) = self.serve(peer, request, channel) {
            self.refuse(DIRECT, peer, refused);
            self.respond(channel, Response::Refused);
        }
    }

    /// Serves a member: a confirm and a look at the clock at once, any other question once the market
    /// task has answered it.
    fn serve(
        &mut self,
        peer: PeerId,
        request: &[u8],
        channel: Channel,
    ) -> Result<(), (Channel, Refused)> {
        let (from, request) = match self.admit(&peer, request) {
            Ok(admitted) => admitted,
            Err(refused) => return Err((channel, refused)),
        };
        match request {
            Request::Message(bytes) => match self.take_message(&from, &bytes) {
                Ok(()) => {
                    self.respond(channel, Response::Taken);
                    Ok(())
                }
                Err(refused) => Err((channel, refused)),
            },
            Request::Show(shown) => match self.take_shown(&from, shown) {
                Ok(()) => {
                    self.respond(channel, Response::Taken);
                    Ok(())
                }
                Err(refused) => Err((channel, refused)),
            },
            Request::Ask(Question::Clock) => {
                let unix_ms = (self.clock)().to_unix_ms();
                self.respond(channel, Response::Answer(Answer::Clock { unix_ms }));
                Ok(())
            }
            Request::Ask(question) => {
                let token = self.requests.next_token;
                let asked = NetworkEvent::Asked { from, question, token };
                if self.requests.open.len() >= OPEN_MAX || self.tell(asked).is_err() {
                    return Err((channel, Refused::Overloaded));
                }
                self.requests.next_token = token.wrapping_add(1);
                self.requests.open.insert(token, Open { channel, asked_at: Instant::now() });
                Ok(())
            }
        }
    }

    /// Members are served, each so much at a time.
    fn admit(
        &mut self,
        peer: &PeerId,
        request: &[u8],
    ) -> Result<(ParticipantId, Request), Refused> {
        let from = self.peers.member(peer).ok_or(Refused::Stranger)?;
        let now = Instant::now();
        let bucket =
            self.requests.buckets.entry(from).or_insert_with(|| TokenBucket::new(ASKED, now));
        if !bucket.take(now) {
            return Err(Refused::TooOften);
        }
        Ok((from, Request::from_bytes(request).map_err(|_| Refused::Malformed)?))
    }

    fn take_message(&mut self, from: &ParticipantId, bytes: &[u8]) -> Result<(), Refused> {
        let message = Box::new(self.screening.told(from, bytes, (self.clock)())?);
        self.tell(NetworkEvent::Heard { message, token: None })
    }

    fn take_shown(&mut self, from: &ParticipantId, shown: Shown) -> Result<(), Refused> {
        let opened = self.screening.shown(from, shown, (self.clock)())?;
        self.tell(NetworkEvent::Shown(Box::new(opened)))
    }

    fn on_response(&mut self, peer: PeerId, sent: Sent, response: &[u8]) {
        let Ok(response) = Response::from_bytes(response) else {
            self.refuse(DIRECT, peer, Refused::Malformed);
            return self.failed(sent);
        };
        match (&sent, response) {
            (Sent::Message { .. } | Sent::Show { .. }, Response::Taken) => {}
            (
                Sent::Ask { question: Question::Orders { interval, authors }, .. },
                Response::Answer(Answer::Orders(orders)),
            ) => {
                if !self.take_orders(peer, (*interval, authors), &orders) {
                    self.failed(sent);
                }
            }
            (
                Sent::Ask { whom, question: Question::Certificate { .. } },
                Response::Answer(Answer::Certificate(Some(bytes))),
            ) => {
                if self.tell(NetworkEvent::Certificate { from: *whom, bytes }).is_err() {
                    self.tally.refuse(DIRECT, Refused::Overloaded);
                }
            }
            (Sent::Ask { question, .. }, Response::Answer(answer))
                if is_handed_over(question, &answer) =>
            {
                self.hand_over(sent, answer);
            }
            (
                Sent::Ask { whom, question: Question::Clock },
                Response::Answer(Answer::Clock { unix_ms }),
            ) => self.clocks.answered(whom, Timestamp::from_unix_ms(unix_ms), Instant::now()),
            (
                Sent::Ask { whom, question: Question::Reply { .. } },
                Response::Answer(Answer::Reply(Some(bytes))),
            ) => {
                if self.tell(NetworkEvent::Reply { from: *whom, bytes }).is_err() {
                    self.tally.refuse(DIRECT, Refused::Overloaded);
                }
            }
            (
                Sent::Ask { whom, question: Question::Invoice { invoice } },
                Response::Answer(Answer::Invoice(word)),
            ) => {
                let (from, invoice) = (*whom, invoice.clone());
                if self.tell(NetworkEvent::InvoiceWord { from, invoice, word }).is_err() {
                    self.tally.refuse(DIRECT, Refused::Overloaded);
                }
            }
            (
                Sent::Ask { question: Question::Certificate { .. }, .. },
                Response::Answer(Answer::Certificate(None)),
            )
            | (
                Sent::Ask { question: Question::Reply { .. }, .. },
                Response::Answer(Answer::Reply(None)),
            )
            | (_, Response::Refused) => self.failed(sent),
            (_, Response::Answer(_) | Response::Taken) => {
                self.refuse(DIRECT, peer, Refused::NotAskedFor);
                self.failed(sent);
            }
        }
    }

    /// Hands over what a member says of history, of an escrow, of its readings, or to an
    /// opening.
    fn hand_over(&mut self, sent: Sent, answer: Answer) {
        if let Sent::Ask { whom: by, question } = sent
            && self.tell(NetworkEvent::Told { by, question, answer }).is_err()
        {
            self.tally.refuse(DIRECT, Refused::Overloaded);
        }
    }

    /// Charges a member for what only those who looked into it can tell.
    pub(super) fn blame(&mut self, whom: &ParticipantId) {
        if let Some((peer, _)) = self.peers.find(whom) {
            self.refuse(DIRECT, peer, Refused::FalseHistory);
        }
    }

    /// Takes the orders that an answer brought. False where none of them was any good.
    fn take_orders(
        &mut self,
        peer: PeerId,
        asked: (Interval, &[RosterIndex]),
        orders: &[Vec<u8>],
    ) -> bool {
        let mut any = false;
        for bytes in orders {
            let taken = self.screening.order(asked, bytes, (self.clock)()).and_then(|order| {
                self.tell(NetworkEvent::Heard { message: Box::new(order), token: None })
            });
            match taken {
                Ok(()) => any = true,
                Err(refused) => self.refuse(DIRECT, peer, refused),
            }
        }
        any
    }
}

/// Whether an answer is one to its question that others look into.
const fn is_handed_over(question: &Question, answer: &Answer) -> bool {
    matches!(
        (question, answer),
        (Question::Reconcile { .. }, Answer::Reconcile(_))
            | (Question::Items { .. }, Answer::Items(_))
            | (Question::Escrow(_), Answer::Escrow(_))
            | (Question::Readings { .. }, Answer::Readings(_))
            | (Question::Open { .. }, Answer::Open(_))
    )
}
