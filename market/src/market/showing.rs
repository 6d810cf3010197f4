//! Our own readings: what of them is for everybody, and what those who trade with us in one of the two
//! intervals that a reading stands between are sent directly (P18, P40). Where readings are not
//! everybody's, all members hear a seal.
//!
//! Not for: signing readings; that is the meter's key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid_protocol::envelope::{Header, Verified};
use boltgrid_protocol::id::{ParticipantId, SealSecret};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::seal::{Opened, Seal, Shown};
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::{Interval, Timestamp};

use super::{Market, not_taken};
use crate::contracted;
use crate::effect::{Effect, Slot};
use crate::readings::Noted;
use crate::round::{Judgement, Round};
use crate::seals::Seals;

/// Seals that were heard, and what was shown of our own readings.
#[derive(Debug, Default)]
pub(super) struct Showing {
    seals: Seals,
    /// Whom the reading of an edge was shown or sent. Bounded by the edges of open rounds × members.
    shown: BTreeSet<(Interval, ParticipantId)>,
}

impl Market {
    /// Takes our own reading. One that comes too late for the others (P9), as of a meter that was
    /// silent for a while, must not count for us either: both sides reckon with the same four.
    pub(super) fn meter(&mut self, now: Timestamp, reading: Verified<Reading>) -> Vec<Effect> {
        let counts_for_ms = self.charter.interval.readings_by_after_delivery_ms;
        if now > reading.body().at.plus_ms(counts_for_ms) {
            return not_taken("own_reading_late");
        }
        self.say_metered(reading)
    }

    /// Publishes our own reading, or its seal. Whoever signed the reading has stored it; a seal is
    /// made of nothing else, so that there is one for each.
    pub(super) fn say_metered(&mut self, reading: Verified<Reading>) -> Vec<Effect> {
        let roster = self.rosters.at(reading.interval());
        let gate = (self.charter.as_ref(), roster.as_ref());
        let said = if self.charter.readings.opens(reading.author(), gate) {
            Some(Arc::clone(reading.bytes()))
        } else {
            self.seal(&reading).map(|(seal, _)| Arc::clone(seal.bytes()))
        };
        match (self.readings.note(reading), said) {
            (Noted::Contradicts(_), _) => not_taken("own_reading_twice"),
            (Noted::New | Noted::Known, None) => not_taken("own_reading_of_no_member"),
            (Noted::New | Noted::Known, Some(said)) => vec![Effect::Gossip(Topic::Readings, said)],
        }
    }

    /// Our seal over a reading of our own, and its secret.
    fn seal(&mut self, reading: &Verified<Reading>) -> Option<(Verified<Seal>, SealSecret)> {
        let interval = reading.interval();
        let roster = self.rosters.at(interval);
        let secret = Seal::secret(reading, &self.key);
        let author = (&self.participant, &self.key);
        let gate = (self.charter.as_ref(), roster.as_ref());
        Some((Verified::sign(&Seal::over(reading, &secret), interval, author, gate).ok()?, secret))
    }

    /// What to show of a reading of our own; none of a reading that is not.
    pub fn show(&mut self, reading: &Verified<Reading>) -> Option<Shown> {
        if reading.participant() != self.participant {
            return None;
        }
        let (seal, secret) = self.seal(reading)?;
        Some(Shown::new(&seal, reading, secret))
    }

    /// With whom we trade in an interval that is still open: trades that both sides signed, made in
    /// the auction or ahead of it.
    #[must_use]
    pub fn trading_with(&self, interval: Interval) -> BTreeSet<ParticipantId> {
        self.rounds.get(&interval).map_or_else(BTreeSet::new, |round| self.partners(round))
    }

    fn partners(&self, round: &Round) -> BTreeSet<ParticipantId> {
        contracted::partners(round, &self.participant, &self.forwards)
    }

    /// With whom we traded in an interval that is to be settled late.
    #[must_use]
    pub fn missed_with(&self, interval: Interval) -> BTreeSet<ParticipantId> {
        let entries = self.missed.get(&interval).into_iter().flatten();
        let confirms = entries.filter(|entry| matches!(entry.slot, Slot::Countersigned(..)));
        let authors = confirms.filter_map(|entry| Header::peek(&entry.bytes).ok());
        let ahead = contracted::ahead_with(interval, &self.participant, &self.forwards);
        authors.map(|header| header.author).chain(ahead).collect()
    }

    /// Sends our readings to those who trade with us, each once in a life of this node; whoever
    /// carries it out tries until it arrives or counts no more. Open readings are gossiped besides: what
    /// gossip loses, both sides of a trade still have.
    pub(super) fn show_readings(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut due: BTreeMap<Interval, BTreeSet<ParticipantId>> = BTreeMap::new();
        for round in self.rounds.values().filter(|it| now >= it.schedule.delivery_starts) {
            let partners = self.partners(round);
            for edge in [round.interval, round.interval.next()] {
                due.entry(edge).or_default().extend(&partners);
            }
        }
        self.showing.shown.retain(|(edge, _)| due.contains_key(edge));
        let mut effects = Vec::new();
        for (edge, partners) in due {
            let Some(reading) = self.readings.of(&self.participant, edge).cloned() else {
                continue;
            };
            let news: Vec<ParticipantId> = partners
                .into_iter()
                .filter(|partner| self.showing.shown.insert((edge, *partner)))
                .collect();
            if news.is_empty() {
                continue;
            }
            if self.charter.readings.is_open() {
                let send = |to| Effect::SendTo { to, bytes: Arc::clone(reading.bytes()) };
                effects.extend(news.into_iter().map(send));
            } else if let Some(shown) = self.show(&reading) {
                let show = |to| Effect::Show { to, shown: Box::new(shown.clone()) };
                effects.extend(news.into_iter().map(show));
            }
        }
        effects
    }

    /// Takes a member's seal: as with readings, the first one counts and another one is evidence.
    pub(super) fn hear_seal(&mut self, now: Timestamp, seal: Verified<Seal>) -> Judgement {
        let timing = &self.charter.interval;
        let at = timing.start_of(seal.interval());
        if at > now.plus_ms(timing.clock_skew_max_ms) {
            return Judgement::ignore("seal_early");
        }
        let second = Arc::clone(seal.bytes());
        if now > at.plus_ms(timing.readings_by_after_delivery_ms) {
            let first = self.showing.seals.other_than(&seal);
            return first.map_or(Judgement::ignore("seal_late"), |first| {
                Judgement::contradicts(first, second, "double_seal")
            });
        }
        match self.showing.seals.note(seal) {
            Noted::New => Judgement::ACCEPT,
            Noted::Known => Judgement::KNOWN,
            Noted::Contradicts(first) => Judgement::contradicts(first, second, "double_seal"),
        }
    }

    /// Takes a reading that its author shows us. It counts where no other seal was heard before.
    pub(super) fn hear_shown(&mut self, now: Timestamp, opened: &Opened) -> Vec<Effect> {
        let (author, interval) = (opened.seal().participant(), opened.seal().interval());
        self.abstention.heard(author, interval);
        let sealed = self.hear_seal(now, opened.seal().clone());
        let judgement = if sealed.contradiction.is_some() {
            sealed
        } else {
            self.hear_reading(now, opened.reading().clone())
        };
        let mut effects: Vec<Effect> = judgement.why.into_iter().flat_map(not_taken).collect();
        if let Some(contradiction) = judgement.contradiction {
            effects.extend(self.convict(author, interval, &contradiction));
        }
        effects
    }
}
