//! Terms that others propose to this node, as their arbiter or payee: which of them it may sign, and
//! what it signs. Not for: what follows once it has.

use boltgrid_protocol::envelope::hash_unverified;
use boltgrid_protocol::escrow::{
    Deed, EscrowAnswer, EscrowRefusal, EscrowTerms, TERMS_LIFETIME_MAX_MS,
};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::lightning::Preimage;
use boltgrid_protocol::units::Timestamp;

use super::record::Record;
use super::said::{Effect, Moment, NotDone, Role, Wanted};
use super::state::{self, Escrow, Part};
use super::{Asked, Escrows, LIVE_MAX};

/// Most escrows at once that one payer has brought.
const LIVE_PER_PAYER_MAX: usize = 32;
/// Most terms that wait for the owner.
const ASKED_MAX: usize = 32;
/// Most of them of one payer.
const ASKED_PER_PAYER_MAX: usize = 4;

impl Escrows {
    /// Somebody proposes terms to us, as their arbiter (with the preimage) or their payee.
    pub(super) fn asked_to_sign(
        &mut self,
        at: Moment,
        from: ParticipantId,
        signed: Vec<u8>,
        preimage: Option<Preimage>,
    ) -> (Vec<Effect>, EscrowAnswer) {
        let refused = |why| (Vec::new(), EscrowAnswer::Refused(why));
        let Some(terms) = self.verify(at.now, signed.clone()) else {
            return refused(EscrowRefusal::Invalid);
        };
        let escrow = terms.hash();
        if terms.participant() != from {
            return refused(EscrowRefusal::NotInvolved);
        }
        if let Some(known) = self.escrows.get(&escrow) {
            return match (&known.part, preimage) {
                (Part::Arbiter { deed, .. }, Some(_)) | (Part::Payee { deed, .. }, None) => {
                    (Vec::new(), EscrowAnswer::Signed(deed.clone()))
                }
                _ => refused(EscrowRefusal::NotInvolved),
            };
        }
        if let Some(asked) = self.asked.get(&escrow) {
            return match asked.decided {
                Some(Err(why)) => refused(why),
                // Its invoice may have been lost on the way.
                Some(Ok(())) => (self.accept(at, escrow), EscrowAnswer::Undecided),
                None => (Vec::new(), EscrowAnswer::Undecided),
            };
        }
        let Deed::Terms(body) = terms.body().clone() else {
            return refused(EscrowRefusal::Invalid);
        };
        if let Err(why) = self.judge_terms(at, from, &body, preimage) {
            return refused(why);
        }
        let most = match preimage {
            Some(_) => self.willing.arbitrate_max,
            None => self.willing.accept_max,
        };
        let is_willing = body.amount_msat <= most;
        let asked = Asked { payer: from, signed, terms: body, preimage, decided: None };
        let told = Effect::Tell(Box::new(self.view_asked(escrow, &asked)));
        self.asked.insert(escrow, asked);
        let effects = if is_willing { self.accept(at, escrow) } else { vec![told] };
        let answer = match self.escrows.get(&escrow).map(|it| &it.part) {
            Some(Part::Arbiter { deed, .. }) => EscrowAnswer::Signed(deed.clone()),
            Some(Part::Payer { .. } | Part::Payee { .. }) | None => EscrowAnswer::Undecided,
        };
        (effects, answer)
    }

    /// Whether terms are what an honest arbiter or payee may sign (P37).
    fn judge_terms(
        &self,
        at: Moment,
        payer: ParticipantId,
        terms: &EscrowTerms,
        preimage: Option<Preimage>,
    ) -> Result<(), EscrowRefusal> {
        let require = |holds, why| if holds { Ok(()) } else { Err(why) };
        let named = if preimage.is_some() { terms.arbiter } else { terms.payee };
        require(named == self.me, EscrowRefusal::NotInvolved)?;
        let is_right = preimage.is_none_or(|it| it.payment_hash() == terms.payment_hash);
        require(is_right, EscrowRefusal::WrongPreimage)?;
        let skew_ms = self.charter.interval.clock_skew_max_ms;
        let latest = at.now.plus_ms(TERMS_LIFETIME_MAX_MS.saturating_add(skew_ms));
        let stands = at.now < terms.expires_at && terms.expires_at <= latest;
        require(stands, EscrowRefusal::Expired)?;
        let is_long_enough = u64::from(terms.hold_blocks) >= self.needed_blocks(at.now, terms);
        require(is_long_enough, EscrowRefusal::TooShort)?;
        let is_new = |it: &&Escrow| it.terms.payment_hash == terms.payment_hash;
        let is_used = self.escrows.values().any(|it| is_new(&it) && it.role() == Role::Payee);
        require(!is_used || preimage.is_some(), EscrowRefusal::HashUsed)?;
        let of_payer = self.live().filter(|it| it.payer == payer).count();
        let asked = self.asked.values().filter(|it| it.payer == payer).count();
        let has_room = self.live().count() < LIVE_MAX
            && of_payer < LIVE_PER_PAYER_MAX
            && self.asked.len() < ASKED_MAX
            && asked < ASKED_PER_PAYER_MAX;
        require(has_room, EscrowRefusal::TooMany)
    }

    /// The owner's word on terms that wait for it.
    ///
    /// # Errors
    ///
    /// [`NotDone`].
    pub fn decide(
        &mut self,
        at: Moment,
        escrow: MessageHash,
        accepts: bool,
    ) -> Result<Vec<Effect>, NotDone> {
        let waiting = self.asked.get_mut(&escrow).filter(|it| it.decided.is_none());
        let asked = waiting.ok_or(NotDone::NotWaiting)?;
        if !accepts {
            asked.decided = Some(Err(EscrowRefusal::Declined));
            return Ok(Vec::new());
        }
        if !at.may_sign {
            return Err(NotDone::Abstains);
        }
        Ok(self.accept(at, escrow))
    }

    /// Takes part in an escrow that was asked about: an arbiter signs at once, a payee once it has an
    /// invoice.
    fn accept(&mut self, at: Moment, escrow: MessageHash) -> Vec<Effect> {
        if !at.may_sign {
            return vec![Effect::NotTaken("escrow_abstaining")];
        }
        let Some(asked) = self.asked.get_mut(&escrow) else { return Vec::new() };
        asked.decided = Some(Ok(()));
        let terms = &asked.terms;
        let Some(preimage) = asked.preimage else {
            return vec![Effect::Want(Wanted::Make {
                escrow,
                payment_hash: terms.payment_hash,
                amount_msat: terms.amount_msat,
                final_cltv_blocks: terms.final_cltv_blocks(),
                expires_at: terms.expires_at,
            })];
        };
        let signed = asked.signed.clone();
        self.asked.remove(&escrow);
        let Ok(deed) = self.sign(at.now, &Deed::Arbitration { escrow }) else {
            return vec![Effect::NotTaken("not_a_member")];
        };
        let deed = deed.bytes().to_vec();
        self.write_and_tell(escrow, Record::Rules { terms: signed, preimage, deed })
    }

    /// Whether the arbiter that the terms name has signed that it rules.
    pub(super) fn is_arbitrated(
        &mut self,
        now: Timestamp,
        terms: &[u8],
        arbitration: &[u8],
    ) -> bool {
        let Some((_, named)) = state::read_terms(terms) else { return false };
        let escrow = hash_unverified(terms).ok();
        let word = self.verify(now, arbitration.to_vec());
        word.is_some_and(|word| match word.body() {
            Deed::Arbitration { escrow: of } => {
                word.participant() == named.arbiter && Some(*of) == escrow
            }
            Deed::Terms(_) | Deed::Hold { .. } => false,
        })
    }
}
