//! A settled interval as a ledger entry: where the metered energy came from and went to.

use boltgrid_protocol::order::Side;
use boltgrid_protocol::units::{Energy, NetEnergy, OutOfRange, SignedMsat};

use super::Settlement;
use crate::ledger::{Account, Entry, Posting, Unbalanced};

/// Why a settlement has no ledger entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// It was not made by [`super::settle`].
    #[error("the settlement does not add up: {0}")]
    Unbalanced(#[from] Unbalanced),
    /// A sum does not fit its type.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

impl Settlement {
    /// The ledger entry of the interval: where the metered energy came from and went to, and the
    /// money that is due for it.
    ///
    /// # Errors
    ///
    /// [`NoEntry`]; for what [`super::settle`] returned, only when a sum does not fit 63 bits.
    pub fn entry(&self) -> Result<Entry, NoEntry> {
        let negated = |energy: NetEnergy| energy.checked_neg().ok_or(OutOfRange);
        let owed = |money: SignedMsat| money.checked_neg().ok_or(OutOfRange);
        let mut postings = vec![
            Posting {
                account: Account::Me,
                energy: self.metered_mwh.unwrap_or_default(),
                money: self.trades_due()?.checked_add(self.supplier_due_msat).ok_or(OutOfRange)?,
            },
            Posting {
                account: Account::Supplier,
                energy: negated(self.supplier_mwh)?,
                money: owed(self.supplier_due_msat)?,
            },
            Posting {
                account: Account::Losses,
                energy: NetEnergy::between(self.losses_mwh, Energy::ZERO)?,
                money: SignedMsat::ZERO,
            },
        ];
        let trades =
            self.trades.iter().map(|it| (it.counterparty, it.side, it.delivered_mwh, it.due_msat));
        let forwards = self
            .forwards
            .iter()
            .map(|it| (it.counterparty, it.side, it.delivered_mwh, it.due_msat));
        for (counterparty, side, delivered_mwh, due_msat) in trades.chain(forwards) {
            let received = NetEnergy::between(delivered_mwh, Energy::ZERO)?;
            postings.push(Posting {
                account: Account::Counterparty(counterparty),
                energy: match side {
                    Side::Sell => received,
                    Side::Buy => negated(received)?,
                },
                money: owed(due_msat)?,
            });
        }
        Ok(Entry::new(self.interval, postings)?)
    }
}
