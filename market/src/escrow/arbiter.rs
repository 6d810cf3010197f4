//! The arbiter's part: it keeps the preimage, and rules by the readings when it is asked. It never
//! touches money.

use boltgrid_protocol::escrow::{EscrowAnswer, EscrowRefusal};
use boltgrid_protocol::id::{MessageHash, ParticipantId};

use super::record::Record;
use super::said::{Effect, Moment};
use super::state::{Part, Shown};
use super::{Escrows, answer_to};

/// Pleas about one escrow that wait for readings to be looked up.
const PLEAS_MAX: usize = 4;

impl Escrows {
    /// One of the two asks for a ruling, and may show readings.
    pub(super) fn plea(
        &mut self,
        at: Moment,
        (from, token): (ParticipantId, u64),
        escrow: MessageHash,
        readings: &[Vec<u8>],
    ) -> Vec<Effect> {
        let refused = |why| vec![answer_to(token, EscrowAnswer::Refused(why))];
        let Some(known) = self.escrows.get(&escrow) else {
            return refused(EscrowRefusal::Unknown);
        };
        let is_involved = from == known.payer || from == known.terms.payee;
        if !is_involved || !matches!(known.part, Part::Arbiter { .. }) {
            return refused(EscrowRefusal::NotInvolved);
        }
        if at.now < self.ends_at(&known.terms) {
            return refused(EscrowRefusal::NotYet);
        }
        if known.work.pleas.len() >= PLEAS_MAX {
            return refused(EscrowRefusal::TooMany);
        }
        // What we heard by ourselves goes first, so it is looked up before what is shown is noted.
        let look_up = self.look_up(at, escrow);
        if let Some(known) = self.escrows.get_mut(&escrow) {
            known.work.pleas.push((from, token));
            known.work.shown_by_others(readings);
        }
        match look_up {
            Some(look_up) => vec![look_up],
            None => self.rule(at, escrow),
        }
    }

    /// Rules if that can be done, and answers everybody who waits.
    pub(super) fn rule(&mut self, at: Moment, escrow: MessageHash) -> Vec<Effect> {
        let Some(known) = self.escrows.get_mut(&escrow) else { return Vec::new() };
        let Part::Arbiter { preimage, ruled, .. } = known.part else { return Vec::new() };
        let pleas = std::mem::take(&mut known.work.pleas);
        let shown_by_others = std::mem::take(&mut known.work.offered);
        let (payee, is_nothing) = (known.terms.payee, known.work.shown == Shown::Nothing);
        if is_nothing {
            self.note_readings(at, escrow, &shown_by_others);
        }
        let Some(known) = self.escrows.get(&escrow) else { return Vec::new() };
        let verdict = self.verdict(at, known, self.judged_from(&known.terms));
        // That nothing is shown yet is no ruling against the payee of a contract: it may come.
        let is_final = known.work.shown != Shown::Nothing || verdict == Some(true);
        let verdict = ruled.or_else(|| verdict.filter(|_| is_final));
        let mut effects = Vec::new();
        if let (None, Some(releases)) = (ruled, verdict) {
            effects.extend(self.write_and_tell(escrow, Record::Ruled { releases }));
        }
        effects.extend(pleas.into_iter().map(|(from, token)| {
            answer_to(
                token,
                match verdict {
                    Some(true) if from == payee => EscrowAnswer::Released(preimage),
                    Some(true) => EscrowAnswer::Refused(EscrowRefusal::Over),
                    Some(false) => EscrowAnswer::Refused(EscrowRefusal::GoesBack),
                    None => EscrowAnswer::Refused(EscrowRefusal::NotYet),
                },
            )
        }));
        effects
    }
}
