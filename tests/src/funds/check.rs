//! What must hold once everything is final: nobody honest has lost, no cheat has gained, and every coin
//! is somewhere. Pure arithmetic. Not for: finding out the numbers ([`super::finish`]).

use std::collections::BTreeMap;
use std::fmt;

use boltgrid_protocol::lightning::{PaymentHash, Preimage};

use super::book::{Bill, Stand};

/// Below this the chain enforces nothing: where a channel is closed by force while such a payment is on
/// its way, miners get it. The payee has counted it by then, and the payer has no receipt.
pub(super) const ENFORCED_MSAT: u64 = 354_000;

/// A payment between two nodes, as the test began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deal {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) amount_msat: u64,
}

/// A node at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// What it was given on the chain, less what it gave to others when it opened channels, and more
    /// what it was given so.
    pub(super) start_sat: u64,
    /// What is in its wallet.
    pub(super) end_sat: u64,
    /// What it has written down; none of a cheat's, which put an old copy in its place.
    pub(super) book: Option<Vec<Bill>>,
}

/// What became of the coins that all of them were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Coins {
    /// What they were given.
    pub(super) given_sat: u64,
    /// What miners got of it.
    pub(super) fees_sat: u64,
    /// What is left in outputs that nobody takes, since they are worth less than taking them: anchors.
    pub(super) left_sat: u64,
    /// What a script still binds: of a cheat's, what its Lightning cannot take any more.
    pub(super) bound_sat: u64,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An honest node has less than its last agreed balance, less all fees.
    Lost {
        /// Who.
        node: usize,
        /// What it should have at least.
        least_sat: u64,
        /// What it has.
        has_sat: u64,
    },
    /// A cheat has more than it had agreed to.
    Gained {
        /// Who.
        node: usize,
        /// What it had agreed to.
        agreed_sat: u64,
        /// What it has.
        has_sat: u64,
    },
    /// What is in wallets, was paid to miners and is left does not come to what was given.
    Unaccounted {
        /// What was given.
        given_sat: u64,
        /// What was found.
        found_sat: u64,
    },
    /// A payer's receipt does not open its hash.
    FalseReceipt(PaymentHash),
    /// A payer has a receipt, and the payee does not know that it was paid.
    UnknownToPayee(PaymentHash),
    /// A payment failed for its payer and was received all the same.
    FailedAndReceived(PaymentHash),
    /// A payment was received, and is still under way for its payer, though nothing is.
    NeverEnds(PaymentHash),
    /// Something is still on its way after so many blocks that nothing can be.
    NotFinal {
        /// What the nodes say.
        said: String,
    },
    /// A node ended by itself, or does not start.
    Ended {
        /// Which.
        node: usize,
        /// When, and what it said last.
        said: String,
    },
    /// A node whose disk was full did not end, or did not say what to do.
    DiskFull {
        /// Which.
        node: usize,
        /// What it did.
        said: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { node, least_sat, has_sat } => {
                write!(f, "{node} has {has_sat} sat, and should have {least_sat} at least")
            }
            Self::Gained { node, agreed_sat, has_sat } => {
                write!(f, "the cheat {node} has {has_sat} sat, and had agreed to {agreed_sat}")
            }
            Self::Unaccounted { given_sat, found_sat } => {
                write!(f, "{found_sat} sat are found, and {given_sat} were given")
            }
            Self::FalseReceipt(hash) => write!(f, "the receipt of {hash} does not open it"),
            Self::UnknownToPayee(hash) => write!(f, "{hash} is paid, and its payee does not know"),
            Self::FailedAndReceived(hash) => write!(f, "{hash} failed for good, and was received"),
            Self::NeverEnds(hash) => {
                write!(f, "{hash} was received, and its payer never hears of it")
            }
            Self::NotFinal { said } => write!(f, "not everything is final: {said}"),
            Self::Ended { node, said } => write!(f, "{node} ended by itself: {said}"),
            Self::DiskFull { node, said } => write!(f, "{node} on a full disk: {said}"),
        }
    }
}

/// Whether a receipt is the preimage of a hash.
type Opens = fn(&Preimage, &PaymentHash) -> bool;

/// Checks everything.
pub(super) fn check(
    accounts: &[Account],
    deals: &BTreeMap<PaymentHash, Deal>,
    coins: Coins,
    opens: Opens,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    // In msat, and signed: a balance on the way may be below what it started with.
    let mut agreed: Vec<i128> =
        accounts.iter().map(|it| i128::from(it.start_sat) * 1_000).collect();
    for (hash, deal) in deals {
        let stand = |node: usize| {
            let book = accounts[node].book.as_ref();
            book.map(|bills| bills.iter().find(|bill| bill.hash == *hash).map(|bill| bill.stand))
        };
        // None is a cheat, and Some(None) a node that never got so far as to write it down.
        let (payer, payee) = (stand(deal.from), stand(deal.to));
        let is_sent = matches!(payer, Some(Some(Stand::Sent(_))));
        let is_received = matches!(payee, Some(Some(Stand::Received)));
        match payer {
            Some(Some(Stand::Sent(preimage))) if !opens(&preimage, hash) => {
                violations.push(Violation::FalseReceipt(*hash));
            }
            // What is too small for the chain may be miners'.
            _ if !is_received || deal.amount_msat < ENFORCED_MSAT => {}
            Some(Some(Stand::Intended)) => violations.push(Violation::NeverEnds(*hash)),
            Some(Some(Stand::Failed)) => violations.push(Violation::FailedAndReceived(*hash)),
            _ => {}
        }
        if is_sent && payee.is_some() && !is_received {
            violations.push(Violation::UnknownToPayee(*hash));
        }
        let amount = i128::from(deal.amount_msat);
        // Who has no receipt has not paid; what a cheat paid is what its payee says.
        if is_sent || (payer.is_none() && is_received) {
            agreed[deal.from] -= amount;
        }
        if is_sent || is_received {
            agreed[deal.to] += amount;
        }
    }
    let fees = i128::from(coins.fees_sat + coins.left_sat) * 1_000;
    for (node, (account, agreed)) in accounts.iter().zip(agreed).enumerate() {
        let is_cheat = account.book.is_none();
        let has_sat = account.end_sat + if is_cheat { coins.bound_sat } else { 0 };
        let has = i128::from(has_sat) * 1_000;
        if is_cheat && has > agreed {
            violations.push(Violation::Gained { node, agreed_sat: sat_down(agreed), has_sat });
        }
        if !is_cheat && has + fees < agreed {
            let least_sat = sat_down(agreed - fees);
            violations.push(Violation::Lost { node, least_sat, has_sat });
        }
    }
    let found_sat: u64 = accounts.iter().map(|it| it.end_sat).sum();
    let has_cheat = accounts.iter().any(|it| it.book.is_none());
    let bound_sat = if has_cheat { coins.bound_sat } else { 0 };
    let found_sat = found_sat + coins.fees_sat + coins.left_sat + bound_sat;
    if found_sat != coins.given_sat {
        violations.push(Violation::Unaccounted { given_sat: coins.given_sat, found_sat });
    }
    violations
}

fn sat_down(msat: i128) -> u64 {
    u64::try_from(msat / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: PaymentHash = PaymentHash::from_bytes([7; 32]);
    const RECEIPT: Preimage = Preimage::from_bytes([8; 32]);

    fn account(end_sat: u64, stand: Option<Stand>) -> Account {
        let bill = |stand| Bill { hash: HASH, amount_msat: 40_000_000, bolt11: None, stand };
        Account { start_sat: 500_000, end_sat, book: Some(stand.map(bill).into_iter().collect()) }
    }

    fn judge(accounts: &[Account]) -> Vec<Violation> {
        let deal = Deal { from: 0, to: 1, amount_msat: 40_000_000 };
        let end: u64 = accounts.iter().map(|it| it.end_sat).sum();
        let coins = Coins {
            given_sat: 1_000_000,
            fees_sat: 1_000_000 - end - 660,
            left_sat: 660,
            bound_sat: 0,
        };
        check(accounts, &BTreeMap::from([(HASH, deal)]), coins, |receipt, _| *receipt == RECEIPT)
    }

    #[test]
    fn a_payment_that_both_know_of_moves_what_each_should_have() {
        let sent = Some(Stand::Sent(RECEIPT));
        let fine = [account(459_000, sent), account(539_000, Some(Stand::Received))];
        assert_eq!(judge(&fine), []);
        let stolen = [account(499_000, sent), account(499_000, Some(Stand::Received))];
        assert_eq!(
            judge(&stolen),
            [Violation::Lost { node: 1, least_sat: 538_000, has_sat: 499_000 }]
        );
    }

    #[test]
    fn a_receipt_counts_for_the_payee_even_where_it_does_not_know() {
        let sent = Some(Stand::Sent(RECEIPT));
        // The coins stayed with the payer: had miners got them, they would pass for fees.
        let found = judge(&[account(499_000, sent), account(499_000, Some(Stand::Invoiced))]);
        assert!(found.contains(&Violation::UnknownToPayee(HASH)), "{found:?}");
        assert!(found.iter().any(|it| matches!(it, Violation::Lost { node: 1, .. })), "{found:?}");
    }

    #[test]
    fn what_failed_is_not_lost() {
        let found = judge(&[
            account(459_000, Some(Stand::Failed)),
            account(539_000, Some(Stand::Received)),
        ]);
        assert!(found.contains(&Violation::FailedAndReceived(HASH)), "{found:?}");
        assert!(found.iter().any(|it| matches!(it, Violation::Lost { node: 0, .. })), "{found:?}");
        let begun = || account(499_000, Some(Stand::Intended));
        assert_eq!(judge(&[begun(), account(499_000, Some(Stand::Invoiced))]), []);
        let found = judge(&[begun(), account(499_000, Some(Stand::Received))]);
        assert!(found.contains(&Violation::NeverEnds(HASH)), "{found:?}");
        let false_receipt = Some(Stand::Sent(Preimage::from_bytes([9; 32])));
        let found =
            judge(&[account(459_000, false_receipt), account(539_000, Some(Stand::Received))]);
        assert_eq!(found, [Violation::FalseReceipt(HASH)]);
    }

    #[test]
    fn a_cheat_may_lose_and_not_gain() {
        let cheat = |end_sat| Account { book: None, ..account(end_sat, None) };
        assert_eq!(judge(&[cheat(300_000), account(698_000, Some(Stand::Received))]), []);
        let found = judge(&[cheat(499_000), account(499_000, Some(Stand::Received))]);
        let gained = Violation::Gained { node: 0, agreed_sat: 460_000, has_sat: 499_000 };
        let lost = Violation::Lost { node: 1, least_sat: 538_000, has_sat: 499_000 };
        assert_eq!(found, [gained, lost]);
    }

    #[test]
    fn what_is_bound_is_a_cheats_and_nobody_elses() {
        let end = |book: Option<Vec<Bill>>| {
            let first = Account { start_sat: 500_000, end_sat: 400_000, book };
            let coins =
                Coins { given_sat: 1_000_000, fees_sat: 0, left_sat: 0, bound_sat: 100_001 };
            check(&[first, account(499_999, None)], &BTreeMap::new(), coins, |_, _| true)
        };
        let gained = Violation::Gained { node: 0, agreed_sat: 500_000, has_sat: 500_001 };
        let lost = |node, has_sat| Violation::Lost { node, least_sat: 500_000, has_sat };
        assert_eq!(end(None), [gained, lost(1, 499_999)]);
        let unaccounted = Violation::Unaccounted { given_sat: 1_000_000, found_sat: 899_999 };
        assert_eq!(end(Some(Vec::new())), [lost(0, 400_000), lost(1, 499_999), unaccounted]);
    }

    #[test]
    fn a_coin_that_is_nowhere_is_seen() {
        let coins = Coins { given_sat: 1_000_000, fees_sat: 1_000, left_sat: 0, bound_sat: 0 };
        let accounts = [account(499_000, None), account(499_999, None)];
        let found = check(&accounts, &BTreeMap::new(), coins, |_, _| true);
        assert_eq!(found, [Violation::Unaccounted { given_sat: 1_000_000, found_sat: 999_999 }]);
    }
}
