//! What a false payee asks for: for every due to it some invoices with one thing wrong in each, then
//! the right one, then that again.
//!
//! What is due it knows as any payee does, from both meters. It has no Lightning, so that even what
//! is right cannot be paid; whether it would be is in the payer's word.
//! Not for: the texts ([`super::bolt11`]), or the words.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid_market::effect::Effect;
use boltgrid_market::payments::{Due, DueId, Wanted, tranches};
use boltgrid_market::settlement::{SettledTrade, Settlement};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::{Cause, Invoice};
use boltgrid_protocol::lightning::PaymentHash;
use boltgrid_protocol::units::{Interval, Msat, Timestamp};

use super::bolt11::Pen;
use super::{Deed, Rogue};

/// Between two invoices for one due.
const PAUSE_MS: u64 = 100;
/// The first one is sent so long after the last moment at which the payer may not have settled yet.
const SETTLED_MS: u64 = 200;
/// Invoices whose payers' words are waited for.
const ASKED_MAX: usize = 4096;
/// How far beside the truth a trade's place in the clearing is.
const BESIDE: u32 = 1_000;

/// What is wrong with an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trick {
    /// It asks for a millisatoshi more, and so does its text.
    WrongAmount,
    /// It is for a trade that isn't.
    WrongTrade,
    /// It says that the due has one tranche more.
    WrongTranche,
    /// Its text is of another payment hash.
    OtherHash,
    /// Its text asks for more than it says.
    OtherAmount,
    /// Its text has expired.
    Expired,
    /// Its hash is that of an invoice for another due, which was taken.
    UsedHash,
    /// Nothing.
    Right,
    /// Nothing, but it was sent before.
    Again,
}

impl Trick {
    /// All of them, in the order of sending.
    pub const ALL: [Self; 9] = [
        Self::WrongAmount,
        Self::WrongTrade,
        Self::WrongTranche,
        Self::OtherHash,
        Self::OtherAmount,
        Self::Expired,
        Self::UsedHash,
        Self::Right,
        Self::Again,
    ];

    /// Its word in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::WrongAmount => "invoice_wrong_amount",
            Self::WrongTrade => "invoice_wrong_trade",
            Self::WrongTranche => "invoice_wrong_tranche",
            Self::OtherHash => "invoice_other_hash",
            Self::OtherAmount => "invoice_other_amount",
            Self::Expired => "invoice_expired",
            Self::UsedHash => "invoice_used_hash",
            Self::Right => "invoice_right",
            Self::Again => "invoice_again",
        }
    }

    /// Whether an honest payer refuses it.
    #[must_use]
    pub const fn is_false(self) -> bool {
        !matches!(self, Self::Right | Self::Again)
    }
}

/// What a false payee has asked for, and will use again.
#[derive(Debug)]
pub(super) struct Purse {
    pen: Pen,
    /// What is wrong with each invoice that was sent; the first is forgotten for one too many.
    asked: BTreeMap<(Interval, Arc<[u8]>), Trick>,
    /// For every payer the hash of the latest right invoice.
    used: BTreeMap<ParticipantId, PaymentHash>,
}

impl Purse {
    pub(super) fn new(seed: u64) -> Self {
        Self { pen: Pen::new(seed), asked: BTreeMap::new(), used: BTreeMap::new() }
    }

    fn note(&mut self, interval: Interval, bytes: &Arc<[u8]>, trick: Trick) {
        if self.asked.len() >= ASKED_MAX {
            self.asked.pop_first();
        }
        self.asked.entry((interval, Arc::clone(bytes))).or_insert(trick);
    }
}

impl Rogue {
    /// What is wrong with an invoice of ours; none where it isn't one.
    #[must_use]
    pub fn trick_of(&self, interval: Interval, invoice: &[u8]) -> Option<Trick> {
        self.purse.asked.get(&(interval, Arc::from(invoice))).copied()
    }

    /// Plans what to ask for once an interval is settled.
    pub(super) fn plan_invoices(&mut self, now: Timestamp, settlement: &Settlement) {
        let timing = &self.hand.charter.interval;
        let readings_by = timing.schedule(settlement.interval).readings_by;
        let settled = readings_by.plus_ms(timing.clock_skew_max_ms).plus_ms(SETTLED_MS).max(now);
        for trade in settlement.trades.iter().filter(|it| it.due_msat.to_millisatoshi() > 0) {
            let mut at = settled;
            for trick in Trick::ALL {
                let Some(bytes) = self.false_invoice(now, settlement.interval, trade, trick) else {
                    continue;
                };
                let wanted = Wanted::Send { to: trade.counterparty, invoice: bytes };
                self.plan(at, Deed::Do(Effect::Payment(wanted)));
                at = at.plus_ms(PAUSE_MS);
            }
        }
    }

    fn false_invoice(
        &mut self,
        now: Timestamp,
        interval: Interval,
        trade: &SettledTrade,
        trick: Trick,
    ) -> Option<Arc<[u8]>> {
        if trick == Trick::Again {
            let sent = self.purse.asked.iter().rev();
            let mut sent = sent.filter(|((of, _), it)| *of == interval && **it == Trick::Right);
            let ((_, bytes), _) = sent.find(|((_, bytes), _)| self.is_for(bytes, trade))?;
            return Some(Arc::clone(bytes));
        }
        let right = self.right_invoice(now, interval, trade)?;
        let more = right.amount_msat.checked_add(Msat::from_millisatoshi(1).ok()?)?;
        let (hash, amount) = (right.payment_hash, right.amount_msat);
        let other = self.purse.pen.hash();
        let pen = &self.purse.pen;
        let Cause::Trade { index } = right.cause else { return None };
        let beside = Cause::Trade { index: index.saturating_add(BESIDE) };
        let invoice = match trick {
            Trick::Right | Trick::Again => {
                self.purse.used.insert(trade.counterparty, hash);
                right
            }
            Trick::WrongAmount => {
                Invoice { amount_msat: more, bolt11: pen.text(&hash, more, now)?, ..right }
            }
            Trick::WrongTrade => Invoice { cause: beside, ..right },
            Trick::WrongTranche => Invoice { tranches: right.tranches.saturating_add(1), ..right },
            Trick::OtherHash => Invoice { bolt11: pen.text(&other, amount, now)?, ..right },
            Trick::OtherAmount => Invoice { bolt11: pen.text(&hash, more, now)?, ..right },
            Trick::Expired => Invoice { bolt11: pen.expired(&hash, amount, now)?, ..right },
            Trick::UsedHash => {
                let used = *self.purse.used.get(&trade.counterparty)?;
                Invoice { payment_hash: used, bolt11: pen.text(&used, amount, now)?, ..right }
            }
        };
        let signed = self.hand.sign(&invoice, interval)?;
        self.purse.note(interval, signed.bytes(), trick);
        Some(Arc::clone(signed.bytes()))
    }

    /// What an honest payee would ask for first.
    fn right_invoice(
        &mut self,
        now: Timestamp,
        interval: Interval,
        trade: &SettledTrade,
    ) -> Option<Invoice> {
        let cause = Cause::Trade { index: trade.terms.index };
        let due = Due {
            id: DueId { interval, cause },
            counterparty: trade.counterparty,
            due_msat: trade.due_msat,
            delivered_mwh: trade.delivered_mwh,
            price_msat_per_kwh: trade.terms.price_msat_per_kwh,
            pay_by: now,
        };
        let amounts = tranches(&due, &self.hand.charter.settlement);
        let amount_msat = *amounts.first()?;
        let payer = self.hand.roster(interval).index_of(&trade.counterparty)?;
        let payment_hash = self.purse.pen.hash();
        Some(Invoice {
            payer,
            cause,
            tranche: 0,
            tranches: u32::try_from(amounts.len()).ok()?,
            amount_msat,
            payment_hash,
            bolt11: self.purse.pen.text(&payment_hash, amount_msat, now)?,
        })
    }

    fn is_for(&self, bytes: &Arc<[u8]>, trade: &SettledTrade) -> bool {
        let cause = Cause::Trade { index: trade.terms.index };
        boltgrid_protocol::envelope::Signed::<Invoice>::decode(Arc::clone(bytes))
            .is_ok_and(|signed| signed.body().cause == cause)
    }
}
