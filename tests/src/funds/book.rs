//! A purse's book: what it was promised and what it has paid, in the journal of a node.
//!
//! It keeps the order that the node keeps (P21, P34): the intent before the payment, the outcome before
//! Lightning may forget it. Not for: what is due, and tranches.

use std::collections::BTreeMap;
use std::sync::Arc;

use boltgrid::store::{JournalError, JournalHandle};
use boltgrid_market::effect::{JournalEntry, Slot};
use boltgrid_protocol::lightning::{PaymentHash, Preimage};
use boltgrid_protocol::units::Interval;
use serde::{Deserialize, Serialize};

/// How a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stand {
    /// To us, not paid yet.
    Invoiced,
    /// To us, and ours.
    Received,
    /// From us: about to be made, or under way.
    Intended,
    /// From us: this is the receipt.
    Sent(Preimage),
    /// From us: it failed for good.
    Failed,
}

impl Stand {
    /// Whether nothing changes any more.
    const fn is_over(self) -> bool {
        match self {
            Self::Invoiced | Self::Intended => false,
            Self::Received | Self::Sent(_) | Self::Failed => true,
        }
    }
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// What it is known by.
    pub hash: PaymentHash,
    /// How much.
    pub amount_msat: u64,
    /// The invoice, where we pay it.
    pub bolt11: Option<String>,
    /// How it stands.
    pub stand: Stand,
}

/// The book.
#[derive(Debug)]
pub(super) struct Book {
    journal: JournalHandle,
    next: u32,
    bills: BTreeMap<PaymentHash, Bill>,
}

/// All records stand in one interval: a purse has no time.
const INTERVAL: Interval = Interval::from_number(1);

impl Book {
    /// The book as the journal has it.
    pub(super) async fn open(journal: JournalHandle) -> Result<Self, JournalError> {
        let mut entries = BTreeMap::new();
        for entry in journal.load_since(INTERVAL).await? {
            if let Slot::Payment(_, place) = entry.slot {
                entries.insert(place, entry.bytes);
            }
        }
        let next = entries.keys().last().map_or(0, |place| place.saturating_add(1));
        let bills = entries.into_values().filter_map(|bytes| serde_json::from_slice(&bytes).ok());
        let bills = bills.map(|bill: Bill| (bill.hash, bill)).collect();
        Ok(Self { journal, next, bills })
    }

    /// How a payment stands.
    pub(super) fn stand(&self, hash: &PaymentHash) -> Option<Stand> {
        self.bills.get(hash).map(|bill| bill.stand)
    }

    /// All of it.
    pub(super) fn bills(&self) -> Vec<Bill> {
        self.bills.values().cloned().collect()
    }

    /// What was begun and is not over.
    pub(super) fn begun(&self) -> Vec<Bill> {
        let begun = self.bills.values().filter(|bill| bill.stand == Stand::Intended);
        begun.cloned().collect()
    }

    /// Writes a bill. Returns when it is on disk.
    pub(super) async fn write(&mut self, bill: Bill) -> Result<(), JournalError> {
        let bytes: Arc<[u8]> = serde_json::to_vec(&bill).unwrap_or_default().into();
        let slot = Slot::Payment(INTERVAL, self.next);
        self.journal.record(vec![JournalEntry { slot, bytes }]).await?;
        self.next = self.next.saturating_add(1);
        self.bills.insert(bill.hash, bill);
        Ok(())
    }

    /// Writes how a payment stands now; what is over stays as it is, but that what was thought to have
    /// failed and was paid is written all the same, so that it is seen.
    pub(super) async fn set(
        &mut self,
        hash: PaymentHash,
        stand: Stand,
    ) -> Result<(), JournalError> {
        let Some(bill) = self.bills.get(&hash) else { return Ok(()) };
        let is_news = match (bill.stand, stand) {
            (Stand::Failed, Stand::Sent(_)) => true,
            (old, new) => !old.is_over() && old != new,
        };
        if !is_news {
            return Ok(());
        }
        let bill = Bill { stand, ..bill.clone() };
        self.write(bill).await
    }
}
