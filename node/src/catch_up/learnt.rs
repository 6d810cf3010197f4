//! What becomes of what was found: into the archive, and to those who need to know.
//!
//! Not for: whether it is true; that is proven before (`verify`).

use std::sync::Arc;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::id::{ItemId, ParticipantId};
use boltgrid_protocol::message::{Gatekeeper, INTERVALS_BACK};
use boltgrid_protocol::topic::Topic;
use boltgrid_protocol::units::Interval;
use tokio::task::spawn_blocking;
use tracing::{debug, error, info, warn};

use super::keep::{Kept, keep};
use super::task::{CatchUp, Work};
use super::verify::Found;
use crate::clock;
use crate::live::News;
use crate::rpc::market::PriceReport;

impl CatchUp {
    /// Puts into the archive what was found and tells who needs to know. `None` where it cannot be
    /// written.
    pub(super) async fn keep(&mut self, work: &mut Work, found: Vec<Found>) -> Option<u64> {
        let archive = self.archive.clone();
        let kept = spawn_blocking(move || {
            found.into_iter().map(|found| keep(&archive, found)).collect::<Result<Vec<_>, _>>()
        });
        let mut learnt = 0;
        for (kept, id) in self.done(kept.await)? {
            learnt +=
                u64::from(matches!(kept, Kept::Book(_) | Kept::Reading | Kept::Evidence { .. }));
            self.note(work, kept, id);
        }
        Some(learnt)
    }

    fn note(&mut self, work: &mut Work, kept: Kept, id: ItemId) {
        match kept {
            Kept::Known => {}
            Kept::Book(cleared) => {
                let interval = cleared.interval;
                info!(%interval, clearing = %cleared.clearing.short(), "learnt of a book");
                work.unknown.remove(&interval);
                self.history.send_modify(|history| history.note_learnt(&cleared));
                self.tell_price(interval);
                self.report(|status| status.books_learnt += 1);
            }
            Kept::Reading => self.report(|status| status.readings_learnt += 1),
            Kept::Evidence { interval, culprit, bytes } => {
                info!(%interval, %culprit, "learnt of evidence");
                self.report(|status| status.evidence_learnt += 1);
                self.bar(interval, bytes);
            }
            Kept::SecondBook { interval, first, second } => {
                error!(
                    %interval, %first, %second,
                    "two certified books of one interval: a third of the voters or more broke the \
                     rules; the first one is kept"
                );
                self.report(|status| status.refuse("second_book"));
                work.remember_useless(id);
            }
            Kept::SecondReading { interval, whose, first, second } => {
                warn!(%interval, %whose, "two readings of one meter at one instant");
                self.report(|status| status.refuse("second_reading"));
                work.remember_useless(id);
                self.accuse((interval, whose), &first, &second);
            }
        }
    }

    /// Tells listeners the price of a book that was learnt.
    fn tell_price(&self, interval: Interval) {
        if let Some(report) = self.history.borrow().interval(interval) {
            self.live.tell(|| News::Price(PriceReport::of(report, &self.charter)));
        }
    }

    /// Lets the market bar the culprit, if the charter still does.
    fn bar(&self, interval: Interval, bytes: Arc<[u8]>) {
        let now = clock::now();
        let until = interval.plus(self.charter.membership.bar_intervals);
        if until <= self.charter.interval.interval_at(now) {
            return;
        }
        let mut gate = Gatekeeper::new(Arc::clone(&self.charter), self.rosters.clone());
        match gate.admit_past(bytes, now) {
            Ok(message) => {
                if self.learnt.try_send(message).is_err() {
                    warn!(%interval, "the market is too busy to bar a member; a restart does it");
                }
            }
            Err(rejected) => warn!(%rejected, "kept evidence does not verify"),
        }
    }

    /// Proves that a member's meter said two things at one instant (P20). It is history from now on,
    /// and gossiped while others still take it.
    fn accuse(&mut self, of: (Interval, ParticipantId), first: &[u8], second: &[u8]) {
        let (interval, whose) = of;
        let roster = self.rosters.at(interval);
        let evidence = Evidence { first: first.to_vec(), second: second.to_vec() };
        let author = (&self.participant, &self.key);
        let gate = (self.charter.as_ref(), roster.as_ref());
        let Ok(evidence) = Verified::sign(&evidence, interval, author, gate) else {
            // Whoever was no member then cannot say it.
            return;
        };
        match self.archive.put_evidence(interval, &whose, evidence.bytes()) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => warn!(%error, "evidence not stored"),
        }
        let current = self.charter.interval.interval_at(clock::now());
        if interval >= current.minus(INTERVALS_BACK)
            && let Err(error) = self.network.gossip(Topic::Evidence, Arc::clone(evidence.bytes()))
        {
            debug!(%error, "evidence not gossiped");
        }
        self.bar(interval, Arc::clone(evidence.bytes()));
    }
}
