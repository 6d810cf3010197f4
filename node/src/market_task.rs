//! The task that owns the market: what happens goes in, what is to be done is done in order.
//!
//! Invariant (write-ahead, P21): effects are carried out one after the other, and the first persist
//! that fails ends the task, and with it the node: nothing leaves that is not on disk.
//! Not for: deciding anything; that is the market's and the planner's.

mod ahead;
mod instructing;
mod keeping;
mod missed;
mod paying;
mod showing;
mod telling;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_market::Market;
use boltgrid_market::abstention::ClockCheck;
use boltgrid_market::effect::{Effect, JournalEntry};
use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::message::{Gatekeeper, Message};
use boltgrid_protocol::units::{Interval, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::clock::{self, Steadiness};
use crate::feeders::Sums;
use crate::history::History;
use crate::instructions::OwnersWord;
use crate::live::Live;
use crate::network::{NetworkEvent, NetworkHandle, NetworkUnavailable};
use crate::planner::Planner;
use crate::service::Pulse;
use crate::site::OwnReading;
use crate::store::{Archive, JournalError, JournalHandle};
use crate::trading::{Command, Outcome};

pub(crate) use paying::Paying;

/// What the task works with.
#[derive(Debug)]
pub(crate) struct MarketTask {
    pub(crate) participant: ParticipantId,
    pub(crate) charter: Arc<Charter>,
    /// For stored messages, which are trusted no more than received ones.
    pub(crate) gate: Gatekeeper,
    pub(crate) market: Market,
    pub(crate) planner: Planner,
    /// What the owner wants, which the planner follows.
    pub(crate) word: OwnersWord,
    pub(crate) steadiness: Steadiness,
    pub(crate) network: NetworkHandle,
    pub(crate) journal: JournalHandle,
    pub(crate) archive: Archive,
    /// What is kept of the past, in intervals.
    pub(crate) keep_intervals: u64,
    pub(crate) history: watch::Sender<History>,
    /// To the feeders' task, what masked sites took together.
    pub(crate) sums: watch::Sender<Sums>,
    /// To whoever listens.
    pub(crate) live: Live,
    /// From the network.
    pub(crate) events: mpsc::Receiver<NetworkEvent>,
    pub(crate) chores: Chores,
    /// Says that this task lives.
    pub(crate) pulse: Pulse,
    /// The site's own signed readings.
    pub(crate) readings: mpsc::Receiver<OwnReading>,
    /// To the catch-up task, what is about history.
    pub(crate) of_history: mpsc::Sender<NetworkEvent>,
    /// To the escrow task, what is about an escrow.
    pub(crate) of_escrow: mpsc::Sender<NetworkEvent>,
    /// To the openings' task, what opens shares to this node, and what arbiters say.
    pub(crate) of_openings: mpsc::Sender<NetworkEvent>,
    /// From the catch-up task, evidence that bars somebody.
    pub(crate) learnt: mpsc::Receiver<Message>,
    /// From the owner, what to trade ahead.
    pub(crate) trades: mpsc::Receiver<Command>,
    /// Lightning, where the node has any.
    pub(crate) paying: Option<Paying>,
    /// Who waits for the word on an acceptance of ours; at most as many as the market has open.
    pub(crate) words: BTreeMap<MessageHash, oneshot::Sender<Outcome>>,
}

/// What is done once in a while, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    /// When the past was pruned last.
    pruned: Interval,
    /// The interval to be settled late that counterparties were asked about last.
    asked_missed: Interval,
}

/// Why the task cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// What was signed could not be stored, so it must not leave.
    #[error("what was signed cannot be stored: {0}")]
    Journal(#[from] JournalError),
}

impl MarketTask {
    /// Runs until shutdown. `oldest` is the first interval whose readings are still of interest.
    ///
    /// # Errors
    ///
    /// [`MarketError`] when something that was signed cannot be stored.
    pub(crate) async fn run(
        mut self,
        shutdown: CancellationToken,
        oldest: Interval,
    ) -> Result<(), MarketError> {
        self.take_up(oldest).await?;
        // Whatever else wakes this task may leave the market alone, and a node that does not look at
        // its clocks takes itself for stopped.
        let mut looks = tokio::time::interval(clock::LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks_back = tokio::time::interval(missed::LOOK_BACK_EVERY);
        looks_back.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.pulse.beat();
            let now = clock::now();
            let due = self.market.next_wakeup(now).min(self.planner.next_wakeup(now));
            let sleep = Duration::from_millis(due.ms_since(now));
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.planner.sampled() => self.planner.observe(),
                Some(event) = self.events.recv() => self.hear(event).await?,
                Some(reading) = self.readings.recv() => self.meter(reading).await?,
                Some(message) = self.learnt.recv() => self.learn(message).await?,
                Some(command) = self.trades.recv() => self.trade(command).await?,
                Some(it) = Paying::next(&mut self.paying) => self.take_payment(it).await?,
                () = tokio::time::sleep(sleep) => self.put(Input::Tick).await?,
                _ = looks.tick() => self.put(Input::Tick).await?,
                _ = looks_back.tick() => self.settle_missed().await?,
            }
            self.dispatch();
            self.prune().await?;
        }
    }

    /// After a restart, puts back the evidence that still bars somebody, and the readings of
    /// intervals that are not settled yet.
    async fn take_up(&mut self, oldest: Interval) -> Result<(), MarketError> {
        let current = self.charter.interval.interval_at(clock::now());
        let barring = current.minus(self.charter.membership.bar_intervals);
        let evidence: Vec<_> = self.archive.evidence(barring..).collect();
        for kept in evidence {
            match kept.map(|(_, (_, bytes))| self.gate.admit_past(bytes, clock::now())) {
                Ok(Ok(message)) => {
                    self.put(Input::Heard { message: Box::new(message), token: None }).await?;
                }
                Ok(Err(rejected)) => warn!(%rejected, "stored evidence does not verify"),
                Err(error) => warn!(%error, "stored evidence not readable"),
            }
        }
        let mut interval = oldest;
        while interval <= current {
            for (_, bytes) in self.archive.readings(interval).unwrap_or_default() {
                if let Ok(message) = self.gate.admit(bytes, clock::now()) {
                    self.put(Input::Heard { message: Box::new(message), token: None }).await?;
                }
            }
            interval = interval.next();
        }
        self.show_payments();
        self.put(Input::Tick).await
    }

    /// Takes what the catch-up task found.
    async fn learn(&mut self, message: Message) -> Result<(), MarketError> {
        self.put(Input::Heard { message: Box::new(message), token: None }).await
    }

    async fn hear(&mut self, event: NetworkEvent) -> Result<(), MarketError> {
        if let Some(whose) = self.whose(&event) {
            pass_on(whose, event);
            return Ok(());
        }
        match event {
            NetworkEvent::Told { by, question, answer } => {
                if matches!(question, Question::Readings { .. }) {
                    self.keep_shown(&by, answer);
                }
                Ok(())
            }
            NetworkEvent::Shown(opened) => self.hear_shown(opened).await,
            NetworkEvent::Asked { from, question: Question::Readings { interval }, token } => {
                self.asked_for_readings(&from, interval, token);
                Ok(())
            }
            NetworkEvent::Heard { message, token } => {
                if let Message::Reading(reading) = message.as_ref() {
                    self.keep_reading(reading);
                }
                self.put(Input::Heard { message, token }).await
            }
            NetworkEvent::Asked { from, question: Question::Reply { acceptance }, token } => {
                self.asked_for_word(from, acceptance, token).await
            }
            NetworkEvent::Asked { from, question: Question::Invoice { invoice }, token } => {
                self.asked_to_pay(from, invoice, token).await
            }
            NetworkEvent::Reply { from, bytes } => self.hear_word(from, bytes).await,
            NetworkEvent::InvoiceWord { from, invoice, word } => {
                self.hear_invoice_word(from, &invoice, word).await
            }
            NetworkEvent::Asked { question, token, .. } => {
                if let Some(answer) = self.answer(&question) {
                    self.tell_network(|network| network.answer(token, answer));
                }
                Ok(())
            }
            NetworkEvent::Certificate { from, bytes } => {
                match BookCertificate::from_bytes(&bytes) {
                    Ok(certificate) => self.put(Input::Certificate(Box::new(certificate))).await,
                    Err(error) => {
                        warn!(%from, %error, "a member sent something else than a certificate");
                        Ok(())
                    }
                }
            }
            NetworkEvent::Clocks(clocks) => self.put(Input::Clock(ClockCheck::Peers(clocks))).await,
            NetworkEvent::Unanswered { by, question } => {
                debug!(%by, ?question, "not answered");
                Ok(())
            }
        }
    }

    /// The task that an event is for, if not for this one: those of escrows, openings and history.
    fn whose(&self, event: &NetworkEvent) -> Option<&mpsc::Sender<NetworkEvent>> {
        match event {
            NetworkEvent::Asked { question, .. }
            | NetworkEvent::Unanswered { question, .. }
            | NetworkEvent::Told { question, .. } => match question {
                Question::Escrow(_) => Some(&self.of_escrow),
                Question::Open { .. } => Some(&self.of_openings),
                Question::Reconcile { .. } | Question::Items { .. } => Some(&self.of_history),
                Question::Orders { .. }
                | Question::Certificate { .. }
                | Question::Clock
                | Question::Reply { .. }
                | Question::Invoice { .. }
                | Question::Readings { .. } => None,
            },
            NetworkEvent::Heard { .. }
            | NetworkEvent::Shown(_)
            | NetworkEvent::Reply { .. }
            | NetworkEvent::InvoiceWord { .. }
            | NetworkEvent::Certificate { .. }
            | NetworkEvent::Clocks(_) => None,
        }
    }

    async fn meter(&mut self, reading: OwnReading) -> Result<(), MarketError> {
        self.keep_reading(reading.reading());
        self.put(match reading {
            OwnReading::Made(reading) => Input::Metered(Box::new(reading)),
            OwnReading::Again(reading) => Input::MeteredBefore(Box::new(reading)),
        })
        .await
    }

    fn answer(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::Orders { interval, authors } => {
                let orders = self.market.orders_of(*interval, authors);
                Some(Answer::Orders(orders.iter().map(|bytes| bytes.to_vec()).collect()))
            }
            Question::Certificate { interval } => {
                let certificate = self.certificate(*interval).map(|bytes| bytes.to_vec());
                Some(Answer::Certificate(certificate))
            }
            // The network, the catch-up, the escrow and the openings' task answer these
            // themselves, invoices the market; readings depend on who asks.
            Question::Clock
            | Question::Reconcile { .. }
            | Question::Items { .. }
            | Question::Invoice { .. }
            | Question::Escrow(_)
            | Question::Readings { .. }
            | Question::Open { .. } => None,
            Question::Reply { .. } => Some(Answer::Reply(None)),
        }
    }

    fn certificate(&self, interval: Interval) -> Option<Arc<[u8]>> {
        let stored = || match self.archive.book(interval) {
            Ok(book) => book.map(|book| book.certificate),
            Err(error) => {
                warn!(%error, %interval, "stored book not readable");
                None
            }
        };
        self.market.certificate(interval).or_else(stored)
    }

    /// Gives the market an input and carries out what it wants, and what follows from that.
    async fn put(&mut self, input: Input) -> Result<(), MarketError> {
        self.put_and_hear(input).await.map(drop)
    }

    /// The same, and says what the market told.
    async fn put_and_hear(&mut self, input: Input) -> Result<Vec<Notice>, MarketError> {
        let mut told = Vec::new();
        // The last one is taken first: nothing is signed by a clock that has jumped.
        let mut inputs = vec![input];
        inputs.extend(self.steadiness.look().map(Input::Clock));
        while let Some(input) = inputs.pop() {
            let now = clock::now();
            let effects = self.market.handle(now, input);
            self.persist(&effects).await?;
            for effect in effects {
                if let Effect::Tell(notice) = &effect {
                    told.push(notice.clone());
                }
                inputs.extend(self.carry_out(now, effect));
            }
        }
        self.show_sight();
        if told.iter().any(paying::changes_outline) {
            self.show_payments();
        }
        Ok(told)
    }

    fn show_sight(&self) {
        let sight = self.market.sight();
        self.history.send_if_modified(|history| history.set_sight(sight));
    }

    /// Stores everything that was signed in one transaction, before any of it leaves.
    async fn persist(&self, effects: &[Effect]) -> Result<(), MarketError> {
        let entries: Vec<JournalEntry> = effects
            .iter()
            .filter_map(|effect| match effect {
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
            })
            .collect();
        if !entries.is_empty() {
            self.journal.record(entries).await?;
        }
        Ok(())
    }

    /// Carries out one effect; the answer to it, if it asks for one, is the next input.
    fn carry_out(&mut self, now: Timestamp, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Persist(_) => {}
            Effect::Gossip(topic, bytes) => self.tell_network(|it| it.gossip(topic, bytes)),
            Effect::SendTo { to, bytes } => self.tell_network(|it| it.send_to(to, bytes)),
            Effect::Show { to, shown } => self.tell_network(|it| it.show(to, shown)),
            Effect::Judge { token, verdict } => self.tell_network(|it| it.judge(token, verdict)),
            Effect::FetchOrders { interval, authors, from } => {
                for question in Question::for_orders(interval, &authors) {
                    self.ask(&from, &question);
                }
            }
            Effect::FetchCertificate { interval, from } => {
                self.ask(&from, &Question::Certificate { interval });
            }
            Effect::AskOrder(interval) => return self.order(now, interval),
            Effect::PublishOffer(bytes) => self.tell_network(|it| it.publish_offer(bytes)),
            Effect::AskReply { to, bytes } => {
                self.ask(&[to], &Question::Reply { acceptance: bytes.to_vec() });
            }
            Effect::AnswerReply { token, bytes } => {
                let answer = Answer::Reply(bytes.map(|bytes| bytes.to_vec()));
                self.tell_network(|network| network.answer(token, answer));
            }
            Effect::Payment(wanted) => self.want(wanted),
            Effect::Tell(notice) => self.note(&notice),
        }
        None
    }

    fn ask(&self, members: &[ParticipantId], question: &Question) {
        for member in members {
            self.tell_network(|network| network.ask(*member, question.clone()));
        }
    }

    /// Tells the network something. What it cannot take is lost like any message on the way: the
    /// market's own deadlines deal with that.
    fn tell_network(&self, tell: impl FnOnce(&NetworkHandle) -> Result<(), NetworkUnavailable>) {
        if let Err(error) = tell(&self.network) {
            warn!(%error, "not sent");
        }
    }

    fn order(&mut self, now: Timestamp, interval: Interval) -> Option<Input> {
        let order = self.wanted(now, interval)?;
        Some(Input::Place { interval, order })
    }

    /// Tells the site what to do in the interval that is about to start.
    fn dispatch(&mut self) {
        let now = clock::now();
        if self.planner.dispatch_is_due(now) {
            let grid = self.market.grid_power(now);
            let prices = self.history.borrow().prices();
            let interval = self.charter.interval.interval_at(now).next();
            let ahead = self.ahead(interval);
            self.planner.dispatch(now, &grid, &prices, &ahead);
        }
    }

    fn note(&mut self, notice: &Notice) {
        self.planner.note(notice);
        self.log(notice);
        self.pass_word_on(notice);
        if let Notice::Cleared(cleared) = notice {
            self.keep_book(cleared);
        }
        if let Notice::Summed(sum) = notice {
            self.keep_cohort(sum);
            self.sums.send_modify(|sums| sums.note(sum));
        }
        if let Notice::Barred { culprit, interval, evidence, .. } = notice
            && let Err(error) = self.archive.put_evidence(*interval, culprit, evidence)
        {
            warn!(%error, %culprit, "evidence not stored; a restart forgets that its author is barred");
        }
        if let Notice::Settled(settlement) = notice
            && let Err(error) = self.archive.put_settlement(settlement.interval, settlement)
        {
            warn!(%error, interval = %settlement.interval, "settlement not stored");
        }
        let roster = notice_interval(notice).map(|interval| self.market.roster(interval));
        let roster = roster.unwrap_or_else(|| self.market.roster(Interval::default()));
        self.history.send_modify(|history| {
            history.note(notice, &self.participant, &roster);
            if let Notice::Settled(settlement) = notice {
                let ended = self.charter.interval.schedule(settlement.interval).delivery_ends;
                history.set_settled_ms(settlement.interval, clock::now().ms_since(ended));
            }
        });
        self.tell_listeners(notice);
    }

    fn log(&self, notice: &Notice) {
        match notice {
            Notice::NotTaken(why) => debug!(why, "message not taken"),
            Notice::Placed { interval, order } => {
                debug!(%interval, steps = order.steps.len(), "order placed");
            }
            Notice::Cleared(it) => info!(
                interval = %it.interval, view = it.view, decide_ms = it.decide_ms,
                price_msat_per_kwh = ?it.price_msat_per_kwh.map(|price| price.to_msat_per_kwh()),
                volume_mwh = it.volume_mwh.to_milliwatt_hours(), trades = it.trades.len(),
                clearing = %it.clearing.short(), "interval cleared"
            ),
            Notice::Passed(it) => debug!(
                interval = %it.interval, view = it.view,
                leader = it.leader.map(|leader| leader.short().to_string()),
                quorum = it.quorum, acks = it.acks, is_proposed = it.is_proposed,
                lacks_orders = it.lacks_orders, prevotes = it.prevotes,
                precommits = it.precommits, "a view passed without a decision"
            ),
            Notice::NoDecision(interval) => {
                warn!(%interval, "no decision: the interval is supplied at the tariff");
            }
            Notice::Confirmed { interval, terms } => {
                debug!(%interval, trade = terms.index, "trade confirmed by both sides");
            }
            Notice::Lapsed { interval, terms } => {
                warn!(%interval, trade = terms.index, "trade lapsed: not signed by both sides in time");
            }
            Notice::Settled(it) => info!(
                interval = %it.interval, trades = it.trades.len(),
                due_msat = it.trades_due().map_or(0, |due| due.to_millisatoshi()),
                supplier_due_msat = it.supplier_due_msat.to_millisatoshi(),
                deviation_mwh = it.deviation_mwh.to_milliwatt_hours(), "interval settled"
            ),
            Notice::Summed(it) => debug!(
                interval = %it.interval, feeder = %it.feeder, sites = it.turnout.present,
                sum = ?it.sum, "feeder's sites added up"
            ),
            Notice::NotSettled(interval, error) => error!(%interval, %error, "not settled"),
            Notice::Barred { culprit, until, .. } => {
                warn!(%culprit, %until, "member barred for proven misbehaviour");
            }
            Notice::Abstains(it) => warn!(
                cause = ?it.cause, since = %it.since, returns_after = %it.returns_after,
                "abstaining: this node signs nothing new, since it cannot trust what it sees"
            ),
            Notice::Returned { since } => {
                info!(abstained_since = %since, "no longer abstaining: two intervals were clean");
            }
            Notice::Offered(_)
            | Notice::Accepted { .. }
            | Notice::AcceptanceRefused { .. }
            | Notice::AcceptanceVoid { .. }
            | Notice::ForwardMade(_) => ahead::log(notice),
            Notice::Payment(told) => self.note_payment(told),
        }
    }
}

/// Passes on what is another task's. What that cannot take is asked again.
fn pass_on(to: &mpsc::Sender<NetworkEvent>, event: NetworkEvent) {
    if to.try_send(event).is_err() {
        debug!("too many questions at once for another task");
    }
}

fn notice_interval(notice: &Notice) -> Option<Interval> {
    match notice {
        Notice::Cleared(it) => Some(it.interval),
        Notice::Settled(it) => Some(it.interval),
        Notice::NoDecision(interval)
        | Notice::NotSettled(interval, _)
        | Notice::Placed { interval, .. }
        | Notice::Confirmed { interval, .. }
        | Notice::Lapsed { interval, .. } => Some(*interval),
        Notice::NotTaken(_)
        | Notice::Summed(_)
        | Notice::Passed(_)
        | Notice::Barred { .. }
        | Notice::Abstains(_)
        | Notice::Returned { .. }
        | Notice::Offered(_)
        | Notice::Accepted { .. }
        | Notice::AcceptanceRefused { .. }
        | Notice::AcceptanceVoid { .. }
        | Notice::ForwardMade(_)
        | Notice::Payment(_) => None,
    }
}
