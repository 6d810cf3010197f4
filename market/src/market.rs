//! The market of one node as a value: what happens goes in, what is to be done comes out.
//!
//! It never reads a clock, a socket, a disk or a random source, so the simulator runs the very code
//! that the node runs, and the log of its inputs is a replay. Not for: carrying effects out.

mod masking;
mod missed;
mod settling;
mod showing;

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::envelope::{MessageRejected, Verified};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::offer::Offer;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Energy, Interval, Timestamp};

use crate::abstention::{Abstention, Change, Sight};
use crate::effect::{Effect, JournalEntry};
use crate::forwards::{Forwards, Held};
use crate::input::Input;
use crate::notice::Notice;
use crate::payments::{Means, Payments};
use crate::readings::{GridPower, Noted, Readings};
use crate::round::{Contradiction, Judgement, Round, Seat};
use masking::Masking;
use missed::Missed;
use showing::Showing;

/// The market of one node.
///
/// Invariants: rounds are open from before their order window until their readings are due, so there
/// are a handful; bars are of members only.
#[derive(Debug)]
pub struct Market {
    charter: Arc<Charter>,
    rosters: Rosters,
    key: Keypair,
    participant: ParticipantId,
    rounds: BTreeMap<Interval, Round>,
    /// The latest interval that was opened.
    opened: Option<Interval>,
    /// Journal entries of rounds that are not open yet.
    journal: Vec<JournalEntry>,
    /// Intervals that are to be settled late.
    missed: Missed,
    readings: Readings,
    showing: Showing,
    masking: Masking,
    forwards: Forwards,
    payments: Payments,
    barred: BTreeMap<ParticipantId, Interval>,
    abstention: Abstention,
    #[cfg(feature = "sabotage")]
    ignores_locks: bool,
}

impl Market {
    /// The market of the participant with this key, taking up what its journal holds. `means` says
    /// whether what is due is paid or only kept in the ledger.
    #[must_use]
    pub fn new(
        charter: Arc<Charter>,
        rosters: Rosters,
        key: Keypair,
        journal: Vec<JournalEntry>,
        means: Means,
    ) -> Self {
        let participant = key.participant_id();
        let grid = || (Arc::clone(&charter), rosters.clone());
        let (payments, journal) = Payments::new(means, grid().0, grid().1, key.clone(), journal);
        let (forwards, journal) = Forwards::new(grid().0, grid().1, key.clone(), journal);
        Self {
            abstention: Abstention::new(participant, charter.interval.clock_skew_max_ms),
            charter,
            rosters,
            participant,
            key,
            rounds: BTreeMap::new(),
            opened: None,
            journal,
            missed: Missed::default(),
            readings: Readings::default(),
            showing: Showing::default(),
            masking: Masking::default(),
            forwards,
            payments,
            barred: BTreeMap::new(),
            #[cfg(feature = "sabotage")]
            ignores_locks: false,
        }
    }

    /// Breaks P15 on purpose: this voter prevotes whatever is proposed, locked or not. Only the
    /// simulator's negative controls call this.
    #[cfg(feature = "sabotage")]
    pub const fn ignore_locks(&mut self) {
        self.ignores_locks = true;
    }

    /// Takes one input at `now` and says what is to be done, in order.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        let mut effects = self.watch(now);
        effects.extend(self.open_rounds(now));
        // What is no longer open takes part in nothing that follows.
        let may_sign = !self.abstention.abstains();
        effects.extend(self.forwards.advance(now, may_sign));
        effects.extend(match input {
            Input::Tick => Vec::new(),
            Input::Place { .. } if !may_sign => not_taken("own_order_abstaining"),
            Input::Offer(_) | Input::Withdraw { .. } if !may_sign => {
                not_taken("own_offer_abstaining")
            }
            Input::Accept { .. } if !may_sign => not_taken("own_acceptance_abstaining"),
            Input::Place { interval, order } => self.place(now, interval, order),
            Input::Offer(terms) => self.forwards.offer(now, &terms),
            Input::Withdraw { product, day } => self.forwards.withdraw(now, product, day),
            Input::Accept { offer, first, after, energy_mwh } => {
                self.forwards.accept(now, &offer, (first, after), energy_mwh)
            }
            Input::Asked { acceptance, token } => {
                self.forwards.reply(now, &acceptance, token, may_sign)
            }
            Input::Replied(reply) => self.forwards.hear_reply(&reply),
            Input::Heard { message, token } => self.hear(now, *message, token),
            Input::Metered(reading) => self.meter(now, *reading),
            Input::MeteredBefore(reading) => self.say_metered(*reading),
            Input::Shown(opened) => self.hear_shown(now, &opened),
            Input::Certificate(certificate) => {
                self.rounds.get_mut(&certificate.interval).map_or_else(
                    || not_taken("no_round"),
                    |round| round.hear_certificate(*certificate),
                )
            }
            Input::Past(past) => self.settle_missed(now, *past),
            Input::Forgive(counterparty) => self.payments.forgive(now, counterparty),
            Input::Payment(happened) => self.payments.handle(now, happened),
            Input::Clock(check) => {
                let current = self.charter.interval.interval_at(now);
                tell_change(self.abstention.check(check, current))
            }
        });
        effects.extend(self.advance(now));
        effects
    }

    /// Judges the interval that ended, once it has.
    fn watch(&mut self, now: Timestamp) -> Vec<Effect> {
        let rosters = &mut self.rosters;
        let members_of = |interval| {
            let roster = rosters.at(interval);
            roster.members().iter().map(|member| member.enrolment.participant).collect()
        };
        let current = self.charter.interval.interval_at(now);
        tell_change(self.abstention.advance(current, members_of))
    }

    /// How far this node can trust its view, and whether it abstains (P25).
    #[must_use]
    pub const fn sight(&self) -> Sight {
        self.abstention.sight()
    }

    /// When something is due at the latest although nothing is heard.
    #[must_use]
    pub fn next_wakeup(&self, now: Timestamp) -> Timestamp {
        let next = self.opened.map_or(now, |opened| self.opens_at(opened.next()));
        let due = self.rounds.values().filter_map(|round| round.next_moment(now)).min();
        let due = due.into_iter().chain(self.forwards.next_moment(now)).min();
        let due = due.into_iter().chain(self.payments.next_moment(now)).min();
        let timing = &self.charter.interval;
        let edge = timing.start_of(timing.interval_at(now).next());
        due.map_or(next, |due| due.min(next)).min(edge).max(now.plus_ms(1))
    }

    /// Places the site's order beside what it has traded ahead, whatever the order says about that.
    fn place(&mut self, now: Timestamp, interval: Interval, order: Order) -> Vec<Effect> {
        let Some(round) = self.rounds.get_mut(&interval) else {
            return not_taken("no_round");
        };
        let (committed_sell_mwh, committed_buy_mwh) = self.forwards.committed(interval);
        let order = Order { committed_sell_mwh, committed_buy_mwh, ..order };
        self.forwards.note_order(interval);
        round.place(now, &order)
    }

    /// What the site has sold and has bought ahead for an interval.
    #[must_use]
    pub fn committed(&self, interval: Interval) -> (Energy, Energy) {
        self.forwards.committed(interval)
    }

    /// The trades ahead that are not over.
    pub fn forwards(&self) -> impl Iterator<Item = &Held> {
        self.forwards.held()
    }

    /// The site's own offers, and how much is left of each in every interval at least.
    pub fn offers(&self) -> impl Iterator<Item = (&Verified<Offer>, Energy)> {
        self.forwards.offers()
    }

    fn opens_at(&self, interval: Interval) -> Timestamp {
        let skew = self.charter.interval.clock_skew_max_ms;
        self.charter.interval.schedule(interval).orders_open.minus_ms(skew)
    }

    /// Opens the rounds whose order window is near, and after a restart those that are still alive.
    fn open_rounds(&mut self, now: Timestamp) -> Vec<Effect> {
        let current = self.charter.interval.interval_at(now);
        if self.opened.is_none() {
            self.note_missed(now);
        }
        let mut next =
            self.opened.map_or(current.previous(), Interval::next).max(current.previous());
        let mut effects = Vec::new();
        while self.opens_at(next) <= now {
            effects.extend(self.open_round(next, now));
            self.opened = Some(next);
            next = next.next();
        }
        effects
    }

    fn seat(&mut self, interval: Interval) -> Seat {
        let roster = self.rosters.at(interval);
        Seat {
            charter: Arc::clone(&self.charter),
            me: roster.index_of(&self.participant),
            roster,
            key: self.key.clone(),
            participant: self.participant,
            #[cfg(feature = "sabotage")]
            ignores_locks: self.ignores_locks,
        }
    }

    fn open_round(&mut self, interval: Interval, now: Timestamp) -> Vec<Effect> {
        let mut round = Round::new(interval, self.seat(interval));
        let (ours, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.journal)
            .into_iter()
            .partition(|entry| entry.slot.interval() == interval);
        self.journal = later;
        let restored: Result<(), MessageRejected> =
            ours.iter().try_for_each(|entry| round.restore(entry));
        if restored.is_err() {
            // Slots of this interval may be filled with what we cannot read: sign nothing in it.
            return not_taken("journal_of_another_roster");
        }
        if ours.is_empty() && now > round.schedule.confirm_by {
            round.be_silent();
        }
        let effects = round.resume(now);
        self.rounds.insert(interval, round);
        effects
    }

    fn hear(&mut self, now: Timestamp, message: Message, token: Option<u64>) -> Vec<Effect> {
        let (author, interval) = origin(&message);
        self.abstention.heard(author, interval);
        let (judgement, mut effects) = self.judge(now, message, token.is_some());
        if let Some(token) = token {
            effects.insert(0, Effect::Judge { token, verdict: judgement.verdict });
        }
        effects.extend(judgement.why.into_iter().flat_map(not_taken));
        if let Some(contradiction) = judgement.contradiction {
            effects.extend(self.convict(author, interval, &contradiction));
        }
        effects
    }

    /// Proves that a member signed two things where one is allowed, once per culprit and interval
    /// (P20): nobody may use up our time, or what we have to say of others.
    fn convict(
        &mut self,
        culprit: ParticipantId,
        interval: Interval,
        contradiction: &Contradiction,
    ) -> Vec<Effect> {
        if self.is_proven(&culprit, interval) {
            return Vec::new();
        }
        let round = self.rounds.get(&interval);
        let evidence = round.and_then(|round| round.seat.accuse(interval, contradiction));
        let Some(evidence) = evidence else {
            return Vec::new();
        };
        let mut effects = vec![Effect::Gossip(Topic::Evidence, Arc::clone(evidence.bytes()))];
        effects.extend(self.bar(&evidence));
        effects
    }

    fn judge(
        &mut self,
        now: Timestamp,
        message: Message,
        gossiped: bool,
    ) -> (Judgement, Vec<Effect>) {
        let none = Vec::new();
        match message {
            Message::Reading(reading) => return (self.hear_reading(now, reading), none),
            Message::Seal(seal) => return (self.hear_seal(now, seal), none),
            Message::Share(share) => return (self.hear_share(now, share), none),
            Message::Evidence(evidence) => return self.hear_evidence(&evidence),
            Message::PeerRecord(_)
            | Message::Offer(_)
            | Message::Acceptance(_)
            | Message::Reply(_)
            | Message::Invoice(_)
            | Message::Deed(_) => return (Judgement::KNOWN, none),
            Message::Order(_)
            | Message::Ack(_)
            | Message::Proposal(_)
            | Message::Vote(_)
            | Message::Confirm(_) => {}
        }
        let (_, interval) = origin(&message);
        let Some(round) = self.rounds.get_mut(&interval) else {
            return (Judgement::ignore("no_round"), none);
        };
        match message {
            Message::Order(order) => {
                let is_barred = is_barred(&self.barred, &order.participant(), interval);
                (round.hear_order(now, order, gossiped, is_barred), none)
            }
            Message::Ack(ack) => (round.hear_ack(ack), none),
            Message::Proposal(proposal) => (round.hear_proposal(&proposal), none),
            Message::Vote(vote) => (round.hear_vote(vote), none),
            Message::Confirm(confirm) => (Judgement::KNOWN, round.hear_confirm(now, confirm)),
            Message::Reading(_)
            | Message::Evidence(_)
            | Message::PeerRecord(_)
            | Message::Offer(_)
            | Message::Acceptance(_)
            | Message::Reply(_)
            | Message::Invoice(_)
            | Message::Deed(_)
            | Message::Seal(_)
            | Message::Share(_) => (Judgement::KNOWN, none),
        }
    }

    fn hear_reading(&mut self, now: Timestamp, reading: Verified<Reading>) -> Judgement {
        let timing = &self.charter.interval;
        let at = reading.body().at;
        if at > now.plus_ms(timing.clock_skew_max_ms) {
            return Judgement::ignore("reading_early");
        }
        if now > at.plus_ms(timing.readings_by_after_delivery_ms) {
            // It counts no more, but against another one it is evidence all the same.
            let first = self.readings.other_than(&reading);
            return first.map_or(Judgement::ignore("reading_late"), |first| {
                Judgement::contradicts(first, Arc::clone(reading.bytes()), "double_reading")
            });
        }
        let second = Arc::clone(reading.bytes());
        match self.readings.note(reading) {
            Noted::New => Judgement::ACCEPT,
            Noted::Known => Judgement::KNOWN,
            Noted::Contradicts(first) => Judgement::contradicts(first, second, "double_reading"),
        }
    }

    fn hear_evidence(&mut self, evidence: &Verified<Evidence>) -> (Judgement, Vec<Effect>) {
        let effects = self.bar(evidence);
        // What is known already is not passed on again: one proof per culprit and interval crosses
        // the grid.
        (if effects.is_empty() { Judgement::KNOWN } else { Judgement::ACCEPT }, effects)
    }

    /// Keeps the culprit's orders out of our acks for as long as the charter says (P20). Of several
    /// pieces of evidence the latest counts, in whatever order they are heard.
    fn bar(&mut self, evidence: &Verified<Evidence>) -> Vec<Effect> {
        let interval = evidence.interval();
        let roster = self.rosters.at(interval);
        let culprit =
            evidence.body().culprit_index(&roster).and_then(|index| roster.participant(index));
        let Some(culprit) = culprit.filter(|culprit| !self.is_proven(culprit, interval)) else {
            return Vec::new();
        };
        let until = self.barred_until(interval);
        self.barred.insert(culprit, until);
        let evidence = Arc::clone(evidence.bytes());
        vec![Effect::Tell(Notice::Barred { culprit, until, interval, evidence })]
    }

    fn barred_until(&self, interval: Interval) -> Interval {
        interval.plus(self.charter.membership.bar_intervals)
    }

    /// Whether what a member did in this interval, or later, is proven already.
    fn is_proven(&self, culprit: &ParticipantId, interval: Interval) -> bool {
        let until = self.barred_until(interval);
        self.barred.get(culprit).is_some_and(|barred| *barred >= until)
    }

    fn advance(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        let may_sign = !self.abstention.abstains();
        self.note_risks_ahead(now);
        for (interval, round) in &mut self.rounds {
            let is_barred = |member: &_| is_barred(&self.barred, member, *interval);
            effects.extend(round.advance(now, may_sign, is_barred, &mut self.payments));
        }
        effects.extend(self.show_readings(now));
        effects.extend(self.mask(now));
        effects.extend(self.settle(now));
        self.rounds.retain(|_, round| now <= round.schedule.readings_by);
        self.payments.keep_pledges(|interval| self.rounds.contains_key(&interval));
        effects.extend(self.payments.advance(now));
        let current = self.charter.interval.interval_at(now);
        self.barred.retain(|_, until| *until > current);
        effects
    }

    /// What is due and what was paid.
    #[must_use]
    pub const fn payments(&self) -> &Payments {
        &self.payments
    }

    /// The roster of an interval.
    pub fn roster(&mut self, interval: Interval) -> Arc<Roster> {
        self.rosters.at(interval)
    }

    /// The signed orders kept of some members, for a peer that lacks them.
    #[must_use]
    pub fn orders_of(&self, interval: Interval, authors: &[RosterIndex]) -> Vec<Arc<[u8]>> {
        let Some(round) = self.rounds.get(&interval) else {
            return Vec::new();
        };
        authors.iter().flat_map(|author| round.orders_of(*author)).cloned().collect()
    }

    /// The certificate of an interval that is still open.
    #[must_use]
    pub fn certificate(&self, interval: Interval) -> Option<Arc<[u8]>> {
        self.rounds.get(&interval)?.certificate().cloned()
    }

    /// How many orders of an interval came in time.
    #[must_use]
    pub fn orders_in_time(&self, interval: Interval) -> usize {
        self.rounds.get(&interval).map_or(0, Round::orders_in_time)
    }

    /// What all members together take from the grid connection: as of the latest readings, or, where
    /// these are not open, what the latest book has ordered (P40).
    #[must_use]
    pub fn grid_power(&mut self, now: Timestamp) -> GridPower {
        let current = self.charter.interval.interval_at(now);
        if !self.charter.readings.is_open() {
            let ordered = self.rounds.values().rev().find_map(Round::ordered);
            let interval_ms = self.charter.interval.interval_ms;
            return ordered.map_or_else(GridPower::default, |it| it.power(interval_ms));
        }
        let roster = self.rosters.at(current);
        // What a feeder's meter shows is shown by its sites' meters too (P39).
        let is_site = |member: &ParticipantId| {
            let place = roster.index_of(member);
            place.is_some_and(|place| !roster.is_feeders_meter(place, &self.charter))
        };
        self.readings.grid_power(roster.members().len(), is_site)
    }
}

/// Who says it, and of which interval.
fn origin(message: &Message) -> (ParticipantId, Interval) {
    match message {
        Message::Order(it) => (it.participant(), it.interval()),
        Message::Ack(it) => (it.participant(), it.interval()),
        Message::Proposal(it) => (it.participant(), it.interval()),
        Message::Vote(it) => (it.participant(), it.interval()),
        Message::Confirm(it) => (it.participant(), it.interval()),
        Message::Reading(it) => (it.participant(), it.interval()),
        Message::Evidence(it) => (it.participant(), it.interval()),
        Message::PeerRecord(it) => (it.participant(), it.interval()),
        Message::Offer(it) => (it.participant(), it.interval()),
        Message::Acceptance(it) => (it.participant(), it.interval()),
        Message::Reply(it) => (it.participant(), it.interval()),
        Message::Invoice(it) => (it.participant(), it.interval()),
        Message::Deed(it) => (it.participant(), it.interval()),
        Message::Seal(it) => (it.participant(), it.interval()),
        Message::Share(it) => (it.participant(), it.interval()),
    }
}

fn tell_change(change: Option<Change>) -> Vec<Effect> {
    let notice = change.map(|change| match change {
        Change::Abstains(abstaining) => Notice::Abstains(abstaining),
        Change::Returned { since } => Notice::Returned { since },
    });
    notice.into_iter().map(Effect::Tell).collect()
}

fn is_barred(
    barred: &BTreeMap<ParticipantId, Interval>,
    member: &ParticipantId,
    interval: Interval,
) -> bool {
    barred.get(member).is_some_and(|until| interval < *until)
}

fn not_taken(why: &'static str) -> Vec<Effect> {
    vec![Effect::Tell(Notice::NotTaken(why))]
}
