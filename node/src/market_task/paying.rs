//! The market task's part in payments: invoices that members ask about, what Lightning tells, and
//! what is kept of it for the owner. Not for: deciding about any of it; that is the market's.

use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::{Bolt11, Happened, Payments, Stage, Told, Wanted};
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::{InvoiceRefusal, InvoiceWord};
use boltgrid_protocol::message::Message;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::{MarketError, MarketTask};
use crate::clock;
use crate::config::lightning::BitcoinNetwork;
use crate::lightning;
use crate::settling::{Happening, SettlingEnds};
use crate::store::{ArchiveError, DisputeRecord};

/// The market task's end of Lightning, where the node has any.
#[derive(Debug)]
pub(crate) struct Paying {
    wanted: mpsc::Sender<Wanted>,
    happened: mpsc::Receiver<Happening>,
    network: BitcoinNetwork,
}

impl Paying {
    pub(crate) fn new(ends: SettlingEnds, network: BitcoinNetwork) -> Self {
        Self { wanted: ends.wanted, happened: ends.happened, network }
    }

    /// What happened next; none, where there is no Lightning, or where it has ended.
    pub(super) async fn next(paying: &mut Option<Self>) -> Option<Happening> {
        paying.as_mut()?.happened.recv().await
    }

    /// What a BOLT11 text says, if it is one of our network.
    fn read(&self, bolt11: &str) -> Option<Bolt11> {
        let read = lightning::read(bolt11, self.network)?;
        let (payment_hash, expires_at) = (read.payment_hash, read.expires_at);
        Some(Bolt11 { payment_hash, amount_msat: read.amount, expires_at })
    }
}

impl MarketTask {
    /// A member asks for our word on its invoice.
    pub(super) async fn asked_to_pay(
        &mut self,
        from: ParticipantId,
        invoice: Vec<u8>,
        token: u64,
    ) -> Result<(), MarketError> {
        match self.gate.admit(invoice, clock::now()) {
            Ok(Message::Invoice(invoice)) if invoice.participant() == from => {
                let paying = self.paying.as_ref();
                let read = paying.and_then(|paying| paying.read(&invoice.body().bolt11));
                let invoice = Box::new(invoice);
                self.put(Input::Payment(Happened::Asked { invoice, read, token })).await
            }
            Ok(_) | Err(_) => {
                debug!(%from, "a member asked about something else than its own invoice");
                let word = InvoiceWord::Refused(InvoiceRefusal::WrongTrade);
                self.tell_network(|network| network.answer(token, Answer::Invoice(word)));
                Ok(())
            }
        }
    }

    /// A member's word on an invoice of ours.
    pub(super) async fn hear_invoice_word(
        &mut self,
        from: ParticipantId,
        invoice: &[u8],
        word: InvoiceWord,
    ) -> Result<(), MarketError> {
        let Some(payment_hash) = Payments::hash_of(invoice) else { return Ok(()) };
        self.put(Input::Payment(Happened::Word { from, payment_hash, word })).await
    }

    /// Takes what Lightning tells, and says so once everything that follows is on disk.
    pub(super) async fn take_payment(&mut self, happening: Happening) -> Result<(), MarketError> {
        let Happening { happened, delivery } = happening;
        self.put(Input::Payment(happened)).await?;
        if let Some(delivery) = delivery {
            delivery.kept();
        }
        Ok(())
    }

    /// Has done what a payment needs. What cannot be asked for now is wanted again.
    pub(super) fn want(&self, wanted: Wanted) {
        match wanted {
            Wanted::Send { to, invoice } => {
                self.ask(&[to], &Question::Invoice { invoice: invoice.to_vec() });
            }
            Wanted::Answer { token, word } => {
                self.tell_network(|network| network.answer(token, Answer::Invoice(word)));
            }
            wanted @ (Wanted::Make { .. } | Wanted::Pay { .. } | Wanted::Inquire { .. }) => {
                let sent = self.paying.as_ref().map(|paying| paying.wanted.try_send(wanted));
                if let Some(Err(error)) = sent {
                    warn!(%error, "too much is wanted of Lightning at once; it is wanted again");
                }
            }
        }
    }

    /// Keeps and logs what became of payments.
    pub(super) fn note_payment(&self, told: &Told) {
        log(told);
        if let Err(error) = self.keep_payment(told) {
            warn!(%error, "a payment is not in the archive; the journal has it");
        }
    }

    /// Shows how the node stands with others.
    pub(super) fn show_payments(&self) {
        let outline = self.market.payments().outline();
        self.history.send_modify(|history| history.set_payments(&outline));
    }

    fn keep_payment(&self, told: &Told) -> Result<(), ArchiveError> {
        match told {
            Told::Payment(payment) => self.archive.put_payment(payment),
            Told::Ended(payment) => self.archive.mend_payment(payment),
            Told::Disputed(dispute) => {
                let dispute = (**dispute).clone();
                let record = DisputeRecord { dispute, resolved_at: None, forgiven_at: None };
                self.archive.put_dispute(&record)
            }
            Told::Resolved { due } => self.archive.resolve_dispute(due, clock::now()),
            Told::Forgiven { dues, .. } => {
                let now = clock::now();
                dues.iter().try_for_each(|due| self.archive.forgive_dispute(due, now))
            }
            Told::Cleared { .. } | Told::Refused { .. } | Told::OverLimit { .. } => Ok(()),
        }
    }
}

/// Whether a notice means that something is due, paid or risked that was not before, or no longer is.
pub(super) const fn changes_outline(notice: &Notice) -> bool {
    matches!(
        notice,
        Notice::Settled(_)
            | Notice::Payment(_)
            | Notice::Cleared(_)
            | Notice::Confirmed { .. }
            | Notice::Lapsed { .. }
    )
}

fn log(told: &Told) {
    match told {
        Told::Payment(it) => {
            let (interval, amount_msat) = (it.due.interval, it.amount_msat.to_millisatoshi());
            let (with, tranche, hash) =
                (it.counterparty.short(), it.tranche, it.payment_hash.short());
            match it.stage {
                Stage::Invoiced | Stage::Paying => {
                    debug!(%interval, with, tranche, hash, amount_msat, stage = ?it.stage, "payment");
                }
                Stage::Paid { fee_msat, .. } => info!(
                    %interval, with, tranche, hash, amount_msat, to_us = it.to_me,
                    fee_msat = fee_msat.to_millisatoshi(), "tranche paid"
                ),
                Stage::Failed => {
                    warn!(%interval, with, tranche, hash, amount_msat, "payment failed");
                }
            }
        }
        Told::Ended(it) => {
            debug!(hash = it.payment_hash.short(), stage = ?it.stage, "payment, before the start");
        }
        Told::Cleared { due, counterparty, after_ms } => {
            info!(interval = %due.interval, with = counterparty.short(), after_ms, "due paid");
        }
        Told::Refused { counterparty, due, why } => {
            debug!(interval = %due.interval, with = counterparty.short(), %why, "invoice refused");
        }
        Told::Disputed(it) => warn!(
            interval = %it.due.interval, with = it.counterparty.short(), why = %it.why,
            due_msat = it.due_msat.to_millisatoshi(),
            unpaid_msat = it.unpaid_msat.to_millisatoshi(),
            "dispute: see `boltgrid payment disputes`"
        ),
        Told::Resolved { due } => info!(interval = %due.interval, "dispute over: all is paid"),
        Told::Forgiven { counterparty, dues, unpaid_msat } => info!(
            with = counterparty.short(),
            dues = dues.len(),
            unpaid_msat = unpaid_msat.to_millisatoshi(),
            "forgiven"
        ),
        Told::OverLimit { interval, terms, counterparty, exposure_msat, limit_msat, part_mwh } => {
            warn!(
                %interval, trade = terms.index, with = counterparty.short(),
                exposure_msat = exposure_msat.to_millisatoshi(),
                limit_msat = limit_msat.to_millisatoshi(),
                of_mwh = terms.energy_mwh.to_milliwatt_hours(),
                signed_mwh = part_mwh.map_or(0, boltgrid_protocol::units::Energy::to_milliwatt_hours),
                "trade not signed, or only a part of it: the other side would owe too much"
            )
        }
    }
}
