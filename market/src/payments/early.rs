//! Invoices that came before we had settled their interval: the payee had all readings a moment sooner.
//! They are refused as not due, and judged again once they are, so that nobody waits for them to come
//! again (P33).
//!
//! Not for: invoices that are refused for good, or for another reason; the payee acts on these.

use std::collections::BTreeMap;

use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::invoice::Invoice;
use boltgrid_protocol::units::Interval;

use super::due::DueId;
use super::said::Bolt11;

/// Most that are kept of one member: more trades than two members have in an interval.
const PER_MEMBER_MAX: usize = 8;
/// Most that are kept. What is beyond comes again.
const EARLY_MAX: usize = 128;

/// The invoices, one for a due.
#[derive(Debug, Default)]
pub(super) struct Early {
    of: BTreeMap<DueId, (Verified<Invoice>, Option<Bolt11>)>,
}

impl Early {
    /// Keeps an invoice, if there is room for it: the first one for its due.
    pub(super) fn keep(&mut self, id: DueId, invoice: &Verified<Invoice>, read: Option<Bolt11>) {
        let author = invoice.participant();
        let is_same =
            |(kept, _): &&(Verified<Invoice>, Option<Bolt11>)| kept.participant() == author;
        let is_full = self.of.len() >= EARLY_MAX
            || self.of.values().filter(is_same).count() >= PER_MEMBER_MAX;
        if !is_full {
            self.of.entry(id).or_insert_with(|| (invoice.clone(), read));
        }
    }

    /// Gives out those of an interval, and forgets those of intervals before.
    pub(super) fn take(&mut self, interval: Interval) -> Vec<(Verified<Invoice>, Option<Bolt11>)> {
        let (mut taken, mut left) = (Vec::new(), BTreeMap::new());
        for (id, early) in std::mem::take(&mut self.of) {
            if id.interval == interval {
                taken.push(early);
            } else if id.interval > interval {
                left.insert(id, early);
            }
        }
        self.of = left;
        taken
    }
}
