//! The payee's part: one invoice at a time for the tranche that is to be paid next, stored before it
//! leaves, and sent again until something comes of it (P32).
//!
//! Not for: what the payer makes of it ([`super::paying`]).

use std::sync::Arc;

use boltgrid_protocol::envelope::{Signed, Verified};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::{Invoice, InvoiceRefusal, InvoiceWord};
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Msat, Timestamp};

use super::dispute::Why;
use super::due::{Attempt, DueId, Open};
use super::record::Record;
use super::said::{Bolt11, Stage, Told, Wanted};
use super::{PAUSE_MAX_MS, Payments, not_taken, tell, want};
use crate::effect::Effect;

/// For how long an invoice is good.
const EXPIRY_MS: u64 = 3_600_000;
/// An invoice is not sent any more so long before it expires: the payer must have time to pay it.
const EXPIRY_MARGIN_MS: u64 = 5_000;
/// How long Lightning may take to make an invoice before it is asked again.
const MADE_WITHIN_MS: u64 = 10_000;

impl Payments {
    /// Does what is next about a due to us: has an invoice made, or sends the one there is.
    pub(super) fn charge(&mut self, now: Timestamp, id: &DueId) -> Vec<Effect> {
        let Some(open) = self.state.open.get(id) else { return Vec::new() };
        let work = self.work.entry(*id).or_default();
        if work.next > now {
            return Vec::new();
        }
        if open.disputed.is_some_and(Why::is_disagreement) {
            // Waiting brings nothing, asking neither. A payment that comes all the same is taken.
            work.next = now.plus_ms(PAUSE_MAX_MS);
            return Vec::new();
        }
        let is_good = |attempt: &&Attempt| now.plus_ms(EXPIRY_MARGIN_MS) < attempt.expires_at;
        if let Some(attempt) = open.attempt.as_ref().filter(is_good) {
            work.pause(now);
            let invoice: Arc<[u8]> = attempt.invoice.as_slice().into();
            return vec![want(Wanted::Send { to: open.due.counterparty, invoice })];
        }
        work.next = now.plus_ms(MADE_WITHIN_MS);
        let amount_msat = open.amount_of(open.paid).unwrap_or_default();
        let (due, tranche, has_expired) = (*id, open.paid, open.attempt.is_some());
        let mut effects = Vec::new();
        effects.extend(has_expired.then(|| self.write(now, Record::Withdrawn(due))));
        effects.push(want(Wanted::Make { due, tranche, amount_msat, expiry_ms: EXPIRY_MS }));
        effects
    }

    /// Lightning made an invoice: it is signed, stored and sent. One that came too late, or that is
    /// not what was asked for, is dropped, and nobody ever hears of it.
    pub(super) fn made(
        &mut self,
        now: Timestamp,
        id: DueId,
        tranche: u32,
        (bolt11, read): (String, Bolt11),
    ) -> Vec<Effect> {
        let wanted = self.state.open.get(&id).filter(|open| {
            open.due.is_to_me() && open.attempt.is_none() && open.paid == tranche && !open.is_paid()
        });
        let Some(open) = wanted else { return Vec::new() };
        let amount = open.amount_of(tranche);
        let is_used = self.state.used.contains_key(&read.payment_hash);
        if is_used || read.amount_msat != amount || now.plus_ms(EXPIRY_MARGIN_MS) >= read.expires_at
        {
            return not_taken("invoice_made_wrong");
        }
        let (payer, tranches) = (open.due.counterparty, open.count());
        let signed = self.sign(id, payer, |payer| Invoice {
            payer,
            cause: id.cause,
            tranche,
            tranches,
            amount_msat: amount.unwrap_or_default(),
            payment_hash: read.payment_hash,
            bolt11,
        });
        let Some(signed) = signed else {
            return not_taken("invoice_unsignable");
        };
        let attempt = Attempt {
            invoice: signed.bytes().to_vec(),
            payment_hash: read.payment_hash,
            expires_at: read.expires_at,
        };
        let mut effects = vec![self.write(now, Record::Invoiced(id, tranche, attempt))];
        effects.extend(self.payment(&read.payment_hash, Stage::Invoiced, now).map(tell));
        self.work.insert(id, super::Work::default());
        effects.extend(self.charge(now, &id));
        effects
    }

    fn sign(
        &mut self,
        id: DueId,
        payer: ParticipantId,
        invoice: impl FnOnce(boltgrid_protocol::id::RosterIndex) -> Invoice,
    ) -> Option<Verified<Invoice>> {
        let roster = self.rosters.at(id.interval);
        let body = invoice(roster.index_of(&payer)?);
        let author = (&self.participant, &self.key);
        Verified::sign(&body, id.interval, author, (self.charter.as_ref(), roster.as_ref())).ok()
    }

    /// The payer's word on an invoice of ours (P33).
    pub(super) fn hear_word(
        &mut self,
        now: Timestamp,
        from: &ParticipantId,
        hash: &PaymentHash,
        word: InvoiceWord,
    ) -> Vec<Effect> {
        let Some(id) = self.state.used.get(hash).map(|used| used.due) else { return Vec::new() };
        let is_live = |open: &&Open| {
            open.due.counterparty == *from
                && open.due.is_to_me()
                && open.attempt.as_ref().is_some_and(|attempt| attempt.payment_hash == *hash)
        };
        let Some(open) = self.state.open.get(&id).filter(is_live) else { return Vec::new() };
        let InvoiceWord::Refused(why) = word else { return Vec::new() };
        let invoice = open.attempt.as_ref().map(|attempt| attempt.invoice.clone());
        let mut effects = vec![tell(Told::Refused { counterparty: *from, due: id, why })];
        match why {
            InvoiceRefusal::NotDue
            | InvoiceRefusal::Paying
            | InvoiceRefusal::AlreadyPaid
            | InvoiceRefusal::TooMany
            | InvoiceRefusal::NoLightning => {}
            InvoiceRefusal::Failed
            | InvoiceRefusal::Expired
            | InvoiceRefusal::HashUsed
            | InvoiceRefusal::BadBolt11 => {
                // Another one, not at once: the pause goes on growing.
                effects.push(self.write(now, Record::Withdrawn(id)));
                let failed = self.state.open.get(&id).map_or(0, |open| open.failed);
                let work = self.work.entry(id).or_default();
                work.tries = failed;
                work.pause(now);
            }
            InvoiceRefusal::WrongTrade
            | InvoiceRefusal::WrongTranche
            | InvoiceRefusal::WrongAmount => {
                effects.extend(self.dispute(now, &id, Why::Refused(why), invoice));
            }
        }
        effects
    }

    /// A payment arrived: it counts for the tranche that its hash was made for.
    pub(super) fn received(
        &mut self,
        now: Timestamp,
        payment_hash: PaymentHash,
        amount_msat: Msat,
    ) -> Vec<Effect> {
        let used = self.state.used.get(&payment_hash).filter(|used| used.end.is_none());
        let Some(used) = used.copied() else {
            return not_taken("payment_not_asked_for_or_known");
        };
        let Some(open) = self.state.open.get(&used.due).filter(|open| open.due.is_to_me()) else {
            return not_taken("payment_of_a_due_that_is_closed");
        };
        let asked = open.amount_of(used.tranche).unwrap_or_default();
        let invoice = open.attempt.as_ref().map(|attempt| attempt.invoice.clone());
        let (counts, is_too_little) = (open.paid == used.tranche, amount_msat < asked);
        let mut effects = Vec::new();
        if is_too_little {
            let received_msat = amount_msat.to_millisatoshi();
            let why = Why::WrongPayment { received_msat };
            effects.extend(self.dispute(now, &used.due, why, invoice));
        }
        let record = Record::Received { payment_hash, amount_msat, at: now };
        effects.insert(0, self.write(now, record));
        if !counts || is_too_little {
            effects.extend(not_taken("payment_beside_what_was_asked_for"));
            return effects;
        }
        let stage = Stage::Paid { preimage: None, fee_msat: Msat::ZERO };
        effects.extend(self.tell_paid(&payment_hash, stage, now));
        // The next tranche is asked for at once.
        self.work.remove(&used.due);
        effects
    }

    /// The hash and the text of an invoice of ours.
    #[must_use]
    pub fn hash_of(invoice: &[u8]) -> Option<PaymentHash> {
        Signed::<Invoice>::decode(invoice).ok().map(|signed| signed.body().payment_hash)
    }
}
