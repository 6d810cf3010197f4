//! What the readings say, and from when on that counts. Not for: what follows from it.

use boltgrid_protocol::envelope::{Signed, Verified};
use boltgrid_protocol::escrow::EscrowTerms;
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::Timestamp;

use super::state::{Escrow, Shown};
use super::{BLOCK_MS, Escrows, Moment, RESERVE_MS};
use crate::escrow::said::{Effect, Wanted};

impl Escrows {
    /// The edge at which the condition ends.
    pub(super) fn ends_at(&self, terms: &EscrowTerms) -> Timestamp {
        self.charter.interval.start_of(terms.condition.until)
    }

    /// From when on a reading that is missing counts as showing nothing: an interval after everybody
    /// who follows the grid has heard it.
    pub(super) fn judged_from(&self, terms: &EscrowTerms) -> Timestamp {
        let timing = &self.charter.interval;
        let heard_ms =
            timing.readings_by_after_delivery_ms.saturating_add(timing.clock_skew_max_ms);
        self.ends_at(terms).plus_ms(heard_ms.saturating_add(timing.interval_ms))
    }

    /// From when on a payee asks the arbiter: an interval after the payer could have released.
    pub(super) fn pleads_from(&self, terms: &EscrowTerms) -> Timestamp {
        self.judged_from(terms).plus_ms(self.charter.interval.interval_ms)
    }

    /// How many blocks a hold that begins at `now` takes at least.
    #[must_use]
    pub fn needed_blocks(&self, now: Timestamp, terms: &EscrowTerms) -> u64 {
        let until = self.pleads_from(terms).plus_ms(RESERVE_MS);
        until.ms_since(now).div_ceil(BLOCK_MS)
    }

    /// Whether the amount goes to the payee; none where that cannot be said yet. Missing readings
    /// count from `from` on, and only for who trusts what it sees.
    pub(super) fn verdict(&self, at: Moment, escrow: &Escrow, from: Timestamp) -> Option<bool> {
        let terms = &escrow.terms;
        if at.now < self.ends_at(terms) {
            return None;
        }
        match escrow.work.shown {
            Shown::Delivered => Some(terms.condition.releases_if(true)),
            Shown::Missed => Some(terms.condition.releases_if(false)),
            Shown::Nothing if at.now >= from && at.may_sign => {
                Some(terms.condition.releases_if(false))
            }
            Shown::Nothing => None,
        }
    }

    /// Asks for readings that are not known yet, once there can be any.
    pub(super) fn look_up(&self, at: Moment, escrow: MessageHash) -> Option<Effect> {
        let known = self.escrows.get(&escrow)?;
        let condition = &known.terms.condition;
        let is_due = at.now >= self.ends_at(&known.terms) && known.work.shown == Shown::Nothing;
        is_due.then_some(Effect::Want(Wanted::Readings {
            escrow,
            subject: condition.subject,
            edges: [condition.first, condition.until],
        }))
    }

    /// Notes what readings show, if there is one of the subject's meter at each edge. Of what was
    /// found before nothing changes: the first reading of an instant counts.
    pub(super) fn note_readings(&mut self, at: Moment, escrow: MessageHash, found: &[Vec<u8>]) {
        let Some(terms) = self.escrows.get(&escrow).map(|it| it.terms.clone()) else { return };
        if at.now < self.ends_at(&terms) {
            return;
        }
        let condition = terms.condition;
        let mut at_edge = |edge| {
            found.iter().find_map(|bytes| {
                let signed = Signed::<Reading>::decode(bytes.as_slice()).ok()?;
                let roster = self.rosters.at(edge);
                let is_right =
                    signed.header().interval == edge && signed.header().author == condition.subject;
                let reading: Verified<Reading> =
                    signed.verify(&self.charter, &roster).ok().filter(|_| is_right)?;
                Some(reading)
            })
        };
        let (Some(start), Some(end)) = (at_edge(condition.first), at_edge(condition.until)) else {
            return;
        };
        let is_delivered = condition.is_delivered(start.body(), end.body());
        let shown = if is_delivered { Shown::Delivered } else { Shown::Missed };
        if let Some(known) =
            self.escrows.get_mut(&escrow).filter(|it| it.work.shown == Shown::Nothing)
        {
            known.work.shown = shown;
            known.work.proof = vec![start.bytes().to_vec(), end.bytes().to_vec()];
            known.work.go_on(at.now);
        }
    }

    /// Readings were looked up.
    pub(super) fn found(
        &mut self,
        at: Moment,
        escrow: MessageHash,
        found: &[Vec<u8>],
    ) -> Vec<Effect> {
        self.note_readings(at, escrow, found);
        self.rule(at, escrow)
    }
}
