//! At most one book per interval is certified (P15, P16), all who clear it clear the same (P22), and
//! nobody is bound by two clearings of one interval.
//!
//! Votes are counted wherever they are, so a second certificate counts even if no node saw it.
//! Not for: whether the right orders are in the book.

use std::collections::{BTreeMap, BTreeSet};

use boltgrid_market::notice::ClearedInterval;
use boltgrid_protocol::agreement::{BookCertificate, Stage, Vote};
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{BookHash, ClearingDigest, RosterIndex};
use boltgrid_protocol::units::{Energy, Interval, Price};

use super::{Facts, Findings, Guarantee, Here};

/// What is known of one interval's books.
#[derive(Debug, Default)]
struct Books {
    precommits: BTreeMap<(u32, BookHash), BTreeSet<RosterIndex>>,
    certified: BTreeSet<BookHash>,
    clearings: BTreeMap<BookHash, ClearingDigest>,
    entries: Option<BTreeSet<RosterIndex>>,
    /// What honest members are bound to: one price and, per trade, one energy.
    bound: BTreeMap<(usize, u32), (RosterIndex, RosterIndex, Energy, Price)>,
}

/// All books of a run.
#[derive(Debug, Default)]
pub(super) struct OneBook {
    of: BTreeMap<Interval, Books>,
}

impl OneBook {
    pub(super) fn voted(
        &mut self,
        facts: &mut Facts,
        findings: &mut Findings,
        at_ms: u64,
        vote: &Verified<Vote>,
    ) {
        let Vote { view, stage: Stage::Precommit, book: Some(book) } = *vote.body() else {
            return;
        };
        let interval = vote.interval();
        let roster = facts.roster(interval);
        let books = self.of.entry(interval).or_default();
        let voters = books.precommits.entry((view, book)).or_default();
        voters.insert(vote.author());
        if voters.len() >= roster.voters().len() - roster.faulty_max() {
            books.certify(book, facts, findings, (at_ms, None, interval));
        }
    }

    /// A node cleared an interval.
    pub(super) fn cleared(
        &mut self,
        facts: &mut Facts,
        findings: &mut Findings,
        here: Here,
        cleared: &ClearedInterval,
    ) {
        let interval = cleared.interval;
        let books = self.of.entry(interval).or_default();
        books.certify(cleared.book, facts, findings, (here.at_ms, Some(here.node), interval));
        let earlier = books.clearings.insert(cleared.book, cleared.clearing);
        if earlier.is_some_and(|earlier| earlier != cleared.clearing) {
            let what = "it clears the book in another way than others".to_owned();
            findings.at(Guarantee::SameClearing, here, interval, what);
        }
        if books.entries.is_none() {
            let certificate = BookCertificate::from_bytes(&cleared.certificate);
            books.entries = certificate
                .ok()
                .map(|it| it.book.entries.iter().map(|entry| entry.author).collect());
        }
    }

    /// An honest member is bound to a trade.
    pub(super) fn bound(
        &mut self,
        findings: &mut Findings,
        here: Here,
        interval: Interval,
        terms: &TradeTerms,
    ) {
        let books = self.of.entry(interval).or_default();
        let is = (terms.seller, terms.buyer, terms.energy_mwh, terms.price_msat_per_kwh);
        let earlier = books.bound.insert((here.node, terms.index), is);
        let other_price = books.bound.iter().any(|((node, _), (.., price))| {
            *node == here.node && *price != terms.price_msat_per_kwh
        });
        if earlier.is_some_and(|earlier| earlier != is) || other_price {
            let what = format!("it is bound by two clearings, by trade {}", terms.index);
            findings.at(Guarantee::AllocatedOnce, here, interval, what);
        }
    }

    /// The members whose orders are in the certified book, once a node has cleared it.
    pub(super) fn entries(&self, interval: Interval) -> Option<&BTreeSet<RosterIndex>> {
        self.of.get(&interval)?.entries.as_ref()
    }
}

impl Books {
    fn certify(
        &mut self,
        book: BookHash,
        facts: &mut Facts,
        findings: &mut Findings,
        (at_ms, node, interval): (u64, Option<usize>, Interval),
    ) {
        if self.certified.insert(book) && self.certified.len() > 1 && facts.few_faulty(interval) {
            let what = format!("{} books are certified", self.certified.len());
            findings.add(Guarantee::OneBook, (at_ms, node), interval, what);
        }
    }
}
