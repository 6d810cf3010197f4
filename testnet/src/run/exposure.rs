//! Whether anybody ever owes a node more than the node lets it (P34), as all nodes tell it again and
//! again during a run.
//!
//! A limit falls with a default or a price, and what is owed by then stays owed. So what is judged is
//! whatever is more than at the look before: it must be within the limit then or now.
//! Not for: who pays; that is [`super::payments`].

use std::collections::{BTreeMap, BTreeSet};

use boltgrid::rpc::payment::AccountReport;

use super::invariants::Tally;
use super::report::InvariantRow;

/// What a counterparty owed a node when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Look {
    exposure_msat: u64,
    limit_msat: u64,
}

/// All that nodes told of what others owe them.
#[derive(Clone, Debug, Default)]
pub struct Exposures {
    /// By node and counterparty, both by their participants.
    last: BTreeMap<(String, String), Look>,
    /// The most that each counterparty ever owed any one node.
    most: BTreeMap<String, u64>,
    /// Nodes and counterparties that did not pay them in time.
    late: BTreeSet<(String, String)>,
    tally: Tally,
}

impl Exposures {
    /// What a counterparty may owe a node, as it was told last.
    #[must_use]
    pub fn limit_of(&self, node: &str, counterparty: &str) -> Option<u64> {
        let key = (node.to_owned(), counterparty.to_owned());
        self.last.get(&key).map(|look| look.limit_msat)
    }

    /// Notes what a node tells of its counterparties, and judges it.
    pub fn note(&mut self, node: &str, accounts: &[AccountReport]) {
        for account in accounts {
            let Some(limit_msat) = account.limit_msat else { continue };
            let now = Look { exposure_msat: account.exposure_msat, limit_msat };
            let key = (node.to_owned(), account.counterparty.clone());
            if account.defaults > 0 {
                self.late.insert(key.clone());
            }
            let before = self.last.insert(key, now);
            let allowed = before.map_or(limit_msat, |before| {
                before.exposure_msat.max(before.limit_msat).max(limit_msat)
            });
            self.tally.check(now.exposure_msat <= allowed, || {
                let (who, owes) = (&account.counterparty, now.exposure_msat);
                format!("{who} owes {node} {owes} msat at worst and may owe {allowed}")
            });
            let most = self.most.entry(account.counterparty.clone()).or_default();
            *most = now.exposure_msat.max(*most);
        }
    }

    /// Nodes and counterparties that at some time did not pay them in time, and are trusted with less.
    #[must_use]
    pub fn late(&self) -> BTreeSet<(String, String)> {
        self.late.clone()
    }

    /// The most that a participant ever owed any one node.
    #[must_use]
    pub fn most_of(&self, participant: &str) -> u64 {
        self.most.get(participant).copied().unwrap_or(0)
    }

    /// The row of the report; none where nobody can owe.
    #[must_use]
    pub fn row(&self) -> Option<InvariantRow> {
        let row = self.tally.row("nobody_exposed_beyond_its_limit");
        (row.checked > 0).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(exposure_msat: u64, limit_msat: u64) -> AccountReport {
        AccountReport {
            counterparty: "bob".to_owned(),
            balance_msat: 0,
            energy_mwh: 0,
            exposure_msat,
            limit_msat: Some(limit_msat),
            paid_msat: 0,
            defaults: 0,
            open_defaults: 0,
            is_paid_by_lightning: true,
        }
    }

    fn violations(looks: &[(u64, u64)]) -> u32 {
        let mut exposures = Exposures::default();
        for (exposure, limit) in looks {
            exposures.note("alice", &[account(*exposure, *limit)]);
        }
        exposures.row().map_or(0, |row| row.violations)
    }

    #[test]
    fn what_grows_beyond_the_limit_is_seen() {
        assert_eq!(violations(&[(10, 75), (75, 75)]), 0);
        assert_eq!(violations(&[(10, 75), (76, 75)]), 1);
        assert_eq!(violations(&[(76, 75)]), 1);
        assert_eq!(violations(&[(0, 0), (1, 0)]), 1, "who is in default gets nothing more");
    }

    #[test]
    fn what_was_owed_before_the_limit_fell_is_no_violation() {
        assert_eq!(violations(&[(70, 75), (70, 0), (70, 0), (60, 0)]), 0);
        assert_eq!(violations(&[(70, 75), (70, 0), (71, 0)]), 1);
    }

    #[test]
    fn who_was_late_once_is_remembered() {
        let mut exposures = Exposures::default();
        exposures.note("alice", &[account(1, 75)]);
        assert_eq!(exposures.late(), BTreeSet::new());
        exposures.note("alice", &[AccountReport { defaults: 1, ..account(1, 0) }]);
        exposures.note("alice", &[account(0, 20)]);
        assert_eq!(exposures.late(), [("alice".to_owned(), "bob".to_owned())].into());
    }

    #[test]
    fn nothing_is_said_where_nobody_pays() {
        let mut exposures = Exposures::default();
        exposures.note("alice", &[AccountReport { limit_msat: None, ..account(9, 0) }]);
        assert!(exposures.row().is_none());
        exposures.note("alice", &[account(9, 10)]);
        exposures.note("carol", &[account(5, 10)]);
        assert_eq!((exposures.most_of("bob"), exposures.most_of("dave")), (9, 0));
    }
}
