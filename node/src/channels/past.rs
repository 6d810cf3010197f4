//! What the books of the past say: who is expected to pay whom, and who names whom as a partner.
//!
//! Books are read from the archive and cleared again, each once; what is learnt later of an interval
//! that was read is left out. Not for: this node's own payments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid_market::auction::{Clearing, Trade};
use boltgrid_market::channels::{Flows, Graph};
use boltgrid_market::clear;
use boltgrid_protocol::agreement::BookCertificate;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::units::Interval;
use tracing::{debug, warn};

use crate::store::{Archive, ArchiveError, BookRecord};

/// Most books read at a time: a week of five-minute intervals, some seconds of work. Older ones do not
/// count after a start.
const BOOKS_MAX: u64 = 2_016;
/// Expected payments of so many days ago count about a third of today's.
const FADES_OVER_DAYS: u32 = 30;
/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// What was read so far. Bounded by the square of the members.
#[derive(Debug)]
pub(super) struct Past {
    charter: Arc<Charter>,
    rosters: Rosters,
    /// The members whom everything here is about.
    roster: Arc<Roster>,
    flows: Flows,
    /// Time passed since the flows faded.
    since_faded_ms: u64,
    /// Whom each member's latest order names, and of which interval it is.
    named: BTreeMap<RosterIndex, (Interval, BTreeSet<RosterIndex>)>,
    next: Interval,
    /// Whether any book was found: what was before the grid's first says nothing about a day of it.
    begun: bool,
}

impl Past {
    /// Nothing read yet; the roster is that of `now`.
    pub(super) fn new(charter: Arc<Charter>, mut rosters: Rosters, now: Interval) -> Self {
        let roster = rosters.at(now);
        Self {
            charter,
            rosters,
            roster,
            flows: Flows::new(),
            since_faded_ms: 0,
            named: BTreeMap::new(),
            next: now.minus(BOOKS_MAX),
            begun: false,
        }
    }

    /// The members whom everything here is about.
    pub(super) const fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// The expected payments.
    pub(super) const fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Who had channels with whom, by the orders of the day before `now`, and whether members pass on what
    /// others pay each other.
    pub(super) fn graph(&self, now: Interval) -> Graph {
        let day = DAY_MS.checked_div(self.charter.interval.interval_ms).unwrap_or(0);
        let oldest = now.minus(day);
        let recent = self.named.iter().filter(|(_, (interval, _))| *interval >= oldest);
        let named = recent.map(|(member, (_, partners))| (*member, partners.clone())).collect();
        Graph::of_named(&named).passing_on(self.charter.settlement.forwarding)
    }

    /// Reads what the archive holds of the intervals before `now`. Takes a while the first time:
    /// signatures are verified again.
    ///
    /// With another roster than before, everything is read anew.
    pub(super) fn read(&mut self, archive: &Archive, now: Interval) -> Result<(), ArchiveError> {
        let roster = self.rosters.at(now);
        if participants(&roster) != participants(&self.roster) {
            *self = Self::new(Arc::clone(&self.charter), self.rosters.clone(), now);
        }
        self.roster = roster;
        let mut interval = self.next.max(now.minus(BOOKS_MAX));
        while interval < now {
            match archive.book(interval)? {
                Some(book) => {
                    self.begun = true;
                    self.read_book(interval, &book);
                }
                None if self.begun => self.pass(),
                None => {}
            }
            interval = interval.next();
        }
        self.next = interval;
        Ok(())
    }

    fn read_book(&mut self, interval: Interval, book: &BookRecord) {
        let roster = self.rosters.at(interval);
        let certificate = match BookCertificate::from_bytes(&book.certificate) {
            Ok(certificate) => certificate,
            Err(error) => {
                warn!(%interval, %error, "a stored certificate is not one; the book is left out");
                return self.pass();
            }
        };
        match clear::replay(&self.charter, &roster, &certificate, &book.orders) {
            Ok(replayed) => {
                self.note_clearing(&replayed.clearing, &roster);
                for (author, order) in &replayed.orders {
                    self.note_partners(interval, *author, &order.channel_partners, &roster);
                }
            }
            Err(error) => {
                debug!(%interval, %error, "a stored book cannot be cleared; it is left out");
                self.pass();
            }
        }
    }

    fn note_clearing(&mut self, clearing: &Clearing, roster: &Roster) {
        let trades: Option<Vec<Trade>> = clearing
            .trades
            .iter()
            .map(|trade| {
                let seller = self.today(trade.seller, roster)?;
                let buyer = self.today(trade.buyer, roster)?;
                Some(Trade { seller, buyer, ..*trade })
            })
            .collect();
        // A clearing with somebody who has left says little about those who stay.
        let Some(trades) = trades else { return self.pass() };
        self.flows.record(&Clearing { trades, ..clearing.clone() }, 0);
        self.pass();
    }

    fn note_partners(
        &mut self,
        interval: Interval,
        author: RosterIndex,
        partners: &[RosterIndex],
        roster: &Roster,
    ) {
        let Some(author) = self.today(author, roster) else { return };
        let partners = partners.iter().filter_map(|it| self.today(*it, roster)).collect();
        self.named.insert(author, (interval, partners));
    }

    /// An interval is over.
    fn pass(&mut self) {
        let interval_ms = self.charter.interval.interval_ms;
        self.flows.pass(interval_ms);
        self.since_faded_ms = self.since_faded_ms.saturating_add(interval_ms);
        if self.since_faded_ms >= DAY_MS {
            self.since_faded_ms = 0;
            self.flows.fade(FADES_OVER_DAYS);
        }
    }

    /// The place in today's roster of a place in another one.
    fn today(&self, index: RosterIndex, roster: &Roster) -> Option<RosterIndex> {
        self.roster.index_of(&roster.participant(index)?)
    }
}

fn participants(roster: &Roster) -> Vec<ParticipantId> {
    roster.members().iter().map(|member| member.enrolment.participant).collect()
}

#[cfg(test)]
mod tests;
