//! One rogue in a testnet: its deeds carried out over real connections, its site's meter and orders.
//!
//! Not for: what a rogue does, which is [`crate::rogue`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use boltgrid::clock;
use boltgrid_market::effect::Effect;
use boltgrid_market::input::Input;
use boltgrid_market::payments::{Payments, Wanted};
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::direct::{Answer, ORDERS_MAX, Question, Request, Response};
use boltgrid_protocol::envelope::{Header, Kind, Verified};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::invoice::InvoiceWord;
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::seal::Shown;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Power, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::lines::{Asked, Lines, Said};
use super::{Played, TAKEN, count};
use crate::devices::SharedPlant;
use crate::plant::SiteRegisters;
use crate::rogue::{Deed, Rogue, Role, Trick};

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);
/// Invoices that have yet to be answered; the first is forgotten for one too many.
const ASKED_MAX: usize = 1024;
/// Milliseconds in an hour.
const HOUR_MS: i128 = 3_600_000;

/// One rogue at work.
pub(super) struct Player {
    pub(super) rogue: Rogue,
    pub(super) lines: Lines,
    pub(super) gate: Gatekeeper,
    pub(super) charter: Arc<Charter>,
    pub(super) participant: ParticipantId,
    pub(super) meter: Keypair,
    pub(super) plant: SharedPlant,
    /// Its site's place among all.
    pub(super) number: usize,
    pub(super) readings: Chain,
    pub(super) played: Played,
    /// What is wrong with each invoice that has yet to be answered.
    pub(super) asked: BTreeMap<Asked, Trick>,
}

/// The readings of its meter so far.
#[derive(Debug, Default)]
pub(super) struct Chain {
    edge: Option<Interval>,
    sequence: u64,
    previous: MessageHash,
    token: u64,
}

impl Player {
    /// Plays its part until it is stopped; returns what it has said, and what was said to it.
    pub(super) async fn play(mut self, stop: CancellationToken) -> Played {
        let mut tick = Instant::now();
        loop {
            let said = tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(tick) => None,
                said = self.lines.next() => Some(said),
            };
            let now = clock::now();
            match said {
                Some(said) => self.hear(now, said),
                None => {
                    tick = Instant::now() + TICK;
                    self.lines.call(now);
                    self.read_meter(now);
                    self.put(now, Input::Tick);
                }
            }
        }
        debug!(participant = %self.participant, connected = self.lines.connected(), "rogue leaves");
        self.played
    }

    fn hear(&mut self, now: Timestamp, said: Said) {
        match said {
            Said::Gossip(bytes) => {
                self.overhear(&bytes);
                self.readings.token = self.readings.token.wrapping_add(1);
                self.admit(now, bytes, Some(self.readings.token));
            }
            Said::Request(line, bytes, channel) => {
                let response = match Request::from_bytes(&bytes) {
                    Ok(Request::Ask(Question::Invoice { invoice })) => {
                        self.asked_to_pay(now, invoice)
                    }
                    Ok(Request::Ask(question)) => self.answer(&question),
                    Ok(Request::Show(shown)) => self.take_shown(now, line, shown),
                    Ok(Request::Message(bytes)) => {
                        self.admit(now, bytes, None);
                        Response::Taken
                    }
                    Err(_) => Response::Refused,
                };
                self.lines.respond(line, channel, response.to_bytes());
            }
            Said::Response(asked, bytes) => match Response::from_bytes(&bytes) {
                Ok(Response::Answer(Answer::Invoice(word))) => self.hear_word(asked, word),
                Ok(Response::Answer(Answer::Readings(shown))) => {
                    let heard = &mut self.played.heard;
                    heard.denied += u64::from(shown.is_empty());
                    shown.iter().for_each(|shown| self.overhear(&shown.reading));
                }
                Ok(Response::Answer(Answer::Orders(orders))) => {
                    orders.into_iter().for_each(|order| self.admit(now, order, None));
                }
                Ok(Response::Answer(Answer::Certificate(Some(bytes)))) => {
                    if let Ok(certificate) = BookCertificate::from_bytes(&bytes) {
                        self.put(now, Input::Certificate(Box::new(certificate)));
                    }
                }
                Ok(_) | Err(_) => {}
            },
        }
    }

    /// Counts what tells of another member's readings.
    fn overhear(&mut self, bytes: &[u8]) {
        let Ok(header) = Header::peek(bytes) else { return };
        let is_of_readings = matches!(header.kind, Kind::Reading | Kind::Seal | Kind::Share);
        // What a feeder's meter shows may be everybody's, and tells of no site.
        let roster = self.gate.roster(header.interval);
        let author = roster.index_of(&header.author);
        let is_meters = author.is_some_and(|it| roster.is_feeders_meter(it, &self.charter));
        let heard = &mut self.played.heard;
        heard.readings += u64::from(header.kind == Kind::Reading && !is_meters);
        heard.seals += u64::from(header.kind == Kind::Seal);
        heard.shares += u64::from(header.kind == Kind::Share);
        if is_of_readings {
            heard.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
    }

    /// Asks everybody for the readings of the interval that ended.
    fn pry(&mut self, interval: Interval) {
        for whom in self.lines.ends() {
            let request = Request::Ask(Question::Readings { interval });
            let asked = self.lines.ask(&whom, request.to_bytes());
            self.played.heard.asked += u64::from(asked.is_some());
        }
    }

    /// A member shows its reading.
    fn take_shown(&mut self, now: Timestamp, line: usize, shown: Shown) -> Response {
        self.overhear(&shown.reading);
        let (by, gate) = (self.lines.other_end(line), &mut self.gate);
        match shown.open(&by, |bytes| gate.admit(bytes, now)) {
            Ok(opened) => {
                self.put(now, Input::Shown(Box::new(opened)));
                Response::Taken
            }
            Err(rejected) => {
                debug!(%rejected, "shown what is none");
                Response::Refused
            }
        }
    }

    fn admit(&mut self, now: Timestamp, bytes: Vec<u8>, token: Option<u64>) {
        match self.gate.admit(bytes, now) {
            Ok(message) => self.put(now, Input::Heard { message: Box::new(message), token }),
            // What other rogues say is none of its business.
            Err(rejected) => debug!(%rejected, "not understood"),
        }
    }

    fn answer(&self, question: &Question) -> Response {
        match question {
            Question::Orders { interval, authors } => {
                let orders = self.rogue.orders_of(*interval, authors);
                let orders = orders.iter().take(ORDERS_MAX).map(|it| it.to_vec()).collect();
                Response::Answer(Answer::Orders(orders))
            }
            Question::Certificate { interval } => {
                let certificate = self.rogue.certificate(*interval).map(|it| it.to_vec());
                Response::Answer(Answer::Certificate(certificate))
            }
            // A rogue keeps no history.
            Question::Reconcile { .. }
            | Question::Items { .. }
            | Question::Clock
            | Question::Reply { .. }
            | Question::Invoice { .. }
            | Question::Escrow(_)
            | Question::Readings { .. }
            | Question::Open { .. } => Response::Refused,
        }
    }

    /// A payee asks for its word on an invoice.
    fn asked_to_pay(&mut self, now: Timestamp, invoice: Vec<u8>) -> Response {
        let Ok(Message::Invoice(invoice)) = self.gate.admit(invoice, now) else {
            return Response::Refused;
        };
        let Some(word) = self.rogue.word_on(&invoice) else { return Response::Refused };
        count(&mut self.played.sent, said(word));
        Response::Answer(Answer::Invoice(word))
    }

    /// A payer's word on an invoice of ours.
    fn hear_word(&mut self, asked: Asked, word: InvoiceWord) {
        let Some(trick) = self.asked.remove(&asked) else { return };
        count(self.played.words.entry(trick).or_default(), said(word));
    }

    fn put(&mut self, now: Timestamp, input: Input) {
        for deed in self.rogue.handle(now, input) {
            match deed {
                Deed::Do(effect) => self.carry_out(now, effect),
                Deed::Whisper { topic, bytes, to } => {
                    if self.lines.publish(topic, &bytes, Some(&to)) > 0 {
                        self.count(&bytes);
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, now: Timestamp, effect: Effect) {
        match effect {
            Effect::Gossip(topic, bytes) => {
                if self.lines.publish(topic, &bytes, None) > 0 {
                    self.count(&bytes);
                }
            }
            Effect::SendTo { to, bytes } => {
                if self.lines.ask(&to, Request::Message(bytes.to_vec()).to_bytes()).is_some() {
                    self.count(&bytes);
                }
            }
            Effect::Show { to, shown } => {
                if self.lines.ask(&to, Request::Show(*shown).to_bytes()).is_some() {
                    count(&mut self.played.sent, "shown_reading");
                }
            }
            Effect::FetchOrders { interval, authors, from } => {
                for question in Question::for_orders(interval, &authors) {
                    self.ask_all(&from, &question);
                }
            }
            Effect::FetchCertificate { interval, from } => {
                self.ask_all(&from, &Question::Certificate { interval });
            }
            // Who trades with somebody is shown its readings; who has no order masks nothing.
            Effect::AskOrder(interval) if self.rogue.role() == Role::Eavesdropper => {
                if self.charter.readings.is_masked() {
                    self.put(now, Input::Place { interval, order: self.idle_order() });
                }
            }
            Effect::AskOrder(interval) => {
                if let Some(order) = self.order(interval) {
                    self.put(now, Input::Place { interval, order });
                }
            }
            Effect::Payment(Wanted::Send { to, invoice }) => self.ask_to_be_paid(&to, &invoice),
            Effect::Persist(_)
            | Effect::Judge { .. }
            | Effect::PublishOffer(_)
            | Effect::AskReply { .. }
            | Effect::AnswerReply { .. }
            | Effect::Payment(_)
            | Effect::Tell(_) => {}
        }
    }

    fn ask_to_be_paid(&mut self, payer: &ParticipantId, invoice: &[u8]) {
        let Ok(header) = Header::peek(invoice) else { return };
        let Some(trick) = self.rogue.trick_of(header.interval, invoice) else { return };
        let question = Question::Invoice { invoice: invoice.to_vec() };
        let Some(asked) = self.lines.ask(payer, Request::Ask(question).to_bytes()) else { return };
        if self.asked.len() >= ASKED_MAX {
            self.asked.pop_first();
        }
        self.asked.insert(asked, trick);
        count(&mut self.played.sent, trick.word());
        if let Some(hash) = Payments::hash_of(invoice).filter(|_| !trick.is_false()) {
            self.played.right.insert(hash.to_string());
        }
    }

    fn ask_all(&mut self, whom: &[ParticipantId], question: &Question) {
        for whom in whom {
            self.lines.ask(whom, Request::Ask(question.clone()).to_bytes());
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        count(&mut self.played.sent, Header::peek(bytes).map_or("nonsense", |it| word(it.kind)));
    }

    /// The site's registers at an edge, as the plant has them.
    fn registers_at(&self, edge: Interval) -> Option<SiteRegisters> {
        let plant = self.plant.lock().expect("a panic in the plant ends the testnet");
        plant.registers_at(self.charter.interval.start_of(edge))?.get(self.number).copied()
    }

    /// Signs a reading of the current edge, once the plant has passed it.
    fn read_meter(&mut self, now: Timestamp) {
        let edge = self.charter.interval.interval_at(now);
        if self.readings.edge.is_some_and(|last| edge <= last) {
            return;
        }
        let Some(registers) = self.registers_at(edge) else { return };
        self.readings.edge = Some(edge);
        if self.rogue.role() == Role::Eavesdropper {
            self.pry(edge.previous());
        }
        let power_mw = self.net_mwh(edge.previous()).map_or(Power::ZERO, |net| {
            let hour_mw = i128::from(net).saturating_mul(HOUR_MS);
            let mw = hour_mw / i128::from(self.charter.interval.interval_ms);
            Power::from_milliwatts(i64::try_from(mw).unwrap_or(0))
        });
        let reading = Reading {
            at: self.charter.interval.start_of(edge),
            sequence: self.readings.sequence,
            previous: self.readings.previous,
            import_register_mwh: registers.imported,
            export_register_mwh: registers.exported,
            power_mw,
            potential_mw: None,
            voltage_mv: None,
            frequency_mhz: None,
        };
        let roster = self.gate.roster(edge);
        let author = (&self.participant, &self.meter);
        let gate = (self.charter.as_ref(), roster.as_ref());
        if let Ok(reading) = Verified::sign(&reading, edge, author, gate) {
            self.readings.sequence = self.readings.sequence.saturating_add(1);
            self.readings.previous = reading.hash();
            self.put(now, Input::Metered(Box::new(reading)));
        }
    }

    /// What flowed into the site in an interval, given negative.
    fn net_mwh(&self, interval: Interval) -> Option<i64> {
        let (start, end) = (self.registers_at(interval)?, self.registers_at(interval.next())?);
        let moved = |before: Energy, after: Energy| {
            i64::try_from(after.saturating_sub(before).to_milliwatt_hours()).unwrap_or(i64::MAX)
        };
        Some(moved(start.imported, end.imported) - moved(start.exported, end.exported))
    }

    /// An order that nobody sells to, but that is in the book.
    fn idle_order(&self) -> Order {
        let step = Step {
            side: Side::Buy,
            source: Source::Load,
            energy_mwh: Energy::from_milliwatt_hours(1),
            limit_msat_per_kwh: self.charter.price.floor_msat_per_kwh,
        };
        Order { steps: vec![step], ..Order::default() }
    }

    /// More of what flowed in the last whole interval, at the tariff: it is sure to trade.
    fn order(&self, interval: Interval) -> Option<Order> {
        let last = self.charter.interval.interval_at(clock::now()).previous();
        let net = self.net_mwh(last).filter(|net| *net != 0).unwrap_or(1);
        let schedule = self.charter.interval.schedule(interval);
        let tariff = self.charter.tariff.at(schedule.delivery_starts);
        let (side, source, limit_msat_per_kwh) = if net > 0 {
            (Side::Buy, Source::Load, tariff.retail_msat_per_kwh)
        } else {
            (Side::Sell, Source::Pv, tariff.feed_in_msat_per_kwh)
        };
        let energy_mwh = Energy::from_milliwatt_hours(net.unsigned_abs());
        let step = Step { side, source, energy_mwh, limit_msat_per_kwh };
        Some(Order { steps: vec![step], ..Order::default() })
    }
}

const fn said(word: InvoiceWord) -> &'static str {
    match word {
        InvoiceWord::Taken => TAKEN,
        InvoiceWord::Refused(why) => why.reason(),
    }
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "order",
        Kind::Ack => "ack",
        Kind::Proposal => "proposal",
        Kind::Vote => "vote",
        Kind::TradeConfirm => "confirm",
        Kind::Reading => "reading",
        Kind::Evidence => "evidence",
        Kind::PeerRecord => "peer_record",
        Kind::Offer => "offer",
        Kind::Acceptance => "acceptance",
        Kind::Reply => "reply",
        Kind::Invoice => "invoice",
        Kind::Deed => "deed",
        Kind::Seal => "seal",
        Kind::Share => "share",
    }
}
