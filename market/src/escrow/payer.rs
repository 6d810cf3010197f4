//! The payer's part: it proposes, asks for both words, pays, and gives the preimage away once the
//! readings say so.

use boltgrid_protocol::envelope::MessageRejected;
use boltgrid_protocol::escrow::{
    Deed, EscrowAnswer, EscrowQuestion, EscrowRefusal, EscrowTerms, TERMS_LIFETIME_MAX_MS,
};
use boltgrid_protocol::id::MessageHash;
use boltgrid_protocol::lightning::Preimage;

use super::record::Record;
use super::said::{Effect, End, HoldInvoice, Moment, NotDone, Outgoing, Wanted};
use super::state::{Escrow, Part, Shown};
use super::{Escrows, LIVE_MAX};

/// How long after terms expired a payment that Lightning does not know was never begun: longer than
/// any request to it takes.
const LAPSES_AFTER_MS: u64 = 120_000;

impl Escrows {
    /// Whether terms of the owner's can be proposed.
    ///
    /// # Errors
    ///
    /// [`NotDone`], saying why not.
    pub fn check(&mut self, at: Moment, terms: &EscrowTerms) -> Result<(), NotDone> {
        let require = |holds, why| if holds { Ok(()) } else { Err(why) };
        require(at.may_sign, NotDone::Abstains)?;
        require(self.live().count() < LIVE_MAX, NotDone::TooMany)?;
        let latest = at.now.plus_ms(TERMS_LIFETIME_MAX_MS);
        require(at.now < terms.expires_at && terms.expires_at <= latest, NotDone::Expiry)?;
        self.sign(at.now, &Deed::Terms(terms.clone())).map_err(|rejected| not_signed(&rejected))?;
        let begins = self.charter.interval.start_of(terms.condition.first);
        require(at.now < begins, NotDone::Begun)?;
        let needed = self.needed_blocks(at.now, terms);
        require(u64::from(terms.hold_blocks) >= needed, NotDone::TooShort { needed })
    }

    /// Signs terms of the owner's and begins to ask for both words. The preimage is one that nobody
    /// else has seen, drawn by chance.
    ///
    /// # Errors
    ///
    /// [`NotDone`], saying why.
    pub fn propose(
        &mut self,
        at: Moment,
        terms: EscrowTerms,
        preimage: Preimage,
    ) -> Result<(MessageHash, Vec<Effect>), NotDone> {
        let terms = EscrowTerms { payment_hash: preimage.payment_hash(), ..terms };
        self.check(at, &terms)?;
        let signed = self.sign(at.now, &Deed::Terms(terms));
        let signed = signed.map_err(|rejected| not_signed(&rejected))?;
        let (escrow, terms) = (signed.hash(), signed.bytes().to_vec());
        let mut effects = self.write_and_tell(escrow, Record::Proposed { terms, preimage });
        effects.extend(self.pay(at, escrow));
        Ok((escrow, effects))
    }

    /// Gives the amount to the payee at the owner's wish, whatever the readings say.
    ///
    /// # Errors
    ///
    /// [`NotDone::NotWaiting`] where this node is not the payer of a locked amount.
    pub fn release(&mut self, at: Moment, escrow: MessageHash) -> Result<Vec<Effect>, NotDone> {
        let known = self.escrows.get_mut(&escrow).filter(|it| it.over.is_none());
        let known = known.ok_or(NotDone::NotWaiting)?;
        let Part::Payer { bolt11: Some(_), is_released: false, .. } = known.part else {
            return Err(NotDone::NotWaiting);
        };
        known.work.go_on(at.now);
        let mut effects = self.write_and_tell(escrow, Record::Released);
        effects.extend(self.pay(at, escrow));
        Ok(effects)
    }

    /// What the payer does next.
    pub(super) fn pay(&mut self, at: Moment, escrow: MessageHash) -> Vec<Effect> {
        let Some(known) = self.escrows.get(&escrow) else { return Vec::new() };
        let Part::Payer { preimage, arbitration, bolt11, is_released } = known.part.clone() else {
            return Vec::new();
        };
        let terms = known.terms.clone();
        let is_expired = at.now >= terms.expires_at;
        let Some(bolt11) = bolt11 else {
            if is_expired {
                return self.end(escrow, End::Lapsed);
            }
            let signed = known.signed.clone();
            let (to, question) = match arbitration {
                None => (terms.arbiter, EscrowQuestion::Arbitrate { terms: signed, preimage }),
                Some(arbitration) => {
                    (terms.payee, EscrowQuestion::Hold { terms: signed, arbitration })
                }
            };
            self.pause(at, escrow);
            return vec![Effect::Want(Wanted::Ask { to, question })];
        };
        let mut effects = Vec::new();
        let judged_from = self.judged_from(&terms);
        let is_to_release = self.verdict(at, known, judged_from) == Some(true);
        if is_to_release && !is_released {
            effects.extend(self.write_and_tell(escrow, Record::Released));
        }
        effects.extend(self.tell_or_defend(escrow, (is_released || is_to_release, preimage)));
        effects.extend(self.look_up(at, escrow));
        if let Some(known) = self.escrows.get_mut(&escrow) {
            // Once late, always late: what was looked at and found unknown is not begun any more.
            known.work.is_late |= is_expired;
            let (payment_hash, begins) = (terms.payment_hash, !known.work.is_late);
            effects.push(Effect::Want(Wanted::Pay { escrow, payment_hash, bolt11, begins }));
        }
        self.pause(at, escrow);
        effects
    }

    /// Tells the payee the preimage; or, where a bond was kept, shows the arbiter that it was.
    fn tell_or_defend(
        &self,
        escrow: MessageHash,
        (is_released, preimage): (bool, Preimage),
    ) -> Option<Effect> {
        let known = self.escrows.get(&escrow).filter(|it| !it.work.is_taken)?;
        let terms = &known.terms;
        let (to, question) = if is_released {
            (terms.payee, EscrowQuestion::Release { escrow, preimage })
        } else {
            let is_kept =
                known.work.shown == Shown::Delivered && !terms.condition.releases_if(true);
            let readings = is_kept.then(|| known.work.proof.clone())?;
            (terms.arbiter, EscrowQuestion::Plead { escrow, readings })
        };
        Some(Effect::Want(Wanted::Ask { to, question }))
    }

    /// Waits, but not beyond the moments at which something changes by itself.
    pub(super) fn pause(&mut self, at: Moment, escrow: MessageHash) {
        let Some(terms) = self.escrows.get(&escrow).map(|it| it.terms.clone()) else { return };
        let moments = [
            terms.expires_at,
            self.ends_at(&terms),
            self.judged_from(&terms),
            self.pleads_from(&terms),
        ];
        let next = moments.into_iter().filter(|moment| *moment > at.now).min();
        if let Some(known) = self.escrows.get_mut(&escrow) {
            known.work.pause(at.now, next.unwrap_or(at.now));
        }
    }

    /// The arbiter's word.
    pub(super) fn arbitrated(
        &mut self,
        at: Moment,
        escrow: MessageHash,
        answer: EscrowAnswer,
    ) -> Vec<Effect> {
        let Some(known) = self.escrows.get(&escrow) else { return Vec::new() };
        let (signed, has_word) = (known.signed.clone(), has_word(known));
        match answer {
            EscrowAnswer::Signed(deed) if !has_word => {
                if !self.is_arbitrated(at.now, &signed, &deed) {
                    return vec![Effect::NotTaken("arbitration_invalid")];
                }
                let effects = self.write(escrow, Record::Arbitrated { deed });
                self.go_on(at, escrow);
                effects
            }
            EscrowAnswer::Refused(why) if !has_word => self.end(escrow, End::Refused(why)),
            EscrowAnswer::Signed(_)
            | EscrowAnswer::Refused(_)
            | EscrowAnswer::Undecided
            | EscrowAnswer::Taken
            | EscrowAnswer::Released(_) => Vec::new(),
        }
    }

    /// The payee's word: with a good one, the intent to pay is stored, and the payment begun.
    pub(super) fn accepted(
        &mut self,
        at: Moment,
        escrow: MessageHash,
        answer: EscrowAnswer,
        read: Option<HoldInvoice>,
    ) -> Vec<Effect> {
        let Some(known) = self.escrows.get(&escrow) else { return Vec::new() };
        if matches!(known.part, Part::Payer { bolt11: Some(_), .. }) {
            return Vec::new();
        }
        let terms = known.terms.clone();
        match answer {
            EscrowAnswer::Signed(deed) => {
                let signed = self.verify(at.now, deed.clone());
                let is_word = signed.is_some_and(|it| {
                    let of = matches!(it.body(), Deed::Hold { escrow: of, .. } if *of == escrow);
                    of && it.participant() == terms.payee
                });
                if !is_word || !read.is_some_and(|read| is_as_agreed(&terms, &read)) {
                    return self.end(escrow, End::Refused(EscrowRefusal::Invalid));
                }
                if at.now >= terms.expires_at {
                    return self.end(escrow, End::Lapsed);
                }
                let effects = self.write_and_tell(escrow, Record::Intended { deed });
                self.go_on(at, escrow);
                effects
            }
            EscrowAnswer::Refused(why) => self.end(escrow, End::Refused(why)),
            EscrowAnswer::Undecided | EscrowAnswer::Taken | EscrowAnswer::Released(_) => Vec::new(),
        }
    }

    /// The payee says that it holds the preimage, or that it needs none any more.
    pub(super) fn was_told(&mut self, escrow: MessageHash, answer: &EscrowAnswer) -> Vec<Effect> {
        let is_taken =
            matches!(answer, EscrowAnswer::Taken | EscrowAnswer::Refused(EscrowRefusal::Over));
        if let Some(known) = self.escrows.get_mut(&escrow) {
            known.work.is_taken |= is_taken;
        }
        Vec::new()
    }

    /// The arbiter has seen that a bond was kept.
    pub(super) fn defended(&mut self, escrow: MessageHash, answer: &EscrowAnswer) -> Vec<Effect> {
        if let Some(known) = self.escrows.get_mut(&escrow) {
            known.work.is_taken |= *answer == EscrowAnswer::Refused(EscrowRefusal::GoesBack);
        }
        Vec::new()
    }

    /// What became of the payment.
    pub(super) fn paid(
        &mut self,
        at: Moment,
        escrow: MessageHash,
        outcome: Outgoing,
    ) -> Vec<Effect> {
        let Some(known) = self.escrows.get(&escrow).filter(|it| it.over.is_none()) else {
            return Vec::new();
        };
        let Part::Payer { bolt11: Some(_), .. } = known.part else { return Vec::new() };
        let lapses_at = known.terms.expires_at.plus_ms(LAPSES_AFTER_MS);
        match outcome {
            Outgoing::Pending => Vec::new(),
            Outgoing::Unknown if known.work.is_late && at.now >= lapses_at => {
                self.end(escrow, End::Lapsed)
            }
            Outgoing::Unknown => Vec::new(),
            Outgoing::Sent => self.end(escrow, End::Released),
            Outgoing::Failed => self.end(escrow, End::GivenBack),
        }
    }

    pub(super) fn go_on(&mut self, at: Moment, escrow: MessageHash) {
        if let Some(known) = self.escrows.get_mut(&escrow) {
            known.work.go_on(at.now);
        }
    }
}

/// Why terms could not be signed, for their author.
fn not_signed(rejected: &MessageRejected) -> NotDone {
    NotDone::Terms(match rejected {
        MessageRejected::Body(why) => (*why).to_owned(),
        MessageRejected::NotAMember => "this node is not a member now".to_owned(),
        MessageRejected::Codec(_)
        | MessageRejected::WrongKind
        | MessageRejected::WrongGrid
        | MessageRejected::WrongRoster
        | MessageRejected::NotAVoter
        | MessageRejected::BadSignature
        | MessageRejected::Order(_) => rejected.to_string(),
    })
}

const fn has_word(escrow: &Escrow) -> bool {
    matches!(escrow.part, Part::Payer { arbitration: Some(_), .. })
}

/// Whether an invoice asks for what the terms say, and can be paid to the payee only.
fn is_as_agreed(terms: &EscrowTerms, read: &HoldInvoice) -> bool {
    read.payment_hash == terms.payment_hash
        && read.amount_msat == Some(terms.amount_msat)
        && read.final_cltv_blocks == terms.final_cltv_blocks()
        && read.is_direct
}
