//! What a false payer says to invoices: anything, so that it need not pay.
//!
//! Not for: when it would have had to.

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::invoice::{Invoice, InvoiceRefusal, InvoiceWord};

use super::{Rogue, Role};

const DICE_WORD: u64 = 50;

impl Rogue {
    /// Its word on an invoice; none where it does not answer.
    #[must_use]
    pub fn word_on(&self, invoice: &Verified<Invoice>) -> Option<InvoiceWord> {
        if self.role != Role::FalsePayer {
            return None;
        }
        // The same payee hears one word about one interval, however often it asks.
        let payee = u64::from(invoice.participant().as_bytes()[0]);
        Some(match self.hand.dice(invoice.interval(), DICE_WORD ^ (payee << 8), 4) {
            // Taken, it says, and pays never.
            0 | 1 => InvoiceWord::Taken,
            2 => InvoiceWord::Refused(InvoiceRefusal::AlreadyPaid),
            _ => InvoiceWord::Refused(InvoiceRefusal::WrongAmount),
        })
    }
}
