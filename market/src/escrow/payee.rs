//! The payee's part: it signs an invoice, holds what arrives, and claims it with the preimage or gives
//! it back.

use boltgrid_protocol::escrow::{Deed, EscrowAnswer, EscrowQuestion, EscrowRefusal};
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::units::Msat;

use super::record::Record;
use super::said::{Effect, End, Incoming, Moment, Wanted};
use super::state::Part;
use super::{ARRIVES_WITHIN_MS, Escrows};

/// By how many blocks a hold may be shorter than agreed, since blocks are found while it travels.
const SHORTER_BLOCKS_MAX: u32 = 3;

impl Escrows {
    /// Lightning made the invoice: it is signed, stored, and handed out when it is asked for again.
    pub(super) fn made(
        &mut self,
        at: Moment,
        escrow: MessageHash,
        made: Result<String, EscrowRefusal>,
    ) -> Vec<Effect> {
        let Some(asked) = self.asked.get_mut(&escrow) else { return Vec::new() };
        let bolt11 = match made {
            Ok(bolt11) => bolt11,
            Err(why) => {
                asked.decided = Some(Err(why));
                return vec![Effect::NotTaken("no_hold_invoice")];
            }
        };
        let terms = asked.signed.clone();
        if !at.may_sign {
            asked.decided = None;
            return vec![Effect::NotTaken("escrow_abstaining")];
        }
        let Ok(deed) = self.sign(at.now, &Deed::Hold { escrow, bolt11 }) else {
            return vec![Effect::NotTaken("hold_invoice_invalid")];
        };
        self.asked.remove(&escrow);
        let deed = deed.bytes().to_vec();
        let effects = self.write_and_tell(escrow, Record::Holds { terms, deed });
        self.pause(at, escrow);
        effects
    }

    /// A payment has arrived and is held.
    pub(super) fn held(
        &mut self,
        at: Moment,
        payment_hash: PaymentHash,
        amount_msat: Msat,
        claim_before_height: u32,
    ) -> Vec<Effect> {
        let found = self.escrows.iter().find(|(_, it)| {
            it.terms.payment_hash == payment_hash && matches!(it.part, Part::Payee { .. })
        });
        let refuse = || vec![Effect::Want(Wanted::Refuse(payment_hash))];
        let Some((escrow, known)) = found.map(|(escrow, it)| (*escrow, it)) else {
            return refuse();
        };
        let Part::Payee { locked, gives_back, .. } = known.part else { return refuse() };
        if known.over.is_some() || gives_back {
            return refuse();
        }
        if locked.is_some() {
            return Vec::new();
        }
        let shortest = known.terms.hold_blocks.saturating_sub(SHORTER_BLOCKS_MAX);
        let is_long_enough =
            at.height.is_none_or(|height| claim_before_height >= height.saturating_add(shortest));
        if amount_msat < known.terms.amount_msat || !is_long_enough {
            let mut effects = self.end(escrow, End::Refused(EscrowRefusal::TooShort));
            effects.extend(refuse());
            return effects;
        }
        let effects = self.write_and_tell(escrow, Record::Locked { claim_before_height });
        self.go_on(at, escrow);
        effects
    }

    /// What the payee does next.
    pub(super) fn hold(&mut self, at: Moment, escrow: MessageHash) -> Vec<Effect> {
        let Some(known) = self.escrows.get(&escrow) else { return Vec::new() };
        let Part::Payee { locked, preimage, gives_back, .. } = known.part else {
            return Vec::new();
        };
        let (terms, payment_hash) = (known.terms.clone(), known.terms.payment_hash);
        if locked.is_none() {
            if at.now >= terms.expires_at.plus_ms(ARRIVES_WITHIN_MS) {
                return self.end(escrow, End::Lapsed);
            }
            self.pause(at, escrow);
            return Vec::new();
        }
        if let Some(preimage) = preimage {
            self.pause(at, escrow);
            return vec![Effect::Want(Wanted::Claim { escrow, preimage })];
        }
        let pleads_from = self.pleads_from(&terms);
        let verdict = self.verdict(at, known, pleads_from);
        let is_near = known.is_near_its_end(at.height);
        let mut effects = Vec::new();
        if gives_back || is_near || verdict == Some(false) {
            if !gives_back {
                effects.extend(self.write_and_tell(escrow, Record::GivesBack));
            }
            effects.push(Effect::Want(Wanted::GiveBack { escrow, payment_hash }));
            self.pause(at, escrow);
            return effects;
        }
        if verdict == Some(true) && at.now >= pleads_from {
            let readings = known.work.proof.clone();
            let question = EscrowQuestion::Plead { escrow, readings };
            effects.push(Effect::Want(Wanted::Ask { to: terms.arbiter, question }));
        }
        effects.extend(self.look_up(at, escrow));
        self.pause(at, escrow);
        effects
    }

    /// The payer tells the preimage.
    pub(super) fn told_preimage(
        &mut self,
        at: Moment,
        from: ParticipantId,
        escrow: MessageHash,
        preimage: Preimage,
    ) -> (Vec<Effect>, EscrowAnswer) {
        let refused = |why| (Vec::new(), EscrowAnswer::Refused(why));
        let Some(known) = self.escrows.get(&escrow) else {
            return refused(EscrowRefusal::Unknown);
        };
        let Part::Payee { locked, preimage: learnt, gives_back, .. } = known.part else {
            return refused(EscrowRefusal::NotInvolved);
        };
        if known.payer != from {
            return refused(EscrowRefusal::NotInvolved);
        }
        if preimage.payment_hash() != known.terms.payment_hash {
            return refused(EscrowRefusal::WrongPreimage);
        }
        if learnt.is_some() {
            return (Vec::new(), EscrowAnswer::Taken);
        }
        if known.over.is_some() || gives_back {
            return refused(EscrowRefusal::Over);
        }
        if locked.is_none() {
            return refused(EscrowRefusal::NotYet);
        }
        (self.learn(at, escrow, preimage), EscrowAnswer::Taken)
    }

    /// Stores the preimage and claims.
    fn learn(&mut self, at: Moment, escrow: MessageHash, preimage: Preimage) -> Vec<Effect> {
        let effects = self.write_and_tell(escrow, Record::Learnt { preimage });
        self.go_on(at, escrow);
        effects
    }

    /// The arbiter's ruling.
    pub(super) fn ruled(
        &mut self,
        at: Moment,
        escrow: MessageHash,
        answer: &EscrowAnswer,
    ) -> Vec<Effect> {
        let Some(known) = self.escrows.get(&escrow) else { return Vec::new() };
        let Part::Payee { locked: Some(_), preimage: None, gives_back: false, .. } = known.part
        else {
            return Vec::new();
        };
        match answer {
            EscrowAnswer::Released(preimage)
                if preimage.payment_hash() == known.terms.payment_hash =>
            {
                self.learn(at, escrow, *preimage)
            }
            EscrowAnswer::Refused(EscrowRefusal::GoesBack) => {
                let effects = self.write_and_tell(escrow, Record::GivesBack);
                self.go_on(at, escrow);
                effects
            }
            EscrowAnswer::Released(_) => vec![Effect::NotTaken("ruling_with_a_wrong_preimage")],
            EscrowAnswer::Signed(_)
            | EscrowAnswer::Undecided
            | EscrowAnswer::Taken
            | EscrowAnswer::Refused(_) => Vec::new(),
        }
    }

    /// What Lightning knows after a claim or a refusal.
    pub(super) fn received(
        &mut self,
        at: Moment,
        escrow: MessageHash,
        state: Incoming,
    ) -> Vec<Effect> {
        let Some(known) = self.escrows.get(&escrow).filter(|it| it.over.is_none()) else {
            return Vec::new();
        };
        let Part::Payee { preimage, gives_back, .. } = known.part else { return Vec::new() };
        match state {
            Incoming::Claimed if preimage.is_some() => self.end(escrow, End::Released),
            Incoming::GivenBack if gives_back || preimage.is_some() => {
                self.end(escrow, End::GivenBack)
            }
            Incoming::Pending | Incoming::Claimed | Incoming::GivenBack => {
                self.pause(at, escrow);
                Vec::new()
            }
        }
    }
}
