//! The market task's part in readings that are shown to counterparties only (P40): those that are
//! asked for because somebody missed them. Not for: deciding to whom ours are shown of our own accord;
//! that is the market's.

use std::collections::BTreeSet;

use boltgrid_market::input::Input;
use boltgrid_market::settlement::Settlement;
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::seal::{Opened, Shown};
use boltgrid_protocol::units::Interval;
use tracing::{debug, warn};

use super::{MarketError, MarketTask};
use crate::clock;
use crate::store::ArchiveError;

/// Intervals that counterparties are asked about at a time: nobody is asked too often (P24).
const ASKED_AT_ONCE: usize = 4;

impl MarketTask {
    /// A member shows us its reading.
    pub(super) async fn hear_shown(&mut self, opened: Box<Opened>) -> Result<(), MarketError> {
        self.keep_reading(opened.reading());
        self.put(Input::Shown(opened)).await
    }

    /// A member asks for our readings of an interval.
    pub(super) fn asked_for_readings(
        &mut self,
        asker: &ParticipantId,
        interval: Interval,
        token: u64,
    ) {
        let answer = self.readings_for(asker, interval);
        self.tell_network(|network| network.answer(token, answer));
    }

    /// Our readings at both edges of an interval, for somebody who traded with us in it.
    fn readings_for(&mut self, asker: &ParticipantId, interval: Interval) -> Answer {
        if self.charter.readings.is_open() {
            return Answer::Readings(Vec::new());
        }
        let shown = match self.traded_with(interval) {
            Ok(with) if with.contains(asker) => self.own_readings(interval),
            Ok(_) => {
                debug!(%asker, %interval, "asked for readings without having traded with us");
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        };
        Answer::Readings(shown.unwrap_or_else(|error| {
            warn!(%error, %interval, "own readings not readable");
            Vec::new()
        }))
    }

    /// With whom this site traded in an interval, that is open or settled.
    fn traded_with(&self, interval: Interval) -> Result<BTreeSet<ParticipantId>, ArchiveError> {
        let mut with = self.market.trading_with(interval);
        if let Some(settled) = self.archive.settlement::<Settlement>(interval)? {
            with.extend(settled.trades.iter().map(|trade| trade.counterparty));
            with.extend(settled.forwards.iter().map(|forward| forward.counterparty));
        }
        Ok(with)
    }

    fn own_readings(&mut self, interval: Interval) -> Result<Vec<Shown>, ArchiveError> {
        let now = clock::now();
        let mut shown = Vec::new();
        for edge in [interval, interval.next()] {
            let Some(bytes) = self.archive.reading(edge, &self.participant)? else { continue };
            if let Ok(Message::Reading(reading)) = self.gate.admit_past(bytes, now) {
                shown.extend(self.market.show(&reading));
            }
        }
        Ok(shown)
    }

    /// Keeps the readings that a counterparty showed when it was asked: what was missed is settled with
    /// them at the next look back.
    pub(super) fn keep_shown(&mut self, by: &ParticipantId, answer: Answer) {
        let Answer::Readings(shown) = answer else { return };
        let now = clock::now();
        for shown in shown {
            let gate = &mut self.gate;
            match shown.open(by, |bytes| gate.admit_past(bytes, now)) {
                Ok(opened) => self.keep_reading(opened.reading()),
                Err(rejected) => warn!(%by, %rejected, "a member showed a reading that is none"),
            }
        }
    }

    /// Asks those with whom we traded for their readings of some of the intervals that are to be
    /// settled late, others each time.
    pub(super) fn ask_for_missed(&mut self) {
        if self.charter.readings.is_open() {
            return;
        }
        let missed: Vec<Interval> = self.market.missed().collect();
        let later = missed.iter().position(|it| *it > self.chores.asked_missed).unwrap_or(0);
        let turn = missed.iter().cycle().skip(later).take(ASKED_AT_ONCE.min(missed.len()));
        for interval in turn.copied() {
            self.chores.asked_missed = interval;
            let whom: Vec<_> = self.market.missed_with(interval).into_iter().collect();
            self.ask(&whom, &Question::Readings { interval });
        }
    }
}
