//! The payer's part: what an invoice must be to be paid, and that nothing is paid twice (P33).
//!
//! Not for: asking to be paid ([`super::charging`]).

use boltgrid_protocol::envelope::{Signed, Verified};
use boltgrid_protocol::invoice::{Invoice, InvoiceRefusal, InvoiceWord};
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Interval, Msat, Timestamp};

use super::dispute::Why;
use super::due::{Attempt, DueId, Open};
use super::record::Record;
use super::said::{Bolt11, Outcome, Stage, Told, Wanted};
use super::state::End;
use super::{Payments, Work, not_taken, pause_ms, tell, want};
use crate::effect::Effect;

/// How long after a payment was begun to inquire what became of it, if nothing was heard; and again.
const INQUIRE_EVERY_MS: u64 = 30_000;
/// What a payment may cost at most: one part in so many. Members pass on payments at no fee.
const FEE_DIVISOR: u64 = 100;

impl Payments {
    /// A member asks us to pay: our word, and if it is the first time, the payment.
    pub(super) fn asked(
        &mut self,
        now: Timestamp,
        asked: &Verified<Invoice>,
        read: Option<Bolt11>,
        token: u64,
    ) -> Vec<Effect> {
        let id = DueId { interval: asked.interval(), cause: asked.body().cause };
        let answer = |word| want(Wanted::Answer { token, word });
        let attempt = match self.judge(now, &id, asked, read) {
            Ok(Some(attempt)) => attempt,
            Ok(None) => return vec![answer(InvoiceWord::Taken)],
            Err(why) => {
                let counterparty = asked.participant();
                if why == InvoiceRefusal::NotDue && !self.state.is_settled(id.interval) {
                    self.early.keep(id, asked, read);
                }
                let mut effects = vec![answer(InvoiceWord::Refused(why))];
                effects.push(tell(Told::Refused { counterparty, due: id, why }));
                effects.extend(self.dispute_invoice(now, &id, asked, why));
                return effects;
            }
        };
        let mut effects = self.intend(now, id, asked, attempt);
        // After the intent, which stands first.
        effects.insert(1, answer(InvoiceWord::Taken));
        effects
    }

    /// Pays what was asked for before an interval was settled that is now. Whoever asked for
    /// something else hears it when it asks again.
    pub(super) fn pay_early(&mut self, now: Timestamp, interval: Interval) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (asked, read) in self.early.take(interval) {
            let id = DueId { interval, cause: asked.body().cause };
            if let Ok(Some(attempt)) = self.judge(now, &id, &asked, read) {
                effects.extend(self.intend(now, id, &asked, attempt));
            }
        }
        effects
    }

    /// Intends to pay an invoice that was judged to be right, and begins to.
    fn intend(
        &mut self,
        now: Timestamp,
        id: DueId,
        asked: &Verified<Invoice>,
        attempt: Attempt,
    ) -> Vec<Effect> {
        let payment_hash = attempt.payment_hash;
        let mut effects =
            vec![self.write(now, Record::Intended(id, asked.body().tranche, attempt))];
        effects.extend(self.payment(&payment_hash, Stage::Paying, now).map(tell));
        effects.extend(self.begin(now, &id));
        effects
    }

    /// Whether an invoice is to be paid: `None` where it is being paid already.
    fn judge(
        &self,
        now: Timestamp,
        id: &DueId,
        asked: &Verified<Invoice>,
        read: Option<Bolt11>,
    ) -> Result<Option<Attempt>, InvoiceRefusal> {
        let body = asked.body();
        let Some(open) = self.state.open.get(id) else {
            let readings_by = self.charter.interval.schedule(id.interval).readings_by;
            let is_over = now > readings_by.plus_ms(self.charter.interval.clock_skew_max_ms);
            return Err(if is_over && !self.late.contains(&id.interval) {
                InvoiceRefusal::WrongTrade
            } else {
                InvoiceRefusal::NotDue
            });
        };
        let require = |holds, refusal| if holds { Ok(()) } else { Err(refusal) };
        let is_mine = open.due.counterparty == asked.participant() && !open.due.is_to_me();
        require(is_mine, InvoiceRefusal::WrongTrade)?;
        require(body.tranches == open.count(), InvoiceRefusal::WrongTranche)?;
        require(
            open.amount_of(body.tranche) == Some(body.amount_msat),
            InvoiceRefusal::WrongAmount,
        )?;
        require(body.tranche <= open.paid, InvoiceRefusal::NotDue)?;
        let live = open.attempt.as_ref();
        if live.is_some_and(|live| live.invoice == asked.bytes().as_ref()) {
            return Ok(None);
        }
        let used = self.state.used.get(&body.payment_hash);
        let same = used.filter(|used| used.due == *id && used.tranche == body.tranche);
        let has_failed = same.is_some_and(|used| used.end == Some(End::Failed));
        require(!has_failed, InvoiceRefusal::Failed)?;
        require(body.tranche >= open.paid, InvoiceRefusal::AlreadyPaid)?;
        require(used.is_none(), InvoiceRefusal::HashUsed)?;
        require(live.is_none(), InvoiceRefusal::Paying)?;
        let read = read.filter(|read| {
            read.payment_hash == body.payment_hash && read.amount_msat == Some(body.amount_msat)
        });
        let expires_at = read.ok_or(InvoiceRefusal::BadBolt11)?.expires_at;
        require(now < expires_at, InvoiceRefusal::Expired)?;
        require(self.may_try(now, id, open), InvoiceRefusal::TooMany)?;
        let invoice = asked.bytes().to_vec();
        Ok(Some(Attempt { invoice, payment_hash: body.payment_hash, expires_at }))
    }

    /// Whether the pause after the last failure is over.
    fn may_try(&self, now: Timestamp, id: &DueId, open: &Open) -> bool {
        open.failed == 0 || self.work.get(id).is_none_or(|work| work.open_from <= now)
    }

    /// An invoice that asks for something else than what we reckon is kept, once per due.
    fn dispute_invoice(
        &mut self,
        now: Timestamp,
        id: &DueId,
        asked: &Verified<Invoice>,
        why: InvoiceRefusal,
    ) -> Vec<Effect> {
        let is_between_us =
            self.state.open.get(id).is_some_and(|open| {
                open.due.counterparty == asked.participant() && !open.is_paid()
            });
        let is_wrong = match why {
            InvoiceRefusal::WrongTrade
            | InvoiceRefusal::WrongTranche
            | InvoiceRefusal::WrongAmount => true,
            InvoiceRefusal::NotDue
            | InvoiceRefusal::BadBolt11
            | InvoiceRefusal::Expired
            | InvoiceRefusal::HashUsed
            | InvoiceRefusal::AlreadyPaid
            | InvoiceRefusal::Paying
            | InvoiceRefusal::Failed
            | InvoiceRefusal::TooMany
            | InvoiceRefusal::NoLightning => false,
        };
        if is_between_us && is_wrong {
            self.dispute(now, id, Why::WrongInvoice(why), Some(asked.bytes().to_vec()))
        } else {
            Vec::new()
        }
    }

    /// Pays the live invoice of a due, which is stored.
    fn begin(&mut self, now: Timestamp, id: &DueId) -> Vec<Effect> {
        let open = self.state.open.get(id);
        let Some(attempt) = open.and_then(|open| open.attempt.as_ref()) else { return Vec::new() };
        let Ok(signed) = Signed::<Invoice>::decode(attempt.invoice.as_slice()) else {
            return not_taken("stored_invoice_unreadable");
        };
        let Invoice { payment_hash, amount_msat, bolt11, .. } = signed.body().clone();
        let fee = amount_msat.to_millisatoshi().div_euclid(FEE_DIVISOR);
        let fee_max_msat = Msat::from_millisatoshi(fee).unwrap_or_default();
        let work = self.work.entry(*id).or_default();
        work.next = now.plus_ms(INQUIRE_EVERY_MS);
        work.begun_after = work.inquiry;
        vec![want(Wanted::Pay { payment_hash, bolt11, amount_msat, fee_max_msat })]
    }

    /// Asks Lightning what became of the payment that was to be made, after a restart and when
    /// nothing was heard of it for long.
    pub(super) fn inquire(&mut self, now: Timestamp, id: &DueId) -> Vec<Effect> {
        let work = self.work.entry(*id).or_default();
        if work.next > now {
            return Vec::new();
        }
        work.next = now.plus_ms(INQUIRE_EVERY_MS);
        let attempt = self.state.open.get(id).and_then(|open| open.attempt.as_ref());
        let Some(payment_hash) = attempt.map(|attempt| attempt.payment_hash) else {
            return Vec::new();
        };
        work.inquiry = work.inquiry.saturating_add(1);
        let inquiry = work.inquiry;
        vec![want(Wanted::Inquire { payment_hash, inquiry })]
    }

    /// What Lightning knows of a payment of ours. That it knows nothing counts only if it was asked
    /// after the payment was last to be begun: before, it may have been begun since.
    pub(super) fn known(
        &mut self,
        now: Timestamp,
        payment_hash: PaymentHash,
        inquiry: u32,
        outcome: Outcome,
    ) -> Vec<Effect> {
        let due = self.state.used.get(&payment_hash).map(|used| used.due);
        let work = due.and_then(|due| self.work.get(&due));
        let is_fresh = work.is_some_and(|work| work.begun_after < inquiry);
        if outcome == Outcome::Unknown && !is_fresh {
            return Vec::new();
        }
        self.told(now, payment_hash, outcome)
    }

    /// What became of a payment of ours.
    pub(super) fn told(
        &mut self,
        now: Timestamp,
        payment_hash: PaymentHash,
        outcome: Outcome,
    ) -> Vec<Effect> {
        let used = self.state.used.get(&payment_hash).copied();
        let Some(used) = used.filter(|used| used.end != Some(End::Paid)) else {
            return Vec::new();
        };
        let id = used.due;
        let is_mine = |open: &&Open| !open.due.is_to_me();
        let Some(open) = self.state.open.get(&id).filter(is_mine) else { return Vec::new() };
        let live = open.attempt.as_ref().filter(|it| it.payment_hash == payment_hash);
        match outcome {
            Outcome::Pending => Vec::new(),
            Outcome::Unknown => match live.map(|live| now < live.expires_at) {
                Some(true) => self.begin(now, &id),
                // It was never begun, and now it won't be.
                Some(false) => self.has_failed(now, id, payment_hash),
                None => Vec::new(),
            },
            Outcome::Failed if used.end.is_some() => Vec::new(),
            Outcome::Failed => self.has_failed(now, id, payment_hash),
            Outcome::Sent { preimage, fee_msat } => {
                let record = Record::Sent { payment_hash, preimage, fee_msat };
                let mut effects = vec![self.write(now, record)];
                let stage = Stage::Paid { preimage: Some(preimage), fee_msat };
                effects.extend(self.tell_paid(&payment_hash, stage, now));
                effects
            }
        }
    }

    /// A payment can't succeed any more: another invoice for the tranche may be taken, after a pause.
    fn has_failed(&mut self, now: Timestamp, id: DueId, hash: PaymentHash) -> Vec<Effect> {
        let mut effects = vec![self.write(now, Record::Failed(hash))];
        effects.extend(self.payment(&hash, Stage::Failed, now).map(tell));
        let failed = self.state.open.get(&id).map_or(0, |open| open.failed);
        let work = self.work.entry(id).or_default();
        *work = Work { open_from: now.plus_ms(pause_ms(failed)), next: now, ..*work };
        effects
    }
}
