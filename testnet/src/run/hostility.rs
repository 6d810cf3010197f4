//! Hostile peers of a run: who was let in, and whether all that they sent was rejected and counted.
//! Not for: what they send.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hostile::{Hostile, Sent};
use super::invariants::Tally;
use super::report::{InvariantRow, Rejected};

/// The invariant that only a whole run with a hostile peer can show.
const NAME: &str = "hostile_bytes_are_rejected_with_a_reason";

/// The hostile peers of a run. Dropping it sends them away.
#[derive(Debug, Default)]
pub struct Hostility {
    peers: JoinSet<Sent>,
    stop: CancellationToken,
    /// What nodes had rejected before the first one came; none where none came.
    before: Option<Rejected>,
    /// What they sent; none before they were sent away.
    sent: Option<Sent>,
}

impl Hostility {
    /// Lets a hostile peer in, at a time when nodes had rejected so much.
    pub fn invite(&mut self, hostile: Hostile, rejected: Rejected) {
        self.before.get_or_insert(rejected);
        self.peers.spawn(hostile.run(self.stop.clone()));
    }

    /// Sends all hostile peers away, and learns what they sent.
    ///
    /// # Panics
    ///
    /// If one of them has, which is a bug.
    pub async fn end(&mut self) {
        self.stop.cancel();
        let mut sum = Sent::new();
        while let Some(ended) = self.peers.join_next().await {
            for (what, count) in ended.expect("a panic of a hostile peer ends the testnet") {
                let sum = sum.entry(what).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        self.sent = Some(sum);
    }

    /// Whether everything that was sent has been counted under its reason, now that nodes have
    /// rejected so much. None where nobody hostile came, or one is still there.
    #[must_use]
    pub fn row(&self, rejected: &Rejected) -> Option<InvariantRow> {
        let (before, sent) = (self.before.as_ref()?, self.sent.as_ref()?);
        let count = |of: &Rejected, place: &str, reason: &str| {
            of.get(place).and_then(|reasons| reasons.get(reason)).copied().unwrap_or(0)
        };
        let mut tally = Tally::default();
        tally.check(!sent.is_empty(), || "the hostile peer sent nothing".to_owned());
        for ((place, reason), times) in sent {
            let counted = count(rejected, place, reason) > count(before, place, reason);
            tally.check(counted, || {
                format!("{times} messages on {place} were sent, none was counted as {reason}")
            });
        }
        Some(tally.row(NAME))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn rejected(stale: u64) -> Rejected {
        let reasons = BTreeMap::from([("stale".to_owned(), stale)]);
        BTreeMap::from([("votes".to_owned(), reasons)])
    }

    fn row(sent: Sent, before: Option<Rejected>, now: &Rejected) -> Option<InvariantRow> {
        Hostility { sent: Some(sent), before, ..Hostility::default() }.row(now)
    }

    #[test]
    fn what_was_sent_must_have_been_counted_since() {
        let sent = Sent::from([(("votes", "stale"), 3)]);
        let held = row(sent.clone(), Some(rejected(1)), &rejected(2)).unwrap();
        assert_eq!((held.checked, held.violations), (2, 0));
        let ignored = row(sent, Some(rejected(2)), &rejected(2)).unwrap();
        assert_eq!((ignored.checked, ignored.violations), (2, 1));
        let expected = "3 messages on votes were sent, none was counted as stale";
        assert_eq!(ignored.examples, [expected]);
    }

    #[test]
    fn a_hostile_peer_that_sends_nothing_shows_nothing() {
        let row = row(Sent::new(), Some(Rejected::new()), &rejected(2)).unwrap();
        assert_eq!((row.checked, row.violations), (1, 1));
    }

    #[test]
    fn nothing_is_checked_where_nobody_hostile_came_or_went() {
        assert_eq!(row(Sent::new(), None, &rejected(2)), None);
        let still_there = Hostility { before: Some(rejected(1)), ..Hostility::default() };
        assert_eq!(still_there.row(&rejected(2)), None);
    }
}
